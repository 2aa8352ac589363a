"""The role of each tensor of a torch model, from how its shape grows from that of a smaller model of the same code.

A dimension whose size differs between the two models grows. A matrix (out, in) that grows in both is hidden, one that
grows at the output alone is embed, at the input alone readout; gains and biases are gain inside repeated blocks and
final outside. What grows in no dimension has width ratio 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from fractions import Fraction

from torch import Tensor, nn

from scalefit.errors import InputError, listed
from scalefit.numerics import suggestion
from scalefit.proxy.models.parametrization import ROLES

MATRICES = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Bilinear, nn.MultiheadAttention, nn.RNNBase, nn.RNNCellBase)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)  #: weights are (in, out, ...)
LOOKUPS = (nn.Embedding, nn.EmbeddingBag)  #: weights are (entries, out)
NAME_IT = "name its role: roles={{{name!r}: ...}} with one of " + ", ".join(ROLES)
LISTED = "give the repeated layers a list of their own, and the first and last one names of their own"


@dataclass(frozen=True)
class Owned:
    """A parameter under one name, with the module that holds it."""

    name: str
    module: nn.Module
    value: Tensor

    @property
    def inputs(self) -> int | None:
        """The dimension of the inputs; None where the module does not say."""
        if self.value.dim() < 2 or not isinstance(self.module, MATRICES + TRANSPOSED + LOOKUPS):
            return None
        return 0 if isinstance(self.module, TRANSPOSED + LOOKUPS) else 1


@dataclass(frozen=True)
class Grown:
    """A tensor of the model with its role, the ratio of its width to that of its counterpart ``base``, the names of all
    its places, and the modules that read out with it although its role is embed."""

    names: tuple[str, ...]
    value: Tensor
    base: Tensor
    role: str
    width: float
    readouts: tuple[nn.Module, ...] = ()

    @property
    def name(self) -> str:
        """The first of its names."""
        return self.names[0]


def owned(model: nn.Module) -> list[Owned]:
    """Every parameter of a model, those with several names once for each."""
    found = []
    for path, module in model.named_modules():
        for name, value in module.named_parameters(recurse=False, remove_duplicate=False):
            full = f"{path}.{name}" if path else name
            if isinstance(value, nn.parameter.UninitializedParameter):
                raise InputError("it has no shape yet", where=full, todo="run one batch through the model first")
            if value.is_meta:
                raise InputError("it has no values (meta device)", where=full, todo="build the models on a CPU or GPU")
            if isinstance(module, nn.utils.parametrize.ParametrizationList):
                todo = "add such norms after parametrize, or remove them"
                raise InputError("it is reparametrised (weight or spectral norm)", where=full, todo=todo)
            found.append(Owned(full, module, value))
    return found


def template(name: str) -> str:
    """A name with its indices replaced.

    >>> template("blocks.11.mlp.0.weight")
    'blocks.*.mlp.*.weight'
    """
    return ".".join("*" if part.isdigit() else part for part in name.split("."))


def stack_of(name: str) -> str | None:
    """The path to the list of layers that a name lies in; None outside.

    >>> stack_of("encoder.layers.3.norm.weight"), stack_of("norm.weight")
    ('encoder.layers', None)
    """
    parts = name.split(".")
    at = next((number for number, part in enumerate(parts) if part.isdigit()), None)
    return None if at is None else ".".join(parts[:at])


def match(model: nn.Module, base: nn.Module, roles: Mapping[str, str]) -> list[Grown]:
    """Every tensor of ``model`` with its role, in the order of the model.

    ``roles`` overrides what the shapes say, by patterns of names. Raises InputError for a tensor without a counterpart
    in ``base``, and for one of which the shapes do not say how it grows.
    """
    tensors, known = owned(model), {each.name: each for each in owned(base)}
    _check(roles, [each.name for each in tensors])
    lost = known.keys() - {each.name for each in tensors}
    missing = sorted({template(name) for name in lost} - {template(each.name) for each in tensors})
    if missing:
        raise InputError(f"the model lacks {listed(missing)}, which base has", todo="build both by the same code")
    places: dict[int, list[Owned]] = {}
    for each in tensors:
        places.setdefault(id(each.value), []).append(each)
    return [_grown(several, known, roles) for several in places.values()]


def _check(roles: Mapping[str, str], names: Sequence[str]) -> None:
    for pattern, role in roles.items():
        if role not in ROLES:
            raise InputError(f"no role {role!r}", where=f"roles[{pattern!r}]", todo=suggestion(role, ROLES))
        if not any(fnmatchcase(name, pattern) for name in names):
            raise InputError(f"no parameter is named {pattern!r}", where="roles", todo=suggestion(pattern, names[:20]))


def _grown(places: Sequence[Owned], known: Mapping[str, Owned], roles: Mapping[str, str]) -> Grown:
    """A tensor from all its places: one of a look-up table and one that reads out make tied embeddings."""
    found = [(each, *_role(each, _counterpart(each, known), roles)) for each in places]
    each, role, width = found[0]
    named = {role for _, role, _ in found}
    names, base = tuple(place.name for place in places), _counterpart(each, known).value
    if len(named) == 1:
        return Grown(names, each.value, base, role, width)
    if named == {"embed", "readout"} or (named == {"embed", "hidden"} and width == 1.0):  # nothing grows: as tied
        readouts = tuple(place.module for place, role, _ in found if role != "embed")
        return Grown(names, each.value, base, "embed", width, readouts)
    raise InputError(
        f"one tensor with two roles, {' and '.join(sorted(named))}",
        where=" = ".join(names),
        todo="untie it, or name one role for all its names in roles={...}",
    )


def _counterpart(each: Owned, known: Mapping[str, Owned]) -> Owned:
    """The same parameter of the base model; that of another layer where the base has fewer."""
    if each.name in known:
        return known[each.name]
    near = {name: _apart(each.name, name) for name in known if template(name) == template(each.name)}
    if not near:
        raise InputError("base has no such parameter", where=each.name, todo="build both by the same code")
    alike = [known[name] for name, apart in near.items() if apart == min(near.values())]
    if len({other.value.shape for other in alike}) > 1:
        raise InputError("the layers of base that it may stand for have different shapes", where=each.name, todo=LISTED)
    return alike[-1]


def _apart(name: str, other: str) -> tuple[int, int]:
    """In how many indices two names differ, and how late they first do."""
    differ = [at for at, (a, b) in enumerate(zip(name.split("."), other.split("."), strict=True)) if a != b]
    return len(differ), -differ[0]


def _role(each: Owned, base: Owned, roles: Mapping[str, str]) -> tuple[str, float]:
    """Role and ratio of widths of one parameter."""
    new, old = tuple(each.value.shape), tuple(base.value.shape)
    where = each.name if each.name == base.name else f"{each.name} (for {base.name} of base)"
    if len(new) != len(old) or type(each.module).__name__ != type(base.module).__name__:
        what = f"shape {new} of {type(each.module).__name__}, in base {old} of {type(base.module).__name__}"
        raise InputError(what, where=where, todo="build both by the same code")
    grows = {at: Fraction(n, o) for at, (n, o) in enumerate(zip(new, old, strict=True)) if n != o}
    given = next((role for pattern, role in roles.items() if fnmatchcase(each.name, pattern)), None)
    role, ratios, inputs = given or _inferred(each, tuple(grows), old), set(grows.values()), each.inputs
    if len(ratios) <= 1:
        return role, float(next(iter(ratios), Fraction(1)))
    if given is None or inputs is None or role in ("gain", "final"):
        todo = "let all its dimensions grow alike" if each.name == base.name else LISTED
        todo += "" if inputs is None else f", or {NAME_IT.format(name=each.name)}"
        raise InputError(f"shape {old} grows to {new}, by different ratios", where=where, todo=todo)
    at = inputs if role in ("hidden", "readout") else 1 - inputs
    return role, float(grows.get(at, Fraction(1)))


def _inferred(each: Owned, grows: tuple[int, ...], old: tuple[int, ...]) -> str:
    """The role that a shape says; raises InputError where it says none."""
    if len(old) < 2:
        return "final" if stack_of(each.name) is None else "gain"
    inputs = each.inputs
    if isinstance(each.module, LOOKUPS):
        if 0 in grows:
            what = f"the number of entries differs from base, {old[0]} there"
            raise InputError(what, where=each.name, todo="build both models with the same vocabulary")
        return "embed"
    if len(grows) == 2 or not grows:
        return "hidden"
    if len(grows) == 1 and inputs is not None and grows[0] < 2:
        return "readout" if grows[0] == inputs else "embed"
    if len(grows) == 1 and old[0] == 1 and grows[0] == len(old) - 1:  # one vector, or one for each position
        return "embed"
    what = (
        f"shape {old} grows to {tuple(each.value.shape)}, and {type(each.module).__name__} does not say which is input"
    )
    raise InputError(what, where=each.name, todo=NAME_IT.format(name=each.name))
