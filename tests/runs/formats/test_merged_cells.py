"""A setting that is written in the first row of each group holds in all of them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import scalefit as sf

WIDTHS, RATES = (128, 256, 512), 2.0 ** np.arange(-11.0, -6.0)


def swept(shift=0.5):
    """Bowls in the learning rate whose minima move by ``shift`` octaves a doubling."""
    rows = [
        (width, lr, 3.0 + 20.0 / width + 0.08 * (np.log2(lr) + 9.0 + shift * np.log2(width / 128)) ** 2)
        for width in WIDTHS
        for lr in RATES
    ]
    return pd.DataFrame(rows, columns=["width", "lr", "loss"])


def merged(table, *names):
    """The table with each value of these columns only where it changes."""
    return table.assign(**{name: table[name].where(table[name] != table[name].shift()) for name in names})


def test_a_width_in_the_first_row_of_each_group(tmp_path):
    merged(swept(), "width").to_csv(tmp_path / "sweep.csv", index=False)
    runs = sf.read_runs(tmp_path / "sweep.csv")
    assert runs.table["d_model"].tolist() == swept()["width"].tolist()
    assert any(note.text.endswith("merged cells are: each value holds down to the next one") for note in runs.notes)
    found = sf.lr_transfer(sf.read_runs(tmp_path / "sweep.csv"), draws=20)
    assert found.table["lr"].to_numpy() == pytest.approx(2.0 ** (-9.0 - np.array([0.0, 0.5, 1.0])), rel=0.02)


def test_groups_of_two_columns_names_and_groups_of_unlike_length(tmp_path):
    table = pd.DataFrame(
        [(name, N, D, 1.7 + 400 * N**-0.34 + 410 * D**-0.28)
         for name, N in (("XS", 1e7), ("S", 4e7)) for D in (2e8, 8e8, 3.2e9) for _ in range(2)],
        columns=["model", "N", "D", "loss"],
    )  # fmt: skip
    table["loss"] += 0.01 * (np.arange(12) % 2)
    merged(table, "model", "N", "D").to_csv(tmp_path / "grid.csv", index=False)
    runs = sf.read_runs(tmp_path / "grid.csv")
    assert runs.table["N"].tolist() == table["N"].tolist()
    assert runs.table["D"].tolist() == table["D"].tolist()
    assert runs.table["model"].tolist() == table["model"].tolist()
    unlike = swept().drop(index=[0, 7])
    assert sf.read_runs(merged(unlike, "width")).table["d_model"].tolist() == unlike["width"].tolist()


def test_a_page_of_markdown(tmp_path):
    rows = [
        f"| {'' if at % 3 else ('14M', '60M')[at // 3]} | {1 + at % 3}B | {3.9 - 0.1 * at:.1f} |" for at in range(6)
    ]
    (tmp_path / "page.md").write_text("\n".join(["| N | D | loss |", "|---|---|---|", *rows]) + "\n")
    assert sf.read_runs(tmp_path / "page.md").table["N"].tolist() == [1.4e7] * 3 + [6e7] * 3


@pytest.mark.parametrize("case", ["one is missing", "first is missing", "a rate along a curve", "rarely measured"])
def test_other_empty_cells_stay_empty(case):
    if case == "a rate along a curve":
        table = pd.DataFrame({"step": range(0, 60, 5), "loss": np.linspace(4, 3, 12), "lr": [1.0, np.nan, np.nan] * 4})
        table["lr"] *= np.linspace(1e-3, 1e-4, 12)
        assert sf.read_runs(table).curves["lr"].isna().sum() == 8
        return
    if case == "rarely measured":
        table = swept().assign(val_loss=[3.1, *[np.nan] * 4] * 3)
        assert sf.read_runs(table, rename={"loss": "loss"}).table["val_loss"].isna().sum() == 12
        return
    table = swept()
    table.loc[2 if case == "one is missing" else 0, "width"] = np.nan
    assert sf.read_runs(table).table["d_model"].isna().sum() == 1
