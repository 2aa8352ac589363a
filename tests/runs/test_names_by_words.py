"""Names of N, D and the loss by the words that they consist of; a name with any other word is no guess."""

import commands
import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.runs.columns import COLUMNS
from scalefit.runs.matching import _scale, match
from scalefit.runs.reading.counters import rises_like_steps
from scalefit.runs.wording import worded


def bound(*names):
    return {binding.source: binding.name for binding in match(names)}


@commands.cases(
    "name, canonical",
    [
        ("n_params_nonemb", "N"),
        ("params_no_emb", "N"),
        ("paramsWithoutEmbeddings", "N"),
        ("number of non-embedding parameters", "N"),
        ("model/param_count", "N"),
        ("params incl. embeddings", "N_total"),
        ("num_total_params", "N_total"),
        ("num_train_tokens", "tokens"),
        ("tokens_processed", "tokens"),
        ("totalTrainTokens", "tokens"),
        ("train/tokens_so_far", "tokens"),
        ("validation/loss", "loss"),
        ("eval/c4_en_loss", "loss"),
        ("val_nll", "loss"),
        ("dev_loss", "loss"),
        ("held-out loss", "loss"),
        ("TrainingLoss", "loss"),
        ("loss/eval/wikitext", "loss"),
        ("LearningRate", "lr"),
        ("Iters", "step"),
    ],
)
def test_names_of_known_words(name, canonical):
    assert bound("x", name) == {name: canonical}


@commands.cases(
    "name",
    [
        *("trainable_params", "active_params", "params_per_expert", "emb_params", "embedding_params", "param_norm"),
        *("tokens_per_second", "tokens_per_param", "val_tokens", "max_tokens", "unique_train_tokens"),
        *("train/aux_loss", "eval/kl_loss", "loss_weight", "loss_scale", "val_loss_std", "router/z_loss"),
        *("train/lm_ce", "objective", "loss_fn", "eval_entropy_loss", "mse_loss"),
    ],
)
def test_names_with_other_words_stay_what_they_are(name):
    assert bound("x", name) == {}


def test_of_two_names_by_words_none_is_taken_and_a_known_name_comes_first():
    assert bound("eval/c4_loss", "eval/pile_loss") == {}
    assert bound("tokens_processed", "num_train_tokens") == {}
    assert bound("loss", "dev_loss")["loss"] == "loss"
    with pytest.raises(sf.InputError, match="could both be loss"):
        match(["train_loss", "dev_loss"])


@pytest.mark.parametrize(
    ("cells", "size"),
    [(["60M", "1.3B"], [6e7, 1.3e9]), ([6e7, 1.3e9], [6e7, 1.3e9]), ([64, 256], None), (["small", "large"], None)],
)
def test_a_size_is_n_where_its_cells_say_so(cells, size):
    table = sf.read_runs(pd.DataFrame({"size": cells, "loss": [3.0, 2.5]})).table
    assert (table["N"].tolist() if "N" in table else None) == size


@pytest.mark.parametrize("sizes", [[60.0, 1300.0, 400.0, 125.0], [0.125, 0.35, 1.3, 7.0]])
def test_sizes_that_are_no_counts_are_suspect(sizes):
    runs = sf.read_runs(pd.DataFrame({"params": sizes, "tokens": [2e9] * 4, "loss": [3.0, 2.9, 2.8, 2.7]}))
    assert any(note.kind == "suspect" and "millions or billions" in note.text for note in runs.notes)


@pytest.mark.parametrize("unit", ["M", "B"])
def test_a_unit_at_the_end_of_a_name_of_known_words_counts(unit):
    scale = {"M": 1e6, "B": 1e9}[unit]
    table = sf.read_runs(pd.DataFrame({f"param_count_nonemb_{unit}": [1.5, 7.0], "loss": [3.0, 2.5]})).table
    assert table["N"].tolist() == [1.5 * scale, 7 * scale]


def test_sizes_and_data_that_are_swapped_are_suspect():
    N, D = np.array([1e8, 1e8, 1e9]), np.array([2e9, 4e9, 2e10])
    for sizes, data, doubted in ((D, N, True), (N, D, False), (D, np.r_[3e9, N[1:]], False), (D, N / 1e6, False)):
        notes = sf.read_runs(pd.DataFrame({"N": sizes, "D": data, "loss": [3.0, 2.9, 2.5]})).notes
        assert any(note.kind == "suspect" and "not swapped" in note.text for note in notes) == doubted


