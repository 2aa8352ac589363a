"""TensorBoard's event files, written here byte by byte by its published layout, and folders of them."""

from __future__ import annotations

import struct
from functools import cache

import numpy as np
import pytest

from scalefit.errors import InputError
from scalefit.runs.formats.event_file import read_events
from scalefit.runs.reading.read import read_runs


@cache
def byte_of_castagnoli(byte: int) -> int:
    for _ in range(8):
        byte = (byte >> 1) ^ 0x82F63B78 if byte & 1 else byte >> 1
    return byte


def crc(data: bytes) -> bytes:
    rest = 0xFFFFFFFF
    for byte in data:
        rest = byte_of_castagnoli((rest ^ byte) & 255) ^ (rest >> 8)
    rest ^= 0xFFFFFFFF
    return struct.pack("<I", (((rest >> 15) | (rest << 17)) + 0xA282EAD8) & 0xFFFFFFFF)


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def field(number: int, body: bytes | str | int) -> bytes:
    if isinstance(body, int):
        return varint(number << 3) + varint(body)
    body = body.encode() if isinstance(body, str) else body
    return varint(number << 3 | 2) + varint(len(body)) + body


def fixed(number: int, body: bytes) -> bytes:
    return varint(number << 3 | {8: 1, 4: 5}[len(body)]) + body


def scalar(tag: str, value: float) -> bytes:
    return field(1, tag) + fixed(2, struct.pack("<f", value))


def tensor(tag: str, kind: int, stored: bytes, sizes: tuple[int, ...] = ()) -> bytes:
    shape = b"".join(field(2, field(1, size)) for size in sizes)
    return field(1, tag) + field(8, field(1, kind) + field(2, shape) + stored)


def event(step: int, time: float, *values: bytes) -> bytes:
    summary = b"".join(field(1, value) for value in values)
    return fixed(1, struct.pack("<d", time)) + field(2, step) + field(5, summary)


def recorded(message: bytes) -> bytes:
    length = struct.pack("<Q", len(message))
    return length + crc(length) + message + crc(message)


VERSION = fixed(1, struct.pack("<d", 1.0)) + field(3, "brain.Event:2")


def written(path, events):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(recorded(VERSION) + b"".join(map(recorded, events)))
    return path


def curve(tag, steps, start=0.0, value=lambda step: 5 - step / 100):
    return [event(step, start + step, scalar(tag, value(step))) for step in steps]


def name(number=1):
    return f"events.out.tfevents.{number}.host"


def told(runs, kind):
    return "; ".join(note.text for note in runs.notes if note.kind == kind)


def test_the_checksum_is_that_of_the_standard():
    """Of the nine digits it is e3069283, turned and moved as the layout says."""
    plain = 0xE3069283
    assert crc(b"123456789") == struct.pack("<I", (((plain >> 15) | (plain << 17)) + 0xA282EAD8) & 0xFFFFFFFF)


@pytest.mark.parametrize(
    ("stored", "right"),
    [
        (tensor("x", 1, fixed(5, struct.pack("<f", 2.5))), 2.5),
        (tensor("x", 1, field(5, struct.pack("<f", 2.5))), 2.5),
        (tensor("x", 1, field(4, struct.pack("<f", -0.75)), (1,)), -0.75),
        (tensor("x", 2, field(4, struct.pack("<d", 0.1))), 0.1),
        (tensor("x", 2, fixed(6, struct.pack("<d", 0.1))), 0.1),
        (tensor("x", 3, field(7, -7)), -7.0),
        (tensor("x", 9, field(10, 1 << 40)), float(1 << 40)),
        (tensor("x", 9, field(10, varint(-3))), -3.0),
        (tensor("x", 19, field(13, 0x3E00)), 1.5),
        (tensor("x", 19, field(4, np.float16(1.5).tobytes())), 1.5),
        (tensor("x", 1, b""), 0.0),
        (scalar("x", float("inf")), float("inf")),
    ],
)
def test_a_number_and_a_tensor_of_one_number_are_scalars(tmp_path, stored, right):
    found = read_events(written(tmp_path / name(), [event(3, 9.0, stored)]))
    assert found.scalars == {"x": [(3, 9.0, right)]}


def test_other_things_are_named_and_not_read(tmp_path):
    image, words = field(1, "sample") + field(4, b"png"), tensor("note", 7, field(8, "loss: 0.5"))
    histogram = field(1, "weights") + field(5, b"\x09" + b"\0" * 8)
    matrix = tensor("matrix", 1, field(4, b"\0" * 16), (2, 2))
    written(
        tmp_path / name(), [event(1, 1.0, scalar("loss", 2.0), image, words, histogram, matrix), *curve("loss", (2, 3))]
    )
    runs = read_runs(tmp_path)
    assert runs.curves["step"].tolist() == [1, 2, 3]
    assert "matrix, note, sample, weights" in told(runs, "dropped")


def test_a_step_below_zero_is_one(tmp_path):
    found = read_events(written(tmp_path / name(), [event(-1, 1.0, scalar("x", 1.0))]))
    assert found.scalars["x"][0][0] == -1


@pytest.mark.parametrize("cut", [1, 4, 9, 13, 20])
def test_a_torn_tail_ends_the_file_and_is_told(tmp_path, cut):
    path = written(tmp_path / name(), curve("loss", (1, 2, 3, 4)))
    path.write_bytes(path.read_bytes()[:-cut])
    runs = read_runs(tmp_path)
    assert runs.curves["step"].tolist() == [1, 2, 3]
    assert "not whole" in told(runs, "dropped")


