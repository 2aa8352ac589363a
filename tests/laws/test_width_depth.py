"""Width and depth: the published objectives of the public runs, the best shape, refusals."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import huber

import scalefit as sf
from scalefit.diagnosis.identifiable import identify
from scalefit.errors import IdentificationError
from scalefit.laws import find_law
from scalefit.planning.optimum.best_shape import best_shape

LAW = find_law("width-depth")
FOLDER = Path(__file__).parents[3] / "shared" / "data" / "gemstones"
RENAMED = {"params": "N", "tokens": "D", "width": "d_model", "depth": "n_layer"}
#: published constants, the file of their runs, Huber's threshold, the published objective
PUBLIC = [
    (0, "loss_hot.csv", 1e-4, 1.11878e-4),
    (1, "loss_cool_end.csv", 1e-3, 8.107426e-4),
    (2, "loss_cool_end.csv", 1e-4, 9.00742e-5),
]


def runs(file):
    if not FOLDER.is_dir():
        pytest.skip("the public runs are not there")
    return pd.read_csv(FOLDER / file).rename(columns=RENAMED)


@pytest.mark.parametrize(("which", "file", "delta", "objective"), PUBLIC)
def test_the_published_constants_give_the_published_objective(which, file, delta, objective):
    table = runs(file)
    told = LAW.evaluate({name: table[name] for name in LAW.variables}, LAW.published[which].parameters)
    assert huber(delta, np.log(table["loss"]) - np.log(told)).sum() == pytest.approx(objective, rel=2e-6)


def test_a_fit_of_the_public_runs_is_no_worse_than_the_published_one():
    table = runs("loss_cool_end.csv")[["d_model", "n_layer", "N", "D", "loss"]]
    fit = sf.fit(table, "width-depth", loss="huber", delta=1e-3)
    told = fit.predict(table)["loss"].to_numpy()
    assert huber(1e-3, np.log(table["loss"].to_numpy() / told)).sum() <= 8.107426e-4 * (1 + 1e-6)


@pytest.mark.parametrize("N", [1e8, 1e10])
@pytest.mark.parametrize("which", [0, 1, 2])
def test_the_best_shape_is_the_least_of_the_law_on_a_grid(N, which):
    constants = LAW.published[which].parameters
    shape = best_shape(constants, N)
    assert 12 * shape.n_layer * shape.d_model**2 == pytest.approx(N, rel=1e-12)
    layers = np.geomspace(0.2 * shape.n_layer, 5 * shape.n_layer, 20001)
    at = {"d_model": np.sqrt(N / 12 / layers), "n_layer": layers, "N": N, "D": 1e11}
    assert layers[np.argmin(LAW.evaluate(at, constants))] == pytest.approx(shape.n_layer, rel=1e-3)
    with pytest.raises(sf.InputError, match="no shape is best"):
        best_shape({**constants, "A_w": 0.0}, N)


@pytest.fixture(scope="module")
def grid():
    width, depth, D = (x.ravel() for x in np.meshgrid([256, 512, 1024, 2048], [4, 8, 20, 40], [1e10, 5e10, 2e11]))
    N = 12.0 * depth * width**2 + 50_000 * width
    at = {"d_model": width, "n_layer": depth, "N": N, "D": D}
    return pd.DataFrame({**at, "loss": LAW.evaluate(at, LAW.published[0].parameters)})


def test_the_constants_come_back_from_a_grid_of_shapes(grid):
    found = sf.fit(grid, "width-depth")
    for name, value in LAW.published[0].parameters.items():
        assert found[name] == pytest.approx(value, rel=1e-3), name


def test_it_is_proposed_for_shapes_and_refused_by_name_elsewhere(grid):
    assert {one.law: one for one in identify(sf.read_runs(grid))}["width-depth"].can
    without = {one.law: one for one in identify(sf.read_runs(grid.drop(columns="n_layer")))}
    assert not without["width-depth"].can
    assert "n_layer" in without["width-depth"].reason
    with pytest.raises(IdentificationError, match="d_model and n_layer move together"):
        sf.fit(grid.assign(n_layer=grid["d_model"] / 64), "width-depth")
