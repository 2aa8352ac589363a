"""What mutants.py has pytest do: record the functions that each test calls, or run chosen tests in a chosen order."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest

TREE = Path(__file__).parents[1]
PACKAGE = str(TREE / "scalefit") + os.sep
PLAN = json.loads(Path(os.environ["MUTANTS_PLAN"]).read_text()) if "MUTANTS_PLAN" in os.environ else {}
LIMIT = 120.0  #: seconds for a test of which no time is known

calls: dict[str, dict[str, object]] = {}
told: dict[str, object] = {"failed": [], "ran": 0}
seen: set[str] = set()
late: set[str] = set()


def called(frame, event, argument):
    """A trace function that only notes which functions of the package are entered."""
    code = frame.f_code
    if code.co_filename.startswith(PACKAGE):
        seen.add(f"{code.co_filename.removeprefix(str(TREE) + os.sep)}:{code.co_firstlineno}")


def pytest_collection_modifyitems(config, items):
    if "order" not in PLAN:
        return
    rank = {test: number for number, test in enumerate(PLAN["order"])}
    items[:] = sorted((item for item in items if item.nodeid in rank), key=lambda item: rank[item.nodeid])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item, nextitem):
    started = time.process_time()
    if PLAN.get("record"):
        seen.clear()
        sys.settrace(called)
    try:
        return (yield)
    finally:
        if PLAN.get("record"):
            sys.settrace(None)
            calls[item.nodeid] = {
                "seconds": round(time.process_time() - started, 3),
                "calls": sorted(seen),
                "failed": item.nodeid in told["failed"],
            }


def timed(item):
    """Fail the test where it takes too much time of the processor, however busy the machine is."""

    def stop(number, frame):
        late.add(item.nodeid)
        pytest.fail("took too long", pytrace=False)

    signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, PLAN.get("limit", {}).get(item.nodeid, LIMIT))
    try:
        return (yield)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


if "order" in PLAN:
    pytest_runtest_setup = pytest.hookimpl(wrapper=True)(timed)
    pytest_runtest_call = pytest.hookimpl(wrapper=True)(lambda item: (yield from timed(item)))


def pytest_runtest_logreport(report):
    told["ran"] += report.when == "call"
    if report.failed:
        told["failed"].append(report.nodeid + " (time)" * (report.nodeid in late))


def pytest_collectreport(report):
    if report.failed:
        told["failed"].append(f"the import of {report.nodeid}")


def pytest_sessionfinish(session):
    if PLAN.get("record") and calls:
        (TREE / f"record-{os.getpid()}.json").write_text(json.dumps(calls))
    elif "order" in PLAN:
        (TREE / "told.json").write_text(json.dumps(told))
