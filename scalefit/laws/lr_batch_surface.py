"""The loss surface around the best learning rate and batch."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from scalefit.errors import IdentificationError
from scalefit.laws.identification import refuse_tied
from scalefit.laws.law import Array, Law, Parameter, Variable

N_0, D_0 = 1e9, 1e11  #: size and tokens at which lr_0 and batch_0 hold
SMALL = 1e-2  #: below this a series takes the place of a difference


class LrBatchSurface(Law):
    """Final loss in size, data, peak learning rate and batch: a valley whose bottom follows power laws.

        L = E + A N^-alpha + B D^-beta + h_lr u^2 w(skew u) + h_batch (v - lean u)^2

    u = ln(peak_lr/lr*) with lr* = lr_0 (N/1e9)^-p (D/1e11)^q; v = ln(batch/batch*) with batch* = batch_0 (D/1e11)^s;
    w(z) = 2 (e^z - 1 - z)/z^2, which is 1 at z = 0: with skew > 0 too high a learning rate costs more than too low a
    one; lean > 0: at too high a learning rate a larger batch is best. The walls are never negative, so u = v = 0 is the
    minimum. The bottom laws are those of arXiv:2503.04715 (law ``optimal-lr-batch``: K = lr_0 1e9^alpha 1e11^-beta with
    alpha = p and beta = q); the shape of the walls is this package's own, to use every run of a sweep instead of the
    best ones.

    Source: arXiv:2503.04715 for the optima; the surface is scalefit's.
    """

    name = "lr-batch-surface"
    source = "arXiv:2503.04715"
    needs = "sweeps over learning rate and batch at several N and D, with runs on both sides of each optimum"
    fails = (
        "far from the optimum the walls have another shape, and diverged runs belong to none: keep runs within some "
        "percent of the best of their (N, D); a decay to a fixed learning rate and one to a tenth have other optima"
    )

    N = Variable("parameters", "model size, without embeddings in the source", span=(1e8, 1e10))
    D = Variable("tokens", "training tokens", span=(1e10, 1e12))
    peak_lr = Variable("1", "highest learning rate of the schedule", span=(1e-4, 1e-2))
    batch = Variable("tokens", "tokens per optimiser step", span=(1e5, 1e7))

    E = Parameter("nats/token", "irreducible loss", linear=True)
    A = Parameter("nats/token parameters^alpha", "size of the model-size term", linear=True)
    B = Parameter("nats/token tokens^beta", "size of the data term", linear=True)
    h_lr = Parameter("nats/token", "loss at a learning rate off by a factor e", linear=True)
    h_batch = Parameter("nats/token", "loss at a batch off by a factor e", linear=True)
    alpha = Parameter("1", "exponent of model size", high=5.0, starts=(0.1, 0.8))
    beta = Parameter("1", "exponent of data", high=5.0, starts=(0.1, 0.8))
    lr_0 = Parameter("1", "best peak learning rate at 1e9 parameters and 1e11 tokens", starts="peak_lr")
    p = Parameter("1", "how fast the best learning rate falls with size", low=-3.0, high=3.0, starts=(-0.2, 1.0))
    q = Parameter("1", "growth of the best learning rate with data", low=-3.0, high=3.0, starts=(-0.3, 0.7))
    batch_0 = Parameter("tokens", "best batch at 1e11 tokens", starts="batch")
    s = Parameter("1", "growth of the best batch with data", low=-3.0, high=3.0, starts=(0.0, 1.0))
    lean = Parameter("1", "shift of the best batch with the learning rate", low=-5.0, high=5.0, starts=(-0.5, 1.5))
    skew = Parameter("1", "how much more a high learning rate costs", low=-5.0, high=5.0, starts=(0.0, 1.5))

    def check(self, variables: Mapping[str, Array]) -> None:
        """Refuse sweeps over fewer than three learning rates or batches, and those that follow size or data."""
        for name in ("peak_lr", "batch"):
            values = np.unique(np.round(np.log(variables[name]), 3))
            if len(values) < 3:
                raise IdentificationError(
                    f"only {len(values)} values of {name}: a minimum needs three",
                    where=f"law {self.name}",
                    todo=f"add runs at a lower and a higher {name}",
                )
            for scale in ("N", "D"):
                refuse_tied(
                    self.name, variables, scale, name, f"add runs at a lower and a higher {name} at one {scale}"
                )
        refuse_tied(self.name, variables, "N", "D", "add a sweep at another ratio of tokens to parameters")
        refuse_tied(self.name, variables, "peak_lr", "batch", "add runs that change one of them alone")

    @staticmethod
    def formula(N, D, peak_lr, batch, E, A, B, h_lr, h_batch, alpha, beta, lr_0, p, q, batch_0, s, lean, skew):
        log_N, log_D = np.log(N / N_0), np.log(D / D_0)
        u = np.log(peak_lr) - np.log(lr_0) + p * log_N - q * log_D
        v = np.log(batch) - np.log(batch_0) - s * log_D
        walls = h_lr * u**2 * _tilt(skew * u) + h_batch * (v - lean * u) ** 2
        return E + A * N**-alpha + B * D**-beta + walls


def _tilt(z: Array) -> Array:
    """2 (e^z - 1 - z)/z^2, by its series near zero."""
    near = np.abs(np.real(z)) < SMALL
    far = np.where(near, 1.0, z)
    series = 1 + z / 3 * (1 + z / 4 * (1 + z / 5 * (1 + z / 6 * (1 + z / 7))))
    return np.where(near, series, 2 * (np.exp(far) - 1 - far) / far**2)
