"""What figures draw, from tables and fits written by hand: which lines, which bars, which limits, which words."""

from __future__ import annotations

import inspect
from types import SimpleNamespace

import commands
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.lines import Line2D
from matplotlib.transforms import Bbox

from scalefit.plots import (
    backtest,
    canvas,
    colours,
    coordinates,
    curves,
    labels,
    learning_rate,
    legend,
    marks,
    partial,
    room,
    samples,
    scaling,
    sizes,
    ticks,
)
from scalefit.plots import residuals as left_over
from scalefit.schedules import parse_schedule


@pytest.fixture
def ax():
    figure, made = plt.subplots(figsize=(5, 4))
    yield made
    plt.close(figure)


def frame(**columns):
    return pd.DataFrame(columns)


# --- numbers and ticks ------------------------------------------------------------------------------------------------


@commands.cases(
    "write, value, text",
    [
        (ticks.short_number, 999.9999999999, "1k"),
        (ticks.short_number, 999.9, "999.9"),
        (ticks.short_number, 1000, "1k"),
        (ticks.short_number, -2e6, "-2M"),
        (ticks.short_number, 9.9e15, "9900T"),
        (ticks.short_number, 1e16, "$10^{16}$"),
        (ticks.short_number, 0.25, "0.25"),
        (ticks.power_of_ten, 0, "0"),
        *((ticks.power_of_ten, 10.0**k, f"$10^{{{k}}}$") for k in range(-12, 25)),
        (ticks.power_of_ten, -1e3, "$-1\\times10^{3}$"),
        (ticks.power_of_ten, 9.996e3, "$10^{4}$"),
        (ticks.power_of_ten, 9.99e3, "$9.99\\times10^{3}$"),
        (ticks.power_of_ten, 1000, "$10^{3}$"),
        (ticks.power_of_ten, -2e-3, r"$-2\times10^{-3}$"),
        (ticks.plain, 0, "0"),
        (ticks.plain, 1e-4, "0.0001"),
        (ticks.plain, 9e-5, r"$9\times10^{-5}$"),
        (ticks.plain, 1e6, "$10^{6}$"),
        (ticks.plain, 999999, "$10^{6}$"),
        (ticks.plain, -2.5, "-2.5"),
        (ticks.rate, 0.01, "0.01"),
        (ticks.rate, 0.0099, "9.9e-3"),
        (ticks.rate, 0, "0"),
        (ticks.rate, -3e-4, "-3e-4"),
        (ticks.EvenFormatter(), -2.5, "\N{MINUS SIGN}2.5"),
        (labels.percent, 0.0994, "9.9 %"),
        (labels.percent, 0.0996, "10 %"),
        (labels.percent, -0.2, "-20 %"),
    ],
)
def test_numbers_as_they_are_written(write, value, text):
    assert write(value) == text


def test_labels_of_one_axis_have_the_same_decimals():
    write = ticks.EvenFormatter().format_ticks
    assert write([-1.5, 0.25]) == ["\N{MINUS SIGN}1.50", "0.25"]
    assert write([1.0, 2.0]) == ["1", "2"]
    assert write([0.5, 1e-7]) == [r"$5\times10^{-1}$", "$10^{-7}$"]
    assert write([]) == []


@pytest.mark.parametrize(
    ("low", "high", "wanted"),
    [
        (0.0, 5.0, []),
        (-1.0, 5.0, []),
        (1.0, np.inf, []),
        (1.0, 3.9, [1.0, 1.5, 2.0, 2.5, 3.0, 3.5]),
        (1.0, 4.0, [1, 1.5, 2, 3, 4]),
        (9.0, 1.0, [1, 1.5, 2, 3, 4, 6, 8]),
        (1.0, 10.0, [1, 2, 3, 5, 10]),
        (1.0, 30.0, [1, 2, 5, 10, 20]),
        (1.0, 499.0, [1, 2, 5, 10, 20, 50, 100, 200]),
        (1.0, 500.0, [1, 10, 100]),
        (1.0, 1e7, [1, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e7]),
        (1.0, 1e8, [1, 100, 1e4, 1e6, 1e8]),
    ],
)
def test_round_numbers_of_a_log_axis(low, high, wanted):
    assert list(ticks.RoundLogLocator().tick_values(low, high)) == pytest.approx(wanted)


