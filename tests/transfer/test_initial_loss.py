"""The loss before training: as logged, else the logarithm of the vocabulary, else not known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from scalefit.transfer.sweeps import initial_loss_of


def test_what_was_logged_goes_before_the_vocabulary():
    both = pd.DataFrame({"initial_loss": [9.0, 9.2], "vocab": [256, 256]})
    assert initial_loss_of(both) == pytest.approx(9.1)
    assert initial_loss_of(both[["initial_loss"]]) == pytest.approx(9.1)


def test_else_it_is_that_of_equal_chances():
    assert initial_loss_of(pd.DataFrame({"vocab": [256, 256]})) == pytest.approx(np.log(256))
    assert np.isnan(initial_loss_of(pd.DataFrame({"loss": [3.0]})))
