"""A coordinate check of a torch model of your own: what each module puts out at several sizes, step by step.

Models of several sizes take a few steps. Of every module two root mean squares are recorded on a fixed batch: that of
its output, and that of the change of its output since initialisation. In a parametrisation that transfers, neither
depends on the size. Source: arXiv:2203.03466, appendix D.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from scalefit.errors import InputError
from scalefit.proxy.own.parametrize import Parametrized, parametrize
from scalefit.proxy.own.roles import match

if TYPE_CHECKING:
    import pandas as pd

GATE = 0.25  #: half of the slope that a single missing factor gives: a slope nearer to zero than to 1/2 is flat
SEEDS, LR = 8, 0.01
AXES = {"width": "d_model", "depth": "n_layer"}
COLUMNS = ["step", "seed", "rms", "change"]
Found = dict[str, tuple[float, float]]
Outputs = dict[str, list[Tensor]]
HELD_OUT = 2**31  #: seed of the batch on which outputs are compared
LOSS = "loss(model, generator), which returns the scalar loss on a batch that is drawn with the generator"
#: what a user's file may raise
FAILURES = (
    *(SyntaxError, ImportError, NameError, AttributeError, TypeError, ValueError, LookupError),
    *(ArithmeticError, AssertionError, OSError, RuntimeError, NotImplementedError, SystemExit),
)


@dataclass(frozen=True)
class ModelFile:
    """What a file says of a model: how it is built at a size, its loss on a random batch, its roles and branches."""

    build: Callable[[int], nn.Module]
    loss: Callable[[nn.Module, torch.Generator], Tensor]
    roles: Mapping[str, str]
    branches: Sequence[str]
    where: str


def read_model_file(text: str) -> ModelFile:
    """The functions of ``"mymodel.py:build"``: ``build(size)``, and beside it ``loss(model, generator)``, a scalar on a
    batch that is drawn with the generator; ``roles`` and ``branches``, if it has them, are those of `parametrize`.

    Raises InputError for a file that cannot be run, and for a function that is missing.
    """
    path, _, name = text.partition(".py:")
    place = Path(path if path.endswith(".py") else f"{path}.py")
    if not place.is_file():
        raise InputError("no such file", where=str(place), todo="give a Python file: mymodel.py:build")
    module = _run_file(place)
    name = name or "build"
    for missing, todo in ((name, f"{name}(size), which returns a torch.nn.Module"), ("loss", LOSS)):
        if not callable(getattr(module, missing, None)):
            raise InputError(f"it has no function {missing}", where=str(place), todo=f"define {todo}")
    roles, branches = getattr(module, "roles", {}), getattr(module, "branches", [])
    if not isinstance(roles, dict):
        raise InputError("roles is no dictionary", where=str(place), todo='write roles = {"head.*": "readout"}')
    if not isinstance(branches, list | tuple):
        raise InputError("branches is no list", where=str(place), todo='write branches = ["blocks.*.attn"]')
    return ModelFile(getattr(module, name), module.loss, roles, branches, str(place))


def _run_file(place: Path) -> ModuleType:
    """The module of a file, which may import what lies beside it."""
    spec = importlib.util.spec_from_file_location(f"scalefit_user_{place.stem}", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    sys.path.insert(0, str(place.parent.resolve()))
    try:
        spec.loader.exec_module(module)
    except FAILURES as error:
        raise InputError(f"{type(error).__name__}: {error}", where=str(place), todo="mend the file") from error
    finally:
        sys.path.remove(str(place.parent.resolve()))
    return module


def activations(
    own: ModelFile,
    sizes: Sequence[int],
    parametrization: str = "mup",
    *,
    axis: str = "width",
    seeds: int = SEEDS,
    steps: int = 8,
    lr: float = LR,
    optimizer: str = "adamw",
) -> pd.DataFrame:
    """One row for each module, size, step and seed: root mean square of its output, and of the change of it.

    The smallest size is the base. Readouts begin at zero: random ones shrink as the model widens, which is allowed but
    hides the slope. Dropout is off while outputs are measured. Along depth, modules inside residual branches are left
    out: one of many branches may learn less. Raises InputError for fewer than two sizes, and for a
    model that fails, with its message.
    """
    import pandas as pd

    if len(set(sizes)) < 2 or min(sizes) < 1 or steps < 1 or axis not in AXES:
        what = f"no slope can be measured from sizes {list(sizes)} along {axis!r} in {steps} steps"
        raise InputError(what, todo="give at least two sizes, at least one step, and the axis width or depth")
    inside = [each for pattern in own.branches for each in (pattern, f"{pattern}.*")]
    rows = [
        (module, size, step, seed, rms, change)
        for seed in range(seeds)
        for size in sizes
        for step, found in enumerate(_train(own, size, sizes, parametrization, seed, steps, lr, optimizer), start=1)
        for module, (rms, change) in found.items()
        if axis == "width" or not any(fnmatchcase(module, pattern) for pattern in inside)
    ]
    return pd.DataFrame(rows, columns=["module", AXES[axis], *COLUMNS])


def _train(
    own: ModelFile,
    size: int,
    sizes: Sequence[int],
    parametrization: str,
    seed: int,
    steps: int,
    lr: float,
    optimizer: str,
) -> Iterator[Found]:
    """Root mean squares of a run after each of its steps."""
    with torch.random.fork_rng(devices=[]):
        model, base, largest = (_built(own, seed, each) for each in (size, min(sizes), max(sizes)))
        readouts = {each.name for each in match(largest, base, own.roles) if each.role == "readout"}
        scaled = parametrize(model, base, parametrization, optimizer=optimizer, roles=own.roles, branches=own.branches)
        with torch.no_grad():
            for each in scaled.tensors:
                if each.grown.name in readouts:
                    each.grown.value.zero_()
        del base, largest
        yield from _steps(own, model, scaled, seed, steps, lr)


def _steps(own: ModelFile, model: nn.Module, scaled: Parametrized, seed: int, steps: int, lr: float) -> Iterator[Found]:
    torch.manual_seed(seed)
    kind = torch.optim.SGD if scaled.optimizer == "sgd" else torch.optim.AdamW
    stepping = kind(scaled.groups(lr, weight_decay=0.0))
    generator, shown = torch.Generator().manual_seed(seed), _shown(model)
    first = _outputs(own, model, seed)
    for _ in range(steps):
        stepping.zero_grad()
        loss = _called(own, own.loss, None, model, generator)
        if not isinstance(loss, Tensor) or loss.numel() != 1:
            raise InputError("loss(model, generator) returns no scalar tensor", where=own.where, todo="return its mean")
        loss.backward()
        stepping.step()
        yield _changes(_outputs(own, model, seed), first, shown)


def _changes(now: Outputs, first: Outputs, shown: Mapping[str, str]) -> Found:
    """Root mean squares of outputs and of their changes, over the layers that are shown under one name."""
    found: dict[str, list[float]] = {}
    for name in (name for name in now if name in first):
        total = found.setdefault(shown[name], [0.0, 0.0, 0.0])
        for new, old in zip(now[name], first[name], strict=True):
            for at, value in enumerate((new, new - old)):
                total[at] += float(value.double().square().sum())
            total[2] += new.numel()
    return {name: ((rms / n) ** 0.5, (change / n) ** 0.5) for name, (rms, change, n) in found.items() if n}


def _shown(model: nn.Module) -> dict[str, str]:
    """The name under which each module is shown: the layers of a list of blocks share one, blocks.*.mlp.0."""
    modules, shown = dict(model.named_modules()), {"": "(output)"}
    for name in modules:
        parts = name.split(".")
        for at, part in enumerate(parts):
            parent = modules[".".join(name.split(".")[:at])]
            kinds = {type(child) for child in parent.children()}
            blocks = [child for child in parent.children() if list(child.children())]
            if part.isdigit() and len(kinds) == 1 and len(blocks) > 1:
                parts[at] = "*"
        shown.setdefault(name, ".".join(parts))
    return shown


def _built(own: ModelFile, seed: int, size: int) -> nn.Module:
    model = _called(own, own.build, seed, size)
    if not isinstance(model, nn.Module):
        what = f"{own.build.__name__}({size}) returns {type(model).__name__}"
        raise InputError(what, where=own.where, todo="return a torch.nn.Module")
    return model


def _called(own: ModelFile, function: Callable[..., Any], seed: int | None, *arguments: Any) -> Any:
    """What a function of the file returns; its failure in one line."""
    if seed is not None:
        torch.manual_seed(seed)
    try:
        return function(*arguments)
    except FAILURES as error:
        said = ", ".join(str(each) if isinstance(each, int) else type(each).__name__ for each in arguments)
        what = f"{function.__name__}({said}): {type(error).__name__}: {error}"
        raise InputError(what, where=own.where, todo="mend the file") from error


def _outputs(own: ModelFile, model: nn.Module, seed: int) -> Outputs:
    """Every tensor that each module puts out on the fixed batch, by name; one that a module hands on is its maker's."""
    found: Outputs = {}
    hooks, made = [], list[Tensor]()
    for name, module in model.named_modules():

        def keep(_: nn.Module, __: Any, output: Any, name: str = name) -> None:
            fresh = [each for each in _tensors(output) if not any(each is other for other in made)]
            made.extend(fresh)
            found.setdefault(name, []).extend(each.detach().float().clone() for each in fresh)

        hooks.append(module.register_forward_hook(keep))
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        with torch.no_grad():
            _called(own, own.loss, None, model, torch.Generator().manual_seed(HELD_OUT + seed))
    finally:
        for handle in hooks:
            handle.remove()
        for module in training:
            module.training = True
    return found


def _tensors(output: Any) -> Iterator[Tensor]:
    """The floating-point tensors of an output, however it is nested."""
    if isinstance(output, Tensor):
        if output.is_floating_point():
            yield output
    elif isinstance(output, Mapping):
        for each in output.values():
            yield from _tensors(each)
    elif isinstance(output, list | tuple):
        for each in output:
            yield from _tensors(each)
