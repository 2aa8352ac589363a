"""What holds for all tests: one thread of linear algebra a worker, and no example judged by the time that it takes.

Two workers on two cores with two threads each cost a quarter more processor time, and gain nothing.
"""

import functools
import gc
import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from scalefit import memory

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when numpy is loaded, which the tests do after this file
settings.register_profile("scalefit", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("scalefit")


def pytest_configure(config):
    """With several workers, the tests of one file stay in one of them: what they share is then made once."""
    if getattr(config.option, "dist", "no") == "load":  # what -n alone means; absent without pytest-xdist
        config.option.dist = "loadfile"


#: files of commands on the data sets that ship: they ask for the same fits
OF_COMMANDS = ("tests/cli/test_cli.py", "tests/test_docs.py", "tests/test_examples.py", "tests/test_readme.py")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """The files that ask for the same fits stay in one worker as well."""
    if config.option.dist != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class ByFitsAndFile(LoadFileScheduling):
        def _split_scope(self, nodeid):
            file = super()._split_scope(nodeid)
            return "commands" if file in OF_COMMANDS else file

    return ByFitsAndFile(config, log)


def pytest_collection_finish(session):
    """What was collected stays to the end: looking through it for waste cost a fourteenth of the processor time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


@pytest.fixture(scope="session", autouse=True)
def computed_once():
    """Tests that fit the same rows share the descents; test_memory proves that they end where their own would."""
    memory.MOST = 10_000  # of many commands, not of one
    with memory.remembering():
        yield


@pytest.fixture(scope="session", autouse=True)
def data_sets_read_once():
    """Data sets that ship, and public ones, do not change: what is read of them in one way is kept (``memory``)."""
    from commands import ROOT, SHARED

    from scalefit.errors import ON_COMMAND_LINE
    from scalefit.runs.reading import read

    real, folders = read._read, (ROOT / "data", SHARED.resolve())

    def kept(sources, *options):
        if not all(isinstance(source, str | os.PathLike) for source in sources):
            return real(sources, *options)
        places = [Path(source).resolve() for source in sources]
        if not all(any(place.is_relative_to(folder) for folder in folders) for place in places):
            return real(sources, *options)
        told = (*map(str, sources), *map(str, places), repr(options), ON_COMMAND_LINE.get())
        return memory.once(lambda: real(sources, *options), "read", *told)

    read._read = kept
    yield
    read._read = real


@pytest.fixture(scope="session", autouse=True)
def labels_set_once():
    """Matplotlib keeps the last 50 labels with powers that it has set; all tests together set a few hundred."""
    from matplotlib.mathtext import MathTextParser

    MathTextParser._parse_cached = functools.cache(MathTextParser._parse_cached.__wrapped__)


@pytest.fixture
def nothing_kept():
    """As in a program of a user, outside of commands: what is computed twice is computed anew."""
    token = memory._KEPT.set(None)
    yield
    memory._KEPT.reset(token)


@pytest.fixture
def few_draws(monkeypatch):
    """For commands that are run for their exit codes and not for their numbers: the same code draws a tenth."""
    from scalefit.uncertainty.intervals import FEWEST_DRAWS, Resampling

    fewer = lambda draws, *rest: Resampling(min(draws, FEWEST_DRAWS), *rest)  # noqa: E731
    monkeypatch.setattr("scalefit.fitting.fit.Resampling", fewer)
    monkeypatch.setattr("scalefit.uncertainty.folds.FOLD_DRAWS", FEWEST_DRAWS)


@pytest.fixture(autouse=True)
def no_figure_is_left_open():
    """Figures that a test leaves open count against those that the others open."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


def pytest_collection_modifyitems(config, items):
    """Tests of clusters run where they are asked for by their marker."""
    if "cluster" in config.option.markexpr:
        return
    for item in items:
        if "cluster" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="starts a cluster; python -m pytest -m cluster runs it"))
