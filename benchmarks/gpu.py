"""What scalefit's trainer does on a GPU, in ten minutes: python benchmarks/gpu.py [--minutes 10] [--out out/gpu].

Four questions, each in parts that are measured in turn; their results go to OUT/results.json with the name of the
device, and a part that is there already is not measured again, so that the script can be stopped and run once more.

- packing: 1, 8, 64 and 256 members at widths 64 to 1024, run eagerly, compiled, and as one captured CUDA graph a step
- one large run: the shape of a model of 124 million parameters in bfloat16, its tokens/s and its share of the peak
- lr_width: a sweep of learning rates at widths 128 to 1024 in sp and mup, and the best rate of each
- attention: the largest attention logit at width 1024, forecast from widths up to 512, beside the measured one

The peak is what the same device reaches in one large matrix product. ``--toy`` tries it on a CPU, at tiny sizes.

The parts run in a process of their own. What goes wrong in one, what it printed of it, one that takes too long and one
that takes the process with it are told under "failed" in the results; the next part goes on, in a new process where the
device answers no more. A later call tries them again.
"""

from __future__ import annotations

import argparse
import functools
import json
import math
import os
import platform
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

import scalefit as sf
from scalefit.errors import InputError
from scalefit.proxy import Config, Ensemble, collect_sweep, plan_sweep, run_sweep
from scalefit.proxy.facts import facts
from scalefit.proxy.models import weights
from scalefit.writing import write_text

Step = Callable[[], None]
Part = tuple[str, Callable[[], dict[str, Any]]]
WARM, BLOCK = 3, 5  # steps that are not timed; steps that are timed together
LONGEST = {"large": 150.0, "lr_width": 400.0, "attention": 200.0, "packing": 90.0}  # seconds of one part of each kind
GRACE = 5.0  # seconds after the end of all time in which a part may still end
AGAIN = 3  # the exit status of a process whose device answers no more
STEPS = 1000  # more than are ever timed: the rates of all steps lie on the device


@dataclass(frozen=True)
class Sizes:
    """What is measured, on a GPU or as a toy."""

    device: str
    widths: tuple[int, ...]
    members: tuple[int, ...]
    most_weights: int  # of all members together, by width² times members
    large: dict[str, Any]
    vocab: int
    product: int
    sweep_widths: tuple[int, ...]
    rates: tuple[float, ...]
    sweep: dict[str, Any]
    repeats: int


LARGE = {"d_model": 768, "n_layer": 12, "d_head": 64, "seq_len": 1024, "batch": 32 * 1024, "accumulate": 4}
SWEEP = {"n_layer": 2, "d_head": 64, "seq_len": 128, "batch": 64 * 128, "steps": 400, "warmup": 40, "eval_batch": 2**16}
GPU = Sizes(
    **{"device": "cuda", "widths": (64, 128, 256, 512, 1024), "members": (1, 8, 64, 256), "most_weights": 2**25},
    **{"large": LARGE, "vocab": 50257, "product": 8192, "sweep_widths": (128, 256, 512, 1024), "repeats": 8},
    **{"rates": tuple(2.0**k for k in range(-12, -3)), "sweep": SWEEP},
)
TOY = Sizes(
    **{"device": "cpu", "widths": (8, 16), "members": (1, 4), "most_weights": 2**25, "repeats": 1, "vocab": 64},
    **{"large": {"d_model": 16, "n_layer": 1, "d_head": 8, "seq_len": 16, "batch": 64, "accumulate": 2}, "product": 64},
    **{"sweep_widths": (8, 16, 32), "rates": (2.0**-9, 2.0**-7, 2.0**-5)},
    sweep={"n_layer": 1, "d_head": 8, "seq_len": 16, "batch": 64, "steps": 8, "warmup": 2, "eval_batch": 64},
)


# --- steps, and how long they take ------------------------------------------------------------------------------------


def eager(members: list[Config]) -> Step:
    ensemble = Ensemble(members)
    return lambda: void(ensemble.update())


def void(_: object) -> None:
    """Nothing is kept."""


def compiled(members: list[Config]) -> Step:
    """With a compiler that has seen no other shape: after some it would compile for any shape, and then not at all."""
    torch.compiler.reset()
    return eager([replace(member, compile=True) for member in members])


