"""What the words of a column's name say: its unit, what it counts, and whether it is N, tokens, a step or a loss."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from scalefit.runs.quantities import PREFIXES, flop, upright

SCALES = {"k": 1e3, "m": 1e6, "b": 1e9, "t": 1e12, "g": 1e9, "mn": 1e6, "bn": 1e9, "mm": 1e6, "mil": 1e6, "mio": 1e6}
SCALES |= {"mrd": 1e9, "kilo": 1e3, "mega": 1e6, "giga": 1e9, "tera": 1e12}
SCALES |= {f"{word}{s}": by for s in ("", "s") for word, by in
           (("thousand", 1e3), ("million", 1e6), ("billion", 1e9), ("trillion", 1e12))}  # fmt: skip
PREFIXED, STEP = frozenset({"kilo", "mega", "giga", "tera"}), re.compile(r"steps?|iter|update", re.IGNORECASE)
LETTERS = frozenset({"k", "m", "b", "g", "t", "mn", "bn"})  #: units that may as well be the name of something
#: beside such a unit in brackets: (M tokens), (B params), (M, non-embedding), (Mtok)
TOKENS = r"tok(?:en)?s?|param(?:eter)?s?"
COUNTED = re.compile(rf"(?:of|no|non|without|with|excl|incl|emb\w*|nonemb\w*|total|trained|training|train|{TOKENS})\.?")
JOINED = re.compile(rf"(kilo|mega|giga|tera|k|m|g|b|t|mn|bn)(?=(?:{TOKENS})$)", re.IGNORECASE)
GIGATOKENS = re.compile(r"(?:in )?([KMGBT])T")  #: in capitals: GT
CAPITAL = re.compile(r"(?<=[A-Za-z0-9])(?=[A-Z][a-z])|(?<=[a-z])(?=[A-Z]{1,2}$)|(?<=^[ND])(?=[mMbB]$)")
#: a power of ten, a word, or a number in a name
PIECE = re.compile(r"10\s*(?:\^|\*\*)\s*\d{1,2}|(?:\d[\d.]*)?e\+?\d{1,2}(?!\w)|[A-Za-z]+|[\d.]+", re.IGNORECASE)
POWER = re.compile(r"1?e\+?(\d{1,2})|10\s*(?:\^|\*\*)\s*(\d{1,2})", re.IGNORECASE)
BRACKET = re.compile(r"[\(\[]([^\(\)\[\]]*)[\)\]]")
TEN = re.compile(r"\d*\.?\d*e[+-]?\d+|10\^[+-]?\d+", re.IGNORECASE)


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: what a number of tokens, parameters or operations does not count
OTHERS = _set(
    "samples sample sequences sequence seqs examples example images image words word characters chars bytes byte kb mb "
    "gb tb kib mib gib tib documents docs pairs sentences lines files hours hour hrs h gpuh days day minutes min "
    "seconds sec s ms msec milliseconds epochs epoch steps iterations layers usd dollars kwh kg $ € flop/s flops/s "
    "tflop/s tflops/s"
)
#: in brackets: how many times as much as something else, or one quantity over another
MULTIPLES = re.compile(
    r"[x×]\s*(?:(?:of\s+)?(?:[a-z]{2}|\d*n$)|$)|chinchilla|multipl(?:es?|iers?)\b|rel(?:ative)?\b|ratio\b|factor\b|"
    r"normali[sz]ed|times$|(?:times|% of)\s+[a-z]|%|percent|pct|per cent"
)
SHARES = frozenset({"error", "accuracy", "domain_share"})  #: columns of shares, which people write in per cent
OVER = re.compile(r"[a-z. ]*(?:/|\b(?:per|over)\b)\s*(?P<what>[a-z]+)")
OVER_PARAMETERS = re.compile(r"\s*(?:/|\bper\b|\bover\b)\s*(?:param\w*|n)\b")
#: a whole name, or what stands in its brackets, that says tokens over parameters
TOKENS_OVER_PARAMETERS = re.compile(
    r"tpp|d_n|(?:(?:n|num|of|total|train|trained|training)[ _])*(?:tok(?:en)?s?|data|d)(?:[ _]*[/:][ _]*|"
    r"[ _](?:per|over|to)[ _]|_(?=.*ratio))(?:model[ _])?(?:param\w*?|n)(?:[ _]ratio)?"
)
OVER_N = re.compile(r"(?:[x×]|times|multiples? of)\s*n")
#: what the quantity of a column may be counted per: nats per token, tokens per step
COUNTED_PER = {"loss": _set("token tok byte char character word"), "lr": _set("step"),
               "batch": _set("step iter iteration update batch")}  # fmt: skip
#: "worded": names that consist of words of a quantity and of these beside it, in any order
COUNTS = _set("n num number of count total model")
WITHOUT = _set("no non without wo excl excluding nonemb noemb nonembed nonembedding nonembeddings")
WITH = _set("with incl including all total")
EMBEDDINGS = _set("emb embd embed embeds embedding embeddings nonemb noemb nonembed nonembedding nonembeddings")
PARAMETERS = _set("param params parameter parameters")
TRAINED = _set("n num number of count total train training trained seen so far data dataset consumed processed d on")
TOKEN_WORDS = _set("token tokens tok toks")
OF_DATA = _set("size amount corpus")  #: beside data or dataset
SPLITS = _set("train training tr val valid validation eval evaluation test dev heldout held out")
STEP_WORDS = _set("step iter iteration update steps iters iterations updates")
STEP_BESIDE = _set(
    "n num number no count idx index global train training trainer opt optim optimizer optimiser cur current checkpoint"
)
BESIDE = SPLITS | _set("loss nll lm mean avg average final last token tokens per nats learning")
#: how a loss is averaged: two of these beside one another may each be the loss
AVERAGES = _set("avg average mean ema smooth smoothed running moving cur current batch step epoch window instant raw")
#: words of losses that are no cross-entropy of the model, and of what is no loss
OTHER_LOSSES = _set(
    "aux auxiliary kl z router balance balancing load reg regularization regularizer contrastive box cls dfl commit vq "
    "gan disc gen reward policy value entropy weight weights scale scaler scaling mask fn func function type name std "
    "var sem min max best smooth smoothed ema ratio delta diff change total grad decay distill mse mae rmse teacher n "
    "num count steps step epoch floor source target margin ppo dpo rank order index pred predicted prediction "
    "predictions forecast extrapolated fit fitted excess reducible gap gain improvement drop increase decrease "
    "relative rel normalized normalised zscore percent pct percentile bound upper lower ci sd stdev stderr err "
    "initial init recon reconstruction threshold curvature slope pg vf actor critic mtp"
)


def header_scale(name: str) -> float:
    """The factor that a unit in the header stands for: `Params (M)` counts millions, `FLOPs (1E21)` counts 1e21.

    >>> header_scale("#Params (B)"), header_scale("FLOPs (1E21)"), header_scale("loss (nats)")
    (1000000000.0, 1e+21, 1.0)
    >>> [header_scale(name) for name in ("D (M tokens)", "compute (PF-days)", "C (1e18 FLOPs)", "FLOPs (E)")]
    [1000000.0, 8.64e+19, 1e+18, 1e+18]
    """
    name = upright(str(name))
    found = BRACKET.search(name)
    if found and (giga := GIGATOKENS.fullmatch(found[1].strip())):
        return SCALES[giga[1].lower()]
    unit = _in_brackets(name)
    words = [JOINED.sub(r"\1 ", word) for word in re.split(r"[\s,;_]+|(?<=[a-z])-", unit)]
    left = [word for word in " ".join(words).split() if not COUNTED.fullmatch(word)]
    plain = left[0] if len(left) == 1 or left[1:] in (["flop"], ["flops"]) else unit
    if TEN.fullmatch(plain):
        return float(re.sub(r"^e|^10\^", "1e", plain))
    known = SCALES | PREFIXES if words_of(name) & {"flop", "flops", "compute", "c"} else SCALES
    return known.get(plain) or flop(unit) or 1.0


def _in_brackets(name: str) -> str:
    """What stands in brackets in a name, without the word in."""
    found = BRACKET.search(name)
    return found[1].strip().lower().removeprefix("in ").strip() if found else ""


def contradicted(name: str, canonical: str, large: bool) -> bool:
    """Whether the brackets of a name say that its column holds no such quantity: something else that is counted (of a
    ``large`` count), a multiple, per cent, or a share of another quantity than its unit has.

    >>> [contradicted(name, "D", True) for name in ("D (samples)", "D (x Chinchilla)", "D (ratio)", "D (B tokens)")]
    [True, True, True, False]
    >>> contradicted("loss (nats per token)", "loss", False), contradicted("error (%)", "error", False)
    (False, False)
    """
    unit = _in_brackets(name)
    other = large and not flop(unit) and bool(OTHERS & {unit, *re.split(r"[\s,.*-]+", unit)})
    return other or is_ratio(name, canonical)


def is_ratio(name: str, canonical: str = "") -> bool:
    """Whether the brackets of a name tell a multiple, per cent, or one quantity over another that is not the unit of
    the canonical column.

    >>> is_ratio("D (tokens/param)"), is_ratio("loss (nats/token)", "loss"), is_ratio("C (PFLOP/s-days)")
    (True, False, False)
    """
    unit = _in_brackets(name)
    if not unit or flop(unit):
        return False
    over = OVER.fullmatch(unit)
    multiple = bool(MULTIPLES.match(unit)) and canonical not in SHARES
    return multiple or bool(over and over["what"] not in COUNTED_PER.get(canonical, ()))


def per_parameter(name: str, plain: str, of_tokens: bool) -> bool:
    """Whether a name says tokens per parameter, in its brackets or before them.

    ``plain``: what stands before them, normalised; ``of_tokens``: whether it names tokens.

    >>> per_parameter("ratio (tokens per param)", "ratio", False), per_parameter("D (x N)", "d", True)
    (True, True)
    >>> per_parameter("lr (x N)", "lr", False), per_parameter("train tokens/N", "train_tokens/n", False)
    (False, True)
    """
    unit = _in_brackets(name)
    said = any(map(TOKENS_OVER_PARAMETERS.fullmatch, (plain, unit)))
    return said or bool(of_tokens and (OVER_PARAMETERS.fullmatch(unit) or OVER_N.fullmatch(unit)))


@dataclass(frozen=True)
class Told:
    """A unit that a name tells outside brackets: the name without it, its factor, and the letter if it is a mere one.

    ``counts``: whether the rest of the name says that it is of tokens or of parameters.
    """

    bare: str
    factor: float
    letter: str
    counts: bool


@lru_cache(maxsize=1 << 12)
def told(name: str) -> Told | None:
    """The unit that a name tells outside brackets; None where it tells none, or several.

    A letter counts at the end of a name, and elsewhere beside a word for tokens or parameters.

    >>> [(each.bare, each.factor) for each in map(told, ("billion_tokens", "params in M", "Mtok", "tokensB")) if each]
    [('tokens', 1000000000.0), ('params', 1000000.0), ('tok', 1000000.0), ('tokens', 1000000000.0)]
    >>> told("d_model"), told("tokens/B"), told("billion_tokens_M")
    (None, None, None)
    """
    plain = CAPITAL.sub("_", BRACKET.sub(" ", upright(name)))
    pieces = list(PIECE.finditer(plain))
    counting = [re.fullmatch(TOKENS, JOINED.sub("", each[0].lower())) is not None for each in pieces]
    found = [at for at, each in enumerate(pieces) if _scale_of(each[0]) and _is_unit(pieces, counting, at)]
    if len(found) != 1 or plain[: pieces[found[0]].start()].rstrip().endswith(("/", "x", "×", "*")):
        return None
    piece, joined = pieces[found[0]], JOINED.match(pieces[found[0]][0])
    start, end = piece.start(), piece.start() + joined.end() if joined else piece.end()
    before = re.sub(r"(?:^|(?<=[\W_]))in$", "", plain[:start].rstrip(" _-,:.#"), flags=re.IGNORECASE).rstrip(" _-,:.#")
    after = re.sub(r"^of[\W_]", "", plain[end:].lstrip(" _-,:."), flags=re.IGNORECASE).strip(" _-,:.")
    letter = piece[0].lower() if piece[0].lower() in LETTERS else ""
    bare = "_".join(part for part in (before, after) if part)
    said = any(counting) or bool(GIGATOKENS.fullmatch(piece[0]))
    bare += "_tokens" * bool(GIGATOKENS.fullmatch(piece[0]))
    return Told(bare, _scale_of(piece[0]), letter, said) if bare else None


def _scale_of(piece: str) -> float:
    """The factor of a piece of a name; 0 if it is no unit."""
    if power := POWER.fullmatch(piece):
        return float(f"1e{power[1] or power[2]}")
    if giga := GIGATOKENS.fullmatch(piece):
        return SCALES[giga[1].lower()]
    joined = JOINED.match(piece)
    return SCALES.get((joined[1] if joined else piece).lower(), 0.0)


def _is_unit(pieces: list[re.Match[str]], counting: list[bool], at: int) -> bool:
    """Whether a piece that may be a unit stands where one does: in front, a letter is a capital (`B tokens`) or k."""
    word, last = pieces[at][0].lower(), at == len(pieces) - 1
    if GIGATOKENS.fullmatch(pieces[at][0]):
        return last
    if word in PREFIXED:
        return last or counting[at + 1] or STEP.match(pieces[at + 1][0]) is not None
    if word not in LETTERS or (last and word not in "kg"):
        return True
    if last or pieces[at - 1][0].lower() == "in":
        return any(counting)
    return counting[at + 1] and (pieces[at][0].isupper() or word == "k")


@lru_cache(maxsize=1 << 12)
def kind_counted(name: str) -> str:
    """Tokens or params, where the brackets of a name say that it counts these, with a unit or without; else "".

    >>> [kind_counted(name) for name in ("data (B tokens)", "size (params)", "data (GT)", "speed (tokens/s)")]
    ['tokens', 'params', 'tokens', '']
    """
    name = upright(name)
    found = BRACKET.search(name)
    if found is None:
        return ""
    if GIGATOKENS.fullmatch(found[1].strip()):
        return "tokens"
    words = [JOINED.sub(r"\1 ", word) for word in re.split(r"[\s,;_]+", _in_brackets(name))]
    left = {word for word in " ".join(words).split() if word not in SCALES and not POWER.fullmatch(word)}
    if not left or not all(COUNTED.fullmatch(word) for word in left):
        return ""
    return next((kind for kind in ("tokens", "params") if any(word[:3] == kind[:3] for word in left)), "")


def worded(name: str, canonical: str) -> bool:
    """Whether the words of a name, and no other word in it, say that it is this column: N, tokens, D, step or loss.

    >>> [worded("n_params_nonemb", "N"), worded("paramsNoEmb", "N"), worded("total_params_with_emb", "N_total")]
    [True, True, True]
    >>> [worded("tokens_per_param", "D"), worded("eval/c4_en_loss", "loss"), worded("train/aux_loss", "loss")]
    [False, True, False]
    """
    words = words_of(name)
    if canonical in ("N", "N_total"):
        known = words <= PARAMETERS | COUNTS | WITHOUT | WITH | EMBEDDINGS
        known &= bool(words & PARAMETERS) or ("n" in words and bool(words & EMBEDDINGS))
        whole = bool(words & WITH) and not words & WITHOUT
        return known and (
            whole if canonical == "N_total" else not whole and bool(words & EMBEDDINGS) <= bool(words & WITHOUT)
        )
    if canonical == "step":
        one, several = bool(words & STEP_WORDS), bool(words & {"steps", "iters", "iterations", "updates"})
        return one and words <= STEP_WORDS | STEP_BESIDE and not (several and words & {"num", "n", "number", "count"})
    if canonical in ("tokens", "D"):
        beside = TRAINED | OF_DATA if words & {"data", "dataset", "corpus"} else TRAINED
        ratio = re.search(r"(?:^|[^a-z])n\s*/|/\s*n(?:$|[^a-z])", name.lower())
        return bool(words & TOKEN_WORDS) and words <= beside | TOKEN_WORDS and not ratio
    words = words - {"l"} | {"loss"} if "l" in words and words & SPLITS else words  # L_val
    if canonical != "loss" or not words & {"loss", "nll"} or words & OTHER_LOSSES:
        return False
    return bool(words & SPLITS) or words <= BESIDE


def averages_beside(name: str, others: list[str]) -> list[str]:
    """The losses that are the same as this mean but for how they are averaged; none where it is no mean.

    >>> averages_beside("avg_loss", ["cur_loss", "val_avg_loss", "lr"]), averages_beside("nll", ["avg_loss"])
    (['cur_loss'], [])
    """
    words = words_of(name)
    if not words & AVERAGES:
        return []
    ours = {each: words_of(each) for each in others if each != name}
    return [each for each, own in ours.items() if own & AVERAGES and own - AVERAGES == words - AVERAGES]


@lru_cache(maxsize=1 << 12)
def words_of(name: str) -> frozenset[str]:
    """The words of a name, without a unit in brackets; valLoss has two."""
    return frozenset(re.split(r"[^a-z0-9]+", spaced(re.sub(r"[\(\[].*?[\)\]]", "", name)).lower())) - {""}


@lru_cache(maxsize=1 << 12)
def spaced(name: str) -> str:
    """A name with `_` where a capital begins a word.

    >>> spaced("LearningRate"), spaced("train/CrossEntropyLoss")
    ('Learning_Rate', 'train/Cross_Entropy_Loss')
    """
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])", "_", name)
