"""The law in the shape of a model: width and depth beside size and data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from scalefit.laws.identification import refuse_tied
from scalefit.laws.law import Array, Law, Option, Parameter, Published, Variable

NAMES = ("w", "d", "N", "D")  #: width, depth, size, data: the order of the source's lists


def from_source(exponents: Sequence[float], logarithms: Sequence[float], log_E: float) -> dict[str, float]:
    """The constants of this law from the source's exponents and logarithms of sizes.

    >>> from_source([0.25, 0.39, 0.5, 0.48], [1.5, -0.1, 8.0, 10.1], 0.4)["alpha_d"]
    0.39
    """
    sizes = {f"A_{name}": math.exp(value) for name, value in zip(NAMES, logarithms, strict=True)}
    powers = {f"alpha_{name}": value for name, value in zip(NAMES, exponents, strict=True)}
    return {"E": math.exp(log_E), **sizes, **powers}


class WidthDepth(Law):
    """Final loss in width, depth, size and data: models of one size and unlike shapes differ.

        L = E + A_w d_model^-alpha_w + A_d n_layer^-alpha_d + A_N N^-alpha_N + A_D D^-alpha_D

    ``size=no`` leaves out the term of N, which follows from width and depth where the rest of the shape does: with the
    term, three exponents describe what two variables decide, so it takes models of many shapes. Which shape is best
    for N = 12 n_layer d_model^2 parameters is :func:`~scalefit.planning.optimum.best_shape.best_shape`.

    Source: arXiv:2502.06857; the constants are those of the authors' repository, fitted with its Huber thresholds.
    """

    name = "width-depth"
    source = "arXiv:2502.06857"
    needs = "runs of ten or more shapes (columns d_model and n_layer), wide and deep ones of about one N, at several D"
    fails = (
        "width, depth and size together are close to dependent: exponents differ by a third between fits that are "
        "alike; steps cost more time in a deep model, which is not in the law"
    )
    published = (
        Published(
            "arXiv:2502.06857, constant rate, delta 1e-4",
            from_source(
                [0.2446914313, 0.3871516764, 0.5000838843, 0.4761055541],
                [1.4520106404, -0.0781020281, 7.9700333376, 10.0594263846],
                0.39245797,
            ),
        ),
        Published(
            "arXiv:2502.06857, ends of cooldowns, delta 1e-3",
            from_source(
                [0.3540096969, 0.464087269, 0.3941362557, 0.5364845902],
                [1.5262220266, -0.1780173948, 6.3319550722, 11.5393125864],
                0.58749132,
            ),
        ),
        Published(
            "arXiv:2502.06857, ends of cooldowns, delta 1e-4",
            from_source(
                [0.30146699, 0.3655461733, 0.5055007692, 0.4670177667],
                [1.6375654653, -0.0254911443, 7.8653383939, 9.9838221358],
                0.41951795,
            ),
        ),
    )

    size = Option("yes", "whether the number of parameters has a term of its own", ("yes", "no"))

    d_model = Variable("1", "width of the residual stream", span=(128.0, 8192.0))
    n_layer = Variable("1", "number of layers", span=(2.0, 128.0))
    N = Variable("parameters", "model size, by the convention of the runs", span=(1e7, 1e10))
    D = Variable("tokens", "training tokens", span=(1e9, 1e12))

    E = Parameter("nats/token", "irreducible loss", linear=True)
    A_w = Parameter("nats/token", "size of the width term", linear=True)
    A_d = Parameter("nats/token", "size of the depth term", linear=True)
    A_N = Parameter("nats/token parameters^alpha_N", "size of the model-size term", linear=True)
    A_D = Parameter("nats/token tokens^alpha_D", "size of the data term", linear=True)
    alpha_w = Parameter("1", "exponent of width", high=5.0, starts=(0.1, 1.2))
    alpha_d = Parameter("1", "exponent of depth", high=5.0, starts=(0.1, 1.2))
    alpha_N = Parameter("1", "exponent of model size", high=5.0, starts=(0.1, 0.8))
    alpha_D = Parameter("1", "exponent of data", high=5.0, starts=(0.1, 0.8))

    @property
    def _sized(self) -> bool:
        return bool(self.options["size"] == "yes")

    @property
    def variables(self) -> Mapping[str, Variable]:
        """Width, depth and data, and N where it has a term."""
        return {name: one for name, one in super().variables.items() if name != "N" or self._sized}

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        """E, and a size and an exponent for each variable."""
        return {name: one for name, one in super().parameters.items() if not name.endswith("_N") or self._sized}

    def check(self, variables: Mapping[str, Array]) -> None:
        """Refuse depths that follow the width, and data that follow either."""
        todo = "add a model of another ratio of width to depth"
        refuse_tied(self.name, variables, "d_model", "n_layer", todo, additive=True)
        for name in (name for name in ("d_model", "N") if name in variables):
            todo = "add a run with another ratio of tokens to size"
            refuse_tied(self.name, variables, name, "D", todo, additive=True)

    @staticmethod
    def formula(d_model, n_layer, D, E, A_w, A_d, A_D, alpha_w, alpha_d, alpha_D, N=1.0, A_N=0.0, alpha_N=0.0):
        shape = A_w * d_model**-alpha_w + A_d * n_layer**-alpha_d
        return E + shape + A_N * N**-alpha_N + A_D * D**-alpha_D
