"""Large logs: rows of Parquet, folders of runs, many curves: python benchmarks/large.py [rows] [folders] [curves].

- rows: curves of 1e4 to 1e8 rows in one Parquet file, read and fitted; CPU seconds and the most memory of the process.
  The exponent p is that of a + b rows^p, where a is what a file of 1,000 rows costs; `--most 1e8` needs 2 GB of disk.
- folders: 1,000 folders of runs, read one after the other and by two processes.
- curves: one law fitted to 100, 1,000 and 10,000 curves of 50 rows, of other lengths each.

Each measurement is a process of its own. Everything is written below a temporary folder and removed.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

PEAK, DECAY = 1e-3, 0.99
RUNS = 4
CURVE_ROWS = 50


def curve(
    rng: np.random.Generator, first: int, stop: int, length: int, area: float, cosine: bool = True
) -> tuple[pd.DataFrame, float]:
    """A part of a run along a cosine or a line, by a law without annealing; and the area of the rate up to its end."""
    step = np.arange(first, stop)
    lr = PEAK * (0.5 * (1 + np.cos(np.pi * step / length)) if cosine else np.minimum(1, 5 * (1 - step / length)))
    areas = area + np.cumsum(lr)
    loss = (2.5 + 0.8 * areas**-0.4) * np.exp(0.002 * rng.standard_normal(len(step)))
    return pd.DataFrame({"step": step, "lr": lr, "loss": loss}), float(areas[-1])


def write_rows(path: Path, rows: int) -> None:
    """RUNS runs one after the other, a million rows at a time."""
    import pyarrow as pa
    from pyarrow import parquet

    rng, writer = np.random.default_rng(0), None
    for run in range(RUNS):
        area, length = 0.0, rows // RUNS
        for first in range(1, length + 1, 10**6):
            frame, area = curve(rng, first, min(first + 10**6, length + 1), length, area, run % 2 == 0)
            table = pa.Table.from_pandas(frame.assign(run=f"run{run}"), preserve_index=False)
            writer = writer or parquet.ParquetWriter(path, table.schema)
            writer.write_table(table)
    assert writer is not None
    writer.close()


FIT_ROWS = """
import sys, scalefit as sf
fit = sf.fit(sf.read_runs(sys.argv[1]), "annealing:decay=0.99")
sys.stderr.write(f"alpha = {fit['alpha']:.5f}, {fit.rows} rows")
"""
READ_FOLDERS = """
import contextlib, sys, joblib, scalefit as sf
with joblib.parallel_config(n_jobs=int(sys.argv[2])):
    runs = sf.read_runs(sys.argv[1])
sys.stderr.write(f"{len(runs.names)} runs, {len(runs.curves)} rows")
"""


def cost(code: str, *words: str) -> tuple[float, float, float, str]:
    """CPU seconds, seconds, GiB of memory at the most, and what a fresh process says."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    measure = f"{code}\nimport resource\nsys.stdout.write(str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", "-c", measure, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise SystemExit(done.stderr)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu, time.perf_counter() - began, int(done.stdout) / 2**20, done.stderr.splitlines()[-1]


def rows(folder: Path, most: float) -> None:
    """The cost of reading and fitting, by number of rows."""
    counts = [count for count in (10**3, 10**4, 10**5, 10**6, 10**7, 10**8) if count <= most]
    print("| rows | CPU, s | memory, GiB | what was found |\n|---|---|---|---|")
    found = {}
    for count in counts:
        path = folder / "rows.parquet"
        write_rows(path, count)
        found[count], _, memory, said = cost(FIT_ROWS, str(path))
        print(f"| {count:,} | {found[count]:.2f} | {memory:.2f} | {said} |", flush=True)
        path.unlink()
    base = found.pop(counts[0])
    above = {
        count: cpu - base for count, cpu in found.items() if cpu - base > 0.2 * base
    }  # else it is within the scatter
    if len(above) > 1:
        slope = np.polyfit(np.log(list(above)), np.log(list(above.values())), 1)[0]
        print(
            f"\nexponent above the fixed cost of {base:.2f} s, from {min(above):,} to {max(above):,} rows: {slope:.2f}"
        )


def folders(folder: Path, most: float) -> None:
    """Folders as the trainer writes them, and who reads them."""
    rng, place, count = np.random.default_rng(0), folder / "runs", min(1000, int(most))
    for run in range(count):
        inside = place / f"run{run:04}"
        inside.mkdir(parents=True)
        frame, _ = curve(rng, 1, 401, 400, 0.0)
        (inside / "log.jsonl").write_text(frame.to_json(orient="records", lines=True))
        about = {"run": f"run{run:04}", "identity": f"{run}", "status": "finished", "step": 400, "N": 1e6 * (1 + run)}
        (inside / "run.json").write_text(json.dumps(about))
    print("| folders | processes | CPU, s | seconds | memory, GiB | what was read |\n|---|---|---|---|---|---|")
    for workers in (1, 2):
        cpu, took, memory, said = cost(READ_FOLDERS, str(place), str(workers))
        print(f"| {count:,} | {workers} | {cpu:.1f} | {took:.1f} | {memory:.2f} | {said} |", flush=True)


def curves(folder: Path, most: float) -> None:
    """One law for all curves, which differ in learning rate and length."""
    print("| curves | rows | CPU, s | memory, GiB | what was found |\n|---|---|---|---|---|")
    for count in (100, 1000, 10_000):
        if count > most:
            continue
        rng, parts = np.random.default_rng(0), []
        for run in range(count):
            length = int(rng.integers(500, 1000))
            frame, _ = curve(rng, 1, length + 1, length, 0.0, run % 2 == 0)
            parts.append(frame.iloc[:: length // CURVE_ROWS].assign(run=f"run{run:05}"))
        path = folder / "curves.csv"
        table = pd.concat(parts)
        table.to_csv(path, index=False)
        cpu, _, memory, said = cost(FIT_ROWS, str(path))
        print(f"| {count:,} | {len(table):,} | {cpu:.1f} | {memory:.2f} | {said} |", flush=True)


KINDS: dict[str, Callable[[Path, float], None]] = {"rows": rows, "folders": folders, "curves": curves}


def main() -> None:
    """Measure what is asked for, or everything."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("kinds", nargs="*", default=list(KINDS), help=", ".join(KINDS))
    parser.add_argument("--most", type=float, default=1e7, help="rows, folders or curves at the most")
    given = parser.parse_args()
    for kind in given.kinds:
        print(f"\n{kind}\n")
        with tempfile.TemporaryDirectory() as folder:
            KINDS[kind](Path(folder), given.most)


if __name__ == "__main__":
    main()
