"""Training and validation losses in one column, told apart by another one: a column for each split."""

from __future__ import annotations

import re
from dataclasses import replace

import pandas as pd

from scalefit.errors import listed
from scalefit.runs.columns import COLUMNS
from scalefit.runs.formats.raw import RawTable, Remark
from scalefit.runs.matching import canonical
from scalefit.runs.wording import OTHER_LOSSES, words_of

TRAINED = frozenset({"train", "training", "trn", "tr"})
JUDGED = frozenset(
    {"val", "valid", "validation", "eval", "evaluation", "test", "testing", "dev", "heldout", "held", "holdout"}
)
HELD_OUT = frozenset({"holdout", "hold-out", "held-out", "held out", "heldout", "held_out", "hold_out"})
#: words of what is measured on a split
SHARES = frozenset({"acc", "accuracy", "error", "err"})
MEASURES = SHARES | {"loss", "nll", "ce", "xent", "ppl", "perplexity", "bpb", "bpc", "bpt", "entropy"}
NUMBERED = re.compile(r"[a-z]+[ _-]?\d+")
AXES = ("step", "tokens", "epoch")


def kind(cell: object) -> str:
    """ "train" or "val" where a cell names a split, else ""; one with a number is a run or a model of that name.

    >>> kind("Train"), kind("val_c4"), kind("held-out"), kind("fit"), kind("test-2")
    ('train', 'val', 'val', '', '')
    """
    plain = str(cell).strip().lower()
    word = "" if NUMBERED.fullmatch(plain) else re.split(r"[^a-z]+", plain)[0]
    return "train" if word in TRAINED else "val" if word in JUDGED else ""


def split_column(frame: pd.DataFrame) -> str | None:
    """The column of words that are all names of splits, of which there are several, if there is one such column."""
    found = []
    for name in map(str, frame.columns):
        if pd.api.types.is_numeric_dtype(frame[name].dtype) or canonical(name) == "run":
            continue
        if frame[name].isna().any() or not any(map(kind, frame[name].unique())):
            continue
        words = frame[name].where(_placed(frame)).dropna().unique()
        if 2 <= len(words) <= 12 and all(kind(word) for word in words):
            found.append(name)
    return found[0] if len(found) == 1 else None


def _placed(frame: pd.DataFrame) -> pd.Series:
    """The rows that stand at a step; records of a start or an end of a run do not, and name no split."""
    axes = [name for name in map(str, frame.columns) if canonical(name) in AXES]
    return frame[axes].notna().any(axis=1) if axes else pd.Series(True, index=frame.index)


def measured(name: str) -> bool:
    """Whether a column holds what differs between splits: a loss or another measure, and no setting.

    >>> measured("lm_loss"), measured("seed"), measured("lr")
    (True, False, False)
    """
    words = set(re.split(r"[^a-z0-9]+", name.lower()))
    return bool(words & MEASURES) or canonical(name) == "loss"


def is_loss(name: str) -> bool:
    """Whether a column holds a cross-entropy of a model, or a perplexity, by its name: no share, and no part of a loss.

    >>> is_loss("C4 loss"), is_loss("val_ppl"), is_loss("aux_loss"), is_loss("val_acc")
    (True, True, False, False)
    """
    words = words_of(name)
    return (bool(words & (MEASURES - SHARES)) or {"bits", "per"} <= words) and not words & OTHER_LOSSES


