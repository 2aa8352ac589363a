"""Sums interpolated between some rows of a curve: the law's own sum at every other row, wherever the schedule kinks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.fitting import streaming
from scalefit.laws import find_law
from scalefit.rows.streams import Stream, curve_of
from scalefit.runs import Trajectory
from scalefit.schedules import cosine, gaps_at, wsd
from scalefit.solver.model import SAME, bind
from scalefit.solver.solve import SEARCHED_ROWS, Settings, solve
from scalefit.solver.sums.between import KNOTS, _knots, factors, joined, pieces, without

PLANTED = {
    "multi-power": {"L0": 2.5, "A": 0.5, "B": 400.0, "alpha": 0.5, "C": 2.0, "beta": 0.6, "gamma": 0.6},
    "functional": {"L0": 2.5, "c1": 0.5, "c2": 500.0, "c3": 0.5, "c4": 100.0, "s": 0.5, "gamma": 0.5},
}
STEPS, WARMUP = 3000, 100


def schedules():
    """A cosine to zero, a cooldown, a drop to a third, and none."""
    at = np.arange(STEPS + 1)
    rise = np.minimum(at / WARMUP, 1) * 3e-4
    return [
        cosine(at, peak_lr=3e-4, steps=STEPS, warmup=WARMUP),
        wsd(at, peak_lr=3e-4, steps=STEPS, warmup=WARMUP, decay_steps=800),
        np.where(at > 2001, 0.3, 1.0) * rise,
        rise,
    ]


@pytest.fixture(scope="module")
def curves():
    """For a law: rows of four runs, each row two steps after the one before."""
    at = np.arange(WARMUP + 1, STEPS + 1, 2)

    def of(name):
        law = find_law(name)
        parts = [law.at_steps(lr, WARMUP, at) for lr in schedules()]
        width = max(part["gap"].shape[1] for part in parts)
        joined_parts = {
            key: np.concatenate(
                [
                    np.pad(part[key], ((0, 0), (0, width - part[key].shape[1])), constant_values=variable.absent)
                    if variable.many
                    else part[key]
                    for part in parts
                ]
            )
            for key, variable in law.variables.items()
        }
        position = np.concatenate([at - i * 2.0 * STEPS for i in range(len(parts))])
        return bind(law, joined_parts, position=position)

    return of


def around(model, name, count=3):
    rng = np.random.default_rng(0)
    centre = np.array([PLANTED[name][c.name] for c in model.coordinates])
    near = centre * np.exp(0.3 * rng.uniform(-1, 1, (count, len(centre))))
    return np.where(model.log, np.log(near), near)


@pytest.mark.parametrize("name", PLANTED)
def test_every_row_has_the_sum_of_all_its_values(name, curves):
    model = curves(name)
    few = model.condensed
    assert few.between is not None
    assert len(few.between.knots["S1"]) < model.n / 5
    theta, some = around(model, name), slice(None, None, 23)
    whole = replace(model, variables={key: x[some] for key, x in model.variables.items()}, position=None)
    np.testing.assert_allclose(few.value(theta)[:, some], whole.value(theta), rtol=3e-9)
    wanted, found = whole.jacobian(theta), few.take(some).jacobian(theta)
    np.testing.assert_allclose(found[0], wanted[0], rtol=3e-9)
    largest = np.abs(wanted[1]).max(axis=2, keepdims=True)
    assert np.all(np.abs(found[1] - wanted[1]) <= 1e-6 * largest)
    assert few.condensed_at(theta[0]) is few


def test_rows_are_taken_in_any_order(curves):
    model = curves("multi-power")
    theta = around(model, "multi-power", count=2)
    chosen = np.array([4000, 17, 3, 2500, 2501, 17])
    part = model.condensed.take(chosen)
    whole = replace(model, variables={key: x[chosen] for key, x in model.variables.items()}, position=None)
    np.testing.assert_allclose(part.value(theta), whole.value(theta), rtol=3e-9)
    assert len(part.between.knots["S1"]) < len(model.condensed.between.knots["S1"])


def test_a_sum_that_is_not_smooth_is_made_at_every_row():
    rng = np.random.default_rng(1)
    noise = rng.standard_normal((1, 500))
    found = pieces(lambda rows: noise[:, rows], np.arange(500.0))
    rows, _, _, factor = joined(found, np.arange(500.0))
    np.testing.assert_array_equal(rows, np.arange(500))
    np.testing.assert_array_equal(np.sort(factor, axis=1)[:, -2:], np.tile([0.0, 1.0], (500, 1)))


@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_a_sum_that_lies_on_one_side_between_the_knots_is_not_interpolated(side):
    """Zero at the knots of the whole curve, 1 (or -1) at all other rows."""
    position = np.arange(200.0)
    sums = np.full((1, 200), side)
    sums[0, _knots(position, 0, 200)] = 0.0
    found = pieces(lambda rows: sums[:, rows], position)
    assert len(found) > 1
    assert [a for a, *_ in found] == [0, *(b for _, b, _ in found[:-1])]


def test_a_step_between_two_curves_is_not_bridged():
    position = np.concatenate([np.arange(200.0), np.arange(200.0)])
    sums = np.concatenate([np.zeros(200), np.arange(200.0)])[None]
    found = pieces(lambda rows: sums[:, rows], position)
    assert [(a, b) for a, b, _ in found] == [(0, 200), (200, 400)]


def test_what_the_knots_count_is_exact_for_polynomials():
    knots, at = np.sort(np.random.default_rng(2).uniform(0, 9, KNOTS)), np.linspace(0, 9, 50)
    for power in range(KNOTS):
        np.testing.assert_allclose(factors(knots, at) @ (knots / 9) ** power, (at / 9) ** power, atol=1e-9)


def test_a_streamed_log_gives_the_optimum_of_all_its_rows(monkeypatch):
    """Losses that are sums over every drop of the learning rate, with noise."""
    rng, parts, P = np.random.default_rng(3), [], PLANTED["multi-power"]
    for number, lr in enumerate(schedules()[:3]):
        at = np.arange(WARMUP + 1, STEPS + 1, 20)
        every = gaps_at(lr, at, after=WARMUP, exact=True)
        done = 1 - (1 + P["C"] * every.area * every.lr ** -P["gamma"]) ** -P["beta"]
        clean = P["L0"] + P["A"] * np.cumsum(lr)[at] ** -P["alpha"] - P["B"] * np.sum(every.gap * done, axis=1)
        frame = pd.DataFrame({"run": str(number), "step": at, "lr": lr[at]})
        parts.append(frame.assign(loss=clean * np.exp(0.002 * rng.standard_normal(len(at)))))
    runs = sf.read_runs(pd.concat(parts), warmup=WARMUP)
    fixed = {"fix": {"C": 2.0, "beta": 0.6, "gamma": 0.6}, "delta": 0.003}
    whole = sf.fit(runs, "multi-power", **fixed)
    monkeypatch.setattr("scalefit.rows.gather.STREAM_SUMS", 200)
    monkeypatch.setattr("scalefit.rows.gather.SAMPLE_ROWS", 150)
    streamed = sf.fit(runs, "multi-power", **fixed)
    assert any("streamed" in note for note in streamed.notes)
    assert streamed.rows == whole.rows
    assert streamed.cost == pytest.approx(whole.cost, rel=1e-7)
    for name in ("L0", "A", "B", "alpha"):
        assert streamed[name] == pytest.approx(whole[name], rel=1e-4)


def test_by_how_much_streamed_rows_differ_from_their_sums():
    """Nothing where few rows give the sums of all; a thousandth of what the sums add where these are so much larger."""
    law, lr, steps = find_law("multi-power"), schedules()[1], np.arange(WARMUP + 1, STEPS + 1, 25)
    curve = curve_of(law, Trajectory("a", steps, lr, WARMUP, ""), np.ones(len(steps)), {})
    model = bind(law, curve.at(np.arange(0, len(steps), 10)))
    stream = Stream(len(steps), lambda: iter(()), (curve,))
    planted = np.array([[PLANTED["multi-power"][c.name] for c in model.coordinates]])
    theta = np.where(model.log, np.log(planted), planted)
    (kept,) = streaming._few_rows(model, stream)
    assert streaming._apart(model, stream, [kept], theta) < SAME
    more = replace(kept, knots={**kept.knots, "gap": 1.001 * kept.knots["gap"]})
    last = curve.at(np.array([len(steps) - 1]))
    value, base = (law.evaluate(variables, PLANTED["multi-power"]) for variables in (last, without(law, last)))
    share = float(np.ravel(1e-3 * abs(value - base) / value)[0])
    assert streaming._apart(model, stream, [more], theta) == pytest.approx(share, rel=1e-3)


@pytest.mark.parametrize("name", PLANTED)
def test_rows_whose_sums_are_interpolated_already_are_fitted_too(name, curves):
    """As the refits of a back-test are, which take rows of what the first fit has condensed."""
    model = curves(name)
    part = model.condensed.take(np.arange(0, model.n, 5))
    assert part.between is not None
    assert part.n > 2 * SEARCHED_ROWS
    planted = np.array([[PLANTED[name][c.name] for c in part.coordinates]])
    values = part.value(np.where(part.log, np.log(planted), planted))[0]
    solution = solve(part, values, None, Settings(starts=2))
    assert part.value(solution.theta[None])[0] == pytest.approx(values, rel=1e-4)
