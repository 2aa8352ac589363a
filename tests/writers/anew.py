"""Write the three runs with one logger: `python tests/writers/anew.py LOGGER FOLDER`, in a process of its own."""

from __future__ import annotations

import getpass
import platform
import socket
import sys
from pathlib import Path

import sweepers
import trackers
import trainers

WRITERS = {
    "tensorboard": trackers.tensorboard,
    "tensorboard-add-scalars": trackers.tensorboard_add_scalars,
    "wandb": trackers.wandb,
    "mlflow": trackers.mlflow,
    "mlflow-folders": trackers.mlflow_folders,
    "dvclive": trackers.dvclive,
    "trackio": trackers.trackio,
    "accelerate": trackers.accelerate,
    "transformers": trainers.transformers,
    "lightning": trainers.lightning,
    "keras": trainers.keras,
    "hydra": sweepers.hydra,
    "optuna": sweepers.optuna,
    "ray": sweepers.ray,
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
