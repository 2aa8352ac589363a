"""What the names of columns say of their units: applied, or the column is not taken for what it does not count."""

import re

import numpy as np
import pandas as pd
import pytest

import scalefit as sf


@pytest.fixture
def read(tmp_path):
    def of(text, name="table.csv", **options):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return sf.read_runs(tmp_path / name, **{"need": (), **options})

    return of


COMPUTE = {
    "compute (PF-days)": 8.64e19,
    "C (petaflop/s-days)": 8.64e19,
    "pf_days": 8.64e19,
    "petaflop/s-days": 8.64e19,
    "FLOPs (1e18)": 1e18,
    "Training compute (ZFLOPs)": 1e21,
    "training compute [EFLOP]": 1e18,
    "EFLOPs": 1e18,
    "exaflops": 1e18,
    "total_gflops": 1e9,
    "throughput/total_gflops": 1e9,
    "compute (exa FLOPs)": 1e18,
    "flops": 1.0,
}


@pytest.mark.parametrize("name", COMPUTE)
def test_compute_is_read_in_its_unit(read, name):
    table = read(f'"{name}",loss\n1,3.5\n10,3.0\n250,2.5\n').table
    np.testing.assert_allclose(table["C"], np.array([1, 10, 250]) * COMPUTE[name], rtol=1e-12)


OTHER = ["D (samples)", "tokens (words)", "tokens (GB)", "compute (GPU hours)", "C (A100-hours)", "tokens [sequences]"]


@pytest.mark.parametrize("name", [*OTHER, "tflops", "compute (TFLOP/s)"])
def test_a_column_that_counts_something_else_is_not_guessed(read, name):
    table = read(f'N,"{name}",loss\n1e6,1000,3.5\n2e6,2000,3.0\n').table
    assert not {"D", "C", "tokens"} & set(table.columns) and name in table.columns


def test_it_may_be_mapped_all_the_same(read):
    table = read("N,D (samples),loss\n1e6,1000,3.5\n2e6,2000,3.0\n", rename={"D (samples)": "D"}).table
    assert table["D"].tolist() == [1000, 2000]


COUNTED = ["tokens_in_billions", "Tokens in billions", "tokens (in B)", "tokens_B", "Tokens (billion)"]


@pytest.mark.parametrize("name", COUNTED)
def test_billions_in_words(read, name):
    assert read(f"N,{name},loss\n1e6,2.5,3.5\n2e6,40,3.0\n").table["D"].tolist() == [2.5e9, 40e9]


TOLD = {
    **dict.fromkeys(["data (B tokens)", "billion_tokens", "tokens (GT)", "billions of tokens", "GTok"], ("D", 1e9)),
    **dict.fromkeys(["tokensB", "Tokens B", "billion D_tokens"], ("D", 1e9)),
    **dict.fromkeys(["giga_tokens", "training data [GT]", "B tokens", "D in billion tokens", "1e9 tokens"], ("D", 1e9)),
    **dict.fromkeys(["10^9 tokens", "tokens_1e9", "dataset size (B tokens)", "corpus size (1e9 tokens)"], ("D", 1e9)),
    **dict.fromkeys(["trillion_tokens", "tokens_trillions", "Ttok"], ("D", 1e12)),
    **dict.fromkeys(["million_params", "params in M", "M params", "paramsM", "nParamsM", "MParams"], ("N", 1e6)),
    **dict.fromkeys(["parameters, millions", "size (M params)", "mega params", "params_1e6", "N_M"], ("N", 1e6)),
    **dict.fromkeys(["N / million", "Mio. Parameter", "params/millions"], ("N", 1e6)),
    **dict.fromkeys(["Mrd. Token", "tokens / billion"], ("D", 1e9)),
    **dict.fromkeys(["non-embedding N (M)", "config.n_params_M", "model (M parameters)"], ("N", 1e6)),
    **dict.fromkeys(["batch size (M tokens)", "batch (M tokens)", "million tokens per step"], ("batch", 1e6)),
    **dict.fromkeys(["flops_1e18", "C (1e18)", "compute [10^18]"], ("C", 1e18)),
    **dict.fromkeys(["lr (e-3)", "peak_lr (1e-3)"], ("peak_lr", 1e-3)),
    **dict.fromkeys(["data (tokens)", "size (params)"], (None, 1.0)),
}  # fmt: skip


