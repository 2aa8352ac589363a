"""Batch sizes, isoFLOP curves, collapse and published optima, each with few numbers worked out on paper."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from scalefit.errors import IdentificationError, InputError
from scalefit.planning.batch import BatchAnswer, batch_size, steps_to
from scalefit.planning.collapse import Collapse, collapse, normalised_curve
from scalefit.planning.critical_batch import NoiseScale, Tradeoff, fit_tradeoff, noise_scale
from scalefit.planning.isoflop import approach2, isoflop_grid
from scalefit.planning.noise import BatchHessian, fit_batch_hessian, fit_lr_exponent
from scalefit.planning.optimum.encoder_share import share_interval
from scalefit.planning.optimum.kaplan_frontier import PF_DAY, kaplan_frontier
from scalefit.planning.optimum.published import compute_efficient, published_size
from scalefit.planning.run_schedule import schedule_of
from scalefit.planning.stepwise import estimate_stepwise
from scalefit.transfer.verdict import Interval

STEP = np.arange(1.0, 41.0)


def curves(batches=(100, 400, 1600), rates=(0.01,), seeds=1, critical=400.0, **columns):
    """Straight curves that fall from 4 by 0.1 every (1 + critical/batch) steps, whatever the learning rate."""
    rows = []
    for batch in batches:
        for lr in rates:
            for seed in range(seeds):
                loss = 4 - 0.1 * STEP / (1 + critical / batch)
                about = {"run": f"{batch}-{lr:g}-{seed}", "batch": batch, "lr": lr, "seed": seed}
                rows.append(pd.DataFrame({**about, "step": STEP, "loss": loss, **columns}))
    return pd.concat(rows, ignore_index=True)


def test_steps_of_straight_curves_and_their_trade_off_by_hand():
    found = batch_size(curves(), loss=3.5)
    assert found.reached["steps"].tolist() == pytest.approx([25.0, 10.0, 6.25])  # 5 (1 + 400/batch)
    assert found.reached["tokens"].tolist() == pytest.approx([2500.0, 4000.0, 10000.0])
    assert (found.tradeoff.S_min, found.tradeoff.B_crit) == pytest.approx((5.0, 400.0))
    assert found.loss == 3.5
    assert not any("diverged" in note for note in found.notes)
    assert found.doubt == ""


def test_the_loss_that_every_batch_size_reaches():
    """Batch 100 falls slowest, to 4 - 4/5; the running median of five ends two rows before, at the mirrored rows."""
    assert batch_size(curves()).loss == pytest.approx(4 - 0.1 * 39 / 5)


def test_diverged_runs_are_counted():
    rows = curves(rates=(0.01, 0.02))
    rows.loc[(rows["lr"] == 0.02) & (rows["step"] > 20), "loss"] = np.nan
    assert "3 of 6 runs diverged" in batch_size(rows, loss=3.5).notes


@pytest.mark.parametrize(
    ("fastest", "said"), [(0, "smallest learning rate tried"), (1, ""), (2, "largest learning rate tried")]
)
def test_the_fewest_steps_at_an_end_of_the_grid(fastest, said):
    rates = (0.01, 0.02, 0.04)
    rows = curves(rates=rates)
    slower = rows["lr"] != rates[fastest]
    rows.loc[slower, "loss"] = 4 - (4 - rows.loc[slower, "loss"]) / 1.5
    reached = batch_size(rows, loss=3.6).reached
    assert reached["lr"].tolist() == [rates[fastest]] * 3
    assert all(edge.endswith(said) if said else edge == "" for edge in reached["edge"])
    assert set(batch_size(curves(), loss=3.5).reached["edge"]) == {""}  # one learning rate has no ends


def test_a_batch_size_that_is_not_known_is_refused():
    rows = curves()
    with pytest.raises(InputError, match="no batch size in the log"):
        batch_size(rows.assign(batch=rows["batch"].where(rows["batch"] != 400)))


@pytest.mark.parametrize(("held", "used"), [(5, "val_loss"), (4, "loss")])
def test_held_out_losses_are_used_where_every_run_has_five(held, used):
    rows = curves(batches=(50, 100, 400))
    few = (rows["batch"] == 400) & (rows["step"] > held)
    rows["val_loss"] = (rows["loss"] + 1).mask(few)
    found = batch_size(rows, loss=4.85 if used == "val_loss" else 3.7)
    wanted = [13.5, 7.5, 3.0] if used == "val_loss" else [27.0, 15.0, 6.0]
    assert found.reached["steps"].tolist() == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("loss", "target", "wanted"),
    [
        ([4.0, 1.0, 3.0, 2.0], 1.0, 2.0),  # four rows are too few for a running median
        ([4.0, 3.0, 2.0, 1.0], 2.5, 2.5),
        ([5.0, 4.0, 3.0, 2.0, 1.0], 3.0, 3.0),
        ([5.0, 5.0, 0.0, 5.0, 5.0], 1.0, np.nan),  # of five rows one alone decides nothing
        ([3.0, 2.0, 1.0], 3.0, 0.0),  # below it from the first row on
    ],
)
def test_steps_to_a_loss_by_hand(loss, target, wanted):
    assert steps_to(np.arange(1.0, len(loss) + 1), np.array(loss), target) == pytest.approx(wanted, nan_ok=True)


@pytest.mark.parametrize(("rows", "width"), [(119, 5), (120, 7)])
def test_the_running_median_spans_a_twentieth_of_the_rows(rows, width):
    """A dip of (width - 1)/2 rows leaves the median of ``width`` rows alone, one of more rows does not."""
    step = np.arange(float(rows))
    for dip, seen in ((width // 2, False), (width // 2 + 1, True)):
        loss = np.where((step >= 50) & (step < 50 + dip), 1.0, 4.0)
        assert np.isfinite(steps_to(step, loss, 2.0)) == seen


@pytest.mark.parametrize(
    ("factor", "high", "doubtful"),
    [(1.0, 9.0, False), (1.0, 10.0, False), (1.0, 10.5, True), (1.45, 2.0, False), (1.55, 2.0, True), (0.6, 2.0, True)],
)
def test_when_a_critical_batch_is_in_doubt(factor, high, doubtful):
    batch = np.array([100.0, 400.0, 1600.0])
    steps = 5 * (1 + 400 / batch) * np.array([1, factor, 1])
    reached = pd.DataFrame({"batch": batch, "lr": 0.01, "steps": steps, "tokens": steps * batch, "edge": ""})
    found = BatchAnswer(3.0, reached, Tradeoff(5.0, 400.0), Interval(2.0, 1.0, high), pd.DataFrame(), "", {})
    assert bool(found.doubt) == doubtful


def test_the_interval_of_the_critical_batch_is_students():
    """The same from the covariance of a non-linear fit of log steps to log S_min and log B_crit."""
    rows = curves(batches=(100, 200, 400, 1600))
    rows.loc[rows["batch"] == 200, "loss"] -= 0.02
    found = batch_size(rows, loss=3.5)
    batch, steps = (found.reached[name].to_numpy(float) for name in ("batch", "steps"))
    S, B = found.tradeoff.S_min, found.tradeoff.B_crit
    h = 1e-6
    slopes = np.stack([np.ones(4), (np.log1p(B * np.exp(h) / batch) - np.log1p(B * np.exp(-h) / batch)) / (2 * h)], 1)
    residual = np.log(steps) - np.log(S * (1 + B / batch))
    error = np.sqrt(residual @ residual / 2 * np.linalg.inv(slopes.T @ slopes)[1, 1])
    reach = np.exp(stats.t.ppf(0.95, 2) * error)
    assert (found.critical.low, found.critical.high) == pytest.approx((B / reach, B * reach), rel=1e-6)


def test_the_noise_scale_is_taken_over_the_last_fifth_of_the_steps():
    rows = curves()
    late = rows["step"] > 32  # of 40
    rows = rows.assign(noise_trace=np.where(late, 60.0, 999.0), noise_grad_square=np.where(late, 3.0, 7.0))
    found = batch_size(rows, loss=3.5)
    assert found.noise["noise_scale"].tolist() == pytest.approx([20.0] * 3)
    assert found.noise["runs"].tolist() == [1, 1, 1]
    assert (found.unit, found.missing) == ("examples", {})
    tokens = batch_size(rows.assign(seq_len=8), loss=3.5)
    assert tokens.noise["noise_scale"].tolist() == pytest.approx([160.0] * 3)
    negative = batch_size(rows.assign(noise_grad_square=-1.0), loss=3.5)
    assert negative.noise["noise_scale"].isna().all()
    assert batch_size(curves(), loss=3.5).missing["noise scale"] == "no columns noise_trace and noise_grad_square"


@pytest.mark.parametrize(
    ("batch", "steps", "said"),
    [
        ([100, 100], [5, 6], "two or more batch sizes"),
        ([100, 200, 300], [5, 6], "two or more batch sizes"),
        ([0, 200], [5, 6], "not a number above 0"),
        ([100, 200], [5, 0], "not a number above 0"),
        ([100, 200], [5, np.nan], "not a number above 0"),
        ([100, 200], [5, 6], "do not follow"),
        ([100, 200], [12, 5], "do not follow"),
    ],
)
def test_trade_offs_that_cannot_be(batch, steps, said):
    with pytest.raises(InputError, match=said):
        fit_tradeoff(batch, steps)


@pytest.mark.parametrize(
    ("signal", "noise", "wanted"), [(2.0, 0.5, 0.25), (0.5, 3.0, 6.0), (0.0, 1.0, np.nan), (1.0, 0.0, np.nan)]
)
def test_the_simple_noise_scale(signal, noise, wanted):
    assert NoiseScale(signal, noise).batch == pytest.approx(wanted, nan_ok=True)


@pytest.mark.parametrize(("small", "large"), [(0, 10), (10, 10), (20, 10)])
def test_noise_scales_need_rising_batch_sizes(small, large):
    with pytest.raises(InputError, match="are not increasing"):
        noise_scale(3.0, 1.0, small, large)


def test_the_batch_hessian_of_three_points_by_two_passes():
    """Weights by the fitted sharpness, which is nowhere less than a thousandth of the largest measured."""
    b, top = np.array([1.0, 2.0, 4.0]), np.array([100.0, 30.0, 2.0])
    slope, height = np.polyfit(1 / b, top, 1, w=1 / top)
    fitted = np.maximum(height + slope / b, 0.1)
    slope, height = np.polyfit(1 / b, top, 1, w=1 / fitted)
    found = fit_batch_hessian(b, top)
    assert height < 0
    assert (found.a.value, found.kappa.value) == pytest.approx((height, slope), rel=1e-9)


@pytest.mark.parametrize(("scale", "widened"), [(0.01, True), (100.0, False)])
def test_intervals_of_the_batch_hessian_widen_with_the_scatter_only(scale, widened):
    b, top = np.array([1.0, 2.0, 4.0, 8.0]), np.array([112.0, 70.0, 52.0, 40.0])
    error = scale * np.array([1.0, 2.0, 1.0, 2.0])
    (slope, height), covariance = np.polyfit(1 / b, top, 1, w=1 / error, cov="unscaled")
    residual = (top - height - slope / b) / error
    if widened:
        covariance = covariance * (residual @ residual) / 2
    found = fit_batch_hessian(b, top, error)
    reach = stats.t.ppf(0.95, 2) * np.sqrt(np.diag(covariance))
    assert (found.kappa.low, found.kappa.high) == pytest.approx((slope - reach[0], slope + reach[0]), rel=1e-9)
    assert (found.a.low, found.a.high) == pytest.approx((height - reach[1], height + reach[1]), rel=1e-9)


def test_the_largest_learning_rate_of_a_batch_hessian():
    hessian = BatchHessian(Interval(30.0, 0, 0), Interval(80.0, 0, 0))
    assert hessian.at(8.0) == 40.0
    assert hessian.largest_lr(8.0) == 0.05
    assert hessian.largest_lr(8.0, threshold=38.0) == 0.95


def test_the_exponent_of_learning_rates_is_a_line_in_logarithms():
    batch, lr = np.array([1.0, 2.0, 4.0, 8.0]), np.array([1.0, 2.5, 3.0, 6.0])
    line = stats.linregress(np.log(batch), np.log(lr))
    found, reach = fit_lr_exponent(batch, lr), stats.t.ppf(0.95, 2) * line.stderr
    assert (found.value, found.low, found.high) == pytest.approx((line.slope, line.slope - reach, line.slope + reach))


# --- isoFLOP ----------------------------------------------------------------------------------------------------------


def budget(C, N0, width=0.5, curvature=0.3, floor=2.0):
    """A budget with a parabola of least loss ``floor`` at N0, and five sizes that do not lie around it evenly."""
    N = N0 * np.exp(width * np.array([-1.0, -0.5, 0.2, 1.0, 1.3]))
    return pd.DataFrame({"C": C, "N": N, "loss": floor + curvature * np.log(N / N0) ** 2})


def test_parabolas_have_their_planted_minima():
    found = approach2(pd.concat([budget(1e18, 1e7), budget(1e20, 1e8, floor=1.5)]), curve="parabola")
    assert found.optima["C"].tolist() == pytest.approx([1e18, 1e20])
    assert found.optima["N"].tolist() == pytest.approx([1e7, 1e8])
    assert found.optima["loss"].tolist() == pytest.approx([2.0, 1.5])
    assert found.optima["D"].tolist() == pytest.approx([1e18 / 6e7, 1e20 / 6e8])
    assert found.exponent == pytest.approx(0.5)
    assert float(found.size(1e22)) == pytest.approx(1e9)
    assert float(found.tokens(1e22)) == pytest.approx(1e13 / 6)


def test_budgets_without_a_minimum_inside_their_sizes_are_named():
    hill = budget(1e19, 3e7, curvature=-0.3)
    two = budget(1e21, 1e8).iloc[:2]
    far = budget(1e22, 1e9)
    far["N"] *= 0.1
    far["loss"] = 2 + 0.3 * np.log(far["N"] / 1e9) ** 2
    found = approach2(pd.concat([budget(1e18, 1e7), hill, budget(1e20, 1e8), two, far]))
    outside = "its minimum lies outside its sizes"
    assert found.left_out == (f"1e+19 FLOP: {outside}", "1e+21 FLOP: only 2 sizes", f"1e+22 FLOP: {outside}")


def test_runs_within_three_percent_of_compute_are_one_budget():
    rows = pd.concat([budget(1e18, 1e7), budget(1e20, 1e8)])
    near = rows.assign(C=rows["C"] * np.tile(np.exp(0.029 * np.arange(5)), 2))
    assert len(approach2(near).optima) == 2
    apart = rows.assign(C=rows["C"] * np.tile(np.exp(0.031 * np.arange(5)), 2))
    with pytest.raises(IdentificationError, match="only 1 size"):
        approach2(apart)


def test_a_grid_of_fifteen_sizes_within_eight_times_the_best():
    grid = isoflop_grid({"E": 1.0, "A": 5.0, "B": 5.0, "alpha": 0.3, "beta": 0.3}, [6e10, 6e12])
    first = grid[grid["C"] == 6e10]
    assert len(grid) == 30
    assert first["N"].to_numpy() == pytest.approx(1e5 * np.geomspace(1 / 8, 8, 15))
    assert (6 * first["N"] * first["D"]).to_numpy() == pytest.approx(np.full(15, 6e10))


# --- collapse ---------------------------------------------------------------------------------------------------------


def test_where_curves_collapse_more_closely_than_seeds():
    x = np.array([0.25, 0.5, 0.75, 1.0])
    table = pd.DataFrame([[4.0, 2.0, 1.5, 1.0], [4.0, 2.0, 1.5, 1.0], [4.0, 3.0, 1.5, 1.0]], index=["a", "b", "c"])

    def of(deviation, noise):
        return Collapse(1.0, x, table, np.array([*deviation, 0.0]), np.array([*noise, 0.1]))

    assert of([0.3, 0.1, 0.1], [0.2, 0.2, 0.2]).super_share == 0.5
    assert of([0.3, 0.2, 0.1], [0.2, 0.2, 0.2]).super_share == 0.25  # as large is not closer
    assert of([0.1, 0.1, 0.3], [0.2, 0.2, 0.2]).super_share == 0.0
    assert of([0.1, 0.1, 0.1], [0.2, 0.2, 0.2]).super_share == 0.75
    assert of([0.1, 0.1, 0.1], [np.nan] * 3).super_share == 0.0
    departures = of([0.1] * 3, [0.2] * 3).departures
    assert departures.index.tolist()[0] == "c"
    assert departures.tolist() == pytest.approx([0.25, 0.0, 0.0])  # sqrt((3/2 - 1)^2 / 4)


def test_collapse_of_three_short_curves_by_hand():
    rows = pd.DataFrame(
        {
            "run": ["a"] * 2 + ["b"] * 2 + ["c"] * 2,
            "step": [1, 2] * 3,
            "N": [10.0] * 4 + [20.0] * 2,
            "loss": [5.0, 3.0, 9.0, 5.0, 4.0, 2.0],
        }
    )
    found = collapse(rows, L0=1.0, points=2)
    assert found.x.tolist() == [0.5, 1.0]
    assert found.curves.loc["a"].tolist() == [2.0, 1.0]
    assert found.curves.loc["b"].tolist() == [2.0, 1.0]
    assert found.curves.loc["c"].tolist() == [3.0, 1.0]
    assert found.deviation.tolist() == pytest.approx([np.std([2, 2, 3], ddof=1) / (7 / 3), 0.0])
    ends = np.array([4.0, 8.0]), np.array([2.0, 4.0])  # L - L0 of the two seeds of N = 10
    assert found.noise.tolist() == pytest.approx([np.std(v, ddof=1) / v.mean() for v in ends])
    assert np.isnan(collapse(rows.drop(columns="N"), L0=1.0).noise).all()
    assert np.isnan(collapse(rows[rows["run"] != "b"], L0=1.0).noise).all()
    assert collapse(rows, L0=1.0).x.size == 100


def test_a_run_that_ends_at_the_floor_is_refused():
    with pytest.raises(InputError, match="not above L0 = 2"):
        normalised_curve([1, 2], [3.0, 2.0], 2.0, [1.0])


# --- published optima -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quantity", "factor", "exponent"),
    [("N", 1.3e9, 0.73), ("batch", 2.0e6, 0.24), ("steps", 5.4e3, 0.03), ("D", 2e10, 0.27)],
)
def test_the_efficient_frontier_as_published(quantity, factor, exponent):
    """arXiv:2001.08361, table 6."""
    assert float(compute_efficient(quantity, PF_DAY)) == pytest.approx(factor)
    assert float(compute_efficient(quantity, 100 * PF_DAY)) == pytest.approx(factor * 100**exponent)


@pytest.mark.parametrize(
    ("domain", "c_0", "beta"),
    [
        ("language", 3.3e-13, 0.73),
        ("image-8x8", 5.3e-14, 0.64),
        ("image-16x16", 4.8e-12, 0.75),
        ("image-32x32", 1.6e-13, 0.65),
        ("image-vq-16x16", 6.2e-14, 0.64),
        ("image-vq-32x32", 9.4e-13, 0.70),
        ("text-to-image", 9.4e-13, 0.70),
        ("image-to-text", 3.3e-12, 0.72),
        ("video", 1.13e-12, 0.71),
        ("math", 2.3e-12, 0.69),
    ],
)
def test_sizes_as_published(domain, c_0, beta):
    """arXiv:2010.14701, table 1: one parameter at c_0 petaflop/s-days, 10^beta at ten times that."""
    np.testing.assert_allclose(published_size(domain, np.array([1, 10]) * c_0 * PF_DAY), [1, 10**beta], rtol=1e-9)


@pytest.mark.parametrize("change", [{"A": 0.0}, {"alpha_S": -0.1}, {"alpha_B": 0.0}, {"B_star": 0.0}])
def test_a_frontier_needs_positive_constants(change):
    given = {"A": 5.0, "B": 6.0, "alpha_N": 0.1, "alpha_S": 0.5, "alpha_B": 0.2, "B_star": 1e8} | change
    batch = given.pop("alpha_B"), given.pop("B_star")
    with pytest.raises(InputError, match="must be positive"):
        kaplan_frontier(given, *batch)


def test_the_interval_of_a_share_is_the_middle_of_the_draws():
    p_enc = np.linspace(0.0, 1.0, 101)
    low, high = share_interval({"p_enc": p_enc, "p_dec": 1 - p_enc})
    assert (low, high) == pytest.approx((0.05, 0.95))


# --- step by step, and the schedule of a run --------------------------------------------------------------------------


def test_constants_are_found_one_after_the_other():
    """L(N, S_min) = (N_c/N)^0.1 + (S_c/S_min)^0.5 with S_min = S/(1 + B_crit(L)/batch), solved for S row by row."""
    planted = {"N_c": 1e10, "alpha_N": 0.1, "S_c": 2000.0, "alpha_S": 0.5, "B_star": 1e6, "alpha_B": 0.25}
    sizes = np.array([1e6, 1e7, 1e8])
    converged = pd.DataFrame({"N": sizes, "loss": (planted["N_c"] / sizes) ** 0.1})
    floor, loss = (1e10 / 1e7) ** 0.1, np.geomspace(3.6, 2.4, 60)
    rows = []
    for batch in (1e4, 3e4, 1e7):
        least = planted["S_c"] / (loss - floor) ** 2
        step = least * (1 + planted["B_star"] * loss**-4.0 / batch)
        rows.append(pd.DataFrame({"N": 1e7, "batch": batch, "step": step, "loss": loss}))
    found = estimate_stepwise(converged, pd.concat(rows))
    assert found.parameters == pytest.approx(planted, rel=2e-3)
    assert len(found.levels) == 30
    assert len(estimate_stepwise(converged, pd.concat(rows), levels=7).levels) == 7
    assert found.doubts == ()
    small = estimate_stepwise(converged, pd.concat(rows[:2]))
    assert "the largest batch is only" in small.doubts[0]
    assert small.biased > found.biased > 1
    with pytest.raises(IdentificationError, match="lies below the converged loss"):
        estimate_stepwise(converged.assign(loss=5 + converged["loss"]), pd.concat(rows))
    with pytest.raises(IdentificationError, match="do not fall with model size"):
        estimate_stepwise(converged.assign(loss=[2.0, 2.1, 2.2]), pd.concat(rows))
    for flat in (2.7, 3.1, 1e-3):  # equal losses, whose fitted slope is rounding of either sign
        with pytest.raises(IdentificationError, match="do not fall with model size"):
            estimate_stepwise(converged.assign(loss=flat), pd.concat(rows))
    with pytest.raises(IdentificationError, match="only one model size"):
        estimate_stepwise(converged.iloc[:1], pd.concat(rows))
    with pytest.raises(IdentificationError, match="curves of 1 model sizes at 1 batch sizes"):
        estimate_stepwise(converged, rows[0])


def norms(rows, **columns):
    step = np.arange(1, rows + 1)
    return pd.DataFrame({"run": "a", "step": step, "lr": 0.1, "loss": 2.0, "grad_norm": 1.0, **columns})


def test_twenty_gradient_norms_are_enough_and_nineteen_are_not():
    assert schedule_of(norms(20)).lr.size == 21
    with pytest.raises(InputError, match="19 gradient norms above 0 are too few"):
        schedule_of(norms(19))
    with pytest.raises(InputError, match="19 gradient norms"):
        schedule_of(norms(20, grad_norm=[0.0] + [1.0] * 19))


def test_what_a_log_lacks_for_a_schedule():
    adam = schedule_of(norms(40, sharpness=3.0), run="a")
    assert adam.missing["warmup"] == "no column sharpness_preconditioned (the column sharpness is for --rule gd)"
    with pytest.raises(InputError, match="holds no steps"):
        schedule_of(norms(1).drop(columns="step"))
    with pytest.raises(InputError, match='there is no run "b"'):
        schedule_of(norms(40), run="b")


@pytest.mark.parametrize(
    ("rule", "column", "limit"), [("adam", "sharpness_preconditioned", 38.0), ("gd", "sharpness", 2.0)]
)
def test_the_threshold_of_the_product(rule, column, limit):
    found = schedule_of(norms(40, **{column: 100.0}), rule=rule)
    assert found.threshold == pytest.approx(limit)
    assert found.sharpness["product"].tolist() == pytest.approx([10.0] * 40)
    assert found.table["step"].tolist() == list(range(41))
