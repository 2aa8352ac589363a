"""Next-run advice replayed on public grids: the error at a target for the compute that was spent, beside other choices.

    python benchmarks/next_run.py ../shared/data [--sets chinchilla,porian]

Every run of a grid was made, so a grid answers what any choice of runs would have measured. Targets are runs of the
largest budgets; affordable are the runs of at most a quarter of the target's compute, and their cost together is the
unit of spending. All choices start with the same cheap runs (of the lowest budgets) and fit the law chinchilla:

    grid     the isoFLOP budgets one after the other, the lowest first; with all compute the whole grid
    ladder   sizes that double, each with about 20 tokens per parameter, the smallest first
    random   affordable runs in random order, as far as the compute goes (two orders)
    advice   that of scalefit.next_runs in rounds of at most six runs, until a share is spent or no run helps; the law
             is fitted again after each round

The form of the error that the advice believes of a law, and its length, were chosen on four of the sets (CHOSEN).

The error is the root mean square of log(predicted/measured) over the targets of a set. The compute at equal error
is the share of compute at which a choice is first as good as the grid with a quarter, a half and all of it, over
that share of the grid. A choice is as good as the grid at the first share where its error is no larger than that of
the whole grid, and stays so from the share on after which it is never more than a tenth larger. The results are in
docs/planning.md.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

import scalefit as sf
from scalefit.numerics import FloatArray
from scalefit.planning.allocation.cost import cost_of
from scalefit.planning.isoflop.approaches import budgets_of
from scalefit.planning.next_runs.advice import _design

CHOICES = ("grid", "ladder", "random", "advice")
SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)  #: of the compute of all affordable runs
AFFORDABLE = 0.25  #: of the target's compute
SEEDS = 10  #: cheap runs that every choice starts with
TARGETS = 6  #: of a set, at most
TOP = 2  #: budgets from which the targets are taken
LEAST_SHARE = 0.25  #: of the grid's compute from which on its error is compared
CLOSE = 1.1  #: of the grid's error; that of six targets is known to a third
RATIO, DOUBLING = 20.0, 2.0
ROUND = 6  #: runs that the advice may name in a round
ROUNDS = 12  #: rounds in which a share of the compute is spent
DRAWS = 20  #: the choice rests on the back-test, not on the draws
ROUNDING = 1e-9  #: a budget of everything pays everything
CHOSEN = ("porian base|short|kaplan", "porian tuned|short|const", "loss-to-loss fineweb-100b", "marin")
ORDERS = 2  #: of random choice
FEWEST = 20  #: affordable runs, else a target is left out


def chinchilla(data: Path) -> Iterator[tuple[str, pd.DataFrame]]:
    """The 240 points of arXiv:2404.10102."""
    table = pd.read_csv(data / "chinchilla_epoch" / "chinchilla_245.csv")
    table = table[~table["excluded_by_epoch"]]
    yield "chinchilla", table.rename(columns={"params": "N", "tokens": "D"})


def porian(data: Path) -> Iterator[tuple[str, pd.DataFrame]]:
    """The recipes of arXiv:2406.19146, counted with the output layer where there are two counts."""
    table = pd.read_csv(data / "porian_isoflop" / "isoflop_points.csv").rename(columns={"params": "N", "tokens": "D"})
    for name, rows in table[table["param_count"] == "standard"].groupby("condition"):
        yield "porian " + "|".join(str(name).split("|")[1:4]), rows


def families(data: Path) -> Iterator[tuple[str, pd.DataFrame]]:
    """The sweeps of arXiv:2411.12925, the loss on the own validation set; the largest runs are targets."""
    table = pd.read_csv(data / "loss_to_loss" / "runs.csv")
    table = table.rename(columns={"params": "N", "tokens": "D", "loss_own_val": "loss"})
    for name, rows in table.groupby("train_dataset"):
        yield f"loss-to-loss {name}", rows


def marin(data: Path) -> Iterator[tuple[str, pd.DataFrame]]:
    """The isoFLOP sweep of Marin."""
    table = pd.read_csv(data / "marin_isoflop" / "isoflop_comma.csv").rename(columns={"params": "N", "tokens": "D"})
    yield "marin", table[table["kind"] == "isoflop"]


def gemstones(data: Path) -> Iterator[tuple[str, pd.DataFrame]]:
    """The cooled-down checkpoints of arXiv:2502.06857: widths and depths at several lengths."""
    table = pd.read_csv(data / "gemstones" / "loss_cool_end.csv")
    yield "gemstones", table.rename(columns={"params": "N", "tokens": "D"})


def overtrained(data: Path) -> Iterator[tuple[str, pd.DataFrame]]:
    """The three data sets of arXiv:2403.08540, each trained on 5 to 640 tokens per parameter; the loss on C4."""
    table = pd.read_csv(data / "gadre_overtraining" / "runs.csv")
    table = table.rename(columns={"params": "N", "tokens": "D", "loss_c4_val": "loss"})
    for name, rows in table.groupby("train_dataset"):
        yield f"over-trained {name}", rows


def fresh(data: Path) -> Iterator[tuple[str, pd.DataFrame]]:
    """The runs of arXiv:2305.16264 that read no token twice."""
    table = pd.read_csv(data / "datablations" / "all_296.csv")
    yield "datablations", table[table["epochs"] <= 1].rename(columns={"params": "N", "tokens": "D"})


SETS = {"chinchilla": chinchilla, "porian": porian, "families": families, "marin": marin, "gemstones": gemstones}
SETS |= {"overtrained": overtrained, "fresh": fresh}


def fitted(runs: pd.DataFrame, **settings: object) -> sf.Fit:
    """The law on some runs."""
    return sf.fit(runs[["N", "D", "loss"]], "chinchilla", force=True, **settings)  # type: ignore[arg-type]


def missed(runs: pd.DataFrame, target: pd.Series) -> float:
    """log(predicted/measured) at a target, by the law on some runs."""
    at = {"N": np.array([target["N"]]), "D": np.array([target["D"]])}
    return float(np.log(fitted(runs).evaluate(at)[0] / target["loss"]))


def within(order: FloatArray, costs: FloatArray, budget: float) -> list[int]:
    """The runs of an order that a budget pays, those that are too dear passed over."""
    chosen, left = [], budget * (1 + ROUNDING)
    for k in order.astype(int):
        if costs[k] <= left:
            chosen.append(int(k))
            left -= costs[k]
    return chosen


def ladder(pool: pd.DataFrame) -> FloatArray:
    """Places of runs with about 20 tokens per parameter whose sizes double, the smallest first."""
    off = np.abs(np.log(pool["D"] / pool["N"] / RATIO)).to_numpy()
    sizes, chosen = pool["N"].to_numpy(), []
    for size in np.exp(np.arange(np.log(sizes.min()), np.log(sizes.max()), np.log(DOUBLING))):
        near = np.flatnonzero(np.abs(np.log(sizes / size)) <= np.log(DOUBLING) / 2)
        if len(near):
            chosen.append(int(near[np.argmin(off[near])]))
    return np.array(list(dict.fromkeys(chosen)), dtype=float)


def advised(first: pd.DataFrame, pool: pd.DataFrame, target: pd.Series, spent: FloatArray) -> list[float]:
    """The error at each of some amounts of compute; it is asked again until they are spent, or no run helps."""
    runs, left, used, errors = first, pool, 0.0, []
    for limit in spent:
        for _ in range(ROUNDS):
            if limit <= used or not len(left):
                break
            fit = fitted(runs, draws=DRAWS)
            goal = {name: float(target[name]) for name in ("N", "D")}
            design = _design(fit, left[["N", "D"]], cost_of(None, ("N", "D"), None, goal), goal, failure=0.0)
            named = list(design.best(limit - used, ROUND))
            if not named:
                break
            used += float(left["C"].iloc[named].sum())
            runs = pd.concat([runs, left.iloc[named]])
            left = left.drop(left.index[named])
        errors.append(missed(runs, target))
    return errors


def replayed(runs: pd.DataFrame, target: pd.Series, choices: list[str]) -> dict[str, list[list[float]]] | None:
    """Errors at one target by choice, each a list over the shares; several lists for random choice."""
    pool = runs[runs["C"] <= AFFORDABLE * target["C"]].sort_values("C", kind="stable").reset_index(drop=True)
    if len(pool) < FEWEST:
        return None
    first, rest = pool.iloc[:SEEDS], pool.iloc[SEEDS:].reset_index(drop=True)
    costs, base = rest["C"].to_numpy(), float(first["C"].sum())
    spent = np.array(SHARES) * float(pool["C"].sum()) - base
    label = budgets_of(rest["C"].to_numpy())
    found: dict[str, list[list[float]]] = {choice: [] for choice in choices}

    def errors(order: FloatArray, whole: bool = False) -> list[float]:
        made = []
        for limit in spent:
            chosen = within(order, costs, limit)
            if whole:  # budgets of which every run is paid
                chosen = [k for k in chosen if set(np.flatnonzero(label == label[k])) <= set(chosen)]
            made.append(missed(pd.concat([first, rest.iloc[chosen]]), target))
        return made

    found["grid"].append(errors(np.arange(len(rest), dtype=float), whole=True))
    if "ladder" in found:
        found["ladder"].append(errors(ladder(rest)))
    for order in range(ORDERS if "random" in found else 0):
        found["random"].append(errors(np.random.default_rng(order).permutation(len(rest)).astype(float)))
    made = advised(first, rest, target, spent[:-1])
    found["advice"].append([*made, made[-1]])  # the whole compute is the grid
    return found


def targets_of(runs: pd.DataFrame) -> list[pd.Series]:
    """Runs of the largest budgets, evenly over their order in size."""
    label = budgets_of(runs["C"].to_numpy())
    last = np.sort(np.unique(label))[-TOP:]
    top = runs[np.isin(label, last)]
    if len(top) < TARGETS:  # no budgets
        top = runs.nlargest(2 * TARGETS, "C")
    top = top.sort_values(["C", "N"])
    places = np.unique(np.linspace(0, len(top) - 1, TARGETS).round().astype(int))
    return [top.iloc[int(k)] for k in places]


def judged(name: str, rows: pd.DataFrame, choices: list[str]) -> dict[str, object] | None:
    """One set: the error by choice and share, and the share at which each is as good as the whole grid."""
    runs = rows[["N", "D", "flops", "loss"]].astype(float).dropna().rename(columns={"flops": "C"})
    made = [each for target in targets_of(runs) if (each := replayed(runs, target, choices)) is not None]
    if not made:
        return None
    row: dict[str, object] = {"set": name, "runs": len(runs), "targets": len(made)}
    error = {
        choice: np.sqrt(np.mean(np.square([line for each in made for line in each[choice]]), axis=0))
        for choice in made[0]
    }
    goal = float(error["grid"][-1])
    for choice, line in error.items():
        row[f"{choice}_share"] = first_share(line <= goal)
        row[f"{choice}_equal"] = [
            first_share(line <= error["grid"][k]) / SHARES[k] for k in range(SHARES.index(LEAST_SHARE), len(SHARES))
        ]
        row[f"{choice}_stays"] = first_share(np.logical_and.accumulate((line <= CLOSE * goal)[::-1])[::-1])
        row |= {f"{choice}_{share:.4g}": float(each) for share, each in zip(SHARES, line, strict=True)}
    return row


def first_share(as_good: np.ndarray) -> float:
    """The first share at which a choice is as good; infinite where it never is."""
    return SHARES[int(np.argmax(as_good))] if as_good.any() else float("inf")


def main() -> None:
    """Print a line for each set, and the medians."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--choices", default=",".join(CHOICES), help="beside the grid")
    given = parser.parse_args()
    choices = ["grid", *(choice for choice in given.choices.split(",") if choice != "grid")]
    warnings.simplefilter("ignore", sf.FitWarning)
    rows = []
    for kind in given.sets.split(","):
        for name, table in SETS[kind](given.data):
            begin = time.perf_counter()
            row = judged(name, table, choices)
            if row is None:
                print(f"{name}: too few affordable runs", flush=True)
                continue
            rows.append(row)
            print(f"{name}: {row['runs']} runs, {row['targets']} targets ({time.perf_counter() - begin:.0f} s)")
            for choice in choices:
                line = "  ".join(f"{100 * float(str(row[f'{choice}_{share:.4g}'])):6.2f}" for share in SHARES)
                shares = f"as good with {row[f'{choice}_share']:.4g}, and stays so with {row[f'{choice}_stays']:.4g}"
                print(f"  {choice:7s} {line} %   {shares}", flush=True)
    table = pd.DataFrame(rows)
    seen = table["set"].isin(CHOSEN)
    for which, part in (("all sets", table), ("the sets that no constant was chosen on", table[~seen])):
        print(which)
        for choice in choices:
            equal = np.array(part[f"{choice}_equal"].tolist())
            print(f"  {choice}: compute at equal error, median {np.median(equal) if len(equal) else np.nan:.3g}")
            for how in ("share", "stays"):
                shares = part[f"{choice}_{how}"]
                never = f"never in {int(np.isinf(shares).sum())} of {len(part)} sets"
                half = f"half or less in {int((shares <= 0.5).sum())}"
                print(f"  {choice}, {how}: median {shares.median():.4g}; {half}; {never}")


if __name__ == "__main__":
    main()