def parted(raw: RawTable, nans: dict[str, list[int]] | None) -> RawTable | None:
    """The table with a column of losses for each split, where one curve holds rows of several; None for any other.

    Rows of the training split keep their columns; in the others `loss` is `val_loss`, by the word of the file.
    ``nans``: the rows, by column, in which NaN was logged; None where every empty cell may be one.
    """
    frame = raw.frame
    name = split_column(frame)
    measures = [each for each in map(str, frame.columns) if measured(each)]
    if name is None or not measures:
        return None
    if not any(canonical(str(each)) in AXES for each in frame.columns):
        return _results(raw, name, measures)
    fixed = [each for each in map(str, frame.columns) if canonical(each) in TELLING and each != name]
    words, placed = frame[name].astype(str).str.strip(), _placed(frame)
    groups = words[placed].groupby([frame.loc[placed, each] for each in fixed], dropna=False) if fixed else None
    if groups is not None and (groups.nunique() < 2).all():
        return None  # the split of whole runs, such as those held out of a fit
    last = _later(frame, words)
    if last and {word.lower() for word in words[placed] if kind(word) == "val"} <= HELD_OUT:
        return None  # the rows of a curve that are held out of a fit
    made, logged = frame.drop(columns=[name]), dict[str, list[int]]()
    for word in dict.fromkeys(words[placed]):
        rows = words == word
        own = re.sub(r"[^a-z0-9]+", "_", word.lower())
        for each in measures:
            new = each if kind(word) == "train" else f"{own}_{each.rsplit('/', 1)[-1]}"
            values = frame[each].where(rows)
            made[new] = values if new == each or new not in made else made[new].where(~rows, values)
            empty = [int(at) for at in frame.index[rows & frame[each].isna()]]
            known = empty if nans is None else [at for at in nans.get(each, []) if at in set(frame.index[rows])]
            logged.setdefault(new, []).extend(known)
    if not any(kind(word) == "train" for word in words[placed]):
        made = made.drop(columns=measures)
    text = f"losses of {listed(dict.fromkeys(words[placed]))} stand in one column, told apart by '{name}'"
    text += ": each has its own"
    told = [Remark("derived", f"{text}; --map loss=COLUMN reads another of {listed(_losses(made))}", len(frame))]
    if last:
        text = f"no row of '{name}' other than of training stands before the last of training: if these rows are held "
        text += "out of a fit, and their loss is the same, call the column use"
        told.append(Remark("suspect", text, len(frame)))
    return replace(raw, frame=made, nans=logged, unsure=False, remarks=(*raw.remarks, *told))


def _results(raw: RawTable, name: str, measures: list[str]) -> RawTable | None:
    """A row for each run of a table of results that has one for each split of it: a column of losses for each split."""
    frame, words = raw.frame, raw.frame[name].astype(str).str.strip()
    beside = [each for each in map(str, frame.columns) if each not in (name, *measures)]
    splits = list(dict.fromkeys(words))
    groups = words.groupby([frame[each] for each in beside], dropna=False, sort=False) if beside else None
    if groups is None or (groups.size() != len(splits)).any() or (groups.nunique() != len(splits)).any():
        return None
    run, first = groups.ngroup(), words == words.iloc[0]
    made = frame.loc[first, beside].copy()
    for split in splits:
        own = re.sub(r"[^a-z0-9]+", "_", split.lower())
        part = frame[words == split].set_index(run[words == split])
        for each in measures:
            new = f"{own}_{each}" if each.lower() == "loss" or kind(split) != "train" else each
            made[new] = part.loc[run[first], each].to_numpy()
    text = f"each run has a row for {listed(splits)}, told apart by '{name}': a column of losses for each"
    told = Remark("derived", text, len(frame))
    return replace(raw, frame=made, nans=None, remarks=(*raw.remarks, told))


def _later(frame: pd.DataFrame, words: pd.Series) -> bool:
    """Whether all rows of other splits than the training one stand after its last."""
    axis = next((name for name in map(str, frame.columns) if canonical(name) in AXES), None)
    places = pd.to_numeric(frame[axis], errors="coerce") if axis else pd.Series(dtype=float)
    kinds = words.map(kind)
    return bool((kinds == "val").sum() and places[kinds == "val"].min() > places[kinds == "train"].max())


def _losses(frame: pd.DataFrame) -> list[str]:
    return [name for name in map(str, frame.columns) if measured(name)]


TELLING = frozenset(
    {"run", "N", "N_total", "d_model", "n_layer", "seed", "schedule", "peak_lr", "weight_decay", "optimizer"}
) & frozenset(COLUMNS)  # fmt: skip
