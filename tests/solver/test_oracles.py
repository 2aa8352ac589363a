"""Other people's optimisers on the same objective: scalefit's is never above theirs.

On real points and curves where they are at hand, and on data planted here.
"""

from __future__ import annotations

import commands
import lmfit
import numpy as np
import pandas as pd
import pytest
from scipy.optimize import curve_fit, least_squares, minimize

import scalefit as sf
from scalefit.rows.gather import gather

SHARED = commands.SHARED
STARTS = 6


def shared(*parts):
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"{path} is not at hand")
    return path


def replication_points():
    return sf.read_runs(shared("chinchilla_epoch", "chinchilla_245.csv")), "chinchilla"


def repeated_data_runs():
    return sf.read_runs(shared("datablations", "published_fit_182.csv")), "chinchilla"


def one_corpus():
    return sf.read_runs(shared("marin_isoflop", "isoflop_comma.csv")), "chinchilla"


def annealed_curves():
    folder = shared("mpl_schedules")
    runs = sf.read_runs(folder / "loss_curves_100M.csv", schedule=folder / "lr_schedules_per_step.csv.gz")
    return runs.where("split == 'fit' and (step < 6000 or step > 21000)"), "annealing"


def curves_of_the_paper():
    plan = "peak_lr=2e-4,steps=20000,warmup=500"
    schedules = {"cosine": f"cosine:{plan},final=0", "constant": f"constant:{plan}"}
    return sf.read_runs(shared("annealing_tissue", "loss_curves.csv"), schedule=schedules), "annealing:warmup=peak"


def planted(seed=0):
    rng = np.random.default_rng(seed)
    N, D = 10 ** rng.uniform(7, 10, 80), 10 ** rng.uniform(9, 12, 80)
    loss = (0.62 + 35 * N**-0.25 + 2200 * D**-0.41) * np.exp(0.01 * rng.standard_t(2.5, 80))
    return sf.read_runs(pd.DataFrame({"N": N, "D": D, "loss": loss})), "chinchilla"


SETS = {
    "planted": planted,
    "replication points": replication_points,
    "repeated data": repeated_data_runs,
    "one corpus": one_corpus,
    "annealed curves": annealed_curves,
    "curves of the paper": curves_of_the_paper,
}
each_set = pytest.mark.parametrize("data", SETS.values(), ids=[name.replace(" ", "-") for name in SETS])


class Peer:
    """The same residuals, in the logarithms of the parameters, for optimisers that know nothing of scalefit."""

    def __init__(self, fit, runs, space="log"):
        rows = gather(fit.law, runs)
        self.law, self.names = fit.law, list(fit.parameters)
        self.variables, self.values, self.space = rows.variables, rows.values, space
        rng = np.random.default_rng(0)
        at = np.log(np.maximum([fit.parameters[name] for name in self.names], 1e-3))
        self.starts = [at + rng.normal(0, 0.5, len(at)) for _ in range(STARTS - 1)] + [at + 1e-3]

    def __call__(self, logs):
        with np.errstate(all="ignore"):
            predicted = self.law.evaluate(self.variables, dict(zip(self.names, np.exp(logs), strict=True)))
            r = np.log(predicted / self.values) if self.space == "log" else predicted - self.values
        return np.where(np.isfinite(r), r, 1e3)


@each_set
@pytest.mark.parametrize(
    ("loss", "space", "delta"),
    [("huber", "log", 1e-3), ("huber", "log", 1e-2), ("soft_l1", "log", 3e-3), ("squared", "linear", 1.0)],
)
def test_never_above_scipy_least_squares(data, loss, space, delta):
    runs, law = data()
    found = sf.fit(runs, law, loss=loss, residuals=space, delta=delta)
    peer = Peer(found, runs, space)
    name = {"squared": "linear"}.get(loss, loss)
    options = {"loss": name, "f_scale": delta, "xtol": 1e-15, "ftol": 1e-15, "gtol": 1e-15, "max_nfev": 300}
    costs = [least_squares(peer, start, **options).cost for start in peer.starts]
    assert found.cost <= min(costs) * (1 + 1e-9)
    assert found.cost >= min(costs) * (1 - 1e-3), "the same objective, and the last start begins at the optimum"


