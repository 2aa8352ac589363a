"""Room on axes: where nothing is drawn yet, for a legend or for the text at a mark."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.path import Path
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox

Corner = Literal["upper right", "lower left", "upper left", "lower right"]
Side = tuple[float, float, Literal["left", "right"], Literal["top", "bottom"]]

CORNERS: tuple[Corner, ...] = ("upper right", "lower left", "upper left", "lower right")
#: offsets in points from a mark to its text, and how the text is aligned there, the most wanted first
SIDES: tuple[Side, ...] = (
    (4, -9, "right", "top"),
    (-9, -13, "right", "top"),
    (-4, 9, "left", "bottom"),
    (4, 9, "right", "bottom"),
    (-4, -9, "left", "top"),
    (-9, 13, "right", "bottom"),
    (9, -13, "left", "top"),
    (-9, 0, "right", "bottom"),
    (11, 5, "left", "top"),
    (-11, 5, "right", "top"),
    (-6, -34, "right", "top"),
    (-6, -52, "right", "top"),
)
MARK = "mark"  #: the gid of texts that may be moved to another side of their mark
GAP = 0.025  #: of the axes' height and width, around the legend
BAR = 60  #: places of an error bar, which no text may cover
LIFTS = 3  #: times that texts are lifted at most
LEAST = 0.55  #: the data keep at least this share of the height


def best_corner(ax: Axes, legend: Legend) -> tuple[Corner, float]:
    """The corner in which a legend costs the data least, and the share of the height that the data keep (1: all)."""
    box = _box(ax, legend)
    width, height = box.width + 2 * GAP, box.height + 2 * GAP
    taken = _taken(ax, ax.texts)
    shares = [_share(taken, corner, width, height) for corner in CORNERS]
    best = int(np.argmax(shares))
    return CORNERS[best], shares[best]


def grow(ax: Axes, corner: str, share: float) -> None:
    """Widen the y limits so that what was drawn keeps a share of the height, away from the corner."""
    transform = ax.yaxis.get_transform()
    low, high = transform.transform(np.array(ax.get_ylim()))
    extra = (high - low) * (1 / share - 1)
    limits = (low, high + extra) if "upper" in corner else (low - extra, high)
    if extra > 0:
        ax.set_ylim(*transform.inverted().transform(np.array(limits)))


def settle_texts(ax: Axes, others: Sequence[Text] = ()) -> None:
    """Move each text at a mark to the side where it covers least, and lower the y axis where it hangs out."""
    marks = [text for text in ax.texts if isinstance(text, Annotation) and text.get_gid() == MARK]
    for number, text in enumerate(marks):
        taken = _taken(ax)
        texts = [_box(ax, other) for other in (*others, *marks[:number])]
        covered = [_covered(_put(ax, text, side), taken, texts) for side in SIDES]
        _put(ax, text, SIDES[int(np.argmin(covered))])
        _lift(ax, text)


def lift_texts(ax: Axes) -> None:
    """Lower the y axis until no text at a mark hangs out of it: where one is lifted, the others have moved."""
    for _ in range(LIFTS):
        for text in ax.texts:
            if isinstance(text, Annotation) and text.get_gid() == MARK:
                _lift(ax, text)


def _put(ax: Axes, text: Annotation, side: Side) -> Bbox:
    """Put a text on one side of its mark; returns its place as fractions of the axes."""
    text.set(position=side[:2], ha=side[2], va=side[3])
    return _box(ax, text)


def _box(ax: Axes, thing: Text | Legend) -> Bbox:
    """The extent of a text or legend as fractions of the axes."""
    return thing.get_window_extent().transformed(ax.transAxes.inverted())


def _covered(box: Bbox, taken: np.ndarray, texts: Sequence[Bbox]) -> float:
    """How many places a text covers; another text, or what is out of the sides or the top of the axes, counts most."""
    low, high = np.array([box.x0, box.y0]) - GAP / 3, np.array([box.x1, box.y1]) + GAP / 3
    inside = (taken >= low).all(axis=1) & (taken <= high).all(axis=1)
    outside = bool(box.x0 < 0 or box.x1 > 1 or box.y1 > 1)
    return float(inside.sum()) + (len(taken) + 1) * (outside + box.count_overlaps(texts))


def _lift(ax: Axes, text: Annotation) -> None:
    bottom = float(_box(ax, text).y0)
    anchor = float((ax.transData + ax.transAxes.inverted()).transform(text.xy)[1])
    hang = anchor - bottom + GAP
    if bottom < GAP and hang < LEAST:
        grow(ax, "lower", 1 / (1 + (hang - anchor) / (1 - hang)))


def _taken(ax: Axes, texts: Sequence[Text] = ()) -> np.ndarray:
    """(n, 2) places of all that is drawn at heights of the data, and of some texts, as fractions of the axes."""
    found = [np.empty((0, 2))]
    to_axes = ax.transAxes.inverted()
    for line in ax.lines:
        vertices = np.asarray(line.get_xydata(), dtype=np.float64)
        if len(vertices) and line.get_transform().contains_branch_seperately(ax.transData)[1]:  # across, too
            found.append(to_axes.transform(_dense(line.get_transform().transform(vertices), line)))
    for bars in (each for each in ax.collections if isinstance(each, LineCollection)):  # error bars
        for segment in bars.get_segments():
            if len(segment) > 1:
                path = Path(bars.get_transform().transform(segment)).interpolated(BAR)
                found.append(to_axes.transform(path.vertices))
    for text in texts:
        (left, low), (right, high) = _box(ax, text).get_points()
        found.append(np.array([[x, y] for x in np.linspace(left, right, 5) for y in (low, high)]))
    points = np.concatenate(found)
    inside = np.isfinite(points).all(axis=1) & (points > -0.01).all(axis=1) & (points < 1.01).all(axis=1)
    return points[inside]


def _dense(points: np.ndarray, line: Line2D) -> np.ndarray:
    """The vertices of a line with places between them; markers alone stay as they are."""
    if line.get_linestyle() == "None" or len(points) < 2 or len(points) > 400:
        return points
    return np.asarray(Path(points).interpolated(max(2, 200 // len(points))).vertices)


def _share(taken: np.ndarray, corner: str, width: float, height: float) -> float:
    """The share of the height that the data may keep if a legend goes into a corner; 1 where it is free."""
    beside = taken[:, 0] > 1 - width if "right" in corner else taken[:, 0] < width
    heights = taken[beside, 1] if "upper" in corner else 1 - taken[beside, 1]
    tallest = float(heights.max(initial=0.0))
    return 1.0 if tallest <= 1 - height else max(0.0, 1 - height) / tallest
