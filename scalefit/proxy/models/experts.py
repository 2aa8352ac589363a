"""Mixture of experts: a router sends each token to a few of the feed-forward layers, K members at once.

Axes as in `model`; E experts, S slots of a token (experts that it is sent to). No token is dropped.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from scalefit.proxy.models.layers import Pass, at_least_float32, over_tokens

Expert = Callable[[Tensor, int], Tensor]  # tokens (n, D) and the number of member and expert, k E + e -> (n, D)


def route(logits_KNE: Tensor, slots: int, run: Pass, name: str) -> tuple[Tensor, Tensor]:
    """Weights and numbers of the experts of each token, (K, N, S) each.

    The weights are the router's probabilities of the chosen, with several slots divided by their sum. The balance loss
    E Σ_e f_e P_e goes into ``run``: f_e is the share of the slots that expert e gets, P_e its mean probability; it is 1
    where all are alike. Source: arXiv:2101.03961, equation 4.
    """
    probs_KNE = at_least_float32(logits_KNE).softmax(-1)
    gate_KNS, chosen_KNS = probs_KNE.topk(slots, dim=-1)
    if slots > 1:
        gate_KNS = gate_KNS / gate_KNS.sum(-1, keepdim=True)
    N, E = probs_KNE.shape[1:]
    share_KE = torch.stack([_counts(chosen, E) for chosen in chosen_KNS]).to(probs_KNE) / (N * slots)
    run.balance.append(E * (share_KE * over_tokens(probs_KNE) / N).sum(1))
    if run.record is not None:
        run.record(f"{name}_load", share_KE)
    return gate_KNS, chosen_KNS


def _counts(chosen_NS: Tensor, E: int) -> Tensor:
    """How many slots each expert gets, (E,)."""
    return F.one_hot(chosen_NS.flatten(), E).sum(0)


def dispatch(x_KND: Tensor, gate_KNS: Tensor, chosen_KNS: Tensor, experts: int, expert: Expert) -> Tensor:
    """Each token's weighted sum over its experts, (K, N, D). An expert computes only its own tokens, one member at a
    time, so that its products have the same shape whatever stands beside them."""
    S, rows = chosen_KNS.shape[2], []
    for k, (x_ND, gate_NS, chosen_NS) in enumerate(zip(x_KND.unbind(), gate_KNS.unbind(), chosen_KNS, strict=True)):
        order = chosen_NS.flatten().argsort(stable=True)
        parts = x_ND[order // S].split(_counts(chosen_NS, experts).tolist())
        found = torch.cat([expert(part, k * experts + e) for e, part in enumerate(parts) if len(part)])
        back_NSD = found[order.argsort()].unflatten(0, (-1, S)) * gate_NS.to(found).unsqueeze(-1)
        rows.append(back_NSD.sum(1))
    return torch.stack(rows)
