"""Forward derivatives against complex steps, central differences and the hand."""

import numpy as np
import pytest

from scalefit.duals import FLAT, RULES, Dual, differentiated
from scalefit.laws.law import Law, Parameter, Variable
from scalefit.numerics import complex_step

X = np.array([0.3, 0.9, 2.5])
UNARY = [ufunc for ufunc in RULES if ufunc.nin == 1 and ufunc is not np.absolute]
BINARY = [np.add, np.subtract, np.multiply, np.divide, np.power]


@pytest.mark.parametrize("ufunc", [*UNARY, np.sin, np.arctan, np.sqrt, np.log2, np.cosh], ids=lambda u: u.__name__)
def test_functions_of_one_argument(ufunc):
    got = differentiated(lambda x, k: ufunc(k * x), {"x": X}, {"k": 0.7})
    wanted = complex_step(lambda x, k: ufunc(k * x), {"x": X}, {"k": 0.7})["k"]
    np.testing.assert_allclose(got.value, ufunc(0.7 * X), rtol=1e-15)
    np.testing.assert_allclose(got.partials["k"], wanted, rtol=1e-13)


@pytest.mark.parametrize("ufunc", BINARY, ids=lambda u: u.__name__)
def test_operators_by_both_sides(ufunc):
    for function in (
        lambda x, a, b: ufunc(a * x, b + x),
        lambda x, a, b: ufunc(x, a * b),
        lambda x, a, b: ufunc(a, x) + b,
    ):
        got = differentiated(function, {"x": X}, {"a": 1.3, "b": 0.4})
        wanted = complex_step(function, {"x": X}, {"a": 1.3, "b": 0.4})
        np.testing.assert_allclose(got.value, function(X, 1.3, 0.4), rtol=1e-15)
        for name in "ab":
            np.testing.assert_allclose(got.partials[name] * np.ones(3), wanted[name] * np.ones(3), rtol=1e-13)


def test_powers_by_hand():
    x = np.array([-2.0, 0.0, 3.0])
    got = differentiated(lambda x, k: (k * x) ** 2, {"x": x}, {"k": 1.0})
    assert got.partials["k"].tolist() == [8.0, 0.0, 18.0]
    got = differentiated(lambda x, k: x**k, {"x": np.array([0.0, 1.0, np.e])}, {"k": 2.0})
    np.testing.assert_allclose(got.partials["k"], [0.0, 0.0, np.e**2], atol=1e-15)
    got = differentiated(lambda x, k: (k * x) ** 3, {"x": x}, {"k": 1.0})
    np.testing.assert_allclose(got.partials["k"], 3 * x**3)


def test_smaller_larger_and_absolute_follow_the_side_that_counts():
    got = differentiated(lambda x, k: np.minimum(k * x, 1.0) + np.maximum(k * x, 1.0), {"x": X}, {"k": 1.0})
    assert got.partials["k"].tolist() == X.tolist()
    got = differentiated(lambda x, k: np.minimum(k * x, 1.0), {"x": X}, {"k": 1.0})
    assert got.partials["k"].tolist() == [0.3, 0.9, 0.0]
    got = differentiated(lambda x, k: np.maximum(k * x, 1.0), {"x": X}, {"k": 1.0})
    assert got.partials["k"].tolist() == [0.0, 0.0, 2.5]
    assert differentiated(lambda x, k: np.abs(k * x), {"x": -X}, {"k": 1.0}).partials["k"].tolist() == X.tolist()


def test_choices_sums_and_new_axes():
    x = np.arange(6.0).reshape(2, 3)
    k = np.array([[1.0], [2.0]])

    def function(x, k):
        wide = np.expand_dims(k, -1)
        some = np.where(x > 2, wide * x, x)
        return np.sum(some**2, axis=-1) + np.einsum("...k,...k->...", wide * x, some) + wide[..., 0]

    got = differentiated(function, {"x": x}, {"k": k})
    large = np.where(x > 2, x, 0.0)
    wanted = 2 * k * np.sum(large**2, axis=1) + np.sum(x * np.where(x > 2, 0, x) + 2 * k[..., None] * large**2, axis=-1)
    np.testing.assert_allclose(got.partials["k"], wanted + 1)
    np.testing.assert_allclose(got.value, function(x, k))


def test_comparisons_are_of_values_and_real_parts_have_none():
    a = Dual(np.array([1.0, 3.0]), {"a": 1.0})
    assert (a < 2).tolist() == [True, False]
    assert np.real(a).tolist() == [1.0, 3.0]
    assert all(ufunc not in RULES for ufunc in FLAT)


def test_extended_precision_passes_through():
    x = np.array([1.1, 2.3], dtype=np.longdouble)
    got = differentiated(lambda x, k: 3 * x**-k, {"x": x}, {"k": np.array([[0.3]], dtype=np.longdouble)})
    assert got.partials["k"].dtype == np.longdouble
    np.testing.assert_allclose(got.partials["k"][0], -3 * x ** -np.longdouble(0.3) * np.log(x), rtol=1e-17)


def test_a_name_that_does_not_count_has_no_slope():
    assert differentiated(lambda x, a, b: a * x, {"x": X}, {"a": 1.0, "b": 2.0}).partials["b"] == 0.0
    assert differentiated(lambda x, a: x + 1, {"x": X}, {"a": 1.0}).partials["a"] == 0.0


class Foreign(Law):
    """A law whose formula calls what forward mode does not know.

    L(x) = a cumsum(x^k)

    Source: doi:10.1000/none.
    """

    name = "foreign"
    source = "doi:10.1000/none"
    x = Variable("1", "a scale")
    a = Parameter("nats/token", "size", linear=True)
    k = Parameter("1", "exponent", starts=(0.1, 1.0))

    @staticmethod
    def formula(x, a, k):
        return a * np.cumsum(x**k, axis=-1)


def test_a_law_of_other_operations_is_differentiated_by_complex_steps():
    with pytest.raises(TypeError):
        differentiated(Foreign.formula, {"x": X}, {"a": 2.0, "k": 0.5})
    value, partials = Foreign().derivatives({"x": X}, {"a": 2.0, "k": 0.5})
    np.testing.assert_allclose(value, 2 * np.cumsum(X**0.5))
    np.testing.assert_allclose(partials["k"], 2 * np.cumsum(X**0.5 * np.log(X)), rtol=1e-12)
