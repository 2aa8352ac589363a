"""Each law refuses, by name, runs that cannot identify it, and says which run would."""

import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.diagnosis.identifiable import identify
from scalefit.laws.identification import move_together

SIZES = np.repeat([1e7, 3e7, 1e8, 3e8], 4)
TOKENS = np.tile([1e9, 3e9, 1e10, 3e10], 4)
LOSS = 1.7 + 400 * SIZES**-0.34 + 410 * TOKENS**-0.28


def refused(table, law, **settings):
    """The message with which a fit is refused."""
    with pytest.raises(sf.IdentificationError) as caught:
        sf.fit(pd.DataFrame(table), law, **settings)
    text = str(caught.value)
    assert re.search(rf"law {law.partition(':')[0]}", text)
    assert ";" in text, "what to do next"
    return text


@pytest.mark.parametrize("law", ["kaplan", "kaplan-floor"])
def test_size_and_data_that_move_together(law):
    text = refused({"N": SIZES, "D": 20 * SIZES, "loss": LOSS}, law)
    assert "N and D" in text
    assert "another ratio" in text


@pytest.mark.parametrize("law", ["kaplan", "kaplan-floor", "over-training", "moe"])
def test_all_runs_at_one_number_of_tokens(law):
    table = {"N": SIZES * (1 + TOKENS / 1e12), "D": 1e10, "loss": LOSS}
    table |= {"N_total": table["N"], "granularity": np.tile([1, 2, 4, 8], 4)}
    assert "all 16 rows have D" in refused(table, law)


def test_over_training_with_one_ratio():
    text = refused({"N": SIZES, "D": 20 * SIZES, "loss": LOSS}, "over-training")
    assert "D/N = 20" in text
    assert "320" in text


def test_steps_that_follow_the_size():
    assert "S_min" in refused({"N": SIZES, "S_min": SIZES**0.1 * 1e4, "loss": LOSS}, "kaplan-steps")


def test_symmetric_encoders_and_decoders():
    text = refused({"N_enc": SIZES, "N_dec": 1.3 * SIZES, "loss": LOSS}, "encoder-decoder")
    assert "the encoder of one and the decoder of another" in text


def test_one_asymmetric_run_is_enough_to_be_let_in():
    N_enc, N_dec = np.array([1e7, 3e7, 1e8, 3e8, 1e8, 1e7]), np.array([1e7, 3e7, 1e8, 3e8, 1e7, 1e8])
    loss = 1.2 + 0.5 * (1e8 / N_enc) ** 0.2 * (1e8 / N_dec) ** 0.3
    found = sf.fit(pd.DataFrame({"N_enc": N_enc, "N_dec": N_dec, "loss": loss}), "encoder-decoder")
    assert (found["p_enc"], found["p_dec"]) == pytest.approx((0.2, 0.3), rel=1e-9)


def test_source_losses_below_a_held_floor():
    x = np.linspace(2.2, 4.0, 12)
    table = {"loss_source": x, "loss": 1.3 + 0.6 * (x - 2.0) ** 1.1}
    text = refused(table, "loss-to-loss", fix={"E0": 2.5})
    assert "E0 = 2.5" in text
    assert "the least is 2.2" in text
    assert sf.fit(pd.DataFrame(table), "loss-to-loss", fix={"E0": 2.0})["kappa"] == pytest.approx(1.1, rel=1e-9)


def test_target_losses_below_a_held_floor():
    x = np.linspace(2.2, 4.0, 12)
    text = refused({"loss_source": x, "loss": 1.3 + 0.6 * (x - 2.0) ** 1.1}, "loss-to-loss", fix={"E1": 1.45})
    assert "1 of 12 target losses lie at or below E1 = 1.45 (the least is 1.40" in text
    assert "hold an E1 below 1.40" in text


def test_fresh_data_only():
    table = {"N": SIZES, "D": TOKENS, "U": TOKENS, "loss": LOSS}
    assert "several epochs" in refused(table, "data-constrained")


