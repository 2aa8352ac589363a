"""The limits that the changelog and the messages state, each just kept and just passed."""

from __future__ import annotations

import re

import commands
import pytest

from scalefit.errors import InputError
from scalefit.expressions import parse
from scalefit.runs import read_runs
from scalefit.runs.formats.parquet import MOST_CELLS
from scalefit.runs.formats.raw import refuse_long_names
from scalefit.runs.formats.text import MOST_UNPACKED
from scalefit.schedules.areas import refuse_too_long

CHANGELOG = re.sub(r"\s+", " ", (commands.ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))


def test_a_formula_has_at_most_sixty_four_names():
    assert "formulas of more than 64 names or 20,000 letters" in CHANGELOG
    assert len(parse("+".join(f"a{i}" for i in range(64))).names) == 64
    with pytest.raises(InputError, match="64 are the most"):
        parse("+".join(f"a{i}" for i in range(65)))


def test_a_formula_has_at_most_twenty_thousand_letters():
    text = "a" * 9_999 + "+" + "b" * 10_000
    assert len(parse(text).names) == 2
    with pytest.raises(InputError, match="20000 are the most"):
        parse(text + "b")


@pytest.mark.parametrize("signs", [248, 249])
def test_a_formula_has_at_most_two_hundred_and_fifty_levels(signs):
    """One for the name, one for its context, and one for each sign."""
    text = "-" * signs + "x"
    if signs == 248:
        assert parse(text).names == ("x",)
    else:
        with pytest.raises(InputError):
            parse(text)


def test_a_long_formula_is_shown_by_its_first_letters():
    for letters, dots in ((200, False), (201, True)):
        with pytest.raises(InputError) as caught:
            parse("?" + "a" * (letters - 1))
        assert ("a..." in str(caught.value)) is dots


def test_numbers_of_a_formula_are_below_1e300():
    assert parse("9e299*x").names == ("x",)
    with pytest.raises(InputError):
        parse("1e300*x")


def test_packed_files_and_tables_and_names_of_columns():
    assert f"unpack to more than {MOST_UNPACKED // 2**20} MiB" in CHANGELOG
    assert f"more than {MOST_CELLS // 10**6} million cells" in CHANGELOG
    assert "columns of more than 2,000 letters" in CHANGELOG
    refuse_long_names(["a" * 2000], "x.csv")
    with pytest.raises(InputError, match="2001 letters, and 2000 are the most"):
        refuse_long_names(["a" * 2001], "x.csv")


def test_a_run_has_at_most_fifty_million_steps():
    refuse_too_long(50_000_000, "a")
    with pytest.raises(InputError, match=r"at most 5e\+07"):
        refuse_too_long(50_000_001, "a")


@pytest.mark.parametrize(("letters", "rows"), [(20_000, 5), (20_001, 4)])
def test_lines_of_a_log_are_read_up_to_twenty_thousand_letters(tmp_path, letters, rows):
    lines = [f"step {step} | loss {5 - 0.1 * step:.3f}" for step in range(1, 6)]
    lines[2] = lines[2].ljust(letters)
    (tmp_path / "train.log").write_text("\n".join(lines) + "\n")
    assert len(read_runs(tmp_path / "train.log", need=()).curves) == rows
