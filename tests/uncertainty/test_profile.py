"""Profile and sandwich intervals against known standard errors, and where they are refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t

import scalefit as sf
from scalefit.errors import InputError
from scalefit.fitting.profile import profile


def line(n=60, noise=0.1, seed=0):
    x = np.linspace(1, 2, n)
    return pd.DataFrame({"x": x, "y": 3 + 2 * x + noise * np.random.default_rng(seed).standard_normal(n)})


def planted(n=60, noise=0.005, seed=0):
    rng = np.random.default_rng(seed)
    N, D = 10 ** rng.uniform(7, 9, n), 10 ** rng.uniform(8.5, 10.5, n)
    loss = (1.69 + 406.4 * N**-0.34 + 410.7 * D**-0.28) * np.exp(noise * rng.standard_normal(n))
    return pd.DataFrame({"N": N, "D": D, "loss": loss})


def textbook(runs):
    """Slope, its standard error and the degrees of freedom of a straight line."""
    slope, start = np.polyfit(runs["x"], runs["y"], 1)
    left = runs["y"] - start - slope * runs["x"]
    freedom = len(runs) - 2
    return slope, np.sqrt(np.sum(left**2) / freedom / np.sum((runs["x"] - runs["x"].mean()) ** 2)), freedom


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95])
def test_profile_of_a_straight_line_is_student_s_interval(level):
    runs = line()
    slope, error, freedom = textbook(runs)
    found = profile(runs, "y = a + b*x", ["b"], residuals="linear", loss="squared", level=level).loc["b"]
    half = t.ppf(0.5 + level / 2, freedom) * error
    assert [found["low"], found["high"]] == pytest.approx([slope - half, slope + half], rel=2e-3)
    assert found["open"] == ""


def test_profile_of_a_power_law_is_student_s_interval_in_logarithms():
    N = np.geomspace(1e6, 1e9, 40)
    loss = 20 * N**-0.1 * np.exp(0.01 * np.random.default_rng(1).standard_normal(40))
    found = profile(pd.DataFrame({"N": N, "loss": loss}), "power:over=N", loss="squared")
    X, y = np.column_stack([np.ones(40), -np.log(N)]), np.log(loss)
    constants, left, *_ = np.linalg.lstsq(X, y, rcond=None)
    half = t.ppf(0.95, 38) * np.sqrt(left[0] / 38 * np.diag(np.linalg.inv(X.T @ X)))
    for name, back, value, far in zip(("A", "alpha"), (np.exp, float), constants, half, strict=True):
        ends = [back(value - far), back(value), back(value + far)]
        assert found.loc[name, ["low", "value", "high"]].tolist() == pytest.approx(ends, rel=2e-3)


def test_profile_of_a_robust_fit_is_a_little_wider():
    runs = line(400)
    _, error, freedom = textbook(runs)
    found = profile(runs, "y = a + b*x", ["b"], residuals="linear").loc["b"]
    assert (found["high"] - found["low"]) / (2 * t.ppf(0.95, freedom) * error) == pytest.approx(1.0, abs=0.12)


def test_profile_stops_at_the_end_of_the_domain():
    """Data without a floor: the interval of the floor begins at zero, and says that the domain ended there."""
    C = np.geomspace(1e17, 1e20, 30)
    noise = np.exp(0.003 * np.random.default_rng(4).standard_normal(30))
    found = profile(pd.DataFrame({"C": C, "loss": 30 * C**-0.05 * noise}), "power-floor:over=C", ["L_inf"]).loc["L_inf"]
    assert found["low"] == 0 and found["open"] == "low"
    assert found["high"] > found["value"] >= 0


def test_profile_agrees_with_the_resampled_interval():
    runs = planted()
    ours = profile(runs, "chinchilla", ["E", "alpha"])
    drawn = sf.fit(runs, "chinchilla", draws=300, calibrated=False).table
    for name in ("E", "alpha"):
        width = drawn.loc[name, "high"] - drawn.loc[name, "low"]
        assert ours.loc[name, "high"] - ours.loc[name, "low"] == pytest.approx(width, rel=0.35)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"names": ["gamma"]}, "not a free parameter"),
        ({"names": ["E"], "fix": {"E": 1.69}}, "not a free parameter"),
        ({"level": 1.5}, "level"),
    ],
)
def test_profile_refuses(options, message):
    with pytest.raises(InputError, match=message):
        profile(planted(), "chinchilla", **options)


def test_profile_refuses_curves():
    runs = pd.concat([planted().assign(run=[f"r{i}" for i in range(60)], step=step) for step in (1, 2)])
    with pytest.raises(InputError, match="not independent"):
        profile(runs, "chinchilla", points="all")


# --- the sandwich -----------------------------------------------------------------------------------------------------


def sandwiched(runs, law="chinchilla", **options):
    return sf.fit(runs, law, draws=2000, method="sandwich", calibrated=False, **options)


def test_sandwich_of_a_straight_line():
    """White's standard error: (X'X)^-1 X' diag(r^2) X (X'X)^-1."""
    runs = line(200)
    X = np.column_stack([np.ones(200), runs["x"]])
    left = runs["y"] - X @ np.linalg.lstsq(X, runs["y"], rcond=None)[0]
    inverse = np.linalg.inv(X.T @ X)
    known = np.sqrt(np.diag(inverse @ (X.T * left.to_numpy() ** 2) @ X @ inverse))
    found = sandwiched(runs, "y = a + b*x", residuals="linear", loss="squared").draws[["a", "b"]].std()
    assert found.to_numpy() == pytest.approx(known, rel=0.06)


def test_sandwich_agrees_with_resampling_where_it_is_valid():
    runs = planted(120)
    drawn = sf.fit(runs, "chinchilla", draws=400, calibrated=False).draws
    spread = sandwiched(runs).draws
    for name in ("E", "alpha", "beta"):
        assert spread[name].std() == pytest.approx(drawn[name].std(), rel=0.3)


def test_sandwich_refuses_a_narrow_threshold():
    with pytest.raises(InputError, match=r"only \d+ % of the rows lie within the threshold"):
        sandwiched(planted(noise=0.02), delta=1e-3)


def test_sandwich_refuses_few_rows():
    with pytest.raises(InputError, match="only 15 independent"):
        sandwiched(planted(15))


def test_sandwich_refuses_the_end_of_a_domain():
    C = np.geomspace(1e17, 1e20, 30)
    noise = np.exp(0.003 * np.random.default_rng(1).standard_normal(30))
    runs = pd.DataFrame({"C": C, "loss": 30 * C**-0.05 * noise})
    assert sf.fit(runs, "power-floor:over=C", bounds={"L_inf": (0.5, None)})["L_inf"] == pytest.approx(0.5)
    with pytest.raises(InputError, match="L_inf is at an end of its domain"):
        sandwiched(runs, "power-floor:over=C", bounds={"L_inf": (0.5, None)})


def test_sandwich_refuses_a_flat_valley():
    """Two terms that the data cannot tell apart."""
    x = np.linspace(1, 2, 60)
    y = 3 + 2 * x + 0.1 * np.random.default_rng(0).standard_normal(60)
    runs = pd.DataFrame({"x": x, "z": 2 * x, "y": y})
    with pytest.raises(InputError, match=r"flat along|as large as itself"):
        sandwiched(runs, "y = a + b*x + c*z", residuals="linear", loss="squared", force=True)


@pytest.mark.parametrize("side", [1, -1])
def test_sandwich_of_strongly_bent_data_agrees_with_refits(side):
    """Data that bend as the law's second derivative does: half of the objective's curvature is that of the law."""
    x = np.linspace(1, 4, 400)
    plane = np.column_stack([1 / x, np.log(x) / x])
    bend = np.log(x) ** 2 / x
    bend -= plane @ np.linalg.lstsq(plane, bend, rcond=None)[0]
    noise = 0.3 * np.random.default_rng(0).standard_normal(400)
    runs = pd.DataFrame({"x": x, "y": 10 / x + side * 40 * bend + noise})
    options = {"residuals": "linear", "loss": "squared", "draws": 1000, "calibrated": False}
    refits, ours = (sf.fit(runs, "y = A*x**-alpha", method=method, **options).draws for method in ("pairs", "sandwich"))
    assert ours.std().to_numpy() == pytest.approx(refits.std().to_numpy(), rel=0.15)


def test_profile_of_the_only_parameter_in_the_logarithm():
    """log loss + 0.1 log N = 0.1 log c: the interval of log c is Student's for a mean, ten times as wide."""
    N = np.geomspace(1e6, 1e9, 12)
    noise = 0.01 * np.random.default_rng(1).standard_normal(12)
    runs = pd.DataFrame({"N": N, "loss": (1e12 / N) ** 0.1 * np.exp(noise)})
    found = profile(runs, "loss = (c/N)**alpha", ["c"], fix={"alpha": 0.1}, loss="squared").loc["c"]
    centre, error = np.log(1e12) + 10 * noise.mean(), 10 * noise.std(ddof=1) / 12**0.5
    ends = centre + t.ppf([0.05, 0.5, 0.95], 11) * error
    assert np.log([found["low"], found["value"], found["high"]]) == pytest.approx(ends, abs=1e-3 * error)
    assert found["open"] == ""
