"""Commands of the command line and of our Markdown, run in this process, and folders to run them in."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import inspect
import re
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from scalefit.cli import main

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data"  #: public data sets, where they are at hand
EXIT = re.compile(r"#.*exit code (\d)")


def script(path: Path) -> ModuleType:
    """A script that is no part of the package, as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def faults(check: Any, named: dict[Any, str]) -> dict[str, str]:
    """What an assertion of a check says of each thing, by the thing's name; of those alone at which it fails."""
    found = {}
    for thing, name in named.items():
        try:
            check(thing)
        except AssertionError as error:
            found[name] = str(error)
    return found


def cases(names: str, values: Iterable[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """As ``pytest.mark.parametrize``, in one test: for checks of a millisecond. Its failure shows each case that fails.

    Fixtures are shared by all cases.
    """
    given = [name.strip() for name in names.split(",")]
    rows = [(value,) if len(given) == 1 else tuple(value) for value in values]

    def of(check: Callable[..., None]) -> Callable[..., None]:
        def every(**fixtures: Any) -> None:
            failed = {}
            for row in rows:
                case = dict(zip(given, row, strict=True))
                try:
                    check(**case, **fixtures)
                except AssertionError as error:
                    failed[str(case)] = str(error)
                except (Exception, pytest.fail.Exception) as error:
                    error.add_note(f"in the case {case}")
                    raise
            assert not failed, "\n\n".join(f"{case}: {why}" for case, why in failed.items())

        whole = inspect.signature(check)
        every.__signature__ = whole.replace(  # type: ignore[attr-defined]
            parameters=[each for name, each in whole.parameters.items() if name not in given]
        )
        every.__name__, every.__doc__, every.__module__ = check.__name__, check.__doc__, check.__module__
        assert rows
        return every

    return of


@cache
def examples() -> dict[str, list[str]]:
    """Of each command the commands below ``Example:`` in its help; test_cli runs them all."""
    found = {}
    for name in re.findall(r"(?m)^  ([a-z-]+) ", run("scalefit --help").stdout.split("Commands:")[1]):
        below = run(f"scalefit {name} --help").stdout.split("Example:")[1].split("\nOptions:")[0]
        lines = below.replace("\\\n", " ").splitlines()
        found[name] = [line.strip() for line in lines if line.strip()]
    return found


def elsewhere(command: str) -> bool:
    """Whether a command is run as an example of a help text already."""
    return shlex.split(command, comments=True) in [shlex.split(line) for each in examples().values() for line in each]


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of one language."""
    return re.findall(rf"(?ms)^```{language}\n(.*?)^```$", text)


def listed(text: str) -> list[str]:
    """Every command of the shell blocks, lines that go on joined, comments alone left out."""
    joined = "".join(blocks(text, "sh")).replace("\\\n", " ")
    return [line.strip() for line in joined.splitlines() if line.strip() and not line.startswith("#")]


def run(command: str) -> Result:
    """One ``scalefit ...`` command, in this process."""
    words = shlex.split(command, comments=True)
    assert words[0] == "scalefit", command
    return CliRunner().invoke(main, words[1:], prog_name="scalefit")


NUMBER = r"[+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?"
WITH_ENDS = re.compile(rf"({NUMBER})([KMBT]?)\s*(%?)\s*\[({NUMBER})([KMBT]?)(?: %)?, ({NUMBER})([KMBT]?)\s*(%?)\]")
FRACTION = re.compile(r"(?<![\w.@:/=-])([+-]?\d+(?:\.\d+(?:e[+-]?\d+)?|e[+-]?\d+))\s?([KMBT%]?)(?![\w.])")
UNITS = {"": 1.0, "%": 0.01, "K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}


def unlike(lines: Iterable[Any], content: Any, table: pd.DataFrame | None, every: bool) -> list[str]:
    """The numbers of an answer's text that are in none of its other forms: of intervals, and of all with a fraction.

    A number stands for those that round to it as it is printed; those of one or two digits tell nothing.
    """
    text, values = "\n".join(map(str, lines)), np.array([*_numbers(content), *_numbers(table)])
    ends = [each for hit in WITH_ENDS.findall(text) for each in _of_interval(*hit)]
    others = [hit for hit in FRACTION.findall(text) if len(hit[0].split("e")[0].replace(".", "").lstrip("+-0")) > 2]
    return [
        f"{number}{unit}" for number, unit in [*ends, *(others if every else [])] if not _told(number, unit, values)
    ]


def _of_interval(*parts: str) -> list[tuple[str, str]]:
    """The numbers of ``value [low, high]`` with their units, once they are seen to stand in this order."""
    value, unit, percent, low, of_low, high, of_high, after = parts
    found = [(each, of or percent or after) for each, of in ((value, unit), (low, of_low), (high, of_high))]
    at = [float(number) * UNITS[of] for number, of in found]
    assert at[1] <= at[0] <= at[2], parts
    return found


def _told(number: str, unit: str, values: np.ndarray) -> bool:
    digits, _, power = number.partition("e")
    half = 0.501 * 10.0 ** (int(power or 0) - len(digits.partition(".")[2]))
    units = {UNITS[unit], 1.0 if unit == "%" else UNITS[unit]}
    return any(bool((np.abs(np.abs(values) - abs(float(number)) * one) <= half * one).any()) for one in units)


def _numbers(content: Any) -> list[float]:
    """All numbers of a mapping, a list or a table."""
    if isinstance(content, pd.DataFrame):
        return [float(each) for each in content.select_dtypes("number").to_numpy().ravel() if np.isfinite(each)]
    if isinstance(content, dict | list | tuple):
        return [
            each for part in (content.values() if isinstance(content, dict) else content) for each in _numbers(part)
        ]
    known = isinstance(content, int | float) and not isinstance(content, bool)
    return [float(content)] if known and np.isfinite(content) else []


def once(monkeypatch: Any, path: str) -> None:
    """Let a function of the package compute the same arguments once: commands that differ in form only share it."""
    module, _, name = path.rpartition(".")
    place, known = importlib.import_module(module), dict[str, Any]()
    real = getattr(place, name)

    def shared(*given: Any, **options: Any) -> Any:
        key = joblib.hash((given, options))
        if key not in known:
            known[key] = real(*given, **options)
        return known[key]

    monkeypatch.setattr(place, name, shared)


def wanted_exit(command: str) -> int:
    """The exit code that the command's comment states, else 0."""
    found = EXIT.search(command)
    return int(found[1]) if found else 0


def workspace(folder: Path) -> Path:
    """A folder in which ``data/...`` is what ships, and anything may be written."""
    (folder / "data").symlink_to(ROOT / "data")
    return folder


def evaluations(seed: int = 0, noise: float = 0.002) -> pd.DataFrame:
    """Planted evaluations of checkpoints of nine runs: the law and the sigmoid of :func:`accuracy_at`."""
    rng = np.random.default_rng(seed)
    N, D, part = (x.ravel() for x in np.meshgrid([1e8, 3e8, 1e9], [1e9, 5e9, 3e10], np.arange(1, 21) / 20))
    table = pd.DataFrame({"run": [f"{n:g}-{d:g}" for n, d in zip(N, D, strict=True)], "N": N, "tokens": D * part})
    bpb = (0.3 + 14 * table["N"] ** -0.21 + 35 * table["tokens"] ** -0.23) * np.exp(noise * rng.standard_normal(len(N)))
    return table.assign(bpb=bpb, acc=accuracy_at(bpb) + noise * rng.standard_normal(len(N)))


def accuracy_at(bpb: float | pd.Series) -> float | pd.Series:
    """The planted accuracy at a task loss."""
    return 1 - 0.75 / (1 + np.exp(-9 * (bpb - 0.9)))


def saved(folder: Path, lines: list[str]) -> dict[str, Result]:
    """What the commands with ``--save`` answer in a workspace, where each of the others can then run by itself."""
    workspace(folder)
    saving = dict.fromkeys(line for line in lines if line.startswith("scalefit ") and "--save" in line)
    with contextlib.chdir(folder):
        return {line: run(line) for line in saving}


def plant(folder: Path) -> Path:
    """Nine runs without noise under planted constants, and their saved fit, in a folder."""
    for name, content in _planted().items():
        (folder / name).write_bytes(content)
    return folder


@cache
def _planted() -> dict[str, bytes]:
    """The files of :func:`plant`: fitted once a process, since many tests begin with them."""
    N, D = np.repeat([1e6, 1e7, 1e8], 3), np.tile([1e8, 1e9, 1e10], 3)
    loss = 1.7 + 400 * N**-0.34 + 410 * D**-0.28
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        pd.DataFrame({"N": N, "D": D, "loss": loss}).to_csv("runs.csv", index=False)
        result = run("scalefit fit runs.csv --law chinchilla --save fit.json")
        assert result.exit_code == 0, result.output
        return {name: Path(name).read_bytes() for name in ("runs.csv", "fit.json")}
