"""Train the small version of an experiment and show what it says: python examples/experiments/run.py NAME [FOLDER].

Without a name, the experiments are listed. FOLDER keeps the runs (default: a temporary one); the same command goes on
where it was stopped. The tables are means over the last fifth of each run. The large versions are in data/, with
python data/make.py NAME, and what they say is in docs/learning_rate.md.
"""

from __future__ import annotations

import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from scalefit.cli import main as scalefit
from scalefit.proxy import collect_sweep, plan_sweep, run_sweep

HERE = Path(__file__).parent
TAIL = 0.2


def say(text: str) -> None:
    """One line or table."""
    sys.stdout.write(text + "\n")


def means(out: Path) -> pd.DataFrame:
    """One row a run: what varies, and the mean of every measurement over the last fifth of the run."""
    curves, table = collect_sweep(out, curves=True), collect_sweep(out).set_index("run")
    last = curves.groupby("run")["step"].transform("max")
    tail = curves[curves["step"] > (1 - TAIL) * last].groupby("run").mean(numeric_only=True)
    streams = [name for name in tail if name.startswith("rms_act/") and name.endswith("residual")]
    if streams:
        tail["rms_act"] = tail[streams].max(axis=1)
    settings = table.drop(columns=[name for name in table if "loss" in name])
    return tail.drop(columns=[name for name in tail if name in settings]).join(settings)


def show(out: Path, wanted: dict[str, Any]) -> None:
    """The tables of an experiment, and the command that reads its logs."""
    table = means(out)
    for value in wanted["values"]:
        say(f"\n{value}")
        pivoted = table.pivot_table(index=wanted["rows"], columns=wanted["columns"], values=value)
        say(pivoted.map("{:.4g}".format).to_string())
    if "command" in wanted:
        say(f"\nscalefit {wanted['command']} {out}\n")
        scalefit([wanted["command"], str(out)], prog_name="scalefit")


def main() -> None:
    """List the experiments, or run one."""
    grids = {path.stem: path for path in sorted(HERE.glob("*.toml"))}
    if len(sys.argv) < 2 or sys.argv[1] not in grids:
        for name, path in grids.items():
            say(f"{name:16} {path.read_text(encoding='utf-8').splitlines()[0].lstrip('# ')}")
        sys.exit(0 if len(sys.argv) < 2 else 2)
    name = sys.argv[1]
    torch.set_num_threads(1)
    out = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(tempfile.gettempdir()) / "scalefit-experiments" / name
    grid = tomllib.loads(grids[name].read_text(encoding="utf-8"))
    wanted = grid.pop("show")
    plan_sweep(grid, out)
    run_sweep(out, progress=lambda line: sys.stderr.write(line + "\n"))
    show(out, wanted)


if __name__ == "__main__":
    main()
