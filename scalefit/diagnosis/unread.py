"""Columns in which the runs differ and that the law does not read: one law does not hold for such runs."""

from __future__ import annotations

import numpy as np
import pandas as pd

from scalefit.diagnosis.checks import ALIKE, Check
from scalefit.diagnosis.undetermined import listed
from scalefit.laws.law import Law
from scalefit.numerics import FloatArray
from scalefit.rows.rows import Rows
from scalefit.runs import Runs
from scalefit.runs.settings import is_setting

SHAPE = ("d_model", "n_layer")
RECIPE = ("peak_lr", "batch", "weight_decay", "optimizer", "schedule", "parametrization", "warmup")
#: settings in words in which runs of one law must agree, also where no two runs of one size differ in them
WORDS = ("optimizer", "parametrization", "schedule", "recipe", "precision", "dtype", "activation")
SWEPT = 0.25  #: a column counts as swept when this share of the rows has a neighbour that differs in it alone
DIGITS = 4  #: decimals of the natural logarithm to which values count as equal
APART = 0.1  #: scatter, in decades, beyond which one scale is not a function of another
UNLIKE, FEW_ROWS = 0.01, 0.05  #: differences from a schedule over its peak that matter, and the share of rows that may
FEWEST = 3  #: values of x that a law in x needs


def unread(law: Law, rows: Rows, runs: Runs) -> list[Check]:
    """Warnings about columns in which these runs differ and that the law does not read."""
    found = _differing(law, rows, runs)
    if not law.is_trajectory:
        found += _swept(law, rows, runs) or _moved(law, rows, runs)
    if "x" in law.variables and law.options.get("over"):
        found += _other_scale(law, rows, runs)
    return found


def overridden(runs: Runs) -> list[Check]:
    """A warning where a schedule was given beside logged learning rates that follow another one."""
    apart = runs.learning_rates.apart()
    differing = float(np.mean(apart > UNLIKE)) if len(apart) else 0.0
    if differing <= FEW_ROWS:
        return []
    text = "the given schedule is used, but the logged learning rates follow another one: "
    text += f"{100 * differing:.0f} % of them differ, by up to {100 * apart.max():.3g} % of its peak"
    return [Check("schedule-overrides", f"{text}; leave out --schedule, or correct it")]


def _differing(law: Law, rows: Rows, runs: Runs) -> list[Check]:
    """Runs that differ in a column that all runs of this law must share, such as curves of several sizes."""
    table = runs.table[runs.table["run"].astype(str).isin(rows.names)]
    shape = SHAPE if {"N", "N_total"} & {*law.columns.values()} else ()  # sizes differ in these as they should
    differing = [
        name
        for name in (ALIKE if law.is_trajectory else law.alike)
        if name in table.columns
        and name not in (*law.columns.values(), *shape)
        and table[name].nunique(dropna=True) > 1
        and not ("N" in law.columns.values() and _rises_with_size(table, name))
    ]
    if not differing:
        return []
    first = differing[0]
    shown = ", ".join(map(str, sorted(table[first].dropna().unique())[:4]))
    text = f"the runs differ in {listed(differing)} ({first}: {shown}), which the law does not read"
    return [Check("mixed-runs", f'{text}: fit one at a time (--where "{first} == ...")')]


def _rises_with_size(table: pd.DataFrame, name: str) -> bool:
    """Whether the data, or the steps, of the runs follow from their size and rise with it: a law of size reads both.

    >>> path = pd.DataFrame({"N": [1, 1, 2, 2, 4, 4], "D": [20, 20, 40, 40, 80, 80]})
    >>> _rises_with_size(path, "D"), _rises_with_size(path.assign(D=[20, 40, 40, 80, 80, 160]), "D")
    (True, False)
    """
    if name not in ("D", "steps") or table[["N", name]].isna().any(axis=None):
        return False
    of_sizes = table.groupby("N")[name]
    return len(of_sizes) >= 3 and bool(of_sizes.nunique().max() == 1 and of_sizes.first().is_monotonic_increasing)


