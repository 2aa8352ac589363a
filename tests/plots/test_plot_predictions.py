"""What ``fit.plot`` and ``scalefit plot`` draw of a prediction: the point or the curve, its interval, its label."""

from __future__ import annotations

import commands
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit import plots
from scalefit.errors import InputError
from scalefit.plots import labels
from scalefit.schedules import areas, parse_schedule

PLAN = "wsd:peak_lr=1e-3,steps=1200,warmup=40,decay_steps=200"


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def runs():
    """Final losses of models of four sizes on four amounts of data, with a little noise."""
    N, D = (x.ravel() for x in np.meshgrid(np.geomspace(1e6, 1e8, 4), np.geomspace(1e8, 1e10, 4)))
    noise = np.exp(0.002 * np.random.default_rng(0).standard_normal(16))
    return pd.DataFrame({"N": N, "D": D, "loss": (1.7 + 400 * N**-0.34 + 410 * D**-0.28) * noise})


@pytest.fixture(scope="module")
def size_fit(runs):
    return sf.fit(runs, "chinchilla", draws=20)


@pytest.fixture(scope="module")
def curve_fit():
    """A fit of four runs under falling learning rates."""
    rng, rows = np.random.default_rng(0), []
    for i, end in enumerate((1e-3, 1e-4, 0.0, 3e-4)):
        lr = parse_schedule(f"cosine:peak_lr=1e-3,steps=600,warmup=40,final={end}").per_step()
        S1, S2 = areas(lr)
        step = np.arange(60, 601, 10)
        loss = (2.5 + 0.5 * S1[step] ** -0.5 - 0.3 * S2[step]) * np.exp(0.002 * rng.standard_normal(len(step)))
        rows.append(pd.DataFrame({"run": f"r{i}", "step": step, "loss": loss}))
    given = {f"r{i}": f"cosine:peak_lr=1e-3,steps=600,warmup=40,final={e}" for i, e in enumerate((1e-3, 1e-4, 0, 3e-4))}
    return sf.fit(sf.read_runs(pd.concat(rows), schedule=given), "annealing", draws=20)


def stars(ax):
    """Where the predicted points are marked."""
    return [tuple(line.get_xydata()[0]) for line in ax.lines if line.get_marker() == "*"]


def bars(ax):
    """The intervals at the predicted points: x, low, high."""
    found = [line.get_xydata() for line in ax.lines if line.get_marker() == "_"]
    return [(xy[0, 0], xy[0, 1], xy[1, 1]) for xy in found]


def texts(ax):
    return [text.get_text() for text in ax.texts]


@pytest.mark.parametrize(
    "asked", [{"N": 1e9, "D": "1e11"}, {"at": {"N": "1B", "D": 1e11}}, {"at": {"N": 1e9}, "D": 1e11}]
)
def test_a_point_is_marked_with_its_interval_and_its_label(size_fit, asked):
    ax = size_fit.plot(**asked)
    row = size_fit.predict(N=1e9, D=1e11).iloc[0]
    assert stars(ax) == [pytest.approx((6e20, row["loss"]))]
    assert bars(ax) == [pytest.approx((6e20, row["low"], row["high"]))]
    assert texts(ax) == [f"N = 1B, D = 100B\n{labels.value_text(row['loss'], row['low'], row['high'])}"]


def test_several_points_are_marked_one_by_one_and_their_labels_do_not_overlap(size_fit):
    ax = size_fit.plot(at={"N": [2e8, 1e9], "D": 1e11}, x="D")
    table = size_fit.predict(N=[2e8, 1e9], D=1e11)
    assert stars(ax) == [pytest.approx((1e11, value)) for value in table["loss"]]
    assert [bar[1:] for bar in bars(ax)] == [pytest.approx(tuple(row)) for row in table[["low", "high"]].to_numpy()]
    assert [text.partition("\n")[0] for text in texts(ax)] == ["N = 200M, D = 100B", "N = 1B, D = 100B"]
    first, second = (text.get_window_extent() for text in ax.texts)
    assert not first.overlaps(second)


def test_points_of_a_law_in_one_variable(runs):
    fit = sf.fit(runs.assign(C=6 * runs["N"] * runs["D"])[["C", "loss"]], "power-floor:over=C", draws=20)
    ax = fit.plot(C=[1e20, 1e21])
    row = fit.predict(C=[1e20, 1e21])
    assert stars(ax) == [pytest.approx((C, value)) for C, value in zip((1e20, 1e21), row["loss"], strict=True)]
    assert [text.partition("\n")[0] for text in texts(ax)] == ["C = $10^{20}$", "C = $10^{21}$"]
    assert ax.get_xlim()[1] > 1e21


