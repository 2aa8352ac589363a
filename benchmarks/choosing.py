"""The law that the runs choose against the best single law with hindsight, on public data sets.

    python benchmarks/choosing.py            every set
    python benchmarks/choosing.py olmo FILE  one set; also writes the errors to FILE (pickle)
    python benchmarks/choosing.py marin redrawn skaling  the same designs, where a law holds: losses drawn anew
    python benchmarks/choosing.py datablations/one redrawn chinchilla  ... of one part of a set

Each case of :mod:`public` is fitted once without a law, and once with every law that was tried there. The error is that
of the held-out runs, the median over the rows of a set; hindsight is the law with the least such error in the set. Sets
marked "chosen on" are those on which the rule was chosen; the others were not looked at before.
"""

from __future__ import annotations

import itertools
import sys
import time
import warnings
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
from public import PUBLIC, Case, cases, growing

import scalefit as sf

CHOSEN_ON = ("olmo", "grids", "gemstones", "marin", "porian", "nmt", "epfl", "loss-to-loss", "planted")
PLANTED = {
    "power": lambda C: 12 * (C / 1e17) ** -0.06,
    "power-floor": lambda C: 1.8 + 2.2 * (C / 1e17) ** -0.17,
    "broken": lambda C: 0.5 + 5 * (C / 1e17) ** -0.03 * (1 + (C / 1.2e18) ** 2.5) ** -0.048,
}
LEAST_ROWS = 4000  #: rows of a held-out curve that are predicted at most


def with_recipes(only: str) -> Iterator[Case]:
    """Runs that differ in more than size and data: routed models by experts, sweeps of peak rate and batch."""
    folder = PUBLIC / "routing_dm"
    if "routed".startswith(only) and folder.is_dir():
        runs = pd.read_csv(folder / "curves_dense_sbase.csv").query(
            "k == 1 and routing_frequency == 0.5 and seed == 42 and step >= 249000 "
            "and router_type in ('Dense', 'S-Base')"
        )
        for judge in ("loss", "loss_c4", "loss_lambada"):
            rows = pd.DataFrame({"N": runs["params"], "experts": runs["experts"], "loss": runs[judge]}).dropna()
            yield from growing("routed", judge, rows, ("routed",), over="N")
    folder = PUBLIC / "steplaw"
    if "steplaw".startswith(only) and folder.is_dir():
        runs = pd.read_csv(folder / "dense_lr_bs_sweep.csv").query("not diverged")
        names = {"params": "N", "tokens": "D", "batch_tokens": "batch"}
        rows = runs.rename(columns=names)[["N", "D", "lr", "batch", "loss"]]
        for case in growing("steplaw", "", rows, ("lr-batch-surface",)):
            yield replace(case, part=f"{len(case.small)} runs")  # no law can be fitted to all of them


def planted(only: str) -> Iterator[Case]:
    """Eight runs over two decades of compute under a known law with noise, and what it says up to ten times beyond."""
    if not "planted".startswith(only[:7]):
        return
    C, beyond = np.geomspace(1e17, 1e19, 8), np.geomspace(2e19, 1e20, 3)
    for name, law in PLANTED.items():
        for noise, seed in itertools.product((0.002, 0.01), range(100, 108)):
            loss = law(C) * np.exp(noise * np.random.default_rng(seed).standard_normal(8))
            tables = (pd.DataFrame({"C": x, "loss": y}) for x, y in ((C, loss), (beyond, law(beyond))))
            yield Case(f"planted {name}", f"noise {noise:g} {seed}", "", *tables, beyond / C.max())


def redrawn(only: str, law: str, seed: int) -> Iterator[Case]:
    """The cases of a set with losses of a law that was fitted to all of its rows, and residuals drawn from its own.

    Rows of one part and number keep one loss in every case, as they do in the set itself.
    """
    name, _, part = only.partition("/")
    for case in (each for each in (*cases(name), *with_recipes(name)) if each.part.startswith(part)):
        both = pd.concat([case.small, case.large]).sort_index()
        told = sf.fit(both, law, **{name: value for name, value in case.options if name != "fix"}).predict(both)
        residuals = np.log(told["measured"] / told["loss"]).to_numpy()
        scale = np.sqrt(len(residuals) / max(len(residuals) - 5, 1))  # five constants, more or less
        rng = np.random.default_rng([seed, zlib.crc32(f"{case.part}{len(both)}".encode())])
        noise = scale * rng.choice(residuals - residuals.mean(), len(both))
        loss = pd.Series(told["loss"].to_numpy() * np.exp(noise), both.index)
        yield replace(case, small=case.small.assign(loss=loss), large=case.large.assign(loss=loss))


