"""The report of a fit says what the fit says: prediction, checks, back-test, other choices, the plan."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from types import SimpleNamespace

import commands
import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.answers import said
from scalefit.errors import InputError
from scalefit.laws import find_law
from scalefit.reports import sensitivity
from scalefit.reports.blocks import Figure, Table, Text
from scalefit.reports.of_fit import _compute_of, _figures, _has_plan
from scalefit.uncertainty.mixture import Choice


@pytest.fixture(scope="module")
def runs():
    N, D = (x.ravel() for x in np.meshgrid([1e7, 3e7, 1e8, 3e8], [1e9, 1e10, 1e11]))
    noise = np.exp(0.004 * np.random.default_rng(3).standard_normal(len(N)))
    return pd.DataFrame({"N": N, "D": D, "loss": (1.7 + 400 * N**-0.34 + 410 * D**-0.28) * noise})


@pytest.fixture(scope="module")
def fit(runs):
    return sf.fit(runs, "chinchilla", draws=30)


@pytest.fixture(scope="module")
def made(fit):
    return sf.report(fit, N=1e9, D="300B")


@pytest.fixture
def undrawn(monkeypatch):
    """Reports without their figures, which take most of the time."""
    monkeypatch.setattr(Figure, "of", lambda *_: Text(["a figure"]))


def part(made, title):
    return next(section for section in made.sections if section.title == title)


def table_of(made, title):
    return next(block for block in part(made, title).blocks if isinstance(block, Table))


def test_the_title_names_three_files_and_counts_the_others(runs, undrawn, tmp_path):
    for number in range(4):
        runs.iloc[number::4].to_csv(tmp_path / f"part{number}.csv", index=False)
    fit = sf.fit(sf.read_runs(sorted(tmp_path.glob("*.csv"))), "chinchilla")
    assert sf.report(fit).title == "Forecast by the law chinchilla from part0.csv, part1.csv, part2.csv and 1 more"


@pytest.mark.parametrize(
    ("law", "plans"),
    [("chinchilla", True), ("data-constrained", True), ("power-floor:over=N", False), ("annealing", False)],
)
def test_a_plan_is_made_for_laws_of_size_and_data_whatever_else_they_read(law, plans):
    assert _has_plan(SimpleNamespace(law=find_law(law))) == plans


def test_the_verdict_is_the_prediction_of_the_fit_and_the_error_of_the_back_test(made, fit, runs):
    row = fit.predict(N=1e9, D="300B").iloc[-1]
    tested = sf.backtest(runs, "chinchilla").table
    far = tested[tested["decades"] >= 0.7 * row["decades_beyond"]]
    assert len(far) >= 5
    error = float(far["error"].abs().median())
    said = [float(number) for number in re.findall(r"\d+\.\d+", made.verdict)]
    assert said[:3] == pytest.approx([row["loss"], row["low"], row["high"]], rel=6e-4)
    assert float(re.search(r"so far out is ([\d.]+) %", made.verdict)[1]) == pytest.approx(100 * error, rel=0.06)
    assert made.verdict.startswith("At N = 1e9, D = 300B the law chinchilla predicts a loss of")


def test_what_speaks_against_the_prediction_is_all_that_the_fit_says(fit, undrawn):
    far = sf.report(fit, N=1e13, D=1e16)
    assert not far.ok
    texts = [check.text for check in (*fit.cautions(N=1e13, D=1e16), *fit.warnings)]
    assert texts
    assert list(far.warnings)[: len(texts)] == texts
    assert set(texts) <= {line for block in part(far, "Checks").blocks for line in block.lines}


def test_every_part_is_there_and_every_figure_was_drawn(made):
    titles = [section.title for section in made.sections]
    assert titles == [
        *("Forecast", "Inputs", "The law", "Checks", "Fit and extrapolation", "Back-test", "Sensitivity", "Plan"),
        *("Provenance", "How to cite"),
    ]
    assert len(made.figures) == 5
    assert all("<svg" in figure.light and "<svg" in figure.dark for figure in made.figures)
    assert all(figure.light != figure.dark for figure in made.figures)
    texts = [line for each in made.sections for b in each.blocks if isinstance(b, Text) for line in b.lines]
    assert not [line for line in texts if "was not drawn" in line]


def test_sensitivity_is_refitted(made, fit, runs):
    rows = {row[0]: float(row[1]) for row in table_of(made, "Sensitivity").rows}
    table = fit.table
    for end in ("low", "high"):
        floor = table.loc["E", end]
        again = sf.fit(runs, "chinchilla", fix={"E": floor}, delta=fit.delta)
        assert rows[f"E held at {floor:.4g}"] == pytest.approx(again.predict(N=1e9, D="300B")["loss"][0], rel=1e-3)
    largest = runs.drop(index=(runs["N"] * runs["D"]).idxmax())
    without = sf.fit(largest, "chinchilla", delta=fit.delta).predict(N=1e9, D="300B")["loss"][0]
    (value,) = (value for name, value in rows.items() if name.startswith("without the largest run"))
    assert value == pytest.approx(without, rel=1e-3)
    assert len({name.partition(" run ")[2] for name in rows if " run (" in name}) == 2, "two ends of the scale"
    skaling = sf.fit(runs, "skaling").predict(N=1e9, D="300B")["loss"][0]
    assert rows["law skaling"] == pytest.approx(skaling, rel=2e-3)


def test_a_mixture_is_named_and_each_law_of_it_is_compared_with_its_own_refits(runs, undrawn):
    fit = sf.fit(runs)
    assert fit.choice.others, "a mixture"
    page = sf.report(fit, N=1e9, D="300B")
    assert page.verdict.startswith(f"At N = 1e9, D = 300B the mixture of {fit.law.spec} (")
    rows = table_of(page, "Sensitivity").rows
    own = sf.fit(runs, fit.law.spec).predict(N=1e9, D="300B")["loss"][0]
    assert float(rows[0][1]) == pytest.approx(fit.predict(N=1e9, D="300B")["loss"][0], rel=1e-4)
    assert (rows[1][0], float(rows[1][1])) == (f"law {fit.law.spec}", pytest.approx(own, rel=1e-4))
    (left,) = (row for row in rows if "without the largest run" in row[0])
    assert left[0].startswith(f"law {fit.law.spec}, ")
    assert float(left[2].removesuffix(" %")) == pytest.approx(100 * (float(left[1]) / own - 1), abs=0.02)
    assert [rows[0][3], rows[1][3], left[3]] == ["", "this forecast", f"law {fit.law.spec}"]
    assert page.title.startswith(f"Forecast by the mixture of {fit.law.spec}, ")


def test_a_law_of_the_mixture_that_cannot_answer_is_named_and_the_page_is_made(runs, fit, undrawn):
    """One member reads the width, which the point does not give; another is the law that can."""
    wide = sf.fit(runs.assign(width=runs["N"] ** 0.5), "power:over=width", force=True)
    mixture = replace(fit, choice=Choice({"chinchilla": 0.6, "power:over=width": 0.4}, "tried", True, (), {}, (wide,)))
    page = sf.report(mixture, N=1e9, D="300B")
    assert page.verdict.startswith("At N = 1e9, D = 300B the mixture of chinchilla (60 %), power:over=width (40 %)")
    lines = [line for block in part(page, "Sensitivity").blocks if isinstance(block, Text) for line in block.lines]
    assert any(line.startswith("law power:over=d_model is not compared: ") for line in lines)
    first = replace(wide, choice=Choice({"power:over=width": 0.6, "chinchilla": 0.4}, "tried", True, (), {}, (fit,)))
    rows = table_of(sf.report(first, N=1e9, D="300B"), "Sensitivity").rows
    assert rows[1][0] == "law chinchilla", "the first that takes the point"


@pytest.mark.parametrize("compute", ["abc", -5, 0, float("nan")])
def test_a_budget_that_is_none_is_refused(fit, compute):
    with pytest.raises(InputError, match="compute"):
        sf.report(fit, compute=compute)


def test_a_budget_for_a_law_without_a_plan_is_refused():
    C = np.geomspace(1e18, 1e20, 8)
    power = sf.fit(pd.DataFrame({"C": C, "loss": 2 + 300 * C**-0.13}), "power-floor:over=C")
    with pytest.raises(InputError, match="plans no size and data"):
        sf.report(power, compute=1e20)


def test_the_plan_is_for_the_compute_of_the_predicted_run(made, fit, undrawn):
    lines = "\n".join(line for block in part(made, "Plan").blocks if isinstance(block, Text) for line in block.lines)
    assert "1.8e+21 FLOP" in lines
    assert f"N {said(sf.plan(fit, compute=1.8e21).table['N'][0])} [" in lines
    other = sf.report(fit, N=1e9, D="300B", compute=1e20)
    assert "1e+20 FLOP" in str(part(other, "Plan").blocks[0])


def test_without_a_target_ten_times_the_largest_compute_is_planned(undrawn):
    N, D = np.array([1e6, 2e9, 1e9]), np.array([1e12, 1e9, 4e9])
    fit = SimpleNamespace(law=find_law("chinchilla"), points=SimpleNamespace(variables={"N": N, "D": D}))
    assert _compute_of(SimpleNamespace(fit=fit, any=False)) == pytest.approx(10 * 6 * 4e18)


def test_a_law_without_size_and_data_has_no_plan_and_a_fit_without_a_target_says_what_to_give(undrawn):
    C = np.geomspace(1e18, 1e20, 8)
    page = sf.report(sf.fit(pd.DataFrame({"C": C, "loss": 2 + 300 * C**-0.13}), "power-floor:over=C"))
    assert "Plan" not in [section.title for section in page.sections]
    assert "--at" in str(part(page, "Sensitivity").blocks[0])
    assert page.verdict.startswith("The law power-floor:over=C fits 8 rows")


def test_the_figures_show_the_held_out_runs_and_the_prediction(monkeypatch):
    drawn = []
    monkeypatch.setattr(Figure, "of", lambda caption, alt, draw: draw())
    monkeypatch.setattr("scalefit.plots.plot_residuals", lambda *given: drawn.append(given))
    law = find_law("chinchilla")
    fit = SimpleNamespace(
        rows=9, law=law, target="loss", sigma=0.01, plot=lambda held, **asks: drawn.append((held, asks))
    )
    _figures(SimpleNamespace(fit=fit, held_out="some", schedule="wsd", at={"N": 1e9}, any=True, place="at N"))
    _figures(SimpleNamespace(fit=fit, held_out=None, schedule=None, at={}, any=False, place=""))
    assert drawn[0] == ("some", {"schedule": "wsd", "at": {"N": 1e9}}) and drawn[1] == (fit, "some")
    assert drawn[2] == (None, {"schedule": None, "at": None}) and drawn[3] == (fit, None)


def test_a_figure_that_cannot_be_drawn_is_a_line():
    def refuse():
        raise InputError("nothing to draw", todo="give runs")

    drawn = Figure.of("The loss.", "loss", refuse)
    assert isinstance(drawn, Text)
    assert drawn.lines == ['The figure "The loss" was not drawn: nothing to draw; give runs']


@pytest.fixture
def there(tmp_path, monkeypatch, runs):
    monkeypatch.chdir(tmp_path)
    runs.to_csv("runs.csv", index=False)
    return tmp_path


def test_the_command_writes_the_page_and_says_its_verdict(there, fit, undrawn):
    fit.save("fit.json")
    result = commands.run("scalefit report fit.json --at N=1B,D=300B -o page.html --json")
    content = json.loads(result.stdout)
    text = (there / "page.html").read_text()
    assert content["verdict"] in text.replace("&#39;", "'")
    assert result.exit_code == (1 if content["warnings"] else 0)
    refused = commands.run("scalefit report fit.json --at N=1B,D=300B -o page.png")
    assert refused.exit_code == 2
    for other in ("--where 'N > 1'", "--law kaplan", "--drop-diverged"):
        assert commands.run(f"scalefit report fit.json {other} -o other.html").exit_code == 2
    assert not (there / "other.html").exists()


def test_every_answer_can_be_a_page_or_a_table_for_a_paper(there):
    command = "scalefit plan runs.csv --compute 1e21 --draws 30"
    plain = commands.run(command)
    result = commands.run(f"{command} --report plan.html --format markdown")
    assert result.exit_code == plain.exit_code
    page = (there / "plan.html").read_text()
    assert plain.stdout.splitlines()[0] in page
    assert page.count("<figure>") == 1
    head, _rule, *rows = result.stdout.splitlines()
    assert head.startswith("| target | C | N | D |")
    assert len(rows) == 1
    assert "±" in rows[0] or "[" in rows[0]
    latex = commands.run("scalefit fit runs.csv --law chinchilla --format latex --exit-zero").stdout
    assert r"A N^{-\alpha} + B D^{-\beta}" in latex
    assert json.loads(commands.run(f"{command} --format json").stdout) == json.loads(
        commands.run(f"{command} --json").stdout
    )


def test_laws_of_the_same_columns_and_at_most_six_constants_are_rivals(fit, runs, monkeypatch):
    names = ("chinchilla", "kaplan", "skaling", "farseer", "power:over=N")  # 5, 4, 6 and 9 constants; other columns
    found = SimpleNamespace(laws=[(find_law(name), "") for name in names])
    monkeypatch.setattr(sensitivity, "candidates_for", lambda runs, target: found)
    monkeypatch.setattr(sensitivity, "fit_one", lambda runs, law, **how: law.name)
    for data in (runs, sf.read_runs(runs)):
        assert sensitivity._rivals(fit, data, []) == ["kaplan", "skaling"]


def test_the_value_under_other_choices_is_that_at_the_end_of_a_schedule(monkeypatch):
    made = pd.DataFrame({"step": [1, 2, 3], "loss": [3.0, 2.5, 2.25]})
    monkeypatch.setattr(sensitivity, "predict", lambda fit, schedule, at: made)
    assert sensitivity._value(SimpleNamespace(target="loss"), SimpleNamespace(schedule="wsd", at={})) == 2.25
