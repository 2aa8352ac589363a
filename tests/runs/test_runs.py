"""Reading run logs: the canonical tables, what is guessed and noted, and what stops the reading."""

from __future__ import annotations

import gzip
import json

import commands
import numpy as np
import pandas as pd
import pytest

from scalefit.errors import InputError
from scalefit.runs import COLUMNS, read_runs
from scalefit.runs.matching import match
from scalefit.runs.quantities import quantity

DATA = commands.SHARED
CURVE = "step,lr,loss\n" + "".join(f"{s},{1e-3 if s > 2 else s * 5e-4},{5 - 0.1 * s:g}\n" for s in range(10))


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def kinds(runs, kind):
    return [note for note in runs.notes if note.kind == kind]


@pytest.fixture
def csv(tmp_path):
    return lambda text, name="runs.csv": write(tmp_path / name, text)


# --- formats --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["csv", "tsv", "csv.gz", "jsonl", "jsonl.gz", "parquet"])
def test_every_format_reads_the_same_curve(tmp_path, ending):
    frame = pd.DataFrame({"run": ["a"] * 3 + ["b"] * 3, "step": [0, 1, 2] * 2, "loss": [5, 4, 3.5, 5, 4.5, 4]})
    path = tmp_path / f"log.{ending}"
    if ending == "parquet":
        pytest.importorskip("pyarrow")
        frame.to_parquet(path)
    elif "jsonl" in ending:
        frame.to_json(path, orient="records", lines=True)
    else:
        frame.to_csv(path, index=False, sep="\t" if ending == "tsv" else ",")
    runs = read_runs(path)
    assert runs.kind == "curves" and runs.names == ["a", "b"] and len(runs) == 2
    assert runs.curves["loss"].tolist() == frame["loss"].tolist()
    assert runs.curves["step"].dtype == np.int64
    assert runs.table["loss"].tolist() == [3.5, 4.0]
    first = 1 if ending == "parquet" or "jsonl" in ending else 2
    assert runs.curves.index.tolist() == list(range(first, first + 6))
    assert len(runs.origin[0].sha256) == 64 and runs.origin[0].rows == 6


def test_the_index_is_the_line_of_the_file_also_with_empty_lines(csv):
    runs = read_runs(csv("step,loss\n0,5\n\n1,4\n\n2,3\n"))
    assert runs.curves.index.tolist() == [2, 4, 6]
    assert runs.curves["step"].tolist() == [0, 1, 2]
    assert runs.place(1).endswith("runs.csv, row 4")


def test_jsonl_nested_records_config_records_and_a_cut_last_line(csv):
    text = '{"event": "hparams", "seed": 3}\n' + "".join(
        json.dumps({"event": "log", "step": s, "metrics": {"train/loss": 5.0 - s}}) + "\n" for s in range(3)
    )
    runs = read_runs(csv(text + '{"event": "log", "ste', "log.jsonl"))
    assert runs.curves["loss"].tolist() == [5.0, 4.0, 3.0] and runs.curves.index.tolist() == [2, 3, 4]
    assert runs.table["seed"].tolist() == [3]
    assert "the last line, which is incomplete" in kinds(runs, "dropped")[0].text