def test_repeated_data_only():
    table = {"N": SIZES, "D": TOKENS, "U": TOKENS / 5, "loss": LOSS}
    assert "one epoch" in refused(table, "data-constrained")


def test_unique_tokens_may_be_the_same_everywhere():
    law = sf.find_law("data-constrained")
    N, D = np.tile(SIZES, 4), np.repeat([1e9, 4e9, 1.6e10, 6e10], 16)
    truth = {"E": 1.8, "A": 500.0, "alpha": 0.35, "beta": 0.37, "N_opt": 5e8, "R_D": 15.0, "R_N": 5.0}
    table = {"N": N, "D": D, "U": np.full(64, 1e9)}
    found = sf.fit(pd.DataFrame({**table, "loss": law.evaluate(table, truth)}), law)
    assert found["R_D"] == pytest.approx(15.0, rel=1e-6)


def test_bits_that_change_together():
    bits = np.tile([4.0, 6.0, 8.0, 16.0], 4)
    table = {"N": SIZES, "D": np.roll(TOKENS, 5), "loss": LOSS}
    table |= {f"precision_{part}": bits for part in ("w", "a", "kv")}
    assert "parts=together" in refused(table, "precision")


def test_vocabulary_that_grows_with_the_model():
    table = {"N": SIZES, "N_vocab": SIZES**0.8, "D": TOKENS, "loss": LOSS}
    assert "another vocabulary" in refused(table, "vocabulary")


def test_data_that_grow_with_the_model():
    bits = {
        f"precision_{part}": np.roll(np.tile([4.0, 6.0, 8.0, 16.0], 4), i) for i, part in enumerate(("w", "a", "kv"))
    }
    table = {"N": SIZES, "D": 20 * SIZES, "loss": LOSS, "N_vocab": np.roll(SIZES, 3), "N_total": SIZES}
    table |= bits | {"granularity": np.tile([1, 2, 4, 8], 4)}
    assert "another ratio of tokens to parameters" in refused(table, "precision")
    assert "another ratio of tokens to parameters" in refused(table, "moe")
    assert "another ratio of data to parameters" in refused(table, "vocabulary")


@pytest.mark.parametrize(
    ("law", "column", "todo"),
    [
        ("moe", "granularity", "another granularity at one size"),
        ("parallel", "streams", "another number of streams at one size"),
        ("routed", "experts", "another number of experts at one dense size"),
        ("trajectory", "batch", "another batch at one model size"),
    ],
)
def test_a_choice_that_follows_the_size(law, column, todo):
    table = {"N": SIZES, "N_total": SIZES, "D": TOKENS, "loss": LOSS, column: SIZES**0.5}
    table |= {"step": np.arange(16) + 1000} if law == "trajectory" else {}
    assert todo in refused(table, law)


def test_sweeps_that_follow_the_size():
    rates = np.roll(SIZES, 5) ** -0.5
    table = {"N": SIZES, "D": np.roll(TOKENS, 3), "peak_lr": rates, "batch": np.roll(SIZES, 10), "loss": LOSS}
    assert "a higher peak_lr at one N" in refused(table | {"peak_lr": SIZES**-0.3}, "lr-batch-surface")
    assert "a higher batch at one N" in refused(table | {"batch": SIZES**0.3}, "lr-batch-surface")
    assert "change one of them alone" in refused(table | {"batch": rates**0.5}, "lr-batch-surface")


def test_a_refusal_of_the_last_rows_says_how_to_take_all():
    steps = np.arange(1, 40)
    curve = pd.DataFrame({"run": "one", "step": steps, "C": 1e15 * steps, "loss": 2 + steps**-0.3})
    with pytest.raises(sf.InputError, match=r"1 row for 3 free parameters; use every logged row \(--points all\)"):
        sf.fit(sf.read_runs(curve), "power-floor:over=C", points="final")


