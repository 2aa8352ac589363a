"""From a file as it was logged to one canonical table: names of columns, numbers, and whether its rows are curves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from scalefit.errors import InputError, all_of, counted, listed
from scalefit.runs.columns import COLUMNS
from scalefit.runs.conventions import in_nats
from scalefit.runs.formats import RawTable
from scalefit.runs.formats.markers import columns_of_words, markers, value
from scalefit.runs.formats.raw import refuse_clock
from scalefit.runs.formats.scaled_headers import refuse_logarithms
from scalefit.runs.matching import Binding, match
from scalefit.runs.quantities import MISSING, is_quantity, numbers, states_unit
from scalefit.runs.reading import counters
from scalefit.runs.reading.rates import bound_rates, configured, labelled, plausible, sized, training_loss
from scalefit.runs.reading.results import (
    are_final_results,
    logged_evenly,
    names_lengths,
    settings_beside_one_name,
    telling,
    unlogged,
    whole_steps,
)
from scalefit.runs.siblings import without_a_result
from scalefit.runs.table import Note

ONE_RATE = "peak_lr = lr: the table has one row per run"
STRICT = frozenset({"step", "tokens", "loss", "lr", "N", "N_total", "D", "C", "batch"})  #: other text stops the reading
#: Columns that mark, until sparse rows are joined, the rows of curves without a loss, and with a word such as diverged.
NO_LOSS, LOST = "__no_loss", "__lost"


@dataclass
class Tidy:
    """A table that is being read: `axis` is "step" or "tokens" for curves, "" for one row per run."""

    frame: pd.DataFrame
    axis: str
    where: str
    bindings: list[Binding]
    scalars: dict[str, object] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    identified: bool = False
    name: str = ""
    single: bool = False

    def note(self, kind: str, text: str, count: int = 1) -> None:
        """Add a note on something that was done or found."""
        self.notes.append(Note(kind, text, count))


def tidied(raw: RawTable, rename: Mapping[str, str], tell_ties: bool) -> Tidy:
    """A table with canonical names and numbers, and its axis (`naming` gives the runs their names).

    Raises InputError if two columns could be the same canonical one (with `tell_ties` both are kept, with a note), or
    if a cell of a numeric column is not a number.
    """
    where = str(raw.path)
    ties: dict[str, str] = {}
    frame, labels = labelled(raw.frame)
    raw = replace(raw, frame=frame)
    refuse_logarithms(rename, where)
    bindings = match(raw.frame.columns, rename, where, columns_of_words(raw.frame), ties if tell_ties else None)
    bindings = plausible(raw.frame, sized(raw.frame, bindings), where, ties if tell_ties else None)
    refuse_clock(raw, {binding.name for binding in bindings})
    bindings, chosen = bound_rates(raw.frame, bindings)
    tidy = Tidy(raw.frame, "", where, bindings, dict(raw.scalars))
    tidy.identified, tidy.name, tidy.single = raw.identified, raw.name, raw.single
    for kind, text in (("derived", chosen), ("converted", labels), *(("ambiguous", each) for each in ties.values())):
        if text:
            tidy.note(kind, text)
    for remark in raw.remarks:
        tidy.note(remark.kind, f"{where}: {remark.text}", remark.count)
    _name_columns(tidy)
    _read_numbers(tidy)
    _loss_in_nats(tidy)
    _find_axis(tidy)
    if not tidy.axis and (told := training_loss(tidy.frame, bindings, where, tell_ties)):
        tidy.note("ambiguous", told)
    _mark_unlogged(tidy, raw)
    tidy.frame = tidy.frame if tidy.axis else tidy.frame.drop(columns=LOST, errors="ignore")
    return tidy


def _mark_unlogged(tidy: Tidy, raw: RawTable) -> None:
    """Mark the rows without a loss that hold no NaN: in curves for the joining of rows, in results by their status."""
    if raw.nans is None or "loss" not in tidy.frame.columns:
        return
    source = next((binding.source for binding in tidy.bindings if binding.name == "loss"), "loss")
    nans = raw.nans.get(source, [])
    if tidy.axis:
        mark = unlogged(tidy.frame.drop(columns=LOST, errors="ignore"), nans, raw.unsure)
        tidy.frame = tidy.frame.assign(**{NO_LOSS: mark})
        return
    lost = tidy.frame.get(LOST, pd.Series(False, index=tidy.frame.index)) | tidy.frame.index.isin(nans)
    tidy.frame, rows = without_a_result(tidy.frame, lost)
    if rows:
        text = f"{counted(len(rows), 'row', 'has', 'have')} an empty loss, which is no result: row {listed(rows)}"
        tidy.note("unknown", f"{text}; write nan where a run diverged", len(rows))


def _name_columns(tidy: Tidy) -> None:
    new = {binding.source: binding.name for binding in tidy.bindings}
    for name in [name for name in tidy.frame.columns if name in new.values() and name not in new]:
        new[name] = f"{name}_in_file"
        tidy.note("named", f"column {name} is now {name}_in_file: another column was mapped to {name}")
    tidy.frame = tidy.frame.set_axis([new.get(name, str(name)) for name in tidy.frame.columns], axis=1)
    for binding in tidy.bindings:
        if binding.how != "named":
            mapped = " (mapped)" if binding.how == "mapped" else ""
            tidy.note(binding.how, f"{binding.name} is the column '{binding.source}'{mapped}")
        if binding.scale != 1.0:
            unit = COLUMNS[binding.name].unit if binding.name in COLUMNS else "1"
            into = binding.name if unit in (binding.name, "1") else f"{binding.name} in {unit}"
            tidy.note("converted", f"{into} = {binding.scale:g} times the column '{binding.source}'")


def _read_numbers(tidy: Tidy) -> None:
    """Convert numeric canonical columns to float64 or int64; columns that are so already are not copied."""
    scales = {binding.name: binding.scale for binding in tidy.bindings}

    def read(name: str) -> None:
        if name not in STRICT - {"loss"} and (name not in COLUMNS or COLUMNS[name].numeric):
            _read_markers(tidy, name)
        if name in COLUMNS and COLUMNS[name].numeric:
            column = tidy.frame[name]
            values = _as_numbers(tidy, column, scales.get(name, 1.0))
            if values is not column:
                tidy.frame = tidy.frame.assign(**{name: values})

    all_of(read, tidy.frame.columns)


def _read_markers(tidy: Tidy, name: str) -> None:
    """Read words such as diverged and overflow in a column of numbers as NaN or infinity; a note names the first."""
    column = tidy.frame[name]
    marked = markers(column)
    if not marked.any():
        return
    others = column[~marked].dropna()
    plain = pd.to_numeric(others, errors="coerce").notna().sum()
    if name != "loss" and not (plain if name in COLUMNS else plain == len(others) and plain >= marked.sum()):
        return
    values = [np.nan if name == "loss" else value(cell) for cell in column[marked]]
    filled = column.astype(object).where(~marked, pd.Series(values, index=column.index[marked]).reindex(column.index))
    tidy.frame = tidy.frame.assign(**{name: pd.to_numeric(filled) if plain == len(others) else filled})
    count, cell, row = int(marked.sum()), column[marked].iloc[0], column.index[int(np.argmax(marked))]
    if name == "loss":
        tidy.frame = tidy.frame.assign(**{LOST: marked})
        text = f"{count} rows say '{cell}' or the like instead of a loss: read as NaN, diverged (first in row {row})"
        tidy.note("diverged", text, count)
        return
    shown = " and ".join(dict.fromkeys(f"{each:g}" for each in values))
    text = f"column {name}: {count} cells such as '{cell}' are read as {shown} (first in row {row})"
    tidy.note("converted", text, count)


def _as_numbers(tidy: Tidy, column: pd.Series, scale: float) -> pd.Series:
    if column.dtype.kind in "iuf" and isinstance(column.dtype, np.dtype):
        wide = column if column.dtype.itemsize == 8 else column.astype(_WIDE[column.dtype.kind])
        return wide if scale == 1.0 else wide * scale
    if pd.api.types.is_numeric_dtype(column.dtype) and column.dtype.kind in "iuf":
        return column.astype(np.float64) * scale
    try:
        values = pd.Series(numbers(column, tidy.where, scale), index=column.index)
    except InputError:
        if column.name in STRICT or column.dtype.kind in "mM":
            raise
        plain = _without_words(tidy, column)
        if plain is not column:
            return _as_numbers(tidy, plain, scale)
        tidy.note("unknown", f"column {column.name} holds text and was kept unchanged")
        return column
    filled = column.dropna()
    odd = filled[pd.to_numeric(filled, errors="coerce").isna()]
    if len(filled):
        example = odd.iloc[0] if len(odd) else filled.iloc[0]
        tidy.note("converted", f"{column.name} was read from text such as '{example}'", len(filled))
    own = [cell for cell in odd if scale != 1.0 and states_unit(cell)]
    if own:
        text = f"{column.name}: '{own[0]}' states its own unit and is read as written, not times {scale:g}"
        tidy.note("converted", text, len(own))
    return values


def _without_words(tidy: Tidy, column: pd.Series) -> pd.Series:
    """The column without words, if most of its cells are numbers; a note names the first."""
    missing = column.isna() | column.astype(str).str.strip().str.lower().isin(MISSING)
    words = ~(missing | column.map(is_quantity)).to_numpy(dtype=bool)
    if not words.any() or 2 * words.sum() >= column.notna().sum():  # without any, the numbers count something else
        return column
    row = column.index[int(np.argmax(words))]
    text = f"{words.sum()} cells such as '{column[words].iloc[0]}' (row {row}) are not numbers and count as missing"
    tidy.note("unknown", f"column {column.name}: {text}", int(words.sum()))
    return column.where(~words)


_WIDE = {"i": np.int64, "u": np.int64, "f": np.float64}


def _loss_in_nats(tidy: Tidy) -> None:
    """Convert a perplexity, or a loss in bits, by the name of its column or the perplexities beside it."""
    source = next((b.source for b in tidy.bindings if b.name == "loss"), "")
    if "loss" not in tidy.frame.columns or tidy.frame["loss"].dtype.kind not in "iuf":
        return
    found = in_nats(tidy.frame["loss"].to_numpy(dtype=np.float64), source, tidy.frame)
    if found is not None:
        values, by, how = found
        tidy.frame = tidy.frame.assign(loss=values)
        tidy.bindings = [replace(b, scale=b.scale * by) if b.name == "loss" else b for b in tidy.bindings]
        tidy.note("converted", how)


def _find_axis(tidy: Tidy) -> None:
    """Curves have a step, or tokens that vary inside a run; otherwise the table has one row per run."""
    if by := settings_beside_one_name(tidy.frame):
        tidy.frame = tidy.frame.rename(columns={"run": "run_in_file"})
        told = f"all rows name the same run, but {' and '.join(by)} differ"
        tidy.note("named", f"{told}: the name is kept as run_in_file")
    columns, frame = set(tidy.frame.columns), tidy.frame
    one_row_per_run = "run" in columns and not frame["run"].duplicated().any()
    if "step" in columns and "run" not in columns and _are_results(tidy):
        _rename(tidy, {} if "steps" in columns else {"step": "steps"})
    elif "step" in columns and not one_row_per_run:
        counters.refuse_steps_of_epochs(frame, tidy.where)
        tidy.axis = "step"
        tidy.frame, left = whole_steps(frame, tidy.where)
        if left:
            tidy.note("dropped", f"{left} rows without a step and without a loss", left)
    elif "step" in columns and "steps" not in columns:
        _rename(tidy, {"step": "steps"})
        tidy.note("derived", "every run has one row: its step is the length of the run (steps)")
    elif "run" in columns and not one_row_per_run:
        keys = ["run", "split"] if "split" in columns else ["run"]
        ids = any(b.name == "run" and b.source.lower() == "id" for b in tidy.bindings)  # of anything
        for name in ("tokens", "steps") if ids else ("tokens", "D", "steps"):
            if name in columns and (frame.groupby(keys, observed=True)[name].nunique() > 1).any():
                tidy.axis = "step" if name == "steps" else "tokens"
                tidy.frame = frame.rename(columns={name: tidy.axis})
                break
    if not columns & {"run", "step"} and (name := logged_evenly(frame) or counters.mostly_even(frame)):
        but = "" if logged_evenly(frame) else ", but for some"
        tidy.axis = "step" if name == "steps" else "tokens"
        _rename(tidy, {name: tidy.axis})
        text = f"{name} rise evenly from row to row{but}: the rows are logged along a run"
        sized = name == "tokens" and bool(telling(frame))
        text += ", of several sizes; if each row is the result of a run of its own, call that column D" * sized
        tidy.note("suspect" if but or sized else "derived", text, len(frame))
    if not tidy.axis and "step" not in columns:
        counters.refuse_counters_of_epochs(tidy.frame, tidy.where)
    if not tidy.axis and "epoch" in columns and not {"step", "steps"} & columns and counters.epochs_count_up(frame):
        tidy.axis = "epoch"
        tidy.note("derived", "the epoch counts up: each run is a curve over epochs, and its steps are not known")
    if not tidy.axis:
        if text := counters.may_be_a_curve(tidy.frame, tidy.where):
            tidy.note("suspect", text, len(tidy.frame))
        _as_final_results(tidy)


def _are_results(tidy: Tidy) -> bool:
    """Whether each row is the result of a run, although it has a step; a note says why."""
    frame, by = tidy.frame, telling(tidy.frame)
    lengths = any(each.name == "step" and names_lengths(each.source) for each in tidy.bindings)
    if not are_final_results(frame, "step", configured(tidy.bindings), lengths):
        return False
    one = "all rows stand at one step" if frame["step"].nunique() == 1 else "" if by else "each has a name of its own"
    sure = lengths or one or "tokens" not in frame or not frame.duplicated(by).any()
    text = f"each row is the result of a run, its step the length: {one or ' and '.join(by) + ' differ between rows'}"
    tidy.note("derived" if sure else "suspect", text, len(frame))
    return True


def _rename(tidy: Tidy, new: dict[str, str]) -> None:
    """Give columns other canonical names; they stay bound to the columns of the file."""
    tidy.frame = tidy.frame.rename(columns=new)
    tidy.bindings = [Binding(new.get(b.name, b.name), b.source, b.how, b.scale) for b in tidy.bindings]


def _as_final_results(tidy: Tidy) -> None:
    columns = set(tidy.frame.columns)
    if "tokens" in columns and "D" not in columns:
        tidy.frame = tidy.frame.rename(columns={"tokens": "D"})
        tidy.bindings = [
            Binding("D", b.source, "guessed" if b.how == "named" else b.how, b.scale) if b.name == "tokens" else b
            for b in tidy.bindings
        ]
        tidy.note("guessed", "D = tokens: the table has one row per run")
    if "lr" in columns and "peak_lr" not in columns:
        tidy.frame = tidy.frame.assign(peak_lr=tidy.frame["lr"])
        tidy.note("derived", ONE_RATE)
