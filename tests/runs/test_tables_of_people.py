"""Tables in the many ways in which people write them: read as they are meant, or refused by name; never mixed."""

import json

import numpy as np
import pytest

import scalefit as sf
from scalefit.runs.quantities import quantity


@pytest.fixture
def read(tmp_path):
    def of(text, name="table.csv", **options):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return sf.read_runs(path, **{"need": (), **options})

    return of


def said(runs, word):
    return any(word in note.text for note in runs.notes)


STEPS = [5, 10, 15, 20, 25, 30]
PARTS = [("split", "train", "val"), ("phase", "Train", "Eval"), ("set", "training", "test"), ("mode", "train", "dev")]


@pytest.mark.parametrize(("column", "train", "judged"), PARTS)
@pytest.mark.parametrize("order", ["by step", "by split"])
def test_rows_of_two_splits_are_two_losses(read, column, train, judged, order):
    rows = [(step, split) for step in STEPS for split in (train, judged) if split == train or step % 10 == 0]
    rows = rows if order == "by step" else sorted(rows, key=lambda row: row[1] != train)
    loss = {(step, split): 4 - step / 30 + (split == judged) / 8 for step, split in rows}
    text = f"step,{column},loss\n" + "".join(f"{step},{split},{loss[step, split]!r}\n" for step, split in rows)
    runs = read(text)
    assert runs.curves["loss"].tolist() == [loss[step, train] for step in STEPS] and len(runs) == 1
    own = runs.curves[f"{judged.lower()}_loss"]
    assert own.dropna().tolist() == [loss[step, judged] for step in STEPS if step % 10 == 0]
    other = read(text, rename={f"{judged.lower()}_loss": "loss"})
    assert other.curves["loss"].tolist() == own.dropna().tolist()


def test_a_nan_of_one_split_stays_with_it(read):
    runs = read("step,split,loss\n1,train,5\n1,val,6\n2,train,nan\n2,val,5.5\n3,train,4\n3,val,5\n")
    assert np.isnan(runs.curves["loss"]).tolist() == [False, True, False]
    assert runs.curves["val_loss"].tolist() == [6, 5.5, 5]


def test_splits_of_whole_runs_are_not_parted(read):
    text = "run,step,split,loss\na,1,train,5\na,2,train,4\nb,1,test,5\nb,2,test,3\n"
    assert read(text).curves["loss"].tolist() == [5, 4, 5, 3]


@pytest.mark.parametrize("column", ["seed", "width", "lr", "size", "dropout"])
@pytest.mark.parametrize("shuffled", [False, True])
def test_epochs_that_count_up_for_each_setting_are_curves(read, column, shuffled):
    rows = (
        [(e, s) for s in (0.1, 0.2) for e in range(6)]
        if not shuffled
        else [(e, s) for e in range(6) for s in (0.1, 0.2)]
    )
    runs = read(f"epoch,{column},loss\n" + "".join(f"{e},{s},{3 - e / 7 - s!r}\n" for e, s in rows))
    assert len(runs) == 2
    for run, setting in zip(sorted(runs.names), (0.1, 0.2), strict=True):
        curve = runs.curves[runs.curves["run"] == run]
        np.testing.assert_allclose(curve["loss"], [3 - e / 7 - setting for e in range(6)])


@pytest.mark.parametrize("column", ["seed", "size", "lr", "width"])
def test_a_constant_setting_beside_an_epoch_makes_no_runs(read, column):
    runs = read(f"epoch,{column},loss\n" + "".join(f"{e},64,{3 - e / 7!r}\n" for e in range(6)))
    assert len(runs) == 1 and len(runs.curves) == 6


@pytest.mark.parametrize(
    ("header", "name", "factor"),
    [
        ("lr (1e-3)", "lr", 1e-3),
        ("lr [10^-4]", "lr", 1e-4),
        ("lr/1e-3", "lr", 1e-3),
        ("tokens/1e9", "D", 1e9),
        ("D / 10^9", "D", 1e9),
        ("params (M)", "N", 1e6),
        ("N/1e6", "N", 1e6),
    ],
)
def test_a_factor_in_a_header_is_applied(read, header, name, factor):
    runs = read(f"{header},loss\n2,3.1\n5,2.9\n7,2.8\n")
    np.testing.assert_allclose(runs.table[name], np.array([2, 5, 7]) * factor, rtol=1e-12)


