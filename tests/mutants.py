"""Plant one fault at a time in the package, and see whether a test notices.

    python tests/mutants.py --count 60 --seed 1              # 60 faults spread over all wings
    python tests/mutants.py --count 20 --seed 2 --wing runs  # of one wing
    python tests/mutants.py --seed 2 --kind keyword          # of one kind (see mutations.py), or several: axis,order
    python tests/mutants.py --count 20 --seed 2 --under planning/batch  # of the files whose path begins so
    python tests/mutants.py --seed 1 --count 60 --only 7,12  # two of them again, by their number
    python tests/mutants.py --count 60 --seed 1 --list       # what would be planted

The working tree is never touched: it is copied to a temporary folder. One run of the suite records which lines each
test runs (kept in the temporary folder; needs the package ``coverage``; with ``--workers 2`` in two parts at once).
Lines that move later are found again by their text, and of test files that change those alone are recorded anew. Then
one pytest session is loaded, and forked for each fault: the code of the faulty function is exchanged in the fork, and
the tests that run the faulty line are run in it, those of the module and its room first and quick ones before slow
ones, then the other tests of the same files (which may look at what those have computed), up to the first failure, for
at most ``--most`` seconds of the processor. A fault that is still unnoticed when this time ends before the tests do is
undecided, and counted by itself. Faults of what runs on import are planted by importing the package again in the fork.
Lines that only other processes run are not recorded: there rather too many survive. A test that takes 20 s of the
processor and ten times as long as without the fault counts as a failure. In the end the tests that killed are run
without any fault; one that fails then has proved nothing, and its faults count as survivors.

A fault that no test can tell from the code is entered in EQUIVALENT in mutants_sample.py, with the reason.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import takewhile
from pathlib import Path

import click
from mutants_sample import chosen, wing_of
from mutations import Fault

ROOT = Path(__file__).parents[1]
KEPT = Path(tempfile.gettempdir()) / "scalefit-mutants-lines.json"
LEFT = (".git", ".venv", "out", ".ruff_cache", ".mypy_cache", ".pytest_cache", ".hypothesis", "__pycache__")
SKIPPED = ("tests/test_architecture.py", "tests/test_language.py")  #: read the text of the package, not what it does


def copy_tree(target: Path) -> Path:
    """The package, its tests and what they read, in a folder beside which ``shared`` lies as it does here."""
    shutil.copytree(ROOT, target, symlinks=True, ignore=shutil.ignore_patterns(*LEFT))
    if (ROOT.parent / "shared").exists():
        (target.parent / "shared").symlink_to(ROOT.parent / "shared")
    return target


def pytest_in(tree: Path, *words: str, plan: dict[str, object]) -> None:
    """Run pytest in a copy with the plug-in, which follows the plan."""
    file = tree / f"plan{threading.get_ident()}.json"
    file.write_text(json.dumps(plan))
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(tree), str(tree / "tests"), os.environ.get("PYTHONPATH", "")]),
        "OMP_NUM_THREADS": "1",
        "MUTANTS_PLAN": str(file),
    }
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "mutants_plugin"]
    done = subprocess.run([*command, *words], cwd=tree, env=environment, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        raise click.ClickException(f"pytest ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


# --- which tests run a line -------------------------------------------------------------------------------------------


def recorded(tree: Path, again: bool, parts: int) -> dict[str, object]:
    """Which tests run each line, and how long they take: from a file, with what has changed since recorded anew."""
    known = {} if again or not KEPT.exists() else json.loads(KEPT.read_text())
    digests = {str(file.relative_to(tree)): digest(file) for file in sorted((tree / "tests").rglob("test_*.py"))}
    new = [file for file, value in digests.items() if known.get("digests", {}).get(file) != value]
    if not new:
        return known
    click.echo(f"recording which lines the tests of {len(new)} files run")
    told = recorded_of(tree, new if known else [*digests, "scalefit"], parts)
    texts = {str(file.relative_to(tree)): file.read_text() for file in (tree / "scalefit").rglob("*.py")}
    gone = {file for test in known.get("seconds", {}) if not (tree / (file := test.split("::")[0])).exists()}
    merged = joined(known, told, texts, {*new, *gone}) if known else told
    KEPT.write_text(json.dumps(merged | {"digests": digests, "texts": texts}))
    return json.loads(KEPT.read_text())


def recorded_of(tree: Path, names: list[str], parts: int) -> dict[str, object]:
    """What the tests of these files run, in several sessions beside each other."""
    size = {name: (tree / name).stat().st_size for name in names}
    order = sorted(names, key=size.__getitem__, reverse=True)

    def one(part: int) -> dict[str, object]:
        place = tree / f"recorded{part}.json"
        pytest_in(tree, "-m", "not slow", *order[part::parts], plan={"record": str(place)})
        return json.loads(place.read_text())

    with ThreadPoolExecutor(parts) as pool:
        first, *others = pool.map(one, range(min(parts, len(order))))
    for other in others:
        texts = {file: (tree / file).read_text() for file in first["lines"]}
        first = joined(first | {"texts": texts}, other, texts, set())
    return first


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16]


def joined(known: dict, told: dict, texts: dict[str, str], new: set[str]) -> dict[str, object]:
    """An earlier record, its lines moved to where they stand now, with some files of tests recorded anew."""
    stays = [test for test in known["seconds"] if test.split("::")[0] not in new]
    names = [*stays, *told["seconds"]]
    number = {test: i for i, test in enumerate(names)} | {"import": -1}
    lines: dict[str, dict[str, set[int]]] = {}
    for record in (known, told):
        tests = [*record["seconds"], "import"]
        for file, of_file in record["lines"].items():
            place = moved(known["texts"].get(file, ""), texts.get(file, "")) if record is known else None
            for line, seen in of_file.items():
                to = line if place is None else place.get(int(line))
                if to is not None:
                    wanted = {number[tests[i]] for i in seen if tests[i] in number}
                    lines.setdefault(file, {}).setdefault(str(to), set()).update(wanted)
    return {
        "seconds": {test: (told["seconds"] | known["seconds"])[test] for test in stays} | told["seconds"],
        "failed": [*(test for test in known["failed"] if test in stays), *told["failed"]],
        "lines": {file: {line: sorted(seen) for line, seen in of_file.items()} for file, of_file in lines.items()},
    }


def moved(old: str, new: str) -> dict[int, int]:
    """Where each line of a text stands in a later one."""
    if old == new:
        return {line: line for line in range(1, old.count("\n") + 2)}
    blocks = difflib.SequenceMatcher(None, old.splitlines(), new.splitlines(), autojunk=False).get_matching_blocks()
    return {block.a + i + 1: block.b + i + 1 for block in blocks for i in range(block.size)}


def asked(fault: Fault, record: dict, sources: dict[str, str], most: float) -> dict[str, object]:
    """What the plug-in needs to know: the fault, and the tests to show it to, best first."""
    tests, of_file = [*record["seconds"]], record["lines"].get(fault.file, {})
    places = {now: of_file.get(str(then), []) for then, now in sources[fault.file].items()}
    own = [*range(fault.line, fault.last + 1)], [fault.statement], [fault.function]
    rows = next((rows for lines in own if any(rows := [places.get(line, []) for line in lines])), [])
    numbers = {i for row in rows for i in row}
    if -1 in numbers:  # what runs on import: of a default the tests that run the function, else any of the module
        body = takewhile(lambda line: -1 not in places.get(line, []), range(fault.last + 1, fault.last + 60))
        inside = {i for line in body for i in places.get(line, [])} if fault.function else set()
        numbers |= inside or {i for row in of_file.values() for i in row}
    direct = {tests[i] for i in numbers if i >= 0}
    files = {test.split("::")[0] for test in direct}  # what one test of a file computes, the others may look at
    names = {test for test in record["seconds"] if test.split("::")[0] in files} - {*record["failed"]}
    room, module = fault.room, Path(fault.file).stem
    mirror = tuple(f"{top}/{room}" for top in ("tests", "scalefit"))
    deep = Counter(tests[i] for row in of_file.values() for i in row if i >= 0)  # lines of the file that a test runs

    def rank(test: str) -> float:
        near = 0.2 if module in test.split("::")[0] else 0.5 if test.startswith(mirror) else 1.0
        return (record["seconds"][test] + 0.02) * near * (1 if test in direct else 4) / (1 + deep[test]) ** 2

    order = sorted((test for test in names if not test.startswith(SKIPPED)), key=rank)
    return {
        **{"file": fault.file, "begin": fault.begin, "end": fault.end, "new": fault.new},
        **{"import": -1 in numbers or not fault.function, "most": most, "reached": len(order)},
        "tests": {test: record["seconds"][test] for test in order},
    }


# --- the command ------------------------------------------------------------------------------------------------------


@click.command(help=__doc__.split("\n")[0])
@click.option("--count", default=60, help="How many faults.")
@click.option("--seed", default=1)
@click.option("--wing", default="", help="Faults of this wing only.")
@click.option("--kind", default="", help="Faults of these kinds only.")
@click.option("--under", default="", help="Faults of files whose path below the package begins so.")
@click.option("--only", default="", help="Only these, by their number: 3,7.")
@click.option("--most", default=60.0, help="Seconds of the processor that a fault is shown to tests for.")
@click.option("--workers", default=1, help="How many faults are planted at once.")
@click.option("--remap", is_flag=True, help="Record again which tests run what.")
@click.option("--list", "list_", is_flag=True, help="Show the faults, plant none.")
@click.option("--save", default="", help="A file for what became of each, as lines of JSON.")
def main(
    count: int,
    seed: int,
    wing: str,
    kind: str,
    under: str,
    only: str,
    most: float,
    workers: int,
    remap: bool,
    list_: bool,
    save: str,
) -> None:
    """Plant the faults, one line each, and count."""
    faults = dict(enumerate(chosen(ROOT, count, seed, wing, under, kind), 1))
    if only:
        faults = {number: faults[number] for number in map(int, only.split(","))}
    if list_:
        for number, fault in faults.items():
            click.echo(f"{number:3d} {fault}")
        return
    with tempfile.TemporaryDirectory(prefix="scalefit-mutants-") as folder:
        tree = copy_tree(Path(folder) / "tree")
        record = recorded(tree, remap, workers)
        sources = {f.file: moved(record["texts"].get(f.file, ""), (tree / f.file).read_text()) for f in faults.values()}
        plans = [asked(fault, record, sources, most) | {"number": number} for number, fault in faults.items()]
        report(faults, planted(tree, plans, workers), save)


def planted(tree: Path, plans: list[dict[str, object]], workers: int) -> dict[int, dict]:
    """What became of each fault, by its number; tests that fail without a fault as well have noticed nothing."""
    files = sorted({test.split("::")[0] for plan in plans for test in plan["tests"]})

    def one(name: str, part: list[dict[str, object]]) -> list[dict]:
        told = tree / f"{name}.jsonl"
        pytest_in(tree, *files, plan={"faults": part, "told": str(told)})
        return [json.loads(line) for line in told.read_text().splitlines()]

    with ThreadPoolExecutor(workers) as pool:
        parts = pool.map(lambda i: one(f"told{i}", plans[i::workers]), range(min(workers, len(plans))))
        said = {found["number"]: found for part in parts for found in part}
    killers = {test for found in said.values() for test in found["failed"] if "::" in test and not test.endswith(")")}
    false = {*one("clean", [{"tests": dict.fromkeys(sorted(killers), 60.0), "all": True}])[0]["failed"]}
    for test in sorted(false):
        click.echo(f"fails without a fault, so proves nothing: {test}")
    for found in said.values():
        found["failed"] = [test for test in found["failed"] if test not in false]
    return said


def fate(found: dict) -> str:
    """Killed; survived all tests that run its line; or undecided, as time ended before these did."""
    return "killed" if found["failed"] else "survived" if found["ran"] >= found["reached"] else "undecided"


def report(faults: dict[int, Fault], said: dict[int, dict], save: str) -> None:
    """One line a fault, then how many were noticed in each wing and of each kind."""
    for number, fault in faults.items():
        one = said[number]
        why = f"by {one['failed'][0]}" if one["failed"] else f"after {one['ran']} of {one['reached']} tests"
        click.echo(f"{number:3d} {fault}\n      {fate(one)} {why}")
        if save:
            with Path(save).open("a") as file:
                keep = {key: one[key] for key in ("failed", "ran", "reached", "wall")}
                more = {"number": number, "wing": wing_of(fault), "fate": fate(one)}
                file.write(json.dumps({**fault._asdict(), **keep, **more}) + "\n")
    for name, part in (("wing", wing_of), ("kind", lambda fault: fault.kind)):
        total = Counter(part(fault) for fault in faults.values())
        lived = Counter(part(fault) for number, fault in faults.items() if fate(said[number]) == "survived")
        click.echo(f"survivors by {name}: " + ", ".join(f"{key} {lived[key]}/{total[key]}" for key in total))
    by = {word: [n for n in faults if fate(said[n]) == word] for word in ("killed", "survived", "undecided")}
    decided = len(by["killed"]) + len(by["survived"])
    click.echo(
        f"{len(faults)} faults, {len(by['killed'])} killed ({100 * len(by['killed']) / max(decided, 1):.0f} % of those "
        f"decided); survived: {by['survived']}; undecided: {by['undecided']}"
    )


if __name__ == "__main__":
    main()
