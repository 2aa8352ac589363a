"""Schedules as text: `cosine:peak_lr=3e-4,steps=60000,warmup=1000,final=3e-5`, or a CSV of (step, lr)."""

from __future__ import annotations

import difflib
import inspect
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scalefit.errors import InputError, listed
from scalefit.schedules.areas import per_step_lr, refuse_too_long, warmup_end
from scalefit.schedules.names import schedule_names
from scalefit.schedules.shapes import SHAPES
from scalefit.schedules.values import values_of

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
LARGEST = 2**53  #: numbers beyond it are no steps


@dataclass(frozen=True)
class Schedule:
    """The learning rate of a run: call it with a step, or get every step with `per_step()`.

    `text`: canonical text form; `steps`: last step; `warmup`: step at which the first warmup ends; `how`: for a file
    that does not have every step, how the others were found; `set_peak`: the peak that the text gives, 0 without one.

    >>> schedule = parse_schedule("linear:steps=4,peak_lr=1")
    >>> schedule, schedule(2), schedule.per_step()
    (Schedule('linear:peak_lr=1,steps=4'), array(0.5), array([1.  , 0.75, 0.5 , 0.25, 0.  ]))
    """

    text: str
    steps: int
    warmup: int
    shape: Callable[[ArrayLike], Floats] = field(repr=False, compare=False)
    how: str = field(default="", repr=False, compare=False)
    set_peak: float = field(default=0.0, repr=False, compare=False)

    def __repr__(self) -> str:
        return f"Schedule({self.text!r})"

    def __call__(self, step: ArrayLike) -> Floats:
        """Learning rate at a step, or at each of an array of steps."""
        return self.shape(step)

    def per_step(self) -> Floats:
        """Learning rate at steps 0..steps, both included: float64 of shape (steps + 1,)."""
        return self.shape(np.arange(self.steps + 1))

    @property
    def peak(self) -> float:
        """The highest learning rate: the one that was set, also where the steps end within the warmup.

        >>> parse_schedule("constant:steps=4,peak_lr=1,warmup=8").peak
        1.0
        """
        return max(self.set_peak, float(self.per_step().max()))


@dataclass(frozen=True)
class ScheduleTable:
    """Schedules read from a CSV: the logged steps and learning rates of each, by name ('' if the file has only one).

    `key`: the column that names them ('schedule' or 'run'; '' for a file with one).
    """

    path: str
    key: str
    rows: Mapping[str, tuple[NDArray[np.int64], Floats]]

    def schedule(self, name: str = "", warmup: int | None = None) -> Schedule:
        """The schedule of that name; InputError if there is none, or if its first steps are not known."""
        if name not in self.rows:
            near = difflib.get_close_matches(name, self.rows, n=3, cutoff=0.3) or list(self.rows)[:5]
            todo = f"choose one with #NAME: {listed(near, 5, count=len(self.rows))}"
            raise InputError(f"there is no {self.key or 'schedule'} '{name}'", where=self.path, todo=todo)
        lr, how = per_step_lr(*self.rows[name], warmup=warmup, where=self.path)
        how = how if "interpolated" in how or "given" in how else ""
        text = f"csv:{self.path}#{name}" if name else f"csv:{self.path}"
        at, end = np.arange(lr.size), warmup_end(lr, warmup)
        return Schedule(text, lr.size - 1, end, lambda step: np.interp(np.asarray(step, float), at, lr), how)


def parse_schedule(text: str, *, warmup: int | None = None) -> Schedule:
    """Read a schedule from its text form.

    `KIND:key=value,…` with KIND one of constant, linear, cosine, wsd, inverse_sqrt, multi_step, cyclic, piecewise, and
    as keys the arguments of the function of that name in `scalefit.schedules.shapes`; `steps` is always needed, except
    for piecewise, and may be written as 20k. Rates and steps may be shares of the peak and of the run: `final=10%`.
    Lists are written with slashes: `multi_step:peak_lr=3e-4,steps=16000,at=8000/12000,factor=0.3`. `csv:PATH` (or a
    path that ends in .csv, .csv.gz or .tsv) reads the columns step and lr; if the file has several schedules,
    `csv:PATH#NAME` chooses one by its column schedule or run. `warmup` completes a CSV whose first row is later than
    step 1. Keys may be named as trainers do: max_lr, min_lr, warmup_steps, total_steps. Raises InputError that names
    the part that is wrong and what to write.

    >>> parse_schedule("cosine:steps=60000,peak_lr=3e-4,warmup=1e3,final=3e-5").text
    'cosine:peak_lr=0.0003,steps=60000,warmup=1000,final=3e-05'
    >>> parse_schedule("constant:steps=20k,peak_lr=1e-3").steps
    20000
    >>> parse_schedule("cosin:steps=10")
    Traceback (most recent call last):
    ...
    scalefit.errors.InputError: schedule 'cosin:steps=10': unknown schedule 'cosin'; did you mean cosine?
    """
    if is_schedule_file(text):
        path, _, row = text.strip().removeprefix("csv:").partition("#")
        return read_schedule_table(path).schedule(row, warmup)
    name, _, rest = text.strip().partition(":")
    where = f"schedule '{text}'"
    shape = SHAPES.get(name.strip().lower().replace("-", "_"))
    if shape is None:
        near = difflib.get_close_matches(name, SHAPES, n=1)
        todo = f"did you mean {near[0]}?" if near else f"use one of {', '.join(SHAPES)}, or csv:PATH"
        raise InputError(f"unknown schedule '{name}'", where=where, todo=todo)
    return _build(shape, values_of(rest, shape, where), where)


