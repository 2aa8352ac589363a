"""Final results with a step are runs, a restart is one run, and what adds nothing to a table changes nothing."""

import functools
import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import scalefit as sf


def grid(sizes=4, amounts=3, batch=5e5):
    N = np.repeat(np.geomspace(1e6, 1e8, sizes), amounts).round()
    D = np.tile(np.geomspace(1e8, 1e10, amounts), sizes).round()
    loss = 1.7 + 400 * N**-0.34 + 410 * D**-0.28
    return pd.DataFrame({"N": N, "D": D, "step": np.rint(D / batch).astype(int), "loss": loss})


@pytest.mark.parametrize("order", ["sorted", "by data", "shuffled"])
def test_a_grid_of_sizes_and_data_with_steps(order):
    table = grid()
    table = (
        table.sort_values("D")
        if order == "by data"
        else table.sample(frac=1, random_state=1)
        if order == "shuffled"
        else table
    )
    runs = sf.read_runs(table.reset_index(drop=True))
    assert runs.curves is None
    assert len(runs) == 12
    assert sorted(runs.table["loss"]) == sorted(grid()["loss"])
    assert sorted(runs.table["steps"]) == sorted(grid()["step"])


@pytest.mark.parametrize("setting", ["d_model", "seed", "weight_decay", "lr"])
def test_rows_at_one_step_that_differ_in_a_setting_are_runs(setting):
    table = pd.DataFrame({"step": [4000] * 4, setting: [1, 2, 4, 8], "loss": [3.0, 2.9, 2.8, 2.9]})
    runs = sf.read_runs(table)
    assert len(runs) == 4
    assert runs.table["loss"].tolist() == [3.0, 2.9, 2.8, 2.9]


def test_a_sweep_of_rates_at_each_of_two_sizes():
    table = pd.DataFrame(
        {
            "N": [1e6] * 3 + [4e6] * 3,
            "step": [500] * 3 + [900] * 3,
            "lr": [1, 2, 4] * 2,
            "loss": [3, 2, 3, 2.5, 1.9, 2.4],
        }
    )
    runs = sf.read_runs(table)
    assert len(runs) == 6
    assert runs.table["peak_lr"].tolist() == [1, 2, 4] * 2


def test_logs_of_several_sizes_that_count_their_data_stay_logs():
    parts = [pd.DataFrame({"N": N, "step": range(10, 610, 10), "D": np.arange(10, 610, 10) * 1e4}) for N in (1e6, 4e6)]
    table = pd.concat(parts, ignore_index=True).assign(loss=lambda t: 2 + t["step"] ** -0.5)
    runs = sf.read_runs(table)
    assert len(runs) == 2
    assert len(runs.curves) == 120


@pytest.mark.parametrize("amounts, runs, doubted", [((1, 4, 16), 12, True), ((1, 2, 3), 4, True)])
def test_a_few_rows_of_each_size_that_count_tokens_are_logs_where_they_are_even(amounts, runs, doubted):
    table = grid().rename(columns={"D": "tokens"})
    table = table.assign(tokens=np.tile(amounts, 4) * 1e8, step=np.tile(amounts, 4) * 200)
    read = sf.read_runs(table)
    assert len(read) == runs
    assert any(note.kind == "suspect" for note in read.notes) == doubted
    shuffled = table.sample(frac=1, random_state=2).reset_index(drop=True)
    assert len(sf.read_runs(shuffled)) == 12


@pytest.mark.parametrize("name, runs", [("iterations", 8), ("training steps", 8), ("global_step", 1)])
def test_the_steps_of_one_size_are_lengths_where_they_are_several_and_rise_unevenly(name, runs):
    steps = 250 * 2 ** np.arange(8)
    table = pd.DataFrame({"N": 1e7, "tokens": steps * 5e5, name: steps, "loss": 2 + steps**-0.3})
    assert len(sf.read_runs(table)) == runs
    even = table.assign(**{name: np.arange(250, 2250, 250)})
    assert len(sf.read_runs(even)) == 1


@pytest.mark.parametrize("name, runs", [("iterations", 8), ("train_steps", 8), ("step", 2)])
def test_steps_of_several_sizes_in_batches_that_are_told_are_lengths(name, runs):
    steps = np.array([1000, 3000, 9000, 30000] * 2)
    table = pd.DataFrame({"N": [1e7] * 4 + [4e7] * 4, name: steps, "batch_tokens": 65536, "loss": 2 + steps**-0.3})
    found = sf.read_runs(table)
    assert len(found) == runs
    if runs == 8:
        np.testing.assert_allclose(found.table["D"], steps * 65536)
    assert len(sf.read_runs(table.assign(**{name: [100, 200, 300, 400] * 2}))) == 2


