"""What comes back: published optima on real points and curves, planted truths, answers that bad runs do not move."""

from __future__ import annotations

from itertools import product

import commands
import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.diagnosis.checks import find_outliers
from scalefit.fitting.prepare import Options, prepare
from scalefit.schedules import areas, parse_schedule
from scalefit.solver.many import solve_each
from scalefit.solver.objective import Objective
from scalefit.uncertainty.estimate import Estimate

SHARED = commands.SHARED
TRUTHS = {
    "hoffmann": {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28},
    "another": {"E": 0.62, "A": 35.0, "B": 2200.0, "alpha": 0.25, "beta": 0.41},
}


def shared(*parts):
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"{path} is not at hand")
    return path


@pytest.fixture(scope="module")
def chinchilla_points():
    return sf.read_runs(shared("chinchilla_epoch", "chinchilla_245.csv"))


# --- the replication study's points -----------------------------------------------------------------------------------


def test_the_240_points(chinchilla_points):
    """arXiv:2404.10102: to four digits of the optimum, at an objective no higher than it."""
    found = sf.fit(chinchilla_points.where("not excluded_by_epoch"), "chinchilla", delta=1e-3)
    assert found.rows == 240
    assert found.cost <= 1.018275e-3
    expected = {"E": 1.817218, "A": 477.826, "B": 2143.417, "alpha": 0.3473105, "beta": 0.3671724}
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-4)
    assert found.status == "converged"
    assert found.starts.agree == found.starts.count == 8


def test_the_original_constants_explain_the_240_points_less(chinchilla_points):
    """arXiv:2203.15556, unrounded from its sources and as printed: their objective on the same points."""
    points = chinchilla_points.where("not excluded_by_epoch")
    logs = dict(zip("EAB", np.exp([0.5267228, 6.0073404, 6.0179186]), strict=True))
    unrounded = {**logs, "alpha": 0.33917084, "beta": 0.2849083}
    printed = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}
    for constants, objective in ((unrounded, 1.231163e-3), (printed, 4.121009e-3)):
        at = {name: points.table[name].to_numpy() for name in ("N", "D")}
        residuals = np.log(sf.find_law("chinchilla").evaluate(at, constants)) - np.log(points.table["loss"].to_numpy())
        assert np.sum(Objective("log", "huber", 1e-3).rho(residuals)) == pytest.approx(objective, rel=1e-6)


def test_all_245_points(chinchilla_points):
    """Five undertrained points move beta by a quarter; they are the outliers that are named."""
    found = sf.fit(chinchilla_points, "chinchilla", delta=1e-3)
    assert found.cost == pytest.approx(1.826010523e-3, rel=1e-8)
    expected = {"E": 1.891338, "A": 495.726, "B": 12845.6, "alpha": 0.349313, "beta": 0.453049}
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-4)
    assert found.starts.agree == found.starts.count
    named = [outlier.run for outlier in found.outliers]
    assert named[:2] == ["pt001", "pt000"]
    assert "row 3" in found.outliers[0].place


def hoffmann_starts():
    """The 4,500 starts of arXiv:2203.15556: alpha, beta in {0 .. 2}, e in {-1 .. 1}, a, b in {0 .. 25}."""
    half, five = np.arange(0, 2.5, 0.5), np.arange(0, 30, 5)
    grid = np.array(list(product(np.exp(np.arange(-1, 1.5, 0.5)), np.exp(five), np.exp(five), half, half)))
    return pd.DataFrame(grid, columns=["E", "A", "B", "alpha", "beta"])


def share_at_optimum(runs, starts):
    found = sf.fit(runs, "chinchilla", delta=1e-3, start=starts)
    assert found.cost == pytest.approx(1.0182740e-3, rel=1e-6)
    assert found.starts.count == len(starts)
    assert found.starts.agree + sum(found.starts.lost.values()) == len(starts)
    return found.starts.agree / found.starts.count


