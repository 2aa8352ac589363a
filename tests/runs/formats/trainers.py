"""One training as each trainer prints it: made here by the rules of each format, with a known loss and rate."""

# ruff: noqa: E501 (lines as they are printed)
from __future__ import annotations

import json
import math

import numpy as np

LAST, EVERY, PEAK, WARMUP = 1000, 20, 2e-3, 100


def rate(step):
    """Linear warmup, then a cosine to a tenth."""
    fall = 0.1 + 0.9 * (1 + math.cos(math.pi * (step - WARMUP) / (LAST - WARMUP))) / 2
    return PEAK * (step / WARMUP if step < WARMUP else fall)


def loss(step):
    return 2.0 + 6.0 * (step + 40) ** -0.45 + 0.3 * rate(step) / PEAK


STEPS = list(range(EVERY, LAST + 1, EVERY))
LOSSES, RATES = [loss(step) for step in STEPS], [rate(step) for step in STEPS]
EVALUATED = [step for step in STEPS if step % 200 == 0]


def bar(step, of=LAST):
    return f" {100 * step // of:2d}%|{'#' * (step * 9 // of):9s}| {step}/{of} [00:31<44:02,  3.06s/it]"


def human(value):
    """Three digits and a unit, as nanotron prints."""
    for unit in ("", "K", "M", "G"):
        if abs(value) < 1000:
            return f"{value:.3g}{unit}"
        value /= 1000
    return f"{value:.3g}T"


def megatron():
    for step in STEPS:
        yield (
            f" [2026-02-03 10:00:01] iteration {step:8d}/{LAST:8d} | consumed samples: {step * 64:12d} | elapsed time per "
            f"iteration (ms): 1301.2 | learning rate: {rate(step):.6E} | global batch size:    64 | lm loss: "
            f"{loss(step):.6E} | loss scale: 1.0 | grad norm: 0.512 | number of skipped iterations:   0 | number of nan "
            "iterations:   0 |"
        )
        if step in EVALUATED:
            yield "-" * 96
            yield (
                f" validation loss at iteration {step} | lm loss value: {loss(step) + 0.1:.6E} | lm loss PPL: "
                f"{math.exp(loss(step) + 0.1):.6E} | "
            )
            yield "-" * 96


def neox():
    for step in STEPS:
        yield (
            f"10.0.0.1:  samples/sec: 21.1 | iteration {step:8d}/{LAST:8d} | elapsed time per iteration (ms): 1301.2 | learning "
            f"rate: {rate(step):.3E} | approx flops per GPU: 35.1TFLOPS | lm_loss: {loss(step):.6E} | loss scale: 1.0 | "
            "number of skipped iterations:   0 | number of nan iterations:   0 |"
        )


def nanotron():
    for step in STEPS:
        yield (
            f"[default0]:01/17/2026 14:02:16 [INFO|DP=0|PP=0|TP=0|ip-26-0]: iteration: {step} / {LAST} | consumed_tokens: "
            f"{human(step * 131072)} | elapsed_time_per_iteration_ms: 1.2K | tokens_per_sec: 21.8K | global_batch_size: "
            f"64 | lm_loss: {human(loss(step))} | lr: {human(rate(step))} | model_tflops_per_gpu: 38.3 | grad_norm: 1.25"
        )


def torchtune():
    yield "INFO:torchtune.utils._logging:Model is initialized with precision torch.bfloat16."
    for step in STEPS:
        yield f"Step {step} | loss:{loss(step)!r} lr:{rate(step)!r} tokens_per_second_per_gpu:405.04 grad_norm:0.75 "


def litgpt():
    yield "Measured TFLOPs: 2.81"
    for step in STEPS:
        for part in range(4):
            done = " (step)" if part == 3 else ""
            at, value = 4 * step - 3 + part, loss(step) + 0.01 * (3 - part)
            yield f"Epoch 1 | iter {at} step {step} | loss train: {value:.3f}, val: n/a | iter time: 112.2 ms{done}"
        if step in EVALUATED:
            yield f"iter {4 * step}: val loss {loss(step) + 0.1:.4f}, val time: 4800.51 ms"


