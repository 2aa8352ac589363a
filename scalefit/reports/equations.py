"""Equations of laws as LaTeX: Greek letters, indices, exponents, named functions, powers of ten."""

from __future__ import annotations

import re

# fmt: off
GREEK = (
    "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu", "nu", "xi",
    "pi", "rho", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega",
)
# fmt: on
FUNCTIONS = {name: f"\\{name}" for name in ("exp", "log", "ln", "min", "max", "sum", "prod")} | {"log2": r"\log_{2}"}
LETTERS = {name: f"\\{name}" for name in GREEK} | {"lam": r"\lambda", "eps": r"\epsilon"}
WORDS = {word: rf"\text{{ {word} }}" for word in ("or", "with", "and", "given")}
TOKEN = re.compile(r"\d+(?:\.\d+)?(?:e[-+]?\d+)?|[A-Za-z]\w*'*|\*\*|\s+|.")
NAME = re.compile(r"([A-Za-z]+?)(\d*)((?:_[A-Za-z0-9]+)*)('*)")


def latex_of(equation: str) -> str:
    r"""An equation of a law as LaTeX.

    >>> latex_of("L(N, D) = E + A N^-alpha + B D^-beta")
    'L(N, D) = E + A N^{-\\alpha} + B D^{-\\beta}'
    >>> latex_of("L0 + (A/N)^(alpha/beta) exp(N_enc^-p_enc) 1e8^-(k Z(x))")
    'L_{0} + (A/N)^{\\alpha/\\beta} \\exp(N_{\\mathrm{enc}}^{-p_{\\mathrm{enc}}}) {10^{8}}^{-(k Z(x))}'
    """
    tokens = TOKEN.findall(equation)
    return _typeset(["^" if token == "**" else token for token in tokens])


def _typeset(tokens: list[str]) -> str:
    """Tokens as LaTeX; each exponent in braces."""
    done, i = [], 0
    while i < len(tokens):
        if tokens[i] != "^":
            following = tokens[i + 1] if i + 1 < len(tokens) else ""
            done.append(_symbol(tokens[i], following == "^"))
            i += 1
            continue
        start = i + 1
        end = _end_of_exponent(tokens, start)
        inner = tokens[start:end]
        if inner[0] == "(" and inner[-1] == ")":
            inner = inner[1:-1]
        done.append(f"^{{{_typeset(inner)}}}")
        i = end
    return "".join(done)


def _end_of_exponent(tokens: list[str], start: int) -> int:
    """The place after an exponent: a sign, then a name, a number or what is in parentheses."""
    end = start + (tokens[start] in "+-")
    if tokens[end] != "(":
        return end + 1
    depth = 0
    for place in range(end, len(tokens)):
        depth += (tokens[place] == "(") - (tokens[place] == ")")
        if depth == 0:
            return place + 1
    return len(tokens)


def _symbol(token: str, raised: bool) -> str:
    """One name, number or sign."""
    if token[0].isdigit():
        lead, _, power = token.partition("e")
        if not power:
            return token
        ten = f"10^{{{int(power)}}}"
        whole = ten if lead == "1" else rf"{lead} \times {ten}"
        return f"{{{whole}}}" if raised else whole
    if token == "log2" or token in WORDS:
        return FUNCTIONS.get(token) or WORDS[token]
    found = NAME.fullmatch(token)
    if found is None:
        return {"*": r" \cdot ", "%": r"\%", "#": r"\#", "&": r"\&", "_": r"\_"}.get(token, token)
    base, digits, index, primes = found.groups()
    parts = [digits] * bool(digits) + index.split("_")[1:]
    below = f"_{{{','.join(map(_index, parts))}}}" if parts else ""
    return f"{_word(base)}{below}{primes}"


def _index(name: str) -> str:
    """An index: ``min`` there is a word."""
    return rf"\mathrm{{{name}}}" if name in FUNCTIONS else _word(name)


def _word(name: str) -> str:
    """A letter of either alphabet, or a word in upright type."""
    if name in LETTERS or name in FUNCTIONS:
        return LETTERS.get(name) or FUNCTIONS[name]
    return name if len(name) == 1 or name.isdigit() else rf"\mathrm{{{name}}}"
