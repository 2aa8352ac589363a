"""What a law reads of run logs: the law as the data complete it, rows as arrays, and what cannot enter a fit."""
