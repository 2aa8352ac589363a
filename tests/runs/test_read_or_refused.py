"""Tables and logs that were read as something else without a word: now exact, or refused by what is unclear."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.runs import read_runs

N, D, LOSS = [2e6, 5e6, 1.1e7, 3e7], [4e7, 1e8, 2e8, 7e8], [4.125, 3.75, 3.5, 3.0625]


@pytest.fixture
def read(tmp_path):
    def of(content, name="runs.csv", **options):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return read_runs(path, **{"need": (), **options})

    return of


def planted(runs, loss=1.0):
    np.testing.assert_allclose(runs.table[["N", "D", "loss"]], np.c_[N, D, np.array(LOSS) * loss], rtol=1e-9)
    return True


HEADERS = {  # header, cells of N, D and the loss, separator
    "units behind numbers": ("params,tokens,loss", ("{2:g}M params", "{1:g} tokens", "{4} nats"), ","),
    "units twice": ("Size (M),tokens (M),loss", ("{2:g}M params", "{3:g}B tokens", "{4}"), ","),
    "commas in brackets": ("N (params, M),D (tokens, B),loss (nats, val)", ("{2}", "{3}", "{4}"), ","),
    "commas before units": ("N, M;D, B;loss", ("{2}", "{3}", "{4}"), ";"),
    "size with a unit": ("Size (M),Tokens (B),loss", ("{2}", "{3}", "{4}"), ","),
    "tokens of a configuration": ("config.model.n_params,config/data/n_tokens,loss", ("{0}", "{1}", "{4}"), ","),
    "letters without a width": ("\u200bN,\ufeffD,loss\u200b", ("{0:g}", "\u200b{1:g}", "{4}"), ","),
    "thousands between blanks": ("N D loss", ("{0:,.0f}", "{1:,.0f}", "{4}"), " "),
}


@pytest.mark.parametrize("kind", HEADERS)
def test_numbers_and_names_as_people_write_them(read, kind):
    header, cells, mark = HEADERS[kind]
    texts = [[cell.format(n, d, n / 1e6, d / 1e9, y) for cell in cells] for n, d, y in zip(N, D, LOSS, strict=True)]
    table = "\n".join([header, *(mark.join(row) for row in texts)]) + "\n"
    assert planted(read(table, "runs.txt" if mark == " " else "runs.csv"))
    if mark == ";":
        assert planted(read(table.replace(".", ",")))


@pytest.mark.parametrize(("name", "base"), [("cross_entropy_base2", 2), ("loss (base 10)", 10), ("val_loss_base_2", 2)])
def test_a_loss_of_another_base_is_in_nats(read, name, base):
    table = pd.DataFrame({"N": N, "D": D, name: LOSS})
    assert planted(read_runs(table), np.log(base)) and planted(read(table.to_csv(index=False)), np.log(base))


@pytest.mark.parametrize("cell", ["40M tokens", "40M steps", "3.5 tokens"])
def test_a_number_that_counts_something_else_is_refused(read, cell):
    column = "loss" if "." in cell else "N"
    other = {"N": "2e6", "loss": "3.5", column: cell}
    with pytest.raises(sf.InputError, match=rf"row 2, column {column}: '{cell}' counts no {column}"):
        read(f"N,D,loss\n{other['N']},4e7,{other['loss']}\n5e6,1e8,3.75\n")


def test_a_number_with_its_word_under_a_unit_is_refused(read):
    with pytest.raises(sf.InputError, match="'40 tokens' does not say whether the unit in the header holds"):
        read("N (M),D (M),loss\n2,40 tokens,4.1\n5,100 tokens,3.75\n")


def test_a_header_of_more_names_than_any_row_has_cells_is_refused(read):
    with pytest.raises(sf.InputError, match="the header has 4 names, and no row has more than 3 cells"):
        read("N,params,D,loss\n2e6,4e7,4.1\n5e6,1e8,3.75\n")


@pytest.mark.parametrize(("first", "prefix"), [("N", ""), ("", "exp ")])
def test_a_table_on_its_side_with_any_corner(read, first, prefix):
    body = [[name, *map(str, values)] for name, values in (("N", N), ("D", D), ("note", "abcd"), ("val loss", LOSS))]
    head = ["" if first else "quantity", *(f"{prefix}{letter}" for letter in "pqrs")]
    runs = read("\n".join(map(",".join, [head, *body])))
    assert planted(runs) and runs.names == [f"{prefix}{letter}" for letter in "pqrs"]


@pytest.mark.parametrize("keys", [range(64, 64 * 10, 64), range(2, 20, 2), range(80, 80 * 10, 80)])
def test_keys_that_may_be_widths_or_depths_are_no_steps(read, keys):
    records = {str(key): {"loss": 4.0 - at / 16} for at, key in enumerate(keys)}
    with pytest.raises(sf.InputError, match="do not say whether they are steps, widths"):
        read(records, "runs.json")
    with pytest.raises(sf.InputError, match="do not say whether they are steps, widths"):
        read({arm: {key: value["loss"] for key, value in records.items()} for arm in ("sp", "mup")}, "runs.json")


@pytest.mark.parametrize("keys", [range(0, 640, 64), range(100, 1000, 100), range(16, 16 * 25, 16)])
def test_keys_that_are_steps_are_a_curve(read, keys):
    curves = read({str(key): {"loss": 4.0 - at / 16} for at, key in enumerate(keys)}, "runs.json").curves
    assert curves["step"].tolist() == list(keys)


@pytest.mark.parametrize("key", ["iter_{}", "ckpt-{}"])
def test_keys_of_records_with_sizes_name_runs(read, key):
    rows = enumerate(zip(N, D, LOSS, strict=True))
    runs = read({key.format(at): {"N": n, "D": d, "loss": y} for at, (n, d, y) in rows}, "runs.json")
    assert planted(runs) and runs.names == [key.format(at) for at in range(4)] and "steps" not in runs.table


@pytest.mark.parametrize("timed", [False, True])
def test_lists_of_a_step_and_a_value(read, timed):
    points = {"val_loss": [[0, 4.5], [20, 3.5]], "lr": [[0, 1e-3], [10, 5e-4], [20, 1e-4]]}
    if timed:
        points = {name: [[1.7e9 + step, step, value] for step, value in pairs] for name, pairs in points.items()}
    runs = read(points, "curve.json")
    assert runs.curves[["step", "loss"]].to_numpy().tolist() == [[0, 4.5], [20, 3.5]]
    assert runs.trajectory("curve").lr[[0, 10, 20]].tolist() == [1e-3, 5e-4, 1e-4]


@pytest.mark.parametrize("name", ["results.json", "metrics.json"])
def test_settings_beside_the_results_of_each_run(tmp_path, name):
    for at, (n, d, y) in enumerate(zip(N, D, LOSS, strict=True)):
        (tmp_path / f"r{at}").mkdir()
        settings = {"model": {"n_params": n}, "data": {"n_tokens": d}, "loss": "cross_entropy"}
        (tmp_path / f"r{at}" / "config.json").write_text(json.dumps(settings))
        (tmp_path / f"r{at}" / name).write_text(json.dumps({"val_loss": y}))
    assert planted(read_runs(tmp_path))


@pytest.mark.parametrize(
    "settings", [{"peak_lr": 3e-3, "optim": {"lr": 1e-4}}, {"lr": 1e-4, "optim": {"peak_lr": 3e-3}}]
)
def test_a_peak_that_is_named_as_such_stays(read, tmp_path, settings):
    (tmp_path / "config.json").write_text(json.dumps(settings))
    assert read("step,loss\n1,4\n2,3\n3,2.5\n", "log.csv").table["peak_lr"].tolist() == [3e-3]


def test_a_run_is_named_by_its_identifier_where_it_has_a_name_too(read):
    runs = read("Run ID,Name,n_params,loss\nab1,calm,2e6,3.5\nab2,calm,5e6,3.25\nab3,bold,1e7,3.0\n")
    assert runs.names == ["ab1", "ab2", "ab3"] and runs.table["Name"].tolist() == ["calm", "calm", "bold"]


@pytest.mark.parametrize("counter", ["samples", "consumed_sequences"])
def test_a_log_that_counts_samples_is_no_table_of_results(read, counter):
    rows = [f"{512 * k},{4 - k / 64},{1e-3 * (1 - k / 64):g}" for k in range(1, 40)]
    with pytest.raises(sf.InputError, match=f"'{counter}' rises evenly .* one curve"):
        read("\n".join([f"{counter},loss,lr", *rows]))


@pytest.mark.parametrize("epochs", [2, 4])
def test_steps_of_epochs_in_a_noisy_slow_log_are_refused(epochs):
    """All epochs but the last were dropped as logged again after a restart."""
    steps = np.tile(np.arange(0, 200, 10), epochs)
    noise = 0.15 * np.random.default_rng(epochs).standard_normal(len(steps))
    with pytest.raises(sf.InputError, match="step begins again from its first value"):
        read_runs(pd.DataFrame({"step": steps, "loss": 3 - 2e-4 * np.arange(len(steps)) + noise}))


@pytest.mark.parametrize("other", ["C4 loss", "bits per token", "xent"])
def test_a_training_loss_beside_another_loss_is_not_taken_for_the_result(read, other):
    table = f"N,D,train loss,{other}\n2e6,4e7,4.0,4.1\n5e6,1e8,3.5,3.75\n"
    with pytest.raises(sf.InputError, match=f"the loss may be the column 'train loss'.*or {other}|could both be loss"):
        read(table)
    assert read(table, rename={other: "loss"}).table["loss"].iloc[0] == pytest.approx(
        4.1 * (np.log(2) if "bits" in other else 1)
    )


def test_rows_named_each_are_results_although_they_hold_steps(read):
    steps = [915, 2288, 12588, 26702]
    rows = [f"{name},3.3M,{step},{5 - step / 8e3}" for name, step in zip("uvwx", steps, strict=True)]
    runs = read("\n".join(["experiment,params,iters,loss", *rows]))
    assert runs.curves is None and runs.table["steps"].tolist() == steps


def test_tokens_of_a_configuration_that_differ_in_each_row_make_these_results(read):
    rows = [f"3.3M,{tokens:g},{tokens / 5e5:.0f},{5 - at / 4}" for at, tokens in enumerate([5e8, 1e9, 6e9, 2e10])]
    runs = read("\n".join(["params,config/data/n_tokens,iters,loss", *rows]))
    assert runs.curves is None and runs.table["D"].tolist() == [5e8, 1e9, 6e9, 2e10]


@pytest.mark.parametrize("tokens", ["524288", "{:d}"])
def test_tokens_of_each_step_are_no_tokens_so_far(read, tokens):
    """D was that of the last step."""
    rows = [f"{10 * k},{4 - k / 16},{tokens.format(524288 - 37 * k % 911)}" for k in range(1, 20)]
    runs = read("\n".join(["step,loss,tokens", *rows]))
    assert "D" not in runs.table and any("does not rise" in note.text for note in runs.notes if note.kind == "suspect")


def test_a_raised_digit_behind_decimals_is_refused(read):
    """3.5² was 12.25."""
    with pytest.raises(sf.InputError, match=r"row 2, column loss: '3\.5²' may be a number with a footnote"):
        read("N,D,loss\n2×10⁶,10⁷,3.5²\n5e6,1e8,3.25\n")


@pytest.mark.parametrize("base", [2, 10])
def test_a_logarithm_that_is_said_behind_the_name(read, base):
    logs = np.log([N, D]) / np.log(base)
    rows = [f"{n},{d},{loss}" for n, d, loss in zip(*logs, LOSS, strict=True)]
    assert planted(read("\n".join([f"N (log{base}),tokens [log{base}],loss", *rows])))
    table = read(f"N,D,lr (log{base}),loss (log{base})\n1e6,1e8,-3,3.5\n2e6,1e8,-2,3.25\n").table
    assert not {"lr", "peak_lr", "loss"} & set(table.columns)


@pytest.mark.parametrize("beside", ["", ",0.5"])
def test_a_log_with_a_restart_whose_steps_are_called_a_length_is_read_and_doubted(read, beside):
    places = [*range(1, 15), *range(12, 20)]
    head = "steps,train_loss" + ",epoch" * bool(beside)
    runs = read("\n".join([head, *(f"{k},{4 - k / 16}{beside}" for k in places)]))
    assert runs.curves["step"].tolist() == [*range(1, 20)]
    assert any("steps rise evenly" in note.text for note in runs.notes if note.kind == "suspect")


DOUBTS = {
    "C is 0.001 times 6 N D in 1 run": [(1e6, 2e7, 1.2e14, 4.0), (2e6, 4e7, 4.8e11, 3.8), (4e6, 8e7, 1.92e15, 3.6)],
    "N is below 1000 in 1 run": [(1.2, 2e10, 9e17, 4.0), (2e9, 4e10, 4.8e20, 3.8), (4e9, 8e10, 1.92e21, 3.6)],
    "D is more than 1e.06 times N in 1 run": [(1e4, 2e10, 1.2e15, 4.0), (2e6, 4e7, 4.8e14, 3.8)],
    "loss is below 0 in 2 runs": [(1e6, 2e7, 1.2e14, -4.0), (2e6, 4e7, 4.8e14, -3.8)],
}


@pytest.mark.parametrize("said", DOUBTS)
def test_numbers_that_cannot_be_are_told(said):
    rows = pd.DataFrame(DOUBTS[said], columns=["N", "D", "C", "loss"])
    doubts = " ".join(note.text for note in read_runs(rows).notes if note.kind == "suspect")
    assert pd.Series([doubts]).str.contains(said).all()


def test_numbers_that_agree_are_not_doubted():
    steps, batch = np.array([100, 200, 400]), 65536
    rows = pd.DataFrame({"N": N[:3], "D": steps * batch, "steps": steps, "batch": batch, "loss": LOSS[:3]})
    rows["C"] = 6 * rows.N * rows.D * [1.0, 1.3, 0.9]
    assert not [note.text for note in read_runs(rows).notes if note.kind == "suspect"]
    rows["D"] = rows.D / 1000
    assert {"C is", "D is"} == {note.text[:4] for note in read_runs(rows).notes if note.kind == "suspect"}


@pytest.mark.parametrize("name", ["val_loss_rank", "predicted val loss", "excess_val_loss", "loss (%)"])
def test_a_name_that_says_what_else_it_is_is_no_loss(read, name):
    with pytest.raises(sf.InputError, match="there is no column loss"):
        read(f"N,D,{name}\n2e6,4e7,1\n5e6,1e8,2\n", need=("loss",))


@pytest.mark.parametrize("name", ["D (x Chinchilla)", "D (% of 10B)", "lr (%)", "tokens (multiples of N)"])
def test_a_multiple_or_a_share_of_something_else_is_no_count(read, name):
    assert name in read(f"N,{name},loss\n2e6,1,3.5\n5e6,4,3.25\n").table


def test_a_run_that_was_predicted_and_rows_by_dates_are_told(read):
    def doubts(text):
        return " ".join(note.text for note in read(text).notes if note.kind == "suspect")

    assert "b (predicted)" in doubts("run,N,D,loss\na,2e6,4e7,3.5\nb (predicted),7e9,1e12,2.1\n")
    assert "b (pred.)" in doubts("run,N,D,loss\na,2e6,4e7,3.5\nb (pred.),7e9,1e12,2.1\n")
    days = "\n".join(f"2024-01-{day:02d},{4 - day / 16}" for day in range(1, 12))
    assert "'date' rises" in doubts(f"date,loss\n{days}\n")


@pytest.mark.parametrize("nested", [False, True])
def test_settings_beside_a_list_of_results_are_read_as_cells_are(tmp_path, nested):
    """Text of a number and the unit in a name count; a word is no number, in no column of numbers."""
    said = {"tokens_B": "1.4", "lr": "1e-3", "n_layer": "12", "C": "small"}
    results = [{"N": 7e7, "loss": 3.61}, {"N": 1.6e8, "loss": 3.35}]
    path = tmp_path / "r.json"
    path.write_text(json.dumps({**({"config": said} if nested else said), "results": results}))
    table = sf.read_runs(path).table
    assert table["D"].tolist() == pytest.approx([1.4e9] * 2)
    assert table["peak_lr"].tolist() == [1e-3] * 2
    assert table["n_layer"].tolist() == [12] * 2
    assert "C" not in table


@pytest.mark.parametrize("cells", [["100M tokens"] * 3, ["100M tokens", "cosine", "100M tokens"]])
def test_a_warmup_in_tokens_is_no_number_of_steps_and_stops_nothing(read, cells):
    rows = zip(N, D, LOSS, cells, strict=False)
    runs = read("N,D,loss,warmup\n" + "\n".join(",".join(map(str, row)) for row in rows) + "\n")
    assert runs.table["warmup"][2] == "100M tokens"
    assert runs.table["D"].tolist() == D[:3]
    assert "column warmup holds text and was kept unchanged" in [note.text for note in runs.notes]


@pytest.mark.parametrize(
    "other", [{"best_run": {"D": 2e9, "lr": 3e-4}}, {"target": {"D": 1e12}}, {"last": {"D": 2e9, "val_loss": 3.1}}]
)
def test_settings_of_another_run_are_not_those_of_the_rows(read, other):
    rows = [{"N": n, "loss": y} for n, y in zip(N, LOSS, strict=True)]
    table = read({**other, "meta": {"lr": 1e-3, "z_loss_weight": 1e-4}, "results": rows}, "r.json").table
    assert "D" not in table
    assert table["peak_lr"].tolist() == [1e-3] * 4


def test_losses_that_may_be_perplexities_are_doubted_and_the_end_of_a_run_that_diverges_is_not():
    def doubts(table):
        return [note.text for note in read_runs(table).notes if "no model loses more than" in note.text]

    finals = pd.DataFrame({"N": [1e7, 2e7, 4e7], "D": [1e9, 2e9, 4e9], "loss": [28.0, 21.0, 17.0]})
    assert len(doubts(finals)) == 1 and not doubts(finals.assign(loss=np.log(finals["loss"])))
    curve = {"step": [1, 2, 3, 4], "tokens": [1e6, 2e6, 3e6, 4e6]}
    calm, lost = ([5.5, 4.0, 3.5, 3.2], [5.5, 4.1, 30.0, 60.0])
    both = pd.concat([pd.DataFrame({"run": name, **curve, "loss": loss}) for name, loss in (("a", calm), ("b", lost))])
    assert not doubts(both)
    assert len(doubts(both.assign(loss=both["loss"] + 20.0))) == 1
