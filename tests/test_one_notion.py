"""Open, failed and diverged runs are the same to every command, and a name of the file is a name everywhere."""

from __future__ import annotations

import commands
import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.runs.divergence import divergence

RATES = 2.0 ** np.arange(-10.0, -3.0)


def grid(noise=0.003):
    N, D = (each.ravel() for each in np.meshgrid(np.geomspace(1e7, 1e9, 6), np.geomspace(1e9, 1e11, 6)))
    loss = 1.7 + 400 * N**-0.34 + 2000 * D**-0.3
    return pd.DataFrame({"N": N, "D": D, "loss": loss * np.exp(noise * np.random.default_rng(0).standard_normal(36))})


def sweep():
    rows = [(w, lr, 2.4 + 0.02 * np.log2(lr * w) ** 2) for w in (32, 64, 128) for lr in RATES]
    return pd.DataFrame(rows, columns=["d_model", "lr", "loss"])


@pytest.mark.parametrize("mark", [("diverged", True, False), ("diverged", "yes", "no"), ("status", "diverged", "done")])
def test_a_fit_leaves_out_what_is_marked_as_diverged(mark):
    name, lost, fine = mark
    marked = grid().assign(**{name: fine}).astype({name: object})
    marked.loc[5, "loss"], marked.loc[5, name] = 9.0, lost
    found, wanted = sf.fit(marked, "chinchilla"), sf.fit(grid().drop(index=5), "chinchilla")
    assert found.parameters == pytest.approx(wanted.parameters, rel=1e-6)
    assert any("1 of 36 runs is marked as diverged: left out" in note for note in found.notes)
    assert found.score(marked)["points"].iloc[0] == 35
    assert np.isnan(found.predict(marked)["measured"].iloc[5])


@pytest.mark.parametrize("status", ["running", "planned", "stopped", "killed", "crashed", "Failed"])
def test_open_runs_are_left_out_and_counted_everywhere_and_never_called_diverged(status):
    marked = grid().assign(status="finished")
    marked.loc[[3, 7], "status"], marked.loc[[3, 7], "loss"] = status, np.nan
    found = sf.fit(marked, "chinchilla")
    assert found.rows == 34
    assert any(f"2 of 36 runs are {status}: left out" in note for note in found.notes)
    runs = sweep().assign(status="finished")
    runs.loc[[0, 8], "status"], runs.loc[[0, 8], "loss"] = status, np.nan
    told = sf.lr_transfer(runs, draws=20)
    assert any(f"2 of 21 runs are {status}: left out" in note for note in told.notes)
    assert not any("diverged" in note for note in told.notes)
    ahead = sf.forecast(runs.assign(attention_logit_max=runs["d_model"] / 4.0), 256, 2.0**-7, over="d_model")
    assert not ahead.lost
    assert any(f"2 of 21 runs are {status}: left out" in note for note in ahead.notes)


def test_runs_that_are_all_open_leave_nothing_to_fit():
    with pytest.raises(sf.InputError, match="36 of 36 runs are running"):
        sf.fit(grid().assign(status="running"), "chinchilla")


@pytest.mark.parametrize(("tail", "lost"), [(0.012, False), (0.25, False), (0.9, True)])
def test_small_losses_of_a_curve_are_lost_only_on_the_way_back_to_the_initial_one(tail, lost):
    """Squared errors of 0.002 from an initial 1: ten times the least is no divergence."""
    step = np.arange(200)
    loss = np.where(step < 160, 0.002 + 0.998 * np.exp(-step / 8.0), tail)
    assert (divergence(step, loss) is not None) == lost
    assert (sf.watch(pd.DataFrame({"step": step, "loss": loss})).status == "diverged") == lost


def test_a_rise_by_a_nat_is_small_where_the_losses_are_large():
    step = np.arange(100, 300)
    loss = np.where(step < 260, 3000.0, 3002.0) + 0.01 * np.cos(step**2.0)
    assert divergence(step, loss) is None
    assert divergence(step, np.where(step < 260, 3000.0, 4200.0)) is not None


