"""Bindings that the values decide: which column is the learning rate at the step, whether a size counts parameters, and
whether the unit in a name can hold.

A setting is never a curve.
"""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from scalefit.errors import InputError, listed
from scalefit.runs.columns import COLUMNS
from scalefit.runs.formats.splits import TRAINED, is_loss
from scalefit.runs.matching import Binding, canonical, normalised
from scalefit.runs.quantities import compute_unit, is_quantity, numbers, states_unit
from scalefit.runs.wording import header_scale, told, words_of

UNIT = re.compile(r"[mb](?:n|illion)?(?:\s*param(?:eter)?s?)?$", re.IGNORECASE)  #: at the end of a size
SIZES, FEWEST_PARAMETERS = {"size", "model", "scale"}, 1e5  #: names of N where the cells are counts of parameters

DATA, FEWEST_TOKENS = frozenset({"data", "training", "train", "pretraining", "seen"}), 1e8
SIZED, WITHIN = (("N", "N_total"), ("D", "tokens")), 5.0  #: how far compute of a doubtful name may be from 6 N D
#: by unit, what no model, run or training has more of
MOST = {"parameters": 1e14, "tokens": 1e14, "optimiser steps": 1e10, "FLOP": 1e32}
SHAPES = frozenset({"d_model", "n_layer", "n_head", "d_ff", "experts"})
LABEL = re.compile(r"^([A-Za-z]{1,8}[_=-]?)(\d{1,7})$")  #: d64, width=128, L12
BEST = re.compile(r"(?:best|min|lowest)(?:[_ /.-]|(?=[A-Z]))", re.IGNORECASE)  #: of the row at which a loss was lowest
SETTING = re.compile(r"(config|params|hparams)[/.]")  #: what the names of columns of settings begin with


def bound_rates(frame: pd.DataFrame, bindings: list[Binding]) -> tuple[list[Binding], str]:
    """The bindings, `lr` bound to the column that changes along runs where the one so named does not; and a note.

    >>> frame = pd.DataFrame({"step": [0, 1], "lr": [0.1, 0.1], "learning_rate": [0.1, 0.05], "loss": [3.0, 2.0]})
    >>> found, said = bound_rates(frame, [Binding("step", "step", "named"), Binding("lr", "lr", "named")])
    >>> [(each.name, each.source) for each in found if "lr" in each.name]
    [('peak_lr', 'lr'), ('lr', 'learning_rate')]
    """
    if any(each.name == "lr" for each in bindings):  # a rate of which others are multiples is no peak beside these
        bindings = [each for each in bindings if (each.name, each.how) != ("peak_lr", "guessed") or not _is_base(each)]
    bound = next((each for each in bindings if each.name == "lr" and each.how != "mapped"), None)
    taken = {each.source for each in bindings}
    others = [name for name in map(str, frame.columns) if name not in taken and canonical(name) == "lr"]
    others += [name for name in map(str, frame.columns) if name not in (taken | {*others}) and _is_rate(name)]
    settings = [name for name in others if SETTING.match(name)]
    if len(settings) == 1 and bound and not any(each.name == "peak_lr" for each in bindings):
        bindings = [*bindings, Binding("peak_lr", settings[0], "guessed")]
        others.remove(settings[0])
    if bound is None or not any(each.name in ("step", "tokens") for each in bindings):
        return bindings, ""
    run = next((each.source for each in bindings if each.name == "run"), None)
    moving = [name for name in others if _moves(frame, name, run)]
    if not others:
        return bindings, ""
    if len(moving) != 1 or _moves(frame, bound.source, run):
        return bindings, f"lr is the column '{bound.source}'; kept unchanged: {', '.join(map(repr, others))}"
    new = [Binding("lr", moving[0], "guessed")]
    if not any(each.name == "peak_lr" for each in bindings):
        new.insert(0, Binding("peak_lr", bound.source, "guessed"))
    text = f"lr is the column '{moving[0]}', which changes along the run; '{bound.source}' does not: it is a setting"
    return [*(each for each in bindings if each is not bound), *new], text


def _is_base(bound: Binding) -> bool:
    return "base" in words_of(bound.source)


