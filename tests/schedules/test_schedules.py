"""Schedules: shapes against their formulas, the string form, and the areas against a step-by-step loop."""

from __future__ import annotations

import commands
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import scalefit as sf
from scalefit import schedules as sc
from scalefit.errors import InputError

DATA = commands.SHARED
STRINGS = [
    "constant:peak_lr=3e-4,steps=400,warmup=20",
    "linear:peak_lr=3e-4,steps=400,warmup=20,final=3e-5",
    "cosine:peak_lr=3e-4,steps=400,warmup=20,final=3e-5",
    "wsd:peak_lr=3e-4,steps=400,warmup=20,decay_steps=80,final=3e-5",
    "wsd:peak_lr=3e-4,steps=400,warmup=20,decay_steps=80,decay=1-sqrt",
    "wsd:peak_lr=3e-4,steps=400,warmup=20,decay_steps=80,decay=exp,final=3e-6",
    "wsd:peak_lr=3e-4,steps=400,warmup=20,decay_steps=80,decay=square",
    "wsd:peak_lr=3e-4,steps=400,warmup=20,decay_steps=80,decay=mirror-cosine",
    "inverse_sqrt:peak_lr=3e-4,steps=400,warmup=20",
    "multi_step:peak_lr=3e-4,steps=400,warmup=20,at=100/200,factor=0.3/0.5",
    "cyclic:peak_lr=3e-4,steps=400,warmup=20,period=60,final=1e-5",
    "piecewise:at=0/20/200/400,lr=0/3e-4/3e-4/0",
]


def loop_areas(lr, decay, w, convention):
    """The definition, one step at a time."""
    S1, S2, s1, s2, m = [], [], 0.0, 0.0, 0.0
    for i, eta in enumerate(lr):
        s1 += lr[w] if convention == "peak" and i < w else eta
        m = decay * m + (lr[i - 1] - eta) if i > w else 0.0
        s2 += m
        S1.append(s1)
        S2.append(s2)
    return np.array(S1), np.array(S2)


# --- areas ---------------------------------------------------------------------------------------------


def test_toy_areas_are_those_of_the_definition():
    S1, S2 = sc.areas([1, 1, 0.5, 0.25], decay=0.9)
    np.testing.assert_allclose(S1, [1, 2, 2.5, 2.75], rtol=1e-15)
    np.testing.assert_allclose(S2, [0, 0, 0.5, 1.2], rtol=1e-14, atol=0)


def test_published_cosine_and_constant_areas():
    """20k steps at 2e-4, warm-up 500 counted at the peak (arXiv:2408.11029, the authors' script)."""
    cosine = sc.parse_schedule("cosine:peak_lr=2e-4,steps=20000,warmup=500").per_step()
    S1, S2 = sc.areas(cosine, convention="peak")
    assert S1[20000] == pytest.approx(2.0501, abs=5e-8)
    assert S2[20000] == pytest.approx(0.19747384, abs=6e-9)
    assert S2[10000] == pytest.approx(0.08039982, abs=6e-9)
    constant = sc.parse_schedule("constant:peak_lr=2e-4,steps=20000,warmup=500").per_step()
    S1, S2 = sc.areas(constant, convention="peak")
    assert S1[-1] == pytest.approx(4.0002, rel=1e-12)
    assert not S2.any()


def test_linear_anneal_has_its_closed_form():
    lr, K, decay = sc.linear(np.arange(4001), peak_lr=2e-4, steps=4000), 4000, 0.999
    S2 = sc.areas(lr, decay)[1][-1]
    assert pytest.approx(0.150963037, abs=6e-10) == S2
    assert pytest.approx(2e-4 / K / (1 - decay) * (K - decay * (1 - decay**K) / (1 - decay)), rel=1e-12) == S2


@pytest.mark.parametrize("after", [1, 10, 1000, 100_000])
def test_one_drop_adds_its_geometric_sum(after):
    lr = np.concatenate([np.full(5, 1.0), np.full(after, 0.75)])
    assert sc.areas(lr, 0.999)[1][-1] == pytest.approx(0.25 * (1 - 0.999**after) / (1 - 0.999), rel=1e-12)


