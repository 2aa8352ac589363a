"""How many steps a schedule of one shape needs to end at a loss."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from scalefit.answers import Shown
from scalefit.diagnosis.checks import Check
from scalefit.errors import InputError
from scalefit.fitting.result import Fit
from scalefit.notices import Line, doubted
from scalefit.numerics import FloatArray
from scalefit.planning.allocation.spread import ends, plain_ends
from scalefit.planning.allocation.targets import fixed_of, losses_of
from scalefit.planning.schedules.final import final_losses, refuse_other_laws
from scalefit.schedules import Schedule, parse_schedule
from scalefit.schedules.text import is_schedule_file

STRETCH = np.geomspace(1 / 64, 64, 49)  #: lengths that are computed, over that of the schedule
SHORTEST, LONGEST = 20, 3_000_000  #: steps
SCALED = ("decay_steps", "at", "timescale", "period")  #: keys in steps that stretch with the run; the warmup does not


@dataclass(frozen=True, eq=False, repr=False)
class StepsToLoss(Shown):
    """What :func:`steps_for_loss` found; one row of ``table`` for each loss."""

    fit: Fit
    schedule: str
    table: pd.DataFrame  #: loss, steps with their interval, floor where it is never reached
    cautions: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Whether the fit has no warnings and the runs lie within its reach."""
        return self.fit.ok and not self.cautions

    @property
    def lines(self) -> list[Line]:
        """What is said, line by line."""
        lines = []
        for _, row in self.table.iterrows():
            if row["steps"] == row["steps"]:
                known = row["low"] == row["low"]
                ends_ = f" [{row['low']:.4g}, {row['high']:.4g}]".replace("inf", "unlimited") if known else ""
                lines.append(f"loss {row['loss']:g}: {row['steps']:.5g}{ends_} steps")
            else:
                least = f"{row['floor']:.4g} [{row['floor_low']:.4g}, {row['floor_high']:.4g}]"
                lines.append(f"loss {row['loss']:g}: not reached in {row['longest']:.3g} steps, which end at {least}")
        lines += [f"  under {self.schedule}, stretched; by law {self.fit.law.spec} ({self.fit.status})"]
        lines += [f"  law: {self.fit.law.equation}", f"  known of the law: {type(self.fit.law).fails}"]
        return [*lines, *doubted(check.text for check in (*self.cautions, *self.fit.warnings))]


def steps_for_loss(fit: Fit, loss: Any, schedule: str, **at: Any) -> StepsToLoss:
    """The length at which a schedule of this shape ends at a loss, with its 90 % interval.

    The decay and other positions keep their share of the run, the warmup its steps. Raises InputError for a law that
    reads no schedule, and for a schedule from a file, which has one length.

    ``loss``: one or several; ``at``: what else the law reads, such as N.
    """
    refuse_other_laws(fit)
    if is_schedule_file(schedule):
        todo = "write the schedule as text, such as cosine:peak_lr=3e-4,steps=60000"
        raise InputError("a schedule from a file has one length", where="schedule", todo=todo)
    where: dict[str, Any] = dict(fixed_of(at))
    lengths, plans = _stretched(schedule)
    losses = final_losses(fit, plans, where)
    few = fit.intervals.few if fit.intervals else 1.0
    rows: list[dict[str, Any]] = []
    last: dict[str, Check] = {}
    for aim in losses_of(loss):
        steps = np.array([_crossing(lengths, each, aim) for each in losses])
        if np.isnan(steps[0]):
            what = f"a schedule of {lengths[0]} steps is below a loss of {aim:g} already"
            raise InputError(what, where="steps for a loss", todo="give a lower loss, or a shorter schedule")
        if np.isinf(steps[0]):
            low, high = plain_ends(losses[:, -1], few)
            rows.append(
                {"loss": aim, "floor": losses[0, -1], "floor_low": low, "floor_high": high, "longest": lengths[-1]}
            )
            continue
        low, high = ends(steps, few)
        rows.append({"loss": aim, "steps": steps[0], "low": low, "high": high})
        last = {check.code: check for check in fit.cautions(schedule=_at_length(schedule, round(steps[0])), **where)}
    table = pd.DataFrame(rows).reindex(
        columns=["loss", "steps", "low", "high", "floor", "floor_low", "floor_high", "longest"]
    )
    return StepsToLoss(fit, schedule, table, tuple(last.values()))


def _crossing(lengths: FloatArray, losses: FloatArray, aim: float) -> float:
    """The length at which the final loss falls to ``aim``, by a line in log-log; infinite or NaN without one."""
    below = np.flatnonzero(losses <= aim)
    if not len(below):
        return float("inf")
    i = int(below[0])
    if i == 0:
        return float("nan")
    share = np.log(losses[i - 1] / aim) / np.log(losses[i - 1] / losses[i])
    return float(lengths[i - 1] * (lengths[i] / lengths[i - 1]) ** share)


def _stretched(schedule: str) -> tuple[FloatArray, list[Schedule]]:
    """Lengths and the schedules of these lengths."""
    own = parse_schedule(schedule)
    lengths = np.unique(np.round(own.steps * STRETCH))
    rest = 1 - max(0.1, *(float(part) / own.steps for part in re.findall(r"decay_steps=(\d+)", own.text)), 0.0)
    least = max(SHORTEST, (own.warmup + 2) / max(rest, 1e-3))  # the warmup keeps its steps, the decay its share
    lengths = lengths[(lengths >= least) & (lengths <= max(LONGEST, own.steps))]
    return lengths, [_at_length(schedule, int(length)) for length in lengths]


def _at_length(schedule: str, steps: int) -> Schedule:
    """The schedule with another number of steps."""
    own = parse_schedule(schedule)
    name, _, rest = own.text.partition(":")
    pairs = [part.partition("=") for part in rest.split(",")]
    factor = steps / own.steps

    def scaled(key: str, value: str) -> str:
        if key == "steps":
            return str(steps)
        if key not in SCALED and not (name == "piecewise" and key == "at"):
            return value
        return "/".join(str(max(1, round(float(part) * factor))) for part in value.split("/"))

    return parse_schedule(f"{name}:" + ",".join(f"{key}={scaled(key, value)}" for key, _, value in pairs))
