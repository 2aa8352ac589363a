"""Any torch model in a parametrisation: initial values, and parameter groups for any torch optimiser.

The tables of `scalefit.proxy.models.parametrization` have a factor f in the forward pass. Where a weight W is only
multiplied by f, the same training needs no such factor: for W' = f W the gradient is g' = g / f, and

    std' = f std
    Adam:  f lr ĝ/(|ĝ| + ε) = (f lr) ĝ'/(|ĝ'| + ε/f)      so  lr' = f lr,  ε' = ε/f,  decay' = decay/f
    SGD:   f lr g = (f² lr) g'                              so  lr' = f² lr,  decay' = decay/f²

(the decay is multiplied by the learning rate, and W must shrink as before). Only residual branches and readouts that
share their weights with the embedding keep a factor in the forward pass, by hooks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from scalefit.errors import InputError
from scalefit.notices import Line
from scalefit.proxy.models.parametrization import Parametrization, at, parametrization
from scalefit.proxy.optimizers import optimizer as optimizer_named
from scalefit.proxy.own.forward import branches_of, depths, hook, notes
from scalefit.proxy.own.roles import Grown, layer, match, stack_of

if TYPE_CHECKING:
    import pandas as pd

MARK = "_scalefit_parametrization"  #: attribute of a model that has been given its factors
COUPLED = ("adam",)  #: optimisers that add the decay to the gradient before they normalise it
COLUMNS = ["name", "role", "shape", "std", "lr", "decay", "eps"]


@dataclass(frozen=True)
class Scaled:
    """One tensor with its factors; ``forward`` is the factor of the table that the others have absorbed."""

    grown: Grown
    std: float
    lr: float
    decay: float
    eps: float
    forward: float


@dataclass(frozen=True, eq=False, repr=False)
class Parametrized:
    """The factors of every tensor of a model, and parameter groups made of them."""

    parametrization: str
    optimizer: str
    tensors: tuple[Scaled, ...]
    notes: tuple[Line, ...]

    def groups(self, lr: float, weight_decay: float = 0.0, eps: float = 1e-8) -> list[dict[str, Any]]:
        """Parameter groups for any torch optimiser of this kind, from the values at the base size.

        ``weight_decay`` is multiplied by the learning rate, as in torch.optim.AdamW and SGD. ``eps`` is Adam's. Each
        group also has ``lr_factor``, for loops that set the rates: ``group["lr"] = rate * group["lr_factor"]``.
        Parameters that need no gradient are left out.
        """
        if weight_decay and self.optimizer in COUPLED:
            what = f"{self.optimizer} adds the weight decay to the gradient, where no factor keeps its effect"
            raise InputError(what, todo="use AdamW with optimizer='adamw', or no weight decay")
        groups: dict[tuple[float, float, float], dict[str, Any]] = {}
        for each in self.tensors:
            if not each.grown.value.requires_grad:
                continue
            own = {"lr": lr * each.lr, "weight_decay": weight_decay * each.decay, "lr_factor": each.lr}
            own |= {"eps": eps * each.eps} if _has_eps(self.optimizer) else {}
            group = groups.setdefault((each.lr, each.decay, each.eps), {"params": [], **own})
            group["params"].append(each.grown.value)
        return list(groups.values())

    def clip(self, max_norm: float) -> Tensor:
        """Clip the gradient to a norm in which all sizes are alike, and return the norm before.

        It is the norm of the gradient as the tables write the model, with readouts that are multiplied by their factor:
        ``torch.nn.utils.clip_grad_norm_`` would count their gradient as larger by the width ratio.
        """
        pairs = [(each, each.grown.value.grad) for each in self.tensors]
        there = [(each.forward, grad) for each, grad in pairs if grad is not None]
        norm: Tensor = torch.linalg.vector_norm(torch.stack([f * torch.linalg.vector_norm(grad) for f, grad in there]))
        for _, grad in there:
            grad.mul_((max_norm / (norm + 1e-6)).clamp(max=1.0))
        return norm

    @property
    def table(self) -> pd.DataFrame:
        """One row per tensor: name, role, shape, and the factors on the standard deviation of its initial values and on
        its learning rate, weight decay and epsilon."""
        import pandas as pd

        rows = [
            (each.grown.name, each.grown.role, tuple(each.grown.value.shape), each.std, each.lr, each.decay, each.eps)
            for each in self.tensors
        ]
        return pd.DataFrame(rows, columns=COLUMNS)

    def __str__(self) -> str:
        head = f"{self.parametrization} for {self.optimizer}: factors at this size, repeated layers in one line"
        shown = self.table.assign(name=[layer(each.grown.name) for each in self.tensors])
        lines = shown.drop_duplicates().to_string(index=False, float_format="{:.4g}".format)
        return "\n".join([head, "", lines, *map(str, self.notes)])

    def __repr__(self) -> str:
        return str(self)


def parametrize(
    model: nn.Module,
    base: nn.Module,
    parametrization: str | Parametrization = "mup",
    *,
    optimizer: str = "adamw",
    roles: Mapping[str, str] | None = None,
    branches: Sequence[str] = (),
) -> Parametrized:
    """Give ``model`` the initial values of a parametrisation in place, and return what its optimiser needs.

    ``base`` is a model of the same code at the base size, at which nothing changes: what is tuned there holds at other
    sizes. A dimension that differs in size grows, and the role of a tensor follows from which of its dimensions grow;
    ``roles`` overrides it by patterns of parameter names (``{"head.*": "readout"}``). Each tensor is multiplied so that
    its standard deviation is that of ``base`` times the factor of its role; constant ones are left as they are. In
    depth-mup and completep, ``branches`` names the modules whose output is added to the residual stream
    (``["blocks.*.attn", "blocks.*.mlp"]``). ``optimizer`` is "adamw", "adam", "sgd" or another one of scalefit's. Call
    it once, after the model was built and before it is wrapped (compiled, distributed), trained or loaded. Raises
    InputError, and changes nothing, for a tensor whose role cannot be found.

    >>> base, model = (nn.Sequential(nn.Linear(4, d), nn.ReLU(), nn.Linear(d, 2)) for d in (8, 32))
    >>> table = parametrize(model, base).table
    >>> table[["name", "role", "lr"]].values.tolist()[:3]
    [['0.weight', 'embed', 1.0], ['0.bias', 'gain', 1.0], ['2.weight', 'readout', 0.25]]
    """
    name, table = _named(parametrization)
    for which, each in (("model", model), ("base", base)):
        if not isinstance(each, nn.Module) or hasattr(each, "_orig_mod"):
            what = "it is compiled" if isinstance(each, nn.Module) else f"{each!r} is no torch.nn module"
            raise InputError(what, where=which, todo="give the model as your code builds it at that size")
        if getattr(each, MARK, False) and (each is model or getattr(each, MARK) != "unchanged"):
            todo = "build it anew: a second time would scale it twice"
            raise InputError("it has been parametrized before", where=which, todo=todo)
    kind = _kind(optimizer)
    grown, added = match(model, base, roles or {}), branches_of(model, branches)
    depth = depths(model, base, branches, table)
    tensors = tuple(_scaled(each, table, kind, depth.get(stack_of(each.name), 1.0)) for each in grown)
    if kind == "sgd":
        _refuse_uneven(grown)
    deeper = len(list(model.parameters())) != len(list(base.parameters()))
    unchanged = not deeper and all(each.value.shape == each.base.shape for each in grown)
    factors = [] if unchanged else [(each.grown.value, _initial(each)) for each in tensors]
    with torch.no_grad():
        for value, factor in factors:
            value.mul_(factor)
    hook(added, grown, table, depth)
    setattr(model, MARK, "unchanged" if unchanged else "changed")
    return Parametrized(name, optimizer, tensors, tuple(notes(model, base, grown, table, deeper)))


def _named(given: str | Parametrization) -> tuple[str, Parametrization]:
    return (given, parametrization(given)) if isinstance(given, str) else ("your parametrization", given)


def _kind(name: str) -> str:
    return optimizer_named("adamw" if name in COUPLED else name).kind


def _has_eps(name: str) -> bool:
    return "eps" in optimizer_named("adamw" if name in COUPLED else name).options


def _scaled(each: Grown, table: Parametrization, kind: str, depth: float) -> Scaled:
    """The factors of a tensor, with that of the forward pass absorbed."""
    found = at(table, kind=kind, m=each.width, m_L=depth)
    role = each.role
    lr, decay, eps, forward = found.lr[role], found.decay[role], found.eps[role], found.forward[role]
    if role in ("embed", "readout"):  # inside a block it has the block's factors of depth as well
        block = at(table, kind=kind, m_L=depth)
        lr, decay, eps = lr * block.lr["hidden"], decay * block.decay["hidden"], eps * block.eps["hidden"]
    square = forward**2 if kind == "sgd" else forward
    eps = 1.0 if kind == "sgd" else eps / forward
    return Scaled(each, found.std[role] * forward, lr * square, decay / square, eps, forward)


def _refuse_uneven(grown: Sequence[Grown]) -> None:
    for each in grown:
        ratios = {new / old for new, old in zip(each.value.shape, each.base.shape, strict=True) if new != old}
        if len(ratios) > 1:
            what = "its dimensions grow by different ratios, for which the table has no rate under SGD"
            raise InputError(what, where=each.name, todo="let all its dimensions grow alike, or use AdamW")


def _initial(each: Scaled) -> float:
    """What multiplies the initial values of a tensor."""
    now, then = (_spread(value) for value in (each.grown.value, each.grown.base))
    if (now == 0) != (then == 0) or not now < float("inf"):
        what = f"the standard deviation of its initial values is {now:.3g}, in base {then:.3g}"
        raise InputError(what, where=each.grown.name, todo="draw it alike in both models")
    return 1.0 if now == 0 else each.std * then / now


def _spread(value: Tensor) -> float:
    """The standard deviation of a tensor, 0 where all its values are equal."""
    flat = value.detach().flatten().double()
    return 0.0 if bool((flat == flat[:1]).all()) else float(flat.std(correction=0))
