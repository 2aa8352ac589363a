"""What every reader tells beside its table: the rows in which NaN was logged, and how much of a file it passed over."""

from __future__ import annotations

from pathlib import Path

import commands
import fuzz_samples
import numpy as np
import pandas as pd
import pytest

from scalefit.runs.formats import read_raw

#: sample, the file of it that holds the loss, the columns of the step and of the loss
HOLDS_NAN = [
    ("csv", "log.csv", "step", "loss"),
    ("semicolons", "log.csv", "step", "loss"),
    ("jsonl", "log.jsonl", "step", "loss"),
    ("json of rows", "log.json", "step", "loss"),
    ("json of columns", "log.json", "step", "loss"),
    ("trainer state", "trainer_state.json", "step", "loss"),
    ("markdown", "page.md", "step", "loss"),
    ("white space", "log.dat", "step", "loss"),
    ("mlflow", "mlflow.db", "step", "loss"),
    ("mlruns", "mlruns", "step", "loss"),
    ("trackio", "project.db", "step", "loss"),
    ("wandb", "run-abc.wandb", "step", "loss"),
    ("events", "events.out.tfevents.1.host", "step", "loss"),
    ("lightning", "version_0/metrics.csv", "step", "loss"),
    ("ray", "trial_1/result.json", "step", "loss"),
    ("dvclive", "dvclive", "step", "loss"),
    ("printed objects", "log.txt", "step", "loss"),
    ("plain lines", "log.txt", "step", "loss"),
]
LOST = 80  #: the step whose loss is NaN


@pytest.fixture(scope="module")
def with_nan():
    """Each sample with NaN logged as the loss of one step."""
    with pytest.MonkeyPatch.context() as patched:
        rows = [{**row, "loss": float("nan")} if row["step"] == LOST else row for row in fuzz_samples.ROWS]
        written = lambda rows, sep=",": pd.DataFrame(rows).to_csv(index=False, sep=sep, na_rep="nan").encode()  # noqa: E731
        patched.setattr(fuzz_samples, "ROWS", rows)
        patched.setattr(fuzz_samples, "table", written)
        return fuzz_samples.samples.__wrapped__()


def write(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def test_a_logged_nan_is_told_with_its_row_in_every_format(with_nan, tmp_path):
    wrong = {}
    for sample, name, step, loss in HOLDS_NAN:
        write(tmp_path / sample, with_nan[sample])
        raw = read_raw(tmp_path / sample / name)
        rows = (raw.nans or {}).get(loss, [])
        found = [float(each) for each in raw.frame.loc[rows, step]]
        if found != [LOST] or not raw.frame.loc[rows, loss].isna().all():
            wrong[sample] = raw.nans
    assert not wrong


LINES = "".join(f"step {row['step']}: loss {row['loss']:.4f}, lr 0.01\n" for row in fuzz_samples.ROWS)
PAGE = "| step | loss |\n|---|---|\n| 1 | 3 |\n| 2 | 2.5 |\n| 3 | 2.2 |\n"
HTML = (
    "<table><tr><th>N</th><th>loss</th></tr><tr><td>14M</td><td>3.9</td></tr><tr><td>60M</td><td>3.4</td></tr></table>"
)
#: a file, its text, how many things of it are passed over, and a word of what is said of them
PASSED_OVER = [
    ("log.csv", "# a\n# b\n# c\nstep,loss\n1,3\n2,2.5\n", 3, "before the header"),
    ("log.csv", "step,loss,,\n1,3,,\n2,2.5,,\n", 2, "without a name"),
    ("log.dat", "step loss\n1 3\n# one\n2 2.5\n# two\n3 2.2\n", 2, "begin with #"),
    ("log.dat", "# a note\n# of mine\n\nstep loss\n1 3\n2 2.5\n3 2.2\n", 3, "before the header"),
    ("log.dat", "step loss\n1 3\n2 2.5\nthat was all\n", 1, "below the table"),
    ("page.md", PAGE + "\n| a | b |\n|---|---|\n| 1 | 2 |\n\n| c | d |\n|---|---|\n| 1 | 2 |\n", 2, "other tables"),
    ("page.html", HTML + HTML.split("<tr><td>60M")[0] + "</table>", 1, "other tables"),
    ("log.txt", "width=64 lr=1e-3 loss=3.9\nthat took an hour\nwidth=128 lr=1e-3 loss=3.7\n", 1, "other lines"),
    ("log.txt", "".join(f"{row}\n" for row in fuzz_samples.ROWS) + "saved\ndone\n", 2, "other lines"),
    ("log.txt", LINES + "saved\ndone\nbye\n", 3, "other lines"),
    ("log.jsonl", '{"step": 1, "loss": 3}\n{"step": 2, "loss": 2.5}\n{"step": 3, "lo', 1, "incomplete"),
    ("log.json", '[{"step": 1, "loss": 3, "x": [1, 2]}, {"step": 2, "loss": 2.5, "x": [1, 2]}]', 1, "lists"),
]


@commands.cases("name, text, count, word", PASSED_OVER)
def test_what_is_passed_over_is_counted(name, text, count, word, tmp_path):
    (tmp_path / name).write_text(text)
    said = [(remark.count, remark.text) for remark in read_raw(tmp_path / name).remarks if remark.kind == "dropped"]
    assert any(each == count and word in told for each, told in said), said


def test_a_table_without_anything_else_is_told_without_a_remark(tmp_path):
    (tmp_path / "log.csv").write_text("step,loss\n1,3\n2,2.5\n")
    raw = read_raw(tmp_path / "log.csv")
    assert (raw.remarks, raw.nans, raw.unsure) == ((), {}, True)
    assert np.array_equal(raw.frame.to_numpy(), [[1, 3], [2, 2.5]])
