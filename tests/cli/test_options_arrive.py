"""What is said on the command line arrives in the function that answers: options at values that are no default."""

from __future__ import annotations

import contextlib
import importlib
import inspect
from pathlib import Path

import commands
import pandas as pd
import pytest

import scalefit as sf

SIZES = 'data/size_data/runs.csv --where "d_model <= 64"'
CURVES = 'data/schedules/curves.csv --where "d_model == 96"'
SWEEP = "data/lr_width/runs.csv"
WSD = "wsd:peak_lr=8e-3,steps=3000,warmup=100,decay_steps=600"
#: command, the function that answers (its module and name), and what must arrive there; of runs how many
CASES = [
    (
        f'backtest {SIZES} --law "power:over=N" --seed 3 --drop-diverged',
        "comparison.backtest",
        {"law": "power:over=N", "seed": 3, "drop_diverged": True},
    ),
    ("batch data/lr_batch/curves.csv --loss 3.5", "planning.batch.batch_size", {"loss": 3.5}),
    (
        f'compare {SIZES} --law power:over=N --law kaplan --hold-out "d_model == 64" --seed 3 --drop-diverged',
        "comparison.compare",
        {"laws": ("power:over=N", "kaplan"), "judge": len, "seed": 3, "drop_diverged": True},
    ),
    (
        f"compare-recipes {SWEEP} --by seed --reference 1 --draws 70 --seed 3 --at C=1e12",
        "planning.recipes.compare.compare_recipes",
        {"by": "seed", "reference": "1", "draws": 70, "seed": 3, "C": "1e12"},
    ),
    (
        "coordcheck --parametrization sp --axis depth --sizes 2,4 --seeds 2 --steps 5 --lr 0.5 --set seq_len=16",
        "proxy.coordinate_check",
        {"sizes": [2, 4], "axis": "depth", "seeds": 2, "steps": 5},
    ),
    (
        "coordcheck own.py:build --parametrization sp --axis depth --sizes 2,4 --seeds 2 --steps 5 --lr 0.5",
        "proxy.own.activations.activations",
        {"sizes": [2, 4], "parametrization": "sp", "axis": "depth", "seeds": 2, "steps": 5, "lr": 0.5},
    ),
    (
        "coordcheck measured.csv --over girth --measure l1",
        "stability.coordinates.coordinate_slopes",
        {"over": "girth", "measure": "l1"},
    ),
    (
        f"fit {SIZES} --law power:over=D --at D=1e9 --skip 40 --seed 3 --draws 70 --starts 3 --points final "
        "--delta 0.01 --loss soft_l1 --residuals linear --weights N --fix alpha=0.3 --bounds A=1:2 --start A=1.5 "
        "--force",
        "selection.automatic.fit",
        {"law": "power:over=D", "at": {"D": 1e9}, "skip": 40, "seed": 3, "draws": 70, "starts": 3, "points": "final"}
        | {"delta": 0.01, "loss": "soft_l1", "residuals": "linear", "weights": "N", "fix": {"alpha": 0.3}}
        | {"bounds": {"A": (1, 2)}, "start": {"A": 1.5}, "force": True},
    ),
    (
        f"fit {CURVES} --law annealing --each run --delta 0.01 --loss soft_l1",
        "fitting.many.fit_many",
        {"law": "annealing", "by": "run", "delta": 0.01, "loss": "soft_l1", "points": "all"},
    ),
    (
        f"isoflop {SIZES} --curve parabola --compute 1e15 --draws 70 --seed 3",
        "planning.isoflop.isoflop",
        {"curve": "parabola", "compute": "1e15", "draws": 70, "seed": 3},
    ),
    (
        f"lr-transfer {SWEEP} --over d_model --arms seed --ignore parametrization --initial-loss 6",
        "transfer.sweeps.read_sweeps",
        {"over": "d_model", "arms": "seed", "initial_loss": 6, "ignore": ("parametrization",)},
    ),
    (
        f"lr-transfer {SWEEP} --at d_model=512 --measured-only --draws 70 --seed 3",
        "transfer.lr_transfer.lr_transfer",
        {"target": 512, "theory": False, "draws": 70, "seed": 3},
    ),
    (
        f"next {SIZES} --budget 3e12 --at N=1e6,D=1e7 --runs 3 --candidates seen --cost 7ND --failure 0.2 --law kaplan "
        "--draws 70 --seed 3",
        "planning.next_runs.advice.next_runs",
        {"budget": "3e12", "N": "1e6", "D": "1e7", "runs": 3, "candidates": "seen", "cost": "7ND", "failure": 0.2}
        | {"law": "kaplan", "draws": 70, "seed": 3},
    ),
    (
        f"next {SWEEP} --sweep --over d_model --arms seed --seed 3",
        "transfer.further.next_sweeps",
        {"over": "d_model", "arms": "seed", "seed": 3},
    ),
    (
        f"plan {SIZES} --law kaplan --compute 1e12 --draws 70 --seed 3",
        "planning.allocation.plan.plan",
        {"law": "kaplan", "compute": "1e12", "draws": 70, "seed": 3},
    ),
    (
        f"plan {SWEEP} --hyperparameters --at N=7B,D=2T --law kaplan --draws 70 --seed 3",
        "planning.allocation.plan.plan",
        {
            "hyperparameters": lambda sources: len(sources) == 1,
            "law": "kaplan",
            "N": "7B",
            "D": "2T",
            "draws": 70,
            "seed": 3,
        },
    ),
    (
        f"plan {CURVES} --schedules wsd --schedules cosine --steps 900 --lr 0.01 --warmup 9 --law annealing --draws 70 "
        "--seed 3",
        "planning.schedules.ranking.rank_schedules",
        {"schedules": ("wsd", "cosine"), "steps": 900, "lr": 0.01, "warmup": 9, "law": "annealing", "draws": 70}
        | {"seed": 3},
    ),
    (f"predict curves.json --schedule {WSD} --every 50", "fitting.prediction.predict", {"schedule": WSD, "every": 50}),
    ("predict sizes.json --at N=1e6,D=1e7", "fitting.prediction.predict", {"at": {"N": "1e6", "D": "1e7"}}),
    (
        f"predict curves.json --from-partial {CURVES}",
        "progress.forecast.predict_partial",
        {"fit": lambda fit: fit.law.name == "annealing"},
    ),
    (
        f"stability {SWEEP} --at N=4e6 --lr 0.01 --epsilon 1e-6 --rule heavy-ball --beta 0.5 --ignore seed",
        "stability.forecast.forecast",
        {"over": "N", "size": 4e6, "lr": 0.01, "epsilon": 1e-6, "rule": "heavy-ball", "beta": 0.5, "ignore": ("seed",)},
    ),
    (
        "sweep run --out s --engine ray --gpus 0.5 --address auto --members 2",
        "proxy.run_on_ray",
        {"out": "s", "gpus": 0.5, "address": "auto", "members": 2},
    ),
    ("sweep collect --out s --curves", "proxy.collect_sweep", {"out": "s", "curves": True}),
    (
        "sweep slurm --out s --sbatch=--mem=4G --chunk 3 --members 2 --device cpu",
        "proxy.write_slurm",
        {"out": "s", "options": ("--mem=4G",), "chunk": 3, "run": ["--members", "2", "--device", "cpu"]},
    ),
    (
        "task-ladder evaluations.csv --map loss=bpb --map accuracy=acc --at N=2B,D=60B --average 3 --early 0.2 "
        "--no-ideal --draws 70 --seed 3",
        "planning.downstream.ladder.task_ladder",
        {"average": 3, "skip": 0.2, "ideal": False, "draws": 70, "seed": 3, "N": "2B", "D": "60B"},
    ),
    (
        "translate data/size_data/runs.csv data/loss_to_loss/runs.csv --at N=2e5,D=1.5e6 --target N --law kaplan "
        "--procedure joint --draws 70 --seed 3",
        "planning.downstream.translate.translate",
        {"loss": "N", "law": "kaplan", "procedure": "joint", "draws": 70, "seed": 3, "N": "2e5"},
    ),
]


