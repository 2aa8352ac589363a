"""W&B's own files: one that wandb 0.31 wrote, and ones written here, byte by byte."""

import gzip
import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

import scalefit as sf
from scalefit.runs.formats.wandb_offline import read, sources

WRITTEN = Path(__file__).with_name("written") / "wandb-offline.wandb.gz"


def varint(value):
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def field(number, body):
    if isinstance(body, int):
        return varint(number << 3) + varint(body)
    body = body.encode() if isinstance(body, str) else body
    return varint(number << 3 | 2) + varint(len(body)) + body


def items(entries):
    """A history or a configuration: one item a key; a tuple is a nested key."""
    made = b""
    for key, value in entries.items():
        name = b"".join(field(2, part) for part in key) if isinstance(key, tuple) else field(1, key)
        made += field(1, name + field(16, json.dumps(value)))
    return made


def written(records, header=b":W&B\x01\xe1\x01"):
    """The log of some records, in blocks of 32 KiB."""
    out = bytearray(header)
    for record in records:
        first = True
        while True:
            left = 32768 - len(out) % 32768
            if left < 7:
                out += b"\0" * left
                left = 32768
            piece, record = record[: left - 7], record[left - 7 :]
            kind = (1 if not record else 2) if first else (4 if not record else 3)
            out += struct.pack("<IHB", zlib.crc32(piece, zlib.crc32(bytes([kind]))), len(piece), kind) + piece
            first = False
            if not record:
                break
    return bytes(out)


def run(identity="ab12", name="first", config=None):
    return field(1, 1) + field(17, field(1, identity) + field(8, name) + field(4, items(config or {})))


def row(**entries):
    return field(2, items(entries))


def test_a_file_that_wandb_wrote(tmp_path):
    """400 steps, loss 6 - 3 step/2000 every 10, a NaN at 200 beside an evaluation, evaluation every 100."""
    (tmp_path / "run-yrgs6jzh.wandb").write_bytes(gzip.decompress(WRITTEN.read_bytes()))
    runs = sf.read_runs(tmp_path, rename={"train/loss": "loss"})
    curves = runs.curves
    assert runs.names == ["small one (yrgs6jzh)"]
    assert curves["step"].tolist() == list(range(10, 401, 10))
    steps = curves["step"].to_numpy()
    np.testing.assert_allclose(curves["loss"], np.where(steps == 200, np.nan, 6 - 3 * steps / 2000))
    np.testing.assert_allclose(curves["lr"], 1e-3 * (1 - steps / 2000))
    late = curves[curves["val/loss"].notna()]
    assert late["step"].tolist() == [100, 200, 300, 400]
    assert runs.table["N"].item() == 1.5e6
    assert runs.table["d_model"].item() == 128


def test_records_that_cross_blocks_and_nested_keys(tmp_path):
    long = "x" * 70_000
    records = [run(config={"notes": long, ("model", "d_model"): 96})]
    records += [row(step=i, loss=3 - i / 1000, **{f"k{j}": j for j in range(40)}) for i in range(300)]
    (tmp_path / "run-ab12.wandb").write_bytes(written(records))
    table = read(tmp_path / "run-ab12.wandb")
    assert len(table.frame) == 300
    assert table.frame["loss"].iloc[-1] == pytest.approx(3 - 299 / 1000)
    assert table.scalars == {"notes": long, "model/d_model": 96}


@pytest.mark.parametrize("cut", [1, 5, 40])
def test_a_torn_tail_ends_the_file_and_is_told(tmp_path, cut):
    whole = written([run(), *(row(step=i, loss=3.0 - i) for i in range(3))])
    place = tmp_path / "run-ab12.wandb"
    place.write_bytes(whole[:-cut])
    table = read(place)
    assert len(table.frame) in (1, 2)
    assert any("not whole" in remark.text for remark in table.remarks)
    place.write_bytes(whole)
    assert len(read(place).frame) == 3
    assert not any("not whole" in remark.text for remark in read(place).remarks)


def test_a_damaged_chunk_ends_the_file(tmp_path):
    whole = bytearray(written([run(), *(row(step=i, loss=3.0 - i) for i in range(3))]))
    whole[-4] ^= 1
    (tmp_path / "run-ab12.wandb").write_bytes(whole)
    table = read(tmp_path / "run-ab12.wandb")
    assert len(table.frame) == 2
    assert any("not whole" in remark.text for remark in table.remarks)


def test_a_resumed_run_is_one_run(tmp_path):
    for part, steps in (("offline-run-1-ab12", range(0, 60, 10)), ("offline-run-2-ab12", range(60, 100, 10))):
        folder = tmp_path / "wandb" / part
        folder.mkdir(parents=True)
        records = [run(), *(row(step=s, loss=3 - s / 100, lr=1e-3) for s in steps)]
        (folder / "run-ab12.wandb").write_bytes(written(records))
    assert len(sources(tmp_path)) == len(sources(tmp_path / "wandb")) == 2
    runs = sf.read_runs(tmp_path)
    assert runs.names == ["first (ab12)"]
    assert runs.curves["step"].tolist() == list(range(0, 100, 10))


def test_runs_of_one_display_name_stay_apart(tmp_path):
    for number, identity in enumerate(("ab12", "cd34")):
        folder = tmp_path / f"offline-run-{number}-{identity}"
        folder.mkdir()
        records = [run(identity), *(row(step=s + 50 * number, loss=3 - s / 100) for s in range(0, 50, 10))]
        (folder / f"run-{identity}.wandb").write_bytes(written(records))
    assert sf.read_runs(tmp_path).names == ["first (ab12)", "first (cd34)"]


def test_configuration_changes_later_and_internals_are_left_out(tmp_path):
    records = [run(config={"_wandb": {"x": 1}, "lr": 0.1}), field(5, items({"d_model": 64})), row(step=1, loss=2.0)]
    (tmp_path / "run-ab12.wandb").write_bytes(written(records))
    assert read(tmp_path / "run-ab12.wandb").scalars == {"lr": 0.1, "d_model": 64}


def test_the_counter_of_calls_is_no_second_step(tmp_path):
    rows = [row(_step=i, _timestamp=1.0, _runtime=2.0, global_step=10 * i, loss=3.0 - i) for i in range(3)]
    (tmp_path / "run-ab12.wandb").write_bytes(written([run(), *rows]))
    frame = read(tmp_path / "run-ab12.wandb").frame
    assert set(frame.columns) == {"global_step", "loss", "run"}
    (tmp_path / "run-ab12.wandb").write_bytes(written([run(), *(row(_step=i, loss=3.0 - i) for i in range(3))]))
    assert "_step" in read(tmp_path / "run-ab12.wandb").frame


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"step,loss\n1,2\n", "not a run file of W&B"),
        (written([run()]), "no history"),
        (written([b"\xff" * 9]), "damaged"),
        (written([field(2, field(1, field(1, "loss") + field(16, "{")))]), "damaged"),
    ],
)
def test_what_is_no_run_is_refused_in_one_line(tmp_path, content, said):
    (tmp_path / "run-ab12.wandb").write_bytes(content)
    with pytest.raises(sf.InputError, match=said):
        sf.read_runs(tmp_path / "run-ab12.wandb")