@settings(max_examples=60, deadline=None)
@given(
    length=st.sampled_from([1, 2, 63, 64, 65, 500, 4097]),
    warmup=st.integers(0, 80),
    decay=st.sampled_from([0.0, 0.5, 0.9, 0.999, 0.99999, 1.0]),
    convention=st.sampled_from(["real", "peak"]),
    block=st.sampled_from([1 << 15, 1000, 64, 7]),
    seed=st.integers(0, 9),
)
def test_areas_equal_the_loop(length, warmup, decay, convention, block, seed):
    lr = np.random.default_rng(seed).random(length) * 1e-3
    w = min(warmup, length - 1)
    S1, S2 = sc.areas(lr, decay, convention, warmup)
    want1, want2 = loop_areas(lr.tolist(), decay, w, convention)
    np.testing.assert_allclose(S1, want1, rtol=1e-12)
    np.testing.assert_allclose(S2, want2, rtol=1e-12, atol=1e-12 * np.abs(want2).max(initial=0.0))
    blocks = list(sc.area_blocks(lr, decay, convention, warmup, block=block))
    np.testing.assert_allclose(np.concatenate([b[0] for b in blocks]), S1, rtol=1e-12)
    np.testing.assert_allclose(np.concatenate([b[1] for b in blocks]), S2, rtol=1e-12, atol=1e-12 * np.abs(S2).max())


@pytest.mark.parametrize("text", [text for text in STRINGS if "cyclic" not in text])
def test_areas_of_a_long_decay_are_relatively_exact(text):
    """No cancellation: where the schedule only falls, each S2 is exact to 1e-12 of itself."""
    lr = sc.parse_schedule(text.replace("steps=400", "steps=9000").replace("200/400", "200/9000")).per_step()
    want = loop_areas(lr.tolist(), 0.999, 20, "real")
    got = sc.areas(lr)
    np.testing.assert_allclose(got[0], want[0], rtol=1e-12)
    np.testing.assert_allclose(got[1][100:], want[1][100:], rtol=1e-11, atol=1e-19)


def test_a_later_rewarmup_keeps_its_negative_sign():
    lr = np.concatenate([np.linspace(0, 1, 11), np.full(20, 1.0), np.full(5, 0.2), np.full(20, 1.0)])
    S2 = sc.areas(lr)[1]
    assert S2[:31].max() == 0 and S2[35] > 3.9
    assert np.diff(S2)[-1] < 0


def test_conventions_differ_by_the_warmup_triangle_only():
    lr = sc.parse_schedule("constant:peak_lr=3e-4,steps=5000,warmup=2160").per_step()
    real, peak = sc.areas(lr, convention="real"), sc.areas(lr, convention="peak")
    assert peak[0][-1] - real[0][-1] == pytest.approx(3e-4 * (2160 + 1) / 2, rel=1e-12)
    np.testing.assert_array_equal(real[1], peak[1])


@pytest.mark.parametrize(
    ("lr", "end"),
    [
        ([1, 1, 1], 0),
        ([3, 2, 1], 0),
        ([1], 0),
        ([0, 1, 2, 2, 2, 2, 5], 2),
        ([0, 1, 2, 3, 3, 4, 5, 5, 5, 5, 5, 5, 5, 5], 6),  # one skipped step inside the warm-up
        ([0, 1, 2, 1, 5], 2),
        ([0, 1, 2, 3], 3),
    ],
)
def test_warmup_end(lr, end):
    assert sc.warmup_end(lr) == end


@pytest.mark.parametrize("text", STRINGS)
def test_warmup_end_agrees_with_every_schedule(text):
    schedule = sc.parse_schedule(text)
    assert sc.warmup_end(schedule.per_step()) == schedule.warmup == 20


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: sc.areas([1, np.nan]), "step 1 is nan"),
        (lambda: sc.areas([1, np.inf, 1]), "step 1 is inf"),
        (lambda: sc.areas([]), "shape"),
        (lambda: sc.areas([1.0], decay=1.5), "outside 0..1"),
        (lambda: sc.areas([1.0], convention="both"), "'real' or 'peak'"),
        (lambda: sc.areas([1.0], warmup=-1), "negative"),
    ],
)
def test_bad_areas_say_what_is_wrong(call, words):
    with pytest.raises(InputError, match=words):
        call()