class Arrived(BaseException):
    """Instead of an answer: what the function was given, by name."""


def check(case):
    line, path, wanted = case
    module, _, name = f"scalefit.{path}".rpartition(".")
    place = importlib.import_module(module)
    signature = inspect.signature(getattr(place, name))

    def spy(*words, **options):
        raise Arrived(signature.bind(*words, **options).arguments)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(place, name, spy)
        with pytest.raises(Arrived) as told:
            commands.run(f"scalefit {line}")
    given = told.value.args[0]
    rest = [given.get(each.name, {}) for each in signature.parameters.values() if each.kind is each.VAR_KEYWORD]
    for key, value in wanted.items():
        found = {**given, **dict(*rest)}.get(key, "nothing")
        assert value(found) if callable(value) else found == value, f"{key} is {found}, not {value}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A place with run logs, saved fits, a model of one's own and measured activations."""
    made = commands.workspace(tmp_path_factory.mktemp("arrive"))
    runs = sf.read_runs(made / "data/size_data/runs.csv").where("d_model <= 64")
    sf.fit(runs, "power:over=N", draws=0).save(made / "sizes.json")
    curves = sf.read_runs(made / "data/schedules/curves.csv").where("d_model == 96")
    sf.fit(curves, "annealing:decay=0.99", draws=0).save(made / "curves.json")
    Path(made / "own.py").write_text("build = loss = lambda *_: None\n")
    pd.DataFrame({"module": "m", "girth": [1, 2], "l1": 1.0}).to_csv(made / "measured.csv", index=False)
    commands.evaluations().to_csv(made / "evaluations.csv", index=False)
    return made


def test_every_option_arrives(folder):
    with contextlib.chdir(folder):
        wrong = {}
        for case in CASES:
            try:
                check(case)
            except (AssertionError, pytest.fail.Exception) as error:
                wrong[case[0]] = str(error)
    assert not wrong