def test_a_folder_of_run_folders_merges_run_json(tmp_path):
    for width, name in ((64, "small"), (128, "large")):
        lines = [{"step": s, "tokens": s * 1000, "lr": 1e-3, "loss": 5.0 - s / width} for s in range(4)]
        write(tmp_path / name / "log.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
        config = {
            "N": width * 100,
            "seed": 1,
            "config": {"d_model": width, "note": None},
            "status": "done",
            "list": [1],
        }
        write(tmp_path / name / "run.json", json.dumps(config))
    runs = read_runs(tmp_path)
    table = runs.table.set_index("run")
    assert runs.names == ["large", "small"]
    assert table.loc["small", ["N", "d_model", "D", "status"]].tolist() == [6400, 64, 3000, "done"]
    assert runs.where("N > 7000").names == ["large"]
    assert runs.trajectory("small").lr.tolist() == [1e-3] * 4
    assert read_runs(tmp_path / "small" / "log.jsonl").names == ["small"]
    assert {str(place) for place in runs.curves["source"]} == {str(tmp_path / n / "log.jsonl") for n in table.index}


def test_curves_and_a_table_of_runs_are_joined_by_run(csv):
    curves = csv("run,step,loss\na,0,5\na,1,4\nb,0,5\nb,1,4.5\n", "curves.csv")
    table = csv("run,params,loss\nb,2M,9\na,1M,9\nz,1M,9\n", "table.csv")
    runs = read_runs([curves, table])
    assert runs.table["N"].tolist() == [1e6, 2e6] and runs.table["loss"].tolist() == [4, 4.5]
    assert "1 run has no curve: z" in [note.text for note in kinds(runs, "dropped")]


def test_data_frames_and_lists_of_files(csv):
    frame = pd.DataFrame({"N": [1e6, 2e6], "D": [1e9, 2e9], "loss": [3.0, 2.9]})
    assert read_runs(frame).table.index.tolist() == [0, 1]
    a, b = csv(CURVE, "a.csv"), csv(CURVE, "b.csv")
    assert read_runs([a, b]).names == ["a", "b"]
    assert read_runs([a, b]).place(12).endswith("b.csv, row 4")


# --- several files --------------------------------------------------------------------------------------


def test_names_with_dots_stay_whole(csv, tmp_path):
    files = [csv(CURVE, "lr0.001.csv"), csv(CURVE.replace("4.8", "4.7"), "lr0.003.tsv.csv")]
    for source in (files, tmp_path):
        runs = read_runs(source)
        assert runs.names == ["lr0.001", "lr0.003"] and len(runs.curves) == 20 and not kinds(runs, "dropped")
    assert read_runs(csv("run,step,loss\ng_rise0.2,0,5\ng_rise0.2,1,4\n", "v1.5.csv")).names == ["g_rise0.2"]


def test_runs_of_one_name_in_two_files_are_kept_apart_where_they_differ(csv):
    one = csv("run,step,loss\nX,0,5\nX,1,4\nY,0,5\nY,1,3\n", "a.csv")
    other = csv("run,step,loss\nX,0,5\nX,1,4.1\n", "b.csv")
    own = csv("step,loss\n0,5\n1,4.2\n", "X.csv")
    between = csv("run,step,loss\nY,0.0,5\nY,3,2\n", "c.csv")
    runs = read_runs([one, other, own, between])
    assert runs.names == ["a/X", "Y", "b/X", "X"] and len(runs.curves) == 9 - 1
    assert "kept apart as a/X, b/X, X" in kinds(runs, "named")[0].text
    assert "(step 0 to 1)" in kinds(runs, "joined")[0].text  # Y: equal at step 0, and it goes on
    frames = [pd.DataFrame({"step": [0, 1], "loss": [5.0, end]}) for end in (4, 3)]
    assert read_runs(frames).names == ["DataFrame", "DataFrame (2)"]


def test_a_log_that_goes_on_in_a_second_file_is_one_run(csv):
    first, second = csv("run,step,loss\nX,0,5\nX,1,4\n", "a.csv"), csv("run,step,loss\nX,2,3\n", "b.csv")
    runs = read_runs([first, csv("run,step,loss\nX,2,3\nX,3,2\n", "c.csv"), second])
    assert runs.names == ["X"] and runs.curves["step"].tolist() == [0, 1, 2, 3] and kinds(runs, "joined")
    late = csv("run,step,loss\nX,1,4\nX,3,2\n", "late.csv")
    assert read_runs([csv("run,step,loss\nX,0,5\nX,2,3\n", "d.csv"), late]).names == ["d/X", "late/X"]


def test_final_results_of_one_name_in_two_files_are_kept_apart(csv):
    rows = csv("N,loss\n1e6,4\n", "a.csv"), csv("N,loss\n2e6,3\n", "b.csv")
    assert read_runs(rows).names == ["a/row 2", "b/row 2"]
    named = csv("run,N,loss\nx,1e6,4\ny,2e6,3\n", "c.csv"), csv("run,N,loss\nx,1e7,4\n", "d.csv")
    runs = read_runs(named)
    assert runs.names == ["c/x", "y", "d/x"] and "differ in their values" in kinds(runs, "named")[0].text


# --- names ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["_step", "train/loss", "optim/learning_rate_group0"], ["step", "loss", "lr"]),
        (
            ["trainer/global_step", "train/CrossEntropyLoss", "throughput/total_tokens"],
            ["step", "loss", "tokens"],
        ),
        (["iteration", "lm loss", "learning rate"], ["step", "loss", "lr"]),
        (["iter", "val/loss", "lr"], ["step", "loss", "lr"]),
        (["global_step", "reduced_train_loss", "lr-AdamW"], ["step", "loss", "lr"]),
        (
            ["step", "eval/c4_en-validation/CrossEntropyLoss", "learning_rate_peak"],
            ["step", "loss", "peak_lr"],
        ),
        (["current_steps", "loss", "learning_rate"], ["step", "loss", "lr"]),
        (["step", "n_tokens_seen", "loss_metrics/global_avg_loss"], ["step", "tokens", "loss"]),
        (["metrics/train/loss", "Step"], ["loss", "step"]),
        (["params", "Training FLOP", "loss"], ["N", "C", "loss"]),
        (["params", "params_nonemb"], ["N_total", "N"]),
        (["batch_size_in_tokens", "n_embd", "depth"], ["batch", "d_model", "n_layer"]),
        (["loss", "loss_last", "smooth loss", "val_loss"], ["loss", None, None, None]),
        (["batch_size", "E", "notes"], [None, None, None]),
        (["model.d_model", "model.num_layers", "dim"], ["d_model", "n_layer", None]),
        (["optimizer.lr", "args.seq_len", "config.optim.params.weight_decay"], ["lr", "seq_len", "weight_decay"]),
        (["lr", "optimizer.lr"], ["lr", None]),
        (["encoder.d_model", "decoder.d_model", "train/batch", "teacher/lr"], [None, None, None, None]),
        (["model.width", "net.d_model"], [None, None]),
        (["total_params", "dim"], ["N_total", "d_model"]),
        (["best_val_loss", "nll", "loss_final"], [None, None, "loss"]),
        (["val_loss", "best_val_loss"], ["loss", None]),
        (["attn/max_logit", "logit_z", "grad_rms"], ["attention_logit_max", "output_logit_logsumexp", "rms_grad"]),
        (["max_attention_logits", "max_logit", "lse"], ["attention_logit_max", None, "output_logit_logsumexp"]),
        (["act_rms", "lambda_max", "grad/norm"], ["rms_act", "hessian_max", "grad_norm"]),
        (["gnorm", "probes.activation_rms", "train/max_attn_logit"], ["grad_norm", "rms_act", "attention_logit_max"]),
    ],
)
def test_columns_are_understood(names, expected):
    bound = {binding.source: binding.name for binding in match(names)}
    assert [bound.get(name) for name in names] == expected


