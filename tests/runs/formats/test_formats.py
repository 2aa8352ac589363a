"""Readers: each on files written here by the rules of its format; and tables as messy as people make them."""

from __future__ import annotations

import gzip
import json
import sqlite3
import sys
import types

import numpy as np
import pandas as pd
import pytest

from scalefit.errors import InputError
from scalefit.runs import inspect, read_runs
from scalefit.runs.formats import read_raw
from scalefit.runs.formats.flat_yaml import flat_yaml


@pytest.fixture
def file(tmp_path):
    def write(text, name="runs.csv"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def told(runs, kind):
    return " | ".join(note.text for note in runs.notes if note.kind == kind)


def columns(runs, *names):
    return runs.curves[list(names)].astype(float).to_numpy().tolist()


CURVE = "step,loss\n0,5\n1,4\n2,3.5\n"
ROWS = [[0, 5], [1, 4], [2, 3.5]]

# --- tables as people make them -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (b"\xef\xbb\xbf" + CURVE.encode(), "a.csv"),
        (CURVE.encode("utf-16"), "a.csv"),
        (CURVE.replace("\n", "\r\n"), "a.csv"),
        (CURVE.replace("\n", "\r"), "a.csv"),
        (CURVE.replace(",", ";"), "a.csv"),
        (CURVE.replace(",", ";").replace(".", ","), "a.csv"),
        (CURVE.replace(",", "\t"), "a.csv"),
        (CURVE, "a.tsv"),
        (CURVE.replace(",", " , ").replace("\n", "\n "), "a.csv"),
        ("\n\n" + CURVE, "a.csv"),
        ("# written by hand, today, at noon\n" + CURVE, "a.csv"),
        (CURVE.replace("\n", ",,\n"), "a.csv"),
        (gzip.compress(CURVE.encode(), mtime=0), "a.csv.gz"),
        (gzip.compress(CURVE.encode(), mtime=0), "a.csv"),
        (CURVE, "a"),
        (CURVE, "a.txt"),
        (json.dumps([{"step": s, "loss": v} for s, v in ROWS]), "a.json"),
        (json.dumps({"step": [0, 1, 2], "loss": [5, 4, 3.5]}), "a.json"),
        (
            b"\xef\xbb\xbf" + b'{"step": 0, "loss": 5}\r\n\r\n{"step": 1, "loss": 4}\n{"step": 2, "loss": "3.5"}',
            "a.jsonl",
        ),
    ],
)
def test_one_curve_in_many_spellings(file, text, name):
    runs = read_runs(file(text, name))
    assert columns(runs, "step", "loss") == ROWS and runs.names == ["a"]


def test_the_index_stays_the_line_below_a_preamble(file):
    runs = read_runs(file("# by hand\n\n" + CURVE))
    assert runs.curves.index.tolist() == [4, 5, 6] and "2 lines before the header" in told(runs, "dropped")
    assert "separated by semicolons" in told(read_runs(file(CURVE.replace(",", ";"))), "converted")


def test_thousands_text_and_missing_spellings(file):
    text = 'step,tokens,loss,lr\n"1,000","2,000,000",5,0.1\n"1,500",3e6,4,n/a\n2k,"4,000,000",NaN,-\n3k,5M,-inf,0.1\n'
    runs = read_runs(file(text))
    assert runs.curves["step"].tolist() == [1000, 1500, 2000, 3000]
    assert runs.curves["tokens"].tolist() == [2e6, 3e6, 4e6, 5e6]
    assert np.isnan(runs.curves["lr"]).tolist() == [False, True, True, False]
    assert runs.table["loss"].tolist() == [4] and "such as '1,000'" in told(runs, "converted")


def test_columns_of_the_same_name(file):
    runs = read_runs(file("step,loss,step,acc,acc\n0,5,0,1,2\n1,4,1,1,3\n"))
    assert list(runs.curves.columns) == ["run", "step", "loss", "acc", "acc.1"]
    assert "copy of column 1, 'step'" in told(runs, "dropped") and "now 'acc.1'" in told(runs, "named")
    with pytest.raises(InputError, match="two columns are named 'loss' and differ; rename one"):
        read_runs(file("step,loss,loss\n0,5,4\n1,4,3\n"))
    with pytest.raises(InputError, match="DataFrame: two columns are named 'loss'"):
        read_runs(pd.DataFrame([[0, 5, 6]], columns=["step", "loss", "loss"]))


