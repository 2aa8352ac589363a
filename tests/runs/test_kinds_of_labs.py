"""Kinds that laboratories write and that were read as something else, or not at all; each with numbers of its own."""

from __future__ import annotations

import json

import numpy as np
import pytest

import scalefit as sf
from scalefit.runs import read_runs

SIZES = {"12M": 1.2e7, "45M": 4.5e7, "1.6B": 1.6e9}
STEPS = [*range(20, 420, 20)]


def loss(size, step):
    return round(1.8 + 40 / np.log(size) - 0.2 * np.log(step / 20 + 1), 4)


@pytest.fixture
def read(tmp_path):
    def of(content, name="runs.csv", **options):
        files = content if isinstance(content, dict) and name == "" else {name: content}
        for path, text in files.items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(text if isinstance(text, str) else json.dumps(text), encoding="utf-8")
        return read_runs(tmp_path / name if name else tmp_path, **{"need": (), "tell_ties": True, **options})

    return of


def doubts(runs):
    return [note.text for note in runs.notes if note.kind in ("suspect", "ambiguous", "undecided")]


def curves_are_planted(runs, sizes=True):
    assert len(runs) == len(SIZES) and not doubts(runs)
    for (_, rows), n in zip(runs.curves.groupby("run", observed=True, sort=False), SIZES.values(), strict=True):
        assert rows["loss"].tolist() == [loss(n, step) for step in STEPS]
    assert not sizes or sorted(runs.table["N"]) == sorted(SIZES.values())
    return True


@pytest.mark.parametrize("header", ["model,tokens (B),loss", "Model,tokens_B,train_loss"])
def test_tokens_that_rise_evenly_within_each_model_are_those_of_curves(read, header):
    name = {"m": "llama-{}", "M": "v{}"}[header[0]]
    rows = [f"{name.format(size)},{step / 1e3},{loss(n, step)}" for size, n in SIZES.items() for step in STEPS]
    runs = read("\n".join([header, *rows]))
    assert curves_are_planted(runs) and runs.table["D"].tolist() == pytest.approx([4e8] * 3)


@pytest.mark.parametrize(("name", "curves"), [("tokens (B)", True), ("D (B)", False)])
def test_sizes_at_lengths_that_rise_evenly_are_curves_in_doubt_and_results_under_the_name_d(read, name, curves):
    rows = [f"{size},{step / 1e3},{loss(n, step)}" for size, n in SIZES.items() for step in STEPS]
    runs = read("\n".join([f"N,{name},loss", *rows]))
    assert (runs.curves is not None) == curves and len(runs) == (len(SIZES) if curves else len(rows))
    assert any("call that column D" in note.text for note in runs.notes if note.kind == "suspect") == curves


@pytest.mark.parametrize("tokens", [[1, 2, 4, 8], [5, 20, 80, 320]])
def test_a_grid_of_models_and_tokens_stays_one_of_results(read, tokens):
    rows = [f"m{size},{d},{loss(n, 20 * d)}" for size, n in SIZES.items() for d in tokens]
    runs = read("\n".join(["model,tokens (B),loss", *rows]))
    assert runs.curves is None and len(runs) == 12 and not doubts(runs)
    assert runs.table["N"].tolist() == [n for n in SIZES.values() for _ in tokens]


@pytest.mark.parametrize("form", ["{}", "gpt-{}", "pythia_{}_dedup"])
@pytest.mark.parametrize("lower", [False, True])
def test_sizes_in_the_keys_of_results(read, form, lower):
    keys = {form.format(size.lower() if lower else size): n for size, n in SIZES.items()}
    runs = read({key: {"val_loss": loss(n, 20), "tokens": 20 * n} for key, n in keys.items()}, "r.json")
    assert runs.table["N"].tolist() == list(SIZES.values())
    assert runs.table["D"].tolist() == pytest.approx([20 * n for n in SIZES.values()])


