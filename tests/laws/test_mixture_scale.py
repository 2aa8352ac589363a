"""Mixture and scale: the source's own writing, the additive law inside the joint one, the best shares, refusals."""

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.diagnosis.identifiable import identify
from scalefit.errors import IdentificationError
from scalefit.laws import find_law
from scalefit.planning.optimum.best_shares import best_shares

ADDITIVE = find_law("mixture-scale:over=web+code+books")
JOINT = find_law("mixture-scale:over=web+code+books,form=joint")
SCALE = {"E": 1.5, "A": 400.0, "B": 410.0, "alpha": 0.34, "beta": 0.28}
WHOLE = {"T": 0.4, "gamma1": 0.3, "gamma2": 0.6, "gamma3": 0.5, "c2": 0.7, "c3": 0.4}
WEIGHTS = {"a2": 0.5, "a3": 1.6, "b2": 2.0, "b3": 0.6, "gamma_A": 0.8, "gamma_B": 1.2}


def mixtures(count=12, seed=0):
    """Runs of every size and length at mixtures spread over the simplex, each share above a twentieth."""
    shares = 0.05 + 0.85 * np.random.default_rng(seed).dirichlet(np.ones(3), count)
    grid = [(N, D, *h) for N in (1e8, 4e8, 1.5e9) for D in (2e9, 1e10, 6e10) for h in shares]
    return pd.DataFrame(grid, columns=["N", "D", "web", "code", "books"])


def at(table):
    return {"N": table["N"], "D": table["D"], "r1": table["web"], "r2": table["code"], "r3": table["books"]}


def test_it_is_the_source_s_equation_in_other_letters():
    """Equation 2.5 with C_1 = 1/T, C_i = c_i/T, C_i^A = A^(1/gamma_A) a_i, and so for B."""
    table = mixtures()
    shares = table[["web", "code", "books"]].to_numpy()
    C = np.array([1.0, WHOLE["c2"], WHOLE["c3"]]) / WHOLE["T"]
    powers = np.array([WHOLE["gamma1"], WHOLE["gamma2"], WHOLE["gamma3"]])
    C_A = SCALE["A"] ** (1 / WEIGHTS["gamma_A"]) * np.array([1, WEIGHTS["a2"], WEIGHTS["a3"]])
    C_B = SCALE["B"] ** (1 / WEIGHTS["gamma_B"]) * np.array([1, WEIGHTS["b2"], WEIGHTS["b3"]])
    told = SCALE["E"] + 1 / (C * shares**powers).sum(axis=1)
    told += (shares @ C_A) ** WEIGHTS["gamma_A"] * table["N"] ** -0.34
    told += (shares @ C_B) ** WEIGHTS["gamma_B"] * table["D"] ** -0.28
    np.testing.assert_allclose(JOINT.evaluate(at(table), SCALE | WHOLE | WEIGHTS), told, rtol=1e-12)


def test_the_joint_law_holds_the_additive_one():
    table = mixtures()
    equal = {"a2": 1.0, "a3": 1.0, "b2": 1.0, "b3": 1.0, "gamma_A": 1.0, "gamma_B": 1.0}
    np.testing.assert_allclose(
        JOINT.evaluate(at(table), SCALE | WHOLE | equal), ADDITIVE.evaluate(at(table), SCALE | WHOLE), rtol=1e-12
    )
    assert (len(ADDITIVE.parameters), len(JOINT.parameters)) == (5 + 2 * 3, 5 + 4 * 3)  # as the source counts them


def test_a_share_of_zero_has_a_value_and_derivatives():
    table = pd.DataFrame({"N": [1e8], "D": [2e9], "web": [0.0], "code": [0.4], "books": [0.6]})
    variables = {name: column.to_numpy() for name, column in at(table).items()}
    value, slopes = JOINT.derivatives(variables, SCALE | WHOLE | WEIGHTS)
    assert np.isfinite(value).all()
    assert all(np.isfinite(slope).all() for slope in slopes.values())
    assert slopes["gamma1"][0] == pytest.approx(0.0, abs=1e-2)


@pytest.mark.parametrize(("law", "constants"), [(ADDITIVE, SCALE | WHOLE), (JOINT, SCALE | WHOLE | WEIGHTS)])
def test_larger_runs_at_new_mixtures_are_predicted_from_small_ones(law, constants):
    """The whole sum is one in every row: what the sources add is then known up to what the floor takes of it."""
    small, large = mixtures(), mixtures(seed=1).assign(N=7e9, D=1.5e11).drop_duplicates()
    small["loss"], truth = law.evaluate(at(small), constants), law.evaluate(at(large), constants)
    told = sf.fit(small, law).predict(large)
    np.testing.assert_allclose(told["loss"], truth, rtol=1e-4)