def test_the_literal_starts_reach_the_optimum(chinchilla_points):
    runs = chinchilla_points.where("not excluded_by_epoch")
    assert share_at_optimum(runs, hoffmann_starts().iloc[::13]) >= 0.98


@pytest.mark.slow
def test_the_4500_literal_starts_reach_the_optimum(chinchilla_points):
    assert len(hoffmann_starts()) == 4500
    every_fourth = hoffmann_starts()[::4]
    assert share_at_optimum(chinchilla_points.where("not excluded_by_epoch"), every_fourth) >= 0.98


def test_a_start_that_dies_into_a_sub_model_is_named():
    """Data whose best fit has no data term: starts and optimum say so by name."""
    rng = np.random.default_rng(0)
    N, D = 10 ** rng.uniform(7, 10, 60), 10 ** rng.uniform(9, 12, 60)
    loss = (1.7 + 400 * N**-0.34) * np.exp(0.01 * rng.standard_normal(60)) + 0.05 * np.log10(D / 1e9)
    found = sf.fit(pd.DataFrame({"N": N, "D": D, "loss": loss}), "chinchilla")
    assert found.status == "at a bound"
    assert any(check.text.startswith("B ended at its lower bound 0") for check in found.warnings)
    assert found.table.loc["B", "state"] == "at bound"


# --- loss curves under schedules --------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", ["25M", "100M"])
@pytest.mark.parametrize("delta", ["auto", 1e-3])
def test_annealing_predicts_six_unseen_schedules(size, delta):
    folder = shared("mpl_schedules")
    runs = sf.read_runs(folder / f"loss_curves_{size}.csv", schedule=folder / "lr_schedules_per_step.csv.gz")
    found = sf.fit(runs.where("split == 'fit'"), "annealing", delta=delta)
    assert found.status == "converged"
    assert found.runs == 3
    score = found.score(runs.where("split == 'predict'"))
    assert len(score) == 7
    assert score.loc["mean", "r2"] >= 0.9977
    assert score.loc["mean", "mae"] <= 0.0048


def test_annealing_gives_the_reference_fit_of_the_real_curves():
    """Constants and per-curve mean errors of the reference fit (real warm-up area, Huber 1e-3 on log loss)."""
    folder = shared("mpl_schedules")
    runs = sf.read_runs(folder / "loss_curves_25M.csv", schedule=folder / "lr_schedules_per_step.csv.gz")
    found = sf.fit(runs.where("split == 'fit'"), "annealing", delta=1e-3)
    for name, value in {"L0": 3.1583, "A": 0.5136, "C": 0.4019, "alpha": 0.5134}.items():
        assert found[name] == pytest.approx(value, abs=6e-5)
    mean = found.score(runs.where("split == 'predict'")).loc["mean"]
    assert mean["r2"] == pytest.approx(0.99793, abs=6e-6)
    assert mean["mae"] == pytest.approx(0.00477, abs=6e-6)
    assert mean["rmse"] == pytest.approx(0.00622, abs=6e-6)
    assert mean["mean_relative"] == pytest.approx(0.00141, abs=6e-6)
    assert mean["worst_relative"] == pytest.approx(0.00542, abs=6e-6)


def test_annealing_on_the_papers_own_points():
    """arXiv:2408.11029: 2.628 + 0.429 S1^-0.550 - 0.411 S2 with the warm-up at the peak learning rate."""
    plan = "peak_lr=2e-4,steps=20000,warmup=500"
    runs = sf.read_runs(
        shared("annealing_tissue", "loss_curves.csv"),
        schedule={"cosine": f"cosine:{plan},final=0", "constant": f"constant:{plan}"},
    )
    found = sf.fit(runs, "annealing:warmup=peak", delta=1e-3)
    for name, value in {"L0": 2.6278, "A": 0.42967, "C": 0.41077, "alpha": 0.54985}.items():
        assert found[name] == pytest.approx(value, rel=2e-5)
    measured = np.concatenate([runs.curves["loss"]])
    predicted = found.predict(runs)["loss"].to_numpy()
    assert found.cost == pytest.approx(1.629246e-5, rel=1e-6)
    r2 = 1 - np.sum((predicted - measured) ** 2) / np.sum((measured - measured.mean()) ** 2)
    assert r2 == pytest.approx(0.999634, abs=6e-7)
    assert np.max(np.abs(predicted / measured - 1)) == pytest.approx(0.0043, abs=6e-5)
    assert np.mean(np.abs(predicted / measured - 1)) == pytest.approx(0.00074, abs=1e-5)
    real = sf.fit(runs, "annealing", delta=1e-3)
    assert real["L0"] != pytest.approx(found["L0"], abs=1e-4), "the warm-up convention matters"


