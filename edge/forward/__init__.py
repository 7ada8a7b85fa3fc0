"""Forward lanes: one for each destination, isolated from all others."""
