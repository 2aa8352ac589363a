"""The figure of `predict` shows what was asked: a point or runs."""

from __future__ import annotations

import commands
import pytest


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = commands.plant(tmp_path_factory.mktemp("predict"))
    assert commands.run(f"scalefit plot {place}/fit.json -o {place}/r.svg").exit_code == 0
    return place


@pytest.mark.parametrize("asked", ["--at N=1e9,D=1e11", "runs.csv"])
def test_a_figure_is_written_beside_the_answer(folder, monkeypatch, asked):
    monkeypatch.chdir(folder)
    plain = commands.run(f"scalefit predict fit.json {asked}")
    result = commands.run(f"scalefit predict fit.json {asked} --plot p.svg")
    assert result.exit_code == plain.exit_code
    assert set(result.stdout.splitlines()) - set(plain.stdout.splitlines()) <= {"wrote p.svg", ""}
    assert "wrote p.svg" in result.stdout
    commands.run(f"scalefit plot fit.json {asked} -o q.svg")
    drawn, same, bare = ((folder / f"{name}.svg").read_bytes() for name in "pqr")
    assert drawn == same
    assert (drawn != bare) == ("--at" in asked), "rows that were fitted change nothing"
    for name in "pq":
        (folder / f"{name}.svg").unlink()
