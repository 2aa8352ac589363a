"""Plant one fault at a time in a copy of the package, and see whether a test notices.

    python tests/mutants.py --count 60 --seed 1              # 60 faults spread over all wings
    python tests/mutants.py --count 20 --seed 2 --wing runs  # of one wing
    python tests/mutants.py --count 20 --seed 2 --under planning/batch  # of the files whose path begins so
    python tests/mutants.py --seed 1 --count 60 --only 7,12  # two of them again, by their number
    python tests/mutants.py --count 60 --seed 1 --list       # what would be planted

The working tree is never touched: it is copied to a temporary folder, and that copy stands first on PYTHONPATH. One
run of the whole suite records which functions each test calls (kept in the temporary folder until the package
changes; of tests that change, those alone are recorded again; ``--remap`` records all). A fault is then shown to
every test file of which a test calls the faulty function (at module level: any function of the module): the mirror of
its room first, quick files before slow ones, up to the first failure, and at most ``--most`` seconds of them.
``--whole`` shows each survivor to all other tests as well. Calls in other processes and on import are not recorded,
so that without ``--whole`` rather too many survive. A test that takes 60 s of the processor and ten times as long as
without the fault counts as a failure: the fault is killed by time, and the line says so. In the end the tests that
killed are run without any fault; one that fails then has proved nothing, and its faults count as survivors.

Faults: see mutations.py. A fault that no test can tell from the code is entered in EQUIVALENT in mutants_sample.py,
with the reason.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import click
from mutants_sample import chosen
from mutations import Fault, plant

ROOT = Path(__file__).parents[1]
LEFT = (".git", ".venv", "out", ".ruff_cache", ".mypy_cache", ".pytest_cache", ".hypothesis")  #: not copied
LIMIT = (60.0, 10.0)  #: seconds, and multiples of its time without a fault, after which a test counts as failed
SKIPPED = "tests/test_architecture.py"  #: reads the text of the package, not what it does


class Verdict(NamedTuple):
    """What became of a fault: the test that failed (none: it survived), and how many were run."""

    killer: str
    tests: int


def copy_tree(target: Path, source: Path = ROOT) -> Path:
    """The package, its tests and what they read, in a folder beside which ``shared`` lies as it does here."""
    shutil.copytree(source, target, symlinks=True, ignore=shutil.ignore_patterns(*LEFT))
    shared = target.parent / "shared"
    if (ROOT.parent / "shared").exists() and not shared.is_symlink():
        shared.symlink_to(ROOT.parent / "shared")
    return target


def pytest_in(tree: Path, *words: str, plan: dict[str, object], limit: float | None = None) -> dict[str, object]:
    """Run pytest in a copy with the plug-in below; what it wrote, with its exit code."""
    plan_file, told = tree / "plan.json", tree / "told.json"
    plan_file.write_text(json.dumps(plan))
    told.unlink(missing_ok=True)
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(tree), str(tree / "tests")]),
        "OMP_NUM_THREADS": "1",
        "MUTANTS_PLAN": str(plan_file),
    }
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "mutants_plugin", "-q", "--tb=no"]
    try:
        done = subprocess.run(
            [*command, *words], cwd=tree, env=environment, capture_output=True, text=True, check=False, timeout=limit
        )
    except subprocess.TimeoutExpired:
        return {"code": 1, "failed": [f"nothing: the tests took more than {limit:.0f} s"], "ran": 0}
    said = json.loads(told.read_text()) if told.exists() else {"failed": [done.stdout[-300:]], "ran": 0}
    return {"code": done.returncode, **said}


def record(base: Path, again: bool) -> dict[str, dict[str, object]]:
    """Which functions (file:first line) each test calls, and how long it takes, from a run of the tests.

    All are run for a package that is not known yet, else those in files that are new or have changed.
    """
    sources = sorted((base / "scalefit").rglob("*.py"))
    kept = Path(tempfile.gettempdir()) / f"scalefit-mutants-{digest_of(*sources)}.json"
    known = {} if again or not kept.exists() else json.loads(kept.read_text())
    tests = {str(path.relative_to(base)): digest_of(path) for path in sorted((base / "tests").rglob("test_*.py"))}
    changed = [file for file, digest in tests.items() if known.get("files", {}).get(file) != digest]
    calls = {test: noted for test, noted in known.get("calls", {}).items() if test.split("::")[0] not in changed}
    if changed:
        click.echo(f"recording which functions the tests of {len(changed)} files call")
        pytest_in(base, "-n", "2", *(changed if known else ()), plan={"record": True})
        for part in base.glob("record-*.json"):
            calls |= json.loads(part.read_text())
        kept.write_text(json.dumps({"files": tests, "calls": calls}))
    for test in [test for test, noted in calls.items() if noted["failed"]]:
        click.echo(f"fails without a fault, so it is not asked: {test}")
    return {test: noted for test, noted in calls.items() if not noted["failed"]}


def digest_of(*files: Path) -> str:
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]


def ordered(fault: Fault, calls: dict[str, dict[str, object]], most: float) -> list[str]:
    """The tests to show a fault to, best first, as long as they took no more than ``most`` seconds in all."""
    here = f"{fault.file}:"
    wanted = {f"{here}{fault.function}"} if fault.function else None

    def reached(test: str) -> bool:
        seen = calls[test]["calls"]
        return bool(wanted & set(seen)) if wanted else any(name.startswith(here) for name in seen)

    direct = {test for test in calls if reached(test) and not test.startswith(SKIPPED)}
    files = {test.split("::")[0] for test in direct}
    cost = {file: sum(calls[test]["seconds"] for test in direct if test.split("::")[0] == file) for file in files}
    mirror = tuple(f"{top}/{fault.room}" for top in ("tests", "scalefit"))

    def rank(test: str) -> tuple[object, ...]:
        file = test.split("::")[0]
        own = file.startswith(mirror) or f"test_{fault.room.removesuffix('.py')}" in file
        return (test not in direct, not own, cost[file], file, calls[test]["seconds"])

    asked = sorted((test for test in calls if test.split("::")[0] in files), key=rank)
    until = accumulate(calls[test]["seconds"] for test in asked)
    return [test for test, second in zip(asked, until, strict=True) if second <= most]


def shown(tree: Path, tests: list[str], calls: dict[str, dict[str, object]]) -> Verdict:
    """Run some tests up to the first failure."""
    files = list(dict.fromkeys(test.split("::")[0] for test in tests))
    if not files:
        return Verdict("", 0)
    seconds = {test: calls[test]["seconds"] for test in tests}
    plan = {"order": tests, "limit": {t: LIMIT[0] + LIMIT[1] * s for t, s in seconds.items()}}
    told = pytest_in(tree, "-x", *files, plan=plan, limit=900 + 20 * sum(seconds.values()))
    killed = told["code"] not in (0, 5)
    return Verdict(str((told["failed"] or ["an error of pytest"])[0]) if killed else "", int(told["ran"]))


def judged(fault: Fault, base: Path, calls: dict[str, dict[str, object]], most: float, whole: bool) -> Verdict:
    """What the tests say of one fault, planted in a copy of its own."""
    with tempfile.TemporaryDirectory(prefix="scalefit-mutant-") as folder:
        tree = copy_tree(Path(folder) / "tree", base)
        plant(tree, fault)
        first = ordered(fault, calls, most)
        verdict = shown(tree, first, calls)
        if verdict.killer or not whole:
            return verdict
        asked = set(first)
        rest = [t for t in calls if t not in asked and not t.startswith(SKIPPED)]
        more = shown(tree, rest, calls)
        return Verdict(more.killer, verdict.tests + more.tests)


@click.command(help=__doc__.split("\n")[0])
@click.option("--count", default=60, help="How many faults.")
@click.option("--seed", default=1)
@click.option("--workers", default=1, help="Faults shown at the same time.")
@click.option("--wing", default="", help="Faults of this wing only.")
@click.option("--under", default="", help="Faults of files whose path below the package begins so.")
@click.option("--only", default="", help="Only these, by their number: 3,7.")
@click.option("--most", default=240.0, help="Seconds of tests, as recorded, that a fault is shown to.")
@click.option("--whole", is_flag=True, help="Show survivors to the whole suite.")
@click.option("--remap", is_flag=True, help="Record again which tests call what.")
@click.option("--list", "list_", is_flag=True, help="Show the faults, plant none.")
def main(
    count: int,
    seed: int,
    workers: int,
    wing: str,
    under: str,
    only: str,
    most: float,
    whole: bool,
    remap: bool,
    list_: bool,
) -> None:
    """Plant the faults, one line each, and count."""
    faults = dict(enumerate(chosen(ROOT, count, seed, wing, under), 1))
    if only:
        faults = {number: faults[number] for number in map(int, only.split(","))}
    if list_:
        for number, fault in faults.items():
            click.echo(f"{number:3d} {fault}")
        return
    with tempfile.TemporaryDirectory(prefix="scalefit-mutants-") as folder:
        base = copy_tree(Path(folder) / "tree")
        calls = record(base, remap)

        def one(number: int) -> Verdict:
            verdict = judged(faults[number], base, calls, most, whole)
            fate = f"killed by {verdict.killer}" if verdict.killer else f"SURVIVED {verdict.tests} tests"
            click.echo(f"{number:3d} {faults[number]}\n      {fate}")
            return verdict

        with ThreadPoolExecutor(workers) as pool:
            verdicts = dict(zip(faults, pool.map(one, faults), strict=True))
        killers = sorted({verdict.killer for verdict in verdicts.values() if "::" in verdict.killer})
        false = set(clean_failures(base, killers))
    survivors = [number for number, verdict in verdicts.items() if not verdict.killer or verdict.killer in false]
    for test in sorted(false):
        click.echo(f"fails without a fault, so proves nothing: {test}")
    share = 100 * (1 - len(survivors) / len(faults))
    click.echo(f"{len(faults)} faults, {len(faults) - len(survivors)} killed ({share:.0f} %); survivors: {survivors}")


def clean_failures(base: Path, killers: list[str]) -> list[str]:
    """Which of the tests that killed fail without a fault too."""
    if not killers:
        return []
    tests = [killer.removesuffix(" (time)") for killer in killers]
    files = sorted({test.split("::")[0] for test in tests})
    told = pytest_in(base, *files, plan={"order": tests})
    return [killer for killer, test in zip(killers, tests, strict=True) if test in told["failed"]]


if __name__ == "__main__":
    main()
