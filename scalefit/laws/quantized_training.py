"""Training with quantised weights or activations: size, data and the size of a group."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from scalefit.errors import InputError
from scalefit.laws.identification import refuse_tied
from scalefit.laws.law import Array, Law, Parameter, Variable


class QuantizedTraining(Law):
    """Final loss of models trained with quantised numbers in size, data and the size of the groups that share a scale.

        L(N, D, G) = E + A N^-alpha + B D^-beta + k N^-gamma_N D^gamma_D (log2 G)^gamma_G

    G is the column ``group_size``: how many numbers share one scale. The last term is the error of quantisation: it
    falls with size, and rises with the tokens and with coarser groups. One fit for each number of bits; for several
    numbers of bits at one group size see ``precision``.

    Source: arXiv:2505.14302. The error was held against two accounts of it by others; no constants are given, since
    none was found to check.
    """

    name = "quantized-training"
    source = "arXiv:2505.14302"
    needs = "runs of one number of bits at several N and D, each at three or more group sizes (column group_size)"
    fails = "numbers of bits cannot be mixed; without unquantised runs gamma_D and beta trade against one another"

    N = Variable("parameters", "model size, by the convention of the runs", span=(1e7, 1e10))
    D = Variable("tokens", "training tokens", span=(1e9, 1e11))
    group_size = Variable("1", "how many numbers share one scale", span=(8.0, 1024.0))

    E = Parameter("nats/token", "irreducible loss", linear=True)
    A = Parameter("nats/token parameters^alpha", "size of the model-size term", linear=True)
    B = Parameter("nats/token tokens^beta", "size of the data term", linear=True)
    k = Parameter("nats/token parameters^gamma_N tokens^-gamma_D", "size of the error of quantisation", linear=True)
    alpha = Parameter("1", "exponent of model size", high=5.0, starts=(0.1, 0.8))
    beta = Parameter("1", "exponent of data", high=5.0, starts=(0.1, 0.8))
    gamma_N = Parameter("1", "exponent of size in the error of quantisation", high=5.0, starts=(0.1, 0.6))
    gamma_D = Parameter("1", "exponent of data in the error of quantisation", high=5.0, starts=(0.02, 0.3))
    gamma_G = Parameter("1", "exponent of the logarithm of the group size", high=5.0, starts=(0.3, 2.0))

    def check(self, variables: Mapping[str, Array]) -> None:
        """Refuse groups of a single number, and sizes that move with the data."""
        if np.min(variables["group_size"]) < 2:
            worst = f"a group size of {np.min(variables['group_size']):g}"
            todo = "write how many numbers share one scale: for one scale a row, its length"
            raise InputError(f"{worst} is no group", where=f"law {self.name}", todo=todo)
        refuse_tied(self.name, variables, "N", "D", "add a run with another ratio of tokens to size", additive=True)

    @staticmethod
    def formula(N, D, group_size, E, A, B, k, alpha, beta, gamma_N, gamma_D, gamma_G):
        error = k * N**-gamma_N * D**gamma_D * np.log2(group_size) ** gamma_G
        return E + A * N**-alpha + B * D**-beta + error
