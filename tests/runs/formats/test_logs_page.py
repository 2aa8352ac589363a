"""Every command of the page on logs that leads to a fitted law does so, on a small file of that format."""

import contextlib
import json
import re

import commands
import numpy as np
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


FILES = {
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
    return place


@pytest.mark.parametrize("command", FITS)
def test_a_log_of_each_format_gives_a_law_in_one_command(folder, command):
    with contextlib.chdir(folder):
        result = commands.run(command)
    assert result.exit_code < 2, result.output
    floor = float(re.search(r"fitted: L\(\w+\) = (-?[\d.]+)", result.stdout)[1])
    assert floor < max(made.LOSSES)
    rows = int(re.search(r"(\d+) rows? of", result.stdout)[1])
    assert rows == (len(SIZES) if "over=N" in command else len(made.STEPS) - ("over=epoch" in command))


def test_every_file_made_here_has_its_command_and_every_trainer_its_row():
    assert len(FITS) == len(FILES) + 1
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
