"""The certified non-linear problems of the NIST Statistical Reference Datasets (StRD, public domain), as formula laws.

Every problem is entered as a user would enter it, from each of its two published starting points, and must give at
least eight of the eleven certified digits of every parameter. Six small ones are transcribed below with their source,
https://www.itl.nist.gov/div898/strd/nls/nls_main.shtml; all 27 run where the collection's files are at hand.
"""

from __future__ import annotations

import re

import commands
import numpy as np
import pandas as pd
import pytest

import scalefit as sf

FILES = commands.SHARED / "nist_strd"
DIGITS = 8

GAUSS = "b1*exp(-b2*x) + b3*exp(-(x - b4)**2/b5**2) + b6*exp(-(x - b7)**2/b8**2)"
LANCZOS = "b1*exp(-b2*x) + b3*exp(-b4*x) + b5*exp(-b6*x)"
CUBICS = "(b1 + b2*x + b3*x**2 + b4*x**3)/(1 + b5*x + b6*x**2 + b7*x**3)"
FORMULAS = {
    "Bennett5": "b1*(b2 + x)**(-1/b3)",
    "BoxBOD": "b1*(1 - exp(-b2*x))",
    "Chwirut1": "exp(-b1*x)/(b2 + b3*x)",
    "Chwirut2": "exp(-b1*x)/(b2 + b3*x)",
    "DanWood": "b1*x**b2",
    "ENSO": "b1 + b2*cos(2*pi*x/12) + b3*sin(2*pi*x/12) + b5*cos(2*pi*x/b4) + b6*sin(2*pi*x/b4)"
    " + b8*cos(2*pi*x/b7) + b9*sin(2*pi*x/b7)",
    "Eckerle4": "(b1/b2)*exp(-0.5*((x - b3)/b2)**2)",
    "Gauss1": GAUSS,
    "Gauss2": GAUSS,
    "Gauss3": GAUSS,
    "Hahn1": CUBICS,
    "Kirby2": "(b1 + b2*x + b3*x**2)/(1 + b4*x + b5*x**2)",
    "Lanczos1": LANCZOS,
    "Lanczos2": LANCZOS,
    "Lanczos3": LANCZOS,
    "MGH09": "b1*(x**2 + x*b2)/(x**2 + x*b3 + b4)",
    "MGH10": "b1*exp(b2/(x + b3))",
    "MGH17": "b1 + b2*exp(-x*b4) + b3*exp(-x*b5)",
    "Misra1a": "b1*(1 - exp(-b2*x))",
    "Misra1b": "b1*(1 - (1 + b2*x/2)**(-2))",
    "Misra1c": "b1*(1 - (1 + 2*b2*x)**(-0.5))",
    "Misra1d": "b1*b2*x*(1 + b2*x)**(-1)",
    "Nelson": "b1 - b2*x1*exp(-b3*x2)",
    "Rat42": "b1/(1 + exp(b2 - b3*x))",
    "Rat43": "b1/(1 + exp(b2 - b3*x))**(1/b4)",
    "Roszman1": "b1 - b2*x - arctan(b3/(x - b4))/pi",
    "Thurber": CUBICS,
}

