"""Forecasts of a run's end against plain rewritings of their definitions; what is read of a run, by hand."""

from __future__ import annotations

from itertools import product
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import scalefit as sf
from scalefit.diagnosis.checks import Check
from scalefit.errors import InputError
from scalefit.numerics import MAD_TO_SIGMA
from scalefit.progress.drift import Scale, ahead, chosen_rows, scale_from, squared, walk_covariance, white_noise
from scalefit.progress.forecast import PartialForecast, _forecasts_of_fitted
from scalefit.progress.own_curve import FURTHER, bounds, fallen, own_curve
from scalefit.progress.partial_run import PartialRun, read_partial
from scalefit.rows.points import Points
from scalefit.runs.divergence import Divergence
from scalefit.runs.trajectory import Clock
from scalefit.schedules import areas, parse_schedule

PLAN = parse_schedule("linear:peak_lr=0.01,steps=100,warmup=10")


def walk(area, fall, origin):
    """The covariance of the random walk, entry by entry: 0.5 % a factor e of area, 0.5 % a whole fall."""
    n = len(area)
    return np.array(
        [
            [2.5e-5 * (min(area[i], area[j]) - origin) + 2.5e-5 * min(fall[i], fall[j]) for j in range(n)]
            for i in range(n)
        ]
    )


def conditional(mean, covariance, seen, n):
    """Mean and variance of the entries from n on of a normal vector, given its first n, and their log density."""
    weights = covariance[n:, :n] @ np.linalg.inv(covariance[:n, :n])
    rest = covariance[n:, n:] - weights @ covariance[:n, n:]
    density = stats.multivariate_normal(mean[:n], covariance[:n, :n]).logpdf(seen)
    return mean[n:] + weights @ (seen - mean[:n]), np.diag(rest), density


def test_what_lies_ahead_is_a_conditional_normal():
    rng = np.random.default_rng(0)
    area, fall = np.sort(rng.uniform(-3, 0, 12)), np.sort(rng.uniform(0, 1, 12))
    residual = 0.01 * rng.standard_normal(8)
    covariance = walk(area, fall, area[0]) + 0.1**2
    covariance[:8, :8] += 0.003**2 * np.eye(8)
    mean, variance, _ = conditional(np.zeros(12), covariance, residual, 8)
    found = ahead(Clock(area[:8], fall[:8]), residual, Clock(area[8:], fall[8:]), 0.003)
    np.testing.assert_allclose(found[0], mean, rtol=1e-6)
    np.testing.assert_allclose(found[1], variance, rtol=1e-6)
    one, other = Clock(area[:3], fall[:3]), Clock(area[3:5], fall[3:5])
    np.testing.assert_allclose(walk_covariance(one, other, -4.0), walk(area[:5], fall[:5], -4.0)[:3, 3:], rtol=1e-9)


@pytest.mark.parametrize(
    ("by", "shapes", "gains"), [(10, {1.0: 0.0}, 0.3), (1, dict.fromkeys((1.0, 0.75, 0.5, 0.35), 0.0), 1.0)]
)
def test_a_run_s_own_law_is_an_average_over_exponents_and_memories(by, shapes, gains):
    """Of a thousand steps, and of a hundred epochs, whose fall may be of any shape."""
    steps, later = by * np.arange(15, 62, 5), by * np.array([70, 100])
    plan = parse_schedule(f"linear:peak_lr=0.01,steps={100 * by},warmup={10 * by}")
    rng = np.random.default_rng(1)
    loss = 3.0 * (steps / 60 / by) ** -0.1 * np.exp(0.002 * rng.standard_normal(len(steps)))
    n, now, every = len(steps), loss[-1], np.concatenate([steps, later])
    lr = plan.per_step()
    clock = Clock.of(lr, 10 * by, every)
    noise = max(MAD_TO_SIGMA * np.median(np.abs(np.diff(np.log(loss), 2))) / 6**0.5, 3e-4)
    level = np.concatenate([loss, [now, now]])
    base = walk(clock.area, clock.fall, clock.area[0]) * np.outer(level, level)
    base[:n, :n] += np.diag((noise * loss) ** 2)
    means, variances, weights = [], [], []
    for shape, memory in product(shapes, (1 / 5, 1 / 20, 1 / 80)):
        decay = 1 - 1 / max(100 * by * memory, 2)
        S1, S2 = areas(lr, warmup=10 * by)[0], areas((lr / lr.max()) ** shape, decay=decay, warmup=10 * by)[1]
        gain = S2[every] / np.abs(S2[every]).max()
        for alpha in np.arange(1, 15) / 10:
            basis = np.column_stack([np.ones(n + 2), (S1[every] / S1[steps[0]]) ** -alpha, gain])
            prior = (np.array([2.0, 3.0, gains]) * now) ** 2
            mean, variance, density = conditional(np.full(n + 2, now), base + (basis * prior) @ basis.T, loss, n)
            means.append(mean)
            variances.append(variance)
            weights.append(density - 0.5 * (np.log(alpha / 0.5) / 0.5) ** 2)
    share = np.exp(np.array(weights) - max(weights))
    share /= share.sum()
    mean = share @ np.array(means)
    spread = share @ (np.array(variances) + (np.array(means) - mean) ** 2) / mean**2
    if by == 1:  # a share of the fall that is still ahead
        spread = spread + (0.15 * np.log(mean / np.median(loss[-5:]))) ** 2
    found = own_curve(steps, loss, plan, later)
    np.testing.assert_allclose(found[0], mean, rtol=1e-5)
    np.testing.assert_allclose(found[1], spread, rtol=1e-3)
    assert found[2] == pytest.approx(noise)