def test_empty_columns_without_a_name_are_left_out(file):
    runs = read_runs(file("step,loss,,\n0,5,,\n1,4,,\n"))
    assert list(runs.curves.columns) == ["run", "step", "loss"] and "2 columns without a name" in told(runs, "dropped")


def test_names_of_runs_keep_their_spelling(file):
    text = "run,step,loss\n" + "".join(f"{run},{s},{5 - s}\n" for run in ("01", "1", "1e-3") for s in (0, 1))
    runs = read_runs(file(text))
    assert runs.names == ["01", "1", "1e-3"]
    mapped = read_runs(file(text), schedule=dict.fromkeys(runs.names, "constant:peak_lr=1,steps=9"))
    assert mapped.trajectory("1e-3").lr.tolist() == [1, 1]


@pytest.mark.parametrize("step", ["99999999999999999999", "1e30", "-1", "-1.0", "inf", "0.5"])
def test_steps_that_cannot_be(file, step):
    with pytest.raises(InputError, match=r"row 3, column step: step .* is not a whole number"):
        read_runs(file(f"step,loss\n0,5\n{step},4\n"))


def test_huge_integers_and_long_names_pass_through(file):
    long = "x" * 1500
    runs = read_runs(file(f"step,loss,seed,{long}\n0,5,18446744073709551616,1\n1,4,18446744073709551616,1\n"))
    assert str(runs.table["seed"].iloc[0]) == "18446744073709551616" and long in runs.curves
    assert inspect(runs).lines


def test_narrow_numbers_of_data_frames_are_widened():
    frame = pd.DataFrame({"step": np.array([0, 200], "uint8"), "loss": np.array([3, 2], "float16")})
    runs = read_runs(frame)
    assert runs.curves["step"].dtype == np.int64 and runs.curves["loss"].dtype == np.float64
    for bad in ([True, False], [1j, 2j]):
        with pytest.raises(InputError, match=r"row 0, column loss: .* is not a number"):
            read_runs(pd.DataFrame({"step": [0, 1], "loss": bad}))
    indexed = pd.DataFrame({"step": [0, 1], "loss": [3.0, 2.0]}, index=pd.Index([0, 1], name="step"))
    assert read_runs(indexed).curves["loss"].tolist() == [3, 2]


def test_lists_in_records_are_left_out_and_said(file):
    runs = read_runs(file('{"step":0,"loss":5,"h":[1]}\n{"step":1,"loss":4,"h":[]}\n', "a.jsonl"))
    assert "h" not in runs.curves and "lists: h" in told(runs, "dropped")


@pytest.mark.parametrize(
    ("text", "name", "words"),
    [
        ("step,loss,имя\n0,5,опыт\n".encode("cp1251"), "a.csv", "not UTF-8, nor UTF-16 or Latin-1.*; save it as UTF-8"),
        (CURVE, "a.csv.gz", "not a .gz file"),
        (b"PK\x03\x04rest", "a.csv", "zip archive or a spreadsheet; unpack"),
        ("\n\n\n", "a.csv", "no table in the file; give"),
        ('{"step":0,"loss":' + "[" * 100000 + "\n", "a.jsonl", "nested too deep|not JSON"),
        ('{"step": [0], "loss": [1, 2]}', "a.json", "different lengths; give"),
        ('"words"', "a.json", "not a table; write"),
        ("some words\nwithout sense\n", "a.log", "no line is in the format of a known trainer.*; known"),
        (b"\x00\xff" * 99, "a.log", "binary"),
    ],
)
def test_what_cannot_be_read_says_what_to_do(file, text, name, words):
    with pytest.raises(InputError, match=words):
        read_runs(file(text, name))


def test_a_missing_value_does_not_hold(file):
    runs = read_runs(file("run,N,opt,loss\na,1e6,adam,3\nb,,,4\nc,2e6,sgd,5\n"))
    assert runs.where("N != 1e6").names == ["c"] == runs.where("not (N < 1.5e6)").names
    assert runs.where("opt != 'adam'").names == ["c"] and runs.where("opt > 'adam'").names == ["c"]
    assert "1 row lacks a value for it" in runs.where("N > 0").notes[-1].text
    kept, held = runs.hold_out("N > 1.5e6")
    assert (kept.names, held.names) == (["a", "b"], ["c"])


