"""How initial values, forward factors, learning rates, weight decay and Adam's epsilon change with size.

A parametrisation is a table over parameter roles. Every entry is a product of powers of two ratios, m = width / base
width and m_L = depth / base depth, so that all parametrisations equal the standard one at the base size. The role
of a tensor says which of its dimensions grow with width:

- ``embed``   one growing dimension, at the input: embeddings, input layers of an MLP
- ``gain``    gains of the norms inside residual blocks
- ``final``   gains of the norms outside residual blocks
- ``hidden``  both dimensions grow
- ``readout`` one growing dimension, at the output
- ``router``  the same inside residual blocks: routers of experts

Sources: mup arXiv:2203.03466, depth-mup arXiv:2310.02244, completep arXiv:2505.01618, per-layer rates
for the standard parametrisation arXiv:2407.05872. Where those give no epsilon (embedding, readout) or no
learning rate (depth under SGD), the power follows from how the gradient grows; tests/proxy/test_coordinates.py
checks the result.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from scalefit.errors import InputError
from scalefit.numerics import suggestion

ROLES = ("embed", "gain", "final", "hidden", "readout")  #: of any model; ours has routers as well
OURS = (*ROLES, "router")


@dataclass(frozen=True)
class Power:
    """factor · m^width · m_L^depth.

    >>> Power(width=-1)(4.0, 2.0)
    0.25
    """

    width: float = 0.0
    depth: float = 0.0
    factor: float = 1.0

    def __call__(self, m: float, m_L: float) -> float:
        """The factor at width ratio m and depth ratio m_L."""
        return float(self.factor * m**self.width * m_L**self.depth)

    def __mul__(self, other: Power) -> Power:
        return Power(self.width + other.width, self.depth + other.depth, self.factor * other.factor)


ONE = Power()
NONE = Power(factor=0.0)


@dataclass(frozen=True)
class Update:
    """Factors for one kind of optimiser: on the learning rate, on the weight decay (which is itself
    multiplied by the learning rate), and on Adam's epsilon."""

    lr: Power = ONE
    decay: Power = ONE
    eps: Power = ONE

    def __mul__(self, other: Update) -> Update:
        return Update(self.lr * other.lr, self.decay * other.decay, self.eps * other.eps)


@dataclass(frozen=True)
class Rule:
    """One role: factor on the initial standard deviation, factor in the forward pass, and the factors on updates of
    optimisers whose step is proportional to the gradient (``sgd``), independent of its size (``adam``), or a matrix
    whose singular values are all alike (``muon``; None: as adam)."""

    std: Power = ONE
    forward: Power = ONE
    adam: Update = Update()
    sgd: Update = Update()
    muon: Update | None = None

    def update(self, kind: str) -> Update:
        """The factors for that kind of optimiser."""
        return self.sgd if kind == "sgd" else self.muon if kind == "muon" and self.muon else self.adam


@dataclass(frozen=True)
class Parametrization:
    """The rules of all roles, and the factor on each residual branch. ``attention`` is the exponent of
    d_head / base d_head in the factor on attention logits, beside 1/sqrt(d_head). Without a rule of its own a router
    has that of the readout."""

    embed: Rule
    gain: Rule
    final: Rule
    hidden: Rule
    readout: Rule
    residual: Power = ONE
    attention: float = 0.0
    router: Rule | None = None

    def rule(self, role: str) -> Rule:
        """The rule of a role."""
        found: Rule | None = getattr(self, role)
        return found or self.readout


@dataclass(frozen=True)
class Factors:
    """The table at one size: plain numbers per role."""

    std: dict[str, float]
    forward: dict[str, float]
    lr: dict[str, float]
    decay: dict[str, float]
    eps: dict[str, float]
    residual: float
    attention: float
    width: float = 1.0


_m = Power(width=1)
_per_m = Power(width=-1)
_per_root_m = Power(width=-0.5)
_undecayed = Update(decay=NONE)
_fixed = Rule()
_free_gain = Rule(adam=_undecayed, sgd=_undecayed)
_fan_in = Rule(std=_per_root_m)

SP = Parametrization(embed=_fixed, gain=_free_gain, final=_free_gain, hidden=_fan_in, readout=_fan_in)

SP_LAYERWISE = replace(
    SP,
    hidden=Rule(std=_per_root_m, adam=Update(_per_m, _m), sgd=Update(), muon=Update()),
    readout=Rule(std=_per_root_m, adam=Update(_per_m, _m), sgd=Update(_per_m, _m)),
    embed=Rule(sgd=Update(_m, _per_m)),
)

NTK = replace(SP, hidden=Rule(forward=_per_root_m), readout=Rule(forward=_per_root_m))

_mup_vector = Rule(adam=Update(eps=_per_m), sgd=Update(_m, _per_m))
_mup_gain = Rule(adam=Update(ONE, NONE, _per_m), sgd=Update(_m, NONE))

MUP = Parametrization(
    embed=_mup_vector,
    gain=_mup_gain,
    final=_mup_gain,
    hidden=Rule(std=_per_root_m, adam=Update(_per_m, _m, _per_m), muon=Update()),
    readout=replace(_mup_vector, forward=_per_m),
    attention=-0.5,
)


def _in_depth(alpha: float) -> Parametrization:
    """mup with residual branches multiplied by m_L^-alpha, and the factors on the blocks' updates that follow."""
    adam = Update(lr=Power(depth=alpha - 1), eps=Power(depth=-alpha))
    sgd = Update(lr=Power(depth=2 * alpha - 1))
    gain, hidden, router = (
        replace(rule, adam=rule.adam * adam, sgd=rule.sgd * sgd, muon=rule.muon and rule.muon * adam)
        for rule in (MUP.gain, MUP.hidden, MUP.readout)
    )
    return replace(MUP, gain=gain, hidden=hidden, router=router, residual=Power(depth=-alpha))


TABLE: dict[str, Parametrization] = {
    "sp": SP,
    "sp-layerwise": SP_LAYERWISE,
    "ntk": NTK,
    "mup": MUP,
    "depth-mup": _in_depth(0.5),
    "completep": _in_depth(1.0),
}


def parametrization(name: str) -> Parametrization:
    """The parametrisation of that name. Raises InputError for an unknown one.

    >>> parametrization("completep").residual
    Power(width=0.0, depth=-1.0, factor=1.0)
    """
    if name not in TABLE:
        raise InputError(f"no parametrization {name!r}", todo=suggestion(name, TABLE))
    return TABLE[name]


def at(table: Parametrization, *, kind: str, m: float = 1.0, m_L: float = 1.0, m_head: float = 1.0) -> Factors:
    """``table`` at width ratio m, depth ratio m_L and head-size ratio m_head.

    ``kind`` is that of the optimiser: "adam", "sgd" or "muon".

    >>> mup = at(parametrization("mup"), kind="adam", m=4.0)
    >>> mup.lr["hidden"], mup.lr["embed"], mup.forward["readout"], mup.decay["hidden"]
    (0.25, 1.0, 0.25, 4.0)
    """
    rules = {role: table.rule(role) for role in OURS}
    updates = {role: rule.update(kind) for role, rule in rules.items()}
    return Factors(
        std={role: rule.std(m, m_L) for role, rule in rules.items()},
        forward={role: rule.forward(m, m_L) for role, rule in rules.items()},
        lr={role: update.lr(m, m_L) for role, update in updates.items()},
        decay={role: update.decay(m, m_L) for role, update in updates.items()},
        eps={role: update.eps(m, m_L) for role, update in updates.items()},
        residual=table.residual(m, m_L),
        attention=m_head**table.attention,
        width=m,
    )
