"""Translation quality from loss."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from scalefit.laws.law import Law, Option, Parameter, Variable


class Bleu(Law):
    """BLEU as a power of the loss, on one test set.

        BLEU(L) = c L^-p, or c max(L, L_sat)^-p with saturates=yes

    For text that was first written in the target language the quality follows the loss. For text first written in the
    source language it stops to rise: ``bleu:saturates=yes`` adds the loss L_sat below which it stays. Compare the two
    on your test set, one direction of origin at a time, with one beam setting.

    Source: arXiv:2109.07740. The form is as others report it; the printed equation and its constants were not at hand.
    """

    name = "bleu"
    source = "arXiv:2109.07740"
    target = "bleu"
    target_unit = "BLEU points"
    needs = "loss and BLEU of four or more trained models; for L_sat models on both sides of it"
    fails = "shallow decoders early in training lie off the curve"

    saturates = Option("no", "whether the quality stops to rise below a loss L_sat", ("no", "yes"))

    loss = Variable("nats/token", "validation loss on the same test set", span=(1.0, 4.0))

    c = Parameter("BLEU points (nats/token)^p", "quality at a loss of 1", linear=True)
    p = Parameter("1", "exponent", high=50.0, starts=(0.2, 10.0))
    L_sat = Parameter("nats/token", "loss below which the quality stays", starts="loss")

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        """L_sat only where the quality saturates."""
        keep = dict(super().parameters)
        if self.options["saturates"] == "no":
            del keep["L_sat"]
        return keep

    @staticmethod
    def formula(loss, c, p, L_sat=0.0):
        reached = np.where(np.real(loss) > np.real(L_sat), loss, L_sat)
        return c * reached**-p
