"""Measure how far laws can be trusted on bundled data: ``python docs/measure_laws.py [LAW ...]``.

Back-tests each law of `ON` on its data set (the smaller runs predict the larger ones, or each schedule is left out
once) and writes what it finds to docs/laws/measured.csv, from which docs/make_laws.py makes a column of the index. With
names of laws only those are measured again.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

import scalefit as sf

MEASURED = Path(__file__).parent / "laws" / "measured.csv"
COLUMNS = ["law", "data", "where", "error", "coverage", "predictions", "beyond"]
#: law -> bundled data set and the condition that selects its runs
ON = {
    "annealing": ("schedules", "d_model == 64"),
    "chinchilla": ("size_data", ""),
    "encoder-decoder": ("encoder_decoder", "d_model <= 20"),
    "farseer": ("size_data", ""),
    "kaplan": ("size_data", ""),
    "kaplan-floor": ("size_data", ""),
    "over-training": ("size_data", ""),
    "power:over=C": ("zipf_markov", ""),
    "power-floor:over=C": ("zipf_markov", ""),
    "skaling": ("size_data", ""),
}


def measured(law: str) -> dict[str, object]:
    """One row: the mean over refits of the median absolute error, and the farthest extrapolation."""
    data, where = ON[law]
    runs = sf.load(data)
    tested = sf.backtest(runs.where(where) if where else runs, law)
    row = {"law": law, "data": data, "where": where, "error": tested.error}
    row |= {"coverage": float(tested.table["inside"].mean()), "predictions": len(tested.table)}
    return row | {"beyond": float(10 ** tested.table["decades"].max())}


def main(laws: Sequence[str]) -> None:
    """Write the rows of these laws; the others stay as they are."""
    kept = pd.read_csv(MEASURED, keep_default_na=False) if MEASURED.exists() else pd.DataFrame(columns=COLUMNS)
    for law in laws or ON:
        rows = [*kept[kept["law"] != law].to_dict("records"), measured(law)]
        kept = pd.DataFrame(rows, columns=COLUMNS).sort_values("law")
        kept.to_csv(MEASURED, index=False, float_format="%.4g")
        sys.stdout.write(f"{law}: {kept.set_index('law').loc[law, 'error']:.3g}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
