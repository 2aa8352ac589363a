"""Downstream error from loss."""

from __future__ import annotations

import numpy as np

from scalefit.laws.law import Law, Parameter, Published, Variable


class DownstreamError(Law):
    """Error rate of a task, or the mean over tasks, from the loss.

        Err(L) = eps - k exp(-gamma L)

    eps is the error of a model that knows nothing (near chance) and k exp(-gamma L) what the loss buys. Chain it
    with a loss law to predict an error from N and D; the source adds one larger run to those of the loss fit.

    Source: arXiv:2403.08540; constants refitted from the released runs.
    """

    name = "downstream-error"
    source = "arXiv:2403.08540"
    target = "error"
    target_unit = "1"
    needs = "losses and errors of five or more models, one of them clearly better than chance"
    fails = (
        "single tasks are near chance until a threshold, so means over many tasks are predictable and single ones "
        "are often not; the loss must be on one validation set"
    )
    published = (
        Published("arXiv:2403.08540, C4, mean of 17 tasks", {"eps": 0.8497, "k": 2.0789, "gamma": 0.7561}),
        Published("arXiv:2403.08540, C4, mean of 46 tasks", {"eps": 0.7589, "k": 1.2885, "gamma": 0.9722}),
        Published("arXiv:2403.08540, RedPajama, mean of 17 tasks", {"eps": 0.8570, "k": 2.2065, "gamma": 0.7146}),
        Published("arXiv:2403.08540, RedPajama, mean of 46 tasks", {"eps": 0.7608, "k": 1.3229, "gamma": 0.8907}),
        Published("arXiv:2403.08540, RefinedWeb, mean of 17 tasks", {"eps": 0.8653, "k": 2.2148, "gamma": 0.7070}),
        Published("arXiv:2403.08540, RefinedWeb, mean of 46 tasks", {"eps": 0.7677, "k": 1.1281, "gamma": 0.8215}),
    )

    loss = Variable("nats/token", "validation loss", span=(2.0, 5.0))

    eps = Parameter("1", "error of a model that knows nothing", linear=True)
    k = Parameter("1", "size of the gain, extrapolated to zero loss", linear=True)
    gamma = Parameter("token/nat", "how fast the gain grows as the loss falls", high=20.0, starts=(0.1, 4.0))

    @staticmethod
    def formula(loss, eps, k, gamma):
        return eps - k * np.exp(-gamma * loss)