@pytest.mark.parametrize(("high", "minor"), [(3.9, 0), (4.1, 1)])
def test_minor_ticks_of_wide_log_axes(ax, high, minor):
    ax.set_xlim(1, high)
    ticks.set_log(ax, "x", ticks.plain)
    assert ax.get_xscale() == "log"
    assert (len(ax.xaxis.get_minorticklocs()) > 0) == bool(minor)
    assert isinstance(ax.xaxis.get_major_formatter(), ticks.EvenFormatter)
    ax.set_ylim(1, high)
    ticks.set_log(ax, "y", ticks.rate)
    assert ax.get_yscale() == "log"
    assert ax.yaxis.get_major_formatter()(3e-4, 0) == "3e-4"
    ticks.set_fixed(ax, [1.0, 2.0], ["one", "two"])
    assert [text.get_text() for text in ax.get_xticklabels()] == ["one", "two"]
    assert len(ax.xaxis.get_minorticklocs()) == 0


@pytest.mark.parametrize(
    ("values", "log", "scale"),
    [([1, 2], True, "log"), ([0, 2], True, "linear"), ([1, 2], False, "linear"), ([np.nan], True, "linear")],
)
def test_the_axis_of_the_measured_quantity(ax, values, log, scale):
    ax.plot(range(len(values)), values)
    ticks.set_value_axis(ax, "y", log)
    assert ax.get_yscale() == scale
    assert ax.get_xscale() == "linear"


@pytest.mark.parametrize(
    ("values", "log"), [([1, 6], True), ([1, 5.9], False), ([], False), ([-1, 6], False), ([1, np.inf, 7], True)]
)
def test_what_suits_a_log_axis(values, log):
    assert ticks.suits_log(values) == log


# --- colours and words ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [3, 4])
def test_a_ramp_is_even_in_the_logarithm(count):
    end = 0.62 if count < 4 else 0.84
    wanted = [to_hex(plt.colormaps["viridis"](end * k / (count - 1))) for k in range(count)]
    assert colours.ramp([10.0**k for k in range(count)]) == wanted
    assert colours.ramp([5.0, 5.0]) == [to_hex(plt.colormaps["viridis"](0.0))] * 2


def test_more_names_than_colours_get_a_ramp():
    ten = colours.kinds([str(k) for k in range(10)])
    assert list(ten.values()) == list(colours.KINDS)
    eleven = colours.kinds([str(k) for k in range(11)])
    assert len(set(eleven.values())) == 11
    assert eleven["0"] == colours.ramp([1, 2, 3, 4])[0]


def test_words_of_labels():
    fit = SimpleNamespace(target="loss", law=SimpleNamespace())
    assert labels.target_label(fit) == labels.axis_label("loss")
    assert labels.trimmed("a" * 30) == "a" * 30
    assert labels.trimmed("a" * 31) == "a" * 29 + "…"
    assert labels.short_names(["a_b"]) == {"a_b": "a_b"}
    assert labels.short_names(["ab", "ac"]) == {"ab": "ab", "ac": "ac"}
    assert labels.short_names(["x_", "x_1"]) == {"x_": "x_", "x_1": "1"}
    assert labels.value_text(2.0, 1.0, 3.0) == "2.000 [1.000, 3.000]"
    assert labels.value_text(2000.0) == "2000"
    assert labels.schedule_text(SimpleNamespace(text="csv:a/b.csv#d/fast", steps=400)) == "fast, 400 steps"
    assert labels.numbers_of("C") is ticks.power_of_ten
    assert labels.numbers_of("D") is ticks.short_number
    assert labels.numbers_of("peak_lr") is ticks.plain


# --- pieces of lines --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("everywhere", "log", "dashed"),
    [
        ([10, 100], True, []),
        ([10, 100, 1000], True, [(100, 1120)]),
        ([1, 10, 100], True, [(1 / 1.12, 10)]),
        ([10, 100, 200], False, [(100, 200 + 0.12 * 190)]),
        ([5, 10, 100], False, [(5 - 0.12 * 95, 10)]),
    ],
)
def test_solid_where_fitted_and_dashed_beyond(everywhere, log, dashed):
    solid, found = scaling._spans(np.array([10.0, 100.0]), np.array(everywhere, dtype=float), log)
    assert scaling.BEYOND == 1.12
    assert solid == (10, 100)
    assert [pytest.approx(piece) for piece in found] == dashed


def one_size(fitted, held):
    return sizes.Group(1e6, frame(D=fitted), frame(D=held), "k", 1.0)


