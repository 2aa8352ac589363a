"""A run log from anyone's training loop."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from scalefit.errors import InputError
from scalefit.proxy.run_folder import RunFolder

OURS = ("run", "status", "step")  #: what run.json has beside the settings
CHOOSE = "choose another folder, or delete this one"


class RunLogger:
    """Writes ``folder``/log.jsonl and run.json, which `scalefit.read_runs` reads like the log of any trainer.

        with RunLogger("runs/a", d_model=256, lr=3e-3, N=12e6) as log:
            for step in range(1, 1001):
                ...
                log(step, loss=loss, lr=rate)

    ``settings`` describe the run; ``lr`` among them is the peak learning rate. Each call appends one whole row, which
    is on the disk when it returns: a kill loses no row. Opened again with the same settings, a run goes on, and steps
    that its log already has are not written twice. ``tensorboard=True`` and ``wandb=True`` (or the arguments of
    wandb.init) send the rows there too. Raises InputError for a folder of another run or in use, for a step that is not
    above the last one or no whole number, outside of ``with``, for a value that is no number, and a package that is
    missing.
    """

    def __init__(
        self, folder: str | Path, *, tensorboard: bool = False, wandb: bool | dict[str, Any] = False, **settings: Any
    ) -> None:
        self.run, self.step, self.last = RunFolder(Path(folder)), -math.inf, 0.0
        self.settings = {("peak_lr" if key == "lr" else key): _plain(value) for key, value in settings.items()}
        self.open, self.asked, self.sinks = False, (tensorboard, wandb), list[_TensorBoard | _Wandb]()

    def __enter__(self) -> RunLogger:
        found = self.run.facts()
        if found and {key: value for key, value in found.items() if key not in OURS} != self.settings:
            raise InputError("it holds a run with other settings", where=str(self.run.path), todo=CHOOSE)
        tensorboard, wandb = self.asked
        self.sinks = [_TensorBoard(self.run.path)] if tensorboard else []
        self.sinks += [_Wandb(self.settings, wandb if isinstance(wandb, dict) else {})] if wandb else []
        if not self.run.claim():
            raise InputError("another process writes this run", where=str(self.run.path), todo=CHOOSE)
        self.last = math.nan if found.get("status") == "diverged" else self.last  # until a row says otherwise
        self._describe("running")
        self.open = True
        return self

    def __call__(self, step: int, **values: Any) -> None:
        """Append the row of a step: numbers, or tensors of one number."""
        if not self.open:
            todo = 'write "with RunLogger(...) as log:" around the loop'
            raise InputError("the log is not open", where=str(self.run.log), todo=todo)
        if not (step >= 0 and step == int(step)):
            raise InputError(f"step is {step}", where=str(self.run.log), todo="give a whole number, from 0 on")
        if step <= self.step:
            todo = "count the steps of the whole run"
            raise InputError(f"step {step} comes after step {self.step:g}", where=str(self.run.log), todo=todo)
        row = {name: _number(name, value) for name, value in values.items()}
        self.step, self.last = step, row.get("loss", self.last)
        if step > self.run.last_step:
            self.run.append([{"step": int(step), **row}])
            for sink in self.sinks:
                sink.log(int(step), row)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._describe("stopped" if kind else "finished" if math.isfinite(self.last) else "diverged")
        self.run.release()
        self.open = False
        for sink in self.sinks:
            sink.close()

    def _describe(self, status: str) -> None:
        done = max(self.run.last_step, 0)
        self.run.describe({"run": self.run.path.name, **self.settings, "status": status, "step": done})


class _TensorBoard:
    """Event files beside the log."""

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise InputError("TensorBoard is not installed", todo="pip install tensorboard") from error
        self.writer = SummaryWriter(str(folder))

    def log(self, step: int, row: dict[str, float]) -> None:
        for name, value in row.items():
            self.writer.add_scalar(name, value, step)

    def close(self) -> None:
        self.writer.close()


class _Wandb:
    """A run of Weights & Biases, with the settings as its configuration."""

    def __init__(self, settings: dict[str, Any], arguments: dict[str, Any]) -> None:
        try:
            import wandb
        except ImportError as error:
            raise InputError("wandb is not installed", todo="pip install wandb") from error
        self.run = wandb.init(**{"config": settings, **arguments})

    def log(self, step: int, row: dict[str, float]) -> None:
        self.run.log(row, step=step)

    def close(self) -> None:
        self.run.finish()


def _plain(value: Any) -> Any:
    """A setting as JSON has it."""
    value = value.item() if hasattr(value, "item") else value
    return value if value is None or isinstance(value, str | int | float | bool | list | dict) else str(value)


def _number(name: str, value: Any) -> float:
    try:
        return float(value.detach() if hasattr(value, "detach") else np.asarray(value))
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{name} = {value!r} is not one number", todo="log its mean") from error
