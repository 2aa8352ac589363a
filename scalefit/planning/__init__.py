"""From a fitted law or a log to a decision: sizes, data, batch sizes, schedules, other data. One idea per file."""
