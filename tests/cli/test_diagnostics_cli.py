"""Every diagnosis on the command line: a line of the table, a code in the JSON, the figure, exit code 1."""

from __future__ import annotations

import dataclasses
import json
import re

import commands
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot

import scalefit as sf
from scalefit import plots
from scalefit.schedules import areas, parse_schedule
from scalefit.solver.solve import solve as solver


def table(loss, noise=0.001, **columns):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(columns)
    names = [f"r{i}" for i in range(len(frame))]
    return frame.assign(run=names, loss=loss * np.exp(noise * rng.standard_normal(len(frame))))


def curves(peaks=(1e-3, 1e-3, 1e-3, 1e-3), **facts):
    """Logs along three falling schedules and a constant one, with the learning rate of every step."""
    parts = []
    for i, (peak, end) in enumerate(zip(peaks, (1.0, 0.1, 0.0, 0.3), strict=True)):
        lr = parse_schedule(f"cosine:peak_lr={peak},steps=600,final={end * peak}").per_step()
        S1, S2 = areas(lr, decay=0.99)
        step = np.arange(0, 601, 1)
        loss = 2.5 + 0.5 * S1**-0.5 - 0.3 * S2
        columns = {name: values[i] for name, values in facts.items()}
        parts.append(pd.DataFrame({"run": f"r{i}", "step": step, "lr": lr, "loss": loss}).assign(**columns))
    return pd.concat(parts)


N = np.geomspace(1e6, 1e9, 20)
WAVE = np.arange(80.0)
LADDER = np.r_[np.geomspace(1e16, 1e17, 13), 1e20]
FLAT = np.full(20, 1e9)
C = np.geomspace(1e16, 1e20, 20)
CASES = {
    "influential": (table((1.7 + 2e3 * LADDER**-0.18) * np.r_[np.ones(13), 1.03], C=LADDER), "power-floor:over=C"),
    "largest-run": (table((1.7 + 2e3 * C**-0.18) * np.r_[np.ones(19), 1.03], C=C), "power-floor:over=C"),
    "at-bound": (table(5 * N**-0.05 - 1, N=N), "power-floor:over=N"),
    "not-identified": (table(1.7 + 400 * N**-0.34, N=N, D=FLAT), "chinchilla --force"),
    "outside-domain": (table(1.7 + 400 * N**-0.34 + 410 * FLAT**-0.28, N=N), "power-floor:over=N --fix L_inf=-1"),
    "starts-disagree": (table(3 + np.sin(2.6 * WAVE), noise=0.1, x=WAVE), "'a + b*sin(k*x)'"),
    "mid-schedule": (curves, "power-floor:over=N", {"N": (1e6, 2e6, 4e6, 8e6)}),
    "mixed-runs": (curves, "annealing:decay=0.99", {"batch": (64, 64, 64, 128)}),
    "peak-lr-mixed": (curves, "annealing:decay=0.99", {"peaks": (1e-3, 1e-3, 1e-3, 4e-3)}),
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    pyplot.close("all")


def said(code, command):
    """The text of a diagnosis, which the table shows, the JSON holds and the exit code tells."""
    shown, held, ignored = (commands.run(f"{command} {option}") for option in ("", "--json", "--exit-zero"))
    assert (shown.exit_code, held.exit_code, ignored.exit_code) == (1, 1, 0)
    answer = json.loads(held.stdout)
    texts = [check["text"] for check in [*answer["warnings"], *answer.get("cautions", [])] if check["code"] == code]
    assert texts
    assert f"! {texts[0]}" in shown.stdout
    return texts[0]


@pytest.mark.parametrize("code", CASES)
def test_a_fit_says_it_everywhere(code, folder):
    runs, law, *facts = CASES[code]
    (runs(**facts[0]) if facts else runs).to_csv("runs.csv", index=False)
    text = said(code, f"scalefit fit runs.csv --law {law} --draws 0 --save fit.json")
    fit = sf.load_fit("fit.json")
    only = dataclasses.replace(fit, warnings=tuple(check for check in fit.warnings if check.text == text))
    assert text[:30] in plots.plot_fit(only).get_title("left").replace("\n", " ").replace("\N{NO-BREAK SPACE}", " ")
    point = "--schedule constant:peak_lr=1e-3,steps=700" if "annealing" in law else "--at "
    if point == "--at ":
        point += ",".join(f"{column}={fit.ranges[name][1]}" for name, column in fit.law.columns.items())
    again = said(code, f"scalefit predict fit.json {point}")
    assert again == text or code == "influential"  # at another point, by another amount


def test_a_fit_that_does_not_converge_says_it(folder, monkeypatch):
    table(1.7 + 400 * N**-0.34, N=N).to_csv("runs.csv", index=False)
    found = solver
    monkeypatch.setattr(
        "scalefit.fitting.fit.solve", lambda *given: dataclasses.replace(found(*given), converged=False)
    )
    assert "without reaching an optimum" in said(
        "not-converged", "scalefit fit runs.csv --law power-floor:over=N --draws 0"
    )


def test_a_prediction_far_beyond_the_data_says_it(folder):
    table(1.7 + 400 * N**-0.34, N=N).to_csv("runs.csv", index=False)
    fit = "scalefit fit runs.csv --law power-floor:over=N --draws 0"
    assert commands.run(f"{fit} --save fit.json --at N=2e9").exit_code == 0
    assert commands.run("scalefit predict fit.json --at N=2e9").exit_code == 0
    text = said("far-beyond", f"{fit} --at N=1T")
    assert said("far-beyond", "scalefit predict fit.json --at N=1T") == text


def test_a_run_off_its_family_says_it(folder):
    logs = curves()
    logs.to_csv("runs.csv", index=False)
    assert commands.run("scalefit fit runs.csv --law annealing:decay=0.99 --draws 0 --save fit.json").exit_code == 0
    early = logs[(logs["run"] == "r1") & (logs["step"] <= 400)].drop(columns="lr")
    command = "scalefit predict fit.json --from-partial run.csv"
    command += " --schedule cosine:peak_lr=1e-3,steps=600,final=1e-4"
    early.to_csv("run.csv", index=False)
    assert commands.run(f"{command} --plot run.png").exit_code == 0
    early.assign(loss=1.2 * early["loss"]).to_csv("run.csv", index=False)
    assert "20 % above the law" in said("off-family", command)


def test_every_code_has_a_row_in_the_docs():
    page = (commands.ROOT / "docs" / "diagnostics.md").read_text(encoding="utf-8")
    sources = [path.read_text(encoding="utf-8") for path in (commands.ROOT / "scalefit").rglob("*.py")]
    codes = {code for text in sources for code in re.findall(r'Check\(\s*"([a-z-]+)"', text)}
    assert {"influential", "far-beyond", "not-identified"} < codes
    assert not [code for code in codes if f"`{code}`" not in page]
