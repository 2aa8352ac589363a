"""How the pages of this repository become a site: `make site`.

The pages stay as they are read in the repository. What a site needs besides, its tree and the reference of the public
names and of the commands, is written while it is built, from the code.
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Any

import click
from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx

import scalefit
from scalefit.cli import main
from scalefit.laws import find_law

sys.path.insert(0, str(Path(__file__).parent))
import gallery  # beside this file
import rooms

ROOT = Path(__file__).parents[2]
project = "scalefit"
author = copyright = "The scalefit founders"
release = scalefit.__version__
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "README"
include_patterns = [
    *("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "data/README.md", "tests/README.md"),
    *("docs/*.md", "docs/laws/*.md", "docs/reference/*.md", "examples/*.ipynb", "examples/experiments/README.md"),
]
html_theme = "furo"
html_title = f"scalefit {release}"
html_show_search_summary = False  # a browser does not let a page read another file
nb_execution_mode = "off"  # a test runs the notebooks; the site shows what they gave
myst_enable_extensions = ["attrs_inline"]
myst_heading_anchors = 4
suppress_warnings = ["mystnb.unknown_mime_type"]
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
napoleon_google_docstring = True
REFERENCE = ROOT / "docs" / "reference"

#: the tree of the site, by caption
TREE = {
    "Start": ["docs/tutorial", "docs/index", "docs/questions", "docs/logs", "docs/limits", "docs/glossary"],
    "Forecasts": ["docs/choosing", "docs/intervals", "docs/diagnostics", "docs/partial", "docs/conventions"],
    "Decisions": ["docs/planning", "docs/learning_rate", "docs/reports"],
    "The trainer": ["docs/proxy", "docs/own_model", "docs/proxy_measured"],
    "Laws": ["docs/laws/index", "docs/reference/gallery"],
    "Examples": [
        *("examples/my_own_table", "examples/predict_a_larger_model", "examples/plan_and_next_run"),
        *("examples/predict_a_schedule", "examples/schedule_for_a_budget", "examples/which_learning_rate_survives"),
        *("examples/two_recipes", "examples/one_loss_from_another", "examples/from_wandb_to_a_figure"),
        *("examples/experiments/README", "data/README"),
    ],
    "Reference": [
        *("docs/command_line", "docs/reference/python", "docs/reference/rooms", "docs/reference/commands"),
        "docs/architecture",
    ],
    "Project": ["CHANGELOG", "CONTRIBUTING", "tests/README"],
}


def toctree(names: list[str], caption: str = "") -> str:
    """A hidden tree of pages, as MyST writes it."""
    head = [":hidden:", *([f":caption: {caption}"] if caption else [])]
    return "\n".join(["", "```{toctree}", *head, "", *(f"/{name}" for name in names), "```", ""])


def grown(app: Sphinx, page: str, source: list[str]) -> None:
    """Add the trees to the pages that head them."""
    if page == root_doc:
        source[0] += "".join(toctree(names, caption) for caption, names in TREE.items())
    if page.startswith("docs/laws/") and page != "docs/laws/index":
        source[0] += "\n## Figure\n\n" + gallery.shown(find_law(page.rpartition("/")[2]), "../reference/laws/")
    if page == "docs/laws/index":
        names = sorted(each.stem for each in (ROOT / "docs" / "laws").glob("*.md") if each.stem != "index")
        source[0] += toctree([f"docs/laws/{name}" for name in names])
    if page == "docs/reference/python":
        source[0] += toctree([f"docs/reference/{name}" for name in scalefit.__all__ if name != "__version__"])


def written(app: Sphinx) -> None:
    """Write the reference: a page for each public name, one with the help of every command, and the gallery of laws."""
    REFERENCE.mkdir(exist_ok=True)
    names = [name for name in scalefit.__all__ if name != "__version__"]
    rows = []
    for name in names:
        value = getattr(scalefit, name)
        kind = "autoclass" if inspect.isclass(value) else "autofunction"
        options = "\n:members:" if inspect.isclass(value) else ""
        first = (inspect.getdoc(value) or "").splitlines()[0]
        rows.append(f"| [{name}]({name}.md) | {first.replace('|', chr(92) + '|')} |")
        text = f"# {name}\n\n```{{eval-rst}}\n.. {kind}:: scalefit.{name}{indented(options)}\n```\n"
        (REFERENCE / f"{name}.md").write_text(text, encoding="utf-8")
    head = "# Python\n\nEvery public name of `import scalefit as sf`.\n\n| name | what it is |\n|---|---|\n"
    (REFERENCE / "python.md").write_text(head + "\n".join(rows) + "\n", encoding="utf-8")
    gallery.written(REFERENCE / "laws")
    (REFERENCE / "rooms.md").write_text(rooms.page(), encoding="utf-8")
    (REFERENCE / "commands.md").write_text(commands(), encoding="utf-8")


def indented(text: str) -> str:
    """Options of a directive, which stand below it."""
    return text.replace("\n", "\n   ")


def commands() -> str:
    """The help of every command, and of the commands inside it."""
    parts = ["# Commands", "", "What `scalefit COMMAND --help` prints."]
    for name in main.list_commands(click.Context(main)):
        command = main.get_command(click.Context(main), name)
        parts += help_of(command, f"scalefit {name}", 2)
    return "\n".join(parts) + "\n"


def help_of(command: Any, path: str, level: int) -> list[str]:
    """A heading and the help of a command, then those of its own commands."""
    context = click.Context(command, info_name=path, max_content_width=96, terminal_width=96)
    found = ["", f"{'#' * level} {path}", "", "```text", command.get_help(context), "```"]
    for name, inner in getattr(command, "commands", {}).items():
        found += help_of(inner, f"{path} {name}", level + 1)
    return found


def setup(app: Sphinx) -> None:
    """Join the two steps to the build."""
    app.add_lexer("csv", TextLexer)
    app.connect("builder-inited", written)
    app.connect("source-read", grown)
