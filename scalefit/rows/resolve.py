"""The law completed by the data: the x of a law in one variable, the columns of a formula."""

from __future__ import annotations

import re

from scalefit.errors import InputError, listed
from scalefit.escaping import quoted
from scalefit.laws import Law
from scalefit.laws.formula import LETTERS, FormulaLaw
from scalefit.runs import Runs
from scalefit.runs.columns import COLUMNS
from scalefit.runs.matching import canonical
from scalefit.runs.table import DERIVED

SCALES = ("N", "D", "C", "x", "step", "tokens")
NO_SCALE = "add runs that differ in the scale that is to be x"


def resolve(law: Law, runs: Runs) -> Law:
    """The law with what depends on the data: the x of a law in one variable, the columns of a formula.

    Raises InputError if several columns, or none, can be x.
    """
    if isinstance(law, FormulaLaw):
        law = _in_read_names(law, runs)
        _refuse_absent(law, runs)
        return law.with_columns(_column_names(runs))
    over = law.options.get("over")
    if "x" not in law.variables or over:
        read = runs.column(str(over)) if over else over
        return law if read == over else type(law)(**{**law.options, "over": read})
    varying = [name for name in scales_of(runs) if name in _column_names(runs)]
    if len(varying) != 1:
        seen = f"{' and '.join(varying)} vary" if varying else f"none of {', '.join(SCALES)} varies"
        choices = varying or _others_that_vary(law, runs)
        todo = f"write --law {law.name}:over=COLUMN with one of {', '.join(choices)}" if choices else NO_SCALE
        raise InputError(f"which column is x? {seen}", where=f"law {law.name}", todo=todo)
    return type(law)(**{**law.options, "over": varying[0]})


def _in_read_names(law: FormulaLaw, runs: Runs) -> FormulaLaw:
    """The formula with the names of the columns as they are read, where it has those of the file.

    A column that was multiplied when it was read is divided by that factor, so that the formula's numbers are in the
    file's own unit.
    """
    text, target = law.expression.text, runs.column(law.target)
    own = [name for name in law.expression.names if runs.column(name) != name]
    for name in own:
        spelled, column, scale = quoted(name), runs.column(name), runs.scale(name)
        if scale != scale:
            why = f"'{name}' was read as {column}, in another unit"
            raise InputError(why, where=f'formula "{law.expression.text}"', todo=f"use {column}")
        read = quoted(column) if scale == 1.0 else f"({quoted(column)} / {scale!r})"
        if spelled != name:
            text = text.replace(spelled, read)
        else:
            text = re.sub(rf"(?<![\w`]){re.escape(name)}(?![\w`])", read, text)
    if not own and target == law.target:
        return law
    read_law = law.rewritten(text, [runs.column(name) for name in law.named])
    read_law.target = target  # type: ignore[misc]
    return read_law


def _refuse_absent(law: FormulaLaw, runs: Runs) -> None:
    """Refuse a word for a column that these runs do not have: as a free parameter it would be fitted in silence."""
    for name in () if law.named else law.parameters:
        if canonical(name) != name and canonical(name) in COLUMNS and name.upper() not in LETTERS:
            what = f"{name} is a column of run logs ({canonical(name)}), and these runs have none"
            columns = listed(_others_that_vary(law, runs), 9)
            todo = f"use one of their columns, {columns}, or give the parameter another name"
            raise InputError(what, where=f'formula "{law.expression.text}"', todo=todo)


def _others_that_vary(law: Law, runs: Runs) -> list[str]:
    """Columns of numbers that vary, apart from the target of the law and the seed."""
    frames = [frame for frame in (runs.table, runs.curves) if frame is not None]
    numbers = dict.fromkeys(name for frame in frames for name in frame.select_dtypes("number").columns)
    return [str(name) for name in numbers if name not in (law.target, "seed") and _varies(runs, str(name))]


def scales_of(runs: Runs) -> list[str]:
    """The columns that vary and can be the x of a law in one variable: x, or else N, D, C, step, tokens."""
    varying = {name for name in SCALES if _varies(runs, name)}
    for name, (_, sources) in DERIVED.items():
        if name not in runs.table.columns and {*sources} <= {*runs.table.columns} and varying.intersection(sources):
            varying.add(name)
    return ["x"] if "x" in varying else [name for name in SCALES if name in varying]


def _column_names(runs: Runs) -> list[str]:
    return list(dict.fromkeys([*runs.table.columns, *(runs.curves.columns if runs.curves is not None else [])]))


def _varies(runs: Runs, name: str) -> bool:
    for frame in (runs.table, runs.curves):
        if frame is not None and name in frame.columns:
            return frame[name].nunique() > 1
    return False
