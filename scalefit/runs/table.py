"""The two canonical tables of run logs, with a note for everything that was guessed, changed or left out."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from html import escape

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scalefit.errors import InputError, counted, listed, spoken
from scalefit.escaping import quoted
from scalefit.expressions import Expression, parse
from scalefit.notices import DOUBT, NOTE, Notice
from scalefit.runs.columns import COLUMNS
from scalefit.runs.matching import Binding, canonical
from scalefit.runs.trajectory import LearningRates, Trajectory, rows_of, spans

#: Columns that follow from two others: name -> (C = 6 N D solved for it, the names in it).
SHOWN = 12  #: columns and rows of a table that are shown
DERIVED = {"C": ("C = 6 N D", ("N", "D")), "D": ("D = C / (6 N)", ("C", "N")), "N": ("N = C / (6 D)", ("C", "D"))}


@dataclass(frozen=True)
class Note:
    """One thing that reading a log did or found.

    `kind`: guessed, mapped, converted, derived, joined, named, dropped, sorted, selected, diverged, suspect, unknown,
    undecided or ambiguous; `count`: rows, columns or runs concerned.
    """

    kind: str
    text: str
    count: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", spoken(self.text))

    @property
    def notice(self) -> Notice:
        """The note as a line of an answer; what is suspect or undecided is a doubt."""
        return Notice(self.text, DOUBT if self.kind in ("suspect", "undecided") else NOTE)


@dataclass(frozen=True)
class Origin:
    """Where rows come from: the path (or "DataFrame"), the SHA-256 of the file's bytes, and the rows read."""

    path: str
    sha256: str
    rows: int