def composer():
    for step in STEPS:
        yield f"[batch={step}/{LAST}]:"
        yield f"\t Train time/batch: {step - 1}"
        yield f"\t Train time/token: {(step - 1) * 4096}"
        yield f"\t Train loss/train/total: {loss(step):.4f}"
        yield f"\t Train lr-DecoupledAdamW/group0: {rate(step):.4f}"
        if step in EVALUATED:
            yield "[Eval batch=1/10] Eval on eval data:"
            yield f"[batch={step}/{LAST}]:"
            yield f"\t Eval metrics/eval/LanguageCrossEntropy: {loss(step) + 0.1:.4f}"


def hugging_face(quotes=False):
    """The dictionaries of a Trainer between its progress bars."""
    shown = repr if not quotes else (lambda value: repr(str(value)))
    yield "***** Running training *****"
    for step in STEPS:
        epoch = round(2 * step / LAST, 2)
        yield bar(step - 3)
        yield (
            f"{{'loss': {shown(round(loss(step), 4))}, 'grad_norm': {shown(0.61)}, 'learning_rate': {shown(rate(step))}, "
            f"'epoch': {shown(epoch)}}}"
        )
        yield ""
        yield bar(step)
        if step in EVALUATED:
            yield bar(7, of=32)
            yield f"{{'eval_loss': {shown(round(loss(step) + 0.1, 4))}, 'eval_runtime': {shown(3.1)}, 'epoch': {shown(epoch)}}}"
            yield bar(step)
    yield f"{{'train_runtime': {shown(88.1)}, 'train_loss': {shown(2.41)}, 'epoch': {shown(2.0)}}}"


def llama_factory():
    """Its own logger prints the records again, with other digits."""
    for step in STEPS:
        epoch = 2 * step / LAST
        yield (
            f"[INFO|2026-02-03 10:00:0{step % 10}] llamafactory.train.callbacks:143 >> {{'loss': {loss(step):.4f}, "
            f"'learning_rate': {rate(step):2.4e}, 'epoch': {epoch:.2f}, 'throughput': 4012.66}}"
        )
        yield f"{{'loss': {loss(step):.4f}, 'grad_norm': 0.5, 'learning_rate': {rate(step)!r}, 'epoch': {epoch:.2f}}}"
        yield bar(step)
    yield "{'train_runtime': 12.1, 'train_loss': 2.9, 'epoch': 2.0}"


def ms_swift():
    yield "[INFO:swift] The logging file will be saved in: logging.jsonl"
    for step in STEPS:
        yield (
            f"{{'loss': {loss(step):.8f}, 'grad_norm': 0.57172734, 'learning_rate': {rate(step)!r}, 'memory(GiB)': 63.16, "
            f"'train_speed(iter/s)': 0.011239, 'epoch': {2 * step / LAST:.2f}, 'global_step/max_steps': '{step}/{LAST}', "
            "'percentage': '44.32%', 'elapsed_time': '1h 54m 53s', 'remaining_time': '2h 24m 21s'}"
        )


