"""Make a data set of this folder again: python data/make.py NAME [RUNS_FOLDER].

Plans the sweep of data/NAME/grid.toml, trains what is not yet trained (a stopped sweep goes on), and writes
the tables in data/NAME.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from measures import bleu, byte_pairs, coverage, information, loss_change, rewards, unigram

from scalefit.proxy import Config, Job, collect_sweep, plan_sweep, run_sweep, train
from scalefit.proxy.sweep.jobs import varied
from scalefit.proxy.tasks.data import standard_library
from scalefit.schedules import parse_schedule

HERE = Path(__file__).parent
TAIL = 0.2  # of a run, over which what is measured is averaged
PROBES = ("attention_logit_max", "output_logit_logsumexp", "rms_grad/0.mlp_in", "rms_act", "grad_norm")
# what an analysis of the learning rate names
SETTINGS = (
    "parametrization",
    "d_model",
    "n_layer",
    "lr",
    "seed",
    "steps",
    "schedule",
    "batch",
    "warmup",
    "weight_decay",
    "optimizer",
)
# columns of single data sets, where they vary
EXTRA = ("experts", "sparsity", "granularity", "precision_w", "group_size", "U", "epochs")
VOCABULARIES, EVERY = (256, 512, 1024), 4  # sizes of vocabulary; of the files of the standard library, which are read
RUNS = ("run", "N", "N_total", "D", "C", "d_model", "parametrization", "lr", "steps", "seed", "schedule")


def say(line: str) -> None:
    """Progress, on stderr."""
    sys.stderr.write(line + "\n")


def label(job: Job) -> str:
    """Name of a job's schedule: its kind, what is special about it, its length."""
    kind, _, options = job.config.schedule.partition(":")
    shape = "".join(f"-{word}" for word in ("1-sqrt",) if word in options)
    return f"{kind.replace('_', '-')}{shape}-{job.config.steps}"


def write(frame: pd.DataFrame, path: Path) -> None:
    """A table as CSV with seven digits."""
    frame.to_csv(path, index=False, float_format="%.7g")
    say(f"{path}: {len(frame)} rows, columns {', '.join(frame.columns)}")


def curves(jobs: list[Job], out: Path, folder: Path) -> None:
    """Held-out loss at every logged step that has one, and the learning rate at every step of each schedule."""
    frame = collect_sweep(out, curves=True).dropna(subset="val_loss")
    sizes = collect_sweep(out).set_index("run")["N"]
    by_id = {job.id: job for job in jobs}
    frame["schedule"] = [label(by_id[run]) for run in frame["run"]]
    frame["N"] = frame["run"].map(sizes)
    frame["run"] = [f"d{width}-{name}" for width, name in zip(frame["d_model"], frame["schedule"], strict=True)]
    frame["loss"] = frame["val_loss"]
    write(frame[["run", "d_model", "N", "schedule", "step", "tokens", "lr", "loss"]], folder / "curves.csv")
    schedules = {label(job): job.config.lr_schedule() for job in jobs}
    lr = [pd.DataFrame({"schedule": name, "lr": s.per_step()}).rename_axis("step") for name, s in schedules.items()]
    write(pd.concat(lr).reset_index()[["schedule", "step", "lr"]], folder / "lr.csv.gz")
    text = {name: parse_schedule(schedule.text).text for name, schedule in schedules.items()}
    write(pd.DataFrame(text.items(), columns=["schedule", "text"]), folder / "schedules.csv")


def finals(jobs: list[Job], out: Path, folder: Path) -> None:
    """One row a run: sizes and final held-out losses (a diverged run has none)."""
    frame = collect_sweep(out)
    configs = {job.id: job.config for job in jobs}
    for key in ("d_model", "parametrization", "lr", "steps", "seed", "schedule"):
        frame[key] = [getattr(configs[run], key) for run in frame["run"]]
    frame["loss"] = frame["val_loss"]
    sides = [name for name in EXTRA if name in frame and frame[name].nunique() > 1]
    sides = [name for name in sides if name != "epochs" or "U" in sides]  # else D says the same
    sides += [name for name in ("encoder_width", "N_enc", "N_dec") if "N_enc" in frame]
    sides += [name for name in frame if name.startswith("share_")]
    more = [name for name in frame if name.startswith("val_loss_")]
    floors = {run: floor(out / run) for run in frame["run"]}
    if any(value is not None for value in floors.values()):
        frame["loss_floor"] = frame["run"].map(floors)
        more.append("loss_floor")
    renamed = {name: name.removeprefix("val_") for name in more}
    frame = frame[[*RUNS, *sides, "loss", *more, "status"]].rename(columns=renamed)
    order = ["parametrization", "d_model", *sides, "steps", "seed", "lr"]
    if folder.name == "infix_postfix":
        frame["bleu"] = [bleu(out / run) for run in frame["run"]]
    write(frame.sort_values(order, kind="stable"), folder / "runs.csv")


