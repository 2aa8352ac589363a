"""What a law is: a class whose body declares variables, parameters and a formula. Nothing else is needed.

The solver reads the declaration; it knows no law, and a law knows no solver.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from scalefit.duals import differentiated
from scalefit.errors import InputError
from scalefit.laws.base import Base
from scalefit.numerics import complex_step, nearest_names

Array = Any
Span = tuple[float, float]


@dataclass(frozen=True)
class Variable:
    """A column that the law reads: unit, meaning, and the span in which the contract test draws values."""

    unit: str
    meaning: str
    span: Span = (1.0, 100.0)
    positive: bool = True  #: whether values at or below zero are refused
    share: str = ""  #: "part" of one, or "whole": with the others of its kind it makes up one
    may_be_constant: bool = False  #: whether rows that all hold one value of it can still identify the law
    many: bool = False  #: whether a row holds several values of it: (n, K), the law sums over the last axis
    weighs: bool = False  #: of ``many``: whether the law is linear in it, so that fewer values can stand for them all
    absent: float = 0.0  #: what fills the rows of ``many`` that have fewer values than others


@dataclass(frozen=True)
class Parameter:
    """A number that the fit finds.

    ``low`` and ``high`` are its domain. ``starts`` is the range in which the search begins (evenly in the logarithm
    if the parameter is positive and spans over a decade); the name of a variable stands for its range in the data.
    ``linear=True`` says that the law is linear in it, jointly with the others: it is solved for and needs no start.
    """

    unit: str
    meaning: str
    low: float = 0.0
    high: float = math.inf
    starts: Span | str | None = None
    linear: bool = False


@dataclass(frozen=True)
class Option:
    """A fixed choice of a law (a discount, a convention), given as ``annealing:decay=0.9995``."""

    default: Any
    meaning: str
    choices: tuple[Any, ...] = ()
    profiled: tuple[Any, ...] = ()  #: values among which the misfit chooses where the law is not named by the user
    judged: tuple[Any, ...] = ()  #: values tried beside the default on held-out runs where no law is named

    def read(self, name: str, value: Any, law: str) -> Any:
        """Convert a value (text from the command line, or a Python value) to the type of the default."""
        kind = type(self.default)
        try:
            value = value if kind is str or not isinstance(value, str) else kind(float(value))
            value = kind(value)
        except (TypeError, ValueError):
            raise InputError(
                f"{value!r} is not a {kind.__name__}", where=f"law {law}, option {name}", todo=self.meaning
            ) from None
        if self.choices and value not in self.choices:
            raise InputError(
                f"{value!r} is not known",
                where=f"law {law}, option {name}",
                todo=f"choose one of {', '.join(map(str, self.choices))}",
            )
        return value


@dataclass(frozen=True)
class Published:
    """Constants that a source states, and values that the law must give with them (a test vector)."""

    source: str
    parameters: Mapping[str, float]
    values: tuple[tuple[Mapping[str, float | tuple[float, ...]], float], ...] = ()
    rtol: float = 1e-6


@dataclass(frozen=True)
class Declaration:
    """Everything that a law's class body declares, gathered once when the class is made."""

    variables: Mapping[str, Variable] = field(default_factory=dict)
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    options: Mapping[str, Option] = field(default_factory=dict)


