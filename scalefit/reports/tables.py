"""Tables for a paper, as Markdown and LaTeX: values with their intervals in one column, units and powers typeset."""

from __future__ import annotations

import re

import pandas as pd

from scalefit.answers import rounded
from scalefit.reports.blocks import Table
from scalefit.reports.equations import GREEK, latex_of
from scalefit.reports.page import rows_of_markdown

SPECIAL = {"&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}"}
SPECIAL |= {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}", "×": r"$\times$"}
SPECIAL |= {"–": "--", "±": r"$\pm$", "<": r"\textless{}", ">": r"\textgreater{}"}


def together(table: pd.DataFrame) -> pd.DataFrame:
    """The same table with each value and the ends of its interval in one column, rounded to that interval, without
    columns that say nothing in any row.

    An interval is a pair of columns ``low``, ``high`` (of the column before them) or ``X_low``, ``X_high`` (of ``X``).

    >>> together(pd.DataFrame({"loss": [2.0312], "low": [1.981], "high": [2.082]})).to_dict("list")
    {'loss': ['2.031 ± 0.050']}
    >>> together(pd.DataFrame({"N": [float("nan")], "N_low": [1.0], "N_high": [2.0]})).to_dict("list")
    {'N': ['–']}
    """
    found = table.loc[:, [not len(table) or bool((each.notna() & (each != "")).any()) for _, each in table.items()]]
    for column in list(table.columns):
        if not isinstance(column, str) or not (column == "low" or column.endswith("_low")):
            continue
        high, own = column[:-3] + "high", column[:-4]
        if not own:
            own = str(table.columns[max(0, list(table.columns).index(column) - 1)])
        if own not in table.columns or high not in table.columns or not pd.api.types.is_numeric_dtype(table[own]):
            continue
        ends = zip(table[own], table[column], table[high], strict=True)
        texts = [rounded(*map(float, each)) if each[0] == each[0] else "–" for each in ends]
        found = found.assign(**{own: texts}).drop(columns=[column, high], errors="ignore")
    return found


def as_markdown(table: pd.DataFrame) -> str:
    """A table as Markdown (GitHub's)."""
    return "\n".join(rows_of_markdown(_as_text(table))) + "\n"


def as_latex(table: pd.DataFrame, equation: str | None) -> str:
    """A table as LaTeX with the rules of ``booktabs``, after the equation of a fitted law where there is one."""
    shown = _as_text(table)
    lines = [r"\begin{equation}", f"  {latex_of(equation)}", r"\end{equation}"] if equation else []
    lines += [rf"\begin{{tabular}}{{{'l' * len(shown.head)}}}", r"\toprule"]
    lines += [" & ".join(map(_cell, shown.head)) + r" \\", r"\midrule"]
    lines += [" & ".join(map(_cell, row)) + r" \\" for row in shown.rows]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def _as_text(table: pd.DataFrame) -> Table:
    named = table.reset_index() if table.index.name else table
    return Table.of("", together(named), most=len(named))


NUMBER = re.compile(r"\(?[-+]?\d[\d.]*(?:e[-+]?\d+)?(?: ± [\d.]+\)?(?:e[-+]?\d+)?| \[.*\])?")
SYMBOL = re.compile(rf"(?:{'|'.join(GREEK)}|[A-Za-z])\d*(?:_\w+)?")


def _cell(text: str) -> str:
    """A cell as LaTeX: numbers and symbols as mathematics, the rest as text."""
    if NUMBER.fullmatch(text):
        return f"${_numbers(text)}$"
    if SYMBOL.fullmatch(text):
        return f"${latex_of(text)}$"
    parts = re.split(r"\^(-?\w+)", text)  # every second one is an exponent
    plain = ["".join(SPECIAL.get(letter, letter) for letter in part) for part in parts[::2]]
    raised = [f"$^{{{latex_of(part)}}}$" for part in parts[1::2]]
    return "".join(a + b for a, b in zip(plain, [*raised, ""], strict=True))


def _numbers(text: str) -> str:
    powers = re.sub(r"e([-+]?)0*(\d+)", lambda hit: rf"\times 10^{{{hit[1].strip('+')}{hit[2]}}}", text)
    return powers.replace("±", r"\pm")
