"""The sharpness at which an optimiser stops converging, and the shortest warmup that stays below it."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from scalefit.errors import InputError

FP16_LARGEST = 65_504.0
LOGIT_LIMIT = 1e4  #: every run above it diverged in arXiv:2309.14322
EPSILON_FACTOR = 10.0  #: a gradient RMS below this many epsilons is no longer normalised


def sharpness_threshold(rule: str, beta: float = 0.9) -> float:
    """The largest stable product of learning rate and sharpness.

    =============  ======================  =======================================  =====================
    rule           sharpness of            threshold                                source
    =============  ======================  =======================================  =====================
    gd             √P H √P                 2                                        quadratic model
    heavy-ball     √P H √P                 2 (1 + beta), buffer = beta buffer + g   quadratic model
    adam           preconditioned Hessian  2 (1 + beta)/(1 - beta), 38 at beta .9   arXiv:2207.14484
    =============  ======================  =======================================  =====================

    H is the Hessian, P the factors by which a parametrisation multiplies the learning rate of each weight: one
    everywhere in the standard and the NTK parametrisation, not in mup. The eigenvalues of H alone say nothing of
    stability where P is not one, nor under Adam, where they keep growing. Raises InputError for an unknown rule, or
    beta outside [0, 1).

    >>> sharpness_threshold("gd"), sharpness_threshold("heavy-ball"), round(sharpness_threshold("adam"), 9)
    (2.0, 3.8, 38.0)
    """
    if not 0 <= beta < 1:
        raise InputError(f"momentum {beta:g} is not in [0, 1)", todo="give the optimiser's first beta")
    rules = {"gd": 2.0, "heavy-ball": 2 * (1 + beta), "adam": 2 * (1 + beta) / (1 - beta)}
    if rule not in rules:
        raise InputError(f'no threshold "{rule}"', todo=f"choose one of {', '.join(rules)}")
    return rules[rule]


def shortest_warmup(
    step: ArrayLike, sharpness: ArrayLike, peak_lr: float, rule: str = "gd", beta: float = 0.9
) -> float:
    """Steps after which the peak learning rate is below its threshold for good; NaN where it never is.

    ``step``, ``sharpness``: (n,), measured along a run at a small learning rate. The learning rate may be raised as
    the sharpness falls; it reaches its peak when lr * sharpness < threshold from there on.

    >>> shortest_warmup([0, 10, 20, 30], [900.0, 400.0, 150.0, 120.0], peak_lr=0.01)
    20.0
    """
    steps, values = np.asarray(step, dtype=float), np.asarray(sharpness, dtype=float)
    order = np.argsort(steps, kind="stable")
    steps, values = steps[order], values[order]
    above = np.flatnonzero(~(values * peak_lr < sharpness_threshold(rule, beta)))
    if not len(above):
        return float(steps[0])
    return float(steps[above[-1] + 1]) if above[-1] + 1 < len(steps) else float("nan")
