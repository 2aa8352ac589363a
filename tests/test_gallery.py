"""The gallery of laws, which the site draws while it is built: a figure for each law, with whose constants it says."""

from __future__ import annotations

import importlib
import importlib.util

import commands
import matplotlib.pyplot as plt
import numpy as np
import pytest

from scalefit.laws import find_law, law_names

SPEC = importlib.util.spec_from_file_location("gallery", commands.ROOT / "docs" / "site" / "gallery.py")
gallery = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(gallery)
rooms = commands.script(commands.ROOT / "docs" / "site" / "rooms.py")


@commands.cases("name", law_names())
def test_every_law_has_constants_with_which_it_can_be_drawn(name):
    law = find_law(name)
    found, source = gallery.constants(law)
    assert set(found) == set(law.parameters)
    published = {one.source: dict(one.parameters) for one in law.published}
    assert found == published[source] if source else all(np.isfinite(list(found.values())))
    if law.published and not source:
        kinds = {one.source for one in law.published if set(one.parameters) == set(law.parameters)}
        assert all("of=" in kind or kind.startswith("closed form") for kind in kinds)


@pytest.mark.parametrize("name", ["chinchilla", "critical-batch", "annealing", "continual", "functional", "mixture"])
def test_the_lines_are_the_law(name):
    law = find_law(name)
    ax = gallery.figure(law)
    found, _ = gallery.constants(law)
    assert len(ax.lines) >= 3
    assert all(len(line.get_xdata()) > 50 and np.isfinite(line.get_ydata()).all() for line in ax.lines)
    if not law.is_trajectory:
        first = next(iter(law.variables))
        low, high = law.variables[gallery.strongest(law, found)].span
        for line, value in ((ax.lines[0], low), (ax.lines[-1], high)):
            at = {**gallery.middle(law), first: line.get_xdata(), gallery.strongest(law, found): value}
            assert np.ravel(law.evaluate(at, found)) == pytest.approx(line.get_ydata())
    assert ax.get_xlabel()
    assert "nats" in ax.get_ylabel() or law.target != "loss"
    plt.close(ax.figure)


def test_the_page_says_whose_constants_they_are():
    assert "arXiv:2203.15556" in gallery.shown(find_law("chinchilla"), "")
    assert "made-up constants" in gallery.shown(find_law("encoder-decoder"), "")


def test_every_public_name_of_a_room_is_on_its_page_with_its_docstring():
    whole = rooms.page()
    for room in ("plots", "runs", "schedules", "stability", "transfer"):
        module, page = importlib.import_module(f"scalefit.{room}"), whole.partition(f"## scalefit.{room}\n")[2]
        assert rooms.public()[room] == list(module.__all__)
        for name in module.__all__:
            said = page.partition(f"### {name}\n\n~~~~text\n")[2].partition("~~~~")[0]
            assert name in said.splitlines()[0]
            value = getattr(module, name)
            if callable(value):
                assert (value.__doc__ or "").strip().splitlines()[0] in said
