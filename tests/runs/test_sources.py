"""Standard input and patterns of file names give the same runs as the files."""

import io
import json
import sys

import numpy as np
import pytest
from click.testing import CliRunner

import scalefit as sf
from scalefit.cli import main

STEPS = np.arange(0, 300, 30)
LOSS = 3.5 - STEPS / 200


class Piped:
    """Standard input with these bytes."""

    def __init__(self, data):
        self.buffer = io.BytesIO(data)


def csv(scale=1.0, mark=","):
    rows = [mark.join(map(str, row)) for row in zip(STEPS, scale * LOSS, strict=True)]
    return "\n".join([mark.join(["step", "loss"]), *rows]) + "\n"


SHAPES = {
    "csv": csv(),
    "semicolons": csv(mark=";"),
    "tabs": csv(mark="\t"),
    "json lines": "".join(json.dumps({"step": int(s), "loss": v}) + "\n" for s, v in zip(STEPS, LOSS, strict=True)),
    "json": json.dumps([{"step": int(s), "loss": v} for s, v in zip(STEPS, LOSS, strict=True)], indent=1),
    "json columns": json.dumps({"step": STEPS.tolist(), "loss": LOSS.tolist()}, indent=1),
    "white space": "# step  loss\n" + "".join(f" {s}  {v}\n" for s, v in zip(STEPS, LOSS, strict=True)),
    "log": "hello, you\n" + "".join(f"step {s} | loss {v}, ok\n" for s, v in zip(STEPS, LOSS, strict=True)),
    "log with commas": "".join(f"10:00:00,5 step {s} loss {v}\n" for s, v in zip(STEPS, LOSS, strict=True)),
    "markdown": "|step|loss|\n|--|--|\n" + "".join(f"|{s}|{v}|\n" for s, v in zip(STEPS, LOSS, strict=True)),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_standard_input_is_read_by_its_content(monkeypatch, shape):
    monkeypatch.setattr(sys, "stdin", Piped(SHAPES[shape].encode()))
    runs = sf.read_runs("-")
    assert runs.names == ["stdin"]
    assert runs.curves["step"].tolist() == STEPS.tolist()
    np.testing.assert_allclose(runs.curves["loss"], LOSS)
    assert [origin.path for origin in runs.origin] == ["standard input"]


def test_a_wide_table_and_a_compressed_one_may_be_piped(monkeypatch):
    import gzip

    wide = "step,small,large\n" + "".join(f"{s},{v},{v - 0.5}\n" for s, v in zip(STEPS, LOSS, strict=True))
    monkeypatch.setattr(sys, "stdin", Piped(wide.encode()))
    assert sf.read_runs("-").names == ["small", "large"]
    monkeypatch.setattr(sys, "stdin", Piped(gzip.compress(SHAPES["log"].encode())))
    assert len(sf.read_runs("-").curves) == len(STEPS)


@pytest.mark.parametrize(
    ("data", "words"), [(b"", "it is empty"), (b"a,b\n\n", "not a table"), (b"text\nmore\n", "--pattern")]
)
def test_what_cannot_be_read_is_named_standard_input(data, words):
    result = CliRunner().invoke(main, ["inspect", "-"], input=data)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: standard input")
    assert words in result.stderr
    assert "/tmp" not in result.stderr


def test_a_pattern_applies_to_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", Piped(b"u 1 g 3\nu 2 g 2.5\n"))
    assert sf.read_runs("-", pattern="u {step} g {loss}").curves["loss"].tolist() == [3, 2.5]


def test_a_quoted_pattern_of_file_names(tmp_path):
    for name in ("b.csv", "a.csv", "sub/c.csv", "x.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(csv(1.0 + ord(name[-5]) / 100))
    assert sf.read_runs(f"{tmp_path}/*.csv").names == ["a", "b"]
    assert sf.read_runs(f"{tmp_path}/**/*.csv").names == ["a", "b", "c"]
    assert sf.read_runs([f"{tmp_path}/[ab].csv", f"{tmp_path}/sub/c.csv"]).names == ["a", "b", "c"]
    with pytest.raises(sf.InputError, match="no file has such a name"):
        sf.read_runs(f"{tmp_path}/*.json")


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tmp_path):
    (tmp_path / "run[1].csv").write_text(csv())
    assert sf.read_runs(tmp_path / "run[1].csv").names == ["run[1]"]
