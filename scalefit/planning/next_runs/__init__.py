"""The runs to make next: those that are expected to shrink the interval at a target most, within a budget."""
