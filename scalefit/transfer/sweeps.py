"""From run logs to sweeps: for each arm (sp, mup, ...) and size, the final losses over a grid of learning rates.

Only what a sweep varies on purpose may vary: the learning rate, the size, the seed, the arm. Any other column that
differs between the runs of one size is refused by name; what differs between sizes becomes a note.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd

from scalefit.errors import InputError, all_of
from scalefit.runs import Runs, runs_of
from scalefit.runs.cliff import lost
from scalefit.runs.final import cells_of, diverged, final_losses, finished, peaks_along
from scalefit.runs.matching import canonical
from scalefit.runs.settings import following, growing, is_rate, moving, passed_over, refuse_mixed, shared
from scalefit.transfer.grid import snapped

SIZES = ("d_model", "N", "n_layer", "batch", "D")  #: what an optimum may drift over, the most usual first
IMPLIED = {"d_model": {"N"}, "n_layer": {"N"}, "batch": {"D", "steps"}, "D": {"steps"}}  #: what a size brings with it
AXES = (*SIZES, "steps")
ALONG = 1.1  #: the factor above which another size counts as changing
ADDED = {"run", "run_in_file", "peak_lr", "source"}  #: columns that reading adds
INITIAL = ("initial_loss", "loss_initial", "init_loss")


@dataclass(frozen=True, eq=False)
class Sweeps:
    """Losses over learning rate, by arm and size, and what all the runs share."""

    over: str  #: the column that holds the size
    arms: str  #: the column that holds the arm, "" for one arm
    points: pd.DataFrame  #: arm, size, lr, seed, loss (NaN: diverged), and the other columns of a size in the log
    settings: dict[str, str]  #: batch, schedule, ... in words
    notes: tuple[str, ...]
    initial_loss: float  #: NaN where not known
    doubts: tuple[str, ...] = ()  #: those of the notes that tell of effects which cannot be separated

    @property
    def names(self) -> list[str]:
        """The arms, in the order of the file."""
        return [str(arm) for arm in self.points["arm"].unique()]

    def sizes(self, arm: str) -> list[float]:
        """The sizes of an arm, rising."""
        return sorted(float(size) for size in self.points.loc[self.points["arm"] == arm, "size"].unique())

    def along(self, arm: str) -> dict[str, list[float]]:
        """Other sizes that change from one size of an arm to another, with their values: of a drift over several sizes
        it cannot be told which of them causes it. What a size brings with it does not count: N with the width alone.
        """
        means = self.points[self.points["arm"] == arm].groupby("size").mean(numeric_only=True)
        means[self.over] = means.index
        names = [name for name in AXES if name in means and name not in {self.over} | self._implied(means)]
        found = {name: means[name].tolist() for name in names if _changes(means[name])}
        return {name: each for name, each in found.items() if not (name == "N" and {"d_model", "n_layer"} & set(found))}

    def _implied(self, means: pd.DataFrame) -> set[str]:
        """The columns that follow from the size: steps from tokens; of N the width or the depth, unless both change."""
        implied = IMPLIED.get(self.over, set()) | ({"steps"} if "D" in means else set())
        depth = means["n_layer"] if "n_layer" in means else means[self.over] ** 0
        width = means["d_model"] if "d_model" in means else means[self.over] / depth
        one = self.over == "N" and not (_changes(width) and _changes(depth))
        return implied | ({"d_model", "n_layer"} if one else set())

    def cell(self, arm: str, size: float) -> pd.DataFrame:
        """The runs of one arm and size, by rising learning rate."""
        rows = self.points[(self.points["arm"] == arm) & (self.points["size"] == size)]
        return rows.sort_values("lr", kind="stable")

    def below(self, size: float) -> Sweeps:
        """The same sweeps without the sizes from ``size`` on."""
        kept = self.points[self.points["size"] < size]
        return replace(self, points=kept)


def _numbers(column: pd.Series) -> pd.Series:
    return pd.to_numeric(column, errors="coerce").astype(float)


def read_sweeps(
    runs: Runs | pd.DataFrame,
    over: str | None = None,
    arms: str | None = None,
    initial_loss: float | None = None,
    ignore: Sequence[str] = (),
) -> Sweeps:
    """The sweeps in run logs.

    ``over``: the column of the size (default: the first of d_model, N, n_layer, batch, D that varies); ``arms``: the
    column whose values are compared side by side (default: parametrization, where there is one); ``initial_loss``:
    the loss before training (default: a column initial_loss, else ln(vocab)); a run that ends above it, or jumps
    to it, has diverged. Where it is not known, runs beyond a cliff have. ``ignore``: columns that may differ because
    they do not matter. Runs that crashed, or stop before the others, are left out and noted. Raises InputError for a
    missing column, an initial loss below every loss, and where settings are mixed.

    >>> grid = [(width, lr, (np.log2(lr * width) + 1) ** 2 + 2) for width in (64, 128) for lr in (0.004, 0.008, 0.016)]
    >>> sweeps = read_sweeps(pd.DataFrame(grid, columns=["width", "lr", "loss"]))
    >>> sweeps.over, sweeps.names, sweeps.sizes("all")
    ('d_model', ['all'], [64.0, 128.0])
    """
    known = runs_of(runs)
    if "loss" not in known.table.columns:
        raise InputError("there is no column loss", todo=f"write --map loss=COLUMN; {columns_of(known.table)}")
    held_out, which = final_losses(known)
    named = [known.column(name) for name in (*ignore, over, arms) if name]
    all_of(partial(column_named, held_out), named)
    ignored = [known.column(name) for name in ignore]
    table = without(held_out.assign(_lr=snapped(peak_rates(known, known.table).to_numpy(float))), ignored)
    arms = arms if arms is not None else "parametrization" if "parametrization" in table.columns else ""
    over, arms = (column_named(table, known.column(name)) if name else name for name in (over, arms))
    over = over or _size_column(table, table["_lr"], arms or "")
    refuse_unusable(table, {"lr": table["_lr"], over: table[over]})
    _refuse_zero(table)
    table, unfinished = finished(table, over, arms or "", curves=known.curves is not None)
    rates = table.pop("_lr")
    arm, cell = cells_of(table, over, arms or "")
    meant = {over, arms or ""}
    refuse_mixed(table, cell, meant, rates)
    points = pd.DataFrame(
        {
            "arm": arm,
            "size": table[over].astype(float),
            "lr": rates,
            "seed": table["seed"].astype(str) if "seed" in table.columns else "",
            "loss": table["loss"].astype(float).where(~diverged(table)),
            **{name: _numbers(table[name]) for name in AXES if name in table and name != over},
        }
    )
    repeated = points[points.duplicated(["arm", "size", "lr", "seed"], keep=False)]
    if "seed" in table.columns and len(repeated):  # without seeds, repeats count as seeds
        row = repeated.iloc[0]
        one = f"size {row['size']:g}, learning rate {row['lr']:g} and seed {row['seed']}"
        raise InputError(f"several runs have {one}", todo="select one of them with --where")
    least = float(table["loss"].astype(float).min())
    if initial_loss is not None and not initial_loss > least:
        why = f"an initial loss of {initial_loss:g} lies below every loss (the smallest is {least:g})"
        raise InputError(why, todo="give the loss of the untrained model, ln(vocabulary)")
    start = initial_loss_of(table) if initial_loss is None else initial_loss
    points = points.sort_values(["arm", "size", "lr", "seed", "loss"], kind="stable")  # one answer in any order
    points, without_loss = _without_diverged(points, start)
    settings = table.drop(columns=_rates(table, cell, rates, meant))
    mixed = (*moving(settings, over, arms or ""), *following(table, cell, meant, rates))
    notes = (*which, *unfinished, *without_loss, *mixed, *growing(settings, over), *passed_over(table, meant))
    return Sweeps(over, arms or "", points, shared(table, over), notes, start, mixed)


def _changes(values: pd.Series) -> bool:
    return bool(values.max() > ALONG * values.min())


def _rates(table: pd.DataFrame, cell: pd.Series, lr: pd.Series, meant: set[str]) -> list[str]:
    return [str(name) for name in table.columns if name not in meant and is_rate(table[name], cell, lr)]


def without(table: pd.DataFrame, ignore: Sequence[str]) -> pd.DataFrame:
    """The table without the columns ``ignore``. Raises InputError for one that is missing."""
    named = [column_named(table, name) for name in ignore]
    if "_lr" in named:
        raise InputError('no column "_lr"', where="--ignore", todo="name a column of the log")
    if "loss" in named:
        todo = "name columns of settings; --map loss=COLUMN compares another loss"
        raise InputError("the loss is what is compared", where="--ignore", todo=todo)
    return table.drop(columns=named)


def peak_rates(runs: Runs, table: pd.DataFrame) -> pd.Series:
    """The peak learning rate of each run."""
    if "peak_lr" in table.columns and table["peak_lr"].notna().all():
        return table["peak_lr"].astype(float)
    if runs.curves is not None and "lr" in runs.curves.columns:
        return peaks_along(runs.curves, table)
    if "lr" not in table.columns:
        raise InputError("no learning rate in the log", todo=f"write --map lr=COLUMN; {columns_of(table)}")
    return table["lr"].astype(float)


def column_named(table: pd.DataFrame, name: str) -> str:
    """A column by its own name, or by another name that the glossary knows: ``width`` is read as ``d_model``."""
    known = name if name in table.columns else canonical(name)
    known = "D" if known == "tokens" and "tokens" not in table.columns else known  # of a whole run
    if known not in table.columns:
        raise InputError(f'no column "{name}"', todo=columns_of(table))
    return known


def columns_of(table: pd.DataFrame) -> str:
    """The columns of a table as text, without those that reading added."""
    names = [str(name) for name in table.columns if name not in ADDED and not str(name).startswith("_")]
    return f"columns: {', '.join(names)}"


def refuse_unusable(table: pd.DataFrame, columns: dict[str, pd.Series]) -> None:
    """Raise InputError where a learning rate or a size is missing or not above zero."""
    for name, column in columns.items():
        values = pd.to_numeric(column, errors="coerce")
        bad = ~(values > 0)
        if bad.all():
            raise InputError(f"{name} holds no number above 0", todo=f"choose another column; {columns_of(table)}")
        if bad.any():
            why = f"{name} is {column[bad].iloc[0]}, not a number above 0, in {int(bad.sum())} of {len(bad)} runs"
            todo = f'correct it, or leave it out with --where "{name} > 0"'
            raise InputError(why, where=f"row {bad.idxmax()}", todo=todo)


def _refuse_zero(table: pd.DataFrame) -> None:
    """Raise InputError where some losses are exactly 0, which no training ends at but failed runs are logged with."""
    zero = table["loss"].astype(float) == 0
    if zero.any() and not zero.all():
        why = f"loss is 0 in {table['run'].astype(str)[zero].iloc[0]} ({int(zero.sum())} of {len(zero)} runs)"
        raise InputError(why, todo='write nan where a run diverged, or leave such runs out (--where "loss != 0")')


def _without_diverged(points: pd.DataFrame, initial: float) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The points with a loss of NaN for diverged runs, and a note for each way in which it shows.

    For the rule see :func:`scalefit.runs.cliff.lost`. Where the initial loss is known, a diverged run below it keeps
    its loss, as LR sensitivity is defined by it; the optimum and the boundary leave it out by the same rule.
    """
    count, marked = len(points), int(points["loss"].isna().sum())
    cell = points["arm"].astype(str) + " " + points["size"].astype(str)
    lr, loss = points[["lr", "loss"]].to_numpy(float).T
    high = lost(lr, loss, cell.to_numpy(str), initial) & np.isfinite(loss)
    if np.isfinite(initial):
        high &= loss >= initial
        why = f"back at or above the initial loss, {initial:.4g}"
    else:
        why = "far above their neighbours after a jump (give --initial-loss to decide it)"
    no_loss = f"{marked} of {count} runs without a finite loss or marked as diverged: counted as diverged"
    notes = [no_loss] * bool(marked)
    notes += [f"{int(high.sum())} of {count} runs {why}: counted as diverged"] * bool(high.any())
    return points.assign(loss=np.where(high, np.nan, loss)), tuple(notes)


def _size_column(table: pd.DataFrame, rates: pd.Series, arms: str) -> str:
    varying = [name for name in SIZES if name in table.columns and name != arms and table[name].nunique() > 1]
    if "n_layer" in varying and "d_model" in table.columns and "d_model" not in varying:
        return "n_layer"  # the width is constant: N follows from the depth
    known = varying or [name for name in SIZES if name in table.columns and name != arms]
    if not known:
        why = f"no column of size ({', '.join(SIZES)}) beside {rates.nunique()} learning rates"
        raise InputError(why, todo=f"write --map d_model=COLUMN, or --over COLUMN; {columns_of(table)}")
    return known[0]


def initial_loss_of(table: pd.DataFrame) -> float:
    """The loss before training from a column of the table, or ln(vocab); NaN where there is neither."""
    for name in INITIAL:
        if name in table.columns:
            return float(table[name].astype(float).mean())
    return float(np.log(table["vocab"].astype(float).iloc[0])) if "vocab" in table.columns else float("nan")