# --- learning rate from logged rows --------------------------------------------------------------------


def test_rows_are_interpolated_and_the_warmup_is_given():
    schedule = sc.parse_schedule("linear:peak_lr=1,steps=100,warmup=10,final=0.1")
    steps = np.arange(10, 101, 10)
    lr, how = sc.per_step_lr(steps, schedule(steps), warmup=10)
    np.testing.assert_allclose(lr, schedule.per_step(), rtol=1e-13)
    assert "10 steps (given)" in how and "rows 10 steps apart" in how


def test_a_warmup_shorter_than_the_first_row_is_held():
    lr, _ = sc.per_step_lr([8, 12], [2.0, 1.0], warmup=4)
    assert lr.tolist() == [0, 0.5, 1, 1.5, 2, 2, 2, 2, 2, 1.75, 1.5, 1.25, 1]


def test_a_log_that_starts_at_step_1_is_known():
    lr, how = sc.per_step_lr([1, 2, 3], [3.0, 2.0, 1.0])
    assert lr.tolist() == [0, 3, 2, 1] and how == "logged at every step"


def test_a_log_of_every_step_is_not_copied():
    values = np.ones(5)
    assert np.shares_memory(sc.per_step_lr(np.arange(5), values)[0], values)


def test_unknown_first_steps_stop():
    with pytest.raises(InputError, match=r"before step 2176 is not known; .*--warmup"):
        sc.per_step_lr([2176, 2304], [3e-4, 3e-4])
    with pytest.raises(InputError, match="more than one row spacing"):
        sc.per_step_lr([2176, 2304], [3e-4, 3e-4], warmup=0)
    assert sc.per_step_lr([1000, 2000], [2.0, 2.0], warmup=0)[0].tolist() == [2.0] * 2001


# --- shapes and strings --------------------------------------------------------------------------------


@pytest.mark.parametrize("text", STRINGS)
def test_text_round_trips_and_levels_hold(text):
    schedule = sc.parse_schedule(text)
    assert sc.parse_schedule(schedule.text).text == schedule.text
    lr = schedule.per_step()
    assert lr.shape == (401,) and lr[0] == 0 and lr.min() >= 0
    assert lr.max() == pytest.approx(3e-4, rel=1e-15) and lr[20] == pytest.approx(3e-4, rel=1e-15)
    assert schedule(200) == lr[200]
    np.testing.assert_array_equal(sc.parse_schedule(schedule.text).per_step(), lr)


@pytest.mark.parametrize("decay", ["linear", "1-sqrt", "exp", "cosine", "square", "mirror-cosine"])
def test_every_wsd_decay_falls_from_the_peak_to_the_final_value(decay):
    lr = sc.wsd(np.arange(101), peak_lr=1.0, steps=100, decay_steps=40, decay=decay, final=0.01)
    assert lr[60] == 1 and lr[100] == pytest.approx(0.01, rel=1e-12) and np.all(np.diff(lr[60:]) < 0)


def test_warmup_conventions_are_values_of_initial():
    t, w, peak = np.arange(11), 10, 2.0
    np.testing.assert_allclose(
        sc.constant(t, peak_lr=peak, warmup=w, initial=peak / (w + 1)), peak * (t + 1) / (w + 1), rtol=1e-13
    )
    np.testing.assert_allclose(
        sc.constant(t, peak_lr=peak, warmup=w, initial=peak / 100),
        peak * (t / w + (1 - t / w) / 100),
        rtol=1e-13,
    )


