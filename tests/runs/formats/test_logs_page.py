"""Every command of the page on logs that leads to a fitted law does so, on a small file of that format."""

import contextlib
import importlib.util
import json
import re

import commands
import numpy as np
import pandas as pd
import pytest
import trainers as made

PAGE = (commands.ROOT / "docs" / "logs.md").read_text(encoding="utf-8")
FITS = [line for line in commands.listed(PAGE) if line.startswith("scalefit fit")]
SIZES = np.geomspace(1e6, 1e8, 8)
FINAL = 1.8 + 40 * SIZES**-0.3


def own():
    return (f"[t] it={s} (3 s) obj {made.loss(s):.5f} lr {made.rate(s):.4e}" for s in made.STEPS)


def plain_csv():
    return ["step,loss", *(f"{s},{made.loss(s)}" for s in made.STEPS)]


def json_lines():
    return (json.dumps({"step": s, "loss": made.loss(s)}) for s in made.STEPS)


def page():
    return [
        "# Results",
        "",
        "| params | loss |",
        "|--|--|",
        *(f"| {n:.0f} | {v:.5f} |" for n, v in zip(SIZES, FINAL, strict=True)),
    ]


def keras():
    for epoch, value in enumerate(made.LOSSES, start=1):
        yield f"Epoch {epoch}/{len(made.LOSSES)}"
        yield f"100/100 [==============================] - 5s - loss: {value:.5f} - val_loss: {value + 0.1:.5f}"


def boosted():
    return (f"[{s}]\ttrain-mlogloss:{made.loss(s):.5f}\teval-mlogloss:{made.loss(s) + 0.1:.5f}" for s in made.STEPS)


def notebook():
    rows = (f"{s}\t{made.loss(s):.5f}\t{made.loss(s) + 0.1:.5f}" for s in made.STEPS)
    return [" [1000/1000 03:42, Epoch 4/4]", "Step\tTraining Loss\tValidation Loss", *rows]


def scalars():
    series = {name: {"x": made.STEPS, "y": made.LOSSES} for name in ("train", "validation")}
    return [json.dumps({"loss": series, "lr": {"lr": {"x": made.STEPS, "y": made.RATES}}})]


def results():
    return (f"- {{n_params: {n:.0f}, val_loss: {v:.5f}}}" for n, v in zip(SIZES, FINAL, strict=True))


def levanter():
    return (f"Progress on:train {s}it/9000it rate:3it/s postfix:loss={made.loss(s):.3f}" for s in made.STEPS)


def latex():
    rows = (f"{n:.0f} & {v:.5f} \\\\" for n, v in zip(SIZES, FINAL, strict=True))
    return ["\\begin{tabular}{rr}", "params & loss \\\\", "\\hline", *rows, "\\end{tabular}"]


def key_values():
    return (f"n_params={n:.0f} lr=1e-3 val_loss={v:.5f}" for n, v in zip(SIZES, FINAL, strict=True))


def trainer_state():
    logged = [{"step": s, "epoch": s / 500, "loss": made.loss(s), "learning_rate": made.rate(s)} for s in made.STEPS]
    return [json.dumps({"max_steps": made.LAST, "global_step": made.LAST, "log_history": logged})]


def chart():
    name = '"run-a - train/loss"'
    rows = (f"{s},{made.loss(s)},{made.loss(s)},{made.loss(s)}" for s in made.STEPS)
    return [f'"Step",{name},"run-a - train/loss__MIN","run-a - train/loss__MAX"', *rows]


def history():
    rows = [{"_step": at, "trainer/global_step": s, "train/loss": made.loss(s)} for at, s in enumerate(made.STEPS)]
    return [json.dumps(rows)]


def one_value_a_row():
    return ["run_id,attribute_path,step,float_value", *(f"a,train/loss,{s},{made.loss(s)}" for s in made.STEPS)]


def nemo():
    return (
        f"Training epoch 0, iteration {s - 1}/999 | lr: {made.rate(s):.4g} | consumed_samples: {s * 32} | "
        f"global_batch_size: 32 | global_step: {s} | reduced_train_loss: {made.loss(s):.5f}"
        for s in made.STEPS
    )


def modded():
    return (f"step:{s}/1000 train_loss:{made.loss(s):.5f} train_time:{s}ms step_avg:9.1ms" for s in made.STEPS)


