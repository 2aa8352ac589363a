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
from scalefit.transfer.verdict import Interval

PAGE = Path(__file__).parent / "learning_rate.md"
DATA = Path(__file__).parents[1] / "data"
PUBLIC = Path(__file__).parents[2] / "shared" / "data"
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
    two = 100 * backtest_transfer(shipped.where("seed < 2")).set_index("arm").loc[["sp", "mup"], ["regret", "noise"]]
    regrets, errors = (" and ".join(f"{value:.2f}" for value in two[name]) for name in ("regret", "noise"))
    yield f"with two seeds the same fit gave {regrets} %, with standard errors of {errors} %"
    (normed,) = lr_transfer(sf.load("weight_decay").where("weight_decay == 0")).arms
    yield f"drifted by {ends(normed.drift)} octaves per doubling in sp"
    costs = found.table.set_index("arm")["lr_sensitivity"]
    sp, mup = (", ".join(f"{value:.2f}" for value in costs[name]) for name in ("sp", "mup"))
    yield f"LR sensitivity rises with the width in sp ({sp}) but not in mup ({mup})"


@part
def ntk() -> Iterator[str]:
    """The same in the NTK parametrisation."""
    found = lr_transfer(widths().where("parametrization == 'ntk'"))
    yield f"the optimum drifts by {ends(found['ntk'].drift)} octaves per doubling and does not transfer"
    head = lr_transfer(sf.load("lr_width_ntk_head"))
    yield f"drifts alike, by {ends(head['ntk'].drift)}"
    lower = [old - new for old, new in zip(found.table["loss"], head.table["loss"], strict=True)]
    yield f"the best losses are lower by {', '.join(f'{value:.2f}' for value in lower)} nats"


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
    noise = 100 * tested["noise"]
    yield f"The standard error of a difference is {noise.min():.1f} to {noise.max():.1f} %"
    deep = shipped.table[(shipped.table["n_layer"] == 8) & shipped.table["lr"].between(2**-7.6, 2**-5.9)]
    losses = deep.pivot_table(index=["lr", "seed"], columns="parametrization", values="loss")
    one, two = (
        f"{gain.mean():.3f} ± {gain.std() / np.sqrt(len(gain)):.3f}"
        for gain in ((losses["sp"] - losses[name]).dropna() for name in ("depth-mup", "completep"))
    )
    yield f"below that of the standard parametrisation by {one} nats in depth-mup and by {two} in completep"


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
    first, then = (float(top[step == at].iloc[0]) for at in (20, 30))
    yield f"falls from {first / 1e6:.1f}e6 to {then / 1e3:.1f}e3 between steps 20 and 30"
    yield f"from step 30 on, 38/sharpness is {38 / late.median():.4f}"


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
    at = losses[128].iloc[int(np.argmin(np.abs(np.log2(losses.index) + 2)))]
    yield f"(loss {at['coupled']:.2f} against {at['independent']:.2f} at 2^-2 and width 128)"
    least = losses.min().unstack()
    assert list(least.index[least["none"] == least.min(axis=1)]) == [32, 64, 128]
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
    ends_of = last.groupby(["norm", "n_layer", "lr"])[["rms_end", "rms_start"]].mean()
    grown = (ends_of["rms_end"] / ends_of["rms_start"]).groupby("norm").max()
    yield f"multiplies the stream by up to {grown['pre']:.0f} in Pre-LN"
    yield f"by up to {grown['peri']:.1f} in Peri-LN"
    rows = blocks[(blocks["n_layer"] == 16) & blocks["norm"].isin(("pre", "peri"))]
    variance = rows.groupby(["norm", "lr", "block"])[["rms_start", "rms_end"]].mean() ** 2
    straight = [
        np.corrcoef(np.arange(len(group)), group[column])[0, 1] ** 2
        for _, group in variance.groupby(["norm", "lr"])
        for column in group
    ]
    yield f"(R² of a line {np.floor(100 * min(straight)) / 100:.2f} or more)"
    means = sf.load("norm_placement").table.groupby(["norm", "n_layer", "lr"])["loss"].mean()
    faster = means.loc[["peri", "pre"], 16].groupby("norm").last()
    yield f"({faster['peri']:.2f} against {faster['pre']:.2f} at 16 layers and 2^-6)"
    yield f"learns only the frequencies of bytes ({means['post'].loc[8:].mean():.2f})"


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
    means = losses.groupby(["arm", "clip", "lr"]).mean()[20].groupby(["arm", "clip"]).min()
    best, reset, slower = means["adamw", 0.0], means["spam"].min(), means["slow"].min()
    assert best == means.min()
    yield f"({best:.2f} without clipping; SPAM {reset:.2f}, AdamW with β2 .999 {slower:.2f})"