def test_keys_have_the_names_that_trainers_use():
    for text, usual in (
        ("cosine:max_lr=1,max_steps=99,warmup_steps=3,min_lr=10%", "cosine:peak_lr=1,steps=99,warmup=3,final=0.1"),
        ("wsd:lr=0.01,total_steps=100,cooldown_steps=20%", "wsd:peak_lr=0.01,steps=100,decay_steps=20"),
        ("piecewise:at=0/5,lr=1/0", "piecewise:at=0/5,lr=1/0"),
    ):
        assert sc.parse_schedule(text).text == sc.parse_schedule(usual).text
    with pytest.raises(InputError, match="'peak_lr' is given twice"):
        sc.parse_schedule("cosine:peak_lr=1,lr=2,steps=9")


def test_steps_past_the_end_hold_the_last_value():
    assert sc.cosine([100, 150], peak_lr=1.0, steps=100, final=0.1).round(14).tolist() == [0.1, 0.1]


@commands.cases(
    "text, words",
    [
        ("cosin:peak_lr=1,steps=9", "unknown schedule 'cosin'; did you mean cosine"),
        ("zzz:peak_lr=1", "use one of constant, linear"),
        ("cosine:peak_lr=1", "missing key 'steps'"),
        ("cosine:steps=9", "missing key 'peak_lr'"),
        ("multi_step:peak_lr=1,steps=9", "missing key 'at'"),
        ("cosine:peak=1,steps=9", "unknown key 'peak'; use peak_lr, steps"),
        ("cosine:peak_lr=big,steps=9", "peak_lr='big' is not a number"),
        ("cosine:peak_lr=1,steps=9.5", "whole number of steps"),
        ("cosine:peak_lr=1,steps=9,steps=10", "given twice"),
        ("cosine:peak_lr=1,steps=1e10", "1e\\+10 steps are too many: at most 5e\\+07.*tokens over tokens per step"),
        ("piecewise:at=0/1e11,lr=1/0", "at most"),
        ("cosine:peak_lr", "not of the form key=value"),
        ("cosine:peak_lr=nan,steps=9", "peak_lr=nan is not a number above 0"),
        ("cosine:peak_lr=1,steps=0", "steps=0 is not a number above 0"),
        ("cosine:peak_lr=1,steps=9,warmup=10", "longer than steps"),
        ("cosine:peak_lr=1,steps=9,final=2", "above peak_lr"),
        ("wsd:peak_lr=1,steps=9,decay=exp", "never reaches final=0"),
        ("wsd:peak_lr=1,steps=9,decay=fast", "unknown decay 'fast'; use one of linear, 1-sqrt"),
        ("wsd:peak_lr=1,steps=9,warmup=5,decay_steps=6", "at most 4"),
        ("inverse_sqrt:peak_lr=1,steps=9", "needs a timescale"),
        ("multi_step:peak_lr=1,steps=9,at=5/4", "increasing steps"),
        ("multi_step:peak_lr=1,steps=9,at=4/5,factor=1/2/3", "one for each step"),
        ("piecewise:at=0/5,lr=1", "2 values in at and 1 in lr"),
        ("csv:nowhere.csv", "no such schedule file"),
        ("nowhere.csv", "no such schedule file"),
    ],
)
def test_bad_strings_name_the_part(text, words):
    with pytest.raises(InputError, match=words):
        sc.parse_schedule(text)


# --- schedules in files --------------------------------------------------------------------------------


def test_csv_of_one_and_of_several(tmp_path):
    one = tmp_path / "one.csv"
    one.write_text("step,lr\n0,0\n2,1\n4,0\n")
    assert sc.parse_schedule(f"csv:{one}").per_step().tolist() == [0, 0.5, 1, 0.5, 0]
    assert sc.parse_schedule(str(one)).warmup == 2
    several = tmp_path / "several.tsv"
    several.write_text("run\tstep\tlr\na\t0\t1\nb\t0\t2\na\t1\t1\nb\t1\t1\n")
    assert sc.parse_schedule(f"csv:{several}#b").per_step().tolist() == [2, 1]
    with pytest.raises(InputError, match=r"choose one with #NAME: a, b"):
        sc.parse_schedule(f"csv:{several}")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("step,rate\n0,1\n", "needs the columns step and lr; it has step, rate"),
        ("step,lr\n", "no rows"),
        ("", "cannot be read"),
        ("step,lr\n0,1\n1,x\n", "row 3, column lr: 'x' is not a number"),
        ("step,lr\n0,1\n0,1\n", "row 3, column step: step 0 does not come after step 0"),
        ("step,lr\n10,1\n20,1\n", "before step 10 is not known"),
        ("run,schedule,step,lr\na,b,0,1\n", "could both name"),
    ],
)
def test_bad_schedule_files_say_where(tmp_path, content, words):
    path = tmp_path / "bad.csv"
    path.write_text(content)
    with pytest.raises(InputError, match=words):
        sc.parse_schedule(f"csv:{path}")


