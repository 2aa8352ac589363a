"""Folders any number of levels down, one object a run, units that are missing, recipes, logs without a loss."""

import json

import commands
import numpy as np
import pandas as pd
import pytest

import scalefit as sf


def curve(start):
    return "\n".join(["step,train_loss", *(f"{s},{start - s / 1000:.4f}" for s in range(0, 200, 20))])


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_logs_lie_any_number_of_folders_down(tmp_path, depth):
    for seed in (1, 2):
        folder = tmp_path.joinpath(f"seed{seed}", *[f"level{i}" for i in range(depth)])
        folder.mkdir(parents=True)
        (folder / "metrics.csv").write_text(curve(3 + seed))
        (tmp_path / ".hidden").mkdir(exist_ok=True)
        (tmp_path / ".hidden" / "metrics.csv").write_text(curve(9))
    runs = sf.read_runs(tmp_path)
    assert len(runs) == 2
    assert sorted(len(part) for _, part in runs.curves.groupby("run", observed=True)) == [10, 10]


@pytest.mark.parametrize("name", ["summary.json", "wandb-summary.json", "results.json", "files/wandb-summary.json"])
def test_one_object_a_run(tmp_path, name):
    for i, N in enumerate((1e6, 4e6, 1.6e7, 6.4e7)):
        place = tmp_path / f"run{i}" / name
        place.parent.mkdir(parents=True)
        place.write_text(json.dumps({"_step": 100, "_runtime": 3.5, "n_params": N, "val": {"loss": 5 * N**-0.1}}))
    runs = sf.read_runs(tmp_path)
    assert len(runs) == 4
    assert runs.table["N"].tolist() == [1e6, 4e6, 1.6e7, 6.4e7]
    np.testing.assert_allclose(runs.table["loss"], 5 * runs.table["N"] ** -0.1)
    one = sf.read_runs(tmp_path / "run2" / name)
    assert one.table["N"].tolist() == [1.6e7]


def grid(scale_N, scale_D):
    N, D = np.repeat([6e7, 2e8, 6e8, 1.3e9], 3), np.tile([2e9, 6e9, 2e10], 4)
    return pd.DataFrame({"N": N * scale_N, "D": D * scale_D, "loss": 1.7 + 400 * N**-0.34 + 410 * D**-0.28})


def test_sizes_in_millions_without_a_unit_are_refused_and_with_one_are_read(tmp_path):
    with pytest.raises(sf.InputError, match="no numbers of parameters and tokens; write the unit"):
        sf.fit(grid(1e-6, 1e-9), "chinchilla")
    named = grid(1e-6, 1e-9).rename(columns={"N": "params_M", "D": "tokens_B"})
    assert sf.fit(named, "chinchilla")["alpha"] == pytest.approx(0.34, abs=1e-4)
    assert sf.fit(grid(1, 1), "chinchilla")["alpha"] == pytest.approx(0.34, abs=1e-4)


@pytest.mark.parametrize(
    ("column", "values"), [("recipe", ["A", "B"]), ("filter", ["none", "strict"]), ("dropout", [0.0, 0.1])]
)
def test_two_recipes_at_one_size_and_amount_of_data_are_warned_about(column, values):
    parts = [grid(1, 1).assign(loss=grid(1, 1)["loss"] * (1 - 0.01 * i), **{column: v}) for i, v in enumerate(values)]
    fit = sf.fit(pd.concat(parts, ignore_index=True), "chinchilla")
    assert any(check.code == "mixed-runs" and column in check.text for check in fit.warnings)
    alone = sf.fit(parts[0], "chinchilla")
    assert alone.ok
    seeds = pd.concat([part.assign(seed=i) for i, part in enumerate(parts)]).drop(columns=column)
    assert not any(check.code == "mixed-runs" for check in sf.fit(seeds, "chinchilla").warnings)


def test_a_log_without_a_known_loss_says_so(tmp_path):
    rows = "".join(f"{s},{3 - s / 500},0.001,{2 + s}\n" for s in range(0, 500, 50))
    (tmp_path / "x.csv").write_text("step,train/lm_ce,lr,seconds_so_far\n" + rows)
    shown = commands.run(f"scalefit inspect {tmp_path}/x.csv")
    assert shown.exit_code == 1
    assert "! no loss was found" in shown.stdout
    assert (
        "--map loss=train/lm_ce" in shown.stdout and "seconds" not in shown.stdout.split("likeliest")[1].splitlines()[0]
    )
    mapped = commands.run(f"scalefit inspect {tmp_path}/x.csv --map loss=train/lm_ce")
    assert mapped.exit_code == 0 and "no loss" not in mapped.stdout


def test_curves_that_count_differently_are_told_apart_by_name(tmp_path):
    rows = range(1, 11)
    (tmp_path / "a.csv").write_text("epoch,loss\n" + "".join(f"{k / 10},{4 - k / 10}\n" for k in rows))
    (tmp_path / "b.csv").write_text("step,loss\n" + "".join(f"{10 * k},{4 - k / 10}\n" for k in rows))
    with pytest.raises(sf.InputError, match=r"count differently: epochs \(.*a.csv\), steps \(.*b.csv\)"):
        sf.read_runs([tmp_path / "a.csv", tmp_path / "b.csv"])
