"""Measure how far laws can be trusted: ``python docs/measure_laws.py [LAW ...]``.

Back-tests each law of `ON` on its data set, bundled or public (beside the repository, in ``../shared/data``): the
smaller runs predict the larger ones, or each schedule is left out once. What it finds goes to docs/laws/measured.csv,
from which docs/make_laws.py makes a column of the index; rows whose data are absent stay as they are. With names of
laws only those are measured again. A data set is added by a line of `ON`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

import scalefit as sf
from scalefit.laws import find_law
from scalefit.rows.scale import reads_scale

MEASURED = Path(__file__).parent / "laws" / "measured.csv"
BUNDLED = Path(__file__).parents[1] / "data"
PUBLIC = Path(__file__).parents[2] / "shared" / "data"
COLUMNS = ["law", "data", "where", "error", "coverage", "predictions", "beyond"]
BATCH = 131072.0  #: tokens per step of the runs of arXiv:2202.01169


@dataclass(frozen=True)
class On:
    """A data set: its name, which of its rows in words or as a condition, and what reads them."""

    data: str
    where: str = ""
    read: Callable[[], sf.Runs | pd.DataFrame] | None = None  #: a bundled set as it is needs none
    once: bool = False  #: whether each row is left out once, of laws along whose variables nothing is larger

    @property
    def present(self) -> bool:
        """Whether the data are at hand."""
        return self.read is None or any((folder / self.data).is_dir() for folder in (BUNDLED, PUBLIC))

    def runs(self) -> sf.Runs | pd.DataFrame:
        """The rows to back-test on."""
        if self.read is not None:
            return self.read()
        runs = sf.load(self.data)
        return runs.where(self.where) if self.where else runs


def table(file: str, **columns: str) -> pd.DataFrame:
    """A public table with columns under other names, all of its own kept."""
    return pd.read_csv(PUBLIC / file).rename(columns={old: new for new, old in columns.items()})


def routed() -> pd.DataFrame:
    """Dense and routed models every 50,000 steps; the last rows of each run are those of the most tokens."""
    rows = table("routing_dm/curves_dense_sbase.csv", N="params", N_total="params_total")
    rows = rows.query("k == 1 and routing_frequency == 0.5 and seed == 42 and step > 0").dropna(subset="loss")
    rows = rows.assign(D=BATCH * rows["step"], sparsity=1 - 1 / rows["experts"])
    return rows[["run", "step", "N", "N_total", "D", "experts", "sparsity", "loss"]]


def trained(*columns: str) -> pd.DataFrame:
    """Some columns of the routed models, every 50,000 steps."""
    return routed().query("step % 50000 == 0")[list(columns)]


def ended() -> pd.DataFrame:
    """The routed models at their last row."""
    return routed().sort_values("step").groupby("run").tail(1)[["N", "experts", "loss"]]


def swept(within: float) -> pd.DataFrame:
    """Rates and batches of arXiv:2503.04715 whose loss lies within some share of the best of their size and data."""
    rows = table("steplaw/dense_lr_bs_sweep.csv", N="params", D="tokens", batch="batch_tokens").query("not diverged")
    best = rows.groupby(["N", "D"])["loss"].transform("min")
    return rows[rows["loss"] <= (1 + within) * best][["N", "D", "lr", "batch", "loss"]]


def best_settings() -> pd.DataFrame:
    """The mean logarithms of the rates and batches within .25 % of the best, by size and data."""
    cells = np.log(swept(0.0025)).groupby(["N", "D"])[["lr", "batch"]].mean()
    return np.exp(cells.reset_index())


def shaped() -> pd.DataFrame:
    """Models of 20 shapes at the ends of their cooldowns."""
    names = {"N": "params", "D": "tokens", "d_model": "width", "n_layer": "depth"}
    return table("gemstones/loss_cool_end.csv", **names)[[*names, "loss"]]


def repeated() -> pd.DataFrame:
    """Runs of one to thousands of epochs."""
    names = {"N": "params", "D": "tokens", "U": "unique_tokens"}
    return table("datablations/published_fit_182.csv", **names)[[*names, "loss"]]


def answered() -> pd.DataFrame:
    """The mean error over 46 tasks of models trained on C4, and their loss there."""
    rows = table("gadre_overtraining/runs.csv", N="params", D="tokens", loss="loss_c4_val")
    rows = rows.query("train_dataset == 'C4'").dropna(subset=rows.filter(like="acc_").columns)
    return rows[["N", "D", "loss"]].assign(error=1 - rows.filter(like="acc_").mean(axis=1))


def laddered() -> pd.DataFrame:
    """Loss on the right answers of HellaSwag and the accuracy there, along the runs of a ladder."""
    task = "hellaswag_val_rc_5shot"
    rows = table("olmo_ladder/eval_curves.csv").dropna(subset=[f"bpb_{task}", f"acc_{task}"])
    return pd.DataFrame({"loss": np.log(2) * rows[f"bpb_{task}"], "accuracy": rows[f"acc_{task}"]})


def translated() -> pd.DataFrame:
    """Losses of one architecture of translation models in the number of training pairs."""
    rows = table("nmt_data_scaling/learning_curves.csv")
    return rows[rows["run"] == rows["run"].iloc[0]][["examples", "loss"]]


def added() -> pd.DataFrame:
    """Losses of models that add numbers of four digits in the number of examples."""
    return table("bnsl_4digit_addition/curve.csv", examples="train_examples")[["examples", "loss"]]


def on_another_set() -> pd.DataFrame:
    """The losses of the bundled runs on Python's standard library from those on their own held-out text."""
    rows = sf.load("loss_to_loss").table
    return pd.DataFrame({"N": rows["N"], "D": rows["D"], "loss_source": rows["loss"], "loss": rows["loss_stdlib"]})


