"""The smoothly broken power law."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations, product

import numpy as np

from scalefit.errors import IdentificationError
from scalefit.laws.law import Array, Law, Option, Parameter, Published, Variable

FLOORS = (0.0, 0.5, 0.9, 0.99)  #: floors that guesses try, as shares of the lowest value
WIDTHS = (0.05, 0.2, 0.6, 1.5)  #: widths of breaks that guesses try
PLACES = {1: 24, 2: 20, 3: 13, 4: 9}  #: places of breaks that guesses try, by how many breaks there are
GUESSES = 48  #: how many of them are handed on
MOST_ROWS = 400  #: rows that suffice for guesses
PER_BREAK = 3  #: distinct values of x that a break needs, beside two for each straight piece


class Broken(Law):
    """A power law with smooth breaks: straight pieces in log-log, joined at scales d_i.

        y(x) = a + b x^-c0 prod_i (1 + (x/d_i)^(1/f_i))^(-c_i f_i)

    Each of the ``breaks`` i = 1 .. n lies at x = d_i, changes the slope by c_i (negative: y falls more slowly or rises
    again) and is the sharper the smaller f_i. x is any one column: ``broken:over=examples,breaks=2``.

    Source: arXiv:2210.14891 (form as in its code).
    """

    name = "broken"
    source = "arXiv:2210.14891"
    needs = "points on both sides of each break: past its start, or its c_i and f_i are guesses"
    fails = (
        "more breaks than the data show overfit; a break beyond the data cannot be foreseen; with three breaks or more "
        "several curves fit almost equally: look whether the starts agree, and give more of them (32)"
    )
    published = (
        Published(
            "arXiv:2210.14891, 4-digit addition, refitted from the released points",
            {"a": 0.41389, "b": 2.27727, "c0": 0.055077, "c1": 5.66291, "d1": 612.584, "f1": 0.059193},
        ),
        Published(
            "arXiv:2210.14891, figure 1, three breaks",
            {
                "a": 1e-3,
                "b": 4.66e3,
                "c0": 0.05,
                "c1": 0.49,
                "d1": 3e6,
                "f1": 1.1,
                "c2": -0.811,
                "d2": 1e14,
                "f2": 1.425,
                "c3": 2.1,
                "d3": 2e20,
                "f3": 0.05,
            },
            (({"x": 1e3}, 3297.802), ({"x": 1e10}, 27.72211), ({"x": 1e18}, 2.328863)),
        ),
    )

    breaks = Option(1, "how many breaks")
    over = Option("", "the column that is x: N, D, C, step, examples ...")

    x = Variable("any", "the scale that varies: parameters, tokens, compute, steps, examples", span=(1e2, 1e7))

    a = Parameter("as the target", "floor", linear=True)
    b = Parameter("as the target, times x^c0", "size of the first piece", linear=True)
    c0 = Parameter("1", "slope of the first piece", low=-5.0, high=10.0, starts=(-0.2, 1.2))

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        """Slope change, place and width of each break after those of the first piece."""
        found = dict(super().parameters)
        for i in range(1, self.options["breaks"] + 1):
            found[f"c{i}"] = Parameter("1", f"change of slope at break {i}", low=-20.0, high=20.0, starts=(-1.0, 5.0))
            found[f"d{i}"] = Parameter("as x", f"place of break {i}", starts="x")
            found[f"f{i}"] = Parameter("1", f"width of break {i}", high=20.0, starts=(0.03, 2.0))
        return found

    @property
    def columns(self) -> dict[str, str]:
        """x is read from the column that the option ``over`` names."""
        return {"x": self.options["over"] or "x"}

    def check(self, variables: Mapping[str, Array]) -> None:
        """Refuse fewer places than the pieces and breaks need."""
        places, needed = len(np.unique(variables["x"])), 2 + PER_BREAK * self.options["breaks"]
        if places < needed:
            raise IdentificationError(
                f"{places} different x for {self.options['breaks']} breaks",
                where=f"law {self.name}",
                todo=f"add points at other x ({needed} at least), or ask for fewer breaks",
            )

    def guesses(self, variables: Mapping[str, Array], values: Array) -> Mapping[str, Array]:
        """The best of a grid of floors, places and widths: for each the other parameters are a line in log y."""
        count, thin = self.options["breaks"], slice(None, None, max(1, len(values) // MOST_ROWS))
        x, y = np.asarray(variables["x"], dtype=float)[thin], np.asarray(values, dtype=float)[thin]
        if count not in PLACES or y.min() <= 0:
            return {}
        found = [_lines(np.log(x), y, floor * y.min(), count) for floor in FLOORS]
        misfit, *columns = (np.concatenate(parts) for parts in zip(*found, strict=True))
        best = np.argsort(misfit, kind="stable")[:GUESSES]
        names = ["a", "b", "c0", *(f"{letter}{i}" for letter in "cdf" for i in range(1, count + 1))]
        return {name: values[best] for name, values in zip(names, columns, strict=True)}

    def arranged(self, parameters: Mapping[str, float]) -> Mapping[str, float]:
        """Breaks numbered in the order of their places."""
        count = self.options["breaks"]
        order = sorted(range(1, count + 1), key=lambda i: parameters[f"d{i}"])
        moved = {f"{letter}{new}": parameters[f"{letter}{old}"] for new, old in enumerate(order, 1) for letter in "cdf"}
        return {**parameters, **moved}

    @staticmethod
    def formula(x, a, b, c0, **breaks):
        log_x = np.log(x)
        log_y = -c0 * log_x
        for i in range(1, len(breaks) // 3 + 1):
            c, d, f = breaks[f"c{i}"], breaks[f"d{i}"], breaks[f"f{i}"]
            log_y = log_y - c * f * _softplus((log_x - np.log(d)) / f)
        return a + b * np.exp(log_y)


def _softplus(z: Array) -> Array:
    """log(1 + e^z) without overflow, also of complex steps."""
    up = np.real(z) > 0
    return np.where(up, z, 0.0) + np.log1p(np.exp(np.where(up, -z, z)))


def _lines(log_x: Array, y: Array, floor: float, count: int) -> list[Array]:
    """Lines in log(y - floor) for each choice of places, at its best widths: misfit, a, b, c0, c_i, d_i, f_i."""
    log_y, weight = np.log(np.maximum(y - floor, 1e-12 * y)), ((y - floor) / y) ** 2
    low, high = log_x.min(), log_x.max()
    places = low + (high - low) * (np.arange(PLACES[count]) + 0.5) / PLACES[count]
    bends = [-width * _softplus((log_x - place) / width) for place in places for width in WIDTHS]
    base = np.stack([np.ones_like(log_x), -log_x, *bends])
    gram, right = (base * weight) @ base.T, (base * weight) @ log_y
    gram += 1e-10 * np.diag(np.diag(gram))
    at = np.array(list(combinations(range(len(places)), count)))
    widths = np.array(list(product(range(len(WIDTHS)), repeat=count)))
    breaks = (at[:, None] * len(WIDTHS) + widths).reshape(-1, count)
    used = np.concatenate([np.broadcast_to([0, 1], (len(breaks), 2)), breaks + 2], axis=1)
    line = np.linalg.solve(gram[used[:, :, None], used[:, None, :]], right[used][..., None])[..., 0]
    misfit = weight @ log_y**2 - np.sum(line * right[used], axis=1)
    best = misfit.reshape(len(at), -1).argmin(axis=1) + np.arange(len(at)) * len(widths)
    d, f = np.exp(places)[breaks // len(WIDTHS)], np.array(WIDTHS)[breaks % len(WIDTHS)]
    a, b = np.full(len(breaks), floor), np.exp(np.minimum(line[:, 0], 700))
    return [column[best] for column in (misfit, a, b, *line[:, 1:].T, *d.T, *f.T)]