@pytest.mark.parametrize(
    ("fitted", "held", "pieces"),
    [
        ([1.0, 10.0], [], [(1, 10, "-")]),
        ([1.0, 10.0], [5.0, 100.0], [(1, 10, "-"), (10, 112, "--")]),
        ([1.0, 10.0], [0.1], [(1, 10, "-"), (0.1 / 1.12, 1, "--")]),
        ([4.0], [], [(4 / 2**0.5, 4 * 2**0.5, "-")]),
        ([4.0, 5.7], [], [(4, 5.7, "-")]),
        ([], [4.0], [(4 / 2**0.5 / 1.12, 4 * 2**0.5 * 1.12, "--")]),
        ([], [1.0, 10.0], [(1 / 1.12, 11.2, "--")]),
    ],
)
def test_pieces_of_the_line_of_one_size(fitted, held, pieces):
    found = sizes._spans(one_size(fitted, held), "D")
    assert [style for *_, style in found] == [style for *_, style in pieces]
    for (low, high, _), (wanted_low, wanted_high, _) in zip(found, pieces, strict=True):
        assert (low, high) == pytest.approx((wanted_low, wanted_high))


def test_sizes_that_are_near_share_a_line():
    assert sizes._edges(np.array([1.0, 1.2, 1.45])).tolist() == pytest.approx([(1.2 * 1.45) ** 0.5])
    assert sizes._edges(np.array([1.0, 1.15, 1.3])).tolist() == pytest.approx([(1.15 * 1.3) ** 0.5])
    assert len(sizes._edges(2.0 ** np.arange(8))) == 7
    many = sizes._edges(2.0 ** np.arange(9))
    assert many.tolist() == pytest.approx(np.geomspace(1, 256, 9)[1:-1])
    groups = sizes.group(frame(N=[1e6, 1.1e6, 1e8]), frame(N=[1e9]), "N")
    assert [each.size for each in groups] == pytest.approx([1.1**0.5 * 1e6, 1e8, 1e9])
    assert [each.spread for each in groups] == pytest.approx([1.1, 1, 1])
    assert [each.is_held for each in groups] == [False, False, True]
    assert [each.rounded for each in groups] == [1e6, 1e8, 1e9]
    assert sizes.Group(1.2345e6, frame(), frame(), "k", 1.0).rounded == 1.23e6
    assert sizes.with_compute(frame(N=[2], D=[3]), "N")["C"].tolist() == [36.0]


# --- marks ------------------------------------------------------------------------------------------------------------


def test_predictions_with_and_without_an_interval(ax):
    row = pd.Series({"predicted": 2.0, "low": 1.5, "high": 3.0})
    assert marks.value_of(row) == (2.0, 1.5, 3.0)
    assert marks.value_of(row.drop(["low", "high"])) == (2.0, None, None)
    marks.star(ax, 7.0, row, "here")
    bar, dot = ax.lines
    assert bar.get_ydata().tolist() == [1.5, 3.0]
    assert (dot.get_xdata()[0], dot.get_ydata()[0]) == (7.0, 2.0)
    assert ax.texts[0].get_text() == "here\n2.000 [1.500, 3.000]"
    marks.star(ax, 7.0, row.drop(["low", "high"]), "")
    assert len(ax.lines) == 3
    assert ax.texts[1].get_text() == "2.000"


def test_held_out_points(ax):
    rows = frame(D=[1.0, 2.0], predicted=[3.0, 4.0], low=[2.5, 3.0], high=[3.25, 6.0], measured=[3.1, np.nan])
    marks.held_points(ax, rows, "D", "#112233")
    (bars,) = ax.containers
    segments = bars[2][0].get_segments()
    assert [segment[:, 1].tolist() for segment in segments] == [[2.5, 3.25], [3.0, 6.0]]
    dots = [line for line in ax.lines if line.get_marker() == "o"]
    assert [line.get_ydata().tolist() for line in dots] == [[3.1]]
    before = len(ax.lines)
    marks.held_points(ax, rows.iloc[:0], "D", "#112233")
    assert len(ax.lines) == before
    marks.band(ax, [1, 2], rows, "k")
    assert len(ax.collections) == 2
    marks.band(ax, [1, 2], rows.drop(columns="low"), "k")
    assert len(ax.collections) == 2
    assert marks.ring_entry(1).get_label() == "1 row more than 5σ off"
    assert marks.ring_entry(2).get_label() == "2 rows more than 5σ off"


def fit_of(log=True, sigma=0.01, trajectory=False):
    return SimpleNamespace(
        settings=SimpleNamespace(residuals="log" if log else "linear"),
        sigma=sigma,
        target="loss",
        law=SimpleNamespace(is_trajectory=trajectory),
    )


def test_residuals_and_what_is_far():
    rows = frame(measured=[2.0, 2.2, 1.9], predicted=[2.0, 2.0, 2.0])
    assert samples.residuals(fit_of(), rows) == pytest.approx([0, 0.1, -0.05])
    assert samples.residuals(fit_of(log=False), rows) == pytest.approx([0, 0.2, -0.1])
    assert samples.far_out(fit_of(sigma=0.019), rows).tolist() == [False, True, False]
    assert samples.far_out(fit_of(sigma=0.0099), rows).tolist() == [False, True, True]
    assert not samples.far_out(fit_of(sigma=0.0), rows).any()
    assert samples.error_text(fit_of(), rows) == "4.8 %"
    assert samples.error_text(fit_of(log=False), rows) == "rms 0.129"
    assert samples.error_text(fit_of(), rows.assign(measured=np.nan)) == ""


