"""How a budget is best shared between size and data, by any law that reads them: plans, with intervals."""