def test_a_log_from_step_0_is_not_doubted_however_its_steps_rise():
    steps = np.r_[0, 2 ** np.arange(12)]
    table = pd.DataFrame({"step": steps, "tokens": steps * 5e5, "loss": 2 + (steps + 1) ** -0.3})
    kinds = [[note.kind for note in sf.read_runs(rows).notes] for rows in (table, table[1:])]
    assert ["suspect" in kind for kind in kinds] == [False, True]


def test_a_restart_is_one_run_and_loses_the_rows_that_it_wrote_again():
    steps = [10, 20, 30, 40, 30, 40, 50]
    runs = sf.read_runs(pd.DataFrame({"step": steps, "N": 1e6, "loss": [5, 4, 3, 9, 3, 2.5, 2]}))
    assert len(runs) == 1
    assert runs.curves["loss"].tolist() == [5, 4, 3, 2.5, 2]


@pytest.mark.parametrize("column", ["N", "seed", "dropout", "optimizer", "data_mix"])
def test_no_restart_changes_a_setting(column):
    values = ["a"] * 5 + ["b"] * 4 if column in ("optimizer", "data_mix") else [1.0] * 5 + [2.0] * 4
    steps = [10, 20, 30, 40, 50, 10, 20, 30, 40]
    runs = sf.read_runs(pd.DataFrame({"step": steps, column: values, "loss": np.linspace(4, 2, 9)}))
    assert len(runs) == 2
    assert len(runs.curves) == 9


def test_sizes_are_told_apart_where_steps_never_fall():
    table = pd.DataFrame({"step": range(1, 9), "N": [1e6] * 4 + [2e6] * 4, "loss": np.linspace(4, 2, 8)})
    assert len(sf.read_runs(table)) == 2


@functools.cache
def grid_as_read():
    """A small grid of final results, and its runs by their loss."""
    table = grid(sizes=3, amounts=4)
    return table, sf.read_runs(table).table.sort_values("loss")


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    extra=st.sampled_from(["", "constant", "log_loss", "note", "D_in_billions"]),
    rename=st.sampled_from([{}, {"N": "params"}, {"D": "train_tokens"}, {"step": "global_step"}, {"loss": "val_loss"}]),
)
def test_shuffling_renaming_and_added_columns_never_change_the_runs(seed, extra, rename):
    table, expected = grid_as_read()
    added = {"constant": 7.0, "log_loss": np.log(table["loss"]), "note": "x", "D_in_billions": table["D"] / 1e9}
    changed = table.assign(**{extra: added[extra]}) if extra else table
    changed = changed.sample(frac=1, random_state=seed).reset_index(drop=True).rename(columns=rename)
    got = sf.read_runs(changed).table.sort_values("loss")
    for name in ("N", "D", "steps", "loss"):
        np.testing.assert_allclose(got[name], expected[name])


@pytest.mark.parametrize("name", ["Epoch", "epoch_num", " epoch "])
def test_an_epoch_of_another_spelling_is_an_axis_too(name, tmp_path):
    """A Keras log with the rate it fell to: one run over epochs, not a run for every row."""
    epochs = np.arange(1, 13)
    frame = pd.DataFrame({name: epochs, "loss": 2 / epochs**0.5, "learning_rate": 1e-3 * (1 - epochs / 13)})
    frame.to_csv(tmp_path / "log.csv", index=False)
    runs = sf.read_runs(tmp_path / "log.csv")
    assert runs.curves["epoch"].tolist() == epochs.tolist()
    assert len(runs.names) == 1


def test_epochs_that_belong_to_sizes_are_no_axis(tmp_path):
    frame = pd.DataFrame({"N": [1e7, 2e7, 4e7, 8e7], "Epoch": [1, 2, 4, 8], "loss": [4.0, 3.5, 3.1, 2.9]})
    frame.to_csv(tmp_path / "final.csv", index=False)
    assert len(sf.read_runs(tmp_path / "final.csv").table) == 4


@pytest.mark.parametrize("name", ["run", "exp_name", "run_id"])
def test_one_name_for_all_rows_names_no_run_where_a_setting_differs(name):
    frame = pd.DataFrame(
        {name: "sweep", "N": [1e6, 1e6, 4e6, 4e6], "D": [1e8, 4e8, 1e8, 4e8], "loss": [4, 3, 3.5, 2.5]}
    )
    runs = sf.read_runs(frame)
    assert runs.kind == "runs"
    assert len(runs) == 4
    assert runs.table["D"].tolist() == frame["D"].tolist()
    curve = pd.DataFrame({name: "one", "step": [0, 1, 2], "N": 1e6, "loss": [4.0, 3, 2]})
    assert sf.read_runs(curve).names == ["one"]