def curves(truth, schedules, peak_lr=3e-4, warmup=200, every=37, sizes=(None,)):
    """A log of planted annealing curves, areas summed step by step in a plain loop."""
    rows = []
    for text, N in product(schedules, sizes):
        lr = parse_schedule(f"{text},peak_lr={peak_lr},warmup={warmup}").per_step()
        S1, S2, momentum = np.cumsum(lr), np.zeros(len(lr)), 0.0
        for i in range(1, len(lr)):
            momentum = 0.999 * momentum + (lr[i - 1] - lr[i] if i > warmup else 0.0)
            S2[i] = S2[i - 1] + momentum
        steps = np.arange(warmup + 1, len(lr), every)
        size, gain = (
            (0.0, 1.0) if N is None else (truth["F"] * (N / 1e6) ** -truth["beta"], (N / 1e6) ** truth["gamma"])
        )
        loss = truth["L0"] + truth["A"] * S1[steps] ** -truth["alpha"] - truth["C"] * S2[steps] * gain + size
        log = {"run": f"{text} {N}", "step": steps, "loss": loss}
        rows.append(pd.DataFrame(log if N is None else {**log, "N": N}))
    return pd.concat(rows, ignore_index=True)


SCHEDULES = ("constant:steps=3000", "cosine:steps=3000,final=3e-5", "wsd:steps=2400,decay_steps=500,final=0")


@pytest.mark.parametrize(
    "truth",
    [
        {"L0": 2.6, "A": 0.43, "C": 0.41, "alpha": 0.55},
        {"L0": 1.2, "A": 1.1, "C": 0.15, "alpha": 0.21},
    ],
)
def test_annealing_comes_back_from_sparse_rows(truth):
    """Rows 37 steps apart, areas of every step: to 1e-6 from default starts; and a schedule never seen is predicted."""
    log = curves(truth, SCHEDULES)
    plans = {run: f"{run.rsplit(' ', 1)[0]},peak_lr=3e-4,warmup=200" for run in log["run"].unique()}
    found = sf.fit(sf.read_runs(log, schedule=plans), "annealing")
    for name, value in truth.items():
        assert found[name] == pytest.approx(value, rel=1e-6)
    assert found.status == "converged"
    unseen = "linear:peak_lr=3e-4,steps=4000,warmup=200,final=1e-5"
    S1, S2 = areas(parse_schedule(unseen).per_step(), warmup=200)
    last = found.predict(schedule=unseen)["loss"].iloc[-1]
    assert last == pytest.approx(truth["L0"] + truth["A"] * S1[-1] ** -truth["alpha"] - truth["C"] * S2[-1], rel=1e-9)


def test_annealing_size_comes_back():
    truth = {"L0": 1.829, "A": 0.504, "alpha": 0.537, "C": 0.09, "gamma": 0.235, "F": 3.072, "beta": 0.195}
    log = curves(truth, SCHEDULES, sizes=(5e7, 2e8, 1e9), every=61)
    plans = {run: f"{run.rsplit(' ', 1)[0]},peak_lr=3e-4,warmup=200" for run in log["run"].unique()}
    found = sf.fit(sf.read_runs(log, schedule=plans), "annealing-size")
    for name, value in truth.items():
        assert found[name] == pytest.approx(value, rel=1e-6)


