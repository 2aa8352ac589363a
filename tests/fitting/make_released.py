"""Make the saved fits of schema 1 that later versions must still read: run once, by the version that released it.

    python tests/fitting/make_released.py

Each file holds a fit as ``Fit.save`` wrote it, under "fit", and under "predictions" what that version predicted.
"""

from __future__ import annotations

import json
from pathlib import Path

import scalefit as sf

PLACE = Path(__file__).with_name("released")
SIZE = sf.load("size_data")
FITS = {
    "chinchilla": (SIZE, "chinchilla", {"draws": 20}, {"N": [1e6, 3e6], "D": [1e7, 1e8]}),
    "kaplan-fixed": (SIZE, "kaplan", {"fix": {"N_c": 1e6}}, {"N": 1e6, "D": 1e8}),
    "tied": (SIZE, "chinchilla", {"tie": {"beta": "alpha"}, "bounds": {"E": (0.1, None)}}, {"N": 1e6, "D": 1e8}),
    "formula": (SIZE, "loss = E + A*N**-alpha + B*D**-beta", {"draws": 20}, {"N": 1e6, "D": 1e8}),
    "power": (SIZE, "power-floor:over=C", {"loss": "soft_l1", "delta": 0.01}, {"C": [1e13, 1e14]}),
    "annealing": (
        sf.load("schedules").where("run in ('d64-wsd-1600', 'd64-cosine-1600')"),
        "annealing:decay=0.99",
        {"draws": 20},
        {"schedule": "wsd:peak_lr=8e-3,steps=3200,warmup=100,decay_steps=320", "every": 400},
    ),
}


def main() -> None:
    """Write every file."""
    PLACE.mkdir(exist_ok=True)
    for name, (runs, law, options, at) in FITS.items():
        fit = sf.fit(runs, law, **options)
        place = fit.save(PLACE / f"{name}.json")
        predicted = fit.predict(**at)
        kept = {
            "fit": json.loads(place.read_text()),
            "at": at,
            "predictions": {column: predicted[column].tolist() for column in predicted.columns},
        }
        place.write_text(json.dumps(kept) + "\n")


if __name__ == "__main__":
    main()
