"""Which faults mutants.py plants: an even sample over all wings, without those that change nothing."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from mutations import Fault, Finder, optional_in

#: wings, by the beginning of a file's path below the package
WINGS = {
    "laws": ("laws/",),
    "solver": ("solver/",),
    "rows": ("rows/",),
    "runs": ("runs/", "datasets/"),
    "schedules": ("schedules/",),
    "fitting": ("fitting/",),
    "uncertainty": ("uncertainty/",),
    "diagnosis": ("diagnosis/",),
    "comparison": ("comparison.py", "selection/"),
    "planning": ("planning/",),
    "progress": ("progress/",),
    "transfer": ("transfer/",),
    "stability": ("stability/",),
    "proxy": ("proxy/",),
    "cli": ("cli/",),
    "plots": ("plots/",),
    "reports": ("reports/",),
    "ground": (
        "answers.py",
        "duals.py",
        "errors.py",
        "escaping.py",
        "memory.py",
        "notices.py",
        "expressions.py",
        "numerics.py",
        "parallel.py",
        "status_line.py",
        "writing.py",
    ),
}
#: (file, what its line holds, what the fault makes of it or * for anything, why no test can tell)
EQUIVALENT: list[tuple[str, str, str, str]] = [
    ("solver/steps.py", "STRETCHES =", "*", "steps that are tried: the same minimum after more or fewer of them"),
    (
        "rows/streams.py",
        "every = len(inside)",
        "inside[-1]",
        "a slice or the same positions one by one: the same rows, slower",
    ),
    ("solver/refine.py", "predicted[0]", "predicted[-1]", "a batch of one: its first member is its last"),
    (
        "uncertainty/profile.py",
        "np.zeros((1, 0))",
        "model.value(np.zeros((1, 0)))[-1]",
        "a batch of one: its first member is its last",
    ),
    (
        "plots/learning_rate.py",
        "isfinite(arm.slope[0])",
        "arm.slope[-1]",
        "the draws of a slope are all finite, or none is",
    ),
    ("laws/optimal_lr_batch.py", "N=1.0, alpha=0.0", "*", "without N, alpha is 0, and so N^-alpha is 1"),
    ("transfer/drift.py", "TAUS =", "39", "nodes of a sum that stands for an integral: one fewer gives the same"),
    ("fitting/streaming.py", "gained >= 0.5 * expected", "gained > 0.5 * expected", "two floats that are never equal"),
    ("progress/own_curve.py", "-gain]", "gain", "its prior has no sign, and only products of the column are used"),
    ("rows/rows.py", "runs.origin[0]", "runs.origin[-1]", "where there are several files, every row names its own"),
    ("schedules/text.py", "end == 0 and head.size", "end != 0", "no shape that takes a warm-up rises without one"),
    ("laws/formula.py", '{"N", "D"} <= present', '{"N", "D"} < present', "the columns always hold run as well"),
    (
        "solver/descent.py",
        "block = max(1",
        "min(1, (BLOCK if second is None else WARM_BLOCK) // model.size)",
        "how many members move at once: the same results, slower",
    ),
    ("progress/partial_run.py", "clock.area[0]", "clock.area[-1]", "the clock of one step"),
    ("progress/partial_run.py", "clock.fall[0]", "clock.fall[-1]", "the clock of one step"),
    ("diagnosis/unread.py", "(x > 0)", "x >= 0", "laws of an x refuse rows in which it is not positive before this"),
    ("uncertainty/intervals.py", "// DRAW_ROWS", "min(1, -(-len(rows) // DRAW_ROWS))", "all rows for some: slower"),
    ("solver/refine.py", "best, best_size, worse =", "1", "set to 0 by the first step"),
    ("fitting/streaming.py", "return theta[0]", "theta[-1]", "a batch of one: its first member is its last"),
    (
        "diagnosis/influence.py",
        "np.ptp(rest) <= SAME",
        "np.ptp(rest) < SAME * max(abs(float(rest[0])), 1e-300)",
        "two floats that are never equal but by both being 0",
    ),
    (
        "diagnosis/influence.py",
        "np.ptp(rest) <= SAME",
        "rest[-1]",
        "of values that are the same to a billionth any one",
    ),
    ("comparison.py", "judged[best] <= SAME", "judged[best] < SAME * judged.min()", "two floats that are never equal"),
    ("diagnosis/unread.py", "apart[0]", "apart[-1]", "one name there, as C is dealt with before"),
    ("runs/reading/joining.py", "len(curves) == 1", "0", "tables put below one another: of one the same, a copy later"),
    ("numerics.py", "for _ in range(40)", "*", "steps of an iteration that has converged long before"),
    ("numerics.py", "ratio = 2.0", "*", "where an iteration begins that converges from anywhere"),
    ("schedules/gaps.py", "FEW = 48", "*", "fewer gaps are never grouped: the same sums, slower"),
    ("planning/allocation/bottom.py", "np.clip(FIRST, left, right)", "*", "where a search begins: the same zero"),
    ("transfer/further.py", "else (-np.inf, np.inf)", "(np.inf, np.inf)", "both ends are infinite, as they are asked"),
    ("progress/dips.py", "return depth > max(", "*", "two floats that are never equal"),
    ("fitting/cautions.py", "width > WIDE", "width >= WIDE", "two floats that are never equal"),
    ("cli/batch.py", "rates.arms[0]", "*", "all runs are one arm there"),
    ("parallel.py", "threads: bool = False", "*", "threads or processes: the same results"),
    ("schedules/gaps.py", "exact: bool = False", "*", "the same sums, slower"),
    ("schedules/tree.py", "LEAF =", "*", "how gaps are grouped, for the same sums"),
    ("schedules/tree.py", "NODES =", "*", "as above"),
    ("schedules/tree.py", "ACROSS =", "*", "as above"),
    ("schedules/tree.py", "WIDEST =", "*", "as above"),
    ("schedules/tree.py", "(old.low[one]", "*", "as above"),
    ("schedules/relaxation.py", "while reach < level.size", "*", "what follows the last step is empty, or nothing"),
    ("schedules/text.py", "and not numbers[0].is_integer", "*", "one number: the first is the last"),
    ("schedules/text.py", "return int(numbers[0])", "*", "as above"),
    ("schedules/gaps.py", "np.where(seen, area, 1.0)", "*", "the area of a gap of 0, which adds nothing"),
    ("schedules/areas.py", "if rows > 1", "rows >= 1", "sums of no rows"),
    ("schedules/areas.py", "padded = np.zeros(", "*", "what stands behind the last value is cut off"),
    (
        "planning/collapse.py",
        '"loss"} <= set(',
        '{along, "loss"} < set(logs.curves.columns)',
        "the columns always hold run as well",
    ),
    (
        "planning/run_schedule.py",
        "run or runs.names[0]",
        "runs.names[-1]",
        "one run: several without a choice are refused",
    ),
    ("solver/derivatives.py", "jacobian.sum(axis=(1, 2))", "2, 1", "a sum over both axes"),
    ("solver/model.py", "if low < smallest", "low <= smallest", "both branches begin at the same end there"),
    ("solver/steps.py", "np.where(dead, 1.0,", "*", "the curvature of a coordinate that does not move"),
    (
        "fitting/recipe.py",
        "{above, below} <=",
        "{above, below} < {*table.columns}",
        "the columns always hold run as well",
    ),
    ("duals.py", "np.where(value == 0, 1.0, x)", "*", "times a value of 0"),
    ("reports/equations.py", "following = tokens[i + 1] if i + 1", "2", "a caret is never the last token"),
    ("solver/expansion.py", "scale = (weights * objective.majorant", "*", "where refits begin: the same minimum"),
    ("fitting/streaming.py", "damping = max(10 * damping", "*", "steps that are tried: the same minimum"),
    ("rows/door.py", "for i in bad[:3]]", "4", "three of them are shown, however many are given"),
    ("solver/starts.py", "CELLS =", "*", "how many places are ranked: the same minimum after more or fewer of them"),
    ("runs/inspect.py", "paths[0] if len(paths) == 1", "paths[-1]", "one path: the first is the last"),
    ("solver/descent.py", "if second is None and objective.loss", "*", "which steps are stretched: the same minimum"),
    ("diagnosis/undetermined.py", "if len(names) > 1", "2", "two names are joined the same way by either"),
    ("planning/allocation/plan.py", 'budget_for(float(row["loss"]))[0]', "*", "of one draw the first is the last"),
    ("runs/formats/json_shapes.py", "keys = list(inner[0])", "inner[-1]", "all are held against it: the same answer"),
    ("transfer/optimum.py", "y = np.log(y) if log", "np.log10(y)", "distances are compared with one another: any base"),
    ("solver/sums/condensed.py", "step = max(1, BLOCK", "*", "how many rows at once: the same, slower"),
    ("reports/asked.py", "np.ndim(values) > 1", "np.ndim(values) < 1", "laws of many values a row follow schedules"),
    ("laws/law.py", "span: Span = (1.0, 100.0)", "*", "where the contract test draws values: either way round"),
    ("cli/data.py", "_fetched(rest[0]", "rest[-1]", "one name: several are refused before"),
    ("plots/plan.py", "float(values[0]) for name, values in one.optimum", "*", "of one draw the first is the last"),
    ("uncertainty/folds.py", "scale > cut + 1e-9", "scale >= cut + 1e-9", "two floats that are never equal"),
    ("uncertainty/folds.py", "v < -MOVED", "v <= -MOVED", "two floats that are never equal"),
    ("diagnosis/checks.py", "size < NEGLIGIBLE", "size <= NEGLIGIBLE", "two floats that are never equal"),
    ("progress/own_curve.py", "whole <= 1e-3", "whole < 1e-3 * peak", "two floats that are never equal"),
    ("transfer/drift.py", "np.isnan(slope[0])", "slope[-1]", "the draws of a slope are all finite, or none is"),
    ("progress/growth.py", "if farther > NEAR", "farther >= NEAR", "two floats that are never equal"),
    ("fitting/streaming.py", "expected <= SETTLED", "expected < SETTLED * cost", "two floats that are never equal"),
    ("solver/descent.py", "near: bool = False", "*", "which steps are tried first: the same minimum"),
    ("diagnosis/one_sided.py", 'side, count = "low"', "errors[-1]", "all have one sign"),
    ("laws/broken.py", "FLOORS =", "*", "where searches begin: the same minimum"),
    ("laws/broken.py", "WIDTHS =", "*", "as above"),
    ("laws/broken.py", "PLACES =", "*", "as above"),
    ("formats/matrices.py", "return len(values) > 1 and", "*", "of one value the last is not below the first"),
    ("schedules/theory.py", "max(1, BLOCK", "*", "how many rows at once: the same, slower"),
    (
        "uncertainty/intervals.py",
        "keep = slice(None, None, max(1,",
        "0",
        "rows over rows, rounded up, are one at least",
    ),
    ("plots/learning_rate.py", "np.ptp(ax.get_xlim()) < MOST_TICKS", "*", "two floats that are never equal"),
    (
        "progress/forecast.py",
        "points.area is None or points.fall",
        "points.area is None and points.fall is None",
        "both are known, or neither",
    ),
    ("diagnosis/influence.py", "np.ravel(end)[0]", "[-1]", "one point: the first is the last"),
    ("solver/descent.py", "block = max(1, block // (rivals or 1))", "*", "how many move at once: the same, slower"),
    ("rows/gather.py", "arrays[0].ndim == 1", "arrays[-1]", "the arrays of one variable have as many axes each"),
    ("rows/gather.py", "runs.origin[0].path if", "runs.origin[-1]", "what no file has can be named of any of them"),
    (
        "runs/final.py",
        '{"N", "D"} <= set(',
        '{"N", "D"} < set(table.columns)',
        "the columns always hold the loss as well",
    ),
    ("transfer/boundary.py", "draws: int = 400", "*", "how many draws: the same, more or less exactly"),
    ("rows/door.py", "compute = max((float(", "*", "no law reads two amounts of compute"),
    (
        "solver/sums/condensed.py",
        "for w in (1.0, 0.0)",
        "0.0, 1.0",
        "the sign of all terms: ratios are used",
    ),
    ("solver/derivatives.py", "if near.any() and len", "near.all()", "which steps are tried: the same minimum"),
    ("solver/starts.py", "// FEWEST_ROWS", "*", "how many places are ranked: the same minimum"),
    ("rows/streams.py", "200_000", "*", "how many rows at once: the same"),
    ("reading/curves.py", "if plain else column.iloc[beginning].unique()", "*", "the same values, slower"),
    (
        "isoflop/study.py",
        "law = fit(points",
        'fit(points[["N", "D", "loss"]], LAW, draws=draws, seed=seed, )',
        "no interval of it is asked for: the same constants, slower",
    ),
    ("laws/sample_size.py", "distance=0.0, h=0.0", "*", "without distance there is no h"),
    ("fitting/streaming.py", "(gradient > 0)", "gradient >= 0", "two floats that are never equal"),
    ("plots/samples.py", "> SIGMAS * fit.sigma", "np.abs(residuals(fit, rows)) >= SIGMAS * fit.sigma", "as above"),
    ("solver/expansion.py", "with_delta(factor", "*", "the way to where refits begin: the same minimum"),
    ("solver/descent.py", "iterations=QUICK, second=second", "*", "which steps are tried: the same minimum"),
    ("uncertainty/calibration.py", "return wide[0]", "wide[-1]", "one width: the first is the last"),
    ("diagnosis/unread.py", "np.std(left) > APART", "np.std(left) >= APART", "two floats that are never equal"),
    ("plots/backtest.py", "np.log10(factor) <= last", "np.log10(factor) < last + 0.2", "as above"),
    ("transfer/bowl.py", "np.array([one[0] for one", "one[-1]", "one place: the first is the last"),
    ("schedules/areas.py", "TINY * np.eye(3)", "*", "keeps a singular system solvable, of either sign"),
    ("solver/between.py", "weight = 1 / np.prod(", "*", "all weights change their sign, or none: only ratios are used"),
    ("runs/table.py", "if scale != 1.0", "*", "a division by one"),
    ("diagnosis/degenerate.py", "column = jacobian[0, j]", "-1", "a batch of one: its first member is its last"),
    ("allocation/bottom.py", "np.minimum(values.min(axis=1)", "*", "the bottom of a valley is below all places on it"),
    ("transfer/drift.py", "if len(height) < 2", "len(height) <= 2", "no answer is of a single draw"),
    ("progress/rises.py", "np.log(tail / seen)", "np.log10(tail / seen)", "the smallest is the same in any base"),
]


#: a batch of one: its first member is its last
ONE = re.compile(r"\.(value|vector|values)\([^()]*\[None\]\)\[0\]$")

EACH_OF_ONE = re.compile(r"\w\[0\] for \w+ in .*\[None\]\)")


def excused(fault: Fault, line: str) -> bool:
    """Whether EQUIVALENT names it, or it is of a kind that changes nothing anywhere."""
    first_of_one = fault.kind == "index" and bool(ONE.search(fault.old) or EACH_OF_ONE.search(line))
    thinned = fault.new.startswith("min(1,") and "slice(None, None, max(1," in line  # all rows for some: slower
    either_way = fault.kind == "swapped" and bool(re.match(r"(np\.)?(min|max)(imum)?\(", fault.old))
    shape_alone = fault.new == fault.old.replace("+ np.zeros", "- np.zeros")  # added for the shape of the sum
    return (
        first_of_one
        or shape_alone
        or thinned
        or either_way
        or any(
            fault.file.endswith(file) and text in line and new in ("*", fault.new) for file, text, new, _ in EQUIVALENT
        )
    )


def found(root: Path) -> Iterator[Fault]:
    """Every fault of the package."""
    paths = sorted((root / "scalefit").rglob("*.py"))
    optional = optional_in(paths)
    for path in paths:
        lines = path.read_text(encoding="utf-8").splitlines()
        yield from (fault for fault in Finder(root, path, optional).faults if not excused(fault, lines[fault.line - 1]))


def wing_of(fault: Fault) -> str:
    return next((wing for wing, begins in WINGS.items() if fault.file.removeprefix("scalefit/").startswith(begins)), "")


def chosen(root: Path, count: int, seed: int, only_wing: str = "", under: str = "", only_kind: str = "") -> list[Fault]:
    """A sample, the wings in turn, within a wing the kinds and then the places by chance.

    ``under``: of files whose path below the package begins so.
    """
    draw = random.Random(seed)
    rooms: dict[str, list[Fault]] = {wing: [] for wing in WINGS if only_wing in ("", wing)}
    for fault in (fault for fault in found(root) if fault.file.startswith(f"scalefit/{under}")):
        if wing_of(fault) in rooms and (not only_kind or fault.kind in only_kind.split(",")):
            rooms[wing_of(fault)].append(fault)
    picked: list[Fault] = []
    while len(picked) < count and any(rooms.values()):
        for faults in rooms.values():
            if faults and len(picked) < count:
                kinds = Counter(fault.kind for fault in faults)
                (kind,) = draw.choices(list(kinds), [number**0.5 for number in kinds.values()])  # rare ones more often
                pick = draw.choice([fault for fault in faults if fault.kind == kind])
                faults[:] = [fault for fault in faults if (fault.file, fault.line) != (pick.file, pick.line)]
                picked.append(pick)
    return picked