@each_set
def test_never_above_scipy_lbfgsb_from_many_starts(data):
    runs, law = data()
    found = sf.fit(runs, law, delta=1e-3)
    peer = Peer(found, runs)

    def objective(logs):
        size = np.abs(peer(logs))
        return 1e6 * float(np.sum(np.where(size <= 1e-3, size**2 / 2, 1e-3 * (size - 0.5e-3))))

    costs = [minimize(objective, start, method="L-BFGS-B", options={"ftol": 1e-15}).fun / 1e6 for start in peer.starts]
    assert found.cost <= min(costs) * (1 + 1e-9)


@each_set
def test_never_above_lmfit(data):
    runs, law = data()
    found = sf.fit(runs, law, delta=1e-3)
    peer = Peer(found, runs)
    costs = []
    for start in peer.starts[-3:]:
        parameters = lmfit.Parameters()
        for name, value in zip(peer.names, start, strict=True):
            parameters.add(name, value=value, min=-40, max=40)
        result = lmfit.minimize(
            lambda p: peer(np.array([p[name].value for name in peer.names])),
            parameters,
            method="least_squares",
            loss="huber",
            f_scale=1e-3,
            max_nfev=2000,
        )
        r = np.abs(peer(np.array([result.params[name].value for name in peer.names])))
        costs.append(float(np.sum(np.where(r <= 1e-3, r**2 / 2, 1e-3 * (r - 0.5e-3)))))
    assert found.cost <= min(costs) * (1 + 1e-9)


def test_squared_linear_residuals_are_curve_fit():
    runs, law = planted(1)
    found = sf.fit(runs, law, loss="squared", residuals="linear")
    table = runs.table

    def surface(x, E, a, b, alpha, beta):
        return E + np.exp(a - alpha * np.log(x[0])) + np.exp(b - beta * np.log(x[1]))

    start = [found["E"], np.log(found["A"]), np.log(found["B"]), found["alpha"], found["beta"]]
    at = (table["N"].to_numpy(), table["D"].to_numpy())
    best, _ = curve_fit(surface, at, table["loss"].to_numpy(), p0=np.multiply(start, 1.05), xtol=1e-15, ftol=1e-15)
    np.testing.assert_allclose(start, best, rtol=1e-5)


@pytest.mark.parametrize("loss", ["huber", "soft_l1", "squared"])
def test_a_weight_of_two_is_a_row_twice(loss):
    table = planted(2)[0].table[["N", "D", "loss"]].assign(w=np.tile([1.0, 2.0, 0.0, 3.0], 20))
    rows = np.repeat(np.arange(80), table["w"].astype(int))
    weighted = sf.fit(table, "chinchilla", weights="w", loss=loss, delta=5e-3)
    repeated = sf.fit(table.iloc[rows].reset_index(drop=True), "chinchilla", loss=loss, delta=5e-3)
    assert weighted.cost == pytest.approx(repeated.cost, rel=1e-9)
    for name, value in repeated.parameters.items():
        assert weighted[name] == pytest.approx(value, rel=1e-5)
    assert weighted.rows == 60


def test_a_row_of_weight_zero_is_no_row():
    table = planted(3)[0].table[["N", "D", "loss"]].assign(w=1.0)
    table.loc[5, ["loss", "w"]] = [900.0, 0.0]
    without = sf.fit(table.drop(index=5), "chinchilla")
    weighted = sf.fit(table, "chinchilla", weights="w")
    assert weighted.parameters == without.parameters
    assert weighted.sigma == without.sigma
    assert weighted.outliers == without.outliers


# --- settings that lmfit has too --------------------------------------------------------------------------------------


def by_lmfit(runs, change):
    """lmfit's least squares of log residuals, from several starts; ``change`` edits its Parameters."""
    table, best = runs.table, None
    N, D, loss = (table[name].to_numpy() for name in ("N", "D", "loss"))

    def residuals(p):
        v = p.valuesdict()
        return np.log(v["E"] + np.exp(v["logA"] - v["alpha"] * np.log(N)) + v["B"] * D ** -v["beta"]) - np.log(loss)

    for alpha, beta in ((0.2, 0.4), (0.35, 0.35), (0.3, 0.5)):
        p = lmfit.Parameters()
        p.add("E", value=0.7, min=0)
        p.add("logA", value=3.5)
        p.add("B", value=1000.0, min=0)
        p.add("alpha", value=alpha, min=0, max=5)
        p.add("beta", value=beta, min=0, max=5)
        change(p)
        result = lmfit.minimize(residuals, p, method="least_squares", xtol=1e-15, ftol=1e-15, gtol=1e-15)
        cost = 0.5 * float(np.sum(np.square(residuals(result.params))))
        if best is None or cost < best[0]:
            best = (cost, result.params.valuesdict())
    return best


