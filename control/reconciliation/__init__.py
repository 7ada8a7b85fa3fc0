"""What was received against what was delivered: the account of a day of a site."""
