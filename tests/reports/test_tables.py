"""Tables for a paper: numbers rounded to their intervals, Markdown and LaTeX that show what the table holds."""

from __future__ import annotations

import math
import re

import commands
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalefit.answers import rounded
from scalefit.laws import standard_laws
from scalefit.reports.equations import latex_of
from scalefit.reports.tables import as_latex, as_markdown, together

SIZES = st.floats(1e-12, 1e15) | st.floats(-1e15, -1e-12)


def read(text):
    """The numbers of a rounded value, with their powers of ten."""
    power = float("1" + found[1]) if (found := re.search(r"\)(e-?\d+)$", text)) else 1.0
    return [power * float(number) for number in re.findall(r"-?\d[\d.]*(?:e-?\d+)?", text.split(")")[0])]


@given(SIZES, st.floats(1e-6, 10), st.floats(0.01, 1))
def test_a_rounded_value_is_off_by_at_most_a_twentieth_of_half_its_interval(value, share, skew):
    half = share * abs(value)
    low, high = value - skew * half, value + half
    first, *others = read(rounded(value, low, high))
    assert abs(first - value) <= 0.0501 * 0.5 * (high - low) + 1e-9 * abs(value)
    ends = others if len(others) == 2 else (first - others[0], first + others[0])
    assert ends[1] == pytest.approx(high, abs=0.35 * half)
    assert ends[0] == pytest.approx(low, abs=0.35 * half)


@pytest.mark.parametrize(
    ("ends", "text"),
    [
        ((0.34123, 0.3211, 0.3613), "0.341 ± 0.020"),
        ((1234.5, 1200.0, 1270.0), "1234 ± 35"),
        ((4.653, 2.96, 58.7), "4.7 [3.0, 58.7]"),
        ((2.3e-5, 2.1e-5, 2.5e-5), "(2.30 ± 0.20)e-5"),
        ((math.nan, 1, 2), "nan"),
        ((3.14159, math.nan, math.nan), "3.142"),
        ((3.14159, 1.02, math.inf), "3.142 [1.02, inf]"),
    ],
)
def test_rounding_by_hand(ends, text):
    assert rounded(*ends) == text


def test_a_column_that_says_nothing_in_any_row_is_left_out():
    table = pd.DataFrame({"size": [1.0, 2.0], "refused": ["", ""], "why": ["", "few"], "gap": [math.nan, math.nan]})
    assert list(together(table)) == ["size", "why"]
    assert list(together(table.iloc[:0])) == list(table)


def test_values_and_ends_become_one_column():
    table = pd.DataFrame({"N": [1e9], "N_low": [0.9e9], "N_high": [1.1e9], "loss": [2.0], "low": [1.9], "high": [2.1]})
    assert together(table).to_dict("list") == {"N": ["(1.00 ± 0.10)e9"], "loss": ["2.00 ± 0.10"]}
    missing = pd.DataFrame({"N": [math.nan, 3.0], "N_low": [math.nan, 1.5], "N_high": [math.nan, math.inf]})
    assert together(missing)["N"].tolist() == ["–", "3 [1.5, inf]"]
    other = pd.DataFrame({"run": ["a"], "low": ["x"], "high": ["y"]})
    assert together(other).equals(other), "columns of words are no interval"


def test_markdown_has_the_cells_of_the_table():
    lines = as_markdown(pd.DataFrame({"law": ["a|b"], "error": [0.5]})).splitlines()
    assert lines == ["| law | error |", "| --- | --- |", r"| a\|b | 0.5 |"]


def test_latex_has_rules_mathematics_and_no_special_letters():
    table = pd.DataFrame(
        {"parameter": ["alpha"], "value": [0.34], "unit": ["nats/token tokens^beta"], "note": ["5 % & _"]}
    )
    text = as_latex(table, "L = E + A N^-alpha")
    assert r"L = E + A N^{-\alpha}" in text
    assert r"$\alpha$ & $0.34$ & nats/token tokens$^{\beta}$ & 5 \% \& \_ \\" in text
    assert text.count(r"\toprule") == text.count(r"\midrule") == text.count(r"\bottomrule") == 1


def test_an_exponent_loses_its_parentheses_where_they_hold_all_of_it():
    assert latex_of("L = (a + b)^-(alpha + beta) + c^(1/2)") == r"L = (a + b)^{-(\alpha + \beta)} + c^{1/2}"


@commands.cases("law", sorted(standard_laws()))
def test_every_equation_of_the_registry_becomes_latex_with_matching_braces(law):
    text = latex_of(standard_laws()[law]().equation)
    depth = np.cumsum([(letter in "{") - (letter in "}") for letter in text])
    assert depth.min() >= 0
    assert depth[-1] == 0
    assert not re.search(r"\^[^{]", text), "every exponent is in braces"
    assert not re.search(r"(?<![\\a-zA-Z])(alpha|beta|gamma|kappa)(?![a-zA-Z])", text)
