"""Columns that vary between the runs, and that no law among those compared reads."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd

from scalefit.diagnosis.identifiable import identify
from scalefit.diagnosis.unread import RECIPE, SHAPE
from scalefit.laws import Law, find_law, law_names
from scalefit.laws.identification import ROUNDED
from scalefit.runs import Runs
from scalefit.runs.settings import FOLLOW, NEVER, is_setting
from scalefit.runs.wording import words_of

SHOWN = 4
RATES = ("lr", "peak_lr")
ALONG = 0.5  #: share of the scatter of a recipe that goes with size and data, from which on it moves with them


def untold(runs: Runs, laws: Sequence[Law]) -> list[str]:
    """One sentence for each such column: what it is, its values, and which law reads it.

    Shapes, recipes of text and sweeps at one size have checks of their own. Columns that follow from one that is read
    are none, nor are numbers of a recipe that move along with size and data, as a tuned learning rate does.
    """
    read = {column for law in laws for column in law.columns.values()} | {c for law in laws for c in law.path_columns}
    known = {*read, *(NEVER - {*RATES}), *FOLLOW, *SHAPE, *(law.target for law in laws), "C", "D", "N"}
    known |= {name for name in {*RECIPE, *RATES} & {*runs.table.columns} if _moves_along(runs.table, name)}
    known |= {"lr"} if "peak_lr" in runs.table else set()  # the same rate
    left = [name for name in map(str, runs.table.columns) if name not in known and runs.table[name].nunique() > 1]
    if not left:
        return []
    readers: dict[str, list[str]] = {}
    for law in map(find_law, law_names()):
        for column in law.columns.values():
            readers.setdefault(column, []).append(law.name)
    nobody = "none of the laws compared reads it" if len(laws) > 1 else f"the law {laws[0].name} does not read it"
    found, shares = [], _shares(runs.table, read)
    for name in left:
        values = runs.table[name]
        if not (name in (*readers, *RATES) or is_setting(name, values)):
            continue
        others = sorted(read & set(runs.table.columns))
        if any(_follows(runs.table, name, other) for other in others) or _is_power_of(runs.table, name, others):
            continue
        shown = ", ".join(map(str, values.dropna().drop_duplicates().sort_values().head(SHOWN)))
        laws_of_it = [law for law in readers.get(name, []) if law not in {other.name for other in laws}]
        laws_of_it = [_mixture_of(runs.table, shares), *laws_of_it] if name in shares else laws_of_it
        todo = _reader(name, values, laws_of_it, runs)
        found.append(f"{name} varies ({shown}) and {nobody}: {todo}")
    return found


def _reader(name: str, values: pd.Series, laws: Sequence[str], runs: Runs) -> str:
    """What to do about a column: fit the first law that reads it and that these runs identify, or what that lacks."""
    if not laws:
        counted = pd.api.types.is_integer_dtype(values.dtype) and values.between(1, 32).all()
        if words_of(name) & {"bit", "bits"} and counted:
            return f"where it counts the bits of training, write --law precision:parts=together --map precision={name}"
        return f'fit one value at a time (--where "{name} == ...")'
    found = {one.law.partition(":")[0]: one for one in reversed(identify(runs))}
    law = next((law for law in laws if ":" in law or (law in found and found[law].can)), None)
    return f"fit the law {law}" if law else f"the law {laws[0]} reads it, but {found[laws[0]].reason}"


def _moves_along(table: pd.DataFrame, name: str) -> bool:
    """Whether a recipe is in words, or a number that rises or falls with size, data and compute for the most part.

    >>> table = pd.DataFrame({"N": [10, 10, 20, 20, 40, 40, 80, 80], "lr": [8.0, 6, 5, 5, 3, 4, 2, 2]})
    >>> _moves_along(table, "lr"), _moves_along(table.assign(lr=[1, 3, 3, 1, 1, 3, 3, 1]), "lr")
    (True, False)
    """
    values = table[name]
    if not pd.api.types.is_numeric_dtype(values.dtype):
        return True
    logs = table[[one for one in ("N", "D", "C") if one in table]].apply(pd.to_numeric, errors="coerce")
    logs = np.log(logs.where(logs > 0))
    positive = (values.dropna() > 0).all()
    logs = logs.assign(it=np.log(values) if positive else values).dropna()
    apart = logs - logs.mean()
    own, others = apart["it"].to_numpy(), apart.drop(columns="it").to_numpy()
    if len(own) <= others.shape[1] + 1:
        return True
    left = own - others @ np.linalg.lstsq(others, own, rcond=None)[0]
    return bool(left @ left <= (1 - ALONG) * (own @ own))


def _shares(table: pd.DataFrame, read: Collection[str]) -> list[str]:
    """Columns of shares that vary and add up to one in every row: those of the sources of a mixture."""
    numbers = table.drop(columns=[name for name in read if name in table]).select_dtypes("number").dropna(axis=1)
    kept = [str(name) for name in numbers if numbers[name].between(0, 1).all() and numbers[name].nunique() > 1]
    whole = numbers[kept].sum(axis=1) if len(kept) > 1 else pd.Series([0.0])
    return kept if bool(((whole - 1).abs() < ROUNDED).all()) else []


def _mixture_of(table: pd.DataFrame, shares: Sequence[str]) -> str:
    """The law of these shares: with size and data where both vary, else of all shares but one."""
    both = all(name in table and table[name].nunique() > 1 for name in ("N", "D"))
    return f"mixture-scale:over={'+'.join(shares)}" if both else f"mixture:over={'+'.join(shares[:-1])}"


def _follows(table: pd.DataFrame, name: str, other: str) -> bool:
    """Whether a column is a function of another, and of a number a step function: each value on one range of it.

    Where sizes differ a little with another setting, or designs alternate, the setting is a function of size as well,
    though nobody could have derived it.

    >>> table = pd.DataFrame({"N": [10, 10, 11, 11, 20, 20], "batch": [1, 1, 1, 1, 2, 2], "norm": list("aabbaa")})
    >>> _follows(table, "batch", "N"), _follows(table, "norm", "N"), _follows(table, "N", "batch")
    (True, False, False)
    """
    values = table.dropna(subset=[name, other]).groupby(other)[name]
    if values.nunique().max() > 1 or table[other].nunique() == len(table):
        return False
    along = values.first().astype(object)
    steps = int((along != along.shift()).sum())
    return steps == along.nunique() or not pd.api.types.is_numeric_dtype(table[other].dtype)


def _is_power_of(table: pd.DataFrame, name: str, others: Sequence[str]) -> bool:
    """Whether a column is a product of powers of others, as tokens per parameter are of N and D.

    >>> table = pd.DataFrame({"N": [1.0, 1, 2, 2, 4, 4], "D": [10.0, 40, 20, 80, 40, 120]})
    >>> table = table.assign(tpp=table.D / table.N, other=[1.0, 2, 2, 1, 1, 2])
    >>> _is_power_of(table, "tpp", ["N", "D"]), _is_power_of(table, "other", ["N", "D"])
    (True, False)
    """
    known = [each for each in others if pd.api.types.is_numeric_dtype(table[each].dtype) and (table[each] > 0).all()]
    if not known or len(table) < len(known) + 3 or table[name].dtype.kind not in "iuf" or not (table[name] > 0).all():
        return False
    logs = np.log(table[[*known, name]].to_numpy(dtype=float))
    inputs = np.column_stack([np.ones(len(logs)), logs[:, :-1]])
    left = logs[:, -1] - inputs @ np.linalg.lstsq(inputs, logs[:, -1], rcond=None)[0]
    return bool(np.abs(left).max() < ROUNDED)