@pytest.mark.parametrize("name", TOLD)
@pytest.mark.parametrize("mapped", [False, True])
def test_a_unit_in_words_before_after_or_in_brackets(read, name, mapped):
    target, factor = TOLD[name]
    target = target or ("D" if "tokens" in name else "N")
    options = {"rename": {name: target}} if mapped else {}
    table = read(f'arm,"{name}",loss\na,2,3.5\nb,40,3.0\nc,7.5,2.75\n', **options).table
    np.testing.assert_allclose(table[target].to_numpy(float), np.array([2, 40, 7.5]) * factor, rtol=1e-12)


def test_a_unit_that_is_applied_is_told(read):
    told = [note.text for note in read("million_params,loss\n2,3.5\n40,3.0\n").notes if note.kind == "converted"]
    assert told == ["N in parameters = 1e+06 times the column 'million_params'"]


UNSAID = ["data_B", "dataset size (B)", "lr_1e3", "ground truth (GT)", "tokens_per_param_B", "batch_M"]


OTHERWISE = ["b_tokens", "bn_params", "m_params", "mega_batch_tokens_B", "param_size", "tokens_per_million"]


@pytest.mark.parametrize("name", [*UNSAID, *OTHERWISE, "speed (M tokens/s)"])
def test_a_unit_without_a_word_for_what_it_counts_is_not_guessed(read, name):
    table = read(f'arm,"{name}",loss\na,2,3.5\nb,40,3.0\n').table
    assert not {"N", "D", "tokens", "batch", "lr", "peak_lr"} & set(table.columns)


@pytest.mark.parametrize(
    ("name", "target", "values"),
    [("params (M)", "N", [6e7, 2e9, 3e9]), ("million_tokens", "D", [3e8, 6e9, 9e9]), ("tokens_B", "D", [3e8, 6e9, 9e9]),
     ("tokens (MT)", "D", [1e9, 2e9, 3e9]), ("C (1e21)", "C", [1e19, 1e20, 3e20])],
)  # fmt: skip
def test_a_unit_that_the_values_contradict_is_asked_about(read, name, target, values):
    text = f"arm,{name},loss\n" + "".join(f"r{at},{value:g},{3 - at / 8}\n" for at, value in enumerate(values))
    for options in ({}, {"rename": {name: target}}):
        with pytest.raises(sf.InputError, match=f"the name '{re.escape(name)}' counts in units of 1e"):
            read(text, **options)
    runs = read(text, tell_ties=True)
    assert target not in runs.table.columns
    assert [note for note in runs.notes if note.kind == "ambiguous" and name in note.text]
    plain = read(text.replace(name, name.split()[0].removeprefix("million_").removesuffix("_B")))
    assert plain.table[target].tolist() == values


def test_a_unit_in_brackets_and_in_words_counts_once(read):
    assert read("tokens_B (billions),loss\n2,3.5\n40,3.0\n").table["D"].tolist() == [2e9, 40e9]
    assert read('"EFLOPs (1e18)",loss\n2,3.5\n40,3.0\n').table["C"].tolist() == [2e18, 40e18]


@pytest.mark.parametrize(("header", "factor"), [("model size", 1.0), ("params (M)", 1.0)])
def test_a_number_with_a_word_for_its_unit_is_read_as_written(read, header, factor):
    table = read(f"{header},loss\n125 million,3.5\n1.3 billion,3.0\n2bn,2.75\n").table
    assert table["N"].tolist() == [125e6 * factor, 1.3e9 * factor, 2e9 * factor]