@pytest.mark.parametrize("expression", ["step >= 0", "run == 'runs'", "steps > 1"])
def test_hold_out_of_everything_and_of_nothing(file, expression):
    runs = read_runs(file(CURVE))
    for kept, held in (runs.hold_out(expression), runs.hold_out(f"not ({expression})")[::-1]):
        assert (len(kept), len(held), len(kept.curves), len(held.curves)) == (0, 1, 0, 3)
        assert inspect(kept).lines[0].endswith("curves of 0 runs, 0 rows") and kept.table.empty


def test_a_restart_from_the_first_step_may_be_two_runs_of_one_name(file):
    runs = read_runs(file("run,step,loss\n" + "".join(f"a,{s},{9 - 3 * s + v}\n" for v in (1, 0) for s in range(3))))
    assert runs.curves["loss"].tolist() == [9, 6, 3] and "two runs of the same name" in told(runs, "suspect")
    late = read_runs(file("step,loss\n0,5\n1,4\n2,3\n1,4.5\n2,3.5\n"))
    assert not told(late, "suspect") and late.curves["loss"].tolist() == [5, 4.5, 3.5]


# --- Hugging Face Trainer -------------------------------------------------------------------------------


def state(steps=(10, 20, 30), **more):
    log = []
    for s in steps:
        log.append({"epoch": s / 30, "grad_norm": 1.0, "learning_rate": 1e-3, "loss": 5 - s / 10, "step": s})
        if s % 20 == 0:
            log.append({"epoch": s / 30, "eval_loss": 6 - s / 10, "eval_runtime": 3.0, "step": s})
    return {"log_history": log, "max_steps": 30, "total_flos": 1e15, **more}


def test_trainer_state(file):
    content = state()
    content["log_history"].append({"epoch": 1.0, "step": 30, "train_loss": 3.3, "total_flos": 1e15})
    runs = read_runs(file(json.dumps(content), "run_a/trainer_state.json"))
    assert runs.names == ["run_a"] and columns(runs, "step", "loss") == [[10, 4], [20, 3], [30, 2]]
    assert runs.curves["eval_loss"].tolist()[1] == 4 and runs.curves.index.tolist() == [1, 2, 4]
    assert runs.table["steps"].tolist() == [30] and "train_loss" not in runs.curves
    assert "whole run" in told(runs, "dropped") and "1 records with the previous one" in told(runs, "joined")
    assert "mean over the last logging interval" in told(runs, "unknown") and "version" in told(runs, "unknown")


def test_trainer_state_restart_and_folder_of_checkpoints(file, tmp_path):
    content = state()
    content["log_history"] += [{"step": s, "loss": 9.0, "learning_rate": 1e-3, "epoch": 1.0} for s in (20, 30)]
    for step, log in ((5, state((10,))), (30, content)):
        file(json.dumps(log), f"out/checkpoint-{step}/trainer_state.json")
    runs = read_runs(tmp_path / "out")
    assert len(runs.origin) == 1 and "checkpoint-30" in runs.origin[0].path
    assert runs.curves["loss"].tolist() == [4, 9, 9] and "restart" in told(runs, "dropped")
    with pytest.raises(InputError, match="no log_history in the file; give"):
        read_runs(file("{}", "trainer_state.json"))
    with pytest.raises(InputError, match="cut off; copy"):
        read_runs(file('{"log_history": [', "trainer_state.json"))


# --- W&B ------------------------------------------------------------------------------------------------


def test_wandb_chart_export(file):
    names = [f"{run} - train/loss{end}" for run in ("lr 1e-3 - a", "b") for end in ("", "__MIN", "__MAX")]
    header = ",".join(f'"{name}"' for name in ["Step", *names])
    runs = read_runs(file(f"{header}\n0,5,5,5,6,6,6\n10,4,4,4,,,\n20,,,,3,2.5,3.5\n"))
    assert runs.names == ["lr 1e-3 - a", "b"]
    assert columns(runs, "step", "loss") == [[0, 5], [10, 4], [0, 6], [20, 3]]
    assert runs.curves.index.tolist() == [2, 3, 2, 4]
    assert "4 columns __MIN and __MAX" in told(runs, "dropped") and "1 columns differ" in told(runs, "suspect")
    assert "calls of log()" in told(runs, "unknown")


