"""The models that proxies train, K members at once, and how their scales change with size."""
