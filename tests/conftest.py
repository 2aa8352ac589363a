"""What holds for all tests: one thread of linear algebra a worker, and no example judged by the time that it takes.

Two workers on two cores with two threads each cost a quarter more processor time, and gain nothing.
"""

import functools
import gc
import os
import sys

import pytest
from hypothesis import HealthCheck, settings

from scalefit import memory

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when numpy is loaded, which the tests do after this file
settings.register_profile("scalefit", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("scalefit")


def pytest_configure(config):
    """With several workers, the tests of one file stay in one of them: what they share is then made once."""
    if getattr(config.option, "dist", "no") == "load":  # what -n alone means; absent without pytest-xdist
        config.option.dist = "loadfile"


def pytest_collection_finish(session):
    """What was collected stays to the end: looking through it for waste cost a fourteenth of the processor time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


@pytest.fixture(scope="session", autouse=True)
def computed_once():
    """Tests that fit the same rows share the descents; test_memory proves that they end where their own would."""
    with memory.remembering():
        yield


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