def test_a_table_with_dashes_in_its_names_is_no_chart(file):
    assert read_runs(file("step,loss,a - b\n0,5,1\n1,4,1\n")).curves["a - b"].tolist() == [1, 1]


class FakeRun:
    def __init__(self, name):
        self.name, self.id = name, "id-" + name
        self.config = {"model": {"n_layer": 2}, "_wandb": {"x": 1}}

    def scan_history(self):
        yield {"_step": 0, "_timestamp": 1.0, "train/loss": 5.0, "lr": 0.1}
        yield {"_step": 1, "_timestamp": 2.0, "train/loss": 4.0, "lr": 0.1, "hist": {"bins": [1, 2]}}


def test_wandb_api(monkeypatch):
    def run(path):
        if path != "team/project/abc":
            raise ValueError("could not find run")
        return FakeRun("abc")

    api = types.SimpleNamespace(run=run, runs=lambda path: [FakeRun("a"), FakeRun("b")])
    fake = types.ModuleType("wandb")
    fake.Api = lambda: api
    monkeypatch.setitem(sys.modules, "wandb", fake)
    runs = read_runs("wandb:team/project/abc")
    assert runs.names == ["abc"] and columns(runs, "step", "loss", "lr") == [[0, 5, 0.1], [1, 4, 0.1]]
    assert runs.table["n_layer"].tolist() == [2] and runs.origin[0].path == "wandb:team/project/abc"
    assert read_runs("wandb:team/project").names == ["a", "b"]
    with pytest.raises(InputError, match=r"could not find run.*; check the address"):
        read_runs("wandb:team/project/none")
    with pytest.raises(InputError, match="not the address of a run"):
        read_runs("wandb:team")
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(InputError, match=r"scalefit\[wandb\]"):
        read_runs("wandb:team/project/abc")


# --- Lightning ------------------------------------------------------------------------------------------


def test_lightning_metrics(file, tmp_path):
    text = "epoch,lr-AdamW,step,train_loss,val_loss\n,0.1,0,,\n0,,0,5,\n,0.2,10,,\n0,,10,4,\n0,,10,,4.5\n,0.3,20,,\n"
    path = file(text, "lightning_logs/version_3/metrics.csv")
    file("batch_size: 8\nmodel:\n  n_layer: 2\nlist:\n- 1\nnote: 'a: b'\n", "lightning_logs/version_3/hparams.yaml")
    with pytest.raises(InputError, match="'train_loss' and 'val_loss' could both be loss"):
        read_runs(path)
    runs = read_runs(tmp_path / "lightning_logs", rename={"train_loss": "loss"})
    assert runs.names == ["version_3"] and columns(runs, "step", "loss", "lr") == [[0, 5, 0.1], [10, 4, 0.2]]
    assert runs.curves["val_loss"].tolist()[1] == 4.5 and runs.curves.index.tolist() == [3, 6]
    assert runs.table["n_layer"].tolist() == [2] and "3 rows with others" in told(runs, "joined")
    assert runs.trajectory("version_3").lr[10] == 0.2


def test_the_last_value_of_a_step_counts_in_lightning(file):
    runs = read_runs(
        file("epoch,step,loss,lr\n0,0,5,0.1\n0,10,4,0.2\n0,10,3.5,\n0,10,,0.3\n0,20,3,0.4\n", "metrics.csv")
    )
    assert columns(runs, "step", "loss", "lr") == [[0, 5, 0.1], [10, 3.5, 0.3], [20, 3, 0.4]]
    assert "2 rows with others of the same step (the last value counts)" in told(runs, "joined")


def test_flat_yaml(file):
    text = "a: 1\nb:\n  c: 2.5  # why\n  d:\n    e: true\nf: null\ng: [1, 2]\n# no: 1\nh: 'x: y'\n"
    expected = {"a": 1, "b/c": 2.5, "b/d/e": True, "f": None, "g": "[1, 2]", "h": "x: y"}
    assert flat_yaml(file(text, "a.yaml")) == expected


