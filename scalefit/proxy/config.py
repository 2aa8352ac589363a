"""All that defines one run, and how a model, a schedule and an identity follow from it."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import PurePath
from typing import Any

from scalefit.errors import InputError
from scalefit.numerics import suggestion
from scalefit.proxy.models.encoder_decoder import EncoderDecoder
from scalefit.proxy.models.mlp import MLP
from scalefit.proxy.models.model import Decoder, Model
from scalefit.proxy.models.parametrization import Factors, Parametrization, at, parametrization
from scalefit.proxy.optimizers import optimizer
from scalefit.proxy.tasks.data import Source
from scalefit.schedules import SHAPES, Schedule, parse_schedule

# Keys that say where and how often, not what: two configurations that differ only here are the same run.
UNIDENTIFYING = ("device", "compile", "checkpoint_every", "flush_every", "probe_every", "curvature_every", "name")
# Keys that may differ between members trained as one batch.
MEMBER_KEYS = (
    "name",
    "seed",
    "data_seed",
    "lr",
    "schedule",
    "final_ratio",
    "warmup",
    "weight_decay",
    "independent_decay",
    "init_scale",
    "optimizer_options",
)


# The least value of each key that has one.
LEAST = dict.fromkeys(("d_model", "n_layer", "n_encoder_layer", "d_head", "seq_len", "steps", "batch", "accumulate"), 1)
LEAST |= dict.fromkeys(("eval_every", "eval_batch", "checkpoint_every", "flush_every", "base_width", "base_depth"), 1)
LEAST |= dict.fromkeys(("d_ff", "encoder_width", "encoder_ff", "base_d_head", "probe_every", "curvature_every"), 0)
LEAST |= dict.fromkeys(("warmup", "clip", "weight_decay", "z_loss", "embed_std", "init_scale"), 0)
LEAST |= dict.fromkeys(("spike_every", "spike_size", "spike_share"), 0)


@dataclass(frozen=True)
class Config:
    """One run. ``batch`` is in tokens per optimiser step, ``lr`` the peak learning rate, ``steps`` updates.

    ``schedule`` is the string form of `scalefit.schedules` in which steps, warmup, peak_lr and final
    (= final_ratio · lr) are filled in from here where it leaves them out: "cosine", "wsd:decay_steps=200".
    ``weight_decay`` is multiplied by the learning rate, or, with ``independent_decay``, by the schedule alone
    (lr / peak lr). Every ``spike_every``-th gradient gets spikes, before it is clipped. Sizes relative to
    base_width, base_depth, base_d_head enter through the parametrisation.

    >>> Config(lr=0.01, steps=100, warmup=10, schedule="cosine").lr_schedule().text
    'cosine:peak_lr=0.01,steps=100,warmup=10,final=0'
    """

    model: str = "decoder"  # decoder | encoder-decoder | mlp
    parametrization: str = "sp"
    d_model: int = 64
    n_layer: int = 2
    n_encoder_layer: int = 2  # of an encoder-decoder; n_layer, d_model and d_ff are then the decoder's
    encoder_width: int = 0  # 0: d_model
    encoder_ff: int = 0  # 0: 4 encoder_width
    d_head: int = 16
    d_ff: int = 0  # 0: 4 d_model
    seq_len: int = 64
    norm: str = "pre"  # pre | post | peri
    activation: str = "gelu"  # gelu | swiglu
    qk_norm: bool = True
    tied: bool = False
    zero_readout: bool = True
    embed_std: float = 0.1
    init_scale: float = 1.0
    base_width: int = 32
    base_depth: int = 2
    base_d_head: int = 0  # 0: d_head
    optimizer: str = "adamw"
    optimizer_options: dict[str, float] = field(default_factory=dict)
    lr: float = 1e-2
    weight_decay: float = 0.0
    independent_decay: bool = True
    clip: float = 1.0
    spike_every: int = 0  # steps between gradient spikes that are put in on purpose; 0: none
    spike_size: float = 1000.0  # of a spike, in RMS of the gradient
    spike_share: float = 0.01  # of the weights that a spike hits
    z_loss: float = 0.0
    schedule: str = "cosine"
    steps: int = 1000
    warmup: int = 50
    final_ratio: float = 0.0
    data: str = "stdlib"
    data_options: dict[str, float] = field(default_factory=dict)
    val: dict[str, str] = field(default_factory=dict)  # more validation sets: name -> data
    batch: int = 1024
    accumulate: int = 1
    seed: int = 0
    data_seed: int = 0
    eval_every: int = 100
    eval_batch: int = 16384
    probe_every: int = 0  # steps between probes; 0: none
    curvature_every: int = 0  # steps between measurements of the sharpness; 0: none
    precision: str = "fp32"  # fp32 | bf16
    device: str = "cpu"
    compile: bool = False
    checkpoint_every: int = 500
    flush_every: int = 50
    name: str = ""

    def __post_init__(self) -> None:
        for key, least in LEAST.items():
            if not getattr(self, key) >= least:
                raise InputError(f"{key} is {getattr(self, key)}", todo=f"give a {key} of at least {least}")
        tokens = self.sequence_tokens * self.accumulate
        if self.batch % tokens:
            raise InputError(
                f"batch={self.batch} is no whole number of {self.accumulate} × {self.sequence_tokens} tokens",
                todo=f"choose batch={max(self.batch // tokens, 1) * tokens}",
            )
        if self.spike_share > 1:
            raise InputError(f"spike_share is {self.spike_share}", todo="give the share of weights, at most 1")
        if self.precision not in ("fp32", "bf16"):
            raise InputError(f"precision is {self.precision!r}", todo="choose fp32 or bf16")
        if self.name != PurePath(self.name).name:
            raise InputError(f"name is {self.name!r}", todo="give a plain folder name, and the place with out")

    @property
    def sequence_tokens(self) -> int:
        """Tokens that one example counts for."""
        return 1 if self.model == "mlp" else self.seq_len

    @property
    def examples(self) -> int:
        """Examples per step."""
        return self.batch // self.sequence_tokens

    @classmethod
    def read(cls, values: Mapping[str, Any], where: str = "configuration") -> Config:
        """From a dictionary or TOML table; InputError names an unknown key's neighbour and a wrong type.

        >>> Config.read({"d_modle": 64})
        Traceback (most recent call last):
        ...
        scalefit.errors.InputError: configuration: unknown key 'd_modle'; did you mean 'd_model'?
        """
        defaults = {f.name: getattr(BASE, f.name) for f in fields(cls)}
        for key, value in values.items():
            if key not in defaults:
                raise InputError(f"unknown key {key!r}", where=where, todo=suggestion(key, defaults))
            if not _fits(value, defaults[key]):
                kind = type(defaults[key]).__name__
                raise InputError(f"{key} = {value!r} is not a value of type {kind}", where=where, todo="correct it")
        return cls(**{key: type(defaults[key])(value) for key, value in values.items()})

    def as_dict(self) -> dict[str, Any]:
        """Every key with its value: plain JSON."""
        return asdict(self)

    def identity(self) -> str:
        """Twelve hexadecimal digits that name the run: a hash of every key that changes its result.

        Only keys that differ from their default are hashed, so a new key leaves old runs their names.
        """
        given = {key: value for key, value in self.as_dict().items() if value != getattr(BASE, key)}
        kept = {key: value for key, value in given.items() if key not in UNIDENTIFYING}
        return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:12]

    def pack_key(self) -> str:
        """Runs of equal key can be trained as members of one batch."""
        kept = {key: value for key, value in self.as_dict().items() if key not in MEMBER_KEYS}
        return json.dumps(kept, sort_keys=True)

    def lr_schedule(self) -> Schedule:
        """The schedule with everything filled in: ``per_step()[s]`` is the rate of update s = 1..steps."""
        kind, _, rest = self.schedule.strip().partition(":")
        shape = SHAPES.get(kind.replace("-", "_"))
        if shape is None:
            return parse_schedule(self.schedule)
        filled = {"peak_lr": self.lr, "warmup": self.warmup, "final": self.final_ratio * self.lr}
        given = {part.partition("=")[0].strip() for part in rest.split(",") if part.strip()}
        takes = inspect.signature(shape).parameters
        parts = [f"{key}={value!r}" for key, value in filled.items() if key in takes and key not in given]
        parts += [] if "steps" in given else [f"steps={self.steps}"]
        return parse_schedule(f"{kind}:{','.join([*filter(None, [rest]), *parts])}")

    def factors(self, table: Parametrization | None = None) -> Factors:
        """The parametrisation at this size, or ``table`` in its place."""
        return at(
            table or parametrization(self.parametrization),
            kind=optimizer(self.optimizer).kind,
            m=self.d_model / self.base_width,
            m_L=self.n_layer / self.base_depth,
            m_head=self.d_head / (self.base_d_head or self.d_head),
        )

    def build(self, source: Source, table: Factors | None = None) -> Model:
        """The model for this data; ``table`` replaces the parametrisation's factors."""
        table = table or self.factors()
        if self.model not in BUILDERS:
            raise InputError(f"no model {self.model!r}", todo=suggestion(self.model, BUILDERS))
        if source.task != TASKS[self.model]:
            raise InputError(
                f"model {self.model!r} learns {TASKS[self.model]}, data {self.data!r} is {source.task}",
                todo="change model or data",
            )
        return BUILDERS[self.model](self, source, table)