@pytest.mark.parametrize(("step", "share"), [(0, 0.0), (10, 0.0), (55, 0.5), (100, 1.0)])
def test_how_much_of_the_fall_is_over(step, share):
    assert fallen(PLAN, step) == pytest.approx(share)
    assert fallen(parse_schedule("constant:peak_lr=0.01,steps=100,warmup=10"), step) == 1.0
    hardly = parse_schedule("linear:peak_lr=1,steps=100,final=0.9991")
    assert fallen(hardly, step) == 1.0
    enough = parse_schedule("linear:peak_lr=1,steps=100,final=0.998")
    assert fallen(enough, step) == pytest.approx(step / 100)


def test_the_scale_of_a_walk():
    assert squared(0.3, 0.02, 0.1) == pytest.approx(4.0)
    assert squared(0.1, 0.02, 0.2) == 0.0
    scale = Scale(4.0, 9.0)
    assert scale.forecasts == 7
    half = stats.t.ppf(0.9, 9) * np.sqrt(4 * 0.01 + 0.05**2)
    assert scale.half(np.array([0.01]), 0.05, 0.8) == pytest.approx([half])
    found = scale_from([[1.0, 3.0], [100.0]])  # at most 36 times the median, 3
    assert (found.square, found.weight) == pytest.approx(((2 + 2 + 100) / 4, 4))
    assert scale_from([[0.1], [0.2], [99.0]]).square == pytest.approx((2 + 0.1 + 0.2 + 36) / 5)
    assert white_noise(np.zeros(9)) == 3e-4
    assert white_noise(np.array([0, 1, 0, 1.0])) == 3e-4  # four rows tell nothing
    assert white_noise(np.array([0, 1, 0, 1, 0.0])) == pytest.approx(MAD_TO_SIGMA * 2 / 6**0.5)


def test_rows_that_a_forecast_uses():
    assert chosen_rows(5).tolist() == [0, 1, 2, 3, 4]
    assert chosen_rows(61).size == 60
    assert chosen_rows(100, 3).tolist() == [0, 49, 99]
    assert chosen_rows(1).tolist() == [0]


def log_of(until=80, noise=0.0, by=2, **columns):
    """A run under PLAN whose loss follows an annealing law."""
    S1, S2 = areas(PLAN.per_step(), decay=0.9, warmup=10)
    step = np.arange(12, until + 1, by)
    loss = 2 + 0.3 * S1[step] ** -0.5 - 3.0 * S2[step]
    loss = loss * np.exp(noise * np.random.default_rng(5).standard_normal(len(step)))
    return pd.DataFrame({"step": step, "loss": loss, **columns})