#: name -> (start 1, start 2, certified values, y and x); the formula is that of FORMULAS
TRANSCRIBED = {
    "BoxBOD": (
        (1, 1),
        (100, 0.75),
        (2.1380940889e02, 5.4723748542e-01),
        "109 1 149 2 149 3 191 5 213 7 224 10",
    ),
    "DanWood": (
        (1, 5),
        (0.7, 4),
        (7.6886226176e-01, 3.8604055871e00),
        "2.138 1.309 3.421 1.471 3.597 1.490 4.340 1.565 4.882 1.611 5.660 1.680",
    ),
    "Rat42": (
        (100, 1, 0.1),
        (75, 2.5, 0.07),
        (7.2462237576e01, 2.6180768402e00, 6.7359200066e-02),
        "8.930 9 10.800 14 18.590 21 22.330 28 39.350 42 56.110 57 61.730 63 64.620 70 67.080 79",
    ),
    "MGH09": (
        (25, 39, 41.5, 39),
        (0.25, 0.39, 0.415, 0.39),
        (1.9280693458e-01, 1.9128232873e-01, 1.2305650693e-01, 1.3606233068e-01),
        "0.1957 4 0.1947 2 0.1735 1 0.16 0.5 0.0844 0.25 0.0627 0.167 0.0456 0.125 0.0342 0.1 0.0323 0.0833"
        " 0.0235 0.0714 0.0246 0.0625",
    ),
    "MGH10": (
        (2, 400000, 25000),
        (0.02, 4000, 250),
        (5.6096364710e-03, 6.1813463463e03, 3.4522363462e02),
        "34780 50 28610 55 23650 60 19630 65 16370 70 13720 75 11540 80 9744 85 8261 90 7030 95 6005 100 5147 105"
        " 4427 110 3820 115 3307 120 2872 125",
    ),
}


def certified_digits(found, certified):
    """The digits of the worst parameter: -log10 of its relative error."""
    errors = [abs(found[name] - value) / abs(value) for name, value in certified.items()]
    return -np.log10(max(errors) + 1e-16)


def fitted(name, table, start):
    return sf.fit(table, f"y = {FORMULAS[name]}", residuals="linear", loss="squared", start=start)


@pytest.mark.parametrize("which", [0, 1], ids=["start 1", "start 2"])
@pytest.mark.parametrize("name", TRANSCRIBED)
def test_transcribed_problem(name, which):
    *starts, certified, numbers = TRANSCRIBED[name]
    pairs = np.array(numbers.split(), dtype=float).reshape(-1, 2)
    names = [f"b{i + 1}" for i in range(len(certified))]
    table = pd.DataFrame({"y": pairs[:, 0], "x": pairs[:, 1]})
    found = fitted(name, table, dict(zip(names, map(float, starts[which]), strict=True)))
    assert certified_digits(found, dict(zip(names, certified, strict=True))) >= DIGITS
    assert found.converged


def read_problem(name):
    """Starts and certified values by parameter, and the data, of a file of the collection."""
    lines = (FILES / f"{name}.dat").read_text().splitlines()
    rows = [re.match(r"\s*(b\d)\s*=\s*(\S+)\s+(\S+)\s+(\S+)\s+\S+", line) for line in lines[40:60]]
    columns = np.array([line.split() for line in lines[60:] if line.strip()], dtype=float).T
    table = pd.DataFrame({"y": columns[0]})
    for column, values in zip(["x"] if len(columns) == 2 else ["x1", "x2"], columns[1:], strict=True):
        table[column] = values
    if name == "Nelson":
        table["y"] = np.log(table["y"])
    found = [{row[1]: float(row[k]) for row in rows if row} for k in (2, 3, 4)]
    return found[:2], found[2], table


@pytest.mark.parametrize("which", [0, 1], ids=["start 1", "start 2"])
@pytest.mark.parametrize("name", FORMULAS)
def test_every_problem_of_the_collection(name, which):
    if not FILES.is_dir():
        pytest.skip(f"the NIST files are not at hand ({FILES})")
    starts, certified, table = read_problem(name)
    found = fitted(name, table, starts[which])
    assert set(certified) == set(found.parameters)
    assert certified_digits(found, certified) >= DIGITS
    assert "not-identified" not in {check.code for check in found.warnings}


def test_the_transcriptions_are_those_of_the_collection():
    if not FILES.is_dir():
        pytest.skip(f"the NIST files are not at hand ({FILES})")
    for name, (first, second, certified, numbers) in TRANSCRIBED.items():
        starts, values, table = read_problem(name)
        assert [tuple(start.values()) for start in starts] == [first, second]
        assert tuple(values.values()) == certified
        np.testing.assert_allclose(np.array(numbers.split(), dtype=float), table[["y", "x"]].to_numpy().ravel())
