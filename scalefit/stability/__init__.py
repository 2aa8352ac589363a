"""Probes of small runs extrapolated to their limits: what breaks first at a larger size."""

from scalefit.stability.coordinates import CoordinateSlopes, coordinate_slopes
from scalefit.stability.forecast import Forecasts, forecast
from scalefit.stability.thresholds import sharpness_threshold, shortest_warmup

__all__ = ["CoordinateSlopes", "Forecasts", "coordinate_slopes", "forecast", "sharpness_threshold", "shortest_warmup"]