def test_every_alias_finds_its_own_column():
    for canonical, column in COLUMNS.items():
        for alias in column.aliases:
            found = match([alias.replace("*", "x")])
            assert [binding.name for binding in found] == [canonical], alias


def test_guesses_are_noted_and_the_convention_of_N_is_unknown(csv):
    runs = read_runs(csv("params,tokens,flops,loss\n1.3B,20e9,1e20,2.5\n300M,2T,1e21,2.4\n"))
    assert runs.table[["N", "D", "C"]].to_numpy().tolist() == [[1.3e9, 2e10, 1e20], [3e8, 2e12, 1e21]]
    assert [note.text for note in kinds(runs, "guessed")][:2] == [
        "C is the column 'flops'",
        "N is the column 'params'",
    ]
    assert "counts embeddings" in kinds(runs, "unknown")[0].text
    assert "read from text such as '1.3B'" in kinds(runs, "converted")[0].text
    assert runs.names == ["row 2", "row 3"]


def test_rename_wins_and_the_displaced_column_is_kept(csv):
    runs = read_runs(csv("step,loss,val/loss\n0,5,6\n1,4,5\n"), rename={"val/loss": "loss"})
    assert runs.curves["loss"].tolist() == [6, 5] and runs.curves["loss_in_file"].tolist() == [5, 4]


def test_units_in_the_header_are_converted(csv):
    runs = read_runs(csv("#Params (B),Tokens (B),FLOPs (1E21),loss\n1.5,20,0.18,2.5\n"))
    assert runs.table[["N", "D", "C"]].to_numpy().tolist() == [[1.5e9, 2e10, 1.8e20]]
    assert len(kinds(runs, "converted")) == 3


def test_units_at_the_end_of_a_name_are_converted(csv):
    runs = read_runs(csv("params_M,tokens_B,loss\n125,2.5,3.1\n1.3B,26,2.6\n"))
    assert runs.table[["N", "D"]].to_numpy().tolist() == [[1.25e8, 2.5e9], [1.3e9, 2.6e10]]
    assert any("N in parameters = 1e+06 times the column 'params_M'" in note.text for note in kinds(runs, "converted"))
    told = read_runs(csv("size_M,loss\n125,3.1\n"), rename={"size_M": "N"})
    assert told.table["N"].tolist() == [1.25e8]
    assert read_runs(csv("params_T,teacher_M,loss\n5,2,3.1\n")).table.columns.tolist()[1:] == [
        "params_T",
        "teacher_M",
        "loss",
    ]


@pytest.mark.parametrize(
    ("text", "batch", "words", "kind"),
    [
        ("batch_size,seq_len\n8,1024", 8192, "times seq_len", "converted"),
        ("Batch Size,D,steps\n8,16384000,1000", 16384, "2048 times the column", "converted"),
        ("bs,D,steps\n16384,16384000,1000", 16384, "equals tokens over steps, so it counts tokens", "guessed"),
        ("global_batch_size,batch_size\n524288,4", 524288, "must count tokens", "guessed"),
        ("config.train.batch_size,seed\n64,1", 64, "must count sequences, not tokens", "unknown"),
        ("batch_tokens,batch_size\n65536,64", 65536, "batch is the column 'batch_tokens'", "guessed"),
    ],
)
def test_a_batch_says_what_it_counts_or_that_it_is_not_known(csv, text, batch, words, kind):
    runs = read_runs(csv(text.replace("\n", ",loss\n") + ",3\n"))
    assert runs.table["batch"].tolist() == [batch]
    assert any(words in note.text for note in kinds(runs, kind))


def test_a_logarithm_of_the_learning_rate_is_told(csv):
    runs = read_runs(csv("run,log2_lr,loss\na,-10,3\nb,-9,2\n"))
    assert runs.table["peak_lr"].tolist() == [2.0**-10, 2.0**-9] == runs.table["lr"].tolist()
    assert kinds(runs, "converted")[0].text == "lr is 2 to the power of the column 'log2_lr'"
    moving = read_runs(csv("step,log10_lr,loss\n0,-3,4\n1,-4,3\n"))
    assert moving.curves["lr"].tolist() == [1e-3, 1e-4]
    assert "lr" in read_runs(csv("lr,log10_lr,loss\n0.5,-3,4\n")).table and len(moving.columns) == 3


