"""From run logs to sweeps: for each arm (sp, mup, ...) and size, the final losses over a grid of learning rates.

Only what a sweep varies on purpose may vary: the learning rate, the size, the seed, the arm. Anything else that differs
between the runs of one size is refused by name; what differs between sizes is told.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from scalefit.errors import InputError
from scalefit.runs import Runs, read_runs
from scalefit.runs.matching import canonical
from scalefit.stability.diverged import cliff

SIZES = ("d_model", "N", "n_layer", "batch", "D")  #: what an optimum may drift over, the most likely first
#: what every answer names, where the log has it
SETTINGS = ("batch", "schedule", "warmup", "weight_decay", "optimizer", "steps", "D", "n_layer", "seq_len", "vocab")
FOLLOW = {"N", "N_total", "C", "D", "steps", "n_head", "d_head", "d_ff", "loss_floor"}  #: may follow from the size
MEASURED = (
    "loss", "attention_logit", "output_logit", "rms_", "grad_norm", "sharpness", "noise_", "wall", "time",
    "seconds", "status", "diverged", "source", "step", "tokens", "val_", "train_", "lr", "peak_lr", "run", "seed",
)  # fmt: skip
INITIAL = ("initial_loss", "loss_initial", "init_loss")


@dataclass(frozen=True, eq=False)
class Sweeps:
    """Losses over learning rate, by arm and size, and what all the runs share."""

    over: str  #: the column that holds the size
    arms: str  #: the column that holds the arm, "" for one arm
    points: pd.DataFrame  #: arm, size, lr, seed, loss (NaN: diverged)
    settings: dict[str, str]  #: batch, schedule, ... in words
    notes: tuple[str, ...]
    initial_loss: float  #: NaN where it is not known

    @property
    def names(self) -> list[str]:
        """The arms, in the order of the file."""
        return [str(arm) for arm in self.points["arm"].unique()]

    def sizes(self, arm: str) -> list[float]:
        """The sizes of an arm, rising."""
        return sorted(float(size) for size in self.points.loc[self.points["arm"] == arm, "size"].unique())

    def cell(self, arm: str, size: float) -> pd.DataFrame:
        """The runs of one arm and size, by rising learning rate."""
        rows = self.points[(self.points["arm"] == arm) & (self.points["size"] == size)]
        return rows.sort_values("lr", kind="stable")

    def below(self, size: float) -> Sweeps:
        """The same sweeps without the sizes from ``size`` on."""
        kept = self.points[self.points["size"] < size]
        return Sweeps(self.over, self.arms, kept, self.settings, self.notes, self.initial_loss)


def read_sweeps(
    runs: Runs | pd.DataFrame, over: str | None = None, arms: str | None = None, initial_loss: float | None = None
) -> Sweeps:
    """The sweeps in run logs.

    ``over``: the column of the size (default: the first of d_model, N, n_layer, batch, D that varies); ``arms``: the
    column whose values are compared side by side (default: parametrization, where there is one); ``initial_loss``:
    the loss before training (default: a column initial_loss, else ln(vocab)); a run that ends above it, or jumps
    to it, has diverged. Where it is not known, runs beyond a cliff have. Raises InputError for a missing column, and
    where settings are mixed.

    >>> grid = [(width, lr, (np.log2(lr * width) + 1) ** 2 + 2) for width in (64, 128) for lr in (0.004, 0.008, 0.016)]
    >>> sweeps = read_sweeps(pd.DataFrame(grid, columns=["width", "lr", "loss"]))
    >>> sweeps.over, sweeps.names, sweeps.sizes("all")
    ('d_model', ['all'], [64.0, 128.0])
    """
    table = (runs if isinstance(runs, Runs) else read_runs(runs, need=())).table
    rates = _rates(runs, table)
    if "loss" not in table.columns:
        raise InputError("there is no column loss", todo=f"write --map loss=COLUMN; {columns_of(table)}")
    arms = arms if arms is not None else "parametrization" if "parametrization" in table.columns else ""
    over, arms = (column_named(table, name) if name else name for name in (over, arms))
    over = over or _size_column(table, rates, arms or "")
    refuse_unusable(table, {"lr": rates, over: table[over]})
    arm = table[arms].astype(str) if arms else pd.Series("all", index=table.index)
    cell = arm + " " + table[over].astype(str)
    refuse_mixed(table, cell, {over, arms or ""})
    points = pd.DataFrame(
        {
            "arm": arm,
            "size": table[over].astype(float),
            "lr": rates,
            "seed": table["seed"].astype(str) if "seed" in table.columns else "",
            "loss": table["loss"].astype(float).where(~_diverged(table)),
        }
    )
    _refuse_repeated(points, table)
    known = initial_loss if initial_loss is not None else _initial(table)
    points, lost = _without_diverged(points, known)
    notes = (*lost, *_moving(table, over, arm))
    return Sweeps(over, arms or "", points, _settings(table, over), notes, known)


def _rates(runs: Runs | pd.DataFrame, table: pd.DataFrame) -> pd.Series:
    """The peak learning rate of each run."""
    if "peak_lr" in table.columns and table["peak_lr"].notna().all():
        return table["peak_lr"].astype(float)
    if isinstance(runs, Runs) and runs.curves is not None and "lr" in runs.curves.columns:
        peaks = runs.curves.groupby("run", observed=True)["lr"].max()
        return pd.Series(peaks.reindex(table["run"].astype(str)).to_numpy(float), index=table.index)
    if "lr" not in table.columns:
        raise InputError("there is no learning rate", todo=f"write --map lr=COLUMN; {columns_of(table)}")
    return table["lr"].astype(float)


def column_named(table: pd.DataFrame, name: str) -> str:
    """A column by its name, or by one under which the glossary knows it: ``width`` is read as ``d_model``."""
    if name in table.columns:
        return name
    known = canonical(name)
    if known not in table.columns:
        raise InputError(f'no column "{name}"', todo=columns_of(table))
    return known


def columns_of(table: pd.DataFrame) -> str:
    """The columns of a table in words, without those that the reading made."""
    made = {"run", "peak_lr"}
    return f"columns: {', '.join(str(name) for name in table.columns if name not in made)}"


def refuse_unusable(table: pd.DataFrame, columns: dict[str, pd.Series]) -> None:
    """Raise where a learning rate or a size is missing or not above zero."""
    for name, column in columns.items():
        values = pd.to_numeric(column, errors="coerce")
        bad = ~(values > 0)
        if bad.all():
            raise InputError(f"{name} holds no number above 0", todo=f"choose another column; {columns_of(table)}")
        if bad.any():
            raise InputError(
                f"{name} is {column[bad].iloc[0]}, not a number above 0, in {int(bad.sum())} of {len(bad)} runs",
                where=f"row {bad.idxmax()}",
                todo=f'correct it, or leave it out with --where "{name} > 0"',
            )


def _without_diverged(points: pd.DataFrame, initial: float) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The points with a loss of NaN for every diverged run, and a note for each way in which it shows.

    A loss back at or above the initial one is a diverged run; where that is not known, one beyond a cliff is.
    """
    count = len(points)
    marked = int(points["loss"].isna().sum())
    lost, (lr, loss) = np.zeros(count, dtype=bool), points[["lr", "loss"]].to_numpy(float).T
    for rows in points.groupby(["arm", "size"]).indices.values():
        lost[rows] = cliff(lr[rows], loss[rows], initial)
    if np.isfinite(initial):
        lost &= loss >= initial
        why = f"back at or above the initial loss, {initial:.4g}: they count as diverged"
    else:
        why = "far above the losses beside, after a jump: they count as diverged (--initial-loss would tell)"
    notes = [f"{marked} of {count} runs have no finite loss or are marked as diverged: they count as diverged"]
    notes = notes * (marked > 0) + [f"{int(lost.sum())} of {count} runs are {why}"] * bool(lost.any())
    return points.assign(loss=np.where(lost, np.nan, loss)), tuple(notes)


