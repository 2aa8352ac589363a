"""What a user should know about the numbers before fitting: nothing is changed here, only noted."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scalefit.errors import counted, listed
from scalefit.runs.final import not_ended
from scalefit.runs.siblings import NONE, lost_runs, stopped, unfinished_by_status
from scalefit.runs.table import Note, Runs, axis_of

SHOWN = 5
PREDICTED = re.compile(
    r"(?<![a-z])(?:predict(?:ed|ion)|extrapolat(?:ed|ion)|forecast(?:ed)?|projected)(?![a-z])|[(\[](?:pred|extrap)\.?[)\]]",
    re.IGNORECASE,
)
LARGEST = 1e14  #: no model has so many parameters: a unit was counted twice
TOO_FEW = 0.02  #: tokens per parameter of runs of one length that are in another unit
MOST_NATS = 14.0  #: no loss per token of a trained model is larger: ln of a vocabulary of a million is 13.8
#: how far C may be from 6 N D (embeddings and attention count in small models, experts in large ones), and D from what
#: steps and batch give (the last one may be smaller, a warmup of the batch leaves some out)
AGREE = {"C": (0.02, 50.0), "D": (0.5, 2.0)}
COUNTS_SEQUENCES = 16  #: times steps and batch from which on the batch counts sequences
MOST_PER_PARAMETER = 1e6  #: tokens per parameter; the most that anyone publishes is some 1e4
LEAST_FLOP = 1e6  #: no training takes fewer operations
LEAST = 1000.0  #: fewer parameters or tokens are probably counted in millions or billions

TRAINED = frozenset({"train", "training"})  #: names of splits
JUDGED = frozenset({"val", "valid", "validation", "eval", "evaluation", "test", "dev", "held-out"})


def checked(runs: Runs, declared: Mapping[str, float] = NONE) -> Runs:
    """The same runs with notes on losses that are not finite, runs that stop early, implausible sizes and unknown
    conventions. ``declared``: the steps planned for a run, by run."""
    frame = runs.table if runs.curves is None else runs.curves
    found = [
        _not_finite(frame, runs.curves is not None),
        _lost(runs),
        _mixed_splits(runs),
        *unfinished_by_status(runs),
        *stopped(runs, declared),
    ]
    for name in ("N", "N_total", "D", "C"):
        if name in runs.table.columns:
            found += _sizes(runs.table, name)
    found += [
        _swapped(runs.table),
        *_beside_each_other(runs.table, runs.curves is None),
        _below_zero(runs.table),
        _not_measured(runs.table),
        _above_any_vocabulary(runs),
        *(_above_one(runs.table, name) for name in ("accuracy", "error")),
    ]
    found += [_repeated_runs(runs), _repeated_rows(runs), _convention(runs)]
    return replace(runs, notes=(*runs.notes, *(note for note in found if note is not None)))


def _not_finite(frame: pd.DataFrame, curves: bool) -> Note | None:
    if "loss" not in frame.columns:
        return None
    lost = ~np.isfinite(frame["loss"].to_numpy())
    if not curves and lost.any():  # a run that has not ended has no loss yet
        lost &= ~not_ended(frame, frame["loss"]).to_numpy()
    bad = np.flatnonzero(lost & ~_between_evaluations(frame) if curves and lost.any() else lost)
    if not bad.size:
        return None
    return Note(
        "diverged", f"{counted(bad.size, 'row', 'has', 'have')} no finite loss: {_cells(frame, 'loss', bad)}", bad.size
    )


def _between_evaluations(frame: pd.DataFrame) -> np.ndarray:
    """A mask of the rows between evaluations: those without a loss in runs with a loss on few rows (at least three)."""
    finite = pd.Series(np.isfinite(frame["loss"].to_numpy(dtype=float)), index=frame.index)
    if "step" not in frame.columns or "run" not in frame.columns:
        return np.zeros(len(frame), dtype=bool)
    by_run = finite.groupby(frame["run"], observed=True)
    sparse = (by_run.transform("mean") < 0.5) & (by_run.transform("sum") > 2) & ~frame["run"].isin(lost_runs(frame))
    return np.asarray(~finite & sparse & frame["loss"].isna())


def _lost(runs: Runs) -> Note | None:
    """Runs whose loss is not finite from some row to their end."""
    if runs.curves is None:
        return None
    axis = axis_of(runs.curves)
    told = [f"{run} from {axis} {first:.10g} to {last:.10g}" for run, (first, last) in lost_runs(runs.curves).items()]
    if not told:
        return None
    shown = listed(told, SHOWN, "; ")
    return Note("diverged", f"{counted(len(told), 'run')} diverged, with no finite loss at the end: {shown}", len(told))


def _mixed_splits(runs: Runs) -> Note | None:
    """Runs whose curve holds losses on training data and losses on other data, told apart by the column split alone."""
    if runs.curves is None or not {"split", "loss"} <= set(runs.curves.columns):
        return None
    rows = runs.curves[runs.curves["loss"].notna()]
    words = rows["split"].astype(str).str.strip().str.lower()
    trained, judged = (words.isin(kind).groupby(rows["run"], observed=True).any() for kind in (TRAINED, JUDGED))
    count = int((trained & judged).sum())
    if not count:
        return None
    named = sorted(rows["split"].astype(str).unique())
    todo = f"""choose one of them, such as --where "split == '{named[0]}'\""""
    return Note("suspect", f"losses of {listed(named)} stand in one curve in {counted(count, 'run')}: {todo}", count)


