"""Schedules, what is known before the first logged row, and sums over gaps, with few numbers worked out on paper."""

from __future__ import annotations

import commands
import numpy as np
import pytest

from scalefit.errors import InputError
from scalefit.schedules import (
    areas,
    gaps_at,
    parse_schedule,
    per_step_lr,
    powered_area,
    read_schedule_table,
    relaxed_rate,
)
from scalefit.schedules import shapes as sh
from scalefit.schedules.areas import MOST_STEPS, refuse_too_long, rises_from_zero
from scalefit.schedules.text import is_schedule_file
from scalefit.schedules.theory import bound_curve, convex_bound, refine_schedule, wsd_bound


@pytest.mark.parametrize(
    ("steps", "lr", "rows"),
    [
        ([10, 20, 30, 40], [10, 20, 30, 30], 3),
        ([10, 20, 30, 40], [11, 21, 31, 31], 3),  # counted from the step before
        ([10, 20, 30, 40], [9, 19, 29, 29], 3),  # and from the one after
        ([10, 20, 30], [10, 20, 30], 3),
        ([10, 20, 30, 40], [10, 20, 30 * 1.0045, 30], 3),
        ([10, 20, 30, 40], [10, 20, 30 * 1.0055, 30], 0),
        ([10, 20, 30, 40], [10, 20, 20, 20], 0),  # two rows show no line
        ([10, 12, 15], [10, 12, 15], 3),
        ([10, 12, 14], [10, 12, 14], 0),  # rows that are close together show none either
        ([10, 20, 30], [0, 0, 0], 0),
    ],
)
def test_rates_that_rise_from_zero(steps, lr, rows):
    assert rises_from_zero(steps, lr) == rows


@pytest.mark.parametrize(
    ("steps", "lr", "warmup", "wanted", "how"),
    [
        ([0, 2], [1, 3], None, [1, 2, 3], "interpolated between rows 2 steps apart"),
        ([1, 3], [2, 4], None, [0, 2, 3, 4], "interpolated between rows 2 steps apart"),
        ([2, 4], [2, 2], 2, [0, 1, 2, 2, 2], "linear warmup from 0 over 2 steps (given); interpolated between rows 2"),
        ([2, 4], [2, 2], 5, [0, 1, 2, 2, 2], "linear warmup from 0 over 2 steps (given)"),
        (
            [2, 4],
            [2, 2],
            0,
            [2, 2, 2, 2, 2],
            "constant up to step 2; interpolated between rows 2 steps apart from step 2",
        ),
        (
            [2, 3],
            [2, 2],
            1,
            [0, 2, 2, 2],
            "linear warmup from 0 over 1 steps (given); logged at every step from step 2",
        ),
        ([2, 4, 6], [2, 4, 6], None, [0, 1, 2, 3, 4, 5, 6], "the first 3 logged rates lie on a line through 0"),
        ([3], [5], 3, [0, 5 / 3, 10 / 3, 5], "over 3 steps (given); logged at every step from step 3"),
    ],
)
def test_the_rate_of_every_step(steps, lr, warmup, wanted, how):
    found, said = per_step_lr(steps, lr, warmup=warmup)
    np.testing.assert_allclose(found, wanted)
    assert how in said


@pytest.mark.parametrize(
    ("steps", "lr", "warmup", "said"),
    [
        ([2, 4, 6], [2, 4, 6], 0, "begins within a warmup"),
        ([5, 7], [1, 1], 0, "the first row is step 5, more than one row spacing"),
        ([2], [1], 0, "more than one row spacing"),
        ([2], [1], None, "before step 2 is not known"),
    ],
)
def test_rates_that_are_not_known(steps, lr, warmup, said):
    with pytest.raises(InputError, match=said):
        per_step_lr(steps, lr, warmup=warmup)


def test_the_longest_run():
    refuse_too_long(MOST_STEPS, "a")
    with pytest.raises(InputError, match=r"at most 5e\+07"):
        refuse_too_long(MOST_STEPS + 1, "a")


