"""Convex theory of schedules, refined schedules, and the collapse of normalised curves."""

from __future__ import annotations

import commands
import numpy as np
import pandas as pd
import pytest

from scalefit.errors import IdentificationError, InputError
from scalefit.planning.collapse import collapse, normalised_curve, power_law_shape
from scalefit.schedules.theory import (
    bound_curve,
    constant_bound,
    convex_bound,
    refine_schedule,
    smooth_norms,
    wsd_bound,
)

DATA = commands.SHARED
T = 400
SCHEDULES = {
    "constant": (np.ones(T), 0.01817590, 0.13754481),
    "linear": (1 - np.arange(1, T + 1) / (T + 1), 0.04968704, 0.10062987),
    "wsd": (np.r_[np.ones(320), 1 - np.arange(1, 81) / 81], 0.02543523, 0.10920986),
    "cosine": (0.5 * (1 + np.cos(np.pi * np.arange(T) / T)), 0.04824189, 0.10338591),
}


def literal_bound(eta, gamma, norms, distance):
    """The theorem as printed, with its double sum."""
    last = len(eta)
    bound = distance**2 / (2 * gamma * eta.sum()) + gamma / (2 * eta.sum()) * np.sum(eta**2 * norms**2)
    for k in range(last - 1):
        inner = np.sum(eta[k:] ** 2 * norms[k:] ** 2) / np.sum(eta[k:])
        bound += gamma / 2 * eta[k] / np.sum(eta[k + 1 :]) * inner
    return bound


@pytest.mark.parametrize("name", SCHEDULES)
def test_bounds_agree_with_the_reference_values(name):
    lr, gamma, value = SCHEDULES[name]
    bound = convex_bound(lr)
    assert bound.best_gamma == pytest.approx(gamma, abs=6e-9)
    assert bound.best == pytest.approx(value, abs=6e-9)
    assert bound.at(bound.best_gamma) == pytest.approx(bound.best)


def test_bound_of_the_linear_schedule_away_from_its_best():
    assert float(convex_bound(SCHEDULES["linear"][0]).at(0.1)) == pytest.approx(0.12626370, abs=6e-9)


def test_bound_equals_the_double_sum_for_any_norms():
    rng = np.random.default_rng(0)
    eta, norms = rng.uniform(0.1, 1, 50), rng.uniform(0.5, 2, 50)
    assert float(convex_bound(eta, norms, 1.7).at(0.3)) == pytest.approx(literal_bound(eta, 0.3, norms, 1.7), rel=1e-12)


def test_units_scale_the_bound():
    lr = SCHEDULES["wsd"][0]
    assert convex_bound(3 * lr).best == pytest.approx(convex_bound(lr).best)
    assert convex_bound(3 * lr).best_gamma == pytest.approx(convex_bound(lr).best_gamma / 3)
    assert convex_bound(lr, 2.0, 5.0).best == pytest.approx(10 * convex_bound(lr).best)


def test_closed_forms_hold():
    assert constant_bound(T).best == pytest.approx(convex_bound(np.ones(T)).best)
    assert constant_bound(1).best == pytest.approx(convex_bound([1.0]).best)
    assert convex_bound(SCHEDULES["wsd"][0]).best < wsd_bound(T, 320) == pytest.approx(0.13420394, abs=6e-9)


def test_linear_decay_beats_constant_and_its_bound_drops_in_the_cooldown():
    best = {name: convex_bound(lr).best for name, (lr, _, _) in SCHEDULES.items()}
    assert best["linear"] < best["cosine"] < best["wsd"] < best["constant"]
    lr = SCHEDULES["wsd"][0]
    curve = bound_curve(lr, convex_bound(lr).best_gamma, [300, 320, 360, 400])
    assert (curve[1] - curve[3]) > 5 * (curve[0] - curve[1])


def test_a_final_zero_costs_nothing_in_a_curve_and_is_refused_alone():
    lr = np.array([1.0, 0.5, 0.0])
    with pytest.raises(InputError, match="ends at learning rate 0"):
        convex_bound(lr)
    curve = bound_curve(lr, 0.5, [2, 3])
    assert curve[0] == curve[1]
    with pytest.raises(InputError, match="at least 0"):
        convex_bound([1.0, -1.0])
    with pytest.raises(InputError, match="starts between step 2"):
        wsd_bound(10, 10)


@pytest.mark.parametrize(
    ("norms", "power", "expected"),
    [
        (np.ones(5), 2, [4, 3, 2, 1, 0]),
        ([1, 2, 4, 2, 1], 2, [1.5625, 0.328125, 0.078125, 0.25, 0]),
        ([1, 2, 4, 2, 1], 1, [2.25, 0.875, 0.375, 0.5, 0]),
    ],
)
def test_refined_schedules_agree_with_the_reference(norms, power, expected):
    np.testing.assert_allclose(refine_schedule(norms, power), np.array(expected) / max(expected), rtol=1e-14)


def test_refinement_makes_a_warm_up_where_gradients_start_large():
    norms = np.r_[np.geomspace(10, 1, 50), np.ones(450)]
    schedule = refine_schedule(norms)
    peak = int(np.argmax(schedule))
    assert 45 <= peak <= 52
    np.testing.assert_allclose(schedule[60:], schedule[60] * np.linspace(1, 0, 440), atol=1e-12)
    np.testing.assert_allclose(refine_schedule(7 * norms), schedule)
    with pytest.raises(InputError, match="positive"):
        refine_schedule([1.0, 0.0])


