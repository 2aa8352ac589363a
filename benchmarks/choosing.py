"""The law that the runs choose against the best single law with hindsight, on public data sets.

    python benchmarks/choosing.py            every set
    python benchmarks/choosing.py olmo       one set

Each case of :mod:`public` is fitted once without a law, and once with every law that was tried there. The error is that
of the held-out runs, the median over the rows of a set; hindsight is the law with the least such error in the set. Sets
marked "chosen on" are those on which the power of the weights was chosen; the others were not looked at before.
"""

from __future__ import annotations

import sys
import time
import warnings

import numpy as np
import pandas as pd
from public import cases

import scalefit as sf

CHOSEN_ON = ("olmo", "grids", "mpl")
LEAST_ROWS = 4000  #: rows of a held-out curve that are predicted at most


def judged(only: str = "") -> pd.DataFrame:
    """One row a held-out run or row: data set, part, law ("automatic" for the mixture), absolute relative error."""
    rows, seen = [], set()
    for case in cases(only):
        small = sf.read_runs(case.small, need=()) if isinstance(case.small, pd.DataFrame) else case.small
        large = sf.read_runs(case.large, need=()) if isinstance(case.large, pd.DataFrame) else case.large
        key = (case.data, case.part.partition(",")[0], tuple(small.names))
        if key in seen:
            continue
        seen.add(key)
        options = {name: value for name, value in case.options if name != "fix"}
        law = "loss-to-loss" if case.law == "loss-to-loss" else "auto"
        begin = time.process_time()
        try:
            chosen = sf.fit(small, law, **options)
        except sf.InputError as error:
            print(f"{case.name}: {error}", file=sys.stderr)
            continue
        spent = time.process_time() - begin
        tables = {"automatic": chosen.predict(large)}
        for record in chosen.choice.errors if chosen.choice else ():
            tables[record["law"]] = sf.fit(small, record["law"], **options).predict(large)
        for name, told in tables.items():
            told = told.iloc[:: max(1, len(told) // LEAST_ROWS)]
            error = (told["loss"] / told["measured"] - 1).abs()
            rows.append(pd.DataFrame({"data": case.data, "part": case.part, "law": name, "error": error, "cpu": spent}))
        print(f"{case.name}: {spent:.1f} s, {chosen.choice}", file=sys.stderr)
    return pd.concat(rows, ignore_index=True)


def report(table: pd.DataFrame) -> None:
    """The ratio to hindsight, by set and over all rows, as the table of docs/choosing.md."""
    table = table.assign(law=[law.partition(":decay")[0] for law in table["law"]])
    median = table.groupby(["data", "law"])["error"].median().unstack()
    single = median.drop(columns="automatic")
    hindsight, best = single.idxmin(axis=1), single.min(axis=1)
    print("| data set | rows | hindsight | its median error (%) | the mixture (%) | ratio | CPU of a fit (s) | |")
    print("|---|---|---|---|---|---|---|---|")
    for data in median.index:
        ours = median.loc[data, "automatic"]
        mine = table[(table["data"] == data) & (table["law"] == "automatic")]
        cpu = mine.groupby("part")["cpu"].mean().median()
        note = "chosen on" if data in CHOSEN_ON else "untouched"
        numbers = f"{100 * best[data]:.3f} | {100 * ours:.3f} | {ours / best[data]:.2f} | {cpu:.1f}"
        print(f"| {data} | {len(mine)} | {hindsight[data]} | {numbers} | {note} |")
    ours = table[table["law"] == "automatic"]["error"].median()
    theirs = pd.concat(
        [table[(table["data"] == data) & (table["law"] == law)]["error"] for data, law in hindsight.items()]
    ).median()
    ratio = median["automatic"] / best
    print(
        f"\nall rows: mixture {100 * ours:.3f} %, hindsight {100 * theirs:.3f} %, ratio {ours / theirs:.2f}; "
        f"of the sets: geometric mean {np.exp(np.log(ratio).mean()):.2f}, worst {ratio.max():.2f}"
    )


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    report(judged(*sys.argv[1:2]))
