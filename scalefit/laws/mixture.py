"""Mixture of data sources: loss on one validation domain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from scalefit.errors import IdentificationError
from scalefit.laws.law import Array, Law, Option, Parameter, Variable


class Mixture(Law):
    """Loss on one validation domain in the shares of the data sources.

        L(r) = c + k exp(t1 r1 + t2 r2 + ...)

    ``mixture:over=web+code`` names the columns of the shares, all sources but one: shares add up to 1, so the t of the
    one left out would only change k, and each t is relative to it. Every validation domain has its own constants: one
    fit a domain, with ``target`` its column (:func:`scalefit.fitting.stages.mixture` fits several).

    Source: arXiv:2403.16952. The form is as others report it; the printed equation and its constants were not at hand.
    """

    name = "mixture"
    source = "arXiv:2403.16952"
    needs = "runs of one size and length with at least two more mixtures than sources, spread over the simplex"
    fails = "holds for one model size and training length; a source without which no run was made stays a guess"

    alike: ClassVar[Sequence[str]] = ("N", "D", "steps")

    over = Option("r1+r2", "columns of the shares, joined by +, without one of the sources")

    c = Parameter("nats/token", "irreducible loss of the domain", linear=True)
    k = Parameter("nats/token", "reducible loss with only the source left out", linear=True)

    @property
    def columns(self) -> dict[str, str]:
        """r1, r2 ... are read from the columns that ``over`` names."""
        return {f"r{i}": name.strip() for i, name in enumerate(self.options["over"].split("+"), start=1)}

    @property
    def variables(self) -> Mapping[str, Variable]:
        """One share for each column."""
        return {
            name: Variable(
                "1", f"share of data source {name[1:]}", span=(0.02, 0.9 / len(self.columns)), positive=False
            )
            for name in self.columns
        }

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        """One t for each share, after c and k."""
        found = dict(super().parameters)
        for name in self.columns:
            meaning = f"effect of source {name[1:]} on the logarithm, against the source left out"
            found[f"t{name[1:]}"] = Parameter("1", meaning, low=-50.0, high=50.0, starts=(-5.0, 5.0))
        return found

    def check(self, variables: Mapping[str, Array]) -> None:
        """Refuse shares that add up to one (a source must be left out), or that depend on one another."""
        shares = np.stack([np.asarray(v, dtype=float) for v in variables.values()], axis=1)
        if np.ptp(shares.sum(axis=1)) < 1e-6:
            raise IdentificationError(
                f"the shares {', '.join(self.columns.values())} add up to {shares[0].sum():g} in every row",
                where=f"law {self.name}",
                todo="leave one source out of the option over",
            )
        centred = shares - shares.mean(axis=0)
        if np.linalg.matrix_rank(centred, tol=1e-6 * np.linalg.norm(centred)) < shares.shape[1]:
            raise IdentificationError(
                f"the shares {', '.join(self.columns.values())} change together in every row",
                where=f"law {self.name}",
                todo="add runs that change one share against each of the others",
            )

    @staticmethod
    def formula(c, k, **named):
        return c + k * np.exp(sum(named[f"t{i}"] * named[f"r{i}"] for i in range(1, len(named) // 2 + 1)))