def _is_rate(name: str) -> bool:
    """Whether a name says that the column is a learning rate at the step, such as current_lr or lr_t."""
    words = set(re.split(r"[^a-z0-9]+", normalised(name)))
    return "lr" in words and words <= {"lr", "t", "now", "current", "cur", "step", "actual", "effective", "sched"}


def _moves(frame: pd.DataFrame, name: str, run: str | None) -> bool:
    """Whether a column of numbers changes inside a run."""
    values = pd.to_numeric(frame[name], errors="coerce")
    if values.isna().all():
        return False
    counts = values.groupby(frame[run]).nunique() if run else pd.Series([values.nunique()])
    return bool((counts > 1).any())


def sized(frame: pd.DataFrame, bindings: list[Binding]) -> list[Binding]:
    """The bindings, and N bound to a column `size` if its cells say that they count parameters (60M, or millions)."""
    taken = {each.source for each in bindings}
    named = [name for name in map(str, frame.columns) if _bare(name) in SIZES and name not in taken]
    bindings = _data_said(frame, bindings)
    if len(named) != 1 or {"N", "N_total"} & {each.name for each in bindings}:
        return bindings
    said, cells = told(named[0]), frame[named[0]].dropna()
    scale = said.factor if said else header_scale(named[0])
    if pd.api.types.is_numeric_dtype(cells.dtype):
        counts = len(cells) > 0 and bool((cells * scale >= FEWEST_PARAMETERS).all())
    else:
        counts = len(cells) > 0 and all(states_unit(cell) and UNIT.search(str(cell)) for cell in cells)
    return [*bindings, Binding("N", named[0], "guessed", scale)] if counts else bindings


def _data_said(frame: pd.DataFrame, bindings: list[Binding]) -> list[Binding]:
    """The bindings, and D bound to a column `data` or `training data` whose cells are counts of tokens, such as 20B."""
    names = [name for name in map(str, frame.columns) if "data" in words_of(name) and words_of(name) <= DATA]
    if len(names) != 1 or {"D", "tokens", names[0]} & {each for b in bindings for each in (b.name, b.source)}:
        return bindings
    cells = frame[names[0]].dropna()
    plain = cells.astype(str).str.replace(r"\s*tok(?:en)?s?$", "", regex=True, case=False)
    stated = len(cells) > 0 and not pd.api.types.is_numeric_dtype(cells.dtype) and all(map(states_unit, plain))
    large = stated and (numbers(plain, "") >= FEWEST_TOKENS).all()
    return [*bindings, Binding("D", names[0], "guessed")] if large else bindings


