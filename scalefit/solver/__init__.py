"""Arrays in, a Solution out: a law bound to arrays, an objective, starts, a batched descent. It knows no run log."""
