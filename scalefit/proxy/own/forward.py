"""What a parametrisation leaves in the forward pass of a torch model: factors on residual branches and on readouts that
share their weights with the embedding, as hooks; and notes on what hooks cannot do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from torch import Tensor, nn

from scalefit.errors import InputError, listed
from scalefit.notices import Line, Notice
from scalefit.numerics import suggestion
from scalefit.proxy.models.parametrization import ONE, Parametrization
from scalefit.proxy.own.roles import Grown, stack_of, template

HEADS, HEAD_SIZES = ("num_heads", "n_head", "n_heads", "heads", "nhead"), ("head_dim", "d_head", "head_size")


class OutputFactor:
    """A forward hook that multiplies what a module returns; of several results the first one."""

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def __call__(self, module: nn.Module, args: Any, output: Any) -> Any:
        """The output, multiplied."""
        first = output[0] if isinstance(output, tuple) and output else output
        if not isinstance(first, Tensor):
            what = f"the residual branch {type(module).__name__} returns no tensor but {type(output).__name__}"
            raise InputError(what, where="branches", todo="name the module whose output is added")
        return (first * self.factor, *output[1:]) if isinstance(output, tuple) else first * self.factor


class InputFactor:
    """A hook before the forward pass that multiplies the first input of a module."""

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def __call__(self, module: nn.Module, args: Any) -> Any:
        """The inputs, the first one multiplied."""
        return (args[0] * self.factor, *args[1:])


def branches_of(model: nn.Module, patterns: Sequence[str]) -> dict[str, nn.Module]:
    """The modules that the patterns name. Raises InputError for a pattern that names none, or one inside another."""
    modules = dict(model.named_modules())
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in modules):
            near = suggestion(pattern, list(dict.fromkeys(map(template, filter(None, modules))))[:20])
            raise InputError(f"no module is named {pattern!r}", where="branches", todo=near)
    found = {name: each for name, each in modules.items() if any(fnmatchcase(name, p) for p in patterns)}
    for name in found:
        outer = next((other for other in found if name.startswith(f"{other}.")), None)
        if outer is not None:
            raise InputError(f"{name} lies inside {outer}", where="branches", todo="name each branch once")
    return found


def depths(
    model: nn.Module, base: nn.Module, branches: Sequence[str], table: Parametrization
) -> dict[str | None, float]:
    """The depth ratio of every list of layers: its number of residual branches over that of base.

    Raises InputError for a list that is longer or shorter than in base and holds no branch, where the table needs one.
    """
    if table.residual == ONE:
        return {}
    counts = [[stack_of(name) for name in branches_of(each, branches)] for each in (model, base)]
    depth = {stack: counts[0].count(stack) / counts[1].count(stack) for stack in counts[0] if stack in counts[1]}
    names = [{name for name, _ in each.named_parameters()} for each in (model, base)]
    other = sorted({stack_of(name) or "" for name in names[0] ^ names[1]} - {stack or "" for stack in depth})
    if other:
        todo = f'name what is added to the residual stream: branches=["{other[0]}.*.attn", "{other[0]}.*.mlp"]'
        what = f"{other[0]} has another depth than in base, and no residual branch is named in it"
        raise InputError(what, where="branches", todo=todo)
    return depth


def hook(
    branches: Mapping[str, nn.Module],
    grown: Sequence[Grown],
    table: Parametrization,
    depth: Mapping[str | None, float],
) -> None:
    """Add the factors that are not one."""
    for name, module in branches.items():
        factor = table.residual(1.0, depth.get(stack_of(name), 1.0))
        if factor != 1.0:
            module.register_forward_hook(OutputFactor(factor))
    for each in grown:
        factor = table.readout.forward(each.width, 1.0)
        for module in each.readouts if factor != 1.0 else ():
            module.register_forward_pre_hook(InputFactor(factor))


def notes(
    model: nn.Module, base: nn.Module, grown: Sequence[Grown], table: Parametrization, deeper: bool
) -> Iterator[Line]:
    """What the user should know or do."""
    if deeper and table.residual == ONE:
        yield Notice("the depth is not that of base: rates hold at other depths in completep or depth-mup, not here")
    width = max((each.width for each in grown), default=1.0)
    if table.attention and width != 1.0:
        yield from _attention(model, base, width, table.attention)
    tied = [each for each in grown if each.readouts]
    for each in tied:
        yield f"tied: {' = '.join(each.names)}; the input of the readout is multiplied by its factor"
    looked_up = [each.name for each in grown if each.role == "embed" and each.width != 1.0]
    factor = table.readout.forward(width, 1.0)
    if looked_up and factor != 1.0 and not tied and all(each.role != "readout" for each in grown):
        yield Notice(
            f"no tensor reads out. If the model computes its output from {listed(looked_up)} by F.linear or @, "
            f"multiply that output by {factor:.4g}, or let an nn.Linear share the weight"
        )


def _attention(model: nn.Module, base: nn.Module, width: float, power: float) -> Iterator[Line]:
    """Whether heads grow; attention logits are scaled for heads of one size."""
    known, grows, there = dict(base.named_modules()), dict[str, float](), False
    for name, module in model.named_modules():
        sizes, heads = (_pair(module, known.get(name), keys) for keys in (HEAD_SIZES, HEADS))
        if sizes or heads:
            there = True
            grows[template(name)] = sizes[0] / sizes[1] if sizes else width * heads[1] / heads[0] if heads else 1.0
    for name, ratio in grows.items():
        if ratio != 1.0:
            yield Notice(
                f"{name}: its heads grow {ratio:.4g} times. Keep d_head as in base (more heads), or multiply its "
                f"attention logits by {ratio**power:.4g} beside 1/sqrt(d_head)"
            )
    if not there:
        yield (
            "attention, if there is any: keep d_head as in base (more heads), or multiply its logits by "
            f"(d_head / d_head of base)^{power:g} beside 1/sqrt(d_head)"
        )


def _pair(module: nn.Module, base: nn.Module | None, keys: Sequence[str]) -> tuple[int, int] | None:
    """A number that both modules have under one of these names."""
    for key in keys:
        new, old = getattr(module, key, None), getattr(base, key, None)
        if isinstance(new, int) and isinstance(old, int) and new > 0 and old > 0:
            return new, old
    return None
