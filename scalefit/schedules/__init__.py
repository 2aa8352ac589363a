"""Learning rate as a function of the optimiser step, and the areas under it that the annealing laws use.

`shapes` has one plain function step -> learning rate for each schedule, `text` their text form and schedules from CSV
files, `areas` S1, S2 and the end of the warmup; `gaps`, `relaxation` and `theory` serve single laws and commands.
"""

from __future__ import annotations

from scalefit.schedules.areas import area_blocks, areas, per_step_lr, warmup_end
from scalefit.schedules.gaps import Gaps, gaps_at
from scalefit.schedules.relaxation import powered_area, relaxed_rate
from scalefit.schedules.shapes import SHAPES, constant, cosine, cyclic, inverse_sqrt, linear, multi_step, piecewise, wsd
from scalefit.schedules.text import Schedule, ScheduleTable, parse_schedule, read_schedule_table

__all__ = [
    "SHAPES",
    "Gaps",
    "Schedule",
    "ScheduleTable",
    "area_blocks",
    "areas",
    "constant",
    "cosine",
    "cyclic",
    "gaps_at",
    "inverse_sqrt",
    "linear",
    "multi_step",
    "parse_schedule",
    "per_step_lr",
    "piecewise",
    "powered_area",
    "read_schedule_table",
    "relaxed_rate",
    "warmup_end",
    "wsd",
]
