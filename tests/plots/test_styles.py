"""Styles of figures: on a dark page every colour is turned round and none is lost; on paper the width is kept."""

from __future__ import annotations

import re

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgba
from matplotlib.patheffects import withStroke

from scalefit.cli.shape import inches as inches_of
from scalefit.errors import InputError
from scalefit.plots.canvas import as_svg, new_axes, save_figure, styled
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


def test_a_style_sets_the_width_and_the_letters_and_nothing_afterwards(tmp_path):
    before = dict(plt.rcParams)
    with styled("paper", 3.25):
        ax = new_axes(None, (6.0, 3.0))
        ax.set_xlabel("compute")
        assert ax.figure.get_size_inches() == pytest.approx([3.25, 1.625 + 0.25 * 1.375])
        assert ax.xaxis.label.get_fontsize() == pytest.approx(8)
        save_figure(ax, tmp_path / "a.svg", close=True)
    assert dict(plt.rcParams) == before
    assert new_axes(None, (6.0, 3.0)).figure.get_size_inches() == pytest.approx([6.0, 3.0])
    text = (tmp_path / "a.svg").read_text()
    assert 'width="234pt"' in text, "the width that was asked for, without trimming"
    assert re.search(r"<text[^>]*>compute</text>", text), "texts can be edited"


def test_the_dark_style_is_dark_in_the_file(tmp_path):
    for style in ("screen", "dark"):
        with styled(style):
            save_figure(new_axes(None), tmp_path / f"{style}.png", close=True)
    screen, dark = (plt.imread(tmp_path / f"{style}.png")[2, 2, :3].max() for style in ("screen", "dark"))
    assert (screen, dark) == pytest.approx((1.0, 0.09), abs=0.01)


@pytest.mark.parametrize(("text", "inches"), [("3.25in", 3.25), ("8.255cm", 3.25), ("82.55 mm", 3.25), ("4", 4.0)])
def test_widths_have_units(text, inches):
    assert inches_of(text) == pytest.approx(inches)


@pytest.mark.parametrize("text", ["wide", "0in", "-3", "1e9", "3.25pt", "nan"])
def test_what_is_no_width_is_refused(text):
    with pytest.raises(InputError, match="is no width of a figure"):
        inches_of(text)