def students(jobs: list[Job], out: Path, folder: Path) -> None:
    """One row a student, with its teacher's loss, and its own loss without a teacher (loss_supervised)."""
    frame = collect_sweep(out)
    frame["loss"] = frame["val_loss"]
    alone = frame[frame["teacher"].isna() | (frame["teacher"] == "")].set_index(["d_model", "steps", "seed"])["loss"]
    taught = frame[frame["loss_teacher"].notna()].copy()
    kinds = zip(taught["d_model"], taught["steps"], taught["seed"], strict=True)
    taught["loss_supervised"] = [alone[kind] for kind in kinds]
    columns = ["teacher", "loss_teacher", "loss_supervised", "loss", "status"]
    write(taught[[*RUNS, *columns]].sort_values(["d_model", "steps", "loss_teacher", "seed"]), folder / "runs.csv")


def earlier(folder: Path, out: Path) -> None:
    """Train what a sweep goes on from, under its name: teachers into ``out``/teachers, starts into ``out``/starts."""
    for kind in ("teachers", "starts"):
        if (folder / f"{kind}.toml").exists():
            table = tomllib.loads((folder / f"{kind}.toml").read_text(encoding="utf-8"))
            for name, own in table[kind].items():
                train(Config.read({**table["base"], **own, "name": name}), out / kind, say)


def tokens(out: Path) -> None:
    """Python source in the tokens of each vocabulary, in ``out``/tokens."""
    (out / "tokens").mkdir(parents=True, exist_ok=True)
    texts = standard_library()
    text = b"\n".join(texts[name] for name in sorted(texts)[::EVERY])
    if not all((out / f"tokens/{size}.npy").exists() for size in VOCABULARIES):
        for size, ids in byte_pairs(text, VOCABULARIES):
            np.save(out / f"tokens/{size}.npy", ids)


def vocabularies(jobs: list[Job], out: Path, folder: Path) -> None:
    """One row a run, its loss less that of a model that knows only how often each token occurs."""
    frame = collect_sweep(out)
    base = {f"tokens/{size}.npy": unigram(np.load(out / f"tokens/{size}.npy"), size) for size in VOCABULARIES}
    frame["vocab"] = [int(Path(name).stem) for name in frame["data"]]
    frame["N_vocab"] = frame["vocab"] * frame["d_model"]
    frame["loss_raw"] = frame["val_loss"]
    frame["loss"] = frame["val_loss"] - frame["data"].map(base)
    columns = [*RUNS, "vocab", "N_vocab", "loss_raw", "loss", "status"]
    write(frame[columns].sort_values(["d_model", "vocab", "steps"]), folder / "runs.csv")


