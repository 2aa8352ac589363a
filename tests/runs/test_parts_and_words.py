"""Curves told apart by words such as `arch`, parts of a table below its header, mixtures, lines of tokens and sizes."""

from __future__ import annotations

import pytest

from scalefit.runs import read_runs

LINES = ["14M 2B 4.2", "31M 1.2B 4.0", "70M 7B 3.3"]


@pytest.fixture
def read(tmp_path):
    def of(text, name="runs.csv"):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return read_runs(tmp_path / name)

    return of


@pytest.mark.parametrize("name", ["arch", "method", "optimizer"])
def test_words_of_any_setting_tell_curves_over_tokens_apart(read, name):
    rows = [f"{word},{at / 10},{5 - place / 9 - at / 20}" for place, word in enumerate("abc") for at in range(1, 13)]
    runs = read("\n".join([f"{name},tokens (B),loss", *rows]))
    assert runs.curves is not None and len(runs) == 3 and len(runs.curves) == 36
    assert runs.table["D"].tolist() == pytest.approx([1.2e9] * 3)


@pytest.mark.parametrize(("line", "column"), [("# width={}", "d_model"), ("# tokens={}", "D")])
def test_parts_below_lines_under_one_header_have_their_setting(read, line, column):
    parts = [f"{line.format(value)}\n.003,4.2\n.002,4.0\n.001,3.9\n" for value in (128, 256)]
    assert read("lr,loss\n" + "".join(parts)).table[column].tolist() == [128] * 3 + [256] * 3


@pytest.mark.parametrize("name", ["8x{}", "moe-2x{}"])
def test_the_size_of_an_expert_is_not_that_of_a_mixture(read, name):
    rows = [f"{name.format(size)},{tokens},{loss}" for size, tokens, loss in map(str.split, LINES)]
    assert "N" not in read("\n".join(["model,tokens,loss", *rows])).table


@pytest.mark.parametrize("form", ["model={} tokens={} val_loss={}", "params: {} | tokens: {} | loss: {}"])
def test_lines_of_sizes_and_tokens_are_results(read, form):
    runs = read("\n".join(form.format(*line.split()) for line in LINES), "results.txt")
    assert runs.table["N"].tolist() == [14e6, 31e6, 70e6] and runs.table["D"].tolist() == [2e9, 1.2e9, 7e9]
    assert runs.table["loss"].tolist() == [4.2, 4.0, 3.3]
