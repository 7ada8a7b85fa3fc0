"""A document of pools as the files that programs read, and what is wrong with one. Pure."""
