"""Tables as terminals, databases, pandas and word processors draw them: all rows are read, and no line is one."""

import numpy as np
import pytest

import scalefit as sf

ROWS = [("S", "1.5M", "3.25"), ("M", "12M", "2.75"), ("L", "90M", "2.375"), ("XL", "400M", "2.125")]
SIZES, LOSSES = [1.5e6, 12e6, 90e6, 400e6], [3.25, 2.75, 2.375, 2.125]


def drawn(corner, dash, bar, header, top=True, bottom=True):
    rule = corner.join(["", *(dash * 8 for _ in range(3)), ""])
    rows = [bar.join(["", *(f" {cell:6} " for cell in row), ""]) for row in [("model", "params", "loss"), *ROWS]]
    middle = {"=": rule.replace(dash, "="), "-": rule, "": None}[header]
    return [*([rule] * top), rows[0], *([middle] if middle else []), *rows[1:], *([rule] * bottom)]


MARKS = {"†": "{}", "a": "{}<sup>a</sup>", "struck": "~~9.9~~ {}", "link": "[{}](http://x.org/y)", "bold": "**{}**"}
WRITTEN = {
    "psql.txt": drawn("+", "-", "|", "-"),
    "psql_without_borders.txt": [line.strip("|+") for line in drawn("+", "-", "|", "-", top=False, bottom=False)]
    + ["(4 rows)"],
    "grid.rst": drawn("+", "-", "|", "="),
    "org.org": [line.replace("+-", "|-", 1) for line in drawn("+", "-", "|", "-", top=False, bottom=False)],
    "rich.txt": drawn("┼", "─", "│", "-"),
    "bare.md": drawn("|", "-", "|", "", top=False, bottom=False),
    "one_dash.md": ["| model | params | loss |", "|:-|:-:|-:|", *("| " + " | ".join(row) + " |" for row in ROWS)],
    "simple.rst": [
        "===== ====== =====",
        "model params loss",
        "===== ====== =====",
        *map(" ".join, ROWS),
        "===== ====== =====",
    ],
}


@pytest.mark.parametrize("name", WRITTEN)
def test_every_row_of_a_drawn_table_is_read_and_no_line_is_one(tmp_path, name):
    if name == "simple.rst":  # columns of white space hold numbers
        WRITTEN[name] = [line.replace("M", "e6") if line[0] != "m" else line for line in WRITTEN[name]]
        WRITTEN[name] = [line.partition(" ")[2] for line in WRITTEN[name]]
    (tmp_path / name).write_text("\n".join(["", *WRITTEN[name], ""]), encoding="utf-8")
    table = sf.read_runs(tmp_path / name).table
    assert table["N"].tolist() == SIZES and table["loss"].tolist() == LOSSES


@pytest.mark.parametrize("mark", MARKS)
def test_marks_beside_a_number_on_a_page_are_left_out(tmp_path, mark):
    rows = [f"| {size} | {MARKS[mark].format(loss)} |" for _, size, loss in ROWS]
    head = f"| params | loss{'†' if mark == '†' else ''} |"
    (tmp_path / "results.md").write_text("\n".join([head, "|--|--|", *rows]), encoding="utf-8")
    assert sf.read_runs(tmp_path / "results.md").table["loss"].tolist() == LOSSES


def test_a_table_drawn_within_a_log_is_not_the_log(tmp_path):
    box = ["+-------+------+", "| GPU   | Util |", "|-------+------|", "| A100  | 98   |", "+-------+------+"]
    steps = [f"step {step} | loss {3 - step / 100:.3f} | lr 1e-3" for step in range(0, 100, 5)]
    (tmp_path / "train.log").write_text("\n".join([*box, *steps]))
    assert sf.read_runs(tmp_path / "train.log").curves["loss"].tolist() == [3 - step / 100 for step in range(0, 100, 5)]


FRAME = ["10  3.00  0.0010", "20  2.50  0.0010", "30  2.25  0.0005"]
PRINTED = {
    "counted": ["    step loss lr", *(f"{at}  {row}" for at, row in enumerate(FRAME)), "", "[3 rows x 3 columns]"],
    "named": ["     loss      lr", "step            ", *FRAME],
}


@pytest.mark.parametrize("name", PRINTED)
def test_a_frame_as_pandas_prints_it_is_read(tmp_path, name):
    (tmp_path / "out.txt").write_text("\n".join(PRINTED[name]))
    curves = sf.read_runs(tmp_path / "out.txt").curves
    assert curves[["step", "loss", "lr"]].to_numpy().tolist() == [[10, 3, 1e-3], [20, 2.5, 1e-3], [30, 2.25, 5e-4]]


def test_an_index_of_words_is_the_runs_also_one_called_run(tmp_path):
    (tmp_path / "out.txt").write_text(
        "            N  loss\nrun     1000000  3.1\nother   3000000  2.9\nlast  9000000 2.8\n"
    )
    table = sf.read_runs(tmp_path / "out.txt").table
    assert table["run"].tolist() == ["run", "other", "last"] and table["N"].tolist() == [1e6, 3e6, 9e6]


def test_one_blank_belongs_to_a_cell_where_columns_stand_two_apart(tmp_path):
    (tmp_path / "t.txt").write_text(
        "model name   params   val loss\nGPT small   1.5e6   3.25\nGPT XL 2   4e8   2.125\n"
    )
    table = sf.read_runs(tmp_path / "t.txt").table
    np.testing.assert_array_equal(table[["N", "loss"]], [[1.5e6, 3.25], [4e8, 2.125]])


@pytest.mark.parametrize("left", ["..      ...    ...\n9  9000000  2.125\n", "9  9000000  2.125\n0  70\n"])
def test_a_frame_with_rows_left_out_is_refused(tmp_path, left):
    (tmp_path / "t.txt").write_text(f"         N   loss\n0  1000000  3.250\n1  2000000  3.000\n{left}")
    with pytest.raises(sf.InputError, match=r"row [45]"):
        sf.read_runs(tmp_path / "t.txt")