@pytest.mark.parametrize("decay", [0.0, 1.0])
def test_areas_at_both_ends_of_the_decay(decay):
    assert areas([2, 2, 1], decay)[1].tolist() == [0, 0, 1]
    for wrong in (-0.01, 1.01):
        with pytest.raises(InputError, match="outside"):
            areas([2, 2, 1], wrong)


# --- shapes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "given"),
    [
        (sh.constant, {}),
        (sh.linear, {"steps": 20}),
        (sh.cosine, {"steps": 20}),
        (sh.wsd, {"steps": 20}),
        (sh.inverse_sqrt, {}),
        (sh.multi_step, {"at": [15]}),
        (sh.cyclic, {"period": 10}),
    ],
)
def test_what_every_shape_assumes(shape, given):
    """A warmup from 0 that reaches the peak; no warmup unless it is asked for; a decay down to 0."""
    assert shape([-3, 0, 5, 10], peak_lr=2.0, warmup=10, **given).tolist() == [0, 0, 1, 2]
    assert shape([5], peak_lr=2.0, warmup=10, initial=1.0, **given).tolist() == [1.5]
    if shape is not sh.inverse_sqrt:
        assert shape([0], peak_lr=2.0, **given).tolist() == [2]
    if shape in (sh.linear, sh.cosine, sh.wsd):
        assert shape([20, 30], peak_lr=2.0, **given).tolist() == [0, 0]
    if shape is sh.cyclic:
        assert shape([5], peak_lr=2.0, **given).tolist() == [0]


@pytest.mark.parametrize(("steps", "length"), [(1000, 100), (1005, 100), (20, 2)])
def test_the_default_decay_of_wsd(steps, length):
    lr = sh.wsd([steps - length, steps - length / 2, steps], peak_lr=1.0, steps=steps)
    assert lr.tolist() == [1.0, 0.5, 0.0]


def test_decays_that_just_fit():
    assert sh.wsd([5, 9], peak_lr=1.0, steps=9, warmup=5, decay_steps=4).tolist() == [1, 0]
    assert sh.wsd([0, 9], peak_lr=1.0, steps=9, decay_steps=0).tolist() == [1, 1]
    assert sh.linear([9], peak_lr=1.0, steps=9, warmup=9).tolist() == [1]
    with pytest.raises(InputError, match="does not fit"):
        sh.wsd([0], peak_lr=1.0, steps=9, decay_steps=-1)


def test_levels_never_fall_below_the_final_rate():
    assert sh.multi_step([0, 5, 9], peak_lr=1.0, at=[5, 8], final=0.05).tolist() == pytest.approx([1, 0.1, 0.05])
    assert sh.multi_step([4, 5, 8], peak_lr=1.0, at=[5, 8], factor=[3.0, 0.5]).tolist() == [1, 3, 1.5]
    assert sh.inverse_sqrt([0, 300, 9900], peak_lr=1.0, timescale=100, final=0.2).tolist() == [1, 0.5, 0.2]
    assert sh.inverse_sqrt([10, 40], peak_lr=1.0, warmup=10, timescale=10).tolist() == [1, 0.5]


