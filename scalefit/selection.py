"""``--law auto``: the law with the least back-test error among those that the runs identify, or an average."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from scalefit.comparison import Comparison, candidates, compare, judged, left_out
from scalefit.errors import InputError
from scalefit.fitting.fit import fit
from scalefit.fitting.result import Fit
from scalefit.laws.law import Law
from scalefit.numerics import FloatArray
from scalefit.runs import Runs, read_runs


@dataclass(frozen=True)
class Automatic:
    """A law chosen by back-test, or the weighted average of those with nearly the same error."""

    comparison: Comparison
    weights: Mapping[str, float]

    @property
    def text(self) -> str:
        """Which law was chosen and why."""
        if len(self.weights) == 1:
            return self.comparison.recommendation
        shares = " and ".join(f"{name} ({100 * weight:.0f} %)" for name, weight in self.weights.items())
        return f"{self.comparison.recommendation}; predictions average {shares}"

    def predict(self, data: Runs | pd.DataFrame | None = None, **options: Any) -> pd.DataFrame:
        """The weighted average of the chosen laws' predictions, with the widest of their intervals."""
        tables = {name: self.comparison.fits[name].predict(data, **options) for name in self.weights}
        first = next(iter(tables.values())).copy()
        target = self.comparison.best.target
        first[target] = sum(weight * tables[name][target] for name, weight in self.weights.items())
        first["low"] = np.min([table["low"] for table in tables.values()], axis=0)
        first["high"] = np.max([table["high"] for table in tables.values()], axis=0)
        if "measured" in first.columns:
            first["relative_error"] = first[target] / first["measured"] - 1
        return first


def automatic(
    runs: Runs | pd.DataFrame,
    laws: Sequence[str | Law | type[Law]] = (),
    *,
    draws: int = 0,
    seed: int = 0,
    **options: Any,
) -> Automatic:
    """Choose the law with the least back-test error among those that the runs identify, or average several.

    Laws within 10 % of the least error are averaged, with weights inverse to the squared error. Intervals are made for
    the chosen laws only. Where the runs identify one law alone and allow no back-test, that law is fitted and reported
    as untested.
    """
    logs = runs if isinstance(runs, Runs) else read_runs(runs, need=())
    names = laws or candidates(logs)
    try:
        compared = compare(logs, names, seed=seed, **options)
    except InputError:
        if len(names) != 1:
            raise
        return _untested(fit(logs, names[0], draws=draws, seed=seed, **options))
    if not laws:
        compared = replace(compared, refused={**left_out(logs), **compared.refused})
    error = compared.table["backtest_error"].loc[compared.alike].to_numpy()
    share: FloatArray = 1 / np.maximum(error, 1e-12) ** 2
    if draws:
        fits = compared.fits
        chosen = {name: fit(logs, fits[name].law, draws=draws, seed=seed, **options) for name in compared.alike}
        compared = replace(compared, fits={**fits, **chosen})
    return Automatic(compared, dict(zip(compared.alike, (share / share.sum()).tolist(), strict=True)))


def _untested(only: Fit) -> Automatic:
    """The only law that the runs identify, where they allow no back-test."""
    name = only.law.spec
    said = (
        f"{name}: the only usual law that these runs identify; they allow no back-test, so how far it can be "
        "trusted is not known: add runs at more scales (more schedules for curves)"
    )
    table = pd.DataFrame([{"law": name, **judged(only, None, None)}]).set_index("law")
    return Automatic(Comparison(table, {name: only}, {}, {}, said), {name: 1.0})
