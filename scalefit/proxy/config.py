"""The configuration of one run, and how its model, schedule and identity follow from it."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from scalefit.errors import InputError, all_of
from scalefit.numerics import suggestion
from scalefit.proxy.limits import BUILT_IN, LARGEST, nested, refuse_impossible
from scalefit.proxy.models.parametrization import Factors, Parametrization, at, parametrization
from scalefit.proxy.models.shapes import refuse_groups, refuse_heads, refuse_pair, refuse_parts
from scalefit.schedules import SHAPES, Schedule, parse_schedule

if TYPE_CHECKING:  # torch is loaded when a model is built: plans and tables of sweeps need none
    from scalefit.proxy.models.layers import Model
    from scalefit.proxy.tasks.data import Source

#: keys that do not change the result: configurations that differ only in these are the same run
UNIDENTIFYING = ("device", "compile", "checkpoint_every", "flush_every", "probe_every", "curvature_every", "name")
#: keys that may differ between members trained as one batch
MEMBER_KEYS: tuple[str, ...] = ("name", "seed", "data_seed", "lr", "schedule", "final_ratio", "warmup", "weight_decay")
MEMBER_KEYS += ("independent_decay", "init_scale", "optimizer_options")
#: keys that a decoder takes as they are
SHAPE: tuple[str, ...] = (
    "d_model",
    "n_layer",
    "d_head",
    "norm",
    "activation",
    "qk_norm",
    "tied",
    "zero_readout",
    "embed_std",
    "z_loss",
)
SHAPE += ("norm_type", "kv_group", "biases", "dropout", "experts", "experts_per_token", "balance", "zero_query")
SHAPE += ("distill", "temperature")
#: what each model learns
TASKS = {"decoder": "language", "encoder-decoder": "translation", "mlp": "classification"}


@dataclass(frozen=True)
class Config:
    """One run. ``batch`` counts tokens per optimiser step, ``lr`` is the peak learning rate, ``steps`` counts updates.

    ``schedule`` is a text of `scalefit.schedules`, such as "cosine" or "wsd:decay_steps=200"; where it does not give
    steps, warmup, peak_lr or final (= final_ratio · peak), they are filled in from here. ``weight_decay`` is multiplied
    by the learning rate, or, with ``independent_decay``, by the schedule alone (lr / peak lr). Spikes are added to
    every ``spike_every``-th gradient before it is clipped. The parametrisation depends on the sizes relative to
    base_width, base_depth and base_d_head.

    >>> Config(lr=0.01, steps=100, warmup=10, schedule="cosine").lr_schedule().text
    'cosine:peak_lr=0.01,steps=100,warmup=10,final=0'
    """

    model: str = "decoder"  # decoder | encoder-decoder | mlp
    parametrization: str = "sp"
    d_model: int = 64
    n_layer: int = 2
    n_encoder_layer: int = 2  # of an encoder-decoder, whose decoder has n_layer, d_model and d_ff
    encoder_width: int = 0  # 0: d_model
    encoder_ff: int = 0  # 0: 4 encoder_width
    d_head: int = 16
    d_ff: int = 0  # 0: 4 d_model
    seq_len: int = 64
    norm: str = "pre"  # pre | post | peri
    norm_type: str = "layer"  # layer | rms
    activation: str = "gelu"  # gelu | swiglu
    qk_norm: bool = True
    kv_group: int = 1  # heads that share one key and value
    biases: bool = False
    dropout: float = 0.0
    experts: int = 1  # feed-forward layers of a block, of which a token passes experts_per_token
    experts_per_token: int = 1
    balance: float = 0.01  # factor of the balance loss
    tied: bool = False
    zero_readout: bool = True
    zero_query: bool = False
    embed_std: float = 0.1
    init_scale: float = 1.0
    base_width: int = 32
    base_depth: int = 2
    base_d_head: int = 0  # 0: d_head
    optimizer: str = "adamw"
    optimizer_options: dict[str, float] = field(default_factory=dict)
    lr: float = 1e-2
    embed_lr: float = 1.0  # factor on the learning rate of embeddings
    output_mult: float = 1.0  # factor on the output logits
    weight_decay: float = 0.0
    independent_decay: bool = True
    clip: float = 1.0
    spike_every: int = 0  # steps between gradient spikes added on purpose; 0: none
    spike_size: float = 1000.0  # of a spike, in units of the gradient's root mean square
    spike_share: float = 0.01  # of the weights, which a spike hits
    spike_examples: int = 0  # steps between weights that are kept, to rank examples over a spike of the loss; 0: none
    z_loss: float = 0.0
    weight_bits: int = 0  # to which hidden matrices are rounded in the forward pass; 0: not rounded
    weight_group: int = 0  # weights of a column that share the scale of that rounding; 0: all of them
    start: str = ""  # folder of a finished run with whose weights this one begins
    teacher: str = ""  # folder of a finished run whose logits are learned
    distill: float = 1.0  # share of the divergence from the teacher in what is minimised; the rest is cross-entropy
    temperature: float = 1.0  # of both distributions in that divergence
    schedule: str = "cosine"
    steps: int = 1000
    warmup: int = 50
    final_ratio: float = 0.0
    data: str = "stdlib"
    data_options: dict[str, float] = field(default_factory=dict)
    mixture: dict[str, float] = field(default_factory=dict)  # in place of data: sources with their weights
    sources: dict[str, str] = field(default_factory=dict)  # what those names stand for: name -> data
    tokenizer: str = ""  # tokenizer.json for text; without one text is bytes
    val: dict[str, str] = field(default_factory=dict)  # further held-out sets: name -> data
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
        refuse_impossible(self.as_dict(), DEFAULTS)
        tokens = self.sequence_tokens * self.accumulate
        if self.batch % tokens:
            raise InputError(
                f"batch={self.batch} is not a multiple of {self.accumulate} × {self.sequence_tokens} tokens",
                todo=f"choose batch={max(self.batch // tokens, 1) * tokens}",
            )

    @property
    def sequence_tokens(self) -> int:
        """Tokens per example."""
        return 1 if self.model == "mlp" else self.seq_len

    @property
    def examples(self) -> int:
        """Examples per step."""
        return self.batch // self.sequence_tokens

    @classmethod
    def read(cls, values: Mapping[str, Any], where: str = "configuration") -> Config:
        """From a dictionary or TOML table, in which "val.a" is a key inside val. Raises InputError for an unknown key
        (with the nearest known one) and for a value of the wrong type.

        >>> Config.read({"d_modle": 64})
        Traceback (most recent call last):
        ...
        scalefit.errors.InputError: configuration: unknown key 'd_modle'; did you mean 'd_model'?
        """
        defaults, values = BASE.__dict__, nested(values)

        def check(entry: tuple[str, Any]) -> None:
            key, value = entry
            if key not in defaults:
                raise InputError(f"unknown key {key!r}", where=where, todo=suggestion(key, defaults))
            if not _fits(value, defaults[key]):
                kind = type(defaults[key]).__name__
                raise InputError(f"{key} = {value!r} is not of type {kind}", where=where, todo="correct the value")

        all_of(check, values.items())
        return cls(**{key: type(defaults[key])(value) for key, value in values.items()})

    def as_dict(self) -> dict[str, Any]:
        """Every key with its value, ready for JSON."""
        values = {key: getattr(self, key) for key in KEYS}
        return {key: dict(value) if isinstance(value, dict) else value for key, value in values.items()}

    def identity(self) -> str:
        """Twelve hexadecimal digits that name the run: a hash of the keys that change its result.

        Only keys that differ from their default are hashed, so that old runs keep their names when a key is added.
        """
        given = {key: value for key, value in self.as_dict().items() if value != getattr(BASE, key)}
        return hashlib.sha256(_json_without(UNIDENTIFYING, given).encode()).hexdigest()[:12]

    def pack_key(self) -> str:
        """Runs of equal key can be trained as members of one batch."""
        return _json_without(MEMBER_KEYS, self.as_dict())

    def lr_schedule(self) -> Schedule:
        """The complete schedule: ``per_step()[s]`` is the learning rate of update s = 1..steps."""
        kind, _, rest = self.schedule.strip().partition(":")
        shape = SHAPES.get(kind.replace("-", "_"))
        if shape is None:
            return parse_schedule(self.schedule)
        given = {part.partition("=")[0].strip() for part in rest.split(",") if part.strip()}
        final = f"{100 * self.final_ratio!r}%" if "peak_lr" in given else f"{self.final_ratio * self.lr!r}"
        filled = {"peak_lr": f"{self.lr!r}", "warmup": f"{self.warmup!r}", "final": final}
        takes = inspect.signature(shape).parameters
        parts = [f"{key}={value}" for key, value in filled.items() if key in takes and key not in given]
        parts += [] if "steps" in given else [f"steps={self.steps}"]
        return parse_schedule(f"{kind}:{','.join([rest, *parts] if rest else parts)}")

    def lr_is_of_schedule(self) -> bool:
        """Whether the schedule says its learning rates itself, so that ``lr`` is not used."""
        return "peak_lr" in self.schedule or "peak_lr=" not in self.lr_schedule().text

    def refuse_unbuildable(self) -> None:
        """Raise InputError where no model could be built or trained: what is refused when a run begins, without torch.

        The name of another optimizer than the default is checked where torch is installed.
        """
        parametrization(self.parametrization)
        self.lr_schedule()
        if self.model not in TASKS:
            raise InputError(f"no model {self.model!r}", todo=suggestion(self.model, TASKS))
        if not self.mixture:
            self._refuse_task(BUILT_IN.get(self.data.partition(":")[0], TASKS[self.model]))
        if self.model != "mlp":
            refuse_heads(self.d_model, self.d_head, self.kv_group)
            refuse_parts(self.norm, self.norm_type, self.activation, self.experts, self.experts_per_token)
        widths = [self.d_model, self.d_ff or 4 * self.d_model]
        if self.model == "encoder-decoder":
            width = self.encoder_width or self.d_model
            refuse_heads(width, self.d_head, self.kv_group)
            refuse_pair(self.norm)
            widths += [width, self.encoder_ff or 4 * width]
        refuse_groups(widths[:1] if self.model == "mlp" else widths, self.weight_group)
        if self.optimizer != BASE.optimizer and find_spec("torch"):
            self.factors()

    def _refuse_task(self, task: str) -> None:
        if task != TASKS[self.model]:
            what = f"model {self.model!r} is for {TASKS[self.model]}, data {self.data!r} is for {task}"
            raise InputError(what, todo="change model or data")

    def factors(self, table: Parametrization | None = None) -> Factors:
        """The parametrisation's factors at this size; ``table`` replaces the parametrisation."""
        from scalefit.proxy.optimizers import optimizer

        found = at(
            table or parametrization(self.parametrization),
            kind=optimizer(self.optimizer).kind,
            m=self.d_model / self.base_width,
            m_L=self.n_layer / self.base_depth,
            m_head=self.d_head / (self.base_d_head or self.d_head),
        )
        rates, forward = dict(found.lr), dict(found.forward)
        rates["embed"] *= self.embed_lr
        forward["readout"] *= self.output_mult
        return replace(found, lr=rates, forward=forward)

    def build(self, source: Source, table: Factors | None = None) -> Model:
        """The model for this data; ``table`` replaces the parametrisation's factors."""
        from scalefit.proxy.models.encoder_decoder import EncoderDecoder
        from scalefit.proxy.models.mlp import MLP
        from scalefit.proxy.models.model import Decoder

        self.refuse_unbuildable()
        self._refuse_task(source.task)
        table = table or self.factors()
        if self.model == "mlp":
            return MLP(source.inputs, source.vocab, self.d_model, self.n_layer, table, self.zero_readout)
        shape = {key: getattr(self, key) for key in SHAPE}
        shape |= {"vocab": source.vocab, "d_ff": self.d_ff or 4 * self.d_model, "factors": table}
        if self.model == "decoder":
            return Decoder(**shape)
        width = self.encoder_width or self.d_model
        shape |= {"n_encoder_layer": self.n_encoder_layer, "encoder_width": width}
        return EncoderDecoder(**shape, encoder_ff=self.encoder_ff or 4 * width)


KEYS = tuple(key.name for key in fields(Config))
DEFAULTS = {key.name: key.default for key in fields(Config)}


def _json_without(keys: Sequence[str], values: Mapping[str, Any]) -> str:
    return json.dumps({key: value for key, value in values.items() if key not in keys}, sort_keys=True)


def _fits(value: object, default: object) -> bool:
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(default, bool) and isinstance(value, bool)
    if isinstance(default, float):
        return isinstance(value, float) or (isinstance(value, int) and abs(value) < LARGEST)
    if isinstance(default, dict):
        kinds = str if default is BASE.val or default is BASE.sources else int | float
        return isinstance(value, dict) and all(isinstance(each, kinds) for each in value.values())
    return isinstance(value, type(default))


BASE = Config()
QUICK = Config(d_model=32, steps=400, warmup=40, eval_every=40, eval_batch=8192, parametrization="mup")