def test_which_column_is_x_names_the_choices():
    table = pd.DataFrame({"halves": [1.0, 2.0, 4.0, 8.0], "kept": 3, "loss": [4.0, 3.5, 3.1, 2.9]})
    with pytest.raises(sf.InputError, match=r"write --law power:over=COLUMN with one of halves$"):
        sf.fit(table, "power")
    with pytest.raises(sf.InputError, match="add runs that differ in the scale that is to be x"):
        sf.fit(table.drop(columns="halves"), "power")
    with pytest.raises(sf.InputError, match="N and D vary; write --law power:over=COLUMN with one of N, D"):
        sf.fit(pd.DataFrame({"N": SIZES, "D": TOKENS, "loss": LOSS}), "power")


def test_a_missing_column_is_named_with_its_meaning():
    table = pd.DataFrame({"N": SIZES, "D": TOKENS, "fresh": TOKENS / 2, "loss": LOSS})
    with pytest.raises(
        sf.InputError, match=r'"U" \(unique training tokens\); write rename=\{"COLUMN": "U"\} with one of: fresh$'
    ):
        sf.fit(table, "data-constrained")
    with pytest.raises(sf.InputError, match=r'write rename=\{"COLUMN": "U"\}, or add it to the table'):
        sf.fit(table.drop(columns="fresh"), "data-constrained")


def test_losses_at_zero_say_how_to_leave_them_out():
    table = pd.DataFrame({"N": SIZES, "D": TOKENS, "loss": np.where(SIZES > 1e8, 0.0, LOSS)})
    with pytest.raises(sf.InputError, match=r'leave such rows out \(--where "loss > 0"\)'):
        sf.fit(table, "chinchilla")


def test_shares_that_add_up_to_one():
    r = np.linspace(0.1, 0.9, 12)
    assert "leave one source out" in refused({"r1": r, "r2": 1 - r, "loss": 2 + r**2}, "mixture")
    assert "change together" in refused({"r1": r, "r2": 0.5 * r, "loss": 2 + r**2}, "mixture")


def test_two_learning_rates_have_no_minimum():
    table = {"N": SIZES, "D": TOKENS, "peak_lr": np.tile([1e-3, 2e-3], 8), "batch": np.roll(TOKENS, 3), "loss": LOSS}
    assert "2 values of peak_lr" in refused(table, "lr-batch-surface")


def test_fewer_places_than_breaks_need():
    x = np.geomspace(1, 1e4, 7).repeat(3)
    assert "7 different x for 2 breaks" in refused({"x": x, "loss": x**-0.1}, "broken:breaks=2")


def test_optima_at_one_ratio():
    table = {"N": SIZES, "D": 20 * SIZES, "peak_lr": SIZES**-0.3}
    assert "another ratio" in refused(table, "optimal-lr-batch")


def test_moving_together_means_one_power_law():
    x = np.geomspace(1, 1e4, 9)
    assert move_together(x, 3 * x**1.7)
    assert move_together(x, x * (1 + 0.001 * (-1) ** np.arange(9)))
    assert not move_together(x, x * (1 + 0.5 * (-1) ** np.arange(9)))


@pytest.mark.parametrize("law", ["chinchilla", "kaplan-floor"])
def test_one_compute_budget_is_let_in(law):
    """N and D of one budget move together too, but against each other: the valley tells the two terms apart."""
    N = np.geomspace(1e7, 1e9, 25)
    table = pd.DataFrame({"N": N, "D": 1e19 / (6 * N)})
    constants = {"E": 1.7, "A": 400.0, "B": 410.0, "alpha": 0.34, "beta": 0.28}
    constants |= {"A": 6.7e7, "B": 8.9e8} if law == "kaplan-floor" else {}
    found = sf.fit(table.assign(loss=sf.find_law(law).evaluate(table, constants)), law)
    assert found["alpha"] == pytest.approx(constants["alpha"], rel=1e-3)


def test_what_does_not_vary_cannot_be_explained():
    text = refused({"N": SIZES, "D": TOKENS, "peak_lr": np.full(16, 0.01)}, "optimal-lr-batch")
    assert "all 16 rows have the same peak_lr, 0.01: there is nothing to explain" in text


