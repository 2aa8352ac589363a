"""How numbers, names and notes are written: digits of intervals, limits of what is counted, columns of tables."""

from __future__ import annotations

import commands
import numpy as np
import pandas as pd
import pytest

from scalefit.answers import alike, as_lines, brief, far_out, grouped, interval, rounded, said

NAN, INF = float("nan"), float("inf")


@commands.cases(
    "value, low, high, said",
    [
        (1.0, 0.9005, 1.1005, "1.00 ± 0.10"),  # nearly even: two digits of half the interval
        (10.0, 9.09, 11.09, "10.0 ± 1.0"),  # the nearer limit is at 0.91 of half
        (10.0, 9.11, 11.11, "10.00 [9.11, 11.11]"),  # at 0.89 of it: two digits of the nearer one
        (10.0, 8.89, 10.89, "10.00 [8.89, 10.89]"),
        (1.0, 0.95, 1.5, "1.000 [0.950, 1.500]"),
        (1.0, 1.0, 1.5, "1.00 [1.00, 1.50]"),  # the value is a limit, or lies outside
        (0.9, 1.0, 1.5, "0.90 [1.00, 1.50]"),
        (12345.0, 11345.0, 13345.0, "12345 ± 1000"),
        (100000.0, 99000.0, 101000.0, "(1.000 ± 0.010)e5"),
        (-150000.0, -151000.0, -149000.0, "(-1.500 ± 0.010)e5"),
        (0.00123, 0.00113, 0.00133, "0.00123 ± 0.00010"),
        (0.000925, 0.000825, 0.001025, "(9.2 ± 1.0)e-4"),
        (2e10, 1.9e10, 3e10, "2.00e10 [1.90e10, 3.00e10]"),
        (0.0, -2.0, 2.0, "0.0 ± 2.0"),
        (3.0, 3.0, 3.0, "3"),
        (1.69, NAN, NAN, "1.69"),
        (NAN, 1.0, 2.0, "nan"),
        (2.0, -INF, 3.0, "2 [-inf, 3]"),
        (2.0, 1.0, INF, "2 [1, inf]"),
    ],
)
def test_a_value_has_the_digits_of_its_interval(value, low, high, said):
    assert rounded(value, low, high) == said


@pytest.mark.parametrize(
    ("decades", "said"),
    [
        (NAN, "within the fitted runs"),
        (-1.0, "within the fitted runs"),
        (0.0049, "within the fitted runs"),
        (0.0051, "1 times beyond the fitted runs"),
        (0.31, "2 times beyond the fitted runs"),
        (1.99, "98 times beyond the fitted runs"),
        (2.0, "100 times beyond the fitted runs"),
        (3.2, "1,600 times beyond the fitted runs"),
        (300.0, "inf times beyond the fitted runs"),
    ],
)
def test_how_far_out(decades, said):
    assert far_out(decades) == said
    assert far_out(decades, "below") == said.replace("beyond", "below")


def test_names_and_letters_are_counted_beyond_a_limit():
    assert alike(dict.fromkeys("abcd", "no")) == ["a, b, c, d: no"]
    assert alike(dict.fromkeys("abcde", "no")) == ["5 (a, b, c, d, ...): no"]
    assert brief("x" * 240) == "x" * 240
    assert brief("x" * 241) == "x" * 240 + " … (241 letters)"
    assert interval((2.0, NAN, 3.0)) == "2"
    assert interval((2.0, 1.0, 3.0), ".2f") == "2.00 [1.00, 3.00]"
    assert grouped(["a.csv: 1 row", "b.csv: 2 rows", "other", "c.csv: 2 rows"]) == [
        "a.csv: 1 row (and 2 more like this)",
        "other",
    ]


def test_columns_of_a_table_by_what_they_hold():
    table = pd.DataFrame(
        {"run": ["a", "long"], "points": [10.0, 2.0], "r2": [0.123456, 1.0], "mae": [0.0123456, 2.0]}
        | {"decades_beyond": [0.126, 11.0], "final": [-0.0123, -1e-9], "N": [1234567.0, 1e9], "n": [7, 10]}
    )
    assert as_lines(table, 5) == (
        "  run   points       r2      mae  decades_beyond    final           N   n\n"
        "  a         10  0.12346  0.01235            0.13  -1.23 %  1.2346e+06   7\n"
        "  long       2  1.00000        2           11.00   0.00 %       1e+09  10"
    )
    assert as_lines(table[["n"]]) == "   n\n   7\n  10"
    assert as_lines(table[["n"]].set_index(pd.Index(["x", "yy"], name="run"))) == "  run   n\n  x     7\n  yy   10"
    assert as_lines(pd.DataFrame(index=np.arange(3))) == ""


def test_what_rounds_to_a_thousand_of_the_largest_unit_is_told_in_it():
    assert [said(each * 1e12) for each in (998.4, 999.4, 999.5, 1234.5)] == ["998T", "999T", "1000T", "1234T"]
    assert [said(each) for each in (999.4e6, 999.5e6, 9.995e8)] == ["999M", "1B", "1B"]
