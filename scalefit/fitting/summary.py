"""A fit as text and as HTML: the verdict, the formula with its numbers, the parameters, the intervals, the warnings."""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import gammaincinv

from scalefit.answers import grouped
from scalefit.errors import counted
from scalefit.notices import Line, Notice, doubted
from scalefit.uncertainty.calibration import Calibration, EarlierCalibration

if TYPE_CHECKING:
    from scalefit.diagnosis.checks import Outlier
    from scalefit.fitting.result import Fit

BIASED = 0.1  #: share of what laws usually miss from which on a shift of the centre is told
MOST_NAMED = 5  #: outliers that are listed
FEW_FREE = 8  #: degrees of freedom up to which the noise is called uncertain
#: the status that a failed check gives a fit, the gravest first, and what it means for the numbers
STATUSES = {
    "not-converged": ("did not converge", "the solver stopped before it reached an optimum, do not use the numbers; "),
    "starts-disagree": ("starts disagree", "a better optimum may exist; "),
    "not-identified": ("not identified", "these runs do not determine every parameter; "),
    "at-bound": ("at a bound", "a parameter ended at the end of its domain; "),
}


def number(value: float) -> str:
    """A number with six significant digits.

    >>> number(0.3473105), number(12845.6)
    ('0.347311', '12845.6')
    """
    return f"{value:.6g}"


def forecaster(fit: Fit) -> str:
    """What forecasts: the law, or the mixture of laws with their weights."""
    if fit.choice is None or not fit.choice.others:
        return f"law {fit.law.spec}"
    return "mixture of " + ", ".join(f"{name} ({100 * weight:.0f} %)" for name, weight in fit.choice.weights.items())


def equation_of(fit: Fit) -> str:
    """The law's equation; that of a formula gives the column that it was fitted to."""
    left, sign, right = fit.law.equation.partition(" = ")
    return f"{fit.target}{sign}{right}" if left == fit.law.target else fit.law.equation


def formula_with_numbers(fit: Fit) -> str:
    """The law's formula with the fitted values in place of the parameters' names."""
    text = equation_of(fit)
    for name, column in fit.law.columns.items():
        text = re.sub(rf"\b{re.escape(name)}\b", column, text) if name != column else text
    left, _, right = text.partition("=")
    names = sorted(fit.parameters, key=len, reverse=True)
    pattern = rf"\b({'|'.join(map(re.escape, names))})\b"
    filled = re.sub(pattern, lambda match: f"{fit.parameters[match[1]]:.4g}", right)
    return f"{left}={filled}"


def verdict(fit: Fit) -> str:
    """One line: the status, what it means, how many starts reached this optimum, how many warnings there are."""
    meaning = dict(STATUSES.values()).get(fit.status, "")
    starts = f"{fit.starts.agree} of {fit.starts.count} starts reached this optimum"
    count = len(fit.warnings)
    warned = f"{count} warning{'s' * (count > 1)} below" if count else "no warnings on the fit"
    return f"{fit.status}: {meaning}{starts}; {warned}"


def numbers(fit: Fit) -> list[str]:
    """The law, the same with its numbers, its options, and what it was fitted to."""
    noise = f"{100 * fit.sigma:.3g} %" if fit.settings.residuals == "log" else f"{fit.sigma:.3g}"
    rows = f"{fit.rows} rows of {fit.runs} run{'s' * (fit.runs != 1)}"
    rows += f"; noise (robust standard deviation of the residuals) {noise}"
    left = fit.rows - fit.free
    if fit.points.steps is None and left <= FEW_FREE:
        rows += f" from {left} degree{'s' * (left != 1)} of freedom: it may be off by a factor of {_off_by(left):.2g}"
    chosen = ", ".join(f"{name}={value}" for name, value in fit.law.options.items())
    assumed = [f"chosen, not fitted: {chosen} (see scalefit laws {fit.law.name})"] if chosen else []
    chosen_by = [f"chosen: {fit.choice}"] if fit.choice else []
    return [
        f"law {fit.law.spec}: {equation_of(fit)}",
        f"fitted: {formula_with_numbers(fit)}",
        *assumed,
        *chosen_by,
        rows,
    ]


def _off_by(freedom: int) -> float:
    """The factor by which a standard deviation from so many degrees of freedom is off in one of ten cases."""
    return float(np.sqrt(freedom / (2 * gammaincinv(freedom / 2, 0.1))))


def parameters(fit: Fit) -> list[list[str]]:
    """A head and one row per parameter: name, value, interval where there is one, state, unit, meaning."""
    ends = [] if fit.intervals is None else ["90 % interval"]
    found = [["parameter", "value", *ends, "state", "unit", "meaning"]]
    for name, row in fit.table.iterrows():
        interval = [f"[{number(row['low'])}, {number(row['high'])}]"] if ends else []
        found.append([str(name), number(row["value"]), *interval, row["state"], row["unit"], row["meaning"]])
    return found


