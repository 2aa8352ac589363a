"""What a run costs: 6 FLOP a parameter and token unless another model is declared; hours and money by a rate.

    "6ND"                     6 x parameters x tokens, and 2 x parameters x tokens of inference
    "6*N*D + 1e10*D"          a formula of the law's columns and of numbers that are given beside them
    "shape:aspect=128,vocab=50257,seq_len=2048"   (6 N + 6 vocab d_model + 12 n_layer seq_len d_model) x tokens

A shape has N = 12 n_layer d_model^2 parameters without embeddings and d_model = aspect x n_layer; the second term is
the output layer, the third the attention matrix, not halved for its mask (arXiv:2204.02311, appendix B).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from scalefit.errors import InputError
from scalefit.expressions import parse
from scalefit.numerics import FloatArray
from scalefit.runs.quantities import quantity

Values = Mapping[str, Any]  #: arrays by column

TRAINING, INFERENCE = 6.0, 2.0  #: FLOP per parameter and token
SIZES = ("N", "N_total", "N_enc", "N_dec", "N_vocab")  #: columns that count parameters, the main one first
SHAPE = ("d_model", "n_layer")  #: which together give a size, N = 12 n_layer d_model^2 without embeddings
IDLE = "sparsity"  #: the column of the share of parameters that a token leaves idle
FULL_BITS = 16.0  #: bits of a number at which 6ND counts
WORDS = ("", "6nd", "6*n*d")
SHAPE_KEYS = ("aspect", "vocab", "seq_len")
STEPS = 200  #: halvings that find the quantity whose cost is a budget
LEAST, MOST = -20.0, 200.0  #: its logarithm lies between


@dataclass(frozen=True)
class Cost:
    """The FLOP of a run as a function of the columns of a plan."""

    text: str
    training: Callable[[Values], Any]
    served: Callable[[Values], Any]  #: FLOP of one token of inference
    plain: bool = False  #: whether it is 6 N D and nothing else
    inference: float = 0.0  #: tokens served over the life of the model
    served_text: str = "2 N"
    numbers: Mapping[str, float] = field(default_factory=dict)  #: what else the formula reads

    def __call__(self, values: Values) -> FloatArray:
        """FLOP; shapes broadcast. What is not finite stays so."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.plainly(**values))

    def plainly(self, **values: Any) -> Any:
        """FLOP in whatever the columns are, so that derivatives can go through."""
        return self.training(values) + self.inference * self.served(values)

    def with_inference(self, tokens: float) -> Cost:
        """The same with the tokens that the model will serve."""
        text = f"{self.text} + {self.served_text} for each of {tokens:.4g} tokens of inference"
        return replace(self, text=text, plain=False, inference=tokens)

    @property
    def of_training(self) -> Cost:
        """The same without inference."""
        return replace(self, inference=0.0)

    def spend(self, budget: Any, values: Values, pivot: str) -> FloatArray:
        """The value of one column at which everything else given costs a budget; NaN where nothing is left for it."""
        at_0 = self({**values, pivot: np.zeros(())})
        with np.errstate(all="ignore"):
            found = np.asarray((budget - at_0) / (self({**values, pivot: np.ones(())}) - at_0))
            found = np.where(found > 0, found, np.nan)  # one unit may drown beside what is paid without any
            found = np.asarray(found * (budget - at_0) / (self({**values, pivot: found}) - at_0))
            off = np.abs(self({**values, pivot: found}) / budget - 1)
            if not np.any(off > 1e-9):  # proportional to the column, but for a constant
                return found
        shape = np.broadcast_shapes(found.shape, np.shape(budget))
        low, high = np.full(shape, LEAST), np.full(shape, MOST)
        for _ in range(STEPS):
            middle = (low + high) / 2
            with np.errstate(all="ignore"):
                dear = self({**values, pivot: np.exp(middle)}) > budget
            low, high = np.where(dear, low, middle), np.where(dear, middle, high)
        return np.where((low > LEAST + 1) & (high < MOST - 1), np.exp((low + high) / 2), np.nan)


def parameters_of(columns: tuple[str, ...], share: float) -> Callable[[Values], Any]:
    """The parameters that a token passes: all of those that the law reads, or a share of them."""

    def count(values: Values) -> Any:
        return share * sum(values[name] for name in columns)

    return count


def _size_of_shape(values: Values) -> Any:
    """The parameters of a width and depth, embeddings not counted."""
    return 12 * values["n_layer"] * values["d_model"] ** 2


