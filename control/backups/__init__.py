"""A copy of everything that cannot be made again: the mesh's keys and the database."""
