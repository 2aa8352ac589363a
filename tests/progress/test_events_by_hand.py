"""Spikes, rises, gaps and growth in noise-free series whose every threshold can be worked out on paper."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from scalefit.errors import InputError
from scalefit.numerics import MAD_TO_SIGMA
from scalefit.progress import events
from scalefit.progress.dips import in_dips
from scalefit.progress.growth import Growth, first_seen, growth, multiplied
from scalefit.progress.rises import Spike, far_out, find_rise, find_spikes, isolated, least_level, spikes, wander
from scalefit.progress.watch import watch

QUIET = 1e-3  # the least deviation of a log: seven of them are far out


def raised(rows, high, by, later=0.0):
    """A log of 1 at steps 0, 2, 4, ... with some rows raised by a factor e^by."""
    log = np.zeros(rows)
    log[list(high)] = by
    log[max(high) + 1 :] += later
    return 2 * np.arange(rows), np.exp(log)


@pytest.mark.parametrize(("by", "found"), [(0.0069, 0), (0.0071, 1), (np.inf, 1)])
def test_a_single_row_beyond_seven_deviations_is_a_spike(by, found):
    told = find_spikes(*raised(40, [20], by))
    assert len(told) == found
    if found:
        (spike,) = told
        assert (spike.start, spike.stop, spike.recovered, spike.after) == (40, 40, 1, 20)
        assert (spike.height, spike.shift, spike.still) == pytest.approx((np.expm1(by), 0, 0))


@pytest.mark.parametrize(
    ("high", "ends"),
    [
        ([20, 21, 22, 23, 24], [(40, 48, 5)]),
        ([20, 30], [(40, 60, 11)]),  # ten rows apart: one stretch
        ([20, 31], [(40, 40, 1), (62, 62, 1)]),
        ([6], [(12, 12, 1)]),  # the running median begins with five rows
        ([4], []),
    ],
)
def test_stretches_of_high_rows(high, ends):
    told = find_spikes(*raised(40, high, 0.5))
    assert [(spike.start, spike.stop, spike.recovered) for spike in told] == ends
    assert all(spike.height == pytest.approx(np.expm1(0.5)) for spike in told)


def test_a_level_that_stays():
    step, value = raised(80, range(60, 80), 0.5)
    (spike,) = find_spikes(step, value)
    assert (spike.start, spike.stop, spike.recovered, spike.after) == (120, 158, None, 20)
    assert (spike.height, spike.shift, spike.still) == pytest.approx([np.expm1(0.5)] * 3)
    value[75:] = np.exp(0.3)  # of the last ten rows half lie at 0.5, half at 0.3
    (spike,) = find_spikes(step, value)
    assert (spike.shift, spike.still) == pytest.approx((np.expm1(0.5), np.expm1(0.4)))


@pytest.mark.parametrize(("level", "back"), [(0.0034, 5), (0.0036, None)])
def test_a_value_is_back_within_half_of_the_limit(level, back):
    (spike,) = find_spikes(*raised(40, range(20, 25), 0.5, later=level))
    assert spike.recovered == back


def test_one_calm_row_among_high_ones_is_no_way_back():
    step, value = raised(60, [20, 21, 22, 23, 25, 26], 0.5)
    assert [(s.start, s.stop, s.recovered) for s in find_spikes(step, value)] == [(40, 52, 7)]


def test_series_that_should_not_drift_are_held_against_their_first_half():
    step = np.arange(40)
    value = np.where(step < 25, 1.0, 1.01)
    (spike,) = find_spikes(step, value, drifting=False)
    assert (spike.start, spike.stop, spike.recovered) == (25, 39, None)
    assert spike.height == pytest.approx(0.01)
    assert not find_spikes(step[:19], raised(19, [12], 0.5)[1])
    assert len(find_spikes(step[:20], raised(20, [12], 0.5)[1])) == 1
    assert find_spikes(step, np.where(step == 20, -1.0, raised(40, [30], 0.5)[1]))[0].start == 30


@pytest.mark.parametrize("seed", [3, 22, 28])
def test_the_deviation_and_the_tail_of_noise(seed):
    """Noise with heavy tails: the t whose tail fits the largest rows below exceeds the limit in one log of 500."""
    rng = np.random.default_rng(seed)
    log = 0.01 * rng.standard_t(3, 400)
    residual, sigma, far = far_out(log)
    padded = np.pad(log, 5, mode="reflect")
    around = [np.median([*padded[i : i + 5], *padded[i + 6 : i + 11]]) for i in range(400)]
    np.testing.assert_allclose(residual, log - around)
    assert sigma == pytest.approx(MAD_TO_SIGMA * np.median(np.abs(residual)))
    below = np.sort(-residual[residual < 0])[::-1]
    count = min(20, len(below) // 10)
    seen = below[count - 1] / sigma * (1 + (1 + 3 / count) / (3 * count**0.5))
    freedoms = [2.5, 3, 3.5, 4, 5, 6, 8, 12, 25, 1e6]
    tails = [stats.t.ppf(1 - (count - 0.5) / 400, f) / stats.t.ppf(0.75, f) / MAD_TO_SIGMA for f in freedoms]
    freedom = freedoms[int(np.argmin(np.abs(np.log(np.array(tails) / seen))))]
    rare = stats.t.ppf(1 - 0.002 / 400, freedom) / stats.t.ppf(0.75, freedom) / MAD_TO_SIGMA
    assert far == pytest.approx(max(7.0, rare) * sigma, rel=1e-6)
    assert rare > 7 or seed > 3


def test_a_calm_log_has_a_least_deviation_and_one_without_numbers_too():
    assert far_out(np.zeros(40))[1:] == (QUIET, 7 * QUIET)
    assert far_out(np.full(40, np.inf))[1:] == (QUIET, 7 * QUIET)


@pytest.mark.parametrize(
    ("low", "found"),
    [([20], True), ([20, 21, 22, 23], True), ([20, 21, 22, 23, 24], False), ([0], True), ([38], True), ([39], False)],
)
def test_rows_that_stand_alone(low, found):
    log = np.zeros(40)
    log[low] = -0.5
    assert np.flatnonzero(isolated(log)).tolist() == (low if found else [])
    log[low] = -0.0069
    assert not isolated(log).any()


@pytest.mark.parametrize(("rows", "found"), [(20, 1), (19, 0)])
def test_a_row_that_stands_alone_is_told_of_twenty_rows_on(rows, found):
    loss = 3.0 + 0.001 * (-1.0) ** np.arange(rows)
    loss[8] = 1.5
    said = [each.text for each in watch(pd.DataFrame({"step": np.arange(rows), "loss": loss})).warnings]
    assert len([text for text in said if "isolated" in text or "alone" in text]) == found, said


# --- slow rises -------------------------------------------------------------------------------------------------------


def blocks(*levels, rows=5):
    return np.exp(np.repeat(levels, rows).astype(float))


@pytest.mark.parametrize(
    ("levels", "wanted"),
    [
        ([0] * 7 + [0.0201], (34, 39, 39, False)),
        ([0] * 7 + [0.0199], None),
        ([0.3, 0.2, 0.1, 0, 0, 0.2, 0.3, 0.4], (24, 34, 39, False)),  # 0.258 nats are sure
        ([0.3, 0.2, 0.1, 0, 0.1, 0.1, 0.1, 0.1], None),  # one level of eight was not held
        ([0] * 7 + [0.1, 0.1, 0.085], (34, 39, 39, True)),
        ([0] * 7 + [0.1, 0.1, 0.092], (34, 39, 39, False)),
        ([0, 0, 0, 0.1, 0.1, 0.1, 0, 0], None),
    ],
)
def test_a_rise_of_the_last_level_above_the_lowest(levels, wanted):
    rise = find_rise(blocks(*levels))
    assert (rise and (rise.least, rise.seen, rise.peak, rise.falling)) == wanted
    if rise:
        assert rise.nats == pytest.approx(np.exp(levels[-1]) - np.exp(min(levels)))


def test_a_valley_of_one_level_in_eight_is_not_the_lowest_level():
    rise = find_rise(blocks(0.3, 0.2, 0.1, 0, 0.1, 0.2, 0.3, 0.4))
    assert (rise.least, rise.seen, rise.peak, rise.falling) == (19, 29, 39, False)
    assert rise.nats == pytest.approx(np.exp(0.4) - np.exp(0.1))


def test_rows_before_the_first_block_have_no_part_in_a_rise():
    rise = find_rise(np.r_[[5.0, 5.0, 5.0], blocks(*[0] * 7, 0.1)])
    assert (rise.least, rise.seen) == (37, 42)


def test_blocks_of_a_long_log_are_a_fortieth_and_levels_means_of_three():
    """400 rows: 40 blocks of ten, three to a level; the last level is a third above the others by one raised block."""
    log = np.zeros(400)
    log[-10:] = 0.061
    rise = find_rise(np.exp(log))
    assert (rise.least, rise.seen) == (389, 399)
    assert rise.nats == pytest.approx(np.expm1(0.061 / 3))
    log[-10:] = 0.059
    assert find_rise(np.exp(log)) is None


def test_a_rise_at_the_end_of_a_long_log_is_seen_in_fine_blocks():
    log = np.zeros(1280)  # blocks of 32 rows, finer ones of 16
    log[-15:] = 0.061
    assert find_rise(np.exp(log)).seen == 1279
    assert find_rise(np.exp(log[1:])) is None  # too short for the finer look


def test_the_least_level_and_its_error():
    least, error = least_level(np.tile([1.0, 2.0], 10))
    assert least == 1.0
    assert error == pytest.approx(MAD_TO_SIGMA / 2**0.5 * (np.pi / 10) ** 0.5)
    assert least_level(np.array([3.0, 4.0]))[0] == 3.5


@pytest.mark.parametrize(("by", "rows", "found"), [(0.031, 1, [10]), (0.029, 1, []), (0.5, 2, [10, 11]), (0.5, 3, [])])
def test_spikes_of_one_or_two_rows(by, rows, found):
    loss = np.ones(30)
    loss[10 : 10 + rows] = np.exp(by)
    assert np.flatnonzero(spikes(loss)).tolist() == found


def test_the_noise_of_rows_raises_the_least_height_of_a_spike():
    """Rows of +-a have second differences of 4 a: eight of their noise are 8 x 1.4826 x 4 a/sqrt(6)."""
    limit = 8 * MAD_TO_SIGMA * 4 * 0.01 / 6**0.5
    for factor, found in ((0.98, []), (1.02, [11])):
        log = 0.01 * (-1.0) ** np.arange(30)
        log[11] = np.median(log[6:11]) + factor * limit
        assert np.flatnonzero(spikes(np.exp(log))).tolist() == found


# --- words ------------------------------------------------------------------------------------------------------------

NAN = np.nan


@pytest.mark.parametrize(
    ("loss", "texts"),
    [
        ([1, NAN, 1], [(10, "is not finite at step 10, then came back")]),
        ([1, NAN, np.inf, 1], [(10, "is not finite at steps 10 to 20, then came back")]),
        ([1, 1, NAN, NAN], [(20, "is not finite from step 20 on")]),
        ([NAN, 1, NAN], [(0, "is not finite at step 0, then came back"), (20, "is not finite from step 20 on")]),
        ([NAN, 1, NAN, 1, NAN, 1], [(k, f"is not finite at step {k}, then came back") for k in (0, 20, 40)]),
        (
            [NAN, 1, NAN, 1, NAN, NAN, 1, NAN, 1, NAN],
            [(0, "is not finite at 5 rows in 4 places, then came back"), (90, "is not finite from step 90 on")],
        ),
        ([1, 1], []),
    ],
)
def test_gaps_in_words(loss, texts):
    told = events.gap_warnings(10 * np.arange(len(loss)), np.array(loss, dtype=float))
    assert [(each.step, each.text) for each in told] == texts
    assert all(each.signal == "loss" for each in told)


def test_isolated_rows_and_rows_without_a_logarithm_in_words():
    step, loss = 10 * np.arange(6), np.array([3.0, 1.0, 0.5, 3.0, 2.0, 3.0])
    told = events.lone_warnings(step, loss, np.array([0, 1, 1, 0, 1, 0], dtype=bool))
    assert [(each.step, each.text) for each in told] == [
        (10, "isolated value 0.5 at steps 10 to 20"),
        (40, "isolated value 2 at step 40"),
    ]
    (told,) = events.unread_warnings(step, np.array([1, 1, 0, 1, -1, 1.0]))
    assert told.step == 20
    assert told.text.startswith("is not above zero at 2 rows, ")
    assert events.unread_warnings(step, loss) == []


def log_of(rows=40, **columns):
    return pd.DataFrame({"step": 10 * np.arange(rows), "loss": 3.0, **columns})


@pytest.mark.parametrize(
    ("height", "said"),
    [
        (0.5, "rises by 50% above its earlier level"),
        (8.9, "rises by 890% above"),
        (9.0, "rises to 10 times its earlier"),
    ],
)
def test_spikes_in_words(height, said):
    (told,) = events.brief_spikes(log_of(), [Spike(200, 220, height, 3, 0.0, 0.0, 20)])
    assert told.warned.text.startswith(said)
    assert (told.warned.step, told.explained) == (200, False)


@pytest.mark.parametrize(
    ("recovered", "after", "told"), [(3, 20, True), (None, 9, True), (None, 10, False), (10, 20, True)]
)
def test_spikes_that_came_back_or_are_recent(recovered, after, told):
    spike = Spike(200, 220, 0.5, recovered, 0.5, 0.5, after)
    lr = np.where(np.arange(40) < 15, 1.0, 1.03)
    found = events.brief_spikes(log_of(lr=lr), [spike])
    assert len(found) == told
    shifted = events.shift(log_of(lr=lr), spike)
    assert (shifted is not None) == (not told)
    if told:  # the learning rate explains a spike of ten rows
        assert found[0].explained == (recovered in (10, None))
    assert events.brief_spikes(log_of(), [Spike(200, 390, np.inf, None, 0, 0, 5)])[0].warned.text == (
        "rises until it is not finite"
    )
    assert events.shift(log_of(), None) is None


@pytest.mark.parametrize(
    ("shift", "still", "said"),
    [
        (0.5, 0.5, "1.5 nats above its level before step 200 and not recovered"),
        (0.5, 0.46, "1.5 nats above its level before step 200 and not recovered"),
        (0.5, 0.4, "1.5 nats above its level before step 200 and not recovered (now 1.2)"),
        (0.2, 0.4, "1.2 nats above its level before step 200 and not recovered"),
    ],
)
def test_shifts_in_words(shift, still, said):
    told = events.shift(log_of(), Spike(200, 390, 0.6, None, shift, still, 20))
    assert told.warned.text == said
    assert not told.explained


@pytest.mark.parametrize(("still", "explained"), [(0.3, True), (0.34, False)])
def test_a_shift_of_a_nat_is_never_explained(still, explained):
    rows = log_of(lr=np.where(np.arange(40) < 15, 1.0, 2.0))
    told = events.shift(rows, Spike(200, 390, 0.6, None, still, still, 20))
    assert told.explained == explained
    assert told.warned.text.endswith("; the learning rate rises from 1 to 2 there")


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"lr": np.where(np.arange(40) < 10, 1.0, 1.019)}, ""),
        ({"lr": np.where(np.arange(40) < 10, 1.0, 1.021)}, "; the learning rate rises from 1 to 1.02 there"),
        ({"lr": np.linspace(2, 1, 40)}, ""),
        ({"lr": [NAN] * 40}, ""),
        ({"data": ["a"] * 39 + ["b"]}, "; data changes from a to b there"),
        ({"data": ["a"] * 40}, ""),
        ({"run": ["a"] * 39 + ["b"]}, ""),
        ({"epoch": np.arange(40)}, ""),
    ],
)
def test_what_explains_a_rise(columns, said):
    rows = log_of(**columns).assign(loss=np.exp(np.linspace(0, 0.5, 40)))
    told = events.slow_rise(rows)
    assert told.explained == bool(said)
    assert told.warned.text.startswith("rising since step 40: 0.58 nats above its lowest smoothed level" + said)


# --- other signals ----------------------------------------------------------------------------------------------------


def warned(rows, until=None, **columns):
    return [(each.signal, each.step, each.text) for each in events.signal_warnings(log_of(rows, **columns), until)]


def test_the_gradient_norm_by_hand():
    norm = np.ones(40)
    norm[20] = 3.0
    assert warned(40, grad_norm=norm) == [("grad_norm", 200, "rises to 3 times its earlier level")]
    grown = np.where(np.arange(100) < 60, 1.0, 12.0)
    told = warned(100, grad_norm=grown)
    assert told[-1] == (
        "grad_norm",
        650,  # where more than half of a window of twelve is high: rows 60 to 66 of 55 to 66, or their mean is 6.5
        "grows: its running median passes ten times its lowest since step 100 (now 12 times)",
    ) or told[-1][1] in (650, 660)
    late = warned(100, grad_norm=grown, lr=np.minimum(np.arange(100), 30.0))
    assert "since step 300 " in late[-1][2]
    later = warned(100, grad_norm=grown, lr=np.arange(100.0))
    assert "since step 500 " in later[-1][2]


@pytest.mark.parametrize(("to", "said"), [(13.0, []), (13.2, ["3.1 to 13.2"]), (-6.8, []), (-7.2, ["3.1 to -7.2"])])
def test_log_z_that_moves_by_more_than_ten_from_its_first_tenth(to, said):
    value = np.r_[3.0, 3.1, 3.2, NAN, np.full(35, 4.0), to]
    found = warned(40, output_logit_logsumexp=value)
    assert found == [("output_logit_logsumexp", 390, f"has moved from {each}") for each in said]


def test_an_attention_logit_above_its_limit():
    logit = np.r_[np.full(30, 5.0), [1e4, 1.0001e4], np.full(8, 2e4)]
    assert ("attention_logit_max", 310, "is above 10000") in warned(40, attention_logit_max=logit)
    assert warned(40, attention_logit_max=np.full(40, 5.0)) == []


@pytest.mark.parametrize(
    ("latest", "when"),
    [(1019.0, "at step 1009"), (1021.0, "between steps 1000 and 1021"), (np.inf, "from step 1000 on, or never")],
)
def test_growth_in_words(latest, when):
    assert str(Growth(("a line", "an exponential"), 1000.0, latest)) == f"a line or an exponential, {when}"


@pytest.mark.parametrize(
    ("value", "shape", "wanted"),
    [
        (lambda s: 2 * s, "a line", 5000.0),
        (lambda s: np.exp(s / 200), "an exponential", 200 * np.log(1e4)),
        (lambda s: s**1.5, "a power of the step", 1e4 ** (2 / 3)),
    ],
)
def test_growth_of_a_known_shape_reaches_its_limit_at_a_known_step(value, shape, wanted):
    step = np.arange(200, 1200.0)
    wanted = max(wanted, 1200)
    limit = float(value(np.array(3 * wanted)))
    found = growth(step, value(step), limit)
    assert shape in found.shapes
    assert found.earliest < 3.1 * wanted
    assert found.latest > 2.9 * wanted
    assert growth(step, value(step)[::-1], limit) is None
    assert growth(step[:7], value(step[:7]), limit) is None
    assert growth(step, np.full(1000, NAN), limit) is None


def test_growth_is_first_seen_when_the_limit_comes_before_the_end():
    step = np.arange(10, 2000, 50.0)
    at, found = first_seen(step, 2 * step, 5e3, None)
    assert found.earliest == pytest.approx(2500, rel=0.01)
    assert at == 1260  # the first at which 2 x step - 10 passes 2500
    assert first_seen(step, 2 * step, 1e4, 4900) is None


def test_a_series_that_multiplies_by_hand():
    value = np.r_[np.ones(20), np.full(20, 10.5)]
    assert multiplied(value, 0) == (25, 10.5)
    assert multiplied(np.where(value > 1, 10.0, 1.0), 0) is None
    assert multiplied(value, 20) is None
    assert multiplied(value[11:30], 0) is None  # 19 rows are too few for windows of ten
    assert multiplied(np.r_[NAN, value], 0) == (26, 10.5)


# --- the whole --------------------------------------------------------------------------------------------------------


def seen(loss, step=None, initial=None, **columns):
    step = np.arange(len(loss)) + 100 if step is None else step
    return watch(pd.DataFrame({"step": step, "loss": loss, **columns}), initial)


@pytest.mark.parametrize(
    ("rows", "status", "why"),
    [
        (3, "too short", "3 rows are too few to judge, 20 are needed"),
        (19, "too short", "19 rows are too few"),
        (20, "calm", "no spike of the loss; a slow rise needs 40 rows to be seen"),
        (39, "calm", "no spike of the loss; a slow rise"),
        (40, "calm", "no spike of the loss"),
    ],
)
def test_how_many_rows_can_be_judged(rows, status, why):
    told = seen(np.linspace(4, 3, rows))
    assert told.status == status
    assert told.why.startswith(why)
    assert ("slow rise" in told.why) == (20 <= rows < 40)
    with pytest.raises(InputError, match="2 rows are too few to watch"):
        seen([3.0, 3.0])


def test_losses_missing_at_many_places_were_not_logged():
    loss = np.linspace(4, 3, 60)
    loss[[5, 15, 25]] = NAN
    assert "is not finite at step 105" in seen(loss).warnings[0].text
    loss[35] = NAN
    assert seen(loss).status == "calm"
    loss[59] = NAN
    assert seen(loss).status == "calm"
    loss[45:] = NAN  # longer than any gap between logged losses
    assert "is not finite from step 145 on" in seen(loss).warnings[-1].text


@pytest.mark.parametrize(
    ("loss", "initial", "start", "stuck"),
    [
        (np.full(30, 5.0), None, 0, True),
        (np.full(30, 5.0), None, 1, True),
        (np.full(30, 5.0), None, 2, False),  # not from the start, and no initial loss is given
        (np.full(30, 5.0), 5.05, 100, True),
        (np.full(30, 5.0), 5.2, 100, False),
        (np.linspace(5, 4.95, 30), None, 0, False),
    ],
)
def test_a_run_that_has_not_learned(loss, initial, start, stuck):
    told = seen(loss, np.arange(len(loss)) + start, initial)
    assert (told.status in ("stuck", "diverged")) == stuck
    rising = seen(loss, np.arange(len(loss)) + start, initial, lr=np.arange(1.0, 31))
    assert rising.status != "stuck"  # still in its warmup


def test_spikes_are_counted():
    loss = np.ones(100)
    loss[[30, 31, 60]] = 2.0
    told = seen(loss)
    assert (told.status, told.why) == ("spikes", "2 spikes of the loss, 2 recovered")
    loss[95:] = 2.0
    assert seen(loss).why == "3 spikes of the loss, 2 recovered"
    loss[31:] = 1.0
    assert seen(loss).why == "1 spike of the loss, 1 recovered"


# --- logs that are read again and again while they grow ---------------------------------------------------------------


def test_noise_of_too_few_rows_to_tell_its_tail_is_taken_for_heavy():
    """Of 40 rows 12 deviations are no rarity where the noise may have 3 degrees of freedom; of 23 none is assumed."""
    log = 0.01 * np.random.default_rng(3).standard_normal(40)
    _, sigma, far = far_out(log)
    rare = stats.t.ppf(1 - 0.002 / 40, 3) / stats.t.ppf(0.75, 3) / MAD_TO_SIGMA
    assert far == pytest.approx(rare * sigma)
    assert rare > 12
    assert far_out(log[:23])[2] == pytest.approx(7 * far_out(log[:23])[1])


def test_slow_noise_and_noise_that_calms_down_are_no_dips():
    rng = np.random.default_rng(10)
    slow = rng.standard_normal(3000)
    for row in range(1, 3000):
        slow[row] = 0.9 * slow[row - 1] + np.sqrt(1 - 0.9**2) * slow[row]
    loss = 2.8 + 8 * np.arange(1.0, 3001) ** -0.35
    assert not in_dips(loss * np.exp(0.02 * slow)).any()
    calmer = loss * np.exp(0.02 * rng.standard_normal(3000) * np.geomspace(5, 1, 3000))
    assert not in_dips(calmer).any()
    dipped = loss * np.exp(0.02 * slow - 0.3 * ((np.arange(3000) >= 1500) & (np.arange(3000) < 1600)))
    assert in_dips(dipped)[1500:1600].mean() > 0.9


@pytest.mark.parametrize(("rows", "stuck"), [(40, ""), (60, ""), (81, "has not learned")])
def test_a_run_is_not_called_stuck_until_it_has_trained_as_long_as_it_warmed_up(rows, stuck):
    step = np.arange(rows)
    lr = 1e-3 * np.minimum(1, (step + 1) / 41)
    loss = 10.8 + 0.002 * np.cos(step**2.0)
    told = watch(pd.DataFrame({"step": step, "loss": loss, "lr": lr}))
    assert ("has not learned" in told.why) == bool(stuck)


def test_the_deviation_within_windows_is_that_of_whole_finite_windows():
    """Windows of three rows from the end on: (0, 1, 3), one with a hole, (5, 5, 9): deviations 1, 0, 2, 0, 0, 4."""
    rows = np.array([77.0, 0, 1, 3, 2, np.nan, 2, 5, 5, 9])
    assert wander(rows, 3) == pytest.approx(1.4826 * 0.5, rel=1e-4)
    assert wander(rows[:2], 3) == 0.0