def test_a_learning_rate_among_the_settings_is_the_peak(csv):
    text = "run,step,optimizer.lr,loss\n" + "".join(
        f"{r},{s},{v},{5 - s}\n" for r, v in (("a", 1), ("b", 2)) for s in (0, 1)
    )
    runs = read_runs(csv(text))
    assert runs.table["peak_lr"].tolist() == [1, 2] and "lr" not in runs.curves
    assert "is a setting" in kinds(runs, "derived")[0].text
    with pytest.raises(InputError, match="no learning rate in the log"):
        runs.trajectory("a")
    logged = read_runs(csv(text.replace("optimizer.lr", "train/lr")))
    assert logged.trajectory("a").lr.tolist() == [1, 1]


def test_a_cell_with_its_own_unit_is_not_scaled_by_the_header(csv):
    runs = read_runs(csv("params (M),tokens (B),loss\n125,2.5,3.1\n1.3B,26B,2.6\n1300,26,2.6\n"))
    assert runs.table["N"].tolist() == [1.25e8, 1.3e9, 1.3e9]
    assert runs.table["D"].tolist() == [2.5e9, 2.6e10, 2.6e10]
    assert sum("its own unit" in note.text for note in kinds(runs, "converted")) == 2


def test_a_size_that_no_model_has_is_suspect(csv):
    runs = read_runs(csv("params,D,loss\n1.3e15,26e9,2.6\n2.6e9,26e9,2.5\n"))
    assert "1.3e+15" in kinds(runs, "suspect")[0].text


def test_a_canonical_name_may_carry_a_unit(csv):
    runs = read_runs(csv("N (M),D [B],loss\n125,2.5,3.1\n"))
    assert runs.table["N"].tolist() == [1.25e8] and runs.table["D"].tolist() == [2.5e9]


def test_sizes_in_billions_without_a_word_of_it_are_suspect(csv):
    runs = read_runs(csv("N,D,loss\n0.13,2,2.6\n1.3,26,2.5\n"))
    assert [note.text.split(",")[0] for note in kinds(runs, "suspect")] == ["N is 0.13 to 1.3", "D is 2 to 26"]
    assert not kinds(read_runs(csv("N,D,loss\n6000,2e5,2.6\n0.13,2,2.6\n")), "suspect")


def test_rows_that_repeat_another_are_told(csv):
    runs = read_runs(csv("N,D,loss\n1e6,1e9,4\n2e6,1e9,3\n1e6,1e9,4\n"))
    assert "row 4" in kinds(runs, "suspect")[0].text and len(runs.table) == 3
    assert not kinds(read_runs(csv("N,D,seed,loss\n1e6,1e9,0,4\n1e6,1e9,1,4\n")), "suspect")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1.3B", 1.3e9),
        ("20e9", 2e10),
        ("1,234,567", 1234567),
        ("2T", 2e12),
        ("300M", 3e8),
        ("3G", 3e9),
        ("1.5g", 1.5e9),
        ("0.3b", 3e8),
        ("-4k", -4e3),
        ("1_000", 1000),
        (" 7 ", 7),
        (".5", 0.5),
        ("-inf", -np.inf),
        ("6.7 B", 6.7e9),
    ],
)
def test_quantities(text, value):
    assert quantity(text) == value


@pytest.mark.parametrize("text", ["", "abc", "1.2.3", "1,23", "12 apples", "1BB", "0x10", "B"])
def test_no_quantities(text):
    with pytest.raises(InputError, match="is not a number"):
        quantity(text)


# --- runs -----------------------------------------------------------------------------------------------


def test_a_curve_without_run_is_named_after_its_file(csv):
    runs = read_runs(csv(CURVE, "cosine_60k.csv"))
    assert runs.names == ["cosine_60k"] and "named after the file" in kinds(runs, "named")[0].text


def test_repeating_steps_are_told_apart_by_schedule_or_shape(csv):
    two = "schedule,step,loss\nwsd,0,5\nwsd,1,4\ncosine,0,5\ncosine,1,3\n"
    runs = read_runs(csv(two))
    assert runs.names == ["wsd", "cosine"] and "distinguished by schedule" in kinds(runs, "named")[0].text
    shaped = "width,seed,step,loss\n" + "".join(f"{w},{s},{t},4\n" for w in (64, 128) for s in (0, 1) for t in (0, 1))
    assert read_runs(csv(shaped)).names[1] == "d_model=64, seed=1"


def test_final_results_become_a_table_with_D_and_peak_lr(csv):
    runs = read_runs(csv("run,step,tokens,lr,loss\na,100,1e9,1e-3,3\nb,200,2e9,2e-3,2.9\n"))
    assert runs.kind == "runs" and runs.curves is None
    assert runs.table[["steps", "D", "peak_lr"]].to_numpy().tolist() == [[100, 1e9, 1e-3], [200, 2e9, 2e-3]]


def test_tokens_that_vary_inside_a_run_make_curves(csv):
    runs = read_runs(csv("run,tokens,N,loss\na,1e9,5,4\na,2e9,5,3\nb,1e9,7,4\nb,2e9,7,2\n"))
    assert runs.kind == "curves" and "step" not in runs.curves
    assert runs.table[["N", "D", "loss"]].to_numpy().tolist() == [[5, 2e9, 3], [7, 2e9, 2]]
    with pytest.raises(InputError, match="no steps in the log"):
        runs.trajectory("a")


