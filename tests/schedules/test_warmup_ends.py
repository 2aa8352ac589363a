"""The warmup of a schedule given as text is where its first rise ends, whether it was named or only follows."""

from __future__ import annotations

import numpy as np
import pytest

from scalefit.schedules import parse_schedule


def first_rise_ends(lr):
    """The last step up to which every step rises, by a plain loop; 0 where the first does not."""
    end = 0
    while end + 1 < len(lr) and lr[end + 1] > lr[end]:
        end += 1
    return end


@pytest.mark.parametrize("warmup", ["", ",warmup=10", ",warmup=1"])
@pytest.mark.parametrize(
    "text",
    [
        "constant:peak_lr=1e-3,steps=100",
        "linear:peak_lr=1e-3,steps=100",
        "cosine:peak_lr=1e-3,steps=100,final=1e-4",
        "cyclic:peak_lr=1e-3,steps=100,period=40,final=1e-4",
        "wsd:peak_lr=1e-3,steps=100,decay_steps=20",
        "multi_step:peak_lr=1e-3,steps=100,at=30/60,factor=0.5",
    ],
)
def test_where_the_first_rise_ends(text, warmup):
    schedule = parse_schedule(text + warmup)
    named = int(warmup[8:] or 0)
    lr = np.array(schedule.per_step())
    assert schedule.warmup == (named or first_rise_ends(lr))
    if named:
        assert np.all(np.diff(lr[: named + 1]) > 0)


def test_a_piecewise_rise_is_a_warmup():
    schedule = parse_schedule("piecewise:at=0/20/80/100,lr=0/1e-3/1e-3/0")
    assert schedule.steps == 100
    assert schedule.warmup == 20