@commands.cases(
    "call, said",
    [
        (lambda: sh.multi_step(0, peak_lr=1.0, at=[5], factor=0.0), "factor above 0"),
        (lambda: sh.inverse_sqrt(0, peak_lr=1.0, timescale=-1.0), "needs a timescale"),
        (lambda: sh.cyclic(0, peak_lr=1.0, period=0), "period=0 is not a number above 0"),
        (lambda: sh.linear(0, peak_lr=0, steps=9), "peak_lr=0 is not a number above 0"),
        (lambda: sh.linear(0, peak_lr=1, steps=9, final=-1), "final=-1 is not a number of at least 0"),
        (lambda: sh.linear(0, peak_lr=1, steps=9, warmup=-1), "warmup=-1 is not a number of at least 0"),
        (lambda: sh.linear(0, peak_lr=np.inf, steps=9), "peak_lr=inf"),
        (lambda: sh.constant(0, peak_lr=1, initial=2), "initial=2 is above peak_lr=1"),
        (lambda: sh.piecewise(0, at=[0, 5], lr=[1, -1]), "learning rate of at least 0"),
        (lambda: sh.piecewise(0, at=[0, 5], lr=[1, np.inf]), "learning rate of at least 0"),
        (lambda: sh.piecewise(0, at=[5, 5], lr=[1, 1]), "increasing steps"),
        (lambda: sh.piecewise(0, at=[], lr=[]), "increasing steps"),
        (lambda: sh.piecewise(0, at=[0, np.nan], lr=[1, 1]), "increasing steps"),
        (lambda: relaxed_rate([1, -1], 0.5, 1.0), "not a number of at least 0"),
        (lambda: relaxed_rate([1, 1], 0.5, 0.0), "relax=0 is not positive"),
        (lambda: powered_area([1, np.nan], 0.5), "not a number of at least 0"),
        (lambda: wsd_bound(10, 1), "starts between step 2"),
        (lambda: refine_schedule([1.0]), "two or more positive numbers"),
        (lambda: refine_schedule([1.0, np.inf]), "two or more positive numbers"),
        (lambda: convex_bound([]), "at least 0"),
        (lambda: gaps_at([1, 1], [2]), "step 2 lies outside a schedule of 1 steps"),
        (lambda: gaps_at([1, 1], [-1]), "lies outside"),
    ],
)
def test_refusals(call, said):
    with pytest.raises(InputError, match=said):
        call()


def test_equal_levels_are_allowed():
    assert sh.linear([0, 9], peak_lr=1.0, steps=9, final=1.0, initial=1.0).tolist() == [1, 1]
    assert sh.constant([0], peak_lr=1.0, warmup=5, initial=1.0).tolist() == [1]


# --- text and files ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "steps", "warmup"),
    [
        ("piecewise:at=0/10,lr=0/1", 10, 10),
        ("piecewise:at=0/10/20,lr=1/1/0", 20, 0),
        ("multi_step:peak_lr=1,steps=9,at=1,factor=2", 9, 1),
        ("multi_step:peak_lr=1,steps=9,at=3,factor=2", 9, 0),
        ("linear:peak_lr=1,steps=1.5M", 1_500_000, 0),
        ("linear:peak_lr=1,steps=2k,warmup=.1k", 2000, 100),
        ("linear:peak_lr=1,steps=1", 1, 0),
        ("cyclic:peak_lr=1,steps=40,period=20,warmup=10", 40, 10),
    ],
)
def test_steps_and_warmups_of_a_text(text, steps, warmup):
    schedule = parse_schedule(text)
    assert (schedule.steps, schedule.warmup) == (steps, warmup)
    assert schedule.per_step().size == steps + 1


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("csv:a", True),
        ("a.csv", True),
        ("a.tsv.gz#b", True),
        (" a.csv.gz ", True),
        ("a.txt", False),
        ("linear:steps=3", False),
    ],
)
def test_what_names_a_file(text, found):
    assert is_schedule_file(text) == found


def test_schedules_of_a_file_are_named_by_it(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("step,lr\n0,1\n1,0\n")
    assert parse_schedule(str(path)).text == f"csv:{path}"
    path.write_text("run,step,lr\nx,0,1\ny,0,0\nz,0,1\n")
    assert parse_schedule(f"{path}#y").text == f"csv:{path}#y"
    with pytest.raises(InputError, match="there is no run 'yy'; choose one with #NAME: y"):
        parse_schedule(f"{path}#yy")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("0,1\n1,-1\n", "row 3, column lr: '-1' is not a number from 0 to 2"),
        ("0,1\n1e300,1\n", "row 3, column step: '1e.300' is not a number from 0 to 2"),
        ("0,1\n-1,1\n", "row 3, column step"),
        ("0,1\n1,inf\n", "row 3, column lr"),
        ("0,1\n2,1\n1,1\n", "row 4, column step: step 1 does not come after step 2"),
    ],
)
def test_bad_rows_of_a_schedule_file(tmp_path, rows, said):
    path = tmp_path / "a.csv"
    path.write_text("step,lr\n" + rows)
    with pytest.raises(InputError, match=said):
        read_schedule_table(str(path))
    path.write_text("step,lr\n0,0\n")  # a learning rate of 0 at step 0 is fine
    assert read_schedule_table(str(path)).schedule().steps == 0


