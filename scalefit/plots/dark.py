"""The same figure for a dark page: the lightness of every colour is turned round, its hue is kept."""

from __future__ import annotations

import colorsys
from typing import Any

from matplotlib.artist import Artist
from matplotlib.collections import Collection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.text import Text

DARKEST, LIGHTEST = 0.09, 0.96  #: what white and black become
PALE, DIMMEST = 0.75, 0.6  #: colours that are no pale ground are lines and marks: no darker than this


def turned(colour: Any) -> Any:
    """A colour with its lightness turned round; ``"none"`` stays.

    >>> [round(part, 2) for part in turned("white")], [round(part, 2) for part in turned("black")]
    ([0.09, 0.09, 0.09, 1.0], [0.96, 0.96, 0.96, 1.0])
    """
    if isinstance(colour, str) and colour.lower() == "none":
        return colour
    *rgb, alpha = to_rgba(colour)
    hue, lightness, saturation = colorsys.rgb_to_hls(*rgb)
    light = LIGHTEST - lightness * (LIGHTEST - DARKEST)
    light = max(light, DIMMEST) if lightness < PALE else light
    return (*colorsys.hls_to_rgb(hue, light, saturation), alpha)


def in_dark(figure: Figure) -> None:
    """Turn round every colour of a figure: lines, marks, texts, patches, and the strokes round texts."""
    artists: dict[int, Artist] = {id(artist): artist for artist in figure.findobj()}
    boxes = [artist.get_bbox_patch() for artist in artists.values() if isinstance(artist, Text)]
    artists |= {id(box): box for box in boxes if box is not None}
    for artist in artists.values():
        for name in _coloured(artist):
            found = getattr(artist, f"get_{name}")()
            several = isinstance(artist, Collection)
            getattr(artist, f"set_{name}")([turned(each) for each in found] if several else turned(found))
        for effect in artist.get_path_effects() or ():
            stroke = getattr(effect, "_gc", {})
            if "foreground" in stroke:
                stroke["foreground"] = turned(stroke["foreground"])


def _coloured(artist: Artist) -> tuple[str, ...]:
    """Which properties of an artist are colours."""
    if isinstance(artist, Line2D):
        return ("markerfacecolor", "markeredgecolor", "color")
    if isinstance(artist, Text):
        return ("color",)
    if isinstance(artist, Patch | Collection):
        return ("facecolor", "edgecolor")
    return ()