@pytest.mark.parametrize("layout", ["json", "json in runs", "folders", "files"])
def test_sizes_in_the_names_of_curves(read, layout):
    curves = {size: [{"step": s, "loss": loss(n, s)} for s in STEPS] for size, n in sorted(SIZES.items())}
    text = {size: "step,loss\n" + "".join(f"{r['step']},{r['loss']}\n" for r in rows) for size, rows in curves.items()}
    runs = {
        "json": lambda: read(curves, "r.json"),
        "json in runs": lambda: read({"runs": curves}, "r.json"),
        "folders": lambda: read({f"{size}/log.csv": each for size, each in text.items()}, ""),
        "files": lambda: read({f"wsd_{size}.csv": each for size, each in text.items()}, ""),
    }[layout]()
    found = dict(zip(runs.table["N"], runs.table["loss"], strict=True))
    assert found == {n: loss(n, STEPS[-1]) for n in SIZES.values()} and runs.curves["step"].nunique() == len(STEPS)


@pytest.mark.parametrize(
    "names", [["10B", "20B", "40B"], ["d10M", "d20M", "d40M"], ["10M-tokens", "20M-tokens", "30M-tokens"]]
)
def test_sizes_that_are_or_may_be_those_of_the_data_are_no_models(read, names):
    assert "N" not in read({name: {"loss": 3.5 - at / 8} for at, name in enumerate(names)}, "r.json").table
    data = [1e10, 2e10, 4e10]
    both = {name: {"loss": 3.5, "tokens": d} for name, d in zip(names, data, strict=False)}
    assert "N" not in read(both, "r.json").table or names[0] != "10B"


LISTS = {
    "lists": lambda rows: {"steps": [r["step"] for r in rows], "loss": [r["loss"] for r in rows]},
    "plural lists": lambda rows: {"iterations": [r["step"] for r in rows], "losses": [r["loss"] for r in rows]},
    "history": lambda rows: {"history": rows},
}


@pytest.mark.parametrize("form", LISTS)
@pytest.mark.parametrize("ending", ["jsonl", "json"])
def test_a_run_a_line_with_its_curve(read, form, ending):
    records = []
    for size, n in SIZES.items():
        rows = [{"step": s, "loss": loss(n, s)} for s in STEPS]
        records.append({"name": f"r{size}", "config": {"n_params": n}, **LISTS[form](rows)})
    text = records if ending == "json" else "".join(json.dumps(record) + "\n" for record in records)
    assert curves_are_planted(read(text, f"runs.{ending}"))


@pytest.mark.parametrize("lists", [{"per_layer_loss": [1.0, 2.0]}, {"losses": [3.0, 2.5], "step": 10}])
def test_lists_of_one_step_are_no_curves(read, lists):
    text = "".join(json.dumps({"step": s, "loss": 4 - s / 99, **lists} | {"step": s}) + "\n" for s in (10, 20, 30))
    assert read(text, "log.jsonl").curves["step"].tolist() == [10, 20, 30]


@pytest.mark.parametrize("name", ["small_train_loss.csv", "loss_small.csv", "small/loss.csv", "run_small_tag_loss.csv"])
def test_the_tag_of_an_export_of_tensorboard_by_the_name_of_its_file(read, name):
    runs = read("Wall time,Step,Value\n" + "".join(f"{1.7e9 + s},{s},{loss(1e7, s)}\n" for s in STEPS), name)
    assert runs.curves["loss"].tolist() == [loss(1e7, s) for s in STEPS] and runs.names == ["small"]


def test_an_export_whose_name_tells_no_measure_is_asked_about(read):
    runs = read("Wall time,Step,Value\n1,10,3.5\n2,20,3.25\n", "version_0.csv")
    assert "loss" not in runs.table and any("does not say which tag" in note.text for note in runs.notes)


@pytest.mark.parametrize("axis", ["steps", "training steps"])
def test_a_wide_table_of_runs_whose_axis_is_a_plural(read, axis):
    head = ",".join([axis, "tiny", "mid", "wide"])
    rows = [",".join(map(str, [step, *(loss(n, step) for n in SIZES.values())])) for step in STEPS]
    assert curves_are_planted(read("\n".join([head, *rows])), sizes=False)