def test_yaml_of_all_kinds_is_plain_values(file, tmp_path):
    text = (
        "notes: |\n  d_model: 128 diverged\n  lr: 0.5\n'batch size': 256\nlr: 3e-4\n"
        "model: {n_layer: 4, base: &x {d: 1}}\n"
        "again: *x\nevil: !!python/object/apply:os.system ['touch pwned']\nmine: !Path /a\nday: 2026-01-02\n"
    )
    found = flat_yaml(file(text, "a.yaml"))
    assert {key: found[key] for key in ("batch size", "lr", "model/n_layer", "again/d", "mine", "day")} == {
        "batch size": 256, "lr": 3e-4, "model/n_layer": 4, "again/d": 1, "mine": "/a", "day": "2026-01-02"
    }  # fmt: skip
    assert "d_model" not in found
    assert not list(tmp_path.rglob("pwned"))
    assert flat_yaml(tmp_path / "none.yaml") == {}


@pytest.mark.parametrize(
    "text",
    ["a: [1\n", "a: b: c\n", "x0: &x0 {" + ", ".join(f"k{i}: 1" for i in range(40)) + "}\n"
     + "".join(f"x{i}: &x{i} {{" + ", ".join(f"k{j}: *x{i - 1}" for j in range(40)) + "}\n" for i in range(1, 5))],
)  # fmt: skip
def test_yaml_that_is_cut_or_explodes_is_refused_in_one_line(file, text):
    with pytest.raises(InputError) as said:
        flat_yaml(file(text, "a.yaml"))
    assert "a.yaml" in str(said.value)


# --- console logs ---------------------------------------------------------------------------------------

MEGATRON = (
    " [2025-01-02 03:04:05] iteration {step:8d}/     200 | consumed samples: {samples:12d} | elapsed time per"
    " iteration (ms): 12.3 | learning rate: {lr:.6E} | global batch size: {batch:5d} | lm loss: {loss:.6E} |"
    " loss scale: 1.0 | grad norm: 0.512 | number of skipped iterations:   0 | number of nan iterations:   0 |"
)
LOGS = {
    "nanoGPT": (
        "step 0: train loss 5.1000, val loss 5.2000\niter 0: loss 5.0, time 1.00ms, mfu -100.00%\n"
        "iter 10: loss 4.0, time 1.00ms, mfu 30.00%\n",
        {"step": [0, 10], "loss": [5, 4], "val_loss": [5.2, np.nan]},
    ),
    "Megatron-LM": (
        MEGATRON.format(step=100, samples=1600, lr=3e-4, batch=16, loss=5.0)
        + "\n"
        + MEGATRON.format(step=200, samples=3200, lr=2e-4, batch=16, loss=4.0)
        + "\n validation loss at iteration 200 | lm loss value: 4.5E+00 | lm loss PPL: 9.0E+01 |\n",
        {
            "step": [100, 200],
            "loss": [5, 4],
            "lr": [3e-4, 2e-4],
            "consumed_samples": [1600, 3200],
            "val_loss": [np.nan, 4.5],
        },
    ),
    "NeMo": (
        "Training epoch 0, iteration 8/9 | lr: 0.0006 | consumed_samples: 288 | global_batch_size: 32 |"
        " global_step: 8 | reduced_train_loss: 7.5 | train_step_timing in s: 1.2 | val_loss: 7.6\n"
        "Training epoch 0, iteration 9/9 | lr: 0.0005 | consumed_samples: 320 | global_batch_size: 32 |"
        " global_step: 9 | reduced_train_loss: 7.113 | train_step_timing in s: 1.2 | val_loss: 7.6\n",
        {"step": [8, 9], "loss": [7.5, 7.113], "lr": [6e-4, 5e-4], "val_loss": [7.6, np.nan]},
    ),
    "torchtitan": (
        "\x1b[32m[rank0]:[titan] 2025-01-02 03:04:05 - root - INFO - \x1b[31mstep:  1  \x1b[32mloss: 12.26870"
        "  \x1b[33mgrad_norm:  1.50  \x1b[36mtps: 1,234\x1b[0m\nstep:  5  loss:  8.01234  grad_norm:  1.25\n"
        "[rank1] step:  5  loss:  8.01234  grad_norm:  1.25\nvalidate step:  5  loss:  8.5\n",
        {"step": [1, 5], "loss": [12.2687, 8.01234], "grad_norm": [1.5, 1.25], "val_loss": [np.nan, 8.5]},
    ),
    "modded-nanogpt": (
        'import torch\nprint0(f"step:{step}/{n} val_loss:{val_loss:.4f}")\n'
        "step:0/1480 val_loss:10.8 train_time:0ms step_avg:nanms\nstep:0/1480 train_loss:10.9 train_time:1ms\n"
        "step:1480/1480 val_loss:3.2777 train_time:900ms step_avg:1.0ms\n",
        {"step": [0], "val_loss": [10.8], "steps": [1480], "loss": [10.9]},
    ),
    "llm.c": (
        "s:0 tel:10.9\ns:0 trl:11.0 lr:0.0 norm:1.5\ns:1 trl:10.5 lr:0.1 norm:1.4\ns:1 eval:0.25\n",
        {"step": [0, 1], "loss": [11, 10.5], "lr": [0, 0.1], "hellaswag": [np.nan, 0.25]},
    ),
    "build-nanogpt": (
        "0 val 10.9\n0 hella 0.25\n0 train 10.8\n1 train 10.5\n",
        {"step": [0, 1], "loss": [10.8, 10.5], "val_loss": [10.9, np.nan]},
    ),
    "OLMo": (
        "2025-01-02 03:04:05 INFO [olmo.train:967, rank=0] [step=1/1000]\n    train/CrossEntropyLoss=11.1\n"
        "    throughput/total_tokens=1,048,576\n    train/Perplexity=66,000\nother words\n    not/read=1\n"
        "2025-01-02 03:04:06 INFO [step=2/1000,epoch=1]\n    train/CrossEntropyLoss=10.5\n"
        "    throughput/total_tokens=2,097,152\n    eval/c4/CrossEntropyLoss=10.9\n",
        {"step": [1, 2], "loss": [11.1, 10.5], "tokens": [1048576, 2097152], "train/Perplexity": [66000, np.nan]},
    ),
}


