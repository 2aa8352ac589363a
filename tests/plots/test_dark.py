"""Figures on a dark page: every colour is turned round, none is lost against the ground."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgba
from matplotlib.patheffects import withStroke

from scalefit.plots.canvas import as_svg
from scalefit.plots.colours import KINDS, TARGET, WARNING, ramp
from scalefit.plots.dark import in_dark, turned

GROUND = "#14181d"  #: of the dark page


def brightness(colour):
    """The relative luminance of WCAG 2."""
    parts = np.array(to_rgba(colour)[:3])
    linear = np.where(parts <= 0.03928, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(one, other):
    low, high = sorted((brightness(one), brightness(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("colour", [*KINDS, TARGET, WARNING, *ramp(np.geomspace(1, 2, 9).tolist())])
def test_every_colour_of_the_figures_can_be_told_from_the_dark_ground(colour):
    assert contrast(turned(colour), GROUND) > 3


def test_everything_that_has_a_colour_is_turned():
    figure, ax = plt.subplots()
    (line,) = ax.plot([1, 2], [1, 2], color="black", markerfacecolor="none", markeredgecolor="black", marker="o")
    text = ax.text(1, 1, "x", color="black", path_effects=[withStroke(foreground="white")], bbox={"facecolor": "white"})
    band = ax.fill_between([1, 2], [1, 2], color="black", alpha=0.2)
    in_dark(figure)
    light = [to_rgba(c)[0] for c in (line.get_color(), line.get_markeredgecolor(), text.get_color())]
    assert min([*light, band.get_facecolor()[0][0]]) > 0.9
    assert band.get_facecolor()[0][3] == pytest.approx(0.2)
    assert line.get_markerfacecolor() == "none"
    assert text.get_path_effects()[0]._gc["foreground"][0] < 0.2
    assert text.get_bbox_patch().get_facecolor()[0] < 0.2
    assert to_rgba(ax.xaxis.label.get_color())[0] > 0.9
    plt.close(figure)


def test_svg_is_the_same_for_the_same_figure_and_closes_it():
    def draw():
        ax = plt.subplots()[1]
        ax.plot([1, 2], [1, 2])
        return ax

    first, again = as_svg(draw()), as_svg(draw())
    assert first == again
    assert first[0] != first[1]
    assert not plt.get_fignums()
