"""Schedules chosen by a fitted law: candidates of one budget ranked, the best share of a decay, the steps to a loss."""
