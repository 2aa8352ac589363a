"""Fitting, timed against other solvers in turn: median CPU seconds, and the objective that each reaches.

    python benchmarks/fit.py                 everything (about four minutes)
    python benchmarks/fit.py chinchilla      one job: chinchilla, starts, annealing, bootstrap, rows

The other solvers use SciPy alone. Where one would take minutes, it runs a stated subset of its starts, spread evenly
over the grid, and its time is scaled up.
"""

from __future__ import annotations

import itertools
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import least_squares, minimize

import scalefit as sf
from scalefit.rows.gather import gather
from scalefit.solver.model import BoundLaw, bind
from scalefit.solver.objective import Objective
from scalefit.solver.solve import Settings, solve
from scalefit.uncertainty.bootstrap import bootstrap

PUBLIC = Path(__file__).parents[2] / "shared" / "data"
DELTA = 1e-3
ROUNDS = 3
FEW_RESAMPLES = 40
GRID = np.array(
    list(
        itertools.product(
            np.arange(0, 30, 5),
            np.arange(0, 30, 5),
            np.arange(-1, 1.5, 0.5),
            np.arange(0, 2.5, 0.5),
            np.arange(0, 2.5, 0.5),
        )
    )
)  # a, b, e, alpha, beta: the 4,500 starts of arXiv:2203.15556


def huber(r: np.ndarray) -> float:
    size = np.abs(r)
    return float(np.sum(np.where(size <= DELTA, 0.5 * r * r, DELTA * (size - 0.5 * DELTA))))


def chinchilla_points() -> tuple[np.ndarray, np.ndarray, np.ndarray, str]:
    """The 240 published points where they are at hand, else a planted surface of the same size and noise."""
    path = PUBLIC / "chinchilla_epoch" / "chinchilla_245.csv"
    if path.exists():
        table = pd.read_csv(path).query("not excluded_by_epoch")
        return table["params"].to_numpy(), table["tokens"].to_numpy(), table["loss"].to_numpy(), "240 published points"
    rng = np.random.default_rng(0)
    N, C = 10 ** rng.uniform(7.7, 10.2, 240), 10 ** rng.uniform(18.8, 21.5, 240)
    D = C / (6 * N)
    return (
        N,
        D,
        (1.8 + 480 * N**-0.347 + 2100 * D**-0.367) * np.exp(0.005 * rng.standard_normal(240)),
        "240 planted points",
    )


def log_sum_exp(theta: np.ndarray, log_N: np.ndarray, log_D: np.ndarray) -> np.ndarray:
    a, b, e, alpha, beta = theta
    terms = np.stack([a - alpha * log_N, b - beta * log_D, np.full_like(log_N, e)])
    top = terms.max(axis=0)
    return top + np.log(np.exp(terms - top).sum(axis=0))


