"""Commands whose work is done elsewhere: what they ask for, and which exit code follows from the answer."""

from __future__ import annotations

from types import SimpleNamespace

import commands
import numpy as np
import pandas as pd
import pytest

from scalefit.cli import predict, watch
from scalefit.diagnosis.checks import Check
from scalefit.errors import InputError


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "runs.csv"
    pd.DataFrame({"N": [1e6, 2e6], "D": [1e8, 2e8], "loss": [3.0, 2.9]}).to_csv(path, index=False)
    return path


@pytest.mark.parametrize(
    ("refused", "warnings", "code"),
    [
        ({}, (), 0),
        ({"kaplan": "too few"}, (), 1),
        ({}, (Check("x", "doubtful"),), 1),
        ({"a": "b"}, (Check("x", "y"),), 1),
    ],
)
def test_laws_that_are_refused_or_doubtful_fail_a_comparison(monkeypatch, log, refused, warnings, code):
    best = SimpleNamespace(warnings=warnings, law=SimpleNamespace(spec="chinchilla"))
    found = SimpleNamespace(
        table=pd.DataFrame({"law": ["chinchilla"], "coverage": [0.5]}),
        recommendation="take it",
        refused=refused,
        plot=None,
        best=best,
    )
    monkeypatch.setattr("scalefit.comparison.compare", lambda *told, **more: found)
    told = commands.run(f"scalefit compare {log}")
    assert told.exit_code == code
    assert told.stdout.startswith("take it")
    assert ("! kaplan: too few" in told.stdout) == ("kaplan" in refused)
    assert ("! chinchilla: " in told.stdout) == bool(warnings)


def test_a_coordinate_check_trains_small_models_unless_told_otherwise(monkeypatch):
    proxy = pytest.importorskip("scalefit.proxy")
    asked = []

    def checked(config, sizes, **more):
        asked.append((config, sizes, more))
        return SimpleNamespace(worst={}, passed={}, lines=["done"], ok=True, table=pd.DataFrame())

    monkeypatch.setattr(proxy, "coordinate_check", checked)
    assert commands.run("scalefit coordcheck --seeds 1 --steps 5 --sizes 16,64").exit_code == 0
    config, sizes, more = asked[0]
    assert (config.lr, config.seq_len, config.batch, config.eval_batch) == (0.02, 32, 128, 64)
    assert (config.data, config.data_options) == ("zipf-markov", {"tokens": 50000})
    assert sizes == [16, 64]
    assert (more["seeds"], more["steps"]) == (1, 5)
    assert commands.run("scalefit coordcheck --set lr=0.1").exit_code == 0
    assert asked[1][0].lr == 0.1
    assert commands.run("scalefit coordcheck --sizes 16,wide").exit_code == 2


@pytest.mark.parametrize(
    ("initial", "steps", "said"),
    [
        (None, 40, ""),
        (None, 39, "39 steps, but the log is at step 40"),
        (0.0, None, "a loss of 0"),
        (np.inf, None, "a loss of inf"),
        (1e-9, None, ""),
    ],
)
def test_what_a_run_cannot_be(initial, steps, said):
    curves = pd.DataFrame({"step": [10, 40, 20]})
    if said:
        with pytest.raises(InputError, match=said):
            watch._refuse_impossible(curves, initial, steps)
    else:
        watch._refuse_impossible(curves, initial, steps)
        watch._refuse_impossible(curves.iloc[:0], initial, 1)
        with pytest.raises(InputError, match="0 steps, but the log is at step 0"):
            watch._refuse_impossible(curves.iloc[:0], initial, 0)


@pytest.mark.parametrize(
    ("fitted", "said"),
    [
        ([False, False, False], "errors on measured runs:"),
        ([True, True, False], "errors on the fitted rows (all of these were fitted; nothing was held out):"),
        ([True, False, False], "errors on measured runs (1 of 2 rows were fitted, not held out):"),
        (None, "errors on measured runs:"),
    ],
)
def test_of_which_rows_errors_are_told(fitted, said):
    table = pd.DataFrame({"measured": [3.0, 2.9, np.nan]})
    assert predict._errors_on(table if fitted is None else table.assign(fitted=fitted)) == said
