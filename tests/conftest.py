"""What holds for all tests: one thread of linear algebra a worker, and no example judged by the time that it takes.

Two workers on two cores with two threads each cost a quarter more processor time, and gain nothing.
"""

import gc
import os
import sys

import pytest
from hypothesis import HealthCheck, settings

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
