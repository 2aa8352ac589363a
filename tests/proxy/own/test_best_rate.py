"""The best learning rate of an MLP stays within an octave over eight times the width in mup, and moves without it."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from scalefit.proxy import parametrize  # noqa: E402

torch.set_num_threads(1)
STEPS, BATCH, SMALL, LARGE = 60, 64, 32, 256


def build(width):
    return nn.Sequential(nn.Linear(16, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1))


def wanted(x):
    return (x[:, 0] * x[:, 1] + torch.sin(2 * x[:, 2]))[:, None]


def final_loss(width, name, lr, seed):
    torch.manual_seed(seed)
    model, base = build(width), build(SMALL)
    optimizer = torch.optim.AdamW(parametrize(model, base, name).groups(lr))
    generator = torch.Generator().manual_seed(seed)
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = lr * group["lr_factor"] * (1 - step / STEPS)
        x = torch.randn(BATCH, 16, generator=generator)
        optimizer.zero_grad()
        nn.functional.mse_loss(model(x), wanted(x)).backward()
        optimizer.step()
    with torch.no_grad():
        x = torch.randn(1024, 16, generator=torch.Generator().manual_seed(99))
        return float(nn.functional.mse_loss(model(x), wanted(x)))


def best(width, name, exponents):
    """log2 of the best rate: the vertex of the parabola through the least loss and its neighbours."""
    losses = [np.mean([final_loss(width, name, 2.0**e, seed) for seed in (0, 1)]) for e in exponents]
    at = int(np.argmin(losses))
    assert 0 < at < len(exponents) - 1, losses
    a, b, _ = np.polyfit(exponents[at - 1 : at + 2], losses[at - 1 : at + 2], 2)
    return -b / (2 * a)


def test_the_best_rate_stays_within_an_octave_over_eight_widths():
    small = best(SMALL, "mup", range(-7, -2))
    assert abs(best(LARGE, "mup", range(-7, -1)) - small) <= 1
    assert best(LARGE, "sp", range(-10, -5)) <= small - 2
