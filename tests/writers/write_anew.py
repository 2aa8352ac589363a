"""Write the three runs with one logger: `python tests/writers/write_anew.py LOGGER FOLDER`, in a process of its own."""

from __future__ import annotations

import getpass
import platform
import socket
import sys
from pathlib import Path

import by_sweeps
import by_trackers
import by_trainers

WRITERS = {
    "tensorboard": by_trackers.tensorboard,
    "tensorboard-add-scalars": by_trackers.tensorboard_add_scalars,
    "wandb": by_trackers.wandb,
    "mlflow": by_trackers.mlflow,
    "mlflow-folders": by_trackers.mlflow_folders,
    "dvclive": by_trackers.dvclive,
    "trackio": by_trackers.trackio,
    "accelerate": by_trackers.accelerate,
    "transformers": by_trainers.transformers,
    "lightning": by_trainers.lightning,
    "keras": by_trainers.keras,
    "hydra": by_sweeps.hydra,
    "optuna": by_sweeps.optuna,
    "ray": by_sweeps.ray,
}


def main(name: str, folder: Path) -> None:
    """Write with one logger; it learns neither the machine nor its user."""
    getpass.getuser = lambda: "user"
    if name != "ray":
        socket.gethostname = lambda: "host"
        platform.node = lambda: "host"
    sys.argv[0] = "train.py"
    WRITERS[name](folder)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