def test_smoothing_is_a_median_over_a_tenth_of_the_run():
    norms = np.ones(5000)
    norms[::100] = 50.0
    smooth = smooth_norms(norms, points=2000)
    assert smooth.shape == (1996,)
    np.testing.assert_array_equal(smooth, 1.0)
    ramp = smooth_norms(np.linspace(1, 2, 1000), points=1000)
    np.testing.assert_allclose(ramp[60:-110], np.linspace(1, 2, 1000)[2:-2][60:-110], atol=1e-12)


def test_smoothing_equals_the_median_filter_of_scipy():
    ndimage = pytest.importorskip("scipy.ndimage")
    norms = np.exp(np.random.default_rng(1).normal(size=700))
    even = np.interp(np.linspace(0, 699, 1000), np.arange(700), norms)[2:-2]
    expected = ndimage.median_filter(np.pad(even, (0, 202), mode="reflect"), 101, mode="nearest")[:996]
    np.testing.assert_array_equal(smooth_norms(norms, points=1000), expected)


def test_refined_schedule_of_a_measured_run_warms_up_and_decays():
    path = DATA / "refinement_gradnorms" / "rcnn.csv"
    if not path.is_file():
        pytest.skip("needs ../shared/data/refinement_gradnorms")
    schedule = refine_schedule(smooth_norms(pd.read_csv(path)["grad_norm"].to_numpy()))
    assert schedule[-1] == 0
    assert schedule.max() == 1
    assert abs(schedule[-2000:-1] / np.linspace(schedule[-2000], 0, 2000)[:-1] - 1).mean() < 0.2


def family(L0=1.7, mu=0.3, nu=0.2, seeds=3, noise=0.0):
    """Loss curves L0 + t^-mu + p^-nu, each trained for its compute-optimal time."""
    rng = np.random.default_rng(2)
    rows = []
    for p in (1e6, 1e7, 1e8, 1e9):
        end = (nu / mu) ** (-1 / mu) * p ** (nu / mu)
        for seed in range(seeds):
            step = np.arange(1, 201)
            t = end * step / 200
            own = 1 + noise * rng.normal()
            loss = L0 + (t**-mu + p**-nu) * own
            rows.append(pd.DataFrame({"run": f"{p:g}-{seed}", "N": p, "C": p * t, "step": step, "loss": loss}))
    return pd.concat(rows, ignore_index=True)


def test_a_power_law_family_collapses_onto_the_closed_form():
    assert float(power_law_shape(0.5, 0.3, 0.2)) == pytest.approx(1.0924578, abs=5e-8)
    found = collapse(family(), L0=1.7, along="C")
    np.testing.assert_allclose(found.curves, np.tile(power_law_shape(found.x, 0.3, 0.2), (12, 1)), rtol=2e-3)
    assert found.deviation.max() < 1e-6


def test_seeds_differ_more_than_normalised_curves_do():
    found = collapse(family(noise=0.01), L0=1.7)
    assert found.super_share > 0.9
    assert 0.003 < found.noise[50] < 0.03
    wrong = collapse(family(noise=0.01), L0=1.2)
    assert wrong.deviation[10] > 20 * found.deviation[10]


def test_the_floor_is_found_from_the_final_losses():
    found = collapse(family())
    assert abs(found.L0 / 1.7 - 1) < 1e-3


def test_a_run_that_departs_is_named():
    frame = family()
    odd = frame["run"] == "1e+07-1"
    frame.loc[odd, "loss"] += 0.05 * (1 - frame.loc[odd, "step"] / 200)
    assert collapse(frame, L0=1.7).departures.index[0] == "1e+07-1"


def test_what_cannot_collapse_is_refused():
    frame = family(seeds=1)
    with pytest.raises(IdentificationError, match="one run"):
        collapse(frame[frame["N"] == 1e6], L0=1.7)
    with pytest.raises(InputError, match="not above L0"):
        collapse(frame, L0=3.0)
    with pytest.raises(InputError, match="columns tokens and loss"):
        collapse(frame, L0=1.7, along="tokens")
    with pytest.raises(IdentificationError, match="irreducible"):
        collapse(frame[frame["N"] < 1e8])
    assert np.isnan(normalised_curve([2, 4], [3.0, 2.0], 1.0, [0.25])[0])


def test_measured_networks_collapse_more_closely_than_their_seeds():
    folder = DATA / "supercollapse_mlp"
    if not folder.is_dir():
        pytest.skip("needs ../shared/data/supercollapse_mlp")
    runs = pd.read_csv(folder / "mlp_runs.csv")
    curves = pd.read_csv(folder / "mlp_curves.csv.gz")[["run", "step", "flops", "test_loss"]]
    frame = curves.merge(runs[["run", "params"]], on="run").sort_values(["run", "step"])
    frame = frame.rename(columns={"params": "N", "test_loss": "loss", "flops": "C"})
    found = collapse(frame)
    assert abs(found.L0 / runs["authors_L0"].iloc[0] - 1) < 1e-3
    assert found.super_share > 0.2
    assert found.deviation[90] < 0.5 * found.noise[90]
