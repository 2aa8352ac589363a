"""The numbers that `scalefit schedule` prints, against the file that it writes."""

from __future__ import annotations

import re

import commands
import numpy as np
import pandas as pd


def test_the_shares_printed_are_those_of_the_steps_beside_them(tmp_path):
    """Sixteen steps, so that a neighbouring step has another learning rate."""
    step = np.arange(1, 401)
    norm = 1 + 0.5 * (step / 400) ** 2 + 2.0 * (step < 80)
    pd.DataFrame({"run": "a", "step": step, "lr": 0.02, "grad_norm": norm, "loss": 3 - 0.001 * step}).to_csv(
        tmp_path / "run.csv", index=False
    )
    told = commands.run(f"scalefit schedule {tmp_path}/run.csv --lr 0.02 --steps 16 --out {tmp_path}/out.csv").output
    assert (tmp_path / "out.csv").exists(), told
    table = pd.read_csv(tmp_path / "out.csv").set_index("step")["lr"].loc[1:]
    steps, share = len(table), table / 0.02
    assert steps == 16
    pairs = [(float(at) / 100, float(value)) for at, value in re.findall(r"(\d+) %: (\d\.\d\d)", told)]
    assert len(pairs) >= 4
    for at, value in pairs:
        near = share.loc[np.floor(at * steps) : np.floor(at * steps) + 1]
        assert np.abs(near - value).min() <= 0.0051, (at, value, near)
    peak = int(share.to_numpy().argmax()) + 1
    place = next(int(at) for at in re.findall(r"(\d+) %", told))
    assert (peak - 1) / steps - 0.006 <= place / 100 <= peak / steps + 0.006
