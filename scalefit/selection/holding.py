"""What is held out: the same rows for every candidate, beyond growing scales and along whatever the target extends."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scalefit.laws import Law
from scalefit.numerics import FloatArray
from scalefit.rows.rows import Rows
from scalefit.runs import Runs

CUTS = (0.4, 0.55, 0.7, 0.85)  #: quantiles of a scale beyond which rows are held out
FALLS = "nats/token"  #: unit of variables that fall as runs grow: losses
DATA = ("D", "tokens", "step")  #: the amount of training, by the first column that is known
FEWEST_RUNS = 3  #: curves that a back-test needs
SAME = 1e-6  #: difference of logarithms below which two scales are one
NEXT = "all but the largest rows by training"  #: label of the fold on which laws of many constants are judged


@dataclass(frozen=True)
class Axis:
    """A scale along which runs are held out: the product of columns to some power, one number a row."""

    name: str
    powers: Mapping[str, float]

    def of(self, rows: Rows, runs: Runs) -> FloatArray:
        """The logarithm of the scale, (n,); NaN where a column is not known."""
        total = np.zeros(len(rows))
        with np.errstate(all="ignore"):
            for column, power in self.powers.items():
                total += power * np.log(column_of(rows, runs, column))
        return total


@dataclass(frozen=True)
class Fold:
    """Rows beyond a value of an axis, or all rows of some runs."""

    label: str
    axis: Axis | None = None
    above: float = 0.0
    names: frozenset[str] = frozenset()

    def held(self, rows: Rows, runs: Runs) -> NDArray[np.bool_]:
        """Which rows are held out, (n,)."""
        if self.axis is None:
            return np.isin(rows.frame["run"].astype(str).to_numpy(), list(self.names))
        return self.axis.of(rows, runs) > self.above


def column_of(rows: Rows, runs: Runs, column: str) -> FloatArray:
    """A column of run logs for each row, (n,), whether or not the law reads it; NaN where it is not known."""
    frame = runs.curves if rows.in_curves and runs.curves is not None else runs.table
    name = "tokens" if column == "D" and rows.in_curves and "tokens" in frame.columns else column
    if name in frame.columns:
        return np.asarray(frame[name].to_numpy(dtype=np.float64)[rows.positions])
    if column not in runs.table.columns:
        return np.full(len(rows), np.nan)
    by_run = runs.table.drop_duplicates("run").set_index(runs.table["run"].astype(str).drop_duplicates())[column]
    return np.asarray(by_run.reindex(rows.frame["run"].astype(str)).to_numpy(dtype=np.float64))


def axes_for(laws: Iterable[Law], rows: Rows, runs: Runs, target: Mapping[str, float]) -> list[Axis]:
    """The scales to walk along: that of training, and each variable that the target takes beyond these rows.

    Training is size times data, or whichever of them varies, or compute; where none of these is known, the product of
    what the laws read, in which losses count downwards.
    """
    read = {column: law.variables[name] for law in laws for name, column in law.columns.items()}
    known = {column: column_of(rows, runs, column) for column in dict.fromkeys([*read, "N", *DATA, "C"])}
    varies = {c for c, v in known.items() if np.isfinite(v).all() and (v > 0).all() and np.ptp(v) > 0}
    data = next((column for column in DATA if column in varies), None)
    parts = [column for column in ("N", data) if column in varies]
    parts = parts or [column for column in ("C",) if column in varies]
    powers = dict.fromkeys(map(str, parts), 1.0)
    if not powers:
        powers = {c: -1.0 if read[c].unit == FALLS else 1.0 for c in varies if c in read}
    found = [Axis("training" if parts else " x ".join(powers), powers)] if powers else []
    for column, value in target.items():
        if column not in varies or powers.keys() == {column}:
            continue
        if value > known[column].max():
            found.append(Axis(column, {column: 1.0}))
        elif value < known[column].min():
            found.append(Axis(f"lower {column}", {column: -1.0}))
    return found


def beyond_scales(axes: Sequence[Axis], rows: Rows, runs: Runs) -> list[Fold]:
    """The rows beyond growing values of each axis, and the largest of the first axis alone (NEXT).

    Folds that hold out the same rows are one, so that nothing counts twice.
    """
    found: dict[bytes, Fold] = {}
    for axis in axes:
        scale = axis.of(rows, runs)
        for cut in np.quantile(scale, CUTS):
            held = scale > cut + 1e-9
            if held.any():
                label = f"smallest {int((~held).sum())} rows by {axis.name}"
                found.setdefault(held.tobytes(), Fold(label, axis, float(cut) + 1e-9))
    if found:
        scale = axes[0].of(rows, runs)
        above = float(scale.max()) - SAME
        found.setdefault((scale > above).tobytes(), Fold(NEXT, axes[0], above))
    return list(found.values())


def left_out_runs(rows: Rows) -> list[Fold]:
    """Curves: each run in turn, and all that are longer than some, where there are three or more."""
    names, step = rows.frame["run"].astype(str).to_numpy(), rows.frame["step"].to_numpy()
    last = {run: int(step[names == run].max()) for run in dict.fromkeys(names)}
    if len(last) < FEWEST_RUNS:
        return []
    found = [Fold(f"without {run}", names=frozenset([run])) for run in last]
    for length in sorted(set(last.values()))[1:-1]:
        longer = frozenset(run for run, steps in last.items() if steps > length)
        found.append(Fold(f"without runs of more than {length} steps", names=longer))
    return found
