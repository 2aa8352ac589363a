"""Tables and logs as people publish them: plans beside results, labels for widths, settings among the rows."""

from __future__ import annotations

import json

import pytest

from scalefit.errors import InputError
from scalefit.runs import inspect, read_runs


def written(tmp_path, name: str, text: str):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


SIZES = ((1.2e7, 2.4e8, 4.9), (3.1e7, 6.2e8, 4.1), (8.2e7, 1.64e9, 3.5), (2.1e8, 4.2e9, 3.1))


@pytest.mark.parametrize("word", ["pending", "TBD", "running", "—", "?"])
def test_a_planned_run_in_a_table_of_results_has_no_result(tmp_path, word):
    rows = [f"| {n / 1e6:g}M | {d / 1e9:g}B | {loss} |" for n, d, loss in SIZES]
    text = "\n".join(["| Params | Tokens | Val Loss |", "|---|---|---|", *rows, f"| ~500M | {word} | {word} |"])
    runs = read_runs(written(tmp_path, "table.md", text))
    assert runs.table["loss"].dropna().tolist() == [loss for *_, loss in SIZES]
    assert runs.table["N"].tolist() == [*(n for n, *_ in SIZES), 5e8]
    assert any("no result: row 7" in note.text for note in runs.notes)


def test_an_estimated_loss_is_not_read_as_a_measured_one(tmp_path):
    path = written(tmp_path, "table.csv", "N,D,loss\n1e7,~2e8,4.9\n3e7,6e8,≈4.1\n")
    with pytest.raises(InputError, match=r"row 3, column loss: '≈4.1' is an estimate and no measured loss"):
        read_runs(path)


@pytest.mark.parametrize("name", ["compute_budget", "flops_budget", "FLOP budget", "budget_flops"])
def test_a_budget_of_compute_is_the_compute(tmp_path, name):
    runs = read_runs(written(tmp_path, "grid.csv", f"{name},params,loss\n1e18,1e8,3.9\n1e18,2e8,3.8\n1e19,4e8,3.4\n"))
    assert runs.table["C"].tolist() == [1e18, 1e18, 1e19]


@pytest.mark.parametrize(("unit", "factor"), [("P", 1e15), ("E", 1e18), ("T", 1e12)])
def test_a_letter_in_brackets_is_the_unit_of_compute(tmp_path, unit, factor):
    runs = read_runs(written(tmp_path, "grid.csv", f"params,FLOPs ({unit}),loss\n1e8,3,3.9\n2e8,30,3.8\n"))
    assert runs.table["C"].tolist() == [3 * factor, 30 * factor]


@pytest.mark.parametrize("label", ["d{}", "width={}", "w-{}"])
def test_widths_as_labels_are_numbers(tmp_path, label):
    rows = [f"{label.format(width)},{lr},{3 + width**-0.5}" for width in (32, 64) for lr in (0.001, 0.002)]
    runs = read_runs(written(tmp_path, "sweep.csv", "\n".join(["Width,LR,Loss", *rows])))
    assert runs.table["d_model"].tolist() == [32, 32, 64, 64]


def test_labels_of_several_kinds_are_no_widths(tmp_path):
    runs = read_runs(written(tmp_path, "sweep.csv", "width,lr,loss\nd32,0.001,3.1\nx64,0.002,3.0\n"))
    assert "d_model" not in runs.table.columns or runs.table["d_model"].tolist() == ["d32", "x64"]


def test_settings_below_the_header_are_passed_over_and_told(tmp_path):
    head = "step,train_loss,lr\nMax LR: 0.0006, Min LR: 6e-05\nWarmup steps: 10\n# weight decay: 0.1\n"
    rows = [f"{step},{5 - 0.01 * step},{6e-5 * min(step, 10)}\n" for step in range(30)]
    runs = read_runs(written(tmp_path, "log.txt", head + "".join(rows)))
    assert runs.curves["step"].tolist() == [*range(30)]
    told = [note.text.partition(": ")[2] for note in runs.notes if note.kind == "dropped"]
    assert "2 lines of settings below the header, such as 'Max LR: 0.0006'" in told


def test_rows_held_out_of_a_fit_are_no_second_loss(tmp_path):
    rows = [
        f"1e6,{tokens},{9 - tokens / 1e4},{'holdout' if tokens > 4e4 else 'train'}"
        for tokens in range(10**4, 60000, 10**4)
    ]
    runs = read_runs(written(tmp_path, "points.csv", "\n".join(["params,tokens,loss,split", *rows])))
    assert runs.table["split"].tolist() == ["train"] * 4 + ["holdout"]
    assert runs.table["loss"].notna().all()


