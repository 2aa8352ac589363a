"""Which shapes a transformer can have; knows no torch, so that sweeps are checked where they are planned."""

from __future__ import annotations

from collections.abc import Iterable

from scalefit.errors import InputError

NORMS, NORM_TYPES, ACTIVATIONS = ("pre", "post", "peri"), ("layer", "rms"), ("gelu", "swiglu")


def refuse_heads(d_model: int, d_head: int, kv_group: int) -> None:
    """Raise InputError for a width that its heads do not divide, and heads that their groups do not divide.

    >>> refuse_heads(4, 2, 3)
    Traceback (most recent call last):
    ...
    scalefit.errors.InputError: 2 heads (d_model=4) cannot share keys in groups of kv_group=3; choose a divisor of 2
    """
    heads = d_model // d_head
    if d_model % d_head or d_head % 2:
        raise InputError(
            f"d_model={d_model} cannot be divided into heads of d_head={d_head}",
            todo="choose an even d_head that divides d_model",
        )
    if heads % kv_group:
        raise InputError(
            f"{heads} heads (d_model={d_model}) cannot share keys in groups of kv_group={kv_group}",
            todo=f"choose a divisor of {heads}",
        )


def refuse_parts(norm: str, norm_type: str, activation: str, experts: int, experts_per_token: int) -> None:
    """Raise InputError for parts of a block that are not known, and for more experts a token than there are."""
    if experts_per_token > experts:
        raise InputError(
            f"experts_per_token={experts_per_token} of experts={experts}",
            todo="send a token to at most as many experts as there are",
        )
    if norm not in NORMS or activation not in ACTIVATIONS or norm_type not in NORM_TYPES:
        raise InputError(
            f"unknown norm={norm!r}, norm_type={norm_type!r} or activation={activation!r}",
            todo=f"choose norm from {', '.join(NORMS)}, norm_type from {', '.join(NORM_TYPES)} and activation from "
            f"{', '.join(ACTIVATIONS)}",
        )


def refuse_groups(widths: Iterable[int], group: int) -> None:
    """Raise InputError where groups of weights do not divide the columns of a matrix; 0: there are none."""
    for width in widths:
        if group and width % group:
            what = f"columns of {width} weights cannot be cut into groups of weight_group={group}"
            raise InputError(what, todo=f"choose a divisor of {width}")


def refuse_pair(norm: str) -> None:
    """Raise InputError for a norm that an encoder-decoder does not have."""
    if norm != "pre":
        raise InputError(f"an encoder-decoder cannot have norm={norm!r}", todo="choose norm pre")