@pytest.mark.parametrize(
    "header", ["loss x100", "loss (x100)", "100*loss", "lr [x1e-4]", "lr ×1e4", "params (times 1e6)"]
)
def test_a_factor_without_a_direction_is_refused_by_name(read, header):
    with pytest.raises(sf.InputError, match="states a factor") as error:
        read(f"seed,{header}\n1,310\n2,290\n")
    assert header in str(error.value)


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("1.300.000", 1.3e6),
        ("1'300", 1300),
        ("1 300 000", 1.3e6),
        ("1\u202f300", 1300),
        ("3.1 (best)", 3.1),
        ("3.356 ± 0.01", 3.356),
        ("**3.356** ± 0.01", 3.356),
        ("3.356+/-0.01", 3.356),
        ("3.356(12)", 3.356),
        ("2^-11", 2**-11),
        ("2**-11", 2**-11),
        ("1/64", 1 / 64),
        ("*3.1*", 3.1),
        ("3x10^-4", 3e-4),
        ("5·10^{-3}", 5e-3),
    ],
)
def test_numbers_as_people_write_them(read, cell, value):
    assert quantity(cell) == value
    assert read(f'N;loss\n"{cell}";3\n7;2.5\n').table["N"].iloc[0] == value


@pytest.mark.parametrize("cell", [">5", "<3", "~3.1", "3-4", "3.1 or 3.2"])
def test_what_is_no_number_is_named_with_row_and_column(read, cell):
    with pytest.raises(sf.InputError, match="row 3, column loss: "):
        read(f"N,loss\n1e6,3\n2e6,{cell}\n3e6,2.5\n")


@pytest.mark.parametrize("text", ["N;loss\n1.000.000;3\n1.500;2.5\n", 'N,loss\n1e6,"3,356"\n2e6,"3,221"\n'])
def test_a_sign_that_may_be_decimal_or_not_is_asked(read, text):
    with pytest.raises(sf.InputError, match="may be a thousand or a decimal"):
        read(text)


@pytest.mark.parametrize(
    "name",
    [
        *("tokens_per_param", "TPP", "D/N", "tok_per_param", "tokens/N", "train tokens per param", "D : N", "D / N"),
        *("D/N ratio", "tokens_to_param_ratio", "tokens/parameter ratio", "data ratio (D/N)"),
    ],
)
def test_tokens_per_parameter_give_the_tokens(read, name):
    runs = read(f"N,{name},loss\n1e6,20,3\n4e6,40,2.5\n")
    assert runs.table["D"].tolist() == [2e7, 1.6e8] and said(runs, f"'{name}' (tokens per parameter) times N")
    assert said(read(f"N,D,{name},loss\n1e6,2e7,20,3\n4e6,1e8,40,2.5\n"), "is not used: D is known")


def test_a_ratio_that_may_be_tokens_per_parameter_is_told(read):
    text = "N,ratio,loss\n1e6,20,3\n4e6,40,2.5\n"
    assert said(read(text), "'ratio' may be tokens per parameter")
    assert read(text, rename={"ratio": "tokens_per_param"}).table["D"].tolist() == [2e7, 1.6e8]


TABLE = "| lr | loss |\n|---|---|\n| {0} | 3.1 |\n| {1} | 2.9 |\n\n"


@pytest.mark.parametrize(("heads", "column", "values"), [
    (("## width 64", "## width 128"), "d_model", [64, 64, 128, 128]),
    (("### Adam", "### Muon"), "section", ["Adam", "Adam", "Muon", "Muon"]),
])  # fmt: skip
def test_tables_of_one_header_are_one(read, heads, column, values):
    page = "".join(f"{head}\n\n{TABLE.format('2^-9', '1/256')}" for head in heads) + "| a | b |\n|---|---|\n| 1 | 2 |\n"
    runs = read(page, "page.md")
    assert runs.table["lr"].tolist() == [2**-9, 2**-8] * 2 and runs.table[column].tolist() == values
    assert said(runs, "2 tables of the page have the same header") and said(runs, "row 15: a | b")


FINALS = {"r0": {"N": 1e6, "loss": 3.5}, "r1": {"N": 4e6, "loss": 3.0}, "r2": {"N": 9e6, "loss": 2.5}}
CURVE = {"step": [0, 10, 20], "loss": [5.0, 4.0, 3.5]}


@pytest.mark.parametrize(
    "content", [FINALS, {"runs": [{"name": run, **row} for run, row in FINALS.items()]}, {"results": FINALS, "v": 1}]
)
def test_runs_inside_a_json_object(read, content):
    runs = read(json.dumps(content), "all.json")
    assert runs.names == [*FINALS] and runs.table["loss"].tolist() == [3.5, 3.0, 2.5]


@pytest.mark.parametrize(
    "content", [{"history": CURVE}, {"history": CURVE, "config": {"seed": 3}}, {"r": CURVE, "s": CURVE}]
)
def test_lists_inside_a_json_object(read, content):
    runs = read(json.dumps(content), "log.json")
    assert runs.curves["loss"].tolist() == CURVE["loss"] * (2 if "s" in content else 1)
    assert runs.curves["step"].tolist()[:3] == CURVE["step"]