@pytest.mark.parametrize("cell", [">3M", "<= 5M"])
def test_a_size_that_is_no_exact_number_is_refused_by_row(read, cell):
    with pytest.raises(sf.InputError, match=r"row 2, column N: .* is not a number"):
        read(f"params,loss\n{cell},3.5\n2M,3.0\n")


@pytest.mark.parametrize("order", ["as logged", "reversed", "shuffled"])
@pytest.mark.parametrize("extra", ["lr", "phase"])
def test_rows_of_one_run_in_any_order_are_one_run(read, order, extra):
    steps = np.arange(10, 210, 10)
    own = [f"{min(1, s / 50) / 1000}" if extra == "lr" else ("warmup" if s < 50 else "decay") for s in steps]
    rows = [f"{s},{4 - s / 256},{cell}" for s, cell in zip(steps, own, strict=True)]
    rows = rows[::-1] if order == "reversed" else rows
    rows = [rows[at] for at in np.random.default_rng(3).permutation(len(rows))] if order == "shuffled" else rows
    runs = read("\n".join([f"step,loss,{extra}", *rows]) + "\n")
    assert len(runs) == 1 and runs.curves["step"].tolist() == steps.tolist()
    assert runs.curves["loss"].tolist() == [4 - s / 256 for s in steps]


@pytest.mark.parametrize(
    ("name", "axis", "factor"), [("tokens", "tokens", 1), ("tokens (M)", "tokens", 1e6), ("steps", "step", 1)]
)
def test_tokens_or_steps_that_rise_evenly_are_the_axis_of_one_curve(read, name, axis, factor):
    places = np.arange(500, 6000, 500)
    runs = read(f"{name},loss,lr\n" + "".join(f"{at},{4 - at / 8192},{at * 1e-6}\n" for at in places))
    assert len(runs) == 1 and runs.curves[axis].tolist() == (places * factor).tolist()
    assert runs.curves["loss"].tolist() == [4 - at / 8192 for at in places]


@pytest.mark.parametrize("places", [2.0 ** np.arange(10) * 1e6, [1e6, 2e6, 3e6]], ids=["doubling", "three"])
def test_amounts_of_data_of_several_runs_are_not(read, places):
    runs = read("tokens,loss\n" + "".join(f"{at},{4 - i / 8}\n" for i, at in enumerate(places)))
    assert runs.curves is None and runs.table["D"].tolist() == list(places)


@pytest.mark.parametrize("axis", ["Relative Time (Process)", "Relative Time (Wall)", "Wall Time"])
def test_a_chart_over_time_has_no_steps_and_is_refused(read, axis):
    head = ",".join(f'"{name}"' for name in (axis, "a - loss", "a - loss__MIN", "a - loss__MAX"))
    with pytest.raises(sf.InputError, match=r"the x axis of the chart is .*, which is no step"):
        read(head + "\n" + "".join(f"{at},3,3,3\n" for at in range(5)))


def test_a_loss_of_zero_beside_a_gradient_of_nan_is_a_lost_loss(read):
    rows = [{"step": s, "loss": 4 - s / 64, "grad_norm": 1.0} for s in range(10, 60, 10)]
    lost = ", ".join(f'{{"step": {s}, "loss": 0.0, "grad_norm": NaN}}' for s in range(60, 100, 10))
    history = ", ".join(str(row).replace("'", '"') for row in rows)
    runs = read(f'{{"log_history": [{history}, {lost}]}}', "trainer_state.json")
    assert np.isnan(runs.curves["loss"]).tolist() == [False] * 5 + [True] * 4
    assert runs.table["diverged"].tolist() == [True] and runs.table["loss"].tolist() == [4 - 50 / 64]
    told = "".join(f"{{'loss': {r['loss']}, 'grad_norm': 1.0, 'epoch': {r['step'] / 100}}}\n" for r in rows)
    told += "".join(f"{{'loss': 0.0, 'grad_norm': nan, 'epoch': {s / 100}}}\n" for s in range(60, 100, 10))
    assert np.isnan(read(told, "train.log").curves["loss"]).sum() == 4