def tuned(jobs: list[Job], out: Path, folder: Path) -> None:
    """One row a run that began with the weights of another: the examples that it sees, and its seed of their order."""
    frame = collect_sweep(out)
    frame["loss"], frame["examples"] = frame["val_loss"], (frame["U"] // frame["seq_len"]).astype(int)
    columns = [*RUNS, "data_seed", "start", "loss_start", "examples", "epochs", "loss", "status"]
    write(frame[columns].sort_values(["d_model", "examples", "data_seed"]), folder / "runs.csv")


def stages(jobs: list[Job], out: Path, folder: Path) -> None:
    """Curves of the first stages, and of second stages that begin where they end; rates of both at every step."""
    rows, rates = [], []
    firsts = {path: Config.read(facts(out / path)["config"]) for path in sorted({job.config.start for job in jobs})}
    pairs = [(path, None) for path in firsts] + [(job.config.start, job) for job in jobs]
    for path, job in pairs:
        first = firsts[path]
        name = path.partition("/")[2] + (f"-{job.config.schedule.partition(':')[0]}" if job else "")
        lr = first.lr_schedule().per_step()
        log = pd.read_json(out / (job.id if job else path) / "log.jsonl", lines=True).dropna(subset="val_loss")
        log = log[log["step"] > 0]
        losses = {"loss": log["val_loss_code"], "loss_prose": log["val_loss"]} if job else {"loss": log["val_loss"]}
        before = first.steps if job else 0
        about = {"run": name, "schedule": name, "cpt_step": first.steps + 1, "step": log["step"] + before}
        lr = np.concatenate([lr, job.config.lr_schedule().per_step()[1:]]) if job else lr
        rows.append(pd.DataFrame({**about, "lr": lr[log["step"] + before], **losses}))
        rates.append(pd.DataFrame({"schedule": name, "step": np.arange(len(lr)), "lr": lr}))
    write(pd.concat(rows), folder / "curves.csv")
    write(pd.concat(rates), folder / "lr.csv.gz")


def halves(jobs: list[Job], out: Path, folder: Path) -> None:
    """Besides a row a run: what half of a window tells of the other, and how a mean loss settles with the windows."""
    frame = collect_sweep(out).assign(loss=lambda runs: runs["val_loss"])
    frame["information"] = [information(out / run) for run in frame["run"]]
    write(frame[[*RUNS, "loss", "information", "status"]], folder / "runs.csv")
    write(pd.concat([loss_change(out / run).assign(run=run) for run in frame["run"]]), folder / "loss_change.csv")


def answers(jobs: list[Job], out: Path, folder: Path) -> None:
    """Besides a row a run: coverage in the number of samples, and rewards along a policy gradient."""
    finals(jobs, out, folder)
    ids = {job.id: f"steps-{job.config.steps}-seed-{job.config.seed}" for job in jobs}
    write(pd.concat([coverage(out / run).assign(run=name) for run, name in ids.items()]), folder / "coverage.csv")
    worst = min(job.config.steps for job in jobs)  # the only ones with much to gain
    weak = {run: name for run, name in ids.items() if name.startswith(f"steps-{worst}-")}
    write(pd.concat([rewards(out / run).assign(run=name) for run, name in weak.items()]), folder / "rewards.csv")


def optima(jobs: list[Job], out: Path, folder: Path) -> None:
    """Besides a row a run: the timescale of least loss at each size and length, of a parabola in its logarithm."""
    frame = collect_sweep(out).assign(loss=lambda runs: runs["val_loss"])
    frame["timescale"] = frame["batch"] / (frame["peak_lr"] * frame["weight_decay"] * frame["D"])
    write(frame[[*RUNS, "weight_decay", "timescale", "loss", "status"]], folder / "runs.csv")
    best = []
    for (N, D), rows in frame.groupby(["N", "D"]):
        means = rows.groupby("timescale")["loss"].mean()
        near = means[means <= means.min() + 0.5 * (means.max() - means.min())]
        bend, slope, _ = np.polyfit(np.log(near.index), near, 2)
        best.append({"N": N, "D": D, "timescale": float(np.exp(-slope / (2 * bend))), "bend": bend, "rows": len(near)})
    write(pd.DataFrame(best), folder / "optima.csv")


def probed(jobs: list[Job], out: Path, folder: Path) -> None:
    """One row a run: sizes, settings, what varies; held-out loss and probes, means over the last fifth of the run."""
    configs = {job.id: job.config for job in jobs}
    keys = dict.fromkeys((*SETTINGS, *varied(list(configs.values()))))
    rows = []
    for run, config in configs.items():
        about, means = facts(out / run), tail(out / run)
        row = {"run": run} | {key: about[key] for key in ("N", "N_total", "D", "C", "vocab")}
        row |= {key: getattr(config, key) for key in keys if key not in ("data_seed", "optimizer_options")}
        row |= {f"optimizer_options.{key}": value for key, value in config.optimizer_options.items()}
        rows.append(row | {"loss": means["val_loss"], **means.reindex(PROBES).dropna(), "status": about["status"]})
    order = [key for key in ("parametrization", "n_layer", "d_model", "seed", "lr") if key in keys]
    write(pd.DataFrame(rows).sort_values(order, kind="stable"), folder / "runs.csv")


def blocks(jobs: list[Job], out: Path, folder: Path) -> None:
    """Besides a row a run: a row for the embedding (block 0) and each block, the RMS of the stream after it."""
    probed(jobs, out, folder)
    rows = []
    for job in jobs:
        c, log = job.config, pd.read_json(out / job.id / "log.jsonl", lines=True)
        names = ["rms_act/embed", *(f"rms_act/{block}.mlp_residual" for block in range(c.n_layer))]
        start, end = log.loc[log["step"] == 1, names].iloc[0], tail(out / job.id)
        about = {key: getattr(c, key) for key in ("norm", "n_layer", "lr", "seed")}
        rows += [about | {"block": i, "rms_start": start[name], "rms_end": end[name]} for i, name in enumerate(names)]
    write(pd.DataFrame(rows).sort_values(["norm", "n_layer", "lr", "seed", "block"]), folder / "blocks.csv")


def warmups(jobs: list[Job], out: Path, folder: Path) -> None:
    """A row a run, and the curvature of the one run that measures it."""
    probed([job for job in jobs if not job.config.curvature_every], out, folder)
    (job,) = [job for job in jobs if job.config.curvature_every]
    log = pd.read_json(out / job.id / "log.jsonl", lines=True).dropna(subset="sharpness")
    write(log[["step", "lr", "loss", "sharpness", "sharpness_preconditioned"]], folder / "sharpness.csv")


def logs(jobs: list[Job], out: Path, folder: Path) -> None:
    """Every step of every run, as a log in progress has it."""
    frame = collect_sweep(out, curves=True)
    frame["run"] = [f"lr-{job.config.lr:g}" for run in frame["run"] for job in jobs if job.id == run]
    columns = ["run", "step", "tokens", "lr", "loss", "grad_norm", "attention_logit_max", "output_logit_logsumexp"]
    write(frame.loc[frame["step"] > 0, columns], folder / "curves.csv")


def batches(jobs: list[Job], out: Path, folder: Path) -> None:
    """Besides a row a run: the held-out loss along each run, with the gradient noise averaged since the row before."""
    probed(jobs, out, folder)
    parts = []
    for job in jobs:
        log = pd.read_json(out / job.id / "log.jsonl", lines=True)
        noise = log[["noise_trace", "noise_grad_square"]].rolling(job.config.eval_every, min_periods=1).mean()
        rows = log[["step", "tokens"]].assign(loss=log["val_loss"], **noise)
        rows = rows[rows["loss"].notna() & (rows["step"] > 0)]
        about = {"run": job.id} | {key: getattr(job.config, key) for key in ("batch", "seq_len", "lr", "seed")}
        parts.append(rows.assign(**about)[[*about, *rows.columns]])
    frame = pd.concat(parts).sort_values(["batch", "lr", "seed", "step"], kind="stable")
    write(frame, folder / "curves.csv")


def tail(folder: Path) -> pd.Series:
    """Means of the last fifth of a log; the largest RMS of any block's residual stream as rms_act."""
    rows = pd.read_json(folder / "log.jsonl", lines=True)
    last = rows[rows["step"] > (1 - TAIL) * rows["step"].max()]
    means = last.mean(numeric_only=True)
    if last["loss"].isna().any():
        means["val_loss"] = float("nan")
    streams = [name for name in means.index if name.startswith("rms_act/") and name.endswith("residual")]
    means["rms_act"] = means[streams].max() if streams else float("nan")
    return means


def facts(folder: Path) -> dict[str, Any]:
    """What run.json says."""
    return dict(json.loads((folder / "run.json").read_text(encoding="utf-8")))


def sharpness(jobs: list[Job], out: Path, folder: Path) -> None:
    """A row at every measurement of the curvature."""
    frame = collect_sweep(out, curves=True).dropna(subset="sharpness")
    configs = {job.id: job.config for job in jobs}
    for key in ("d_model", "parametrization", "seed"):
        frame[key] = [getattr(configs[run], key) for run in frame["run"]]
    columns = ["run", "parametrization", "d_model", "seed", "step", "lr", "loss"]
    columns += ["sharpness", "hessian_max", "sharpness_trace"]
    write(frame[columns].sort_values(["parametrization", "d_model", "seed", "step"]), folder / "curves.csv")


def floor(folder: Path) -> float | None:
    """The exactly known least loss of a synthetic language."""
    floor: float | None = facts(folder)["data"]["val_loss"].get("loss_floor")
    return floor


def table(name: str, jobs: list[Job]) -> Callable[[list[Job], Path, Path], None]:
    """What is written of a sweep."""
    config = jobs[0].config
    special = {
        "answers": answers,
        "halves": halves,
        "distillation": students,
        "fine_tuning": tuned,
        "continual_curves": stages,
        "vocabulary": vocabularies,
        "weight_decay_length": optima,
        "schedules": curves,
        "norm_placement": blocks,
        "warmup": warmups,
        "divergence": logs,
        "lr_batch": batches,
        "lr_batch_sgd": batches,
    }
    if name in special:
        return special[name]
    return sharpness if config.curvature_every else probed if config.probe_every else finals


def main() -> None:
    """Train what is missing and write the tables."""
    torch.set_num_threads(1)
    name = sys.argv[1]
    out = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(tempfile.gettempdir()) / "scalefit-runs" / name
    out.mkdir(parents=True, exist_ok=True)
    if name == "vocabulary":
        tokens(out)
    earlier(HERE / name, out)
    os.chdir(out)  # what the paths of teachers, starts and tokens in the grid begin from
    jobs = plan_sweep(HERE / name / "grid.toml", out)
    run_sweep(out, progress=say)
    table(name, jobs)(jobs, out, HERE / name)


if __name__ == "__main__":
    main()