def along() -> pd.DataFrame:
    """One run at a constant rate, after its first steps."""
    curves = sf.load("schedules").curves
    assert curves is not None
    return curves.query("run == 'd96-constant-2400' and step > 200")[["step", "loss"]]


def rarely() -> sf.Runs:
    """A fifth of the rows of the curves of one size, for the laws that take long."""
    runs = sf.load("schedules").where("d_model == 64")
    assert runs.curves is not None
    return replace(runs, curves=runs.curves.query("step % 100 == 0"))


def reached() -> pd.DataFrame:
    """The fewest steps to some losses by the batch size."""
    runs = sf.read_runs(BUNDLED / "lr_batch_sgd" / "curves.csv")
    losses = (2.9, 2.95, 3.0, 3.05, 3.1, 3.15)
    rows = pd.concat([sf.batch_size(runs, loss=loss).reached.assign(loss=loss) for loss in losses])
    return rows.assign(step=rows["steps"].round())[["loss", "batch", "step"]]


def taught() -> pd.DataFrame:
    """Students of four teachers, three sizes and three lengths."""
    return sf.load("distillation").table[["N", "D", "loss_teacher", "loss_supervised", "loss"]]


def mixed() -> pd.DataFrame:
    """The loss on code of models of three sizes and two lengths on ten mixtures."""
    rows = sf.load("mixture").table
    return rows[["N", "D", "share_code", "share_prose", "share_chain"]].assign(loss=rows["loss_code"])


def mixed_at_one_size() -> pd.DataFrame:
    """The loss on code of the largest models, trained the longest, on ten mixtures."""
    return mixed().query("N == N.max() and D == D.max()")[["share_code", "share_prose", "loss"]]


def bundled(file: str, **columns: str) -> pd.DataFrame:
    """Some columns of a bundled table, under the names that a law reads: new=old."""
    rows = pd.read_csv(BUNDLED / file)
    return pd.DataFrame({new: rows[old] for new, old in columns.items()})


def one_run(file: str, run: str, **columns: str) -> pd.DataFrame:
    """The same of the rows of one run."""
    return bundled(file, run="run", **columns).query("run == @run").drop(columns="run")


def settled() -> pd.DataFrame:
    """How the mean loss of the largest model changes with one more window."""
    largest = sf.load("halves").table.sort_values("N")["run"].iloc[-1]
    return one_run("halves/loss_change.csv", largest, examples="examples", loss_change="loss_change")


def rewarded() -> pd.DataFrame:
    """Rewards along a policy gradient, after its first steps."""
    rows = one_run("answers/rewards.csv", "steps-200-seed-0", step="step", C="C", reward="reward")
    return rows.query("step >= 16")[["C", "reward"]]


def shared() -> pd.DataFrame:
    """The loss on prose of the largest models trained further on it and on code, in its share and the tokens."""
    rows = sf.load("continual").table.query("N == N.max()")
    return pd.DataFrame({"domain_share": rows["share_prose"], "D": rows["D"], "loss": rows["loss_prose"]})


def by_batch() -> pd.DataFrame:
    """The least loss over learning rates of each size, data and batch of arXiv:2503.04715, whose rates decay."""
    best = swept(0.02).groupby(["N", "D", "batch"], as_index=False)["loss"].min()
    return best.assign(step=(best["D"] / best["batch"]).round()).drop(columns="D")


