"""Formulas written out as programs: the same numbers as the formula, derivatives as by differences, and where not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from scalefit.laws import find_law
from scalefit.laws.formula import FormulaLaw
from scalefit.solver.model import bind
from scalefit.solver.programs import Outline

RNG = np.random.default_rng(0)
x = np.array([0.5, 1.0, 4.0])


def bound(law, **options):
    spans = {name: variable.span for name, variable in law.variables.items()}
    rows = {name: np.geomspace(max(a, 1e-9), b, 9)[RNG.permutation(9)] for name, (a, b) in spans.items()}
    return bind(law, rows, **options)


@pytest.mark.parametrize(
    ("spec", "options"),
    [
        ("chinchilla", {"tie": {"beta": "alpha + 0.1 * E"}, "fix": {"A": 400.0}}),
        ("annealing", {"bounds": {"alpha": (1e-3, 4.0)}, "starts": {"alpha": (1e-2, 2.0)}}),  # by its logarithm
        ("overfitting", {}),
        ("broken", {}),
        ("kaplan-floor", {}),
        ("task-ladder", {}),
    ],
)
def test_a_program_gives_what_the_formula_and_its_rules_give(spec, options):
    model = bound(find_law(spec), **options)
    plain = replace(model)
    plain.__dict__["program"] = None
    low, high = np.array([c.start if not c.linear else (0.5, 1.5) for c in model.coordinates]).T
    theta = low + RNG.random((3, len(low))) * (high - low)
    assert model.program is not None
    assert model.value(theta) == pytest.approx(plain.value(theta), rel=1e-13)
    for got, wanted in zip(model.jacobian(theta), plain.jacobian(theta), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=1e-12 * np.abs(wanted).max())
    for got, wanted in zip(model.program.slopes(theta[1], model.every), plain.jacobian(theta[1:2]), strict=True):
        np.testing.assert_allclose(got, wanted[0], rtol=1e-9, atol=1e-12 * np.abs(wanted).max())
    per_row, step = RNG.standard_normal((3, 9)), 1e-6 * np.maximum(np.abs(theta), 0.1)
    bends = model.program.bends(theta, per_row)
    for j in range(len(low)):
        ahead = [theta + sign * step * (np.arange(len(low)) == j) for sign in (1, -1)]
        slopes = np.subtract(*(plain.jacobian(each)[1] for each in ahead)) / (2 * step[:, j, None, None])
        wanted = np.einsum("bpn,bn->bp", slopes, per_row)
        size = np.abs(bends).max(axis=(1, 2))[:, None]
        assert np.all(np.abs(bends[:, j] - wanted) <= 1e-5 * size)


def test_second_derivatives_worked_out_by_hand():
    """f = a x^b + c: by a and b x^b log x, by b twice a x^b (log x)^2, and nothing else."""
    model = bind(FormulaLaw("a*x**b + c"), {"x": x})
    at = {c.name: j for j, c in enumerate(model.coordinates)}
    theta = np.array([{"a": 3.0, "b": 0.5, "c": 1.0}[c.name] for c in model.coordinates])
    wanted = np.zeros((3, 3))
    wanted[at["a"], at["b"]] = wanted[at["b"], at["a"]] = np.sum(x**0.5 * np.log(x))
    wanted[at["b"], at["b"]] = 3 * np.sum(x**0.5 * np.log(x) ** 2)
    assert model.program.bends(theta, np.ones(3)) == pytest.approx(wanted)


def test_a_base_that_is_not_positive_goes_the_formulas_own_way():
    """(x - s)^2.0 with s between the rows: a program takes logarithms of the base."""
    model = bind(FormulaLaw("a*(x - s)**k", bounds={"s": (-9.0, 9.0)}), {"x": x}, fix={"k": 2.0})
    theta = np.array([[2.0, 3.0], [2.0, 0.0]])
    assert model.value(theta) == pytest.approx(2 * (x - np.array([[3.0], [0.0]])) ** 2)
    assert model.jacobian(theta)[1][:, 1] == pytest.approx(-4 * (x - np.array([[3.0], [0.0]])))


def test_a_formula_that_looks_at_numbers_has_no_program():
    with pytest.raises(TypeError, match="not known yet"):
        Outline(lambda data, theta: theta[0] if data["x"] > 1 else theta[1], ["x"], 2, [0])
    assert bound(find_law("trajectory")).program is None


def test_what_does_not_depend_on_coordinates_is_computed_once():
    calls = []

    def counted(given):
        calls.append(1)
        return np.log(given)

    model = bind(find_law("power"), {"x": x})
    graph = model.outline.graph
    place = graph.functions.index(np.log)
    graph.functions[place] = counted
    try:
        fresh = replace(model)
        for log_alpha in (-2.0, -1.0, 0.0):
            assert fresh.jacobian(np.array([[1.0, log_alpha]]))[0][0] == pytest.approx(x ** -np.exp(log_alpha))
    finally:
        graph.functions[place] = np.log
    assert len(calls) == 1
