"""A run that is still training: the forecast of its end, and the watch over its health."""