def _sizes(table: pd.DataFrame, name: str) -> Iterator[Note]:
    """Sizes that are not positive, larger than any model, or so small that they must be in another unit.

    Runs that have not ended and have none are left out of what reads final losses anyway.
    """
    sizes = table[name].to_numpy(dtype=float)
    open_ = np.isnan(sizes) & not_ended(table, table["loss"] if "loss" in table.columns else table[name])
    bad = np.flatnonzero(~(sizes > 0) & ~open_)
    if bad.size:
        yield Note(
            "suspect", f"{name} is not above 0 in {counted(bad.size, 'row')}: {_cells(table, name, bad)}", bad.size
        )
    large = np.flatnonzero(sizes > LARGEST)
    if large.size and name in ("N", "N_total"):
        text = f"{name} is larger than any model in {counted(large.size, 'row')}, check the unit in its header"
        yield Note("suspect", f"{text}: {_cells(table, name, large)}", large.size)
    least, unit = (LEAST_FLOP, "1e18") if name == "C" else (LEAST, "B")
    small = sizes[(sizes > 0) & (sizes < least)]
    if small.size and np.nanmedian(sizes) < least:
        reach = f"{name} is {np.nanmin(sizes):g} to {np.nanmax(sizes):g}"
        counted_in = "a larger unit" if name == "C" else "millions or billions"
        text = f"{reach}, probably counted in {counted_in}: write the unit"
        yield Note("suspect", f'{text} into the header, as in "{name} ({unit})"', small.size)


def _swapped(table: pd.DataFrame) -> Note | None:
    """Fewer tokens than parameters in every run of several sizes and lengths, as where the two columns are swapped."""
    if not {"N", "D"} <= set(table.columns):
        return None
    sizes, data = table["N"].to_numpy(dtype=float), table["D"].to_numpy(dtype=float)
    if len(np.unique(sizes)) < 2 or not (sizes > data).all() or np.median(data) < LEAST:
        return None
    if len(np.unique(data)) < 2 and np.max(data / sizes) > TOO_FEW:
        return None
    text = f"D is at most {np.max(data / sizes):.2g} of N: every run saw fewer tokens than it has parameters"
    return Note("suspect", f"{text}; check that N and D are not swapped and have the same unit", len(table))


def _beside_each_other(table: pd.DataFrame, ended: bool) -> Iterator[Note]:
    """Numbers of one run that do not agree: C with 6 N D, D with steps times batch, sizes in several units."""
    known = {
        name: column for name in ("N", "D", "C", "steps", "batch") if (column := _positive(table, name)) is not None
    }
    for name, product in (("C", ("N", "D")), ("D", ("steps", "batch"))):
        if name not in known or not known.keys() >= {*product}:
            continue
        made = known[product[0]] * known[product[1]] * (6.0 if name == "C" else 1.0)
        ratio = known[name] / made
        low, high = AGREE[name]
        if name == "D" and (not ended or ratio.min() > COUNTS_SEQUENCES):  # steps may be those planned
            continue
        off = ~((ratio > low) & (ratio < high)) & np.isfinite(ratio)
        if off.any():
            formula = "6 N D" if name == "C" else "steps times batch"
            reach = " to ".join(dict.fromkeys((f"{ratio[off].min():.2g}", f"{ratio[off].max():.2g}")))
            text = f"{name} is {reach} times {formula} in {counted(int(off.sum()), 'run')}"
            todo = f"check the units of {name}, {' and '.join(product)}"
            yield Note("suspect", f"{text} ({_cells(table, name, np.flatnonzero(off))}); {todo}", int(off.sum()))
    for name in ("N", "D"):
        values = known.get(name, np.zeros(0))
        few = values < LEAST
        if few.any() and np.nanmedian(values) > 1e3 * LEAST:
            text = (
                f"{name} is below {LEAST:g} in {counted(int(few.sum()), 'run')}, and {np.nanmedian(values):.3g} in most"
            )
            shown = _cells(table, name, np.flatnonzero(few))
            yield Note("suspect", f"{text}: check the unit of {shown}", int(few.sum()))
    if known.keys() >= {"N", "D"} and (much := known["D"] / known["N"] > MOST_PER_PARAMETER).any():
        text = f"D is more than {MOST_PER_PARAMETER:g} times N in {counted(int(much.sum()), 'run')}: check both units"
        yield Note("suspect", f"{text} ({_cells(table, 'D', np.flatnonzero(much))})", int(much.sum()))