@pytest.mark.parametrize("name", LOGS)
@pytest.mark.parametrize("ending", ["log", "txt.gz"])
def test_console_logs(file, name, ending):
    text, expected = LOGS[name]
    packed = gzip.compress(text.encode(), mtime=0) if ending.endswith("gz") else text
    runs = read_runs(file(packed, f"job.{ending}"))
    assert runs.names == ["job"]
    assert f"lines are in the format of {name}" in told(runs, "guessed")
    for column, values in expected.items():
        np.testing.assert_array_equal(runs.curves[column].to_numpy(float), values)
    assert ("learning rate" in told(runs, "unknown")) == ("lr" not in expected)


def test_the_loss_of_a_console_log_may_be_chosen_or_be_the_only_one(file):
    text = LOGS["modded-nanogpt"][0]
    chosen = read_runs(file(text, "a.txt"), rename={"val_loss": "loss"})
    alone = read_runs(file("\n".join(line for line in text.split("\n") if "train_loss" not in line), "b.txt"))
    for runs in (chosen, alone):
        assert columns(runs, "step", "loss") == [[0, 10.8], [1480, 3.2777]]
    assert "loss is the column 'val_loss'" in told(alone, "guessed")


def test_console_logs_that_restart_repeat_or_mix(file):
    lines = [f"iter {s}: loss {5 - s / 10:.1f}, time 1.0ms, mfu 1.00%\n" for s in (0, 10, 20, 10, 20, 20)]
    runs = read_runs(file("".join(lines) + "10 train 3.0\n", "a.out"))
    assert runs.curves["step"].tolist() == [0, 10, 20] and runs.curves.index.tolist() == [1, 4, 5]
    assert "1 lines that repeat" in told(runs, "dropped") and "1 of build-nanogpt" in told(runs, "dropped")


# --- MLflow, DVCLive ------------------------------------------------------------------------------------