def test_rows_of_one_name_are_runs_of_their_own_unless_split(csv):
    runs = read_runs(csv("run,D,loss\na,1e9,4\na,1e9,3\nb,1e9,4\n"))
    assert runs.names == ["a (row 2)", "a (row 3)", "b"] and runs.table["run_in_file"].tolist() == [
        "a",
        "a",
        "b",
    ]
    runs = read_runs(csv("run,eval_set,D,loss\na,c4,1e9,4\na,pile,1e9,3\n"))
    assert runs.names == ["a"] and "several rows" in kinds(runs, "suspect")[0].text


def test_restart_keeps_the_last_rows_and_counts_them(csv):
    runs = read_runs(csv("step,loss\n0,5\n10,4\n20,3\n30,9\n15,3.5\n25,3\n30,2.5\n"))
    assert runs.curves["step"].tolist() == [0, 10, 15, 25, 30]
    assert runs.curves["loss"].tolist() == [5, 4, 3.5, 3, 2.5]
    note = kinds(runs, "dropped")[0]
    assert note.count == 2 and "runs, 2 from step 20 to 30" in note.text


def test_unordered_and_interleaved_rows_are_sorted_and_none_lost(csv):
    runs = read_runs(csv("run,step,loss\nb,2,3\na,1,4\nb,1,4\na,2,3\n"))
    assert runs.curves[["run", "step"]].astype(str).agg(" ".join, axis=1).tolist() == [
        "b 1",
        "b 2",
        "a 1",
        "a 2",
    ]
    assert kinds(runs, "sorted")[0].count == 4 and not kinds(runs, "dropped")


def test_splits_inside_a_run_are_no_restart(csv):
    runs = read_runs(csv("step,split,loss\n0,train,5\n0,val,6\n1,train,4\n1,val,5\n"))
    assert runs.curves[["loss", "val_loss"]].to_numpy().tolist() == [[5, 6], [4, 5]] and not kinds(runs, "dropped")


def test_sparse_rows_are_joined_by_step(csv):
    text = "step,train_loss,lr-AdamW,acc\n0,,0.1,\n0,5,,\n1,,0.2,\n1,4,,\n1,,,0.5\n2,,0.3,\n"
    runs = read_runs(csv(text))
    assert runs.curves[["step", "loss", "lr", "acc"]].fillna(-1).to_numpy().tolist() == [
        [0, 5, 0.1, -1],
        [1, 4, 0.2, 0.5],
    ]
    assert kinds(runs, "joined")[0].count == 4
    assert runs.trajectory("runs").lr.tolist() == [0.1, 0.2]


@pytest.mark.parametrize("cell", ["nan", "NaN", "", "inf", "-inf"])
def test_losses_that_are_not_finite_are_kept_and_named(csv, cell):
    runs = read_runs(csv(f"run,step,loss\na,0,5\na,1,4\na,2,{cell}\n"))
    assert len(runs.curves) == 3 and runs.table["loss"].tolist() == [4]
    assert "a, row 4" in kinds(runs, "diverged")[0].text


@pytest.mark.parametrize(
    "word", ["diverged", "overflow", "#DIV/0!", "NaN (diverged)", "Diverged at step 7", "inf (fp16)"]
)
def test_words_that_say_a_run_is_lost_count_as_a_loss_that_is_not_finite(csv, word):
    runs = read_runs(csv(f"N,loss\n1e6,4\n2e6,3\n3e6,{word}\n"))
    assert runs.table["loss"].tolist()[:2] == [4, 3] and np.isnan(runs.table["loss"].iloc[2])
    assert f"1 rows say '{word}'" in kinds(runs, "diverged")[0].text and "row 4" in kinds(runs, "diverged")[0].text
    assert "instead of a loss" in kinds(runs, "diverged")[0].text
    first = read_runs(csv(f"run,step,val_loss\na,0,{word}\nb,0,4\nb,1,3\n"))
    assert np.isnan(first.curves["loss"]).tolist() == [True, False, False]


@pytest.mark.parametrize("word", ["oops", "crashed", "not diverged", "3ish"])
def test_other_words_in_place_of_a_loss_stop_the_reading(csv, word):
    with pytest.raises(InputError, match=f"row 3, column loss: '{word}' is not a number"):
        read_runs(csv(f"N,loss\n1e6,4\n2e6,{word}\n"))


def test_a_lost_run_in_json_lines_is_no_row_without_a_loss(csv):
    rows = [{"step": 0, "loss": 5.0}, {"step": 1, "loss": 4.0}, {"step": 2, "loss": "diverged", "why": 1.0}]
    runs = read_runs(csv("".join(json.dumps(row) + "\n" for row in rows), "log.jsonl"))
    assert runs.curves["step"].tolist() == [0, 1, 2] and np.isnan(runs.curves["loss"].iloc[2])
    assert not [name for name in runs.curves.columns if name.startswith("__")]


