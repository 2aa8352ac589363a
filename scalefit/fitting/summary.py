"""A fit as text and as HTML: the formula with its numbers, the verdict, the parameters, the doubts."""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from scalefit.fitting.result import Fit

MOST_NAMED = 5


def number(value: float) -> str:
    """A number with six significant digits.

    >>> number(0.3473105), number(12845.6)
    ('0.347311', '12845.6')
    """
    return f"{value:.6g}"


def formula_with_numbers(fit: Fit) -> str:
    """The law's formula with the fitted values in place of the parameters' names."""
    text = fit.law.equation
    for name, column in fit.law.columns.items():
        text = re.sub(rf"\b{re.escape(name)}\b", column, text) if name != column else text
    left, sign, right = text.partition("=")
    names = sorted(fit.parameters, key=len, reverse=True)
    pattern = rf"\b({'|'.join(map(re.escape, names))})\b"
    filled = re.sub(pattern, lambda match: f"{fit.parameters[match[1]]:.4g}", right if sign else text)
    return f"{left}={filled}" if sign else filled


def verdict(fit: Fit) -> str:
    """One line: status, starts, noise, rows."""
    unit = 100 if fit.settings.residuals == "log" else 1
    noise = f"{fit.sigma * unit:.3g}{' %' if unit == 100 else ''}"
    return (
        f"{fit.status}: {fit.starts.agree} of {fit.starts.count} starts agree; "
        f"noise {noise}; {fit.rows} rows of {fit.runs} runs"
    )


def trust(fit: Fit) -> str:
    """One line: where the intervals come from, and whether the user's own runs have calibrated them."""
    if fit.intervals is None:
        return f"no intervals: {fit.no_intervals or 'ask for draws'}"
    calibration = fit.intervals.calibration
    if calibration is None:
        return f"90 % intervals from {len(fit.intervals.draws)} draws, as if the law were true: not calibrated"
    rests = f"{calibration.points} predictions of {calibration.folds} fits to part of these runs"
    if not calibration.calibrated:
        return f"90 % intervals from {len(fit.intervals.draws)} draws, not calibrated: only {rests}"
    widened = f"those of predictions widened {calibration.factor:.2g} times"
    return f"90 % intervals from {len(fit.intervals.draws)} draws, {widened}: {rests}"


def doubts(fit: Fit) -> list[str]:
    """The warnings, the starts that were lost and the outliers, one line each."""
    lines = [f"! {check.text}" for check in fit.warnings]
    lines += [f"  {count} of {fit.starts.count} starts ended {name}" for name, count in fit.starts.lost.items()]
    if fit.outliers:
        lines.append(f"  {len(fit.outliers)} rows lie more than 5 sigma off:")
        lines += [f"    {o.place} ({o.run}): {o.sigmas:+.1f} sigma" for o in fit.outliers[:MOST_NAMED]]
        if len(fit.outliers) > MOST_NAMED:
            lines.append(f"    and {len(fit.outliers) - MOST_NAMED} more")
    return lines


def as_text(fit: Fit) -> str:
    """The fit for a terminal."""
    head = [
        f"{fit.law.spec}: {fit.law.equation}",
        f"  {formula_with_numbers(fit)}",
        f"  {verdict(fit)}",
        f"  {trust(fit)}",
        "",
    ]
    table = fit.table
    width = max(len(name) for name in table.index)
    body = [
        f"  {name:<{width}}  {number(row['value']):>12}  {_ends(row)}"
        f"{row['state']:<9} {row['unit']:<30} {row['meaning']}"
        for name, row in table.iterrows()
    ]
    tail = doubts(fit)
    return "\n".join([*head, *(line.rstrip() for line in body), *([""] if tail else []), *tail])


def _ends(row: pd.Series) -> str:
    if "low" not in row.index:
        return ""
    return f"{'[' + number(row['low']) + ', ' + number(row['high']) + ']':<24} "


def as_html(fit: Fit) -> str:
    """The fit for a notebook."""
    colour = "#2a7" if fit.ok else "#c52"
    rows = "".join(
        f"<tr><td><b>{escape(str(name))}</b></td><td style='text-align:right'>{number(row['value'])}</td>"
        f"<td>{escape(_ends(row))}</td><td>{escape(row['state'])}</td><td>{escape(row['unit'])}</td><td>{escape(row['meaning'])}</td></tr>"
        for name, row in fit.table.iterrows()
    )
    tail = "".join(f"<li>{escape(line.strip('! '))}</li>" for line in doubts(fit))
    return (
        f"<div><code>{escape(fit.law.equation)}</code><br><code>{escape(formula_with_numbers(fit))}</code>"
        f"<p style='color:{colour}'>{escape(verdict(fit))}</p><p>{escape(trust(fit))}</p>"
        "<table><thead><tr><th>parameter</th><th>value</th><th>90 %</th><th>state</th><th>unit</th><th>meaning</th>"
        "</tr></thead>"
        f"<tbody>{rows}</tbody></table>{f'<ul>{tail}</ul>' if tail else ''}</div>"
    )
