"""Diffusion transformers against compute."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from scalefit.errors import IdentificationError
from scalefit.laws.law import Array, Law, Option, Parameter, Published, Variable

SAME_BUDGET = 1.03  #: compute within this factor is one budget
MOST = 0.01  #: an optimum may lie this much above that of a smaller budget
UNITS = {"loss": "1", "fid": "1", "N": "parameters", "D": "tokens"}


class DiffusionTransformer(Law):
    """What compute-optimal diffusion transformers reach: loss, FID, size and data as powers of compute.

        y(C) = K C^slope, y = loss, or of=fid, of=N, of=D

    Each row is the optimum of one compute budget (the lowest point of a parabola in log N). The loss is the mean
    squared error of rectified flow, not a cross-entropy, and has no floor here: it shows trends within the range.

    Source: arXiv:2410.08184. In-context conditioning; with cross-attention the slopes of size, data and loss are
    0.54, 0.46 and -0.0385. FID uses features of CLIP ViT-L/14.
    """

    name = "diffusion-transformer"
    source = "arXiv:2410.08184"
    target_unit = "1"
    needs = "the optima of three or more compute budgets over two decades"
    fails = "no irreducible term, so it must not be carried far beyond its budgets; printed coefficients are rounded"
    published = (
        Published(
            "arXiv:2410.08184, parameters (of=N)",
            {"K": 0.0009, "slope": 0.5681},
            (({"C": 1e18}, 1.51371e7), ({"C": 1.5e21}, 9.64673e8)),
            rtol=4e-6,
        ),
        Published(
            "arXiv:2410.08184, tokens (of=D)",
            {"K": 186.8535, "slope": 0.4319},
            (({"C": 1e18}, 1.11097e10), ({"C": 1.5e21}, 2.61490e11)),
            rtol=4e-6,
        ),
        Published(
            "arXiv:2410.08184, loss",
            {"K": 2.3943, "slope": -0.0273},
            (({"C": 1e18}, 0.772287), ({"C": 1.5e21}, 0.632516)),
            rtol=2e-6,
        ),
        Published(
            "arXiv:2410.08184, FID (of=fid)",
            {"K": 2.2566e6, "slope": -0.234},
            (({"C": 1e18}, 138.50), ({"C": 1.5e21}, 25.018)),
            rtol=4e-5,
        ),
    )

    of = Option("loss", "what is predicted at the optimum of a compute budget", tuple(UNITS))

    C = Variable("FLOP", "training compute, 6 N D", span=(1e17, 1e22))

    K = Parameter("target FLOP^-slope", "size", linear=True)
    slope = Parameter("1", "slope in log-log", low=-3.0, high=3.0, starts=(-0.6, 0.8))

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.target = self.options["of"]  # type: ignore[misc]
        self.target_unit = UNITS[self.target]  # type: ignore[misc]

    def check_target(self, variables: Mapping[str, Array], values: Array) -> None:
        """Refuse rows that are not optima: some stand back behind one of less compute, against the trend of them."""
        C, y = np.log(np.asarray(variables["C"], dtype=float)), np.log(values)
        better = y if np.sum((C - C.mean()) * y) < 0 else -y
        order = np.argsort(C)
        before = np.searchsorted(C[order], C - np.log(SAME_BUDGET))  # how many rows have less compute
        least = np.concatenate([[np.inf], np.minimum.accumulate(better[order])])[before]
        worse = int(np.sum(better > least + MOST))
        if worse:
            raise IdentificationError(
                f"the rows are not optima: {worse} of {len(y)} have a worse {self.target} than one of less compute",
                where=f"law {self.name}",
                todo="keep the optimum of each compute budget (the lowest point of a parabola in log N)",
            )

    @staticmethod
    def formula(C, K, slope):
        return K * C**slope