def test_an_overflow_in_a_probe_is_infinite_and_told(csv):
    text = "step,loss,attention_logit_max,own,word\n0,5,3,1,yes\n1,4,overflow,-inf (x),overflow\n2,3,div,2,3\n"
    runs = read_runs(csv(text))
    np.testing.assert_array_equal(runs.curves["attention_logit_max"].to_numpy(), [3, np.inf, np.nan])
    np.testing.assert_array_equal(runs.curves["own"].to_numpy(), [1, -np.inf, 2])
    assert runs.curves["word"].tolist() == ["yes", "overflow", "3"]
    assert "column attention_logit_max: 2 cells such as 'overflow'" in kinds(runs, "converted")[0].text
    assert "first in row 3" in kinds(runs, "converted")[0].text
    odd = read_runs(csv("step,loss,grad_norm,vocab\n0,5,1,gpt2\n1,4,high,gpt2\n2,3,2.5,7\n"))
    np.testing.assert_array_equal(odd.curves["grad_norm"].to_numpy(float), [1, np.nan, 2.5])
    texts = [note.text for note in kinds(odd, "unknown")]
    assert "column grad_norm: 1 cells such as 'high' (row 3) are not numbers and count as missing" in texts
    assert "column vocab holds text and was kept unchanged" in texts
    with pytest.raises(InputError, match="row 3, column lr"):
        read_runs(csv("run,lr,loss\na,1,2\nb,overflow,1\n"))


def test_sizes_that_are_not_positive_are_kept_and_named(csv):
    runs = read_runs(csv("N,D,loss\n0,1e9,4\n1e6,-1,3\n"))
    assert [note.text for note in kinds(runs, "suspect")] == [
        "N is not above 0 in 1 row: row 2 (0)",
        "D is not above 0 in 1 row: row 3 (-1)",
    ]


def test_with_compute(csv):
    runs = read_runs(csv("N,D,loss\n1e6,1e9,4\n"))
    assert runs.with_compute().table["C"].tolist() == [6e15]
    assert kinds(runs.with_compute(), "derived")[0].text == "C = 6 N D"
    with pytest.raises(InputError, match="needs the column D"):
        read_runs(csv("N,loss\n1e6,4\n")).with_compute()


@pytest.mark.parametrize(
    ("name", "text", "value"), [("C", "N,D\n1e6,1e9", 6e15), ("D", "N,C\n1e6,6e15", 1e9), ("N", "C,D\n6e15,1e9", 1e6)]
)
def test_each_of_size_data_and_compute_follows_from_the_others(csv, name, text, value):
    runs = read_runs(csv(text.replace("\n", ",loss\n") + ",4\n"))
    assert runs.with_derived(name).table[name].tolist() == pytest.approx([value])


def test_names_inside_nested_records_count_where_no_other_does():
    rows = [{"config": {"n_params": 1e6, "lr": 0.1}, "summary": {"loss": 4.0}, "tokens": 1e9}]
    runs = read_runs(pd.json_normalize(rows, sep="/"))
    assert {"N", "D", "loss", "lr"} <= set(runs.table.columns)
    both = read_runs(pd.DataFrame({"config/n_params": [1e6], "params": [2e6], "loss": [3.0], "summary/loss": [9.0]}))
    assert both.table["N"].tolist() == [2e6] and both.table["loss"].tolist() == [3.0]


def test_a_column_that_was_read_under_another_name_is_found_under_both(csv):
    runs = read_runs(csv("params,loss\n1e6,4\n2e6,3\n"))
    for condition in ("params > 1e6", "N > 1e6"):
        assert runs.where(condition).table["loss"].tolist() == [3.0]


def test_where_and_hold_out(csv):
    text = "run,N,step,tokens,loss\n" + "".join(
        f"{run},{n},{s},{s * 10},{5 - s / n}\n" for run, n in (("a", 10), ("b", 20), ("c", 30)) for s in range(1, 5)
    )
    runs = read_runs(csv(text))
    kept, held = runs.hold_out("N > 15 and run != 'c'")
    assert held.names == ["b"] and kept.names == ["a", "c"] and len(held.curves) == 4
    early, late = runs.hold_out("step > 2")
    assert len(early.curves) == len(late.curves) == 6 and early.table["D"].tolist() == [20, 20, 20]
    assert early.table["loss"].tolist() == [4.8, 4.9, pytest.approx(5 - 2 / 30)]
    assert read_runs(csv(text), where="N < 15").names == ["a"]
    with pytest.raises(InputError, match="no column 'M'"):
        runs.where("M > 1")
    with pytest.raises(InputError, match="not true or false"):
        runs.where("N + 1")
    assert len(runs.where("N > 99")) == 0


def test_columns_with_names_of_any_kind_can_be_selected_by(csv):
    text = "run,GPU Count,optimizer.weight_decay,optimizer.beta2,loss\na,4,0.01,0.9,3\nb,8,0.1,0.95,4\n"
    runs = read_runs(csv(text))
    for expression in ("`GPU Count` == 4", "`optimizer.weight_decay` == 0.01", "`optimizer.beta2` < 0.92"):
        assert runs.where(expression).names == ["a"]
    for expression in ("GPU Count == 4", "optimizer.beta2 == 0.9"):
        with pytest.raises(InputError, match="write the column as `"):
            runs.where(expression)
    with pytest.raises(InputError, match="was read as weight_decay: use that"):
        runs.where("optimizer.weight_decay == 0.01")
    with pytest.raises(InputError, match="use run, `GPU Count`, weight_decay"):
        runs.where("M > 3")


# --- learning rates -------------------------------------------------------------------------------------


