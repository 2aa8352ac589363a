"""The pages about laws are what their declarations say, every command of the docs runs, every link leads somewhere."""

from __future__ import annotations

import ast
import re
import shlex
import sys

import commands
import pandas as pd
import pytest

from scalefit.laws import find_law, law_names

DOCS = commands.ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
ANSWERED = [(DOCS / name).read_text(encoding="utf-8") for name in ("questions.md", "planning.md")]
#: those that the README lists too are run as its commands, in test_readme; examples of help texts in test_cli
ELSEWHERE = [
    shlex.split(line, comments=True) for line in commands.listed(commands.ROOT.joinpath("README.md").read_text("utf-8"))
]
EVERY = [command for page in ANSWERED for command in commands.listed(page)]
QUESTIONS = [
    command
    for command in EVERY
    if shlex.split(command, comments=True) not in ELSEWHERE and not commands.elsewhere(command)
]


@pytest.fixture(scope="module")
def make_laws():
    return commands.script(DOCS / "make_laws.py")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A workspace in which the commands with ``--save`` have run once, as the others need, and what those answered."""
    folder = tmp_path_factory.mktemp("docs")
    return folder, commands.saved(folder, EVERY)


def test_the_pages_of_the_laws_are_fresh(make_laws, tmp_path):
    make_laws.main(tmp_path)
    fresh = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.glob("*.md")}
    kept = {path.name: path.read_text(encoding="utf-8") for path in (DOCS / "laws").glob("*.md")}
    stale = sorted(name for name in fresh.keys() | kept.keys() if fresh.get(name) != kept.get(name))
    assert not stale, f"run make docs: {stale}"


@pytest.mark.parametrize("law", ["power:over=C", "power-floor:over=C", "kaplan", "downstream-error", "routed"])
def test_the_index_says_how_far_a_law_can_be_trusted_as_it_is_measured(law, make_laws):
    """Some of the back-tests, again; the others are those of the same script."""
    script = commands.script(DOCS / "measure_laws.py")
    kept = pd.read_csv(script.MEASURED, keep_default_na=False).set_index("law")
    assert set(kept.index) == set(script.ON)
    if not script.ON[law].present:
        pytest.skip("its public data are not beside the repository")
    found = script.measured(law)
    assert found["error"] == pytest.approx(kept.loc[law, "error"], rel=0.02)
    assert found["coverage"] == pytest.approx(float(kept.loc[law, "coverage"]), abs=0.03)
    name = law.partition(":")[0]
    row = next(row for row in (DOCS / "laws" / "index.md").read_text().splitlines() if row.startswith(f"| [{name}]("))
    assert f": {100 * kept.loc[law, 'error']:.2g} %, " in row


def test_every_law_of_the_index_has_a_failure_and_says_whether_it_was_measured(make_laws):
    for law in map(find_law, law_names()):
        row = next(each for each in make_laws.index([law]).splitlines() if each.startswith(f"| [{law.name}]("))
        cells = [each.strip() for each in re.split(r"(?<!\\)\|", row)[1:-1]]
        assert len(cells) == 8
        assert all(cells)
        measured = re.search(r"\d %(, \d+ % inside)? of \d+", cells[5])
        assert measured or re.search(r"^none: it needs \w", cells[5])


def test_pages_of_laws_that_are_gone_are_removed(make_laws, tmp_path):
    (tmp_path / "gone.md").write_text("# gone\n")
    make_laws.main(tmp_path)
    assert not (tmp_path / "gone.md").exists()


@commands.cases("name", law_names())
def test_a_page_says_everything_that_the_law_declares(name, make_laws):
    law = find_law(name)
    page = make_laws.page(law)
    assert law.equation in page
    assert law.source in page
    for thing in (law.variables, law.parameters, law.declaration.options):
        assert not [key for key in thing if f"| `{key}` |" not in page]
    for part in (*law.fails.split("; "), law.needs[1:].rstrip(".")):
        assert part in page
    assert not re.search(r"closed form,|:\w+:`", page)


@commands.cases("page", [*PAGES, DOCS / "laws" / "index.md", commands.ROOT / "CONTRIBUTING.md"])
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8"))
    assert not [link for link in links if not link.startswith("http") and not (page.parent / link).exists()]


@pytest.mark.parametrize("command", QUESTIONS)
def test_the_questions_are_answered_by_their_commands(command, saved, monkeypatch, few_draws):
    folder, answers = saved
    monkeypatch.chdir(folder)
    result = answers.get(command) or commands.run(command)
    assert result.exit_code == commands.wanted_exit(command), result.output
    assert (result.stdout if result.exit_code < 2 else result.stderr).strip()


def test_commands_named_in_running_text_exist():
    known = commands.run("scalefit --help").stdout.split("Commands:")[1]
    for page in (*PAGES, commands.ROOT / "README.md"):
        for name in re.findall(r"`scalefit ([a-z-]+)", page.read_text(encoding="utf-8")):
            assert re.search(rf"(?m)^  {name}\b", known), f"{page.name}: scalefit {name}"


def test_what_the_contributing_page_says_of_readers_is_so():
    text = (commands.ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    folder = commands.ROOT / "scalefit" / "runs" / "formats"
    words = re.findall(r"`(\w+)(?:\(\w+\))?`", text.split("## Add a reader")[1].split("## ")[0])
    source = "".join(path.read_text(encoding="utf-8") for path in folder.glob("*.py"))
    assert "NAMES" in words
    assert not [word for word in words if not re.search(rf"\b(?:class|def) {word}\b|^{word} =", source, re.MULTILINE)]


def test_the_law_of_the_contributing_page_is_a_law(tmp_path, monkeypatch):
    text = (commands.ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (tmp_path / "mine.py").write_text(commands.blocks(text, "python")[0])
    law = find_law("./mine.py:Saturating")
    assert law.equation == "L(D) = E + A exp(-D/D_0)"
    rows = "\n".join(f"{d},{2 + 3 * 0.5 ** (d / 1e6)}" for d in range(100_000, 3_000_000, 200_000))
    (tmp_path / "runs.csv").write_text(f"D,loss\n{rows}\n")
    result = commands.run("scalefit fit runs.csv --law ./mine.py:Saturating --json")
    assert result.exit_code == 0, result.output


def test_every_page_has_its_place_in_the_site():
    """The tree of the site names each page; the pages of the laws and of the reference are added from the code."""
    conf = ast.parse((DOCS / "site" / "conf.py").read_text(encoding="utf-8"))
    (tree,) = (node.value for node in conf.body if isinstance(node, ast.Assign) and node.targets[0].id == "TREE")
    placed = [leaf.value for leaf in ast.walk(tree) if isinstance(leaf, ast.Constant)]
    pages = {f"docs/{path.stem}" for path in PAGES}
    assert pages <= set(placed)
    assert {name for name in placed if name.startswith("docs/") and name.count("/") == 1} <= pages
    assert len(placed) == len(set(placed))
