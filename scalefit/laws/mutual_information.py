"""Mutual information of two modalities against model size."""

from __future__ import annotations

import numpy as np

from scalefit.laws.law import Law, Parameter, Variable


class MutualInformation(Law):
    """What a model of image and text learns of one from the other, growing with the logarithm of its size.

        I(N) = lam ln(N/N_c)

    I = L(text) - L(text | image) in nats, or its share I/L(text) (the information gain, between 0 and 1): name the
    column with ``target``. N_c is the size at which it begins.

    Source: arXiv:2010.14701, equation 4.1. Its two constants were read off a figure by others and differ by 15 % from
    its text, so none are given.
    """

    name = "mutual-information"
    source = "arXiv:2010.14701"
    target = "information"
    target_unit = "nats"
    needs = "models of three or more sizes, with the loss of one modality measured with and without the other"
    fails = (
        "holds above N_c only; without tuning on blank captions the information comes out about twice too large; "
        "a share cannot grow beyond 1"
    )

    N = Variable("parameters", "model size, by the convention of the runs", span=(1e7, 1e10))

    lam = Parameter("nats", "information per factor e in size", linear=True)
    N_c = Parameter("parameters", "size at which the information begins", starts=(1e2, 1e7))

    @staticmethod
    def formula(N, lam, N_c):
        return lam * np.log(N / N_c)


def information_of_halves(loss: float, first_loss: float, tokens: int, p: float) -> float:
    """Mutual information (nats) of the first and the second ``tokens`` tokens of a text.

    With the loss of token t as L(t) = loss + (first_loss - loss)/t^p, the second half is cheaper after the first than
    alone by (2 H_T - H_2T)(first_loss - loss), where H_T is the sum of t^-p over t = 1 .. T = ``tokens``.
    Source: arXiv:2010.14701, appendix E.

    >>> round(information_of_halves(3.0, 8.0, 1, 0.5), 6)
    1.464466
    """
    power = np.arange(1, 2 * tokens + 1, dtype=float) ** -p
    return float((2 * power[:tokens].sum() - power.sum()) * (first_loss - loss))
