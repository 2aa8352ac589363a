"""Distillation: the source's logarithmic form, its limits, its claims about infinite data and the capacity gap."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import logsumexp

import scalefit as sf
from scalefit.diagnosis.identifiable import identify
from scalefit.errors import IdentificationError
from scalefit.laws import find_law
from scalefit.laws.distillation import SUPERVISED, supervised
from scalefit.planning.optimum.best_teacher import best_teacher

LAW = find_law("distillation")
PUBLISHED = LAW.published[0].parameters
TABLE_6 = {"A": 2243.0, "B": 24181.0, "alpha": 0.321, "beta": 0.637, "gamma": 0.764}
BEND = {"c0": 2.549, "c1": 522.6, "f1": 0.090, "d1": 1.315}


def equation_49(N, D, teacher, own):
    """The logarithm of the student's loss as the source fits it."""
    size = logsumexp([np.log(TABLE_6["A"]) - 0.321 * np.log(N), np.log(TABLE_6["B"]) - 0.637 * np.log(D)])
    bend = logsumexp([0.0, (np.log(teacher) - np.log(own) - np.log(BEND["d1"])) / BEND["f1"]])
    missed = -BEND["c0"] * np.log(teacher) - BEND["c1"] * BEND["f1"] * bend + TABLE_6["gamma"] * size
    return logsumexp([np.log(teacher), missed])


@pytest.mark.parametrize("teacher", [1.7, 2.1, 2.6])
@pytest.mark.parametrize(("N", "D"), [(1.43e8, 4e9), (1.82e9, 3.64e10), (7.75e9, 5.12e11)])
def test_it_is_the_equation_that_the_source_fits(N, D, teacher):
    own = supervised(N, D)
    at = {"N": N, "D": D, "loss_teacher": teacher, "loss_supervised": own}
    assert float(LAW.evaluate(at, PUBLISHED)) == pytest.approx(np.exp(equation_49(N, D, teacher, own)), rel=1e-12)


def test_endless_students_are_their_teachers_and_bad_teachers_make_students_like_them():
    at = {"N": 1e40, "D": 1e40, "loss_teacher": 2.0, "loss_supervised": 1.22}
    assert float(LAW.evaluate(at, PUBLISHED)) == pytest.approx(2.0, abs=1e-6)
    at = {"N": 1e8, "D": 1e9, "loss_teacher": 9.0, "loss_supervised": 3.0}
    assert float(LAW.evaluate(at, PUBLISHED)) == pytest.approx(9.0, rel=1e-3)


@pytest.mark.parametrize("N", np.geomspace(1e8, 1e11, 5))
def test_with_endless_data_the_best_distillation_is_as_good_as_none(N):
    """Appendix E.6, figure 40: the two floors agree, for 100 million to 100 billion parameters. It holds the units."""
    s = SUPERVISED
    floor = s["E"] + (s["A"] * N ** -s["alpha"]) ** s["gamma"]
    _, student = best_teacher(PUBLISHED, N=N, D=1e30, loss_supervised=floor)
    assert student == pytest.approx(floor, rel=0.01)


def test_beyond_the_best_teacher_a_better_one_makes_a_worse_student():
    own = supervised(1.98e8, 4e9)
    teacher, student = best_teacher(PUBLISHED, N=1.98e8, D=4e9, loss_supervised=own)
    teachers = np.linspace(0.5 * own, 1.2 * own, 20001)
    students = LAW.evaluate({"N": 1.98e8, "D": 4e9, "loss_teacher": teachers, "loss_supervised": own}, PUBLISHED)
    assert student <= students.min() + 1e-12
    assert teacher == pytest.approx(teachers[np.argmin(students)], rel=1e-4)
    assert students[0] > student < students[-1]
    with pytest.raises(sf.InputError, match="no teacher is best"):
        best_teacher({**PUBLISHED, "K": 0.0}, N=1e9, D=2e10, loss_supervised=2.4)


@pytest.fixture(scope="module")
def students():
    N, D, teacher = (x.ravel() for x in np.meshgrid([2e8, 6e8, 2e9], [4e9, 3e10, 3e11], [1.9, 2.1, 2.4, 2.8, 3.2]))
    at = {"N": N, "D": D, "loss_teacher": teacher, "loss_supervised": supervised(N, D)}
    return pd.DataFrame({**at, "loss": LAW.evaluate(at, PUBLISHED)})


def test_students_are_predicted_whose_teacher_was_not_among_those_fitted(students):
    known = students["loss_teacher"] != 2.1
    fit = sf.fit(students[known], "distillation")
    told = fit.predict(students[~known])
    np.testing.assert_allclose(told["loss"], students.loc[~known, "loss"], rtol=2e-3)


def test_it_is_proposed_for_students_and_refused_by_name_elsewhere(students):
    able = {one.law: one for one in identify(sf.read_runs(students))}
    assert able["distillation"].can
    without = {one.law: one for one in identify(sf.read_runs(students.drop(columns="loss_teacher")))}
    assert not without["distillation"].can
    assert "loss_teacher" in without["distillation"].reason


def test_one_teacher_for_each_student_is_refused(students):
    same = students.assign(loss_teacher=0.9 * students["loss_supervised"])
    with pytest.raises(IdentificationError, match="loss_teacher follows loss_supervised"):
        sf.fit(same, "distillation")
    tied = students.assign(D=20 * students["N"])
    with pytest.raises(IdentificationError, match="N and D move together"):
        sf.fit(tied, "distillation")


def test_a_bend_that_ran_into_the_end_of_its_domain_is_said():
    """Half of c1 fits as well, by an independent refit with c1 held there."""
    rng, sizes = np.random.default_rng(1), [1e8, 3e8, 1e9, 3e9]
    rows = [(N, D, teacher) for N in sizes for D in (4e9, 2e10, 1e11) for teacher in (1.7, 1.9, 2.1, 2.4, 2.8)]
    N, D, teacher = np.array(rows).T
    data = {"N": N, "D": D, "loss_teacher": teacher, "loss_supervised": supervised(N, D)}
    table = pd.DataFrame({**data, "loss": LAW.evaluate(data, PUBLISHED) * np.exp(rng.normal(0, 0.002, len(N)))})
    held = {"alpha": 0.321, "beta": 0.637, "gamma": 0.764, "B": PUBLISHED["B"]}
    found = sf.fit(table, LAW, fix=held, draws=0)
    assert found["c1"] == pytest.approx(LAW.parameters["c1"].high)
    said = [check.text for check in found.warnings if check.code == "hardly-identified"]
    assert said and said[0].startswith("c1 = 1e+05 is hardly identified: half as much")
    half = sf.fit(table, LAW, fix={**held, "c1": found["c1"] / 2}, draws=0)
    assert half.cost < 1.02 * found.cost