@pytest.mark.parametrize("trajectory", [True, False])
def test_outliers_are_ringed_and_named(ax, trajectory):
    rows = frame(run=list("abcd"), D=[1.0, 2.0, 3.0, 4.0], measured=[2.0, 2.2, 2.0, 1.7], predicted=2.0)
    left_over._mark_outliers(ax, fit_of(trajectory=trajectory), rows, "D", 100.0)
    assert ax.lines[0].get_xdata().tolist() == [2.0, 4.0]
    assert ax.lines[0].get_ydata().tolist() == pytest.approx([10, -15])
    assert [text.get_text() for text in ax.texts] == ([] if trajectory else ["d", "b"])
    left_over._mark_outliers(ax, fit_of(sigma=1.0), rows, "D", 100.0)
    assert len(ax.lines) == 1


# --- curves -----------------------------------------------------------------------------------------------------------


def test_the_mean_rate_between_logged_points():
    """S1 grows by 2, 2 and 1 over 1, 2 and 2 steps: rates 2, 1 and a half, at the middles."""
    steps, lr = curves._mean_lr(frame(step=[0, 1, 3, 5], S1=[1.0, 3.0, 5.0, 6.0]))
    assert steps.tolist() == [0, 0.5, 2, 4, 5]
    assert lr.tolist() == [2, 2, 1, 0.5, 0.5]
    assert curves._mean_lr(frame(step=[0], S1=[1.0]))[0].size == 0
    assert curves._mean_lr(frame(step=[0, 1]))[0].size == 0


def test_corners_of_a_schedule():
    lr = parse_schedule("piecewise:at=0/777/2000,lr=0/1/0.2").per_step()
    steps, rates = curves._corners(lr)
    assert {0, 777, 2000} <= set(steps.tolist())
    assert len(steps) <= 301
    np.testing.assert_allclose(np.interp(np.arange(2001), steps, rates), lr, atol=1e-12)


def test_dots_are_as_dense_on_short_runs_as_on_long_ones(ax):
    assert curves._gap(frame(step=[0, 420])) == 10
    long = frame(step=np.arange(421), measured=1.0)
    curves._draw_dots(ax, long, "k", False, 10.0)
    assert len(ax.lines[0].get_xdata()) == 42
    curves._draw_dots(ax, long.iloc[:100], "k", False, 10.0)
    assert len(ax.lines[1].get_xdata()) == 15
    curves._draw_dots(ax, long.assign(measured=np.nan), "k", False, 10.0)
    assert len(ax.lines) == 2


def test_colours_of_runs_by_size_where_sizes_differ():
    rows = frame(run=["a", "a", "b", "c"], N=[1e6, 1e6, 1e8, 1e6])
    assert curves._paint(rows) == dict(zip("abc", [colours.ramp([1e6, 1e8])[k] for k in (0, 1, 0)], strict=True))
    assert curves._paint(rows.assign(N=1e6)) == colours.kinds(["a", "b", "c"])
    assert curves._paint(rows.drop(columns="N")) == colours.kinds(["a", "b", "c"])


def test_the_y_axis_begins_after_the_first_drop(ax):
    """A fifth of the middle run, of 100 steps: rows from step 20 on, between 2 and 4, with a twentieth as margin."""
    rows = frame(run=["a"] * 4, step=[0, 19, 20, 100], measured=[9.0, 8.0, 4.0, 3.0], predicted=[9.0, 8.0, np.nan, 2.0])
    curves._limit(ax, rows)
    assert ax.get_ylim() == pytest.approx((1.9, 4.1))
    assert ax.get_xlim() == pytest.approx((0, 102))
    ends = pd.concat([rows, frame(run=["target"], step=[100], predicted=[2.0], low=[1.0], high=[6.0])])
    for run, limits in (("target", (0.75, 6.25)), ("b", (1.9, 4.1))):  # the interval of what is predicted is held
        curves._limit(ax, ends.replace("target", run))
        assert ax.get_ylim() == pytest.approx(limits)
    forecast = SimpleNamespace(
        steps=100, seen=frame(step=[11, 12, 50], loss=[9.0, 4.0, 3.0]), curve=frame(low=[2.0], high=[3.5])
    )
    panel = ax.figure.add_axes((0, 0, 1, 0.1))
    partial._dress(ax, panel, forecast)
    assert ax.get_ylim() == pytest.approx((2 - 0.12, 4 + 0.12))