def _swept(law: Law, rows: Rows, runs: Runs) -> list[Check]:
    """Runs at the same values of the law's variables that differ in their recipe, such as a learning-rate sweep."""
    place = pd.DataFrame(
        {law.columns[name]: _rounded(values) for name, values in rows.variables.items() if values.ndim == 1}
    )
    for name in {"N", "D"} & set(runs.table.columns) - set(place.columns):
        place[name] = by_run(runs, rows, name)
    keys, found = list(place.columns), {}
    others = [str(name) for name in runs.table.columns if name not in {*RECIPE, *place.columns, "C", "loss", "steps"}]
    for name in [*RECIPE, *(other for other in others if is_setting(other, runs.table[other]))]:
        if name not in runs.table.columns or name in law.columns.values() or name == law.target:
            continue
        place["recipe"] = by_run(runs, rows, name)
        several = place.groupby(keys)["recipe"].transform("nunique")
        if keys and np.mean(several > 1) >= SWEPT:
            found[name] = int(several.max())
    if not found:
        return []
    both = {"N", "D"} <= {*keys}  # they give C
    at = listed(sorted((key for key in keys if not (key == "C" and both)), key="ND".find))
    first = next(iter(found))
    text = (
        f"runs with the same {at} differ in {listed(list(found))} (up to {found[first]} values of {first}), which the"
    )
    words = not pd.api.types.is_numeric_dtype(runs.table[first].dtype)
    how = "" if words or law.target != "loss" else f" (--best-of {','.join(found)}; in Python sf.best_of)"
    todo = f"keep the run with the lowest {law.target} of each {at}{how}, or runs of one {first}"
    todo += f", or compare them: scalefit compare-recipes --by {first}" if words else ""
    return [Check("mixed-runs", f"{text} law does not read: {todo}")]


def _moved(law: Law, rows: Rows, runs: Runs) -> list[Check]:
    """Runs of several recipes none of which was run at the sizes of another: the law takes their difference for one of
    size. A word that merely names the value of a variable, such as a schedule for each amount of data, is none."""
    for name in (each for each in WORDS if each in runs.table.columns and each not in law.columns.values()):
        words = by_run(runs, rows, name)
        if pd.api.types.is_numeric_dtype(words.dtype) or words.nunique() < 2:
            continue
        scales = [pd.Series(_rounded(values)) for values in rows.variables.values() if values.ndim == 1]
        if not scales or any(scale.groupby(words).nunique().max() == 1 for scale in scales):
            continue
        values = sorted(words.dropna().astype(str).unique())
        text = f"the runs differ in {name} ({listed(values[:4])}), which the law does not read"
        text += ": it takes the difference for one of " + listed(list(rows.variables))
        return [Check("mixed-runs", f'{text}; fit runs of one {name} (--where "{name} == {values[0]!r}")')]
    return []


def _other_scale(law: Law, rows: Rows, runs: Runs) -> list[Check]:
    """A law in one variable, fitted to runs in which another scale varies independently of it."""
    over, x = law.columns["x"], rows.variables["x"]
    others = [name for name in (("N", "D") if over in ("N", "D", "C") else ("N",)) if name != over]
    apart = [name for name in others if name in runs.table.columns and _apart(x, by_run(runs, rows, name))]
    if not apart:
        return []
    verb = "varies" if len(apart) == 1 else "vary"
    if over == "C":
        todo = "keep the run with the lowest loss of each C"
    else:
        todo = f"keep runs of one {apart[0]}{_where(x, by_run(runs, rows, apart[0]), apart[0])}"
        todo += ", or fit a law of both, such as chinchilla" if {over, apart[0]} == {"N", "D"} else ""
    return [Check("mixed-runs", f"{listed(apart)} {verb} at the same {over}, and the law does not read it: {todo}")]


def _apart(x: FloatArray, other: pd.Series) -> bool:
    """Whether the other scale varies where x does not."""
    y = pd.to_numeric(other, errors="coerce").to_numpy(dtype=float)
    kept = np.isfinite(y) & (y > 0) & (x > 0)
    if kept.sum() < FEWEST:
        return False
    log_x, log_y = np.log10(x[kept]), np.log10(y[kept])
    columns = np.stack([np.ones_like(log_x), log_x], axis=1)
    left = log_y - columns @ np.linalg.lstsq(columns, log_y, rcond=None)[0]
    return bool(np.std(left) > APART)


def _where(x: FloatArray, other: pd.Series, name: str) -> str:
    """A --where for the value of the other scale that leaves the most values of x, if it leaves enough."""
    counts = pd.Series(_rounded(x)).groupby(other.to_numpy()).nunique()
    if counts.empty or counts.max() < FEWEST:
        return ""
    value = float(counts.index[counts == counts.max()].max())
    return f' (--where "{name} == {repr(value).removesuffix(".0")}")'


def by_run(runs: Runs, rows: Rows, name: str) -> pd.Series:
    """A column of the table of runs, for each fitted row."""
    known = runs.table.drop_duplicates("run").set_index(runs.table["run"].astype(str).drop_duplicates())[name]
    return known.reindex(rows.frame["run"].astype(str)).reset_index(drop=True)


def _rounded(values: FloatArray) -> FloatArray:
    """Logarithms rounded to four decimals, so that nearly equal values become equal."""
    values = np.asarray(values, dtype=float)
    return np.asarray(np.round(np.log(values), DIGITS)) if np.all(values > 0) else values
