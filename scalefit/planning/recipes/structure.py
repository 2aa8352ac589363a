"""Joint laws of several recipes: which constants they share, chosen by the Bayesian criterion.

In compute the law of a recipe is E + A C^-alpha, in size and data E + A N^-alpha + B D^-beta. A structure says which of
floor, exponents and sizes of the terms each recipe has of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from scalefit.errors import InputError
from scalefit.fitting.fit import fit
from scalefit.fitting.result import Fit
from scalefit.laws.formula import FormulaLaw
from scalefit.numerics import FloatArray
from scalefit.planning.allocation.spread import constants_of

MARK = "is_{}"  #: the column that is 1 in the rows of a recipe
HIGHEST = 3.0  #: largest exponent
TINY = 1e-20  #: the least mean square of residuals; runs without noise
STRONG = 6.0  #: by which the criterion must be better for evidence to be strong (twice the logarithm of Bayes' factor)
TERMS = {"C": (("A", "alpha", "C"),), "ND": (("A", "alpha", "N"), ("B", "beta", "D"))}


@dataclass(frozen=True)
class Structure:
    """What each recipe has of its own."""

    text: str
    floors: bool
    exponents: bool
    sizes: bool


STRUCTURES = (
    Structure("one curve for all", False, False, False),
    Structure("shared floor and exponents", False, False, True),
    Structure("shared floor", False, True, True),
    Structure("shared exponents", True, False, True),
    Structure("nothing shared", True, True, True),
)


@dataclass(frozen=True)
class Joint:
    """A joint fit of recipes under one structure."""

    structure: Structure
    fit: Fit
    names: tuple[str, ...]  #: of the recipes, in the order of their marks
    kind: str  #: C or ND
    residuals: FloatArray  #: logarithms of measured over predicted losses

    def losses(self, recipe: int, values: dict[str, FloatArray]) -> FloatArray:
        """(1 + draws, n): the law of one recipe at (n,) or (1 + draws, n) values of its columns."""
        table, law = constants_of(self.fit), self.fit.law
        marks = {MARK.format(k): float(k == recipe) for k in range(len(self.names))}
        constants = {name: table[:, j, None] for j, name in enumerate(law.parameters)}
        variables = {name: np.asarray({**marks, **values}[name], dtype=np.float64) for name in law.variables}
        with np.errstate(all="ignore"):
            made = np.asarray(law.evaluate(variables, constants))
        shape = np.broadcast_shapes(made.shape, *(np.shape(value) for value in values.values()), (len(table), 1))
        return np.broadcast_to(made, shape)


def formula(structure: Structure, count: int, kind: str) -> FormulaLaw:
    """The joint law of ``count`` recipes.

    >>> formula(STRUCTURES[1], 2, "C").spec
    'E + A_0*is_0*C**-alpha + A_1*is_1*C**-alpha'
    """
    own = range(count)
    parts = [f"E_{k}*{MARK.format(k)}" for k in own] if structure.floors else ["E"]
    bounds: dict[str, tuple[float, float]] = {part.partition("*")[0]: (0.0, np.inf) for part in parts}
    starts: dict[str, tuple[float, float]] = {}
    for size, exponent, column in TERMS[kind]:
        for k in own if structure.sizes or structure.exponents else [None]:
            letter = f"{size}_{k}" if structure.sizes else size
            power = f"{exponent}_{k}" if structure.exponents else exponent
            mark = "" if k is None else f"*{MARK.format(k)}"
            parts.append(f"{letter}{mark}*{column}**-{power}")
            bounds |= {letter: (0.0, np.inf), power: (0.0, HIGHEST)}
            starts[power] = (0.02, 1.2)
    columns = [column for _, _, column in TERMS[kind]]
    marks = [MARK.format(k) for k in own] if structure.floors or structure.sizes else []
    return FormulaLaw(" + ".join(parts), variables=[*columns, *marks], bounds=bounds, starts=starts)


def marked(table: pd.DataFrame, by: str, names: Sequence[str], kind: str) -> pd.DataFrame:
    """The rows with what a joint law reads."""
    columns = [column for _, _, column in TERMS[kind]]
    found = table[[*columns, "loss"]].astype(float)
    labels = table[by].astype(str)
    return found.assign(**{MARK.format(k): (labels == name).astype(float) for k, name in enumerate(names)})


def fitted(rows: pd.DataFrame, structure: Structure, names: Sequence[str], kind: str, **settings: object) -> Joint:
    """The joint fit of one structure."""
    law = formula(structure, len(names), kind)
    kept = rows[[*law.variables, "loss"]]
    found = fit(kept, law, force=True, **settings)  # type: ignore[arg-type]
    predicted = found.evaluate({name: kept[name].to_numpy(float) for name in law.variables})
    return Joint(structure, found, tuple(names), kind, np.log(kept["loss"].to_numpy(float) / predicted))


def criterion(joint: Joint) -> float:
    """n log(mean r^2) + p log n n/(n - p - 1): the Bayesian criterion, its penalty corrected for few rows."""
    count, free = len(joint.residuals), len(joint.fit.parameters) - len(joint.fit.fixed) + 1
    square = max(float(np.mean(joint.residuals**2)), TINY)
    return float(count * np.log(square) + free * np.log(count) * count / max(count - free - 1, 0.5))


def candidates(rows: pd.DataFrame, names: Sequence[str], kind: str, counts: Sequence[int]) -> list[tuple[float, Joint]]:
    """The joint fits of all structures that these rows identify with their criterion, the best first."""
    terms = len(TERMS[kind])
    found = []
    for structure in STRUCTURES:
        need = 1 + terms * structure.exponents + terms * structure.sizes + structure.floors
        if min(counts) < (need if structure.sizes or structure.floors else 1):
            continue
        law = formula(structure, len(names), kind)
        if len(law.parameters) >= len(rows):
            continue
        found.append(fitted(rows, structure, names, kind, calibrated=False))
    if not any(joint.structure is not STRUCTURES[0] for joint in found):
        raise InputError("too few runs to compare recipes", where="compare-recipes", todo="give three or more of each")
    return sorted(((criterion(joint), joint) for joint in found), key=lambda each: each[0])


def chosen_structure(tried: Sequence[tuple[float, Joint]]) -> Structure:
    """The structure in which recipes are compared: the first that differs between them, or one with strong evidence.

    Where two recipes are alike, the structure that happens to fit best finds a difference too often.
    """
    found = {joint.structure: bic for bic, joint in tried if joint.structure is not STRUCTURES[0]}
    first = next(structure for structure in STRUCTURES if structure in found)
    best = min(found, key=lambda structure: found[structure])
    return best if found[best] < found[first] - STRONG else first
