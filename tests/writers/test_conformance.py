"""Every format as its logger wrote it, value by value against what the logger was given; and from there to a fit."""

from __future__ import annotations

import gzip
import io
import json
import re
import tarfile
from functools import cache
from pathlib import Path

import pytest
from commands import ROOT, run
from conformance import FORMATS, STUDY, compared, reported_compared, trials_compared
from three_runs import ALPHA, L0, A, C

import scalefit as sf

WRITTEN = Path(__file__).with_name("written")
VERSIONS = json.loads((WRITTEN / "versions.json").read_text(encoding="utf-8"))
PLANTED = {"L0": L0, "A": A, "C": C, "alpha": ALPHA}
ROOTS = ("tmp", "root", "home", "work", "Users", "opt", "usr")  #: where absolute paths begin
PLACES = (*(f"/{name}/".encode() for name in ROOTS), b"site-packages", b"index-url")
MOST = 1_500_000  #: bytes of all archives
OF_STUDY = {"Optuna, trials": trials_compared, "Optuna, values on the way": reported_compared}
each_format = pytest.mark.parametrize("form", FORMATS, ids=[form.writer for form in FORMATS])


def archive(writer: str) -> tarfile.TarFile:
    return tarfile.open(fileobj=io.BytesIO(gzip.decompress((WRITTEN / f"{writer}.tar.gz").read_bytes())))


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    """A folder with what a logger wrote, made once: reading changes nothing in it."""

    @cache
    def unpack(writer: str) -> Path:
        place = tmp_path_factory.mktemp(writer)
        with archive(writer) as files:
            files.extractall(place, filter="data")
        return place

    return unpack


@pytest.fixture(scope="module")
def measured(unpacked):
    """Rows written, rows read and differences, by the name of a format."""

    @cache
    def measure(name: str) -> tuple[int, int, list[str]]:
        if name in OF_STUDY:
            return OF_STUDY[name](unpacked(STUDY.writer))
        form = next(form for form in FORMATS if form.name == name)
        return compared(unpacked(form.writer) / form.read, form)

    return measure


@pytest.mark.parametrize("name", [*(form.name for form in FORMATS), *OF_STUDY])
def test_every_row_step_loss_and_rate(measured, name):
    written, read, wrong = measured(name)
    assert not wrong
    assert read == written > 0


@each_format
def test_from_a_raw_folder_to_a_fit_in_one_command(unpacked, form):
    source = unpacked(form.writer) / form.read
    said = run(f"scalefit fit {source} {form.command} --draws 0 --starts 2 --json")
    answer = json.loads(said.stdout)
    assert answer["status"] == "converged"
    if form.axis == "step":
        assert said.exit_code == bool(answer.get("doubts"))  # a resumed run that is not joined
        found = {name: entry["value"] for name, entry in answer["parameters"].items()}
        # losses of four decimals, and for Lightning steps that count from 0
        assert found == pytest.approx(PLANTED, rel=0.005)


def test_from_a_study_to_a_fit_in_one_command(unpacked):
    said = run(f"scalefit fit {unpacked('optuna')} {STUDY.command} --draws 0 --starts 2 --json")
    found = {name: entry["value"] for name, entry in json.loads(said.stdout)["parameters"].items()}
    assert said.exit_code == 0
    assert found["L_inf"] == pytest.approx(1.9, abs=0.01)
    assert found["alpha"] == pytest.approx(0.25, abs=0.01)


@each_format
def test_settings_are_read_and_none_is_a_curve(unpacked, form):
    if not form.settings:
        pytest.skip("this logger keeps no settings")
    runs = sf.read_runs(unpacked(form.writer) / form.read, rename={form.loss: "loss"})
    assert runs.table["N"].tolist() == [1_500_000] * len(runs)
    assert runs.curves["lr"].nunique() > 100
    if form.writer != "accelerate":  # its settings have no learning rate
        assert "peak_lr" not in runs.table or runs.table["peak_lr"].tolist() == [0.002] * len(runs)


@pytest.mark.parametrize("form", [*FORMATS, STUDY], ids=[form.writer for form in (*FORMATS, STUDY)])
def test_the_archives_name_no_machine(form):
    """No absolute path, no address but that of every machine, no user."""
    allowed = {b"127.0.0.1", b"0.0.0.0"}
    with archive(form.writer) as files:
        for member in files.getmembers():
            assert member.isfile()
            assert (member.uid, member.gid, member.uname, member.gname, member.mtime) == (0, 0, "", "", 0)
            content = files.extractfile(member).read()
            for place in PLACES:
                assert place not in content, f"{member.name} holds {place!r}"
            assert set(re.findall(rb"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.])", content)) <= allowed


def test_the_archives_are_small_and_each_says_who_wrote_it():
    names = {form.writer for form in (*FORMATS, STUDY)}
    assert set(VERSIONS) == names == {path.name.removesuffix(".tar.gz") for path in WRITTEN.glob("*.tar.gz")}
    assert sum(path.stat().st_size for path in WRITTEN.iterdir()) < MOST


def test_the_tables_of_the_page_are_what_was_measured(measured):
    rows = ["| format | written by | rows written | rows read | exact |", "|---|---|---|---|---|"]
    commands = ["| format | `scalefit fit FOLDER` and |", "|---|---|"]
    writers = {form.name: form.writer for form in FORMATS} | dict.fromkeys(OF_STUDY, STUDY.writer)
    for name, writer in writers.items():
        written, read, wrong = measured(name)
        exact = "no" if wrong or read != written else "yes"
        rows.append(f"| {name} | {VERSIONS[writer]} | {written} | {read} | {exact} |")
    commands += [f"| {form.name} | `{form.command}` |" for form in (*FORMATS, STUDY)]
    page = (ROOT / "docs" / "logs.md").read_text(encoding="utf-8")
    for table in ("\n".join(rows), "\n".join(commands)):
        assert table in page, f"docs/logs.md lacks this table:\n{table}"
