"""The contract that every law in the folder keeps, tested unasked: add a file to scalefit/laws and it is here."""

from __future__ import annotations

import math
import re

import commands
import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.laws import standard_laws
from scalefit.laws.identification import refuse_no_shares
from scalefit.numerics import complex_step
from scalefit.runs.columns import COLUMNS
from scalefit.solver.model import bind
from scalefit.solver.solve import Settings, solve


def variants(law):
    """The law with each choice of each of its options, and with other whole numbers where an option is one."""
    yield law
    for name, option in law.declaration.options.items():
        whole = range(1, 5) if type(option.default) is int else ()
        for choice in (*option.choices, *option.profiled, *whole):
            if choice != option.default:
                yield type(law)(**{name: choice})


STANDARD = {name: law() for name, law in standard_laws().items()}
#: every law, and those of its variants that have other parameters or variables
LAWS = STANDARD | {
    other.spec: other
    for law in STANDARD.values()
    for other in variants(law)
    if (set(other.parameters), set(other.variables)) != (set(law.parameters), set(law.variables))
}
each_law = commands.cases("law", LAWS.values())  # its checks take milliseconds
#: several breaks of one kind may trade places: their recovery is the matter of that law's own tests
SINGLE = {spec: law for spec, law in LAWS.items() if not any(type(v) is int and v > 1 for v in law.options.values())}
each_single_law = pytest.mark.parametrize("law", SINGLE.values(), ids=SINGLE.keys())
ROWS = 200
GAPS = 3  #: values a row of the variables that hold several
#: how far up its start range each non-linear parameter of the planted truths lies, and the sizes of the terms
TRUTHS = {"first": (0.35, (1.0, 0.6, 1.5)), "second": (0.62, (0.5, 1.4, 0.8))}


def draw_variables(law, rows=ROWS, seed=0):
    """Values in the declared spans, even in the logarithm; shares that are all there are, over their sum."""
    rng = np.random.default_rng(seed)
    drawn = {
        name: np.exp(rng.uniform(*np.log(variable.span), (rows, GAPS) if variable.many else rows))
        for name, variable in law.variables.items()
    }
    found = {name: np.rint(v) if law.columns[name] in ("step", "steps") else v for name, v in drawn.items()}
    whole = [name for name, variable in law.variables.items() if variable.share == "whole"]
    together = sum(found[name] for name in whole)
    return found | {name: found[name] / together for name in whole}


def span_of(parameter, variables):
    """A range in which a parameter may be planted: its start range, else a unit range inside its domain."""
    start = parameter.starts
    if isinstance(start, str):
        inside = np.quantile(variables[start], (0.2, 0.8))
        return float(inside[0]), float(inside[1])
    return start if start is not None else (0.3, 2.0)


def between(low, high, fraction):
    """A point of a range, in the logarithm where it spans more than a decade."""
    if low > 0 and high / low > 10:
        return float(low * (high / low) ** fraction)
    return float(low + fraction * (high - low))


def plant(law, variables, truth):
    """Parameters whose terms all matter: linear ones sized so that each term is of order one at the median row."""
    fraction, sizes = TRUTHS[truth]
    planted = {
        name: 0.0 if p.linear else between(*span_of(p, variables), fraction) for name, p in law.parameters.items()
    }
    linear = [name for name, p in law.parameters.items() if p.linear]
    floor = np.min(np.abs(law.evaluate(variables, planted)))
    for name, size in zip(linear, sizes * len(linear), strict=False):
        with_one = law.evaluate(variables, {**planted, name: 1.0}) - law.evaluate(variables, planted)
        middle = float(np.median(np.abs(with_one * np.ones(1))))
        falls = float(np.median(with_one * np.ones(1))) < 0
        largest = float(np.max(np.abs(with_one * np.ones(1))))
        planted[name] = 0.3 * size / largest if falls else size / middle
        if np.isfinite(law.parameters[name].high):  # a share, such as a pass rate, lies inside its domain
            planted[name] = 0.5 * size * law.parameters[name].high
    assert floor >= 0
    return planted


def draws(law, variables, count=5, seed=1):
    """Parameter sets around a planted one, (count, 1) each, inside the domain."""
    rng = np.random.default_rng(seed)
    base = plant(law, variables, "first")
    return {
        name: np.clip(value * rng.uniform(0.9, 1.1, (count, 1)), law.parameters[name].low, law.parameters[name].high)
        for name, value in base.items()
    }


