"""Optimisers, one file each; the folder is the registry."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from scalefit.errors import InputError
from scalefit.numerics import suggestion
from scalefit.proxy.optimizers.optimizer import Optimizer, State

__all__ = ["Optimizer", "State", "optimizer", "optimizers"]


@cache
def optimizers() -> dict[str, type[Optimizer]]:
    """Every optimiser in this folder by name.

    >>> sorted(optimizers())[:1]
    ['adamw']
    """
    modules = [importlib.import_module(f"{__name__}.{info.name}") for info in pkgutil.iter_modules(__path__)]
    found = [value for module in modules for value in vars(module).values() if isinstance(value, type)]
    return {kind.name: kind for kind in found if issubclass(kind, Optimizer) and kind is not Optimizer}


def optimizer(name: str) -> type[Optimizer]:
    """The optimiser of that name; InputError names the nearest one.

    >>> optimizer("adamw").kind
    'adam'
    """
    known = optimizers()
    if name not in known:
        raise InputError(f"no optimizer {name!r}", todo=suggestion(name, sorted(known)))
    return known[name]
