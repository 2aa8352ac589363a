"""What trainers print is read with its steps, losses and rates, as far as they are printed; the rest is counted."""

import math
import re
import textwrap

import numpy as np
import pytest
import trainers as made

import scalefit as sf
from scalefit.runs.formats import read_raw
from scalefit.runs.formats.log_rows import number

#: writer, file, largest error of the loss, largest relative error of the rate (None: it is not printed)
PRINTED = {
    "megatron": (made.megatron, "job.out", 1e-6, 1e-6),
    "neox": (made.neox, "job.log", 1e-6, 1e-3),
    "nanotron": (made.nanotron, "job.log", 6e-3, 6e-3),
    "torchtune": (made.torchtune, "log_1723844072.txt", 0, 0),
    "litgpt": (made.litgpt, "job.log", 6e-4, None),
    "composer": (made.composer, "job.log", 6e-5, None),
    "hugging_face": (made.hugging_face, "train.log", 6e-5, 0),
    "hugging_face, quoted": (lambda: made.hugging_face(quotes=True), "train.log", 6e-5, 0),
    "llama_factory": (made.llama_factory, "train.log", 6e-5, 0),
    "ms_swift": (made.ms_swift, "train.log", 1e-8, 0),
    "fairseq": (made.fairseq, "train.log", 6e-4, 1e-5),
    "fairseq, json": (lambda: made.fairseq("json"), "train.log", 6e-4, 1e-5),
    "torchtitan": (made.torchtitan, "job.log", 6e-6, None),
    "nanogpt": (made.nanogpt, "job.log", 6e-5, None),
    "plain": (made.plain, "job.log", 6e-6, 1e-6),
    "tensorboard_csv": (made.tensorboard_csv, "run-a-tag-train_loss.csv", 1e-6, None),
}
VALIDATED = {"megatron", "litgpt", "composer", "hugging_face", "hugging_face, quoted", "fairseq", "fairseq, json"}


def noted(runs, *words):
    return [note.text for note in runs.notes if all(word in note.text for word in words)]


@pytest.mark.parametrize("name", PRINTED)
def test_steps_losses_and_rates_are_those_that_were_printed(tmp_path, name):
    write, file, off, rate_off = PRINTED[name]
    runs = sf.read_runs(made.written(tmp_path, file, write()))
    assert len(runs) == 1
    assert runs.curves["step"].tolist() == made.STEPS
    np.testing.assert_allclose(runs.curves["loss"], made.LOSSES, atol=off, rtol=0)
    if rate_off is None:
        assert "lr" not in runs.curves.columns
    else:
        np.testing.assert_allclose(runs.curves["lr"], made.RATES, rtol=rate_off)
    if name in VALIDATED:
        column = next(each for each in ("val_loss", "eval_loss") if each in runs.curves.columns)
        found = runs.curves.set_index("step")[column].dropna()
        assert found.index.tolist() == made.EVALUATED
        np.testing.assert_allclose(found, [made.loss(step) + 0.1 for step in made.EVALUATED], atol=max(off, 1e-6))


@pytest.mark.parametrize("width", [80, 100, 132, 160, 203])
@pytest.mark.parametrize("name", ["megatron", "neox", "nanotron", "plain"])
def test_lines_that_a_terminal_cut_are_joined(tmp_path, name, width):
    write, file, off, rate_off = PRINTED[name]
    lines = list(write())
    runs = sf.read_runs(made.written(tmp_path, file, made.wrapped(lines, width)))
    assert runs.curves["step"].tolist() == made.STEPS
    np.testing.assert_allclose(runs.curves["loss"], made.LOSSES, atol=off, rtol=0)
    np.testing.assert_allclose(runs.curves["lr"], made.RATES, rtol=rate_off)
    assert len(lines[0]) <= width or noted(runs, "terminal cut")


@pytest.mark.parametrize("kept", [150, 190])
def test_lines_whose_end_is_lost_are_named(tmp_path, kept):
    lines = [line[:kept] for line in made.megatron() if "validation" not in line]
    runs = sf.read_runs(made.written(tmp_path, "job.out", lines), need=())
    assert noted(runs, f"{len(made.STEPS)} lines give a step and no loss", "they are cut")


