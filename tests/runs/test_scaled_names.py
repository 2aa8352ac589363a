"""What the name of a column says of its numbers: thousands, millions, per cent, a logarithm, a row of units."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.runs.quantities import quantity

STEPS = np.arange(0, 40_000, 1000)
LOSS = 2.5 + 3.0 / (1.0 + STEPS / 4000.0)
N, D = (each.ravel() for each in np.meshgrid(np.geomspace(1e6, 1e9, 4), np.geomspace(1e8, 1e10, 3)))
FINAL = 1.7 + 400 * N**-0.34 + 410 * D**-0.28


OF_STEPS = ["ksteps", "kstep", "k_iters", "steps_k", "steps (k)", "steps in thousands", "step/1e3"]


@pytest.mark.parametrize(
    "name", [*OF_STEPS, "thousands of steps", "steps, thousands", "kilo_steps", "thousand iterations"]
)
@pytest.mark.parametrize("mapped", [False, True])
def test_thousands_of_steps(name, mapped):
    log = pd.DataFrame({name: STEPS / 1000, "loss": LOSS})
    runs = sf.read_runs(log, rename={name: "step"} if mapped else None)
    assert runs.curves["step"].tolist() == STEPS.tolist()
    assert len(runs) == 1


@pytest.mark.parametrize(
    "names", [("Mparams", "Btokens", 1e6, 1e9), ("bparams", "mtok", 1e9, 1e6), ("N/1e6", "tokens/1e9", 1e6, 1e9)]
)
@pytest.mark.parametrize("mapped", [False, True])
def test_a_unit_before_the_name(names, mapped):
    size, data, of_size, of_data = names
    table = pd.DataFrame({size: N / of_size, data: D / of_data, "loss": FINAL})
    found = sf.read_runs(table, rename={size: "N", data: "D"} if mapped else None).table
    np.testing.assert_allclose(found[["N", "D"]].to_numpy(float), np.c_[N, D])


@pytest.mark.parametrize("form", ["log10_{}", "log10({})", "log2 {}", "ln({})", "ln_{}", "Log10 {}"])
@pytest.mark.parametrize("names", [("N", "D"), ("params", "tokens")])
def test_a_logarithm_to_a_base_that_is_stated(form, names):
    log = {"log10": np.log10, "log2 ": np.log2, "ln": np.log}[form.lower()[:5] if "log" in form.lower() else "ln"]
    size, data = (form.format(name) for name in names)
    found = sf.read_runs(pd.DataFrame({size: log(N), data: log(D), "loss": FINAL})).table
    np.testing.assert_allclose(found[["N", "D"]].to_numpy(float), np.c_[N, D], rtol=1e-9)
    mapped = sf.read_runs(pd.DataFrame({size: log(N), "D": D, "loss": FINAL}), rename={size: "N"}).table
    np.testing.assert_allclose(mapped["N"].to_numpy(float), N, rtol=1e-9)


def test_a_loss_in_a_logarithm_and_a_log_loss():
    table = pd.DataFrame({"N": N, "ln(loss)": np.log(FINAL)})
    np.testing.assert_allclose(sf.read_runs(table).table["loss"], FINAL)
    table = pd.DataFrame({"N": N, "log_loss": FINAL})  # another name of the cross-entropy
    np.testing.assert_allclose(sf.read_runs(table, rename={"log_loss": "loss"}).table["loss"], FINAL)


@pytest.mark.parametrize(
    ("name", "target"), [("logN", "N"), ("log(C)", "C"), ("log tokens", "D"), ("log(loss)", "loss")]
)
def test_a_logarithm_to_no_base_is_refused_where_it_is_mapped(name, target):
    table = pd.DataFrame({name: np.log(N), "y": FINAL, **({"loss": FINAL} if target != "loss" else {})})
    with pytest.raises(sf.InputError, match=f"is a logarithm of {target}") as error:
        sf.read_runs(table, rename={name: target})
    assert "log10_" in error.value.todo


@pytest.mark.parametrize("name", ["error (%)", "error %", "error_pct", "Error [in %]", "error (percent)"])
def test_per_cent_of_an_error(name):
    table = pd.DataFrame({"N": N, name: 100 / N**0.1})
    np.testing.assert_allclose(sf.read_runs(table, need=()).table["error"], N**-0.1)


def test_shares_above_one_are_told():
    told = sf.read_runs(pd.DataFrame({"N": N, "accuracy": 90 - 100 / N**0.1}), need=()).notes
    assert any("accuracy is up to 7" in note.text and "per cent" in note.text for note in told)
    told = sf.read_runs(pd.DataFrame({"N": N, "accuracy": 1 - N**-0.1}), need=()).notes
    assert not any("per cent" in note.text for note in told)


@pytest.mark.parametrize(
    "units", [("(M)", "(B)", "(nats)"), ("millions", "billions", ""), ("M", "B", "nats/token"), ("[M]", "[B]", "-")]
)
def test_units_in_the_first_row(tmp_path, units):
    rows = [",".join(["model", "N", "D", "loss"]), ",".join(["", *units])]
    rows += [f"m{at},{n / 1e6},{d / 1e9},{y}" for at, (n, d, y) in enumerate(zip(N, D, FINAL, strict=True))]
    (tmp_path / "runs.csv").write_text("\n".join([*rows, "mean,,,3.2"]) + "\n")
    runs = sf.read_runs(tmp_path / "runs.csv")
    np.testing.assert_allclose(runs.table[["N", "D", "loss"]].to_numpy(float), np.c_[N, D, FINAL])
    assert runs.table.index[0] == 3


def test_a_first_row_of_words_is_no_row_of_units(tmp_path):
    (tmp_path / "runs.csv").write_text("N,D,loss\nsmall,big,3.2\n1e6,1e8,3.1\n")
    with pytest.raises(sf.InputError, match="'small' is not a number"):
        sf.read_runs(tmp_path / "runs.csv")


@pytest.mark.parametrize("name", ["Schritt", "time", "kimg", "done"])
def test_rows_that_may_be_one_curve_are_told(name):
    along = (
        [f"{each}%" for each in STEPS // 1000]
        if name == "done"
        else STEPS / 10
        if name != "time"
        else pd.Series(pd.to_timedelta(STEPS / 10, unit="s")).astype(str).str[7:]
    )
    runs = sf.read_runs(pd.DataFrame({name: along, "loss": LOSS}))
    told = [note.text for note in runs.notes if note.kind == "suspect"]
    assert any(f"'{name}' rises evenly" in text and f'{{"{name}": "step"}}' in text for text in told)


@pytest.mark.parametrize("beside", ["N", "lr", "run"])
def test_results_that_rise_beside_a_setting_are_not(beside):
    table = pd.DataFrame({"score": STEPS, beside: STEPS + 1.0, "loss": LOSS})
    assert not any("rises evenly" in note.text for note in sf.read_runs(table).notes)


def test_decimal_commas_between_tabs(tmp_path):
    text = "step\tloss\tlr\r\n" + "".join(f"{s}\t{y:.4f}\t{1e-3:.4f}\r\n" for s, y in zip(STEPS, LOSS, strict=True))
    (tmp_path / "log.txt").write_bytes(text.replace(".", ",").encode("utf-16"))
    runs = sf.read_runs(tmp_path / "log.txt")
    np.testing.assert_allclose(runs.curves["loss"], LOSS, atol=6e-5)
    assert set(runs.curves["lr"]) == {1e-3}
    (tmp_path / "log.tsv").write_text(
        "step\tloss\n" + "".join(f"{s:,}\t{y:.3f}\n" for s, y in zip(STEPS, LOSS, strict=True))
    )
    assert sf.read_runs(tmp_path / "log.tsv").curves["step"].tolist() == STEPS.tolist()


def test_the_top_eigenvalue_of_the_hessian_is_not_the_sharpness_in_the_metric_of_the_optimiser():
    table = pd.DataFrame({"step": STEPS, "loss": LOSS, "lambda_max": 3.0, "lr": 1e-3})
    runs = sf.read_runs(table)
    assert "hessian_max" in runs.curves.columns
    assert "sharpness" not in runs.curves.columns


@pytest.mark.parametrize(
    "name", ["iter_num", "step_num", "trainIter", "opt_step", "current_step_idx", "training/iteration_number"]
)
def test_names_of_steps_by_their_words(name):
    runs = sf.read_runs(pd.DataFrame({name: STEPS, "loss": LOSS, "lr": 1e-3 - STEPS * 1e-8}))
    assert len(runs) == 1
    assert runs.curves["step"].tolist() == STEPS.tolist()


@pytest.mark.parametrize("name", ["num_steps", "eval_step", "step_time", "warmup_iters", "micro_step", "n_iters"])
def test_other_names_with_these_words_are_no_steps(name):
    runs = sf.read_runs(pd.DataFrame({"run": list("ab"), name: [10, 20], "loss": [3.0, 2.9]}))
    assert runs.curves is None
    assert "step" not in [binding.name for binding in runs.columns]


@pytest.mark.parametrize(
    ("cell", "value"), [("3×10⁸", 3e8), ("3e−4", 3e-4), ("2⁻¹¹", 2.0**-11), ("10⁻³", 1e-3), ("−0.5", -0.5)]
)
def test_signs_of_typesetters(cell, value):
    assert quantity(cell) == pytest.approx(value)