def llm_c():
    return (f"s:{s} trl:{made.loss(s):.5f} lr:{made.rate(s):.6f} norm:0.5" for s in made.STEPS)


def maxtext():
    return (f"completed step: {s}, seconds: 0.6, TFLOP/s/device: 56.8, loss: {made.loss(s):.5f}" for s in made.STEPS)


def olmo():
    return (f"[step={s}/1000]\n    train/CrossEntropyLoss={made.loss(s):.5f}" for s in made.STEPS)


def timm():
    return (
        f"Train: {s // 500} [{s % 500:4d}/500 ( 10%)]  Loss: {made.loss(s):.5f} (9.1)  LR: {made.rate(s):.3e}"
        for s in made.STEPS
    )


def espnet():
    return (
        f"(trainer:4) INFO: {1 + (s - 1) // 500}epoch:train:{(s - 1) % 500 - 18}-{(s - 1) % 500 + 1}batch: "
        f"loss={made.loss(s):.5f}, optim0_lr0={made.rate(s):.3e}, train_time=0.014"
        for s in made.STEPS
    )


FILES = {
    "paper.tex": latex,
    "results.txt": key_values,
    "output/trainer_state.json": trainer_state,
    "chart.csv": chart,
    "history.json": history,
    "export.csv": one_value_a_row,
    "nemo.out": nemo,
    "modded.txt": modded,
    "llm_c.log": llm_c,
    "maxtext.log": maxtext,
    "olmo.log": olmo,
    "timm.log": timm,
    "espnet.log": espnet,
    "results.yaml": results,
    "levanter.log": levanter,
    "runs.csv": plain_csv,
    "run/log.jsonl": json_lines,
    "results.md": page,
    "hugging_face.log": made.hugging_face,
    "llama_factory.log": made.llama_factory,
    "ms_swift.log": made.ms_swift,
    "megatron.out": made.megatron,
    "neox.log": made.neox,
    "nanotron.log": made.nanotron,
    "log_1723844072.txt": made.torchtune,
    "litgpt.log": made.litgpt,
    "composer.log": made.composer,
    "fairseq.log": made.fairseq,
    "torchtitan.log": made.torchtitan,
    "nanogpt.log": made.nanogpt,
    "keras.log": keras,
    "boost.log": boosted,
    "cell.txt": notebook,
    "scalars.json": scalars,
    "run-a-tag-train_loss.csv": made.tensorboard_csv,
    "lcurve.out": made.deepmd,
    "yolo/results.csv": made.yolo,
    "job.log": own,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("logs")
    for name, write in FILES.items():
        made.written(place, name, write())
    for at, (size, value) in enumerate(zip(SIZES, FINAL, strict=True)):
        made.written(
            place, f"one-object-a-run/run{at}/summary.json", [json.dumps({"n_params": size, "val_loss": value})]
        )
        judged = {"results": {"wikitext": {"bits_per_byte,none": value / np.log(2)}}}
        config = {"model_args": f"pretrained=m{at}", "model_num_parameters": int(size)}
        judged |= {"versions": {"wikitext": 2}, "config": config}
        made.written(place, f"judged/m{at}/results.json", [json.dumps(judged)])
    if importlib.util.find_spec("pyarrow"):
        pd.DataFrame({"step": made.STEPS, "loss": made.LOSSES}).to_parquet(place / "runs.parquet")
    return place


@pytest.mark.parametrize("command", FITS)
def test_a_log_of_each_format_gives_a_law_in_one_command(folder, command):
    if "parquet" in command:
        pytest.importorskip("pyarrow")
    with contextlib.chdir(folder):
        result = commands.run(command)
    assert result.exit_code < 2, result.output
    floor = float(re.search(r"fitted: L\(\w+\) = (-?[\d.]+)", result.stdout)[1])
    assert floor < max(made.LOSSES)
    rows = int(re.search(r"(\d+) rows? of", result.stdout)[1])
    assert rows == (len(SIZES) if "over=N" in command else len(made.STEPS) - ("over=epoch" in command))


def test_every_file_made_here_has_its_command_and_every_trainer_its_row():
    assert len(FITS) == len(FILES) + 3
    for name in (
        "nanotron",
        "torchtune",
        "litgpt",
        "composer",
        "fairseq",
        "DeePMD",
        "YOLO",
        "ms-swift",
        "LLaMA-Factory",
    ):
        assert re.search(rf"^\|.*{name}", PAGE, re.MULTILINE), name