def labelled(frame: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """The table with widths and depths as numbers where each cell is one behind the same letters; and a note.

    >>> found, said = labelled(pd.DataFrame({"Width": ["d64", "d128"], "lr": [1e-3, 1e-3]}))
    >>> found["Width"].tolist(), said
    ([64, 128], "the column 'Width' holds labels such as d64: read as numbers")
    """
    for name in map(str, frame.columns):
        if pd.api.types.is_numeric_dtype(frame[name].dtype) or canonical(name) not in SHAPES:
            continue
        cells = frame[name].dropna().astype(str).str.strip().str.extract(LABEL)
        if len(cells) and cells.notna().all(axis=None) and cells[0].nunique() == 1:
            text = f"the column '{name}' holds labels such as {frame[name].dropna().iloc[0]}: read as numbers"
            values = cells[1].astype(int).reindex(frame.index)
            return frame.assign(**{name: values if values.hasnans else values.astype(int)}), text
    return frame, ""


def computed(frame: pd.DataFrame, bindings: list[Binding], where: str) -> list[Binding]:
    """The bindings, and C bound to a column such as TFLOPs, which alone may be those of a second, if it is about 6 N D.

    >>> frame = pd.DataFrame({"N": [1e7, 4e7], "D": [1e9, 2e9], "PFLOPs": [60.0, 480.0]})
    >>> computed(frame, [Binding(name, name, "named") for name in "ND"], "")[-1]
    Binding(name='C', source='PFLOPs', how='guessed', scale=1000000000000000.0)
    """
    bound = {each.name: each for each in bindings}
    size, data = (next((bound[name] for name in pair if name in bound), None) for pair in SIZED)
    units = {name: compute_unit(f"total_{normalised(name)}") for name in map(str, frame.columns)}
    rates = [name for name, unit in units.items() if unit > 1.0 and not compute_unit(normalised(name))]
    if "C" in bound or size is None or data is None or len(rates) != 1:
        return bindings
    try:
        n, d, c = (numbers(frame[b], where, by) for b, by in ((size.source, size.scale), (data.source, data.scale),
                                                              (rates[0], units[rates[0]])))  # fmt: skip
    except InputError:
        return bindings
    with np.errstate(all="ignore"):
        ratio = c / (6.0 * n * d)
    known = np.isfinite(ratio)
    fits = bool(known.any() and ((ratio[known] > 1 / WITHIN) & (ratio[known] < WITHIN)).all())
    return [*bindings, Binding("C", rates[0], "guessed", units[rates[0]])] if fits else bindings


def _bare(name: str) -> str:
    """A name without its unit.

    >>> _bare("Size (M)"), _bare("size_M"), _bare("Model size in millions")
    ('size', 'size', 'model_size')
    """
    said = told(name)
    return normalised(said.bare if said else name)


def configured(bindings: list[Binding]) -> list[str]:
    """The columns whose names in the file begin with that of a configuration, none of which changes along a run."""
    return [each.name for each in bindings if SETTING.match(normalised(each.source))]


def training_loss(frame: pd.DataFrame, bindings: list[Binding], where: str, tell_ties: bool) -> str:
    """What is to be said where final results hold another loss beside that of the training data, which is bound.

    Raises InputError with it unless ``tell_ties``.
    """
    bound = next((each for each in bindings if each.name == "loss"), None)
    if bound is None or bound.how == "mapped" or not words_of(bound.source) & TRAINED:
        return ""
    names = [name for name in map(str, frame.columns) if name != "loss" and not words_of(name) & TRAINED]
    others = [name for name in names if is_loss(BEST.sub("", name)) and frame[name].map(is_quantity).any()]
    if not others:
        return ""
    what = f"the loss may be the column '{bound.source}', of the training data, or {listed(others)}"
    todo = f'choose one: --map loss="{bound.source}" or --map loss="{others[0]}"'
    if not tell_ties:
        raise InputError(what, where=where, todo=todo)
    return f"{what}; {todo}"


def _counts(frame: pd.DataFrame, bound: Binding) -> bool:
    """Whether a column holds whole numbers alone."""
    values = pd.to_numeric(frame[bound.source], errors="coerce").dropna()
    return len(values) == 0 or bool((values % 1 == 0).all())


def plausible(frame: pd.DataFrame, bindings: list[Binding], where: str, ties: dict[str, str] | None) -> list[Binding]:
    """The bindings, but for those whose name tells a unit that its values contradict: the column counts something else;
    and C, where its values decide (see :func:`computed`).

    Raises InputError for such a column; with ``ties`` it stays unbound, and the message is put there.

    >>> bound = [Binding("tokens", "tokens (M)", "guessed", 1e6)]
    >>> plausible(pd.DataFrame({"tokens (M)": [300.0, 600.0]}), bound, "", None) == bound
    True
    >>> plausible(pd.DataFrame({"tokens (M)": [3e8, 6e8]}), bound, "", told := {}), list(told)
    ([], ['tokens'])
    """
    kept = []
    for each in bindings:
        if each.name == "loss" and each.how == "guessed" and normalised(each.source) == "l" and _counts(frame, each):
            continue  # layers
        most = MOST.get(COLUMNS[each.name].unit if each.name in COLUMNS else "", float("inf"))
        with np.errstate(over="ignore"):
            usual = float(pd.to_numeric(frame[each.source], errors="coerce").median()) if each.scale > 1.0 else 0.0
        if not usual * each.scale > most:
            kept.append(each)
            continue
        what = (
            f"the name '{each.source}' counts in units of {each.scale:g}, and the median of its values is {usual:.3g}"
        )
        what += f": {usual * each.scale:.3g} {COLUMNS[each.name].unit} are more than any run has"
        todo = f"name the column by the unit that its numbers have, such as {each.name} where they are plain counts"
        if ties is None:
            raise InputError(what, where=where, todo=todo)
        ties[each.name] = f"{what}; {todo}"
    return computed(frame, kept, where)
