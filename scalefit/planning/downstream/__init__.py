"""Losses and accuracies that are reached by way of another loss: on another data set, on a task."""
