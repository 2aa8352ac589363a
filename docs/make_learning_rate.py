"""The numbers of docs/learning_rate.md from the data sets of this repository. ``python docs/make_learning_rate.py``.

Each function measures one part of the page and gives rows of its tables, or pieces of its text, as they stand there.
Run as a script this says which of them do not; a test does the same.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

import scalefit as sf
from scalefit.progress.growth import growth
from scalefit.runs import Runs
from scalefit.runs.cliff import lost
from scalefit.stability import forecast, shortest_warmup
from scalefit.transfer import backtest_transfer, lr_transfer
from scalefit.transfer.boundary import backtest_divergence
from scalefit.transfer.sensitivity import lr_sensitivity
from scalefit.transfer.sweeps import read_sweeps

PAGE = Path(__file__).parent / "learning_rate.md"
DATA = Path(__file__).parents[1] / "data"
UNTRAINED = float(np.log(256))
NUMBER = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?")
PARTS: list[Callable[[], Iterator[str]]] = []


def part(function: Callable[[], Iterator[str]]) -> Callable[[], Iterator[str]]:
    """A part of the page."""
    PARTS.append(function)
    return function


def signed(value: float, digits: int = 2) -> str:
    """With the sign that the page uses."""
    return f"{value:+.{digits}f}".replace("-", "\N{MINUS SIGN}")


def ends(value: tuple[float, float, float]) -> str:
    """A drift with its interval."""
    return f"{signed(value[0])} [{signed(value[1])}, {signed(value[2])}]"


def row(name: object, cells: Iterator[str] | list[str]) -> str:
    """A row of a table."""
    return f"| {name} | {' | '.join(cells)} |"


@cache
def widths() -> Runs:
    """The sweep over the width, with the runs in the NTK parametrisation."""
    return sf.read_runs([DATA / "lr_width" / "runs.csv", DATA / "lr_width_ntk" / "runs.csv"])


@part
def over_width() -> Iterator[str]:
    """Drift, law and regret over the width."""
    shipped = sf.load("lr_width")
    found = lr_transfer(shipped)
    tested = backtest_transfer(shipped).set_index("arm")
    plain = backtest_transfer(shipped, theory=False).set_index("arm")
    for name, says in (("sp", "does not transfer"), ("mup", "transfers")):
        arm, test = found[name], tested.loc[name]
        assert arm.verdict.startswith(says)
        shown = f"{ends(arm.drift)}; law {signed(arm.law_drift.value)}"
        yield row(name, [shown, says, f"{100 * test['regret']:.2f} %", f"{100 * test['noise']:.2f} %"])
    one, two = (f"{100 * plain.loc[name, 'regret']:.2f} % ({name})" for name in ("sp", "mup"))
    yield f"With `--measured-only` the regrets are {one} and {two}"
    costs = found.table.set_index("arm")["lr_sensitivity"]
    sp, mup = (", ".join(f"{value:.2f}" for value in costs[name]) for name in ("sp", "mup"))
    yield f"LR sensitivity rises with the width in sp ({sp}) but not in mup ({mup})"


@part
def ntk() -> Iterator[str]:
    """The same in the NTK parametrisation."""
    found = lr_transfer(widths().where("parametrization == 'ntk'"))
    yield f"the optimum drifts by {ends(found['ntk'].drift)} octaves per doubling and does not transfer"


@part
def over_depth() -> Iterator[str]:
    """Drift, loss and residual stream over the depth."""
    shipped = sf.load("lr_depth")
    found, tested = lr_transfer(shipped), backtest_transfer(shipped).set_index("arm")
    means = shipped.table.groupby(["parametrization", "n_layer", "lr"])["loss"].mean()
    stream = shipped.table.groupby(["parametrization", "n_layer"])["rms_act"].median()
    for name, shown in (("sp", "standard"), ("depth-mup", "depth-mup"), ("completep", "completep")):
        arm = found[name]
        says = arm.verdict.split(":")[0]
        losses = ", ".join(f"{means[name, layers].min():.3f}" for layers in (2, 4, 8))
        streams = ", ".join(f"{stream[name, layers]:.2g}" for layers in (2, 8))
        cells = [f"{ends(arm.drift)}, {says}", losses, streams, f"{100 * tested.loc[name, 'regret']:.1f} %"]
        yield row(shown, cells)


@part
def sharpness() -> Iterator[str]:
    """Sharpness at the edge of stability."""
    curves = pd.read_csv(DATA / "sharpness" / "curves.csv")
    late = curves[curves["step"] > 600]
    for lr, name in ((0.1, "mup"), (0.1, "ntk"), (0.4, "mup"), (0.4, "ntk")):
        rows = late[(late["lr"] == lr) & (late["parametrization"] == name)].groupby("d_model")
        medians = [rows[column].median() for column in ("sharpness", "hessian_max")]
        yield row(f"{name}, {lr:g}", [f"{2 / lr:g}", *(", ".join(f"{v:.1f}" for v in each) for each in medians)])


@part
def sharpness_forecast() -> Iterator[str]:
    """Sharpness times lr of the largest width, from the two smaller ones."""
    curves = pd.read_csv(DATA / "sharpness" / "curves.csv")
    for lr, name in ((0.1, "mup"), (0.1, "ntk"), (0.4, "mup"), (0.4, "ntk")):
        rows = curves[(curves["lr"] == lr) & (curves["parametrization"] == name)]
        small = sf.read_runs(rows[rows["d_model"] < 256], need=())
        (found,) = forecast(small, 256, lr, "d_model", rule="gd").found
        late = rows[(rows["d_model"] == 256) & (rows["step"] >= 0.9 * 800)]
        shown = "{:.2f} [{:.2f}, {:.2f}]".format(*found.value)
        yield row(f"{name}, {lr:g}", [shown, f"{lr * late['sharpness'].mean():.2f}"])


@part
def warmup() -> Iterator[str]:
    """Loss by learning rate and warmup; the criterion of the curvature."""
    means = sf.load("warmup").table.pivot_table(index="lr", columns="warmup", values="loss")
    for power in (-8, -7, -6, -5, -4):
        rates = means.index.to_numpy(float)
        nearest = means.iloc[int(np.argmin(np.abs(np.log2(rates) - power)))]
        yield row(f"2^{power}", [f"{value:.3f}" for value in nearest])
    costs = [lr_sensitivity(means[steps], UNTRAINED) for steps in means]
    yield row("LR sensitivity, 2^-8 to 2^-2", [f"{value:.3f}" for value in costs])
    curve = pd.read_csv(DATA / "warmup" / "sharpness.csv")
    step, top = curve["step"], curve["sharpness_preconditioned"]
    late = top[step >= 30]
    assert shortest_warmup(step, top, 2**-8, "adam") == 30
    assert np.isnan(shortest_warmup(step, top, 2**-6, "adam"))
    yield f"stays between {late.min() / 1e3:.1f}e3 and {late.max() / 1e3:.1f}e3"


@part
def weight_decay() -> Iterator[str]:
    """LR sensitivity by decay and width."""
    runs = sf.load("weight_decay").table
    independent = runs["independent_decay"].astype(str).str.lower() == "true"
    arm = np.where(runs["weight_decay"] == 0, "none", np.where(independent, "independent", "coupled"))
    losses = runs.assign(arm=arm).pivot_table(index="lr", columns=["d_model", "arm"], values="loss")
    large = losses[losses.index > 2**-7.5]
    for width in (16, 32, 64, 128):
        costs = [lr_sensitivity(large[width, name], UNTRAINED) for name in ("none", "independent", "coupled")]
        yield row(width, [f"{value:.3f}" for value in costs])
    whole = {
        name: [lr_sensitivity(losses[width, name], UNTRAINED) for width in (16, 32, 64, 128)]
        for name in ("independent", "coupled")
    }
    first, second = (", ".join(f"{value:.2f}" for value in whole[name][1:]) for name in whole)
    yield f"has the lower sensitivity at widths 32 to 128 ({first} against {second})"
    yield f"the higher one at 16 ({whole['independent'][0]:.2f} against {whole['coupled'][0]:.2f})"


@part
def epsilon() -> Iterator[str]:
    """Cost of Adam's epsilon by the ratio of the gradient to it."""
    runs = sf.load("adam_epsilon").table.rename(columns={"optimizer_options.eps": "eps"})
    means = runs.groupby(["d_model", "lr", "eps"], as_index=False)[["loss", "rms_grad/0.mlp_in"]].mean()
    least = means[means["eps"] == means["eps"].min()].set_index(["d_model", "lr"])
    base = least.loc[[(d, lr) for d, lr in zip(means["d_model"], means["lr"], strict=True)]]
    means["cost"] = means["loss"] - base["loss"].to_numpy()
    means["ratio"] = base["rms_grad/0.mlp_in"].to_numpy() / means["eps"]
    means = means[means["eps"] > means["eps"].min()]  # which costs nothing by definition
    parts = {"10 and more": (10, np.inf), "1 to 10": (1, 10), "0.1 to 1": (0.1, 1), "below 0.1": (0, 0.1)}
    for name, (low, high) in parts.items():
        cells = []
        for slow in (True, False):
            chosen = means[(means["ratio"] >= low) & (means["ratio"] < high) & ((means["lr"] < 0.01) == slow)]["cost"]
            two = dict.fromkeys((plain(chosen.min()), plain(chosen.max())))
            cells.append(" to ".join(two))
        yield row(name, cells)