# --- back-tests -------------------------------------------------------------------------------------------------------


def predictions(count, **columns):
    given = {"fold": "x", "decades": np.arange(count) / 10, "error": 0.1, "low": -0.2, "high": 0.2, "inside": True}
    return frame(**(given | columns))


def test_parts_of_the_axis_hold_about_equally_many():
    table = predictions(20, error=np.where(np.arange(20) < 10, 0.1, -0.3), inside=np.arange(20) % 2 == 0)
    place, names = backtest._places(table, True)
    assert (place.tolist(), names) == ((np.arange(20) / 10).tolist(), [])
    bands = backtest._bands(table, place, True)
    assert len(bands) == 4
    assert bands["left"].tolist() == pytest.approx(np.quantile(place, [0, 0.25, 0.5, 0.75]))
    assert bands["right"].tolist() == pytest.approx(np.quantile(place, [0.25, 0.5, 0.75, 1]))
    assert bands["error"].tolist() == pytest.approx([0.1, 0.1, 0.3, 0.3])
    assert bands["inside"].tolist() == pytest.approx([0.6, 0.4, 0.6, 0.4])
    assert len(backtest._bands(predictions(9), np.arange(9.0), True)) == 1
    assert len(backtest._bands(predictions(10), np.arange(10.0), True)) == 2
    assert backtest._limit(predictions(9), backtest._bands(predictions(9), np.arange(9.0), True)) == pytest.approx(0.23)
    wild = predictions(9, error=[0.1] * 8 + [-1.0])
    wanted = 1.15 * np.quantile(np.abs(wild["error"]), 0.98)
    assert backtest._limit(wild, backtest._bands(wild, np.arange(9.0), True)) == pytest.approx(wanted)


def test_runs_left_out_stand_side_by_side():
    table = predictions(4, fold=["without r_a", "without r_a", "without r_b", "without r_b"])
    place, names = backtest._places(table, False)
    assert np.round(place).tolist() == [0, 0, 1, 1]
    assert names == ["a", "b"]
    bands = backtest._bands(table, place, False)
    assert bands[["left", "right"]].to_numpy().tolist() == [[-0.4, 0.4], [0.6, 1.4]]


@pytest.mark.parametrize(("names", "turned"), [(list("abcd"), 0), (list("abcde"), 20)])
def test_many_names_are_turned(ax, names, turned):
    table = predictions(len(names), fold=names)
    bands = backtest._bands(table, np.arange(float(len(names))), False)
    backtest._dress(ax, np.arange(float(len(names))), names, bands, 0.2)
    assert {text.get_rotation() for text in ax.get_xticklabels()} == {turned}
    assert ax.get_ylim() == pytest.approx((-21, 23))
    assert [text.get_text() for text in ax.texts] == ["100 %"] * len(names)


def test_the_factors_on_the_axis(ax):
    bands = backtest._bands(predictions(10), np.arange(10.0) / 10, True)
    backtest._dress(ax, np.arange(10.0) / 10, [], bands, 0.2)
    assert [text.get_text() for text in ax.get_xticklabels()] == ["1×", "2×", "5×", "10×"]
    assert ax.get_xlim() == pytest.approx((-0.03 * 0.9, 0.9 * 1.03))


# --- learning rates ---------------------------------------------------------------------------------------------------


def test_ticks_of_learning_rates(ax):
    ax.set_xlim(-12, -4)
    learning_rate._tick_rates(ax, np.array([-12.0, -10.5, -8.0]))
    ax.figure.canvas.draw()
    assert ax.get_xticklabels()[3].get_text().startswith("$2^{")
    figure, other = plt.subplots()
    other.set_xlim(np.log2(1e-4), np.log2(1e-2))
    learning_rate._tick_rates(other, np.log2([1e-4, 3e-4, 1e-3]))
    texts = [text.get_text() for text in other.get_xticklabels()]
    assert {"1e-4", "3e-4", "1e-3", "3e-3", "1e-2"} <= set(texts)
    assert other.get_xlim() == pytest.approx((np.log2(1e-4), np.log2(1e-2)))
    other.set_xlim(np.log2(1e-7), np.log2(1e-2))
    learning_rate._tick_rates(other, np.log2([1e-4, 3e-4, 1e-3]))
    assert "3e-4" not in [text.get_text() for text in other.get_xticklabels()]
    assert {"1e-4", "1e-7"} <= {text.get_text() for text in other.get_xticklabels()}
    plt.close(figure)


