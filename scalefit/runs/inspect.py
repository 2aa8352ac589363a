"""What was understood of run logs, as a readable report."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from scalefit.answers import Shown
from scalefit.errors import InputError, listed
from scalefit.notices import DOUBT, Line, Notice, doubted, doubts_of
from scalefit.runs.columns import COLUMNS
from scalefit.runs.endings import spacing
from scalefit.runs.matching import in_shell
from scalefit.runs.table import Note, Runs, axis_of
from scalefit.runs.trajectory import spans

SHOWN = 12
LOSS_WORDS = {"ce", "nll", "xent", "bpb", "bpc", "ppl", "rmse", "mse", "objective", "err", "error"}
RANGES = ("N", "N_total", "D", "C", "batch", "peak_lr", "loss")


@dataclass(frozen=True)
class RunExtent:
    """How far a run is logged: rows, first and last step (or token), the usual spacing of rows, the number of larger
    gaps and where the largest begins, whether the learning rate is known, and from where (or why not)."""

    run: str
    rows: int
    first: float
    last: float
    spacing: float
    gaps: int
    gap_after: float
    lr_known: bool
    lr: str


@dataclass(frozen=True, repr=False)
class Report(Shown):
    """The result of `inspect`: `lines` for people, `as_dict()` for programs."""

    runs: Runs
    extents: tuple[RunExtent, ...]

    @property
    def lines(self) -> list[Line]:
        """The lines of the report."""
        doubts = (self._ties, self._without_loss)
        parts = (self._head, self._columns, *doubts, self._extents, self._rates, self._ranges, self._notes)
        return [line for part in parts for line in part()]

    def as_dict(self) -> dict[str, object]:
        """The report as plain values: columns, runs, ranges, notes, origin."""
        return {
            "kind": self.runs.kind,
            "origin": [vars(origin) for origin in self.runs.origin],
            "columns": [{**vars(binding), "unit": _unit(binding.name)} for binding in self.runs.columns],
            "runs": [vars(extent) for extent in self.extents] or self.runs.names,
            "ranges": {name: [float(low), float(high)] for name, low, high in _ranges(self.runs)},
            "notes": [vars(note) for note in self.runs.notes],
        }

    def _head(self) -> Iterator[str]:
        paths = [origin.path for origin in self.runs.origin]
        name = paths[0] if len(paths) == 1 else f"{len(paths)} files"
        count = f"{len(self.runs)} run{'s' * (len(self.runs) != 1)}"
        if self.runs.curves is None:
            yield f"{name}: final results of {count}"
        else:
            others = "".join(f"; {note.count} more without a loss" for note in self._undecided)
            yield f"{name}: curves of {count}, {len(self.runs.curves)} rows{others}"

    @property
    def _undecided(self) -> list[Note]:
        """The notes on runs whose loss is not known."""
        return [note for note in self.runs.notes if note.kind == "undecided"]

    def _columns(self) -> Iterator[str]:
        yield "columns"
        bound = {binding.name: binding for binding in reversed(self.runs.columns)}
        for name in COLUMNS:
            if name in bound:
                binding = bound[name]
                source = "" if binding.source == name else f" <- '{binding.source}'"
                how = f" ({binding.how})" if binding.how in ("guessed", "mapped") else ""
                unit = f" [{_unit(name)}]" if _unit(name) else ""
                yield f"  {name}{source}{how}{unit}: {COLUMNS[name].meaning}"
        frames = [frame for frame in (self.runs.curves, self.runs.table) if frame is not None]
        free = list(dict.fromkeys(str(name) for frame in frames for name in frame.columns if name not in COLUMNS))
        if free:
            yield f"  kept unchanged: {listed(free, SHOWN)}"

    @property
    def ok(self) -> bool:
        """Whether nothing is in doubt: a loss was found, it is decided which, and what was read agrees."""
        return not doubts_of(self.lines)

    def _without_loss(self) -> Iterator[Line]:
        frames = [frame for frame in (self.runs.curves, self.runs.table) if frame is not None]
        tied = any("loss" in note.text for note in self.runs.notes if note.kind == "ambiguous")
        if tied or any("loss" in frame.columns for frame in frames):
            return
        likely = likely_losses(frames)
        todo = (
            f"likeliest: {listed([f'--map loss={in_shell(name)}' for name in likely], 4)}"
            if likely
            else "--map loss=COLUMN"
        )
        yield Notice(f"no loss was found, which every law of the loss needs; {todo}")

    def _ties(self) -> Iterator[Line]:
        ties = [note for note in self.runs.notes if note.kind == "ambiguous"]
        yield from doubted(note.text for note in (*ties, *self._undecided))

    def _extents(self) -> Iterator[str]:
        if self.runs.curves is None or not self.extents:
            return
        axis = axis_of(self.runs.curves)
        yield "runs"
        for item in self.extents[:SHOWN]:
            gaps = f", {item.gaps} gap{'s' * (item.gaps != 1)}, the largest after {axis} {item.gap_after:.10g}"
            gaps = ", unevenly spaced" if item.gaps > max(2, item.rows / 10) else gaps * bool(item.gaps)
            reach = f"{axis} {item.first:.10g} to {item.last:.10g}, {item.rows} rows, every {item.spacing:.6g}"
            yield f"  {item.run}: {reach}{gaps}"
        if len(self.extents) > SHOWN:
            yield f"  and {len(self.extents) - SHOWN} more runs"

    def _rates(self) -> Iterator[str]:
        if not self.extents:
            return
        known = [item for item in self.extents if item.lr_known]
        yield "learning rate"
        if known:
            yield f"  known at every step of {len(known)} of {len(self.extents)} runs"
        yield from _grouped(known, "    ")
        yield from _grouped([item for item in self.extents if not item.lr_known], "  not known: ")

    def _ranges(self) -> Iterator[str]:
        yield "ranges"
        for name, low, high in _ranges(self.runs):
            words = [f"  {name}: {low:.4g}", f"to {high:.4g}" if high > low else "", _unit(name)]
            words.append(f"({np.log10(high / low):.2f} decades)" if low > 0 and high > low else "")
            words.append("at the end of the runs" if name == "loss" else "")
            yield " ".join(word for word in words if word)

    def _notes(self) -> Iterator[Line]:
        notes = [note for note in self.runs.notes if note.kind not in ("guessed", "ambiguous", "undecided")]
        if notes:
            yield "notes"
        for note in notes:
            yield Notice(f"read: {note.text}") if note.notice.severity == DOUBT else f"  {note.kind}: {note.text}"


def likely_losses(frames: list[pd.DataFrame]) -> list[str]:
    """Columns of positive numbers that may be a loss: first those whose names say so, then those that end lower.

    >>> rows = {"num_iterations": [900, 400, 200], "val_bpb": [1.2, 1.1, 1.0], "core_metric": [0.1, 0.2, 0.3]}
    >>> likely_losses([pd.DataFrame(rows)])
    ['val_bpb', 'num_iterations']
    """
    named, falling = set[str](), set[str]()
    for frame in frames:
        for name in map(str, frame.columns):
            if name in COLUMNS or not pd.api.types.is_numeric_dtype(frame[name].dtype):
                continue
            values = frame[name].dropna().to_numpy(dtype=float)
            words = set(re.split(r"[^a-z0-9]+", name.lower()))
            if words & LOSS_WORDS or any(word in name.lower() for word in ("loss", "perplex", "entropy")):
                named.add(name)
            elif len(values) > 2 and (values > 0).all() and values[-1] < values[0] and len(words) < 4:
                falling.add(name)
    return [*sorted(named, key=str.lower), *sorted(falling - named, key=str.lower)]


def inspect(runs: Runs) -> Report:
    """Report what was understood of run logs.

    The report has the columns with their units and guesses, the runs with their spacing and gaps, whether the learning
    rate is known at every step and from where, the ranges of variables in decades, and the notes of reading.

    >>> from scalefit.runs import read_runs
    >>> log = pd.DataFrame({"iter": [0, 10, 20, 40], "lr": [0, 1, 1, 0.5], "loss": [5, 4, 3.5, 3.2]})
    >>> for line in inspect(read_runs(log)).lines[-9:]:
    ...     print(line)
    runs
      DataFrame: step 0 to 40, 4 rows, every 10, 1 gap, the largest after step 20
    learning rate
      known at every step of 1 of 1 runs
        interpolated between rows 10 steps apart (DataFrame)
    ranges
      loss: 3.2 nats/token at the end of the runs
    notes
      named: there is no column run: all rows are one run, named after the file
    """
    return Report(runs, tuple(_run_extents(runs)))


def _run_extents(runs: Runs) -> Iterator[RunExtent]:
    if runs.curves is None:
        return
    axis = runs.curves[axis_of(runs.curves)].to_numpy()
    for run, start, stop in spans(runs.curves):
        places = np.unique(axis[start:stop])  # several splits may have a row at one step
        steps, usual = np.diff(places), spacing(places)
        longest = float(places[np.argmax(steps)]) if steps.size else 0.0
        try:
            known, how = True, runs.trajectory(run).how
        except InputError as error:
            known, how = False, f"{error.what}; {error.todo}" if error.todo else error.what
        gaps, ends = int(np.count_nonzero(steps > 1.5 * usual)), (float(axis[start]), float(axis[stop - 1]))
        yield RunExtent(run, stop - start, *ends, usual, gaps, longest, known, how)


def _ranges(runs: Runs) -> Iterator[tuple[str, float, float]]:
    for name in RANGES:
        if name in runs.table.columns and pd.api.types.is_numeric_dtype(runs.table[name].dtype):
            values = runs.table[name].to_numpy(dtype=float)
            values = values[np.isfinite(values)]
            if values.size:
                yield name, float(values.min()), float(values.max())


def _grouped(extents: list[RunExtent], head: str) -> Iterator[str]:
    """A line for each way in which learning rates are known (or reason why not), with its runs."""
    groups: dict[str, list[str]] = {}
    for item in extents:
        groups.setdefault(item.lr.partition("#")[0], []).append(item.run)
    for text, runs in [*groups.items()][:SHOWN]:
        yield f"{head}{text} ({listed(runs)})"
    if len(groups) > SHOWN:
        yield f"{head}and {len(groups) - SHOWN} more cases"


def _unit(name: str) -> str:
    unit = COLUMNS[name].unit if name in COLUMNS else ""
    return "" if unit == "1" else unit
