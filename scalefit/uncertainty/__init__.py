"""Uncertainty of a fit: draws of a Solution, covariance, intervals of parameters and predictions, calibration."""