# --- gaps, theory -----------------------------------------------------------------------------------------------------


def literal_sum(lr, step, f, after=0):
    """sum over changes k in after+1..step of gap_k f(lr_k, area from k to step)."""
    return sum((lr[k - 1] - lr[k]) * f(lr[k], lr[k : step + 1].sum()) for k in range(max(after, 0) + 1, step + 1))


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("fading", [True, False])
@pytest.mark.parametrize("name", ["cosine", "cyclic", "steps"])
def test_sums_over_gaps_are_those_of_the_definition(name, fading, exact):
    text = {
        "cosine": "cosine:peak_lr=2,steps=300,warmup=20,final=.01",
        "cyclic": "cyclic:peak_lr=2,steps=300,warmup=20,period=90,final=.5",
        "steps": "multi_step:peak_lr=2,steps=300,warmup=20,at=100/200",
    }[name]
    lr, steps = parse_schedule(text).per_step(), np.array([0, 20, 21, 130, 299, 300])
    found = gaps_at(lr, steps, after=20, fading=fading, exact=exact)
    for kernel in (lambda rate, area: 1 - (1 + 5 * area * rate**-0.5) ** -0.7, lambda rate, area: np.log1p(area)):
        wanted = [literal_sum(lr, step, kernel, 20) for step in steps]
        got = (found.gap * kernel(found.lr, found.area)).sum(axis=1)
        np.testing.assert_allclose(got, wanted, rtol=1e-8, atol=1e-9)
    if name == "cosine" and not exact:
        assert found.gap.shape[1] < 280  # many gaps are grouped


def test_no_gap_at_all():
    assert gaps_at(np.ones(5), [2, 4]).gap.shape == (2, 0)
    np.testing.assert_allclose(gaps_at([1, 0.5, 0.5], [2], after=1).gap.sum(), 0)


def test_the_closed_form_of_a_cooldown_from_its_second_step_on():
    """It limits the bound from above, and by little: arXiv:2501.18965."""
    for steps, start in ((10, 2), (50, 49), (200, 160)):
        length = steps - start
        lr = np.r_[np.ones(start), (np.arange(length, 0, -1)) / (length + 1)]
        best = convex_bound(lr).best
        assert best < wsd_bound(steps, start) < 1.4 * best


def test_a_bound_along_a_run_counts_its_gradients():
    lr, norms = np.array([1.0, 0.5, 0.25]), np.array([2.0, 1.0, 3.0])
    found = bound_curve(lr, 0.5, [1, 2, 3], norms, distance=2.0)
    wanted = [float(convex_bound(lr[:t], norms[:t], 2.0).at(0.5)) for t in (1, 2, 3)]
    np.testing.assert_allclose(found, wanted)
    assert found[0] == pytest.approx(4 / (2 * 0.5) + 0.5 * 0.5 * 4)  # D^2/(2 gamma eta) + gamma eta G^2/2


@pytest.mark.parametrize(
    ("lr", "said"),
    [
        ([1.0, np.nan, 3.0, np.inf], "at step 1 is nan"),
        ([5.0, 1.0, np.inf], "at step 2 is inf"),
        ([1.0, 1e308, 1.7e308, 1.0], r"at step 2 is 1\.7e\+308"),  # their sum is none
    ],
)
def test_the_learning_rate_that_cannot_be_summed_is_named(lr, said):
    with pytest.raises(InputError, match=said):
        areas(lr)


def test_no_rows_have_no_gaps_however_many_the_schedule_has():
    assert len(gaps_at(np.linspace(1, 0.1, 200), np.zeros(0, dtype=int)).gap) == 0
