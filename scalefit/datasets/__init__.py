"""The bundled data sets: loss curves and tables of runs made by scalefit's own trainer."""

from __future__ import annotations

from scalefit.datasets.registry import load, names

__all__ = ["load", "names"]
