"""Recipes compared, as an answer: the losses, each pair, and what other assumptions say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scalefit.answers import Shown, as_lines, far_out, place
from scalefit.diagnosis.checks import Check
from scalefit.notices import Line, doubted
from scalefit.planning.recipes.structure import STRUCTURES, Joint

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FEW_CROSS = 0.05  #: share of the draws below which a crossing is not mentioned

ONE_CURVE = (
    "the runs tell recipes apart at the target, though they are too few for the criterion, which prefers one curve"
)


@dataclass(frozen=True, eq=False, repr=False)
class RecipeComparison(Shown):
    """What :func:`compare_recipes` found."""

    joint: Joint  #: the chosen joint fit
    by: str
    at: dict[str, float]  #: the target
    rows: pd.DataFrame  #: the runs: columns of the law, loss, and recipe
    table: pd.DataFrame  #: one row per recipe, the best first: loss at the target with its prediction interval
    pairs: pd.DataFrame  #: each recipe against the reference: difference, gain, chance, crossing, with intervals
    reference: str
    sensitivity: pd.DataFrame  #: the same difference and gain under other structures and pinned floors
    alike: bool  #: whether one curve for all describes the runs as well, and no interval of a difference excludes 0
    cautions: tuple[Check, ...]
    left_out: str = ""  #: how many runs were not compared, and what they lack

    @property
    def ok(self) -> bool:
        """Whether the fit has no warnings and the target is within its reach."""
        return self.joint.fit.ok and not self.cautions

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """The curves of the recipes with their runs, and the target."""
        from scalefit.plots.recipes import plot_recipes

        return plot_recipes(self, ax=ax)

    @property
    def lines(self) -> list[Line]:
        """What is said, line by line."""
        lines = ["no difference is found: one curve for all recipes describes these runs as well"] * self.alike
        for _, row in self.pairs.iterrows():
            lines += self._pair(row)
        if not self.alike and self.sensitivity["structure"].iloc[0] == STRUCTURES[0].text:
            lines.append(ONE_CURVE)
        shown = [
            {
                self.by: row["recipe"],
                "loss": _with(row, "loss", "", ".4f"),
                "target": far_out(row["decades_beyond"], row["side"]),
            }
            for _, row in self.table.iterrows()
        ]
        lines += ["", f"at {place(self.at)}, by {self.joint.structure.text}:", as_lines(pd.DataFrame(shown))]
        if len(self.sensitivity) > 1:
            lines += ["", "under other assumptions:", as_lines(self._assumed())]
        fit = self.joint.fit
        lines += ["", "assumed:", f"  {fit.law.equation}, fitted to {fit.rows} runs; {self._choice}"]
        lines.append("  gain: the factor of compute that the other recipe needs for the same loss, at the same D/N"
                     if self.joint.kind == "ND" else
                     "  gain: the factor of compute that the other recipe needs for the same loss")  # fmt: skip
        lines.append("  90 % intervals: from the draws; of the losses: prediction intervals")
        lines += [f"  {self.left_out}"] if self.left_out else []
        return [*lines, *doubted(check.text for check in (*self.cautions, *fit.warnings))]

    @property
    def _choice(self) -> str:
        """How the structure was chosen; one curve for all shows no difference that could be given."""
        among = " among those in which recipes can differ" * (
            self.sensitivity["structure"].iloc[0] == STRUCTURES[0].text
        )
        return f"chosen by the Bayesian criterion{among}"

    def _pair(self, row: pd.Series) -> list[str]:
        worse = row["difference"] < 0
        share = 1 - row["chance"] if worse else row["chance"]
        chance = "" if share != share else f" in {100 * share:.0f} % of the draws"
        gain = f"needs {_with(row, 'gain', 'gain_', '.3g')} times the compute for the same loss"
        if np.isinf(row["gain"]):
            gain = "never reaches the same loss"
        head = f"{self.reference} is {'worse' if worse else 'better'} than {row['recipe']}{chance}"
        lines = [f"{head}: {row['recipe']} {gain}"]
        lines.append(f"  difference of the losses {_with(row, 'difference', 'difference_', '+.4f')}")
        if row["crossing"] == row["crossing"]:
            N, D = self.at.get("N"), self.at.get("D")
            ratio = f", at {D / N:.3g} tokens per parameter" if N and D else ""
            lines.append(f"  the curves cross at {_with(row, 'crossing', 'crossing_', '.3g')} FLOP{ratio}")
        elif row["cross_share"] > FEW_CROSS:
            lines.append(f"  the curves cross in {100 * row['cross_share']:.0f} % of the draws")
        return lines

    def _assumed(self) -> pd.DataFrame:
        return pd.DataFrame(
            [
                {
                    "structure": row["structure"],
                    "recipe": row["recipe"],
                    "criterion": "" if row["criterion"] != row["criterion"] else f"{row['criterion']:+.1f}",
                    "difference": f"{row['difference']:+.4f}",
                    "gain": "never" if np.isinf(row["gain"]) else f"{row['gain']:.3g}",
                }
                for _, row in self.sensitivity.iterrows()
            ]
        )


def _with(row: pd.Series, name: str, prefix: str, form: str) -> str:
    """A value of a row with its interval."""
    low, high = row.get(f"{prefix}low", np.nan), row.get(f"{prefix}high", np.nan)
    text = format(row[name], form)
    return f"{text} [{format(low, form)}, {format(high, form)}]".replace("inf", "never") if low == low else text
