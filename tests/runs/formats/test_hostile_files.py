"""Files that are damaged, too large, or hold what no log holds: read where that is right, else refused in one line."""

from __future__ import annotations

import bz2
import contextlib
import datetime
import gzip
import json
import lzma
import os
import sqlite3

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.runs.formats import text

TABLE = "step,loss\n" + "".join(f"{step},{3 - step / 1e3}\n" for step in range(300))


@pytest.fixture(autouse=True)
def there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(path):
    with pytest.raises(sf.InputError, match=str(path).split("/", maxsplit=1)[0]) as caught:
        sf.read_runs(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(("ending", "pack"), [("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress)])
@pytest.mark.parametrize("kind", ["csv", "jsonl", "log", "json"])
def test_a_packed_file_that_is_damaged_anywhere_is_named(ending, pack, kind, there):
    whole = pack(TABLE.encode())
    path = there / f"x.{kind}.{ending}"
    for at in (11, 14, len(whole) // 2, len(whole) - 3):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF, whole[at + 1] ^ 0xFF]) + whole[at + 2 :])
        assert "cut off" in refused(f"x.{kind}.{ending}")
        path.write_bytes(whole[:at])
        assert "cut off" in refused(f"x.{kind}.{ending}")


@pytest.mark.parametrize(("ending", "pack"), [("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress)])
def test_what_unpacks_to_too_much_is_refused_with_the_limit(ending, pack, there, monkeypatch):
    path = there / f"x.csv.{ending}"
    path.write_bytes(pack(TABLE.encode()))
    monkeypatch.setattr(text, "BLOCK", 64)
    monkeypatch.setattr(text, "MOST_UNPACKED", len(TABLE) - 1)
    assert "unpacks to more than" in refused(path.name)
    monkeypatch.setattr(text, "MOST_UNPACKED", len(TABLE))
    assert len(sf.read_runs(path).curves) == 300


def test_the_limit_on_unpacked_size_is_half_a_gigabyte_and_stated():
    assert text.MOST_UNPACKED == 512 * 2**20


def test_archives_are_named_by_what_they_are(there):
    (there / "x.csv").write_bytes(b"PK\x03\x04rest")
    assert "zip" in refused("x.csv")
    (there / "x.csv.zst").write_bytes(b"\x28\xb5\x2f\xfdrest")
    assert "Zstandard" in refused("x.csv.zst")


DIGITS = "9" * 5000


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", '{"step": 0, "loss": 3}\n{"step": 1, "loss": DIGITS}\n'),
        ("a.json", '[{"step": 0, "loss": 3}, {"step": 1, "loss": DIGITS}]'),
        ("b.json", '{"step": [0, 1], "loss": [3, DIGITS]}'),
        ("trainer_state.json", '{"log_history": [{"step": 0, "loss": 3}, {"step": 1, "loss": DIGITS}]}'),
        ("a.csv", "step,loss\n0,3\n1,DIGITS\n"),
        ("a.dat", "step loss\n0 3\n1 DIGITS\n"),
        ("a.md", "| step | loss |\n|--|--|\n| 0 | 3 |\n| 1 | DIGITS |\n"),
    ],
)
@pytest.mark.parametrize("digits", [DIGITS, str(10**400), "1" + "0" * 309])
def test_a_number_beyond_all_floats_is_infinite(name, content, digits, there):
    (there / name).write_text(content.replace("DIGITS", digits))
    assert sf.read_runs(name).curves["loss"].tolist() == [3.0, np.inf]


@pytest.mark.parametrize("digits", [DIGITS, str(10**400)])
@pytest.mark.parametrize("ending", ["jsonl", "csv"])
def test_a_step_beyond_all_floats_is_refused(digits, ending, there):
    lines = [f'{{"step": {step}, "loss": 3}}' if ending == "jsonl" else f"{step},3" for step in (1, digits)]
    (there / f"x.{ending}").write_text("\n".join(["step,loss"] * (ending == "csv") + [*lines, ""]))
    assert "column step" in refused(f"x.{ending}")


@pytest.mark.parametrize("depth", [60, 900, 100_000])
@pytest.mark.parametrize("kind", ["{}", "[]"])
def test_deep_nesting_is_read_or_refused(depth, kind, there):
    deep = ('{"a":' if kind == "{}" else "[") * depth + "1" + kind[1] * depth
    (there / "x.jsonl").write_text(f'{{"step": 0, "loss": 3, "deep": {deep}}}\n{{"step": 1, "loss": 2}}\n')
    (there / "y.json").write_text(f'[{{"step": 0, "loss": 3, "deep": {deep}}}, {{"step": 1, "loss": 2}}]')
    (there / "run.json").write_text(f'{{"deep": {deep}}}')
    for name in ("x.jsonl", "y.json"):
        try:
            assert sf.read_runs(name).curves["loss"].tolist() == [3.0, 2.0]
        except sf.InputError as error:
            assert depth > 800 and "\n" not in str(error)


@pytest.mark.parametrize("cells", [[[1], [2], [3]], [{"a": 1}, {"a": 2}, {"a": 3}], [[], None, [1, 2]]])
def test_columns_of_lists_and_structs_are_left_out_and_told(cells, there):
    pytest.importorskip("pyarrow")
    frame = pd.DataFrame({"step": [0, 1, 2], "loss": [3.0, 2.0, 1.0], "norms": cells})
    frame.to_parquet("x.parquet")
    runs = sf.read_runs("x.parquet")
    assert runs.curves["loss"].tolist() == [3.0, 2.0, 1.0] and "norms" not in runs.curves.columns
    assert any("lists or objects: norms" in note.text for note in runs.notes)
    frame[["norms"]].rename(columns={"norms": "loss"}).to_parquet("y.parquet")
    assert "every column holds lists or objects" in refused("y.parquet")


def test_bytes_are_words_or_numbers(there):
    pytest.importorskip("pyarrow")
    pd.DataFrame(
        {"run": [b"a", b"a", b"b"], "step": [0, 1, 0], "loss": [b"3", b"2.5", b"2"], "N": [b"7B"] * 3}
    ).to_parquet("x.parquet")
    runs = sf.read_runs("x.parquet")
    assert runs.names == ["a", "b"] and runs.curves["loss"].tolist() == [3.0, 2.5, 2.0]
    assert runs.table["N"].tolist() == [7e9, 7e9]
    pd.DataFrame({"step": [0, 1], "loss": [b"\xff\xfe", b"x"]}).to_parquet("y.parquet")
    assert "column loss" in refused("y.parquet")


@pytest.mark.parametrize("name", ["loss", "lr", "step", "N", "D", "tokens", "batch", "peak_lr", "warmup"])
@pytest.mark.parametrize("kind", ["parquet", "frame", "objects", "csv", "spans"])
def test_dates_are_no_numbers(name, kind, there):
    days = pd.to_datetime(["2024-01-01", "2024-01-02", "2024-01-03"])
    if kind == "spans":
        days = days - days[0]
    frame = pd.DataFrame({"run": ["a", "a", "a"], "step": [0, 1, 2], "loss": [3.0, 2.0, 1.0]}).assign(**{name: days})
    if kind == "objects":
        frame[name] = [datetime.date(2024, 1, day) for day in (1, 2, 3)]
    source = frame
    if kind == "parquet":
        pytest.importorskip("pyarrow")
        frame.to_parquet("x.parquet")
        source = "x.parquet"
    if kind == "csv":
        frame.to_csv("x.csv", index=False)
        source = "x.csv"
    try:
        runs = sf.read_runs(source)
    except sf.InputError as error:
        assert name in str(error)
        return
    found = runs.curves if name in runs.curves.columns else runs.table  # kept as words, with a note
    assert name in ("peak_lr", "warmup") and not pd.api.types.is_numeric_dtype(found[name])


@pytest.mark.parametrize("column", ["value", "timestamp", "step"])
@pytest.mark.parametrize("cell", ["text", b"\xff", None])
def test_a_word_in_a_number_of_mlflow_is_named(column, cell, there):
    base = sqlite3.connect("mlflow.db")
    base.executescript(
        "CREATE TABLE runs (run_uuid, name, lifecycle_stage); CREATE TABLE params (run_uuid, key, value);"
        "CREATE TABLE metrics (run_uuid, key, value, timestamp, step, is_nan);"
        "INSERT INTO runs VALUES ('a', 'a', 'active')"
    )
    for step in range(3):
        row = {"run_uuid": "a", "key": "loss", "value": 3.0 - step, "timestamp": step, "step": step, "is_nan": 0}
        base.execute(
            "INSERT INTO metrics VALUES (?, ?, ?, ?, ?, ?)", [*(row | ({column: cell} if step == 1 else {})).values()]
        )
    base.commit()
    base.close()
    if column == "value" and cell is None:
        assert np.isnan(sf.read_runs("mlflow.db").curves["loss"].tolist()[1])
        return
    assert {"value": "value", "timestamp": "time", "step": "step"}[column] in refused("mlflow.db")


def test_a_table_of_results_with_a_step_and_the_steps_is_read(there):
    (there / "x.csv").write_text("run,step,steps,N,loss\na,1,3,1e6,3\nb,2,3,1e7,2\nc,3,3,1e8,1\n")
    runs = sf.read_runs("x.csv")
    assert runs.names == ["a", "b", "c"] and runs.table["loss"].tolist() == [3.0, 2.0, 1.0]
    (there / "y.csv").write_text("run,step,steps,N,loss\na,1,3,1e6,\nb,2,3,1e7,2\nc,3,3,1e8,nan\n")
    assert sf.read_runs("y.csv").names == ["a", "b", "c"]


@pytest.mark.skipif(os.name != "posix", reason="needs pipes")
def test_a_pipe_is_refused_and_not_waited_for(there):
    os.mkfifo(there / "x.csv")
    assert "not a file" in refused("x.csv")


def test_a_bomb_in_a_parquet_file_is_refused(there, monkeypatch):
    pytest.importorskip("pyarrow")
    from scalefit.runs.formats import parquet

    pd.DataFrame({"step": range(1000), "loss": 3.0}).to_parquet("x.parquet")
    assert len(sf.read_runs("x.parquet").curves) == 1000
    monkeypatch.setattr(parquet, "MOST_CELLS", 1999)
    assert "2000 cells" in refused("x.parquet")


def test_json_that_is_infinite_stays_json(there):
    (there / "x.jsonl").write_text(
        json.dumps({"step": 1, "loss": 10**299}) + "\n" + json.dumps({"step": 2, "loss": 2}) + "\n"
    )
    assert sf.read_runs("x.jsonl").curves["loss"].tolist() == [1e299, 2.0]


@pytest.mark.parametrize("name", ["[" * 100_000, "x" * 2001, "(" * 5000])
def test_the_length_of_a_name_has_a_limit(name, there):
    (there / "x.csv").write_text(f'step,"{name}"\n1,2\n')
    (there / "x.jsonl").write_text(json.dumps({"step": 1, name: 2}) + "\n")
    assert "2000 are the most" in refused("x.csv") and "2000 are the most" in refused("x.jsonl")


@pytest.mark.parametrize("sign", ["[", "<sup>", "~~", "**", "*", "(", "(in ", " ", "-", "|", "_", "a_", ":-"])
@pytest.mark.parametrize("where", ["cell", "name", "line"])
@pytest.mark.parametrize("name", ["page.md", "runs.csv"])
def test_a_sign_many_times_is_read_or_refused_at_once(tmp_path, sign, where, name):
    """Expressions whose time grows with the square of the letters, or faster, would not come to an end here."""
    many = sign * (100_000 // len(sign)) if where != "name" else "x" + sign * (1900 // len(sign))
    head, cells = (f"{many}" if where == "name" else "a", "loss", "N"), (many if where == "cell" else "1", "3.0", "1e6")
    table = [head, ("--", "--", "--"), cells, ("2", "2.5", "1e7")]
    if name.endswith("csv"):
        text = "\n".join(",".join(f'"{cell}"' for cell in row) for row in table if row[0] != "--")
    else:
        text = "\n".join(f"| {' | '.join(row)} |" for row in table)
    (tmp_path / name).write_text(f"{many}\n{text}\n" if where == "line" else f"{text}\n")
    with contextlib.suppress(sf.InputError):
        sf.read_runs(tmp_path / name)
