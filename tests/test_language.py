"""Plain words: no riddles in what a user reads, and every column and status of a result is in the glossary."""

from __future__ import annotations

import ast
import inspect
import re

import commands
import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.fitting.profile import profile
from scalefit.fitting.summary import STATUSES

PACKAGE = commands.ROOT / "scalefit"
PAGES = [commands.ROOT / name for name in ("README.md", "CONTRIBUTING.md")]
PAGES += sorted((commands.ROOT / "docs").rglob("*.md"))
#: what a newcomer stumbles over, why, and the plain word
BANNED = {
    r"\b(is|are) told\b": "by whom? -> reported, named, listed",
    r"\bdoes not tell\b": "rows do not speak -> does not show, does not hold",
    r"\beach way\b": "which ways? -> above and below, lower and upper",
    r"\bwarm-up\b": "the field writes one word -> warmup",
    r"\bcool-down\b": "the field writes one word -> cooldown",
    r"\bpassed over\b": "sounds like a pass over the data -> left out, excluded, skipped",
    r"\bworth a word\b": "hides a threshold -> reported, warned about",
    r"[Dd]ata that ship\b": "ships? -> bundled data sets",
    r"\bin words\b": "everything printed is -> as text, description",
    r"\bvanish": "where to? -> is zero",
    r"\bleft open\b|\bleaves? open\b|\bleaves \S+ open\b": "a door? -> cannot be identified",
    r"\bfits to part of\b": "which part? -> refits to the smaller runs, a back-test",
    r"\bwidened \S+ times\b": "than what? -> scaled by, from a back-test",
    r"\bhangs? on\b": "idiom -> depends on",
    r"\bspeaks? (for|against)\b": "data do not speak -> favours, warns",
    r"\bdata ask for\b": "data do not ask -> show",
    r"\bvouch\b": "idiom -> support",
    r"\berrs\b": "archaic -> has an error",
    r"\bit has not seen\b|\bnot seen by\b": "-> held-out",
    r"\bone row an? \w+|\bone an? (row|run|fold|draw)\b": "reads like a list -> one row per run",
    r"\b(its|their) ends\b|\bends of (an|the) interval in\b": "-> interval",
    r"\bnoises\b": "one word for one thing -> times the noise, sigma",
    r"\bin the middle\b": "of what? -> median",
    r"\bno parabola\b": "-> not quadratic",
}


def docstrings(tree):
    """Nodes of all docstrings, and those of public functions and classes."""
    every, public = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.FunctionDef, ast.ClassDef)) and node.body:
            first = node.body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                every.add(id(first.value))
                if not getattr(node, "name", "_").startswith("_"):
                    public.add(id(first.value))
    return every, public


def texts(source):
    """(line, text) of every string that a user may read: literals and parts of f-strings, docstrings of public things.

    Without the lines of examples, and words alone (names of columns and options).
    """
    tree = ast.parse(source)
    every, public = docstrings(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and (id(node) not in every - public):
            text = re.sub(r"(?m)^\s*>>>.*$", "", node.value)
            if " " in text:
                yield node.lineno, " ".join(text.split())


def riddles(source):
    return [
        f"line {line}: {found[0]!r} ({why})"
        for line, text in texts(source)
        for pattern, why in BANNED.items()
        if (found := re.search(pattern, text))
    ]


def test_what_a_user_reads_holds_no_riddle():
    files = sorted(PACKAGE.rglob("*.py"))
    found = {str(file.relative_to(PACKAGE)): riddles(file.read_text(encoding="utf-8")) for file in files}
    assert not {name: lines for name, lines in found.items() if lines}


def test_the_search_for_riddles_finds_them_where_a_user_reads():
    assert riddles("raise ValueError(f'the rate is told {x} to the user')")
    assert riddles('def public():\n    """Rows that are passed over."""')
    assert not riddles('def _private():\n    """Rows that are passed over."""')
    assert not riddles('def public():\n    """Good.\n\n    >>> f("warm-up rows")\n    """')
    assert riddles("text = 'a warm-up ' + name")
    assert all("->" in why for why in BANNED.values())


def test_no_page_holds_a_riddle():
    for page in PAGES:
        text = " ".join(page.read_text(encoding="utf-8").split())
        assert not [found[0] for pattern in BANNED if (found := re.search(pattern, text))], page


# --- the glossary -----------------------------------------------------------------------------------------------------

GLOSSARY = (commands.ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
#: names in the first cell of a row, between backquotes or plain
EXPLAINED = {
    name.strip("` ")
    for row in re.findall(r"(?m)^\| ([^|]+) \|", GLOSSARY)
    for name in row.replace(", ", "\n").split("\n")
}


@pytest.fixture(scope="module")
def tables():
    """The tables of results, by name."""
    N, D = (axis.ravel() for axis in np.meshgrid(np.geomspace(1e6, 1e8, 4), np.geomspace(1e8, 1e10, 4)))
    noise = np.exp(0.003 * np.random.default_rng(0).standard_normal(16))
    runs = pd.DataFrame({"N": N, "D": D, "loss": (1.7 + 400 * N**-0.34 + 410 * D**-0.28) * noise})
    large = runs[runs["N"] > 3e7]
    fit = sf.fit(runs[runs["N"] <= 3e7], "kaplan-floor", draws=20)
    curves = sf.load("schedules").where("d_model == 32")
    curve = sf.fit(curves, "annealing:decay=0.99")
    compared = sf.compare(runs, ["kaplan", "kaplan-floor"], judge=large)
    tested = compared.backtests["kaplan"]
    line = pd.DataFrame({"x": np.arange(9.0), "y": 2 * np.arange(9.0) + np.random.default_rng(0).standard_normal(9)})
    return {
        "Fit.table": fit.table,
        "Fit.predict": fit.predict(large),
        "Fit.predict along a schedule": curve.predict(schedule="cosine:peak_lr=8e-3,steps=1600,warmup=100"),
        "Fit.score": curve.score(curves),
        "Fit.influence": fit.influence(N=1e6, D=1e7),
        "Backtest.table": tested.table,
        "Backtest.summary": tested.summary,
        "Comparison.table": compared.table,
        "fit_many": sf.fit_many(line.assign(of="a"), "y = a + b*x", by="of", residuals="linear").drop(
            columns=["a", "b"]
        ),
        "profile": profile(line, "y = a + b*x", ["b"], residuals="linear"),
        "lr_transfer": sf.lr_transfer(sf.load("lr_width").where("seed == 0"), draws=20).table,
    }


def test_every_column_of_a_result_is_in_the_glossary(tables):
    for name, table in tables.items():
        columns = {*map(str, table.columns), *([str(table.index.name)] if table.index.name else [])} - {"of"}
        assert not columns - EXPLAINED, name


def test_every_status_is_in_the_glossary():
    phrases = {"converged", *(phrase for phrase, _ in STATUSES.values())}
    assert phrases <= EXPLAINED
    assert all(phrase in (inspect.getdoc(sf.Fit.status) or "") for phrase in phrases)


def test_the_glossary_is_on_the_map():
    assert "](glossary.md)" in (commands.ROOT / "docs" / "index.md").read_text(encoding="utf-8")
