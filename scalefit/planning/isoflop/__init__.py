"""The best size and data without a law of the loss: isoFLOP curves, envelopes, and the law beside them."""

from scalefit.planning.isoflop.approaches import approach1, approach2, approach2_bias, isoflop_grid
from scalefit.planning.isoflop.study import isoflop

__all__ = ["approach1", "approach2", "approach2_bias", "isoflop", "isoflop_grid"]