def test_trajectory_from_the_log_is_interpolated_over_the_whole_run(csv):
    text = "step,lr,loss\n0,0,9\n10,1e-3,5\n20,1e-3,4\n40,5e-4,3\n"
    late = read_runs(csv(text)).where("step > 15")
    trajectory = late.trajectory("runs")
    assert trajectory.steps.tolist() == [20, 40] and trajectory.lr.shape == (41,)
    assert trajectory.lr[[0, 5, 15, 30]].tolist() == pytest.approx([0, 5e-4, 1e-3, 7.5e-4])
    assert trajectory.warmup == 10 and "interpolated between rows" in trajectory.how


def test_schedule_as_text_as_csv_and_by_run(csv):
    log = csv("run,schedule,step,loss\na,c1,10,5\na,c1,20,4\nb,c2,10,5\nb,c2,20,4\n")
    with pytest.raises(InputError, match=r"run a: there is no learning rate in the log; .*--schedule"):
        read_runs(log).trajectory("a")
    runs = read_runs(log, schedule="linear:peak_lr=1,steps=20")
    assert runs.trajectory("b").lr[10] == 0.5 and runs.trajectory("b").how.startswith("schedule linear:")
    rows = "".join(f"c{k},{s},{k}\n" for k in (1, 2) for s in range(21))
    joined = read_runs(log, schedule=str(csv("schedule,step,lr\n" + rows, "s.csv")))
    assert joined.trajectory("a").lr.tolist() == [1] * 21 and joined.trajectory("b").lr.tolist() == [2] * 21
    one = read_runs(log, schedule=str(csv("step,lr\n0,3\n20,3\n", "one.csv")))
    assert one.trajectory("a").lr.tolist() == [3] * 21
    mapped = read_runs(log, schedule={"a": "constant:peak_lr=7,steps=20"})
    assert mapped.trajectory("a").lr[3] == 7
    with pytest.raises(InputError, match="no schedule was given"):
        mapped.trajectory("b")
    with pytest.raises(InputError, match="no run 'z'"):
        read_runs(log, schedule={"z": "constant:peak_lr=7,steps=20"})
    short = read_runs(log, schedule="linear:peak_lr=1,steps=15")
    with pytest.raises(InputError, match="ends at step 15, the run's log at step 20"):
        short.trajectory("a")


def test_a_given_schedule_is_compared_with_the_logged_lr(csv):
    runs = read_runs(csv(CURVE), schedule="constant:peak_lr=2e-3,steps=9")
    assert "differ by up to 100.00% of the peak" in kinds(runs, "mapped")[0].text


def test_lr_before_the_first_row_must_be_given(csv):
    log = csv("step,lr,loss\n8,1e-3,5\n12,1e-3,4\n")
    with pytest.raises(InputError, match="before step 8 is not known"):
        read_runs(log).trajectory("runs")
    trajectory = read_runs(log, warmup=4).trajectory("runs")
    assert trajectory.warmup == 4 and trajectory.lr[2] == 5e-4 and trajectory.lr[6] == 1e-3


def test_lr_that_is_negative_or_ends_early_stops(csv):
    with pytest.raises(InputError, match="row 3, column lr: the learning rate is -1"):
        read_runs(csv("step,lr,loss\n0,1,5\n1,-1,4\n")).trajectory("runs")
    with pytest.raises(InputError, match="logged up to step 1 only"):
        read_runs(csv("step,lr,loss\n0,1,5\n1,1,4\n9,,3\n")).trajectory("runs")


# --- bad input ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("runs.csv", "", "the file is empty"),
        ("runs.csv", "step,loss\n", "no rows"),
        ("runs.csv", "step,foo\n0,1\n", r'no column loss; the columns are step, foo; .*rename=."COLUMN": "loss"'),
        ("runs.csv", "step,loss_c4\n0,1\n", 'rename=."loss_c4": "loss"'),
        ("runs.csv", "step,lr\n0,1\n1,1\n", "holds a schedule, not a run; pass it as --schedule"),
        ("runs.csv", "step,train/loss,val/loss\n0,1,2\n", "'train/loss' and 'val/loss' could both be loss"),
        ("runs.csv", "iter,global_step,loss\n0,1,2\n", 'rename=."iter": "step". or rename=."global_step": "step"'),
        ("runs.csv", "step,lm loss,val_loss\n0,1,2\n", 'rename=."lm loss": "loss". or rename=."val_loss": "loss"'),
        ("runs.csv", "step,loss\n0,5\n1,oops\n", r"runs.csv, row 3, column loss: 'oops' is not a number"),
        ("runs.csv", "step,loss\n0.5,5\n", "row 2, column step: step 0.5 is not a whole number"),
        ("runs.csv", "step,loss\n,5\n1,4\n", "row 2, column step: there is no step"),
        ("runs.csv", "run,step,loss\na,0,5\n,1,4\n", "row 3, column run: the run has no name"),
        ("runs.csv", "0,1,2\n1,2,3\n", "the first line holds numbers"),
        ("runs.csv", "step,loss\n0,5\n1,4,3\n", "not a table"),
        ("runs.csv", "step,loss\n0,5,7\n1,4,3\n", "more cells than the header"),
        ("runs.jsonl", '{"step": 1}\n[1]\n', "row 2: not a JSON object"),
        ("runs.jsonl", '{"step": 1\n{"step": 2}\n', "row 1: not JSON"),
        ("runs.parquet", "nonsense", "not a Parquet file"),
    ],
)
def test_bad_files_say_where_and_what_to_do(csv, name, text, words):
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    with pytest.raises(InputError, match=words):
        read_runs(csv(text, name))


