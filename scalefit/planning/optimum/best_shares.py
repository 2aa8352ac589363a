"""The mixture of data sources of lowest loss at a size and a length, under the law ``mixture-scale``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.optimize import minimize

from scalefit.laws.law import Law
from scalefit.numerics import FloatArray

STARTS = 8  #: mixtures from which the search begins besides the even one


def best_shares(law: Law, constants: Sequence[Mapping[str, float]], N: float, D: float) -> dict[str, float]:
    """The share of each source, by its column, with the lowest mean loss over some validation sets at N and D.

    ``law`` is a ``mixture-scale`` with its sources, ``constants`` one set of them for each validation set. Under
    ``form=additive`` the answer is the same at every N and D. Source of the law: arXiv:2507.09404.

    >>> from scalefit.laws import find_law
    >>> law = find_law("mixture-scale:over=web+code")
    >>> own = {"E": 1.5, "T": 0.5, "A": 400, "B": 400, "alpha": 0.34, "beta": 0.28, "gamma1": 0.5, "gamma2": 0.5}
    >>> {name: round(share, 3) for name, share in best_shares(law, [{**own, "c2": 2.0}], N=1e9, D=2e10).items()}
    {'web': 0.2, 'code': 0.8}
    """
    names = [name for name in law.variables if name not in ("N", "D")]

    def loss(shares: FloatArray) -> float:
        at = {"N": N, "D": D, **dict(zip(names, np.clip(shares, 0, 1), strict=True))}
        return float(np.mean([law.evaluate(at, each) for each in constants]))

    rng = np.random.default_rng(0)
    starts = [np.full(len(names), 1 / len(names)), *rng.dirichlet(np.ones(len(names)), STARTS)]
    whole = {"type": "eq", "fun": lambda shares: shares.sum() - 1}
    options = {"maxiter": 500, "ftol": 1e-14}
    found = [
        minimize(loss, start, method="SLSQP", bounds=[(0, 1)] * len(names), constraints=whole, options=options)
        for start in starts
    ]
    best = np.clip(min(found, key=lambda one: float(one.fun)).x, 0, 1)
    return {law.columns[name]: float(share) for name, share in zip(names, best / best.sum(), strict=True)}