def captured(members: list[Config]) -> Step:
    """One update as one CUDA graph; each step copies its batch into the graph's inputs. The graph holds the learning
    rate of the step in which it is made, which changes nothing in how long it takes."""
    ensemble = Ensemble(members)
    draw, inputs = ensemble.batch, ensemble.batch(1)
    ensemble.batch = lambda step: inputs  # type: ignore[method-assign]
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(WARM):
            ensemble.update()
    torch.cuda.current_stream().wait_stream(aside)
    graph, steps = torch.cuda.CUDAGraph(), iter(range(WARM + 1, 10**9))
    with torch.cuda.graph(graph):
        ensemble.update()

    def run() -> None:
        for name, value in draw(next(steps)).items():
            inputs[name].copy_(value)
        graph.replay()

    return run


def seconds(run: Step, repeats: int) -> float:
    """The least time of a step, in seconds."""
    found = []
    for repeat in range(repeats + 1):
        began = time.perf_counter()
        for _ in range(BLOCK if repeat else WARM):
            run()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        found.append((time.perf_counter() - began) / BLOCK)
    return min(found[1:])


@functools.cache
def peak(device: str, product: int, dtype: torch.dtype, repeats: int) -> float:
    """FLOP/s of this device in one large matrix product."""
    a, b = (torch.randn(product, product, device=device, dtype=dtype) for _ in range(2))
    return 2 * product**3 / seconds(lambda: void(torch.mm(a, b)), repeats)


def measured(
    sizes: Sizes, members: list[Config], way: Callable[[list[Config]], Step], dtype: torch.dtype
) -> dict[str, Any]:
    """Tokens/s of all members together, their memory, and the share of the peak."""
    cuda = sizes.device == "cuda"
    if cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    rate = len(members) * members[0].batch / seconds(way(members), sizes.repeats)
    memory = torch.cuda.max_memory_allocated() / 2**30 if cuda else None
    return {
        "tokens_per_second": rate,
        "memory_GiB": memory,
        "share_of_peak": rate * flops(members[0]) / peak(sizes.device, sizes.product, dtype, sizes.repeats),
    }


def flops(config: Config) -> int:
    """FLOP for a token, forward and backward, as in run.json."""
    ensemble = Ensemble([replace(config, device="cpu", compile=False)])
    about = facts(config, weights.counts(ensemble.model.leaves), ensemble.validation, 1, ensemble.device)
    return int(about["flops_per_token"])


# --- the four questions -----------------------------------------------------------------------------------------------


def packing(sizes: Sizes) -> Iterator[Part]:
    """The quick ways first: compiling takes most of the time."""
    ways = {"eager": eager, "captured": captured, "compiled": compiled}
    for name, way in ways.items() if sizes.device == "cuda" else [("eager", eager)]:
        for width in sizes.widths:
            for count in sizes.members:
                if count * width**2 <= sizes.most_weights:
                    yield f"packing/{name}/{width}/{count}", lambda w=width, k=count, f=way: packed(sizes, w, k, f)  # type: ignore[misc]


def packed(sizes: Sizes, width: int, count: int, way: Callable[[list[Config]], Step]) -> dict[str, Any]:
    config = Config(d_model=width, d_head=8 if width < 64 else 16, batch=1024, eval_batch=64, steps=STEPS)
    config = replace(config, schedule="constant", device=sizes.device)
    return measured(sizes, [replace(config, seed=seed) for seed in range(count)], way, torch.float32)


def large(sizes: Sizes, out: Path) -> Iterator[Part]:
    for way in (eager, compiled) if sizes.device == "cuda" else (eager,):
        yield f"large/{way.__name__}", lambda f=way: of_large(sizes, out, f)  # type: ignore[misc]


def of_large(sizes: Sizes, out: Path, way: Callable[[list[Config]], Step]) -> dict[str, Any]:
    """Tokens are drawn from Zipf's law: what they are does not change how long a step takes."""
    tokens = out / "tokens.npy"
    if not tokens.exists():
        share = 1 / np.arange(1, sizes.vocab + 1)
        drawn = np.random.default_rng(0).choice(sizes.vocab, size=2**21, p=share / share.sum())
        drawn[:: 2**10] = sizes.vocab - 1  # the largest number says how many there are
        np.save(tokens, drawn.astype(np.uint16))
    config = Config(
        **sizes.large, data=str(tokens), eval_batch=sizes.large["seq_len"], steps=STEPS, schedule="constant"
    )
    config = replace(config, precision="bf16", device=sizes.device)
    count = weights.counts(Ensemble([replace(config, device="cpu")]).model.leaves)
    return {"weights": count, **measured(sizes, [config], way, torch.bfloat16)}


