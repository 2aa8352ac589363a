"""Measured values that are all the same explain nothing, whatever their sign."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.errors import IdentificationError


@pytest.mark.parametrize("value", [3.0, -3.0, 0.0])
def test_they_are_refused(value):
    rows = sf.read_runs(pd.DataFrame({"x": np.arange(1.0, 9.0), "y": value}), need=())
    with pytest.raises(IdentificationError):
        sf.fit(rows, "y = a + b*x", residuals="linear")
