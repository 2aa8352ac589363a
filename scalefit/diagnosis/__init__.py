"""What rows and a Solution say against themselves: checks, residuals, identification, influence, unread columns."""
