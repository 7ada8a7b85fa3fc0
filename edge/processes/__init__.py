"""The processes of one node: a supervisor, and what it keeps running."""
