"""What holds for the legend of every figure that a test draws."""

import re

import pytest
from matplotlib.lines import Line2D

from scalefit.plots import legend

OUT = re.compile(r"held.out|measured (later|since)|outside")


@pytest.fixture(autouse=True)
def held_out_is_hollow(monkeypatch):
    """Points of which the legend says that they were not fitted, or missed an interval, are hollow."""
    place = legend.place

    def checked(ax, entries, *rest, **options):
        for entry in (each for each in entries if isinstance(each, Line2D) and each.get_marker() == "o"):
            if OUT.search(str(entry.get_label())):
                assert entry.get_markerfacecolor() == "none", entry.get_label()
        return place(ax, entries, *rest, **options)

    monkeypatch.setattr(legend, "place", checked)
