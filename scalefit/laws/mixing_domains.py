"""Loss of one domain in its share of the mixture and in the tokens of training."""

from __future__ import annotations

from collections.abc import Mapping

from scalefit.laws.identification import refuse_shares, refuse_tied
from scalefit.laws.law import Array, Law, Parameter, Variable


class MixingDomains(Law):
    """Loss on one domain of a mixture as the product of a power of its share and a law of the tokens.

        L(r, D) = r^-alpha (C + B D^-beta)

    r is the column ``domain_share``, the domain's own share of the mixture. One fit for each domain and size of model.
    The source writes A r^-alpha (C + B s^-beta) in steps s of one batch size, and fits A too, of which A C and A B are
    all that shows.

    Source: arXiv:2405.14908, equation 3. It prints no constants.
    """

    name = "mixing-domains"
    source = "arXiv:2405.14908"
    needs = "losses on one domain at three or more shares (column domain_share), each at three or more lengths"
    fails = "the loss is endless at a share of zero, so that domains that help one another are not described"

    domain_share = Variable("1", "share of the tokens that is of the domain", span=(0.03, 0.97), share="part")
    D = Variable("tokens", "training tokens", span=(1e8, 1e11))

    C = Parameter("nats/token", "loss that remains with all tokens of the domain", linear=True)
    B = Parameter("nats/token tokens^beta", "size of the data term with all tokens of the domain", linear=True)
    alpha = Parameter("1", "exponent of the share", high=5.0, starts=(0.02, 0.8))
    beta = Parameter("1", "exponent of data", high=5.0, starts=(0.05, 0.8))

    def check(self, variables: Mapping[str, Array]) -> None:
        """Refuse shares beyond one, and shares that move with the data."""
        refuse_shares(self.name, variables, "domain_share")
        refuse_tied(self.name, variables, "domain_share", "D", "add a run of another length at one share")

    @staticmethod
    def formula(domain_share, D, C, B, alpha, beta):
        return domain_share**-alpha * (C + B * D**-beta)