def is_schedule_file(text: str) -> bool:
    """Whether the text of a schedule names a file: `csv:PATH`, or a path that ends in .csv or .tsv (also .gz)."""
    path = text.strip().partition("#")[0]
    return path.startswith("csv:") or path.endswith((".csv", ".csv.gz", ".tsv", ".tsv.gz"))


def read_schedule_table(path: str) -> ScheduleTable:
    """Read a CSV (or TSV, also gzipped) with the columns step and lr, and schedule or run if it has several schedules.

    Names that logs give these columns (iter, learning_rate, run_name) are understood. Raises InputError if the file or
    a column is missing, or if a step or learning rate is not a number.
    """
    import pandas as pd  # only a schedule from a file needs it

    wanted = "give a CSV with the columns step and lr"
    if not Path(path).is_file():
        raise InputError("there is no such schedule file", where=path, todo=wanted)
    try:
        frame = pd.read_csv(path, sep="\t" if ".tsv" in path else ",")
    except (ValueError, EOFError, OSError, zlib.error) as error:
        raise InputError(f"the file cannot be read as a table ({error})", where=path, todo=wanted) from error
    given = ", ".join(map(str, frame.columns))
    frame = frame.rename(columns=schedule_names(map(str, frame.columns), path))
    if not {"step", "lr"} <= set(frame.columns):
        what = f"a schedule file needs the columns step and lr; it has {given}"
        raise InputError(what, where=path, todo="rename its columns")
    if not frame.size:
        raise InputError("the schedule file has no rows", where=path, todo="give a row for each step")
    keys = [name for name in ("schedule", "run") if name in frame.columns]
    if len(keys) > 1:
        raise InputError("the columns schedule and run could both name the schedules", where=path, todo="remove one")
    for column in ("step", "lr"):
        cells = frame[column].map(lambda cell: np.inf if isinstance(cell, int) and abs(cell) > LARGEST else cell)
        numbers = pd.to_numeric(cells, errors="coerce").to_numpy(dtype=float)
        bad = ~((numbers >= 0) & (numbers <= LARGEST))
        if bad.any():
            row = int(np.argmax(bad))
            where = f"{path}, row {row + 2}, column {column}"
            what = f"'{frame[column].iloc[row]}' is not a number from 0 to 2^53"
            raise InputError(what, where=where, todo="correct or remove the row")
    groups = frame.groupby(keys[0], sort=False) if keys else [("", frame)]
    return ScheduleTable(path, keys[0] if keys else "", {str(name): _rows(part, path) for name, part in groups})


def _rows(frame: pd.DataFrame, path: str) -> tuple[NDArray[np.int64], Floats]:
    steps = frame["step"].to_numpy(dtype=np.float64).round().astype(np.int64)
    repeated = np.flatnonzero(np.diff(steps) <= 0)
    if repeated.size:
        what = f"step {steps[repeated[0] + 1]} does not come after step {steps[repeated[0]]}"
        where = f"{path}, row {int(frame.index[repeated[0] + 1]) + 2}, column step"
        todo = "sort the rows by step; name several schedules by a column schedule or run"
        raise InputError(what, where=where, todo=todo)
    return steps, frame["lr"].to_numpy(dtype=np.float64, copy=True)


def _build(shape: Callable[..., Floats], values: dict[str, object], where: str) -> Schedule:
    signature = inspect.signature(shape).parameters
    needed = [key for key, p in signature.items() if p.default is inspect.Parameter.empty and key != "step"]
    at = values.get("at")
    if shape.__name__ == "piecewise" and isinstance(at, tuple):
        values = {"steps": int(at[-1]), **values}
    missing = [key for key in dict.fromkeys([*needed, "steps"]) if key not in values]
    if missing:
        raise InputError(f"missing key '{missing[0]}'", where=where, todo=f"add {missing[0]}=…")
    arguments = {key: value for key, value in values.items() if key in signature}
    steps = values["steps"]
    assert isinstance(steps, int)
    refuse_too_long(steps, where)

    def evaluate(step: ArrayLike) -> Floats:
        return shape(step, **arguments)

    try:
        head = evaluate(np.arange(min(steps, 2) + 1))
    except InputError as error:
        raise InputError(error.what, where=where, todo=error.todo) from error
    warmup = values.get("warmup", 0)
    end = warmup if isinstance(warmup, int) and "warmup" in signature else 0
    if "warmup" not in signature or (end == 0 and head.size > 1 and head[1] > head[0]):
        end = warmup_end(evaluate(np.arange(steps + 1)))
    text = ",".join(f"{key}={_written(value)}" for key, value in values.items())
    peak = values.get("peak_lr", 0.0)
    assert isinstance(peak, float)
    return Schedule(f"{shape.__name__}:{text}", steps, end, evaluate, set_peak=peak)


def _written(value: object) -> str:
    if isinstance(value, tuple):
        return "/".join(_written(item) for item in value)
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)