# --- bad runs ---------------------------------------------------------------------------------------------------------


def loss_of(N, D, truth):
    return truth["E"] + truth["A"] * N ** -truth["alpha"] + truth["B"] * D ** -truth["beta"]


def optimal_size(C, t):
    G = (t["alpha"] * t["A"] / (t["beta"] * t["B"])) ** (1 / (t["alpha"] + t["beta"]))
    return G * (C / 6) ** (t["beta"] / (t["alpha"] + t["beta"]))


def isoflop(truth):
    """60 runs: six budgets over one and a half decades, ten sizes each within a factor 4 of the optimum."""
    C = np.repeat(np.geomspace(1e18, 3e19, 6), 10)
    N = optimal_size(C, truth) * np.tile(np.geomspace(1 / 4, 4, 10), 6)
    return N, C / 6 / N


def optima_alone(tables, law, **options):
    """What fits find and whom they call outliers, without their other diagnoses: all tables are fitted as one batch."""
    ready = [prepare(sf.read_runs(table), law, Options(**options)) for table in tables]
    models, values, weights = ([getattr(each, name) for each in ready] for name in ("model", "values", "weights"))
    for each, found in zip(ready, solve_each(models, values, weights, ready[0].settings), strict=True):
        vector = each.model.vector(found.theta[None])[0]
        outliers = find_outliers(each.rows, each.runs, found.objective, found.residuals, found.sigma)
        constants = dict(zip(each.law.parameters, vector, strict=True))
        yield Estimate(each.law, constants, log=True, sigma=found.sigma), outliers


def extrapolation_errors(truth, bad, seeds=20, **options):
    """Relative errors (%) at 35 times the largest budget, and for each seed the outliers and which rows were bad."""
    N, D = isoflop(truth)
    far = 35 * 3e19
    big = optimal_size(far, truth) * np.geomspace(0.5, 2, 5)
    true = loss_of(big, far / 6 / big, truth)
    tables, planted = [], []
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        loss = loss_of(N, D, truth) * np.exp(0.01 * rng.standard_normal(60))
        rows = rng.choice(60, bad, replace=False)
        raised = rng.uniform(0.05, 0.5, bad)
        loss[rows] *= 1 + raised
        tables.append(pd.DataFrame({"run": [f"r{i}" for i in range(60)], "N": N, "D": D, "loss": loss}))
        planted.append({f"r{i}": size for i, size in zip(rows, raised, strict=True)})
    found = list(optima_alone(tables, "chinchilla", **options))
    errors = [estimate.value({"N": big, "D": far / 6 / big}) / true - 1 for estimate, _ in found]
    if not options:  # the whole fit of the last table is the same
        whole = sf.fit(tables[-1], "chinchilla")
        assert whole.parameters == pytest.approx(found[-1][0].parameters, rel=1e-5)
        assert [outlier.run for outlier in whole.outliers] == [outlier.run for outlier in found[-1][1]]
    named = [(outliers, bad) for (_, outliers), bad in zip(found, planted, strict=True)]
    return 100 * float(np.sqrt(np.mean(np.square(errors)))), named


@pytest.mark.parametrize(("name", "most"), [("hoffmann", 2.3), ("another", 2.6)])
def test_five_percent_bad_runs_hardly_move_the_extrapolation(name, most):
    truth = TRUTHS[name]
    error, told = extrapolation_errors(truth, bad=3)
    assert error <= most
    clean, _ = extrapolation_errors(truth, bad=0)
    squared, _ = extrapolation_errors(truth, bad=3, seeds=6, loss="squared")
    assert error <= 1.2 * clean
    assert squared > 3 * error
    for outliers, bad in told:
        named = {outlier.run for outlier in outliers}
        assert {run for run, raised in bad.items() if raised > 0.08} <= named
        assert len(named - set(bad)) <= 1
        assert all(outlier.sigmas > 5 for outlier in outliers if outlier.run in bad)