SETTINGS = {
    "fix": ({"fix": {"E": 0.8}}, lambda p: p["E"].set(value=0.8, vary=False)),
    "fix exponent": ({"fix": {"beta": 0.45}}, lambda p: p["beta"].set(value=0.45, vary=False)),
    "tie": ({"tie": {"beta": "alpha"}}, lambda p: p["beta"].set(expr="alpha")),
    "tie with numbers": ({"tie": {"beta": "1.5*alpha + 0.02"}}, lambda p: p["beta"].set(expr="1.5*alpha + 0.02")),
    "tie linear": ({"tie": {"B": "40*A"}}, lambda p: p["B"].set(expr="40*exp(logA)")),
    "tie to both kinds": ({"tie": {"B": "1000*(1 + alpha)"}}, lambda p: p["B"].set(expr="1000*(1 + alpha)")),
    "bound exponent": ({"bounds": {"alpha": (None, 0.2)}}, lambda p: p["alpha"].set(value=0.15, max=0.2)),
    "bound floor below": ({"bounds": {"E": (0.9, None)}}, lambda p: p["E"].set(value=1.0, min=0.9)),
    "bound floor above": ({"bounds": {"E": (None, 0.3)}}, lambda p: p["E"].set(value=0.2, max=0.3)),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_fixed_tied_and_bounded_as_in_lmfit(name):
    options, change = SETTINGS[name]
    runs, law = planted(4)
    found = sf.fit(runs, law, loss="squared", **options)
    cost, values = by_lmfit(runs, change)
    assert found.cost <= cost * (1 + 1e-9)
    assert found.cost == pytest.approx(cost, rel=1e-5)
    for parameter in ("E", "alpha", "beta"):
        assert found[parameter] == pytest.approx(values[parameter], rel=2e-2)
    if name.startswith("bound"):
        assert found.status == "at a bound"


def test_lmfit_parameters_are_taken_as_they_are():
    p = lmfit.Parameters()
    p.add("E", value=0.7, min=0.5, max=0.8)
    p.add("A", value=30.0, min=0)
    p.add("B", value=2000.0, min=0)
    p.add("alpha", value=0.3, min=0, max=1)
    p.add("beta", expr="alpha + 0.1")
    runs, law = planted(5)
    by_object = sf.fit(runs, law, parameters=p)
    by_words = sf.fit(
        runs, law, tie={"beta": "alpha + 0.1"}, bounds={"E": (0.5, 0.8), "alpha": (0, 1)}, start={"alpha": 0.3}
    )
    assert by_object.cost == pytest.approx(by_words.cost, rel=1e-6)
    for name, value in by_words.parameters.items():
        assert by_object[name] == pytest.approx(value, rel=1e-4)
    assert by_object["beta"] == pytest.approx(by_object["alpha"] + 0.1, rel=1e-12)


def test_a_fit_goes_to_lmfit_and_its_model_gives_the_same_loss():
    from scalefit.fitting.lmfit_bridge import to_model

    runs, law = planted(6)
    found = sf.fit(runs, law, fix={"E": 0.6}, tie={"beta": "alpha + 0.1"}, bounds={"alpha": (0.1, 1.0)})
    p = found.to_lmfit()
    assert {name: p[name].value for name in found.parameters} == pytest.approx(dict(found.parameters))
    assert not p["E"].vary
    assert p["beta"].expr == "alpha + 0.1"
    assert (p["alpha"].min, p["alpha"].max) == (0.1, 1.0)
    model = to_model(found.law)
    at = {"N": runs.table["N"].to_numpy(), "D": runs.table["D"].to_numpy()}
    np.testing.assert_allclose(model.eval(p, **at), found.evaluate(at), rtol=1e-12)