@dataclass(frozen=True, eq=False)
class Runs:
    """Run logs as tidy tables with canonical column names (see `scalefit.runs.columns.COLUMNS`).

    `curves`: one row for each logged point (run, step, tokens, loss, lr, split, …), or None if only final results are
    known; sorted by run and step, `run` categorical. `table`: one row for each run (run, N, D, C, …, loss = the last
    finite one). The index of both is the row's line in its source, from 1. Nothing is dropped without a note.

    >>> from scalefit.runs import read_runs
    >>> runs = read_runs(pd.DataFrame({"params": [1e6, 2e6], "tokens": [1e9, 1e9], "loss": [3.2, 3.0]}))
    >>> runs.kind, len(runs), list(runs.table.columns)
    ('runs', 2, ['run', 'N', 'D', 'loss'])
    >>> small, large = runs.hold_out("N > 1.5e6")
    >>> large.table["loss"].tolist()
    [3.0]
    """

    curves: pd.DataFrame | None
    table: pd.DataFrame
    notes: tuple[Note, ...] = ()
    origin: tuple[Origin, ...] = ()
    columns: tuple[Binding, ...] = ()
    learning_rates: LearningRates = field(default_factory=LearningRates, repr=False)

    @property
    def kind(self) -> str:
        """ "curves" if points along the runs are known, "runs" if there is only one row per run."""
        return "runs" if self.curves is None else "curves"

    @property
    def names(self) -> list[str]:
        """Names of the runs, in the order of the file."""
        return [str(run) for run in self.table["run"].unique()]

    def __len__(self) -> int:
        return len(self.names)

    def __repr__(self) -> str:
        rows = f", {len(self.curves)} rows" if self.curves is not None else ""
        return f"Runs({len(self)} runs{rows}; {listed(self._known_first, SHOWN)})"

    def _repr_html_(self) -> str:
        notes = "".join(f"<li>{escape(note.text)}</li>" for note in self.notes)
        shown = self.table[self._known_first[:SHOWN]].to_html(max_rows=SHOWN, border=0)
        return f"<p>{escape(repr(self))}</p>{shown}<ul>{notes}</ul>"

    @property
    def _known_first(self) -> list[str]:
        """The columns of the table, those of the glossary before others, so that the loss is among those shown."""
        return sorted(map(str, self.table.columns), key=lambda name: name not in COLUMNS)

    def where(self, expression: str) -> Runs:
        """The runs, or the rows of curves, for which the expression holds, e.g. "N > 1e9 and split == 'fit'".

        An expression of per-run columns selects whole runs; one with a column that changes along a run (step, tokens,
        loss, lr) selects rows. A row without a value for a column in the expression is left out, and counted in the
        note. Raises InputError for an unknown name.
        """
        return self._kept(expression, *self._mask(expression))

    def hold_out(self, expression: str) -> tuple[Runs, Runs]:
        """Split into (kept, held): held is where the expression holds, kept all else, also rows that lack a value."""
        by_row, mask, missing = self._mask(expression)
        held = self._kept(expression, by_row, mask, missing)
        return self._kept(f"not ({expression})", by_row, ~mask, 0), held

    def trajectory(self, run: str) -> Trajectory:
        """The learning rate of a run at every step, and its logged steps.

        Raises InputError if there is no such run, step column or learning rate, or if the learning rate before the
        first row is not known.
        """
        if self.curves is None or "step" not in self.curves.columns:
            raise InputError("there are no steps in the log", where=f"run {run}", todo="read curves with a step column")
        rows = rows_of(self.curves, run)
        if rows.empty:
            raise InputError(f"there is no run '{run}'", todo=f"the runs are {listed(self.names, 9)}")
        return self.learning_rates.trajectory(run, rows["step"].to_numpy())

    def with_compute(self) -> Runs:
        """The same runs with C = 6 N D in the table (with a note); unchanged if C is already known."""
        return self.with_derived("C")

    def with_derived(self, name: str) -> Runs:
        """The same runs with ``name``, one of N, D and C, from the other two by C = 6 N D; unchanged if it is known.

        Raises InputError naming the column that is missing.

        >>> from scalefit.runs import read_runs
        >>> runs = read_runs(pd.DataFrame({"N": [1e8], "C": [6e18], "loss": [3.0]}))
        >>> float(runs.with_derived("D").table["D"].iloc[0])
        10000000000.0
        """
        if name in self.table.columns:
            return self
        formula, sources = DERIVED[name]
        missing = [source for source in sources if source not in self.table.columns]
        if missing:
            raise InputError(f"{formula} needs the column {missing[0]}", todo=f"write --map {missing[0]}=COLUMN")
        first, second = (self.table[source] for source in sources)
        table = self.table.assign(**{name: 6.0 * first * second if name == "C" else first / (6.0 * second)})
        return replace(self, table=table, notes=(*self.notes, Note("derived", formula, len(table))))

    def place(self, position: int) -> str:
        """The source and line of a row of the curves (of the table, if there are none), for messages.

        >>> from scalefit.runs import read_runs
        >>> read_runs(pd.DataFrame({"N": [1.0], "loss": [3.0]})).place(0)
        'DataFrame, row 0'
        """
        frame = self.table if self.curves is None else self.curves
        source = frame["source"].iloc[position] if "source" in frame.columns else self.origin[0].path
        return f"{source}, row {frame.index[position]}"

    def _mask(self, expression: str) -> tuple[bool, NDArray[np.bool_], int]:
        """Whether the expression selects rows of the curves, the mask over these (else over the table), and how many
        rows lack a value for it."""
        parsed = self._parsed(expression)
        columns = {name: self.column(name) for name in parsed.names}
        names = set(columns.values())
        by_row = self.curves is not None and not names <= set(self.table.columns) - {"loss", "C"}
        frame = self.curves if by_row and self.curves is not None else self.table
        unknown = sorted(names - set(frame.columns) - set(self.table.columns))
        if unknown:
            there = [str(name) for name in dict.fromkeys([*frame.columns, *self.table.columns])]
            todo = self._spelling(expression) or self._as_word(unknown[0]) or f"use {', '.join(map(quoted, there))}"
            named = " or ".join(f"'{name}'" for name in unknown)
            raise InputError(f"there is no column {named}", where=f"'{expression}'", todo=todo)
        values = {name: self._values(name, column, frame) for name, column in columns.items()}
        mask = np.broadcast_to(np.asarray(parsed(values)), (len(frame),))
        if mask.dtype != bool:
            todo = "compare a column with a value, as in N > 1e6"
            raise InputError("the expression is not true or false", where=f"'{expression}'", todo=todo)
        missing = np.zeros(len(frame), dtype=bool)
        for name in names:
            missing |= pd.isna(self._column(name, frame)).to_numpy()
        return by_row, mask & ~missing, int(missing.sum())

    def column(self, name: str) -> str:
        """The column that a name stands for: that column, one read from a column of this name, or the glossary's word.

        >>> from scalefit.runs import read_runs
        >>> runs = read_runs(pd.DataFrame({"my width": [64, 128], "loss": [3.2, 3.0]}), rename={"my width": "d_model"})
        >>> runs.column("my width"), runs.column("d_model"), runs.column("hidden_size"), runs.column("no such column")
        ('d_model', 'd_model', 'd_model', 'no such column')
        """
        if self._known(name):
            return name
        read = next((each.name for each in self.columns if each.source == name and self._known(each.name)), "")
        return read or (canonical(name) if self._known(canonical(name)) else name)

    def scale(self, name: str) -> float:
        """What a column's own values were multiplied by when it was read, if ``name`` is its own name, else 1."""
        if self._known(name):
            return 1.0
        return next((each.scale for each in self.columns if each.source == name and self._known(each.name)), 1.0)

    def _known(self, name: str) -> bool:
        return name in self.table.columns or (self.curves is not None and name in self.curves.columns)

    def _parsed(self, expression: str) -> Expression:
        try:
            return parse(expression)
        except InputError as error:
            raise InputError(error.what, where=error.where, todo=self._spelling(expression) or error.todo) from error

    def _spelling(self, expression: str) -> str:
        """How to write a column whose name in the expression should have been quoted; "" if there is none."""
        frames = [frame for frame in (self.curves, self.table) if frame is not None]
        read = {binding.source: binding.name for binding in self.columns}
        names = {str(name) for frame in frames for name in frame.columns} | read.keys()
        found = [n for n in names if n in expression and quoted(n) != n and quoted(n) not in expression]
        if not found:
            return ""
        name = max(found, key=len)
        if name in read and read[name] != name:
            return f"'{name}' was read as {read[name]}: use that"
        return f"write the column as {quoted(name)} (and in a shell put the expression between single quotes)"

    def _as_word(self, name: str) -> str:
        """How to write a value of a column of texts that was taken for a column; "" if it is none."""
        texts = self.table.select_dtypes(exclude="number").astype(object)
        column = next((str(one) for one in sorted(texts, key="run".__eq__) if (texts[one] == name).any()), "")
        return f"{name} is a value of {column}: write it in quotes, {quoted(column)} == '{name}'" if column else ""

    def _values(self, name: str, read: str, frame: pd.DataFrame) -> NDArray[np.generic]:
        """The values of a column, in its own unit if ``name`` is its own name."""
        column, scale = self._column(read, frame), self.scale(name)
        if np.isnan(scale):
            raise InputError(f"'{name}' was read as {read}, in another unit", todo=f"use {read}")
        if pd.api.types.is_numeric_dtype(column.dtype):
            return column.to_numpy() / scale if scale != 1.0 else column.to_numpy()
        words = column.astype(object)
        return words.where(words.notna(), "").to_numpy()

    def _column(self, name: str, frame: pd.DataFrame) -> pd.Series:
        if name in frame.columns:
            return frame[name]
        by_run = self.table.drop_duplicates("run").set_index("run")[name]
        return by_run.reindex(frame["run"].astype(str))

    def _kept(self, expression: str, by_row: bool, mask: NDArray[np.bool_], missing: int) -> Runs:
        curves, table = self.curves, self.table
        if by_row and curves is not None:
            curves = curves[mask]
            table = updated(table, curves)
        else:
            table = table[mask]
            curves = curves[curves["run"].isin(table["run"])] if curves is not None else None
        if curves is not None:
            curves = curves.assign(run=curves["run"].cat.remove_unused_categories())
        frame, whole = (table, self.table) if curves is None or self.curves is None else (curves, self.curves)
        lacking = f" ({counted(missing, 'row', 'lacks', 'lack')} a value for it: left out)" if missing else ""
        note = Note("selected", f"{len(frame)} of {len(whole)} rows where {expression}{lacking}", len(frame))
        return replace(self, curves=curves, table=table, notes=(*self.notes, note))


def axis_of(curves: pd.DataFrame) -> str:
    """The column along which curves are logged: step, else tokens."""
    return next((name for name in ("step", "tokens") if name in curves.columns), "epoch")


def last_rows(curves: pd.DataFrame) -> list[int]:
    """The position of each run's last row with a finite loss (of its last row if there is none)."""
    loss = curves["loss"].to_numpy() if "loss" in curves.columns else np.zeros(len(curves))
    positions = []
    for _, start, stop in spans(curves):
        finite = [] if np.isfinite(loss[stop - 1]) else np.flatnonzero(np.isfinite(loss[start:stop])).tolist()
        positions.append(start + finite[-1] if finite else stop - 1)
    return positions


def updated(table: pd.DataFrame, curves: pd.DataFrame) -> pd.DataFrame:
    """The table of the runs that remain in the curves, with the loss, D and C of their last rows."""
    last = curves.iloc[last_rows(curves)]
    rows = table.set_index("run").loc[last["run"].astype(str).tolist()].reset_index()
    rows.index = last.index
    for name, source in (("loss", "loss"), ("D", "tokens"), ("C", "C")):
        if name in rows.columns and source in last.columns:
            rows[name] = last[source].to_numpy()
    return rows[list(table.columns)]
