"""Every table of runs or predictions that a command writes is read back by our own readers: each row, each value."""

from __future__ import annotations

import shlex

import commands
import numpy as np
import pandas as pd
import pytest

import scalefit as sf

#: canonical names under which a column may come back
RENAMED = {"id": "run", "val_loss": "loss", "tokens": "D", "step": "steps", "arm": "parametrization", "size": "N"}
TINY = """
[base]
d_model = 8
d_head = 8
n_layer = 1
seq_len = 8
batch = 32
steps = 4
warmup = 1
eval_every = 2
eval_batch = 64
data = "zipf-markov"
data_options = { tokens = 40000, vocab = 8, order = 1 }

[grid]
lr = [0.01, 0.02]
seed = [0, 1]
"""


@pytest.fixture(scope="module")
def there(tmp_path_factory):
    folder = commands.plant(commands.workspace(tmp_path_factory.mktemp("tables")))
    (folder / "grid.toml").write_text(TINY)
    rows = [f"r{n},{n * 1e3 + step},{step},0.01,{2 + step**-0.5}" for n in (1, 2, 3) for step in range(1, 40)]
    (folder / "curves.csv").write_text("\n".join(["run,N,step,lr,loss", *rows, ""]))
    return folder


def run(command, folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        result = commands.run(f"scalefit {command}")
    assert result.exit_code in (0, 1), result.output
    return result.stdout


def read_back(text, folder):
    """The table as pandas reads it, and as we do."""
    (folder / "table.csv").write_text(text)
    runs = sf.read_runs(folder / "table.csv", need=())
    return pd.read_csv(folder / "table.csv"), runs, runs.table if runs.curves is None else runs.curves


def check(text, folder):
    written, runs, found = read_back(text, folder)
    assert len(found) == len(written)
    for name in written.columns:
        back = next(each for each in (name, f"{name}_in_file", RENAMED.get(name)) if each in found.columns)
        one, other = written[name].to_numpy(), found[back].to_numpy()
        if written[name].dtype.kind in "iuf":
            np.testing.assert_array_equal(one.astype(float), other.astype(float), err_msg=name)
        elif "run_in_file" not in found.columns or name != "run":
            assert list(map(str, one)) == list(map(str, other)), name
    return runs


@pytest.mark.parametrize(
    "command",
    [
        "predict fit.json runs.csv --csv",
        "predict fit.json --at N=1e9,D=1e10 --csv",
        "backtest runs.csv --law chinchilla --csv",
        "inspect runs.csv --csv",
        "inspect curves.csv --csv",
        "data lr_width --csv",
        "lr-transfer data/lr_width/runs.csv --draws 20 --csv",
        "stability data/lr_width/runs.csv --where \"parametrization == 'sp'\" --at N=4e6 --lr 0.0078125 --csv",
        "schedule data/divergence/curves.csv --run lr-0.015625 --lr 0.0078 --csv",
        "watch curves.csv --csv",
        "batch data/lr_batch/curves.csv --csv",
    ],
)
def test_a_table_on_standard_output_is_read_back(command, there):
    check(run(command, there), there)


def test_a_predicted_curve_is_a_curve(there):
    run("fit curves.csv --law 'E + A*step**-p' --draws 0 --save curve.json", there)
    runs = check(run("predict curve.json curves.csv --csv", there), there)
    assert runs.names == ["r1", "r2", "r3"] and len(runs.curves) == 117


def test_what_a_sweep_writes_is_read_back(there):
    pytest.importorskip("torch")
    run("sweep plan grid.toml --out sweep", there)
    planned = check(run("sweep status --out sweep --csv", there), there)
    assert len(planned.names) == 4
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(there)
        early = commands.run("scalefit sweep collect --out sweep --save early.csv")
    assert early.exit_code == 2 and "none of 4 runs has begun" in early.stderr and not (there / "early.csv").exists()
    assert len(check(run("sweep run --out sweep --csv", there), there).names) == 4
    for command in ("sweep status --out sweep", "sweep collect --out sweep", "sweep collect --curves --out sweep"):
        assert set(check(run(f"{command} --csv", there), there).names) == set(planned.names), command
    for extra in ("", "--curves "):
        run(f"sweep collect {extra}--out sweep --save saved{len(extra)}.csv", there)
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(there)
            again = commands.run(f"scalefit sweep collect {extra}--out sweep --save saved{len(extra)}.csv")
        assert again.exit_code == 0, shlex.quote(again.output)  # a table of ours may be written anew
        assert set(sf.read_runs(there / f"saved{len(extra)}.csv").names) == set(planned.names)