def cost_of(text: str | None, columns: tuple[str, ...], active: float | None, given: Mapping[str, float]) -> Cost:
    """The cost model of a text, for a law that reads these columns; ``active``: the share that a token passes.

    ``given``: numbers that a formula may read besides the columns. A law of the idle share gives the active one.
    """
    sizes = tuple(name for name in SIZES if name in columns)
    of_shape = not sizes and {*SHAPE} <= {*columns}
    if active is None and IDLE in given:
        active = 1 - given[IDLE]
    if active is not None and not 0 < active <= 1:
        raise InputError(f"a share of {active:g} active parameters", where="active", todo="give a share, such as 0.125")
    if active is None and "N_total" in sizes and not text:
        todo = "give the share of them that one token passes, such as active=0.125 (--active 0.125)"
        raise InputError("N_total counts all experts, of which a token passes a few", where="cost", todo=todo)
    count = _size_of_shape if of_shape else parameters_of(sizes, active or 1.0)
    named = "N" if of_shape else " + ".join(sizes) if len(sizes) < 2 else f"({' + '.join(sizes)})"
    named = f"{active:g} {named}" if active is not None and active < 1 else named
    if text and text.startswith("shape:"):
        return _shaped(text, sizes, count)
    served = f"2 {named}"
    if (text or "").replace(" ", "").lower() not in WORDS:
        return replace(_formula(str(text), columns, count, given), served_text=served)
    bits = "precision" in columns

    def training(values: Values) -> Any:
        """FLOP, or FLOP a token where the data are not known."""
        return TRAINING * count(values) * values.get("D", 1.0) * (values["precision"] / FULL_BITS if bits else 1.0)

    words = f"6 {named} D" + (" precision/16" if bits else "") + (", N = 12 n_layer d_model^2" if of_shape else "")
    plain = sizes == ("N",) and not bits and (active or 1.0) == 1.0
    return Cost(words, training, lambda values: INFERENCE * count(values), plain, served_text=served)


def _formula(text: str, columns: tuple[str, ...], count: Callable[[Values], Any], given: Mapping[str, float]) -> Cost:
    formula = parse(text)
    known = {*columns, "D", *given}
    lacking = [name for name in formula.names if name not in known]
    if lacking:
        todo = f"give it a value (--at {lacking[0]}=...), or write the cost of {', '.join(sorted({*columns, 'D'}))}"
        raise InputError(f'the cost "{text}" reads {lacking[0]}, which has no value', where="cost", todo=todo)
    numbers = {name: given[name] for name in formula.names if name in given and name not in columns}
    return Cost(
        text,
        lambda values: formula({**numbers, **values}),
        lambda values: INFERENCE * count(values),
        numbers=numbers,
    )


def _shaped(text: str, sizes: tuple[str, ...], count: Callable[[Values], Any]) -> Cost:
    """The cost of a transformer whose width and depth follow from its size."""
    found: dict[str, float] = {}
    for part in filter(None, text.removeprefix("shape:").split(",")):
        name, _, value = part.partition("=")
        if name.strip() not in SHAPE_KEYS:
            raise InputError(f'no key "{name.strip()}"', where="cost", todo=f"give {', '.join(SHAPE_KEYS)}")
        found[name.strip()] = quantity(value)
    if "aspect" not in found or min(found.values()) <= 0 or sizes != ("N",):
        todo = 'write "shape:aspect=128,vocab=50257,seq_len=2048" for a law that reads N'
        raise InputError(f'"{text}" does not make a cost', where="cost", todo=todo)
    aspect, vocab, length = (found.get(name, 0.0) for name in SHAPE_KEYS)

    def per_token(values: Values) -> Any:
        depth = (count(values) / (12 * aspect**2)) ** (1 / 3)
        width = aspect * depth
        return TRAINING * (count(values) + vocab * width) + 12 * depth * length * width

    words = f"(6 N + 6 x {vocab:g} d_model + 12 n_layer {length:g} d_model) D, d_model = {aspect:g} n_layer"
    return Cost(
        words,
        lambda values: per_token(values) * values["D"],
        lambda values: per_token(values) / 3,
        served_text="a third of the FLOP of a trained token",
    )


@dataclass(frozen=True)
class Rate:
    """What a GPU does and costs.

    >>> Rate(peak=1e15, mfu=0.4, price=2.0).hours(1.44e21), Rate(peak=1e15, mfu=0.4, price=2.0).money(1.44e21)
    (1000.0, 2000.0)
    """

    peak: float  #: FLOP/s
    mfu: float  #: share of the peak that the model's FLOP reach
    price: float | None = None  #: of an hour of one GPU

    @property
    def text(self) -> str:
        """In words."""
        costs = f", {self.price:g} per GPU-hour" if self.price else ""
        return f"{self.peak:.4g} FLOP/s at {100 * self.mfu:g} % utilisation (MFU){costs}"

    @property
    def speed(self) -> float:
        """FLOP/s that are reached."""
        return self.peak * self.mfu

    def hours(self, flop: Any) -> Any:
        """GPU-hours."""
        return flop / (3600 * self.speed)

    def money(self, flop: Any) -> Any:
        """Their price; NaN without one."""
        return self.hours(flop) * (np.nan if self.price is None else self.price)


def rate_of(text: str | Rate | None, measured: Rate | None = None) -> Rate | None:
    """The rate that a text such as ``peak=989T,mfu=0.4,price=2`` gives; ``price=2`` alone prices a measured one."""
    if text is None or isinstance(text, Rate):
        return text or measured
    todo = "write peak=989T,mfu=0.4,price=2 (the price may be left out)"
    found: dict[str, float] = {}
    for part in text.split(","):
        name, sign, value = (piece.strip() for piece in part.partition("="))
        if not sign or name not in ("peak", "mfu", "price") or name in found:
            raise InputError(f'"{part}" does not describe a GPU', where="gpu", todo=todo)
        found[name] = quantity(value)
    if measured is not None and set(found) == {"price"} and found["price"] > 0:
        return replace(measured, price=found["price"])
    if not {"peak", "mfu"} <= set(found) or min(found.values()) <= 0 or found["mfu"] > 1 or found["peak"] < 1e9:
        raise InputError(f'"{text}" does not describe a GPU', where="gpu", todo=todo)
    return Rate(found["peak"], found["mfu"], found.get("price"))
