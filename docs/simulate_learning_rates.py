"""What `lr-transfer` and `watch` make of simulated logs: ``python docs/simulate_learning_rates.py [KIND ...]``.

Every sample of the benchmarks `learning_rates` and `watch` is drawn from its own seed and judged; the outcomes, one
letter a sample, go to docs/simulated.csv, from which docs/make_learning_rate.py makes the tables of
docs/learning_rate.md. A test judges some of the samples again. With names of kinds only those are drawn again.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

import scalefit as sf

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import learning_rates
import watch

KEPT = Path(__file__).parent / "simulated.csv"
LOOKS = 12  #: looks at a log while it grows
Case = tuple[object, ...]


@dataclass(frozen=True)
class Kind:
    """A kind of simulation: its cases, the samples of each, and what judges one: a letter, and a number beside it."""

    cases: Sequence[Case]
    samples: int
    judge: Callable[[Case, int], tuple[str, float]]


def optimum(case: Case, k: int) -> tuple[str, float]:
    """Whether the interval holds the optimum of a sweep (1, 0, or - where it is refused), and its width in octaves."""
    shape, step, seeds = str(case[0]), float(str(case[1])), int(str(case[2]))
    found = learning_rates.sweep(shape, step, seeds, k)
    held = found.low <= 2.0**-8 <= found.high
    return ("-", np.nan) if found.refused else (str(int(held)), found.octaves)


def drift(case: Case, k: int) -> tuple[str, float]:
    """Whether the intervals hold the drift and the law (b both, d and l one of them, n none); whether it transfers."""
    slope, stray = (float(str(each)) for each in case)
    arm = learning_rates.swept(slope, stray, k)
    at = arm.at(512)
    held, law = arm.drift.low <= slope <= arm.drift.high, at.low <= 2.0 ** (-8 + 2 * slope) <= at.high
    verdict = {"transfers": 1.0, "does not transfer": -1.0}.get(arm.verdict.split(":")[0], 0.0)
    return "nldb"[2 * bool(held) + bool(law)], verdict


def drawn(kind: int, case: Case, k: int) -> np.random.Generator:
    """The random numbers of one sample, the same whichever others are drawn."""
    return np.random.default_rng([kind, k, *map(ord, " ".join(map(str, case)))])


def calm(case: Case, k: int) -> tuple[str, float]:
    """Whether a log without a fault raises an alarm at its end."""
    rng = drawn(1, case, k)
    log = watch.with_probes(rng, watch.calm(rng, *map(str, case)))
    return str(int(watch.false_alarm(sf.watch(log), str(case[0])))), np.nan


def growing(case: Case, k: int) -> tuple[str, float]:
    """Whether it raises one at any of several looks, from 20 rows on."""
    rng = drawn(2, case, k)
    log = watch.with_probes(rng, watch.calm(rng, *map(str, case)))
    ends = np.linspace(20, len(log), LOOKS).astype(int)
    return str(int(any(watch.false_alarm(sf.watch(log.iloc[:end]), str(case[0])) for end in ends))), np.nan


def dip(case: Case, k: int) -> tuple[str, float]:
    """Whether a log with a dip is called anything but calm."""
    return str(int(sf.watch(watch.dipped(drawn(3, case, k), str(case[0]))).status != "calm")), np.nan


def fault(case: Case, k: int) -> tuple[str, float]:
    """Whether a planted fault is reported as what it is."""
    log = watch.faulty(drawn(4, case, k), *map(str, case))
    return str(int(watch.found(sf.watch(log), str(case[0])))), np.nan


KINDS = {
    "optimum": Kind(list(product(learning_rates.SHAPES, (0.5, 1.0, 2.0), (1, 4))), 40, optimum),
    "drift": Kind(list(product((-1.0, -0.5, 0.0), (0.0, 0.15, 0.3))), 40, drift),
    "calm": Kind(list(product(watch.SHAPES, watch.NOISES)), 8, calm),
    "growing": Kind(list(product(watch.SHAPES, watch.NOISES)), 2, growing),
    "dip": Kind([(kind,) for kind in watch.DIPS], 50, dip),
    "fault": Kind(list(product(watch.FAULTS, ("normal", "student 3"))), 20, fault),
}


def rows_of(name: str) -> Iterator[dict[str, object]]:
    """One row a case: the letters of its samples, and the median of their numbers."""
    kind = KINDS[name]
    for case in kind.cases:
        letters, numbers = zip(*(kind.judge(case, k) for k in range(kind.samples)), strict=True)
        known = [number for number in numbers if np.isfinite(number)]
        middle = float(np.median(known)) if known else np.nan
        least, most = (min(known), max(known)) if known else (np.nan, np.nan)
        yield {
            "kind": name, "case": "; ".join(map(str, case)), "outcomes": "".join(letters),
            "median": middle, "least": least, "most": most,
        }  # fmt: skip


def main(names: Sequence[str]) -> None:
    """Draw the samples of these kinds again; the others stay as they are."""
    kept = pd.read_csv(KEPT, dtype={"outcomes": str}) if KEPT.exists() else pd.DataFrame(columns=["kind"])
    for name in names or KINDS:
        kept = pd.concat([kept[kept["kind"] != name], pd.DataFrame(rows_of(name))], ignore_index=True)
        kept.to_csv(KEPT, index=False, float_format="%.3g")
        sys.stdout.write(f"{name}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
