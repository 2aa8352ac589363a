"""Sweeps: Hydra's multirun, Optuna's study, Ray Tune's trials."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from three_runs import RUNS, SETTINGS, lives

APP = """
import csv
import logging
import hydra
from three_runs import lives


@hydra.main(version_base=None, config_path=None, config_name="base")
def main(config):
    logging.getLogger(__name__).info("training %s", config.schedule)
    with open("metrics.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, ["step", "train_loss", "lr", "val_loss"])
        writer.writeheader()
        for points in lives(config.schedule):
            for each in points:
                writer.writerow({"step": each.step, "train_loss": each.loss, "lr": each.lr, "val_loss": each.val})


from hydra.core.config_store import ConfigStore
model = {"n_params": 1500000, "d_model": 128}
ConfigStore.instance().store("base", {"schedule": "cosine", "optimizer": {"lr": 0.002}, "model": model})
main()
"""


def hydra(folder: Path) -> None:
    """A multirun: a folder for each run, with `.hydra/config.yaml` beside its log, and an empty log of Hydra's."""
    app = folder / "train.py"
    app.write_text(APP)
    words = ["--multirun", f"schedule={','.join(RUNS)}", "hydra.sweep.dir=multirun", "hydra.job.chdir=true"]
    here = str(Path(__file__).parent)
    subprocess.run([sys.executable, "train.py", *words], check=True, cwd=folder, env={**os.environ, "PYTHONPATH": here})


WIDTHS = (32, 64, 96, 128, 192, 256)
RATES = (1e-3, 2e-3)
TRIALS = [(width, lr) for width in WIDTHS for lr in RATES]
LOST = (32, 5e-2)  #: the trial that fails
REPORTS = (500, 1000, 1500, 2000)  #: steps at which trials report on the way


def final_loss(width: int, lr: float) -> float:
    """A power of the size above a floor; one learning rate is better."""
    return round(1.9 + 12.0 * (90.0 * width**2) ** -0.25 + (0.0 if lr == RATES[1] else 0.02), 5)


def reported(width: int, lr: float, step: int) -> float:
    """The value on the way."""
    return round(final_loss(width, lr) + 1 - step / 2000, 5)


def optuna(folder: Path) -> None:
    """A study of twelve trials with values on the way, and one that fails."""
    import optuna as library

    library.logging.set_verbosity(library.logging.ERROR)
    study = library.create_study(storage=f"sqlite:///{folder}/study.db", study_name="widths")
    for width, lr in TRIALS:
        study.enqueue_trial({"d_model": width, "lr": lr})

    def train(trial):
        width = trial.suggest_categorical("d_model", WIDTHS)
        lr = trial.suggest_float("lr", 1e-4, 1e-1, log=True)
        trial.set_user_attr("n_params", 90 * width**2)
        for step in REPORTS:
            trial.report(reported(width, lr, step), step)
        return final_loss(width, lr)

    study.optimize(train, n_trials=len(TRIALS))
    study.enqueue_trial({"d_model": LOST[0], "lr": LOST[1]})

    def lost(trial):
        trial.suggest_categorical("d_model", WIDTHS)
        trial.suggest_float("lr", 1e-4, 1e-1, log=True)
        raise ValueError

    study.optimize(lost, n_trials=1, catch=(ValueError,))


def ray(folder: Path) -> None:
    """Ray Tune: a trial a run; the killed one is started again by Tune from its checkpoint."""
    import json
    import tempfile

    from ray import init, shutdown, tune

    sys.path.insert(0, str(Path(__file__).parent))

    def train(config):
        life, saved = 0, tune.get_checkpoint()
        run = config["schedule"]
        if saved:
            life = 1
        for each in lives(run)[life]:
            row = {"step": each.step, "train_loss": each.loss, "lr": each.lr}
            row |= {} if each.val is None else {"val_loss": each.val}
            if each.step == 1000 and run == "wsd":
                with tempfile.TemporaryDirectory() as place:
                    (Path(place) / "step.json").write_text(json.dumps(each.step))
                    tune.report(row, checkpoint=tune.Checkpoint.from_directory(place))
            else:
                tune.report(row)
        if len(lives(run)) > 1 and life == 0:
            raise RuntimeError("killed")

    init(num_cpus=1, include_dashboard=False, object_store_memory=80_000_000, log_to_driver=False,
         runtime_env={"env_vars": {"PYTHONPATH": str(Path(__file__).parent)}})  # fmt: skip
    settings = {"schedule": tune.grid_search(list(RUNS)), **SETTINGS}
    tuner = tune.Tuner(
        train, param_space=settings, tune_config=tune.TuneConfig(max_concurrent_trials=1),
        run_config=tune.RunConfig(
            name="sweep", storage_path=str(folder / "ray_results"), verbose=0,
            failure_config=tune.FailureConfig(max_failures=1),
        ),
    )  # fmt: skip
    tuner.fit().get_dataframe().to_csv(folder / "dataframe.csv", index=False)
    shutdown()
