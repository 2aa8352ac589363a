"""Mixture of data sources together with size and data."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from scalefit.errors import IdentificationError, InputError
from scalefit.laws.identification import ROUNDED, refuse_shares, refuse_tied
from scalefit.laws.law import Array, Law, Option, Parameter, Variable

LEAST = 1e-12  #: stands for a share of zero, whose logarithm has no value
WEIGHTS = (0.2, 5.0)  #: starts of weights of a source beside those of the first


class MixtureScale(Law):
    """Loss on one validation set in size, data and the shares of the data sources.

        L = E + T/(r1^gamma1 + c2 r2^gamma2 + ...) + A (r1 + a2 r2 + ...)^gamma_A N^-alpha + B (...)^gamma_B D^-beta

    ``mixture-scale:over=web+code`` names the columns of all shares, which add up to 1; c_i, a_i and b2 (b3 ...) weigh a
    source beside the first. ``form=additive``, the default, has no factors (r1 + a2 r2 + ...)^gamma_A and (r1 + b2 r2 +
    ...)^gamma_B, so that one mixture is best at every size and length; with ``form=joint`` the best mixture moves with
    the scale. Either has its own constants for every validation set: one fit each, with ``target`` its column. The best
    shares are :func:`~scalefit.planning.optimum.best_shares.best_shares`.

    The source writes C_i for the weights of the first sum: C_1 = 1/T and C_i = c_i/T; and (C_1 r1 + C_2 r2 +
    ...)^gamma_A for the factor of N: A = C_1^gamma_A and a_i = C_i/C_1, and so for B.

    Source: arXiv:2507.09404, equations 2.4 (additive) and 2.5 (joint). It prints no constants.
    """

    name = "mixture-scale"
    source = "arXiv:2507.09404"
    needs = (
        "runs of several N and D, each at two or more mixtures more than sources, spread over the simplex with every "
        "share above a tenth in most of them"
    )
    fails = (
        "a source that has no share in any run stays a guess; repeated data are not in the law, so that the share of a "
        "small source is too large at a long training; two sources that act alike cannot be told apart"
    )

    over = Option("r1+r2", "columns of the shares of all sources, joined by +")
    form = Option(
        "additive", "whether the terms of size and data depend on the mixture", ("additive", "joint"), judged=("joint",)
    )

    N = Variable("parameters", "model size, by the convention of the runs", span=(1e7, 1e10))
    D = Variable("tokens", "training tokens", span=(1e9, 1e12))

    E = Parameter("nats/token", "irreducible loss", linear=True)
    T = Parameter("nats/token", "what the mixture adds where all data are of the first source", linear=True)
    A = Parameter("nats/token parameters^alpha", "size of the model-size term of the first source", linear=True)
    B = Parameter("nats/token tokens^beta", "size of the data term of the first source", linear=True)
    alpha = Parameter("1", "exponent of model size", high=5.0, starts=(0.1, 0.8))
    beta = Parameter("1", "exponent of data", high=5.0, starts=(0.1, 0.8))

    @property
    def sources(self) -> list[str]:
        """The columns that ``over`` names."""
        return [name.strip() for name in self.options["over"].split("+")]

    @property
    def columns(self) -> dict[str, str]:
        """N, D, and r1, r2 ... from the columns that ``over`` names."""
        return {"N": "N", "D": "D"} | {f"r{i}": name for i, name in enumerate(self.sources, start=1)}

    @property
    def variables(self) -> Mapping[str, Variable]:
        """N, D and one share for each source."""
        span = (0.02, 0.9 / len(self.sources))
        shares = {
            f"r{i}": Variable("1", f"share of data source {i}", span=span, positive=False, share="whole")
            for i in range(1, len(self.sources) + 1)
        }
        return {**super().variables, **shares}

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        """Those of size and data, an exponent for each share, and the weights of all sources but the first."""
        found, count = dict(super().parameters), len(self.sources)
        for i in range(1, count + 1):
            found[f"gamma{i}"] = Parameter("1", f"exponent of share {i}", high=5.0, starts=(0.1, 1.2))
        letters = {"c": "in the first sum"}
        if self.options["form"] == "joint":
            letters |= {"a": "in the term of size", "b": "in the term of data"}
        for letter, where in letters.items():
            for i in range(2, count + 1):
                meaning = f"weight of source {i} beside the first {where}"
                found[f"{letter}{i}"] = Parameter("1", meaning, high=1e4, starts=WEIGHTS)
        for letter, where in list(letters.items())[1:]:
            meaning = f"exponent of the mixture {where}"
            found[f"gamma_{letter.upper()}"] = Parameter("1", meaning, low=-5.0, high=5.0, starts=(0.3, 1.5))
        return found

    def check(self, variables: Mapping[str, Array]) -> None:
        """Refuse percentages, sizes that move with the data, and shares that change together."""
        names = [f"r{i}" for i in range(1, len(self.sources) + 1)]
        for name in names:
            refuse_shares(self.name, variables, name)
        shares = np.stack([np.asarray(variables[name], dtype=float) for name in names], axis=1)
        together = shares.sum(axis=1)
        if np.any(np.abs(together - 1) > ROUNDED):
            what = f"the shares {', '.join(self.sources)} add up to {together[np.argmax(np.abs(together - 1))]:.4g}"
            raise InputError(what, where=f"law {self.name}", todo="name the columns of all shares, which make up 1")
        refuse_tied(self.name, variables, "N", "D", "add a run with another ratio of tokens to size", additive=True)
        centred = shares - shares.mean(axis=0)
        if np.linalg.matrix_rank(centred, tol=1e-6 * max(float(np.linalg.norm(centred)), 1e-9)) < shares.shape[1] - 1:
            raise IdentificationError(
                f"the shares {', '.join(self.sources)} change together in every row",
                where=f"law {self.name}",
                todo="add runs that change one share against each of the others",
            )

    @staticmethod
    def formula(N, D, E, T, A, B, alpha, beta, **named):
        shares = {name[1:]: np.maximum(named[name], LEAST) for name in named if name[0] == "r"}
        whole = sum(named.get(f"c{i}", 1.0) * share ** named[f"gamma{i}"] for i, share in shares.items())
        size, data = A * N**-alpha, B * D**-beta
        if "gamma_A" in named:
            size = size * sum(named.get(f"a{i}", 1.0) * share for i, share in shares.items()) ** named["gamma_A"]
            data = data * sum(named.get(f"b{i}", 1.0) * share for i, share in shares.items()) ** named["gamma_B"]
        return E + T / whole + size + data