@pytest.mark.parametrize(
    ("canonical", "own", "others"),
    [
        (
            "step",
            ["steps", "train/steps", "opt_step", "update_count", "iteration no", "Trainer/GlobalStep"],
            ["num_updates", "n_iters", "number of steps", "count_iterations", "eval_step", "step_time", "count"],
        ),
        (
            "D",
            ["train tokens", "dataset_size_tokens", "corpus tokens", "amount of data (B) toks"],
            ["size_tokens", "corpus", "val_tokens", "dataset_size", "tokens_per_param"],
        ),
        (
            "N",
            ["n_params", "n_nonemb", "total_nonemb_params", "params without embeddings", "model parameters"],
            ["total_params", "n_emb", "emb_params", "params_with_emb", "n_total", "n", "nonemb", "active_params"],
        ),
        (
            "N_total",
            ["total_params", "n_with_emb", "params including embeddings", "all params"],
            ["params", "total_nonemb_params", "n_total", "embedding_params", "with embeddings"],
        ),
        (
            "loss",
            ["nll", "lm loss", "val c4 loss", "final train loss", "held-out NLL"],
            ["val_c4", "c4 loss", "loss weight", "train", "val_z_loss", "lm"],
        ),
        ("lr", [], ["lr", "loss", "step"]),
    ],
)
def test_words_of_each_quantity(canonical, own, others):
    assert {name: worded(name, canonical) for name in (*own, *others)} == dict.fromkeys(own, True) | dict.fromkeys(
        others, False
    )


@pytest.mark.parametrize(
    ("name", "canonical", "tiers"),
    [
        ("N (B)", "N", {"aliases"}),
        ("D (T)", "D", {"aliases"}),
        ("tokens [B]", "tokens", {"aliases", "worded"}),
        ("loss (nats)", "loss", {"aliases", "worded"}),
        ("params", "N", {"fallback", "worded"}),
        ("nonemb_params", "N", {"aliases", "worded"}),  # of two counts the one without embeddings
        ("n", "N", set()),
    ],
)
def test_a_canonical_name_with_a_unit_comes_before_names_of_known_words(name, canonical, tiers):
    found = {tier for tier in ("aliases", "fallback", "worded") if _scale(name, canonical, COLUMNS[canonical], tier)}
    assert found == tiers


@pytest.mark.parametrize(
    ("batch", "length", "known"),
    [
        ([2048, 4096], 1024, True),  # whole sequences
        ([1024, 1024], 1024, True),
        ([512, 1024], 1024, False),
        ([2048, 2000], 1024, False),
        ([32768, 32768], None, True),  # so many are tokens
        ([32767, 32767], None, False),
        ([32000, 32000], 1024, False),
        ([40000, 40000], 1024, True),
    ],
)
def test_a_batch_that_counts_tokens_gives_the_data(batch, length, known):
    table = pd.DataFrame({"N": [1e6, 2e6], "steps": [1000, 2000], "batch": batch, "loss": [3.0, 2.5]})
    runs = sf.read_runs(table if length is None else table.assign(seq_len=length))
    told = any(note.text == "D = steps times batch, which counts tokens" for note in runs.notes)
    assert told is known
    assert (runs.table["D"].tolist() if "D" in runs.table else None) == (
        [1000 * batch[0], 2000 * batch[1]] if known else None
    )


@pytest.mark.parametrize(
    ("more", "name"),
    [
        ({}, "Schritt"),
        ({"N": 1e6}, "Schritt"),  # one size of all rows
        ({"N": np.arange(8)}, ""),
        ({"run": "a"}, ""),
        ({"Schritt": [*range(0, 70, 10), 80]}, ""),
        ({"Schritt": [*range(0, 70, 10), 70.1]}, "Schritt"),  # evenly to a hundredth
        ({"Schritt": range(80, 0, -10)}, ""),
        ({"Schritt": [f"{10 * i} %" for i in range(8)]}, "Schritt"),
        ({"Schritt": [f"00:0{i}:30" for i in range(8)]}, "Schritt"),
        ({"Schritt": list("abcdefgh")}, ""),
        ({"Schritt": [np.nan, *range(10, 80, 10)]}, ""),
        ({"loss": np.linspace(3, 4, 8)}, ""),
        ({"loss": [4.0, 3.0, 3.5, 3.0, 3.9, 3.0, 2.9, 4.0]}, "Schritt"),  # the median of a quarter
        ({"loss": list("abcdefgh")}, ""),
    ],
    ids=str,
)
def test_a_column_that_rises_as_steps_do(more, name):
    frame = pd.DataFrame({"Schritt": range(0, 80, 10), "loss": np.linspace(4, 3, 8)}).assign(**more)
    assert rises_like_steps(frame) == name
    assert rises_like_steps(frame.iloc[:7]) == ""  # of seven rows nothing is said


def test_the_rate_of_the_moment_is_the_learning_rate():
    step = range(0, 100, 10)
    for name in ("current_lr", "lr_now", "train/cur_lr"):
        log = pd.DataFrame(
            {"step": step, name: [1e-3 * (1 - s / 200) for s in step], "loss": [4 - 0.01 * s for s in step]}
        )
        runs = sf.read_runs(log)
        assert runs.trajectory(runs.names[0]).lr[50] == pytest.approx(7.5e-4), name