@pytest.mark.parametrize("content", [b"x" * 9, b"step,loss\n1,2\n" * 9, recorded(b"\x0a\xff")[:10]])
def test_another_file_is_refused(tmp_path, content):
    path = tmp_path / name()
    path.write_bytes(content)
    with pytest.raises(InputError, match="not an event file"):
        read_runs(path)


@pytest.mark.parametrize("message", [b"\x2a\x05\x0a\x03\x0a\x01", field(5, field(1, field(1, 7))), field(5, 3)])
def test_a_damaged_message_is_refused_in_one_line(tmp_path, message):
    path = tmp_path / name()
    path.write_bytes(recorded(VERSION) + recorded(message))
    with pytest.raises(InputError, match="a damaged event file"):
        read_runs(path)


def test_a_nan_at_a_step_with_an_evaluation_is_kept(tmp_path):
    rows = [
        event(s, float(s), scalar("loss", float("nan") if s == 20 else 3.0), scalar("lr", 0.5)) for s in (10, 20, 30)
    ]
    written(
        tmp_path / name(), [*rows, event(20, 99.0, scalar("val/loss", 3.5)), event(40, 99.0, scalar("val/loss", 3.4))]
    )
    runs = read_runs(tmp_path)
    assert runs.curves["step"].tolist() == [10, 20, 30]
    np.testing.assert_array_equal(runs.curves["loss"], [3.0, np.nan, 3.0])
    assert runs.curves["val/loss"].dropna().tolist() == [3.5]


def test_a_second_file_with_the_same_tags_is_a_restart_one_with_others_is_not(tmp_path):
    written(
        tmp_path / name(1), [*curve("loss", range(10, 60, 10)), *curve("lr", range(10, 60, 10), value=lambda _: 0.5)]
    )
    written(tmp_path / name(2), curve("loss", range(40, 80, 10), start=1000.0, value=lambda _: 1.0))
    written(tmp_path / name(3), curve("acc", range(10, 80, 10), start=2000.0, value=lambda _: 0.25))
    runs = read_runs(tmp_path)
    assert runs.curves["loss"].tolist() == pytest.approx([4.9, 4.8, 4.7, 1, 1, 1, 1])
    assert runs.curves["acc"].tolist()[-4:] == [0.25] * 4
    assert "2 rows were logged again" in told(runs, "dropped")


def test_twelve_thousand_points_are_all_read(tmp_path):
    values = [scalar("loss", 3.0), scalar("lr", 0.25)]
    written(tmp_path / name(), [event(step, float(step), *values) for step in range(12_000)])
    assert len(read_runs(tmp_path).curves) == 12_000


def test_folders_of_add_scalars_and_of_settings_belong_to_the_run(tmp_path):
    session = field(3, field(1, field(1, "d_model") + field(2, fixed(2, struct.pack("<d", 96.0)))))
    session += field(3, field(1, field(1, "note") + field(2, field(3, "two"))))
    settings = field(1, "_hparams_/session_start_info") + field(9, field(1, field(1, "hparams") + field(2, session)))
    for run in ("one", "two"):
        at = tmp_path / "logs" / run
        written(at / name(1), curve("lr", (1, 2, 3), value=lambda _: 0.5))
        written(at / "eval_loss_train" / name(2), curve("eval/loss", (1, 2, 3)))
        written(at / "eval_loss_held out" / name(3), curve("eval/loss", (2,), value=lambda _: 7.0))
        written(at / "1.5" / name(4), [event(0, 1.0, settings)])
    runs = read_runs(tmp_path, rename={"eval/loss/train": "loss"})
    assert runs.names == ["one", "two"]
    assert runs.curves["eval/loss/held out"].dropna().tolist() == [7.0, 7.0]
    assert runs.table["d_model"].tolist() == [96.0, 96.0]
    assert runs.table["note"].tolist() == ["two", "two"]


def test_train_beside_validation_is_one_run_and_other_folders_are_runs(tmp_path):
    for split, level in (("train", 4.0), ("validation", 5.0)):
        written(tmp_path / "a" / split / name(), curve("epoch_loss", (0, 1, 2), value=lambda _, level=level: level))
    for run in ("b/train", "c/deeper/x"):
        written(tmp_path / run / name(), curve("loss", (1, 2)))
    runs = read_runs(tmp_path / "a", rename={"train/epoch_loss": "loss"})
    assert runs.names == ["a"]
    assert runs.curves["epoch"].tolist() == [0, 1, 2]
    assert runs.curves["validation/epoch_loss"].tolist() == [5.0] * 3
    (tmp_path / "a").rename(tmp_path.parent / "away")
    assert read_runs(tmp_path).names == ["train", "x"]


def test_tags_over_another_axis_are_left_out_and_named(tmp_path):
    points = [*curve("loss", (10, 20)), *curve("epoch_loss", (0, 1)), *curve("loss vs samples", (640, 1280))]
    written(tmp_path / name(), [*points, *curve("evaluation_loss_vs_iterations", (5, 9))])
    runs = read_runs(tmp_path)
    assert runs.curves["step"].tolist() == [10, 20]
    for tag in ("epoch_loss", "loss vs samples", "evaluation_loss_vs_iterations"):
        assert tag in told(runs, "dropped")


def test_a_folder_with_nothing_but_a_version_is_no_run(tmp_path):
    written(tmp_path / name(), [])
    written(tmp_path / "run" / name(), curve("loss", (1, 2)))
    assert read_runs(tmp_path).names == ["run"]
    with pytest.raises(InputError, match="no scalar was logged"):
        read_runs(tmp_path / name())