def _size_column(table: pd.DataFrame, rates: pd.Series, arms: str) -> str:
    varying = [name for name in SIZES if name in table.columns and name != arms and table[name].nunique() > 1]
    if "n_layer" in varying and "d_model" in table.columns and "d_model" not in varying:
        return "n_layer"  # the width is held: N follows from the depth
    if varying:
        return varying[0]
    for name in SIZES:
        if name in table.columns and name != arms:
            return name
    raise InputError(
        f"no column of size ({', '.join(SIZES)}) beside {rates.nunique()} learning rates",
        todo=f"write --map d_model=COLUMN, or --over COLUMN; {columns_of(table)}",
    )


def _diverged(table: pd.DataFrame) -> pd.Series:
    """Runs without a finite loss, or that a column says have diverged."""
    lost = ~table["loss"].astype(float).abs().lt(np.inf)
    if "diverged" in table.columns:
        lost |= table["diverged"].astype(str).str.lower().isin(["true", "1", "1.0", "yes"])
    if "status" in table.columns:
        lost |= table["status"].astype(str).str.lower().eq("diverged")
    return lost


def _is_setting(name: str, column: pd.Series) -> bool:
    """Whether a column holds what was set, not what was measured."""
    if name in SETTINGS or name in ("parametrization", "d_model"):
        return True
    if name.lower().startswith(MEASURED):
        return False
    few = column.nunique(dropna=False) <= max(2, len(column) // 4)
    return few or not pd.api.types.is_numeric_dtype(column.dtype)


def refuse_mixed(table: pd.DataFrame, cell: pd.Series, meant: set[str], arms: bool = True) -> None:
    """Raise where runs of one arm and size differ in a setting. ``arms``: whether arms may be compared instead."""
    mixed = {}
    for name in map(str, table.columns):
        if name not in meant and _is_setting(name, table[name]):
            most = table[name].astype(str).groupby(cell).nunique().max()
            if most > 1:
                mixed[name] = _in_order(table[name])
    if not mixed:
        return
    said = "; ".join(f"{name}: {_listed(values)}" for name, values in mixed.items())
    first, values = next(iter(mixed.items()))
    chosen = repr(values[0]) if values else "VALUE"
    raise InputError(
        f"runs of one size differ in more than the learning rate and the seed ({said})",
        todo=f'select one setting, such as --where "{first} == {chosen}"'
        + (f", or compare with --over or --arms {first}" if arms else ""),
    )


def _in_order(column: pd.Series) -> list[object]:
    """The distinct values, numbers by size before words by spelling."""
    values = column.dropna().unique().tolist()
    return sorted(values, key=lambda value: (isinstance(value, str), value))


def _listed(values: list[object]) -> str:
    shown = [f"{value:.6g}" if isinstance(value, float) else str(value) for value in values[:4]]
    return ", ".join(shown) + (f", … ({len(values)} values)" if len(values) > 4 else "")


def _refuse_repeated(points: pd.DataFrame, table: pd.DataFrame) -> None:
    """Raise where one seed has two losses at a learning rate; without seeds, repeats are taken for seeds."""
    if "seed" in table.columns and points.duplicated(["arm", "size", "lr", "seed"]).any():
        row = points[points.duplicated(["arm", "size", "lr", "seed"], keep=False)].iloc[0]
        raise InputError(
            f"several runs have size {row['size']:g}, learning rate {row['lr']:g} and seed {row['seed']}",
            todo="select one of them with --where",
        )


def _initial(table: pd.DataFrame) -> float:
    for name in INITIAL:
        if name in table.columns:
            return float(table[name].astype(float).mean())
    return float(np.log(table["vocab"].astype(float).iloc[0])) if "vocab" in table.columns else float("nan")


def _settings(table: pd.DataFrame, over: str) -> dict[str, str]:
    """What the runs share, in words; "not in the log" for what an answer must name."""
    found = {}
    for name in SETTINGS:
        if name == over:
            continue
        if name in table.columns:
            found[name] = _listed(_in_order(table[name]))
        elif name in SETTINGS[:5]:
            found[name] = "not in the log"
    return found


def _moving(table: pd.DataFrame, over: str, arm: pd.Series) -> tuple[str, ...]:
    """Settings that differ between the sizes: their effect cannot be told from that of the size."""
    notes = []
    for name in map(str, table.columns):
        if name in (over, arm.name) or name in FOLLOW or not _is_setting(name, table[name]):
            continue
        if name not in SETTINGS[:5] and name in ("parametrization",):
            continue
        if table[name].astype(str).nunique() > 1:
            notes.append(f"{name} moves with {over} ({_listed(table[name].unique().tolist())}): one effect or two?")
    return tuple(notes)
