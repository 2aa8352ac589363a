"""Published fits on public data, reproduced; skipped where the data are absent."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.fitting.stages import data_constrained, loss_to_loss, task_ladder
from scalefit.laws import find_law
from scalefit.laws.data_constrained import DataConstrained
from scalefit.laws.loss_to_loss import line_above_floors, pair_runs
from scalefit.planning.translation import transfer

DATA = Path("../shared/data")
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the public data sets are not beside the repository")
PLAIN = {"loss": "squared", "residuals": "linear"}  #: plain least squares, as some sources fit


def table(folder, file, **names):
    path = DATA / folder / file
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    return pd.read_csv(path).rename(columns={old: new for new, old in names.items()})


class TestOverTraining:
    """arXiv:2403.08540: four small runs at M = 20, one at M = 320; plain least squares."""

    #: the tasks of the 17-task mean, found as those that give the published constants of both data sets
    tasks = (
        "arc_easy bigbench_cs_algorithms bigbench_dyck_languages bigbench_novel_concepts bigbench_operators "
        "bigbench_qa_wikidata boolq commonsense_qa copa coqa hellaswag hellaswag_zeroshot lambada_openai piqa "
        "pubmed_qa_labeled squad winograd"
    )

    def runs(self, data_set):
        runs = table("gadre_overtraining", "runs.csv", N="params", D="tokens", loss="loss_c4_val")
        runs = runs[runs["train_dataset"] == data_set]
        runs["error"] = 1 - runs[[f"acc_{task}" for task in self.tasks.split()]].mean(axis=1)
        runs["error_46"] = 1 - runs.filter(like="acc_").mean(axis=1)
        small = (runs["token_multiplier"] == 20) & (runs["N"] < 5e8)
        return runs, small | ((runs["token_multiplier"] == 320) & (runs["N"] < 2e7))

    @pytest.mark.parametrize(
        ("data_set", "constants"),
        [
            ("C4", {"E": 1.5083, "a": 141.3, "b": 189.5, "eta": 0.12124}),
            ("RedPajama", {"E": 1.8366, "a": 212.2, "b": 366.7, "eta": 0.13643}),
        ],
    )
    def test_the_loss_law_from_five_runs(self, data_set, constants):
        runs, five = self.runs(data_set)
        assert five.sum() == 5
        found = sf.fit(runs[five][["N", "D", "loss"]], "over-training", **PLAIN)
        for name, value in constants.items():
            assert found[name] == pytest.approx(value, rel=5e-4)

    def chained(self, data_set="RedPajama"):
        """The loss law, the error law and the two large runs with what was predicted of them."""
        runs, five = self.runs(data_set)
        loss = sf.fit(runs[five][["N", "D", "loss"]], "over-training", **PLAIN)
        six = five | ((runs["token_multiplier"] == 20) & runs["N"].between(1.4e9, 2e9))
        error = sf.fit(runs[six][["loss", "error"]], "downstream-error", **PLAIN)
        large = runs[(runs["N"] > 5e9) | (runs["token_multiplier"] == 640) & (runs["N"] > 1e9)].sort_values("N")
        predicted = loss.predict(large[["N", "D"]])["loss"].to_numpy()
        return loss, error, large, predicted

    def test_the_losses_of_the_large_runs(self):
        _, _, large, predicted = self.chained()
        errors = 100 * np.abs(predicted / large["loss"].to_numpy() - 1)
        assert errors == pytest.approx([0.7103, 0.7320], abs=6e-5)

    def test_the_downstream_errors_of_the_large_runs(self):
        _, error, large, predicted = self.chained()
        chained = error.evaluate({"loss": predicted})
        errors = 100 * np.abs(chained / large["error"].to_numpy() - 1)
        assert errors == pytest.approx([3.6365, 0.0464], abs=6e-5)

    @pytest.mark.parametrize(
        ("data_set", "column", "constants"),
        [
            ("C4", "error", (2.0789, 0.7561, 0.8497)),
            ("RedPajama", "error", (2.2065, 0.7146, 0.8570)),
            ("C4", "error_46", (1.2885, 0.9722, 0.7589)),
            ("RedPajama", "error_46", (1.3229, 0.8907, 0.7608)),
        ],
    )
    def test_the_error_laws(self, data_set, column, constants):
        runs, five = self.runs(data_set)
        six = runs[five | ((runs["token_multiplier"] == 20) & runs["N"].between(1.4e9, 2e9))]
        found = sf.fit(six[["loss", column]], "downstream-error", target=column, **PLAIN)
        assert (found["k"], found["gamma"], found["eps"]) == pytest.approx(constants, abs=6e-5)


class TestLossToLoss:
    """arXiv:2411.12925: floors by the Kaplan form (Huber 1e-3), then kappa and K above them."""

    def runs(self, data_set=None):
        runs = table("loss_to_loss", "runs.csv", N="params", D="tokens", loss="loss_own_val")
        runs = runs[runs["split"] == "sweep"]
        return runs if data_set is None else runs[runs["train_dataset"] == data_set]

    @pytest.mark.parametrize("data_set", ["fineweb-100b", "fineweb-edu-100b", "proof-pile-2", "slimpajama-chunk1"])
    def test_the_floors(self, data_set):
        found = sf.fit(self.runs(data_set)[["N", "D", "loss"]], "kaplan-floor", delta=1e-3)
        published = table("loss_to_loss", "published_scaling_fits.csv")
        published = published[(published["train_dataset"] == data_set) & (published["form"] == "kaplan")]
        own = published.iloc[int(np.argmin(np.abs(published["E"] - found["E"])))]
        for name in ("A", "B", "E", "alpha", "beta"):
            assert found[name] == pytest.approx(own[name], rel=1e-5)

    def test_every_published_pair(self):
        published = table("loss_to_loss", "published_train_to_train.csv")
        for _, row in published.iterrows():
            pairs = pair_runs(self.runs(row["train_dataset_0"]), self.runs(row["train_dataset_1"]))
            assert len(pairs) == row["n_pairs"]
            kappa, K = line_above_floors(pairs["loss_source"], pairs["loss"], row["E_0"], row["E_1"])
            assert (kappa, K) == pytest.approx((row["kappa"], row["K"]), rel=2e-6)

    @pytest.mark.parametrize(
        ("task", "kappa", "K", "E1", "forecast"),
        [
            ("hellaswag_test", 1.0803, 0.9306, 2.1195, 2.2475),
            ("mmlu_humanities_test", 0.959, 1.1411, 2.7853, 2.9813),
            ("mmlu_stem_test", 0.532, 2.346, 1.413, 2.2963),
        ],
    )
    def test_train_to_test(self, task, kappa, K, E1, forecast):
        """From the loss on FineWeb-Edu to that of a task's answers; ARC-Easy's floor is not determined, see below."""
        every = table("loss_to_loss", "runs.csv", N="params", D="tokens", loss="loss_own_val")
        every = every[every["train_dataset"] == "fineweb-edu-100b"].assign(task=lambda runs: runs[f"loss_ce_{task}"])
        runs, large = every[every["split"] == "sweep"], every[every["split"] != "sweep"]
        E0 = sf.fit(runs[["N", "D", "loss"]], "kaplan-floor", delta=1e-3)["E"]
        floor = sf.fit(runs[["N", "D", "task"]], "kaplan-floor", target="task", delta=1e-3)["E"]
        found = line_above_floors(runs["loss"], runs["task"], E0, floor)
        assert (*found, floor) == pytest.approx((kappa, K, E1), abs=4e-4)
        constants = {"kappa": found[0], "K": found[1], "E0": E0, "E1": floor}
        predicted = find_law("loss-to-loss").evaluate({"loss_source": large["loss"].to_numpy()}, constants)
        assert float(predicted[0]) == pytest.approx(forecast, abs=6e-5)

    def test_train_to_test_with_a_floor_that_is_not_determined(self):
        """ARC-Easy: the published floor 0.0684 is not the optimum (0 is), but with it the line is the published one."""
        runs = self.runs("fineweb-edu-100b")
        found = line_above_floors(runs["loss"], runs["loss_ce_arc_easy_test"], 1.96690513, 0.0684)
        assert found == pytest.approx((0.3566, 4.6841), abs=6e-5)

    def test_test_to_test_on_hellaswag(self):
        def answers(data_set):
            return self.runs(data_set).assign(loss=lambda runs: runs["loss_ce_hellaswag_test"])[["N", "D", "loss"]]

        source = answers("fineweb-edu-100b")
        floor = sf.fit(source, "kaplan-floor", delta=1e-3)["E"]
        assert floor == pytest.approx(2.12, abs=5e-3)
        published = {"fineweb-100b": (1.05, 0.98, 2.08), "proof-pile-2": (0.74, 1.60, 2.39)}
        published |= {"slimpajama-chunk1": (0.95, 1.11, 2.08)}
        for data_set, constants in published.items():
            target = answers(data_set)
            E1 = sf.fit(target, "kaplan-floor", delta=1e-3)["E"]
            pairs = pair_runs(source, target)
            found = (*line_above_floors(pairs["loss_source"], pairs["loss"], floor, E1), E1)
            assert found == pytest.approx(constants, abs=5e-3)

    def test_the_published_forecasts_at_a_larger_budget(self):
        """From the measured loss of the 3.3B run on FineWeb-Edu; two of the three targets are held back."""
        runs = table("loss_to_loss", "runs.csv", loss="loss_own_val")
        large = runs[(runs["split"] != "sweep") & (runs["train_dataset"] == "fineweb-edu-100b")]["loss"].item()
        published = table("loss_to_loss", "published_train_to_train.csv").set_index(
            ["train_dataset_0", "train_dataset_1"]
        )
        forecasts = {"fineweb-100b": 2.3315, "proof-pile-2": 1.4045, "slimpajama-chunk1": 2.1448}
        for target, forecast in forecasts.items():
            row = published.loc[("fineweb-edu-100b", target)]
            constants = {"kappa": row["kappa"], "K": row["K"], "E0": row["E_0"], "E1": row["E_1"]}
            found = find_law("loss-to-loss").evaluate({"loss_source": large}, constants)
            assert float(found) == pytest.approx(forecast, abs=6e-5)

    def test_the_staged_fit_agrees_and_says_what_it_is(self):
        source, target = self.runs("fineweb-edu-100b"), self.runs("proof-pile-2")
        staged = loss_to_loss(source, target)
        assert staged.how.startswith("floors from kaplan-floor on 91 and 86 runs, then kappa and K from 83 pairs")
        assert (staged.last["kappa"], staged.last["K"]) == pytest.approx((1.0663, 0.6049), abs=1e-3)
        assert staged.last.fixed == {"E0": staged["source"]["E"], "E1": staged["target"]["E"]}

    def test_the_large_run_is_within_two_thousandths(self):
        runs = table("loss_to_loss", "runs.csv", N="params", D="tokens", loss="loss_own_val")
        large = runs[runs["split"] != "sweep"].set_index("train_dataset")["loss"]
        staged = loss_to_loss(self.runs("fineweb-100b"), self.runs("fineweb-edu-100b"))
        predicted = staged.last.evaluate({"loss_source": large["fineweb-100b"]})
        assert predicted == pytest.approx(large["fineweb-edu-100b"], rel=2e-3)

    def test_a_few_runs_carry_a_law_to_another_data_set(self):
        """R2 of the carried law, mean over sources; published for five sources, of which three are here."""
        families = {name: self.runs(name) for name in sorted(self.runs()["train_dataset"].unique())}
        laws = {name: sf.fit(runs[["N", "D", "loss"]], "kaplan-floor", delta=1e-3) for name, runs in families.items()}
        for target, published in zip(families, (0.990, 0.990, 0.988, 0.991), strict=True):
            runs = families[target]
            few = runs[(runs["D"] / runs["N"]).between(16, 23)]
            assert len(few) < 10
            found = [
                self.r2(transfer(laws[source], few, families[source])[0], runs)
                for source in families
                if source != target
            ]
            alone = sf.fit(few[["N", "D", "loss"]], "kaplan-floor", delta=1e-3, force=True)
            assert np.mean(found) > published - 1e-3
            assert self.r2(alone.parameters, runs) < min(found)

    def r2(self, constants, runs):
        predicted = find_law("kaplan-floor").evaluate(runs[["N", "D"]], constants)
        return 1 - np.sum((predicted - runs["loss"]) ** 2) / np.sum((runs["loss"] - runs["loss"].mean()) ** 2)


class TestDataConstrained:
    """arXiv:2305.16264: 161 of the 182 runs of the published fit are public here; the largest are held back.

    Reproduced: the published law on these rows, by its printed formula; that both kinds of decay are needed; and each
    decay constant given the other (R_N at the published R_D, and R_D at the published R_N).
    Not reproducible from them: R2 0.7722 (0.4452 without decay), which is of all 182; both constants together, since
    these runs leave a valley open along which R_D and R_N trade places; and the base law, which the source fits to runs
    of one epoch of which only 27 are here.
    """

    #: E, A, B, alpha = beta of the published base law, and its two decay constants
    printed = (np.exp(0.6254804), np.exp(6.255414), np.exp(7.3049974), 0.3526596, 15.387756, 5.309743)

    def runs(self):
        runs = table("datablations", "published_fit_182.csv", N="params", D="tokens", U="unique_tokens")
        return runs[["N", "D", "U", "loss"]]

    def as_printed(self, runs, decay_of_data=True, decay_of_size=True):
        """The source's formula with its constants; without its decay every further token or parameter counts fully."""
        E, A, B, alpha, R_D, R_N = self.printed
        N, D, U_D = (runs[name].to_numpy(float) for name in ("N", "D", "U"))
        U_N = np.minimum(N, (alpha * A / (alpha * B)) ** (1 / alpha) * U_D)  # G^2 U_D: the optimum of G (C/6)^(1/2)
        useful_D = U_D + U_D * R_D * (1 - np.exp(-(D / U_D - 1) / R_D)) if decay_of_data else D
        useful_N = U_N + U_N * R_N * (1 - np.exp(-(N / U_N - 1) / R_N)) if decay_of_size else N
        return E + A / useful_N**alpha + B / useful_D**alpha

    def r2(self, runs, predicted):
        return 1 - np.sum((predicted - runs["loss"]) ** 2) / np.sum((runs["loss"] - runs["loss"].mean()) ** 2)

    def test_the_published_law_on_these_rows(self):
        runs, law, published = self.runs(), DataConstrained(), DataConstrained.published[0].parameters
        assert len(runs) == 161
        both, data_only = self.as_printed(runs), self.as_printed(runs, decay_of_size=False)
        neither = self.as_printed(runs, decay_of_data=False, decay_of_size=False)
        np.testing.assert_allclose(law.evaluate(runs[["N", "D", "U"]], published), both, rtol=1e-7)
        found = [self.r2(runs, predicted) for predicted in (both, data_only, neither)]
        assert found == pytest.approx([0.7368, 0.5784, 0.3645], abs=5e-5)

    def test_each_decay_constant_given_the_other(self):
        runs, published = self.runs(), DataConstrained.published[0].parameters
        base = {name: published[name] for name in ("E", "A", "alpha", "beta", "N_opt")}

        def held(**constants):
            return sf.fit(runs, "data-constrained", fix={**base, **constants}, delta=1e-3)

        assert held(R_D=15.387756)["R_N"] == pytest.approx(5.31, rel=0.01)
        assert held(R_N=5.309743)["R_D"] == pytest.approx(15.39, rel=0.01)

    def test_both_decay_constants_together_are_left_open(self):
        runs, published = self.runs(), DataConstrained.published[0].parameters
        base = {name: published[name] for name in ("E", "A", "alpha", "beta", "N_opt")}
        free = sf.fit(runs, "data-constrained", fix=base, delta=1e-3)
        there = sf.fit(runs, "data-constrained", fix={**base, "R_D": published["R_D"]}, delta=1e-3)
        assert free["R_D"] > 2 * published["R_D"]
        assert there.cost < 1.003 * free.cost, "the published constants lie in the same valley"

    def test_runs_of_more_epochs_than_it_holds_are_said(self):
        runs = self.runs()
        few = runs[runs["D"] <= 41 * runs["U"]]

        def codes(rows):
            return {check.code: check.text for check in sf.fit(rows, "data-constrained:procedure=stages").warnings}

        assert "58 of 161 runs see their data more than 40 times" in codes(runs)["too-many-epochs"]
        assert "too-many-epochs" not in codes(few)

    def test_that_R_D_is_hardly_identified_is_said_without_draws(self):
        """Twice its value lies inside its profile interval, by an independent refit with R_D held there."""
        runs, published = self.runs(), DataConstrained.published[0].parameters
        base = {name: published[name] for name in ("E", "A", "alpha", "beta", "N_opt")}
        found = sf.fit(runs, "data-constrained", fix=base, delta=1e-3)
        said = [check.text for check in found.warnings if check.code == "hardly-identified"]
        assert any(text.startswith("R_D = ") for text in said), said
        twice = sf.fit(runs, "data-constrained", fix={**base, "R_D": 2 * found["R_D"]}, delta=1e-3)
        assert twice.cost < 1.01 * found.cost

    def test_the_staged_procedure_is_a_law_and_can_be_back_tested(self):
        runs = self.runs()
        runs = runs[runs["D"] <= 41 * runs["U"]].reset_index(drop=True)
        by_hand = data_constrained(runs, procedure="stages").last
        by_name = sf.fit(runs, "data-constrained:procedure=stages")
        assert by_name["R_D"] == pytest.approx(by_hand["R_D"], rel=1e-3)
        assert by_name.fixed == pytest.approx(by_hand.fixed, rel=1e-6)
        table = sf.backtest(runs, "data-constrained:procedure=stages").table
        fold = table[table["fold"] == table["fold"].iloc[-1]]
        beyond = fold["run"].str.removeprefix("row ").astype(int).to_numpy()
        inside = runs.drop(runs.index[beyond])
        alone = sf.fit(inside, "data-constrained:procedure=stages").predict(runs.iloc[beyond])["loss"]
        expected = runs["loss"].iloc[beyond].to_numpy() / alone.to_numpy() - 1
        np.testing.assert_allclose(fold["error"], expected, atol=2e-4)
        with pytest.raises(sf.InputError, match="only 3 runs of one epoch"):
            once = runs[runs["D"] <= 1.01 * runs["U"]]
            sf.fit(pd.concat([once[:3], runs[runs["D"] > 3 * runs["U"]]]), "data-constrained:procedure=stages")

    def test_joint_and_staged_fits_explain_more_than_the_published_constants(self):
        runs = self.runs()
        for procedure, least in (("stages", 0.70), ("joint", 0.90)):
            staged = data_constrained(runs, procedure=procedure)
            assert staged.last.status == "converged"
            assert staged.last.score(runs[["N", "D", "U", "loss"]])["r2"].iloc[0] > least
            assert 5 < staged.last["R_D"] < 120