def test_the_best_mixture_moves_with_the_scale_only_in_the_joint_law():
    near, far = (best_shares(ADDITIVE, [SCALE | WHOLE], N=N, D=D) for N, D in ((1e8, 2e9), (1e11, 1e13)))
    assert near == pytest.approx(far, abs=1e-5)
    near, far = (best_shares(JOINT, [SCALE | WHOLE | WEIGHTS], N=N, D=D) for N, D in ((1e8, 2e9), (1e11, 1e13)))
    assert abs(near["code"] - far["code"]) > 0.05


def test_the_best_shares_are_the_least_on_a_grid():
    ticks = np.arange(0, 1.0001, 0.01)
    h = np.array([(a, b, 1 - a - b) for a in ticks for b in ticks if a + b <= 1 + 1e-9]).clip(0)
    other = WHOLE | {"gamma1": 0.7, "c2": 0.2, "c3": 1.5}
    sets = [SCALE | WHOLE | WEIGHTS, SCALE | other | WEIGHTS]
    losses = np.mean(
        [JOINT.evaluate({"N": 1e9, "D": 2e10, "r1": h[:, 0], "r2": h[:, 1], "r3": h[:, 2]}, s) for s in sets], axis=0
    )
    found = best_shares(JOINT, sets, N=1e9, D=2e10)
    assert list(found) == ["web", "code", "books"]
    np.testing.assert_allclose(list(found.values()), h[np.argmin(losses)], atol=0.011)


def test_it_is_refused_by_name_where_the_runs_do_not_fit():
    table = mixtures().assign(loss=2.0)
    with pytest.raises(sf.InputError, match="by 100"):
        sf.fit(table.assign(web=100 * table["web"]), ADDITIVE)
    fixed = table.copy()
    fixed["web"], fixed["code"] = (1 - fixed["books"]) / 1.5, (1 - fixed["books"]) / 3
    with pytest.raises(IdentificationError, match="web, code, books change together"):
        sf.fit(fixed, ADDITIVE)
    with pytest.raises(IdentificationError, match="N and D move together"):
        sf.fit(table.assign(D=20 * table["N"]), ADDITIVE)
    with pytest.raises(sf.InputError, match="books"):
        sf.fit(table.drop(columns="books"), ADDITIVE)


def test_it_is_proposed_for_runs_with_shares():
    table = mixtures().rename(columns={"web": "r1", "code": "r2"}).drop(columns="books")
    table["r2"] = 1 - table["r1"]
    law = find_law("mixture-scale")
    made = {"N": table["N"], "D": table["D"], "r1": table["r1"], "r2": table["r2"]}
    constants = SCALE | {"T": 0.4, "gamma1": 0.3, "gamma2": 0.6, "c2": 0.7}
    able = {one.law: one for one in identify(sf.read_runs(table.assign(loss=law.evaluate(made, constants))))}
    assert able["mixture-scale"].can
    without = {one.law: one for one in identify(sf.read_runs(table[["N", "D"]].assign(loss=2 + 1e3 / table["N"])))}
    assert not without["mixture-scale"].can
    assert "r1" in without["mixture-scale"].reason


def two_sources() -> pd.DataFrame:
    rows = [(N, D, web) for N in (1e7, 4e7, 2e8) for D in (2e8, 1e9, 8e9) for web in (0.1, 0.25, 0.5, 0.75, 0.9)]
    N, D, web = np.array(rows).T
    loss = 1.2 + 0.8 / (web**0.4 + 1.5 * (1 - web) ** 0.7) + 406 * N**-0.34 + 410 * D**-0.28
    return pd.DataFrame({"N": N, "D": D, "web": web, "code": 1 - web, "loss": loss})


@pytest.mark.parametrize("over", ["web", "web+web", "web+half"])
def test_columns_that_are_not_all_shares_are_refused(over):
    table = two_sources()
    with pytest.raises(sf.InputError, match="add up to"):
        sf.fit(table.assign(half=table["code"] / 2), f"mixture-scale:over={over}", draws=0)


def test_a_point_whose_shares_are_none_has_no_prediction():
    found = sf.fit(two_sources(), "mixture-scale:over=web+code", draws=0)
    at = {"N": 1e9, "D": 1e11}
    assert found.predict(**at, web=0.334, code=0.665)["loss"].notna().all()  # rounded
    with pytest.raises(sf.InputError, match="web = 50 is no share"):
        found.predict(**at, web=50, code=50)
    for wrong in ({"web": 0.5, "code": 0.9}, {"web": [0.5, 0.2], "code": [0.5, 0.2]}):
        with pytest.raises(sf.InputError, match=r"web \+ code = (1|0)\.4"):
            found.predict(**at, **wrong)
    with pytest.raises(sf.InputError, match="give shares that add up to 1"):
        found.predict(pd.DataFrame({"N": [1e9], "D": [1e11], "web": [0.5], "code": [0.1]}))