def swept(sizes: Sizes, out: Path, name: str, grid: dict[str, list[Any]], **base: Any) -> Any:
    """The table of a sweep, which goes on where it was stopped."""
    folder = out / name
    keys = {
        "schedule": "cosine",
        "eval_every": sizes.sweep["steps"],
        "base_width": sizes.sweep_widths[0],
        **sizes.sweep,
    }
    plan_sweep({"base": keys | base | {"device": sizes.device}, "grid": grid}, folder)
    run_sweep(folder)
    return collect_sweep(folder, curves=name == "attention")


def lr_width(sizes: Sizes, out: Path) -> Iterator[Part]:
    yield "lr_width", lambda: best_rates(sizes, out)


def best_rates(sizes: Sizes, out: Path) -> dict[str, Any]:
    grid = {"parametrization": ["sp", "mup"], "d_model": list(sizes.sweep_widths), "lr": list(sizes.rates)}
    table = swept(sizes, out, "lr_width", grid)
    rows = table[["parametrization", "d_model", "lr", "val_loss", "status"]].to_dict("records")
    best = {}
    for (name, width), group in table.groupby(["parametrization", "d_model"]):
        try:
            found = sf.best_lr(group["lr"].to_numpy(float), group["val_loss"].to_numpy(float), np.zeros(len(group)))
            best[f"{name}/{width}"] = {"log2_lr": found.log2, "loss": found.loss}
        except InputError as error:
            best[f"{name}/{width}"] = {"refused": str(error)}
    return {"best": best, "runs": rows}


def attention(sizes: Sizes, out: Path) -> Iterator[Part]:
    yield "attention", lambda: of_attention(sizes, out)


