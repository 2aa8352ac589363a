"""The names that logs use for the columns of a schedule file: step, learning rate, run, schedule."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase

from scalefit.errors import InputError

#: canonical name: names in logs, compared in lower case with `_` for spaces and hyphens; may hold `*`
NAMES: dict[str, tuple[str, ...]] = {
    "step": (
        *(
            "global_step",
            "trainer/global_step",
            "train/global_step",
            "_step",
            "iter",
            "iters",
            "iteration",
            "iterations",
        ),
        *("train_step", "training_step", "current_steps", "num_updates", "optimizer_step"),
    ),
    "lr": (
        *(
            "learning_rate",
            "train/learning_rate",
            "train/lr",
            "train_lr",
            "training_lr",
            "optim/learning_rate",
            "optim/learning_rate_group0",
        ),
        *("optim/lr", "lr_metrics/lr", "lr-*", "opt/lr", "current_learning_rate", "learning/current_learning_rate"),
    ),
    "run": ("run_name", "run_id", "name", "exp_name", "experiment_name", "run_uuid"),
    "schedule": ("scheduler", "lr_schedule", "lr_scheduler", "lr_scheduler_type"),
}


def schedule_names(columns: Iterable[str], where: str = "") -> dict[str, str]:
    """The columns to rename to step, lr, run and schedule, if no column has that name: the one with a known alias.

    If there is one of run and schedule, the other is not guessed. Raises InputError if two columns have an alias.

    >>> schedule_names(["run_name", "iter", "learning_rate", "loss"])
    {'iter': 'step', 'learning_rate': 'lr', 'run_name': 'run'}
    """
    names = list(columns)
    renamed: dict[str, str] = {}
    for wanted, aliases in NAMES.items():
        rivals = {"run", "schedule"} if wanted in ("run", "schedule") else {wanted}
        if rivals & {*names, *renamed.values()}:
            continue
        found = [name for name in names if _is_one(name, aliases) and name not in renamed]
        if len(found) > 1:
            what = f"the columns {' and '.join(found)} could both be {wanted}"
            raise InputError(what, where=where, todo=f"rename one to {wanted}")
        renamed |= dict.fromkeys(found, wanted)
    return renamed


def _is_one(name: str, aliases: tuple[str, ...]) -> bool:
    plain = name.strip().lower()
    forms = (plain, re.sub(r"[\s\-]+", "_", plain))
    return any(fnmatchcase(form, alias) for form in forms for alias in aliases)
