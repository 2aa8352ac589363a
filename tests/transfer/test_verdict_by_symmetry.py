"""Verdicts on transfer: the same for a drift and its mirror image, and the reach by hand."""

from __future__ import annotations

import re

import numpy as np
import pytest

from scalefit.transfer.verdict import NOT_APART, Apart, Interval, verdict_of

TWO, FOUR = np.array([256.0, 512.0]), np.array([64.0, 128.0, 256.0, 512.0])


def kind(low, high, sizes=TWO, beyond=NOT_APART):
    """The word or two that a verdict begins with."""
    return verdict_of("sp", "d_model", Interval((low + high) / 2, low, high), sizes, beyond).split(":")[0]


#: a drift that surely is of each kind
CLEAR = {"holds": (-0.01, 0.01), "moves": (2.0, 3.0), "open": (-2.0, 2.0)}


def test_three_kinds():
    assert len({kind(*ends) for ends in CLEAR.values()}) == 3


@pytest.mark.parametrize(
    ("low", "high", "sizes", "wanted"),
    [
        (0.05, 0.45, TWO, "holds"),
        (0.05, 0.55, TWO, "open"),  # within an octave over one doubling, but more than half of one a doubling
        (0.05, 0.32, FOUR, "holds"),  # 0.96 octaves over three doublings
        (0.05, 0.35, FOUR, "open"),  # 1.05 octaves
        (0.35, 0.45, FOUR, "moves"),  # 1.05 octaves at least
        (0.32, 0.45, FOUR, "open"),
        (-0.2, 0.4, FOUR, "open"),
    ],
)
def test_a_drift_and_its_mirror_image_are_judged_alike(low, high, sizes, wanted):
    assert kind(low, high, sizes) == kind(*CLEAR[wanted])
    assert kind(-high, -low, sizes) == kind(*CLEAR[wanted])


def test_optima_beyond_their_grid():
    assert kind(-0.01, 0.01, TWO, Apart(1.5, "far")) == kind(*CLEAR["moves"])
    assert kind(-0.01, 0.01, TWO, Apart(1.0, "an octave")) == kind(*CLEAR["open"])
    assert kind(-0.01, 0.01, TWO, Apart(0.1, "near")) == kind(*CLEAR["open"])


@pytest.mark.parametrize(("low", "high", "reach"), [(0.0, 0.25, 16), (-0.25, 0.1, 16), (0.1, 0.5, 4), (-0.2, -0.1, 32)])
def test_the_reach_is_where_the_fastest_drift_has_moved_by_an_octave(low, high, reach):
    """A drift of a quarter of an octave a doubling moves by one over four doublings: 16 times the size."""
    said = verdict_of("sp", "d_model", Interval((low + high) / 2, low, high), TWO)
    assert f"{reach:g}" in re.findall(r"\d+(?:\.\d+)?", said.split("]")[-1])
