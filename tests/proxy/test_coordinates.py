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
from scalefit.proxy import Config, coordinate_check  # noqa: E402
from scalefit.proxy.coordinates import slopes  # noqa: E402
from scalefit.proxy.models.parametrization import TABLE, Parametrization, Power  # noqa: E402

torch.set_num_threads(1)
CHECK = Config(lr=0.02, batch=128, seq_len=32, eval_batch=64, data="zipf-markov", data_options={"tokens": 50000})
NO_RESIDUAL_FACTOR = replace(TABLE["completep"], residual=Power())
NO_HIDDEN_RATE = replace(TABLE["mup"], hidden=TABLE["sp"].hidden)
NO_READOUT_FACTOR = replace(TABLE["mup"], readout=TABLE["sp"].readout)


@pytest.mark.parametrize("name", ["mup", "sp-layerwise", "completep"])
def test_width_passes_where_it_should(name: str) -> None:
    found = coordinate_check(replace(CHECK, parametrization=name), (32, 64, 128), seeds=2, steps=6)
    assert found.ok, found.lines


@pytest.mark.parametrize(
    ("name", "table"), [("sp", None), ("ntk", None), ("mup", NO_HIDDEN_RATE), ("mup", NO_READOUT_FACTOR)]
)
def test_width_fails_where_it_should(name: str, table: Parametrization | None) -> None:
    found = coordinate_check(replace(CHECK, parametrization=name), (32, 64, 128), seeds=2, steps=6, table=table)
    assert not found.ok
    assert any(line.startswith("FAIL") for line in found.lines)


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
    found = coordinate_check(config, (2, 4, 8, 16), axis="depth", table=table)
    assert found.ok is ok, found.lines


@pytest.mark.parametrize(("name", "ok"), [("sp", False), ("mup", True), ("completep", True)])
def test_width_32_to_512_on_source_code(name: str, ok: bool) -> None:
    config = replace(CHECK, parametrization=name, data="stdlib", data_options={})
    assert coordinate_check(config, (32, 64, 128, 256, 512), seeds=1, steps=4).ok is ok


def test_slopes_are_those_of_a_power_law() -> None:
    sizes = (8, 16, 64)
    values = np.asarray(sizes, dtype=float)[:, None, None] ** np.array([0.0, -0.5, 1.0])[None, :, None]
    assert slopes(sizes, values) == pytest.approx([0.0, -0.5, 1.0])
    assert np.isnan(slopes(sizes, 0 * values)).all()


@pytest.mark.parametrize("changes", [{"sizes": (32,)}, {"axis": "height"}, {"steps": 2}])
def test_a_check_without_a_slope_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(InputError, match="no slope"):
        coordinate_check(CHECK, **({"sizes": (32, 64)} | changes))  # type: ignore[arg-type]


def test_the_figure_shows_the_rows_that_were_judged(tmp_path: Path) -> None:
    found = coordinate_check(replace(CHECK, parametrization="sp"), (32, 64, 128), seeds=2, steps=4)
    table = found.table
    assert list(table.columns) == ["module", "d_model", "step", "seed", "mean_abs"]
    assert len(table) == 5 * 3 * 4 * 2
    shown = table[table["step"] == table["module"].map(found.worst_step)]
    for module, rows in shown.groupby("module"):  # the slope is the one of the rows that are drawn
        means = np.log(rows.groupby("d_model")["mean_abs"].mean())
        assert np.polyfit(np.log(means.index), means, 1)[0] == pytest.approx(found.worst[str(module)])
    ax = plot_coordinates(shown, found.worst, gate=found.gate, name="sp")
    assert ax.get_title(loc="left").startswith("sp: FAIL, attention, mlp")
    legend = ax.get_legend()
    assert legend is not None
    texts = [text.get_text() for text in legend.get_texts()]
    assert len(texts) == 6
    assert texts[1].replace("\N{MINUS SIGN}", "-") == f"attention {found.worst['attention']:+.3f}"
    dashed = [line for line in ax.lines if line.get_linestyle() == "--"]
    assert len(dashed) == sum(not ok for ok in found.passed.values())
    save_figure(ax, tmp_path / "check.svg")
    kept = plot_coordinates(shown[shown["module"] == "embed"], {"embed": found.worst["embed"]})
    assert kept.get_title(loc="left") == "pass, every module keeps its size"
    plt.close("all")


def test_the_command_draws_and_takes_other_data(tmp_path: Path) -> None:
    base = "scalefit coordcheck --sizes 8,16 --seeds 1 --steps 3 --set d_head=8 --set base_width=8 --set seq_len=16"
    result = commands.run(f"{base} --set data=stdlib --plot {tmp_path}/check.png --csv --exit-zero")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("module,d_model,step,seed,mean_abs")
    assert (tmp_path / "check.png").read_bytes().startswith(b"\x89PNG")
    assert commands.run(f"{base} --plot {tmp_path}/nowhere/check.png").exit_code == 2
