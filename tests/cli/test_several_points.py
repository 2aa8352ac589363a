"""Several ``--at``: parts of one point, or points, each a row that is what the point alone gives."""

from __future__ import annotations

import json

import commands
import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.cli.options import points
from scalefit.errors import InputError


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    N, D = (each.ravel() for each in np.meshgrid(np.geomspace(1e6, 1e8, 4), np.geomspace(1e8, 1e10, 3)))
    runs = pd.DataFrame({"N": N, "D": D, "loss": 1.7 + 400 * N**-0.34 + 410 * D**-0.28})
    return sf.fit(runs, "chinchilla").save(tmp_path_factory.mktemp("fit") / "fit.json")


def predicted(fitted, at):
    result = commands.run(f"scalefit predict {fitted} {at} --json --exit-zero")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_each_point_has_the_row_and_the_warnings_that_it_has_alone(fitted):
    near, far = "--at N=2e8,D=2e10", "--at N=1e14,D=1e10"
    both = predicted(fitted, f"{far} {near}")
    alone = [predicted(fitted, each) for each in (far, near)]
    assert both["predictions"] == [each["predictions"][0] for each in alone]
    texts = [check["text"] for check in both["warnings"]]
    assert alone[0]["warnings"], "the far point has a warning"
    assert {check["text"] for each in alone for check in each["warnings"]} == set(texts)
    assert len(set(texts)) == len(texts)


def test_parts_of_a_point_are_one_point(fitted):
    assert (
        predicted(fitted, "--at N=2e8 --at D=2e10")["predictions"]
        == predicted(fitted, "--at N=2e8,D=2e10")["predictions"]
    )


def test_points_of_different_variables_are_refused():
    with pytest.raises(InputError, match="points of different variables: N, D; N"):
        points(("N=1,D=2", "N=3"))
    with pytest.raises(InputError, match="given twice"):
        points(("N=1,N=2",))


def test_texts_in_lists_are_read_in_python_too(fitted):
    fit = sf.load_fit(fitted)
    several = fit.predict(N=["200M", 1e8], D="20B")
    assert several["loss"].tolist() == [fit.predict(N=N, D=2e10)["loss"][0] for N in (2e8, 1e8)]
