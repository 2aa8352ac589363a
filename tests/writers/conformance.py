"""What each logger's files must give when they are read, and the comparison, value by value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from truth import EVERY, LOST_AT, RUNS, Point, epochs, lives, logged

import scalefit as sf

Expected = dict[str, list[Point]]


@dataclass(frozen=True)
class Format:
    """What to read in the folder that a writer made, with which one `--map`, and what must come back.

    `single`: the format stores single precision. `val`: the column of evaluations. `fit`: the words of the one command
    that fits a law after `--map`; `expected`: the points of each run by its name.
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
    fit: str = "--law annealing --drop-diverged"


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
    return {
        run: [
            _summed(replace(each, loss=np.nan) if run == "cosine" and each.step >= LOST_AT else each)
            for each in logged(run)
        ]
        for run in RUNS
    }


def _summed(each: Point) -> Point:
    total = np.float32(0.0)
    for _ in range(EVERY):
        total += np.float32(each.loss)
    return replace(each, loss=float(total) / EVERY, val=None if each.val is None else float(np.float32(each.val)))


def _of_ray() -> Expected:
    """Tune names a trial after its function, its identifier, its number and its settings."""
    return {f"{number}_schedule={run}": logged(run) for number, run in enumerate(RUNS)}


FORMATS = (
    Format("TensorBoard", "tensorboard", "tensorboard", single=True),
    Format("TensorBoard, add_scalars", "tensorboard-add-scalars", "tensorboard", loss="loss/train", val="loss/val", single=True),
    Format("W&B run files", "wandb", "wandb", expected=_named("{run} (run{number:05d})")),
    Format("MLflow, data base", "mlflow", "mlflow"),
    Format("MLflow, folders", "mlflow-folders", "mlflow"),
    Format("DVCLive", "dvclive", "dvclive"),
    Format("trackio", "trackio", "trackio"),
    Format("accelerate, TensorBoard tracker", "accelerate", "accelerate", loss="train_loss", val="val_loss", single=True),
    Format("Lightning CSVLogger", "lightning", "lightning", loss="train_loss", val="val_loss", expected=_of_lightning),
    Format("Hugging Face Trainer", "transformers", "transformers", loss="loss", val="eval_loss", expected=_of_trainer),
    Format("Keras CSVLogger", "keras", "keras", loss="loss", val="val_loss", axis="epoch",
           expected=lambda: {run: epochs(run) for run in RUNS}, fit='--law "E + A*(epoch+1)**-b" --drop-diverged'),
    Format("Hydra multirun, CSV", "hydra", "hydra-core", loss="train_loss", val="val_loss", expected=_named("schedule={run}")),
    Format("Ray Tune", "ray", "ray", read="ray_results", loss="train_loss", val="val_loss", expected=_of_ray),
)  # fmt: skip
#: a study has trials and no curves; its table is compared by its own test
STUDY = Format("Optuna", "optuna", "optuna", loss="value", fit="--law power-floor:x=N --where 'peak_lr == 0.002'")


def compared(source: Path, form: Format) -> tuple[int, int, list[str]]:
    """Rows that were written, rows that were read, and every difference."""
    runs = sf.read_runs(source, rename={} if form.loss == "loss" else {form.loss: "loss"})
    expected = form.expected()
    wrong = [f"runs {runs.names} for {sorted(expected)}"] if sorted(runs.names) != sorted(expected) else []
    assert runs.curves is not None
    for name, points in expected.items():
        rows = runs.curves[runs.curves["run"].astype(str) == name]
        steps = [each.step for each in points]
        if rows[form.axis].tolist() != steps:
            wrong.append(f"{name}: {len(rows)} rows for {len(steps)}")
            continue
        wanted = {"loss": [each.loss for each in points], "lr": [each.lr for each in points]}
        wanted[form.val] = [np.nan if each.val is None else each.val for each in points]
        for column, values in wanted.items():
            kind = np.float32 if form.single else float
            found = rows[column].to_numpy(dtype=float).astype(kind)
            same = (found == np.array(values, dtype=kind)) | np.isnan(found) & np.isnan(values)
            wrong += [
                f"{name}, {column} at {steps[at]}: {found[at]} for {values[at]}" for at in np.flatnonzero(~same)[:3]
            ]
    return sum(map(len, expected.values())), len(runs.curves), wrong