def test_one_diverged_run_moves_nothing():
    """A loss of 11, 1e8 or 1e-8 in one row of 60 leaves the exponents where the other 59 put them."""
    truth = TRUTHS["hoffmann"]
    N, D = isoflop(truth)
    loss = loss_of(N, D, truth) * np.exp(0.002 * np.random.default_rng(2).standard_normal(60))
    table = pd.DataFrame({"N": N, "D": D, "loss": loss})
    without = sf.fit(table.drop(index=17), "chinchilla")
    for wrong in (11.0, 1e8, 1e-8):
        found = sf.fit(table.assign(loss=table["loss"].where(table.index != 17, wrong)), "chinchilla")
        assert found["alpha"] == pytest.approx(without["alpha"], abs=0.03)
        assert found["beta"] == pytest.approx(without["beta"], abs=0.03)
        assert "row 17" in found.outliers[0].place


# --- other truths -----------------------------------------------------------------------------------------------------

ODD = {
    "steep": {"E": 1.8, "A": 1e10, "B": 5e4, "alpha": 1.3, "beta": 0.5},
    "very steep": {"E": 1.69, "A": 406.4, "B": 1e30, "alpha": 0.34, "beta": 3.1},
    "flat": {"E": 2.0, "A": 0.4, "B": 410.0, "alpha": 0.02, "beta": 0.28},
    "no floor": {"E": 0.0, "A": 50.0, "B": 400.0, "alpha": 0.2, "beta": 0.28},
}


@pytest.mark.parametrize("truth", [*TRUTHS.values(), *ODD.values()], ids=[*TRUTHS, *ODD])
@pytest.mark.parametrize("options", [{}, {"loss": "soft_l1"}, {"residuals": "linear", "loss": "squared"}])
def test_planted_surfaces_come_back(truth, options):
    N, D = (grid.ravel() for grid in np.meshgrid(np.geomspace(1e7, 1e10, 6), np.geomspace(1e9, 1e12, 6)))
    table = pd.DataFrame({"N": N, "D": D, "loss": loss_of(N, D, truth)})
    for law in ("chinchilla", "E + A*N**-alpha + B*D**-beta"):
        found = sf.fit(table, law, starts=4, **options)
        for name, value in truth.items():
            assert found[name] == pytest.approx(value, rel=1e-6, abs=1e-9), (law, name)
        assert found.converged


@pytest.mark.parametrize("unit", [1e-12, 1e-3, 1e6, 1e20])
def test_units_of_the_variables_change_no_prediction(unit):
    truth = TRUTHS["another"]
    N, D = isoflop(truth)
    loss = loss_of(N, D, truth) * np.exp(0.01 * np.random.default_rng(4).standard_normal(60))
    plain = sf.fit(pd.DataFrame({"N": N, "D": D, "loss": loss}), "chinchilla")
    scaled = sf.fit(pd.DataFrame({"N": N * unit, "D": D / unit, "loss": loss}), "chinchilla")
    assert scaled["alpha"] == pytest.approx(plain["alpha"], rel=1e-5)
    assert scaled["A"] == pytest.approx(plain["A"] * unit ** plain["alpha"], rel=1e-3)
    here, there = plain.predict(N=7e9, D=2e12), scaled.predict(N=7e9 * unit, D=2e12 / unit)
    assert there["loss"][0] == pytest.approx(here["loss"][0], rel=1e-7)


@pytest.mark.parametrize("unit", [1e-9, 1e9])
@pytest.mark.parametrize("residuals", ["log", "linear"])
def test_units_of_the_loss_scale_the_answer(unit, residuals):
    truth = TRUTHS["hoffmann"]
    N, D = isoflop(truth)
    loss = loss_of(N, D, truth) * np.exp(0.01 * np.random.default_rng(5).standard_normal(60))
    plain = sf.fit(pd.DataFrame({"N": N, "D": D, "loss": loss}), "chinchilla", residuals=residuals)
    scaled = sf.fit(pd.DataFrame({"N": N, "D": D, "loss": loss * unit}), "chinchilla", residuals=residuals)
    assert scaled["E"] == pytest.approx(plain["E"] * unit, rel=1e-5)
    assert scaled["beta"] == pytest.approx(plain["beta"], rel=1e-5)
    assert scaled.starts.agree == plain.starts.agree
    assert scaled.status == plain.status == "converged"


