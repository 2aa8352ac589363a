"""Models, training loops and coordinate checks of your own, with any ``torch.nn`` model."""
