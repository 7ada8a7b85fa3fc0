"""What people ask of nodes, as rows with a state."""
