"""The table of forecasts: each row's interval holds its value, and is that of the forecast itself."""

from __future__ import annotations

import numpy as np
import pandas as pd

from scalefit.stability.forecast import forecast


def test_the_ends_of_each_interval_stand_in_their_columns():
    rng = np.random.default_rng(0)
    N = np.repeat([1e6, 1e7, 1e8, 1e9], 4)
    logit = 10 * (N / 1e6) ** 0.5 * np.exp(0.1 * rng.standard_normal(16))
    found = forecast(
        pd.DataFrame({"N": N, "lr": 0.01, "seed": np.tile(range(4), 4), "attention_logit_max": logit, "loss": 3.0}),
        1e10,
        0.01,
    )
    table = found.table.set_index("forecast")
    for each in found.found:
        row = table.loc[each.name]
        assert row["low"] < row["value"] < row["high"]
        assert (row["low"], row["value"], row["high"]) == (each.value.low, each.value.value, each.value.high)
        assert (row["from"], row["crossed_at"], row["to"]) == (
            each.crossing.low,
            each.crossing.value,
            each.crossing.high,
        )
    assert len(found.found) >= 1
    assert table["probability"].is_monotonic_decreasing
