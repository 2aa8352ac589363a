"""A saved fit never imports or executes, and its numbers are checked once, when it is read."""

import json
import math
from pathlib import Path

import commands
import numpy as np
import pandas as pd
import pytest

import scalefit as sf

MINE = """
from scalefit.laws import Law, Parameter, Variable


class Mine(Law):
    name = "mine"
    source = "doi:10"
    N = Variable("parameters", "size")
    A = Parameter("1", "size", linear=True)
    alpha = Parameter("1", "exponent", starts=(0.1, 1.0))

    @staticmethod
    def formula(N, A, alpha):
        return A * N**-alpha
"""
EVIL = (
    "import pathlib\npathlib.Path('pwned').write_text('x')\nfrom scalefit.laws.chinchilla import Chinchilla as Evil\n"
)


@pytest.fixture
def saved(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    N, D = np.repeat([1e7, 1e8, 1e9], 3), np.tile([1e9, 1e10, 1e11], 3)
    runs = pd.DataFrame({"N": N, "D": D, "loss": 1.7 + 400 * N**-0.34 + 410 * D**-0.28})
    sf.fit(runs, "chinchilla", draws=20).save("fit.json")
    return json.loads((tmp_path / "fit.json").read_text())


@pytest.mark.parametrize(
    "law", ["chinchilla:evil.py:Evil", "evil.py:Evil", "./evil.py:Evil", "evil.py", "chinchilla:/evil.py"]
)
def test_a_saved_fit_never_opens_a_file(saved, tmp_path, law):
    folder = tmp_path / "chinchilla:"
    folder.mkdir()
    for place in (tmp_path / "evil.py", tmp_path / "chinchilla:evil.py", folder / "evil.py"):
        place.write_text(EVIL)
    (tmp_path / "hostile.json").write_text(json.dumps(saved | {"law": law}))
    with pytest.raises(sf.InputError, match=r"hostile\.json"):
        sf.load_fit("hostile.json")
    assert commands.run("scalefit predict hostile.json --at N=1e9,D=1e10").exit_code == 2
    assert not (tmp_path / "pwned").exists()


def test_a_fit_of_ones_own_law_needs_the_law(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(MINE)
    N = np.geomspace(1e6, 1e9, 8)
    sf.fit(pd.DataFrame({"N": N, "loss": 10 * N**-0.1}), "./mine.py:Mine").save("fit.json")
    with pytest.raises(sf.InputError, match="not built in; give it again: --law"):
        sf.load_fit("fit.json")
    assert sf.load_fit("fit.json", law="./mine.py:Mine")["alpha"] == pytest.approx(0.1)


def changed(saved, *path, value):
    """The saved fit with one entry replaced."""
    copy = json.loads(json.dumps(saved))
    at = copy
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return copy


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("parameters", "alpha", "value"), math.nan),
        (("parameters", "alpha", "value"), "text"),
        (("parameters", "alpha"), None),
        (("sigma",), -1.0),
        (("sigma",), math.inf),
        (("objective",), math.nan),
        (("settings", "residuals"), "zzz"),
        (("settings", "loss"), "cubic"),
        (("ranges", "N"), [1e9, 1e7]),
        (("ranges", "N"), [math.nan, 1e7]),
        (("points", "values"), []),
        (("points", "values"), [1.0]),
        (("points", "runs"), ["a"]),
        (("points", "variables", "N"), ["x"] * 9),
        (("points", "variables", "N"), [[1.0]] * 9),
        (("intervals", "draws"), [[1.0, 2.0], [1.0]]),
        (("intervals", "draws"), [[1.0] * 4] * 20),
        (("intervals", "draws"), [[None] * 5] * 20),
        (("without",), {"row 0": [1.0, 2.0]}),
        (("choices",), {"least squares": []}),
        (("points", "states"), [[1.0, 2.0]]),
        (("points", "states"), [[1.0] * 5, [1.0] * 4]),
        (("points", "states"), [[math.nan] * 5]),
        (("rows",), 0),
        (("runs",), "9"),
        (("schema_version",), 10**400),
        (("columns",), 3),
        (("kind",), "nonsense"),
    ],
)
def test_a_damaged_saved_fit_is_one_line(saved, path, value):
    Path("damaged.json").write_text(json.dumps(changed(saved, *path, value=value)))
    if path in (("columns",), ("kind",)):  # read for formulas only
        assert sf.load_fit("damaged.json").ok is not None
        return
    with pytest.raises(sf.InputError) as said:
        sf.load_fit("damaged.json")
    assert "damaged.json" in str(said.value)
    assert "\n" not in str(said.value)
    done = commands.run("scalefit predict damaged.json --at N=1e9,D=1e10")
    assert done.exit_code == 2
    assert len(done.output.strip().splitlines()) == 1


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"schema_version": ' + "9" * 5_000 + "}", "\x00", "[]", "{}", '{"schema_version": 1}']
)
def test_what_is_no_fit_is_one_line(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(sf.InputError, match=r"x\.json"):
        sf.load_fit("x.json")
