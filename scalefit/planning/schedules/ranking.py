"""Which schedule ends lowest? Candidates of one budget ranked by a fitted law, with paired differences.

The difference of two schedules is computed draw by draw, so what is uncertain of both alike (the level of the loss)
cancels; it is without the noise of a run. The error that is believed of the law counts as far as it differs between the
two (``uncertainty/unlike``), unless the law was taken for true.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtr

from scalefit.answers import Shown, as_lines
from scalefit.diagnosis.checks import Check
from scalefit.errors import InputError, counted
from scalefit.fitting.result import Fit
from scalefit.notices import Line, doubted
from scalefit.numerics import FloatArray
from scalefit.planning.allocation.source import DRAWS
from scalefit.planning.allocation.spread import plain_ends
from scalefit.planning.schedules.candidates import Budget, Family, candidates_of
from scalefit.planning.schedules.choice import source_of
from scalefit.planning.schedules.final import budget_of, final_losses, refuse_other_laws, refuse_unphysical, resolution
from scalefit.runs import Runs
from scalefit.schedules import Schedule
from scalefit.uncertainty.calibration import LEVEL, Calibration, student
from scalefit.uncertainty.unlike import states_at

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_SHOWN = 16


@dataclass(frozen=True, eq=False, repr=False)
class ScheduleRanking(Shown):
    """What :func:`rank_schedules` found; ``table`` has the schedule of lowest loss first."""

    fit: Fit
    budget: Budget
    table: pd.DataFrame  #: schedule, loss, difference to the best with its interval, worse: probability
    plans: dict[str, Schedule]
    resolution: float  #: difference below which the law cannot order schedules, from its errors on the fitted runs
    shares: pd.DataFrame  #: family, share with its interval, edge, of the families that were searched
    cautions: tuple[Check, ...]
    choice: str = ""  #: why the law is this one, where curves were given instead of a fit

    @property
    def alike(self) -> pd.DataFrame:
        """The best schedule and those that cannot be told from it: by the draws, or by the law's own errors."""
        far = (self.table["difference_low"] > 0) & ~(self.table["difference"] < self.resolution)
        return self.table[~far | (self.table["difference"] == 0)]

    @property
    def ok(self) -> bool:
        """Whether the fit has no warnings and the schedules are of its recipe and within its reach."""
        return self.fit.ok and not self.cautions

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """The differences to the best schedule with their intervals, and the schedules beside them."""
        from scalefit.plots.schedule_ranking import plot_schedule_ranking

        return plot_schedule_ranking(self, ax=ax)

    @property
    def lines(self) -> list[Line]:
        """What is said, line by line."""
        law, first = self.fit.law, self.table.iloc[0]
        alike = self.alike.iloc[1:]
        head = f"{first['schedule']} ends lowest by law {law.spec}: {self.fit.target} {first['loss']:.5g}"
        lines = [head + (f"; {counted(len(alike), 'other')} cannot be told from it" if len(alike) else "")]
        rows = [
            {
                "schedule": row["schedule"],
                self.fit.target: f"{row['loss']:.5g}",
                "difference": "" if i == 0 else _difference(row),
                "probability worse": "" if i == 0 or row["worse"] != row["worse"] else f"{100 * row['worse']:.0f} %",
            }
            for i, (_, row) in enumerate(self.table.head(MOST_SHOWN).iterrows())
        ]
        lines += ["", as_lines(pd.DataFrame(rows))]
        for _, row in self.shares.iterrows():
            ends = f" [{100 * row['low']:.0f}, {100 * row['high']:.0f}]" if row["low"] == row["low"] else ""
            edge = f": the {row['edge']} share that was allowed, so no optimum" if row["edge"] else ""
            lines.append(f"  best decay of {row['family']}: {100 * row['share']:.0f}{ends} % of the run{edge}")
        lines += ["", "assumed:", f"  law: {law.equation}, fitted to {self.fit.runs} runs"]
        lines.append(f"  all: {self.budget.steps} steps, {self._shared()}")
        lines.append(f"  known of the law: {type(law).fails}")
        if self.choice:
            lines.append(f"  choice: {self.choice}")
        if self.resolution == self.resolution:
            lines.append(
                f"  back-test: refits without each run misjudge differences by up to {self.resolution:.2g} (90 %)"
            )
        if self.fit.intervals is None:
            lines.append(f"  no intervals: {self.fit.no_intervals}")
        else:
            law_too = (
                "and the law's error, as far as it differs" if _calibration(self.fit) else "as if the law were true"
            )
            lines.append(
                f"  90 % intervals of differences: paired, from the draws {law_too}, without the noise of a run"
            )
        return [*lines, *doubted(check.text for check in (*self.cautions, *self.fit.warnings))]

    def _shared(self) -> str:
        """Peak and warmup of the schedules that were ranked, which need not be those of the budget."""
        peaks = np.array([float(plan.per_step().max()) for plan in self.plans.values()])
        told = {"peak": peaks, "warmup": np.array([plan.warmup or self.budget.warmup for plan in self.plans.values()])}
        ends = {name: dict.fromkeys([f"{each.min():.4g}", f"{each.max():.4g}"]) for name, each in told.items()}
        return ", ".join(f"{name} {' to '.join(each)}" for name, each in ends.items())


