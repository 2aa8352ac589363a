"""What mutants.py has pytest do: record which tests run each line, or plant faults in forks of one loaded session.

A fork costs a twentieth of a second, where a fresh interpreter pays for the imports and the collection of all tests.
"""

from __future__ import annotations

import gc
import importlib.machinery
import json
import os
import resource
import signal
import sys
import time
from pathlib import Path
from types import CodeType, FunctionType, ModuleType

import pytest
from _pytest.assertion.rewrite import AssertionRewritingHook

TREE = Path(__file__).parents[1]
PLAN = json.loads(Path(os.environ["MUTANTS_PLAN"]).read_text()) if "MUTANTS_PLAN" in os.environ else {}
LIMIT = (20.0, 10.0)  #: seconds of the processor, and multiples of what it takes, after which a test counts as failed
WALL = 1800  #: seconds after which a fork that neither ends nor uses its processor time is given up, undecided

failed: list[str] = []


# --- recording --------------------------------------------------------------------------------------------------------

if PLAN.get("record"):
    import coverage  # an interpreter's own trace function in Python takes ten times as long

    traced = coverage.Coverage(data_file=None, config_file=False, include=[f"{TREE}/scalefit/*"], messages=False)
    traced.start()
    traced.switch_context("import")
from scalefit import memory  # noqa: E402 (what it runs on import is recorded)

seconds: dict[str, float] = {}
files: list[Path] = []  #: the last one whose tests were recorded


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    if not PLAN.get("record"):
        return (yield)
    if files[-1:] != [item.path] and (kept := memory._KEPT.get()):
        kept.clear()  # what tests of other files have computed would hide that those of this one need it
    files.append(item.path)
    started = time.process_time()
    traced.switch_context(item.nodeid)
    try:
        return (yield)
    finally:
        traced.switch_context("import")
        seconds[item.nodeid] = round(time.process_time() - started, 3)


def pytest_runtest_logreport(report):
    if report.failed:
        failed.append(report.nodeid)


def pytest_collectreport(report):
    if report.failed:
        failed.append(f"the import of {report.nodeid}")


def pytest_sessionfinish():
    if not PLAN.get("record"):
        return
    traced.stop()
    number = {test: i for i, test in enumerate(seconds)} | {"import": -1}
    lines = {
        os.path.relpath(file, TREE): {
            line: sorted({number[name] for name in names if name in number})
            for line, names in traced.get_data().contexts_by_lineno(file).items()
        }
        for file in traced.get_data().measured_files()
    }
    Path(PLAN["record"]).write_text(json.dumps({"seconds": seconds, "failed": failed, "lines": lines}))


# --- planting ---------------------------------------------------------------------------------------------------------


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session):
    """Instead of the tests: each fault in a fork of this process, and one line of JSON about it."""
    if "faults" not in PLAN:
        return None
    gc.unfreeze()
    functions = [f for f in gc.get_objects() if type(f) is FunctionType]  # asking some for their class warns
    functions = [f for f in functions if f.__code__.co_filename.startswith(str(TREE / "scalefit"))]
    gc.collect()
    gc.freeze()
    items = {item.nodeid: item for item in session.items}
    for fault in PLAN["faults"]:
        write(fault | in_a_fork(fault, items, functions))
    return True


def write(said: dict[str, object]) -> None:
    with Path(PLAN["told"]).open("a") as file:
        file.write(json.dumps(said) + "\n")


def in_a_fork(fault, items, functions):
    """What the tests say of a fault: those that failed, how many were run, and how long it took."""
    kept, began = Path(PLAN["told"] + ".one"), time.monotonic()
    kept.write_text(json.dumps({"failed": [], "ran": 0, "running": "its import"}))
    child = os.fork()
    if not child:
        try:
            shown(fault, items, functions, kept)
        finally:
            os._exit(0)
    while time.monotonic() - began < WALL and not (ended := os.waitpid(child, os.WNOHANG))[0]:
        time.sleep(0.02)
    if not ended[0]:
        os.kill(child, signal.SIGKILL)
        ended = os.waitpid(child, 0)
    said = json.loads(kept.read_text())
    if ended[1]:
        by = os.WTERMSIG(ended[1])  # given up: nothing is known of the tests
        why = "time" if by == signal.SIGXCPU else "crash"
        said["failed"] = [] if by == signal.SIGKILL else [f"{said['running']} ({why})"]
    return said | {"wall": round(time.monotonic() - began, 2)}


