"""One answer on any number of workers and on every backend of joblib."""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
import time
from functools import partial

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

joblib = pytest.importorskip("joblib")

import scalefit as sf  # noqa: E402
from scalefit.cli import main  # noqa: E402
from scalefit.parallel import each  # noqa: E402

pytestmark = pytest.mark.usefixtures("nothing_kept")  # the second of two equal computations is one


@pytest.fixture(scope="module")
def table():
    """Runs under planted constants, with noise."""
    rng = np.random.default_rng(5)
    N, D = (axis.ravel() for axis in np.meshgrid(np.geomspace(1e7, 1e9, 5), np.geomspace(1e9, 1e11, 5)))
    loss = (1.7 + 400 * N**-0.34 + 410 * D**-0.28) * np.exp(0.003 * rng.standard_normal(len(N)))
    return pd.DataFrame({"N": N, "D": D, "loss": loss})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Run logs, one of them a text that is none."""
    place = tmp_path_factory.mktemp("runs")
    for run in range(6):
        steps = np.arange(1, 40)
        curve = pd.DataFrame({"step": steps, "loss": 2 + (3 + run) * steps**-0.5})
        curve.to_csv(place / f"run{run}.csv", index=False)
    (place / "notes.txt").write_text("nothing to read here\n")
    return place


MINE = """
from scalefit.laws.law import Law, Parameter, Variable

class Mine(Law):
    '''A law in a file of a user.'''
    name = "mine"
    N = Variable("parameters", "size", span=(1e6, 1e9))
    E = Parameter("nats/token", "floor", linear=True)
    A = Parameter("nats/token", "size of the power law", linear=True)
    alpha = Parameter("1", "exponent", high=2.0, starts=(0.1, 1.0))

    @staticmethod
    def formula(N, E, A, alpha):
        return E + A * (N / 1e7) ** -alpha
"""


@pytest.fixture(scope="module")
def answers(table, folder, tmp_path_factory):
    """Everything that runs in parallel, as numbers and texts; laws by name, as formulas, and in a file."""
    file = tmp_path_factory.mktemp("mine") / "mine.py"
    file.write_text(MINE)

    def asked():
        fit = sf.fit(table, "power:over=N", draws=251, seed=3, calibrated=False)
        compared = sf.compare(table, ["E + A*N**-alpha", f"{file}:Mine", "annealing"], seed=1)
        read = sf.read_runs(folder)
        return [
            fit.draws.to_numpy(),
            sf.backtest(table, "power:over=D", seed=2).table,
            compared.table,
            compared.refused,
            [compared.fits[name].predict(table)["loss"].to_numpy() for name in compared.table.index],
            read.curves,
            [note.text for note in read.notes],
        ]

    return asked, asked()


def equal(ours, other):
    """Whether two answers are the same to the bit."""
    if isinstance(ours, pd.DataFrame):
        pd.testing.assert_frame_equal(ours, other, check_exact=True)
    elif isinstance(ours, list) and ours and isinstance(ours[0], np.ndarray):
        assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(ours, other, strict=True))
    else:
        assert np.array_equal(ours, other) if isinstance(ours, np.ndarray) else ours == other


@pytest.mark.parametrize(("backend", "workers"), [("threading", 3), ("loky", 2)])
def test_any_backend_gives_the_same_answer(answers, backend, workers, monkeypatch):
    asked, alone = answers
    monkeypatch.setattr("scalefit.parallel.START", 0.0)  # the folder is small
    with joblib.parallel_config(backend, n_jobs=workers):
        for ours, other in zip(asked(), alone, strict=True):
            equal(ours, other)


@pytest.mark.cluster
def test_dask_gives_the_same_answer(answers):
    if importlib.util.find_spec("distributed") is None:
        pytest.skip("dask[distributed] is not installed")
    from distributed import Client

    asked, alone = answers
    with Client(n_workers=2, threads_per_worker=1, dashboard_address=None), joblib.parallel_config("dask"):
        for ours, other in zip(asked(), alone, strict=True):
            equal(ours, other)


@pytest.mark.cluster
def test_ray_gives_the_same_answer(answers):
    if importlib.util.find_spec("ray") is None:
        pytest.skip("ray is not installed")
    os.environ["RAY_AUTH_MODE"] = "disabled"
    import ray
    from ray.util.joblib import register_ray

    register_ray()
    asked, alone = answers
    ray.init(num_cpus=2, log_to_driver=False, logging_level="error")
    try:
        with joblib.parallel_config("ray", n_jobs=2):
            for ours, other in zip(asked(), alone, strict=True):
                equal(ours, other)
    finally:
        ray.shutdown()


def _where(_):
    return os.getpid()


def test_the_work_is_done_in_other_processes_where_that_was_asked_for():
    assert set(each(_where, range(3))) == {os.getpid()}
    with joblib.parallel_config("loky", n_jobs=2):
        assert os.getpid() not in each(_where, range(3))
        assert set(each(_where, range(3), workers=1)) == {os.getpid()}
        assert set(each(_where, range(3), seconds=1.0)) == {os.getpid()}  # less than a process takes to start
        assert os.getpid() not in each(_where, range(3), seconds=60.0)
    assert os.getpid() not in each(_where, range(3), workers=2)


def test_the_first_job_that_fails_says_why_in_the_words_of_its_reader(folder):
    def told(name):
        time.sleep(0.2 * (name == "a"))  # the second one fails before the first
        raise sf.InputError("no loss", where=name, todo="choose one: --map loss=val_loss")

    for workers in (1, 2):
        with pytest.raises(sf.InputError, match=r'^a: no loss; choose one: rename=\{"val_loss": "loss"\}$') as error:
            each(told, ["a", "b"], workers)
        assert (error.value.where, error.value.todo[:10]) == ("a", "choose one")


def test_the_option_workers_changes_nothing_but_the_time(table, tmp_path):
    table.to_csv(tmp_path / "runs.csv", index=False)
    answers = [
        CliRunner().invoke(main, ["backtest", str(tmp_path / "runs.csv"), "--law", "power:over=N", "--json", *more])
        for more in ([], ["--workers", "2"])
    ]
    assert [one.exit_code for one in answers] == [0, 0]
    assert answers[0].stdout == answers[1].stdout


def test_nothing_is_asked_of_joblib_that_was_never_loaded(monkeypatch):
    monkeypatch.delitem(sys.modules, "joblib")
    assert each(abs, [-1, 2]) == [1, 2]
    assert "joblib" not in sys.modules


def test_threads_are_taken_only_where_they_serve_as_well(monkeypatch):
    asked = []

    class Recorded:
        def __init__(self, n_jobs, prefer=None):
            asked.append((n_jobs, prefer))

        def __call__(self, calls):
            return [function(*given, **options) for function, given, options in calls]

    monkeypatch.setattr(joblib, "Parallel", Recorded)
    assert each(abs, [-1, 2], 2) == each(abs, [-1, 2], 2, threads=True) == [1, 2]
    assert asked == [(2, None), (2, None), (2, "threads")]  # the first starts the processes


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="signals of POSIX")
def test_ctrl_c_is_heard_by_the_first_process_alone():
    """A terminal sends it to every process: a worker would print a traceback among the answers."""
    from joblib.externals.loky import get_reusable_executor

    get_reusable_executor().shutdown(wait=True)  # one that another test started in another way
    deaf_to = partial(signal.pthread_sigmask, signal.SIG_BLOCK)  # of Python's own, so that workers load no test
    assert all(signal.SIGINT in deaf for deaf in each(deaf_to, [()] * 4, 2))
    assert signal.SIGINT not in deaf_to(())
