"""The coordinate check: do activations keep their size as the model gets wider or deeper?

Models of several sizes take a few steps at a large learning rate. In a parametrisation that transfers, the mean
size of each module's output does not depend on the size of the model, even after these steps.
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
RECORDED = {"embed": "embed", "attention_out": "attention", "mlp_out": "mlp", "mlp_residual": "residual"}
RECORDED |= {"output_logit": "logits"}
MODULES = tuple(RECORDED.values())
#: with depth a single branch may learn less the more branches there are, but their sum, the residual stream, may not
JUDGED = {"width": MODULES, "depth": ("embed", "residual", "logits")}


@dataclass(frozen=True)
class Coordinates:
    """What a coordinate check measured, per module.

    ``size[module]``: mean |x|, (sizes, steps, seeds); ``slope[module]``: slope of its logarithm against log size at
    each step, (steps,), from means over seeds. A module passes if |slope| < ``gate`` at every step from ``first`` on.
    """

    axis: str
    sizes: tuple[int, ...]
    size: dict[str, Floats]
    slope: dict[str, Floats]
    gate: float
    first: int

    @property
    def worst(self) -> dict[str, float]:
        """The slope farthest from zero from step ``first`` on, of each module that is judged on this axis."""
        return {module: float(self.slope[module][step - 1]) for module, step in self.worst_step.items()}

    @property
    def table(self) -> pd.DataFrame:
        """One row per judged module, size, step and seed; ``mean_abs`` is mean |x|."""
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
        """The step of each slope in ``worst``; the first step is 1."""
        late = {module: np.abs(self.slope[module][self.first - 1 :]) for module in JUDGED[self.axis]}
        return {module: int(np.argmax(slope)) + self.first for module, slope in late.items()}

    @property
    def passed(self) -> dict[str, bool]:
        """Whether each module passed; a slope that is not finite fails."""
        return {module: bool(abs(slope) < self.gate) for module, slope in self.worst.items()}

    @property
    def ok(self) -> bool:
        """True when every module passed."""
        return all(self.passed.values())

    @property
    def lines(self) -> list[str]:
        """The verdict as text, one line per module."""
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

    The learning rate is constant from the first step and should be larger than one for training (.02 for Adam at
    d_model 32): with a small one, wrong code passes. The readout starts at zero for width (a random one shrinks as
    the model widens, which is allowed but hides the slope) and at random for depth (so that all blocks learn from
    the first step). ``table`` checks a parametrisation of your own. Raises InputError for fewer than two sizes or
    fewer steps than ``first``.
    """
    if axis not in AXES or len(set(sizes)) < 2 or steps < first:
        raise InputError(
            f"no slope can be measured from sizes {list(sizes)} along {axis!r} in {steps} steps",
            todo=f"give at least two sizes, the axis width or depth, and at least {first} steps",
        )
    config = replace(config, steps=steps, warmup=0, schedule="constant", zero_readout=axis == "width")
    measured = []
    for n in sizes:
        size: dict[str, Any] = {AXES[axis]: n}
        measured.append(_measure([replace(config, seed=seed, **size) for seed in range(seeds)], table))
    found = {module: np.stack([one[module] for one in measured]) for module in MODULES}
    slope = {module: slopes(sizes, values) for module, values in found.items()}
    return Coordinates(axis, tuple(sizes), found, slope, gate, first)


def slopes(sizes: Sequence[int], values: Floats) -> Floats:
    """Least-squares slope of the log of the mean over seeds against log size at each step, (steps,); NaN where a mean
    is zero. ``values``: (sizes, steps, seeds)."""
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
    """Records mean |x| of each module in one forward pass: the mean over blocks, but the last residual stream."""

    def __init__(self) -> None:
        self.seen: dict[str, list[Tensor]] = defaultdict(list)

    def __call__(self, name: str, value: Tensor) -> None:
        """Take one tensor of the forward pass."""
        if module := RECORDED.get(name.rpartition(".")[2]):
            self.seen[module].append(value.detach().abs().flatten(1).mean(1))

    def mean(self, module: str) -> Floats:
        """Of one module, (K,)."""
        values = self.seen[module][-1:] if module == "residual" else self.seen[module]
        return np.asarray(torch.stack(values).mean(0).double().cpu().numpy())
