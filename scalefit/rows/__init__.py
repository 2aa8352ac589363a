"""What a law reads from run logs: the law completed by the data, its rows as arrays, and checks before a fit."""