def test_a_whole_sweep_is_not_a_table_of_optima():
    sweep = pd.DataFrame({"N": SIZES, "D": TOKENS}).merge(pd.DataFrame({"peak_lr": [1e-3, 2e-3, 4e-3]}), how="cross")
    text = refused(sweep, "optimal-lr-batch")
    assert "3 values of peak_lr at one N and D" in text
    assert "lr-batch-surface" in text


def test_a_recipe_is_not_a_table_of_optima():
    text = refused({"N": SIZES, "D": TOKENS, "peak_lr": 3 * SIZES**-0.4}, "optimal-lr-batch")
    assert "the same at every D of each N: a recipe" in text
    optima = pd.DataFrame({"N": SIZES, "D": TOKENS, "peak_lr": 3 * SIZES**-0.4 * TOKENS**0.05})
    assert sf.fit(optima, "optimal-lr-batch")["beta"] == pytest.approx(0.05, rel=1e-6)


def test_runs_off_the_frontier_are_not_optima_of_diffusion_transformers():
    assert "worse loss than one of less compute" in refused(
        {"N": SIZES, "D": TOKENS, "loss": LOSS}, "diffusion-transformer"
    )
    C = np.geomspace(1e17, 1e19, 6)
    found = sf.fit(pd.DataFrame({"C": C, "loss": 2.4 * C**-0.0273}), "diffusion-transformer")
    assert found["slope"] == pytest.approx(-0.0273, rel=1e-9)


def curves_of(*sizes):
    steps = np.arange(100, 2000, 50)
    parts = [
        pd.DataFrame({"run": f"r{N:g}", "N": N, "step": steps, "loss": 2 + 9 * steps**-0.3 + N**-0.2}) for N in sizes
    ]
    return pd.concat(parts, ignore_index=True)


def test_runs_of_several_sizes_are_doubted_where_a_law_knows_no_size():
    found = sf.fit(curves_of(1e6, 1e7), "one-epoch", points="all")
    assert "mixed-runs" in [check.code for check in found.warnings]
    assert "mixed-runs" not in [check.code for check in sf.fit(curves_of(1e6), "one-epoch", points="all").warnings]


@pytest.mark.parametrize("law", ["annealing", "multi-power", "functional", "annealing-transfer"])
def test_constant_learning_rates_only(law):
    runs = sf.read_runs(curves_of(1e6), schedule="constant:peak_lr=1e-3,steps=2000")
    with pytest.raises(sf.IdentificationError, match=f"law {law}: 1 run under one single schedule.*another schedule"):
        sf.fit(runs, law)


@pytest.mark.parametrize("law", ["annealing", "annealing-size", "multi-power", "functional", "continual"])
def test_peak_learning_rates_that_differ_are_doubted(law):
    flat, steep = np.full(50, 1e-3), np.linspace(2e-3, 0, 50)
    law = sf.find_law(law)
    ((code, text),) = law.doubts({"one": SimpleNamespace(lr=flat), "two": SimpleNamespace(lr=steep)})
    assert code == "peak-lr-mixed"
    assert "from 0.001 to 0.002" in text
    assert "fit one peak at a time, or the law annealing-transfer" in text
    assert not law.doubts({"one": SimpleNamespace(lr=flat), "two": SimpleNamespace(lr=0.5 * steep)})
    assert not sf.find_law("annealing-transfer").doubts({"one": SimpleNamespace(lr=flat)})