class TestBroken:
    """arXiv:2210.14891, 4-digit addition: one break, least squares of log(1 + y)."""

    def curve(self):
        curve = table("bnsl_4digit_addition", "curve.csv", x="train_examples")
        return curve[curve["split"] == "fit"], curve[curve["split"] != "fit"]

    def test_the_published_constants(self):
        fitted, later = self.curve()
        shifted = fitted.assign(loss=fitted["loss"] + 1)[["x", "loss"]]  # log(1 + y) is the logarithm of a shifted law
        found = sf.fit(shifted, "broken", loss="squared")
        constants = {**found.parameters, "a": found["a"] - 1}
        published = find_law("broken").published[0].parameters
        for name, value in published.items():
            assert constants[name] == pytest.approx(value, rel=2e-5)
        for rows, error in ((fitted, 5.985e-4), (later, 1.0916e-2)):
            ratio = np.log(found.law.evaluate({"x": rows["x"].to_numpy(float)}, constants) / rows["loss"].to_numpy())
            assert np.sqrt(np.mean(ratio**2)) == pytest.approx(error, rel=1e-3)

    def test_it_foresees_what_a_power_law_cannot(self):
        fitted, later = self.curve()
        bent, straight = (sf.fit(fitted[["x", "loss"]], law) for law in ("broken", "power-floor:over=x"))
        errors = [found.score(later[["x", "loss"]])["worst_relative"].iloc[0] for found in (bent, straight)]
        assert errors[0] < 0.05 < errors[1]


