"""Which laws are tried where none is named: found from their declarations, by columns, target and shape of the logs."""

from __future__ import annotations

import numpy as np
import pandas as pd

import scalefit as sf
from scalefit.laws import find_law
from scalefit.selection.candidates import candidates_for, forms_of, told

STEP = np.arange(1, 2002, 100)
N, D = (axis.ravel() for axis in np.meshgrid(np.geomspace(1e6, 1e9, 4), np.geomspace(1e8, 1e11, 4)))
LOSS = 1.7 + 400 * N**-0.34 + 410 * D**-0.28


def curve(run, lr, fall=0.0, **columns):
    loss = 2 + 9 * (STEP + 50) ** -0.5 - 0.1 * fall
    return pd.DataFrame({"run": run, "step": STEP, "lr": lr, "loss": loss, **columns})


def names(table, target=None):
    return {find_law(spec).name for spec in candidates_for(sf.read_runs(table), target).specs}


def test_every_law_of_the_columns_is_tried_and_no_other():
    sizes = {"chinchilla", "kaplan", "kaplan-floor", "over-training", "skaling", "farseer"}
    assert names(pd.DataFrame({"N": N, "D": D, "loss": LOSS})) == sizes


def test_a_further_column_brings_the_law_that_reads_it():
    repeated = pd.DataFrame({"N": N, "D": D, "U": D / np.tile([1, 4], 8), "loss": LOSS})
    assert "data-constrained" in names(repeated)
    routed = pd.DataFrame({"N": np.repeat([1e7, 1e8, 1e9], 4), "experts": [1, 4, 16, 64] * 3})
    routed["loss"] = 3.5 * (routed["N"] / 1e8) ** -0.05 * routed["experts"] ** -0.03
    assert "routed" in names(routed)


def test_only_laws_that_explain_the_target():
    table = pd.DataFrame({"N": N, "D": D, "loss": LOSS, "peak_lr": 0.01 * N**-0.1, "batch": 1e5})
    assert all(find_law(name).target == "loss" for name in names(table))


def test_the_discount_of_the_annealing_area_is_among_the_forms():
    forms = forms_of(find_law("annealing"))
    assert forms[0].spec == "annealing"
    assert {0.999, 0.99, 0.98} <= {law.options["decay"] for law in forms}
    assert forms_of(find_law("annealing:decay=0.97")) == (find_law("annealing:decay=0.97"),)
    assert len(forms_of(find_law("chinchilla"))) == 1


def test_of_curves_under_one_schedule_the_laws_along_a_schedule_are_left_out_and_told():
    found = candidates_for(sf.read_runs(pd.concat([curve("a", 1e-3), curve("b", 1e-3, 0.1)])))
    assert found.laws
    assert not any(find_law(name).is_trajectory for name in found.specs)
    assert "annealing" in found.left_out
    assert all(find_law(name).is_trajectory for name in found.left_out)


def test_curves_under_several_schedules_are_left_to_the_laws_along_them():
    linear, late = STEP / 2002, np.maximum(0, STEP / 1001 - 1)
    falls = {"constant": 0 * linear, "linear": linear, "late": late}
    runs = sf.read_runs(pd.concat([curve(name, 1e-3 * (1 - fall), fall) for name, fall in falls.items()]))
    found = candidates_for(runs)
    assert {"annealing", "multi-power", "functional", "annealing-transfer"} <= {*found.specs}
    assert all(find_law(name).is_trajectory for name in found.specs)
    assert found.left_out == {}


def test_nothing_is_left_out_where_there_are_no_curves():
    sizes = np.geomspace(1e6, 1e10, 5)
    found = candidates_for(sf.read_runs(pd.DataFrame({"N": sizes, "loss": 2 + 300 * sizes**-0.3})))
    assert found.left_out == {}
    assert {"power", "power-floor"} <= {*found.specs}


def test_each_reason_is_told_once():
    assert told({"a": "law a needs D", "b": "law b needs D"}) == ["a, b: the law needs D"]


def test_a_law_of_another_loss_is_no_candidate_for_cross_entropies():
    C = np.geomspace(1e17, 1e20, 4)
    found = names(pd.DataFrame({"C": C, "loss": 2.0 + 2e3 * C**-0.18}))
    assert {"power", "power-floor"} <= found
    assert "diffusion-transformer" not in found
