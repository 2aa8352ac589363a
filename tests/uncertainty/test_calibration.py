"""Intervals of predictions: what the folds teach, how intervals grow, what they say of themselves."""

from __future__ import annotations

from dataclasses import replace

import commands
import numpy as np
import pandas as pd
import pytest
from scipy.stats import t

import scalefit as sf
from scalefit.errors import InputError
from scalefit.fitting.prepare import prepare
from scalefit.fitting.summary import _allowed
from scalefit.rows.scale import scale_of
from scalefit.schedules import areas, parse_schedule
from scalefit.uncertainty.calibration import (
    BEYOND,
    PRIOR_FOLDS,
    WITHIN,
    WORST,
    Calibration,
    Fold,
    deviation,
    factor_of,
    small_sample,
    spreads,
    student,
)
from scalefit.uncertainty.folds import bias_of, folds_of, recentred, walk


def table(n=60, noise=0.005, seed=0, bend=0.0):
    """Runs of the Chinchilla surface; with ``bend`` the law is a little wrong, the more so at scale."""
    rng = np.random.default_rng(seed)
    N, D = 10 ** rng.uniform(7, 9, n), 10 ** rng.uniform(8.5, 10.5, n)
    loss = (1.69 + 406.4 * N**-0.34 + 410.7 * D**-0.28) * np.exp(noise * rng.standard_normal(n))
    return pd.DataFrame({"N": N, "D": D, "loss": loss * (1 + bend * np.maximum(np.log10(6 * N * D) - 17.5, 0) ** 2)})


@pytest.fixture(scope="module")
def surface():
    return sf.fit(table(), "chinchilla", draws=100)


def curves(names=("constant", "cosine", "wsd", "linear"), noise=0.001):
    texts = {
        "constant": "constant:peak_lr=1e-3,steps=2000",
        "cosine": "cosine:peak_lr=1e-3,steps=2000,final=1e-4",
        "linear": "linear:peak_lr=1e-3,steps=2000,final=1e-5",
        "wsd": "wsd:peak_lr=1e-3,steps=2000,decay_steps=500,final=1e-5",
    }
    rng, logs, steps = np.random.default_rng(1), [], np.arange(20, 2001, 20)
    for name in names:
        S1, S2 = areas(parse_schedule(texts[name]).per_step())
        loss = 2.5 + 0.5 * S1[steps] ** -0.5 - 0.3 * S2[steps]
        logs.append(pd.DataFrame({"run": name, "step": steps, "loss": loss * np.exp(noise * rng.standard_normal(100))}))
    return sf.read_runs(pd.concat(logs), schedule={name: texts[name] for name in names})


# --- the pieces -------------------------------------------------------------------------------------------------------


@commands.cases("freedom", [1, 2, 2.5, 3, 4, 6, 9, 30, 1000, np.inf])
@commands.cases("level", [0.5, 0.8, 0.9, 0.95])
def test_student_against_scipy(level, freedom):
    assert student(level, freedom) == pytest.approx(t.ppf(0.5 + level / 2, freedom), rel=1e-9)


def test_small_sample_is_the_degrees_of_freedom_factor():
    normal = t.ppf(0.95, 1e9)
    assert small_sample(50, 50, 5, "pairs") == pytest.approx((50 / 45) ** 0.5 * t.ppf(0.95, 45) / normal, rel=1e-6)
    assert small_sample(5, 1000, 4, "wild") == pytest.approx((5 / 4) ** 0.5 * t.ppf(0.95, 4) / normal, rel=1e-6)
    two = (2 * 99 / 97) ** 0.5 * t.ppf(0.95, 1) / normal
    assert small_sample(2, 100, 3, "bayesian") == pytest.approx(two, rel=1e-6)


@pytest.mark.parametrize(
    ("law", "columns", "expected"),
    [
        ("chinchilla", {"N": 1e9, "D": 1e10}, np.log10(6e19)),
        ("power-floor:over=C", {"x": 1e20}, 20),
        ("power-floor:over=D", {"x": 1e10}, 20),
        ("annealing", {"S1": 10.0, "S2": 0.1}, 2),
        ("loss-to-loss", {"loss_source": 3.0}, -np.log10(3.0)),
    ],
)
def test_scale_counts_decades_of_compute(law, columns, expected):
    found = scale_of(sf.find_law(law), {name: np.array([value]) for name, value in columns.items()})
    assert found == pytest.approx(expected)


def test_distance_of_a_law_without_sizes_is_relative_to_the_fitted_span():
    law = sf.find_law("loss-to-loss")
    inside = Calibration(1.0, 0, 0, -np.log10(4.0), -np.log10(2.5), 0.5)
    beyond = inside.distance(law, {"loss_source": np.array([3.0, 2.5 / 1.6, 4.0 * 1.6])})
    assert beyond == pytest.approx([0, 2, 2])