def test_routed_on_released_curves():
    """arXiv:2202.01169, S-Base at its last step: in decimal logarithms a -0.083, b -0.118, c 0.0099 (another refit)."""
    runs = table("routing_dm", "curves_dense_sbase.csv", N="params")
    last = runs.sort_values("step").groupby("run").tail(1)
    last = last[(last["k"] == 1) & (last["seed"] == 42) & (last["routing_frequency"] == 0.5)].dropna(subset=["loss"])
    found = sf.fit(last[["N", "experts", "loss"]], "routed", loss="squared")
    assert found.status == "converged"
    assert found.score(last[["N", "experts", "loss"]])["mean_relative"].iloc[0] < 0.006
    assert (-found["a"], found["c"] * np.log(10)) == pytest.approx((-0.083, 0.0099), abs=4e-3)
    assert 1.5 < found["E_start"] < 3
    assert 150 < found["E_max"] < 400


def test_the_surface_of_a_sweep_finds_the_published_optima():
    """arXiv:2503.04715: lr = 1.79 N^-0.713 D^0.307 and batch = 0.58 D^0.571, from twelve of its cells."""
    runs = table("steplaw", "dense_lr_bs_sweep.csv", N="params", D="tokens", peak_lr="lr", batch="batch_tokens")
    near = runs[runs["loss"] < 1.02 * runs.groupby(["N", "D"])["loss"].transform("min")]
    found = sf.fit(near[["N", "D", "peak_lr", "batch", "loss"]], "lr-batch-surface", starts=2)
    assert found.status == "converged"
    assert found["s"] == pytest.approx(0.571, abs=0.04)
    assert found["batch_0"] == pytest.approx(0.58 * 1e11**0.571, rel=0.1)
    for N, D in ((2.15e8, 1e10), (4.29e8, 5e10)):
        lr = found["lr_0"] * (N / 1e9) ** -found["p"] * (D / 1e11) ** found["q"]
        assert lr == pytest.approx(1.79 * N**-0.713 * D**0.307, rel=0.3)
    assert found["skew"] > 0, "too high a learning rate costs more than too low a one"


