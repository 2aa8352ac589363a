"""Run logs as tidy tables: readers for the formats in `formats`, one glossary of columns, notes on what was
done."""

from __future__ import annotations

from scalefit.runs.columns import COLUMNS, Column
from scalefit.runs.inspect import Report, inspect
from scalefit.runs.reading.read import read_runs
from scalefit.runs.table import Note, Origin, Runs
from scalefit.runs.trajectory import Trajectory

__all__ = ["COLUMNS", "Column", "Note", "Origin", "Report", "Runs", "Trajectory", "inspect", "read_runs"]
