"""Commands whose work is done elsewhere: what they ask for, and which exit code follows from the answer."""

from __future__ import annotations

import importlib
import json
from types import SimpleNamespace

import commands
import numpy as np
import pandas as pd
import pytest

from scalefit.cli import fit, lr_transfer, predict, stability, watch
from scalefit.diagnosis.checks import Check
from scalefit.errors import InputError
from scalefit.notices import DOUBT, NOTE, Notice
from scalefit.transfer.verdict import Interval


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
        return SimpleNamespace(last={}, verdict={}, lines=["done"], ok=True, table=pd.DataFrame())

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


def transfer(target=None, value=-0.5):
    arm = SimpleNamespace(
        name="sp",
        at=lambda size: Interval(0.01, 0.005, 0.02),
        drift=Interval(-1.0, -1.2, -0.8),
        law_drift=Interval(value, -0.6, -0.4),
        expected=(-1.0, 0.4),
        verdict="does not transfer",
        outside=[],
    )
    sweeps = SimpleNamespace(over="d_model", settings={"vocab": 64})
    table = pd.DataFrame({"arm": ["sp"]})
    return SimpleNamespace(arms=[arm], target=target, far={"sp": "too far"}, sweeps=sweeps, table=table, notes=("n",))


@pytest.mark.parametrize(
    ("target", "value", "shown"), [(512.0, -0.5, True), (None, -0.5, False), (512.0, np.nan, False)]
)
def test_a_learning_rate_at_a_target_is_told_where_the_law_knows_one(target, value, shown):
    content = lr_transfer._content(transfer(target, value), None)
    (arm,) = content["arms"]
    assert arm["at_target"] == ({"value": 0.01, "low": 0.005, "high": 0.02} if shown else None)
    assert (arm["drift"]["value"], arm["theory"], arm["far_beyond"]) == (-1.0, (-1.0, 0.4), "too far")
    assert (content["target"], content["backtest"], content["notes"]) == (target, None, ["n"])
    assert lr_transfer._content(transfer(), pd.DataFrame({"regret": [0.1]}))["backtest"] == [{"regret": 0.1}]


@pytest.mark.parametrize("code", [0, 1])
def test_a_schedule_in_doubt_fails(monkeypatch, log, code):
    found = SimpleNamespace(
        run="a",
        lr=None,
        peak_lr=0.1,
        steps=9,
        warmup=5.0,
        threshold=2.0,
        sharpness=pd.DataFrame({"s": [1.0]}),
        table=pd.DataFrame(),
        notes=(),
        missing={},
        lines=[Notice("told", DOUBT if code else NOTE)],
    )
    monkeypatch.setattr("scalefit.planning.run_schedule.schedule_of", lambda *told: found)
    assert commands.run(f"scalefit schedule {log}").exit_code == code
    assert commands.run(f"scalefit schedule {log} --out refined.csv").exit_code == 2


@pytest.mark.parametrize(
    ("change", "code"),
    [({}, 0), ({"likely": ["x"]}, 1), ({"far": ("x",)}, 1), ({"lost": "x"}, 1), ({"table": pd.DataFrame()}, 1)],
    ids=str,
)
def test_a_forecast_of_trouble_fails(monkeypatch, log, change, code):
    found = {"table": pd.DataFrame({"forecast": ["log Z"]}), "likely": [], "far": (), "lost": "", "found": ()}
    found |= {
        "over": "N",
        "size": 1e9,
        "lr": 0.1,
        "missing": {},
        "settings": {},
        "notes": (),
        "lines": ["told"],
        "ok": not code,
    } | change
    module = importlib.import_module("scalefit.stability.forecast")
    monkeypatch.setattr(module, "forecast", lambda *told, **more: SimpleNamespace(**found))
    monkeypatch.setattr(stability, "_records", lambda made: [])
    told = commands.run(f"scalefit stability {log} --at N=1e9 --lr 0.1 --json")
    assert told.exit_code == code
    answer = json.loads(told.stdout)
    assert answer["diverged_here"] == (change.get("lost") or None)
    assert answer["far_beyond"] == (list(change.get("far", ())) or None)


def test_settings_of_a_fit_from_texts():
    none = dict.fromkeys(("fix", "tie", "bounds", "start"), ())
    assert fit._settings({**none, "delta": "auto", "starts": 8}) == {
        **{"delta": "auto", "starts": 8, "fix": {}, "tie": {}, "bounds": {}, "start": None}
    }
    given = {"delta": "1e-3", "fix": ("E=1.7",), "tie": ("a=b",), "bounds": ("A=1:2,B=:3",), "start": ("alpha=0.3",)}
    assert fit._settings(given) == {
        **{"delta": 1e-3, "fix": {"E": 1.7}, "tie": {"a": "b"}},
        **{"bounds": {"A": (1.0, 2.0), "B": (None, 3.0)}, "start": {"alpha": 0.3}},
    }
    assert fit._numbers({"N": "7B", "corpus": "c4"}) == {"N": 7e9}
