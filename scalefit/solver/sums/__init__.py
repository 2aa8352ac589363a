"""Sums of many values a row, by few of them and at few rows."""