def notebook_driver(N: np.ndarray, D: np.ndarray, loss: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """L-BFGS-B with finite differences from each start, as replication notebooks do it; the objectives reached."""
    log_N, log_D, target = np.log(N), np.log(D), np.log(loss)
    return np.array(
        [
            minimize(lambda t: huber(log_sum_exp(t, log_N, log_D) - target), start, method="L-BFGS-B").fun
            for start in starts
        ]
    )


def least_squares_driver(N: np.ndarray, D: np.ndarray, loss: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """SciPy's least_squares, Huber loss, analytic Jacobian, from each start; the objectives reached."""
    log_N, log_D, target = np.log(N), np.log(D), np.log(loss)

    def residuals(t: np.ndarray) -> np.ndarray:
        return log_sum_exp(t, log_N, log_D) - target

    def jacobian(t: np.ndarray) -> np.ndarray:
        a, b, e, alpha, beta = t
        total = log_sum_exp(t, log_N, log_D)
        size, data, floor = np.exp(a - alpha * log_N - total), np.exp(b - beta * log_D - total), np.exp(e - total)
        return np.stack([size, data, floor, -size * log_N, -data * log_D], axis=1)

    tight = {"ftol": 1e-15, "xtol": 1e-15, "gtol": 1e-15, "max_nfev": 2000}
    return np.array(
        [
            huber(residuals(least_squares(residuals, start, jacobian, loss="huber", f_scale=DELTA, **tight).x))
            for start in starts
        ]
    )


def timed(function: Callable[[], np.ndarray]) -> tuple[float, np.ndarray]:
    begin = time.process_time()
    found = function()
    return time.process_time() - begin, np.atleast_1d(found)


def round_robin(jobs: dict[str, tuple[Callable[[], np.ndarray], float]]) -> pd.DataFrame:
    """Each job once per round: median CPU seconds times its factor, best objective, share of starts at the best."""
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    reached: dict[str, np.ndarray] = {}
    for _ in range(ROUNDS):
        for name, (function, factor) in jobs.items():
            spent, reached[name] = timed(function)
            seconds[name].append(spent * factor)
    best = min(values.min() for values in reached.values())
    rows = [
        {
            "job": name,
            "cpu_s": statistics.median(seconds[name]),
            "objective": reached[name].min(),
            "starts_at_optimum_%": 100 * float(np.mean(reached[name] <= best * (1 + 1e-4))),
        }
        for name in jobs
    ]
    table = pd.DataFrame(rows)
    table["times_ours"] = table["cpu_s"] / table["cpu_s"].iloc[0]
    return table


def chinchilla() -> None:
    N, D, loss, what = chinchilla_points()
    model = bind(sf.find_law("chinchilla"), {"N": N, "D": D})
    some = GRID[:: len(GRID) // 45]
    factor = len(GRID) / len(some)
    show(
        f"One global fit of {what} (others: {len(some)} of 4,500 starts, scaled up)",
        round_robin(
            {
                "scalefit": (lambda: solve(model, loss, None, Settings(delta=DELTA)).costs, 1.0),
                "L-BFGS-B, finite differences": (lambda: notebook_driver(N, D, loss, some), factor),
                "least_squares, analytic": (lambda: least_squares_driver(N, D, loss, some), factor),
            }
        ),
    )


def starts() -> None:
    N, D, loss, what = chinchilla_points()
    model = bind(sf.find_law("chinchilla"), {"N": N, "D": D})
    literal = np.column_stack([np.exp(GRID[:, 2]), np.exp(GRID[:, 0]), np.exp(GRID[:, 1]), GRID[:, 3], GRID[:, 4]])
    some = GRID[:: len(GRID) // 45]
    show(
        f"The literal 4,500 starts on {what} (other: {len(some)} of them, scaled up)",
        round_robin(
            {
                "scalefit": (lambda: solve(model, loss, None, Settings(delta=DELTA), literal).costs, 1.0),
                "least_squares, analytic": (lambda: least_squares_driver(N, D, loss, some), len(GRID) / len(some)),
            }
        ),
    )


def annealing_curves() -> Iterator[tuple[str, sf.Runs, str]]:
    """Curves to fit the annealing law to: a published one of 171 points at two sizes, and the bundled ones."""
    folder = PUBLIC / "mpl_schedules"
    if folder.exists():
        for size in ("25M", "100M"):
            curve = pd.read_csv(folder / f"loss_curves_{size}.csv").query("schedule == 'cosine_24000'")
            schedule = folder / "lr_schedules_per_step.csv.gz"
            yield (
                "annealing",
                sf.read_runs(curve.assign(run=curve["schedule"]), schedule=schedule),
                f"published, {size}",
            )
    yield "annealing:decay=0.99", sf.load("schedules").where("d_model == 96 and step > 250"), "shipped"


def annealing() -> None:
    for name, runs, what in annealing_curves():
        law = sf.find_law(name)
        rows = gather(law, runs)
        model, values = bind(law, rows.variables), rows.values
        assert values is not None
        jobs = {
            "scalefit": (partial(annealing_ours, model, values), 1.0),
            "L-BFGS-B, 81 starts": (partial(annealing_peer, rows.variables, values), 1.0),
        }
        show(f"The annealing law on {len(rows)} points ({what})", round_robin(jobs))


def annealing_ours(model: BoundLaw, values: np.ndarray) -> np.ndarray:
    return np.array(solve(model, values, None, Settings(delta=DELTA)).costs)


def annealing_peer(variables: dict[str, np.ndarray], values: np.ndarray) -> np.ndarray:
    """The objectives that L-BFGS-B with finite differences reaches from 81 starts within bounds."""
    S1, S2, target = variables["S1"], variables["S2"], np.log(values)

    def objective(t: np.ndarray) -> float:
        with np.errstate(all="ignore"):  # its line search overflows
            predicted = t[0] + t[1] * S1 ** -t[3] - t[2] * S2
            return huber(np.log(np.maximum(predicted, 1e-3)) - target)

    begins = itertools.product((0.1, 1.0, 2.0), (0.1, 1.0, 10.0), (0.1, 1.0, 10.0), (0.1, 0.5, 1.0))
    options = {"ftol": 1e-15, "gtol": 1e-10, "maxiter": 5000, "maxfun": 100000}
    with np.errstate(all="ignore"):
        return np.array(
            [minimize(objective, b, method="L-BFGS-B", bounds=[(0, None)] * 4, options=options).fun for b in begins]
        )


def resamples(count: int = 4000) -> None:
    """Resamples of the global fit, each fully re-optimised; L-BFGS-B from the optimum on a subset of them."""
    N, D, loss, what = chinchilla_points()
    model = bind(sf.find_law("chinchilla"), {"N": N, "D": D})
    solution = solve(model, loss, None, Settings(delta=DELTA))
    objective, rows = Objective("log", "huber", DELTA), np.arange(len(loss))

    def ours() -> np.ndarray:
        given = model, objective, loss, np.ones(len(loss)), solution.theta, rows
        return bootstrap(*given, draws=count, seed=0, method="pairs", sigma=solution.sigma)

    def peer() -> np.ndarray:
        rng = np.random.default_rng(0)
        E, A, B, alpha, beta = model.vector(solution.theta[None])[0]
        best = np.array([np.log(A), np.log(B), np.log(E), alpha, beta])
        drawn = (rng.integers(len(loss), size=len(loss)) for _ in range(FEW_RESAMPLES))
        return np.concatenate([notebook_driver(N[i], D[i], loss[i], best[None]) for i in drawn])

    seconds = {"scalefit": [], f"L-BFGS-B on {FEW_RESAMPLES} of them, scaled up": []}
    for _ in range(ROUNDS):
        for job, name, factor in zip((ours, peer), seconds, (1.0, count / FEW_RESAMPLES), strict=True):
            seconds[name].append(timed(job)[0] * factor)
    found = pd.DataFrame({"job": seconds.keys(), "cpu_s": [statistics.median(s) for s in seconds.values()]})
    found["times_ours"] = found["cpu_s"] / found["cpu_s"].iloc[0]
    show(f"{count} resamples of {what}, each re-optimised", found)


def rows(count: int = 10_000_000) -> None:
    """Read and fit a log of ten million rows: CPU time relative to pandas' reading, memory relative to the data."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.csv"
        _write_log(path, count)
        read, _ = timed(lambda: np.array(len(pd.read_csv(path))))
        runs = sf.read_runs(path)
        assert runs.curves is not None
        data = float(runs.curves.memory_usage().sum())
        sf.fit(runs.where("step < 200000"), "annealing")  # imports and first calls are not measured
        with Watch() as watch:
            spent, _ = timed(lambda: np.array(sf.fit(runs, "annealing").cost))
    print(f"\nFeatures and fit of {count:.0e} rows")
    print(f"  pandas.read_csv {read:.2f} s CPU; fit {spent:.2f} s = {spent / read:.2f} x")
    print(f"  data {data / 1e6:.0f} MB; extra memory {watch.extra / 1e6:.0f} MB = {watch.extra / data:.2f} x")


def _write_log(path: Path, count: int) -> None:
    rng = np.random.default_rng(0)
    n, parts = count // 2, []
    for name, decays in (("constant", False), ("cosine", True)):
        step = np.arange(n)
        lr = 3e-4 * np.minimum(step / 2000, 1.0) * (0.5 * (1 + np.cos(np.pi * step / n)) if decays else 1.0)
        S1, S2 = sf.find_law("annealing").along(lr, 2000).values()
        loss = (2.6 + 0.6 * np.maximum(S1, 1e-3) ** -0.45 - 0.4 * S2) * np.exp(0.01 * rng.standard_normal(n))
        parts.append(pd.DataFrame({"run": name, "step": step, "lr": lr, "loss": loss}))
    pd.concat(parts).to_csv(path, index=False, float_format="%.7g")


class Watch:
    """Measures by how much this process's resident memory grows."""

    def __enter__(self) -> Watch:
        self.base = self.peak = _resident()
        self.running = True
        self.thread = threading.Thread(target=self._look, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.running = False
        self.thread.join()

    @property
    def extra(self) -> float:
        return float(self.peak - self.base)

    def _look(self) -> None:
        while self.running:
            self.peak = max(self.peak, _resident())
            time.sleep(0.005)


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def show(title: str, table: pd.DataFrame) -> None:
    print(f"\n{title}")
    print(table.to_string(index=False, float_format=lambda v: f"{v:.6g}"))


JOBS = {"chinchilla": chinchilla, "starts": starts, "annealing": annealing, "bootstrap": resamples, "rows": rows}

if __name__ == "__main__":
    for job in sys.argv[1:] or JOBS:
        JOBS[job]()