def _positive(table: pd.DataFrame, name: str) -> NDArray[np.float64] | None:
    """A column of numbers, NaN where they are not above 0; None if there is none."""
    if name not in table.columns or table[name].dtype.kind not in "iuf":
        return None
    values = table[name].to_numpy(dtype=np.float64)
    return np.where(values > 0, values, np.nan)


def _below_zero(table: pd.DataFrame) -> Note | None:
    """Losses below 0 of language models, as their logarithms and log-likelihoods are."""
    if not {"D", "loss"} <= set(table.columns) or table["loss"].dtype.kind not in "iuf":
        return None
    below = np.flatnonzero(table["loss"].to_numpy(dtype=float) < 0)
    text = f"loss is below 0 in {counted(below.size, 'run')}, which no cross-entropy is: {_cells(table, 'loss', below)}"
    return Note("suspect", text, below.size) if below.size else None


def _not_measured(table: pd.DataFrame) -> Note | None:
    """Runs with a loss whose name says that it was predicted."""
    if "loss" not in table.columns:
        return None
    told = [PREDICTED.search(str(run)) is not None for run in table["run"].tolist()]
    named = np.array(told, dtype=bool) & table["loss"].notna()
    shown = listed(table["run"][named].astype(str).unique(), SHOWN)
    text = f"{counted(int(named.sum()), 'run')} may have no measured loss, by their names ({shown}): leave out those"
    return Note("suspect", text, int(named.sum())) if named.any() else None


def _above_any_vocabulary(runs: Runs) -> Note | None:
    """Losses of language models, by their tokens, that are too large for nats per token, as perplexities are.

    Of a curve the lowest counts: one that diverges ends above it.
    """
    table = runs.table
    if not {"D", "loss"} <= set(table.columns) or table["loss"].dtype.kind not in "iuf" or len(table) < 2:
        return None
    losses = table["loss"] if runs.curves is None else runs.curves.groupby("run", observed=True)["loss"].min()
    losses = losses[np.isfinite(losses)]
    if not len(losses) or losses.median() < MOST_NATS:
        return None
    text = f"loss is {losses.min():.4g} to {losses.max():.4g}, and no model loses more than ln(vocabulary) nats a token"
    return Note(
        "suspect", f"{text}: if these are perplexities, call the column ppl; a sum is to be divided", len(losses)
    )


def _above_one(table: pd.DataFrame, name: str) -> Note | None:
    """Shares above one, which are probably per cent."""
    if name not in table.columns or not pd.api.types.is_numeric_dtype(table[name].dtype):
        return None
    most, count = float(table[name].max()), int((table[name] > 1).sum())
    text = f"{name} is up to {most:g}, and a share is at most 1: write per cent into the header, as in '{name} (%)'"
    return Note("suspect", text, count) if count else None


def _repeated_rows(runs: Runs) -> Note | None:
    """Rows of a table of final losses that equal another one in every column, as after a log was joined twice."""
    table = runs.table
    if runs.curves is not None or "loss" not in table.columns or not table["loss"].duplicated().any():
        return None
    told = table.drop(columns=["run"])
    again = (told.duplicated() & table["loss"].notna()).to_numpy() if len(told.columns) > 1 else np.zeros(0, bool)
    if not again.any():
        return None
    rows, count = [f"row {table.index[r]}" for r in np.flatnonzero(again)[:SHOWN]], int(again.sum())
    text = f"{count} rows equal another one in every column, so that its run counts twice: "
    return Note("suspect", f"{text}{listed(rows, SHOWN, '; ', count)}; remove copies", count)


def _repeated_runs(runs: Runs) -> Note | None:
    count = len(runs.table) - len(runs)
    if not count:
        return None
    return Note("suspect", f"{len(runs.table)} rows belong to {len(runs)} runs: some runs have several rows", count)


def _convention(runs: Runs) -> Note | None:
    sources = {binding.name: binding.source for binding in runs.columns}
    if "N" not in runs.table.columns or "N_total" in runs.table.columns:
        return None
    source = sources.get("N", "N")
    if any(word in source.lower() for word in ("nonemb", "non_emb", "non-emb", "without")):
        return None
    return Note("unknown", f"the file does not say whether N ('{source}') counts embeddings")


def _cells(frame: pd.DataFrame, name: str, positions: NDArray[np.intp]) -> str:
    """The first of some cells of a column: run, row and value."""
    cells = []
    for at in positions[:SHOWN].tolist():
        run, row = str(frame["run"].iloc[at]), f"row {frame.index[at]}"
        place = run if run.endswith((row, f"({row})")) else f"{run}, {row}"
        cells.append(f"{place} ({frame[name].iloc[at]:g})")
    return listed(cells, SHOWN, "; ", len(positions))
