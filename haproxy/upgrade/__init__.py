"""A rolling upgrade: one node after the other leaves the pools, is upgraded, and comes back when it is well."""