def test_a_validation_that_only_follows_training_is_doubted(tmp_path):
    rows = [f"{step},{5 - step / 100},{'test' if step > 200 else 'train'}" for step in range(0, 300, 10)]
    runs = read_runs(written(tmp_path, "log.csv", "\n".join(["step,loss,split", *rows])))
    assert any(note.kind == "suspect" and "call the column use" in note.text for note in runs.notes)


def test_of_a_training_loss_and_the_best_validation_loss_one_is_to_be_chosen(tmp_path):
    path = written(
        tmp_path, "runs.csv", "params,tokens,final_train_loss,best_val_loss\n1e8,2e9,3.1,3.3\n2e8,4e9,2.9,3.0\n"
    )
    with pytest.raises(InputError, match=r"'final_train_loss', of the training data, or best_val_loss"):
        read_runs(path)
    assert not inspect(read_runs(path, tell_ties=True)).ok


def test_the_loss_of_a_policy_is_no_cross_entropy(tmp_path):
    lines = [
        f"step:{step} - actor/kl_loss:0.01 - actor/pg_loss:{-0.1 + step / 1e3} - actor/lr:1e-6" for step in range(1, 9)
    ]
    with pytest.raises(InputError, match=r"there is no column loss"):
        read_runs(written(tmp_path, "log.txt", "\n".join(lines)))


@pytest.mark.parametrize(
    "line",
    ["lr={lr} width={width} val_loss={loss}", "[12:00:01] INFO done: width: {width}, lr: {lr} -> val_loss={loss}"],
)
def test_results_as_lines_of_keys_and_values_are_a_table(tmp_path, line):
    cases = [(lr, width, 3 + lr * width) for width in (64, 128) for lr in (0.001, 0.002, 0.004)]
    lines = [line.format(lr=lr, width=width, loss=loss) for lr, width, loss in cases]
    runs = read_runs(written(tmp_path, "sweep.txt", "\n".join(["starting the sweep", *lines])))
    assert [*zip(runs.table["peak_lr"], runs.table["d_model"], runs.table["loss"], strict=True)] == cases


def test_a_number_beside_keys_and_values_is_not_lost(tmp_path):
    lines = [f"width {width} lr={lr} loss={3 + lr * width}" for width in (64, 128) for lr in (0.001, 0.002)]
    with pytest.raises(InputError):
        read_runs(written(tmp_path, "sweep.txt", "\n".join(lines)))


@pytest.mark.parametrize("corner", ["model", "size"])
def test_sizes_by_tokens_are_a_grid(tmp_path, corner):
    rows = "10M,4.5,4.1\n50M,4.0,3.5\n100M,3.8,3.3\n"
    runs = read_runs(written(tmp_path, "grid.csv", f"{corner},1B tokens,5B tokens\n{rows}"))
    found = {(n, d): loss for n, d, loss in runs.table[["N", "D", "loss"]].itertuples(index=False)}
    assert found == {
        (1e7, 1e9): 4.5,
        (1e7, 5e9): 4.1,
        (5e7, 1e9): 4.0,
        (5e7, 5e9): 3.5,
        (1e8, 1e9): 3.8,
        (1e8, 5e9): 3.3,
    }


def test_lists_of_losses_in_objects_of_runs_are_curves(tmp_path):
    cases = {"small": (1e6, [4.0, 3.5, 3.2]), "large": (4e6, [3.6, 3.1, 2.9])}
    content = {name: {"N": size, "best": min(losses), "history_loss": losses} for name, (size, losses) in cases.items()}
    runs = read_runs(written(tmp_path, "results.json", json.dumps(content)), rename={"history_loss": "loss"})
    for name, (size, losses) in cases.items():
        assert runs.curves[runs.curves["run"] == name]["loss"].tolist() == losses
        assert runs.table[runs.table["run"] == name]["N"].tolist() == [size]


@pytest.mark.parametrize("name", ["hellaswag_acc", "accuracy", "arc/acc_norm"])
def test_an_accuracy_is_not_mapped_to_an_error(tmp_path, name):
    path = written(tmp_path, "tasks.csv", f"loss,{name}\n3.1,0.3\n2.9,0.4\n")
    with pytest.raises(InputError, match=r"is an accuracy by its name, and no error; add a column error, 1 - accuracy"):
        read_runs(path, rename={name: "error"})
