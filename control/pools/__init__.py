"""HAProxy pools of sites: what each site's manager shall do, what people said of members, what managers report."""