TWICE = {"params,params_B": (1, 1e9), "Params (M),Params (B)": (1e6, 1e9), "N,N (M)": (1, 1e6)}


@pytest.mark.parametrize("names", TWICE)
@pytest.mark.parametrize("digits", [3, 12])
def test_a_size_in_two_units_is_one(read, names, digits):
    one, other = TWICE[names]
    rows = [f"{n / one:g},{round(n / other, digits)},{20 * n:g},{20 * n / 1e9:g},{loss(n, 20)}" for n in SIZES.values()]
    runs = read("\n".join([f"{names},tokens,tokens_B,loss", *rows]))
    assert runs.table["N"].tolist() == pytest.approx(list(SIZES.values())) and not doubts(runs)
    assert runs.table["D"].tolist() == pytest.approx([20 * n for n in SIZES.values()])


@pytest.mark.parametrize("factor", [1.3, 0.5])
def test_sizes_in_two_units_that_differ_are_to_be_chosen_from(read, factor):
    rows = [f"{n:g},{n * factor / 1e9:g},{20 * n:g},{loss(n, 20)}" for n in SIZES.values()]
    runs = read("\n".join(["params,params_B,tokens,loss", *rows]))
    assert "N" not in runs.table and "could both be N" in " ".join(doubts(runs))


@pytest.mark.parametrize("head", ['$N$,$D$,"$L(N,D)$"', "N,$D$ (tokens),$\\ell$", "$N$,D,$L_{\\text{val}}$", "N,D,L"])
def test_names_of_mathematics(read, head):
    rows = [f"{n},{20 * n},{loss(n, 20)}" for n in SIZES.values()]
    table = read("\n".join([head, *rows])).table
    assert table["loss"].tolist() == [loss(n, 20) for n in SIZES.values()] and table["N"].tolist() == list(
        SIZES.values()
    )


@pytest.mark.parametrize("mapped", [{}, {"$N$": "N"}])
def test_layers_called_l_are_no_loss_and_their_name_can_be_mapped(read, mapped):
    table = read("$N$,L,bleu\n1e7,6,20.5\n4e7,12,24.5\n", rename=mapped).table
    assert "loss" not in table and table["N"].tolist() == [1e7, 4e7]


WIKIS = {
    "mediawiki": '{| class="wikitable"\n|+ Runs\n! params (M) !! tokens (B) !! val loss\n%s|}\n',
    "attributes": 'Text.\n\n{|\n|-\n! params (M)\n! tokens (B)\n! style="width: 3em" | val loss\n%s|}\nText.\n',
    "jira": "||params (M)||tokens (B)||val loss||\n%s",
}


@pytest.mark.parametrize("kind", WIKIS)
def test_tables_of_wikis(read, kind):
    row = {"mediawiki": "|-\n| {} || {} || {}\n", "attributes": "|-\n| {}\n| {}\n| '''{}'''\n", "jira": "|{}|{}|{}|\n"}[
        kind
    ]
    rows = "".join(row.format(n / 1e6, n / 5e7, loss(n, 20)) for n in SIZES.values())
    table = read(WIKIS[kind] % rows, "page.wiki" if kind != "jira" else "page.txt").table
    assert table["N"].tolist() == pytest.approx(list(SIZES.values()))
    assert table["D"].tolist() == pytest.approx([20 * n for n in SIZES.values()])
    assert table["loss"].tolist() == [loss(n, 20) for n in SIZES.values()]


@pytest.mark.parametrize("cell", ["{}M", "{} mn"])
def test_a_decimal_comma_before_a_unit(read, cell):
    rows = [f"{cell.format(n / 1e6)};{20 * n:.0f};{loss(n, 20)}".replace(".", ",") for n in (1.25e7, 4.5e7)]
    table = read("\n".join(["params;tokens;loss", *rows])).table
    assert table["N"].tolist() == [1.25e7, 4.5e7] and table["loss"].tolist() == [loss(n, 20) for n in (1.25e7, 4.5e7)]


