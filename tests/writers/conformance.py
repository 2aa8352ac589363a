"""What each logger's files must give when they are read, and the comparison, value by value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from by_sweeps import LOST, REPORTS, TRIALS, final_loss, reported
from three_runs import EVERY, LOST_AT, RUNS, Point, epochs, lives, logged

import scalefit as sf

Expected = dict[str, list[Point]]


@dataclass(frozen=True)
class Format:
    """What to read in the folder that a writer made, with which one `--map`, and what must come back.

    `single`: the format stores single precision. `val`: the column of evaluations. `fit`: the words of the one command
    that fits a law after `--map`; `expected`: the points of each run by its name. `needs`: modules that the writer
    imports. `settings`: it keeps those of the run.
    """

    name: str
    writer: str
    package: str
    read: str = "."
    loss: str = "train/loss"
    val: str = "val/loss"
    axis: str = "step"
    single: bool = False
    expected: Callable[[], Expected] = lambda: {run: logged(run) for run in RUNS}
    fit: str = "--law annealing --drop-diverged --where 'not diverged'"
    needs: tuple[str, ...] = ()
    settings: bool = True

    @property
    def command(self) -> str:
        """The words after `scalefit fit FOLDER`."""
        return self.fit if self.loss == "loss" else f"--map loss={self.loss} {self.fit}"


def _named(pattern: str) -> Callable[[], Expected]:
    return lambda: {pattern.format(run=run, number=number): logged(run) for number, run in enumerate(RUNS)}


def _of_lightning() -> Expected:
    """Steps count from 0, and a run that goes on is a version of its own."""
    found = {}
    for run in RUNS:
        for life, points in enumerate(lives(run)):
            name = f"{run}/version_{life}"
            found[name] = [replace(each, step=each.step - 1) for each in points]
    return found


def _of_trainer() -> Expected:
    """Losses are the mean of ten equal ones, summed in single precision; a sum that was NaN once stays it."""
    return {run: [_summed(each, run == "cosine" and each.step >= LOST_AT) for each in logged(run)] for run in RUNS}


def _summed(each: Point, lost: bool) -> Point:
    total = np.float32(np.nan if lost else 0.0)
    for _ in range(EVERY):
        total += np.float32(each.loss)
    return replace(each, loss=float(total) / EVERY, val=None if each.val is None else float(np.float32(each.val)))


def _of_ray() -> Expected:
    """Tune names a trial after its function, its identifier, its number and its settings."""
    return {f"{number}_schedule={run}": logged(run) for number, run in enumerate(RUNS)}


TORCH = ("tensorboard", "torch")
FORMATS = (
    Format("TensorBoard", "tensorboard", "tensorboard", single=True, needs=TORCH, settings=False),
    Format(
        "TensorBoard, add_scalars", "tensorboard-add-scalars", "tensorboard",
        loss="loss/train", val="loss/val", single=True, needs=TORCH,
    ),
    Format("W&B run files", "wandb", "wandb", expected=_named("{run} (run{number:05d})"), needs=("wandb",)),
    Format("MLflow, data base", "mlflow", "mlflow", needs=("mlflow",)),
    Format("MLflow, folders", "mlflow-folders", "mlflow", needs=("mlflow",)),
    Format("DVCLive", "dvclive", "dvclive", needs=("dvclive",)),
    Format("trackio", "trackio", "trackio", needs=("trackio",)),
    Format(
        "accelerate, TensorBoard tracker", "accelerate", "accelerate",
        loss="train_loss", val="val_loss", single=True, needs=("accelerate", *TORCH),
    ),
    Format(
        "Lightning CSVLogger", "lightning", "lightning", loss="train_loss", val="val_loss", expected=_of_lightning,
        fit="--law annealing --drop-diverged --where 'run != \"wsd/version_1\" and not diverged'",
        needs=("lightning", "torch"),
    ),
    Format(
        "Hugging Face Trainer", "transformers", "transformers", loss="loss", val="eval_loss", expected=_of_trainer,
        fit="--law annealing --drop-diverged --where 'run != \"constant\"'",
        needs=("transformers", "accelerate", "torch"), settings=False,
    ),
    Format(
        "Keras CSVLogger", "keras", "keras", loss="loss", val="val_loss", axis="epoch",
        expected=lambda: {run: epochs(run) for run in RUNS}, fit="--law 'E + A*(epoch+1)**-b' --drop-diverged",
        needs=("keras", "torch"), settings=False,
    ),
    Format(
        "Hydra multirun, CSV", "hydra", "hydra-core", loss="train_loss", val="val_loss",
        expected=_named("schedule={run}"), needs=("hydra",),
    ),
    Format(
        "Ray Tune", "ray", "ray", read="ray_results", loss="train_loss", val="val_loss", expected=_of_ray,
        needs=("ray", "tensorboardX"),
    ),
)  # fmt: skip
#: a study has trials and no curves; its table is compared by its own test
STUDY = Format(
    "Optuna", "optuna", "optuna", loss="value", needs=("optuna",),
    fit="--law power-floor --where 'peak_lr == 0.002'",
)  # fmt: skip


def compared(source: Path, form: Format) -> tuple[int, int, list[str]]:
    """Rows that were written, rows that were read, and every difference."""
    runs = sf.read_runs(source, rename={} if form.loss == "loss" else {form.loss: "loss"})
    expected = form.expected()
    wrong = [f"runs {runs.names} for {sorted(expected)}"] if sorted(runs.names) != sorted(expected) else []
    assert runs.curves is not None
    for name, points in expected.items():
        rows = runs.curves[runs.curves["run"].astype(str) == name]
        wrong += [f"{name}: {each}" for each in _differences(rows, points, form)]
    return sum(map(len, expected.values())), len(runs.curves), wrong


def _differences(rows: pd.DataFrame, points: list[Point], form: Format) -> list[str]:
    steps = [each.step for each in points]
    if rows[form.axis].tolist() != steps:
        return [f"{len(rows)} rows for {len(steps)}, or other steps"]
    wanted = {"loss": [each.loss for each in points], "lr": [each.lr for each in points]}
    wanted[form.val] = [np.nan if each.val is None else each.val for each in points]
    kind, wrong = np.float32 if form.single else np.float64, []
    for column, values in wanted.items():
        found, right = rows[column].to_numpy(dtype=float).astype(kind), np.array(values, dtype=kind)
        apart = np.flatnonzero((found != right) & ~(np.isnan(found) & np.isnan(right)))
        wrong += [f"{column} at {steps[at]}: {found[at]} for {right[at]}" for at in apart[:3]]
    return wrong


def trials_compared(source: Path) -> tuple[int, int, list[str]]:
    """The same for the study: a row a trial, its settings, its value, and how it ended."""
    table = sf.read_runs(source, rename={"value": "loss"}).table
    found = [tuple(row) for row in table[["d_model", "peak_lr", "loss", "status"]].itertuples(index=False)]
    right = [(width, lr, final_loss(width, lr), "finished") for width, lr in TRIALS]
    wrong = [f"{one} for {other}" for one, other in zip(found, right, strict=False) if one != other]
    lost = found[len(right) :]
    failed = len(lost) == 1 and lost[0][:2] == LOST and np.isnan(lost[0][2]) and lost[0][3] == "failed"
    return len(right) + 1, len(found), wrong + ([] if failed else [f"the failed trial: {lost}"])


def reported_compared(source: Path) -> tuple[int, int, list[str]]:
    """The values that the trials of the study reported on the way."""
    curves = sf.read_runs(source, rename={"intermediate_value": "loss"}).curves
    assert curves is not None
    right = [
        (f"widths/{number}", step, reported(width, lr, step))
        for number, (width, lr) in enumerate(TRIALS)
        for step in REPORTS
    ]
    found = [(str(run), step, loss) for run, step, loss in curves[["run", "step", "loss"]].itertuples(index=False)]
    wrong = [f"{one} for {other}" for one, other in zip(found, right, strict=False) if one != other]
    return len(right), len(found), wrong
