"""The law in encoder and decoder size."""

from __future__ import annotations

from collections.abc import Mapping

from scalefit.laws.identification import refuse_tied
from scalefit.laws.law import Array, Law, Parameter, Variable

BASE = 1e8  #: encoder and decoder parameters at which A is the reducible loss


class EncoderDecoder(Law):
    """Loss of a translation model in encoder and decoder size, on one test set.

        L(N_enc, N_dec) = L_inf + A (1e8/N_enc)^p_enc (1e8/N_dec)^p_dec

    A is the reducible loss at 1e8 parameters each. With other normalisers n_e, n_d (the source counts from a baseline
    of 12 + 12 layers) the size is A (1e8/n_e)^p_enc (1e8/n_d)^p_dec. Under N_enc + N_dec = B the best encoder share is
    p_enc/(p_enc + p_dec) (``encoder_share`` in planning). Fit one test set and one direction of origin at
    a time; never pool text that was written in the source language with text that was translated into it.

    Source: arXiv:2109.07740. The form is as others report it; the printed equation and its constants per test set
    were not at hand, so none are given.
    """

    name = "encoder-decoder"
    source = "arXiv:2109.07740"
    needs = "runs that vary the encoder at a fixed decoder and runs that vary the decoder at a fixed encoder"
    fails = (
        "symmetric scaling alone gives only p_enc + p_dec; over a small range L_inf and the exponents trade places; "
        "text of both origins pooled follows no such law"
    )

    N_enc = Variable("parameters", "encoder parameters, without embeddings", span=(1e7, 1e9))
    N_dec = Variable("parameters", "decoder parameters, without embeddings", span=(1e7, 1e9))

    L_inf = Parameter("nats/token", "irreducible loss", linear=True)
    A = Parameter("nats/token", "reducible loss at 1e8 encoder and 1e8 decoder parameters", linear=True)
    p_enc = Parameter("1", "exponent of encoder size", high=5.0, starts=(0.02, 1.5))
    p_dec = Parameter("1", "exponent of decoder size", high=5.0, starts=(0.02, 1.5))

    def check(self, variables: Mapping[str, Array]) -> None:
        """Refuse encoder and decoder that grow together."""
        refuse_tied(
            self.name,
            variables,
            "N_enc",
            "N_dec",
            "add a run with the encoder of one and the decoder of another (scale one side at a time)",
        )

    @staticmethod
    def formula(N_enc, N_dec, L_inf, A, p_enc, p_dec):
        return L_inf + A * (BASE / N_enc) ** p_enc * (BASE / N_dec) ** p_dec