def test_a_forecast_from_a_run_s_own_curve_part_by_part():
    log = log_of(noise=0.003)
    step, loss = log["step"].to_numpy(), log["loss"].to_numpy()
    made = sf.predict_partial(log, schedule=PLAN, level=0.8)
    squares = []
    shorter = parse_schedule("linear:peak_lr=0.01,steps=100,warmup=10")
    shorter = type(shorter)(shorter.text, 80, shorter.warmup, shorter.shape)
    for share in (0.4, 0.55, 0.7, 0.85):
        first = round(share * len(step))
        if fallen(shorter, step[first - 1]) < 0.5:
            continue  # of such a part there would be no forecast
        mean, variance, noise = own_curve(step[:first], loss[:first], shorter, step[-1:])
        seen = np.log(np.median(loss[-3:]) / mean[0])
        squares.append([max(seen**2 - noise**2, 0) / variance[0]])
    scale = scale_from(squares, 6.0)
    mean, variance, noise = own_curve(step, loss, PLAN, np.array([100]))
    half = scale.half(variance, noise, 0.8)[0]
    assert made.final == pytest.approx(mean[0])
    most = np.median(loss[-5:]) * np.exp(2 * np.sqrt(noise**2 + 2 * 0.005**2))  # the rate never rises again
    assert (made.low, made.high) == pytest.approx((mean[0] * np.exp(-half), min(mean[0] * np.exp(half), most)))
    assert (made.scale, made.forecasts) == (pytest.approx(scale.square**0.5), len(squares))
    assert made.curve["step"].tolist() == np.unique(np.linspace(80, 100, 40).astype(int))[1:].tolist()
    assert (made.step, made.steps, made.level) == (80, 100, 0.8)
    assert made.basis.startswith("an annealing law fitted to this run's own curve")
    assert (made.seen["step"].to_numpy() == step).all()


def test_the_history_holds_the_forecasts_of_shorter_logs():
    log = log_of(noise=0.003)
    history = sf.predict_partial(log, schedule=PLAN).history
    assert (history["step"] >= 55).all()  # not before half of the fall is over
    assert history["step"].iloc[-1] == 80
    row = history.iloc[-3]
    then = sf.predict_partial(log[log["step"] <= row["step"]], schedule=PLAN)
    assert (row["final"], row["low"], row["high"]) == pytest.approx((then.final, then.low, then.high), rel=1e-9)


def test_half_of_the_fall_must_be_over():
    assert sf.predict_partial(log_of(until=55, by=1), schedule=PLAN).step == 55
    with pytest.raises(InputError, match="at step 54 only 49 % of the learning rate's fall is over") as caught:
        sf.predict_partial(log_of(until=54, by=1), schedule=PLAN)
    assert "or wait for step 55" in str(caught.value)


@pytest.mark.parametrize("level", [0.0, 1.0, -0.5])
def test_levels_that_are_none(level):
    with pytest.raises(InputError, match="is not between 0 and 1"):
        sf.predict_partial(log_of(), schedule=PLAN, level=level)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda log: log.rename(columns={"loss": "score"}), "loss"),
        (
            lambda log: log.assign(split=["a", "b"] * (len(log) // 2) + ["a"] * (len(log) % 2)),
            "losses of several splits",
        ),
        (lambda log: log.assign(run=["a"] * 10 + ["b"] * (len(log) - 10)), "2 runs"),
        (lambda log: log.drop(columns="step"), "no curve"),
        (lambda log: log.assign(loss=log["loss"].mask(log["step"] == 40, 0.0)), "loss is 0"),
        (lambda log: log.assign(loss=log["loss"].mask(log["step"] > 60)), "has diverged"),
        (lambda log: log.assign(step=log["step"] + 20), "the run is finished: step 100 of 100"),
        (lambda log: log.assign(step=log["step"] + 21), "is at step 101, but its schedule ends at step 100"),
        (lambda log: log.iloc[-7:], "only 7 rows after warmup; wait until there are 8"),
        (lambda log: log.assign(lr=0.01), "learning rate 0.01 at step 16 of the log"),
    ],
)
def test_logs_that_are_refused(change, said):
    with pytest.raises(InputError, match=said):
        sf.predict_partial(change(log_of()), schedule=PLAN)