def shown(fault, items, functions, kept):
    """In the fork: plant, and run tests up to the first that fails (all of them where nothing is planted)."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)
    said = {"failed": [], "ran": 0, "running": "its import"}

    def run(test, item, following):
        used = time.process_time()
        if used - started > fault.get("most", 1e9) or (said["failed"] and not fault.get("all")):
            return  # with fewer tests run than reach the line, the fault counts as undecided
        limit = int(used + LIMIT[0] + LIMIT[1] * fault["tests"].get(test, 1.0)) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))
        failed.clear()
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        said["failed"] += failed
        said.update(ran=said["ran"] + 1, running=test, cpu=round(time.process_time() - started, 2))
        kept.write_text(json.dumps(said))

    started = time.process_time()
    if fault.get("file") and not swapped(fault, functions):
        loaded_anew(fault, run, said, kept)
        return
    order = [test for test in fault["tests"] if test in items]
    for test, following in zip(order, [*order[1:], None], strict=True):
        run(test, items[test], items.get(following))


def swapped(fault, functions):
    """Whether the fault is in functions that are loaded: their code is exchanged for that of the faulty source."""
    if fault["import"]:
        return False
    path = str(TREE / fault["file"])
    old, new = (compile(text, path, "exec", dont_inherit=True) for text in (Path(path).read_bytes(), faulty(fault)))
    pairs = {}
    if not paired(old, new, pairs):
        return False
    differ = {key: codes for key, codes in pairs.items() if codes[0] != codes[1]}
    ours = [f for f in functions if f.__code__.co_filename == path and key_of(f.__code__) in differ]
    if not ours or any(len(differ[key_of(f.__code__)][1].co_freevars) != len(f.__closure__ or ()) for f in ours):
        return False
    for function in ours:
        function.__code__ = differ[key_of(function.__code__)][1]
    return True


def key_of(code):
    return code.co_qualname, code.co_firstlineno, code.co_argcount


def paired(old, new, pairs):
    """Collect the codes of two sources that stand at the same place; False where these differ in their number."""
    within = [[c for c in code.co_consts if isinstance(c, CodeType)] for code in (old, new)]
    if [key_of(c) for c in within[0]] != [key_of(c) for c in within[1]]:
        return False
    pairs |= {key_of(a): (a, b) for a, b in zip(*within, strict=True)}
    return all(paired(a, b, pairs) for a, b in zip(*within, strict=True))


def faulty(fault):
    text = (TREE / fault["file"]).read_bytes()
    return text[: fault["begin"]] + fault["new"].encode() + text[fault["end"] :]


def loaded_anew(fault, run, said, kept):
    """The package and the test files are imported again, with the faulty source, in this process."""
    path, source_of = str(TREE / fault["file"]), importlib.machinery.SourceFileLoader.get_code

    def get_code(loader, name):
        if loader.path != path:
            return source_of(loader, name)
        return compile(faulty(fault), path, "exec", dont_inherit=True)

    importlib.machinery.SourceFileLoader.get_code = get_code
    finding = AssertionRewritingHook.find_spec  # pytest itself would load modules that have examples
    AssertionRewritingHook.find_spec = lambda *words: None if words[1].startswith("scalefit") else finding(*words)
    for name, module in list(sys.modules.items()):
        place = str(getattr(module, "__file__", None) or "") if isinstance(module, ModuleType) else ""
        if place.startswith(f"{TREE}{os.sep}") and name != __name__:
            del sys.modules[name]

    class Again:
        def pytest_runtestloop(self, session):
            items = {item.nodeid: item for item in session.items}
            order = [test for test in fault["tests"] if test in items]
            for test, following in zip(order, [*order[1:], None], strict=True):
                run(test, items[test], items.get(following))
            return True

        def pytest_runtest_logreport(self, report):
            pytest_runtest_logreport(report)

    files = list(dict.fromkeys(test.split("::")[0] for test in fault["tests"]))[:12]
    resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time()) + 60, resource.RLIM_INFINITY))
    failed.clear()
    code = pytest.main(["-p", "no:cacheprovider", "-p", "no:xdist", "-q", "-s", *files], plugins=[Again()])
    if code not in (0, 1, 5) and not said["failed"]:
        kept.write_text(json.dumps(said | {"failed": ["its import"]}))
