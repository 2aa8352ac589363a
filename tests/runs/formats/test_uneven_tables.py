"""Delimited files with more than a header and whole rows: titles, comments, a torn end, short rows, empty results."""

import numpy as np
import pytest

import scalefit as sf

STEPS = list(range(10, 90, 10))
WHOLE = ["step,loss,lr", *(f"{step},{4 - step / 64!r},0.001" for step in STEPS)]


@pytest.fixture
def read(tmp_path):
    def of(text, name="log.csv", **options):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return sf.read_runs(tmp_path / name, **options)

    return of


def said(runs, word):
    return [note.text for note in runs.notes if word in note.text]


TITLES = {
    "padded": ["Sweep of March,,", ",,", "all on A100,,"],
    "plain": ["Sweep of March", "all on A100"],
    "of a spreadsheet": ["sep=,"],
    "blank lines": ["Sweep of March", ""],
}


@pytest.mark.parametrize("title", TITLES)
def test_titles_above_the_header_are_passed_over_and_counted(read, title):
    runs = read("\n".join([*TITLES[title], *WHOLE]) + "\n")
    assert runs.curves["step"].tolist() == STEPS
    assert runs.curves["loss"].tolist() == [4 - step / 64 for step in STEPS]
    assert said(runs, f"{len(TITLES[title])} lines before the header")


@pytest.mark.parametrize("head", [",loss\nsmall,3\nlarge,2\n", "name,loss\nx,3\ny,2\n", '"my\nname",loss\nx,3\ny,2\n'])
def test_a_header_is_no_title(read, head):
    assert read(head).table["loss"].tolist() == [3, 2]


def test_comments_among_the_rows_are_passed_over_and_counted(read):
    runs = read("\n".join([*WHOLE[:4], "# restarted here", *WHOLE[4:]]) + "\n")
    assert runs.curves["step"].tolist() == STEPS and said(runs, "1 lines that begin with #")


@pytest.mark.parametrize("kept", range(1, len(WHOLE[-1])))
def test_a_last_line_that_is_cut_is_no_row(read, kept):
    """Of a log whose run was killed while it wrote `80,2.75,0.001`: no number is made of a part of one."""
    runs = read("\n".join([*WHOLE[:-1], WHOLE[-1][:kept]]))
    whole = WHOLE[-1][:kept].count(",") == 2
    assert runs.curves["step"].tolist() == STEPS[: None if whole else -1]
    assert bool(said(runs, "the last line, which is incomplete")) != whole


def test_a_last_line_without_an_end_is_a_row(read):
    assert read("\n".join(WHOLE)).curves["step"].tolist() == STEPS


@pytest.mark.parametrize(("cut", "row"), [(3, 4), (5, 6)])
def test_a_row_with_fewer_cells_than_the_header_is_named(read, cut, row):
    runs = read("\n".join([*WHOLE[:cut], WHOLE[cut].rsplit(",", 1)[0], *WHOLE[cut + 1 :]]) + "\n")
    assert said(runs, f"1 rows have fewer cells than the header, the first is row {row}")
    assert runs.curves["loss"].tolist() == [4 - step / 64 for step in STEPS]


def test_a_point_sets_thousands_apart_where_decimals_follow_a_comma(read):
    rows = [f"{step}.000;{str(4 - step / 64).replace('.', ',')}" for step in STEPS]
    runs = read("\n".join(["step;loss", *rows]) + "\n")
    assert runs.curves["step"].tolist() == [step * 1000 for step in STEPS]
    assert runs.curves["loss"].tolist() == [4 - step / 64 for step in STEPS]


def test_a_point_that_may_be_decimal_beside_commas_is_refused(read):
    with pytest.raises(sf.InputError, match=r"row 2, column loss: '3.125' may be a thousand or a decimal"):
        read("N;lr;loss\n1000;0,001;3.125\n2000;0,002;2.875\n")
    assert read("N;lr;loss\n1000;0,001;3.25\n2000;0,002;2.875\n").table["loss"].tolist() == [3.25, 2.875]


@pytest.mark.parametrize("sign", ["—", "–", "-", "N/A", "n.a.", ""])
def test_an_empty_result_is_none_and_no_divergence(read, sign):
    rows = [(width, lr) for width in (64, 128, 256) for lr in (0.001, 0.002, 0.004, 0.008)]
    loss = {(w, lr): 3 - w / 1024 + np.log2(lr / 0.002) ** 2 / 8 for w, lr in rows}
    cells = {**{key: repr(float(value)) for key, value in loss.items()}, (256, 0.008): sign, (128, 0.008): "nan"}
    runs = read("width,lr,loss\n" + "".join(f"{w},{lr},{cells[w, lr]}\n" for w, lr in rows))
    assert said(runs, "1 row has an empty loss, which is no result: row 13")
    assert said(runs, "1 row has no finite loss: row 9 (nan)")
    notes = sf.lr_transfer(runs, draws=5).notes
    assert any("1 of 12 runs is without a loss: left out" in note for note in notes)
    assert any("1 of 11 runs without a finite loss" in note for note in notes)


@pytest.mark.parametrize("letters", [5000, 200_000])  # the module csv takes at most 131,072
def test_a_name_longer_than_any_is_refused(read, letters):
    with pytest.raises(sf.InputError, match="letters, and 2000 are the most"):
        read(f"{'a' * letters},N,loss\n1,1e6,3\n2,2e6,2\n")


@pytest.mark.parametrize("line", ["10 5.0 1e-3", "1e6 3.1"])
def test_numbers_without_a_header_are_refused(read, line):
    with pytest.raises(sf.InputError, match="the first line holds numbers"):
        read("\n".join([line, line, line]), "t.dat")


def test_the_end_of_a_line_in_a_name_is_a_blank(read):
    table = read('"params\n(M)","loss\n(val)"\n1,3\n10,2.5\n').table
    assert table["N"].tolist() == [1e6, 1e7] and table["loss"].tolist() == [3, 2.5]
