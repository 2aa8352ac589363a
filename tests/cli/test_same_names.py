"""The table "the same in Python and on the command line" is complete: every public name, every command."""

from __future__ import annotations

import importlib
import re

import click
import commands
import pytest

import scalefit
from scalefit.cli import main

PAGE = (commands.ROOT / "docs" / "index.md").read_text(encoding="utf-8")
SECTION = PAGE.split("## The same in Python and on the command line")[1]
ROWS = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in SECTION.splitlines() if "`" in line[1:]]
PAIRED = [row for row in ROWS if len(row) == 4]
ALONE = [row for row in ROWS if len(row) == 3]
NAMES = main.list_commands(click.Context(main))
#: commands whose function is called otherwise: a room or a method of a fit has the name, or it needs torch
OTHERWISE = {"coordcheck", "data", "doctor", "laws", "plot", "predict", "stability", "sweep", "train"}


def quoted(cell, prefix):
    """The names in backquotes of a cell, without the prefix."""
    return re.findall(rf"`{re.escape(prefix)}([\w-]+)", cell)


def test_every_public_name_has_a_command_or_a_reason():
    paired = {name for row in PAIRED for name in quoted(row[3], "sf.")}
    alone = {name for row in ALONE for name in quoted(row[0], "sf.")}
    assert paired | alone == {*scalefit._PLACES, *scalefit._TWINS}
    assert paired & alone <= {"Fit"}
    assert all(len(reason) > 15 for _, _, reason in ALONE)


def test_every_command_has_a_python_function():
    known = {name for row in PAIRED for name in quoted(row[2], "scalefit ")}
    assert known == set(NAMES)
    assert all("sf." in row[3] or "scalefit.proxy." in row[3] for row in PAIRED)


@pytest.mark.parametrize("name", sorted(set(NAMES) - OTHERWISE))
def test_a_command_and_its_function_have_one_name(name):
    twin = name.replace("-", "_")
    assert callable(getattr(scalefit, twin))
    assert any(twin in quoted(row[3], "sf.") for row in PAIRED if name in quoted(row[2], "scalefit "))


@pytest.mark.parametrize("row", PAIRED, ids=lambda row: row[2][:40])
def test_the_names_of_the_table_are_there(row):
    for path in re.findall(r"`sf\.([\w.]+)`", row[3]):
        value = scalefit
        for part in path.split("."):
            value = getattr(value, part)
        assert callable(value)
    if "scalefit.proxy." in row[3]:
        pytest.importorskip("torch")
        proxy = importlib.import_module("scalefit.proxy")
        assert all(callable(getattr(proxy, name)) for name in re.findall(r"`(?:scalefit\.proxy\.)?(\w+)`", row[3]))


def test_the_options_in_the_table_are_options_of_their_command():
    for name, rest in re.findall(r"`scalefit ([a-z-]+)([^`]*)`", SECTION):
        help_text = commands.run(f"scalefit {name} --help").stdout
        assert all(option in help_text for option in re.findall(r"--[a-z-]+", rest)), f"{name}{rest}"