def transfer_of(refused=""):
    """One size with losses 4, 3, 2, 3.4 (of three seeds), 5 at two octaves each, the optimum at 2^-6, of 1.9."""
    lr = 2.0 ** np.array([-10, -8, -6, -4, -4, -4, -2])
    cell = frame(lr=lr, loss=[4.0, 3.0, 2.0, 2.2, 2.3, 5.7, 5.0])
    best = SimpleNamespace(log2=-6.0, loss=1.9, refused=refused)
    arm = SimpleNamespace(name="a", optima={64: best})
    return SimpleNamespace(arms=[arm], sweeps=SimpleNamespace(cell=lambda name, size: cell))


def test_losses_near_the_optima_set_the_scale():
    """From 1.9 to 3.4, the mean of its seeds, those within three octaves; 6 % below and 35 % above."""
    assert learning_rate._limits(transfer_of()) == pytest.approx((1.9 - 0.09, 3.4 + 0.525))
    assert learning_rate._limits(transfer_of("too few")) == pytest.approx((1.9 - 0.09, 3.4 + 0.525))


# --- room -------------------------------------------------------------------------------------------------------------

TAKEN = np.array([[0.1, 0.2], [0.9, 0.8], [0.5, 0.5]])


@pytest.mark.parametrize(
    ("corner", "width", "height", "share"),
    [
        ("upper right", 0.3, 0.1, 1.0),
        ("upper right", 0.3, 0.3, 0.7 / 0.8),
        ("upper left", 0.3, 0.5, 1.0),
        ("upper left", 0.6, 0.6, 0.4 / 0.5),
        ("lower left", 0.3, 0.3, 0.7 / 0.8),
        ("lower right", 0.3, 0.7, 1.0),
        ("lower right", 0.05, 0.99, 1.0),
    ],
)
def test_the_share_of_the_height_that_a_legend_leaves(corner, width, height, share):
    assert room._share(TAKEN, corner, width, height) == pytest.approx(share)


@pytest.mark.parametrize("inches", [3.25, 6.0])
def test_a_legend_above_lies_within_its_figure_and_leaves_the_axes_their_width(inches):
    ax = plt.subplots(figsize=(inches, 3), layout="constrained")[1]
    handles = [legend.stroke("k", "error by which laws are ranked; middle half"), legend.stroke("k", "the worst tenth")]
    legend.above(ax, handles)
    ax.figure.draw_without_rendering()
    extent, whole = ax.get_legend().get_window_extent(), ax.figure.bbox
    assert whole.x0 <= extent.x0 < extent.x1 <= whole.x1
    assert ax.get_window_extent().width > 0.75 * whole.width


def test_a_legend_below_lies_under_its_axes_in_a_figure_that_grows():
    ax = plt.subplots(figsize=(3.25, 2), layout="constrained")[1]
    legend.below(ax, [legend.stroke("k", f"a module with a long name {k}") for k in range(6)])
    ax.figure.draw_without_rendering()
    extent = ax.figure.legends[0].get_window_extent()
    assert len(ax.figure.legends) == 1 and ax.figure.get_figheight() > 2.5
    assert extent.y1 <= ax.get_tightbbox().y0 and ax.get_window_extent().height > 0.6 * 2 * ax.figure.dpi


def test_a_legend_too_tall_for_the_data_has_two_columns_on_narrow_axes():
    ax = plt.subplots(figsize=(3.25, 3.0), layout="constrained")[1]
    ax.plot(range(40), [0.5, -0.5] * 20)
    shown = legend.place(ax, [legend.stroke("k", f"r{k}") for k in range(12)])
    ax.figure.draw_without_rendering()
    assert shown._ncols == 2
    low, high = ax.transData.transform([(0, -0.5), (0, 0.5)])[:, 1]
    assert shown.get_window_extent().y0 >= high or shown.get_window_extent().y1 <= low


def test_axes_grow_away_from_the_legend(ax):
    ax.set_ylim(0, 8)
    room.grow(ax, "upper right", 0.8)
    assert ax.get_ylim() == pytest.approx((0, 10))
    room.grow(ax, "lower left", 0.5)
    assert ax.get_ylim() == pytest.approx((-10, 10))
    room.grow(ax, "lower left", 1.0)
    assert ax.get_ylim() == pytest.approx((-10, 10))
    ax.set_yscale("log")
    ax.set_ylim(1, 100)
    room.grow(ax, "upper left", 0.5)
    assert ax.get_ylim() == pytest.approx((1, 1e4))


@pytest.mark.parametrize(
    ("height", "below", "lowered"),
    [
        (0.5, 10, False),  # it does not hang out
        (0.05, 60, True),
        (0.5, 120, False),  # the data would keep too little of the height
    ],
)
def test_axes_are_lowered_for_a_text_that_hangs_out_of_them(ax, height, below, lowered):
    ax.set(xlim=(0, 1), ylim=(0, 1))
    text = ax.annotate("a", (0.5, height), xytext=(0, -below), textcoords="offset points", va="top")
    room._lift(ax, text)
    assert (ax.get_ylim()[0] < 0) == lowered
    assert ax.get_ylim()[1] == 1
    if lowered:
        assert room._box(ax, text).y0 == pytest.approx(0.025, abs=1e-3)  # a little room


