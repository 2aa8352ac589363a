"""The report on run logs: everything understood, guessed, dropped or missing is in it."""

from __future__ import annotations

import json

import commands
import pandas as pd
import pytest

from scalefit.errors import InputError
from scalefit.runs import inspect, read_runs


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "runs.csv"
    rows = "".join(f"{run},{s},{5 - s / 100},1e9,1e-3,x\n" for run in "ab" for s in (0, 10, 20, 30, 20, 30, 60))
    path.write_text("run,iter,train/loss,params,lr,free\n" + rows + "b,70,nan,1e9,1e-3,x\n")
    return path


def test_the_report_names_everything(log):
    text = str(inspect(read_runs(log)))
    for words in (
        "runs.csv: curves of 2 runs, 11 rows",
        "step <- 'iter' (guessed) [optimiser steps]",
        "loss <- 'train/loss' (guessed) [nats/token]: cross-entropy",
        "kept unchanged: free",
        "a: step 0 to 60, 5 rows, every 10, 1 gap, the largest after step 30",
        "known at every step of 2 of 2 runs",
        "interpolated between rows 10 steps apart (a, b)",
        "N: 1e+09 parameters",
        "dropped: 4 rows were logged again after a restart and only the last kept: a, 2 from step 20 to 30",
        "diverged: 1 row has no finite loss: b, row 16 (nan)",
        "unknown: the file does not say whether N ('params') counts embeddings",
    ):
        assert words in text, words


def test_an_unknown_learning_rate_says_what_to_pass():
    late = pd.DataFrame({"step": [100, 200, 300], "lr": [1.0, 1.0, 0.5], "loss": [5.0, 4.0, 3.0]})
    assert "--warmup STEPS" in str(inspect(read_runs(late)))
    assert "no learning rate in the log" in str(inspect(read_runs(late.drop(columns="lr"))))
    known = inspect(read_runs(late, schedule="cosine:peak_lr=1,steps=300,warmup=10"))
    assert "schedule cosine:peak_lr=1,steps=300,warmup=10" in str(known)
    assert known.extents[0].lr_known and not inspect(read_runs(late)).extents[0].lr_known


def test_final_results_show_their_ranges_in_decades():
    table = pd.DataFrame({"N": [1e6, 1e8], "D": [1e9, 1e10], "C": [6e15, 6e18], "loss": [4.0, 3.0]})
    lines = inspect(read_runs(table)).lines
    assert lines[0] == "DataFrame: final results of 2 runs"
    assert "  N: 1e+06 to 1e+08 parameters (2.00 decades)" in lines
    assert "  C: 6e+15 to 6e+18 FLOP (3.00 decades)" in lines


def test_many_runs_are_counted_not_listed():
    frame = pd.DataFrame({"run": [f"r{k}" for k in range(40) for _ in (0, 1)], "step": [0, 1] * 40, "loss": 3.0})
    lines = inspect(read_runs(frame)).lines
    assert "  and 28 more runs" in lines and len(lines) < 30


def test_the_dictionary_is_plain_json(log):
    facts = json.loads(json.dumps(inspect(read_runs(log)).as_dict()))
    assert facts["kind"] == "curves" and facts["runs"][0]["gaps"] == 1
    assert {
        "name": "step",
        "source": "iter",
        "how": "guessed",
        "scale": 1.0,
        "unit": "optimiser steps",
    } in facts["columns"]
    assert facts["ranges"]["N"] == [1e9, 1e9] and len(facts["origin"][0]["sha256"]) == 64


TIES = "Name,State,train/loss,val/loss,params_M\na,finished,3.1,3.2,10\nb,crashed,3.0,3.1,20\n"


def test_an_ambiguous_loss_is_told_beside_everything_else(tmp_path):
    (tmp_path / "wandb.csv").write_text(TIES)
    with pytest.raises(InputError, match="could both be loss"):
        read_runs(tmp_path / "wandb.csv")
    lines = str(inspect(read_runs(tmp_path / "wandb.csv", need=(), tell_ties=True))).splitlines()
    assert "  N <- 'params_M' (guessed) [parameters]: parameters, without embeddings where the file says so" in lines
    assert "  kept unchanged: train/loss, val/loss" in lines
    (line,) = [line for line in lines if line.startswith("! ")]
    assert "'train/loss' and 'val/loss' could both be loss" in line
    assert line.endswith('rename={"train/loss": "loss"} or rename={"val/loss": "loss"}')