X = np.linspace(1, 100, 60)
WIDE = np.geomspace(1e6, 1e11, 60)


@pytest.mark.parametrize(
    ("formula", "x", "truth"),
    [
        ("a + b*exp(-k*x)", X, {"a": 1.0, "b": 2.0, "k": 0.001}),
        ("a + b*exp(-k*x)", X, {"a": 1.0, "b": 2.0, "k": 3.0}),
        ("a + b*exp(k*x)", X, {"a": 1.0, "b": 2.0, "k": 0.1}),
        ("a + b*exp(-k*x) + c*exp(-m*x)", X, {"a": 1.0, "b": 2.0, "k": 0.02, "c": 3.0, "m": 0.3}),
        ("a + b/(1 + (x/c)**g)", X, {"a": 1.0, "b": 2.0, "c": 20.0, "g": 1.7}),
        ("a + b/(1 + (x/c)**g)", WIDE, {"a": 1.0, "b": 2.0, "c": 2e8, "g": 0.7}),
        ("(c/x)**a", WIDE, {"c": 8.8e13, "a": 0.076}),
        ("a + b*x**k", X - 1, {"a": 1.0, "b": 2.0, "k": 0.7}),
        ("a + b*x**k", WIDE, {"a": 1.0, "b": 2.0, "k": -0.3}),
        ("a + b*abs(x - c)", X, {"a": 1.0, "b": 0.1, "c": 40.3}),
    ],
)
def test_formulas_need_no_start(formula, x, truth):
    """Rates and scales of unknown size and sign are found from the size of the variables alone."""
    from scalefit.expressions import parse

    found = sf.fit(pd.DataFrame({"x": x, "loss": parse(formula)({"x": x, **truth})}), formula)
    if found.law.name.count("exp") == 2 and found["k"] > found["m"]:  # two terms of one kind may trade places
        truth = {"a": 1.0, "b": 3.0, "k": 0.3, "c": 2.0, "m": 0.02}
    for name, value in truth.items():
        assert found[name] == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize(
    "options", [{}, {"residuals": "linear"}, {"fix": {"C": 0.3}}, {"bounds": {"alpha": (None, 0.4)}}]
)
def test_a_streamed_log_gives_the_optimum_of_all_its_rows(monkeypatch, options):
    """Also where the thinned sample misleads: the first steps of a run without warm-up weigh more than all others."""
    rng, logs, n = np.random.default_rng(0), [], 20_000
    for run, lr in (("a", np.full(n, 1e-3)), ("b", np.linspace(1e-3, 1e-4, n))):
        S1, S2 = areas(lr)
        loss = (2.5 + 0.5 * S1**-0.5 - 0.3 * S2) * np.exp(0.02 * rng.standard_normal(n))
        logs.append(pd.DataFrame({"run": run, "step": np.arange(n), "lr": lr, "loss": loss}))
    runs = sf.read_runs(pd.concat(logs, ignore_index=True))
    whole = sf.fit(runs, "annealing", **options)
    monkeypatch.setattr("scalefit.rows.gather.STREAM_ROWS", 1000)
    monkeypatch.setattr("scalefit.rows.gather.SAMPLE_ROWS", 800)
    streamed = sf.fit(runs, "annealing", delta=whole.delta, **options)
    assert any("streamed" in note for note in streamed.notes)
    assert streamed.rows == whole.rows
    assert streamed.converged
    assert streamed.cost == pytest.approx(whole.cost, rel=1e-7)
    for name, value in whole.parameters.items():
        assert streamed[name] == pytest.approx(value, rel=1e-3)
    assert streamed.status == whole.status
