"""Laws that read whole schedules, the implicit trajectory law, and the estimation of its constants."""

from __future__ import annotations

from functools import cache

import commands
import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.errors import IdentificationError, InputError
from scalefit.laws import find_law
from scalefit.laws.multi_power_fading import HELD
from scalefit.planning.critical_batch import Tradeoff, critical_batch, fit_tradeoff, noise_scale
from scalefit.planning.stepwise import estimate_stepwise
from scalefit.schedules import areas, cosine, cyclic, gaps, gaps_at, powered_area, relaxed_rate, wsd

DATA = commands.SHARED / "mpl_schedules"
needs_curves = pytest.mark.skipif(not DATA.is_dir(), reason="needs ../shared/data/mpl_schedules")
TOY = np.array([1.0, 1.0, 0.5, 0.25])
STEPS = np.arange(20_001)


@cache
def curves(size):
    """The curves of one size: those to fit and those to predict."""
    schedules = str(DATA / "lr_schedules_per_step.csv.gz")
    runs = sf.read_runs(str(DATA / f"loss_curves_{size}.csv"), schedule=schedules)
    return runs.where("split == 'fit'"), runs.where("split == 'predict'")


@cache
def per_step(name):
    frame = pd.read_csv(DATA / "lr_schedules_per_step.csv.gz")
    return frame.loc[frame["schedule"] == name, "lr"].to_numpy()


def authors(size):
    law = find_law("multi-power:warmup=include")
    return law, next(p.parameters for p in law.published if f" {size} " in p.source)


def literal_multi_power(lr, steps, p, first):
    """The law as printed: a loop over steps and gaps."""
    sums = np.concatenate([[0.0], np.cumsum(lr)])
    found = []
    for t in steps:
        value = p["L0"] + p["A"] * sums[t + 1] ** -p["alpha"]
        for k in range(first + 1, t + 1):
            weight = 1 - p.get("fade", 0.0) + p.get("fade", 0.0) * sums[k + 1] ** -p["alpha"]
            x = p["C"] * max(lr[k], 1e-300) ** -p["gamma"] * (sums[t + 1] - sums[k])
            value -= p["B"] * (lr[k - 1] - lr[k]) * weight * (1 - (1 + x) ** -p["beta"])
        found.append(value)
    return np.array(found)


# ---------------------------------------------------------------- gaps


SHAPES = {
    "cosine": (cosine(STEPS, peak_lr=1e-3, steps=20_000, warmup=300, final=1e-4), 300),
    "cosine to zero": (cosine(STEPS, peak_lr=1e-3, steps=20_000, warmup=300), 300),
    "cooldown to zero": (wsd(STEPS, peak_lr=1e-3, steps=20_000, warmup=300, decay_steps=4000), 300),
    "rises counted": (cosine(STEPS, peak_lr=1e-3, steps=20_000, warmup=300, final=1e-4), 0),
    "rounded": (np.round(cosine(STEPS, peak_lr=1e-3, steps=20_000, warmup=300, final=1e-4), 6), 300),
    "cyclic": (cyclic(STEPS, peak_lr=1e-3, period=4000, warmup=500, final=1e-4), 500),
    "noise": (
        cosine(STEPS, peak_lr=1e-3, steps=20_000, warmup=300, final=1e-4)
        * np.exp(0.03 * np.random.default_rng(2).standard_normal(len(STEPS))),
        300,
    ),
}
KERNELS = [(0.378, 0.113, 0.895), (2.07, 0.58, 0.64), (0.00196, 0.245, 1.357), (100.0, 1.0, 0.0), (1.0, 0.5, 0.5)]


