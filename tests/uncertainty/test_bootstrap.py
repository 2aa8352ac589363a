"""Draws: published intervals, optima that no peer beats, known standard errors, the same draws on any machine."""

from __future__ import annotations

import commands
import numpy as np
import pandas as pd
import pytest
from scipy.optimize import least_squares, minimize
from scipy.stats import binom

import scalefit as sf
from scalefit.errors import InputError
from scalefit.fitting.prepare import prepare
from scalefit.solver.solve import Settings, solve
from scalefit.uncertainty.bootstrap import CHUNK, MOST_LEVERAGE, _block_weights
from scalefit.uncertainty.estimate import Estimate
from scalefit.uncertainty.intervals import Resampling, make_intervals

pytestmark = pytest.mark.usefixtures("nothing_kept")  # the second of two equal computations is one

SHARED = commands.SHARED
DELTA = 1e-3
TRUTH = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}


def planted(n=60, noise=0.01, seed=0):
    rng = np.random.default_rng(seed)
    N, D = 10 ** rng.uniform(7, 9.5, n), 10 ** rng.uniform(9, 11.5, n)
    loss = sf.find_law("chinchilla").evaluate({"N": N, "D": D}, TRUTH) * np.exp(noise * rng.standard_normal(n))
    return pd.DataFrame({"N": N, "D": D, "loss": np.ravel(loss)})


@pytest.fixture(scope="module")
def points():
    path = SHARED / "chinchilla_epoch" / "chinchilla_245.csv"
    if not path.exists():
        pytest.skip(f"{path} is not at hand")
    return sf.read_runs(path).where("not excluded_by_epoch")


@pytest.fixture(scope="module")
def resampled(points):
    return sf.fit(points, "chinchilla", delta=DELTA, draws=4000, calibrated=False)


# --- the replication study's points -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "low", "high"), [("alpha", 0.317, 0.373), ("beta", 0.331, 0.415), ("E", 1.769, 1.871)]
)
def test_intervals_of_the_replication_study(resampled, name, low, high):
    """arXiv:2404.10102 resampled the 240 points 4,000 times; its 95 % intervals within 15 % of their width."""
    ours = np.percentile(resampled.draws[name], [2.5, 97.5])
    assert np.abs(ours - [low, high]).max() <= 0.15 * (high - low)


def residuals(theta, N, D, loss):
    A, B, E, alpha, beta = theta
    return np.log(E + A * N**-alpha + B * D**-beta) - np.log(loss)


def huber(r, weights):
    size = np.abs(r)
    return weights @ np.where(size <= DELTA, 0.5 * r * r, DELTA * (size - 0.5 * DELTA))


