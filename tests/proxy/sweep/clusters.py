"""A small sweep, and how its tables are held against those of a plain run in this process."""

from __future__ import annotations

import pandas as pd

from scalefit.proxy import collect_sweep, plan_sweep

BASE = {
    **{"n_layer": 1, "d_head": 8, "d_model": 8, "seq_len": 16, "batch": 64, "warmup": 2, "eval_batch": 128},
    **{"data": "zipf-markov", "data_options": {"tokens": 40000, "vocab": 8, "order": 1}},
    **{"eval_every": 10, "flush_every": 5, "checkpoint_every": 25, "schedule": "cosine"},
}


def planned(out, runs, **base):
    """A sweep of so many runs of one shape, which differ in learning rate and seed."""
    rates = [round(0.005 * 1.2**k, 6) for k in range(runs // 2)]
    return plan_sweep({"base": BASE | base, "grid": {"lr": rates, "seed": [0, 1]}}, out)


def tables(out):
    """What the runs of a sweep say, without how long they took: a row a run, and a row a step."""
    runs, curves = collect_sweep(out), collect_sweep(out, curves=True)
    return runs.drop(columns="wall_s"), curves.drop(columns="wall_s")


def assert_same(out, reference):
    """Every run is finished, has every step once, and equals that of the reference to the bit."""
    for ours, other in zip(tables(out), tables(reference), strict=True):
        pd.testing.assert_frame_equal(ours, other, check_exact=True)
    runs, curves = tables(out)
    assert set(runs["status"]) == {"finished"}
    assert not curves.duplicated(["run", "step"]).any()
