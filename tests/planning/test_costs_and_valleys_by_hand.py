"""What runs cost, and the bottoms of valleys: sums on paper, polynomials whose minima are known."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from scalefit.errors import InputError
from scalefit.planning.allocation import bottom as valley
from scalefit.planning.allocation import plan as planned
from scalefit.planning.allocation.cost import Rate, cost_of, rate_of

RUN = {"N": 3e9, "D": 2e10}


# --- costs ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "columns", "active", "given", "values", "flop", "words"),
    [
        (None, ("N", "D"), None, {}, RUN, 6 * 3e9 * 2e10, "6 N D"),
        ("6*N*D", ("N", "D"), None, {}, RUN, 6 * 3e9 * 2e10, "6 N D"),
        (None, ("N", "D"), 0.25, {}, RUN, 1.5 * 3e9 * 2e10, "6 0.25 N D"),
        (None, ("N_enc", "N_dec"), None, {}, {"N_enc": 1e9, "N_dec": 2e9}, 6 * 3e9, "6 (N_enc + N_dec) D"),
        (
            None,
            ("N_total", "D", "sparsity"),
            None,
            {"sparsity": 0.75},
            {"N_total": 4.0, "D": 5.0},
            30,
            "6 0.25 N_total D",
        ),
        (None, ("N", "D", "precision"), None, {}, {**RUN, "precision": 8.0}, 3 * 3e9 * 2e10, "6 N D precision/16"),
        ("6*N*D + k*D", ("N", "D"), None, {"k": 7.0}, {"N": 1.0, "D": 2.0}, 26, "6*N*D + k*D"),
    ],
)
def test_training_costs_what_is_declared(text, columns, active, given, values, flop, words):
    cost = cost_of(text, columns, active, given)
    assert float(cost(values)) == pytest.approx(flop)
    assert cost.text == words
    assert cost.plain == (words == "6 N D")


def test_each_token_served_costs_two_flop_a_parameter():
    cost = cost_of(None, ("N", "D"), 0.5, {}).with_inference(1e12)
    assert float(cost(RUN)) == pytest.approx(3 * 3e9 * 2e10 + 3e9 * 1e12)
    assert float(cost.of_training(RUN)) == pytest.approx(3 * 3e9 * 2e10)
    assert cost.text == "6 0.5 N D + 2 0.5 N for each of 1e+12 tokens of inference"
    assert not cost.plain
    assert float(cost_of("N*D", ("N", "D"), None, {}).with_inference(3.0)({"N": 5.0, "D": 7.0})) == 35 + 30


def test_the_cost_of_a_shape_by_hand():
    """12 n_layer d_model^2 parameters at d_model = 64 n_layer: of 12 x 64^2 x 8 parameters two layers of width 128."""
    N, D = 12 * 64**2 * 8.0, 10.0
    plain = cost_of("shape:aspect=64", ("N", "D"), None, {})
    assert float(plain({"N": N, "D": D})) == pytest.approx(6 * N * D)
    whole = cost_of("shape:aspect=64,vocab=1000,seq_len=512", ("N", "D"), None, {})
    per_token = 6 * (N + 1000 * 128) + 12 * 2 * 512 * 128
    assert float(whole({"N": N, "D": D})) == pytest.approx(per_token * D)
    assert float(whole.with_inference(3.0)({"N": N, "D": D})) == pytest.approx(per_token * (D + 1))


@pytest.mark.parametrize(
    ("text", "columns", "active", "said"),
    [
        ("shape:vocab=5", ("N", "D"), None, "does not make a cost"),
        ("shape:aspect=0", ("N", "D"), None, "does not make a cost"),
        ("shape:aspect=64", ("N_total", "D"), None, "does not make a cost"),
        ("shape:aspect=64,depth=2", ("N", "D"), None, 'no key "depth"'),
        ("6*N*D*k", ("N", "D"), None, "reads k, which has no value"),
        (None, ("N_total", "D"), None, "N_total counts all experts"),
        (None, ("N", "D"), 0.0, "a share of 0 active"),
        (None, ("N", "D"), 1.01, "a share of 1.01 active"),
    ],
)
def test_costs_that_cannot_be(text, columns, active, said):
    with pytest.raises(InputError, match=said):
        cost_of(text, columns, active, {})


def test_a_share_of_one_is_plain():
    assert cost_of(None, ("N", "D"), 1.0, {}).plain
    assert cost_of(None, ("N", "D"), 1.0, {}).text == "6 N D"


def test_what_a_budget_leaves_for_one_column():
    """In proportion, with a constant beside it, and neither."""
    one = cost_of(None, ("N", "D"), None, {})
    assert one.spend(120.0, {"N": 2.0}, "D") == pytest.approx(10)
    served = one.with_inference(5.0)
    assert served.spend(120.0, {"N": 2.0}, "D") == pytest.approx((120 - 20) / 12)
    assert np.isnan(served.spend(20.0, {"N": 2.0}, "D"))
    assert served.spend(120.0, {"D": 5.0}, "N") == pytest.approx(3)
    square = cost_of("N*N*D", ("N", "D"), None, {})
    assert square.spend(np.array([50.0, 200.0]), {"D": 2.0}, "N") == pytest.approx([5, 10])
    assert np.isnan(cost_of("100 + N*N", ("N", "D"), None, {}).spend(50.0, {}, "N"))


def test_what_a_gpu_does_and_costs():
    rate = rate_of("peak=1T, mfu=0.5, price=2")
    assert (rate.hours(3.6e15), rate.money(3.6e15)) == (2.0, 4.0)
    assert np.isnan(rate_of("peak=1e9,mfu=1").money(1.0))
    assert rate_of(rate) is rate and rate_of(None) is None
    assert rate.text == "1e+12 FLOP/s at 50 % utilisation (MFU), 2 per GPU-hour"
    assert Rate(1e12, 0.5).text == "1e+12 FLOP/s at 50 % utilisation (MFU)"


@pytest.mark.parametrize(
    "text",
    [
        "peak=1T",
        "mfu=0.5",
        "peak=1T,mfu=1.01",
        "peak=1T,mfu=0",
        "peak=0.99e9,mfu=0.5",
        "peak=1T,mfu=0.5,price=0",
        "peak=1T,peak=1T,mfu=0.5",
        "peak=1T,mfu=0.5,cost=2",
        "peak=1T,mfu",
    ],
)
def test_gpus_that_are_none(text):
    with pytest.raises(InputError, match="does not describe a GPU"):
        rate_of(text)


# --- valleys ----------------------------------------------------------------------------------------------------------


def test_the_slope_of_a_quartic_is_exact():
    found = valley.slope(lambda x: x**4 - 3 * x**2, np.array([1.0, -2.0, 0.5]))
    assert found == pytest.approx([-2, -20, -2.5], rel=1e-9)


def test_bottoms_of_lines_that_are_not_symmetric():
    """e^x - 2 x is least at ln 2, x^4 - x at 4^(-1/3); at an end, or without a value, there is none."""
    starts = np.zeros(5)

    def line(x):
        return np.stack([np.exp(x[0]) - 2 * x[0], x[1] ** 4 - x[1], x[2], -x[3], np.full(x.shape[1], np.nan)])

    found = valley.bottom(line, starts - 1, starts + 4)
    assert found[:2] == pytest.approx([np.log(2), 4 ** (-1 / 3)], abs=1e-9)
    assert np.isnan(found[2:]).all()


def test_a_line_without_a_value_in_part_has_its_bottom_in_the_rest():
    found = valley.bottom(lambda x: np.where(x < 1, np.nan, (x - 2) ** 2), np.array([0.0]), np.array([5.0]))
    assert found == pytest.approx([2], abs=1e-9)


def bowl(at):
    """Least at (1, -2), with coupled directions."""
    x, y = at[..., 0] - 1, at[..., 1] + 2
    return np.cosh(x) + 2 * y**2 + x * y


def test_bottoms_and_derivatives_of_a_landscape():
    low, high = np.array([[-4.0, -5.0]]), np.array([[5.0, 4.0]])
    assert valley.bottoms(bowl, low, high)[0] == pytest.approx([1, -2], abs=1e-8)
    gradient, hessian = valley._derivatives(bowl, np.array([[1.5, -1.0]]), None)
    assert gradient[0] == pytest.approx([np.sinh(0.5) + 1, 4.5], rel=1e-8)
    assert hessian[0] == pytest.approx(np.array([[np.cosh(0.5), 1], [1, 4]]), rel=1e-3)
    assert np.isnan(valley.bottoms(bowl, low, np.array([[0.5, 4.0]]))).all()
    one = valley.bottoms(lambda at: (at[..., 0] - 3) ** 2, np.array([[0.0]]), np.array([[4.0]]))
    assert one == pytest.approx(np.array([[3.0]]), abs=1e-9)


def test_where_falling_lines_cross():
    low, high = np.zeros(4), np.full(4, 8.0)
    at = np.array([[3.0], [9.0], [-1.0], [8.0]])
    found = valley.falling_root(lambda x: at - x, low, high)
    assert found[[0, 3]] == pytest.approx([3, 8], abs=1e-9)
    assert np.isnan(found[1:3]).all()


def test_zeros_of_lines_that_begin_late_or_never_cross():
    ends = np.zeros(3), np.full(3, 150.0)
    at = np.array([60.0, 20.0, 149.0])

    def bent(x):
        """Without a value up to 30; then it falls, not quite in a straight line."""
        return np.where(x < 15, np.nan, (at - x) * (1 + 0.001 * x))

    assert valley.falling_zero(bent, *ends) == pytest.approx(at, abs=1e-8)
    assert valley.falling_zero(lambda x: 0 * x + 1, *ends) == pytest.approx(ends[1], abs=1e-8)
    assert valley.falling_zero(lambda x: 0 * x - 1, *ends) == pytest.approx(ends[0], abs=1e-8)


# --- plans ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("weights", "told"), [({"a": 0.9, "b": 0.1}, 1), ({"a": 0.91, "b": 0.09}, 0), (None, 0)])
def test_other_laws_of_a_tenth_of_the_weight_are_named(weights, told):
    fit = SimpleNamespace(choice=SimpleNamespace(weights=weights) if weights else None, law=SimpleNamespace(spec="a"))
    found = planned._other_laws(fit)
    assert len(found) == told
    if told:
        assert "follows a alone" in found[0].text and "(b 10 %)" in found[0].text


def test_a_loss_below_the_floor_is_told_with_the_floor_of_the_fit_and_its_ends(monkeypatch):
    monkeypatch.setattr(planned, "floor_name", lambda fit, floor: None)
    surface = SimpleNamespace(floor=lambda: np.array([1.8, 1.5, 1.6, 1.9]))
    asked = planned._Asked(SimpleNamespace(intervals=None), surface, None)
    for loss in (1.7, 1.8):
        found = asked.for_loss(loss).values
        assert (found["aim"], found["floor"]) == (loss, 1.8)
        assert (found["floor_low"], found["floor_high"]) == pytest.approx((1.51, 1.87))


@pytest.mark.parametrize(("lost", "said"), [(1, False), (2, True)])
def test_draws_without_an_optimum_are_told_above_a_twentieth(monkeypatch, lost, said):
    """Of twenty draws one, or two."""
    values = np.full(21, 3e9)
    values[1 : 1 + lost] = np.nan
    surface = SimpleNamespace(
        table=np.zeros((21, 1)), held={}, free=(), has_budget=False, cost=SimpleNamespace(inference=0)
    )
    row = {"loss": 2.0, "low": 1.9, "high": 2.1, "decades_beyond": 0.5}
    monkeypatch.setattr(planned, "predict", lambda fit, at: pd.DataFrame([row]))
    fit = SimpleNamespace(intervals=None, choice=None, target="loss", law=SimpleNamespace(columns={"N": "N"}))
    found = planned._Asked(fit, surface, None)._completed({}, {"N": values}, 1e20)
    assert bool(found.notes) is said
    assert (found.values["N"], found.values["loss"], found.values["decades_beyond"]) == (3e9, 2.0, 0.5)


@pytest.mark.parametrize(
    ("line", "low", "high", "step", "least", "place"),
    [
        (lambda x: np.abs(x - 0.5) - 0.1, 0.0, 1.0, 0.5, -0.1, 0.4),  # read at 0, 0.5 and 1
        (lambda x: np.abs(x - 0.5) + 0.1, 0.0, 1.0, 0.5, 0.1, np.inf),  # falls, not to 0
        (lambda x: np.abs(x - 0.5) - 0.6, 0.0, 1.0, 0.5, -0.6, np.nan),  # below from the beginning
        (lambda x: np.where(x < 0.25, np.nan, np.abs(x - 0.5) - 0.1), 0.0, 1.0, 0.25, -0.1, 0.4),
        (lambda x: 1.0 - x, 0.0, 1.0, 0.1, 0.0, 1.0),  # just reaches it at the end
        (lambda x: np.minimum(np.abs(x - 2), np.abs(x - 6) + 0.5) - 0.25, 0.0, 9.0, 0.5, -0.25, 1.75),
        (lambda x: np.minimum(np.abs(x - 6) - 0.5, np.abs(x - 2) - 0.25), 0.0, 9.0, 0.5, -0.5, 1.75),  # the first fall
    ],
)
def test_the_least_value_of_a_line_and_its_first_fall(line, low, high, step, least, place):
    found, first = valley.first_fall(line, np.array([low]), np.array([high]), step)
    assert found[0] == pytest.approx(least, abs=1e-6)
    assert first[0] == pytest.approx(place, abs=1e-6, nan_ok=True)
