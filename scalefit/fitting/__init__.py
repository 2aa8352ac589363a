"""``fit``: a law and run logs in, a frozen ``Fit`` out, with its predictions, its summary and its file."""