@pytest.mark.parametrize("fading", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_grouped_gaps_agree_with_the_exact_sum(shape, fading):
    """To 1e-8 of the sum, each of them at most 1 times the learning rate lost."""
    lr, after = SHAPES[shape]
    steps = np.arange(after + 100, 20_001, 1371)
    few = gaps_at(lr, steps, after=after, fading=fading)
    every = gaps_at(lr, steps, after=after, exact=True)
    assert few.gap.shape[1] < every.gap.shape[1] / (10 if shape != "rounded" else 2)
    S1 = np.cumsum(lr)[steps][:, None]
    for C, beta, gamma in KERNELS:
        sums = []
        for found in (few, every):
            weight = found.gap * ((S1 - found.area + found.lr) ** -0.45 if fading else 1)
            sums.append(np.sum(weight * (1 - (1 + C * found.area * found.lr**-gamma) ** -beta), axis=1))
        assert np.abs(sums[0] - sums[1]).max() < 1e-8 * np.abs(sums[1]).max()


@pytest.mark.parametrize("shape", SHAPES)
def test_the_nodes_of_a_row_do_not_depend_on_the_rows_beside_it(shape, monkeypatch):
    lr, after = SHAPES[shape]
    steps = np.linspace(after + 100, 20_000, 12).astype(int)
    whole = gaps_at(lr, steps, after=after)
    monkeypatch.setattr(gaps, "BLOCK", 5)
    parts = gaps_at(lr, steps, after=after)
    for name in ("gap", "lr", "area"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(parts, name))


def test_equal_learning_rates_have_no_gap():
    assert gaps_at(np.ones(5000), [10, 4999]).gap.shape == (2, 0)
    steps = np.repeat([3.0, 2.0, 1.0], 1000)
    found = gaps_at(steps, [500, 1000, 2999])
    np.testing.assert_array_equal(found.gap, [[0, 0], [1, 0], [1, 1]])
    np.testing.assert_array_equal(found.area[1:], [[2, 3], [3000, 1000]])


def test_gaps_beyond_the_schedule_are_refused():
    with pytest.raises(InputError, match="outside a schedule"):
        gaps_at(np.ones(10), [10])


def test_a_long_schedule_costs_steps_plus_points():
    lr = cosine(np.arange(72_001), peak_lr=3e-4, steps=72_000, warmup=2000, final=3e-5)
    law = find_law("multi-power")
    steps = np.linspace(2001, 72_000, 500).astype(int)
    found = law.at_steps(lr, 2000, steps)
    assert found["gap"].size < 500 * 300


# ---------------------------------------------------------------- multi-power


@pytest.mark.parametrize(
    ("name", "parameters", "expected"),
    [
        (
            "multi-power",
            {"L0": 1, "A": 2, "alpha": 0.5, "B": 0.3, "C": 2, "beta": 0.7, "gamma": 0.4},
            [3, 2.414214, 2.198148, 2.099285],
        ),
        (
            "functional",
            {"L0": 1, "c1": 2, "c2": 3, "c3": 0.5, "c4": 4, "s": 0.7, "gamma": 1.2},
            [3, 2.231144, 2.053106, 1.115558],
        ),
    ],
)
def test_toy_schedule(name, parameters, expected):
    law = find_law(name)
    values = law.evaluate(law.at_steps(TOY, 0, np.arange(4)), parameters)
    np.testing.assert_allclose(values, expected, atol=6e-7)


@needs_curves
@pytest.mark.parametrize(
    ("schedule", "step", "expected"),
    [
        ("cosine_24000", 23920, (3.315292, 2.990141, 2.757200)),
        ("wsd_20000_24000", 23920, (3.266825, 2.935875, 2.700618)),
        ("constant_24000", 23920, (3.346190, 3.033442, 2.817262)),
        ("cosine_24000", 2160, (None, None, 3.579503)),
        ("cosine_24000", 12016, (None, None, 2.888938)),
    ],
)
def test_the_authors_fits_give_their_values(schedule, step, expected):
    for size, value in zip(("25M", "100M", "400M"), expected, strict=True):
        if value is not None:
            law, parameters = authors(size)
            variables = law.at_steps(per_step(schedule), 2160, np.array([step]))
            assert float(law.evaluate(variables, parameters)[0]) == pytest.approx(value, abs=3e-6)


@needs_curves
@pytest.mark.parametrize(("schedule", "area"), [("cosine_24000", 3.925365), ("constant_24000", 6.852300)])
def test_the_areas_of_the_authors_schedules(schedule, area):
    variables = find_law("multi-power").at_steps(per_step(schedule), 2160, np.array([23920]))
    assert float(variables["S1"][0]) == pytest.approx(area, abs=6e-7)


@needs_curves
def test_without_warm_up_gaps_the_rise_costs_nothing():
    for size, value in (("25M", 3.207310), ("100M", 2.859885), ("400M", 2.601775)):
        parameters = authors(size)[1]
        law = find_law("multi-power")
        variables = law.at_steps(per_step("cosine_24000"), 2160, np.array([23920]))
        assert float(law.evaluate(variables, parameters)[0]) == pytest.approx(value, abs=3e-6)


@pytest.mark.parametrize("spec", ["multi-power-fading", "multi-power"])
def test_multi_power_equals_the_loop(spec):
    law = find_law(spec)
    parameters = {"L0": 2.0, "A": 0.5, "alpha": 0.45, "B": 400.0, "C": 0.7, "beta": 0.4, "gamma": 0.6}
    parameters |= {name: law.held[name] for name in {"fade"} & law.parameters.keys()}
    lr = cosine(np.arange(1501), peak_lr=1e-3, steps=1500, warmup=100, final=1e-4)
    steps = np.array([101, 400, 1500])
    values = law.evaluate(law.at_steps(lr, 100, steps), parameters)
    np.testing.assert_allclose(values, literal_multi_power(lr, steps, parameters, 100), rtol=1e-6)


@needs_curves
@pytest.mark.parametrize(("size", "best"), [("25M", 1.385e-4), ("100M", 2.135e-5)])
def test_the_papers_law_reaches_its_optimum(size, best):
    """The authors' two stages take 69 to 106 s of CPU and end at 2.91e-4 and 2.81e-4."""
    train, _ = curves(size)
    found = sf.fit(train, "multi-power:warmup=include", delta=1e-3, starts=2)
    assert found.cost <= best
    assert found.status == "converged"


@needs_curves
@pytest.mark.parametrize(("size", "r2", "mae"), [("25M", 0.9988, 0.00376), ("100M", 0.9983, 0.00435)])
@pytest.mark.parametrize("delta", [1e-3, "auto"])
def test_the_default_shape_forecasts_at_least_as_well_as_published(size, r2, mae, delta):
    train, test = curves(size)
    found = sf.fit(train, "multi-power-fading", delta=delta, starts=2)
    mean = found.score(test).loc["mean"]
    assert mean["r2"] >= r2
    assert mean["mae"] <= mae
    assert found.fixed == HELD
    assert sf.fit(train, "annealing", delta=delta).score(test).loc["mean"]["mae"] > mean["mae"]


@needs_curves
def test_a_held_parameter_yields_to_the_user_and_survives_saving(tmp_path):
    train, test = curves("25M")
    found = sf.fit(train, "multi-power-fading", fix={"fade": 0.0}, bounds={"C": (0.1, 10.0)}, starts=2)
    assert found["fade"] == 0
    assert "C" not in found.fixed
    assert found["beta"] == 0.5
    again = sf.load_fit(found.save(tmp_path / "fit.json"))
    np.testing.assert_allclose(again.predict(test)["loss"], found.predict(test)["loss"])
    curve = again.predict(schedule="cosine:peak_lr=3e-4,steps=30000,warmup=2000,final=3e-5")
    assert curve["loss"].is_monotonic_decreasing
    assert again.points.variables["gap"]


@needs_curves
def test_one_schedule_is_refused():
    train, _ = curves("25M")
    with pytest.raises(IdentificationError, match="one single schedule"):
        sf.fit(train.where("schedule == 'cosine_24000'"), "multi-power")


# ---------------------------------------------------------------- continual


def two_stages(kind, seam, last=8000):
    """A learning rate of two stages, each with its own warm-up, and no second stage where seam lies beyond the end."""
    if seam > last:
        return kind(np.arange(last + 1), peak_lr=2e-4, steps=last, warmup=200, final=2e-5)
    first = kind(np.arange(seam), peak_lr=2e-4, steps=seam - 1, warmup=200, final=2e-5)
    second = np.arange(last + 1 - seam)
    return np.r_[first, kind(second, peak_lr=2e-4, steps=len(second) - 1, warmup=100, final=1e-5, initial=2e-5)]


def test_continual_areas_are_those_of_each_stage():
    law, lr = find_law("continual"), two_stages(wsd, 5000)
    found = law.at_steps(lr, 200, np.array([3000, 4999, 5000, 8000]), cpt_step=5000)
    alone = find_law("annealing").along(lr[:5000], 200)
    np.testing.assert_allclose(found["S1"], alone["S1"][[3000, 4999, 4999, 4999]])
    np.testing.assert_allclose(found["S2"], alone["S2"][[3000, 4999, 4999, 4999]])
    assert found["S1_cpt"][:2].tolist() == [0, 0]
    assert found["S1_cpt"][2] == lr[5000]
    assert found["S1_cpt"][3] == pytest.approx(lr[5000:].sum())
    assert found["S2_cpt"][3] > 0 == found["S2_cpt"][2]


def test_continual_law_without_a_second_stage_is_the_annealing_law():
    law, lr = find_law("continual"), two_stages(cosine, 9000)
    parameters = law.published[0].parameters
    steps = np.arange(300, 8001, 100)
    expected = find_law("annealing").evaluate(
        find_law("annealing").at_steps(lr, 200, steps),
        {"L0": parameters["L0"], "A": parameters["A"], "C": parameters["C1"], "alpha": parameters["alpha"]},
    )
    np.testing.assert_allclose(law.evaluate(law.at_steps(lr, 200, steps, cpt_step=9000), parameters), expected)


def test_continual_constants_come_back_from_logs_of_two_stages():
    law = find_law("continual")
    truth = law.published[0].parameters
    frames = []
    for name, kind, seam in (("a", wsd, 9000), ("b", cosine, 9000), ("c", wsd, 4000), ("d", cosine, 5000)):
        lr, step = two_stages(kind, seam), np.arange(8001)
        with np.errstate(divide="ignore"):
            loss = law.evaluate(law.at_steps(lr, 200, step, cpt_step=seam), truth)
        frames.append(pd.DataFrame({"run": name, "step": step, "lr": lr, "cpt_step": seam, "loss": loss})[1:])
    found = sf.fit(sf.read_runs(pd.concat(frames, ignore_index=True)), "continual", starts=4)
    for name, value in truth.items():
        assert found[name] == pytest.approx(value, rel=1e-5)
    with pytest.raises(InputError, match="cpt_step is not given"):
        found.predict(schedule="constant:peak_lr=2e-4,steps=6000,warmup=200")
    curve = found.predict(schedule="constant:peak_lr=2e-4,steps=6000,warmup=200", cpt_step=3000)
    before, after = (curve.loc[abs(curve["step"] - at) < 20, "loss"].iloc[0] for at in (2990, 3490))
    assert after > before + 0.01  # the old data's loss rises after the change


def test_continual_needs_its_seam():
    law = find_law("continual")
    with pytest.raises(InputError, match="cpt_step is 0"):
        law.at_steps(np.ones(10), 0, np.arange(10), cpt_step=0)


# ---------------------------------------------------------------- trajectory and critical batch


def kaplan():
    law = find_law("trajectory")
    return law, dict(law.published[0].parameters)


def test_trajectory_solves_its_equation_everywhere():
    optimize = pytest.importorskip("scipy.optimize")
    law, p = kaplan()
    rng = np.random.default_rng(0)
    N, step, batch = (10 ** rng.uniform(*span, 200) for span in ((3, 12), (0, 8), (2, 12)))
    found = law.evaluate({"N": N, "step": step, "batch": batch}, p)

    def gap(L, n, s, b):
        noise = 1 + p["B_star"] / (b * L ** (1 / p["alpha_B"]))
        return (p["N_c"] / n) ** p["alpha_N"] + (p["S_c"] / s * noise) ** p["alpha_S"] - L

    for n, s, b, L in zip(N, step, batch, found, strict=True):
        root = optimize.brentq(gap, 1e-3, 1e9, args=(n, s, b), xtol=1e-14, rtol=1e-14)
        assert root == pytest.approx(L, rel=1e-11)


def test_trajectory_and_critical_batch_are_one_law():
    law, p = kaplan()
    other = find_law("critical-batch")
    step, batch = np.geomspace(1e3, 1e6, 20), np.geomspace(1e4, 1e8, 20)
    loss = law.evaluate({"N": np.full(20, 1e8), "step": step, "batch": batch}, p)
    same = {"S_c": p["S_c"], "L_N": (p["N_c"] / 1e8) ** p["alpha_N"], "alpha_S": p["alpha_S"]}
    same |= {"B_star": p["B_star"], "alpha_B": p["alpha_B"]}
    np.testing.assert_allclose(other.evaluate({"loss": loss, "batch": batch}, same), step, rtol=1e-9)


def trajectories(sizes=(1e6, 1e7, 6e7), batches=(2**16, 2**19, 2**25), noise=0.0):
    law, p = kaplan()
    rng = np.random.default_rng(1)
    steps = np.unique(np.geomspace(3e3, 3e5, 40).astype(int))
    frames = [
        pd.DataFrame({"run": f"{N:g}-{B}", "N": N, "batch": float(B), "step": steps}) for N in sizes for B in batches
    ]
    frame = pd.concat(frames, ignore_index=True)
    exact = law.evaluate({name: frame[name].to_numpy(float) for name in ("N", "step", "batch")}, p)
    return frame.assign(loss=exact * np.exp(noise * rng.normal(size=len(frame))))


def converged():
    _, p = kaplan()
    sizes = np.array([1e6, 1e7, 6e7])
    return pd.DataFrame({"N": sizes, "loss": (p["N_c"] / sizes) ** p["alpha_N"]})


def test_trajectory_constants_come_back_from_curves():
    _, p = kaplan()
    found = sf.fit(trajectories(), "trajectory", points="all", starts=4)
    assert found.status == "converged"
    for name, value in p.items():
        assert found[name] == pytest.approx(value, rel=1e-5)
    noisy = sf.fit(trajectories(noise=0.002), "trajectory", points="all", starts=4)
    assert noisy["alpha_S"] == pytest.approx(p["alpha_S"], rel=0.03)
    assert noisy["B_star"] == pytest.approx(p["B_star"], rel=0.2)


def test_critical_batch_from_curves_of_one_size():
    _, p = kaplan()
    found = sf.fit(trajectories(sizes=(1e7,)), "critical-batch", points="all")
    for name in ("S_c", "alpha_S", "B_star", "alpha_B"):
        assert found[name] == pytest.approx(p[name], rel=1e-5)
    assert found["L_N"] == pytest.approx((p["N_c"] / 1e7) ** p["alpha_N"], rel=1e-8)


def test_stepwise_estimation_agrees_with_the_truth_and_starts_a_joint_fit():
    _, p = kaplan()
    curves = trajectories()
    found = estimate_stepwise(converged(), curves[curves["N"] == 1e7])
    for name, value in found.parameters.items():
        assert value == pytest.approx(p[name], rel=0.01), name
    assert found.doubts == ()
    joint = sf.fit(curves, "trajectory", points="all", start=found.parameters)
    assert joint["B_star"] == pytest.approx(p["B_star"], rel=1e-5)
    at = found.levels.iloc[10]
    assert at["B_crit"] == pytest.approx(float(critical_batch(at["loss"], p["B_star"], p["alpha_B"])), rel=0.01)


def test_stepwise_estimation_corrects_a_largest_batch_that_is_too_small():
    _, p = kaplan()
    curves = trajectories(sizes=(1e7,), batches=(2**16, 2**18, 2**21))
    found = estimate_stepwise(converged(), curves)
    assert abs(found.biased - 1) > 0.05
    assert found.S_c == pytest.approx(p["S_c"], rel=0.01)
    assert "the largest batch is only" in found.doubts[0]


def test_stepwise_estimation_refuses_what_cannot_tell():
    curves = trajectories(sizes=(1e7,))
    with pytest.raises(IdentificationError, match="only one model size"):
        estimate_stepwise(converged()[:1], curves)
    with pytest.raises(IdentificationError, match="1 batch sizes"):
        estimate_stepwise(converged(), curves[curves["batch"] == 2**16])
    with pytest.raises(IdentificationError, match="2 model sizes"):
        estimate_stepwise(converged(), trajectories(sizes=(1e6, 1e7)))
    with pytest.raises(InputError, match='no column "batch"'):
        estimate_stepwise(converged(), curves.drop(columns="batch"))
    with pytest.raises(IdentificationError, match="do not fall with model size"):
        estimate_stepwise(converged().assign(loss=[3.0, 3.1, 3.2]), curves)
    apart = curves[(curves["batch"] > 2**16) | (curves["step"] < 4000)]
    with pytest.raises(IdentificationError, match="every batch size"):
        estimate_stepwise(converged(), apart[(apart["batch"] == 2**16) | (apart["step"] > 1e5)])


def test_steps_and_examples_trade_along_a_hyperbola():
    trade = Tradeoff(S_min=4469.3, B_crit=6.488e5)
    batch = np.geomspace(1e3, 1e9, 13)
    product = (trade.steps(batch) / trade.S_min - 1) * (trade.examples(batch) / trade.E_min - 1)
    np.testing.assert_allclose(product, 1)
    np.testing.assert_allclose(trade.examples(batch), batch * trade.steps(batch))
    again = fit_tradeoff(batch, trade.steps(batch))
    assert (again.S_min, again.B_crit) == pytest.approx((trade.S_min, trade.B_crit))
    assert float(trade.steps(2.0**19)) == pytest.approx(1e4, rel=1e-4)
    with pytest.raises(InputError, match="do not follow"):
        fit_tradeoff([1e5, 1e6], [10, 20])
    with pytest.raises(InputError, match="two or more"):
        fit_tradeoff([1e5], [10])


def test_critical_batch_values():
    assert float(critical_batch(3.0, 2.1e8, 0.21)) == pytest.approx(1.122570e6, rel=5e-7)
    assert float(critical_batch(3.0, 2e8, 0.21)) == pytest.approx(1.069114e6, rel=5e-7)


def test_the_noise_scale_is_unbiased_on_simulated_gradients():
    rng = np.random.default_rng(3)
    signal, noise = np.array([1.0, -0.5, 0.2]), np.array([2.0, 1.0, 3.0])

    def mean_square(batch):
        return np.mean(np.sum((signal + rng.normal(size=(40_000, 3)) * noise / np.sqrt(batch)) ** 2, axis=1))

    found = noise_scale(mean_square(8), mean_square(128), 8, 128)
    assert found.signal == pytest.approx(np.sum(signal**2), rel=0.03)
    assert found.noise == pytest.approx(np.sum(noise**2), rel=0.05)
    with pytest.raises(InputError, match="not increasing"):
        noise_scale(1.0, 1.0, 64, 64)


# ---------------------------------------------------------------- transfer across peaks

PEAKS = commands.SHARED / "epfl_schedules"


def test_relaxed_rate_equals_the_recurrence():
    for lr in (SHAPES["cyclic"][0][:4000], np.array([0.0, 5.0, 0.0, 50.0, 1e-9, 1.0])):
        level, expected = 0.0, []
        for rate in lr:
            level += (1 - np.exp(-rate / 0.1)) * (rate**0.4 - level)
            expected.append(level)
        np.testing.assert_allclose(relaxed_rate(lr, 0.4, 0.1), expected, rtol=1e-12)
    np.testing.assert_allclose(powered_area([0.0, 4.0, 1.0], 0.5), [0, 2, 3])


def test_nothing_relaxes_at_learning_rate_zero():
    lr = np.r_[np.full(3000, 1e-3), np.zeros(3000)]
    law = find_law("annealing-transfer")
    found = law.along(lr, 0)
    assert found["R2"][-1] == pytest.approx(found["R2"][2999])
    assert found["R1"][-1] == found["R1"][2999]
    with pytest.raises(InputError, match="relax"):
        relaxed_rate(lr, 0.5, 0.0)


@cache
def peaks():
    """97 runs of one model at three peak learning rates, after step 3000."""
    runs = pd.read_csv(PEAKS / "runs.csv")
    chosen = runs["run"].str.contains("124m|ann124") & (runs["group"] == "main")
    runs = runs[chosen & runs["peak_lr"].isin([5e-4, 1e-3, 2e-3])]
    losses = pd.read_csv(PEAKS / "val_loss.csv.gz").drop(columns="lr").rename(columns={"val_loss": "loss"})
    frame = losses.merge(runs[["run", "peak_lr"]], on="run")
    return sf.read_runs(frame, schedule=str(PEAKS / "lr_schedule.csv.gz"), warmup=50).where("step > 3000")


@pytest.mark.skipif(not PEAKS.is_dir(), reason="needs ../shared/data/epfl_schedules")
@pytest.mark.parametrize("peak", [5e-4, 2e-3])
def test_a_peak_left_out_is_predicted_within_half_a_percent(peak):
    kept, left_out = peaks().hold_out(f"peak_lr == {peak}")
    found = sf.fit(kept, "annealing-transfer", starts=2)
    assert found.status == "converged"
    assert len(left_out) > 30
    assert found.score(left_out).loc["mean"]["final"] < 0.005
    assert sf.fit(kept, "annealing", starts=2).score(left_out).loc["mean"]["final"] > 0.02


def test_the_areas_of_both_stages_are_of_the_decay_that_was_chosen():
    lr = np.r_[np.full(50, 1e-3), np.linspace(1e-3, 1e-4, 50)]
    stages = find_law("continual:decay=0.9").at_steps(lr, 0, np.arange(100), cpt_step=60)
    first, second = areas(lr[:60], decay=0.9, warmup=0), areas(lr[60:], decay=0.9)
    for name, whole, after in zip(("S1", "S2"), first, second, strict=True):
        assert stages[name][:60] == pytest.approx(whole, rel=1e-12)
        assert stages[f"{name}_cpt"][60:] == pytest.approx(after, rel=1e-12)