@each_law
def test_it_says_what_it_is(law):
    assert re.search(r"\d{4}\.\d{4,5}|doi|http", law.source), "a source: an arXiv id, a DOI or an address"
    assert law.source.removeprefix("arXiv:") in (type(law).__doc__ or "")
    assert law.title.endswith(".")
    assert "\n" not in law.title
    assert "=" in law.equation
    assert law.needs, "which runs identify it"
    for thing in (*law.variables.values(), *law.parameters.values()):
        assert thing.unit
        assert thing.meaning
    for option in law.declaration.options.values():
        assert option.meaning


@each_law
def test_the_docstring_shows_the_whole_formula(law):
    words = set(re.findall(r"[A-Za-z_]\w*", type(law).__doc__ or ""))
    assert not [name for name in law.variables if name not in words]
    for name in law.parameters:  # of parts that are alike the docstring shows one: c_i, or the second one, k2
        assert words & {name, re.sub(r"\d+$", "_i", name), re.sub(r"^([a-z]+)\d+", r"\g<1>2", name)}, name


@each_law
def test_its_columns_are_in_the_glossary_or_its_own(law):
    """A column that one law alone reads is declared by that law: only columns that laws share need an entry."""
    for name, column in law.columns.items():
        if column in COLUMNS or name == "x":
            continue
        readers = {type(other) for other in STANDARD.values() if column in other.columns.values()}
        assert readers == {type(law)}, f"{column} is read by several laws and not in the glossary"
        table = sf.read_runs(pd.DataFrame({column: [1.5, 2.5], "loss": [3.0, 2.0]})).table
        assert column in table.columns, f"{column} is another name of a column of the glossary"


@each_law
def test_starts_lie_in_the_domain(law):
    for name, parameter in law.parameters.items():
        assert parameter.low < parameter.high, name
        if isinstance(parameter.starts, str):
            assert parameter.starts in law.variables, name
        elif parameter.starts is not None:
            assert parameter.low <= parameter.starts[0] < parameter.starts[1] <= parameter.high, name
        elif not parameter.linear:
            assert math.isfinite(parameter.low), f"{name} needs a start range"


@each_law
def test_a_batch_equals_one_by_one(law):
    variables = draw_variables(law)
    batch = draws(law, variables)
    together = np.broadcast_to(law.evaluate(variables, batch), (5, ROWS))
    for i in range(5):
        alone = law.evaluate(variables, {name: float(value[i, 0]) for name, value in batch.items()})
        np.testing.assert_allclose(together[i], alone, rtol=1e-13, atol=0)


def far_out(law, variables, factor=1e5, seed=5):
    """Values far beyond the declared spans on either side, but for shares, and for steps, which are whole."""
    rng = np.random.default_rng(seed)
    kept = {name for name, v in law.variables.items() if v.share or law.columns[name] in ("step", "steps")}
    ends = {name: np.log([v.span[0] / factor, v.span[1] * factor]) for name, v in law.variables.items()}
    drawn = {name: np.exp(rng.uniform(*ends[name], values.shape)) for name, values in variables.items()}
    return {name: variables[name] if name in kept else values for name, values in drawn.items()}


@each_law
def test_the_jacobian_is_exact(law):
    """Also ten decades out, where the law has a value: no derivative is missing, and nothing warns."""
    near = draw_variables(law)
    batch = draws(law, near)
    for variables, digits in ((near, 1e-9), (far_out(law, near), 1e-6)):  # complex log1p has fewer digits far out
        value, written = law.derivatives(variables, batch)
        there = np.isfinite(value) & np.ones((5, ROWS), dtype=bool)
        assert there.all() if variables is near else there.mean() > 0.3
        with np.errstate(all="ignore"):
            stepped = complex_step(law.evaluate_flat, variables, batch)
        assert set(written) == set(law.parameters)
        for name, expected in stepped.items():
            found, expected = (each + np.zeros((5, ROWS)) for each in (written[name], expected))
            scale = np.max(np.abs(expected[there]))
            np.testing.assert_allclose(found[there], expected[there], rtol=digits, atol=1e-12 * scale)


@each_law
def test_the_complex_step_is_a_derivative(law):
    """An independent check of both: central differences, to the digits that they have."""
    variables = draw_variables(law, rows=40)
    at = plant(law, variables, "second")
    for name, exact in law.derivatives(variables, at)[1].items():
        step = 1e-5 * max(abs(at[name]), 1e-3)
        ahead = law.evaluate(variables, {**at, name: at[name] + step})
        behind = law.evaluate(variables, {**at, name: at[name] - step})
        difference = (ahead - behind) / (2 * step)
        np.testing.assert_allclose(exact * np.ones(40), difference, rtol=1e-4, atol=1e-6 * np.max(np.abs(difference)))


