"""Layouts of tables and logs in public repositories that were read wrongly, or refused although they can be read."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

import scalefit as sf
from scalefit.errors import InputError
from scalefit.runs.inspect import inspect

STEPS = np.arange(10, 310, 10)
LOSS = (2 + 5 * (STEPS + 20.0) ** -0.4).round(4)
RATE = 3e-4 * (1 - STEPS / 600)


@pytest.fixture
def read(tmp_path):
    def of(text, name="runs.csv", **options):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
        return sf.read_runs(tmp_path / name, **options)

    return of


def said(runs, *words):
    return any(all(word in note.text for word in words) for note in runs.notes)


@pytest.mark.parametrize("smoothing", [1.0, 1.4])
@pytest.mark.parametrize("name", ["ppl", "perplexity"])
def test_a_loss_in_bits_beside_perplexities_is_converted(read, smoothing, name):
    bits = LOSS / np.log(2)
    rows = [
        {"num_updates": int(s), "loss": smoothing * b, "nll_loss": b, name: round(2**b, 2)}
        for s, b in zip(STEPS, bits, strict=True)
    ]
    runs = read("\n".join(map(json.dumps, rows)), "log.jsonl", rename={"loss": "loss"})
    np.testing.assert_allclose(runs.curves["loss"], smoothing * LOSS, rtol=1e-6)
    assert said(runs, "from bits to nats", name)


def test_a_loss_in_nats_beside_perplexities_stays(read):
    text = "step,loss,ppl\n" + "".join(f"{s},{v},{np.exp(v):.2f}\n" for s, v in zip(STEPS, LOSS, strict=True))
    np.testing.assert_array_equal(read(text).curves["loss"], LOSS)


@pytest.mark.parametrize("name, total", [("total_batches", 300), ("num_steps", 30), ("n_iters", 60)])
def test_a_list_of_losses_beside_the_number_of_steps_is_a_curve(read, name, total):
    content = {"n_params": 4_000_000, "lr": 1e-3, name: total, "losses": LOSS.tolist()}
    runs = read(json.dumps(content), "128_2.json")
    assert len(runs) == 1
    assert runs.curves["step"].tolist() == [total // 30 * at for at in range(1, 31)]
    assert runs.table["N"].tolist() == [4e6]


@pytest.mark.parametrize(
    "names, sizes",
    [
        (["curve_N1200000_D500000", "curve_N4800000_D500000"], [1.2e6, 4.8e6]),
        (["MoE-14M-a2M", "MoE-40M-a6M"], [2e6, 6e6]),
        (["moe_1.5B_active300M", "moe_6B_active900M"], [3e8, 9e8]),
    ],
)
def test_sizes_that_names_call_by_their_name(read, names, sizes):
    runs = read("model,D,loss\n" + "".join(f"{name},1e9,{3 - at}\n" for at, name in enumerate(names)))
    assert runs.table["N"].tolist() == sizes


@pytest.mark.parametrize("head", ["metric,step,a,b", "step,metric,small,large"])
def test_a_metric_and_a_step_a_row_and_a_column_a_run(read, head):
    first = head.startswith("metric")
    cell = {"loss": LOSS, "lr": RATE}
    rows = [
        (f"{m},{s}" if first else f"{s},{m}") + f",{cell[m][at]},{cell[m][at] + (m == 'loss')}"
        for at, s in enumerate(STEPS)
        for m in cell
    ]
    rows[-2] = rows[-2].rpartition(",")[0] + ",nan"
    runs = read("\n".join([head, *rows]))
    one, other = (runs.curves[runs.curves["run"] == name] for name in head.split(",")[2:])
    np.testing.assert_allclose(one["loss"], LOSS)
    np.testing.assert_allclose(one["lr"], RATE)
    np.testing.assert_allclose(other["loss"][:-1], LOSS[:-1] + 1)
    assert np.isnan(other["loss"].iloc[-1]) and runs.table["diverged"].tolist() == [False, True]


@pytest.mark.parametrize("units", ["[1e6],[1e9],[nats]", "(10^6),(10^9),"])
def test_a_row_of_powers_of_ten_holds_units(read, units):
    runs = read(f"N,D,loss\n{units}\n10,0.2,3.6\n30,0.6,3.2\n100,2,2.9\n")
    assert runs.table["N"].tolist() == [1e7, 3e7, 1e8]
    np.testing.assert_allclose(runs.table["D"], [2e8, 6e8, 2e9])


@pytest.mark.parametrize("split, words", [("split", ("train", "val")), ("subset", ("training", "test"))])
@pytest.mark.parametrize("order", ["by run", "by split"])
def test_results_with_a_row_for_each_split_are_one_row_a_run(read, split, words, order):
    rows = [(n, 20 * n, word, 3 - n / 1e8 + (word == words[1]) / 8) for n in (10**7, 4 * 10**7) for word in words]
    rows = sorted(rows, key=lambda row: words.index(row[2])) if order == "by split" else rows
    text = f"N,D,{split},loss\n" + "".join(",".join(map(str, row)) + "\n" for row in rows)
    runs = read(text, rename={f"{words[1]}_loss": "loss"})
    assert runs.table["N"].tolist() == [1e7, 4e7]
    np.testing.assert_allclose(runs.table["loss"], [3.025, 2.725])
    np.testing.assert_allclose(runs.table[f"{words[0]}_loss"], [2.9, 2.6])


@pytest.mark.parametrize(
    "content, todo", [({"10M": 3.2, "30M": 3.0}, '"loss"'), ({"125m": [4, 3], "1B": [3, 2]}, "st")]
)
def test_keys_that_are_sizes_alone_are_refused_with_what_to_write(read, content, todo):
    with pytest.raises(InputError, match="keys are sizes") as error:
        read(json.dumps(content), "losses.json")
    assert todo in error.value.todo


@pytest.mark.parametrize("count, doubted", [(3, False), (4, True), (6, True)])
@pytest.mark.parametrize("name", ["tokens", "D"])
def test_even_lengths_of_each_size_are_doubted_where_they_may_be_a_curve(read, count, doubted, name):
    rows = [f"{n},{d}e9,{2 + 300 / n**0.34 + d**-0.3:.4f}\n" for n in (10**7, 10**8) for d in range(1, count + 1)]
    runs = read(f"N,{name},loss\n" + "".join(rows))
    assert len(runs) == 2 * count
    assert any(note.kind == "suspect" for note in runs.notes) == (doubted and name == "tokens")


def test_names_of_columns_lose_the_blanks_that_align_them(read):
    runs = read("step ,RMSE_Train   ,lr    \n0 ,3.0 ,1e-3\n10 ,2.0 ,1e-3\n20,1.5,1e-3\n", rename={"RMSE_Train": "loss"})
    assert runs.curves["loss"].tolist() == [3.0, 2.0, 1.5]


@pytest.mark.parametrize("epochs", ["{e}", "{e}/3 ( 33%)"])
def test_batches_of_epochs_as_timm_prints_them(read, epochs):
    lines = [
        f"Train: {epochs.format(e=e)} [{b:4d}/100 ({b:3d}%)]  Loss: {9 - e - b / 200:.3f} (9.1)  LR: 1.0e-03"
        for e in range(1, 4)
        for b in range(0, 100, 20)
    ]
    runs = read("\n".join(lines), "train.log")
    assert runs.curves["step"].tolist() == list(range(0, 300, 20))
    np.testing.assert_allclose(runs.curves["loss"], [9 - e - b / 200 for e in range(1, 4) for b in range(0, 100, 20)])


@pytest.mark.parametrize("rate", ["lr_0", "optim0_lr0"])
def test_batches_of_epochs_as_espnet_prints_them(read, rate):
    lines = [
        f"[gpu] 2020-11-11 16:36:33,446 (trainer:486) INFO: {e}epoch:train:{b - 249}-{b}batch: iter_time=0.001, "
        f"loss_ctc=9.5, loss={9 - e - b / 2000:.3f}, {rate}={1e-6 * (1000 * (e - 1) + b):.3e}, train_time=0.014"
        for e in (1, 2)
        for b in (250, 500, 750, 1000)
    ]
    runs = read("\n".join(lines), "train.log", warmup=2000)
    assert runs.curves["step"].tolist() == list(range(250, 2001, 250))
    np.testing.assert_allclose(runs.curves["lr"], 1e-6 * np.arange(250, 2001, 250))
    with pytest.raises(InputError, match="different numbers of batches"):
        read("\n".join([lines[0], *lines[4:], lines[4].replace("2epoch", "3epoch")]), "other.log")


@pytest.mark.parametrize("rate, known", [("{:.6f}", True), ("{:.4E}", True), ("{:.4f}", False)])
def test_rates_of_composer_are_read_where_their_digits_suffice(read, rate, known):
    lines = [
        f"[batch={s}/300]:\n\t Train loss/train/total: {v:.4f}\n\t Train lr-DecoupledAdamW/group0: {rate.format(r)}"
        for s, v, r in zip(STEPS, LOSS, RATE, strict=True)
    ]
    runs = read("\n".join(lines), "job.log")
    assert ("lr" in runs.curves.columns) == known
    assert said(runs, "too few to be read") == (not known)


def test_a_rate_that_the_console_of_olmo_prints_is_not_called_missing(read):
    blocks = [f"[step={s}/300]\n    train/CE loss={v}\n    optim/LR (group 0)={r:.5e}" for s, v, r in
              zip(STEPS, LOSS, RATE, strict=True)]  # fmt: skip
    runs = read("\n".join(blocks), "job.log")
    np.testing.assert_allclose(runs.curves["lr"], RATE, rtol=1e-4)
    assert not said(runs, "leaves out")


@pytest.mark.parametrize("fence", ["```", "~~~", "```text"])
@pytest.mark.parametrize("line", ["iter {s}: loss {v}, time 51ms", "{{'loss': {v}, 'step': {s}}}"])
def test_a_log_between_the_fences_of_a_page(read, fence, line):
    lines = [line.format(s=s, v=v) for s, v in zip(STEPS, LOSS, strict=True)]
    runs = read("\n".join(["# Log", "", fence, *lines, fence[:3], "Why?"]), "issue.md")
    assert runs.curves["step"].tolist() == STEPS.tolist()
    np.testing.assert_array_equal(runs.curves["loss"], LOSS)


@pytest.mark.parametrize("line", ["iter {s}: loss {v}, time 51ms", '{{"step": {s}, "loss": {v}}}'])
@pytest.mark.parametrize("cut", [None, 12])
def test_logs_between_several_fences_of_a_page(read, line, cut):
    """Steps that begin anew are another run; steps that go on are the same one, shown in two pieces."""
    lines = [line.format(s=s, v=v) for s, v in zip(STEPS, LOSS, strict=True)]
    parts = [lines, lines] if cut is None else [lines[:cut], lines[cut:]]
    blocks = [part for lines in parts for part in ("## A log", "", "```", *lines, "```", "")]
    runs = read("\n".join(blocks), "notes.md")
    assert len(runs.names) == (2 if cut is None else 1)
    for _, curve in runs.curves.groupby("run"):
        np.testing.assert_array_equal(curve["loss"], LOSS)


@pytest.mark.parametrize("name", ["log2(lr)", "log2 (lr)", "log10(learning_rate)", "ln(lr)"])
def test_a_logarithm_in_brackets_is_that_of_the_rate(read, name):
    base = {"log2": 2.0, "log10": 10.0, "ln": np.e}[name.split("(")[0].strip()]
    runs = read(f"width,{name},loss\n64,-4,3.1\n64,-3,3.0\n128,-4,2.9\n128,-3,2.8\n")
    np.testing.assert_allclose(runs.table["lr"], base ** np.array([-4.0, -3, -4, -3]))


def test_a_proposed_name_can_be_pasted_into_a_shell(tmp_path):
    name = "Final val CE"
    (tmp_path / "runs.csv").write_text(f"N,D,{name}\n1e6,1e8,3.2\n2e6,1e8,3.0\n4e6,2e8,2.8\n8e6,2e8,2.7\n")
    runs = sf.read_runs(tmp_path / "runs.csv", need=())
    assert f'--map loss="{name}"' in str(inspect(runs))
    with pytest.raises(InputError, match=re.escape(f'rename={{"{name}": "loss"}}')):
        sf.fit(runs)


def test_a_unit_of_huge_numbers_does_not_overflow(read):
    with pytest.raises(InputError, match="more than any run has"):
        read("N,tokens (B),loss\n1e6,1e308,3\n2e6,1e308,2.9\n")


@pytest.mark.parametrize("mark", ["[val]", "valid |", "eval:"])
def test_the_word_nearest_to_a_loss_says_what_it_is_of(read, mark):
    """A logger called train_ft prints evaluations too: they replaced the training losses of their steps."""
    lines = [
        f"INFO | recipes.llm.train_ft | {m}step {s} | epoch 0 | loss {v + (m != ''):.4f} | lr {r:.3e}"
        for s, v, r in zip(STEPS, LOSS, RATE, strict=True)
        for m in (["", mark + " "] if s % 100 == 0 else [""])
    ]
    curves = read("\n".join(lines), "job.log", rename={"loss": "loss"}).curves
    np.testing.assert_allclose(curves["loss"], LOSS)
    np.testing.assert_allclose(curves["val_loss"].dropna(), LOSS[9::10] + 1)


@pytest.mark.parametrize("place", ["Step {s}/300", "Epoch  1, {s}/300"])
def test_the_cross_entropy_of_opennmt(read, place):
    lines = [
        f"{place.format(s=s)}; acc:  31.18; ppl: {np.exp(v):.2f}; xent: {v:.2f}; lr: {r:.5f}; 50/26 tok/s;  6 sec"
        for s, v, r in zip(STEPS, LOSS, RATE, strict=True)
    ]
    curves = read("\n".join(lines), "train.log").curves
    assert curves["step"].tolist() == STEPS.tolist()
    np.testing.assert_allclose(curves["loss"], LOSS, atol=0.0051)
    np.testing.assert_allclose(curves["lr"], RATE, atol=5.1e-6)


def test_a_column_of_something_else_that_names_the_rows_gives_no_sizes(read):
    runs = read("horizon,loss\n0.25M,3.0\n0.5M,2.9\n1M,2.8\n")
    assert "N" not in runs.table.columns


def test_hundreds_of_settings_beside_a_log_are_read_without_a_warning(read, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text(json.dumps({f"setting_{at}": at for at in range(300)}))
    rows = (json.dumps({"step": int(s), "loss": v}) for s, v in zip(STEPS, LOSS, strict=True))
    table = read("\n".join(rows), "run/log.jsonl").table
    assert table["setting_299"].tolist() == [299]
