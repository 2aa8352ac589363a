"""Tables as people paste them: Markdown, columns of white space, objects in a log."""

import math

import numpy as np
import pytest

import scalefit as sf
from scalefit.runs.formats import read_raw

RNG = np.random.default_rng(3)


@pytest.mark.parametrize("ending", ["md", "markdown", "txt", "csv"])
@pytest.mark.parametrize("bars", [True, False])
def test_a_markdown_table_between_paragraphs(tmp_path, ending, bars):
    loss = RNG.uniform(2, 4, 6).round(4)
    body = [f"{10 * i} | `{value}` | **{2**-i}** | -" for i, value in enumerate(loss)]
    head = "step | val loss | lr | note"
    rule = "---|:---:|---:|----"
    rows = [f"| {text} |" if bars else text for text in (head, rule, *body)]
    place = tmp_path / f"notes.{ending}"
    place.write_text("# Results\n\nwe ran it, see below\n\n" + "\n".join(rows) + "\n\nthe end | really\n")
    raw = read_raw(place)
    assert raw.frame["val loss"].tolist() == loss.tolist()
    assert raw.frame["lr"].tolist() == [2.0**-i for i in range(6)]
    assert raw.frame["note"].isna().all()
    assert raw.frame.index.tolist() == list(range(7, 13))
    assert sf.read_runs(place).curves["step"].tolist() == [0, 10, 20, 30, 40, 50]


def test_the_longest_table_of_a_page_is_read_and_others_are_counted(tmp_path):
    page = "| a | b |\n|--|--|\n| 1 | 2 |\n\n| step | loss |\n|--|--|\n| 1 | 3 |\n| 2 | 2.5 |\n"
    (tmp_path / "page.md").write_text(page)
    raw = read_raw(tmp_path / "page.md")
    assert raw.frame["loss"].tolist() == [3, 2.5]
    assert any("1 other tables" in remark.text for remark in raw.remarks)


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("no table here\n", "no table on the page"),
        ("| a | a |\n|--|--|\n| 1 | 2 |\n", "two columns are named 'a'"),
        ("| a | b |\n|--|--|\n", "no rows"),
    ],
)
def test_pages_without_a_table_are_refused(tmp_path, page, said):
    (tmp_path / "page.md").write_text(page)
    with pytest.raises(sf.InputError, match=said):
        read_raw(tmp_path / "page.md")


@pytest.mark.parametrize("ending", ["dat", "txt", "out", "csv"])
@pytest.mark.parametrize("mark", ["#", "# ", ""])
def test_columns_of_white_space(tmp_path, ending, mark):
    steps, loss = np.arange(0, 300, 25), RNG.uniform(1, 3, 12).round(5)
    lines = [f"{mark}step   loss  lr"] + [f"  {s:5d}   {v:.5f}  1.0D-3" for s, v in zip(steps, loss, strict=True)]
    lines.insert(4, "# a note of the writer")
    (tmp_path / f"curve.{ending}").write_text("\n".join(lines) + "\n\n")
    runs = sf.read_runs(tmp_path / f"curve.{ending}")
    assert runs.curves["step"].tolist() == steps.tolist()
    assert runs.curves["loss"].tolist() == loss.tolist()
    assert set(runs.curves["lr"]) == {1e-3}
    assert any("1 lines that begin with #" in note.text for note in runs.notes)


def test_a_row_with_a_cell_too_many_is_named(tmp_path):
    (tmp_path / "x.dat").write_text("# step loss\n1 3.0\n2 2.5\n3 2.4 9\n")
    with pytest.raises(sf.InputError, match="3 cells under 2 names") as said:
        read_raw(tmp_path / "x.dat")
    assert "row 4" in str(said.value)


def test_prose_and_delimited_tables_are_not_taken_for_columns_of_white_space(tmp_path):
    (tmp_path / "x.csv").write_text("step,train loss\n1,2.0\n2,1.5\n")
    assert list(read_raw(tmp_path / "x.csv").frame.columns) == ["step", "train loss"]
    (tmp_path / "x.txt").write_text("this is text\nof several lines\nand no table\n")
    with pytest.raises(sf.InputError):
        read_raw(tmp_path / "x.txt")


@pytest.mark.parametrize("style", ["json", "python"])
@pytest.mark.parametrize("ending", ["log", "txt", "out"])
def test_objects_in_a_log(tmp_path, style, ending):
    loss = [3.5, math.nan, 2.25]
    rows = [{"step": 10 * (i + 1), "loss": value, "learning_rate": 1e-3 / (i + 1)} for i, value in enumerate(loss)]
    text = [str(row) if style == "python" else str(row).replace("'", '"').replace("nan", "NaN") for row in rows]
    close = "{'train_runtime': 12.5, 'train_loss': 2.9, 'step': 30}"
    (tmp_path / f"train.{ending}").write_text("loading\n" + "\n".join([*text, close]) + "\n 60%|####  | 3/5\n")
    raw = read_raw(tmp_path / f"train.{ending}")
    assert raw.frame["step"].tolist() == [10, 20, 30]
    np.testing.assert_array_equal(raw.frame["loss"], loss)
    assert raw.nans == {"loss": [3]}
    assert sum("closing record" in remark.text or "2 other lines" in remark.text for remark in raw.remarks) == 2
    curves = sf.read_runs(tmp_path / f"train.{ending}").curves
    np.testing.assert_allclose(curves["lr"], [1e-3, 5e-4, 1e-3 / 3])
    assert curves["loss"].isna().tolist() == [False, True, False]


def test_an_infinite_loss_and_nested_values_of_python_objects(tmp_path):
    (tmp_path / "a.log").write_text("{'step': 1, 'm': {'loss': inf}}\n{'step': 2, 'm': {'loss': 2.0}}\n")
    assert read_raw(tmp_path / "a.log").frame["m/loss"].tolist() == [math.inf, 2.0]


@pytest.mark.parametrize("notes", [0, 1, 2])
def test_the_lines_below_a_header_of_white_space_that_are_no_rows_are_counted(tmp_path, notes):
    rows = [f"{10 * i} {3 - 0.1 * i:.1f}" for i in range(6)]
    (tmp_path / "log.txt").write_text("\n".join(["step loss", *rows[:3], *["# saved"] * notes, *rows[3:], ""]))
    told = [
        (remark.text, remark.count) for remark in read_raw(tmp_path / "log.txt").remarks if remark.kind == "dropped"
    ]
    assert [count for _, count in told] == [notes] * (notes > 0)
    assert all(text.startswith(f"{notes} lines that begin with #") for text, _ in told)