def rows_of(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    return sf.read_runs(tmp_path / name)


def test_an_evaluation_after_the_last_step_is_no_run(tmp_path):
    runs = rows_of(
        tmp_path, "a.jsonl", '{"step":10,"loss":3.0}\n{"step":20,"loss":2.9}\n{"step":20,"eval_loss":2.95}\n'
    )
    assert len(runs.names) == 1
    assert runs.curves["loss"].tolist() == [3.0, 2.9] and runs.curves["eval_loss"].tolist()[-1] == 2.95


@pytest.mark.parametrize("cell", ["", "-", "n/a"])
def test_a_closing_line_without_measurements_is_no_loss(tmp_path, cell):
    lines = "".join(f"{step},{4 - step / 100},0.001\n" for step in range(10, 101, 10))
    runs = rows_of(tmp_path, "a.csv", f"step,loss,lr\n{lines}105,{cell},{cell}\n")
    assert runs.curves["step"].tolist() == list(range(10, 101, 10))
    assert "diverged" not in runs.table.columns or not runs.table["diverged"].any()


def test_a_loss_that_is_empty_while_the_rate_goes_on_is_lost(tmp_path):
    lines = "".join(f"{step},{4 - step / 100 if step < 60 else ''},0.001\n" for step in range(10, 101, 10))
    assert rows_of(tmp_path, "a.csv", f"step,loss,lr\n{lines}").table["diverged"].all()


def test_the_word_nan_in_json_is_a_nan(tmp_path):
    runs = rows_of(tmp_path, "a.jsonl", '{"step":1,"loss":3.0}\n{"step":2,"loss":"NaN"}\n{"step":2,"eval_loss":2.9}\n')
    assert np.isnan(runs.curves["loss"].tolist()[-1]) and runs.curves["eval_loss"].tolist()[-1] == 2.9


def test_steps_that_begin_again_with_every_epoch_are_refused(tmp_path):
    lines = "".join(f"{epoch},{step},{4 - epoch - step / 200}\n" for epoch in range(3) for step in (20, 40, 60))
    with pytest.raises(sf.InputError, match="the steps begin again with every epoch"):
        rows_of(tmp_path, "a.csv", f"epoch,step,loss\n{lines}")
    resumed = "epoch,step,loss\n0,20,3\n0,40,2.8\n1,60,2.6\n0,40,2.8\n1,60,2.5\n1,80,2.4\n"
    assert rows_of(tmp_path, "b.csv", resumed).curves["step"].tolist() == [20, 40, 60, 80]


def test_a_sweep_in_which_some_rates_ended_early_holds_results(tmp_path):
    rates = (0.0005, 0.001, 0.002, 0.004, 0.008)
    lines = "".join(
        f"{width},{lr},{700 if lr == 0.008 else 1000},{3 + width / 1000 + lr}\n" for width in (64, 128) for lr in rates
    )
    assert len(rows_of(tmp_path, "a.csv", f"width,lr,step,loss\n{lines}").table) == 10


@pytest.mark.parametrize("name", ["lr_t", "current_lr", "lr_now"])
def test_the_rate_that_moves_is_taken_under_other_names_too(tmp_path, name):
    text = f"step,learning_rate,{name},loss\n0,.002,.0001,3.2\n100,.002,.002,2.8\n200,.002,.001,2.6\n"
    runs = rows_of(tmp_path, "a.csv", text)
    assert runs.curves["lr"].tolist() == [0.0001, 0.002, 0.001]
    assert runs.table["peak_lr"].tolist() == [0.002]


def test_a_unit_that_one_of_two_columns_lacks_stops_a_fit(tmp_path):
    rows = [(n, d) for n in (30e6, 60e6, 125e6, 500e6) for d in (1, 3, 10, 30)]
    lines = "".join(f"{n},{d},{1.7 + 400 * n**-0.34 + 410 * (d * 1e9) ** -0.28}\n" for n, d in rows)
    with pytest.raises(sf.InputError, match="no numbers of parameters and tokens"):
        sf.fit(rows_of(tmp_path, "a.csv", f"N,D,loss\n{lines}"), "chinchilla")


def test_a_perplexity_is_named_where_no_loss_is_known(tmp_path):
    with pytest.raises(sf.InputError, match=r'rename=\{"valid_ppl": "loss"\}'):
        rows_of(tmp_path, "a.csv", "N,D,valid_ppl\n1e7,1e9,20\n2e7,1e9,18\n")


def test_training_and_validation_rows_in_one_curve_are_parted(tmp_path):
    text = "step,split,loss\n20,train,3.0\n20,val,3.1\n40,train,2.8\n40,val,2.9\n60,train,2.7\n60,val,2.8\n"
    runs = rows_of(tmp_path, "a.csv", text)
    assert runs.curves["loss"].tolist() == [3.0, 2.8, 2.7] and runs.curves["val_loss"].tolist() == [3.1, 2.9, 2.8]
    assert any("stand in one column, told apart by 'split'" in note.text for note in runs.notes)
    alone = rows_of(tmp_path, "b.csv", "step,split,loss\n20,train,3.0\n40,train,2.8\n")
    assert not any("stand in one c" in note.text for note in alone.notes)


def lengths(names):
    """Results of every combination of these settings, each with the step at which its run ended."""
    values = {
        "batch": [2**17, 2**18, 2**19],
        "batch_size": [128, 256, 512],
        "D": [1e9, 4e9, 1.6e10],
        "N": [1e7, 4e7],
        "lr": [5e-4, 1e-3, 2e-3],
    }
    rows = [dict(zip(names, each, strict=True)) for each in itertools.product(*(values[name] for name in names))]
    for row in rows:
        tokens, batch = row.get("D", 2e9), row.get("batch", row.get("batch_size", 256) * 1024)
        row["step"] = int(tokens / batch)
        row["loss"] = 3 + 0.1 * (np.log2(row["lr"]) + 10) ** 2 + 1e5 / row["step"] ** 2 + row.get("N", 0.0) * 1e-9
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    "names",
    [("batch", "lr"), ("batch_size", "lr"), ("D", "lr"), ("N", "D", "lr"), ("N", "batch", "lr"), ("D", "batch", "lr")],
)
@pytest.mark.parametrize("order", ["as written", "by step", "shuffled"])
def test_rates_at_every_length_are_results_in_any_order(names, order):
    table = lengths(names)
    wanted = table
    if order != "as written":
        table = table.sort_values("step") if order == "by step" else table.sample(frac=1, random_state=5)
    runs = sf.read_runs(table.reset_index(drop=True))
    assert runs.curves is None
    assert len(runs) == len(wanted)
    assert sorted(zip(runs.table["peak_lr"], runs.table["steps"], runs.table["loss"], strict=True)) == sorted(
        zip(wanted["lr"], wanted["step"], wanted["loss"], strict=True)
    )


