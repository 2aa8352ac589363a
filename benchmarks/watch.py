"""How often `scalefit watch` raises a false alarm on simulated calm logs, and how often it finds a planted fault.

python benchmarks/watch.py              a table (two minutes)
python benchmarks/watch.py 10           with 10 logs of each kind

The rules were chosen on logs of other seeds than those of the table.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np
import pandas as pd

import scalefit as sf

SHAPES = ("dense", "coarse", "log-spaced", "late", "wsd", "cosine", "easier data", "warm-up", "re-warm-up")
NOISES = ("normal", "student 3", "laplace", "correlated", "fading")
FAULTS = ("shift 0.3", "shift 0.6", "shift 0.95", "slow rise", "spike", "gradient norm", "attention logit")
FAULTS += ("diverging", "diverging, no norm", "not finite", "back at the start")
DIPS = ("abrupt", "gradual", "evaluations", "small losses")


def noise(rng: np.random.Generator, kind: str, rows: int) -> np.ndarray:
    """Noise of unit size: the median of its absolute value is about that of a standard normal."""
    if kind == "student 3":
        return rng.standard_t(3, rows) / 1.134
    if kind == "laplace":
        return rng.laplace(size=rows)
    normal = rng.standard_normal(rows)
    if kind == "correlated":  # over some ten rows
        for row in range(1, rows):
            normal[row] = 0.9 * normal[row - 1] + np.sqrt(1 - 0.9**2) * normal[row]
    return normal * np.geomspace(5, 1, rows) if kind == "fading" else normal


def calm(rng: np.random.Generator, shape: str, kind: str, most: float = 0.1) -> pd.DataFrame:
    """A log of 100 to 20,000 rows without a fault; noise of 0.003 to 0.1 nats per row."""
    rows = int(np.exp(rng.uniform(np.log(100), np.log(20_000))))
    share = np.arange(rows) / rows
    step, lr = np.arange(1.0, rows + 1), np.full(rows, 1e-3)
    if shape == "log-spaced":
        step = np.arange(rows) + np.geomspace(1, 1e5, rows).round()
    if shape in ("coarse", "late"):
        step = 50 * step + (50_000 if shape == "late" else 0)
    loss = 2.8 + 8 * (np.maximum(1, step - rows // 40) if shape == "warm-up" else step) ** -0.35
    if shape == "wsd":
        lr = 1e-3 * (1 - np.clip((share - 0.8) / 0.2, 0, 1))
    if shape == "cosine":
        lr = 0.5e-3 * (1 + np.cos(np.pi * share))
    if shape == "re-warm-up":
        lr = np.where(share < 0.6, 1e-3 * (1 - 1.5 * share), 1e-4 + 9e-4 * np.clip((share - 0.6) / 0.1, 0, 1))
    if shape == "warm-up":
        lr = 1e-3 * np.minimum(1, (np.arange(rows) + 1) / (rows // 40 + 1))
        loss = loss + 0.3 * (1 - lr / 1e-3)
    loss = loss + 300 * (lr - 1e-3) - 0.3 * (share > 0.6) * (shape == "easier data")
    size = np.exp(rng.uniform(np.log(0.003), np.log(most)))
    return pd.DataFrame({"step": step.astype(int), "loss": loss + size * noise(rng, kind, rows), "lr": lr})


def with_probes(rng: np.random.Generator, log: pd.DataFrame) -> pd.DataFrame:
    """The log with a gradient norm that levels off and an attention logit that levels off or grows only slowly."""
    step = log["step"] - log["step"].iloc[0] + 1.0
    share = step / step.max()
    norm = (1 + 5 * np.exp(-30 * share)) * np.exp(0.3 * rng.standard_normal(len(log)))
    shapes = (
        np.full(len(log), 20.0),
        5 + 30 * (1 - np.exp(-3 * step / step.max())),
        2 + 40 * np.sqrt(step / step.max()),
    )
    logit = shapes[rng.integers(3)] * np.exp(0.1 * rng.standard_normal(len(log)))
    return log.assign(grad_norm=norm, attention_logit_max=logit)


def faulty(rng: np.random.Generator, fault: str, kind: str) -> pd.DataFrame:
    """A calm log with at most 0.05 nats of noise and a fault planted at 40 to 80 % of its rows."""
    log = with_probes(rng, calm(rng, "dense", kind, 0.05))
    rows = len(log)
    at, row = int(rng.uniform(0.4, 0.8) * rows), np.arange(rows)
    if fault.startswith("shift"):
        return log.assign(loss=log["loss"] + float(fault.split()[1]) * (row >= at))
    if fault == "slow rise":
        return log.assign(loss=log["loss"] + 0.95 * np.clip((row - at) / (rows - at), 0, 1))
    if fault == "spike":
        return log.assign(loss=log["loss"] * np.where((row >= at) & (row < at + 3), 1.5, 1.0))
    if fault == "gradient norm":
        return log.assign(grad_norm=log["grad_norm"] * np.exp(np.log(50) * np.maximum(0, (row - at) / (rows - at))))
    if fault.startswith("diverging"):
        tau = rng.uniform(3, 10) if rows < 1000 else rng.uniform(5, 30)
        grown = np.expm1(np.clip((row - rows) / tau + rng.uniform(3.5, 4.5), 0, None))
        log = log.assign(loss=log["loss"] + 0.02 * grown, grad_norm=log["grad_norm"] * (1 + 0.5 * grown))
        return log.drop(columns="grad_norm") if "no norm" in fault else log
    if fault == "not finite":
        return log.assign(loss=log["loss"].mask(row >= at))
    if fault == "back at the start":
        return log.assign(loss=np.where(row >= at, log["loss"].iloc[0], log["loss"]))
    reached = rng.uniform(1.2, 1.8) * rows
    scatter = np.exp(0.1 * rng.standard_normal(rows))
    return log.assign(attention_logit_max=1e4 * np.exp(np.log(1e4 / 5) * (row - reached) / reached) * scatter)


def false_alarm(seen: sf.stability.Watch, shape: str) -> bool:
    """Whether the status is not calm or there is a warning, other than of a loss that rises with the learning rate."""
    told = [each for each in seen.warnings if not (shape == "re-warm-up" and "the learning rate rises" in each.text)]
    return seen.status != "calm" or bool(told)


def found(seen: sf.stability.Watch, fault: str) -> bool:
    """Whether the fault is reported as what it is."""
    signal = {"gradient norm": "grad_norm", "attention logit": "attention_logit_max"}.get(fault, "loss")
    lost = {"not finite": "diverged", "back at the start": "diverged"}
    if fault in lost or fault.startswith("diverging"):
        return seen.status in (lost.get(fault, "diverging"), "diverged")
    status = {"spike": ("spikes",), "gradient norm": ("calm",), "attention logit": ("calm",)}.get(fault, ("risen",))
    words = {"gradient norm": "grows", "attention logit": "grows", "spike": "rises by"}.get(fault, "nats above")
    return seen.status in status and any(each.signal == signal and words in each.text for each in seen.warnings)


def dipped(rng: np.random.Generator, kind: str) -> pd.DataFrame:
    """A healthy log of 25 to 6,000 rows with a dip by 4 to 50 % over 1 to 12 % of its rows."""
    rows = int(rng.uniform(25, 80) if kind == "evaluations" else np.exp(rng.uniform(np.log(60), np.log(6000))))
    row, at = np.arange(rows), int(rng.uniform(0.25, 0.85) * rows)
    length = max(1, int(rows * np.exp(rng.uniform(np.log(0.01), np.log(0.12)))))
    away = np.exp(-0.5 * ((row - at) / max(length / 2.5, 1)) ** 2)
    shape = away if kind == "gradual" else ((row >= at) & (row < at + length)).astype(float)
    step = 10.0 * row + rng.choice([0, 1000])
    loss = rng.choice([1.5, 2.3, 2.8]) + rng.uniform(0.3, 1) * ((step + 1) / (step[rows // 10] + 1)) ** -0.3
    loss *= 0.02 if kind == "small losses" else 1.0
    size = np.exp(rng.uniform(np.log(0.001), np.log(0.015)))
    loss *= np.exp(-rng.uniform(0.04, 0.5) * shape + size * rng.standard_normal(rows))
    return pd.DataFrame({"step": step.astype(int), "loss": loss})


def dip_alarms(seed: int, count: int) -> Iterator[tuple[str, bool]]:
    """Whether a log with a dip is called anything but calm."""
    rng = np.random.default_rng(seed)
    for kind in DIPS:
        for _ in range(count):
            yield kind, sf.watch(dipped(rng, kind)).status != "calm"


def false_alarms(seed: int, count: int) -> Iterator[tuple[str, str, bool]]:
    rng = np.random.default_rng(seed)
    for shape in SHAPES:
        for kind in NOISES:
            for _ in range(count):
                yield shape, kind, false_alarm(sf.watch(with_probes(rng, calm(rng, shape, kind))), shape)


def alarms_on_the_way(seed: int, count: int, looks: int = 12) -> Iterator[bool]:
    """Whether any of several looks at a calm log while it grows, from 20 rows on, is a false alarm."""
    rng = np.random.default_rng(seed)
    for shape in SHAPES:
        for kind in NOISES:
            for _ in range(count):
                log = with_probes(rng, calm(rng, shape, kind))
                ends = np.linspace(20, len(log), looks).astype(int)
                yield any(false_alarm(sf.watch(log.iloc[:end]), shape) for end in ends)


def detections(seed: int, count: int) -> Iterator[tuple[str, str, bool]]:
    rng = np.random.default_rng(seed)
    for fault in FAULTS:
        for kind in ("normal", "student 3"):
            for _ in range(count):
                yield fault, kind, found(sf.watch(faulty(rng, fault, kind)), fault)


def leads(seed: int, count: int) -> Iterator[tuple[float, float]]:
    """By how many nats a loss has risen when it is first called risen, and diverged, in 80 looks on its way up."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        log = calm(rng, "dense", "normal", 0.05)[["step", "loss"]]
        half = len(log) // 2
        rise = 2.0 * np.maximum(0, np.arange(len(log)) - half) / (len(log) - half)
        log = log.assign(loss=log["loss"].iloc[half] - 0.05 * np.arange(len(log)) / len(log) + rise)
        log = log.assign(loss=log["loss"] + 0.03 * rng.standard_normal(len(log)), step=log["step"] + 1000)
        first = {"risen": np.nan, "diverged": np.nan}
        for rows in np.linspace(half, len(log), 80).astype(int):
            status = sf.watch(log.iloc[:rows]).status
            if status in first and np.isnan(first[status]):
                first[status] = rise[rows - 1]
        yield first["risen"], first["diverged"]


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    alarms = pd.DataFrame(false_alarms(12, count), columns=["shape", "noise", "alarm"])
    print(f"false alarms: {alarms['alarm'].sum()} of {len(alarms)} calm logs, {alarms['alarm'].mean():.1%}")
    print(alarms.pivot_table(index="shape", columns="noise", values="alarm", margins=True).map("{:.1%}".format))
    ever = list(alarms_on_the_way(15, max(1, count // 5)))
    print(f"at any of twelve looks while a log grows: {sum(ever)} of {len(ever)}")
    dips = pd.DataFrame(dip_alarms(16, 5 * count), columns=["dip", "alarm"])
    print(dips.groupby("dip", sort=False)["alarm"].mean().map("{:.1%}".format))
    seen = pd.DataFrame(detections(13, 5 * count), columns=["fault", "noise", "found"])
    print(seen.pivot_table(index="fault", columns="noise", values="found", sort=False).map("{:.1%}".format))
    risen, diverged = np.nanmedian(list(leads(14, count)), axis=0)
    print(f"a slow rise is reported at {risen:.2f} nats, called diverged at {diverged:.2f} (medians)")