def plain(value: float) -> str:
    """Two digits, with a minus sign where it is below zero."""
    text = f"{value:.2f}".replace("-", "\N{MINUS SIGN}")
    return text.removeprefix("\N{MINUS SIGN}") if float(f"{value:.2f}") == 0 else text


@part
def norms() -> Iterator[str]:
    """The residual stream by where the norms sit."""
    blocks = pd.read_csv(DATA / "norm_placement" / "blocks.csv")
    last = blocks[blocks["block"] == blocks["n_layer"]]
    for layers in (2, 4, 8, 16):
        cells = []
        for norm in ("pre", "peri", "post"):
            rows = last[(last["norm"] == norm) & (last["n_layer"] == layers)]
            end = [f"{value:.1f}" if value < 10 else f"{value:.0f}" for value in rows.groupby("lr")["rms_end"].mean()]
            start = rows["rms_start"].mean()
            cells.append(f"{', '.join(end)} ({start:.2g})" if norm == "post" else f"{', '.join(end)} ({start:.1f})")
        yield row(layers, cells)


@part
def spikes() -> Iterator[str]:
    """What gradient spikes cost."""
    runs = sf.load("gradient_spikes").table
    slow = runs["optimizer_options.beta2"] == 0.999
    runs["arm"] = np.where(slow, "slow", runs["optimizer"].astype(str))
    losses = runs.pivot_table(index=["arm", "clip", "lr", "seed"], columns="spike_every", values="loss")
    harm = losses[20] - losses[0]
    shown = {"adamw": "AdamW, β2 .95", "slow": "AdamW, β2 .999", "spam": "SPAM (β2 .999, reset every 200 steps)"}
    for arm, name in shown.items():
        cells = [harm[arm, clip] for clip in (0.0, 1.0)]
        yield row(name, [f"{signed(each.mean(), 3)} ± {each.std() / np.sqrt(len(each)):.3f}" for each in cells])
    paired = [harm["slow", clip] - harm["spam", clip] for clip in (0.0, 1.0)]
    one, two = (f"{each.mean():.3f} ± {each.std() / np.sqrt(len(each)):.3f}" for each in paired)
    yield f"SPAM suffers less than AdamW with the same β2, by {one} and {two}"


