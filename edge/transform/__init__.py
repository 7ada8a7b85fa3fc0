"""Changes to a data set on its way out: exact, repeatable, or refused."""
