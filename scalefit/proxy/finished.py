"""Finished runs from which others go on: one whose weights they begin with, or a teacher whose logits they learn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from scalefit.errors import InputError
from scalefit.proxy.config import Config
from scalefit.proxy.models import weights
from scalefit.proxy.models.layers import Model
from scalefit.proxy.models.model import Decoder
from scalefit.proxy.optimizers import optimizer
from scalefit.proxy.run_folder import DONE, RunFolder
from scalefit.proxy.tasks.data import Examples, Source

NAMED = ("identity", "N", "D", "val_loss")  #: what the run.json of a run says of the one that it goes on from


class Finished:
    """Reads the run in a folder; ``role`` is what it is to the run that asks, as in run.json.

    ``theta`` (1, P) are its weights as they are evaluated. Raises InputError for one that is not finished, or whose
    vocabulary is another one.
    """

    role = "start"

    def __init__(self, path: str, source: Source, device: torch.device) -> None:
        self.path, folder = path, RunFolder(Path(path))
        found = folder.facts()
        if folder.status() not in DONE or not isinstance(found.get("config"), dict):
            lies = f"the {self.role} is {folder.status()}" if Path(path).is_dir() else f"there is no {self.role}"
            raise InputError(lies, where=path, todo="give the folder of a finished run")
        config = self.config = Config.read(found["config"], f"{path}/run.json")
        if found["vocab"] != source.vocab:
            what = f"a {config.model} of {found['vocab']} symbols cannot be the {self.role} of one of {source.vocab}"
            todo = f"choose a {self.role} of the same task and vocabulary"
            raise InputError(f"{what} ({source.task})", where=path, todo=todo)
        self.model, saved = config.build(source), self._checkpoint(folder)
        self.facts = {name: found.get(name) for name in NAMED}
        theta, state = saved["theta"][None], {name: value[None] for name, value in saved["state"].items()}
        theta = optimizer(config.optimizer)([config.optimizer_options]).evaluation_point(theta, state)
        self.theta = theta.to(device)

    def check(self, folders: Sequence[RunFolder]) -> None:
        """Raise InputError for the folder of a run that began with another one in this role."""
        for folder in folders:
            if folder.facts().get(self.role, self.facts) != self.facts:
                text = f"the run began with another {self.role} than the one that now lies in {self.path}"
                raise InputError(text, where=str(folder.path), todo="delete the folder to train again")

    def _checkpoint(self, folder: RunFolder) -> dict[str, Any]:
        folder.last_step = int(folder.last_row().get("step", -1))
        saved = folder.checkpoint(self.config.identity())
        if saved is None:
            raise InputError(f"the {self.role} has no checkpoint", where=str(folder.path), todo="train it again")
        return saved


class Start(Finished):
    """The run with whose weights others begin; its optimiser begins anew. Its shape must be theirs."""

    def weights_for(self, model: Model) -> torch.Tensor:
        """The weights, (1, P). Raises InputError for a model of another shape."""
        ours, theirs = ({name: leaf.shape for name, leaf in each.leaves.items()} for each in (model, self.model))
        if ours != theirs:
            other = next(name for name in (*ours, *theirs) if ours.get(name) != theirs.get(name))
            what = f"its weights are of another shape: {other} is {theirs.get(other)}, here {ours.get(other)}"
            raise InputError(what, where=self.path, todo="give this run the shape of its start")
        return self.theta


class Teacher(Finished):
    """The teacher of a distillation, a decoder."""

    role = "teacher"

    def __init__(self, path: str, source: Source, device: torch.device) -> None:
        super().__init__(path, source, device)
        config = self.config
        if config.model != "decoder":  # an encoder-decoder is one of its class
            raise InputError(f"the teacher is of model {config.model}", where=path, todo="give the folder of a decoder")
        self.w = weights.views(self.theta, self.model.leaves)
        if config.weight_bits:
            self.w = weights.rounded(self.w, self.model.leaves, config.weight_bits, config.weight_group)

    def logits(self, batch: Examples) -> Examples:
        """Of each set of tokens, by itself: what one member learns does not depend on those beside it."""
        model = self.model
        assert isinstance(model, Decoder)
        with torch.no_grad():
            found = [model.logits(self.w, tokens[None, :, :-1])[0] for tokens in batch["tokens"]]
        return {"teacher": torch.stack(found)}
