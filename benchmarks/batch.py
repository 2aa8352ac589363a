"""Many fits at once, workers, a peer's draws, and how far each job is from its arithmetic: interleaved, CPU seconds.

    python benchmarks/batch.py                   everything but the peer
    python benchmarks/batch.py many 10000        10,000 curves as one batch, against fits one after the other
    python benchmarks/batch.py bounds            the global fits against the arithmetic that they cannot do without
    python benchmarks/batch.py workers           4,000 resamples and a back-test on one and on two workers, in seconds
    python benchmarks/batch.py draws PYTHON      a fit, 1,000 draws and a prediction, against simple-scaling-laws

PYTHON is an interpreter (3.12) that has simple-scaling-laws, which does not run on every version that scalefit does.
The bound counts the elements of predictions that a job evaluates and takes for each the transcendental functions of the
law and of the residual, at the speed at which NumPy computes them in this process on arrays that stay in cache.
"""

from __future__ import annotations

import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
from fit import DELTA, annealing_curves, chinchilla_points

import scalefit as sf
from scalefit.rows.gather import gather
from scalefit.solver.model import bind
from scalefit.solver.objective import Objective
from scalefit.solver.programs import Program
from scalefit.solver.solve import Settings, solve
from scalefit.uncertainty.bootstrap import bootstrap

ROUNDS = 5
ALONE = 60  #: curves of many that are also fitted one after the other
PEER = """
import sys, time, polars as pl
from simple_scaling_laws import fit
runs = pl.read_csv(sys.argv[1])
point = pl.DataFrame({"point_id": ["a"], "model_size__n_params": [7e10], "dataset_size__n_tokens": [1.4e12]})
spent = []
for _ in range(3):
    begin = time.process_time()
    fit(runs, law="separable-power", n_draws=1000, seed=0).predict(point)
    spent.append(time.process_time() - begin)
print(sorted(spent)[1])
"""


def interleaved(jobs: dict[str, Callable[[], object]], clock: Callable[[], float] = time.process_time) -> list[float]:
    """The median seconds of each job, all of them in turn."""
    spent: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(ROUNDS):
        for name, job in jobs.items():
            begin = clock()
            job()
            spent[name].append(clock() - begin)
    return [statistics.median(each) for each in spent.values()]


def curves(count: int) -> pd.DataFrame:
    """Curves of 40 to 60 rows with constants and steps of their own."""
    rng, parts = np.random.default_rng(0), []
    for i in range(count):
        step = np.unique(
            np.geomspace(rng.uniform(50, 100), rng.uniform(1e4, 1e5), int(rng.integers(40, 60))).astype(int)
        )
        clean = rng.uniform(1, 3) + rng.uniform(5, 20) * step ** -rng.uniform(0.2, 0.8)
        loss = clean * np.exp(0.01 * rng.standard_normal(len(step)))
        parts.append(pd.DataFrame({"run": f"run{i:05d}", "step": step, "loss": loss}))
    return pd.concat(parts, ignore_index=True)


