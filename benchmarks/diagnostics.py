"""How often each diagnosis fires, on simulated runs that follow their law and on runs with a planted fault.

python benchmarks/diagnostics.py            both tables, 200 data sets per row (three minutes)
python benchmarks/diagnostics.py 1000       more data sets
python benchmarks/diagnostics.py 200 predictions  only what needs draws: schedules, and refits that err on one side
python benchmarks/diagnostics.py 20 laws          only laws of every kind with a prediction each, and the other faults
python benchmarks/diagnostics.py 20 curves        only first steps, decays and what skip="auto" leaves out

Runs without a fault follow a law with normal noise on the log loss, in the designs that papers use. Runs with a fault
have one thing wrong, by so much that the forecast moves by more than the noise.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import curves as along
import numpy as np
import pandas as pd
from faults import PLANTED
from planted import PLANS, SCHEDULES, simulated
from sound import CURVES, TABLES

import scalefit as sf
from scalefit.schedules import areas, parse_schedule

SETS = 200
FIRST_SEED = 10_000  #: of seeds that no test uses
DRAWN = 4  #: one set in so many of the laws of every kind is also given intervals, which costs more
Rng = np.random.Generator
Made = tuple[sf.Runs | pd.DataFrame, str]  #: runs and the law to fit


def sized(rng: Rng, N: np.ndarray, D: np.ndarray, noise: float = 0.005) -> pd.DataFrame:
    """Final losses of a Chinchilla law."""
    loss = 1.69 + 406.4 * N**-0.34 + 410.7 * D**-0.28
    return named(pd.DataFrame({"N": N, "D": D, "loss": loss * np.exp(noise * rng.standard_normal(len(N)))}))


def named(table: pd.DataFrame) -> pd.DataFrame:
    """The table with a name for each run."""
    return table.assign(run=[f"r{i}" for i in range(len(table))])


def isoflop(rng: Rng, noise: float = 0.005) -> pd.DataFrame:
    """Six compute budgets with eight sizes each, around 20 tokens per parameter."""
    C = np.repeat(np.geomspace(1e17, 1e20, 6), 8)
    N = (C / 120) ** 0.5 * np.tile(np.geomspace(0.25, 4, 8), 6)
    return sized(rng, N, C / 6 / N, noise)


def grid(rng: Rng, sizes: int = 7, lengths: int = 7, noise: float = 0.005) -> pd.DataFrame:
    """Every size combined with every amount of data."""
    N, D = np.meshgrid(np.geomspace(1e7, 1e9, sizes), np.geomspace(1e9, 1e11, lengths))
    return sized(rng, N.ravel(), D.ravel(), noise)


def ladder(rng: Rng, count: int = 14, noise: float = 0.005, last: float = 1e20) -> pd.DataFrame:
    """One run per budget: a power law in compute with a floor."""
    C = np.geomspace(1e16, last, count)
    loss = 1.7 + 2e3 * C**-0.18
    return named(pd.DataFrame({"C": C, "loss": loss * np.exp(noise * rng.standard_normal(count))}))


def apart(rng: Rng, noise: float = 0.005) -> pd.DataFrame:
    """A decade of small runs and one large run."""
    C = np.r_[np.geomspace(1e16, 1e17, 13), 1e20]
    loss = 1.7 + 2e3 * C**-0.18
    return named(pd.DataFrame({"C": C, "loss": loss * np.exp(noise * rng.standard_normal(14))}))


def drifting(rng: Rng) -> sf.Runs:
    """Annealing curves whose residuals are correlated along the run, as logged losses are."""
    logs = []
    for name, text in SCHEDULES.items():
        lr = parse_schedule(text).per_step()
        S1, S2 = areas(lr, decay=0.99)
        step = np.arange(40, 2001, 20)
        walk = 0.0003 * np.cumsum(rng.standard_normal(len(step))) + 0.002 * rng.standard_normal(len(step))
        logs.append(pd.DataFrame({"run": name, "step": step}).assign(loss=_annealed(S1[step], S2[step]) * np.exp(walk)))
    return sf.read_runs(pd.concat(logs), schedule=SCHEDULES)


def _annealed(S1: np.ndarray, S2: np.ndarray) -> np.ndarray:
    return np.asarray(2.5 + 0.5 * S1**-0.5 - 0.3 * S2)


def curves(rng: Rng, ends: list[float], cut: list[float]) -> sf.Runs:
    """One curve per size, with a cosine down to a share of the peak, logged up to a share of its steps."""
    plans, logs = {}, []
    for i, (end, part) in enumerate(zip(ends, cut, strict=True)):
        name, N = f"r{i}", 1e6 * 2.0**i
        plans[name] = f"cosine:peak_lr=1e-3,steps=2000,final={end * 1e-3:g}"
        S1, S2 = areas(parse_schedule(plans[name]).per_step(), decay=0.99)
        step = np.arange(40, int(2000 * part) + 1, 20)
        loss = _annealed(S1[step], S2[step]) - 1 + 60 * N**-0.3
        logs.append(pd.DataFrame({"run": name, "step": step, "N": N, "loss": loss}))
    table = pd.concat(logs)
    table["loss"] *= np.exp(0.002 * rng.standard_normal(len(table)))
    return sf.read_runs(table, schedule=plans)


def bumped(rng: Rng, by: str, size: float) -> pd.DataFrame:
    """A grid of which all runs of one level of a column lie off by one draw: N, D, or a batch drawn for each run."""
    made = grid(rng).assign(batch=2.0 ** (18 + rng.permutation(np.arange(49) % 5)))
    level = np.unique(made[by], return_inverse=True)[1]
    drawn = size * rng.standard_normal(level.max() + 1)
    return made.assign(loss=made["loss"] * np.exp(drawn[level]))


def shapes(rng: Rng, counted: float) -> pd.DataFrame:
    """Models of known shape; for a share of them N includes the embeddings of 50257 tokens."""
    width = np.repeat([256, 384, 512, 768, 1024, 1536], 4)
    depth = width // 64
    bare = 12.0 * depth * width**2
    made = sized(rng, bare, bare * np.tile([10.0, 30.0, 100.0, 300.0], 6))
    more = rng.permutation(len(bare)) < round(counted * len(bare))
    return made.assign(N=bare + more * 50257 * width, d_model=width, n_layer=depth, vocab=50257)


def one_off(made: pd.DataFrame, row: int, by: float) -> pd.DataFrame:
    """One run whose loss is measured too high or too low."""
    made.loc[row, "loss"] *= by
    return made


def short_runs(rng: Rng, by: float) -> pd.DataFrame:
    """An isoFLOP table and three runs with a fifth of a token per parameter, which lie above the law."""
    N = np.array([2e8, 5e8, 1e9])
    extra = sized(rng, N, 0.2 * N)
    return named(pd.concat([isoflop(rng), extra.assign(loss=by * extra["loss"])], ignore_index=True))


def knee(rng: Rng) -> pd.DataFrame:
    """A power law that becomes flatter within the range of the data."""
    C = np.geomspace(1e16, 1e21, 40)
    loss = 40 * C**-0.06 * (1 + (C / 1e19) ** 2) ** 0.015
    return named(pd.DataFrame({"C": C, "loss": loss * np.exp(0.003 * rng.standard_normal(40))}))


def of_plan(law: str, less: float = 1.0) -> Callable[[Rng], Made]:
    """A simulated data set of the coverage benchmark."""
    plan = next(plan for plan in PLANS if plan.law.startswith(law))
    quiet = replace(plan, noise=plan.noise * less)
    return lambda rng: (simulated(quiet, int(rng.integers(2**31))), quiet.law)


SOUND: dict[str, Callable[[Rng], Made]] = {
    "power, 30 runs": of_plan("power:"),
    "power with a floor, 40 runs": of_plan("power-floor"),
    "power with a floor, ladder of 14": lambda rng: (ladder(rng), "power-floor:over=C"),
    "chinchilla, 60 runs at random": of_plan("chinchilla"),
    "chinchilla, isoFLOP 6 x 8": lambda rng: (isoflop(rng), "chinchilla"),
    "chinchilla, grid 7 x 7": lambda rng: (grid(rng), "chinchilla"),
    "chinchilla, grid 7 x 7, five batch sizes": lambda rng: (bumped(rng, "batch", 0.0), "chinchilla"),
    "chinchilla, grid 4 x 4, noise 1 %": lambda rng: (grid(rng, 4, 4, 0.01), "chinchilla"),
    "loss-to-loss, 60 runs": of_plan("loss-to-loss"),
    "loss-to-loss, noise 0.04 %": of_plan("loss-to-loss", 0.2),
    "encoder-decoder, 40 runs": of_plan("encoder-decoder"),
    "annealing, 4 schedules": of_plan("annealing"),
    "annealing, residuals correlated": lambda rng: (drifting(rng), "annealing:decay=0.99"),
    "annealed curves, final losses": lambda rng: (curves(rng, [0.1] * 10, [1.0] * 10), "power-floor:over=N"),
    "shapes known, embeddings never counted": lambda rng: (shapes(rng, 0.0), "chinchilla"),
}
FAULTS: dict[str, tuple[str, Callable[[Rng], Made]]] = {
    "one run 3 decades beyond the other 13, 3 % high": (
        "influential",
        lambda rng: (one_off(apart(rng), 13, 1.03), "power-floor:over=C"),
    ),
    "largest of 14 runs 8 % high": ("outliers", lambda rng: (one_off(ladder(rng), 13, 1.08), "power-floor:over=C")),
    "one of 49 runs 8 % high": ("outliers", lambda rng: (one_off(grid(rng), 24, 1.08), "chinchilla")),
    "3 runs of 0.2 tokens a parameter, 10 % high": (
        "under-trained",
        lambda rng: (short_runs(rng, 1.1), "chinchilla"),
    ),
    "N with embeddings in half of the runs": ("mixed-conventions", lambda rng: (shapes(rng, 0.5), "chinchilla")),
    "3 runs in bits": (
        "mixed-conventions",
        lambda rng: (one_off(grid(rng), list(rng.choice(49, 3, replace=False)), 1 / np.log(2)), "chinchilla"),
    ),
    "3 of 10 curves end at 40 % of their schedule": (
        "mid-schedule",
        lambda rng: (curves(rng, [0.1] * 10, [1.0] * 7 + [0.4] * 3), "power-floor:over=N"),
    ),
    "3 of 10 curves at a constant rate": (
        "mid-schedule",
        lambda rng: (curves(rng, [0.1] * 7 + [1.0] * 3, [1.0] * 10), "power-floor:over=N"),
    ),
    "grid 7 x 7, sizes off by 2 %": ("clustered", lambda rng: (bumped(rng, "N", 0.02), "chinchilla")),
    "grid 7 x 7, amounts of data off by 2 %": ("clustered", lambda rng: (bumped(rng, "D", 0.02), "chinchilla")),
    "grid 7 x 7, batch sizes off by 2 %": ("clustered", lambda rng: (bumped(rng, "batch", 0.02), "chinchilla")),
    "no floor in the law, one in the runs": ("residual-trend", lambda rng: (ladder(rng, 40), "power:over=C")),
    "the exponent changes within the data": ("residual-trend", lambda rng: (knee(rng), "power:over=C")),
}


PEAK = "peak_lr=1e-3,steps={steps},warmup=100"
FITTED = (f"constant:{PEAK}", f"cosine:{PEAK},final=1e-4", f"wsd:{PEAK},decay_steps={{decay}},final=0")
#: schedules asked for after fits to FITTED of 2,000 steps with a cooldown of 400: name, text, and whether it is another
ASKED = (
    ("the same three, twice as long", tuple(text.format(steps=4000, decay=800) for text in FITTED), False),
    ("a cooldown of a quarter instead of a fifth", (FITTED[2].format(steps=2000, decay=500),), False),
    ("a cooldown of three fifths", (FITTED[2].format(steps=4000, decay=2400),), True),
    ("a cooldown that begins steeply (1-sqrt)", (f"{FITTED[2]},decay=1-sqrt".format(steps=2000, decay=800),), True),
)


def schedules_fit(rng: Rng) -> sf.Fit:
    """The annealing law fitted to a constant rate, a cosine and a cooldown."""
    plans = {str(i): text.format(steps=2000, decay=400) for i, text in enumerate(FITTED)}
    logs, step = [], np.arange(120, 2001, 40)
    for name, text in plans.items():
        plan = parse_schedule(text)
        at = sf.find_law("annealing").at_steps(plan.per_step(), plan.warmup, step)
        loss = _annealed(at["S1"], at["S2"]) * np.exp(0.002 * rng.standard_normal(len(step)))
        logs.append(pd.DataFrame({"run": name, "step": step, "loss": loss}))
    return sf.fit(sf.read_runs(pd.concat(logs), schedule=plans), "annealing", draws=20)


def told_of_schedules(sets: int) -> None:
    """How often a prediction under each schedule is called one for another schedule."""
    print("\n| schedule asked for | another | `another-schedule` (%) |\n|---|---|---|")
    fits = [schedules_fit(np.random.default_rng(seed)) for seed in range(FIRST_SEED, FIRST_SEED + sets)]
    for name, texts, another in ASKED:
        told = [any(c.code == "another-schedule" for c in fit.cautions(schedule=t)) for fit in fits for t in texts]
        print(f"| {name} | {'yes' if another else 'no'} | {100 * np.mean(told):.1f} |", flush=True)


def lacking(rng: Rng) -> pd.DataFrame:
    """A Chinchilla surface with a term that the law lacks: the loss falls more slowly where both are large."""
    made = grid(rng, 8, 8, 0.003)
    return made.assign(loss=made["loss"] + 0.01 * np.maximum(np.log10(made["N"] * made["D"]) - 17.0, 0) ** 2)


#: runs, law, and whether the law lacks a term
ONE_SIDED: dict[str, tuple[Callable[[Rng], Made], bool]] = {
    "power with a floor, 40 runs": (of_plan("power-floor"), False),
    "chinchilla, 60 runs at random": (of_plan("chinchilla"), False),
    "chinchilla, isoFLOP 6 x 8": (lambda rng: (isoflop(rng), "chinchilla"), False),
    "chinchilla, grid 7 x 7": (lambda rng: (grid(rng), "chinchilla"), False),
    "loss-to-loss, grid of runs": (
        lambda rng: (TABLES["loss-to-loss, grid of runs"].made(rng), "loss-to-loss:floors_of=none"),
        False,
    ),
    "loss-to-loss without floors, floors in the runs": (of_plan("loss-to-loss"), True),
    "no floor in the law, one in the runs": (lambda rng: (ladder(rng, 40), "power:over=C"), True),
    "the exponent changes within the data": (lambda rng: (knee(rng), "power:over=C"), True),
    "a term of both sizes is missing": (lambda rng: (lacking(rng), "chinchilla"), True),
}


def told_of_sides(sets: int) -> None:
    """How often every refit is said to err on the same side, and no interval is worth having one decade beyond."""
    print("\n| runs | lacks a term | one-sided (%) | misfit (median) |\n|---|---|---|---|")
    for name, (make, lacks) in ONE_SIDED.items():
        fits = [sf.fit(*make(np.random.default_rng(FIRST_SEED + i))) for i in range(sets)]
        told = 100 * np.mean([bool(fit.one_sided) for fit in fits])
        drawn = [sf.fit(*make(np.random.default_rng(FIRST_SEED + i)), draws=20) for i in range(max(1, sets // DRAWN))]
        misfit = np.median([fit.intervals.calibration.misfit for fit in drawn if fit.intervals is not None])
        print(f"| {name} | {'yes' if lacks else 'no'} | {told:.1f} | {misfit:.2f} |", flush=True)


def fired(make: Callable[[Rng], Made], sets: int) -> Counter[str]:
    """In how many data sets each code was reported, and ``any`` code."""
    found: Counter[str] = Counter()
    for seed in range(FIRST_SEED, FIRST_SEED + sets):
        runs, law = make(np.random.default_rng(seed))
        codes = {check.code for check in sf.fit(runs, law).warnings}
        found.update(codes | ({"any"} if codes else set()))
    return found


def shown(name: str, counts: Counter[str], sets: int) -> str:
    """One row of a table in Markdown."""
    others = ", ".join(f"{code} {100 * n / sets:.1f}" for code, n in counts.most_common() if code != "any")
    return f"| {name} | {100 * counts['any'] / sets:.1f} | {others or '-'} |"


def told_of_laws(sets: int) -> None:
    """Fits of many laws to runs that follow them, with a prediction each; then a fault for each of the other checks."""
    print("\n| runs without a fault, with a prediction | any alarm (%) | which (%) |\n|---|---|---|")
    for name, plan in {**TABLES, **CURVES}.items():
        found: Counter[str] = Counter()
        for seed in range(FIRST_SEED, FIRST_SEED + sets):
            fit, at = plan.fit(np.random.default_rng(seed), 20 if seed % DRAWN == 0 else 0)
            codes = {check.code for check in (*fit.warnings, *fit.cautions(**at))}
            found.update(codes | ({"any"} if codes else set()))
        print(shown(name, found, sets), flush=True)
    print("\n| fault | diagnosis | found (%) | also said (%) |\n|---|---|---|---|")
    for name, (code, said) in PLANTED.items():
        seeds = range(FIRST_SEED, FIRST_SEED + sets)
        found = Counter(c for seed in seeds for c in {check.code for check in said(np.random.default_rng(seed))})
        also = ", ".join(f"{c} {100 * n / sets:.1f}" for c, n in found.most_common() if c != code)
        print(f"| {name} | `{code}` | {100 * found[code] / sets:.1f} | {also or '-'} |", flush=True)


def told_of_curves(sets: int) -> None:
    """What is said of curves with a forecast each, and how often first steps are left out, without a fault and with."""
    print('\n| curves without a fault, with a prediction | any warning (%) | which (%) | `skip="auto"` (%) |')
    print("|---|---|---|---|")
    for name, (plan, by) in along.SOUND.items():
        found = along.counted(sets, FIRST_SEED, plan, by)
        skipped = 100 * found.pop(along.SKIPPED, 0) / sets
        print(f"{shown(name, found, sets)} {skipped:.1f} |", flush=True)
    print('\n| fault | warning | found (%) | also raised (%) | `skip="auto"` (%) |\n|---|---|---|---|---|')
    for name, (code, plan, by) in along.FAULTS.items():
        found = along.counted(sets, FIRST_SEED, plan, by)
        skipped = 100 * found.pop(along.SKIPPED, 0) / sets
        also = ", ".join(f"{c} {100 * n / sets:.1f}" for c, n in found.most_common() if c not in (code, "any"))
        print(f"| {name} | `{code}` | {100 * found[code] / sets:.1f} | {also or '-'} | {skipped:.1f} |", flush=True)


def main() -> None:
    sets = int(sys.argv[1]) if len(sys.argv) > 1 else SETS
    if sys.argv[2:] in (["laws"], ["curves"]):
        (told_of_laws if sys.argv[2] == "laws" else told_of_curves)(sets)
        return
    told_of_schedules(max(1, sets // 4))
    told_of_sides(max(1, sets // 4))
    if sys.argv[2:] == ["predictions"]:
        return
    print(f"{sets} sets each\n\n| runs without a fault | any alarm (%) | which (%) |\n|---|---|---|")
    for name, make in SOUND.items():
        print(shown(name, fired(make, sets), sets), flush=True)
    print("\n| fault | diagnosis | found (%) | also said (%) |\n|---|---|---|---|")
    for name, (code, make) in FAULTS.items():
        counts = fired(make, sets)
        also = ", ".join(f"{c} {100 * n / sets:.1f}" for c, n in counts.most_common() if c not in (code, "any"))
        print(f"| {name} | `{code}` | {100 * counts[code] / sets:.1f} | {also or '-'} |", flush=True)
    watched(max(1, sets // 20))


def watched(count: int) -> None:
    """The same of ``scalefit watch``, whose simulated logs are those of benchmarks/watch.py."""
    import watch

    calm = [alarm for *_, alarm in watch.false_alarms(12, count)]
    print(f"\nwatch: {sum(calm)} of {len(calm)} calm logs called anything else")
    print("\n| log | told as what it is (%) |\n|---|---|")
    for name, rows in (("dip", watch.dip_alarms(16, 5 * count)), ("fault", watch.detections(13, 5 * count))):
        rates: dict[str, list[bool]] = {}
        for kind, *_, told in rows:
            rates.setdefault(kind, []).append(told != (name == "dip"))
        for kind, told in rates.items():
            print(f"| {name}: {kind} | {100 * sum(told) / len(told):.0f} |", flush=True)


if __name__ == "__main__":
    main()
