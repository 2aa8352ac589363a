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
from scalefit.notices import Line, Notice
from scalefit.numerics import flatness, slope_of
from scalefit.proxy.config import Config
from scalefit.proxy.ensemble import Ensemble
from scalefit.proxy.models.parametrization import Parametrization

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
AXES = {"width": "d_model", "depth": "n_layer"}
FIRST, LEVEL = 3, 0.90  #: steps after which growth shows; of the intervals
RECORDED = {"embed": "embed", "attention_out": "attention", "mlp_out": "mlp", "mlp_residual": "residual"}
RECORDED |= {"output_logit": "logits"}
MODULES = tuple(RECORDED.values())
#: with depth a single branch may learn less the more branches there are, but their sum, the residual stream, may not
JUDGED = {"width": MODULES, "depth": ("embed", "residual", "logits")}


@dataclass(frozen=True)
class Coordinates:
    """What a coordinate check measured, per module.

    ``size[module]``: mean |x|, (sizes, steps, seeds); ``slope[module]``: slope of its logarithm against log size at
    each step, with the ends of its interval, (steps, 3). The last step is judged, as growth shows after some steps.
    """

    axis: str
    sizes: tuple[int, ...]
    size: dict[str, Floats]
    slope: dict[str, Floats]
    gate: float

    @property
    def last(self) -> dict[str, Floats]:
        """Slope and ends of its interval at the last step, of each module that is judged on this axis."""
        return {module: self.slope[module][-1] for module in JUDGED[self.axis]}

    @property
    def verdict(self) -> dict[str, str]:
        """flat, grows, shrinks, undecided or not finite: see `scalefit.numerics.flatness`."""
        return {module: flatness(ends[0], ends[1], ends[2], self.gate) for module, ends in self.last.items()}

    @property
    def ok(self) -> bool:
        """True when every module keeps its size."""
        return set(self.verdict.values()) == {"flat"}

    @property
    def failed(self) -> list[str]:
        """The modules that do not keep their size; of the others some may be undecided."""
        return [module for module, verdict in self.verdict.items() if verdict not in ("flat", "undecided")]

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
    def lines(self) -> list[Line]:
        """The verdict as text: of all modules, then one line per module."""
        runs = "more seeds (--seeds) or steps would decide it"
        head = "pass: every module keeps its size" if self.ok else f"undecided: {runs}"
        head = "FAIL: the learning rate will not transfer" if self.failed else head
        what = f"slope of log mean |x| in log {AXES[self.axis]} at the last step"
        told = [f"{self.verdict[name]:<10} {name:<9} {what}: {_told(ends)}" for name, ends in self.last.items()]
        none = all(np.isnan(ends[1]) for ends in self.last.values())
        return [
            head,
            *told,
            *[Notice("no interval: two sizes and one seed leave no scatter; add sizes or seeds")] * none,
        ]


def _told(ends: Floats) -> str:
    slope, low, high = ends.tolist()
    return f"{slope:+.3f}" + (f" [{low:+.3f}, {high:+.3f}]" if np.isfinite(low) else "")


def coordinate_check(
    config: Config,
    sizes: Sequence[int],
    *,
    axis: str = "width",
    seeds: int = 3,
    steps: int = 8,
    gate: float = 0.1,
    table: Parametrization | None = None,
) -> Coordinates:
    """Train ``config`` for a few steps at each of ``sizes`` along ``axis`` ("width" or "depth").

    The learning rate is constant from the first step and should be larger than one for training (.02 for Adam at
    d_model 32): with a small one, wrong code passes. The readout starts at zero for width (a random one shrinks as
    the model widens, which is allowed but hides the slope) and at random for depth (so that all blocks learn from
    the first step). Intervals are Student's, of 90 %, from the scatter of seeds and sizes about the line: one seed and
    few sizes leave many slopes undecided. ``table`` checks a parametrisation of your own. Raises InputError for fewer
    than two sizes or fewer than three steps.
    """
    if axis not in AXES or len(set(sizes)) < 2 or steps < FIRST:
        raise InputError(
            f"no slope can be measured from sizes {list(sizes)} along {axis!r} in {steps} steps",
            todo=f"give at least two sizes, the axis width or depth, and at least {FIRST} steps",
        )
    config = replace(config, steps=steps, warmup=0, schedule="constant", zero_readout=axis == "width")
    measured = []
    for n in sizes:
        size: dict[str, Any] = {AXES[axis]: n}
        measured.append(_measure([replace(config, seed=seed, **size) for seed in range(seeds)], table))
    found = {module: np.stack([one[module] for one in measured]) for module in MODULES}
    slope = {module: slopes(sizes, values) for module, values in found.items()}
    return Coordinates(axis, tuple(sizes), found, slope, gate)


def slopes(sizes: Sequence[int], values: Floats) -> Floats:
    """Slope of log mean |x| against log size at each step and the ends of its interval, (steps, 3); NaN where a value
    is zero or not finite. ``values``: (sizes, steps, seeds)."""
    count, steps, seeds = values.shape
    x, seed = np.repeat(np.log(np.asarray(sizes, dtype=float)), seeds), np.tile(np.arange(seeds), count)
    log = np.log(values, out=np.full(values.shape, np.nan), where=values > 0)
    return np.array([slope_of(x, log[:, step].ravel(), seed, LEVEL) for step in range(steps)])


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
