"""Staged fits recover planted truths, and joint fits of the same runs agree with them."""

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.fitting.stages import data_constrained, loss_to_loss, mixture, task_ladder
from scalefit.laws.data_constrained import DataConstrained, held_base
from scalefit.laws.kaplan_floor import KaplanFloor
from scalefit.laws.loss_to_loss import line_above_floors, pair_runs
from scalefit.planning.translation import transfer, translate_law

SOURCE = {"E": 1.97, "A": 6.7e7, "B": 8.9e8, "alpha": 0.41, "beta": 0.46}
MAP = {"K": 0.6, "kappa": 1.07, "E1": 1.32}


def grid():
    N, D = np.meshgrid(np.geomspace(3e7, 2e9, 6), np.geomspace(1e9, 4e10, 6))
    return pd.DataFrame({"N": N.ravel(), "D": D.ravel()})


def families():
    """Runs of one grid on two data sets, the second related to the first by a shifted power law."""
    runs = grid()
    first = KaplanFloor().evaluate(runs, SOURCE)
    return runs.assign(loss=first), runs.assign(loss=MAP["E1"] + MAP["K"] * (first - SOURCE["E"]) ** MAP["kappa"])


@pytest.mark.parametrize("procedure", ["stages", "joint"])
def test_loss_to_loss_either_way(procedure):
    staged = loss_to_loss(*families(), procedure=procedure)
    planted = {"K": 0.6, "kappa": 1.07, "E0": 1.97, "E1": 1.32}
    for name, value in planted.items():
        assert staged.last[name] == pytest.approx(value, rel=1e-6)
    assert ("floors from" in staged.how) == (procedure == "stages")


def test_pairs_are_runs_of_equal_size_and_data():
    source, target = families()
    pairs = pair_runs(source.sample(frac=1, random_state=0), target.iloc[::3].assign(N=lambda t: t["N"] * 1.004))
    assert len(pairs) == 12
    expected = MAP["E1"] + MAP["K"] * (pairs["loss_source"] - SOURCE["E"]) ** MAP["kappa"]
    np.testing.assert_allclose(pairs["loss"], expected, rtol=1e-12)


def test_families_without_a_common_grid_have_no_pairs():
    source, target = families()
    with pytest.raises(sf.InputError, match="no two runs agree in N and D"):
        pair_runs(source, target.assign(N=target["N"] * 1.3))


def test_the_line_above_floors_refuses_losses_below_them():
    x = np.linspace(2.1, 3.0, 5)
    with pytest.raises(sf.IdentificationError, match=r"E0 = 2\.2"):
        line_above_floors(x, x, 2.2, 0.0)
    with pytest.raises(sf.IdentificationError, match=r"E1 = 2\.5"):
        line_above_floors(x, x, 2.0, 2.5)


def test_a_translated_law_is_the_law_of_the_mapped_losses():
    runs, (_, target) = grid(), families()
    there = translate_law(SOURCE, MAP["K"], MAP["kappa"], MAP["E1"])
    np.testing.assert_allclose(KaplanFloor().evaluate(runs, there), target["loss"], rtol=1e-13)


def test_a_few_runs_carry_a_law_to_another_data_set():
    source, target = families()
    full = sf.fit(source, "kaplan-floor")
    few = target.iloc[[0, 7, 14, 21, 28, 35]]
    there, found = transfer(full, few)
    assert found.fixed == {"E0": full["E"]}
    np.testing.assert_allclose(KaplanFloor().evaluate(grid(), there), target["loss"], rtol=1e-8)
    for name, value in translate_law(SOURCE, **MAP).items():
        assert there[name] == pytest.approx(value, rel=1e-5)


def repeated_runs():
    truth = held_base({"E": 1.87, "A": 520.0, "B": 1488.0, "alpha": 0.353, "beta": 0.353}) | {"R_D": 15.4, "R_N": 5.3}
    N, D, epochs = (x.ravel() for x in np.meshgrid([1e7, 1e8, 1e9], [1e9, 4e9, 2e10], [1, 3, 10, 40], indexing="ij"))
    runs = pd.DataFrame({"N": N, "D": D, "U": D / epochs})
    return runs.assign(loss=DataConstrained().evaluate(runs, truth)), truth


@pytest.mark.parametrize("procedure", ["stages", "joint"])
def test_data_constrained_joint_recovers_and_stages_come_near(procedure):
    """Even one-epoch runs hold excess parameters, which the first stage takes at full value: the stages are biased."""
    runs, truth = repeated_runs()
    staged = data_constrained(runs, procedure=procedure)
    if procedure == "joint":
        assert {name: staged.last[name] for name in truth} == pytest.approx(truth, rel=1e-6)
    else:
        assert staged.last["R_D"] == pytest.approx(truth["R_D"], rel=0.5)
        assert set(staged.last.fixed) == {"E", "A", "alpha", "beta", "N_opt"}
        assert "9 runs of one epoch" in staged.how