class TestWhichLaws:
    table = pd.DataFrame({"N": SIZES, "D": TOKENS, "loss": LOSS, "acc": 1 - LOSS / 10, "peak_lr": 0.01})

    def said(self, table, target=None):
        return {one.law: (one.can, one.reason) for one in identify(sf.read_runs(table), target)}

    def test_runs_of_sizes_and_lengths(self):
        found = self.said(self.table)
        able = {law for law, (can, _) in found.items() if can}
        of_both = {"chinchilla", "farseer", "kaplan", "kaplan-floor", "over-training", "skaling"}
        assert {law for law in able if ":" not in law} == of_both
        assert found["chinchilla"][1] == "loss from N, D: 16 rows, 5 parameters"
        assert found["data-constrained"][1] == "needs the column U (unique training tokens)"
        assert "nothing to explain" in found["optimal-lr-batch"][1]

    def test_a_law_in_one_variable_is_listed_for_each_column_that_can_be_it(self):
        found = self.said(self.table)
        for over, other in (("N", "D"), ("D", "N")):
            can, reason = found[f"power:over={over}"]
            assert can
            assert reason.startswith(f"loss from {over}: 16 rows, 2 parameters; but {other} varies at the same {over}")
            assert f'(--where "{other} == {3e8 if other == "N" else 3e10:.0f}")' in reason
        assert "N and D vary at the same C" in found["power-floor:over=C"][1]
        assert "power" not in found

    def test_scales_that_move_together_raise_no_doubt(self):
        found = self.said(self.table.assign(D=20 * SIZES, N=SIZES))
        for over in "NDC":
            assert found[f"power:over={over}"] == (True, f"loss from {over}: 16 rows, 2 parameters")

    def test_the_selection_that_is_proposed_ends_the_doubt(self):
        runs = sf.read_runs(self.table)
        (doubt,) = (check.text for check in sf.fit(runs, "power:over=N").warnings if check.code == "mixed-runs")
        kept = runs.where(re.search(r'--where "(.*)"', doubt)[1])
        assert len(kept) == 4
        assert "mixed-runs" not in [check.code for check in sf.fit(kept, "power:over=N").warnings]

    def test_laws_without_doubts_come_first(self):
        found = [one for one in identify(sf.read_runs(self.table)) if one.can]
        assert [bool(one.doubts) for one in found] == sorted(bool(one.doubts) for one in found)

    def test_sweeps_of_learning_rates_are_doubted_where_a_law_knows_none(self):
        sweep = self.table.drop(columns="peak_lr").merge(pd.DataFrame({"peak_lr": [1e-3, 2e-3, 4e-3]}), how="cross")
        doubt = (
            "runs with the same N and D differ in peak_lr (up to 3 values of peak_lr), which the law does not read: "
        )
        doubt += "keep the run with the lowest loss of each N and D (--best-of peak_lr; in Python sf.best_of), or runs "
        doubt += "of one peak_lr"
        reason = self.said(sweep)["chinchilla"][1]
        assert reason == f"loss from N, D: 48 rows, 5 parameters; but {doubt}"
        assert doubt in [check.text for check in sf.fit(sweep, "chinchilla").warnings]
        best = sweep.assign(loss=sweep["loss"] + 0.1 * (sweep["peak_lr"] != 2e-3)).sort_values("loss")
        assert "but" not in self.said(best.groupby(["N", "D"]).head(1))["chinchilla"][1]

    def test_a_recipe_that_follows_the_size_is_not_a_sweep(self):
        follows = self.table.assign(peak_lr=SIZES**-0.3)
        assert "but" not in self.said(follows)["chinchilla"][1]

    def test_another_target(self):
        found = self.said(self.table.rename(columns={"acc": "loss_pile"}), "loss_pile")
        assert found["chinchilla"] == (True, "loss_pile from N, D: 16 rows, 5 parameters")
        assert found["optimal-lr-batch"] == (False, "it explains peak_lr, not loss_pile")
        assert found["task-ladder"] == (False, "it explains accuracy, not loss_pile")
        assert self.said(self.table, "acc")["task-ladder"] == (True, "acc from loss: 16 rows, 4 parameters")
        assert self.said(self.table, "bleu")["chinchilla"] == (False, "needs the column bleu (quality of translations)")

    def test_curves_of_several_sizes(self):
        lr = curves_of(1e6, 1e7).assign(lr=1e-3, schedule="constant")
        runs = sf.read_runs(lr, schedule="constant:peak_lr=1e-3,steps=2000")
        reasons = {one.law: one.reason for one in identify(runs)}
        assert reasons["annealing"].startswith("law annealing: 2 runs under one single schedule")
        assert "learning rate before step 100 is not known" in self.said(lr)["annealing"][1]
        assert self.said(curves_of(1e6).drop(columns="step"))["annealing"][1].startswith("needs loss curves")