def fairseq(style="simple"):
    bits = {step: loss(step) / math.log(2) for step in STEPS}
    for step in STEPS:
        ppl = round(2 ** bits[step], 2)
        head = "2026-02-03 10:00:01 | INFO | "
        if style == "simple":
            yield (
                f"{head}train_inner | epoch 001: {step:6d} / {LAST} loss={bits[step]:.3f}, nll_loss={bits[step]:.3f}, "
                f"ppl={ppl}, wps=9000.1, ups=0.3, wpb=8192, bsz=8, num_updates={step}, lr={rate(step):g}, gnorm=2.1, "
                "train_wall=33, wall=40"
            )
        else:
            record = {"epoch": 1, "update": step / LAST, "loss": f"{bits[step]:.3f}", "ppl": str(ppl), "wps": "9000.1"}
            record |= {"num_updates": str(step), "lr": f"{rate(step):g}", "gnorm": "2.1"}
            yield f"{head}train_inner | {json.dumps(record)}"
        if step in EVALUATED:
            value = bits[step] + 0.1 / math.log(2)
            if style == "simple":
                yield (
                    f"{head}valid | epoch 001 | valid on 'valid' subset | loss {value:.3f} | nll_loss {value:.3f} | ppl "
                    f"{2**value:.2f} | wps 24000 | num_updates {step} | best_loss {value:.3f}"
                )
            else:
                record = {"epoch": 1, "valid_loss": f"{value:.3f}", "valid_ppl": f"{2**value:.2f}"}
                yield f"{head}valid | {json.dumps(record | {'valid_num_updates': str(step)})}"
    if style == "simple":
        yield f"{head}train | epoch 001 | loss 4.9 | nll_loss 4.9 | ppl 29.86 | wps 9000 | num_updates {LAST} | lr 0.0002 | gnorm 2"


def torchtitan():
    for step in STEPS:
        yield (
            f"[rank0]:\x1b[32m[titan] 2026-02-03 10:00:01,808 - root - INFO -\x1b[39m \x1b[31mstep: {step:2}  \x1b[32mloss: "
            f"{loss(step):7.5f}  \x1b[39mgrad_norm: 1.2345  memory: 1.1GiB(1.2%)  tps: 8,123\x1b[39m"
        )


def nanogpt():
    for step in STEPS:
        if step in EVALUATED:
            yield f"step {step}: train loss {loss(step):.4f}, val loss {loss(step) + 0.1:.4f}"
        yield f"iter {step}: loss {loss(step):.4f}, time 512.31ms, mfu 21.03%"


def plain():
    for step in STEPS:
        yield f"2026-01-01 INFO step {step}/{LAST} | loss {loss(step):.5f} | lr {rate(step):.6e} | 610 ms"


def deepmd():
    yield "#  step      rmse_val    rmse_trn    rmse_e_val  rmse_e_trn    rmse_f_val  rmse_f_trn         lr"
    yield "# If there is no available reference data, rmse_*_{val,trn} will print nan"
    for step in STEPS:
        value = loss(step)
        yield (
            f"{step:7d}   {value + 0.1:10.4e}    {value:10.4e}    1.42e-01    1.37e-01      5.4e-01    5.0e-01    "
            f"{rate(step):8.1e}"
        )


def yolo():
    """results.csv of a run of Ultralytics YOLO: one row an epoch."""
    names = ["epoch", "train/box_loss", "metrics/precision(B)", "metrics/mAP50(B)", "val/box_loss", "lr/pg0"]
    yield ",".join(f"{name:>23}" for name in names)
    for epoch, step in enumerate(STEPS):
        cells = [epoch, f"{loss(step):.5f}", "0.51", "0.4", f"{loss(step) + 0.1:.5f}", f"{rate(step):.6g}"]
        yield ",".join(f"{cell:>23}" for cell in cells)


def keras_csv():
    yield "epoch,accuracy,learning_rate,loss,val_accuracy,val_loss"
    for epoch, step in enumerate(STEPS):
        yield f"{epoch},0.5,{rate(step)!r},{loss(step)!r},0.4,{loss(step) + 0.1!r}"


def tensorboard_csv(value=loss):
    yield "Wall time,Step,Value"
    for at, step in enumerate(STEPS):
        yield f"{1.77e9 + at},{step},{float(np.float32(value(step)))!r}"


def wrapped(lines, width):
    """The lines as a terminal of this width shows them."""
    return [line[at : at + width] for line in lines for at in range(0, max(len(line), 1), width)]


def written(folder, name, lines):
    """A file of these lines."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
