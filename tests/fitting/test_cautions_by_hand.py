"""What is said of a prediction: too wide, under another schedule, of values that cannot be; at each limit."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from scalefit.errors import InputError
from scalefit.fitting import cautions, prediction, recipe
from scalefit.fitting.prediction import Asked
from scalefit.laws import find_law
from scalefit.uncertainty.calibration import Calibration

FRAME = pd.DataFrame({"N": [1e6, 2e6]})


def calibrated(*shapes):
    states = tuple((*shape, -3.0, 2.0) for shape in shapes)
    made = SimpleNamespace(calibration=Calibration(1.0, 0, 0, 0.0, 1.0, 1.0, states=states))
    return SimpleNamespace(intervals=made, points=SimpleNamespace(states=None))


def asked_with(*shapes):
    return np.array([(*shape, 9.0, 2.0) for shape in shapes])  # peaks are compared elsewhere


@pytest.mark.parametrize(("mean", "told"), [(0.649, False), (0.651, True)])
def test_a_schedule_is_another_one_from_a_distance_of_fifteen_hundredths(mean, told):
    fit = calibrated((1.0, 0.2, 0.5))
    assert bool(cautions.another_schedule(fit, asked_with((1.0, 0.2, 0.5), (1.0, 0.2, mean)))) is told


@pytest.mark.parametrize(("fallen", "told"), [(0.97, False), (0.98, True), (0.9, False), (0.8, False)])
def test_what_a_fall_goes_deeper_than_every_fitted_one_counts_twice(fallen, told):
    """Fitted falls end at a tenth of the peak; a fall to zero after one to a hundredth is none."""
    fit = calibrated((0.9, 0.2, 0.5))
    assert bool(cautions.another_schedule(fit, asked_with((fallen, 0.2, 0.5)))) is told
    assert not cautions.another_schedule(calibrated((0.99, 0.2, 0.5)), asked_with((1.0, 0.2, 0.5)))


def test_the_farthest_state_and_the_nearest_fitted_one_are_told():
    fit = calibrated((0.0, 0.0, 1.0), (0.5, 0.4, 0.75), (0.0, 0.0, 1.0))
    (found,) = cautions.another_schedule(fit, asked_with((0.2, 0.0, 1.0), (1.0, 0.2, 0.45), (0.0, 0.0, 1.0)))
    assert found.text.startswith(
        "the learning rate falls in a way that no fitted run has shown: here it falls by 100 % over the last 20 % of "
        "the steps (mean 45 % of the peak), in the most similar fitted run it falls by 50 % over the last 40 % of the "
        "steps (mean 75 % of the peak);"
    )
    assert cautions._falls(np.array([0.009, 0.5, 1.0])) == "does not fall"
    assert cautions._falls(np.array([0.01, 0.5, 1.0])).startswith("falls by 1 %")


def test_what_a_run_in_progress_has_shown_itself_is_no_other_schedule():
    fit, ahead = calibrated((0.0, 0.0, 1.0)), asked_with((1.0, 0.2, 0.5))
    assert cautions.another_schedule(fit, ahead, asked_with((0.0, 0.0, 1.0), (0.92, 0.2, 0.5)))
    assert not cautions.another_schedule(fit, ahead, asked_with((0.0, 0.0, 1.0), (0.93, 0.2, 0.5)))


def test_without_states_there_is_no_other_schedule():
    far = asked_with((1.0, 0.2, 0.45))
    bare = SimpleNamespace(intervals=None, points=SimpleNamespace(states=None))
    assert cautions.another_schedule(bare, far) == []
    kept = SimpleNamespace(intervals=None, points=SimpleNamespace(states=((0.0, 0.0, 1.0, -3.0, 0.0),)))
    assert len(cautions.another_schedule(kept, far)) == 1
    assert cautions.another_schedule(calibrated(), far) == []
    assert cautions.another_schedule(calibrated((0.0, 0.0, 1.0)), None) == []


@pytest.mark.parametrize(("low", "told"), [(1.01, False), (0.99, True)])
def test_an_interval_of_three_quarters_of_the_prediction_says_nothing(monkeypatch, low, told):
    """At the last row, where the law gives 4 and the interval ends at 4."""
    monkeypatch.setattr(cautions, "ends", lambda *given: (np.array([low]), np.array([4.0])))
    fit = SimpleNamespace(intervals=1, runs=7, free=5, evaluate=lambda at: at["N"] / 5e5)
    at = {"N": np.array([1.0, 2e6])}
    found = cautions.too_wide(fit, Asked(FRAME, at))
    assert len(found) == told
    if told:
        assert "it spans 75 % of the prediction (7 runs, 5 constants)" in found[0].text
    assert cautions.too_wide(SimpleNamespace(intervals=None), Asked(FRAME, at)) == []
    assert cautions.too_wide(fit, Asked(FRAME, at, states=np.zeros((2, 4)))) == []


CHINCHILLA = SimpleNamespace(law=find_law("chinchilla"))
DIRECT = SimpleNamespace(law=find_law("power:over=C"))


@pytest.mark.parametrize(
    ("fit", "at", "found"),
    [
        (CHINCHILLA, {"N": "7B", "D": 2e12}, {"N": [7e9], "D": [2e12]}),
        (CHINCHILLA, {"N": [1e6, 2e6], "D": 1e9}, {"N": [1e6, 2e6], "D": [1e9, 1e9]}),
        (CHINCHILLA, {"N": 1e6, "C": 6e15}, {"N": [1e6], "D": [1e9]}),
        (CHINCHILLA, {"D": 1e9, "C": 6e15}, {"N": [1e6], "D": [1e9]}),
        (DIRECT, {"N": 1e6, "D": 1e9}, {"x": [6e15]}),
        (DIRECT, {"C": 6e15}, {"x": [6e15]}),
    ],
)
def test_what_is_given_by_name_is_completed(fit, at, found):
    made = prediction._single(fit, at)
    assert {name: values.tolist() for name, values in made.items()} == {
        name: pytest.approx(values) for name, values in found.items()
    }


@pytest.mark.parametrize(
    ("fit", "at", "said"),
    [
        (CHINCHILLA, {"N": [1e6, -1.0], "D": 1e9}, "N = -1 is not positive"),
        (CHINCHILLA, {"N": 0.0, "D": 1e9}, "N = 0 is not positive"),
        (CHINCHILLA, {"N": [1e6, 2e6], "D": [1, 2, 3]}, "N has 2 values, others 3"),
        (CHINCHILLA, {"N": 1e6}, "D is not given"),
        (CHINCHILLA, {"N": 1e6, "D": 1e9, "vocab": 5}, 'no variable "vocab"'),
        (CHINCHILLA, {"N": "many", "D": 1e9}, "many"),
    ],
)
def test_what_cannot_be_asked(fit, at, said):
    with pytest.raises(InputError, match=said):
        prediction._single(fit, at)


def test_rows_of_a_curve_are_spaced_from_its_end():
    """Two hundred of them, or at every so many steps; the last is among them, none lies in the warmup."""
    fit = SimpleNamespace(law=find_law("annealing"))
    long = prediction._along_schedule(fit, "constant:peak_lr=1e-3,steps=4000,warmup=100", None, {}).frame["step"]
    assert (len(long), long.iloc[0], long.iloc[-1]) == (195, 120, 4000)
    some = prediction._along_schedule(fit, "constant:peak_lr=1e-3,steps=40,warmup=10", 7, {}).frame
    assert some["step"].tolist() == [12, 19, 26, 33, 40]
    assert some["lr"].tolist() == [1e-3] * 5
    with pytest.raises(InputError, match="ends with its warmup"):
        prediction._along_schedule(fit, "constant:peak_lr=1e-3,steps=10,warmup=10", None, {})


def test_rows_without_a_value_are_named():
    fit = SimpleNamespace(target="loss", law=SimpleNamespace(columns={"n": "N"}))
    table = pd.DataFrame({"run": ["a", "b", "c"], "N": [1.0, 2.0, 3.0], "loss": [1.0, np.nan, np.inf]})
    with pytest.raises(InputError, match=r"no finite value at run b, N = 2 \(and 1 more rows\)"):
        prediction._refuse_nothing(fit, table, np.zeros(3, dtype=bool))
    with pytest.raises(InputError, match=r"at run b, N = 2;"):
        prediction._refuse_nothing(fit, table, np.array([False, False, True]))
    prediction._refuse_nothing(fit, table, np.array([False, True, True]))


@pytest.mark.parametrize(
    ("name", "fitted", "asked", "covered"),
    [
        ("d_model/n_layer", (3.0, 3.0), 2.0, True),  # half as much again, or less by that
        ("d_model/n_layer", (3.0, 3.0), 1.99, False),
        ("d_model/n_layer", (3.0, 5.0), 7.5, True),
        ("d_model/n_layer", (3.0, 5.0), 7.51, False),
        ("epochs", (1.0, 2.0), 4.0, True),  # up to four epochs are as good as new data
        ("epochs", (1.0, 2.0), 4.01, False),
        ("epochs", (1.0, 4.0), 6.0, True),
        ("epochs", (2.0, 4.0), 0.1, True),
        ("vocab", (100.0, 100.0), 102.0, True),
        ("vocab", (100.0, 100.0), 102.1, False),
        ("vocab", (102.0, 102.0), 100.0, True),
        ("vocab", (102.0, 102.0), 99.9, False),
        ("batch", (100.0, 103.0), 1e9, True),  # it varies: by a rule of scaling
        ("batch", (100.0, 102.0), 1e9, False),
        ("peak_lr", (0.1, 0.1), 0.2, False),
    ],
)
def test_what_of_a_recipe_is_covered_by_the_fitted_runs(name, fitted, asked, covered):
    assert recipe._covers(find_law("chinchilla"), name, fitted, (asked,)) is covered


def test_words_of_a_recipe_are_the_fitted_ones():
    law = find_law("chinchilla")
    assert recipe._covers(law, "optimizer", ("adam", "sgd"), ("sgd",))
    assert not recipe._covers(law, "optimizer", ("adam", "sgd"), ("sgd", "lion"))
    peaks = find_law("annealing-transfer")
    assert recipe._covers(peaks, "peak_lr", (0.1, 0.1), (0.2,))
    assert recipe._covers(peaks, "peak_lr", (0.1, 0.1), (0.05,))
    assert not recipe._covers(peaks, "peak_lr", (0.1, 0.1), (0.201,))
