"""The best timescale of AdamW's average over updates."""

from __future__ import annotations

from scalefit.laws.law import Law, Parameter, Variable


class AdamwTimescale(Law):
    """The best timescale of AdamW, as a share of training, in tokens per parameter.

        timescale(N, D) = K (D/N)^-m

    timescale = batch/(peak_lr weight_decay D), with the batch in tokens: the share of training over which AdamW's
    weights average their updates. Each row is an optimum: the timescale of lowest loss at one size and amount of data
    (column ``timescale``). Given it, weight decay follows from batch and learning rate.

    Source: arXiv:2505.13738. The form is as we know it and could not be held against the paper; no constants are given.
    """

    name = "adamw-timescale"
    source = "arXiv:2505.13738"
    target = "timescale"
    target_unit = "1"
    needs = "the best timescale at three or more ratios of tokens to parameters, each from a sweep over weight decay"
    fails = "a sweep whose minimum is flat gives a timescale only within a factor; weight decay of zero has none"

    N = Variable("parameters", "model size, by the convention of the runs", span=(1e7, 1e10), may_be_constant=True)
    D = Variable("tokens", "training tokens", span=(1e9, 1e12), may_be_constant=True)

    K = Parameter("1", "best timescale at one token per parameter", linear=True)
    m = Parameter("1", "exponent of tokens per parameter", low=-2.0, high=2.0, starts=(-0.2, 1.2))

    @staticmethod
    def formula(N, D, K, m):
        return K * (D / N) ** -m
