"""Train one model, or K of one shape as one batch: configurations in, run folders out.

In row s of log.jsonl, ``lr`` is the learning rate of update s, ``loss`` the training loss on batch s before that
update, ``val_loss`` the held-out loss after it. Row 0 is the model at initialisation (lr 0, no update yet).
"""

from __future__ import annotations

import contextlib
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from scalefit.errors import InputError, ScalefitError
from scalefit.proxy.config import BASE, Config
from scalefit.proxy.curvature import measure
from scalefit.proxy.data_parallel import Peers, joined
from scalefit.proxy.ensemble import Ensemble
from scalefit.proxy.facts import facts
from scalefit.proxy.limits import refuse_idle
from scalefit.proxy.models import weights
from scalefit.proxy.probes import Probe
from scalefit.proxy.run_folder import DONE, RunFolder

Progress = Callable[[str], None]
EMA = 0.98


class Stopped(ScalefitError):
    """Training was ended by a signal; everything is saved, and the same call continues from there."""


def train(config: Config, out: str | Path = "runs", progress: Progress | None = None) -> Path:
    """Train one run and return its folder: ``out``/name, or ``out``/identity where the configuration has no name.

    A finished run is not trained again, a stopped one continues from its checkpoint. ``progress`` receives a line of
    text about once a second. Under torchrun, all processes train the run together, each its share of every batch.
    Raises InputError for a configuration that cannot be trained, ScalefitError when the folder cannot be written,
    Stopped after SIGTERM or SIGINT.
    """
    refuse_idle([config.as_dict()], BASE.as_dict())
    with joined(config.device) as peers:
        if peers is None or peers.rank == 0:
            return train_members([config], out, progress, peers=peers)[0]
        _follow(peers)
    return Path(out) / (config.name or config.identity())


def _follow(peers: Peers) -> None:
    """Compute a share of every batch, as the leading process says, and write nothing."""
    with stopping():  # the leader decides when to stop
        while (told := peers.tell()) is not None:
            members, step = told
            ensemble = Ensemble(members, peers=peers)
            ensemble.step = step
            peers.same([ensemble.theta, *ensemble.state.values()])
            while peers.goes_on():
                ensemble.update()


def train_members(
    configs: Sequence[Config],
    out: str | Path = "runs",
    progress: Progress | None = None,
    *,
    leave_claimed: bool = False,
    peers: Peers | None = None,
) -> list[Path]:
    """Train configurations that differ only in member keys (seed, lr, schedule, decay, …) as one batch.

    A run that another process is training raises InputError; with ``leave_claimed`` it is skipped.
    """
    members = [replace(config, name=config.name or config.identity()) for config in configs]
    folders = [RunFolder(Path(out) / config.name) for config in members]
    try:
        mine = [pair for pair in zip(members, folders, strict=True) if _is_ours(*pair, leave_claimed)]
        for group in _groups(mine):
            ensemble = Ensemble([config for config, _ in group], peers=peers)
            Trainer(ensemble, [folder for _, folder in group], progress).run()
    finally:
        for folder in folders:
            folder.release()
    return [folder.path for folder in folders]


def _groups(runs: Sequence[tuple[Config, RunFolder]]) -> list[list[tuple[Config, RunFolder]]]:
    """Runs that go on from the same step: all together where they can, else each from its last checkpoint."""
    steps = [folder.steps(config.identity()) for config, folder in runs]
    together = max(set.intersection(*map(set, steps)), default=None) if steps else None
    groups: dict[int, list[tuple[Config, RunFolder]]] = {}
    for (config, folder), known in zip(runs, steps, strict=True):
        step = known[0] if together is None else together
        folder.go_back(step)
        groups.setdefault(step, []).append((config, folder))
    for _, folder in runs:
        folder.forget()
    return list(groups.values())


