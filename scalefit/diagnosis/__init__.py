"""Warnings about rows and a Solution: checks, residuals, identification, influence, unread columns."""
