"""The coordinate check: do activations keep their size as the model gets wider or deeper?

A few steps at a large learning rate, at several sizes: in a parametrisation that transfers, the mean size of
what each module puts out does not change with the size of the model once it has learned a little.
Source: arXiv:2203.03466, appendix D; in depth arXiv:2505.01618.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from scalefit.errors import InputError
from scalefit.proxy.config import Config
from scalefit.proxy.ensemble import Ensemble
from scalefit.proxy.models.parametrization import Parametrization

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
AXES = {"width": "d_model", "depth": "n_layer"}
MODULES = ("embed", "attention", "mlp", "residual", "logits")
# In depth a single branch may learn less the more of them there are; their sum, the residual stream, may not.
JUDGED = {"width": MODULES, "depth": ("embed", "residual", "logits")}


@dataclass(frozen=True)
class Coordinates:
    """What a coordinate check measured, per module.

    ``size[module]``: mean |x|, (sizes, steps, seeds); ``slope[module]``: of its log against log size, one a
    step, from means over seeds. A module passes when |slope| stays under ``gate`` at every step from ``first`` on.
    """

    axis: str
    sizes: tuple[int, ...]
    size: dict[str, Floats]
    slope: dict[str, Floats]
    gate: float
    first: int

    @property
    def worst(self) -> dict[str, float]:
        """Of each module that is judged on this axis, the slope farthest from zero from step ``first`` on."""
        late = {module: self.slope[module][self.first - 1 :] for module in JUDGED[self.axis]}
        return {module: float(slope[np.argmax(np.abs(slope))]) for module, slope in late.items()}

    @property
    def table(self) -> pd.DataFrame:
        """One row a module, size, step and seed, of the modules that are judged: ``mean_abs`` is mean |x|."""
        import pandas as pd

        rows = [
            (module, size, step + 1, seed, value)
            for module in JUDGED[self.axis]
            for size, by_step in zip(self.sizes, self.size[module], strict=True)
            for step, by_seed in enumerate(by_step)
            for seed, value in enumerate(by_seed)
        ]
        return pd.DataFrame(rows, columns=["module", AXES[self.axis], "step", "seed", "mean_abs"])

    @property
    def worst_step(self) -> dict[str, int]:
        """The step of each slope in ``worst``, counted from 1."""
        late = {module: np.abs(self.slope[module][self.first - 1 :]) for module in JUDGED[self.axis]}
        return {module: int(np.argmax(slope)) + self.first for module, slope in late.items()}

    @property
    def passed(self) -> dict[str, bool]:
        """Verdict by module; a slope that is not finite fails."""
        return {module: bool(abs(slope) < self.gate) for module, slope in self.worst.items()}

    @property
    def ok(self) -> bool:
        """True when every module passed."""
        return all(self.passed.values())

    @property
    def lines(self) -> list[str]:
        """The verdict in words, a line a module."""
        what = f"slope of log mean |x| in log {AXES[self.axis]}"
        return [
            f"{'pass' if self.passed[module] else 'FAIL'}  {module:<9} {what}: {slope:+.3f}"
            for module, slope in self.worst.items()
        ]


def coordinate_check(
    config: Config,
    sizes: Sequence[int],
    *,
    axis: str = "width",
    seeds: int = 3,
    steps: int = 8,
    first: int = 3,
    gate: float = 0.1,
    table: Parametrization | None = None,
) -> Coordinates:
    """Train ``config`` for a few steps at each of ``sizes`` along ``axis`` ("width" or "depth").

    The learning rate is held constant from the first step and should be larger than a training rate (.02 for
    Adam at d_model 32): a small one passes wrong code. The readout starts at zero for width (a random one
    shrinks as the model widens, which is allowed but hides the slope) and random for depth (so that all blocks
    learn from the first step). ``table`` checks a parametrisation of your own. Raises InputError for fewer than
    two sizes and for steps that end before ``first``.
    """
    if axis not in AXES or len(set(sizes)) < 2 or steps < first:
        raise InputError(
            f"no slope from sizes {list(sizes)} along {axis!r} in {steps} steps",
            todo=f"give two sizes or more, axis width or depth, and at least {first} steps",
        )
    measured = []
    for n in sizes:
        changes: dict[str, Any] = {
            AXES[axis]: n,
            "steps": steps,
            "warmup": 0,
            "schedule": "constant",
            "zero_readout": axis == "width",
        }
        members = [replace(config, seed=seed, **changes) for seed in range(seeds)]
        measured.append(_measure(members, table))
    size = {module: np.stack([one[module] for one in measured]) for module in MODULES}
    slope = {module: slopes(sizes, values) for module, values in size.items()}
    return Coordinates(axis, tuple(sizes), size, slope, gate, first)


def slopes(sizes: Sequence[int], values: Floats) -> Floats:
    """Least-squares slope of log mean-over-seeds against log size at each step, (steps,); NaN where a mean is zero.

    ``values``: (sizes, steps, seeds).
    """
    x = np.log(np.asarray(sizes, dtype=float))
    x -= x.mean()
    means = values.mean(-1)
    log = np.log(means, out=np.full(means.shape, np.nan), where=means > 0)
    return np.asarray(x @ log / (x @ x))


def _measure(members: list[Config], table: Parametrization | None) -> dict[str, Floats]:
    """Mean |x| by module, (steps, seeds)."""
    ensemble = Ensemble(members, members[0].factors(table))
    found: dict[str, list[Floats]] = defaultdict(list)
    for _ in range(members[0].steps):
        watch = Watch()
        ensemble.update(watch)
        for module in MODULES:
            found[module].append(watch.mean(module))
    return {module: np.stack(values) for module, values in found.items()}


class Watch:
    """Mean |x| of each module in one forward pass: blocks averaged, and of the residual stream the last."""

    def __init__(self) -> None:
        self.seen: dict[str, list[Tensor]] = defaultdict(list)

    def __call__(self, name: str, value: Tensor) -> None:
        """Take one tensor of the forward pass."""
        names = {"embed": "embed", "output_logit": "logits"}
        names |= {"attention_out": "attention", "mlp_out": "mlp", "mlp_residual": "residual"}
        module = names.get(name.rpartition(".")[2])
        if module:
            self.seen[module].append(value.detach().abs().flatten(1).mean(1))

    def mean(self, module: str) -> Floats:
        """(K,)."""
        values = self.seen[module][-1:] if module == "residual" else self.seen[module]
        return np.asarray(torch.stack(values).mean(0).double().cpu().numpy())
