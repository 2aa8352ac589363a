"""Mixture of data sources: loss on one validation domain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from scalefit.errors import IdentificationError
from scalefit.laws.law import Array, Law, Option, Parameter, Variable


def size_name(domain: int) -> str:
    """The parameter that is the size of a domain's term."""
    return "k" if domain == 1 else f"k{domain}"


def effect_name(domain: int, source: str) -> str:
    """The parameter that is the effect of a source on a domain."""
    return f"t{source}" if domain == 1 else f"t{domain}_{source}"


class Mixture(Law):
    """Loss on one validation domain in the shares of the data sources.

        L(r) = c + k exp(t1 r1 + t2 r2 + ...) + k2 exp(t2_1 r1 + t2_2 r2 + ...) + ...

    ``mixture:over=web+code`` names the columns of the shares, all sources but one: shares add up to 1, so the t of the
    one left out would only change k, and each t is relative to it. A validation set that is itself a mixture has
    implicit domains, whose losses add up with shares that are not known: ``domains=2`` gives two exponential terms, in
    falling order of k, the share of the domain times its reducible loss; of their floors only the sum shows. Every
    validation set has its own constants: one fit each, with ``target`` its column
    (:func:`scalefit.fitting.stages.mixture` fits several).

    Source: arXiv:2403.16952, equations 7 (one domain) and 8 (implicit domains). No constants were found to check.
    """

    name = "mixture"
    source = "arXiv:2403.16952"
    needs = "runs of one size and length with at least two more mixtures than sources, spread over the simplex"
    fails = (
        "holds for one model size and training length; a source without which no run was made stays a guess; "
        "domains that react to the sources alike cannot be told apart: take the fewest that held-out mixtures ask for"
    )

    alike: ClassVar[Sequence[str]] = ("N", "D", "steps")

    over = Option("r1+r2", "columns of the shares, joined by +, without one of the sources")

    domains = Option(1, "implicit domains of the validation set: 1 where it is of one kind")

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
                "1",
                f"share of data source {name[1:]}",
                span=(0.02, 0.9 / len(self.columns)),
                positive=False,
                share="part",
            )
            for name in self.columns
        }

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        """One t for each share, after c and k; the same for each further domain."""
        found = dict(super().parameters)
        for domain in range(1, self.options["domains"] + 1):
            if domain > 1:
                found[f"k{domain}"] = Parameter("nats/token", f"the same of implicit domain {domain}", linear=True)
            for name in self.columns:
                meaning = f"effect of source {name[1:]} on the logarithm, against the source left out"
                effect = Parameter("1", meaning, low=-50.0, high=50.0, starts=(-5.0, 5.0))
                found[effect_name(domain, name[1:])] = effect
        return found

    def arranged(self, parameters: Mapping[str, float]) -> Mapping[str, float]:
        """Domains in the order of their sizes, the largest first."""
        count = self.options["domains"]
        order = sorted(range(1, count + 1), key=lambda i: -parameters[size_name(i)])
        moved = {size_name(new): parameters[size_name(old)] for new, old in enumerate(order, 1)}
        for new, old in enumerate(order, 1):
            for name in self.columns:
                moved[effect_name(new, name[1:])] = parameters[effect_name(old, name[1:])]
        return {**parameters, **moved}

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
        shares = [name[1:] for name in named if name.startswith("r")]
        loss, domain = c, 1
        while domain == 1 or size_name(domain) in named:
            effects = sum(named[effect_name(domain, i)] * named[f"r{i}"] for i in shares)
            loss = loss + (k if domain == 1 else named[size_name(domain)]) * np.exp(effects)
            domain += 1
        return loss