def fold(error, spread, missed=0.01, sigma=0.0, n=20):
    full = [np.full(n, value) for value in (0.0, missed, error, spread, spread)]
    return Fold("made", np.arange(n), 30, *full, sigma)


@pytest.fixture(scope="module")
def prepared():
    return prepare(sf.read_runs(table(), need=()), "chinchilla")


def factor(folds):
    return factor_of(folds)[0]


def test_factor_without_folds_is_the_prior():
    assert factor_of([]) == (student(0.9, PRIOR_FOLDS) / student(0.9, np.inf), 0, 0)


def test_factor_follows_the_folds():
    """Many folds whose errors are three times what is believed: k nears three; whose errors are noise: k nears zero."""
    assert factor([fold(0.03, 0.0)] * 200) == pytest.approx(3, rel=0.03)
    assert factor([fold(0.01, 0.0, sigma=0.01)] * 200) < 0.2
    assert factor([fold(0.03, 0.005)] * 400) == pytest.approx(3, rel=0.03)  # the draws are part of the law's error


def test_the_bias_by_hand():
    """Two refits that miss by 2 m and 1 m, the prior of two at 0: b = .75; errors of both signs, along curves: none."""
    law = sf.find_law("chinchilla")
    assert bias_of(law, [fold(0.02, 0.0), fold(0.01, 0.0)]) == pytest.approx(0.75)
    assert bias_of(law, [fold(0.02, 0.0), fold(-0.02, 0.0)]) == pytest.approx(0)
    assert bias_of(law, [fold(-1e3, 1e-9)] * 98) == pytest.approx(-0.98 * WORST)
    assert bias_of(law, [fold(np.nan, 0.0)]) == bias_of(law, []) == 0
    assert bias_of(sf.find_law("annealing"), [fold(0.02, 0.0)] * 5) == 0
    uneven = replace(fold(0.0, 0.0, n=2), missed=np.array([0.01, 0.03]), error=np.array([0.01, 0.06]), sigma=0.02)
    weights = 1 / (uneven.missed**2 + 0.02**2)
    own = np.sum(weights * uneven.missed * uneven.error) / np.sum(weights * uneven.missed**2)
    assert bias_of(law, [uneven] * 10_000) == pytest.approx(own, rel=1e-3)


def test_a_centre_that_is_moved_is_told_with_the_side_and_by_how_much():
    """The shift is from the centre between two forms of the law, not from the prediction."""
    moved = {bias: _allowed(Calibration(1.2, 6, 84, 0.0, 1.0, 0.5, misfit=0.5, bias=bias)) for bias in (-1.0, 1.0, 0.1)}
    assert moved[-1.0].endswith("; their centres are moved down by 0.5 times that, as held-out losses lay below them")
    assert moved[1.0].endswith("; their centres are moved up by 0.5 times that, as held-out losses lay above them")
    assert "moved" not in moved[0.1]


def test_refits_that_miss_alike_say_little_of_the_width():
    """About a centre that lies b m higher, errors of 2 m on one side are small; of both sides they stay."""
    alike, apart = [fold(0.02, 0.0)] * 20, [fold(0.02, 0.0), fold(-0.02, 0.0)] * 10
    moved = recentred(alike, bias_of(sf.find_law("chinchilla"), alike))
    assert moved[0].missed_by == pytest.approx(0.02 * 2 / 22)
    assert factor(moved) < 0.4 * factor(alike)
    assert factor(recentred(apart, bias_of(sf.find_law("chinchilla"), apart))) == pytest.approx(factor(apart))


def test_one_fold_alone_cannot_widen_without_end():
    assert factor([fold(10.0, 1e-6)]) < WORST
    assert factor([fold(np.nan, 0.01)]) == factor([])


def test_noise_is_not_taken_for_the_law_being_wrong():
    """Errors that are all noise, ten times what is believed of the law, leave the factor about where it was."""
    rng = np.random.default_rng(0)
    noisy = [fold(rng.normal(0.0, 0.02, 50), 0.0, 0.002, sigma=0.02, n=50) for _ in range(6)]
    assert factor(noisy) < 1.2 * factor([])
    wrong = [fold(rng.normal(0.0, 0.02, 50), 0.0, 0.002, n=50) for _ in range(6)]
    assert factor(wrong) > 3


def test_a_fold_whose_noise_hides_the_law_counts_little():
    hidden = [fold(np.array([0.05]), 0.001, 0.002, sigma=0.02, n=1) for _ in range(6)]
    assert factor(hidden) == pytest.approx(factor([]), rel=0.1)