def many(count: str = "10000") -> None:
    table, law = curves(int(count)), "power-floor:over=step"
    runs = sf.read_runs(table)
    sf.fit_many(table.iloc[:200], law)  # imports and first calls are not measured
    begin = time.process_time()
    made = sf.fit_many(runs, law)
    ours = (time.process_time() - begin) / len(made)
    names = list(made.index[:: max(1, len(made) // ALONE)])
    each = {str(name): rows for name, rows in table[table["run"].isin(names)].groupby("run")}
    bound = find(law, each[names[0]])
    begin = time.process_time()
    fits = {name: sf.fit(rows, law, points="all") for name, rows in each.items()}
    whole = (time.process_time() - begin) / len(fits)
    begin = time.process_time()
    for rows in each.values():
        solve(bind(bound, {"x": rows["step"].to_numpy(float)}), rows["loss"].to_numpy())
    solver = (time.process_time() - begin) / len(fits)
    apart = max(
        abs(made.loc[name, key] / value - 1) for name, one in fits.items() for key, value in one.parameters.items()
    )
    print(f"\n{len(made):,} curves of 40 to 60 rows, {law}")
    print(f"  one batch {1e3 * ours:.2f} ms a fit ({ours * len(made):.0f} s)")
    print(f"  sf.fit one after the other {1e3 * whole:.0f} ms = {whole / ours:.0f} x")
    print(f"  its solver alone {1e3 * solver:.1f} ms = {solver / ours:.1f} x")
    print(f"  largest difference of a parameter {apart:.1e}")


def find(law: str, rows: pd.DataFrame) -> sf.Law:
    """The law completed by the data."""
    return sf.fit(rows, law, points="all").law


@contextmanager
def counting() -> Iterator[list[int]]:
    """Counts the elements of predictions that are evaluated meanwhile."""
    counted = [0]
    plain = {name: getattr(Program, name) for name in ("value", "slopes", "bends")}

    def counts(name: str) -> Callable[..., object]:
        def called(self: Program, theta: np.ndarray, *rest: object) -> object:
            counted[0] += theta[..., 0].size * self.rows
            return plain[name](self, theta, *rest)

        return called

    for name in plain:
        setattr(Program, name, counts(name))
    try:
        yield counted
    finally:
        for name, function in plain.items():
            setattr(Program, name, function)


def seconds_an_element(function: np.ufunc) -> float:
    """What NumPy takes for one element of an array in cache."""
    x = np.linspace(0.5, 2.0, 4000)
    out = np.empty_like(x)
    spent = []
    for _ in range(200):
        begin = time.perf_counter()
        function(x, out=out)
        spent.append(time.perf_counter() - begin)
    return min(spent) / len(x)


def bounds() -> None:
    exp, log = seconds_an_element(np.exp), seconds_an_element(np.log)
    N, D, loss, what = chinchilla_points()
    model = bind(sf.find_law("chinchilla"), {"N": N, "D": D})
    solution = solve(model, loss, None, Settings(delta=DELTA))
    given = model, Objective("log", "huber", DELTA), loss, np.ones(len(loss)), solution.theta, np.arange(len(loss))
    resampled = {"method": "pairs", "sigma": solution.sigma}
    jobs: dict[str, tuple[Callable[[], object], int]] = {
        f"a global fit of {what}": (lambda: solve(model, loss, None, Settings(delta=DELTA)), 2),
        "4,000 resamples of it": (lambda: bootstrap(*given, draws=4000, seed=0, **resampled), 2),
    }
    for name, runs, of in annealing_curves():
        law = sf.find_law(name)
        rows = gather(law, runs)
        one, values = bind(law, rows.variables), rows.values
        jobs[f"annealing, {len(rows)} rows, {of}"] = (
            lambda one=one, values=values: solve(one, values, None, Settings(delta=DELTA)),
            1,
        )
    print(f"\n{platform.machine()}, {platform.python_version()}, NumPy {np.__version__}")
    print(f"exp {1e9 * exp:.1f} ns, log {1e9 * log:.1f} ns an element in cache\n")
    print("| job | CPU | elements evaluated | bound | times the bound |\n|---|---|---|---|---|")
    for name, (job, powers) in jobs.items():
        with counting() as counted:
            job()
        (spent,) = interleaved({name: job})
        bound = counted[0] * (powers * exp + log)
        print(f"| {name} | {1e3 * spent:.1f} ms | {counted[0]:.2e} | {1e3 * bound:.1f} ms | {spent / bound:.1f} |")


def workers() -> None:
    N, D, loss, what = chinchilla_points()
    model = bind(sf.find_law("chinchilla"), {"N": N, "D": D})
    solution = solve(model, loss, None, Settings(delta=DELTA))
    given = model, Objective("log", "huber", DELTA), loss, np.ones(len(loss)), solution.theta, np.arange(len(loss))
    resampled = {"draws": 8000, "seed": 0, "method": "pairs", "sigma": solution.sigma}
    jobs = {n: (lambda n=n: bootstrap(*given, **resampled, workers=n)) for n in (1, 2)}
    for job in jobs.values():
        job()  # the workers start
    one, two = interleaved({str(n): job for n, job in jobs.items()}, time.perf_counter)
    print(f"\n8,000 resamples of {what}: one worker {one:.2f} s, two {two:.2f} s = {one / two:.2f} x")


def draws(python: str) -> None:
    N, D, loss, what = chinchilla_points()
    table = pd.DataFrame({"N": N, "D": D, "loss": loss})

    def ours() -> None:
        sf.fit(table, "chinchilla", loss="squared", draws=1000, calibrated=False).predict(N=7e10, D=1.4e12)

    def solver() -> None:
        model = bind(sf.find_law("chinchilla"), {"N": N, "D": D})
        found = solve(model, loss, None, Settings(loss="squared"))
        given = model, found.objective, loss, np.ones(len(loss)), found.theta, np.arange(len(loss))
        bootstrap(*given, draws=1000, seed=0, method="pairs", sigma=found.sigma)

    named = {"test_set_id": "a", "model_size__n_params": N, "dataset_size__n_tokens": D, "test_loss__loss": loss}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "runs.csv"
        pd.DataFrame({"training_run_id": [f"r{i}" for i in range(len(N))], **named}).to_csv(path, index=False)
        ours()
        mine, alone = interleaved({"fit": ours, "solver": solver})
        done = subprocess.run(
            [python, "-W", "ignore", "-c", PEER, str(path)], capture_output=True, text=True, check=True
        )
    theirs = float(done.stdout)
    print(f"\n{what}: fit, 1,000 draws and a prediction; simple-scaling-laws {theirs:.2f} s")
    print(f"  scalefit with all checks {mine:.2f} s = {theirs / mine:.1f} x")
    print(f"  its fit and draws alone {alone:.2f} s = {theirs / alone:.1f} x")


JOBS: dict[str, Callable[..., None]] = {"many": many, "bounds": bounds, "workers": workers, "draws": draws}

if __name__ == "__main__":
    if len(sys.argv) > 1:
        JOBS[sys.argv[1]](*sys.argv[2:])
    else:
        for name in ("many", "bounds", "workers"):
            JOBS[name]()
