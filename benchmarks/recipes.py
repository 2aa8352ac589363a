"""How often the planted difference of two recipes, and its gain in compute, lie inside their 90 % intervals.

    python benchmarks/recipes.py [--sets 500] [--alike]

Two recipes share floor and exponent and differ in size by 7 %, with 0.3 % of noise; half of the runs are of each, drawn
evenly in log C over three decades, and compared at ten times the largest. The structure is chosen anew for each set.
With --alike both recipes have the larger size: then the interval of the difference should hold 0 in 90 % of the sets.
All sets are fitted as one batch, which gives what compare_recipes gives of each (--check compares some of them). The
results are in docs/planning.md.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from scalefit.numerics import FloatArray
from scalefit.planning.recipes.compare import _pair
from scalefit.planning.recipes.structure import (
    MARK,
    STRUCTURES,
    Structure,
    candidates,
    chosen_structure,
    criterion,
    fitted,
    formula,
    marked,
)
from scalefit.solver.many import Solutions, solve_many
from scalefit.solver.model import BoundLaw, bind
from scalefit.solver.objective import Objective
from scalefit.solver.solve import Settings
from scalefit.uncertainty.bootstrap import FEW_BLOCKS, bootstrap
from scalefit.uncertainty.calibration import small_sample

FLOOR, SIZES, EXPONENT, NOISE = 1.8, (30.0, 28.0), 0.075, 0.003
DECADES, TARGET = (18.0, 21.0), 1e22
DRAWS = 200
COUNTS = (14, 60)
NAMES = ("old", "new")
TOGETHER = 100  #: sets of one batch


def simulated(count: int, seed: int, sizes: tuple[float, float]) -> pd.DataFrame:
    """Runs of both recipes, with their marks."""
    rng = np.random.default_rng([count, seed])
    C, mark = 10 ** rng.uniform(*DECADES, count), np.arange(count) % 2
    loss = (FLOOR + np.take(sizes, mark) * C**-EXPONENT) * np.exp(NOISE * rng.standard_normal(count))
    return marked(pd.DataFrame({"C": C, "loss": loss, "recipe": np.take(NAMES, mark)}), "recipe", NAMES, "C")


@dataclass(frozen=True)
class Joint:
    """A joint fit with its draws, as far as a comparison reads it."""

    law: Any
    constants: FloatArray  #: (1 + draws, P)
    few: float
    names: tuple[str, ...] = NAMES

    @property
    def fit(self) -> Any:
        """What is read of a fit: the factor by which few rows widen the draws."""
        return SimpleNamespace(intervals=SimpleNamespace(few=self.few))

    def losses(self, recipe: int, values: Mapping[str, FloatArray]) -> FloatArray:
        """(1 + draws, n): the law of one recipe at values of compute."""
        marks = {MARK.format(k): float(k == recipe) for k in range(len(NAMES))}
        variables = {name: np.asarray({**marks, **values}[name], dtype=float) for name in self.law.variables}
        constants = dict(zip(self.law.parameters, self.constants.T[..., None], strict=True))
        made = np.asarray(self.law.evaluate(variables, constants))
        return np.broadcast_to(made, np.broadcast_shapes(made.shape, np.shape(values["C"]), (len(self.constants), 1)))


@dataclass(frozen=True)
class Batch:
    """One structure fitted to every set."""

    structure: Structure
    law: Any
    values: FloatArray  #: (sets, n)
    found: Solutions
    models: list[BoundLaw]  #: bound to the rows of each set

    @classmethod
    def of(cls, structure: Structure, sets: list[pd.DataFrame]) -> Batch:
        """Fit it."""
        law = formula(structure, len(NAMES), "C")
        own = {name: np.stack([rows[name].to_numpy(float) for rows in sets]) for name in law.variables}
        values = np.stack([rows["loss"].to_numpy(float) for rows in sets])
        models = [bind(law, {name: column[i] for name, column in own.items()}) for i in range(len(sets))]
        every = replace(models[0], variables=own, position=None, own=True)
        return cls(structure, law, values, solve_many(every, values, np.ones_like(values), Settings()), models)

    def criterion(self, i: int) -> float:
        """That of one set's fit."""
        residuals = np.log(self.values[i] / self.models[i].value(self.found.theta[i][None])[0])
        fit = SimpleNamespace(parameters=self.law.parameters, fixed={})
        return criterion(SimpleNamespace(residuals=residuals, fit=fit))  # type: ignore[arg-type]

    def joint(self, i: int, seed: int) -> Joint:
        """One set's fit with its draws."""
        values, model, theta, n = self.values[i], self.models[i], self.found.theta[i], self.values.shape[1]
        objective, blocks = Objective("log", "huber", float(self.found.delta[i])), np.arange(n)
        given = model, objective, values, np.ones(n), theta, blocks
        method = "pairs" if n >= FEW_BLOCKS else "bayesian"
        draws = bootstrap(*given, draws=DRAWS, seed=seed, method=method, sigma=float(self.found.sigma[i]))
        few = small_sample(n, n, len(model.coordinates), method)
        return Joint(self.law, model.vector(np.concatenate([theta[None], draws])), few)