@pytest.mark.parametrize(("rows", "refused"), [(3, False), (4, True)])
def test_rates_may_differ_in_a_tenth_of_the_rows(rows, refused):
    """35 rows after warmup; off by more than a twentieth of the peak in so many of them."""
    log = log_of()
    rates = PLAN(log["step"])
    log = log.assign(lr=rates + 0.00049 + np.where(np.arange(35) < rows, 0.00003, 0.0))
    if refused:
        with pytest.raises(InputError, match="by the schedule"):
            sf.predict_partial(log, schedule=PLAN)
    else:
        assert sf.predict_partial(log, schedule=PLAN).ok


def test_a_last_loss_that_is_a_spike_is_left_out():
    log = log_of()
    log.loc[log.index[-1], "loss"] *= 1.5
    log.loc[10, "loss"] *= 1.5
    part = read_partial(log, PLAN, None)
    assert (part.spikes, part.count, part.step) == (2, 33, 78)
    assert part.last == pytest.approx(log["loss"].iloc[-1] / log["loss"].iloc[-4:-1].median() - 1)
    (doubt,) = part.doubts()
    assert doubt.text.startswith(f"the last loss is {100 * part.last:.0f} % above those before it")
    assert "2 rows of spikes left out" in sf.predict_partial(log, schedule=PLAN).basis
    assert "spikes" not in sf.predict_partial(log_of(), schedule=PLAN).basis


def test_rows_of_the_warmup_have_no_part():
    early = pd.DataFrame({"step": np.arange(0, 11), "loss": 9.0})
    part = read_partial(pd.concat([early, log_of()]), PLAN, None)
    assert part.steps[0] == 12


# --- is the run among the fitted ones? --------------------------------------------------------------------------------


def part_of(name="mine", loss=3.0):
    return PartialRun(
        name, np.arange(20, 40, 2), np.full(10, loss), PLAN, pd.Series({"batch": 64, "optimizer": "adamw"})
    )


def fitted(name="other", steps=tuple(range(20, 100, 2)), loss=3.0, plan=PLAN, clocks=True, shared=40):
    """A fit to one run, as far as this is asked of it; the first ``shared`` losses are ``loss``, the others 2."""
    clock = Clock.of(plan.per_step(), plan.warmup, np.array(steps))
    values = tuple(loss if i < shared else 2.0 for i in range(len(steps)))
    ends = (tuple(clock.area), tuple(clock.fall)) if clocks else (None, None)
    return SimpleNamespace(points=Points((name,) * len(steps), tuple(steps), {}, values, *ends))


def test_a_run_that_is_among_the_fitted_ones():
    said = part_of().among(fitted())
    assert said.startswith("this run is among the fitted ones, as other, up to step 98: the forecast has seen its end")
    assert part_of("other").among(fitted()).startswith("this run is among the fitted ones, up to step 98")
    assert part_of().among(fitted(clocks=False))
    assert part_of().among(fitted(loss=3.0 * 1.00009))
    assert part_of().among(fitted(loss=3.0 * 1.00011)) == ""
    assert part_of().among(fitted(shared=9))  # nine of ten agree
    assert part_of().among(fitted(shared=8)) == ""
    assert part_of().among(fitted(steps=tuple(range(20, 39, 2)))) == ""  # nothing later was fitted
    assert part_of().among(fitted(steps=(20, 22, 24, *range(41, 99, 2)))) == ""  # three rows in common
    assert part_of().among(fitted(steps=(20, 22, 24, 26, *range(41, 99, 2))))


def test_a_run_with_the_name_of_a_fitted_one():
    said = part_of("other", loss=3.5).among(fitted())
    assert said.startswith(
        "a run named other is among the fitted ones, up to step 98: if it is the same run, the forec"
    )
    assert part_of("other", loss=3.7).among(fitted()) == ""  # a fifth apart
    assert part_of("DataFrame", loss=3.5).among(fitted("DataFrame")) == ""
    assert part_of("other", loss=3.5).among(fitted(steps=tuple(range(21, 99, 2))))  # no row in common


def test_runs_that_branch_from_one_trunk_are_different_runs():
    other = parse_schedule("linear:peak_lr=0.01,steps=120,warmup=10")
    assert part_of().among(fitted(plan=other)) == ""
    assert part_of().among(fitted(plan=other, steps=tuple(range(20, 120, 2)))) == ""
    near = parse_schedule("linear:peak_lr=0.01,steps=101,warmup=10")
    assert part_of().among(fitted(plan=near))
    assert part_of().among(SimpleNamespace(points=Points(("a",), None, {}, (3.0,)))) == ""


