"""The best learning rate, batch and weight decay of a planned run: from fits to sweeps, and by published rules."""