@pytest.mark.parametrize(
    ("box", "cost"),
    [
        ((0.0, 0.1, 0.2, 0.3), 1.0),
        ((0.3, 0.0, 0.4, 0.1), 0.0),
        ((0.0, 0.0, 1.0, 1.0), 3.0),
        ((-0.1, 0.3, 0.05, 0.4), 4.0),
        ((0.95, 0.1, 1.05, 0.2), 4.0),
        ((0.2, 0.95, 0.3, 1.05), 4.0),
        ((0.2, -0.1, 0.3, 0.1), 0.0),
    ],
)
def test_what_a_text_covers(box, cost):
    assert room._covered(Bbox.from_extents(*box), TAKEN, []) == cost
    other = Bbox.from_extents(*box)
    assert room._covered(other, TAKEN, [other, Bbox.from_extents(2, 2, 3, 3)]) == cost + 4


def test_what_is_drawn_on_axes(ax):
    ax.set(xlim=(0, 10), ylim=(0, 10))
    ax.plot([1, 9], [5, 5], linestyle="", marker="o")
    np.testing.assert_allclose(np.sort(room._taken(ax)[:, 0]), [0.1, 0.9])
    ax.plot([0, 10], [2, 2])
    assert 90 <= len(room._taken(ax)) <= 210  # places all along the line
    ax.axhline(3)
    ax.plot([20, 30], [5, 5], linestyle="", marker="o")
    assert len(room._taken(ax)) <= 210 + 200
    line = Line2D([0, 1], [0, 1])
    assert len(room._dense(np.zeros((401, 2)), line)) == 401
    assert len(room._dense(np.zeros((1, 2)), line)) == 1


def test_the_legend_takes_the_free_corner(ax):
    ax.set(xlim=(0, 1), ylim=(0, 1))
    ax.plot([0.05, 0.05, 0.95], [0.95, 0.05, 0.95], linestyle="", marker="o")
    shown = legend.place(ax, [legend.stroke("k", "a")])
    assert shown._loc == 4  # lower right
    many = legend.some_of([Line2D([], [], label=str(k)) for k in range(5)], 3)
    assert [entry.get_label() for entry in many] == ["0", "2", "4", "and 2 more"]
    assert len(legend.some_of(many, 4)) == 4


@pytest.mark.parametrize(("letters", "columns"), [(1, 2), (40, 1)])
def test_a_crowded_legend_has_two_columns_where_they_fit(ax, letters, columns):
    ax.set(xlim=(0, 1), ylim=(0, 1))
    ax.plot(*np.meshgrid([0.05, 0.3, 0.7, 0.95], [0.05, 0.5, 0.95]), linestyle="", marker="o", color="k")
    shown = legend.place(ax, [legend.stroke("k", letter * letters) for letter in "abcdef"])
    assert shown._ncols == columns


def test_a_panel_below_axes(ax):
    panel = canvas.panel_below(ax)
    assert canvas.panel_below(ax) is panel
    assert panel.get_label() == "learning rate"
    figure = plt.figure()
    placed = figure.add_axes((0.1, 0.2, 0.8, 0.6))
    below = canvas.panel_below(placed, shares=(3.0, 1.0))
    low = 0.6 / (4 * 1.06)
    assert below.get_position().bounds == pytest.approx((0.1, 0.2, 0.8, low))
    assert placed.get_position().bounds == pytest.approx((0.1, 0.2 + 1.2 * low, 0.8, 0.6 - 1.2 * low))
    plt.close(figure)


def test_a_warning_above_axes(ax):
    canvas.warn_of(ax, [])
    assert ax.get_title(loc="left") == ""
    canvas.warn_of(ax, ["off by 5 %"], "odd: ")
    assert ax.get_title(loc="left") == "odd: off by 5\N{NO-BREAK SPACE}%"
    canvas.warn_of(ax, ["a", "b", "c"])
    assert ax.get_title(loc="left") == "a (and 2 more)"
    canvas.warn_of(ax, ["word " * 60])
    lines = ax.get_title(loc="left").splitlines()
    assert len(lines) == 2
    assert lines[1].endswith(" …")
    columns = int(ax.get_window_extent().width / ax.figure.dpi * 16.5)
    assert columns - 6 < len(lines[0]) <= columns
    canvas.rows(ax, ["x", "y"])
    assert ax.get_ylim() == pytest.approx((1.6, -0.6))
    canvas.limit(ax, np.array([1.0, 3.0]), 0.1, 50)
    assert ax.get_ylim() == pytest.approx((0.8, 3.2))
    assert ax.get_xlim() == pytest.approx((0, 51))


