"""A sweep whose plain runs stand beside experts and few bits, from its plan to a fit of a law of these."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

import scalefit  # noqa: E402
from scalefit.fitting.prepare import Options, prepare  # noqa: E402
from scalefit.proxy import collect_sweep, plan_sweep, run_sweep  # noqa: E402
from scalefit.proxy.run_folder import RunFolder  # noqa: E402

torch.set_num_threads(1)
BASE: dict[str, Any] = {
    "d_head": 8,
    "n_layer": 1,
    "seq_len": 16,
    "batch": 128,
    "warmup": 1,
    "eval_batch": 128,
    "data": "zipf-markov",
    "data_options": {"tokens": 20000, "vocab": 8, "order": 1},
}


def test_no_law_loses_the_plain_runs(tmp_path: Path) -> None:
    cells = [{"experts": [1, 2, 4]}, {"weight_bits": [2, 4]}, {"weight_bits": 2, "weight_group": 4}]
    plan_sweep({"base": BASE, "grid": {"d_model": [16, 32], "steps": [1, 2]}, "cells": cells}, tmp_path)
    run_sweep(tmp_path)
    table = collect_sweep(tmp_path)
    assert set(table["sparsity"]) == {0.0, 0.5, 0.75}
    assert set(table["precision_w"]) == {32, 2, 4}
    assert table["group_size"].dropna().tolist() == [4.0] * 4
    for law in ("sparsity", "precision:parts=weights"):
        rows = prepare(scalefit.read_runs(table), law, Options()).rows.frame
        assert len(rows) == len(table) == 24, law


def test_the_learning_rate_of_a_run_is_the_one_that_was_applied(tmp_path: Path) -> None:
    """A schedule may say its own peak: `lr` of the configuration is then not used, and no table says it."""
    grid = {"schedule": ["cosine:peak_lr=0.05", "constant:peak_lr=0.02", "cosine"], "lr": [0.01, 0.03]}
    plan_sweep({"base": BASE | {"d_model": 8, "steps": 3}, "grid": grid}, tmp_path)
    run_sweep(tmp_path)
    table = collect_sweep(tmp_path).set_index("run")
    assert sorted(table["lr"]) == sorted(table["peak_lr"]) == [0.01, 0.02, 0.02, 0.03, 0.05, 0.05]
    read = scalefit.read_runs(tmp_path).table.set_index("run")
    for run, row in table.iterrows():
        applied = max(each["lr"] for each in RunFolder(tmp_path / str(run)).rows())
        assert row["lr"] == row["peak_lr"] == read.loc[run, "peak_lr"] == applied