def mlflow_base(path, rows, runs=(("u1", "small", "active"),), params=()):
    with sqlite3.connect(path) as base:
        base.execute("CREATE TABLE runs (run_uuid TEXT, name TEXT, lifecycle_stage TEXT)")
        base.execute(
            "CREATE TABLE metrics (key TEXT, value REAL, timestamp INT, run_uuid TEXT, step INT, is_nan BOOLEAN)"
        )
        base.execute("CREATE TABLE params (key TEXT, value TEXT, run_uuid TEXT)")
        base.executemany("INSERT INTO runs VALUES (?, ?, ?)", runs)
        base.executemany("INSERT INTO metrics VALUES (?, ?, ?, ?, ?, ?)", rows)
        base.executemany("INSERT INTO params VALUES (?, ?, ?)", params)
    base.close()
    return path


def test_mlflow_data_base(tmp_path):
    runs = [("u1", "same", "active"), ("u2", "same", "active"), ("u3", "gone", "deleted")]
    rows = [("train/loss", 5.0 - s, 100 + s, u, s, 0) for u, *_ in runs for s in range(3)]
    rows += [("lr", 0.1, 100, u, s, 0) for u in ("u1", "u2") for s in range(3)]
    rows += [("train/loss", 2.5, 999, "u1", 2, 0), ("train/loss", 0.0, 999, "u2", 2, 1)]
    rows += [("acc", v, 100 + v, "u1", 0, 0) for v in range(3)]
    path = mlflow_base(tmp_path / "mlflow.db", rows, runs, [("n_layer", "2", "u1"), ("n_layer", "4", "u2")])
    for source in (path, tmp_path):
        found = read_runs(source)
        assert found.names == ["same (u1)", "same (u2)"] and found.table["n_layer"].tolist() == [2, 4]
        assert found.curves["loss"].fillna(-1).tolist() == [5, 4, 2.5, 5, 4, -1]
        assert "1 runs that are marked as deleted" in told(found, "dropped")
        assert "4 values were logged again" in told(found, "dropped") and "step 0" in told(found, "suspect")
    (tmp_path / "b.db").write_bytes(b"nonsense" * 99)
    with pytest.raises(InputError, match="not a database of MLflow"):
        read_runs(tmp_path / "b.db")


def test_the_largest_number_in_a_store_of_mlflow_is_infinity(tmp_path):
    largest = 1.7976931348623157e308
    rows = [("loss", v, s, "u1", s, 0) for s, v in enumerate((5.0, 1e308, largest))]
    rows += [("low", v, s, "u1", s, 0) for s, v in enumerate((1.0, 2.0, -largest))]
    runs = read_runs(mlflow_base(tmp_path / "mlflow.db", rows))
    assert runs.curves["loss"].tolist() == [5, 1e308, np.inf] and runs.curves["low"].tolist() == [1, 2, -np.inf]
    assert "1 row has no finite loss" in told(runs, "diverged") and runs.table["diverged"].tolist() == [True]


def test_mlflow_folders(file, tmp_path):
    for run, width in (("u1", 64), ("u2", 128)):
        at = f"mlruns/7/{run}"
        file(f"run_name: w{width}\nlifecycle_stage: active\n", f"{at}/meta.yaml")
        file(f"100 5.0 0\n101 {300 / width} 10\n", f"{at}/metrics/train/loss")
        file("100 0.1 0\n101 0.1 10\n", f"{at}/metrics/lr")
        file(str(width), f"{at}/params/d_model")
    for source in (tmp_path, tmp_path / "mlruns"):
        runs = read_runs(source)
        assert runs.names == ["w64", "w128"] and runs.table["d_model"].tolist() == [64, 128]
        assert columns(runs.where("d_model == 64"), "step", "loss", "lr") == [[0, 5, 0.1], [10, 300 / 64, 0.1]]
    assert read_runs(tmp_path / "mlruns" / "7" / "u1").names == ["w64"]
    file("words\n", "mlruns/7/u1/metrics/bad")
    with pytest.raises(InputError, match="row 1: 'words' is not a metric; write"):
        read_runs(tmp_path)