def _difference(row: pd.Series) -> str:
    ends = f" [{row['difference_low']:+.4f}, {row['difference_high']:+.4f}]"
    return f"{row['difference']:+.4f}" + (ends if row["difference_low"] == row["difference_low"] else "")


def rank_schedules(
    source: Fit | Runs | pd.DataFrame | str | Path,
    schedules: str | Sequence[str] = "all",
    *,
    steps: Any = None,
    lr: Any = None,
    warmup: int | None = None,
    law: str | None = None,
    draws: int = DRAWS,
    seed: int = 0,
    **at: Any,
) -> ScheduleRanking:
    """Schedules of one budget by the final loss that a law along the run predicts, with paired 90 % intervals.

    ``source``: a fit by a law along the run, the file of one, or curves under several schedules, to which ``law`` is
    fitted first (with ``draws`` and ``seed``); without one, the law that misjudges their order least in a back-test.
    ``schedules``: texts as for ``predict``, in which ``steps``, ``peak_lr`` and ``warmup`` may be left out, decays and
    final rates may be shares (``wsd:decay=20%,final=10%``), a range of decays is searched (``wsd:decay=5%..60%``); the
    name of a CSV of (schedule, step, lr); or ``"all"``. ``steps``: optimiser steps (default: the longest fitted run);
    ``lr``, ``warmup``: the peak, and the steps of the warmup (default: those of the fitted runs); ``at``: what else the
    law reads, such as N.

    Raises InputError for a law that reads no schedule, for candidates of several lengths or peaks, and for those that
    rest at a learning rate of zero.
    """
    fit, choice = source_of(source, law, draws, seed)
    refuse_other_laws(fit)
    budget = Budget(*budget_of(fit, steps, lr, warmup))
    found, families = candidates_of([schedules] if isinstance(schedules, str) else list(schedules), budget)
    where = {name: float(value) for name, value in _numbers(at).items()}
    shares = []
    for family in families:
        row, name, best = _searched(fit, family, where)
        shares.append(row)
        found[name] = best
    refuse_unphysical(fit, found)
    losses = final_losses(fit, list(found.values()), where)
    _refuse_below_zero(fit, list(found), losses[0])
    table = _ranked(fit, list(found), losses, _end_states(list(found.values())))
    cautions = _cautions(fit, {name: found[name] for name in table["schedule"]}, _numbers(at))
    columns = ["family", "share", "low", "high", "edge"]
    return ScheduleRanking(
        fit,
        budget,
        table,
        found,
        resolution(fit),
        pd.DataFrame(shares, columns=columns),
        cautions,
        choice,
    )


def _refuse_below_zero(fit: Fit, names: list[str], losses: FloatArray) -> None:
    """Raise for the first schedule under which the law predicts a value below zero, where all fitted ones lie above."""
    below = np.flatnonzero(losses <= 0)
    if len(below) and min(fit.points.values) > 0:
        what = f"{names[below[0]]}: the law gives a {fit.target} of {losses[below[0]]:.4g}, which no training has"
        raise InputError(what, where="--schedules", todo="give a peak and a length near those of the fitted runs")


def _numbers(at: dict[str, Any]) -> dict[str, Any]:
    from scalefit.planning.allocation.targets import fixed_of

    return dict(fixed_of(at))


def _cautions(fit: Fit, plans: dict[str, Schedule], at: dict[str, Any]) -> tuple[Check, ...]:
    """One check of each kind, of the best schedule that has it, with its name and how many others have it too."""
    told: dict[str, tuple[str, Check]] = {}
    count: dict[str, int] = {}
    for name, plan in plans.items():
        for check in fit.cautions(schedule=plan, **at):
            told.setdefault(check.code, (name, check))
            count[check.code] = count.get(check.code, 0) + 1
    if len(plans) == 1:
        return tuple(check for _, check in told.values())
    more = {code: f" (and {counted(each - 1, 'other schedule')})" * (each > 1) for code, each in count.items()}
    return tuple(replace(check, text=f"{name}{more[code]}: {check.text}") for code, (name, check) in told.items())