def test_points_of_any_other_law_are_lines_with_their_intervals():
    rng = np.random.default_rng(1)
    table = pd.DataFrame({name: rng.uniform(1, 9, 40) for name in ("N", "D", "batch")})
    exact = 1 + 2 * table["N"] ** -0.5 + table["D"] ** -0.5 + 0.1 * table["batch"]
    fit = sf.fit(
        table.assign(loss=exact * (1 + 0.01 * rng.standard_normal(40))), "E + A*N**-a + B*D**-0.5 + c*batch", draws=20
    )
    ax = fit.plot(N=2, D=2, batch=[3, 8])
    rows = fit.predict(N=2, D=2, batch=[3, 8])
    lines = [line.get_ydata()[0] for line in ax.lines if line.get_linestyle() == ":"]
    assert lines == pytest.approx(rows["loss"].tolist())
    bands = [patch.get_extents().transformed(ax.transData.inverted()) for patch in ax.patches]
    assert [(band.y0, band.y1) for band in bands] == [pytest.approx(tuple(r)) for r in rows[["low", "high"]].to_numpy()]
    assert ["batch = 3" in texts(ax)[0], "batch = 8" in texts(ax)[1]] == [True, True]
    assert all(
        labels.value_text(*row) in text
        for row, text in zip(rows[["loss", "low", "high"]].to_numpy(), texts(ax), strict=True)
    )


def test_a_schedule_is_drawn_as_a_curve_with_its_interval_and_its_name(curve_fit):
    ax = curve_fit.plot(schedule=PLAN)
    table = curve_fit.predict(schedule=PLAN)
    (curve,) = [line for line in ax.lines if line.get_linestyle() == "--"]
    np.testing.assert_allclose(curve.get_xydata(), table[["step", "loss"]].to_numpy())
    assert stars(ax) == [pytest.approx((1200, table["loss"].iloc[-1]))]
    assert bars(ax) == [pytest.approx((1200, table["low"].iloc[-1], table["high"].iloc[-1]))]
    (band,) = [c for c in ax.collections if c.get_paths()[0].get_extents().x1 == 1200]
    assert band.get_paths()[0].get_extents().y0 == pytest.approx(table["low"].min())
    assert "predicted: wsd, 1.2k steps" in [text.get_text() for text in ax.get_legend().get_texts()]
    assert ax.lr_axes.lines[-1].get_xdata()[-1] == 1200
    same = curve_fit.plot(schedule=parse_schedule(PLAN))
    assert stars(same) == stars(ax)


def test_a_schedule_in_the_figure_of_another_family_is_named_too(curve_fit):
    ax = plots.plot_parity(curve_fit, target={"schedule": PLAN})
    row = curve_fit.predict(schedule=PLAN).iloc[-1]
    assert texts(ax) == [f"wsd, 1.2k steps: {labels.value_text(row['loss'], row['low'], row['high'])}"]


def test_what_the_law_does_not_read_is_refused(size_fit, curve_fit):
    for fit, asked, words in (
        (size_fit, {"batch": 3}, 'no variable "batch"; give N, D'),
        (size_fit, {"at": {"N": 1e9, "D": 1e11, "lr": 1e-3}}, 'no variable "lr"; give N, D'),
        (size_fit, {"N": 1e9}, "D is not given"),
        (size_fit, {"schedule": PLAN}, "does not follow a learning-rate schedule; leave the schedule out"),
        (curve_fit, {"schedule": PLAN, "N": 1e9}, 'no variable "N"; give schedule'),
        (curve_fit, {"at": {"N": 1e9}}, "no schedule is given"),
        (curve_fit, {"schedule": "cosin:steps=5"}, "did you mean cosine"),
    ):
        with pytest.raises(InputError, match=words):
            fit.plot(**asked)


@pytest.fixture
def drawn(monkeypatch):
    """The axes that a command draws."""
    found = []
    monkeypatch.setattr("scalefit.plots.save_figure", lambda ax, path, close: found.append(ax))
    return found


def test_the_command_draws_the_same(size_fit, curve_fit, tmp_path, monkeypatch, drawn):
    monkeypatch.chdir(tmp_path)
    size_fit.save("size.json")
    curve_fit.save("curve.json")
    for command, ax in (
        ("size.json --at N=1B,D=100B", size_fit.plot(N=1e9, D=1e11)),
        (f"curve.json --schedule {PLAN}", curve_fit.plot(schedule=PLAN)),
    ):
        done = commands.run(f"scalefit plot {command} -o figure.png")
        assert done.exit_code in (0, 1), done.output
        assert (stars(drawn[-1]), bars(drawn[-1]), texts(drawn[-1])) == (stars(ax), bars(ax), texts(ax))


def test_the_command_refuses_what_the_law_does_not_read(size_fit, curve_fit, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    size_fit.save("size.json")
    curve_fit.save("curve.json")
    for command, words in (
        (f"size.json --schedule {PLAN}", "does not follow a learning-rate schedule"),
        ("size.json --at N=1B,D=100B,lr=1", 'no variable "lr"'),
        (f"curve.json --schedule {PLAN} --at N=1B", 'no variable "N"'),
    ):
        done = commands.run(f"scalefit plot {command} -o figure.png")
        assert done.exit_code == 2
        assert words in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curve.json", "size.json"]


def test_with_run_logs_the_schedule_is_theirs(curve_fit, tmp_path, monkeypatch, drawn):
    monkeypatch.chdir(tmp_path)
    curve_fit.save("curve.json")
    step = np.arange(60, 1201, 20)
    pd.DataFrame({"run": "later", "step": step, "loss": 2.9}).to_csv("later.csv", index=False)
    done = commands.run(f"scalefit plot curve.json later.csv --schedule {PLAN} -o figure.png")
    assert done.exit_code in (0, 1), done.output
    assert not stars(drawn[-1])
    assert any("held out" in text.get_text() for text in drawn[-1].get_legend().get_texts())