#: the predictions of the task ladder that were published, by task
LADDER = {
    "mmlu": 0.513,
    "hellaswag_val": 0.853,
    "arc_challenge_test": 0.527,
    "arc_easy_test": 0.772,
    "piqa_val": 0.821,
    "csqa_val": 0.776,
    "socialiqa_val": 0.599,
    "openbookqa_test": 0.449,
}
#: shares of the questions of the four parts of MMLU
MMLU = {"stem": 0.215, "humanities": 0.335, "social_sciences": 0.219, "other": 0.231}


class TestTaskLadder:
    """arXiv:2412.04403: sixteen runs of four sizes, each evaluated along its way, predict a 13B model on 5T tokens."""

    def checkpoints(self, task):
        curves = table("olmo_ladder", "eval_curves.csv", N="params", D="tokens")
        curves = curves[~curves["run"].str.contains("rerun|0.5x")]
        for column in ("bpb", "acc") if task == "mmlu" else ():
            parts = [share * curves[f"{column}_mmlu_{part}_test_rc_5shot"] for part, share in MMLU.items()]
            curves = curves.assign(**{f"{column}_mmlu_rc_5shot": sum(parts)})
        return curves

    @pytest.mark.parametrize("task", LADDER)
    def test_the_published_predictions(self, task):
        names = {"loss": f"bpb_{task}_rc_5shot", "accuracy": f"acc_{task}_rc_5shot"}
        ladder = task_ladder(self.checkpoints(task), **names, starts=4)
        assert ladder.loss.rows == 16
        assert round(float(ladder.predict(13_202_396_160, 5_000_088_518_656)), 3) == LADDER[task]

    def test_the_final_losses(self):
        final = table("olmo_ladder", "final.csv", N="params", D="tokens", loss="loss_c4_en")
        final = final[~final["run"].str.contains("rerun|0.5x")]
        c4 = sf.fit(final[["N", "D", "loss"]], "chinchilla", delta=1e-3)
        assert c4.rows == 16
        assert (c4["alpha"], c4["beta"], c4["E"]) == pytest.approx((0.1122, 0.1577, 1.040), abs=1e-3)


@pytest.mark.parametrize(
    ("run", "alpha", "error"), [("6 Enc, 6 Dec", 0.45, -4.5), ("Dec-only", 0.68, -3.2), ("TEnc-LSTM", 0.57, -1.0)]
)
def test_translation_curves_flatten(run, alpha, error):
    """arXiv:2202.01994: E + A x^-alpha on the points marked fit (Huber 1e-3), error of the last point in percent."""
    curve = table("nmt_data_scaling", "learning_curves.csv").query("run == @run")
    fitted, last = curve[curve["split"] == "fit"], curve.sort_values("examples").iloc[-1]
    found = sf.fit(fitted[["examples", "loss"]], "power-floor:over=examples", delta=1e-3)
    assert found["alpha"] == pytest.approx(alpha, abs=5e-3)
    assert 100 * float(found.evaluate({"x": last["examples"]}) / last["loss"] - 1) == pytest.approx(error, abs=0.05)
