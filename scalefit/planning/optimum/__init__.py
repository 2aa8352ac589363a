"""The optima of laws, most of them in closed form: best size and data, shares, frontiers, published values."""