def _decoder(config: Config, source: Source, table: Factors) -> Model:
    return Decoder(**_shape(config, source, table))


def _encoder_decoder(config: Config, source: Source, table: Factors) -> Model:
    width = config.encoder_width or config.d_model
    return EncoderDecoder(
        **_shape(config, source, table),
        n_encoder_layer=config.n_encoder_layer,
        encoder_width=width,
        encoder_ff=config.encoder_ff or 4 * width,
    )


def _shape(config: Config, source: Source, table: Factors) -> dict[str, Any]:
    return {
        "vocab": source.vocab,
        "d_model": config.d_model,
        "n_layer": config.n_layer,
        "d_head": config.d_head,
        "d_ff": config.d_ff or 4 * config.d_model,
        "factors": table,
        "norm": config.norm,
        "activation": config.activation,
        "qk_norm": config.qk_norm,
        "tied": config.tied,
        "zero_readout": config.zero_readout,
        "embed_std": config.embed_std,
        "z_loss": config.z_loss,
    }


def _mlp(config: Config, source: Source, table: Factors) -> Model:
    return MLP(source.inputs, source.vocab, config.d_model, config.n_layer, table, config.zero_readout)


BUILDERS = {"decoder": _decoder, "encoder-decoder": _encoder_decoder, "mlp": _mlp}


TASKS = {"decoder": "language", "encoder-decoder": "translation", "mlp": "classification"}


def _fits(value: object, default: object) -> bool:
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(default, bool) and isinstance(value, bool)
    if isinstance(default, float):
        return isinstance(value, int | float)
    return isinstance(value, type(default))


BASE = Config()
QUICK = Config(d_model=32, steps=400, warmup=40, eval_every=40, eval_batch=8192, parametrization="mup")


def with_name(config: Config) -> Config:
    """The configuration under its own name, or under its identity when it has none."""
    return replace(config, name=config.name or config.identity())