@pytest.mark.parametrize("kept", [True, False], ids=["blanks kept", "blanks lost"])
@pytest.mark.parametrize("width", [78, 80, 81, 100, 132])
def test_lines_cut_within_padding_are_joined(tmp_path, width, kept):
    """The numbers are padded with blanks, and a copy from a terminal may lose those at the end of a line."""
    parts = [line[at : at + width] for line in made.megatron() for at in range(0, len(line), width)]
    runs = sf.read_runs(made.written(tmp_path, "job.out", parts if kept else [part.rstrip() for part in parts]))
    assert runs.curves["step"].tolist() == made.STEPS
    np.testing.assert_allclose(runs.curves["loss"], made.LOSSES, atol=1e-5)
    np.testing.assert_allclose(runs.curves["lr"], made.RATES, rtol=1e-6)


@pytest.mark.parametrize("width", [80, 100])
def test_lines_cut_between_words_are_joined(tmp_path, width):
    parts = [part for line in made.megatron() for part in textwrap.wrap(line, width, break_on_hyphens=False)]
    runs = sf.read_runs(made.written(tmp_path, "job.out", parts))
    assert runs.curves["step"].tolist() == made.STEPS
    np.testing.assert_allclose(runs.curves["loss"], made.LOSSES, atol=1e-5)


@pytest.mark.parametrize("word", ["NAN", "nan", "INF", "inf"])
def test_a_loss_that_is_no_number_is_kept_as_it_is_printed(tmp_path, word):
    """`%.6E` prints NAN, `%.6e` nan."""
    lines, at = [line for line in made.megatron() if "validation" not in line and "-----" not in line], 7
    lines[at] = re.sub(r"lm loss: \S+", f"lm loss: {word}", lines[at])
    loss = sf.read_runs(made.written(tmp_path, "job.out", lines)).curves["loss"].to_numpy()
    assert len(loss) == len(made.STEPS) and np.flatnonzero(~np.isfinite(loss)).tolist() == [at]
    assert np.isnan(loss[at]) == (word[0].lower() == "n")


def test_a_trainer_whose_lines_are_whole_is_not_joined_with_what_follows(tmp_path):
    lines = [part for line in made.megatron() for part in (line, "[Rank 0] (after step) lm loss: 7.7 | memory 3 |")]
    runs = sf.read_runs(made.written(tmp_path, "job.out", lines))
    np.testing.assert_allclose(runs.curves["loss"], made.LOSSES, atol=1e-6)


@pytest.mark.parametrize("name", [name for name in PRINTED if name not in ("tensorboard_csv", "plain")])
def test_lines_that_were_passed_over_are_counted_and_the_first_is_shown(tmp_path, name):
    write, file, *_ = PRINTED[name]
    before = sf.read_runs(made.written(tmp_path / "a", file, write()))
    more = ["building the model", *write(), "the loss of sleep is over", "done"]
    after = sf.read_runs(made.written(tmp_path / "b", file, more))
    count = [int(text.split(": ")[1].split()[0]) for text in noted(before, "other lines, such as")]
    assert noted(after, f"{sum(count) + 3} other lines, such as") != []
    assert after.curves["loss"].tolist() == before.curves["loss"].tolist()


def test_the_closing_record_of_the_trainer_is_no_loss(tmp_path):
    runs = sf.read_runs(made.written(tmp_path, "train.log", made.hugging_face()))
    assert "train_loss" not in runs.curves.columns
    assert noted(runs, "train_loss is the mean of the whole run")


def test_without_progress_bars_the_trainer_is_read_by_epochs(tmp_path):
    lines = [line for line in made.hugging_face() if line.startswith("{")]
    runs = sf.read_runs(made.written(tmp_path, "train.log", lines))
    assert "step" not in runs.curves.columns
    np.testing.assert_allclose(runs.curves["epoch"], [round(2 * step / made.LAST, 2) for step in made.STEPS])
    np.testing.assert_allclose(runs.curves["loss"], made.LOSSES, atol=6e-5)


@pytest.mark.parametrize("spoil", ["a bar goes back", "a bar is missing"])
def test_bars_that_do_not_fit_the_records_give_no_steps(tmp_path, spoil):
    lines = list(made.hugging_face())
    at = next(i for i, line in enumerate(lines) if f" {made.STEPS[20]}/" in line)
    lines[at] = made.bar(7) if spoil == "a bar goes back" else ""
    runs = sf.read_runs(made.written(tmp_path, "train.log", lines))
    assert "step" not in runs.curves.columns


