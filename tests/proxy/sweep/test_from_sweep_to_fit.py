"""A sweep whose plain runs stand beside experts and few bits, from its plan to a fit of a law of these."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

import scalefit  # noqa: E402
from scalefit.proxy import collect_sweep, plan_sweep, run_sweep  # noqa: E402

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