def test_stages_are_exact_where_no_model_exceeds_its_data():
    runs, truth = repeated_runs()
    law = DataConstrained()
    small = runs.assign(N=runs["N"] / 300)
    small["loss"] = law.evaluate(small[["N", "D", "U"]], truth)
    staged = data_constrained(small)
    assert staged.last["R_D"] == pytest.approx(truth["R_D"], rel=1e-6)
    assert staged["base"]["B"] == pytest.approx(1488.0, rel=1e-6)


def test_too_few_runs_of_one_epoch():
    runs, _ = repeated_runs()
    with pytest.raises(sf.InputError, match="only 0 runs of one epoch"):
        data_constrained(runs[runs["D"] > 2 * runs["U"]])


def evaluated(checkpoints=20):
    """Checkpoints of a grid of runs whose task follows the ladder exactly, in an order of no meaning."""
    runs = grid()
    part = np.tile(np.arange(1, checkpoints + 1) / checkpoints, len(runs))
    table = runs.loc[runs.index.repeat(checkpoints)].assign(run=np.repeat([f"r{i}" for i in runs.index], checkpoints))
    table["D"] *= part
    table["bpb"] = 0.5 + 14 * table["N"] ** -0.21 + 35 * table["D"] ** -0.23
    table["acc"] = 0.95 - 0.7 / (1 + np.exp(-13 * (table["bpb"] - 0.95)))
    return table.sample(frac=1, random_state=0)


TASK = {"loss": "bpb", "accuracy": "acc"}


def test_a_ladder_chains_its_two_steps():
    ladder = task_ladder(evaluated(), **TASK, average=1, ideal=False)
    assert ladder.loss["alpha"] == pytest.approx(0.21, rel=1e-6)
    assert ladder.accuracy["k"] == pytest.approx(13, rel=1e-6)
    far = 0.5 + 14 * 1e10**-0.21 + 35 * 1e12**-0.23
    assert float(ladder.predict(1e10, 1e12)) == pytest.approx(0.95 - 0.7 / (1 + np.exp(-13 * (far - 0.95))), rel=1e-7)


def test_the_steps_of_a_ladder_see_the_checkpoints_of_the_source():
    table = evaluated().sort_values(["run", "D"])
    ladder = task_ladder(table.sample(frac=1, random_state=3), **TASK)
    ends = np.sort([rows["bpb"].tail(5).mean() for _, rows in table.groupby("run")])
    np.testing.assert_allclose(np.sort(ladder.loss.points.values), ends, rtol=1e-12)
    assert ladder.loss.delta == 1e-3
    means = [rows["acc"].iloc[2:].rolling(5, min_periods=1).mean() for _, rows in table.groupby("run")]
    seen = np.sort(ladder.accuracy.points.values)
    np.testing.assert_allclose(seen, np.sort([*np.concatenate(means), 1.0]), rtol=1e-12)
    assert ladder.accuracy.runs == len(means) + 1, "checkpoints of one run are resampled together"
    assert "36 runs" in ladder.how
    assert "648 checkpoints" in ladder.how


def test_a_ladder_of_one_row_a_run_has_nothing_to_average_or_skip():
    finals = evaluated().sort_values("D").groupby("run").tail(1)
    bare = task_ladder(finals.drop(columns="run").reset_index(drop=True), **TASK, ideal=False)
    assert bare.accuracy["L_mid"] == pytest.approx(0.95, rel=1e-6)
    assert bare.accuracy.rows == 36


def test_the_ceiling_of_accuracies_is_one():
    loss = np.linspace(0.8, 1.6, 40)
    steep = pd.DataFrame({"loss": loss, "accuracy": 1.3 - 1.0 / (1 + np.exp(-6 * (loss - 0.7)))})
    found = sf.fit(steep[steep["accuracy"] < 1], "task-ladder")
    assert found["b"] == 1
    assert any(str(check).startswith("b ended at its upper bound 1, the end of its domain") for check in found.warnings)
    with pytest.raises(sf.InputError, match=r"accuracy of 40.* is above 1; give accuracies as shares"):
        sf.fit(pd.DataFrame({"loss": loss, "accuracy": np.linspace(40, 25, 40)}), "task-ladder")


def test_a_ladder_names_the_column_that_is_missing():
    with pytest.raises(sf.InputError, match='no column "bits"; columns: N, D, run, bpb, acc'):
        task_ladder(evaluated(), loss="bits", accuracy="acc")


def test_each_validation_domain_has_its_own_mixture_law():
    rng = np.random.default_rng(0)
    shares = rng.dirichlet([1, 1, 1], 30)
    runs = pd.DataFrame(shares, columns=["web", "code", "books"])
    runs["val_code"] = 1.0 + 1.5 * np.exp(-2.0 * runs["code"])
    runs["val_books"] = 2.0 + 0.9 * np.exp(-1.2 * runs["books"] + 0.3 * runs["web"])
    fits = mixture(runs, ["code", "books"], ["val_code", "val_books"])
    assert (fits["val_code"]["t1"], fits["val_code"]["t2"]) == pytest.approx((-2.0, 0.0), abs=1e-6)
    # books and code against web: exp(-1.2 books + 0.3 (1 - code - books))
    assert (fits["val_books"]["t1"], fits["val_books"]["t2"]) == pytest.approx((-0.3, -1.5), rel=1e-6)
    assert fits["val_books"].target == "val_books"
