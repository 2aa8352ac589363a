"""Is a run in progress healthy? Whether it spikes, has diverged or is stuck, and which signal warned first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from scalefit.cli import options
from scalefit.cli.options import number, read, told
from scalefit.cli.output import Answer, answering, figures
from scalefit.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from matplotlib.axes import Axes

    from scalefit.progress.watch import Watch


@click.command()
@options.logs
@options.shared("--run", show_default="all")
@options.shared("--initial-loss", show_default="the log's first, if it begins at step 0 or 1")
@options.shared("--steps", show_default="as far ahead as the log goes back")
@click.option("--fit", "fit_file", metavar="FIT.json", help="A saved fit, whose prediction the loss is compared with.")
@options.shared("--plot")
@answering
def command(
    files: tuple[str, ...],
    run: str | None,
    initial_loss: str | None,
    steps: int | None,
    fit_file: str | None,
    plot: str | None,
    **reading: Any,
) -> Answer:
    """A run has diverged, is diverging (its loss rises ever faster), is stuck (at its initial loss), has risen (its
    loss stands above an earlier level), has spikes, is calm, or is too short to judge. --plot draws one run: of several
    the one that is worst off. Exit code 1 where a run has diverged or is diverging.

    \b
    Example:
      scalefit watch data/schedules/curves.csv --run d96-cosine-1600
    """
    import pandas as pd

    from scalefit.progress.watch import watch
    from scalefit.runs.final import marked
    from scalefit.runs.table import spans

    runs = read(files, **reading)
    if runs.curves is None:
        raise InputError("the log holds no steps", todo="give a log with one row per logged step")
    if run is not None and run not in runs.names:
        raise InputError(f'there is no run "{run}"', where="--run", todo=f"runs: {', '.join(runs.names[:9])}")
    initial = number(initial_loss, "--initial-loss") if initial_loss else None
    _refuse_impossible(runs.curves if run is None else runs.curves[runs.curves["run"] == run], initial, steps)
    expected = _expected(fit_file, runs) if fit_file else None
    lost = set(runs.table["run"][marked(runs.table)].astype(str))
    found = {
        name: watch(
            runs.curves.iloc[start:stop].assign(diverged=name in lost),
            initial,
            None if expected is None else expected[start:stop],
            steps,
        )
        for name, start, stop in spans(runs.curves)
        if run is None or name == run
    }
    rows = []
    for name, seen in found.items():
        rows.append({"run": name, "status": seen.status, "signal": "", "step": seen.step, "text": seen.why})
        rows += [{"run": name, "status": seen.status, **vars(each)} for each in seen.warnings]
    unseen = sorted({signal for seen in found.values() for signal in seen.unseen})
    lines = [*(f"{name}: {seen}" for name, seen in found.items()), *_unseen(unseen)]
    runs_seen = {
        name: {"status": seen.status, "step": seen.step, "why": seen.why, "warnings": [vars(w) for w in seen.warnings],
               "spikes": [vars(s) for s in seen.spikes]}
        for name, seen in found.items()
    }  # fmt: skip
    table = pd.DataFrame(rows, columns=["run", "status", "signal", "step", "text"])
    ok = all(seen.status not in ("diverged", "diverging") for seen in found.values())
    curves = runs.curves
    drawn = figures(plot, lambda: _figure(found, curves))
    return Answer("\n".join(lines), {"runs": runs_seen, "not_in_the_log": unseen}, table, ok, told(runs), drawn)


def _figure(found: Mapping[str, Watch], curves: pd.DataFrame) -> Axes:
    """The figure of the run that is worst off."""
    from scalefit.plots import plot_watch
    from scalefit.progress.watch import GRAVEST

    name = min(found, key=lambda each: GRAVEST.index(found[each].status))
    return plot_watch(found[name], curves[curves["run"] == name], name=name)


def _unseen(signals: list[str]) -> list[str]:
    """The signals that were not watched, and how to name their columns."""
    columns = [signal for signal in signals if " " not in signal]
    hint = " ".join(f"--map {name}=COLUMN" for name in columns)
    lines = [f"not in the log: {', '.join(columns)} (under another name: {hint})"] if columns else []
    return lines + [f"not watched: {signal} (give --fit FIT.json)" for signal in signals if signal not in columns]


def _expected(fit_file: str, runs: Any) -> Any:
    """The loss by a saved fit at each row of the curves; NaN where it gives none, such as during warmup."""
    import numpy as np

    from scalefit.fitting.prediction import predict
    from scalefit.fitting.saved import load_fit

    fit = load_fit(fit_file)
    table = predict(fit, runs)
    values = table["predicted" if "predicted" in table.columns else fit.target].to_numpy(float)
    if len(table) == len(runs.curves):
        return values
    if not {"run", "step"} <= set(table.columns):
        todo = "leave rows out with --where"
        raise InputError("the fit does not predict every row of the log", where="--fit", todo=todo)
    keys = [(str(run), int(step)) for run, step in zip(table["run"], table["step"], strict=True)]
    known = dict(zip(keys, values.tolist(), strict=True))  # all but the rows during warmup
    rows = zip(runs.curves["run"].astype(str), runs.curves["step"], strict=True)
    return np.array([known.get((run, int(step)), np.nan) for run, step in rows])


def _refuse_impossible(curves: pd.DataFrame, initial: float | None, steps: int | None) -> None:
    if initial is not None and not 0 < initial < float("inf"):
        raise InputError(f"a loss of {initial:g}", where="--initial-loss", todo="give that of the untrained model")
    last = int(curves["step"].max()) if "step" in curves.columns and len(curves) else 0
    if steps is not None and steps < max(last, 1):
        todo = "give the length of the whole run"
        raise InputError(f"{steps} steps, but the log is at step {last}", where="--steps", todo=todo)