@part
def batches() -> Iterator[str]:
    """Critical batch size, noise scale and the exponents of the learning rate."""
    adam, descent = (sf.batch_size(sf.read_runs(DATA / name / "curves.csv")) for name in ("lr_batch", "lr_batch_sgd"))
    both, limits = (adam, descent), [each.critical for each in (adam, descent)]
    least = [
        f"{c.value:.0f} [{c.low:.0f}, {c.high:.0f}], {each.loss:.2f}" for c, each in zip(limits, both, strict=True)
    ]
    yield row("critical batch size, tokens, to a loss of", least)
    passed = []
    for each in both:
        assert each.tradeoff is not None
        line = each.tradeoff.S_min * (1 + each.tradeoff.B_crit / each.reached["batch"])
        passed.append(f"{100 * np.abs(each.reached['steps'] / line - 1).max():.0f} %")
    yield row("the hyperbola passes the six batch sizes within", passed)
    fastest = [f"batch^{spread(each.fastest)}" for each in both]
    yield row("learning rate of the fewest steps to that loss", fastest)
    lowest = [lr_transfer(sf.load(name), over="batch").arms[0].drift for name in ("lr_batch", "lr_batch_sgd")]
    command = "`lr-transfer data/lr_batch/runs.csv --over batch`"
    yield row(f"learning rate of the lowest final loss ({command})", [f"batch^{spread(each)}" for each in lowest])
    critical = limits[1].value
    grown = np.log((1 + critical / 128) / (1 + critical / 4096)) / np.log(4096 / 128)
    yield f"lr_max/(1 + {critical:.0f}/batch) grows from batch size 128 to 4096 as batch^{grown:.2f}"
    noises = [each.noise["noise_scale"] for each in both]
    yield row("noise scale at the end of the runs", [f"{hundreds(n.min())} to {hundreds(n.max())}" for n in noises])


def spread(exponent: Interval) -> str:
    """An exponent with its interval."""
    return f"{plain(exponent.value)} [{plain(exponent.low)}, {plain(exponent.high)}]"


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
    (missed,) = judged.table.loc[judged.table["seen"] & ~judged.table["predicted"], "lr"]
    yield f"the missed one, {missed:.4f}, lies at the predicted boundary"
    tops = sp.pivot_table(index="lr", columns="d_model", values="attention_logit_max")
    yield f"(grows from {tops[128].iloc[0]:.0f} at 2^-11 to 10^{np.log10(tops[128].loc[0.25]):.0f} at 2^-2)"
    octaves = np.log(sp[sp["d_model"] == 128]["N"].iloc[0] / sp[sp["d_model"] == 16]["N"].iloc[0])
    steep = (tops[128] / tops[16])[(tops.index > 2**-6.1) & (tops.index < 2**-2.9)]
    grown = [f"N^{np.log(each) / octaves:.1f}" for each in (steep.min(), steep.max())]
    yield f"as {grown[0]} to {grown[1]} at 2^-6 to 2^-3 ({steep.min():.0f} to {steep.max():.0f} times)"
    cured = pd.read_csv(DATA / "attention_logit" / "runs.csv")
    cured = cured[cured["lr"] < 0.2].pivot_table(index="lr", columns="d_model", values="attention_logit_max")
    yield f"at learning rates up to 2^-3 it stays below {np.ceil(cured.to_numpy().max()):.0f}"
    times = cured[128] / cured[16]
    slow, fast = (np.log(each) / octaves for each in (times.min(), times.max()))
    yield f"it grows as N^{slow:.2f} to N^{fast:.2f}"
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


@cache
def simulated(kind: str) -> pd.DataFrame:
    """What docs/simulate_learning_rates.py drew: one row a case, one letter a sample."""
    rows = pd.read_csv(Path(__file__).parent / "simulated.csv", dtype={"outcomes": str}).query(f"kind == '{kind}'")
    return rows.set_index(pd.MultiIndex.from_tuples(rows["case"].str.split("; ").map(tuple)))


def share(letters: str, counted: str = "1") -> float:
    """How many percent of the samples have one of these letters."""
    return 100 * sum(each in counted for each in letters) / len(letters)


