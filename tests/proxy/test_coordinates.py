"""The coordinate check passes what transfers and catches what does not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import commands
import matplotlib.pyplot as plt
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from scalefit.errors import InputError  # noqa: E402
from scalefit.plots import plot_coordinates, save_figure  # noqa: E402
from scalefit.proxy import Config, Coordinates, coordinate_check  # noqa: E402
from scalefit.proxy.coordinates import JUDGED, slopes  # noqa: E402
from scalefit.proxy.models.parametrization import TABLE, Parametrization, Power  # noqa: E402

torch.set_num_threads(1)
CHECK = Config(lr=0.02, batch=128, seq_len=32, eval_batch=64, data="zipf-markov", data_options={"tokens": 50000})
NO_RESIDUAL_FACTOR = replace(TABLE["completep"], residual=Power())
NO_HIDDEN_RATE = replace(TABLE["mup"], hidden=TABLE["sp"].hidden)
NO_READOUT_FACTOR = replace(TABLE["mup"], readout=TABLE["sp"].readout)


@pytest.mark.parametrize("name", ["mup", "sp-layerwise"])
def test_width_passes_where_it_should(name: str) -> None:
    found = coordinate_check(replace(CHECK, parametrization=name), (32, 64, 128, 256), seeds=3, steps=6)
    assert found.ok, found.lines


@pytest.mark.parametrize(
    ("name", "table"), [("sp", None), ("ntk", None), ("mup", NO_HIDDEN_RATE), ("mup", NO_READOUT_FACTOR)]
)
def test_width_fails_where_it_should(name: str, table: Parametrization | None) -> None:
    found = coordinate_check(replace(CHECK, parametrization=name), (32, 64, 128), seeds=2, steps=6, table=table)
    assert found.failed, found.lines
    assert not found.ok
    assert found.lines[0].startswith("FAIL")


@pytest.mark.parametrize(
    ("name", "table", "ok"),
    [
        ("mup", None, False),
        ("depth-mup", None, True),
        ("completep", None, True),
        ("completep", NO_RESIDUAL_FACTOR, False),
    ],
)
def test_depth(name: str, table: Parametrization | None, ok: bool) -> None:
    config = replace(CHECK, parametrization=name, d_model=32, data="stdlib", data_options={})
    found = coordinate_check(config, (2, 4, 8), axis="depth", table=table)
    assert not found.failed if ok else found.failed, found.lines


@pytest.mark.parametrize(("name", "fails"), [("sp", True), ("mup", False), ("completep", False)])
def test_one_seed_never_fails_what_is_right(name: str, fails: bool) -> None:
    """With four steps, as on the page: what one seed leaves open is undecided, not a failure."""
    found = coordinate_check(replace(CHECK, parametrization=name), (32, 64, 128, 256), seeds=1, steps=4)
    assert bool(found.failed) == fails, found.lines
    assert found.lines[0].startswith("FAIL" if fails else "undecided"), found.lines


def made(slope: float, noise: float, seeds: int, sizes: tuple[int, ...] = (32, 64, 128, 256)) -> Coordinates:
    """A check whose modules grow with a planted slope, alike at each of three steps; of logits the noise is none."""
    rng = np.random.default_rng(5)
    noisy = np.exp(noise * rng.standard_normal((len(sizes), 3, seeds)))
    values = np.asarray(sizes, dtype=float)[:, None, None] ** slope * noisy
    size = dict.fromkeys(("embed", "attention", "mlp", "residual"), values)
    size["logits"] = np.ones_like(values)
    return Coordinates("width", sizes, size, {name: slopes(sizes, each) for name, each in size.items()}, 0.1)


def test_verdicts_follow_the_interval() -> None:
    assert made(0.0, 0.02, 3).ok
    assert made(0.0, 0.02, 3).lines[0] == "pass: every module keeps its size"
    assert made(0.5, 0.02, 3).failed == ["embed", "attention", "mlp", "residual"]
    assert set(made(-0.5, 0.02, 3).verdict.values()) == {"shrinks", "flat"}
    open_ = made(0.1, 0.3, 2)
    assert set(open_.verdict.values()) == {"undecided", "flat"}
    assert not (open_.ok or open_.failed)
    assert open_.lines[0].startswith("undecided: more seeds")


def test_intervals_hold_the_planted_slope_as_often_as_they_say() -> None:
    """Of 90 %: in 400 draws 360 are held, with a standard error of 6."""
    rng, held = np.random.default_rng(0), 0
    for _ in range(400):
        values = np.array([32.0, 64, 128])[:, None, None] ** 0.2 * np.exp(0.1 * rng.standard_normal((3, 1, 2)))
        _, low, high = slopes((32, 64, 128), values)[0]
        held += low <= 0.2 <= high
    assert 342 <= held <= 378


def test_a_module_that_is_not_finite_fails_alone() -> None:
    found = made(0.0, 0.02, 3)
    found.size["mlp"] = found.size["mlp"].copy()
    found.size["mlp"][2, 2, 1] = np.nan
    lost = replace(found, slope={name: slopes(found.sizes, each) for name, each in found.size.items()})
    assert lost.failed == ["mlp"]
    assert lost.verdict["mlp"] == "not finite"
    assert {each for module, each in lost.verdict.items() if module != "mlp"} == {"flat"}
    assert lost.lines[0].startswith("FAIL")


def test_slopes_are_those_of_a_power_law() -> None:
    sizes = (8, 16, 64)
    values = np.asarray(sizes, dtype=float)[:, None, None] ** np.array([0.0, -0.5, 1.0])[None, :, None]
    assert slopes(sizes, values)[:, 0] == pytest.approx([0.0, -0.5, 1.0])
    assert slopes(sizes, values)[:, 1:] == pytest.approx(np.array([[0.0] * 2, [-0.5] * 2, [1.0] * 2]))
    assert np.isnan(slopes(sizes, 0 * values)).all()


@pytest.mark.parametrize("changes", [{"sizes": (32,)}, {"axis": "height"}, {"steps": 2}])
def test_a_check_without_a_slope_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(InputError, match="no slope"):
        coordinate_check(CHECK, **({"sizes": (32, 64)} | changes))  # type: ignore[arg-type]


def test_the_figure_shows_the_rows_that_were_judged(tmp_path: Path) -> None:
    found = coordinate_check(replace(CHECK, parametrization="sp"), (32, 64, 128), seeds=2, steps=6)
    table = found.table
    assert list(table.columns) == ["module", "d_model", "step", "seed", "mean_abs"]
    assert len(table) == 5 * 3 * 6 * 2
    shown, slope = table[table["step"] == 6], {module: float(ends[0]) for module, ends in found.last.items()}
    for module, rows in shown.groupby("module"):  # the slope is the one of the rows that are drawn
        line = np.polyfit(np.log(rows["d_model"]), np.log(rows["mean_abs"]), 1)[0]
        assert line == pytest.approx(slope[str(module)])
    ax = plot_coordinates(shown, slope, verdicts=found.verdict, gate=found.gate, name="sp")
    assert ax.get_title(loc="left").startswith("sp, FAIL: attention and mlp change with width")
    legend = ax.get_legend()
    assert legend is not None
    texts = [text.get_text() for text in legend.get_texts()]
    assert len(texts) == 6
    assert texts[1].replace("\N{MINUS SIGN}", "-") == f"attention {slope['attention']:+.3f}"
    dashed = [line for line in ax.lines if line.get_linestyle() == "--"]
    assert len(dashed) == sum(verdict != "flat" for verdict in found.verdict.values())
    save_figure(ax, tmp_path / "check.svg")
    kept = plot_coordinates(shown[shown["module"] == "embed"], {"embed": slope["embed"]})
    assert kept.get_title(loc="left") == "pass: every module keeps its size"
    plt.close("all")


def test_the_command_draws_and_takes_other_data(tmp_path: Path) -> None:
    base = "scalefit coordcheck --sizes 8,16 --seeds 1 --steps 3 --set d_head=8 --set base_width=8 --set seq_len=16"
    result = commands.run(f"{base} --set data=stdlib --plot {tmp_path}/check.png --csv --exit-zero")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("module,d_model,step,seed,mean_abs")
    assert (tmp_path / "check.png").read_bytes().startswith(b"\x89PNG")
    assert commands.run(f"{base} --plot {tmp_path}/nowhere/check.png").exit_code == 2


@pytest.mark.parametrize("low, said", [(np.nan, True), (-0.2, False)])
def test_two_sizes_and_one_seed_have_slopes_and_no_interval(low: float, said: bool) -> None:
    ends = np.array([[0.1, low, -low]])
    found = Coordinates("width", (32, 64), {}, dict.fromkeys(JUDGED["width"], ends), 0.1)
    assert any("no interval" in str(line) for line in found.lines) is said
    assert ("[" in found.lines[1]) is not said
