"""A name for every run: from a column run, from other columns that distinguish runs, from the file, or from the row."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scalefit.errors import InputError
from scalefit.runs.reading.counters import settings_of_epochs
from scalefit.runs.reading.results import FIXED, may_be_results, settings_of_blocks, telling
from scalefit.runs.reading.tidy import Tidy
from scalefit.runs.settings import NAMING, is_record, is_setting
from scalefit.runs.wording import words_of

#: Columns that distinguish the runs of a table of curves without a column `run`.
TELLING = ("schedule", "N", "N_total", "D", "C", "batch", "peak_lr", "d_model", "n_layer", "n_head", "d_head", "d_ff",
           "seq_len", "vocab", "warmup", "weight_decay", "seed", "optimizer", "parametrization", "U")  # fmt: skip
#: settings beside these that a new run of the same name may differ in
RECIPES = ("batch", "recipe", "precision", "dtype", "activation", "data", "dataset", "mixture", "arm", "data_seed")
NO_NAME = frozenset({"run", "split", "status", "source", "diverged", "parametrization"})  #: columns that name no run
LONGEST = 60  #: letters of a word that names a run
FEW = 8  #: rows below which those of one size may be results of several runs
ENDS = {"step": "steps", "tokens": "D", "epoch": "epochs"}  #: the names of the lengths of runs
FEWEST, EARLY = 3, 0.1  #: rows of a run, and the part of it by which its first row was logged
EVENTS = frozenset({"event", "type", "kind", "phase", "stage", "level", "mode", "split"})  #: of rows, not runs
CROSSED = 0.9  #: share of all pairs of a step and a setting that are logged where each setting is a run


def name_runs(tidy: Tidy, name: str) -> None:
    """Give the table its first column, `run`: categorical in order of appearance for curves, else text.

    `name`: the run's name if the file is the curve of one run and does not name it.
    """
    frame = tidy.frame
    if "run" in frame.columns:
        labels = _labels(tidy)
    elif tidy.axis:
        labels = _by_a_word(tidy, _grouped(tidy, name))
    else:
        labels = _of_rows(tidy)
    if not tidy.axis:
        labels = _told_apart(tidy, labels.astype(str))
    elif "run" in frame.columns:
        labels = _with_settings(tidy, labels)
    frame = (tidy.frame.drop(columns="run") if "run" in tidy.frame.columns else tidy.frame).copy(deep=False)
    frame.insert(0, "run", labels)
    tidy.frame = frame


def _of_rows(tidy: Tidy) -> pd.Series:
    """Names of the rows of a table of results: a word that each row has for itself, else its line."""
    frame = tidy.frame
    own = next((name for name in _words(frame) if _names_each(frame[name])), None)
    how = f"by the column '{own}'" if own else "after its line"
    tidy.note("named", f"there is no column run: each row is a run, named {how}", len(frame))
    names = [str(cell) for cell in frame[own]] if own else [f"row {line}" for line in frame.index]
    return pd.Series(names, index=frame.index)


def _names_each(column: pd.Series) -> bool:
    """Whether each row has a word of its own, short enough for a name."""
    return bool(column.notna().all() and column.is_unique and column.astype(str).str.len().max() <= LONGEST)


def _by_a_word(tidy: Tidy, labels: pd.Series) -> pd.Series:
    """The names of curves by a column of words that has one for each of them, such as `model`, where there is one."""
    codes, count = labels.cat.codes, labels.nunique()
    for name in _words(tidy.frame) if count > 1 else []:
        words = tidy.frame[name].astype("category")
        pairs = pd.DataFrame({"run": codes, "word": words.cat.codes}).drop_duplicates()
        if words.cat.codes.min() >= 0 and len(pairs) == count == len(words.cat.categories):
            texts = words.astype(str)
            if max(map(len, texts.unique())) > LONGEST:
                continue
            if set(texts.unique()) != set(labels.cat.categories):
                tidy.note("named", f"the runs are named by the column '{name}'", count)
            return texts.astype("category").cat.set_categories(texts.unique().tolist())
    return labels


def _words(frame: pd.DataFrame) -> list[str]:
    """The columns of words that may name runs or recipes."""
    names = [name for name in frame.columns if name not in NO_NAME and not str(name).startswith("__")]
    kinds = {name: frame[name].dtype for name in names}
    return [str(name) for name in names if not pd.api.types.is_numeric_dtype(kinds[name]) and kinds[name].kind != "M"]


def _category(codes: NDArray[np.integer], names: list[str], frame: pd.DataFrame) -> pd.Series:
    return pd.Series(pd.Categorical.from_codes(codes, pd.Index(names)), index=frame.index)


def _labels(tidy: Tidy) -> pd.Series:
    column = tidy.frame["run"]
    codes, values = pd.factorize(column)
    if (codes < 0).any():
        row = column.index[int(np.argmin(codes))]
        todo = "give every row the name of its run"
        raise InputError("the run has no name", where=f"{tidy.where}, row {row}, column run", todo=todo)
    names = [str(int(v)) if isinstance(v, float) and v.is_integer() else str(v) for v in values]
    if len(set(names)) < len(names):
        where, todo = f"{tidy.where}, column run", "give them different names"
        raise InputError("two names of runs are the same as text", where=where, todo=todo)
    return _category(codes, names, tidy.frame)


def _told_apart(tidy: Tidy, labels: pd.Series) -> pd.Series:
    """In a table with one row per run, rows that share a name (and split) are separate runs, named after their line."""
    if labels.is_unique:
        return labels
    keys = pd.DataFrame({"run": labels, "split": tidy.frame["split"] if "split" in tidy.frame.columns else ""})
    if not keys.duplicated().any():
        return labels
    repeated = labels.duplicated(keep=False)
    tidy.frame = tidy.frame.assign(run_in_file=labels)
    lines = pd.Series([f" (row {line})" for line in labels.index], index=labels.index)
    count = int(repeated.sum())
    tidy.note("named", f"{count} rows share the name of their run: each is a separate run, named after its line", count)
    return labels.where(~repeated, labels + lines)


def _with_settings(tidy: Tidy, labels: pd.Series) -> pd.Series:
    """Curves of one name that begin anew with another size, seed or recipe are runs of their own, and no restart."""
    frame, axis = tidy.frame, tidy.axis
    place = [labels.rename("run"), *(frame[name] for name in (axis, "split") if name in frame.columns)]
    if not pd.concat(place, axis=1).duplicated().any():
        return labels
    names = [name for name in frame.columns if name in FIXED or str(name).lower() in RECIPES]
    names += [name for name in _words(frame) if name not in names]
    names = [
        str(name) for name in names if name not in ("run", axis, "split") and _begins_anew(frame, labels, name, axis)
    ]
    if not names:
        return labels
    of_run = frame[names].assign(run=labels).drop_duplicates()
    several = of_run["run"].astype(str).duplicated(keep=False)
    kept = of_run.loc[several, names].nunique()
    names = [name for name in names if kept[name] > 1]
    made = labels.astype(str)
    apart = made.isin(set(of_run.loc[several, "run"].astype(str)))
    for name in names:
        made = made.where(~apart, made + f", {name}=" + frame[name].map(_short))
    tidy.frame = frame.assign(run_in_file=labels.astype(str))
    text = f"runs of one name begin anew with another {', '.join(names)}: each is a run of its own"
    tidy.note("named", text, made[apart].nunique())
    return pd.Series(pd.Categorical(made, categories=made.unique()), index=frame.index)


def _begins_anew(frame: pd.DataFrame, labels: pd.Series, name: str, axis: str) -> bool:
    """Whether a column changes within runs, and each of its values has rows from the first step of the run on."""
    if frame[name].isna().any():
        return False
    first = frame.groupby([labels, frame[name]], observed=True, sort=False)[axis].min()
    runs = first.groupby(level=0, observed=True)
    return bool((runs.size() > 1).any() and (first == runs.transform("min")).all())


def _grouped(tidy: Tidy, name: str) -> pd.Series:
    """Runs of a table of curves without a column run: one, unless steps repeat and other columns distinguish runs."""
    frame = tidy.frame
    if tidy.single:
        return _category(np.zeros(len(frame), dtype=np.int8), [name], frame)
    axis = frame[tidy.axis].to_numpy()
    if tidy.axis == "epoch" and (own := settings_of_epochs(frame)):
        labels = _joined_labels(frame, own)
        text = f"there is no column run: runs are distinguished by {', '.join(own)}"
        tidy.note("named", text, labels.nunique())
        return labels
    fixed = telling(frame)
    rises = bool((axis[1:] > axis[:-1]).all())
    groups = _groupings(frame, tidy.axis) if fixed or (not rises and len(np.unique(axis)) < len(axis)) else []
    keys = ["split"] if "split" in frame.columns else []
    for group in groups:
        if not frame.duplicated([*group, *keys, tidy.axis]).any():
            labels = _joined_labels(frame, group)
            text = f"there is no column run: runs are distinguished by {', '.join(group)}"
            tidy.note("named", text, labels.nunique())
            if len(frame) < FEW * labels.nunique() and axis.min() > 0:  # nothing results from no step
                text = (
                    f"each run has about {len(frame) / labels.nunique():.0f} rows: if every row is the result of a run"
                )
                tidy.note("suspect", f"{text} of its own, call the column {tidy.axis} {ENDS[tidy.axis]}", len(frame))
            return labels
    apart = _words_apart(tidy)
    words = [name for name in apart if not rises or words_of(name) <= NAMING]
    changing = list(dict.fromkeys([*fixed, *words])) or (
        settings_of_blocks(frame, tidy.axis) if tidy.axis == "step" else []
    )
    if changing:  # a restart changes no setting
        labels = _joined_labels(frame, changing)
        text = f"there is no column run: runs are distinguished by {', '.join(changing)}, which no restart changes"
        tidy.note("named", text, labels.nunique())
        return labels
    tidy.note("named", "there is no column run: all rows are one run, named after the file")
    if apart:
        text = f"'{apart[0]}' changes from row to row: if each of its words is a run, map it (--map run={apart[0]})"
        tidy.note("suspect", text, len(frame))
    if tidy.axis == "step" and (text := may_be_results(frame)):
        tidy.note("suspect", text, len(frame))
    return _category(np.zeros(len(frame), dtype=np.int8), [name], frame)


def _words_apart(tidy: Tidy) -> list[str]:
    """Columns of words each of which has rows from early on, in whatever order: a resumed job goes on late."""
    found, frame = [], tidy.frame
    for name in _words(frame):
        of_run = is_setting(name, frame[name]) and not is_record(name, frame[name])
        if not (of_run or words_of(name) <= NAMING) or name.lower() in EVENTS or frame[name].isna().any():
            continue
        steps = frame.groupby(frame[name].astype(str), sort=False)[tidy.axis].agg(["size", "min", "max"])
        if len(steps) > 1 and (steps["size"] >= FEWEST).all() and (steps["min"] <= EARLY * steps["max"]).all():
            found.append(name)
    return found


def _crossed(frame: pd.DataFrame, axis: str, names: list[str]) -> list[str]:
    """Settings of no known name of which nearly every step has every combination, as where several runs were logged."""
    own = [name for name in names if name not in (axis, "epoch") and frame[name].nunique() > 1]
    own = [name for name in own if is_setting(name, frame[name]) and not is_record(name, frame[name])]
    if not own or frame.duplicated([*own, axis]).any():
        return []
    whole = len(frame[own].drop_duplicates()) * frame[axis].nunique()
    return own if len(frame) >= CROSSED * whole else []


def _groupings(frame: pd.DataFrame, axis: str) -> list[list[str]]:
    """Sets of columns that may distinguish runs, smallest first; none that makes every row a run."""
    shape = [name for name in TELLING if name in frame.columns]
    own = [
        name for name in frame.columns if name != "split" and not str(name).startswith("__")
    ]  # no mark of the reading
    words = [name for name in own if not pd.api.types.is_numeric_dtype(frame[name].dtype)]
    words = [each for each in words if words_of(str(each)) <= NAMING or not is_record(str(each), frame[each])]
    both = list(dict.fromkeys([*shape, *words]))
    rate = [*both, "lr"] if "lr" in frame and not frame["lr"].hasnans else []
    blocks = settings_of_blocks(frame, axis) if axis == "step" else []
    tries = [shape[:1] if shape[:1] == ["schedule"] else [], shape, both, blocks, rate, _crossed(frame, axis, own)]
    return [group for group in tries if group and len(frame[group].drop_duplicates()) <= len(frame) / 2]


def _joined_labels(frame: pd.DataFrame, group: list[str]) -> pd.Series:
    distinct = frame[group].drop_duplicates()
    codes = frame.groupby(group, sort=False, dropna=False, observed=True).ngroup().to_numpy()
    told = [name for name in group if distinct[name].nunique(dropna=False) > 1]
    names = [
        _short(row[0]) if len(told) == 1 else ", ".join(f"{k}={_short(v)}" for k, v in zip(told, row, strict=True))
        for row in distinct[told].itertuples(index=False, name=None)
    ]
    return _category(codes, names, frame)


def _short(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float | np.floating) else str(value)
