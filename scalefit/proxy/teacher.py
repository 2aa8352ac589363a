"""The teacher of a distillation: a finished run, whose logits others learn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from scalefit.errors import InputError
from scalefit.proxy.config import Config
from scalefit.proxy.models import weights
from scalefit.proxy.models.model import Decoder
from scalefit.proxy.optimizers import optimizer
from scalefit.proxy.run_folder import DONE, RunFolder
from scalefit.proxy.tasks.data import Examples, Source

NAMED = ("identity", "N", "D", "val_loss")  #: what the run.json of a pupil says of its teacher


class Teacher:
    """Reads the run in a folder. Raises InputError for one that is not finished, that is no decoder, or whose
    vocabulary is another one."""

    def __init__(self, path: str, source: Source, device: torch.device) -> None:
        folder, todo = RunFolder(Path(path)), "give the folder of a finished run of a decoder"
        found = folder.facts()
        if folder.status() not in DONE or not isinstance(found.get("config"), dict):
            raise InputError(f"the teacher is {folder.status()}", where=path, todo=todo)
        config = Config.read(found["config"], f"{path}/run.json")
        model, saved = config.build(source), _checkpoint(folder, config)
        if not isinstance(model, Decoder) or found["vocab"] != source.vocab:
            what = f"a {config.model} of {found['vocab']} symbols cannot teach one of {source.vocab} ({source.task})"
            raise InputError(what, where=path, todo="choose a teacher of the same task and vocabulary")
        self.model, self.facts = model, {name: found.get(name) for name in NAMED}
        theta, state = (saved["theta"][None], {name: value[None] for name, value in saved["state"].items()})
        theta = optimizer(config.optimizer)([config.optimizer_options]).evaluation_point(theta, state)
        self.w = weights.views(theta.to(device), model.leaves)
        if config.weight_bits:
            self.w = weights.rounded(self.w, model.leaves, config.weight_bits)

    def check(self, folders: Sequence[RunFolder]) -> None:
        """Raise InputError for the folder of a run that another teacher began to teach."""
        for folder in folders:
            if folder.facts().get("teacher", self.facts) != self.facts:
                text = "the run began with another teacher than the one that now lies in the folder of its teacher"
                raise InputError(text, where=str(folder.path), todo="delete the folder to train again")

    def logits(self, batch: Examples) -> Examples:
        """Of each set of tokens, by itself: what one member learns does not depend on those beside it."""
        with torch.no_grad():
            found = [self.model.logits(self.w, tokens[None, :, :-1])[0] for tokens in batch["tokens"]]
        return {"teacher": torch.stack(found)}


def _checkpoint(folder: RunFolder, config: Config) -> dict[str, Any]:
    folder.last_step = int(folder.last_row().get("step", -1))
    saved = folder.checkpoint(config.identity())
    if saved is None:
        raise InputError("the teacher has no checkpoint", where=str(folder.path), todo="train it again")
    return saved
