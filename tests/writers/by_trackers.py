"""Trackers: each writes the three runs with its own code, as their users call it, with what else they log beside."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from three_runs import RUNS, SETTINGS, Point, lives

NOISE = np.random.default_rng(7).normal(size=64)


def values(each: Point, *, nested: bool = True) -> dict[str, float]:
    """The values of a step, under the names that people give them."""
    loss, val = ("train/loss", "val/loss") if nested else ("train_loss", "val_loss")
    return {loss: each.loss, "lr": each.lr, **({} if each.val is None else {val: each.val})}


def tensorboard(folder: Path) -> None:
    """One folder a run, one file a life; a histogram, an image and a text beside the scalars of the first."""
    from torch.utils.tensorboard import SummaryWriter

    for run in RUNS:
        for points in lives(run):
            with SummaryWriter(str(folder / run), filename_suffix="") as writer:
                for each in points:
                    for key, value in values(each).items():
                        writer.add_scalar(key, value, each.step)
                    if run == "cosine" and each.step == 500:
                        writer.add_histogram("weights", NOISE, each.step)
                        writer.add_image("sample", np.zeros((1, 4, 4)), each.step)
                        writer.add_text("note", "loss: 0.5", each.step)


def tensorboard_add_scalars(folder: Path) -> None:
    """`add_scalars` makes a folder for each of its curves; `add_hparams` makes one of settings."""
    from torch.utils.tensorboard import SummaryWriter

    for run in RUNS:
        for points in lives(run):
            with SummaryWriter(str(folder / "logs" / run)) as writer:
                writer.add_hparams(SETTINGS, {}, run_name="settings")
                for each in points:
                    writer.add_scalars(
                        "loss", {"train": each.loss, **({} if each.val is None else {"val": each.val})}, each.step
                    )
                    writer.add_scalar("lr", each.lr, each.step)


def wandb(folder: Path) -> None:
    """Offline; the resumed run is a second folder of the same identifier. Strings, a histogram and a table beside."""
    import wandb

    for number, run in enumerate(RUNS):
        for points in lives(run):
            settings = wandb.Settings(
                x_disable_meta=True, x_disable_stats=True, x_disable_machine_info=True, disable_git=True, console="off",
                save_code=False, host="host", username="user", root_dir=str(folder),
            )  # fmt: skip
            with wandb.init(
                project="sweep", mode="offline", dir=str(folder), id=f"run{number:05d}", name=run, resume="allow",
                config=SETTINGS, settings=settings,
            ) as started:  # fmt: skip
                for each in points:
                    phase = "warmup" if each.step < 100 else "go"
                    row = {**values(each), "trainer/global_step": each.step, "phase": phase}
                    if run == "cosine" and each.step == 500:
                        row["weights"] = wandb.Histogram(np_histogram=np.histogram(NOISE, bins=8))
                    started.log(row)


def mlflow(folder: Path) -> None:
    """The data base; a parameter named lr, metrics of the system, an evaluation on an axis of its own."""
    import mlflow as tracker

    tracker.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    tracker.create_experiment("sweep", artifact_location="artifacts")
    tracker.set_experiment("sweep")
    for run in RUNS:
        identity = None
        for points in lives(run):
            with tracker.start_run(run_id=identity, run_name=None if identity else run) as started:
                if identity is None:
                    tracker.log_params(SETTINGS)
                identity = started.info.run_id
                for each in points:
                    tracker.log_metrics({**values(each), "system/cpu_utilization_percentage": 50.0}, step=each.step)


def mlflow_folders(folder: Path) -> None:
    """The older store of files."""
    import mlflow as tracker

    os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
    tracker.set_tracking_uri((folder / "mlruns").as_uri())
    tracker.create_experiment("sweep", artifact_location="artifacts")
    tracker.set_experiment("sweep")
    for run in RUNS:
        identity = None
        for points in lives(run):
            with tracker.start_run(run_id=identity, run_name=None if identity else run) as started:
                if identity is None:
                    tracker.log_params(SETTINGS)
                identity = started.info.run_id
                for each in points:
                    tracker.log_metrics(values(each), step=each.step)


def dvclive(folder: Path) -> None:
    """One folder a run; the second life goes on with resume=True."""
    from dvclive import Live

    for run in RUNS:
        for number, points in enumerate(lives(run)):
            with Live(str(folder / run), resume=number > 0, report=None, save_dvc_exp=False, dvcyaml=False) as live:
                if not number:
                    live.log_params(SETTINGS)
                for each in points:
                    live.step = each.step
                    for key, value in values(each).items():
                        live.log_metric(key, value)
                    live.make_summary()


def trackio(folder: Path) -> None:
    """The data base of a project; the second life goes on with resume="must". Strings beside."""
    os.environ["TRACKIO_DIR"] = str(folder)
    import trackio as tracker

    for run in RUNS:
        for number, points in enumerate(lives(run)):
            tracker.init(
                project="sweep", name=run, config=SETTINGS, resume="must" if number else "never",
                auto_log_gpu=False, auto_log_cpu=False, embed=False,
            )  # fmt: skip
            for each in points:
                tracker.log({**values(each), "phase": "warmup" if each.step < 100 else "go"}, step=each.step)
            tracker.finish()


def accelerate(folder: Path) -> None:
    """The TensorBoard tracker of accelerate: event files, and the configuration in `hparams.yml`."""
    from accelerate import Accelerator

    for run in RUNS:
        for points in lives(run):
            accelerator = Accelerator(log_with="tensorboard", project_dir=str(folder), cpu=True)
            accelerator.init_trackers(run, config=SETTINGS)
            for each in points:
                accelerator.log(values(each, nested=False), step=each.step)
            accelerator.end_training()