# --- coordinates ------------------------------------------------------------------------------------------------------


def test_the_change_of_modules_with_size(ax):
    rows = frame(module="a", d_model=[64, 64, 256, 256], step=1, seed=[0, 1, 0, 1], mean_abs=[1.0, 3.0, 6.0, 10.0])
    shown = coordinates._draw(ax, rows, np.array([64.0, 256.0]), 1.0, "k", True, 1.0, "o")
    (bars,) = ax.containers
    assert bars[0].get_ydata().tolist() == [1.0, 4.0]
    assert [s[:, 1].tolist() for s in bars[2][0].get_segments()] == [[0.5, 1.5], [3.0, 5.0]]
    line = [each for each in ax.lines if each.get_linestyle() == "--"][-1]
    assert line.get_ydata().tolist() == pytest.approx([1.0, 4.0])  # the power law of slope 1 through the middle, 2
    assert shown.get_linestyle() == "--"
    before = len(ax.lines)
    coordinates._draw(ax, rows, np.array([64.0, 256.0]), np.nan, "k", True, 1.0, "o")
    coordinates._draw(ax, rows.assign(mean_abs=[1.0, 3.0, 0.0, 0.0]), np.array([64.0, 256.0]), 1.0, "k", True, 1.0, "o")
    assert sum(each.get_linestyle() == "--" for each in ax.lines[before:]) == 0
    coordinates._scale(ax, rows, np.array([64.0, 256.0]), "d_model")
    assert np.log2(ax.get_ylim()) == pytest.approx([-2 * coordinates.ROOM, 2 * coordinates.ROOM])


@pytest.mark.parametrize(
    ("verdicts", "said"),
    [
        ({"a": "flat", "b": "flat"}, "mup, pass: every module keeps its size"),
        ({"a": "grows", "b": "flat"}, "mup, FAIL: a changes with width"),
        ({"a": "shrinks", "b": "not finite", "c": "grows"}, "mup, FAIL: a, b and c change with width"),
        ({"a": "undecided", "b": "shrinks"}, "mup, FAIL: b changes with width"),
        ({"a": "undecided", "b": "flat"}, "mup, undecided whether a keeps its size"),
        ({"a": "undecided", "b": "undecided"}, "mup, undecided whether a and b keep their size"),
    ],
)
def test_the_verdict_on_coordinates(verdicts, said):
    assert coordinates._verdict(verdicts, "d_model", "mup") == said
    assert coordinates._verdict(verdicts, "d_model", "") == said.removeprefix("mup, ")


def test_markers_of_modules_stand_apart(ax):
    rows = frame(module=["a", "a", "b", "b"], d_model=[64, 256] * 2, step=1, seed=0, mean_abs=[1.0, 1.0, 1.0, 2.0])
    coordinates.plot_coordinates(rows, {"a": 0.0, "b": 0.5}, ax=ax)
    first, second = (bars[0].get_xdata() for bars in ax.containers)
    np.testing.assert_allclose(second / first, 4**coordinates.APART)
    np.testing.assert_allclose(first * second, np.array([64.0, 256.0]) ** 2)
    assert [text.get_text()[:2] for text in ax.get_legend().get_texts()][:2] == ["a ", "b "]


def test_the_figure_of_coordinates_allows_what_the_check_allows():
    pytest.importorskip("torch")
    from scalefit.proxy import coordinate_check

    defaults = {
        inspect.signature(made).parameters["gate"].default for made in (coordinate_check, coordinates.plot_coordinates)
    }
    assert defaults == {0.1}


def test_a_star_on_a_crowded_falling_line_has_its_words_beside_it():
    """Above the star there is no room, below and to the left runs the line; to the right the axes are empty."""
    from scalefit.plots import canvas, marks, room

    with canvas.styled("paper", 3.25):
        ax = canvas.new_axes(None)
        loss = np.linspace(0.5, 1.0, 200)
        accuracy = 0.25 + 0.72 / (1 + np.exp(12 * (loss - 0.66)))
        ax.plot(loss, accuracy, "o-")
        marks.star(ax, 0.53, pd.Series({"predicted": 0.855, "low": 0.84, "high": 0.87}), "")
        ax.figure.draw_without_rendering()
        room.settle_texts(ax)
        words = ax.texts[0].get_window_extent()
        assert not any(words.contains(*place) for place in ax.transData.transform(np.column_stack([loss, accuracy])))
    plt.close(ax.figure)
