"""Test loss along a single epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from scalefit.laws.law import Law, Parameter, Variable


class OneEpoch(Law):
    """Test loss along one pass over the data: it falls as a power of the step, with no bend from overfitting.

        L(step) = c + a step^-b

    Its old rule for size and length at given compute, about 5 tokens per parameter, is kept for comparison in
    :func:`scalefit.planning.optimum.published.one_epoch_allocation`; ``chinchilla`` has taken its place (about 20).

    Source: arXiv:1906.06669. The source's constants were not at hand, so none are given.
    """

    name = "one-epoch"
    source = "arXiv:1906.06669"
    needs = "logged points of one run after its first transient, at a constant learning rate, each sample seen once"
    fails = "a decaying learning rate bends the curve (fit annealing); repeated data bend it upwards (data-constrained)"

    alike: ClassVar[Sequence[str]] = ("N", "batch", "peak_lr")

    step = Variable("optimiser steps", "optimiser steps done, counted after the transient", span=(1e2, 1e6))

    c = Parameter("nats/token", "irreducible loss", linear=True)
    a = Parameter("nats/token steps^b", "size of the power-law term", linear=True)
    b = Parameter("1", "exponent", high=5.0, starts=(0.02, 1.0))

    @staticmethod
    def formula(step, c, a, b):
        return c + a * step**-b
