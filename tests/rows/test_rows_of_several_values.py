"""Variables of which each row has several values: one bad value among them is enough to refuse the row."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.errors import InputError
from scalefit.laws import find_law, law_names
from scalefit.rows.door import check_rows
from scalefit.rows.gather import gather

STEP = np.arange(100, 1001, 100)
PLANS = {
    "a": "constant:peak_lr=1e-3,steps=1000,warmup=50",
    "b": "multi_step:peak_lr=1e-3,steps=1000,at=400/700,warmup=50",
}


@pytest.fixture(scope="module")
def runs():
    curves = pd.concat(pd.DataFrame({"run": run, "step": STEP, "loss": 2 + 9 * STEP**-0.5}) for run in PLANS)
    return sf.read_runs(curves, schedule=PLANS)


def test_one_value_that_is_not_finite_is_found_among_several(runs):
    found = []
    for law in (find_law(name) for name in law_names() if find_law(name).is_trajectory):
        if law.path_columns or set(law.columns.values()) & {"N", "D", "batch"}:
            continue
        rows = gather(law, runs)
        for name, values in rows.variables.items():
            if values.ndim < 2 or values.shape[1] < 2:
                continue
            damaged = values.copy()
            damaged[3, -1] = np.nan
            checked = replace(rows, variables={**rows.variables, name: damaged})
            with pytest.raises(InputError, match=rf"row {runs.curves.index[rows.positions[3]]}\b"):
                check_rows(law, checked, runs, log_residuals=True, drop_diverged=False)
            found.append((law.name, name))
        check_rows(law, rows, runs, log_residuals=True, drop_diverged=False)
    assert found, "no law has a variable of several values any more"