def test_deviation_adds_what_it_says():
    """The larger of the draws' spread and of what the law misses, and the noise."""
    found = deviation(2.0, np.array([0.03, 0.03]), np.array([0.01, 0.02]), 0.04)
    assert found == pytest.approx(np.sqrt(np.array([0.03, 0.04]) ** 2 + 0.04**2))


def test_ahead_the_noise_is_that_of_the_lowest_losses():
    """A share r of the noise counts, and nothing else is smaller; fits saved without it count all."""
    spread, missed = np.array([0.01, 0.03]), np.array([0.02, 0.01])
    plain, quiet = (Calibration(1.5, 0, 0, 0.0, 1.0, 0.5, misfit=0.3, quiet=r) for r in (1.0, 0.5))
    assert quiet.half_width(spread, missed, 0.04, 0.9) == pytest.approx(plain.half_width(spread, missed, 0.02, 0.9))
    assert quiet.half_width(spread, missed, 0.0, 0.9) == pytest.approx(plain.half_width(spread, missed, 0.0, 0.9))
    assert Calibration(1.5, 0, 0, 0.0, 1.0, 0.5).quiet == 1.0


def test_the_error_of_a_law_scales_with_what_it_explains():
    """Half the range of losses: half the error; as far beyond as the fitted range is wide: BEYOND of that range."""
    law, far = sf.find_law("power:over=C"), {"x": np.array([1e19, 1e22, 1e25])}
    full, half = (Calibration(1.0, 0, 0, 16.0, 19.0, change).missed(law, far) for change in (0.4, 0.2))
    assert full == pytest.approx(2 * half)
    assert full[0] == pytest.approx(0.4 * WITHIN)
    assert full[1] == pytest.approx(0.4 * np.hypot(WITHIN, BEYOND))
    assert full[2] > full[1]


@pytest.mark.parametrize("level", [0.5, 0.9])
def test_an_interval_is_that_of_the_mixture(level):
    """Against the quantile of simulated errors: with probability .3 the law misses something."""
    calibration = Calibration(2.0, 0, 0, 0.0, 1.0, 0.5, misfit=0.3)
    rng = np.random.default_rng(0)
    wide = rng.random(400_000) < 0.3
    errors = rng.standard_normal(400_000) * np.where(wide, 2 * 0.02, 0.01)
    half = calibration.half_width(np.array([0.01]), np.array([0.02]), 0.0, level)
    assert half == pytest.approx(np.quantile(errors, 0.5 + level / 2), rel=0.02)


def test_folds_walk_forward(prepared):
    scale = scale_of(prepared.law, dict(prepared.rows.variables))
    folds = folds_of(prepared.law, prepared.rows, prepared.free)
    assert len(folds) >= 4
    for _, held in folds:
        assert scale[held].min() > scale[~held].max()


def test_folds_of_curves_leave_each_run_out():
    ready = prepare(curves(), "annealing")
    folds = folds_of(ready.law, ready.rows, ready.free)
    assert [label for label, _ in folds] == [f"without {name}" for name in ("constant", "cosine", "wsd", "linear")]
    for _, held in folds:
        assert set(ready.rows.run_codes[held]).isdisjoint(ready.rows.run_codes[~held])


# --- intervals of a fit -----------------------------------------------------------------------------------------------


def widths(fit, **options):
    found = fit.predict(N=np.geomspace(1e9, 1e12, 7), D=np.geomspace(3e10, 3e13, 7), **options)
    assert (found["low"] < found["loss"]).all() and (found["loss"] < found["high"]).all()
    return (np.log(found["high"]) - np.log(found["low"])).to_numpy()


def test_intervals_widen_with_distance(surface):
    for interval in ("observation", "mean"):
        assert np.all(np.diff(widths(surface, interval=interval)) > 0)


@pytest.mark.parametrize("side", ["low", "high"])
def test_an_observation_is_less_certain_than_the_mean(side):
    plain = sf.fit(table(), "chinchilla", draws=100, calibrated=False)
    z, far = student(0.9, np.inf), {"N": 1e10, "D": 1e12}
    observation, mean = (
        np.log(found[side] / found["loss"]).iloc[0]
        for found in (plain.predict(interval=kind, **far) for kind in ("observation", "mean"))
    )
    assert (observation / z) ** 2 - (mean / z) ** 2 == pytest.approx(plain.sigma**2)