@part
def coverage() -> Iterator[str]:
    """Coverage of the optimum of a sweep and of the drift over three."""
    names = {"parabola": "parabola", "tilted": "lopsided", "walled": "a steep wall on the right"}
    names |= {"saturating": "saturating on both sides"}
    names |= {"kinked": "a corner at the minimum, ten times as steep on the right"}
    sweeps = simulated("optimum")
    for shape, shown in names.items():
        cells = []
        for step in ("0.5", "1.0", "2.0"):
            one, four = (sweeps.loc[(shape, step, seeds)] for seeds in ("1", "4"))
            inside = f"{share(one['outcomes']):.0f}, {share(four['outcomes']):.0f} %"
            cells.append(f"{inside}; {one['median']:.2g}, {four['median']:.2g}")
        yield row(shown, cells)
    drifts = simulated("drift")
    drift, law = (
        [share("".join(drifts.xs(stray, level=1)["outcomes"]), letters) for stray in ("0.0", "0.15", "0.3")]
        for letters in ("bd", "bl")
    )
    first, second, third = (f"{each:.0f} %" for each in drift)
    yield f"coverage is {first} where the optima lie on a line, {second} where they stray from it by 0.15 octaves"
    yield f"and {third} where they stray by 0.3"
    first, second, third = (f"{each:.0f}" for each in law)
    yield f"for the law at twice the largest width it is {first}, {second} and {third} %"
    assert drifts.xs("-1.0")["most"].max() <= 0
    assert drifts.xs("0.0")["least"].min() >= 0
    yield "No sweep with a drift of −1 was judged to transfer, and none with a drift of 0 not to"


@part
def watched() -> Iterator[str]:
    """How often a calm log raises an alarm, and how often a fault is found."""
    calm = simulated("calm")
    alarms = "".join(calm["outcomes"])
    noises = {"correlated": "correlated", "fading": "fading", "laplace": "Laplace", "normal": "normal"}
    noises |= {"student 3": "Student's t"}
    counts = calm["outcomes"].groupby(level=1).sum().str.count("1")
    by_noise = [f"{counts[noise]} with {shown}" for noise, shown in noises.items()]
    yield f"There were {alarms.count('1')} false alarms in {len(alarms)} calm logs ({share(alarms):.1f} %)"
    yield f"{', '.join(by_noise)} noise"
    grown = "".join(simulated("growing")["outcomes"])
    yield f"{grown.count('1')} of {len(grown)} calm logs ({share(grown):.1f} %) gave a false alarm at some point"
    dips = simulated("dip").set_index("case")["outcomes"]
    others = "".join(dips.drop("gradual"))
    yield f"in {others.count('1')} of {len(others)} cases for abrupt dips, evaluations and small losses"
    yield f"in {dips['gradual'].count('1')} of {len(dips['gradual'])} for gradual dips"
    faults = simulated("fault")["outcomes"]
    for fault, shown in FAULTS.items():
        yield row(shown, [f"{share(faults[fault, noise]):.0f} %" for noise in ("normal", "student 3")])
    normed, bare = ("".join(faults[name]) for name in ("diverging", "diverging, no norm"))
    yield f"was called diverging in {normed.count('1')} of {len(normed)} logs with a gradient norm that rises with it"
    yield f"in {bare.count('1')} of {len(bare)} without one"


FAULTS = {
    "shift 0.3": "+0.3 nats for good",
    "shift 0.6": "+0.6 nats for good",
    "shift 0.95": "+0.95 nats for good",
    "slow rise": "+0.95 nats, slowly",
    "spike": "1.5 times the loss for three rows",
    "gradient norm": "gradient norm up to 50 times, smoothly",
    "attention logit": "attention logit that reaches 1e4 at 1.2 to 1.8 times the length",
}


def public() -> Iterator[str]:
    """Sweeps that others have published."""
    rows = pd.read_csv(PUBLIC / "mup_mlp_cifar" / "train_loss_by_epoch.csv").drop(columns="log2_lr")
    rows = rows.rename(columns={"train_loss": "loss", "parameterization": "parametrization"})
    found = lr_transfer(rows[rows["epoch"] == 20], initial_loss=np.log(10))
    shown = [f"{ends(found[name].drift)}, {found[name].verdict.split(':')[0]}" for name in ("SP", "muP")]
    yield row("MLP on CIFAR-10, epoch 20, widths 256 to 2048, one seed", [f"sp {shown[0]}; mup {shown[1]}"])
    for epoch in (1, 20):
        judged = backtest_divergence(read_sweeps(rows[rows["epoch"] == epoch], initial_loss=np.log(10)))
        shares = f"precision {judged.precision:.2f} and recall {judged.recall:.2f} at epoch {epoch}"
        yield f"{shares} ({judged.table['seen'].sum()} of {len(judged.table)} learning rates diverge)"
    runs = sf.read_runs(PUBLIC / "steplaw" / "dense_lr_bs_sweep.csv", need=())
    sizes = ("N < 2.6e8", "N > 2.6e8 and N < 2.7e8", "N > 2.7e8")
    tested = pd.concat([backtest_transfer(runs.where(size), over="D", arms="batch") for size in sizes])
    inside = (tested["low"] <= tested["least_at"]) & (tested["least_at"] <= tested["high"])
    said = f"mean regret {100 * tested['regret'].mean():.2f} % over {tested['regret'].notna().sum()} sweeps"
    yield f"{said}; the interval holds the grid point of lowest loss in {inside.sum()} of {len(tested)}"


if PUBLIC.is_dir():
    part(public)


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