def test_two_trainings_printed_by_the_trainer_are_two_runs(tmp_path):
    runs = sf.read_runs(
        made.written(tmp_path, "train.log", [*made.ms_swift(), "{'train_runtime': 1.0, 'train_loss': 3.0}"])
    )
    both = [*made.hugging_face(), *made.hugging_face()]
    runs = sf.read_runs(made.written(tmp_path, "both.log", both))
    assert runs.names == ["both, training 1", "both, training 2"]
    assert [len(part) for _, part in runs.curves.groupby("run", observed=True)] == [len(made.STEPS)] * 2


def test_bits_become_nats_only_where_a_perplexity_says_that_they_are_bits(tmp_path):
    plain = [line.replace("ppl", "note") for line in made.fairseq()]
    runs = sf.read_runs(made.written(tmp_path, "train.log", plain))
    np.testing.assert_allclose(runs.curves["loss"] * math.log(2), made.LOSSES, atol=6e-4)
    assert noted(runs, "no perplexity that says")
    line = "| epoch 001: {step} / 99 loss={loss:.3f}, ppl={ppl:.2f}, num_updates={step}, lr=0.001"
    nats = [line.format(step=step, loss=made.loss(step), ppl=math.exp(made.loss(step))) for step in made.STEPS]
    runs = sf.read_runs(made.written(tmp_path, "nats.log", nats))
    np.testing.assert_allclose(runs.curves["loss"], made.LOSSES, atol=6e-4)


def test_a_mean_over_an_epoch_is_no_loss_of_a_step(tmp_path):
    runs = sf.read_runs(made.written(tmp_path, "train.log", made.fairseq()))
    np.testing.assert_allclose(runs.curves["epoch_loss"].dropna(), [4.9 * math.log(2)])
    assert runs.curves["loss"].iloc[-1] == pytest.approx(made.LOSSES[-1], abs=6e-4)


@pytest.mark.parametrize(
    ("line", "first"),
    [
        ("Epoch: [{e}]  [{s}/50]  eta: 0:01:00  lr: 0.001  loss: {v:.4f} (3.0)  time: 0.3", 0),
        ("Train: {e} [{s:4d}/50 ( 4%)]  Loss: {v:.4f} (3.0)  LR: 1.0e-03", 0),
        ("epoch {e}, step {s} of 50, loss = {v:.4f}", 1),
        ("Epoch {e} | Iter [{s}/50] | loss={v:.4f}", 1),
    ],
)
def test_steps_that_begin_again_in_each_epoch_are_counted_through(tmp_path, line, first):
    places = [(epoch, step) for epoch in range(3) for step in (10, 20, 30, 40)]
    lines = [line.format(e=e + first, s=s, v=4 - (50 * e + s) / 100) for e, s in places]
    runs = sf.read_runs(made.written(tmp_path, "a.log", lines))
    assert runs.curves["step"].tolist() == [50 * e + s for e, s in places]
    np.testing.assert_allclose(runs.curves["loss"], [4 - (50 * e + s) / 100 for e, s in places], atol=1e-4)
    assert noted(runs, "50 steps an epoch")


def test_steps_of_epochs_of_unknown_length_are_refused(tmp_path):
    lines = [f"epoch {e} step {s} loss {3 - e - s / 100}" for e in range(3) for s in (10, 20, 30)]
    with pytest.raises(sf.InputError, match="how many steps an epoch has"):
        sf.read_runs(made.written(tmp_path, "a.log", lines))


def test_a_log_of_epochs_and_one_of_a_leading_number(tmp_path):
    epochs = [
        f"INFO: Epoch [{e:03d}/300] - Train Loss: {5 / e:.4f}, Valid Loss: {6 / e:.4f}, LR: [0.001]" for e in (1, 2, 3)
    ]
    runs = sf.read_runs(made.written(tmp_path, "a.log", epochs), rename={"val_loss": "loss"})
    assert runs.curves["epoch"].tolist() == [1, 2, 3]
    assert runs.curves["loss"].tolist() == [6, 3, 2]
    numbers = [f"{s} | loss {4 - s / 100:.4f} | lr {1e-3:.6e} | 7367.57ms" for s in (0, 10, 20, 30)]
    runs = sf.read_runs(made.written(tmp_path, "b.log", numbers))
    assert runs.curves["step"].tolist() == [0, 10, 20, 30]
    assert runs.curves["lr"].tolist() == [1e-3] * 4