def joints(sets: list[pd.DataFrame], seeds: list[int]) -> list[tuple[Structure, Joint]]:
    """The chosen structure of each set of as many runs, and its joint fit with draws."""
    batches = {structure: Batch.of(structure, sets) for structure in STRUCTURES}
    answers = []
    for i, seed in enumerate(seeds):
        tried = [(batch.criterion(i), SimpleNamespace(structure=name)) for name, batch in batches.items()]
        chosen = chosen_structure(sorted(tried, key=lambda each: each[0]))  # type: ignore[arg-type]
        answers.append((chosen, batches[chosen].joint(i, seed)))
    return answers


def judged(structure: Structure, joint: Any, rows: pd.DataFrame, sizes: tuple[float, float]) -> dict[str, object]:
    """Whether the truth lies inside the intervals of one data set."""
    place = {"C": np.array([TARGET])}
    losses = np.stack([joint.losses(k, place)[:, 0] for k in range(2)], axis=1)
    row = _pair(joint, 1, 0, losses, {"C": TARGET}, rows)
    truth = (sizes[0] - sizes[1]) * TARGET**-EXPONENT
    gain = (sizes[0] / sizes[1]) ** (1 / EXPONENT)
    return {
        "difference": row["difference_low"] <= truth <= row["difference_high"],
        "gain": row["gain_low"] <= gain <= row["gain_high"],
        "chosen": structure.text,
        "low": row["difference_low"],
        "high": row["difference_high"],
    }


def alone(rows: pd.DataFrame, seed: int, sizes: tuple[float, float]) -> dict[str, object]:
    """The same by the fits that compare_recipes makes."""
    chosen = chosen_structure(candidates(rows, NAMES, "C", [len(rows) // 2] * 2))
    joint = fitted(rows, chosen, NAMES, "C", draws=DRAWS, seed=seed, calibrated=False)
    return judged(chosen, joint, rows, sizes)


def main() -> None:
    """Print one line for each number of runs."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sets", type=int, default=500)
    parser.add_argument("--counts", type=int, nargs="*", default=COUNTS)
    parser.add_argument("--alike", action="store_true")
    parser.add_argument("--check", type=int, default=0, help="how many sets are fitted one by one as well")
    given = parser.parse_args()
    sizes = (SIZES[0], SIZES[0]) if given.alike else SIZES
    for count in given.counts:
        begin, found = time.perf_counter(), []
        for first in range(0, given.sets, TOGETHER):
            seeds = list(range(first, min(first + TOGETHER, given.sets)))
            sets = [simulated(count, seed, sizes) for seed in seeds]
            found += [judged(*each, rows, sizes) for each, rows in zip(joints(sets, seeds), sets, strict=True)]
        for seed in range(given.check):
            print(found[seed], alone(simulated(count, seed, sizes), seed, sizes), sep="\n")
        rows = pd.DataFrame(found)
        right = (rows["chosen"] == "shared floor and exponents").mean()
        print(
            f"{count} runs, {given.sets} sets: difference inside {100 * rows['difference'].mean():.1f} %, gain "
            f"{100 * rows['gain'].mean():.1f} %; planted structure chosen in {100 * right:.0f} %; "
            f"{time.perf_counter() - begin:.0f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