def _few(fit: Fit) -> float:
    return fit.intervals.few if fit.intervals else 1.0


def _end_states(plans: Sequence[Schedule]) -> FloatArray:
    """The states (n, 5) in which schedules end, see ``uncertainty/unlike``."""
    ends = [states_at(plan.per_step(), plan.warmup, np.array([plan.steps])) for plan in plans]
    return np.concatenate(ends)


def _ranked(fit: Fit, names: list[str], losses: FloatArray, states: FloatArray) -> pd.DataFrame:
    """One row per schedule, the best first, each with its difference to the best."""
    order = np.argsort(losses[0], kind="stable")
    best = losses[:, order[0]]
    missed = _missed(fit, losses[0], states, int(order[0]))
    rows = []
    for place in order:
        apart = losses[:, place] - best
        low, high = _ends(fit, apart, float(missed[place]))
        made = np.isfinite(apart[1:])
        rows.append(
            {
                "schedule": names[place],
                "loss": float(losses[0, place]),
                "difference": float(apart[0]),
                "difference_low": low,
                "difference_high": high,
                "worse": _worse(fit, apart, float(missed[place])) if made.any() else np.nan,
            }
        )
    return pd.DataFrame(rows)


def _calibration(fit: Fit) -> Calibration | None:
    found = fit.intervals.calibration if fit.intervals else None
    return found if isinstance(found, Calibration) else None


def _missed(fit: Fit, losses: FloatArray, states: FloatArray, best: int) -> FloatArray:
    """The error that is believed of the law in the difference of each schedule to the best, (n,), in the loss."""
    calibration = _calibration(fit)
    if calibration is None:
        return np.zeros(len(losses))
    unit = losses[best] if fit.settings.residuals == "log" else 1.0
    return unit * calibration.missed_apart(states, best)


def _spread(fit: Fit, apart: FloatArray) -> FloatArray:
    """The standard deviations of a difference below and above it, from its draws."""
    low, high = plain_ends(apart, _few(fit))
    return np.array([apart[0] - low, high - apart[0]]) / student(LEVEL, np.inf)


def _ends(fit: Fit, apart: FloatArray, missed: float) -> tuple[float, float]:
    """The 90 % interval of a difference, from its draws and the error of the law."""
    calibration = _calibration(fit)
    if calibration is None or missed == 0.0:
        low, high = plain_ends(apart, _few(fit))
        return low, high
    below, above = calibration.half_width(_spread(fit, apart), np.full(2, missed), 0.0, LEVEL)
    return float(apart[0] - below), float(apart[0] + above)


def _worse(fit: Fit, apart: FloatArray, missed: float) -> float:
    """The probability that a difference is above 0: of the draws, or of what its interval is made of."""
    calibration = _calibration(fit)
    if calibration is None or missed == 0.0:
        return float(np.mean(apart[1:][np.isfinite(apart[1:])] > 0))
    below = _spread(fit, apart)[0]
    wide = [max(below, share * calibration.factor * missed) for share, _ in calibration.mixed]
    least = np.finfo(float).tiny
    return float(sum(p * ndtr(apart[0] / max(s, least)) for (_, p), s in zip(calibration.mixed, wide, strict=True)))


def _untold(fit: Fit, losses: FloatArray, states: FloatArray, best: int) -> NDArray[np.intp]:
    """Which schedules cannot be told from the best: by the error of the law, as far as it differs between the two."""
    missed = _missed(fit, losses[0], states, best)
    known = np.isfinite(losses[1:]).any(axis=0) & (missed > 0)
    apart = [losses[:, place] - losses[:, best] for place in np.flatnonzero(known)]
    low = [_ends(fit, each, float(far))[0] for each, far in zip(apart, missed[known], strict=True)]
    return np.union1d(np.flatnonzero(known)[np.array(low, dtype=float) <= 0], [best]).astype(np.intp)


def _searched(fit: Fit, family: Family, at: dict[str, float]) -> tuple[dict[str, Any], str, Schedule]:
    """The best share of a family with its interval, and the name and schedule of that share."""
    losses = final_losses(fit, family.members, at)
    best = np.argmin(losses, axis=1)
    low, high = plain_ends(family.shares[best].astype(float), _few(fit))
    alike = family.shares[_untold(fit, losses, _end_states(family.members), int(best[0]))]
    ends = np.clip([min(low, alike[0]), max(high, alike[-1])], family.shares[0], family.shares[-1])
    edge = "shortest" if best[0] == 0 else "longest" if best[0] == len(family.shares) - 1 else ""
    row = {"family": family.name, "share": float(family.shares[best[0]]), "low": ends[0], "high": ends[1], "edge": edge}
    return row, family.named(int(best[0])), family.members[int(best[0])]
