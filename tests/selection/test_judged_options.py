"""Options that held-out runs choose: tried beside the default where no law is named, and nowhere else."""

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.fitting.prepare import Options
from scalefit.laws import find_law
from scalefit.selection.automatic import compared, folds_for
from scalefit.selection.candidates import Candidates
from scalefit.selection.trials import Attempt


@pytest.fixture(scope="module")
def routed():
    """Runs of a routed law above a floor of 1.5 nats, which the source's form lacks."""
    law = find_law("routed:floor=yes")
    N, experts = (x.ravel() for x in np.meshgrid(np.geomspace(1e7, 1e9, 7), [1.0, 4, 16, 64, 256]))
    constants = {"E": 1.5, "K": 1.3, "a": 0.17, "b": 0.12, "c": 0.004, "E_start": 2.0, "E_max": 300.0}
    noise = np.exp(5e-4 * np.random.default_rng(0).standard_normal(len(N)))
    loss = law.evaluate({"N": N, "experts": experts}, constants) * noise
    return pd.DataFrame({"N": N, "experts": experts, "loss": loss})


def test_without_a_law_the_floor_is_tried_and_found(routed):
    small = routed[routed["N"] < 2e8]
    fit = sf.fit(small)
    assert {"routed", "routed:floor=yes"} <= {each["law"] for each in fit.choice.errors}
    assert fit.law.spec == "routed:floor=yes"
    large = routed[routed["N"] > 5e8]
    told = {
        law: np.abs(sf.fit(small, law).predict(large)["loss"].to_numpy() / large["loss"] - 1).max()
        for law in ("routed", "auto")
    }
    assert told["auto"] < 0.5 * told["routed"]


def test_a_named_law_keeps_its_form(routed):
    assert sf.fit(routed, "routed").choice is None
    law = find_law("routed")
    assert law.alternatives(()) == (law,)
    assert [each.spec for each in law.alternatives([law])] == ["routed", "routed:floor=yes"]
    chosen = find_law("routed:floor=yes")
    assert chosen.alternatives([law]) == (chosen,)


@pytest.fixture(scope="module")
def repeated():
    law = find_law("data-constrained")
    N, D, share = (x.ravel() for x in np.meshgrid([5e7, 2e8, 8e8], [1e9, 4e9, 1.6e10], [1.0, 0.25, 0.1]))
    at = {"N": N, "D": D, "U": share * D}
    noise = np.exp(2e-3 * np.random.default_rng(2).standard_normal(len(N)))
    return pd.DataFrame({**at, "loss": law.evaluate(at, law.published[0].parameters) * noise})


def test_the_base_of_a_staged_law_sees_no_row_that_is_held_out(repeated):
    law = find_law("data-constrained:procedure=stages")
    runs = sf.read_runs(repeated)
    fold = folds_for(runs, [law], Options(), {})[0]
    error = Attempt.of(runs, (law,), Options()).judged([fold]).errors[fold.label]
    scale = repeated["N"] * repeated["D"]
    kept = repeated[np.log(scale) <= fold.above]
    ahead = sf.fit(kept, law).predict(repeated.drop(kept.index))
    missed = np.abs(np.log(ahead["loss"].to_numpy() / repeated["loss"].drop(kept.index).to_numpy()))
    assert error == pytest.approx(missed.mean(), rel=1e-4)


def test_a_staged_law_is_not_refused_for_the_constants_that_its_base_holds(repeated):
    laws = tuple((find_law(name),) for name in ("data-constrained", "data-constrained:procedure=stages"))
    trials, refused = compared(sf.read_runs(repeated), Candidates(laws), {}, {})
    assert not refused
    assert trials["data-constrained:procedure=stages"].free == 2