def test_a_column_is_found_under_its_own_name_in_expressions_targets_formulas_and_sizes():
    own = grid().rename(columns={"N": "params_M", "D": "tokens_B", "loss": "val/my_ce"})
    own["params_M"] /= 1e6
    own["tokens_B"] /= 1e9
    runs = sf.read_runs(own, rename={"val/my_ce": "loss"})
    assert len(runs.where("params_M > 100").table) == len(runs.where("N > 1e8").table) == 18
    assert len(runs.where("`val/my_ce` > 2.5").table) == len(runs.where("loss > 2.5").table)
    formula = sf.fit(runs, "E + A*params_M**-a + B*tokens_B**-b", target="val/my_ce")
    wanted = sf.fit(runs, "chinchilla")
    assert list(formula.parameters) == ["E", "A", "a", "B", "b"]
    assert formula["a"] == pytest.approx(wanted["alpha"], rel=1e-3)
    assert formula["A"] == pytest.approx(wanted["A"] * 1e6 ** -wanted["alpha"], rel=1e-2)  # in the file's own unit
    law = "power-floor:over=params_M"
    assert sf.fit(runs.where("tokens_B > 50"), law).law.options["over"] == "N"
    sizes = sweep().rename(columns={"d_model": "my width"})
    swept = sf.read_runs(sizes, rename={"my width": "d_model"}, need=())
    assert sf.lr_transfer(swept, over="my width", draws=20).sweeps.over == "d_model"


def test_a_unit_that_is_no_factor_is_refused_by_name():
    runs = sf.read_runs(grid().assign(log2_lr=-8.0), need=())
    with pytest.raises(sf.InputError, match="'log2_lr' was read as lr, in another unit; use lr"):
        runs.where("log2_lr < -7")


def test_rows_that_were_fitted_are_called_so(tmp_path):
    table = grid()
    table.to_csv(tmp_path / "runs.csv", index=False)
    table.iloc[:30].to_csv(tmp_path / "small.csv", index=False)
    made = commands.run(f"scalefit fit {tmp_path}/small.csv --law chinchilla --draws 0 --save {tmp_path}/fit.json")
    assert made.exit_code in (0, 1), made.output
    fit = sf.load_fit(tmp_path / "fit.json")
    assert fit.predict(table)["fitted"].tolist() == [True] * 30 + [False] * 6
    assert "fitted" not in fit.predict(table.iloc[30:]).columns
    again = commands.run(f"scalefit predict {tmp_path}/fit.json {tmp_path}/small.csv").stdout
    assert "errors on the fitted rows (all of these were fitted" in again
    both = commands.run(f"scalefit predict {tmp_path}/fit.json {tmp_path}/runs.csv").stdout
    assert "30 of 36 rows were fitted, not held out" in both
    drawn = commands.run(f"scalefit plot {tmp_path}/fit.json {tmp_path}/runs.csv -o {tmp_path}/f.svg").stdout
    assert "30 rows were fitted, of 36 given" in drawn


def test_commands_say_how_logs_were_read_and_csv_keeps_its_warnings(tmp_path):
    sweep().rename(columns={"d_model": "hidden_size"}).to_csv(tmp_path / "s.csv", index=False)
    told = commands.run(f"scalefit lr-transfer {tmp_path}/s.csv --at d_model=4096 --draws 20")
    assert "read: d_model is the column 'hidden_size'" in told.stdout
    assert told.exit_code == 1
    csv = commands.run(f"scalefit lr-transfer {tmp_path}/s.csv --at hidden_size=4096 --draws 20 --csv")
    assert csv.stdout.startswith("arm,size,lr")
    assert "! d_model 4096 lies a factor of 32 beyond" in csv.stderr
    assert "read:" not in csv.stderr


def test_a_bad_value_of_a_joined_table_is_not_laid_to_the_curves(tmp_path):
    steps = [10, 20, 30]
    curves = pd.DataFrame({"run": np.repeat(list("abcd"), 3), "step": steps * 4, "loss": np.linspace(4, 3, 12)})
    curves.to_csv(tmp_path / "curves.csv", index=False)
    pd.DataFrame({"run": list("abcd"), "N": [1e6, 2e6, -4e6, 8e6]}).to_csv(tmp_path / "runs.csv", index=False)
    with pytest.raises(sf.InputError, match=r"^run c, column N: N is -4e"):
        sf.fit(sf.read_runs([tmp_path / "curves.csv", tmp_path / "runs.csv"]), "power-floor:over=N")