def test_tables_that_trainers_write(tmp_path):
    path = made.written(tmp_path, "lcurve.out", made.deepmd())
    runs = sf.read_runs(path, rename={"rmse_trn": "loss"})
    assert runs.curves["step"].tolist() == made.STEPS
    np.testing.assert_allclose(runs.curves["loss"], made.LOSSES, rtol=6e-5)
    np.testing.assert_allclose(runs.curves["lr"], made.RATES, rtol=0.05)
    path = made.written(tmp_path, "yolo/results.csv", made.yolo())
    runs = sf.read_runs(path, rename={"val/box_loss": "loss"})
    assert runs.curves["epoch"].tolist() == list(range(len(made.STEPS)))
    np.testing.assert_allclose(runs.curves["loss"], np.array(made.LOSSES) + 0.1, atol=1e-5)
    assert set(runs.curves["metrics/precision(B)"]) == {0.51}  # a measure, not billions of bits
    runs = sf.read_runs(made.written(tmp_path, "log.csv", made.keras_csv()))
    assert runs.curves["epoch"].tolist() == list(range(len(made.STEPS)))
    assert runs.curves["loss"].tolist() == made.LOSSES


def test_the_pages_of_one_run_by_tensorboard_are_one_run(tmp_path):
    made.written(tmp_path, "run-base-tag-train_loss.csv", made.tensorboard_csv())
    made.written(tmp_path, "run-base-tag-lr.csv", made.tensorboard_csv(made.rate))
    runs = sf.read_runs(tmp_path)
    assert runs.names == ["base"]
    np.testing.assert_allclose(runs.trajectory("base").lr[made.STEPS], made.RATES, rtol=1e-6)
    assert runs.curves["loss"].notna().all()
    with pytest.raises(sf.InputError, match="Value"):
        sf.read_runs(made.written(tmp_path / "b", "base.csv", made.tensorboard_csv()))


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (
            ["[INFO|trainer.py:1721] ***** Running training *****", "  3%|# | 3/90 [00:01<00:30]"],
            ("trainer_state.json",),
        ),
        (["Epoch 1/5", "60/60 [=====] - 3s 50ms/step - accuracy: 0.9"], ("Keras", "CSVLogger")),
        (
            ["GPU available: True (cuda), used: True", "Epoch 0: 10%| | 1/9 [00:01<00:09, v_num=3]"],
            ("Lightning", "metrics.csv"),
        ),
        (["[INFO:swift] model loaded", "Train: 3%| | 1/9"], ("ms-swift", "logging.jsonl")),
        (["llamafactory.hparams: loaded, ready", "a, b"], ("LLaMA-Factory", "trainer_log.jsonl")),
        (
            ["      Epoch    GPU_mem   box_loss   cls_loss  Instances       Size", "  1/9  3.2G  1.2  3.4  12  640:"],
            ("results.csv",),
        ),
        (["[2026-01-01] [Rank 0] step=10, skipped=0, lr=[0.0001], mom=[(0.9, 0.95)]"], ("DeepSpeed",)),
        (["wandb: Run summary:", "wandb: loss 2.1"], ("W&B", "wandb/")),
        (["some text, with a comma", "and more, of it"], ("pattern=", "write a CSV")),
    ],
)
@pytest.mark.parametrize("name", ["job.log", "slurm-77.err", "screenlog"])
def test_text_that_is_no_table_is_refused_with_what_to_give_instead(tmp_path, lines, words, name):
    with pytest.raises(sf.InputError) as said:
        read_raw(made.written(tmp_path, name, lines))
    assert all(word in str(said.value) for word in words)
    assert "\n" not in str(said.value)


@pytest.mark.parametrize(
    ("text", "value"), [("12", 12), ("1,024", 1024), ("85.8G", 85.8e9), ("4.19m", 4.19e6), ("-1e-3", -1e-3)]
)
def test_printed_numbers(text, value):
    assert number(text) == value