def test_real_schedules_are_the_ones_our_strings_make():
    path = DATA / "mpl_schedules" / "lr_schedules_per_step.csv.gz"
    if not path.exists():
        pytest.skip("the public learning-rate schedules are not here")
    table = sc.read_schedule_table(str(path))
    head = "peak_lr=3e-4,final=3e-5,warmup=2159"
    strings = {
        "cosine_72000": f"cosine:{head},steps=72000",
        "wsd_20000_24000": f"wsd:{head},steps=24000,decay_steps=4000,decay=exp",
        "wsdld_20000_24000": f"wsd:{head},steps=24000,decay_steps=4000",
        "wsdcon_9": "multi_step:peak_lr=3e-4,warmup=2159,steps=16000,at=8000,factor=0.3",
        "constant_24000": "constant:peak_lr=3e-4,warmup=2159,steps=24000",
    }
    for name, text in strings.items():
        theirs, ours = table.schedule(name), sc.parse_schedule(text)
        assert theirs.warmup == 2160 or theirs.warmup == 2159
        np.testing.assert_allclose(theirs.per_step(), ours.per_step()[:-1], rtol=2e-3, atol=1e-9)
        S, T = sc.areas(theirs.per_step()), sc.areas(ours.per_step()[:-1])
        np.testing.assert_allclose(S[0][2160:], T[0][2160:], rtol=1e-3)
        assert S[0][2159] == pytest.approx(3e-4 * 2160 / 2, rel=1e-3)


def test_the_annealing_papers_logged_learning_rates():
    path = DATA / "annealing_tissue" / "loss_curves.csv"
    if not path.exists():
        pytest.skip("the annealing paper's points are not here")
    rows = [line.split(",") for line in path.read_text().splitlines()[1:]]
    steps = np.array([int(row[1]) for row in rows if row[0] == "cosine"])
    lr = np.array([float(row[2]) for row in rows if row[0] == "cosine"])
    ours = sc.cosine(steps, peak_lr=2e-4, steps=20000, warmup=500)
    np.testing.assert_allclose(ours, lr, rtol=1e-12, atol=1e-18)


def test_steps_that_are_tokens_are_refused_before_they_fill_the_memory():
    with pytest.raises(InputError, match="run a: 3e\\+10 steps"):
        sc.per_step_lr([0, 30_000_000_000], [1.0, 0.0], where="run a")


def test_a_schedule_file_is_read_by_the_names_of_logs(tmp_path):
    path = tmp_path / "lrs.csv"
    path.write_text("run_name,iter,learning_rate,note\na,0,1,x\na,1,2,x\nb,0,3,x\n")
    table = sc.read_schedule_table(str(path))
    assert table.key == "run"
    assert table.schedule("a").per_step().tolist() == [1, 2]
    path.write_text("iter,global_step,lr\n0,0,1\n")
    with pytest.raises(InputError, match="iter and global_step could both be step"):
        sc.read_schedule_table(str(path))
    path.write_text("step,iter,lr,scheduler,run\n0,7,1,cosine,a\n1,8,1,cosine,a\n")  # what has the name wins
    table = sc.read_schedule_table(str(path))
    assert table.key == "run"
    assert table.schedule("a").steps == 1