def _is_ours(config: Config, folder: RunFolder, leave_claimed: bool) -> bool:
    """Claim the folder if there is something left to train; False if not, or if another process has it."""
    if _is_done(folder, config):
        return False
    if not folder.claim():
        if leave_claimed:
            return False
        raise InputError(
            "another process is training this run", where=str(folder.path), todo="wait for it or choose another folder"
        )
    return not _is_done(folder, config)  # another process may just have finished it


def _is_done(folder: RunFolder, config: Config) -> bool:
    found = folder.facts()
    folder.check(found.get("identity", config.identity()), config.identity())
    return folder.status() in DONE


class Trainer:
    """The training loop of an ensemble, and what it writes: rows, checkpoints, run.json."""

    def __init__(self, ensemble: Ensemble, folders: Sequence[RunFolder], progress: Progress | None = None) -> None:
        self.ensemble, self.config, self.progress = ensemble, ensemble.config, progress
        self.runs = list(zip(ensemble.members, folders, strict=True))
        self.rows: list[tuple[int, dict[str, Tensor]]] = []
        self.wall, self.ema = 0.0, [math.nan] * len(self.runs)
        self._resume()

    def _resume(self) -> None:
        saved = list(filter(None, (folder.checkpoint(config.identity()) for config, folder in self.runs)))
        if len(saved) < len(self.runs) or saved[0]["step"] == 0:
            return
        e, device = self.ensemble, self.ensemble.device
        e.step, self.wall, self.ema = saved[0]["step"], saved[0]["wall"], [s["ema"] for s in saved]
        if any(s["theta"].shape != e.theta.shape[1:] or s["state"].keys() != e.state.keys() for s in saved):
            text = f"checkpoint.pt was written by another version of the model (torch {saved[0]['torch']})"
            raise InputError(text, where=str(self.runs[0][1].path), todo="delete the folder to train again")
        for one in e.earlier:
            one.check([folder for _, folder in self.runs])
        e.theta = torch.stack([s["theta"] for s in saved]).to(device)
        e.state = {name: torch.stack([s["state"][name] for s in saved]).to(device) for name in e.state}

    def run(self) -> None:
        """Train to the last step, saving as configured. Raises Stopped after SIGTERM or SIGINT."""
        c, e = self.config, self.ensemble
        began, tell = time.monotonic() - self.wall, self._telling()
        self._describe("running")
        if e.step == 0:
            self.rows.append((0, e.evaluate()))
        with stopping() as stop, self._leading():
            while e.step < c.steps and not stop.is_set():
                self._step()
                self.wall = time.monotonic() - began
                if e.step % c.flush_every == 0 and not self._flush():
                    break
                if e.step % c.checkpoint_every == 0:
                    self._save()
                tell()
        self._save()
        ended = stop.is_set() and e.step < c.steps
        self._describe("stopped" if ended else "finished")
        if ended:
            raise Stopped(f"stopped at step {e.step} of {c.steps}", todo="run it again to continue")

    @contextlib.contextmanager
    def _leading(self) -> Iterator[None]:
        """Give the other processes of torchrun the run as it stands, and tell them in the end that it has."""
        e, peers = self.ensemble, self.ensemble.peers
        if peers is None:
            yield
            return
        peers.tell((e.members, e.step))
        peers.same([e.theta, *e.state.values()])
        try:
            yield
        finally:
            peers.goes_on(False)

    def _step(self) -> None:
        c, e = self.config, self.ensemble
        probing = c.probe_every and (e.step + 1) % c.probe_every == 0
        if e.peers:
            e.peers.goes_on()
        row = e.update(Probe() if probing else None)
        if e.step % c.eval_every == 0 or e.step == c.steps:
            row |= e.evaluate()
        if c.curvature_every and e.step % c.curvature_every == 0:
            row |= measure(e)
        self.rows.append((e.step, row))

    def _flush(self) -> bool:
        """Write the rows that wait; False when no member has a finite loss any more."""
        if not self.rows:
            return True
        host = [(step, {name: value.tolist() for name, value in row.items()}) for step, row in self.rows]
        for k, (_, folder) in enumerate(self.runs):
            folder.append(self._row(k, step, row) for step, row in host)
        self.rows.clear()
        for k, spike in self.ensemble.spiked:
            self.runs[k][1].add_spike(spike)
        self.ensemble.spiked.clear()
        return bool(np.isfinite(self.ema).any()) or self.ensemble.step == 0

    def _row(self, k: int, step: int, row: dict[str, list[float]]) -> dict[str, Any]:
        values = {name: value[k] for name, value in row.items()}
        if step:
            before = values["loss"] if step == 1 else self.ema[k]
            self.ema[k] = values["loss_ema"] = EMA * before + (1 - EMA) * values["loss"]
        lr = float(self.ensemble.lr[k, step]) if step else 0.0
        return {"step": step, "tokens": step * self.config.batch, "lr": lr, **values}

    def _save(self) -> None:
        """Write the rows up to this step, then the checkpoints: a log never ends before its checkpoint."""
        self._flush()
        e = self.ensemble
        for k, (config, folder) in enumerate(self.runs):
            folder.save(
                {
                    "identity": config.identity(),
                    "step": e.step,
                    "wall": self.wall,
                    "ema": self.ema[k],
                    "theta": e.theta[k].cpu().clone(),
                    "state": {name: value[k].cpu().clone() for name, value in e.state.items()},
                    "torch": str(torch.__version__),
                },
                keep=len(self.runs) > 1,
            )
        for _, folder in self.runs:
            folder.forget()

    def _describe(self, status: str) -> None:
        """Write run.json. A run has diverged when its final loss is not a number or over one nat above log vocab."""
        e = self.ensemble
        final = self._final() if status == "finished" else {}
        sizes = weights.counts(e.model.leaves)
        ran = {"wall_s": round(self.wall, 3), "members": len(self.runs), "processes": e.peers.size if e.peers else 1}
        for k, (config, folder) in enumerate(self.runs):
            own = {name: value[k] for name, value in final.items()}
            diverged = bool(own) and not own["val_loss"] < math.log(e.source.vocab) + 1
            about = facts(config, sizes, e.validation, e.step, e.device, {each.role: each.facts for each in e.earlier})
            ended = {"status": "diverged" if diverged else status, **({"note": folder.note} if folder.note else {})}
            folder.describe(about | ran | ended | own)

    def _final(self) -> dict[str, list[float]]:
        """The held-out losses of the last step, as logged where it was evaluated: run.json says what the log says."""
        e, names = self.ensemble, self.ensemble.validation
        if e.step < self.config.steps:
            return {name: value.tolist() for name, value in e.evaluate().items()}
        rows = [folder.last_row() for _, folder in self.runs]
        return {name: [math.nan if row[name] is None else row[name] for row in rows] for name in names}

    def _telling(self) -> Callable[[], None]:
        """A function that reports progress at most once a second."""
        e, began, first = self.ensemble, time.monotonic(), self.ensemble.step
        told = began

        def tell() -> None:
            nonlocal told
            now = time.monotonic()
            if self.progress is None or now - told < 1:
                return
            told = now
            rate = (e.step - first) / (now - began)
            tokens, left = rate * self.config.batch * len(self.runs), (self.config.steps - e.step) / rate
            loss = " ".join(f"{value:.3f}" for value in self.rows[-1][1]["loss"][:4]) if self.rows else ""
            self.progress(f"step {e.step}/{self.config.steps}  loss {loss}  {tokens:,.0f} tokens/s  {left:.0f} s left")

        return tell


@contextlib.contextmanager
def stopping() -> Iterator[threading.Event]:
    """An event that SIGTERM and SIGINT set (in the main thread); a second signal has its usual effect."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def catch(number: int, _: object) -> None:
        event.set()
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, catch)
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
