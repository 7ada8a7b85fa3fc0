"""The manager of one site's HAProxy: wanted and actual pools are compared, and made the same."""
