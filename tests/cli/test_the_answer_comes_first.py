"""What was asked for stands in the first line: the prediction at each point, the loss at the end of a schedule."""

from __future__ import annotations

import json

import commands
import numpy as np
import pandas as pd
import pytest


@pytest.fixture
def there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    N, D = (each.ravel() for each in np.meshgrid(np.geomspace(1e6, 1e8, 4), np.geomspace(1e8, 1e10, 3)))
    pd.DataFrame({"N": N, "D": D, "loss": 1.7 + 400 * N**-0.34 + 410 * D**-0.28}).to_csv("runs.csv", index=False)
    step = np.arange(1, 401)
    for name, lr in (("flat", np.full(400, 1e-3)), ("low", np.where(step < 200, 1e-3, 1e-4))):
        loss = 2 + (1 + np.cumsum(lr) * 1e3) ** -0.5
        pd.DataFrame({"step": step, "lr": lr, "loss": loss})[::8].to_csv(f"{name}.csv", index=False)


def test_a_fit_that_is_asked_for_points_begins_with_them(there):
    command = "scalefit fit runs.csv --law chinchilla --draws 0 --at N=2e8,D=2e10 --at N=3e8,D=2e10 --exit-zero"
    first, second, *blank = commands.run(command).stdout.splitlines()
    values = [row["loss"] for row in json.loads(commands.run(f"{command} --json").stdout)["prediction"]]
    assert first.startswith(f"loss {values[0]:.4g} at N = 200M, D = 20B, 2 times beyond the fitted runs")
    assert second.startswith(f"loss {values[1]:.4g} at N = 300M, D = 20B, 3 times beyond")
    assert blank[0] == ""
    assert commands.run("scalefit fit runs.csv --law chinchilla --draws 0").stdout.startswith("converged")


def test_a_schedule_begins_with_its_last_loss(there):
    commands.run("scalefit fit flat.csv low.csv --law annealing --draws 0 --save two.json")
    command = "scalefit predict two.json --schedule cosine:peak_lr=1e-3,steps=400,warmup=10 --exit-zero"
    last = json.loads(commands.run(f"{command} --json").stdout)["predictions"][-1]
    assert commands.run(command).stdout.splitlines()[0] == f"loss {last['loss']:.4g} at the last step, 400"
