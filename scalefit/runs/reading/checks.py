"""What a user should know about the numbers before fitting: nothing is changed here, only noted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scalefit.errors import counted, listed
from scalefit.runs.columns import COLUMNS
from scalefit.runs.final import not_ended
from scalefit.runs.siblings import NONE, lost_runs, stopped, unfinished_by_status
from scalefit.runs.table import Note, Runs, axis_of

SHOWN = 5
EVENLY = 8  #: rows that rise evenly and may be those of one curve
CLOCK, PERCENT = r"\d{1,3}:\d{2}:\d{2}(?:\.\d+)?", r"\d+(?:\.\d+)?\s*%"
LARGEST = 1e14  #: no model has so many parameters: a unit was counted twice
TOO_FEW = 0.02  #: tokens per parameter of runs of one length that are in another unit
MOST_NATS = 14.0  #: no loss per token of a trained model is larger: ln of a vocabulary of a million is 13.8
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
        _above_any_vocabulary(runs.table),
        *(_above_one(runs.table, name) for name in ("accuracy", "error")),
    ]
    found += [_repeated_runs(runs), _repeated_rows(runs), _convention(runs)]
    return replace(runs, notes=(*runs.notes, *(note for note in found if note is not None)))


def _not_finite(frame: pd.DataFrame, curves: bool) -> Note | None:
    if "loss" not in frame.columns:
        return None
    lost = ~np.isfinite(frame["loss"].to_numpy())
    if not curves:  # a run that has not ended has no loss yet
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
    """Sizes that are not positive, larger than any model, or so small that they must be in another unit."""
    sizes = table[name].to_numpy(dtype=float)
    bad = np.flatnonzero(~(sizes > 0))
    if bad.size:
        yield Note(
            "suspect", f"{name} is not above 0 in {counted(bad.size, 'row')}: {_cells(table, name, bad)}", bad.size
        )
    large = np.flatnonzero(sizes > LARGEST)
    if large.size and name in ("N", "N_total"):
        text = f"{name} is larger than any model in {counted(large.size, 'row')}, check the unit in its header"
        yield Note("suspect", f"{text}: {_cells(table, name, large)}", large.size)
    small = sizes[(sizes > 0) & (sizes < LEAST)]
    if small.size and np.nanmedian(sizes) < LEAST and name != "C":
        reach = f"{name} is {np.nanmin(sizes):g} to {np.nanmax(sizes):g}"
        text = f"{reach}, probably counted in millions or billions: write the unit"
        yield Note("suspect", f'{text} into the header, as in "{name} (B)"', small.size)


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


def _above_any_vocabulary(table: pd.DataFrame) -> Note | None:
    """Losses of language models, by their tokens, that are too large for nats per token, as perplexities are."""
    if not {"D", "loss"} <= set(table.columns) or table["loss"].dtype.kind not in "iuf" or len(table) < 2:
        return None
    losses = table["loss"][np.isfinite(table["loss"])]
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


def may_be_a_curve(frame: pd.DataFrame) -> str:
    """What to map where the rows, each read as a run of its own, may be one curve; "" where they are none."""
    name = rises_like_steps(frame)
    shown = f'"{name}"' if " " in name else name
    text = f"'{name}' rises evenly from row to row as steps do, and each row is read as a run of its own: map it if the"
    return f"{text} rows are one curve (--map step={shown})" if name else ""


def rises_like_steps(frame: pd.DataFrame) -> str:
    """A column of no known name that rises evenly from row to row while the loss falls, beside no setting; else "".

    >>> rises_like_steps(pd.DataFrame({"Schritt": range(0, 100, 10), "loss": np.linspace(4, 3, 10)}))
    'Schritt'
    >>> rises_like_steps(pd.DataFrame({"Schritt": range(0, 100, 10), "loss": np.linspace(4, 3, 10), "N": range(10)}))
    ''
    """
    known = [name for name in map(str, frame.columns) if name in COLUMNS and COLUMNS[name].unit and name != "loss"]
    if len(frame) < EVENLY or "run" in frame.columns or any(frame[name].nunique() > 1 for name in known):
        return ""
    for name in map(str, frame.columns):
        values = frame[name] if pd.api.types.is_numeric_dtype(frame[name].dtype) else _progress(frame[name])
        if name in COLUMNS or name.startswith("Unnamed: ") or values is None or values.isna().any():
            continue
        rises = np.diff(values.to_numpy(dtype=float))
        if rises[0] > 0 and np.allclose(rises, rises[0], rtol=0.01) and _falls_with(frame):
            return name
    return ""


def _progress(column: pd.Series) -> pd.Series | None:
    """A column of times such as 00:01:30 in seconds, or of per cent such as 5%; None for any other."""
    texts = column.astype(str).str.strip()
    if texts.str.fullmatch(PERCENT).all():
        return texts.str.rstrip("% ").astype(float)
    if not texts.str.fullmatch(CLOCK).all():
        return None
    return pd.Series(pd.to_timedelta(column.astype(str)).dt.total_seconds(), index=column.index)


def _falls_with(frame: pd.DataFrame) -> bool:
    """Whether the loss, if there is one, is lower in the last quarter of the rows than in the first."""
    if "loss" not in frame.columns or frame["loss"].dtype.kind not in "iuf":
        return False
    part = max(1, len(frame) // 4)
    return bool(frame["loss"].iloc[-part:].median() < frame["loss"].iloc[:part].median())