def test_each_side_has_its_own_spread():
    """Draws of a law near its floor reach further up than down."""
    rng = np.random.default_rng(0)
    made = np.exp(rng.standard_normal((4000, 3))) - 1
    below, above = spreads(np.zeros(3), made, 1.0)
    z = student(0.9, np.inf)
    assert below == pytest.approx((1 - np.exp(-z)) / z, rel=0.1)
    assert above == pytest.approx((np.exp(z) - 1) / z, rel=0.1)
    shifted, _ = spreads(np.full(3, -2.0), made, 1.0)
    assert np.all(shifted > 0)


def test_a_higher_level_is_wider(surface):
    assert np.all(widths(surface, level=0.5) < widths(surface, level=0.9))
    for wrong in ({"level": 1.0}, {"interval": "both"}):
        with pytest.raises(InputError, match="0 < level < 1"):
            widths(surface, **wrong)


def test_a_law_that_bends_moves_and_widens_its_intervals():
    """The folds see that fits to smaller runs miss the larger ones on one side, though the draws agree.

    The interval moves to where larger runs lie: the planted loss ten times beyond is near its middle.
    """
    right, wrong = (sf.fit(table(bend=bend), "chinchilla", draws=60) for bend in (0.0, 0.02))
    before, after = (made.intervals.calibration for made in (right, wrong))
    assert abs(before.bias) < 0.1 < 0.5 < after.bias
    assert after.factor > 1.2 * before.factor
    N, D = 3e9, 6e10
    truth = (1.69 + 406.4 * N**-0.34 + 410.7 * D**-0.28) * (1 + 0.02 * (np.log10(6 * N * D) - 17.5) ** 2)
    found = wrong.predict(N=N, D=D, interval="mean").iloc[0]
    middle = 0.5 * (found["low"] + found["high"])
    assert found["loss"] < middle < truth < found["high"]


def test_enough_folds_are_called_calibrated(surface):
    assert surface.intervals.calibration.calibrated
    assert f"{surface.intervals.calibration.points} held-out predictions" in surface.summary()


def test_too_few_folds_are_said_to_be():
    few = sf.fit(table(9), "chinchilla", draws=40)
    assert not few.intervals.calibration.calibrated
    assert "not calibrated" in few.summary()
    pair = sf.fit(curves(("constant", "cosine")), "annealing", draws=40)
    assert pair.intervals.calibration.folds == 0
    assert "not calibrated" in pair.summary()


def test_without_calibration_the_law_is_taken_as_true(surface):
    plain = sf.fit(table(), "chinchilla", draws=100, calibrated=False)
    assert plain.intervals.calibration is None
    assert "as if the law were true" in plain.summary()
    assert np.all(widths(plain, interval="mean") < widths(surface, interval="mean"))


@pytest.mark.parametrize("calibrated", [True, False])
def test_saving_keeps_the_intervals(tmp_path, calibrated):
    fit = sf.fit(table(), "chinchilla", draws=30, calibrated=calibrated)
    again = sf.load_fit(fit.save(tmp_path / "fit.json"))
    assert again.intervals == fit.intervals
    assert widths(again) == pytest.approx(widths(fit), rel=1e-12)


def test_few_runs_keep_the_law_identified():
    """Three schedules: residuals change sign, no run gets weight zero, so that no draw runs away."""
    fit = sf.fit(curves(("constant", "cosine", "wsd")), "annealing", draws=60)
    spread = fit.draws.std() / pd.Series(fit.parameters)
    assert spread.max() < 0.2


def test_linear_residuals_have_intervals_in_the_unit_of_the_loss():
    x = np.geomspace(1, 100, 40)
    noise = 0.01 * np.random.default_rng(0).standard_normal(40)
    runs = pd.DataFrame({"x": x, "loss": 2 + 3 * x**-0.5 + noise})
    fit = sf.fit(runs, "power-floor:over=x", residuals="linear", draws=80, calibrated=False)
    found = fit.predict(x=10.0).iloc[0]
    assert found["high"] - found["low"] == pytest.approx(2 * student(0.9, np.inf) * fit.sigma, rel=0.2)


def test_a_fold_that_cannot_be_fitted_is_left_out(prepared):
    rows = prepared.rows
    one_size = np.ones(len(rows), dtype=bool)
    one_size[:2] = False
    found = walk(prepared.law, prepared.model, rows, prepared.settings, 0, [("two rows", one_size)])
    assert found == []


@pytest.mark.filterwarnings("error")
def test_what_is_missed_may_be_infinite_and_a_factor_of_0_still_misses_nothing():
    made = deviation(0.0, np.array([3.0, 3.0]), np.array([np.inf, 1.0]), 4.0)
    assert made.tolist() == [5.0, 5.0]
    assert deviation(0.5, np.array([3.0]), np.array([np.inf]), 4.0).tolist() == [np.inf]
