"""Many fits as one batch give the numbers of single fits."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.cli import main


def _curves(lengths: tuple[int, ...]) -> pd.DataFrame:
    """A curve of each length, on steps and of constants of its own, with noise and an outlier."""
    rng, parts = np.random.default_rng(0), []
    for i, rows in enumerate(lengths):
        step = np.unique(np.geomspace(50 + 10 * i, 20_000 + 5_000 * i, rows).astype(int))
        loss = (2 + 0.1 * i + (6 + i) * step ** -(0.3 + 0.05 * i)) * np.exp(0.01 * rng.standard_normal(len(step)))
        loss[2] *= 1.1
        parts.append(pd.DataFrame({"run": f"run {i}", "task": f"task {i // 2}", "step": step, "loss": loss}))
    return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize("delta", ["auto", 0.01])
@pytest.mark.parametrize("residuals", ["log", "linear"])
def test_many_fits_are_those_of_each_curve_alone(residuals: str, delta: float | str) -> None:
    curves = _curves((12, 30, 21))
    made = sf.fit_many(curves, "power-floor:over=step", residuals=residuals, delta=delta)
    for run, rows in curves.groupby("run"):
        one = sf.fit(rows, "power-floor:over=step", points="all", residuals=residuals, delta=delta)
        told = made.loc[run]
        wanted = [*one.parameters.values(), one.cost, one.sigma, one.delta]
        assert told[[*one.parameters, "cost", "sigma", "delta"]].to_list() == pytest.approx(wanted, rel=1e-6)
        assert (told["rows"], told["agree"], told["status"]) == (one.rows, one.starts.agree, one.status)


def test_groups_are_the_values_of_any_column_and_each_says_why_it_cannot_be_fitted() -> None:
    curves = _curves((12, 30, 3))
    made = sf.fit_many(curves, "power-floor:over=step", by="task")
    assert made.index.to_list() == ["task 0", "task 1"]
    assert made["status"].to_list() == ["converged", "not-identified"]
    assert made["rows"].to_list() == [len(curves) - 3, 3]
    assert "3 rows for 3 free parameters" in made.loc["task 1", "reason"]
    assert np.isnan(made.loc["task 1", "alpha"])
    none = sf.fit_many(_curves((3, 3)), "power-floor:over=step")
    assert none["status"].to_list() == ["not-identified"] * 2 and none["alpha"].isna().all()
    assert none["reason"].str.contains("3 rows for 3 free parameters").all()


def test_curves_of_several_runs_in_one_fit_are_counted_and_told(tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
    curves = _curves((12, 30, 21))
    made = sf.fit_many(curves, "power-floor:over=step", by="task")
    assert made["runs"].to_list() == [2, 1]
    assert "runs" not in sf.fit_many(curves, "power-floor:over=step")
    curves.to_csv(tmp_path / "curves.csv", index=False)
    command = ["fit", str(tmp_path / "curves.csv"), "--law", "power-floor:over=step", "--exit-zero", "--each"]
    for by, told in (("task", True), ("run", False)):
        with pytest.raises(SystemExit):
            main([*command, by])
        assert ("curves of up to 2 runs are pooled in one fit" in capsys.readouterr().out) == told


@pytest.mark.parametrize(("lengths", "code"), [((12, 30), 0), ((12, 3), 1), ((3, 3), 1)])
def test_the_command_fails_where_one_of_the_fits_does(tmp_path, lengths, code) -> None:
    _curves(lengths).to_csv(tmp_path / "curves.csv", index=False)
    with pytest.raises(SystemExit) as done:
        main(["fit", str(tmp_path / "curves.csv"), "--law", "power-floor:over=step", "--each", "run"])
    assert done.value.code == code


def test_a_law_whose_box_depends_on_the_rows_is_refused_by_name() -> None:
    pairs = _curves((30,)).assign(loss_source=lambda table: table["loss"] + 1)
    with pytest.raises(sf.InputError, match="law loss-to-loss is fitted to each set of rows in another way"):
        sf.fit_many(pairs, "loss-to-loss:floors_of=free")


def test_the_command_refuses_what_holds_for_one_fit_only(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["fit", "data/size_data/runs.csv", "--law", "power:over=D", "--each", "N", "--fix", "A=2"]
    with pytest.raises(SystemExit):
        main(asked)
    assert "--fix is for one fit, not for one of each N" in capsys.readouterr().err


def test_rows_without_a_value_to_group_by_are_refused_and_groups_of_too_few_rows_say_so() -> None:
    curves = _curves((12, 30))
    with pytest.raises(sf.InputError, match="30 rows have no value of task"):
        sf.fit_many(
            curves.assign(task=np.where(curves["run"] == "run 0", "a", None)), "power-floor:over=step", by="task"
        )
    alone = sf.fit_many(curves.assign(lr=1 / curves["step"]), "power-floor:over=step", by="lr")
    assert set(alone["status"]) == {"not-identified"}


def test_numbers_that_differ_in_their_last_digits_are_one_group() -> None:
    curves = _curves((12, 30))
    made = sf.fit_many(
        curves.assign(wd=np.where(curves["run"] == "run 0", 0.3, 0.1 + 0.2)), "power-floor:over=step", by="wd"
    )
    assert made["rows"].to_dict() == {"0.3": 42}
