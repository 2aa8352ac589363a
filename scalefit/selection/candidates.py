"""The laws that could explain these runs, found from their declarations: no list of names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from scalefit.diagnosis.identifiable import Identified, identify
from scalefit.laws import Law, find_law
from scalefit.runs import Runs
from scalefit.runs.columns import COLUMNS


@dataclass(frozen=True)
class Candidates:
    """The laws to be compared, each as the forms among which its data choose, and why others are left out."""

    laws: tuple[tuple[Law, ...], ...]
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def specs(self) -> list[str]:
        """The first form of each law, by its specification."""
        return [forms[0].spec for forms in self.laws]


def candidates_for(runs: Runs, target: str | None = None) -> Candidates:
    """Every law of the registry that explains the target and that these runs identify.

    Laws that were fitted with a warning, and laws of a loss in another unit, only where there is no other. Runs of
    several sizes, each with its own amount of data, are left to laws of size and data; other curves under different
    schedules to the laws along them, since no law in one variable fits those. Where curves identify no law along a
    schedule, ``left_out`` says why.
    """
    known = [one for one in identify(runs, target) if explains(one, target)]
    able = [one for one in known if one.can]
    names = [one.law for one in able if not one.doubts] or [one.law for one in able]
    laws = _of_this_unit([find_law(name) for name in names])
    sizes = [law for law in laws if not law.is_trajectory and _reads_size_and_data(law)]
    along = [law for law in laws if law.is_trajectory]
    if along and sizes and runs.table["N"].nunique() > 1:
        along, laws = [], [law for law in laws if not law.is_trajectory]
    elif along:
        laws = along
    refused = {}
    if runs.curves is not None and not along and not sizes:
        refused = {one.law: one.reason for one in known if not one.can and find_law(one.law).is_trajectory}
    return Candidates(tuple(forms_of(law) for law in sorted(laws, key=lambda law: len(law.parameters))), refused)


def _of_this_unit(laws: list[Law]) -> list[Law]:
    """Of laws of a loss those of cross-entropies: a law of another loss is a candidate where there is no other."""
    unit = COLUMNS["loss"].unit
    return [law for law in laws if law.target != "loss" or law.target_unit == unit] or laws


def explains(one: Identified, target: str | None) -> bool:
    """Whether a law explains the target: its own, or any score where another column was asked for."""
    return find_law(one.law).target == "loss" if target is None else not one.reason.startswith("it explains")


def forms_of(law: Law) -> tuple[Law, ...]:
    """The law with each of the values that its options declare as ``profiled``: the data choose among them."""
    found = [law]
    for name, option in law.declaration.options.items():
        if option.profiled and law.options[name] == option.default:
            values = dict.fromkeys((option.default, *option.profiled))
            found = [type(law)(**{**each.options, name: value}) for each in found for value in values]
    return tuple(found)


def _reads_size_and_data(law: Law) -> bool:
    return {"N", "D"} <= {*law.columns.values()}


def told(reasons: dict[str, str]) -> Sequence[str]:
    """Each reason once, after the names of the laws that are left out for it."""
    found: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        found.setdefault(reason.replace(f" of {name}:", ":").replace(f"law {name} ", "the law "), []).append(name)
    return [f"{', '.join(names)}: {reason}" for reason, names in found.items()]
