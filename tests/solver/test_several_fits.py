"""Several fits of one law as one batch reach what the search of each alone reaches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from scalefit.laws import find_law
from scalefit.solver.many import solve_each
from scalefit.solver.model import bind
from scalefit.solver.solve import Settings, solve


def _rows(law: str, seed: int = 0):
    rng = np.random.default_rng(seed)
    N, D = 10 ** rng.uniform(6, 9, 40), 10 ** rng.uniform(8, 11, 40)
    loss = (1.7 + 400 * N**-0.34 + 410 * D**-0.28) * np.exp(0.01 * rng.standard_normal(40))
    loss[5] *= 1.2
    values = {"N": N, "D": D}
    return bind(find_law(law), {name: values[name] for name in find_law(law).variables}), loss


@pytest.mark.parametrize("settings", [Settings(starts=3), Settings("linear", delta=0.01, starts=3)])
def test_parts_of_the_rows_with_weights_of_their_own(settings: Settings) -> None:
    model, loss = _rows("chinchilla")
    parts = [slice(0, 25), slice(10, 40), slice(0, 40)]
    weights = [None, np.linspace(0.5, 2.0, 30), None]
    found = solve_each([model.take(part) for part in parts], [loss[part] for part in parts], weights, settings)
    for part, weight, together in zip(parts, weights, found, strict=True):
        alone = solve(model.take(part), loss[part], weight, settings)
        assert together is not None
        assert together.cost == pytest.approx(alone.cost, rel=1e-9 if settings.delta != "auto" else 1e-6)
        assert together.theta == pytest.approx(alone.theta, rel=1e-4)
        assert [together.sigma, together.objective.delta] == pytest.approx(
            [alone.sigma, alone.objective.delta], rel=1e-6
        )
        assert together.residuals == pytest.approx(alone.residuals, abs=1e-6)


def test_rows_that_no_start_can_predict_leave_the_others_as_they_are() -> None:
    model, loss = _rows("chinchilla")
    sizes = {"N": model.variables["N"].copy(), "D": model.variables["D"]}
    sizes["N"][3] = np.nan
    bad = replace(model, variables=sizes)
    lost, kept = solve_each([bad, model], [loss, loss], [None, None], Settings(starts=3))
    assert lost is None
    assert kept is not None
    assert kept.cost == pytest.approx(solve(model, loss, None, Settings(starts=3)).cost, rel=1e-6)


def test_guesses_of_a_law_are_starts_of_each_fit() -> None:
    """The even cover alone ends at 70 times the objective of the first curve, which has two breaks."""
    x, rng, models, losses = np.geomspace(1e2, 1e6, 40), np.random.default_rng(1), [], []
    for place in (3e3, 3e4):
        breaks = (1 + (x / place) ** 5) ** (-0.6 / 5) * (1 + (x / (10 * place)) ** 5) ** (0.5 / 5)
        models.append(bind(find_law("broken:over=D,breaks=2"), {"x": x}))
        losses.append((0.5 + 8 * x**-0.1 * breaks) * np.exp(0.002 * rng.standard_normal(40)))
    settings = Settings(delta=0.01, starts=1)
    for model, loss, together in zip(models, losses, solve_each(models, losses, [None, None], settings), strict=True):
        assert together is not None
        assert together.cost == pytest.approx(solve(model, loss, None, settings).cost, rel=1e-9)