def weights_of_draws(count, seed=0, blocks=240):
    """The first draws' weights, from the seed as the docstring says they come."""
    stream = np.random.SeedSequence(seed).spawn(4000 // CHUNK)[0]
    return _block_weights(np.random.default_rng(stream), "pairs", CHUNK, blocks)[:count]


def test_no_resample_ends_above_a_cold_start_or_a_peer(points, resampled):
    N, D, loss = (points.table[name].to_numpy(float) for name in ("N", "D", "loss"))
    model = prepare(points, "chinchilla").model
    fitted = [resampled[name] for name in ("A", "B", "E", "alpha", "beta")]
    for weights, (_, draw) in zip(weights_of_draws(6), resampled.draws.iterrows(), strict=False):
        ours = huber(residuals([draw[name] for name in ("A", "B", "E", "alpha", "beta")], N, D, loss), weights)
        cold = solve(model, loss, weights, Settings(delta=DELTA)).cost
        start, tight = np.log(fitted), {"ftol": 1e-15, "xtol": 1e-15, "gtol": 1e-15}
        peer = least_squares(
            lambda z, w=weights: smooth_root(residuals(np.exp(z), N, D, loss), w), start, x_scale="jac", **tight
        )
        theirs = huber(residuals(np.exp(peer.x), N, D, loss), weights)
        assert ours <= min(cold, theirs) * (1 + 1e-9)


def smooth_root(r, weights):
    """Residuals whose squares sum to twice the weighted Huber loss, for a least-squares peer."""
    size = np.abs(r)
    rho = np.where(size <= DELTA, 0.5 * r * r, DELTA * (size - 0.5 * DELTA))
    return np.sign(r) * np.sqrt(2 * weights * rho)


def test_default_tolerances_give_intervals_that_are_too_narrow(points, resampled):
    """L-BFGS-B from the optimum stops almost where it began: the trap that our draws must not share."""
    N, D, loss = (points.table[name].to_numpy(float) for name in ("N", "D", "loss"))
    fitted = [resampled[name] for name in ("A", "B", "E")]
    begin = np.array([*np.log(fitted), resampled["alpha"], resampled["beta"]])

    def objective(z, weights):
        return huber(residuals([*np.exp(z[:3]), *z[3:]], N, D, loss), weights)

    theirs, above = [], 0
    weights = weights_of_draws(100)
    for some, (_, draw) in zip(weights, resampled.draws.iterrows(), strict=False):
        found = minimize(objective, begin, some, method="L-BFGS-B")
        assert found.success
        theirs.append(found.x[3])
        ours = huber(residuals([draw[name] for name in ("A", "B", "E", "alpha", "beta")], N, D, loss), some)
        above += found.fun > ours * (1 + 1e-4)
    assert above >= 95
    assert np.std(resampled.draws["alpha"][:100]) > 1.7 * np.std(theirs)


# --- the machinery ----------------------------------------------------------------------------------------------------


def test_the_seed_decides_not_the_workers():
    pytest.importorskip("joblib")
    runs = planted()
    one, two, other = (
        sf.fit(runs, "chinchilla", draws=2 * CHUNK + 7, seed=seed, workers=workers, calibrated=False).draws
        for seed, workers in ((3, 1), (3, 2), (4, 1))
    )
    pd.testing.assert_frame_equal(one, two, check_exact=True)
    assert len(one) == 2 * CHUNK + 7
    assert not np.allclose(one, other)


@pytest.mark.parametrize(
    ("method", "within"), [("pairs", 0.25), ("bayesian", 0.25), ("wild", 0.15), ("parametric", 0.1)]
)
def test_standard_error_of_a_straight_line(method, within):
    """y = a + b x with normal noise: the standard error of b is sigma / sqrt(sum (x - mean)^2)."""
    rng = np.random.default_rng(5)
    x = np.linspace(1, 2, 80)
    runs = pd.DataFrame({"x": x, "y": 3 + 2 * x + 0.1 * rng.standard_normal(80)})
    found = sf.fit(runs, "y = a + b*x", residuals="linear", loss="squared", draws=400, method=method, calibrated=False)
    left = runs["y"] - found["a"] - found["b"] * x
    sigma = found.sigma if method == "parametric" else np.sqrt(np.sum(left**2) / 78)
    known = sigma / np.sqrt(np.sum((x - x.mean()) ** 2))
    assert found.draws["b"].std() == pytest.approx(known, rel=within)
    assert found.draws["b"].mean() == pytest.approx(found["b"], abs=0.2 * known)


def test_wild_draws_of_few_runs_have_the_variance_hc3():
    """(X'X)^-1 X' diag(r^2 / (1 - h)^2) X (X'X)^-1, with leverages h from 0.1 to 0.5."""
    x = np.array([1.0, 1.1, 1.2, 1.3, 1.5, 1.6, 2.0, 2.5])
    runs = pd.DataFrame({"x": x, "y": 3 + 2 * x + np.random.default_rng(1).standard_normal(8) * x / 10})
    found = sf.fit(runs, "y = a + b*x", residuals="linear", loss="squared", draws=6000, method="wild", calibrated=False)
    X = np.column_stack([np.ones(8), x])
    inverse = np.linalg.inv(X.T @ X)
    pull = np.sum(X @ inverse * X, axis=1)
    assert pull.max() < MOST_LEVERAGE
    left = (runs["y"] - X @ [found["a"], found["b"]]) / (1 - pull)
    known = np.diag(inverse @ (X.T * left.to_numpy() ** 2) @ X @ inverse)
    assert found.draws[["a", "b"]].var().to_numpy() == pytest.approx(known, rel=0.08)


def test_draws_of_thinned_rows_spread_as_those_of_all_rows(monkeypatch):
    """A quarter of the rows spreads twice as far; shrunk by the root of that share it is as wide as all of them."""
    x = np.linspace(1, 2, 800)
    runs = pd.DataFrame({"x": x, "y": 3 + 2 * x + 0.1 * np.random.default_rng(0).standard_normal(800)})
    options = {"residuals": "linear", "loss": "squared", "draws": 400, "method": "pairs", "calibrated": False}
    whole = sf.fit(runs, "y = a + b*x", **options).draws
    monkeypatch.setattr("scalefit.uncertainty.intervals.DRAW_ROWS", 200)
    thinned = sf.fit(runs, "y = a + b*x", **options).draws
    assert thinned.std().to_numpy() == pytest.approx(whole.std().to_numpy(), rel=0.2)


def test_whole_runs_are_resampled_where_there_are_curves():
    """Points of one run share their run's error: thirty copies of each run are no more evidence than one."""
    runs = planted(40)
    copies = pd.concat([runs.assign(run=[f"r{i}" for i in range(40)], step=k) for k in range(1, 31)])
    one = sf.fit(runs, "chinchilla", delta=0.01, draws=200, calibrated=False)
    many = sf.fit(copies, "chinchilla", delta=0.01, points="all", draws=200, calibrated=False)
    assert many["alpha"] == pytest.approx(one["alpha"], rel=1e-6)
    assert many.draws["alpha"].std() == pytest.approx(one.draws["alpha"].std(), rel=0.3)


def test_an_unknown_method_is_refused():
    with pytest.raises(InputError, match="pairs, bayesian, wild, parametric"):
        sf.fit(planted(), "chinchilla", draws=20, method="jackknife")


def test_planted_parameters_lie_inside_their_intervals():
    """A small version of benchmarks/coverage.py synthetic: the count of 30 lies where 90 % coverage puts it."""
    inside = pd.DataFrame([inside_of(planted(60, seed=seed), seed == 0) for seed in range(30)]).sum()
    low, high = binom.ppf([0.0005, 0.9995], 30, 0.9)
    assert inside.between(low, high).all(), inside.to_dict()


def inside_of(runs, compare):
    """Whether the planted numbers lie inside, without the diagnoses of a fit; the fit's own intervals are the same."""
    ready = prepare(sf.read_runs(runs), "chinchilla")
    found = solve(ready.model, ready.values, ready.weights, ready.settings)
    bound = (ready.law, ready.model, ready.rows, ready.weights, found, ready.settings)
    intervals = make_intervals(*bound, Resampling(60), calibrated=False)
    values = dict(zip(ready.law.parameters, ready.model.vector(found.theta[None])[0], strict=True))
    ends = intervals.parameter_intervals(values)
    kept = {name: ends[name][0] <= TRUTH[name] <= ends[name][1] for name in ("E", "alpha", "beta")}
    at = {"N": np.array([3e10]), "D": np.array([1e12])}
    low, high = intervals.at(Estimate(ready.law, values, True, found.sigma), at, 0.9, "mean")
    true = float(np.ravel(ready.law.evaluate(at, TRUTH))[0])
    if compare:
        fit = sf.fit(runs, "chinchilla", draws=60, calibrated=False)
        assert fit.table.loc[list(ends), ["low", "high"]].to_numpy() == pytest.approx(np.array(list(ends.values())))
        predicted = fit.predict(N=3e10, D=1e12, interval="mean").iloc[0]
        assert (predicted["low"], predicted["high"]) == pytest.approx((low[0], high[0]))
    return {**kept, "loss": low[0] <= true <= high[0]}
