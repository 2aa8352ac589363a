"""Where a fit comes from and how it is made again: hashes of files, settings, versions, the command; what to cite."""

from __future__ import annotations

import platform
from importlib.metadata import version

from scalefit.fitting.result import Fit
from scalefit.fitting.summary import forecaster
from scalefit.reports.blocks import Block, Table, Text, brief
from scalefit.reports.citations import entries_of
from scalefit.version import __version__

LIBRARIES = ("numpy", "scipy", "pandas")


def provenance(fit: Fit, command: str) -> list[Block]:
    """The command, the hashes of the files, the settings and the versions."""
    settings = fit.settings
    rows = [
        ["forecast by", forecaster(fit)],
        ["target", fit.target],
        ["residuals", settings.residuals],
        ["loss of a residual", f"{settings.loss}, threshold {fit.delta:.4g}"],
        ["fixed", ", ".join(f"{name} = {value:.6g}" for name, value in fit.fixed.items()) or "nothing"],
        ["tied", ", ".join(f"{name} = {text}" for name, text in fit.ties.items()) or "nothing"],
        ["refits for intervals", str(len(fit.draws))],
        ["scalefit", __version__],
        ["Python", platform.python_version()],
        *([name, version(name)] for name in LIBRARIES),
    ]
    blocks: list[Block] = [Text(["Made by:"]), Text([command], "code")] if command else []
    hashes = [[brief(str(one["path"])), str(one["sha256"])] for one in fit.origin]
    blocks += [Table("Files by their SHA-256", ["file", "SHA-256"], hashes)] if hashes else []
    return [*blocks, Table("Settings and versions", ["what", "value"], rows)]


def citations(fit: Fit) -> list[Block]:
    """What to cite: the source of the law, and this program."""
    laws = [fit.law, *(other.law for other in (fit.choice.others if fit.choice else ()))]
    law = f"The law {fit.law.name}: {fit.law.source}." if fit.law.source else "The law is a formula of the user's own."
    entries = "\n\n".join(map(str, entries_of(laws)))
    return [Text([law, f"The fit and its intervals: scalefit {__version__}."]), Text(entries.splitlines(), "code")]