@each_law
def test_declared_linear_parameters_are_jointly_linear(law):
    variables = draw_variables(law)
    linear = [name for name, p in law.parameters.items() if p.linear]
    base = plant(law, variables, "first")
    rng = np.random.default_rng(3)
    one, two = ({**base, **{name: base[name] * rng.uniform(0, 2) for name in linear}} for _ in range(2))
    middle = {name: 0.5 * (one[name] + two[name]) for name in base}
    average = 0.5 * (law.evaluate(variables, one) + law.evaluate(variables, two))
    np.testing.assert_allclose(law.evaluate(variables, middle), average, rtol=1e-12)


@each_law
def test_what_is_jointly_linear_is_declared(law):
    """A parameter that is searched for bends the law, alone or together with one that is solved for."""
    variables = draw_variables(law, 20)
    base = plant(law, variables, "first")

    def at(*names):
        return np.asarray(law.evaluate(variables, {**base, **{name: 1.2 * base[name] for name in names}}))

    for name in (name for name, p in law.parameters.items() if not p.linear):
        bends = [at() - 2 * at(name) + law.evaluate(variables, {**base, name: 1.4 * base[name]})]
        bends += [at() - at(name) - at(o) + at(name, o) for o, p in law.parameters.items() if p.linear]
        assert np.max(np.abs(bends)) > 1e-9 * np.max(np.abs(at(name) - at())), name


#: what a budget is divided between
BUDGETS = [("N", "D"), ("N_total", "D"), ("d_model", "D"), ("N", "S_min"), ("N", "N_vocab"), ("d_model", "n_layer")]
#: laws of a best setting, a product of N and D; of a bowl around one; of repeats, to which N and D are held
NO_SUMS = {"adamw-timescale", "optimal-lr-batch", "lr-batch-surface", "data-constrained"}


def test_runs_of_one_budget_tell_sums_apart():
    """Where D falls as N grows, a sum of their terms has a minimum, by which it is known; else it has none."""
    laws = [law for law in LAWS.values() if law.name not in NO_SUMS]
    asked = [(law, *pair) for law in laws for pair in BUDGETS if {*pair} <= {*law.variables}]
    assert len(asked) > 25
    for law, grows, falls in asked:
        size, others = np.geomspace(1e6, 1e9, 25), draw_variables(law, 25)
        law.check({**others, grows: size, falls: 1e17 / size})
        with pytest.raises(sf.IdentificationError, match=r"move together|D/N = 20"):
            law.check({**others, grows: size, falls: 20 * size})


def test_blocks_of_steps_are_those_of_the_whole_schedule_under_every_option():
    lr = np.r_[np.linspace(0, 1, 11), np.linspace(1, 0.1, 40)]
    asked = [other for law in STANDARD.values() for other in variants(law) if hasattr(other, "along_blocks")]
    whole = [other.along(lr, 10) for other in asked]
    assert len({tuple(each["S1"]) for each in whole}) > 1 and len({tuple(each["S2"]) for each in whole}) > 3
    for law, found in zip(asked, whole, strict=True):
        blocks = list(law.along_blocks(lr, 10))
        for name, values in found.items():
            np.testing.assert_allclose(np.concatenate([block[name] for block in blocks]), values, rtol=1e-12)


def test_a_gap_of_zero_is_no_gap_whatever_the_constants():
    asked = [(law, name) for law in LAWS.values() for name, variable in law.variables.items() if variable.weighs]
    assert len(asked) == 3
    for law, weight in asked:
        variables = draw_variables(law, 5)
        fewer = {name: x[:, :-1] if law.variables[name].many else x for name, x in variables.items()}
        none = variables[weight] * (np.arange(GAPS) < GAPS - 1)
        for fraction in (0.0, 1.0):
            at = {n: 1.0 if p.linear else between(*span_of(p, variables), fraction) for n, p in law.parameters.items()}
            expected = law.evaluate(fewer, at)
            assert np.isfinite(expected).all()
            np.testing.assert_allclose(law.evaluate({**variables, weight: none}, at), expected, rtol=1e-12)


def test_shares_that_are_all_there_are_make_up_one():
    asked = [law for law in LAWS.values() if any(variable.share for variable in law.variables.values())]
    assert len(asked) > 5
    for law in asked:
        variables = draw_variables(law, 5)
        refuse_no_shares(law, variables)
        for name in (name for name, variable in law.variables.items() if variable.share):
            for wrong in (-0.01, 1.01):
                with pytest.raises(sf.InputError, match=f"{law.columns[name]} = {wrong} is no share"):
                    refuse_no_shares(law, {**variables, name: np.r_[variables[name][:-1], wrong]})
            if law.variables[name].share == "whole":
                less = np.r_[variables[name][:-1], 0.5 * variables[name][-1]]
                with pytest.raises(sf.InputError, match=r" \+ .* = 0\.\d+; give shares that add up to 1"):
                    refuse_no_shares(law, {**variables, name: less})