@pytest.mark.parametrize("key", ["actor/pg_loss", "critic/vf_loss"])
def test_the_loss_of_a_policy_is_none_of_a_model(read, key):
    lines = [f"step:{s} - {key}:{0.1 / s:.5f} - actor/lr:1e-6 - critic/score/mean:0.5\n" for s in STEPS]
    runs = read("".join(lines), "verl.log")
    assert "loss" not in runs.table or runs.table["loss"].isna().all()


@pytest.mark.parametrize(("name", "by"), [("PFLOPs", 1e15), ("TFLOPs", 1e12), ("GFLOP", 1e9), ("total TFLOPs", 1e12)])
@pytest.mark.parametrize("sizes", ["N,D", "params,tokens"])
def test_compute_in_a_unit_that_may_be_a_rate_is_one_where_it_is_that_of_the_runs(read, name, by, sizes):
    rows = [f"{n:g},{20 * n:g},{1.2 * 6 * n * 20 * n / by:.6g},{loss(n, 20)}" for n in SIZES.values()]
    table = read("\n".join([f"{sizes},{name},loss", *rows])).table
    assert table["C"].tolist() == pytest.approx([144 * n**2 for n in SIZES.values()], rel=1e-5)


@pytest.mark.parametrize("name", ["TFLOPs", "tflops", "GPU hours", "compute (H100-hours)"])
def test_a_rate_and_hours_are_no_compute(read, name):
    rows = [
        f"{n:g},{20 * n:g},{rate},{loss(n, 20)}" for n, rate in zip(SIZES.values(), (310.5, 325.0, 298.1), strict=True)
    ]
    assert "C" not in read("\n".join([f"N,D,{name},loss", *rows])).table


@pytest.mark.parametrize(("names", "by"), [("Nm,Db", (1e6, 1e9)), ("NM,DB", (1e6, 1e9)), ("NB,DM", (1e9, 1e6))])
def test_a_letter_of_a_unit_behind_that_of_a_quantity(read, names, by):
    rows = [f"{n / by[0]:g},{20 * n / by[1]:g},{loss(n, 20)}" for n in SIZES.values()]
    table = read("\n".join([f"{names},loss", *rows])).table
    assert table["N"].tolist() == pytest.approx([*SIZES.values()])
    assert table["D"].tolist() == pytest.approx([20 * n for n in SIZES.values()])


@pytest.mark.parametrize("axis", ["", "step,"])
def test_a_base_rate_is_no_peak_beside_a_rate(read, axis):
    """The rate of the base width, of which that of each run is a multiple, was taken for the rate of all runs."""
    rates = [1e-3, 5e-4, 2.5e-4]
    rows = [f"{f'{10 * at},' if axis else ''}.004,{rate},{3.5 - at / 8}" for at, rate in enumerate(rates, start=1)]
    runs = read("\n".join([f"{axis}base_lr,lr,loss", *rows]))
    found = runs.curves["lr"] if axis else runs.table["peak_lr"]
    assert found.tolist() == rates and "base_lr" in runs.table
    assert read("N,base_lr,loss\n1e6,.004,3.5\n4e6,.002,3.25\n").table["peak_lr"].tolist() == [0.004, 0.002]


@pytest.mark.parametrize("count", [4, 6])
def test_few_rows_of_each_model_along_tokens_are_doubted(read, count):
    rows = [f"m{at},{b},{3.5 - at / 9 - b / 99}" for at in range(3) for b in range(1, count + 1)]
    assert "names several rows each" in " ".join(doubts(read("\n".join(["model,tokens (B),loss", *rows]))))


@pytest.mark.parametrize("head", ["loss", "train_loss,val_loss"])
def test_losses_without_a_step_are_asked_for_one(read, head):
    rows = [",".join([str(loss(1e7, step))] * (1 + head.count(","))) for step in STEPS]
    assert "add a column step" in " ".join(doubts(read("\n".join([head, *rows]))))
    with pytest.raises(sf.InputError, match="list of numbers without steps"):
        read([loss(1e7, step) for step in STEPS], "loss.json")


