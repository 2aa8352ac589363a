"""One loss from another: between data sets, or from training to test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from scalefit.errors import IdentificationError, InputError
from scalefit.laws.law import Array, Law, Option, Parameter, Published, Variable

if TYPE_CHECKING:
    import pandas as pd

WITHOUT_LAW = ("auto", "none", "free")
LEAST = 1e-10  #: the smallest distance from the source's floor, as in arXiv:2502.12120


class LossToLoss(Law):
    """One loss from another by a shifted power law.

        L1 = E1 + K (L0 - E0)^kappa

    Train to train: two models of equal N and D, each trained and measured on its own data set (:func:`pair_runs`).
    Train to test: one model, its training loss and a loss elsewhere. Test to test: two models of equal N and D, one
    test set. L0 is the column ``loss_source``, L1 the target. The source first fits the law ``kaplan-floor`` to each
    loss and holds its floors (``fix={"E0": ..., "E1": ...}``, :func:`scalefit.fitting.stages.loss_to_loss`); a free
    fit of all four is the joint one.

    Source: arXiv:2411.12925; arXiv:2502.12120.
    """

    name = "loss-to-loss"
    source = "arXiv:2411.12925"
    needs = "pairs of losses that span the range of interest; to find the floors too, losses close to both of them"
    fails = (
        "a loss below the source's floor has no image; a wrong floor of the target spoils the extrapolation "
        "(ARC-Easy, MMLU: 3 to 10 %); another tokenizer or data set is another curve"
    )
    published = tuple(
        Published(
            f"arXiv:2411.12925, train to train from FineWeb-Edu to {name}",
            {"K": K, "kappa": kappa, "E0": 1.9669, "E1": E1},
        )
        for name, kappa, K, E1 in (
            ("FineWeb", 1.0005, 1.0144, 2.1700),
            ("ProofPile 2", 1.0663, 0.6049, 1.3191),
            ("SlimPajama", 0.9698, 1.0540, 1.9672),
            ("SmolLM", 1.0062, 1.0702, 1.5340),
            ("StarCoder", 1.1002, 0.6331, 0.8452),
        )
    )

    floors: ClassVar[Mapping[str, str]] = {"E0": "loss_source"}

    floors_of = Option(
        "auto",
        "whose irreducible losses are E0 and E1: those of a law of size and data that is fitted first to both losses "
        "(its name), none (both zero), free (fitted with the rest), or auto: a mixture, by their errors on held-out "
        "runs",
    )

    loss_source = Variable("nats/token", "loss from which the other is predicted", span=(2.2, 4.0))

    K = Parameter("nats/token^(1-kappa)", "slope", linear=True)
    E1 = Parameter("nats/token", "irreducible loss of the target", linear=True)
    E0 = Parameter("nats/token", "irreducible loss of the source", starts=(0.0, 3.0))
    kappa = Parameter("1", "exponent", high=10.0, starts=(0.2, 2.5))

    @property
    def held(self) -> Mapping[str, float]:
        """Both floors at zero, where there are to be none."""
        return {"E0": 0.0, "E1": 0.0} if self.options["floors_of"] == "none" else {}

    @property
    def stages(self) -> Mapping[str, tuple[str, str]]:
        """The floors of another law, where it is named."""
        law = self.options["floors_of"]
        return {} if law in WITHOUT_LAW else {"E0": (law, "loss_source"), "E1": (law, "")}

    def alternatives(self, others: Sequence[Law]) -> Sequence[Law]:
        """The floors of every law that has an irreducible loss, none, and both free."""
        if self.options["floors_of"] != "auto":
            return (self,)
        staged = [law.spec for law in with_a_floor(others)]
        return tuple(type(self)(floors_of=name) for name in ("none", "free", *staged))

    def check_fixed(self, variables: Mapping[str, Array], values: Array, fixed: Mapping[str, float]) -> None:
        """Refuse source losses at or below a held floor E0, and target losses at or below a held E1."""
        refuse_below_floor(variables["loss_source"], fixed.get("E0", 0.0))
        refuse_below_floor(values, fixed.get("E1", 0.0), "target", "E1")

    @staticmethod
    def formula(loss_source, K, E1, E0, kappa):
        above = loss_source - E0
        above = np.where(np.real(above) > LEAST, above, LEAST)
        return E1 + K * above**kappa


def with_a_floor(laws: Sequence[Law]) -> list[Law]:
    """Of some laws those of one loss that have an irreducible loss, which can be E0 and E1."""
    found = [law for law in laws if law.irreducible and not law.is_trajectory and law.target == "loss"]
    return [law for law in found if not isinstance(law, LossToLoss)]


def refuse_below_floor(losses: Array, floor: float, which: str = "source", name: str = "E0") -> None:
    """Raise :class:`IdentificationError` where a source (or target) loss lies at or below its irreducible loss."""
    below = np.asarray(losses) <= floor
    if np.any(below):
        reason = "where the law has no value" if which == "source" else "which the law never reaches"
        raise IdentificationError(
            f"{int(below.sum())} of {below.size} {which} losses lie at or below {name} = {floor:g} (the least is "
            f"{np.min(losses):g}), {reason}",
            where="law loss-to-loss",
            todo=f"hold an {name} below {np.min(losses):g} (fit the floor again with larger runs), or leave it free",
        )


def pair_runs(
    source: pd.DataFrame,
    target: pd.DataFrame,
    *,
    loss: str = "loss",
    on: Sequence[str] = ("N", "D"),
    rtol: float = 0.01,
) -> pd.DataFrame:
    """Pairs of runs with equal size and data: one row per pair, with ``loss_source`` and ``loss``.

    ``source`` and ``target`` have one row per run. Values of ``on`` are equal when they agree within ``rtol``
    (parameter counts differ a little between tokenizers). Where several runs agree the nearest is taken; runs without
    a partner are left out. Raises :class:`InputError` when none agree.

    >>> import pandas as pd
    >>> web = pd.DataFrame({"N": [1e8, 2e8], "D": [2e9, 2e9], "loss": [3.2, 3.0]})
    >>> code = pd.DataFrame({"N": [1e8, 4e8], "D": [2e9, 2e9], "loss": [1.6, 1.4]})
    >>> pair_runs(web, code)[["loss_source", "loss"]].to_numpy().tolist()
    [[3.2, 1.6]]
    """
    here = np.log(target[list(on)].to_numpy(dtype=float))
    there = np.log(source[list(on)].to_numpy(dtype=float))
    apart = np.abs(here[:, None, :] - there[None, :, :]).max(axis=2)
    nearest = apart.argmin(axis=1)
    close = apart[np.arange(len(here)), nearest] <= rtol
    if not close.any():
        raise InputError(
            f"no two runs agree in {' and '.join(on)}", where="pairing", todo="train the second family on the same grid"
        )
    pairs = target[close].reset_index(drop=True)
    found: pd.DataFrame = pairs.assign(
        loss_source=source[loss].to_numpy()[nearest[close]], loss=target[loss].to_numpy()[close]
    )
    return found


def line_above_floors(loss_source: Array, loss: Array, E0: float, E1: float) -> tuple[float, float]:
    """kappa and K of the straight line in log-log above two known floors: the source's own estimate.

    Least squares of ln(loss - E1) on ln(loss_source - E0); pairs near the floors weigh as much as those far above.
    Raises :class:`IdentificationError` for a loss at or below its floor.

    >>> x = np.array([2.5, 3.0, 4.0])
    >>> kappa, K = line_above_floors(x, 1.3 + 0.6 * (x - 2.0) ** 1.1, 2.0, 1.3)
    >>> round(kappa, 10), round(K, 10)
    (1.1, 0.6)
    """
    refuse_below_floor(loss_source, E0)
    refuse_below_floor(loss, E1, "target", "E1")
    kappa, log_K = np.polyfit(np.log(np.asarray(loss_source) - E0), np.log(np.asarray(loss) - E1), 1)
    return float(kappa), float(np.exp(log_K))
