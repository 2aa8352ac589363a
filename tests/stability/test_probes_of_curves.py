"""One value of each probe from the curve of a run: its mean over the last tenth, or its last one before."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from scalefit.stability.probes import column_of, measured, probes

STEP = np.arange(10, 1001, 10)
BY_NAME = {probe.name: probe for probe in probes()}


def table_of(**columns):
    frame = pd.DataFrame({"run": "a", "N": 1e6, "step": STEP, "lr": 1e-2 * (1 - STEP / 2000), "loss": 3 - STEP / 1e3})
    return measured(frame.assign(**columns)).iloc[0]


def test_the_last_tenth_is_averaged():
    logit = STEP.astype(float)
    assert table_of(attention_logit_max=logit)["attention_logit_max"] == pytest.approx(np.arange(900, 1001, 10).mean())


def test_a_probe_that_is_logged_seldom_counts_by_its_last_value():
    seldom = np.where(np.isin(STEP, [10, 400, 700]), STEP, np.nan)
    assert table_of(attention_logit_max=seldom)["attention_logit_max"] == 700
    once_more = np.where(np.isin(STEP, [10, 400, 950]), STEP, np.nan)
    assert table_of(attention_logit_max=once_more)["attention_logit_max"] == 950


def test_sharpness_is_taken_times_the_learning_rate_of_its_own_step():
    """The peak's rate is 1e-2, that of the end half of it."""
    row = table_of(sharpness=100.0)
    assert row["lr"] == pytest.approx(1e-2 * (1 - 10 / 2000))
    name, values = column_of(row.to_frame().T, probes(rule="gd")[-1])
    assert name == "sharpness"
    assert np.exp(values) == pytest.approx(100 * 1e-2 * (1 - np.arange(900, 1001, 10).mean() / 2000))


def test_the_probe_of_activations_is_the_largest_of_all_blocks_on_its_scale():
    table = pd.DataFrame({"N": [1e6], "rms_act/0.mlp": [2.0], "rms_act/3.mlp": [8.0], "rms_act/1.mlp": [4.0]})
    probe = next((each for each in probes() if any(name.startswith("rms_act") for name in each.columns)), None)
    if probe is None:
        pytest.skip("no such probe is known any more")
    name, values = column_of(table, probe)
    assert name == "rms_act/*"
    assert values == pytest.approx(np.log(8.0) if probe.log else 8.0)


def test_a_value_that_is_not_positive_has_no_logarithm():
    probe = BY_NAME["largest attention logit"]
    _, values = column_of(pd.DataFrame({"attention_logit_max": [np.e, 0.0, -1.0]}), probe)
    assert values[0] == pytest.approx(1)
    assert np.isnan(values[1:]).all()


def test_sharpness_of_a_table_is_taken_times_its_learning_rate():
    table = pd.DataFrame({"sharpness": [100.0, 30.0], "lr": [0.01, 0.05]})
    assert np.exp(column_of(table, probes(rule="gd")[-1])[1]) == pytest.approx([1.0, 1.5])
