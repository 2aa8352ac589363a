"""What a run in progress is known to be: only what its log says of it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from scalefit.diagnosis.checks import ALIKE
from scalefit.progress.partial_run import read_partial

STEP = np.arange(60, 800, 10)
PLAN = "cosine:peak_lr=1e-3,steps=2000,warmup=50"
LOSS = 2.5 + 9 * STEP**-0.5


def recipe_of(**columns):
    return read_partial(pd.DataFrame({"step": STEP, "loss": LOSS, **columns}), PLAN, None).recipe()


def test_a_setting_that_the_log_leaves_empty_is_not_known():
    name = next(each for each in ALIKE if each != "peak_lr")
    assert name not in recipe_of(**{name: np.nan})
    assert name not in recipe_of()
    assert recipe_of(**{name: 64.0})[name] == (64.0,)


def test_numbers_are_numbers_and_texts_are_texts():
    known = recipe_of(vocab=256, tokenizer="bytes")
    assert known["vocab"] == (256.0,)
    assert known["tokenizer"] == ("bytes",)
    assert known["peak_lr"] == (pytest.approx(1e-3),)