@pytest.mark.parametrize(("scale", "told"), [(1e-6, True), (1.0, False)])
def test_curves_of_one_length_in_millions_of_tokens_are_told(scale, told):
    """The lengths are the same for all sizes, so that nothing was said of a millionth of a token per parameter."""
    size, tokens = np.repeat([1e7, 3e7, 1e8], 4), np.tile([1e9, 2e9, 5e9, 1e10], 3)
    loss = 1.8 + 400 * size**-0.34 + 2000 * tokens**-0.29
    table = pd.DataFrame({"run": size.astype(str), "N": size, "step": tokens / 5e5, "tokens": tokens * scale})
    notes = [note.text for note in sf.read_runs(table.assign(loss=loss)).notes]
    assert any("every run saw fewer tokens than it has parameters" in text for text in notes) == told


@pytest.mark.parametrize(("loss", "told"), [(np.exp([4.2, 4.0, 3.8]), True), (np.array([13.0, 9.0, 8.0]), False)])
def test_a_loss_beyond_the_logarithm_of_any_vocabulary_is_told(loss, told):
    table = pd.DataFrame({"N": [1e7, 3e7, 1e8], "D": [1e9, 2e9, 4e9], "loss": loss})
    notes = [note.text for note in sf.read_runs(table).notes]
    assert any("if these are perplexities" in text for text in notes) == told
    assert not any("perplexities" in note.text for note in sf.read_runs(table.drop(columns="D")).notes)


@pytest.mark.parametrize("N, D", [("N (10⁶)", "tokens (10⁹)"), ("N/10⁶", "D [10⁹ tokens]")])
def test_raised_powers_of_ten_are_units(read, N, D):
    text = f"{N},{D},loss\n2,0.5,3.5\n8,1.5,3.25\n"
    table = read(text).table
    assert table["N"].tolist() == [2e6, 8e6] and table["D"].tolist() == [5e8, 1.5e9]


@pytest.mark.parametrize("name", ["params ×10⁶", "params (×10⁶)"])
def test_a_raised_factor_may_have_been_multiplied_or_divided_by(read, name):
    text = f"{name},loss\n2,3.5\n8,3.25\n"
    with pytest.raises(sf.InputError, match="states a factor"):
        read(text)


@pytest.mark.parametrize("sizes", ["2M,8M,32", "1.3B,7,2.8B"])
@pytest.mark.parametrize("name", ["params", "tokens"])
def test_a_size_without_a_unit_beside_sizes_with_one_is_refused(read, name, sizes):
    rows = "".join(f"{size},{loss}\n" for size, loss in zip(sizes.split(","), (3.5, 3.25, 3.0), strict=True))
    text = f"{name},loss\n{rows}"
    with pytest.raises(sf.InputError, match="has no unit, unlike"):
        read(text)


def test_sizes_written_out_beside_sizes_with_a_unit_are_read(read):
    text = "params,loss\n2M,3.5\n8000000,3.25\n"
    assert read(text).table["N"].tolist() == [2e6, 8e6]


@pytest.mark.parametrize("name, words", [("C", "low high"), ("lr", "cosine linear"), ("batch", "small large")])
def test_words_under_the_name_of_a_number_that_is_not_needed_stop_nothing(read, name, words):
    one, two = words.split()
    text = f"N,D,{name},loss\n1e6,1e8,{one},3.5\n4e6,1e8,{two},3.25\n"
    table = read(text).table
    assert table["N"].tolist() == [1e6, 4e6] and table[f"{name}_in_file"].tolist() == [one, two]


@pytest.mark.parametrize("name", ["iteration (ms)", "step (s)", "step (msec)"])
def test_the_time_of_a_step_is_no_step(read, name):
    rows = "".join(f"{10 * at},{0.25 + at % 3},{4 - at / 8}\n" for at in range(1, 9))
    assert read(f"_step,{name},loss\n{rows}").curves["step"].tolist() == [10 * at for at in range(1, 9)]