def of_attention(sizes: Sizes, out: Path) -> dict[str, Any]:
    grid = {"d_model": list(sizes.sweep_widths), "lr": list(sizes.rates[1::3])}
    every = max(sizes.sweep["steps"] // 20, 1)
    table = swept(sizes, out, "attention", grid, qk_norm=False, probe_every=every, schedule="constant")
    target, found = sizes.sweep_widths[-1], {}
    small, held = table[table["d_model"] < target], table[table["d_model"] == target]
    for lr in grid["lr"]:
        tail = held[(held["lr"] == lr) & (held["step"] > 0.9 * held["step"].max())]["attention_logit_max"]
        try:
            forecasts = sf.forecast(small, target, lr, over="d_model").found
            values = [one.value for one in forecasts if "attention" in one.probe.name]
            told = {"forecast": values[0].value, "low": values[0].low, "high": values[0].high} if values else {}
        except InputError as error:
            told = {"refused": str(error)}
        found[f"{lr:g}"] = {"measured": float(tail.mean()), **told}
    return {"width": target, "from_widths": sorted(small["d_model"].unique().tolist()), "at_lr": found}


# --- results ----------------------------------------------------------------------------------------------------------


def device_name(device: str) -> str:
    """The GPU's name, or what kind of CPU this is."""
    return str(torch.cuda.get_device_name()) if device == "cuda" else f"{platform.machine()} CPU"


def plain(value: Any) -> Any:
    """What JSON knows; numbers that are not finite as null."""
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [plain(each) for each in value]
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and not math.isfinite(value) else value


def parts_of(sizes: Sizes, out: Path) -> list[Part]:
    """All parts, in the order in which they are measured."""
    return [*large(sizes, out), *lr_width(sizes, out), *attention(sizes, out), *packing(sizes)]


def kept(out: Path) -> dict[str, Any]:
    """The results so far."""
    file = out / "results.json"
    return json.loads(file.read_text()) if file.exists() else {}


def keep(out: Path, results: dict[str, Any]) -> None:
    """Written as a whole: a stop in the middle leaves the results before."""
    write_text(out / "results.json", json.dumps(results, indent=1, allow_nan=False) + "\n")


def measure(sizes: Sizes, out: Path, minutes: float) -> dict[str, Any]:
    """Every part that is not in the results yet, as long as there is time; returns all results."""
    out.mkdir(parents=True, exist_ok=True)
    until, results = time.monotonic() + 60 * minutes, kept(out)
    about = {"device": device_name(sizes.device), "torch": str(torch.__version__), "toy": sizes is TOY}
    if results.get("about", about) != about:
        raise SystemExit(f"{out / 'results.json'} is of {results['about']}, and this is {about}: give another --out")
    results["about"] = about
    parts, failed = results.setdefault("parts", {}), results.setdefault("failed", {})
    for name, run in parts_of(sizes, out):
        if name in parts or name in failed or time.monotonic() > until:
            continue
        began = time.monotonic()
        write_text(out / "now.json", json.dumps({"part": name}))
        try:
            found = run()
        except torch.cuda.OutOfMemoryError:
            found = {"refused": "out of memory"}
        except Exception as error:  # whatever it is: the other parts are measured
            print(f"{name}: not measured: {error}", file=sys.stderr, flush=True)
            failed[name] = {"error": f"{type(error).__name__}: {error}"[:2000], "where": traceback.format_exc()[-3000:]}
            keep(out, results)
            still_answers(sizes.device)
            continue
        parts[name] = plain({**found, "took_seconds": round(time.monotonic() - began, 2)})
        keep(out, results)
        print(f"{name}: {json.dumps({k: v for k, v in parts[name].items() if k != 'runs'})}", flush=True)
    (out / "now.json").unlink(missing_ok=True)
    return results


def still_answers(device: str) -> None:
    """Ends this process where its device does not, as after a fault in a kernel."""
    if device == "cuda":
        try:
            torch.cuda.synchronize()
            torch.ones(8, device=device).sum().item()
        except RuntimeError:
            raise SystemExit(AGAIN) from None


def supervise(command: list[str], out: Path, minutes: float, longest: dict[str, float] = LONGEST) -> None:
    """Run a command that measures in processes one after the other, until one ends well or the time is over.

    What a part was doing when its process ended or was stopped is told as failed, so that the next process leaves it.
    """
    out.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + 60 * minutes
    if kept(out).pop("failed", None):
        keep(out, {**kept(out), "failed": {}})
    while (left := until - time.monotonic()) > 0:
        (out / "now.json").unlink(missing_ok=True)
        child = subprocess.Popen([*command, "--minutes", f"{left / 60:.3f}"], start_new_session=True)
        why = watched(child, out, until, longest)
        now = out / "now.json"
        if why == "time is over" or not now.exists():
            break  # done, or nothing could begin
        part, results = json.loads(now.read_text())["part"], kept(out)
        results.setdefault("failed", {}).setdefault(part, {"error": why})
        keep(out, results)
        print(f"{part}: not measured: {why}", file=sys.stderr, flush=True)


def watched(child: subprocess.Popen[bytes], out: Path, until: float, longest: dict[str, float]) -> str:
    """Waits for a process, and stops it where one part or all of them take too long; why it ended."""
    part, began = "", time.monotonic()
    while child.poll() is None:
        time.sleep(0.2)
        now = (out / "now.json").read_text() if (out / "now.json").exists() else ""
        if now != part:
            part, began = now, time.monotonic()
        most = longest.get(json.loads(part)["part"].split("/")[0], math.inf) if part else math.inf
        why = "time is over" if time.monotonic() > until + GRACE else f"took more than {most:g} s"
        if time.monotonic() > min(began + most, until + GRACE):
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            return why
    return f"its process ended with status {child.returncode}"


def main() -> None:
    """Measure, and say what is left."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--out", type=Path, default=Path("out/gpu"))
    parser.add_argument("--toy", action="store_true")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)  # the process that measures
    given = parser.parse_args()
    if not given.toy and not torch.cuda.is_available():
        raise SystemExit("no GPU here: nothing measured (--toy tries the script on a CPU)")
    sizes = TOY if given.toy else GPU
    if given.here:
        measure(sizes, given.out, given.minutes)
        return
    given_on = ["--here", "--out", str(given.out), *(["--toy"] if given.toy else [])]
    supervise([sys.executable, str(Path(__file__).resolve()), *given_on], given.out, given.minutes)
    results = kept(given.out)
    names = [name for name, _ in parts_of(sizes, given.out)]
    left = [name for name in names if name not in results.get("parts", {})]
    for name, failure in results.get("failed", {}).items():
        print(f"{name}: {failure['error'].splitlines()[0]}")
    done = f"{len(names) - len(left)} of {len(names)} parts measured on {device_name(sizes.device)}"
    print(f"{done}: {given.out / 'results.json'}")
    sys.exit(1 if left else 0)


if __name__ == "__main__":
    main()
