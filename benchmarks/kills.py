"""Training killed by SIGKILL at random moments and begun again, beside training that nothing stopped.

    python benchmarks/kills.py [--kills 20] [--seed 0]

A run, a pack of six members and a sweep of three packs are each killed again and again, begun again, and let finish in
the end. Compared with those that ran through are all rows of the logs, what run.json says of the result, and the
weights and the state of the optimiser in the last checkpoint: they must be equal to the bit. The loss of work at a kill
is the number of steps between what had been logged (here each step is) and the step that training goes on from.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from scalefit.proxy import plan_sweep, run_sweep
from scalefit.proxy.checkpoint import EARLIER, read
from scalefit.proxy.run_folder import RunFolder

EVERY = 40  # steps between checkpoints
BASE = {
    **{"n_layer": 2, "d_head": 8, "seq_len": 16, "batch": 128, "steps": 400, "warmup": 20, "eval_every": 50},
    **{"eval_batch": 512, "data": "zipf-markov", "data_options": {"tokens": 40000, "vocab": 8, "order": 1}},
    **{"flush_every": 1, "checkpoint_every": EVERY, "optimizer": "adamw", "weight_decay": 0.1},
}
KINDS = {
    "run": {"d_model": [16], "lr": [0.01]},
    "pack": {"d_model": [16], "lr": [0.005, 0.01, 0.02], "seed": [0, 1]},
    "sweep": {"d_model": [8, 16, 24], "lr": [0.005, 0.01, 0.02], "seed": [0, 1]},
}
CHILD = "import sys, torch; torch.set_num_threads(1); from scalefit.proxy import run_sweep; run_sweep(sys.argv[1])"
TIMED = ("wall_s", "members", "environment", "note")


def main() -> None:
    """Kill each kind in turn, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.set_num_threads(1)
    rng = random.Random(given.seed)
    share = {kind: given.kills // 3 + (number < given.kills % 3) for number, kind in enumerate(KINDS)}
    print(f"a checkpoint every {EVERY} of {BASE['steps']} steps\n\n| what | kills | runs | differ | most steps lost |")
    print("|---|---|---|---|---|")
    wrong = False
    for kind, kills in share.items():
        with tempfile.TemporaryDirectory() as folder:
            runs, differ, lost = killed(kind, kills, Path(folder), rng)
        wrong |= bool(differ) or lost > EVERY
        print(f"| {kind} | {kills} | {runs} | {len(differ)} | {lost} |{' ' + ', '.join(differ) if differ else ''}")
    sys.exit(int(wrong))


def killed(kind: str, kills: int, folder: Path, rng: random.Random) -> tuple[int, list[str], int]:
    """How many runs there are, which of them differ from those that ran through, and the most steps lost at a kill."""
    out, whole = folder / "killed", folder / "whole"
    for place in (out, whole):
        names = [job.id for job in plan_sweep({"base": BASE, "grid": KINDS[kind]}, place)]
    run_sweep(whole)
    all_steps, lost = len(names) * int(BASE["steps"]), 0
    for number in range(kills):
        ahead = all_steps * (number + rng.random()) / kills  # every part of the training is met
        child = subprocess.Popen([sys.executable, "-c", CHILD, str(out)])
        while logged(out, names) < ahead and child.poll() is None:
            time.sleep(0.001)
        time.sleep(0.02 * rng.random())
        child.send_signal(signal.SIGKILL)
        child.wait()
        lost = max([lost, *(behind(out / name) for name in names if (out / name / "log.jsonl").exists())])
    run_sweep(out)
    return len(names), [name for name in names if content(out / name) != content(whole / name)], lost


def logged(out: Path, names: list[str]) -> int:
    """Steps that all runs have logged."""
    return sum(RunFolder(out / name).last_row().get("step", 0) for name in names)


def behind(run: Path) -> int:
    """Steps that a run has logged and must train again."""
    steps = [read(run / name)["step"] for name in ("checkpoint.pt", EARLIER) if is_whole(run / name)]
    return int(RunFolder(run).last_row().get("step", 0)) - min([int(step) for step in steps], default=0)


def is_whole(checkpoint: Path) -> bool:
    """Whether it is there, and more than the mark of an empty one."""
    return checkpoint.exists() and checkpoint.stat().st_size > 0


def content(run: Path) -> tuple[str, str, bytes]:
    """Everything that a run has written but how long it took."""
    saved = read(run / "checkpoint.pt")
    tensors = [saved["theta"], *(saved["state"][name] for name in sorted(saved["state"]))]
    facts = {key: value for key, value in RunFolder(run).facts().items() if key not in TIMED}
    rest = json.dumps([facts, saved["step"], saved["ema"]], sort_keys=True)
    return (run / "log.jsonl").read_text(), rest, b"".join(each.numpy().tobytes() for each in tensors)


if __name__ == "__main__":
    main()