@part
def batches() -> Iterator[str]:
    """Critical batch size, noise scale and the exponents of the learning rate."""
    adam, descent = (sf.batch_size(sf.read_runs(DATA / name / "curves.csv")) for name in ("lr_batch", "lr_batch_sgd"))
    both, limits = (adam, descent), [each.critical for each in (adam, descent)]
    least = [
        f"{c.value:.0f} [{c.low:.0f}, {c.high:.0f}], {each.loss:.2f}" for c, each in zip(limits, both, strict=True)
    ]
    yield row("critical batch size, tokens, to a loss of", least)
    noises = [each.noise["noise_scale"] for each in both]
    yield row("noise scale at the end of the runs", [f"{hundreds(n.min())} to {hundreds(n.max())}" for n in noises])


def hundreds(scale: float) -> str:
    """A noise scale of thousands to the next hundred, a smaller one to the next ten."""
    return f"{round(scale, -2):,.0f}" if scale > 1000 else f"{round(scale, -1):.0f}"


@part
def probes() -> Iterator[str]:
    """Forecasts from the smaller widths at the largest, and what keeps probes within their limits."""
    rows = pd.read_csv(DATA / "lr_width" / "runs.csv")
    sp = rows[rows["parametrization"] == "sp"]
    small, held = sp[sp["d_model"] < 128], sp[(sp["d_model"] == 128) & np.isfinite(sp["attention_logit_max"])]
    gone = lost(small["lr"].to_numpy(), small["loss"].to_numpy(), small["d_model"].astype(str).to_numpy(), UNTRAINED)
    inside, alone = [], small.loc[~gone, ["run", "N", "lr", "seed", "attention_logit_max"]]
    for lr, at in held[held["lr"] <= alone["lr"].max()].groupby("lr"):
        found = forecast(alone, float(at["N"].iloc[0]), float(str(lr))).found
        spans = [each.value for each in found if each.name == "largest attention logit"]
        inside += [s.low <= at["attention_logit_max"].mean() <= s.high for s in spans if np.isfinite(s.low)]
    yield f"inside the 90 % interval at {sum(inside)} of {len(inside)} learning rates"
    judged = backtest_divergence(read_sweeps(sp))
    right = (judged.table["seen"] == judged.table["predicted"]).sum()
    said = f"precision {judged.precision:.2g}, recall {judged.recall:.2f}: {right} of {len(judged.table)}"
    yield f"{said} learning rates are right, and {judged.table['seen'].sum()} diverge"
    cured = pd.read_csv(DATA / "attention_logit" / "runs.csv")
    cured = cured[cured["lr"] < 0.2].pivot_table(index="lr", columns="d_model", values="attention_logit_max")
    yield f"at learning rates up to 2^-3 it stays below {np.ceil(cured.to_numpy().max()):.0f}"
    times = cured[128] / cured[16]
    yield f"{times.min():.1f} to {times.max():.1f} times over 63 times the size"
    log_z = pd.read_csv(DATA / "z_loss" / "runs.csv").groupby("z_loss")["output_logit_logsumexp"].agg(["min", "max"])
    free, little, much = (f"{low:.2g} to {high:.2g}" for low, high in log_z.to_numpy())
    yield f"{free} without z-loss; {little} at 1e-4; {much} at 1e-2"