def origin_of_intervals(fit: Fit) -> list[str]:
    """Where the intervals come from, and whether a back-test on the user's own runs has calibrated them."""
    side = [fit.one_sided] * bool(fit.one_sided)
    if fit.intervals is None:
        others = [] if fit.choice is None else [each for each in fit.choice.others if each.intervals is not None]
        lent = "the constants have " * bool(others)
        until = "; the forecast takes the widths of the other laws of the mixture" * bool(others)
        return [f"{lent}no intervals: {fit.no_intervals}{until}", *side]
    drawn = f"90 % intervals from {len(fit.intervals.draws)} refits to resampled runs"
    calibration = fit.intervals.calibration
    if calibration is None:
        return [f"{drawn}, as if the law were true: not calibrated by a back-test", *side]
    seen = counted(calibration.points, "held-out prediction")
    seen += f" from {counted(calibration.folds, 'refit')} to the other runs"
    if calibration.calibrated:
        return [drawn, f"{_allowed(calibration)} (back-test: {seen})", *side]
    why = f"a back-test gave only {seen}" if calibration.folds else "these runs allow no back-test"
    return [drawn, f"prediction intervals are not calibrated: {why}", *side]


def _allowed(calibration: Calibration | EarlierCalibration) -> str:
    """What a calibrated interval allows for."""
    if isinstance(calibration, EarlierCalibration):
        return f"prediction intervals are scaled by {calibration.factor:.2g}"
    allowed = "prediction intervals allow for noise, for the draws, and for what the law misses"
    size = f"{calibration.factor:.2g} times what laws usually miss"
    if calibration.misfit < 1:
        whole = dict(calibration.mixed).get(1.0, 0.0)
        size += f", with a probability of {min(max(round(100 * whole), 1), 99)} %, less otherwise"
    moved = calibration.misfit * calibration.bias
    if abs(moved) >= BIASED:
        way, side = ("up", "above") if moved > 0 else ("down", "below")
        size += f"; their centres are moved {way} by {abs(moved):.1g} times that, as held-out losses lay {side} them"
    return f"{allowed}: {size}"


def remarks(fit: Fit) -> list[Line]:
    """The warnings, one line per kind, then starts that ended elsewhere and outliers."""
    lines: list[Line] = []
    for code in dict.fromkeys(check.code for check in fit.warnings):
        first, *others = [check.text for check in fit.warnings if check.code == code]
        more = f" (and {len(others)} more of this kind: {'; '.join(others)})" if others else ""
        lines.append(Notice(f"{first}{more}"))
    if fit.starts.lost:
        ended = ", ".join(f"{count} {where}" for where, count in fit.starts.lost.items())
        lines.append(f"{sum(fit.starts.lost.values())} of {fit.starts.count} starts ended at another point: {ended}")
    if fit.outliers:
        more = f"; {len(fit.outliers) - MOST_NAMED} more" if len(fit.outliers) > MOST_NAMED else ""
        named = "; ".join(f"{_place_of(o)} by {o.sigmas:+.1f} sigma" for o in fit.outliers[:MOST_NAMED])
        lines.append(
            f"{counted(len(fit.outliers), 'row', 'lies', 'lie')} more than 5 sigma (noise) from the law: {named}{more}"
        )
    return lines


def _place_of(outlier: Outlier) -> str:
    """The file and row of an outlier, and its run where that has a name of its own."""
    return outlier.place if outlier.place.endswith(outlier.run) else f"{outlier.place} ({outlier.run})"


def lines_of_fit(fit: Fit) -> list[Line]:
    """The fit for a terminal: verdict, numbers, intervals, warnings."""
    rows = parameters(fit)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    table = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    body = [*numbers(fit), "", *table, "", *origin_of_intervals(fit), *([""] * bool(remarks(fit)))]
    tail = [f"  {line}" if isinstance(line, str) else line for line in remarks(fit)]
    return [verdict(fit), *(f"  {line}".rstrip() for line in body), *tail]


def as_text(fit: Fit) -> str:
    """The fit as text, with what is doubtful in how its logs were read."""
    return "\n".join(map(str, [*lines_of_fit(fit), *doubted(f"read: {text}" for text in grouped(fit.doubts))]))


def as_html(fit: Fit) -> str:
    """The fit for a notebook, in the same order."""
    colour = "#2a7" if fit.ok and not fit.doubts else "#c52"
    head, *rows = [[escape(cell) for cell in row] for row in parameters(fit)]
    law, fitted, *rest = map(escape, numbers(fit))
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    said = [*(line.text if isinstance(line, Notice) else line for line in remarks(fit)), *grouped(fit.doubts)]
    tail = "".join(f"<li>{escape(line)}</li>" for line in said)
    return (
        f"<div><p style='color:{colour}'><b>{escape(verdict(fit))}</b></p>"
        f"<p><code>{law}</code><br><code>{fitted}</code><br>{'<br>'.join(rest)}</p>"
        f"<table><thead><tr>{''.join(f'<th>{cell}</th>' for cell in head)}</tr></thead><tbody>{body}</tbody></table>"
        f"<p>{'<br>'.join(map(escape, origin_of_intervals(fit)))}</p>{f'<ul>{tail}</ul>' if tail else ''}</div>"
    )