def at_a_large_batch() -> pd.DataFrame:
    """Losses along dense models, their steps cut by the critical batch of arXiv:2001.08361 to those of a large one."""
    rows = table("routing_dm/curves_dense_sbase.csv", N="params").query("experts == 1 and seed == 42 and step > 0")
    rows = rows.query("step % 50000 == 0").dropna(subset="loss").drop_duplicates(["N", "step"])
    steps = rows["step"] / (1 + 2.1e8 * rows["loss"] ** (-1 / 0.21) / BATCH)
    return rows[["N", "loss"]].assign(S_min=steps)


def capable() -> pd.DataFrame:
    """The accuracy on HellaSwag of models of three data sets, and the mean of their standardised other accuracies."""
    rows = table("gadre_overtraining/runs.csv").filter(like="acc_").dropna()
    task = "acc_hellaswag_zeroshot"
    others = rows.drop(columns=rows.filter(like="hellaswag").columns)
    standard = (others - others.mean()) / others.std().where(others.std() > 0)
    return pd.DataFrame({"capability": standard.mean(axis=1), "accuracy": rows[task]})


def best_sizes() -> pd.DataFrame:
    """The best sizes of language models at each budget, by one recipe of arXiv:2406.19146."""
    rows = table("porian_isoflop/published_optima.csv", C="flops", N="params_opt")
    return rows[rows["condition"] == rows["condition"].iloc[-1]][["C", "N"]]


SIZES = On("size_data")
ONE_SIZE = "loss on code, one size and length, each mixture left out once"
CURVES = On("schedules", "d_model == 64")
THINNED = On("schedules", "d_model == 64, every 100 steps", rarely)
MARKOV = On("zipf_markov")
ROUTED = "routing_dm"
#: law -> the data on which it is back-tested
ON = {
    "adamw-timescale": On(
        "weight_decay_length",
        "bottoms of sweeps over weight decay",
        partial(bundled, "weight_decay_length/optima.csv", N="N", D="D", timescale="timescale"),
    ),
    "annealing": CURVES,
    "annealing-size": On("schedules"),
    "annealing-transfer": CURVES,
    "bleu": On("infix_postfix", read=partial(bundled, "infix_postfix/runs.csv", loss="loss", bleu="bleu")),
    "broken:over=examples": On("bnsl_4digit_addition", read=added),
    "chinchilla": SIZES,
    "continual": On("continual_curves", "loss on the data of the first stage", partial(sf.load, "continual_curves")),
    "continual-ratio": On(
        "continual",
        "loss on prose",
        partial(bundled, "continual/runs.csv", N="N", D="D", domain_share="share_prose", loss="loss_prose"),
    ),
    "critical-batch": On("lr_batch_sgd", "steps to six losses", reached),
    "data-constrained": On("datablations", read=repeated),
    "diffusion-transformer:of=N": On("porian_isoflop", "language models, one recipe", best_sizes),
    "distillation": On("distillation", read=taught),
    "downstream-error": On("gadre_overtraining", "C4, 46 tasks", answered),
    "encoder-decoder": On("encoder_decoder", "d_model <= 20"),
    "expert-count": On(ROUTED, "every 50,000 steps", partial(trained, "N", "D", "experts", "loss")),
    "expert-count:saturates=yes": On(ROUTED, "every 50,000 steps", partial(trained, "N", "D", "experts", "loss")),
    "farseer": SIZES,
    "fine-tuning": On("nmt_data_scaling", "one architecture, not pre-trained", translated),
    "fine-tuning-joint": On(
        "fine_tuning",
        "prose after code, full fine-tuning",
        partial(bundled, "fine_tuning/runs.csv", N="N", examples="examples", loss="loss"),
    ),
    "functional": THINNED,
    "kaplan": SIZES,
    "kaplan-floor": SIZES,
    "kaplan-steps": On(ROUTED, "dense models, every 50,000 steps", at_a_large_batch),
    "loss-to-loss": On("loss_to_loss", "loss_stdlib from loss", on_another_set),
    "lr-batch-surface": On("steplaw", "within 2 % of the best", partial(swept, 0.02)),
    "mixing-domains": On("continual", "loss on prose, one size, each run left out once", shared, once=True),
    "mixture-scale:over=share_code+share_prose+share_chain": On("mixture", "loss on code", mixed),
    "mixture:over=share_code+share_prose": On("mixture", ONE_SIZE, mixed_at_one_size, once=True),
    "moe": On("granularity"),
    "multi-power": THINNED,
    "multi-power-fading": CURVES,
    "mutual-information": On(
        "halves",
        "halves of a window of text",
        partial(bundled, "halves/runs.csv", N="N", information="information"),
    ),
    "observational": On("gadre_overtraining", "HellaSwag, each model left out once", capable, once=True),
    "one-epoch": On("schedules", "along one run", along),
    "optimal-lr-batch": On("steplaw", "best rates", best_settings),
    "optimal-lr-batch:of=batch": On("steplaw", "best batches", best_settings),
    "over-training": SIZES,
    "overfitting": On("datablations", read=repeated),
    "parallel": On("parallel_streams", "corpus == 'pile'"),
    "power-floor:over=C": MARKOV,
    "power-floor:over=examples": On("nmt_data_scaling", "one architecture", translated),
    "power:over=C": MARKOV,
    "precision:parts=weights": On("weight_bits"),
    "quantized-training": On(
        "grouped_bits",
        "2 bits",
        partial(bundled, "grouped_bits/runs.csv", N="N", D="D", group_size="group_size", loss="loss"),
    ),
    "reinforcement": On("answers", "pass rate along an exact policy gradient", rewarded),
    "repeated-sampling": On(
        "answers",
        "up to 1,024 samples",
        partial(one_run, "answers/coverage.csv", "steps-200-seed-0", samples="samples", coverage="coverage"),
    ),
    "repeated-sampling:form=beta": On(
        "answers",
        "up to 1,024 samples",
        partial(one_run, "answers/coverage.csv", "steps-200-seed-0", samples="samples", coverage="coverage"),
    ),
    "routed": On(ROUTED, "last steps", ended),
    "routed:floor=yes": On(ROUTED, "last steps", ended),
    "sample-size": On("halves", "mean over 2,000 orders of the held-out windows", settled),
    "skaling": SIZES,
    "sparsity": On(ROUTED, "every 50,000 steps", partial(trained, "N_total", "D", "sparsity", "loss")),
    "task-ladder": On("olmo_ladder", "HellaSwag, along the runs", laddered),
    "trajectory": On("steplaw", "best rate of each batch, rates decay", by_batch),
    "vocabulary": On(
        "vocabulary",
        "byte pairs; a share of a loss that is near zero less the unigram one",
        partial(bundled, "vocabulary/runs.csv", N="N", N_vocab="N_vocab", D="D", loss="loss"),
    ),
    "width-depth": On("gemstones", "ends of cooldowns", shaped),
}


