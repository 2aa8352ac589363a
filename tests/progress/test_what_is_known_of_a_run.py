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


def test_a_run_in_progress_has_diverged_where_its_last_rows_are_lost_not_only_its_last_tenth():
    """Of 74 rows a tenth is seven, of which two before the last five are those of a calm run."""
    loss = np.where(np.arange(len(STEP)) < len(STEP) - 5, LOSS, 9.5)
    lost = read_partial(pd.DataFrame({"step": STEP, "loss": loss}), PLAN, None).lost
    assert lost is not None
    assert (lost.step, "over its last rows" in lost.why) == (STEP[-5], True)
    assert read_partial(pd.DataFrame({"step": STEP, "loss": LOSS}), PLAN, None).lost is None