@each_single_law
@pytest.mark.parametrize("truth", TRUTHS)
def test_planted_parameters_come_back(law, truth):
    """The first truth from arrays, the second through the front door, where such rows pass it.

    Schedules are read from whole curves (see test_recovery), and logged steps are whole numbers.
    """
    variables = draw_variables(law, seed=7)
    planted = plant(law, variables, truth)
    values = law.evaluate(variables, planted) + np.zeros(ROWS)
    if truth == "first" or law.is_trajectory or law.target == "step":
        model = bind(law, variables)
        found = solve(model, values, None, Settings("log" if law.log_residuals else "linear", starts=4))
        got = dict(zip(law.parameters, model.vector(found.theta[None])[0], strict=True))
        assert found.converged
    else:
        table = pd.DataFrame({law.columns[name]: values for name, values in variables.items()})
        fit = sf.fit(table.assign(**{law.target: values}), law, starts=4)
        got = fit.parameters
        assert fit.status == "converged"
    for name, value in planted.items():
        assert got[name] == pytest.approx(value, rel=1e-6), f"{name}: {got} for {planted}"


@commands.cases("law", STANDARD.values())
def test_published_values_hold(law):
    for published in law.published:
        assert published.source
        meant = [other for other in variants(law) if set(other.parameters) == set(published.parameters)]
        assert meant, published.source
        law = meant[0]
        for name, value in published.parameters.items():
            assert law.parameters[name].low <= value <= law.parameters[name].high, (published.source, name)
        for at, expected in published.values:
            got = float(law.evaluate({name: np.float64(value) for name, value in at.items()}, published.parameters))
            digits = len(f"{expected!r}".partition(".")[2]) if abs(expected) < 1e6 else 0
            printed = 0.51 * 10.0**-digits if digits > 2 else abs(expected) * 1e-9
            assert got == pytest.approx(expected, rel=published.rtol, abs=printed), (published.source, at)


def test_options_of_one_meaning_are_chosen_among_the_same_values():
    found = {}
    for law in STANDARD.values():
        for option in law.declaration.options.values():
            known = found.setdefault(option.meaning.replace("areas", "area"), (option.default, option.profiled))
            assert known == (option.default, option.profiled), law.name
    assert found["discount of the annealing area per step"] == (0.999, (0.98, 0.99, 0.995, 0.998))


def test_every_law_has_its_own_name_and_file():
    assert len({type(law).__module__ for law in STANDARD.values()}) == len(STANDARD) >= 4
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", name) for name in STANDARD)
    assert {"power", "power-floor", "chinchilla", "annealing", "annealing-size"} <= set(STANDARD)


MINE = '''
from scalefit import Law, Parameter, Variable

class Mine(Law):
    """A law of my own.

        L(N) = E + A exp(-k N)

    Source: my notebook.
    """

    name = "mine"
    source = "my notebook"
    N = Variable("parameters", "model size")
    E = Parameter("nats/token", "floor", linear=True)
    A = Parameter("nats/token", "size", linear=True)
    k = Parameter("1/parameters", "rate", starts=(1e-3, 1.0))

    @staticmethod
    def formula(N, E, A, k):
        import numpy as np
        return E + A * np.exp(-k * N)
'''


@pytest.mark.parametrize("spelling", ["{}", "{}:Mine"])
def test_a_law_in_a_file_of_ones_own(tmp_path, spelling):
    file = tmp_path / "mine.py"
    file.write_text(MINE)
    N = np.linspace(1, 40, 30)
    found = sf.fit(pd.DataFrame({"N": N, "loss": 1.5 + 0.7 * np.exp(-0.09 * N)}), spelling.format(file))
    assert (found["E"], found["A"], found["k"]) == pytest.approx((1.5, 0.7, 0.09), rel=1e-9)
    assert found.law.equation == "L(N) = E + A exp(-k N)"


@each_law
def test_what_is_called_irreducible_is_added_as_it_stands(law):
    """One rule says which parameter is the floor: raising it by a tenth of a nat raises every loss by that."""
    if not law.irreducible:
        return
    variables = draw_variables(law, 20)
    constants = plant(law, variables, "first")
    higher = constants | {law.irreducible: constants[law.irreducible] + 0.1}
    change = np.asarray(law.evaluate(variables, higher)) - np.asarray(law.evaluate(variables, constants))
    np.testing.assert_allclose(change, 0.1, rtol=1e-6)
