"""The formats of the lines that trainers print: one `TextFormat` each, recognised by what the lines say."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from scalefit.runs.wording import OTHER_LOSSES

NUMBER = r"[-+]?(?:\d[\d,]*\.?\d*(?:[eE][-+]?\d+)?|\.\d+|(?i:nan|inf)\b)"


@dataclass(frozen=True)
class TextFormat:
    """The lines that one trainer prints.

    `rows`: expressions with a group `step` and groups named by column; each match is (part of) a row. `pairs`: an
    expression with the groups `key` and `value`, applied to a line that matched or, with `block`, to the lines below
    it. `keep`: the keys to read and their columns (if empty: all, under their own names). `about`: what is known about
    the numbers, (kind, sentence). `stale`: a column that later lines print again.
    """

    name: str
    rows: tuple[re.Pattern[str], ...]
    pairs: re.Pattern[str] | None = None
    block: bool = False
    keep: dict[str, str] = field(default_factory=dict)
    about: tuple[tuple[str, str], ...] = ()
    end: str = ""
    parts: bool = False
    stale: str = ""


def _row(pattern: str) -> re.Pattern[str]:
    """The expression in which `<name>` stands for a number in the column `name`, a step also for one such as 1.5k."""
    return re.compile(re.sub(r"<(\w+)>", lambda name: f"(?P<{name[1]}>{_number(name[1])})", pattern), re.IGNORECASE)


def _number(name: str) -> str:
    return rf"{NUMBER}(?:[kKmM](?![A-Za-z]))?(?![.\w]*\d)" if name in ("step", "steps") else NUMBER


FEW_DIGITS = ("unknown", "the learning rate is printed with four decimals, too few to be read")
LEFT_OUT = ("unknown", "the console leaves out optim/* and with it the learning rate")
NO_LR = ("unknown", "the learning rate is not printed")
TRAINERS = (
    TextFormat(
        "NeMo",
        (_row(r"\biteration +<iteration>/ *\d+ *\|(?=.*reduced_train_loss)(?=.*global_step: *<step>)"),),
        re.compile(rf"\| *(?P<key>\w+): *(?P<value>{NUMBER})(?= *(?:\||$))"),
        keep={
            "reduced_train_loss": "loss",
            "lr": "lr",
            "val_loss": "val_loss",
            "consumed_samples": "consumed_samples",
            "global_batch_size": "samples_per_step",
        },
        about=(
            ("unknown", "step counts from 0, as global_step is printed"),
            ("unknown", "val_loss is printed again on the rows after its evaluation: it is read where it is new"),
            ("unknown", "tokens are samples times the sequence length, which is not printed"),
        ),
        stale="val_loss",
    ),
    TextFormat(
        "Megatron-LM",
        (
            _row(r"\biteration +<step>/ *<steps> *\|(?!.*reduced_train_loss)"),
            _row(r"validation (?:loss|results) at iteration +<step> *(?:on [^|]*)?\| *lm[ _]loss value: *<val_loss>"),
        ),
        re.compile(rf"\| *(?P<key>[A-Za-z][\w ()-]*?): *(?P<value>{NUMBER})(?= *\|)"),
        keep={
            **dict.fromkeys(("lm loss", "loss"), "loss"),
            "learning rate": "lr",
            "consumed tokens": "tokens",
            "grad norm": "grad_norm",
            "consumed samples": "consumed_samples",
            "global batch size": "samples_per_step",
            "number of skipped iterations": "skipped",
            "number of nan iterations": "nan_iterations",
        },
        about=(
            ("unknown", "loss is the mean over the logging interval"),
            ("unknown", "tokens are samples times the sequence length, which is not printed"),
        ),
        end="|",
    ),
    TextFormat(
        "nanotron",
        (_row(r"\biteration: *<step> */ *<steps> *\|(?=.*\blm_loss: )"),),
        re.compile(rf"\| *(?P<key>\w+): *(?P<value>{NUMBER}[KMGBT]?)(?= *(?:\||$))"),
        keep={
            "lm_loss": "loss",
            "lr": "lr",
            "grad_norm": "grad_norm",
            "consumed_tokens": "tokens",
            "global_batch_size": "samples_per_step",
        },
        about=(("unknown", "all numbers are printed with three digits"),),
    ),
    TextFormat(
        "torchtune",
        (_row(r"^(?:\[[^\]]*\]:? ?)*Step <step> \| ?(?=.*\bloss:[-+\dni.])"),),
        re.compile(rf"(?<!\S)(?P<key>[A-Za-z][\w/]*):(?P<value>{NUMBER})(?!\S)"),
    ),
    TextFormat(
        "litgpt",
        (
            _row(r"\biter <iteration> *\|? *step <step>(?: *\||:) *loss (?:train(?: \([^)]*\))?: )?<loss>"),
            _row(r"\biter <iteration>: val loss <val_loss>, val time"),
        ),
        about=(
            (
                "unknown",
                "the loss is a mean over the micro-batches of a step, or that of its last one in older versions",
            ),
            NO_LR,
        ),
        parts=True,
    ),
    TextFormat(
        "composer",
        (_row(r"^\[batch=<step>/<steps>\]:"), _row(r"^\[epoch=\d+(?:/\d+)?\]\[batch=\d+/\d+\]:")),
        re.compile(rf"^\s+(?:Train|Eval) (?!.*/batch_in_epoch)(?P<key>[\w/.-]+): (?P<value>{NUMBER})\s*$"),
        block=True,
        about=(FEW_DIGITS,),
    ),
    TextFormat(
        "torchtitan",
        (
            _row(r"(?<!validate )\bstep: *<step> +loss: *<loss>(?: +grad_norm: *<grad_norm>)?"),
            _row(r"\bvalidate step: *<step> +loss: *<val_loss>"),
        ),
        about=(NO_LR,),
    ),
    TextFormat(
        "nanoGPT",
        (
            _row(r"\biter <step>: loss <loss>, time"),
            _row(r"\bstep <step>: train loss <train_loss>, val loss <val_loss>"),
        ),
        about=(
            ("unknown", "loss is that of one micro-batch; train_loss and val_loss are means over eval_iters batches"),
            NO_LR,
        ),
    ),
    TextFormat(
        "modded-nanogpt",
        (_row(r"\bstep:<step>/<steps>(?= .*(?:train|val)_loss:)"),),
        re.compile(rf"\b(?P<key>train_loss|val_loss|lr):(?P<value>{NUMBER})"),
        keep={"train_loss": "loss", "val_loss": "val_loss", "lr": "lr"},
        about=(NO_LR,),
    ),
    TextFormat(
        "llm.c",
        (_row(r"^s:<step> (?=(?:trl|tel|eval):)"),),
        re.compile(rf"\b(?P<key>\w+):(?P<value>{NUMBER})"),
        keep={"trl": "loss", "tel": "val_loss", "eval": "hellaswag", "lr": "lr", "norm": "grad_norm"},
    ),
    TextFormat(
        "build-nanogpt",
        (_row(r"^<step> train <loss>$"), _row(r"^<step> val <val_loss>$"), _row(r"^<step> hella <hellaswag>$")),
        about=(NO_LR,),
    ),
    TextFormat(
        "levanter",
        (re.compile(rf"\bProgress on:\D*(?P<step>{NUMBER}[kM]?)it/(?P<steps>{NUMBER}[kM]?)it\b(?=.*\bloss=)"),),
        re.compile(rf"\b(?P<key>loss)=(?P<value>{NUMBER})"),
        keep={"loss": "loss"},
        about=(("unknown", "the bar prints steps with three digits: from 1000 on they are rounded"), NO_LR),
        parts=True,
    ),
    TextFormat(
        "OpenNMT",
        (
            _row(r"\bStep <step>/ *<steps>; (?=.*\bxent:)"),
            _row(r"\bEpoch +<epoch>, *<step>/ *<steps>; (?=.*\bxent:)"),
        ),
        re.compile(rf"\b(?P<key>xent|lr): *(?P<value>{NUMBER})"),
        keep={"xent": "loss", "lr": "lr"},
    ),
    TextFormat(
        "ESPnet",
        (_row(r"\b<epoch>epoch:train:\d+-<batch>batch:"),),
        re.compile(rf"(?<![\w.])(?P<key>[a-z][a-z_0-9]*)=(?P<value>{NUMBER})(?=,|\s*$)"),
        keep={
            "loss": "loss",
            **dict.fromkeys(("lr_0", "lr0", "optim0_lr0"), "lr"),
            "loss_ctc": "loss_ctc",
            "loss_att": "loss_att",
        },
        about=(("unknown", "loss is the mean over the batches of a line"),),
    ),
    TextFormat(
        "OLMo",
        (_row(r"\[(?:.*, ?)?step=<step>(?:/<steps>)?(?:,[^\]]*)?\] *$"),),
        re.compile(rf"^\s+(?P<key>[\w./() -]+?)=(?P<value>{NUMBER})\s*$"),
        block=True,
        about=(LEFT_OUT,),
    ),
)

#: abouts that hold only where no learning rate was found
WITHOUT_RATE = (NO_LR, FEW_DIGITS, LEFT_OUT)
ROUGH = re.compile(r"\d*\.\d{1,4}")  #: a rate with no more digits than composer prints of every number

#: lines of gradient boosting: a round, and the measures of each data set
BOOSTING = (
    TextFormat(
        "XGBoost or LightGBM",
        (_row(rf"^(?:\[[\d:. -]+\] )?\[<step>\]\s+(?=\w+(?:-\w+|'s \w+)\S*: ?{NUMBER})"),),
        re.compile(rf"(?<!\S)(?P<key>[A-Za-z_][\w.-]*(?:'s [\w@-]+|-[\w@-]+)): ?(?P<value>{NUMBER})(?!\S*[^\s+\d.e-])"),
        about=(("unknown", "step counts rounds of boosting, and no loss is chosen among the measures"),),
    ),
    TextFormat(
        "CatBoost",
        (_row(r"^<step>:\s+(?=learn: )"),),
        re.compile(rf"(?<!\S)(?P<key>learn|test): (?P<value>{NUMBER})(?!\S)"),
        about=(("unknown", "step counts rounds of boosting, and no loss is chosen among the measures"),),
    ),
)
FORMATS = (*TRAINERS, *BOOSTING)

OF = r"(?:[_/](?:train|tr|val|valid|eval|test|total|aux|lm))?"  #: what may follow the word in the name of a loss
LOSS = rf"(?=.*(?:\b|_)loss{OF}[ :=\[]+(?:tensor\()?[-+\dni.])"  #: a loss further on in the line
#: Lines of no known trainer that give a step and a loss: step 10/200 | loss 2.91 | lr 1e-3
PLAIN = TextFormat(
    "a step and a loss",
    (
        _row(
            rf"^{LOSS}.*?(?<!\bin )\b(?:global_|total_)?(?:step|iter|iteration|update)s?[ :=#\[]*<step>"
            r"(?: *(?:/|of) *<steps>)?\b"
        ),
        _row(rf"^{LOSS}[^|]*?\bepoch[ :=#\[]*<epoch>\b[^|]*\|[^|]*\|\s*<step>/<steps>\s*\["),
        _row(rf"^{LOSS}.*?\biter\(train\) *\[ *<step> */ *<steps>\]"),
        _row(r"\bstep=<step>, skipped=\d+, lr=\[<lr>"),
        _row(rf"^{LOSS}.*?\bepoch +<epoch> *\| *<step>/ *<steps> batches"),
        _row(
            rf"^(?!.*\btrain epoch){LOSS}.*?\b(?:epoch|train)[ :]*\[?<epoch>\]?"
            r"(?: */ *\d+)?(?: *\( *\d+ *%\))?[ ,|]*\[ *<step> */ *<steps>"
        ),
        _row(rf"^(?=.*\btrain epoch){LOSS}.*?\bepoch[ :]*<epoch>[ ,|]*\[ *<samples> */ *<of_samples>"),
        _row(rf"^\s*<step>(?: */ *<steps>)? *[|:] *{LOSS}"),
        _row(rf"^{LOSS}[^|]*\|[^|]*\|\s*<step>/<steps>\s*\["),
        _row(rf"^(?!.*\b(?:step|iter|epoch)\b){LOSS}(?:[^|\]]*\] )?\[<step>(?: */ *<steps>)?\] "),
        _row(rf"^(?!.*\b(?:step|iter)){LOSS}.*?\bepoch[ :=#\[]*<epoch>(?: *(?:/|of) *<epochs>)?\b"),
    ),
    re.compile(
        r"(?<![\w./-])(?P<key>(?:[a-z][a-z0-9]*[ _/-]){0,3}loss"
        + OF
        + r"|lr|learning[ _]rate|epoch|grad(?:ient)?[ _]norm)"
        rf"[ :=\[]+(?:tensor\()?(?P<value>{NUMBER})(?P<unit>\s*\(?(?:bits?|bpb|bpc)\b)?",
        re.IGNORECASE,
    ),
    keep={
        **dict.fromkeys(("lr", "learning rate"), "lr"),
        **dict.fromkeys(("grad norm", "gradient norm"), "grad_norm"),
        "epoch": "epoch",
    },
)
JUDGED = re.compile(r"\b(?:val(?:id(?:ation)?)?|eval(?:uation)?|test)\b", re.IGNORECASE)  #: in front of a plain loss
TRAINED = re.compile(r"\btrain(?:ing)?(?:\b|_)", re.IGNORECASE)
TRAINED_THERE = re.compile(r"\btrain(?:ing)?(?:\b|_)(?![ _-]?(?:step|iter))", re.IGNORECASE)  #: no "train step 100"


def name_of_loss(key: str, before: str) -> str:
    """The column of a loss in a line of no known trainer: by the words of its key, or by what stands before it.

    >>> name_of_loss("train_loss", "step 10 "), name_of_loss("lm loss", ""), name_of_loss("loss", "eval | step 10 | ")
    ('train_loss', 'loss', 'val_loss')
    >>> name_of_loss("moe aux loss", "step 10 | "), name_of_loss("best_val_loss", "")
    ('moe_aux_loss', 'best_val_loss')
    >>> name_of_loss("loss", "llm.train_ft | [val] step 10 | "), name_of_loss("loss", "valid.py | train | step 10 | ")
    ('val_loss', 'loss')
    >>> name_of_loss("loss", "Completed eval after train step 100, "), name_of_loss("loss", "train step 100, ")
    ('val_loss', 'loss')
    """
    words = re.split(r"[ _/-]+", key.lower())
    if set(words) & OTHER_LOSSES:
        return "_".join(words)
    spaced = key.replace("_", " ")
    if TRAINED.search(spaced):
        return "train_loss"
    if len(words) > 1:
        return "val_loss" if JUDGED.search(spaced) else "loss"
    judged, trained = ([hit.start() for hit in sign.finditer(before)] for sign in (JUDGED, TRAINED_THERE))
    return "val_loss" if max(judged, default=-1) > max(trained, default=-1) else "loss"  # the nearest word counts


RATE_LINE = re.compile(r"\bstep=\d+, skipped=\d+, lr=\[")  #: of DeepSpeed, beside lines with a loss
FEWEST_PLAIN = 3  #: such lines that make a log

#: Keys of blocks that get another name, so that the training loss is not confused with evaluations.
BLOCK_NAMES = {"train/CrossEntropyLoss": "loss", "train/CE loss": "loss", "throughput/total_tokens": "tokens"}
BLOCK_NAMES |= {"loss/train/total": "loss", "metrics/eval/LanguageCrossEntropy": "val_loss"}
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