@part
def divergence() -> Iterator[str]:
    """The shipped run that diverges, as it is watched."""
    curves = sf.load("divergence").curves
    assert curves is not None
    lost = curves[curves["run"].astype(str) == "lr-2"]
    known = lost[lost["attention_logit_max"].notna()]
    step, logit = (known[name].to_numpy(float) for name in ("step", "attention_logit_max"))
    spans = []
    for rows in range(8, int(np.argmax(logit > 1e4)) + 1):
        found = growth(step[:rows], logit[:rows], 1e4)
        if found is not None and not found.doubt:
            spans.append((step[rows - 1], f"{found.earliest:.0f} to {found.latest:.0f}"))
    steps, texts = (list(each) for each in zip(*spans, strict=True))
    at = ", ".join(f"{each:.0f}" for each in steps[:-1]) + f" and {steps[-1]:.0f}"
    yield f"the forecasts at steps {at} are {', '.join(texts[:-1])} and {texts[-1]}"
    yield f"the logit is above the limit at step {step[np.argmax(logit > 1e4)]:.0f}"
    last = lost.loc[lost["loss"] <= lost["loss"].cummin() + 1, "step"].max()
    yield f"The loss is last within a nat of its lowest at step {last:.0f}"


def missing(page: str, text: str) -> str:
    """Why a text does not stand on the page, or "": its words must, and its numbers to a unit in the last digit."""
    flat = " ".join(page.split())
    words = [re.escape(word) for word in NUMBER.split(" ".join(text.split()))]
    near = re.compile(f"({NUMBER.pattern})".join(words))
    numbers = NUMBER.findall(text)
    seen = [match.groups() for match in near.finditer(flat)]
    for each in seen:
        if all(abs(value(one) - value(two)) <= 1.01 * unit(two) for one, two in zip(each, numbers, strict=True)):
            return ""
    return f"the page says {list(seen[0])}, the data {numbers}: {text}" if seen else f"not on the page: {text}"


def value(number: str) -> float:
    """The number that a text writes."""
    return float(number.replace(",", ""))


def unit(number: str) -> float:
    """One in its last digit."""
    return float(10.0 ** -len(number.partition(".")[2]))


def main() -> int:
    """Say what the page does not say; the number of such texts."""
    page = PAGE.read_text(encoding="utf-8")
    wrong = [why for function in PARTS for text in function() if (why := missing(page, text))]
    sys.stdout.write("\n".join([*wrong, f"{len(wrong)} texts of {PAGE.name} do not agree with the data"]) + "\n")
    return len(wrong)


if __name__ == "__main__":
    raise SystemExit(main() > 0)
