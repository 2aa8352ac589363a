"""Run logs as two tidy tables with canonical column names, and a note for everything that was guessed or changed."""

from __future__ import annotations

from scalefit.runs.columns import COLUMNS, Column
from scalefit.runs.inspect import Report, inspect
from scalefit.runs.reading.read import read_runs, runs_of
from scalefit.runs.table import Note, Origin, Runs
from scalefit.runs.trajectory import Trajectory

__all__ = ["COLUMNS", "Column", "Note", "Origin", "Report", "Runs", "Trajectory", "inspect", "read_runs", "runs_of"]
