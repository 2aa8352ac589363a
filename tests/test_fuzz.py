"""Mutated inputs at every door: an answer or one line, never a traceback, never a file, and never long.

By default 300 inputs; `SCALEFIT_FUZZ=10000 pytest tests/test_fuzz.py` makes more, `SCALEFIT_FUZZ_SEED=1` others. Each
input is made from one number, which a failure names: `SCALEFIT_FUZZ_CASE=readers:NUMBER` makes it again.
"""

from __future__ import annotations

import os
import random
import shlex
import time
import unicodedata
from pathlib import Path

import commands
import fuzz_samples as make
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

COUNT, SEED = int(os.environ.get("SCALEFIT_FUZZ", "300")), int(os.environ.get("SCALEFIT_FUZZ_SEED", "0"))
ONLY = os.environ.get("SCALEFIT_FUZZ_CASE", "").partition(":")
LONGEST = 20.0  #: seconds of processor time of one input
SHARES = {"readers": 0.6, "fits": 0.16, "folders": 0.03, "schedules": 0.12, "formulas": 0.09}
CASES = st.integers(0, 2**48 - 1)


def cases(door):
    """A share of the inputs, drawn by the seed; or the one that is asked for."""

    def decorate(test):
        if ONLY[0]:
            return pytest.mark.parametrize("case", [int(ONLY[2])] if ONLY[0] == door else [])(test)
        checked = list(HealthCheck)
        count = max(1, round(SHARES[door] * COUNT))
        drawn = settings(max_examples=count, database=None, phases=[Phase.generate], suppress_health_check=checked)
        return seed(SEED)(drawn(given(case=CASES)(test)))

    return decorate


def contents(folder):
    return {path: path.stat().st_mtime_ns if path.is_file() else 0 for path in folder.rglob("*")}


def check(command, folder, case):
    """Run a command on what lies in a folder: answered or refused in one line, nothing written, in time."""
    before, began = contents(folder), time.process_time()
    result = commands.run(f"scalefit {command}")
    took = time.process_time() - began
    what = f"case {case}: {command[:300]!r}"
    if result.exception and not isinstance(result.exception, SystemExit):
        raise AssertionError(what) from result.exception
    assert result.exit_code in (0, 1, 2), what
    assert took < LONGEST, f"{what} took {took:.0f} s"
    assert contents(folder) == before, what
    if result.exit_code == 2:
        assert result.stdout == "" and len(result.stderr.splitlines()) == 1, f"{what}: {result.output[:500]}"
    shown = result.output.replace("\n", "").replace("\t", "")
    odd = [sign for sign in shown if unicodedata.category(sign) in ("Cc", "Cs", "Zl", "Zp") or sign in "\u202e\ufeff"]
    assert not odd, f"{what}: {odd[:3]}"


def put(folder, files):
    """The files below a folder that is emptied first."""
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder / next(iter(files)) if len(files) == 1 else folder


@pytest.fixture(scope="module")
def there(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz")
    before = Path.cwd()
    os.chdir(folder)
    yield folder
    os.chdir(before)


@pytest.mark.parametrize("name", sorted(make.samples()))
def test_each_sample_is_valid(there, name):
    path = put(there, make.samples()[name])
    result = commands.run(f"scalefit inspect {shlex.quote(str(path.relative_to(there)))}")
    assert result.exit_code in (0, 1) and result.stdout, result.output


@cases("readers")
def test_readers(there, case):
    draw = random.Random(case)
    samples = make.samples()
    files = dict(samples[draw.choice(sorted(samples))])
    name = draw.choice(sorted(files))
    path = put(there, files | {name: make.mutated(files[name], draw)})
    check(f"inspect {shlex.quote(str(path.relative_to(there)))}", there, case)


@pytest.fixture(scope="module")
def fits():
    return make.saved_fits()


@cases("fits")
def test_saved_fits(there, fits, case):
    draw = random.Random(case)
    content = draw.choice(fits)
    text = make.json.dumps(content if draw.random() < 0.3 else make.mutated_json(content, draw)).encode()
    if draw.random() < 0.3 or text == make.json.dumps(content).encode():
        text = make.mutated(text, draw)
    put(there, {"fit.json": text})
    asked = "--schedule cosine:peak_lr=1e-3,steps=300" if "decay" in content["law"] else "--at N=1e9,D=1e10"
    asked = "--at N=1e9" if content["kind"] == "formula" else asked
    check(f"predict fit.json {asked}", there, case)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    pytest.importorskip("torch")
    from scalefit.proxy import plan_sweep, run_sweep

    out = tmp_path_factory.mktemp("sweep")
    base = {"d_model": 8, "d_head": 8, "n_layer": 1, "seq_len": 8, "batch": 32, "steps": 4, "warmup": 1,
            "eval_every": 2, "eval_batch": 64, "data": "zipf-markov",
            "data_options": {"tokens": 40000, "vocab": 8, "order": 1}}  # fmt: skip
    plan_sweep({"base": base, "grid": {"lr": [0.01, 0.02]}}, out)
    run_sweep(out)
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


@cases("folders")
def test_run_folders(there, sweep, case):
    from scalefit.errors import ScalefitError
    from scalefit.proxy.run_folder import RunFolder

    draw = random.Random(case)
    name = draw.choice([name for name in sorted(sweep) if not name.endswith("lock")])
    put(there, sweep | {name: make.mutated(sweep[name], draw)})
    for action in ("status", "collect", "collect --curves"):
        check(f"sweep {action} --out .", there, case)
    check("inspect .", there, case)
    if name.endswith("checkpoint.pt"):
        try:
            RunFolder(Path(name).parent).checkpoint(Path(name).parent.name)
        except ScalefitError as error:
            assert "\n" not in str(error)


@pytest.fixture(scope="module")
def annealing(fits):
    return make.json.dumps(fits[2]).encode()


@pytest.mark.filterwarnings("ignore:Generating overly large repr")  # of the saved fit, where an input fails
@cases("schedules")
def test_schedules(there, annealing, case):
    draw = random.Random(case)
    text, table = draw.choice(make.SCHEDULES), b"step,lr\n0,0\n100,1e-3\n900,1e-4\n"
    is_table = draw.random() < 0.3
    put(there, {"fit.json": annealing, "lr.csv": make.mutated(table, draw) if is_table else table})
    text = "lr.csv" if is_table else make.mutated_text(text, draw)
    check(f"predict fit.json --schedule={shlex.quote(text)}", there, case)


@cases("formulas")
def test_formulas(there, case):
    draw = random.Random(case)
    put(there, {"runs.csv": make.planted().to_csv().encode()})
    if draw.random() < 0.5:
        text = make.mutated_text(draw.choice(make.CONDITIONS), draw)
        check(f"inspect runs.csv --where={shlex.quote(text)}", there, case)
    else:
        text = make.mutated_text(draw.choice(make.FORMULAS), draw)
        check(f"fit runs.csv --starts 1 --draws 0 --law={shlex.quote(text)}", there, case)