def test_dvclive(file, tmp_path):
    file("timestamp\tstep\tloss\n1\t0\t5\n2\t1\t4\n", "exp/plots/metrics/train/loss.tsv")
    file("step\tlr\n0\t0.1\n1\t0.1\n2\t0.2\n", "exp/plots/metrics/lr.tsv")
    file("model:\n  n_layer: 3\n", "exp/params.yaml")
    runs = read_runs(tmp_path / "exp")
    assert runs.names == ["exp"] and columns(runs, "step", "loss", "lr") == [[0, 5, 0.1], [1, 4, 0.1]]
    assert runs.table["n_layer"].tolist() == [3] and "2 files, one for each metric" in told(runs, "joined")
    assert read_runs(tmp_path).names == ["exp"] and len(runs.origin[0].sha256) == 64
    file("epoch\tx\n0\t1\n", "exp/plots/metrics/x.tsv")
    with pytest.raises(InputError, match="not a metric of DVCLive; give it"):
        read_runs(tmp_path / "exp")


# --- a NaN that was logged -------------------------------------------------------------------------------


def test_a_logged_nan_is_kept_and_a_step_without_a_loss_is_not_one(file, tmp_path):
    rows = [("loss", 5.0, 1, "u1", 0, 0), ("loss", 0.0, 2, "u1", 10, 1)]
    rows += [("lr", 0.1, 3 + s, "u1", s, 0) for s in range(0, 31, 10)]
    store = mlflow_base(tmp_path / "a.db", rows)
    text = "epoch,lr,step,loss\n" + "".join(f",0.1,{s},{v}\n" for s, v in ((0, "5"), (10, "nan"), (20, ""), (30, "")))
    lightning = file(text, "b/metrics.csv")
    log = [{"step": s, "lr": 0.1, "loss": v} for s, v in ((0, 5.0), (10, float("nan")))]
    log += [{"step": s, "lr": 0.1, "eval_loss": 3.0} for s in (20, 30)]
    trainer = file(json.dumps({"log_history": log}), "c/trainer_state.json")
    for source in (store, lightning, trainer):
        runs = read_runs(source)
        assert runs.curves["step"].tolist() == [0, 10] and np.isnan(runs.curves["loss"].iloc[1]), source
        assert "1 row has no finite loss" in told(runs, "diverged")
        said, none = told(runs, "joined"), "2 rows have no loss but lr"
        assert "2 of them have no such row and are left out" in said or (said.startswith(none) and ": left out" in said)
        assert "__no_loss" not in runs.curves and runs.trajectory(runs.names[0]).lr.tolist() == [0.1] * 11


# --- several files --------------------------------------------------------------------------------------


def test_a_note_that_many_files_share_is_one_line_with_the_sum_of_the_counts(file, tmp_path):
    for k in range(5):
        preamble = "# by hand\n" * (k + 1) if k < 4 else ""
        file(preamble + CURVE, f"logs/run{k}.csv")
    runs = read_runs(tmp_path / "logs")
    assert [note.text for note in runs.notes if note.kind == "named"] == [
        "there is no column run: all rows are one run, named after the file (in all 5 files)"
    ]
    (note,) = [note for note in runs.notes if note.kind == "dropped"]
    assert note.text == "10 lines before the header (in run0, run1, run2 and 1 more)" and note.count == 10
    assert sum("named after the file" in line for line in inspect(runs).lines) == 1
    frames = [pd.DataFrame({"step": [0, 1], "loss": [5.0, end]}) for end in (4, 3)]
    assert "named after the file (in all 2 files)" in told(read_runs(frames), "named")
    twice = [{"step": s, "loss": 5.0 - s} for s in (0, 1)] + [{"step": 1, "train_loss": 4.5}] * 2
    closed = read_runs(file(json.dumps({"log_history": twice}), "trainer_state.json"))
    assert told(closed, "dropped").count("its train_loss is the mean of the whole run") == 2
    assert "files)" not in told(closed, "dropped")
    alone = read_runs(tmp_path / "logs" / "run1.csv")
    assert told(alone, "dropped") == f"{tmp_path}/logs/run1.csv: 2 lines before the header"


# --- the registry ---------------------------------------------------------------------------------------


def test_files_of_other_kinds_in_a_folder_are_named(file, tmp_path):
    file('{"step":0,"loss":5}\n{"step":1,"loss":4}\n', "log.jsonl")
    file(CURVE, "other.csv")
    file("{}", "config.json")
    assert "were not read: other.csv" in told(read_runs(tmp_path), "dropped")
    with pytest.raises(InputError, match="the folder is not a run log"):
        read_raw(tmp_path)