@pytest.mark.parametrize("order", ["as written", "shuffled"])
def test_rates_at_every_step_without_more_lose_no_row(order):
    table = pd.DataFrame([(lr, s, 3 + lr * 10 + 100 / s) for lr in (5e-4, 1e-3, 2e-3) for s in (1000, 2000, 4000)])
    table = table.set_axis(["lr", "step", "loss"], axis=1)
    runs = sf.read_runs(table if order == "as written" else table.sample(frac=1, random_state=1))
    assert len(runs) == 3
    assert len(runs.curves) == 9


@pytest.mark.parametrize("after", [1.0, 0.9])
def test_a_log_of_tokens_that_was_resumed_with_another_rate_stays_a_log(after):
    step = np.arange(0, 1000, 10)
    part = pd.DataFrame({"step": step, "tokens": step * 2**18, "lr": 1e-3 * (1 - step / 2000), "loss": 4 - step / 1e3})
    again = part.iloc[50:].assign(lr=part["lr"].iloc[50:] * after)
    runs = sf.read_runs(pd.concat([part.iloc[:90], again], ignore_index=True))
    assert len(runs) == 1
    assert runs.curves["step"].tolist() == step.tolist()


def test_logs_of_which_one_is_evenly_spaced_are_logs():
    """Three sizes of three rows each, with tokens: the steps of one rise evenly, or those of none."""
    even, doubling = [100, 200, 300], [100, 300, 1000]
    for steps, runs in (([even, doubling, doubling], 3), ([doubling] * 3, 9), ([even] * 3, 3)):
        table = pd.DataFrame({"N": np.repeat([1e6, 3e6, 1e7], 3), "step": np.ravel(steps)})
        table = table.assign(tokens=table["step"] * 1e5, loss=2 + table["N"] ** -0.2 + table["step"] ** -0.3)
        assert len(sf.read_runs(table)) == runs