def of_law(only: str, law: str, draws: int = 3) -> None:
    """How much worse than hindsight the choice is on redrawn losses, and the law that they follow, by draw."""
    for seed in range(draws):
        table = judged(redrawn(only, law, seed))
        errors = table.groupby("law")["error"].median()
        best = min(everywhere(table), key=errors.get)
        ours, truth = (errors.get(name, np.nan) / errors[best] for name in ("automatic", law))
        print(
            f"{only} as {law}, draw {seed}: best {best}, the law itself {truth:.2f}, the choice {ours:.2f}", flush=True
        )


def every(only: str = "") -> Iterator[Case]:
    """All cases of the sets whose name begins so, public and planted."""
    return itertools.chain(cases(only), with_recipes(only), planted(only))


def judged(these: Iterable[Case]) -> pd.DataFrame:
    """One row a held-out run or row: data set, part, law ("automatic" for the mixture), absolute relative error."""
    rows, seen = [], set()
    for case in these:
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
            of = {"data": case.data, "part": case.part, "fit": len(seen), "law": name}
            rows.append(pd.DataFrame({**of, "error": error, "cpu": spent}))
        print(f"{case.name}: {spent:.1f} s, {chosen.choice}", file=sys.stderr)
    return pd.concat(rows, ignore_index=True)


def report(table: pd.DataFrame) -> None:
    """The ratio to hindsight, by set and over all rows, as the table of docs/choosing.md.

    Hindsight is one of the laws that could be fitted wherever the mixture was; parts of a set that no such law shares
    are sets of their own. "Next best" is what hindsight over the other fits of the set is worth for each, and what the
    median law is: how far the laws of the set are apart.
    """
    table = table.assign(law=[law.partition(":decay")[0] for law in table["law"]])
    table["set"] = table["data"]
    for data, some in table.groupby("data"):
        if not everywhere(some):
            table.loc[table["data"] == data, "set"] = some["data"] + ", " + some["part"]
    print("| set | fits | rows | hindsight | its median error (%) | the mixture (%) | ratio | of mean errors", end="")
    print(" | next best | median law | CPU of a fit (s) | |")
    print("|---|---|---|---|---|---|---|---|---|---|---|---|")
    ratios, ours, theirs = [], [], []
    for name, some in table.groupby("set"):
        known = everywhere(some)
        if not known:
            continue
        errors, means = (some.groupby("law")["error"].agg(how) for how in ("median", "mean"))
        best = min(known, key=errors.get)
        mine, other = (some[some["law"] == law]["error"] for law in ("automatic", best))
        ratios.append(mine.median() / other.median())
        ours.append(mine)
        theirs.append(other)
        shown = [
            f"{100 * other.median():.3f} | {100 * mine.median():.3f}",
            *(f"{ratio:.2f}" for ratio in (ratios[-1], mine.mean() / means[known].min())),
            *(f"{found / other.median():.2f}" for found in (elsewhere(some, known), errors[known].median())),
            f"{some[some['law'] == 'automatic']['cpu'].median():.1f}",
            "chosen on" if some["data"].iloc[0].split()[0] in CHOSEN_ON else "untouched",
        ]
        print(f"| {name} | {some['fit'].nunique()} | {len(mine)} | `{best}` | {' | '.join(shown)} |")
    whole = [float(np.median(np.concatenate(each))) for each in (ours, theirs)]
    print(
        f"\nall rows: mixture {100 * whole[0]:.3f} %, hindsight {100 * whole[1]:.3f} %, "
        f"ratio {whole[0] / whole[1]:.2f}; of the sets: "
        f"geometric mean {np.exp(np.log(ratios).mean()):.2f}, worst {max(ratios):.2f}"
    )


def elsewhere(some: pd.DataFrame, known: list[str]) -> float:
    """The median error where each fit of a set is made by the law that was best on the other fits; NaN for one fit."""
    some = some[some["law"].isin(known)]
    found = []
    for fit, own in some.groupby("fit"):
        others = some[some["fit"] != fit].groupby("law")["error"].median()
        if len(others):
            found.append(own[own["law"] == others.idxmin()]["error"])
    return float(pd.concat(found).median()) if found else float("nan")


def everywhere(some: pd.DataFrame) -> list[str]:
    """The laws that predict as many rows as the mixture does."""
    counts = some.groupby("law")["error"].count()
    return [law for law in counts.index if law != "automatic" and counts[law] == counts["automatic"]]


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    if sys.argv[2:3] == ["redrawn"]:
        of_law(sys.argv[1], sys.argv[3])
    else:
        found = judged(every(*sys.argv[1:2]))
        if sys.argv[2:]:
            found.to_pickle(sys.argv[2])
        report(found)
