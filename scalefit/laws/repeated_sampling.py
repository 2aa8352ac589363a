"""Coverage of tasks in the number of samples drawn for each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from scalefit.errors import InputError
from scalefit.laws.law import Array, Law, Option, Parameter, Variable
from scalefit.numerics import FloatArray


def pass_at_k(correct: Any, samples: Any, k: Any) -> FloatArray:
    """The unbiased share of sets of k samples with a correct one: 1 - C(n - c, k)/C(n, k), for c of n correct.

    ``correct`` and ``samples`` hold one entry a task, (tasks,), ``k`` is a number or (K,); the result is (tasks,) or
    (tasks, K), and its mean over the tasks is the coverage that the law ``repeated-sampling`` reads. 1 - (1 - c/n)^k,
    which is often computed in its place, is too high. Raises :class:`InputError` where k passes the number of samples.

    >>> pass_at_k([1, 0, 10], [10, 10, 10], [1, 2]).round(12).tolist()
    [[0.1, 0.2], [0.0, 0.0], [1.0, 1.0]]
    """
    from scipy.stats import hypergeom  # slow to load

    c, n = np.broadcast_arrays(np.asarray(correct, dtype=float), np.asarray(samples, dtype=float))
    ks = np.asarray(k, dtype=float)
    if np.any(ks[..., None] > n) or np.any(ks < 1) or np.any(c > n) or np.any(c < 0):
        raise InputError(
            "k lies outside 1 to the number of samples, or more samples are correct than were drawn",
            where="pass_at_k",
            todo="draw more samples of each task, or ask for a smaller k",
        )
    spread = (..., *([None] * ks.ndim))
    return np.asarray(hypergeom.sf(0, n[spread], c[spread], ks))


def _log_rising(x: Any, a: Any) -> Any:
    """ln Gamma(x + a) - ln Gamma(x) for x, a > 0, without their cancellation: Stirling's series at x + 10."""
    z = x + 10.0

    def series(z: Any) -> Any:
        return 1 / (12 * z) - 1 / (360 * z**3) + 1 / (1260 * z**5) - 1 / (1680 * z**7) + 1 / (1188 * z**9)

    shifted = (z - 0.5) * np.log1p(a / z) + a * np.log(z + a) - a + series(z + a) - series(z)
    return shifted - sum(np.log1p(a / (x + i)) for i in range(10))


class RepeatedSampling(Law):
    """Coverage, the share of tasks solved by at least one of k samples, in k.

        c(k) = exp(-A k^-b), or 1 - E[(1 - p)^k] with form=beta

    k is the column ``samples``. ``form=power`` is the source's; it promises that every task is solved in the end.
    ``form=beta`` is exact where the chance p of one sample is spread over tasks as a beta distribution of shapes p_a
    and p_b: 1 - B(p_a, p_b + k)/B(p_a, p_b), which closes as the power k^-p_a. Count coverage without bias
    (:func:`pass_at_k`).

    Source: arXiv:2407.21787, equation 1; arXiv:2502.17578 for the mean over tasks.
    """

    name = "repeated-sampling"
    source = "arXiv:2407.21787"
    target = "coverage"
    target_unit = "1"
    log_residuals = False
    needs = "coverage at five or more numbers of samples, over two decades, of one model and one set of tasks"
    fails = (
        "tasks that no sample ever solves: neither form has them, so that coverage is promised to reach 1; "
        "coverage is not accuracy where nothing can tell the correct sample from the others"
    )

    form = Option("power", "the source's form, or a beta distribution of chances", ("power", "beta"))

    samples = Variable("samples", "samples drawn for each task", span=(1.0, 1e4))

    A = Parameter("1", "minus the logarithm of coverage with one sample", high=50.0, starts=(0.1, 10.0))
    b = Parameter("1", "exponent of the number of samples", high=5.0, starts=(0.05, 1.5))
    p_a = Parameter(
        "1", "first shape of the chances: how many tasks are nearly hopeless", high=50.0, starts=(0.05, 3.0)
    )
    p_b = Parameter("1", "second shape of the chances: how few tasks are nearly certain", high=1e6, starts=(0.3, 100.0))

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        """A and b, or the shapes of the beta distribution."""
        kept = ("A", "b") if self.options["form"] == "power" else ("p_a", "p_b")
        return {name: super(RepeatedSampling, self).parameters[name] for name in kept}

    def check_target(self, variables: Mapping[str, Array], values: Array) -> None:
        """Refuse values that are no share of tasks."""
        if np.any(values < 0) or np.any(values > 1):
            worst = values[(values < 0) | (values > 1)][0]
            raise InputError(
                f"a coverage of {worst:g} is no share of tasks",
                where=f"law {self.name}",
                todo="divide percentages by 100",
            )

    @staticmethod
    def formula(samples, A=None, b=None, p_a=None, p_b=None):
        if p_a is None:
            return np.exp(-A * samples**-b)
        return 1 - np.exp(_log_rising(p_b, p_a) - _log_rising(p_b + samples, p_a))