def test_what_is_known_of_a_recipe():
    assert part_of().recipe() == {"peak_lr": (0.01,), "batch": (64.0,), "optimizer": ("adamw",)}


def test_a_run_that_has_diverged_says_where():
    part = PartialRun("a", np.arange(5), np.ones(5), PLAN, pd.Series(), lost=Divergence(40, "why not"))
    (doubt,) = part.doubts()
    assert doubt.text.startswith("the run has diverged at step 40: why not; no forecast holds for it")


@pytest.mark.parametrize(
    ("forecasts", "said"),
    [
        (0, "interval not checked by any back-test"),
        (1, "errors of 1 back-tested forecast"),
        (2, "of 2 back-tested forecasts"),
    ],
)
def test_a_forecast_in_words(forecasts, said):
    seen = pd.DataFrame({"step": [10, 25], "loss": [4.0, 3.21]})
    given = {"run": "a", "step": 25, "steps": 100, "final": 2.5, "low": 2.0, "high": 3.0, "level": 0.8, "seen": seen}
    made = PartialForecast(**given, curve=seen, history=seen, basis="b", scale=1.25, forecasts=forecasts)
    verdict, now, basis = str(made).splitlines()
    assert verdict == "a: final loss 2.5, 80 % interval [2, 3] (±20 %)"
    assert now == "  now at step 25 of 100 (25 %), loss 3.21"
    assert basis.endswith(said)
    assert made.ok
    lost = PartialForecast(**given, curve=seen, history=seen, basis="b", scale=1.25, forecasts=0, among="seen",
                           warnings=(Check("diverged", "gone"),))  # fmt: skip
    assert "no forecast of a run that has diverged" in str(lost)
    assert str(lost).splitlines()[3:] == ["  seen", "! gone"]
    assert not lost.ok


@pytest.mark.parametrize(
    ("offsets", "sigma", "usual"), [((0.02, 0.04), 0.01, 0.03), ((0.02, 0.04), 0.05, 0.05), ((), 0.01, 0.01)]
)
def test_the_usual_offset_of_a_run_is_the_median_of_those_left_out_or_the_noise(offsets, sigma, usual):
    """Runs of twenty rows that lie above a law of 1; of fewer than sixteen rows nothing is back-tested."""
    rows = 20 if offsets else 15
    names = np.repeat([f"r{i}" for i in range(max(len(offsets), 1))], rows)
    high = np.repeat(offsets or (0.5,), rows)
    steps = np.tile(np.arange(1, rows + 1), max(len(offsets), 1))
    law = SimpleNamespace(parameters=("a",), evaluate=lambda variables, constants: np.ones(rows))
    points = SimpleNamespace(
        runs=tuple(names),
        steps=tuple(steps),
        values=tuple(np.exp(high)),
        variables={},
        area=tuple(np.log(steps)),
        fall=tuple(0.0 * steps),
    )
    fit = SimpleNamespace(points=points, law=law, sigma=sigma, without=dict.fromkeys(names, (1.0,)))
    found, level = _forecasts_of_fitted(fit)
    assert level == pytest.approx(usual)
    assert len(found) == len(offsets)
    bare = SimpleNamespace(points=SimpleNamespace(area=None, fall=None))
    assert _forecasts_of_fitted(bare) == ([], 0.0)


@pytest.mark.parametrize(
    ("rates", "falls"), [([3, 3, 2, 1], True), ([1, 3, 3, 3], True), ([3, 2, 2, 3], False), ([3, 2, 1, 1.1], False)]
)
def test_no_final_loss_is_above_the_present_one_where_the_rate_never_rises_again(rates, falls):
    """Four quarters of 100 steps, 150 of them run; a fall from 4 to 2 may go on to 2 (2 / 4)^FURTHER."""
    path = SimpleNamespace(per_step=lambda: np.repeat(np.asarray(rates, float), 25))
    steps, loss = np.arange(0, 38), np.r_[np.full(19, 4.0), np.full(19, 2.0)]
    low, high = bounds(steps, loss, path, 0.0)
    assert low == pytest.approx(2 * 0.5**FURTHER)
    assert np.isfinite(high) == falls and high > 2
