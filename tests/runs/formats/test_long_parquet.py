"""Parquet files too long for memory: one row in so many, and every end of a run."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.errors import InputError

pytest.importorskip("pyarrow")
from scalefit.runs.formats import parquet


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Files are long from 100 rows on, and read 17 rows at a time."""
    monkeypatch.setattr(parquet, "MANY_ROWS", 100)
    monkeypatch.setattr(parquet, "BATCH", 17)


def written(path, sizes, text):
    """Curves one after the other; the runs are told apart by a text or by a whole number."""
    names = [name for run, size in enumerate(sizes) for name in [f"run{run}" if text else run] * size]
    steps = np.concatenate([np.arange(1, size + 1) for size in sizes])
    table = pd.DataFrame({"run": names, "step": steps, "loss": 3 + steps**-0.5})
    table.to_parquet(path)
    return table


@pytest.mark.parametrize("text", [True, False])
@pytest.mark.parametrize("sizes", [(997,), (500, 1, 299), (16, 1, 17, 2, 18, 301), (333, 334, 335)])
def test_one_row_in_so_many_and_the_ends_of_each_run_are_read(tmp_path, sizes, text):
    whole = written(tmp_path / "long.parquet", sizes, text)
    every = -(-len(whole) // 100)
    first = np.cumsum([0, *sizes[:-1]])
    kept = sorted({*range(0, len(whole), every), *first, *(first + sizes - 1)})
    raw = parquet.read(tmp_path / "long.parquet")
    assert (raw.frame.index - 1).tolist() == kept
    assert raw.frame["loss"].tolist() == whole["loss"][kept].tolist()
    assert [remark.text for remark in raw.remarks] == [
        f"{len(whole)} rows: one in {every} was read, with the first and the last of each run, and those of evaluations"
    ]
    assert raw.remarks[0].count == len(whole) - len(kept)


def test_a_fit_of_a_long_file_finds_its_constants(tmp_path):
    written(tmp_path / "long.parquet", (150, 150), True)
    fit = sf.fit(sf.read_runs(tmp_path / "long.parquet"), "E + A*step**-alpha")
    assert [fit[name] for name in ("E", "A", "alpha")] == pytest.approx([3, 1, 0.5], rel=1e-6)


def test_every_evaluation_is_read_wherever_it_stands(tmp_path):
    steps = np.arange(1, 1001)
    table = pd.DataFrame({"step": steps, "loss": 3 + steps**-0.5})
    table["val_loss"] = (table["loss"] + 0.1).where(steps % 40 == 27)
    table.to_parquet(tmp_path / "long.parquet")
    read = parquet.read(tmp_path / "long.parquet").frame
    assert read["step"][read["val_loss"].notna()].tolist() == steps[steps % 40 == 27].tolist()
    assert len(read) < 150


def test_runs_that_alternate_are_refused(tmp_path):
    steps = np.repeat(np.arange(1, 201), 2)
    table = pd.DataFrame({"run": ["a", "b"] * 200, "step": steps, "loss": 3 + steps**-0.5})
    table.to_parquet(tmp_path / "long.parquet")
    with pytest.raises(InputError, match=r"runs that alternate .*; sort it by run and step"):
        sf.read_runs(tmp_path / "long.parquet")
