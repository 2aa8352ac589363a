"""One small valid sample of each kind of input, and mutations of it drawn by a seed; for `test_fuzz.py`."""

# ruff: noqa: E501 (samples as they are)

from __future__ import annotations

import bz2
import functools
import gzip
import io
import json
import lzma
import random
import sqlite3
import struct
import sys
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import commands
import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parent / "runs" / "formats"))
import trainers

Files = dict[str, bytes]  # by path below the folder that is read
STEPS = range(0, 200, 20)
ROWS = [{"step": s, "lr": 0.01, "loss": 2 + (s + 20) ** -0.5, "val_loss": 2.1 + (s + 20) ** -0.5} for s in STEPS]
RUNS = [{"run": f"r{n}", "N": 10.0**n, "D": 20 * 10.0**n, "lr": 0.01, "seed": n, "loss": 8 / n} for n in (6, 7, 8, 9)]
LOGS = (
    "megatron",
    "neox",
    "nanotron",
    "torchtune",
    "fairseq",
    "litgpt",
    "composer",
    "ms_swift",
    "llama_factory",
    "hugging_face",
    "torchtitan",
    "nanogpt",
    "plain",
    "deepmd",
)
#: words and numbers that belong nowhere
TOKENS = [
    *(
        "",
        "nan",
        "NaN",
        "inf",
        "-inf",
        "Infinity",
        "null",
        "None",
        "true",
        "-1",
        "0",
        "1e300",
        "1e308",
        "1e400",
        "1e-320",
    ),
    *(
        "9" * 400,
        "9" * 5000,
        "-9223372036854775809",
        "1.3B",
        "12%",
        "3/4",
        "2024-01-01",
        "12:30:00",
        "0x10",
        "1_000",
        "1,5",
    ),
    *(
        "\x00",
        "\x1b[2J",
        "\u202e",
        "\x85",
        "\u2028",
        "\ufeff",
        "é",
        "\\",
        "\\n",
        '"',
        "'",
        "`",
        "$x_{",
        "{",
        "}",
        "[",
        "]",
    ),
    *(
        "[[[[",
        "{" * 2000,
        "[" * 100_000,
        ",",
        ",,,",
        ";",
        "\t",
        "|",
        "|--|",
        "#",
        ":",
        "=",
        "\n",
        "\r",
        "\n\n",
        "loss",
        "step",
    ),
    *(
        "run",
        "lr",
        "N",
        "D",
        "epoch",
        "%s",
        "{0}",
        "../..",
        "/etc/passwd",
        "!!python/object:os.system",
        "&a [*a]",
        "a" * 3000,
    ),
]


def table(rows: list[dict[str, Any]], sep: str = ",") -> bytes:
    return pd.DataFrame(rows).to_csv(index=False, sep=sep).encode()


def lines(records: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(record) + "\n" for record in records).encode()


def data_base(script: str, rows: dict[str, list[tuple[Any, ...]]]) -> bytes:
    """The bytes of an SQLite data base."""
    with tempfile.TemporaryDirectory() as folder:
        base = sqlite3.connect(Path(folder) / "x.db")
        base.executescript(script)
        for name, values in rows.items():
            base.executemany(f"INSERT INTO {name} VALUES ({', '.join('?' * len(values[0]))})", values)
        base.commit()
        base.close()
        return (Path(folder) / "x.db").read_bytes()


def mlflow() -> bytes:
    script = "CREATE TABLE runs (run_uuid, name, lifecycle_stage); CREATE TABLE params (run_uuid, key, value);"
    script += "CREATE TABLE metrics (run_uuid, key, value, timestamp, step, is_nan);"
    points = [("a", "loss", row["loss"], at, row["step"], 0) for at, row in enumerate(ROWS)]
    return data_base(script, {"runs": [("a", "first", "active")], "params": [("a", "N", "1e6")], "metrics": points})


def trackio() -> bytes:
    script = "CREATE TABLE metrics (id INTEGER PRIMARY KEY, run_id, run_name, step, metrics);"
    script += "CREATE TABLE configs (run_id, config); CREATE TABLE system_metrics (id)"
    points = [(at, "a", "first", row["step"], json.dumps(row)) for at, row in enumerate(ROWS)]
    return data_base(script, {"metrics": points, "configs": [("a", '{"opt": {"lr": 0.1}}')]})


