"""Back-tests on public data sets: which runs are fitted, which are predicted, and how far beyond they lie.

The data sets lie beside the repository (``../shared/data``); missing ones are skipped.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import scalefit as sf

PUBLIC = Path(__file__).parents[2] / "shared" / "data"
REACHES = (2.5, 6.0, 15.0, 40.0, 100.0)  #: the largest runs reach this many times beyond the largest fitted scale
LEAST = 8  #: rows that a fit needs
SIZES = ("chinchilla", "kaplan-floor")


@dataclass(frozen=True)
class Case:
    """One back-test: a law is fitted to ``small`` and predicts ``large``, whose rows lie ``reach`` times beyond."""

    data: str
    part: str
    law: str
    small: sf.Runs | pd.DataFrame
    large: sf.Runs | pd.DataFrame
    reach: np.ndarray
    options: tuple[tuple[str, Any], ...] = ()

    @property
    def name(self) -> str:
        """What is fitted, in words."""
        return f"{self.data}/{self.part}/{self.law}/{len(self.reach)}"


def cases(only: str = "") -> Iterator[Case]:
    """Every back-test whose data are present."""
    for name, made in SETS.items():
        if name.startswith(only) and (PUBLIC / made[0]).is_dir():
            yield from made[1]()


def growing(
    data: str, part: str, table: pd.DataFrame, laws: tuple[str, ...], over: str = "", points: str = "auto"
) -> Iterator[Case]:
    """A law is fitted to the rows below growing scales (compute 6 N D, or a column) and predicts those above."""
    scale = table[over].to_numpy(dtype=float) if over else 6.0 * table["N"].to_numpy(float) * table["D"].to_numpy(float)
    fitted = {}
    for reach in REACHES:
        small = scale <= scale.max() / reach * (1 + 1e-6)
        if small.sum() >= LEAST and not small.all():
            fitted[int(small.sum())] = small  # two reaches may select the same rows
    for small in fitted.values():
        for law in laws:
            yield Case(
                data, part, law, table[small], table[~small], scale[~small] / scale[small].max(), (("points", points),)
            )


def table(*parts: str, where: str = "", **columns: str) -> pd.DataFrame:
    """Columns of a public table under their canonical names; runs are named by their numbers."""
    found = pd.read_csv(PUBLIC.joinpath(*parts))
    found = found.query(where) if where else found
    return pd.DataFrame({name: found[column] for name, column in columns.items()}).dropna()


def chinchilla() -> Iterator[Case]:
    rows = table(
        "chinchilla_epoch", "chinchilla_245.csv", where="not excluded_by_epoch", N="params", D="tokens", loss="loss"
    )
    yield from growing("chinchilla", "240", rows, SIZES)


def marin() -> Iterator[Case]:
    rows = table("marin_isoflop", "isoflop_comma.csv", where="kind == 'isoflop'", N="params", D="tokens", loss="loss")
    yield from growing("marin", "comma", rows, SIZES)


def porian() -> Iterator[Case]:
    points = pd.read_csv(PUBLIC / "porian_isoflop" / "isoflop_points.csv")
    for i, (_, some) in enumerate(points.groupby("condition")):
        rows = pd.DataFrame({"N": some["params"], "D": some["tokens"], "loss": some["loss"]})
        yield from growing("porian", f"recipe {i}", rows, SIZES if i % 3 == 0 else SIZES[:1])


def gemstones() -> Iterator[Case]:
    for part in ("hot", "cool_begin", "cool_end"):
        rows = table("gemstones", f"loss_{part}.csv", run="run", step="step", N="params", D="tokens", loss="loss")
        yield from growing("gemstones", part, rows, SIZES[:1], points="all")


def gadre() -> Iterator[Case]:
    for train in ("C4", "RedPajama"):
        for judge in ("loss_c4_val", "loss_openlm", "loss_paloma_redpajama"):
            rows = table(
                "gadre_overtraining",
                "runs.csv",
                where=f"train_dataset == '{train}'",
                N="params",
                D="tokens",
                loss=judge,
            )
            yield from growing("gadre", f"{train} {judge}", rows, ("chinchilla", "over-training"))


def olmo() -> Iterator[Case]:
    for judge in ("c4_en", "pile", "dolma_stack", "wikitext_103"):
        rows = table("olmo_ladder", "final.csv", N="params", D="tokens", loss=f"loss_{judge}")
        yield from growing("olmo", judge, rows, SIZES)


def datablations() -> Iterator[Case]:
    columns = {"N": "params", "D": "tokens", "loss": "loss"}
    rows = table("datablations", "published_fit_182.csv", where="epochs <= 1.01", **columns)
    yield from growing("datablations", "one epoch", rows, SIZES)
    rows = table("datablations", "published_fit_182.csv", unique_tokens="unique_tokens", **columns)
    yield from growing("datablations", "repeated", rows, ("data-constrained",))


def grids() -> Iterator[Case]:
    runs = pd.read_csv(PUBLIC / "loss_to_loss" / "runs.csv")
    for train, some in runs.groupby("train_dataset"):
        rows = pd.DataFrame({"N": some["params"], "D": some["tokens"], "loss": some["loss_own_val"]}).dropna()
        yield from growing("grids", str(train), rows, SIZES)


def loss_to_loss() -> Iterator[Case]:
    """The loss on one set from the loss on another, of the same model; with floors fixed as in the source, and free."""
    runs = pd.read_csv(PUBLIC / "loss_to_loss" / "runs.csv")
    runs = runs.rename(columns={"params": "N", "tokens": "D", "flops": "C", "loss_own_val": "loss_source"})
    for train, some in runs.groupby("train_dataset"):
        for judge in ("loss_c4_val", "loss_ce_hellaswag_test"):
            rows = some[["N", "D", "C", "loss_source"]].assign(loss=some[judge]).dropna()
            for case in growing("loss-to-loss", f"{train} {judge}", rows, ("loss-to-loss",), over="C"):
                yield replace(case, options=(("fix", floors(case.small)),))
                if judge == "loss_c4_val":
                    yield replace(case, part=f"{case.part}, floors free")


def floors(rows: pd.DataFrame) -> dict[str, float]:
    """Floors of both losses, from a law of size and data fitted to the same runs."""
    source = rows[["N", "D"]].assign(loss=rows["loss_source"])
    return {"E0": sf.fit(source, "chinchilla")["E"], "E1": sf.fit(rows[["N", "D", "loss"]], "chinchilla")["E"]}


def nmt() -> Iterator[Case]:
    curves = pd.read_csv(PUBLIC / "nmt_data_scaling" / "learning_curves.csv")
    for architecture, some in curves.groupby("run"):
        rows = pd.DataFrame({"D": some["examples"], "loss": some["loss"]})
        yield from growing("nmt", str(architecture), rows, ("power-floor:over=D", "power:over=D"), over="D")


def supercollapse() -> Iterator[Case]:
    for part in ("mlp_runs", "mlp_const_runs"):
        rows = table("supercollapse_mlp", f"{part}.csv", C="opt_flops", loss="opt_loss")
        yield from growing("supercollapse", part, rows, ("power-floor:over=C", "power:over=C"), over="C")


def routing() -> Iterator[Case]:
    runs = pd.read_csv(PUBLIC / "routing_dm" / "curves_dense_sbase.csv").query(
        "router_type == 'Dense' and step > 0 and seed in (1, 42) and k == 1"
    )
    for judge in ("loss", "loss_c4", "loss_lambada"):
        rows = pd.DataFrame(
            {
                "run": runs["run"],
                "D": runs["step"] * 131072.0,
                "N": runs["params"],
                "step": runs["step"],
                "loss": runs[judge],
            }
        )
        yield from growing("routing", judge, rows.dropna(), SIZES[:1], points="all")


def only(runs: sf.Runs, names: list[str]) -> sf.Runs:
    """The runs of these names."""
    return runs.where("run in (" + ", ".join(repr(str(name)) for name in names) + ",)")


def schedules(data: str, part: str, runs: sf.Runs, laws: tuple[str, ...], sets: list[list[str]]) -> Iterator[Case]:
    """Curves: a law is fitted to the runs of each set and predicts the others from there on; the reach is in steps."""
    assert runs.curves is not None
    last = runs.curves.groupby(runs.curves["run"].astype(str))["step"].max()
    for chosen in sets:
        small = only(runs, chosen)
        assert small.curves is not None
        later = runs.where(f"step >= {small.curves['step'].min()}")
        large = only(later, [name for name in last.index if name not in chosen])
        assert large.curves is not None
        reach = large.curves["step"].to_numpy() / last[chosen].max()
        for law in laws:
            yield Case(data, part, law, small, large, reach)


def mpl() -> Iterator[Case]:
    folder = PUBLIC / "mpl_schedules"
    for size in ("25M", "100M"):
        runs = sf.read_runs(folder / f"loss_curves_{size}.csv", schedule=folder / "lr_schedules_per_step.csv.gz")
        rng = np.random.default_rng(0)
        names = list(runs.names)
        fixed = [name for name in names if name.endswith(("constant_24000", "cosine_24000", "wsdcon_9"))]
        sets = [fixed] + [list(rng.choice(names, size=count, replace=False)) for count in (2, 3, 3, 4, 4, 5)]
        yield from schedules("mpl", size, runs, ("annealing",), sets)
        yield from schedules("mpl", size, runs, ("multi-power-fading",), sets[:1])


def epfl() -> Iterator[Case]:
    folder = PUBLIC / "epfl_schedules"
    facts = pd.read_csv(folder / "runs.csv").query("group == 'main'")
    runs = sf.read_runs(
        folder / "val_loss.csv.gz", rename={"val_loss": "loss"}, schedule=folder / "lr_schedule.csv.gz", warmup=300
    )
    for (size, peak), group in facts.query("params == 123532032 and peak_lr in (5e-4, 1e-3, 2e-3)").groupby(
        ["params", "peak_lr"]
    ):
        names = group["run"].tolist()
        rng = np.random.default_rng(0)
        some = only(runs, names)
        short = group.query("total_steps <= 15000")["run"].tolist()
        sets = [list(rng.choice(names, size=count, replace=False)) for count in (2, 3, 3, 4, 4, 5)]
        sets += [list(rng.choice(short, size=min(count, len(short)), replace=False)) for count in (3, 5)]
        yield from schedules("epfl", f"{size / 1e6:.0f}M lr {peak:g}", some, ("annealing",), sets)


def ends() -> Iterator[Case]:
    """Runs under schedules unlike the fitted ones: from constant and cosine, or a short cooldown, to others."""
    folder = PUBLIC / "epfl_schedules"
    facts = pd.read_csv(folder / "runs.csv").query("group == 'main' and params == 123532032")
    runs = sf.read_runs(
        folder / "val_loss.csv.gz", rename={"val_loss": "loss"}, schedule=folder / "lr_schedule.csv.gz", warmup=300
    )
    for peak, group in facts.query("peak_lr in (1e-4, 5e-4, 1e-3, 2e-3)").groupby("peak_lr"):
        some = only(runs, group["run"].tolist())
        constant = group.query("decay_frac == 0")["run"].tolist()
        cosine = group.query("scheduler == 'cos' and cos_final_lr < 0 and total_steps == 50000")["run"].tolist()
        shortest = group.query("decay_frac == 0.1 and total_steps == 25000")["run"].tolist()
        sets = [constant + cosine, constant + shortest]
        yield from schedules("ends", f"lr {peak:g}", some, ("annealing", "multi-power-fading"), sets)


def olmo_cosines(warmups: float) -> Iterator[tuple[str, sf.Runs]]:
    """The curves of each size of the OLMo ladder from a multiple of the warmup on, under their cosine schedule."""
    curves = pd.read_csv(PUBLIC / "olmo_ladder" / "eval_curves.csv").query("not run.str.endswith('rerun')")
    for size, some in curves.groupby("size"):
        peak, last = some["lr"].max(), some.groupby("run")["step"].max()
        warmup = round(float(peak / (some["lr"] / some["step"]).max()))
        plans = {
            run: f"cosine:peak_lr={peak:g},steps={steps},warmup={warmup},final={peak / 10:g}"
            for run, steps in last.items()
        }
        log = some[["run", "step"]].assign(loss=some["loss_c4_en"])
        yield str(size), sf.read_runs(log[log["step"] > warmups * warmup].reset_index(drop=True), schedule=plans)


def horizons() -> Iterator[Case]:
    """Cosine runs of one size with growing numbers of steps."""
    for size, runs in olmo_cosines(4):
        order = [f"{size}-{times}xC" for times in ("0.5", "1", "2", "5", "10")]
        yield from schedules("horizons", size, runs, ("annealing",), [order[:2], order[:3], order[:4]])


SETS = {
    "chinchilla": ("chinchilla_epoch", chinchilla),
    "marin": ("marin_isoflop", marin),
    "porian": ("porian_isoflop", porian),
    "gemstones": ("gemstones", gemstones),
    "gadre": ("gadre_overtraining", gadre),
    "olmo": ("olmo_ladder", olmo),
    "datablations": ("datablations", datablations),
    "grids": ("loss_to_loss", grids),
    "loss-to-loss": ("loss_to_loss", loss_to_loss),
    "nmt": ("nmt_data_scaling", nmt),
    "supercollapse": ("supercollapse_mlp", supercollapse),
    "routing": ("routing_dm", routing),
    "mpl": ("mpl_schedules", mpl),
    "epfl": ("epfl_schedules", epfl),
    "horizons": ("olmo_ladder", horizons),
    "ends": ("epfl_schedules", ends),
}
