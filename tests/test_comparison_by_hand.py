"""What a comparison of laws says, from tables and fits written by hand."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from scalefit import comparison as co
from scalefit.uncertainty.calibration import Fold

AHEAD = (
    "a extrapolates best: median error 2 % in the back-test (mean over refits); "
    "that of b, the next best, is 2.5 times as large"
)


def table(errors, judged=None):
    """A table of laws a, b, c, ... by back-test error, and by error on held-out runs."""
    made = pd.DataFrame({"law": list("abcd")[: len(errors)], "backtest_error": errors})
    return made.assign(**({} if judged is None else {"judge_error": judged})).set_index("law")


@pytest.mark.parametrize(
    ("errors", "judged", "text"),
    [
        ([0.02], None, "a: median error 2 % in the back-test (mean over refits)"),
        (
            [0.02, 0.05],
            None,
            AHEAD,
        ),
        (
            [0.02, 0.022, 0.0221],
            None,
            "a: median error 2 % in the back-test (mean over refits); b is as good (within 10 %)",
        ),
        (
            [0.02, 0.021, 0.0215, 0.1],
            None,
            "a: median error 2 % in the back-test (mean over refits); b and c are as good (wi",
        ),
        (
            [0.02, 0.05],
            [0.04, 0.03],
            f"{AHEAD}; but on the held-out runs b has the smaller error (3 %, a 4 %): compare both",
        ),
        (
            [0.02, 0.05],
            [0.033, 0.03],
            AHEAD,
        ),
        (
            [0.02, 0.05],
            [np.nan, 0.03],
            AHEAD,
        ),
    ],
)
def test_a_recommendation_in_words(errors, judged, text):
    said = co._reason(table(errors, judged))
    assert said.startswith(text)
    assert len(said) == len(text) or text.endswith("(wi")


@pytest.mark.parametrize(("second", "alike"), [(0.022, ["a", "b"]), (0.02201, ["a"])])
def test_laws_within_a_tenth_of_the_least_error_are_alike(second, alike):
    found = co.Comparison(table([0.02, second]), {"a": "fit of a", "b": "fit of b"}, {}, {}, "a, as b")
    assert found.alike == alike
    assert found.best == "fit of a"
    assert repr(found).splitlines()[0] == "a, as b"
    assert repr(found).splitlines()[-2].split() == ["a", "2", "%"]


def test_shares_are_shown_in_percent():
    shown = co._in_percent(pd.DataFrame({"noise": [0.0123, np.nan], "coverage": [0.9, 1.0], "bic": [1.0, 2.0]}))
    assert shown["noise"].tolist() == ["1.23 %", "nan %"]
    assert shown["coverage"].tolist() == ["90 %", "100 %"]
    assert shown["bic"].tolist() == [1.0, 2.0]


def test_the_headline_of_a_back_test():
    """Medians of the two refits: 2 % and 4 %; three of four predictions lie inside."""
    rows = pd.DataFrame({"fold": ["x", "x", "x", "y"], "error": [0.01, -0.02, 0.03, -0.04], "decades": 0.05})
    found = co.Backtest("power", rows.assign(inside=[True, True, True, False]))
    assert found.headline == (
        "power: median error 3 % on held-out runs (mean over 2 refits); the 90 % intervals hold 75 % of 4 predictions"
    )


def test_distances_at_the_ends_of_their_bands():
    decades = [0.0, 0.1, 0.11, 0.3, 0.31, 0.5, 0.51, 1.0, 1.01, 10.0]
    rows = pd.DataFrame({"fold": "x", "decades": decades, "error": 0.1, "inside": True})
    found = co.Backtest("power", rows).summary
    assert found.index.tolist() == ["within 1.3x", "1.3-2x", "2-3x", "3-10x", "over 10x"]
    assert found["predictions"].tolist() == [2] * 5


def fold(fitted):
    nothing = np.zeros(1)
    return Fold(str(fitted), np.zeros(1, dtype=int), fitted, *[nothing] * 5, 0.0)


def test_only_independent_refits_calibrate_another():
    growing = [fold(10), fold(20), fold(30)]
    assert [f.fitted for f in co._independent(growing, 0)] == []
    assert [f.fitted for f in co._independent(growing, 2)] == [10, 20]
    one_each = [fold(9), fold(9), fold(8)]
    assert co._independent(one_each, 1) == [one_each[0], one_each[2]]


FIT = SimpleNamespace(
    parameters={"E": 1.0, "A": 2.0, "alpha": 0.5, "beta": 0.5, "k": 1.0},
    fixed={"E": 1.0},
    ties={"beta": "alpha"},
    sigma=0.02,
    cost=0.003,
    rows=40,
    score=lambda judge: pd.DataFrame({"mean_relative": [0.5, judge]}),
)


def test_a_row_of_the_comparison():
    """BIC = 2 n log sigma + 2 F/sigma^2 + p log n, with three of five parameters free."""
    tested = SimpleNamespace(error=0.07, table=pd.DataFrame({"inside": [True, True, False, True]}))
    row = co.judged(FIT, tested, 0.04)
    bic = 80 * np.log(0.02) + 2 * 0.003 / 0.02**2 + 3 * np.log(40)
    assert row == pytest.approx(
        {
            "backtest_error": 0.07,
            "coverage": 0.75,
            "judge_error": 0.04,
            "noise": 0.02,
            "bic": bic,
            "parameters": 3,
            "rows": 40,
        }
    )
    bare = co.judged(FIT, None, None)
    assert np.isnan([bare["backtest_error"], bare["coverage"]]).all()
    assert "judge_error" not in bare