def optuna() -> bytes:
    script = "CREATE TABLE studies (study_id, study_name); CREATE TABLE trials (trial_id, study_id, number, state);"
    script += "CREATE TABLE trial_params (param_id, trial_id, param_name, param_value, distribution_json);"
    script += "CREATE TABLE trial_values (trial_id, objective, value, value_type);"
    script += "CREATE TABLE trial_user_attributes (trial_id, key, value_json);"
    script += "CREATE TABLE trial_intermediate_values (trial_id, step, intermediate_value, intermediate_value_type)"
    kind = '{"name": "FloatDistribution", "attributes": {"low": 0, "high": 1}}'
    return data_base(script, {
        "studies": [(1, "s")], "trials": [(n, 1, n, "COMPLETE") for n in (1, 2, 3)],
        "trial_params": [(n, n, "lr", n / 10, kind) for n in (1, 2, 3)],
        "trial_values": [(n, 0, 3.0 / n, "FINITE") for n in (1, 2, 3)], "trial_user_attributes": [(1, "N", "1e6")],
    })  # fmt: skip


def varint(number: int) -> bytes:
    return bytes([number]) if number < 128 else bytes([number & 127 | 128]) + varint(number >> 7)


def block(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def masked(data: bytes) -> bytes:
    """The checksum of TensorBoard's records (CRC-32C, turned)."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def events() -> bytes:
    found = b""
    for row in ROWS:
        value = block(1, b"loss") + b"\x15" + struct.pack("<f", row["loss"])
        message = (
            b"\x09" + struct.pack("<d", 1.7e9 + row["step"]) + b"\x10" + varint(row["step"]) + block(5, block(1, value))
        )
        length = struct.pack("<Q", len(message))
        found += length + masked(length) + message + masked(message)
    return found


def wandb() -> bytes:
    found = b":W&B\x00\x00\x00"
    for row in ROWS:
        items = b"".join(
            block(1, block(1, key.encode()) + block(16, json.dumps(value).encode())) for key, value in row.items()
        )
        record = block(2, items)
        found += struct.pack("<IHB", zlib.crc32(record, zlib.crc32(b"\x01")), len(record), 1) + record
    return found


def parquet() -> bytes:
    buffer = io.BytesIO()
    pd.DataFrame(ROWS).assign(run="a").to_parquet(buffer)
    return buffer.getvalue()


def state() -> bytes:
    history = [{"loss": row["loss"], "learning_rate": row["lr"], "step": row["step"], "epoch": 0.1} for row in ROWS]
    return json.dumps({"log_history": [*history, {"train_loss": 2.0, "step": 200}], "max_steps": 200}).encode()


@functools.cache
def samples() -> dict[str, Files]:
    """Every sample by its name: the files of a folder; one file alone is read as a file."""
    plain, config = table(ROWS), b"optimizer:\n  lr: 0.01\nmodel:\n  n_params: 1000000\n"
    markdown = "| step | loss |\n|---|---|\n" + "".join(f"| {row['step']} | {row['loss']} |\n" for row in ROWS)
    spaced = "# step loss lr\n" + "".join(f"{row['step']} {row['loss']} {row['lr']}\n" for row in ROWS)
    wide = "step," + ",".join(f"run{n} - train/loss" for n in range(3)) + "\n"
    wide += "".join(f"{row['step']},{row['loss']},{row['loss']},{row['loss']}\n" for row in ROWS)
    long = "run,step,metric,value\n" + "".join(f"a,{row['step']},loss,{row['loss']}\n" for row in ROWS)
    matrix = "lr \\ wd,0,0.1,0.2\n" + "".join(f"{rate},3,2.9,3.1\n" for rate in (0.001, 0.01, 0.1))
    found: dict[str, Files] = {
        "csv": {"log.csv": plain},
        "tsv": {"log.tsv": table(ROWS, "\t")},
        "semicolons": {"log.csv": table(ROWS, ";").replace(b".", b",")},
        "results": {"runs.csv": table(RUNS)},
        "gzip": {"log.csv.gz": gzip.compress(plain, mtime=0)},
        "bz2": {"log.csv.bz2": bz2.compress(plain)},
        "xz": {"log.csv.xz": lzma.compress(plain)},
        "utf-16": {"log.csv": plain.decode().encode("utf-16")},
        "jsonl": {"log.jsonl": lines(ROWS), "run.json": b'{"N": 1000000, "config": {"seed": 3}}'},
        "json of rows": {"log.json": json.dumps(ROWS).encode()},
        "json of columns": {"log.json": json.dumps(pd.DataFrame(ROWS).to_dict("list")).encode()},
        "summaries": {f"r{n}/wandb-summary.json": json.dumps(run).encode() for n, run in enumerate(RUNS)},
        "trainer state": {"trainer_state.json": state()},
        "markdown": {"page.md": markdown.encode()},
        "white space": {"log.dat": spaced.encode()},
        "wide": {"log.csv": wide.encode()},
        "long": {"log.csv": long.encode()},
        "matrix": {"sweep.csv": matrix.encode()},
        "mlflow": {"mlflow.db": mlflow()},
        "mlruns": {
            "mlruns/0/a/meta.yaml": b"run_name: a\nlifecycle_stage: active\n", "mlruns/0/a/params/lr": b"0.1",
            "mlruns/0/a/metrics/loss": b"".join(b"%d %f %d\n" % (at, row["loss"], row["step"]) for at, row in enumerate(ROWS)),
        },
        "trackio": {"project.db": trackio()},
        "optuna": {"study.db": optuna()},
        "wandb": {"run-abc.wandb": wandb()},
        "events": {"events.out.tfevents.1.host": events()},
        "lightning": {"version_0/metrics.csv": table([{"epoch": 0, **row} for row in ROWS]), "version_0/hparams.yaml": config},
        "hydra": {f"{n}/{name}": text for n in (0, 1) for name, text in
                  {"log.csv": plain, ".hydra/config.yaml": config, ".hydra/overrides.yaml": b"- lr=0.1\n"}.items()},
        "ray": {f"trial_{n}/{name}": text for n in (0, 1) for name, text in
                {"result.json": lines([{"training_iteration": row["step"], **row} for row in ROWS]),
                 "params.json": b'{"lr": 0.1}'}.items()},
        "dvclive": {"dvclive/plots/metrics/loss.tsv": table([{"step": row["step"], "loss": row["loss"]} for row in ROWS], "\t"),
                    "dvclive/params.yaml": config, "dvclive/metrics.json": b'{"loss": 2.0}'},
        "tensorboard csv": {"run-a-tag-loss.csv": "\n".join([*trainers.tensorboard_csv(), ""]).encode()},
        "keras": {"history.csv": "\n".join([*trainers.keras_csv(), ""]).encode()},
        "yolo": {"results.csv": "\n".join([*trainers.yolo(), ""]).encode()},
        "printed objects": {"log.txt": "".join(f"{row}\n" for row in ROWS).encode()},
        "history": {"history.json": json.dumps({"losses": [3.0, 2.5, 2.2], "val_loss": [3.1, 2.6, 2.4]}).encode()},
        "frame by columns": {"log.json": pd.DataFrame(ROWS).to_json().encode()},
        "frame apart": {"log.json": pd.DataFrame(ROWS).to_json(orient="split").encode()},
        "runs with histories": {"runs.json": json.dumps([{"name": n, "config": {"N": 1e6}, "log": ROWS} for n in "ab"]).encode()},
        "side by side": {"log.csv": pd.DataFrame({"step": STEPS, **{f"{n}/{m}": 2.5 for n in "ab" for m in ("loss", "lr")}}).to_csv(index=False).encode()},
        "named matrix": {"sweep.csv": b"lr,d=64,d=128,d=256\n1e-3,3,2.9,2.8\n1e-2,2.9,2.7,2.9\n"},
        "settings beside": {"log.csv": plain, "config.json": b'{"n_params": 1000000, "optimizer": {"lr": 0.01}}'},
        "titles": {"runs.csv": b"Sweep of March,,\nall on A100,,\nparams (M),compute (PF-days),loss\n1,2.5,3.1\n3,9,2.9\n9,30,2.8\n"},
        "drawn": {"t.txt": b"+--------+------+\n| params | loss |\n+--------+------+\n| 1M     | 3.1  |\n| 3M     | 2.9  |\n+--------+------+\n"},
        "printed frame": {"t.txt": b"    step  loss      lr\n0     10   3.0  0.0010\n1     20   2.5  0.0010\n2     30   2.2  0.0005\n"},
        "decimal commas": {"log.csv": b"step;loss;lr\n1.000;3,5;0,001\n2.000;3,25;0,001\n3.000;3,125;0,0005\n"},
        "parts of epochs": {"log.txt": b"".join(b"Train Epoch: %d [%d/60 (0%%)]\tLoss: %.4f\n" % (e, p, 3 - e / 4 - p / 400) for e in (1, 2, 3) for p in (0, 20, 40))},
        "latex": {"t.tex": b"\\begin{tabular}{lrr}\nModel & Params & Loss \\\\ \\hline\n"
                  b"\\multirow{2}{*}{S} & 14M & $3.9 \\pm 0.1$ \\\\\n & 60M & \\textbf{3.4} \\\\\n\\end{tabular}\n"},
        "html": {"t.html": b"<table><tr><th rowspan=2>N</th><th colspan=2>loss</th></tr><tr><td>a</td><td>b</td></tr>"
                 b"<tr><td>14M</td><td>3.9</td><td>3.8</td></tr><tr><td>60M</td><td>3.4</td><td>3.3</td></tr></table>"},
        "ranks": {"log.csv": table([{"rank": rank, **row} for row in ROWS for rank in (0, 1)])},
        "lines of ranks": {"log.txt": b"".join(b"[rank%d]: step %d loss %.3f\n" % (r, s, 3 - s / 99) for s in range(9) for r in (0, 1))},
        "horizons": {"runs.csv": b"N,loss@1B,loss@2B,loss@5B\n14M,3.9,3.7,3.5\n60M,3.5,3.3,3.1\n160M,3.2,3.0,\n"},
        "merged cells": {"runs.csv": b"width,lr,loss\n128,0.001,3.4\n,0.002,3.3\n256,0.001,3.2\n,0.002,3.1\n"},
        "units below": {"runs.csv": b"model,N,D,loss\n,(M),(B),(nats)\na,14,0.3,3.9\nb,60,1.2,3.4\nc,160,3.2,3.0\n"},
        "logarithms": {"runs.csv": b"log10_N,ln(tokens),error (%)\n6,18.4,40\n7,20.7,30\n8,23,22\n"},
        "an export": {"export.csv": b"run_id,attribute_path,step,float_value\n" + b"".join(b"r%d,train/%s,%d,%f\n" % (r, n, s, 3 - s / 99) for r in (1, 2) for n in (b"loss", b"lr") for s in range(9))},
        "bars": {"log.txt": b"".join(b"%d%%|#| %d/9 [00:01<00:02, 1it/s]\n{'loss': %.2f, 'epoch': %.2f}\n" % (s, s, 3 - s / 99, s / 9) for s in range(1, 10))},
        "keras console": {"log.txt": b"".join(b"Epoch %d/9\n9/9 [===] - 5s - loss: %.4f - val_loss: 3.1\n" % (e, 3 - e / 9) for e in range(1, 10))},
        "boosting": {"log.txt": b"".join(b"[%d]\ttrain-mlogloss:%.4f\teval-mlogloss:%.4f\n" % (s, 3 - s / 9, 3 - s / 10) for s in range(9))},
        "notebook": {"log.txt": b" [9/9 00:42, Epoch 1/1]\nStep\tTraining Loss\n" + b"".join(b"%d\t%.4f\n" % (s, 3 - s / 9) for s in range(9))},
        "clearml": {"log.json": json.dumps({"loss": {n: {"name": n, "x": [1, 2, 3], "y": [3, 2.5, 2.2]} for n in ("a", "b")}}).encode()},
        "chart": {"log.json": json.dumps({"data": [{"name": "loss", "x": [1, 2, 3], "y": [3, 2.5, 2.2]}], "layout": {"xaxis": {"title": "step"}}}).encode()},
        "points of a tag": {"run-a-tag-loss.json": json.dumps([[1.7e9, s, 3 - s / 9] for s in range(9)]).encode()},
        "latin-1": {"log.csv": "run,step,loss\nLäufer,1,3.5\nLäufer,2,3.25\nLäufer,3,3\n".encode("latin-1")},
        "utf-16 without a mark": {"log.csv": plain.decode().encode("utf-16-le")},
        "units in words": {"runs.csv": b"million_params,data (B tokens),loss@1x,loss@10x\n14,0.3,3.9,3.7\n60,1.2,3.4,3.2\n160,3.2,3.0,2.9\n"},
        "plain lines": {"log.txt": "".join(f"step {r['step']}: loss {r['loss']:.4f}, lr 0.01\n" for r in ROWS).encode()},
    }  # fmt: skip
    for name in LOGS:
        text = "\n".join([*[*getattr(trainers, name)()][:40], ""])
        found[f"{name} log"] = {"log.txt": text.encode()}
    if _has("pyarrow"):
        found["parquet"] = {"log.parquet": parquet()}
    return found


def _has(module: str) -> bool:
    from importlib.util import find_spec

    return find_spec(module) is not None


def mutated(data: bytes, draw: random.Random) -> bytes:
    """The bytes with one to four mutations: of bytes, of words and cells, of lines."""
    for _ in range(draw.choice((1, 1, 2, 4))):
        data = draw.choice(MUTATIONS)(data, draw)
    return data


def _flip(data: bytes, draw: random.Random) -> bytes:
    if not data:
        return data
    at = draw.randrange(len(data))
    return data[:at] + bytes([draw.randrange(256)]) + data[at + 1 :]


def _cut(data: bytes, draw: random.Random) -> bytes:
    return data[: draw.randrange(len(data) + 1)]


def _without(data: bytes, draw: random.Random) -> bytes:
    first = draw.randrange(len(data) + 1)
    return data[:first] + data[first + draw.choice((1, 2, 8, 100)) :]


def _twice(data: bytes, draw: random.Random) -> bytes:
    first = draw.randrange(len(data) + 1)
    return data[: first + draw.choice((1, 8, 100))] + data[first:]


def _insert(data: bytes, draw: random.Random) -> bytes:
    at = draw.randrange(len(data) + 1)
    return data[:at] + draw.choice(TOKENS).encode() + data[at:]


def _word(data: bytes, draw: random.Random) -> bytes:
    """One cell, word or number by something else."""
    import re

    words = list(re.finditer(rb"[^\s,;:|{}\[\]\"']+", data[:20_000]))
    if not words:
        return data
    word = draw.choice(words)
    return data[: word.start()] + draw.choice(TOKENS).encode() + data[word.end() :]


def _lines(data: bytes, draw: random.Random) -> bytes:
    """Lines in another order, left out, repeated, or of another length."""
    rows = data.splitlines(keepends=True)
    if len(rows) < 2:
        return data
    one, other = draw.randrange(len(rows)), draw.randrange(len(rows))
    match draw.randrange(5):
        case 0:
            rows[one], rows[other] = rows[other], rows[one]
        case 1:
            del rows[one]
        case 2:
            rows.insert(other, rows[one])
        case 3:
            draw.shuffle(rows)
        case _:
            rows[one] = rows[one].rstrip(b"\n") + b"," + draw.choice(TOKENS).encode() + b"\n"
    return b"".join(rows)


MUTATIONS: list[Callable[[bytes, random.Random], bytes]] = [
    _flip,
    _cut,
    _without,
    _twice,
    _insert,
    _word,
    _word,
    _lines,
]


def mutated_json(content: Any, draw: random.Random) -> Any:
    """A copy of a JSON value with some of its values, keys or lists changed."""
    content = json.loads(json.dumps(content))
    for _ in range(draw.choice((1, 1, 2, 3))):
        holder, key = _place(content, draw)
        if holder is None:
            return content
        match draw.randrange(4):
            case 0:
                holder[key] = _value(draw)
            case 1 if isinstance(holder, dict):
                del holder[key]
            case 1 if isinstance(holder, list):
                holder.pop(key)
            case 2 if isinstance(holder, dict):
                holder[draw.choice(TOKENS[:60])] = holder[key]
            case _:
                holder[key] = _value(draw) if draw.random() < 0.5 else [holder[key]]
    return content


def _place(content: Any, draw: random.Random) -> tuple[Any, Any]:
    """A random place in a JSON value, at a random depth."""
    holder, key = None, None
    while isinstance(content, dict | list) and content:
        holder, key = content, draw.choice(list(content) if isinstance(content, dict) else range(len(content)))
        content = holder[key]
        if draw.random() < 0.3:
            break
    return holder, key


def _value(draw: random.Random) -> Any:
    values = [
        None,
        True,
        0,
        -1,
        1e308,
        -1e308,
        5e-324,
        float("nan"),
        float("inf"),
        10**400,
        2**70,
        [],
        {},
        [[1.0], [1.0, 2.0]],
    ]
    return draw.choice([*values, draw.choice(TOKENS[:60]), {"a": {"b": []}}])


#: texts of schedules, formulas and conditions, of which mutations are made
SCHEDULES = [
    "cosine:peak_lr=3e-3,steps=2000,warmup=100,final=3e-4", "linear:peak_lr=1e-3,steps=500", "constant:peak_lr=0.01,steps=300",
    "wsd:peak_lr=8e-3,steps=3000,warmup=100,decay_steps=600,decay=linear", "inverse_sqrt:peak_lr=1e-3,steps=1000,warmup=100",
    "multi_step:peak_lr=1e-3,steps=900,at=300/600,factor=0.3/0.1", "cyclic:peak_lr=1e-3,steps=900,period=300",
    "piecewise:at=0/100/900,lr=0/1e-3/1e-4",
]  # fmt: skip
FORMULAS = [
    "E + A*N**-alpha + B*D**-beta", "E + A*N**-alpha", "(A/N)**alpha + E", "E + A*exp(-k*log(N))", "minimum(A*N**-a, E)",
    "L = E + A*(N/1e9)**-alpha", "sqrt(abs(A + B*log10(N)))", "A*N**-a*D**-b",
]  # fmt: skip
CONDITIONS = [
    "N > 1e6",
    "N in [1e6, 1e7]",
    "run == 'r6' or not D < 1e8",
    "(loss > 1) & (N < 1e9)",
    "`lr` == 0.01 and seed != 3",
]
PIECES = [
    *(
        "+",
        "-",
        "*",
        "/",
        "**",
        "(",
        ")",
        "N",
        "D",
        "E",
        "loss",
        "run",
        "'a'",
        '"',
        "`",
        "1e308",
        "10**400",
        "0",
        "1j",
        "nan",
    ),
    *(
        "exp(",
        "log(",
        "minimum(",
        ",",
        "=",
        "==",
        "<",
        "in",
        "not",
        "and",
        "lambda x: x",
        "__import__('os')",
        "[1]",
        ".real",
    ),
    *(
        "if",
        "e",
        "pi",
        "\x00",
        "\n",
        "\x1b[2J",
        "é",
        "ﬁ",
        "~",
        "&",
        "|",
        ":",
        ";",
        "%",
        "steps=",
        "warmup=",
        "peak_lr=",
        "1e15",
    ),
    *("inf", "-1", "0.5", "1e-320", "20k", "9" * 400, "(" * 300, "+N" * 300, "csv:", "x.csv", "#"),
]


def mutated_text(text: str, draw: random.Random) -> str:
    """A text with pieces put in, left out, or in place of others."""
    for _ in range(draw.choice((1, 1, 2, 3))):
        first = draw.randrange(len(text) + 1)
        text = text[:first] + draw.choice(PIECES) * draw.randrange(2) + text[first + draw.choice((0, 0, 1, 3, 10)) :]
    return text


def planted() -> pd.DataFrame:
    """Nine runs under planted constants."""
    N, D = np.repeat([1e6, 1e7, 1e8], 3), np.tile([1e8, 1e9, 1e10], 3)
    return pd.DataFrame({"N": N, "D": D, "lr": 0.01, "seed": 1, "loss": 1.7 + 400 * N**-0.34 + 410 * D**-0.28})


def saved_fits() -> list[dict[str, Any]]:
    """Fits as they are saved: of a law of sizes with draws, of a formula, of a law along the schedule."""
    import scalefit as sf
    from scalefit.fitting.document import as_dict

    curves = sf.read_runs(commands.ROOT / "data" / "schedules", need=()).where("d_model == 96")
    fits = [
        sf.fit(planted(), "chinchilla", draws=20),
        sf.fit(planted(), "E + A*N**-alpha", draws=20, fix={"E": 1.7}),
        sf.fit(curves, "annealing:decay=0.99", starts=1),
    ]
    return [json.loads(json.dumps(as_dict(fit))) for fit in fits]