def test_rows_that_are_apart_are_told(tmp_path):
    path = tmp_path / "lrs.csv"
    path.write_text("step,lr\n0,0\n1000,1\n2000,0\n")
    assert sc.parse_schedule(str(path)).how == "interpolated between rows 1000 steps apart"
    log = pd.DataFrame({"step": [500, 1500], "loss": [3.0, 2.0]})
    runs = sf.read_runs(log, schedule=str(path))
    assert "interpolated between rows 1000 steps apart" in runs.notes[-1].text
    assert "interpolated between rows 1000 steps apart" in runs.trajectory(runs.names[0]).how
    path.write_text("step,lr\n0,0\n1,1\n2,0\n")
    assert sc.parse_schedule(str(path)).how == ""


def test_steps_are_written_in_thousands():
    plan = sc.parse_schedule("cosine:peak_lr=3e-4,steps=20k,warmup=0.5K")
    assert plan.text == "cosine:peak_lr=0.0003,steps=20000,warmup=500"
    assert sc.parse_schedule("multi_step:peak_lr=1,steps=1.1k,at=.1k/1k,factor=.5").steps == 1100
    for wrong in ("peak_lr=3k,steps=10", "peak_lr=1,steps=xk", "peak_lr=1,steps=0.0001k"):
        with pytest.raises(InputError):
            sc.parse_schedule(f"cosine:{wrong}")


@pytest.mark.parametrize(
    ("decay", "quarter", "half"),
    [
        ("linear", 0.75, 0.5),
        ("1-sqrt", 0.5, 1 - 0.5**0.5),
        ("cosine", (1 + 0.5**0.5) / 2, 0.5),
        ("square", 15 / 16, 3 / 4),
        ("mirror-cosine", 1.5 - (1 + 0.5**0.5) / 2, 0.5),
    ],
)
def test_every_wsd_decay_has_its_value_at_a_quarter_and_at_half(decay, quarter, half):
    lr = sc.wsd([70, 80], peak_lr=2.0, steps=100, decay_steps=40, decay=decay, final=0.5)
    np.testing.assert_allclose(lr, [0.5 + 1.5 * quarter, 0.5 + 1.5 * half], rtol=1e-12)


def test_an_exponential_decay_has_the_geometric_mean_at_half():
    lr = sc.wsd([70, 80], peak_lr=2.0, steps=100, decay_steps=40, decay="exp", final=0.125)
    np.testing.assert_allclose(lr, [1.0, 0.5], rtol=1e-12)


def test_wsd_decays_by_default_over_the_last_tenth_of_the_steps():
    assert sc.wsd([0, 900, 925, 950, 1000], peak_lr=1.0, steps=1000).tolist() == [1.0, 1.0, 0.75, 0.5, 0.0]


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        (
            "cosine:peak_lr=4e-3,steps=4000,warmup=100,final=10%",
            "cosine:peak_lr=0.004,steps=4000,warmup=100,final=0.0004",
        ),
        (
            "cosine:final=10%,warmup=2.5%,steps=4k,peak_lr=4e-3",
            "cosine:peak_lr=0.004,steps=4000,warmup=100,final=0.0004",
        ),
        ("wsd:peak_lr=4e-3,steps=4000,decay=20%", "wsd:peak_lr=0.004,steps=4000,decay_steps=800"),
        (
            "multi_step:peak_lr=1,steps=1000,at=80%/900,factor=0.3",
            "multi_step:peak_lr=1,steps=1000,at=800/900,factor=0.3",
        ),
    ],
)
def test_shares_in_percent_are_of_the_peak_and_of_the_run(text, whole):
    assert sc.parse_schedule(text).text == sc.parse_schedule(whole).text


@pytest.mark.parametrize("text", ["cosine:peak_lr=1,steps=9,final=x%", "cosine:peak_lr=1,steps=9%"])
def test_a_share_that_is_none_is_refused(text):
    with pytest.raises(InputError, match=r"'(x|9)%' is not a number"):
        sc.parse_schedule(text)


def test_a_share_of_what_is_not_given_names_it():
    with pytest.raises(InputError, match=r"decay_steps=20% is a share of steps, which is not given.*add steps"):
        sc.parse_schedule("wsd:peak_lr=1,decay=20%")
