"""A sweep whose plain runs stand beside experts and few bits, from its plan to a fit of a law of these."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

import scalefit  # noqa: E402
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


@pytest.mark.parametrize(
    ("key", "values", "law", "column", "logged"),
    [
        ("experts", [1, 2, 4], "sparsity", "sparsity", {0.0, 0.5, 0.75}),
        ("weight_bits", [0, 2, 4], "precision:parts=weights", "precision_w", {32, 2, 4}),
    ],
)
def test_no_law_loses_the_plain_runs(
    key: str, values: list[int], law: str, column: str, logged: set[float], tmp_path: Path
) -> None:
    plan_sweep({"base": BASE, "grid": {"d_model": [16, 32], "steps": [2, 4, 8], key: values}}, tmp_path)
    run_sweep(tmp_path)
    table = collect_sweep(tmp_path)
    assert set(table[column]) == logged
    fit = scalefit.fit(table, law, starts=1)
    assert fit.rows == len(table) == 18


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