class Law:
    """Base of every law; subclasses declare, they do not compute.

    A subclass states ``name``, ``source``, its :class:`Variable` s and :class:`Parameter` s, and a static method
    ``formula`` of all of them by name, built of NumPy operations that broadcast: variables come as ``(n,)``, parameters
    as ``(B, 1)``, the result is ``(B, n)``. Derivatives follow (:mod:`scalefit.duals`, or complex steps).
    A trajectory law also has ``along(lr, warmup)``, which computes its variables at every step from the learning rate
    at every step. One whose rows hold several values of a variable (``many=True``: one for each earlier change of the
    learning rate), or that also needs other facts of the run (``path_columns``), overrides ``at_steps``.
    """

    name: ClassVar[str] = ""
    source: ClassVar[str] = ""
    target: ClassVar[str] = "loss"
    target_unit: ClassVar[str] = "nats/token"
    published: ClassVar[Sequence[Published]] = ()
    needs: ClassVar[str] = ""  #: which runs identify the law
    fails: ClassVar[str] = ""  #: known failure modes
    log_residuals: ClassVar[bool] = True  #: whether its target is positive, so that residuals are logarithms
    path_columns: ClassVar[Sequence[str]] = ()  #: columns of a run, besides its learning rate, that ``at_steps`` takes
    alike: ClassVar[Sequence[str]] = ()  #: columns in which its runs must agree, though the law does not read them
    schedules_needed: ClassVar[int] = 0  #: how many different schedules identify a trajectory law
    #: parameters that lie below a variable, by the variable's name: the law is a power of the difference, and has no
    #: value (no image) where the variable is not larger
    floors: ClassVar[Mapping[str, str]] = {}
    #: parameters that public runs hardly identify: every fit says where twice and half of one fit as well
    hardly: ClassVar[Sequence[str]] = ()
    declaration: ClassVar[Declaration] = Declaration()
    formula: ClassVar[Callable[..., Array]]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.declaration = Declaration(
            {**cls.declaration.variables, **_declared(cls, Variable)},
            {**cls.declaration.parameters, **_declared(cls, Parameter)},
            {**cls.declaration.options, **_declared(cls, Option)},
        )

    def __init__(self, **options: Any) -> None:
        known = self.declaration.options
        for name in options:
            if name not in known:
                near = nearest_names(name, known) or list(known)
                raise InputError(
                    f'no option "{name}"',
                    where=f"law {self.name}",
                    todo=f"its options: {', '.join(near) or 'none'}",
                )
        self.options: dict[str, Any] = {
            name: option.read(name, options.get(name, option.default), self.name) for name, option in known.items()
        }

    @property
    def variables(self) -> Mapping[str, Variable]:
        """The columns that the law reads, by name."""
        return self.declaration.variables

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        """The numbers that a fit finds, by name, in the order in which they are declared."""
        return self.declaration.parameters

    @property
    def columns(self) -> Mapping[str, str]:
        """For each variable the column of the run log that holds it: its own name unless an option says otherwise."""
        return {name: name for name in self.variables}

    @property
    def held(self) -> Mapping[str, float]:
        """Parameters that a fit holds at these values unless the user chooses to fix, tie or bound them otherwise."""
        return {}

    @property
    def stages(self) -> Mapping[str, tuple[str, str]]:
        """Parameters held at the irreducible loss of another law, as (that law, the column that it explains).

        That law is fitted to the same runs first; "" is the target.
        """
        return {}

    @property
    def base(self) -> Base | None:
        """The law of the first stage, where the source fits one to some of the rows and holds its parameters."""
        return None

    def alternatives(self, others: Sequence[Law]) -> Sequence[Law]:
        """The forms among which held-out runs choose where no law is named, or this one's name alone.

        ``others`` are the laws that the same runs identify; none where this law is named, and fitted as it is.
        """
        known = self.declaration.options.items() if others else ()
        free = [(name, value) for name, o in known if self.options[name] == o.default for value in o.judged]
        return (self, *(type(self)(**{**self.options, name: value}) for name, value in free))

    @property
    def irreducible(self) -> str:
        """The parameter that is the loss which nothing reduces; empty where there is none."""
        return next((name for name, p in self.parameters.items() if p.meaning.startswith("irreducible")), "")

    @property
    def is_trajectory(self) -> bool:
        """Whether the law is a functional of the whole learning-rate schedule."""
        return hasattr(self, "along")

    @property
    def spec(self) -> str:
        """The text that names this law with its options: ``annealing:decay=0.9995``."""
        changed = [
            f"{name}={value}" for name, value in self.options.items() if value != self.declaration.options[name].default
        ]
        return self.name + (":" + ",".join(changed) if changed else "")

    @property
    def title(self) -> str:
        """The first line of the docstring."""
        return (inspect.getdoc(type(self)) or "").partition("\n")[0]

    @property
    def equation(self) -> str:
        """The formula as printed in the docstring: its first indented block."""
        lines = (inspect.getdoc(type(self)) or "").splitlines()
        block = [line.strip() for line in lines if line.startswith("    ") and ">>>" not in line]
        return block[0] if block else ""

    def at_steps(self, lr: Array, warmup: int, steps: Array, **marks: float) -> dict[str, Array]:
        """A trajectory law's variables at some steps, (n,) each, or (n, K) for those declared with ``many``.

        ``marks`` holds the run's value of each of the ``path_columns``.
        """
        return {name: values[steps] for name, values in self.along(lr, warmup).items()}  # type: ignore[attr-defined]

    @np.errstate(all="ignore")
    def evaluate(self, variables: Mapping[str, Array], parameters: Mapping[str, Array]) -> Array:
        """The law's value; shapes broadcast. It is not finite, without a warning, where the formula has none."""
        return type(self).formula(**variables, **parameters)

    @np.errstate(all="ignore")
    def derivatives(
        self, variables: Mapping[str, Array], parameters: Mapping[str, Array], by: Collection[str] = ()
    ) -> tuple[Array, dict[str, Array]]:
        """The law's value and its partial derivatives by some parameters, or by all."""
        plain, moved = {**variables, **parameters}, {name: parameters[name] for name in by or parameters}
        try:
            found = differentiated(self.evaluate_flat, plain, moved)
        except TypeError:  # a formula with an operation that forward mode does not know
            return self.evaluate(variables, parameters), complex_step(self.evaluate_flat, plain, moved)
        return found.value, dict(found.partials)

    def evaluate_flat(self, **values: Array) -> Array:
        """The law's value from one flat set of names."""
        return self.evaluate({name: values.pop(name) for name in self.variables}, values)

    def check(self, variables: Mapping[str, Array]) -> None:
        """Raise :class:`~scalefit.errors.IdentificationError` where these rows cannot identify this very law."""

    def check_target(self, variables: Mapping[str, Array], values: Array) -> None:
        """The same, of the values (n,) that the law is to explain."""

    def check_fixed(self, variables: Mapping[str, Array], values: Array, fixed: Mapping[str, float]) -> None:
        """Raise :class:`~scalefit.errors.IdentificationError` where held parameters leave rows without a value."""

    def no_image(self, variables: Mapping[str, Array], parameters: Mapping[str, Array]) -> Array:
        """Where the law has no value: true where a variable is not above its floor; shapes broadcast."""
        below = [variables[name] <= parameters[floor] for floor, name in self.floors.items()]
        return np.logical_or.reduce(below) if below else np.zeros((), dtype=bool)

    def guesses(self, variables: Mapping[str, Array], values: Array) -> Mapping[str, Array]:
        """Points from which the search begins besides its even cover, (G,) each: for laws with many local minima."""
        return {}

    def arranged(self, parameters: Mapping[str, float]) -> Mapping[str, float]:
        """The same curve with its interchangeable parts in their natural order."""
        return parameters

    def doubts(self, paths: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
        """Reasons, as (code, text), to distrust a fit of these runs; ``paths`` maps runs to their trajectories."""
        return ()

    def doubts_fitted(
        self, variables: Mapping[str, Array], parameters: Mapping[str, float]
    ) -> Sequence[tuple[str, str]]:
        """Reasons, as (code, text), to distrust these fitted parameters; ``variables`` (n,) are those of the rows."""
        return ()

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.spec == other.spec

    def __hash__(self) -> int:
        return hash((type(self), self.spec))

    def __repr__(self) -> str:
        return f"<law {self.spec}: {self.equation}>"


def _declared(cls: type, kind: type) -> dict[str, Any]:
    return {name: value for name, value in vars(cls).items() if isinstance(value, kind)}
