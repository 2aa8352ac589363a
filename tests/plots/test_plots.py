"""Figures, judged by what their axes contain; the pictures themselves are looked at by people."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import commands
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D

import scalefit as sf
from scalefit import plots
from scalefit.diagnosis.checks import Check
from scalefit.errors import InputError
from scalefit.fitting.result import Fit
from scalefit.laws.annealing import Annealing
from scalefit.laws.annealing_size import AnnealingSize
from scalefit.laws.chinchilla import Chinchilla
from scalefit.laws.formula import FormulaLaw
from scalefit.laws.power_floor import PowerFloor
from scalefit.plots import labels, ticks
from scalefit.runs.quantities import quantity
from scalefit.schedules import areas, parse_schedule

DATA = commands.SHARED
STEPS = 4000
SCHEDULES = {
    "constant": f"constant:peak_lr=1e-3,steps={STEPS},warmup=100",
    "cosine": f"cosine:peak_lr=1e-3,steps={STEPS},warmup=100,final=1e-4",
    "wsd": f"wsd:peak_lr=1e-3,steps={STEPS},warmup=100,decay_steps=1000,final=1e-4",
}
LATER = f"wsd:peak_lr=1e-3,steps={2 * STEPS},warmup=100,decay_steps=1000,final=1e-4"


def annealed(steps: np.ndarray, schedule: str, size: float = 1.0) -> np.ndarray:
    """Loss of the annealing law with planted constants, by an explicit sum over steps."""
    S1, S2 = areas(parse_schedule(schedule).per_step())
    return (2.5 + 0.4 * S1[steps] ** -0.5 - 0.3 * S2[steps]) * size


def curves(names: list[str], sizes: tuple[float, ...] = (1e8,)) -> sf.Runs:
    steps = np.arange(150, STEPS + 1, 50)
    rows = [
        pd.DataFrame({"run": f"{s:g}_{n}", "N": s, "step": steps, "loss": annealed(steps, SCHEDULES[n], s**-0.02)})
        for n in names
        for s in sizes
    ]
    given = {f"{s:g}_{n}": SCHEDULES[n] for n in names for s in sizes}
    return sf.read_runs(pd.concat(rows, ignore_index=True), schedule=given)


def grid(N: list[float], D: list[float], noise: float = 0.0) -> pd.DataFrame:
    n, d = (a.ravel() for a in np.meshgrid(N, D))
    wobble = 1 + noise * np.random.default_rng(0).standard_normal(len(n))
    return pd.DataFrame({"N": n, "D": d, "loss": (1.7 + 400 * n**-0.34 + 410 * d**-0.28) * wobble})


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def curve_fit() -> Fit:
    return sf.fit(curves(["constant", "cosine"]), Annealing)


@pytest.fixture(scope="module")
def power_fit() -> Fit:
    C = np.geomspace(1e18, 1e20, 9)
    return sf.fit(pd.DataFrame({"C": C, "loss": 2 + 300 * C**-0.13}), PowerFloor(over="C"))


@pytest.fixture(scope="module")
def size_fit() -> Fit:
    return sf.fit(grid([1e7, 1e8, 1e9], [1e9, 1e10, 1e11], 0.003), Chinchilla)


@pytest.fixture(scope="module")
def odd_fit() -> Fit:
    rng = np.random.default_rng(1)
    table = pd.DataFrame({name: rng.uniform(1, 9, 40) for name in ("N", "D", "batch")})
    table["loss"] = 1 + 2 * table["N"] ** -0.5 + table["D"] ** -0.5 + 0.1 * table["batch"]
    return sf.fit(table, FormulaLaw("E + A*N**-0.5 + B*D**-0.5 + c*batch"))


@dataclasses.dataclass(frozen=True)
class WithIntervals(Fit):
    """A fit whose predictions carry an interval of one percent to either side."""

    share: ClassVar[float] = 0.01

    def predict(self, *args, **kwargs):
        frame = super().predict(*args, **kwargs)
        return frame.assign(low=(1 - self.share) * frame[self.target], high=(1 + self.share) * frame[self.target])


def with_intervals(fit: Fit) -> Fit:
    return WithIntervals(**{field.name: getattr(fit, field.name) for field in dataclasses.fields(fit)})


def lines(ax: Axes, style: str) -> list[Line2D]:
    return [line for line in ax.lines if line.get_linestyle() == style and len(line.get_xdata()) > 1]


def dots(ax: Axes, hollow: bool) -> list[Line2D]:
    """Measured points that were drawn: the round markers without a line."""
    round_ones = [x for x in ax.lines if x.get_marker() == "o" and x.get_linestyle() == "None" and len(x.get_xdata())]
    return [x for x in round_ones if (x.get_markerfacecolor() == "none") == hollow and x.get_markersize() < 6]


def legend_texts(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


# ---------------------------------------------------------------- every figure


def test_every_figure_returns_the_axes_it_was_given_and_leaves_the_settings_alone(
    curve_fit, power_fit, size_fit, odd_fit
):
    before = dict(mpl.rcParams)
    for fit in (curve_fit, power_fit, size_fit, odd_fit):
        for draw in (plots.plot_fit, plots.plot_residuals, plots.plot_parity):
            ax = plt.figure().add_subplot()
            assert draw(fit, ax=ax) is ax
            assert ax.get_xlabel() or ax.lr_axes.get_xlabel()
            assert ax.get_ylabel()
        assert isinstance(plots.plot_fit(fit), Axes)
        plt.close("all")
    assert dict(mpl.rcParams) == before


def test_the_method_of_the_fit_draws_the_same_figure(power_fit):
    ax = plt.figure().add_subplot()
    assert power_fit.plot(ax=ax) is ax and len(dots(ax, hollow=False)) == 1


def test_the_legend_covers_no_data(curve_fit, power_fit, size_fit, odd_fit):
    for fit in (curve_fit, power_fit, size_fit, odd_fit):
        ax = plots.plot_fit(fit)
        ax.figure.draw_without_rendering()
        box = ax.get_legend().get_window_extent()
        for line in ax.lines:
            places = line.get_transform().transform(np.asarray(line.get_xydata(), dtype=float))
            assert not any(box.contains(x, y) for x, y in places)


def test_a_doubtful_fit_says_so_in_red_and_a_good_one_does_not(power_fit):
    assert plots.plot_fit(power_fit).get_title(loc="left") == ""
    doubts = (Check("at-bound", "alpha ended at its lower bound 0 " * 20), Check("x", "second"))
    ax = plots.plot_fit(dataclasses.replace(power_fit, warnings=doubts))
    text = ax.get_title(loc="left")
    assert text.startswith("at a bound: alpha ended at its lower bound 0") and text.endswith("(and 1 more)")
    assert text.count("\n") == 1
    red, green, blue = to_rgb(ax._left_title.get_color())
    assert red > 0.6 > 0.3 > max(green, blue)


# ---------------------------------------------------------------- curves under schedules


def test_curves_are_drawn_solid_where_fitted_and_hollow_and_dashed_where_held_out(curve_fit):
    ax = plots.plot_fit(curve_fit, curves(["wsd"]))
    assert len(lines(ax, "-")) == 2 and len(lines(ax, "--")) == 1
    assert len(dots(ax, hollow=False)) == 2 and len(dots(ax, hollow=True)) == 1
    x, y = lines(ax, "--")[0].get_data()
    assert np.allclose(y, annealed(np.asarray(x, dtype=int), SCHEDULES["wsd"], 1e8**-0.02), rtol=1e-5)
    assert ax.get_ylabel() == "loss (nats/token)"
    assert [text.split(",")[0] for text in legend_texts(ax)] == ["constant", "cosine", "wsd"]
    assert "held out" in legend_texts(ax)[-1] and "%" in legend_texts(ax)[-1]
    colours = {line.get_color() for line in [*lines(ax, "-"), *lines(ax, "--")]}
    assert len(colours) == 3


def test_many_points_are_thinned_and_lines_are_not(curve_fit):
    ax = plots.plot_fit(curve_fit)
    logged = len(curves(["constant"]).curves)
    assert all(len(line.get_xdata()) <= 45 < logged for line in dots(ax, hollow=False))
    assert all(len(line.get_xdata()) == logged for line in lines(ax, "-"))


def test_the_learning_rate_lies_below_on_the_same_steps(curve_fit):
    ax = plots.plot_fit(curve_fit, curves(["wsd"]))
    panel = ax.lr_axes
    assert panel.get_xlabel() == "optimiser step" and "learning" in panel.get_ylabel()
    assert panel.get_shared_x_axes().joined(ax, panel)
    assert panel.get_position().y1 < ax.get_position().y0
    constant, cosine, wsd = panel.lines
    for line, name in ((constant, "constant"), (cosine, "cosine"), (wsd, "wsd")):
        at = np.arange(300, STEPS - 50)
        drawn = np.interp(at, *line.get_data())
        assert np.allclose(drawn, parse_schedule(SCHEDULES[name]).per_step()[at], atol=1.2e-5)
    assert wsd.get_linestyle() == "--" and wsd.get_xdata()[0] == 0


def test_the_panel_takes_room_from_its_own_axes_only(curve_fit):
    figure, (left, right) = plt.subplots(1, 2)
    cell, other = left.get_position(), right.get_position()
    plots.plot_fit(curve_fit, ax=left)
    assert right.get_position().bounds == pytest.approx(other.bounds)
    assert left.get_position().y1 == pytest.approx(cell.y1) and left.lr_axes.get_position().y0 == pytest.approx(cell.y0)
    free = figure.add_axes((0.1, 0.1, 0.5, 0.5))
    plots.plot_fit(curve_fit, ax=free)
    assert free.lr_axes.get_position().y0 == pytest.approx(0.1) and free.get_position().y1 == pytest.approx(0.6)
    panels = len(figure.axes)
    plots.plot_fit(curve_fit, ax=free)
    assert len(figure.axes) == panels
    bare = plots.plot_fit(curve_fit, ax=plt.figure().add_subplot(), lr_panel=False)
    assert not hasattr(bare, "lr_axes") and bare.get_xlabel() == "optimiser step"


def test_the_first_drop_is_left_out_unless_asked_for(curve_fit):
    first = max(curve_fit.points.values)
    assert plots.plot_fit(curve_fit).get_ylim()[1] < first < plots.plot_fit(curve_fit, whole=True).get_ylim()[1]


def test_a_target_schedule_is_drawn_to_its_end_and_its_value_printed(curve_fit, monkeypatch):
    ax = plots.plot_fit(curve_fit, target={"schedule": LATER})
    star = next(line for line in ax.lines if line.get_marker() == "*")
    expected = annealed(np.array([2 * STEPS]), LATER, 1e8**-0.02)[0]
    assert star.get_xdata()[0] == 2 * STEPS and star.get_ydata()[0] == pytest.approx(expected, rel=1e-6)
    assert labels.value_text(expected) in [text.get_text() for text in ax.texts]
    assert "predicted: wsd, 8k steps" in legend_texts(ax)
    monkeypatch.setattr(WithIntervals, "share", 0.1)
    bar = next(line for line in plots.plot_fit(with_intervals(curve_fit), target={"schedule": LATER}).lines
               if line.get_marker() == "_")  # fmt: skip
    assert bar.axes.get_ylim()[0] < min(bar.get_ydata()) == pytest.approx(0.9 * expected)
    with pytest.raises(InputError, match="no schedule"):
        plots.plot_fit(curve_fit, target={"step": 100})


def test_a_schedule_never_run_is_drawn_over_the_fitted_runs(curve_fit, power_fit):
    ax = plots.plot_schedule_prediction(curve_fit, LATER, measured=curves(["wsd"]))
    assert len(lines(ax, "--")) == 1 and lines(ax, "--")[0].get_xdata()[-1] == 2 * STEPS
    assert len(dots(ax, hollow=True)) == 1 and any("measured later" in text for text in legend_texts(ax))
    assert ax.lr_axes.lines[-1].get_xdata()[-1] == 2 * STEPS
    with pytest.raises(InputError, match="does not follow a learning-rate schedule"):
        plots.plot_schedule_prediction(power_fit, LATER)


def test_runs_of_several_sizes_are_coloured_by_size():
    fit = sf.fit(curves(["constant", "cosine"], (1e7, 1e8, 1e9)), AnnealingSize, force=True)
    ax = plots.plot_fit(fit, curves(["wsd"], (1e7, 1e8, 1e9)))
    assert len({line.get_color() for line in lines(ax, "-")}) == 3
    assert legend_texts(ax)[:3] == ["$N$ = 10M", "$N$ = 100M", "$N$ = 1B"]


# ---------------------------------------------------------------- one variable


def test_the_extrapolation_is_dashed_and_outside_the_data(power_fit):
    C = np.array([1e17, 1e22])
    ax = plots.plot_fit(power_fit, pd.DataFrame({"C": C, "loss": 2 + 300 * C**-0.13}))
    (solid,), dashed = lines(ax, "-"), lines(ax, "--")
    assert solid.get_xdata().min() == pytest.approx(1e18) and solid.get_xdata().max() == pytest.approx(1e20)
    assert len(dashed) == 2
    for line in dashed:
        assert line.get_xdata().max() <= 1e18 * (1 + 1e-9) or line.get_xdata().min() >= 1e20 * (1 - 1e-9)
        assert np.allclose(line.get_ydata(), 2 + 300 * line.get_xdata() ** -0.13, rtol=1e-5)
    assert len(dots(ax, hollow=False)[0].get_xdata()) == 9 and len(dots(ax, hollow=True)[0].get_xdata()) == 2
    assert ax.get_xlabel() == "training compute $C$ (FLOP)" and ax.get_xscale() == ax.get_yscale() == "log"
    assert "extrapolation" in legend_texts(ax)


def test_without_anything_beyond_no_line_is_dashed(power_fit):
    ax = plots.plot_fit(power_fit)
    assert not lines(ax, "--") and "extrapolation" not in legend_texts(ax)


def test_held_out_points_without_a_measurement_are_crosses_only(power_fit):
    ax = plots.plot_fit(power_fit, pd.DataFrame({"C": [1e21]}))
    assert not dots(ax, hollow=True) and any(line.get_marker() == "x" for line in ax.lines)


def test_the_target_is_marked_with_its_value_and_its_interval(power_fit):
    ax = plots.plot_fit(with_intervals(power_fit), target={"flops": "1e23"})  # C, by a name that logs give it
    value = 2 + 300 * 1e23**-0.13
    texts = [text.get_text() for text in ax.texts]
    assert any("$10^{23}$" in t and labels.value_text(value, 0.99 * value, 1.01 * value) in t for t in texts)
    bands = [c for c in ax.collections if c.get_alpha() is not None and c.get_alpha() < 0.5]
    assert len(bands) == 2  # along the solid and the dashed line
    star = next(line for line in ax.lines if line.get_marker() == "*")
    assert star.get_xydata()[0] == pytest.approx([1e23, value], rel=1e-5)


def test_the_text_at_the_target_stays_inside_the_axes(power_fit, size_fit):
    for fit, target in ((power_fit, {"C": 1e25}), (size_fit, {"N": "70B", "D": "1.4T"})):
        ax = plots.plot_fit(fit, target=target)
        ax.figure.draw_without_rendering()
        inside = ax.get_window_extent()
        corners = ax.texts[0].get_window_extent().corners()
        assert all(inside.contains(x, y) for x, y in corners)


# ---------------------------------------------------------------- size and data


def luminance(colour: str) -> float:
    return float(np.dot(to_rgb(colour), (0.2126, 0.7152, 0.0722)))


def test_each_size_has_its_line_and_small_ones_are_dark(size_fit):
    ax = plots.plot_fit(size_fit)
    solid = lines(ax, "-")
    assert len(solid) == 3
    light = [luminance(line.get_color()) for line in solid]
    assert light == sorted(light) and light[-1] - light[0] > 0.1
    for line, N in zip(solid, (1e7, 1e8, 1e9), strict=True):
        C = line.get_xdata()
        assert C.min() == pytest.approx(6 * N * 1e9) and C.max() == pytest.approx(6 * N * 1e11)
        assert np.allclose(line.get_ydata(), size_fit.predict(N=np.full(len(C), N), D=C / (6 * N))["loss"])
    assert legend_texts(ax)[:3] == ["10M", "100M", "1B"]
    assert "parameters" in ax.get_legend().get_title().get_text() and "FLOP" in ax.get_xlabel()


def test_sizes_that_were_not_fitted_are_dashed_all_along(size_fit):
    ax = plots.plot_fit(size_fit, grid([1e10], [1e10, 1e11]))
    (dashed,) = lines(ax, "--")
    assert dashed.get_xdata().min() <= 6e20 and dashed.get_xdata().max() >= 6e21
    assert len(dots(ax, hollow=True)[0].get_xdata()) == 2 and any("held out" in text for text in legend_texts(ax))


def test_more_data_for_a_fitted_size_extends_its_line_dashed(size_fit):
    ax = plots.plot_fit(size_fit, grid([1e8], [1e12]), x="D")
    (dashed,) = lines(ax, "--")
    assert dashed.get_xdata().min() == pytest.approx(1e11) and dashed.get_xdata().max() > 1e12
    assert ax.get_xlabel() == "training data $D$ (tokens)"


def test_many_irregular_sizes_share_lines():
    N = np.geomspace(1e7, 1e10, 60).tolist()
    ax = plots.plot_fit(sf.fit(grid(N, [1e9, 1e10, 1e11], 0.003), Chinchilla))
    assert 4 <= len(lines(ax, "-")) <= 8
    assert sum(len(group.get_xdata()) for group in dots(ax, hollow=False)) == 180


def test_the_x_axis_may_be_n_with_one_line_for_each_d(size_fit):
    ax = plots.plot_fit(size_fit, x="N")
    assert "parameters" in ax.get_xlabel() and legend_texts(ax)[:3] == ["1B", "10B", "100B"]
    with pytest.raises(InputError, match="choose C, D or N"):
        plots.plot_fit(size_fit, x="loss")


def test_figures_refuse_laws_of_another_family(size_fit, power_fit):
    with pytest.raises(InputError, match="more than one variable"):
        plots.plot_scaling(size_fit)
    with pytest.raises(InputError, match="not one of N and D"):
        plots.plot_sizes(power_fit)


# ---------------------------------------------------------------- parity and residuals


def test_other_laws_are_drawn_predicted_against_measured(odd_fit):
    ax = plots.plot_fit(odd_fit, target={"N": 2, "D": 2, "batch": 3})
    (equal,) = lines(ax, "-")
    assert np.array_equal(equal.get_xdata(), equal.get_ydata()) and ax.get_xlim() == ax.get_ylim()
    (points,) = dots(ax, hollow=False)
    assert np.allclose(points.get_xdata(), points.get_ydata(), rtol=1e-5) and len(points.get_xdata()) == 40
    assert ax.get_xlabel() == "measured loss (nats/token)" and ax.get_ylabel() == "predicted loss (nats/token)"
    expected = 1 + 2 * 2**-0.5 + 2**-0.5 + 0.3
    assert any(labels.value_text(expected) in text.get_text() for text in ax.texts)


def test_residuals_are_in_percent_and_planted_outliers_are_ringed():
    table = grid([1e7, 3e7, 1e8, 3e8, 1e9], [1e9, 1e10, 1e11, 1e12], 0.002)
    table.loc[[3, 11], "loss"] *= 1.2
    table["run"] = [f"run{i}" for i in range(len(table))]
    fit = sf.fit(table, Chinchilla)
    ax = plots.plot_residuals(fit)
    rings = [line for line in ax.lines if line.get_markersize() > 8]
    assert sorted(rings[0].get_xdata()) == pytest.approx(sorted(6 * table["N"][[3, 11]] * table["D"][[3, 11]]))
    assert np.all(np.abs(rings[0].get_ydata() - 20) < 2)
    assert {text.get_text() for text in ax.texts} == {"run3", "run11"}
    assert "%" in ax.get_ylabel()
    (points,) = dots(ax, hollow=False)
    expected = 100 * (table["loss"] / fit.predict(table[["N", "D"]])["loss"] - 1)
    assert np.allclose(points.get_ydata(), expected)


def test_residuals_against_any_variable(size_fit, curve_fit):
    assert plots.plot_residuals(size_fit, against="N").get_xlabel() == "model size $N$ (parameters)"
    assert plots.plot_residuals(size_fit, against="predicted").get_xlabel() == "predicted loss (nats/token)"
    ax = plots.plot_residuals(curve_fit, curves(["wsd"]))
    assert ax.get_xlabel() == "optimiser step" and any(line.get_linestyle() == "--" for line in ax.lines)
    with pytest.raises(InputError, match="choose one of"):
        plots.plot_residuals(size_fit, against="colour")


def test_linear_residuals_keep_the_unit_of_the_target():
    x = np.linspace(-3, 3, 30)
    fit = sf.fit(
        pd.DataFrame({"x": x, "loss": 2 * x + 0.01 * np.cos(9 * x)}), FormulaLaw("a + b*x"), residuals="linear"
    )
    assert plots.plot_residuals(fit).get_ylabel() == "measured − predicted loss (nats/token)"
    ax = plots.plot_fit(fit)
    assert ax.get_xscale() == ax.get_yscale() == "linear"


# ---------------------------------------------------------------- axes, labels, files


@given(st.floats(1e-6, 1e24), st.floats(1.05, 1e12))
def test_a_log_axis_has_some_round_ticks_within_its_limits(low, ratio):
    found = np.asarray(ticks.RoundLogLocator().tick_values(low, low * ratio))
    assert np.all(np.diff(found) > 0) and len(found) <= 11
    assert len(found) >= (2 if ratio > 1.2 else 1)
    assert np.all(found >= low * (1 - 1e-6)) and np.all(found <= low * ratio * (1 + 1e-6))
    digits = found / 10.0 ** np.floor(np.log10(found) + 1e-9)
    assert ratio < 1.3 or np.allclose(digits * 100, np.round(digits * 100), atol=1e-4)


def test_tick_labels_can_be_read(size_fit):
    ax = plots.plot_fit(size_fit, x="D")
    ax.figure.draw_without_rendering()
    assert "10B" in [label.get_text() for label in ax.get_xticklabels()]
    texts = [label.get_text() for label in ax.get_yticklabels()]
    assert all(float(text) > 1 for text in texts) and len({len(text.partition(".")[2]) for text in texts}) == 1


@given(st.floats(1, 9.9e15))
def test_short_numbers_are_read_back(value):
    assert quantity(ticks.short_number(value)) == pytest.approx(value, rel=1e-3)


def test_names_of_runs_lose_what_they_share():
    assert labels.short_names(["a_b_c", "a_b_d"]) == {"a_b_c": "c", "a_b_d": "d"}
    assert labels.short_names(["alone_run"]) == {"alone_run": "alone_run"}
    assert labels.short_names(["run", "run2"]) == {"run": "run", "run2": "run2"}
    assert len(labels.short_names(["x" * 99])["x" * 99]) == labels.LONGEST


@pytest.mark.parametrize(("suffix", "magic"), [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")])
def test_a_figure_is_written_whole_and_twice_the_same(power_fit, tmp_path, suffix, magic):
    first, second = (plots.save_figure(plots.plot_fit(power_fit), tmp_path / f"{name}.{suffix}") for name in "ab")
    assert first.read_bytes().startswith(magic) and first.read_bytes() == second.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"a.{suffix}", f"b.{suffix}"]


def test_a_figure_that_cannot_be_written_says_why(power_fit, tmp_path):
    ax = plots.plot_fit(power_fit)
    for place, words in (("a.jpeg", "end it in"), ("a", "end it in"), ("no/a.png", "folder that exists")):
        with pytest.raises(InputError, match=words):
            plots.save_figure(ax, tmp_path / place)
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(InputError, match="cannot be written"):
        plots.save_figure(ax, tmp_path / "folder.png")
    assert [path.name for path in tmp_path.iterdir()] == ["folder.png"]


# ---------------------------------------------------------------- real curves


@pytest.mark.skipif(not (DATA / "mpl_schedules").is_dir(), reason="needs ../shared/data/mpl_schedules")
def test_six_held_out_schedules_of_a_language_model():
    folder = DATA / "mpl_schedules"
    runs = sf.read_runs(folder / "loss_curves_25M.csv", schedule=str(folder / "lr_schedules_per_step.csv.gz"))
    fit, held = sf.fit(runs.where("split == 'fit'"), Annealing), runs.where("split == 'predict'")
    ax = plots.plot_fit(fit, held)
    assert len(lines(ax, "-")) == 3 and len(lines(ax, "--")) == 6
    for text in legend_texts(ax)[3:]:
        name, _, rest = text.partition(", held out (")
        table = fit.predict(held.where(f"run == '25M_{name}'"))
        if "fitted" in table.columns:  # runs that branch off a fitted one have its rows before the branch
            table = table[~table["fitted"]]
        error = table["relative_error"].abs().mean()
        assert rest == f"{labels.percent(error)} off)"