def test_a_folder_of_json_objects(read, tmp_path):
    for run, row in FINALS.items():
        (tmp_path / "runs").mkdir(exist_ok=True)
        (tmp_path / "runs" / f"{run}.json").write_text(json.dumps(row))
    (tmp_path / "runs" / "settings.json").write_text('{"seed": 1}')
    runs = sf.read_runs(tmp_path / "runs")
    assert runs.names == [*FINALS] and runs.table["N"].tolist() == [1e6, 4e6, 9e6]
    assert any("settings.json" in str(note) for note in runs.notes)


@pytest.mark.parametrize("head", ["run_id;key;step;val", "run;metric;iter;v", "run_name;measure;step;score"])
def test_long_tables_with_decimal_commas(read, head):
    rows = [(run, key, step) for run in "ab" for key in ("train_loss", "lr") for step in (0, 5, 10)]
    text = "".join(f"{r};{k};{s};{(3 - s / 20 + (r == 'b') / 4) if k == 'train_loss' else 0.5}\n" for r, k, s in rows)
    runs = read(f"{head}\n" + text.replace(".", ","))
    assert runs.names == ["a", "b"] and runs.curves["loss"].tolist() == [3, 2.75, 2.5, 3.25, 3, 2.75]
    assert set(runs.curves["lr"]) == {0.5}


def test_long_tables_without_a_run_keep_their_settings_apart(read):
    rows = [(seed, step) for seed in (1, 2) for step in (0, 5, 10)]
    runs = read("seed,step,key,value\n" + "".join(f"{a},{s},loss,{3 - s / 20 + a}\n" for a, s in rows))
    assert len(runs) == 2 and runs.curves["loss"].tolist() == [4, 3.75, 3.5, 5, 4.75, 4.5]


def test_a_header_that_comes_again_and_rows_of_means_are_left_out(read):
    runs = read("run,N,loss\na,1e6,3\nb,2e6,2.8\nrun,N,loss\nc,4e6,2.6\nmean,2e6,2.8\nstd,1e6,0.1\n")
    assert runs.names == ["a", "b", "c"] and runs.table["loss"].tolist() == [3, 2.8, 2.6]
    assert said(runs, "1 rows repeat the header (first in row 4)") and said(runs, "2 rows at the end sum up the others")
    curve = read("step,loss\n0,3\n10,2.5\navg,2.75\n")
    assert curve.curves["loss"].tolist() == [3, 2.5]


@pytest.mark.parametrize("cells", ["[20/400] [40/400] [60/400]", "20of400 40of400 60of400"])
def test_steps_of_a_length(read, cells):
    runs = read(
        "step,loss\n" + "".join(f"{c.replace('of', ' of ')},{3 - i / 4}\n" for i, c in enumerate(cells.split()))
    )
    assert runs.curves["step"].tolist() == [20, 40, 60] and runs.table["steps"].tolist() == [400]


def test_names_with_blanks_above_columns_of_white_space(read):
    runs = read("# step   train loss   lr\n0   3.5   0.1\n10   3.0   0.1\n20   2.75   0.05\n", "log.dat")
    assert runs.curves["loss"].tolist() == [3.5, 3.0, 2.75]


def test_a_table_on_its_side(read):
    runs = read("N,1B,3B,7B\nloss,3.0,2.8,2.6\nD,20B,60B,140B\n")
    assert runs.table["N"].tolist() == [1e9, 3e9, 7e9] and runs.table["loss"].tolist() == [3.0, 2.8, 2.6]
    assert runs.table["D"].tolist() == [2e10, 6e10, 1.4e11]


def test_columns_named_by_numbers_of_nothing_are_refused(read):
    with pytest.raises(sf.InputError, match="nothing says of what"):
        read("lr,64,128,256\n0.001,3,2.9,2.8\n0.002,2.9,2.8,2.7\n")


@pytest.mark.parametrize("names", [("lr_0", "lr_1"), ("lr/muon", "lr/adam"), ("lr-AdamW/pg1", "lr-AdamW/pg2")])
def test_several_rates_that_differ_are_asked_and_those_that_agree_are_one(read, names):
    text = "step,loss,{},{}\n0,3,0.1,{}\n10,2.5,0.05,{}\n"
    with pytest.raises(sf.InputError, match="could both be lr"):
        read(text.format(*names, 0.2, 0.1))
    assert read(text.format(*names, 0.1, 0.05)).curves["lr"].tolist() == [0.1, 0.05]


def test_train_lr_is_the_rate(read):
    assert read("step,train_lr,loss\n0,0.5,3\n5,0.25,2\n").curves["lr"].tolist() == [0.5, 0.25]
