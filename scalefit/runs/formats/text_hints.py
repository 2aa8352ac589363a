"""Trainers whose console output cannot be read, by what it says, and what they write that can be read."""

from __future__ import annotations

import re
from collections.abc import Iterable

#: (trainer, what its output says, what to give instead)
HINTS = (
    ("LLaMA-Factory", r"llamafactory|LLaMA-Factory", "give trainer_log.jsonl of its output folder"),
    ("ms-swift", r"\[INFO:swift\]|ms-swift", "give logging.jsonl of its output folder"),
    (
        "Lightning",
        r"\bv_num=|GPU available: (?:True|False)|`Trainer\.fit` stopped|LOCAL_RANK: \d+ - CUDA_VISIBLE",
        "give metrics.csv of a CSVLogger, or the folder of event files (lightning_logs/version_N)",
    ),
    ("Keras", r"\d+/\d+ .*(?:ms|us|s)/step\b", "train with CSVLogger('log.csv') and give that, or give event files"),
    ("Ultralytics YOLO", r"\bGPU_mem\b.*\bInstances\b", "give results.csv of its run folder"),
    (
        "DeepSpeed",
        r"\bstep=\d+, skipped=\d+, lr=\[",
        "switch on its csv_monitor or tensorboard monitor, and give what that writes",
    ),
    ("LightGBM", r"\[LightGBM\]", "print its measures with log_evaluation, or write record_evaluation to a CSV"),
    (
        "the Hugging Face Trainer",
        r"\*{5} Running training \*{5}|\[INFO\|trainer\.py|Num examples = [\d,]+|Total optimization steps = ",
        "give trainer_state.json of its output folder",
    ),
    (
        "Accelerate or TRL",
        r"\bLaunching training on .* GPUs|\baccelerate\.(?:utils|commands)\b",
        "give its event files",
    ),
    (
        "a training that prints losses alone",
        r"(?:^\s*(?:train(?:ing)?|val(?:idation)?|test)?[ _]?loss\s*[:=]?\s*\d+\.\d+\s*$[\s\S]*?){3}",
        "print the step in the line of the loss; a progress bar above it may be older",
    ),
    ("W&B", r"^wandb: (?:Run (?:summary|history)|Tracking run|Syncing run)", "give the folder wandb/ of the job"),
)
#: what a file is, by the end of its name, and what to give instead
NAMED = {
    ".ipynb": ("a notebook", "write the table that it shows: frame.to_csv('runs.csv')"),
    **dict.fromkeys(
        (".toml", ".ini", ".cfg"),
        ("a file of settings", "give the log beside it, or write results as CSV"),
    ),
    ".pdf": ("a PDF", "copy the table into a Markdown page or a CSV"),
}
PATTERNS = tuple((name, re.compile(text, re.MULTILINE), todo) for name, text, todo in HINTS)


def hint(texts: Iterable[str], ending: str = "") -> tuple[str, str] | None:
    """What is wrong and what to do, where the lines look like the output of a trainer that is known by name, or the
    name of the file ends as those of other things do.

    >>> hint(["Epoch 1/5", "60/60 [=====] - 3s 50ms/step - accuracy: 0.9"])[0]
    'no loss with its step is printed; the text looks like the output of Keras'
    >>> hint([], ".pdf")
    ('a PDF and no run log', 'copy the table into a Markdown page or a CSV')
    """
    if ending.lower() in NAMED:
        what, todo = NAMED[ending.lower()]
        return f"{what} and no run log", todo
    whole = "\n".join(texts)
    for name, pattern, todo in PATTERNS:
        if pattern.search(whole):
            return f"no loss with its step is printed; the text looks like the output of {name}", todo
    return None