@pytest.mark.parametrize("form", ["params ({} embeddings)", "n_params ({} emb)"])
@pytest.mark.parametrize("first", [True, False])
def test_two_sizes_told_apart_in_their_brackets(read, form, first):
    names = [form.format("with"), form.format("w/o")][:: 1 if first else -1]
    cells = [(2 * n, n)[:: 1 if first else -1] for n in SIZES.values()]
    rows = [f"{one},{other},{loss(n, 20)}" for (one, other), n in zip(cells, SIZES.values(), strict=True)]
    table = read("\n".join([",".join([*names, "loss"]), *rows])).table
    assert table["N"].tolist() == [*SIZES.values()] and table["N_total"].tolist() == [2 * n for n in SIZES.values()]


@pytest.mark.parametrize("names", [("loss", "lr"), ("training.loss", "optim.lr")])
def test_lists_of_steps_and_values_as_sacred_writes_them(read, names):
    values = ([loss(1e7, step) for step in STEPS], [1e-3 / step for step in STEPS])
    content = {name: {"steps": STEPS, "values": each} for name, each in zip(names, values, strict=True)}
    runs = read(content, "metrics.json", rename={} if names[0] == "loss" else {"training.loss": "loss"})
    assert runs.curves["loss"].tolist() == values[0] and runs.curves["step"].tolist() == STEPS
    assert runs.curves["lr"].tolist() == values[1]


@pytest.mark.parametrize("word", ["metric", "quantity"])
def test_a_row_a_metric_and_a_column_a_step(read, word):
    """Each step was the final result of a run."""
    rows = [[word, *STEPS], ["train_loss", *(loss(1e7, s) for s in STEPS)], ["lr", *(1e-3 / s for s in STEPS)]]
    runs = read("\n".join(",".join(map(str, row)) for row in rows))
    assert runs.curves["step"].tolist() == STEPS and runs.curves["loss"].tolist() == [loss(1e7, s) for s in STEPS]
    with pytest.raises(sf.InputError, match="named by numbers, and nothing says of what"):
        read(f"{word},64,128,512\nloss,3.5,3.25,3.0\nlr,1e-3,1e-3,1e-3\n")


@pytest.mark.parametrize("above", ["Model,,Training,Eval", "Model,,,Eval"])
def test_names_below_a_row_of_groups(read, above):
    rows = [f"v{size},{n / 1e6:g},{n / 5e7:g},{loss(n, 20)}" for size, n in SIZES.items()]
    runs = read("\n".join([above, "Name,Params (M),Tokens (B),Val loss", *rows]))
    assert runs.table["N"].tolist() == pytest.approx([*SIZES.values()]) and runs.names == [f"v{size}" for size in SIZES]
    assert runs.table["loss"].tolist() == [loss(n, 20) for n in SIZES.values()]


@pytest.mark.parametrize("name", ["test-{}", "val_{}", "train{}"])
def test_runs_called_as_splits_with_a_number_are_runs(read, name):
    """They were the losses of several splits, or a traceback."""
    lists = {
        name.format(at): {"step": STEPS, "loss": [loss(n, s) for s in STEPS]} for at, n in enumerate(SIZES.values())
    }
    assert curves_are_planted(read(lists, "curves.json"), sizes=False)
    rows = [f"{run},{s},{y}" for run, each in lists.items() for s, y in zip(each["step"], each["loss"], strict=True)]
    assert curves_are_planted(read("\n".join(["model,step,loss", *rows])), sizes=False)


@pytest.mark.parametrize("tokens", ["52.4M", "1.05e+03M", "1.2e-1B"])
def test_counts_with_a_power_and_a_unit_in_a_console(read, tokens):
    lines = [f"iteration: {s} / 400 | consumed_tokens: {tokens} | lm_loss: {loss(1e7, s)} | lr: 0.001\n" for s in STEPS]
    assert read("".join(lines), "train.log").curves["loss"].tolist() == [loss(1e7, s) for s in STEPS]