def test_the_command_shows_what_it_knows_where_others_refuse(tmp_path):
    import commands

    path = tmp_path / "wandb.csv"
    path.write_text(TIES)
    shown = commands.run(f"scalefit inspect {path}")
    assert shown.exit_code == 1 and "! the columns 'train/loss' and 'val/loss'" in shown.stdout
    assert (
        "!" not in commands.run(f"scalefit inspect {path} --map loss=val/loss --where 'N > 1'").stdout.split("notes")[0]
    )
    assert commands.run(f"scalefit fit {path} --law power").exit_code == 2


def test_a_tie_of_steps_leaves_both(tmp_path):
    (tmp_path / "two.csv").write_text("iter,global_step,loss\n0,0,5\n1,10,4\n")
    lines = str(inspect(read_runs(tmp_path / "two.csv", need=(), tell_ties=True))).splitlines()
    assert "! the columns 'iter' and 'global_step' could both be step" in lines[4]


def test_a_missing_loss_lists_the_columns_as_the_file_has_them(tmp_path):
    (tmp_path / "a.csv").write_text("iter,params,foo\n0,5,6\n1,4,5\n")
    with pytest.raises(
        InputError, match=r"no column loss; the columns are iter, params, foo; .*rename=.\"COLUMN\": \"loss\""
    ):
        read_runs(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("undecided", "decided"),
    [
        ({"train_loss": [3.0, 2.5, 2.0], "val_loss": [3.1, 2.6, 2.1]}, {"loss": [4.0, 3.0]}),
        ({"lm_ce": [3.0, 2.5, 2.0]}, {"train_loss": [4.0, 3.0]}),
        ({"valid_loss": [3.0, 2.5, 2.0], "eval_loss": [3.1, 2.6, 2.1]}, {"val_loss": [4.0, 3.0], "lr": [1.0, 1.0]}),
    ],
)
def test_runs_whose_loss_is_undecided_are_named_and_counted(tmp_path, undecided, decided):
    pd.DataFrame({"step": [5, 10, 15], **undecided}).to_csv(tmp_path / "first.csv", index=False)
    pd.DataFrame({"step": [0, 9], **decided}).to_csv(tmp_path / "second.csv", index=False)
    shown = str(inspect(read_runs(tmp_path, need=(), tell_ties=True))).splitlines()
    assert "curves of 1 run, 2 rows; 1 more without a loss" in shown[0]
    assert any(line.startswith("! 1 runs") and "first (3 rows, step 5 to 15)" in line for line in shown)


def test_a_run_that_logged_nan_from_the_start_is_diverged_and_not_undecided(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"step": 1, "loss": NaN}\n{"step": 2, "loss": NaN}\n')
    (tmp_path / "b.jsonl").write_text('{"step": 1, "loss": 3.0}\n{"step": 2, "loss": 2.0}\n')
    runs = read_runs([tmp_path / "a.jsonl", tmp_path / "b.jsonl"])
    assert runs.names == ["a", "b"]
    assert runs.table["diverged"].tolist() == [True, False]


def test_the_loss_is_shown_among_many_columns():
    """As Python and a notebook show runs, also where the file has it last."""
    others = {f"a_long_name_of_a_setting_{at}": 1.0 for at in range(30)}
    runs = read_runs(pd.DataFrame({"run": ["a", "b"], **others, "N": [1e6, 2e6], "loss": [3.0, 2.5]}))
    assert repr(runs).startswith("Runs(2 runs; run, N, loss, a_long_name") and repr(runs).endswith("and 21 more)")
    assert "<th>loss</th>" in runs._repr_html_() and "..." not in runs._repr_html_()


def test_what_was_read_in_doubt_is_marked_and_gives_exit_code_1(tmp_path):
    table = pd.DataFrame({"N": [2e7, 4e7], "D": [1e9, 3e9], "loss": [3.9, 3.5]})
    for factor, code in ((6, 0), (6000, 1)):
        table.assign(C=factor * table["N"] * table["D"]).to_csv(tmp_path / "runs.csv", index=False)
        done = commands.run(f"scalefit inspect {tmp_path / 'runs.csv'}")
        assert (done.exit_code, "! read: C is 1e+03 times 6 N D in 2 runs" in done.output) == (code, code == 1)