def test_binary_and_missing_files(tmp_path):
    (tmp_path / "a.csv").write_bytes(bytes(range(256)) * 20)
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(b"step,loss\n0,1\n")[:-9])
    (tmp_path / "c.jsonl").write_bytes(b"\xff\xfe\x00")
    for name in ("a.csv", "b.csv.gz", "c.jsonl"):
        with pytest.raises(InputError, match=r"not a table|not JSON lines"):
            read_runs(tmp_path / name)
    with pytest.raises(InputError, match="no such file"):
        read_runs(tmp_path / "nowhere.csv")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no run logs"):
        read_runs(tmp_path / "empty")


def test_bad_maps(csv):
    log = csv("step,loss,train_los\n0,5,4\n")
    with pytest.raises(InputError, match="no column 'train_loss' to map to loss; did you mean 'train_los'"):
        read_runs(log, rename={"train_loss": "loss"})
    with pytest.raises(InputError, match="loss and train_los are both mapped to loss"):
        read_runs(log, rename={"loss": "loss", "train_los": "loss"})


# --- real files -----------------------------------------------------------------------------------------

REAL = {
    "chinchilla_epoch/chinchilla_245.csv": ("runs", 245, {}),
    "mpl_schedules/loss_curves_25M.csv": ("curves", 9, {}),
    "annealing_tissue/loss_curves.csv": ("curves", 2, {}),
    "olmo_ladder/eval_curves.csv": ("curves", 24, {"loss_c4_en": "loss"}),
    "olmo_ladder/final.csv": ("runs", 24, {"loss_c4_en": "loss"}),
    "porian_isoflop/isoflop_points.csv": ("runs", None, {}),
    "qknorm_gradnorm/curves.csv": ("curves", None, {"val_loss": "loss"}),
    "steplaw/dense_lr_bs_sweep.csv": ("runs", 1404, {}),
    "routing_dm/curves_dense_sbase.csv": ("curves", 90, {}),
    "epfl_schedules/train_log.csv.gz": ("curves", 183, {}),
    "gemstones/loss_hot.csv": ("curves", 22, {}),
    "mup_mlp_cifar/train_loss_by_epoch.csv": ("curves", None, {"epoch": "step"}),
    "bnsl_4digit_addition/curve.csv": ("runs", 17, {}),
}


@pytest.mark.parametrize("name", REAL)
def test_public_logs_are_understood(name):
    if not (DATA / name).exists():
        pytest.skip("the public data sets are not here")
    kind, count, rename = REAL[name]
    runs = read_runs(DATA / name, rename=rename)
    assert runs.kind == kind and count in (None, len(runs))
    frame = runs.table if runs.curves is None else runs.curves
    assert len(frame) == sum(origin.rows for origin in runs.origin)
    assert np.isfinite(runs.table["loss"]).mean() > 0.8


def test_public_schedules_join_the_public_curves():
    if not (DATA / "mpl_schedules").exists():
        pytest.skip("the public data sets are not here")
    log = DATA / "mpl_schedules" / "loss_curves_25M.csv"
    runs = read_runs(log, schedule=str(DATA / "mpl_schedules" / "lr_schedules_per_step.csv.gz"))
    assert "agrees with it" in kinds(runs, "mapped")[0].text or "0." in kinds(runs, "mapped")[0].text
    exact = runs.trajectory("25M_cosine_72000")
    assert exact.warmup in (2159, 2160) and exact.lr[:2161].sum() == pytest.approx(0.324, rel=1e-3)
    rough = read_runs(log, warmup=2160).trajectory("25M_cosine_72000")
    np.testing.assert_allclose(rough.lr, exact.lr, atol=3e-7)
    with pytest.raises(InputError, match="before step 2160"):
        read_runs(log).trajectory("25M_cosine_72000")


def test_a_column_of_steps_without_a_step_is_refused(tmp_path):
    (tmp_path / "matrix.csv").write_text("lr \\ wd,0,0.1,step\n1e-3,3,2.9,\n1e-2,3,2.9,\n")
    with pytest.raises(InputError, match=r"matrix\.csv: no row has a step; map the column"):
        read_runs(tmp_path / "matrix.csv", need=())


def test_a_condition_written_as_people_write_it_says_how():
    runs = read_runs(pd.DataFrame({"recipe": ["base", "new"], "N": [1e6, 2e6], "loss": [3.2, 3.0]}))
    with pytest.raises(InputError, match=r"compare with ==, and put words in quotes"):
        runs.where("recipe=base")
    with pytest.raises(InputError, match=r"base is a value of recipe: write it in quotes, recipe == 'base'"):
        runs.where("recipe == base")
    with pytest.raises(InputError, match=r"there is no column 'other'; use run, recipe, N, loss"):
        runs.where("recipe == other")
    assert len(runs.where("recipe == 'base'").table) == 1
