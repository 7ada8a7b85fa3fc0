"""The metrics of nodes, as their status reports bring them."""