def measured(law: str) -> dict[str, object]:
    """One row: the mean over refits of the median absolute error, and the farthest extrapolation."""
    on = ON[law]
    row: dict[str, object] = {"law": law, "data": on.data, "where": on.where}
    if on.once:
        return row | left_out_once(on.runs(), law)
    tested = sf.backtest(on.runs(), law)
    row |= {
        "error": tested.error,
        "coverage": round(float(tested.table["inside"].mean()), 4),
        "predictions": len(tested.table),
    }
    far = tested.table["decades"].max() if reads_scale(find_law(law)) else 0.0  # without a size there is no such factor
    return row | {"beyond": float(10**far)}


def left_out_once(runs: sf.Runs | pd.DataFrame, law: str) -> dict[str, object]:
    """The median absolute error where each row is predicted by a fit to the others, without draws and so intervals."""
    assert isinstance(runs, pd.DataFrame)
    found = []
    for label in runs.index:
        told = sf.fit(runs.drop(index=label), law).predict(runs.loc[[label]]).iloc[0]
        found.append(abs(told[find_law(law).target] / told["measured"] - 1))
    return {"error": float(np.median(found)), "coverage": "", "predictions": len(runs), "beyond": 1.0}


def main(laws: Sequence[str]) -> None:
    """Write the rows of these laws; the others, and those whose data are absent, stay as they are."""
    kept = pd.read_csv(MEASURED, keep_default_na=False) if MEASURED.exists() else pd.DataFrame(columns=COLUMNS)
    kept = kept[kept["law"].isin(ON)]
    for law in (law for law in laws or ON if ON[law].present):
        rows = [*kept[kept["law"] != law].to_dict("records"), measured(law)]
        kept = pd.DataFrame(rows, columns=COLUMNS).sort_values("law")
        kept.to_csv(MEASURED, index=False, float_format="%.4g")
        sys.stdout.write(f"{law}: {kept.set_index('law').loc[law, 'error']:.3g}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
