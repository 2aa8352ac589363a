"""How sure a fit is: draws of a Solution, their covariance, intervals of predictions and their calibration."""
