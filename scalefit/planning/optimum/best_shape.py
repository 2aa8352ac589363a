"""The width and depth of lowest loss for a number of parameters, under the law ``width-depth``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from scalefit.errors import InputError


@dataclass(frozen=True)
class Shape:
    """A shape of N = 12 n_layer d_model^2 parameters."""

    d_model: float  #: width of the residual stream
    n_layer: float  #: layers


def best_shape(constants: Mapping[str, float], N: float) -> Shape:
    """The shape of lowest loss with N parameters, 12 n_layer d_model^2: embeddings are not counted.

    N and data fixed, A_w d_model^-alpha_w + A_d n_layer^-alpha_d is least where
    n_layer^(alpha_w/2 + alpha_d) = (2 alpha_d A_d / (alpha_w A_w)) (N/12)^(alpha_w/2). Source of the law:
    arXiv:2502.06857. Raises :class:`InputError` where one of the two terms is zero.

    >>> from scalefit.laws import find_law
    >>> shape = best_shape(find_law("width-depth").published[0].parameters, N=1e9)
    >>> round(shape.d_model), round(shape.n_layer, 1)
    (1481, 38.0)
    """
    width, depth = constants["A_w"] * constants["alpha_w"] / 2, constants["A_d"] * constants["alpha_d"]
    if not (N > 0 and width > 0 and depth > 0):
        raise InputError(
            f"N = {N:g}, and terms of width and depth that fall with slopes {width:g} and {depth:g}: no shape is best",
            where="best_shape",
            todo="fit width-depth to runs of several shapes, wide and deep ones of about one N",
        )
    half = constants["alpha_w"] / 2
    layers = math.exp((math.log(depth / width) + half * math.log(N / 12)) / (half + constants["alpha_d"]))
    return Shape(math.sqrt(N / (12 * layers)), layers)
