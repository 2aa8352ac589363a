"""Is a run in progress healthy? Whether it spikes, has diverged or is stuck, and which signal warned first."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from scalefit.cli import options
from scalefit.cli.options import number, told
from scalefit.cli.output import Answer, answering, figures, live
from scalefit.errors import InputError
from scalefit.status_line import tell

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from scalefit.progress.watch import Watch
    from scalefit.runs import Runs

POLL = "With --follow: how often the log is looked at."
IDLE = "With --follow: end where the log has not grown for so long."


@dataclass(frozen=True)
class _Seen:
    """One look at the logs: the runs, and the health of each that is watched."""

    runs: Runs
    found: Mapping[str, Watch]

    @property
    def curves(self) -> pd.DataFrame:
        assert self.runs.curves is not None
        return self.runs.curves


@click.command()
@options.logs
@options.shared("--run", show_default="all")
@options.shared("--initial-loss", show_default="the log's first, if it begins at step 0 or 1")
@options.shared("--steps", show_default="as far ahead as the log goes back")
@click.option("--fit", "fit_file", metavar="FIT.json", help="A saved fit, whose prediction the loss is compared with.")
@click.option("--follow", is_flag=True, help="Look again whenever the log has grown, until its runs end, or Ctrl-C.")
@click.option("--poll", type=click.FloatRange(0.1), default=5.0, metavar="SECONDS", help=POLL)
@click.option("--idle", type=click.FloatRange(0), default=30.0, metavar="MINUTES", help=IDLE)
@options.shared("--plot")
@answering
def command(
    files: tuple[str, ...],
    run: str | None,
    initial_loss: str | None,
    steps: int | None,
    fit_file: str | None,
    follow: bool,
    poll: float,
    idle: float,
    plot: str | None,
    **reading: Any,
) -> Answer:
    """A run has diverged, is diverging (its loss rises ever faster, or is lost and rises on), is undecided (its last
    rows are lost, too few to say for good), is stuck (at its initial loss), has risen (its loss stands above an earlier
    level), has spikes, is calm, or is too short to judge. --plot draws one run: of several the one that is worst off.
    Exit code 1 where a run has diverged, is diverging or undecided.

    --follow prints a line whenever a run is judged differently or a new warning appears. It ends by itself when every
    run has diverged, has ended by its log, or is at its last step (--steps, a column such as total_steps, --schedule).

    \b
    Example:
      scalefit watch data/schedules/curves.csv --run d96-cosine-1600
    """

    def look() -> _Seen:
        return _look(options.read(files, **reading), run, initial_loss, steps, fit_file)

    seen, reason = _followed(look, files, steps, poll, 60 * idle) if follow else (look(), "")
    return _answer(seen, files, reason, plot)


def _followed(
    look: Callable[[], _Seen], files: tuple[str, ...], steps: int | None, poll: float, idle: float
) -> tuple[_Seen, str]:
    """The last look at a growing log, and why it was the last; what changes is printed as it is seen."""
    from scalefit.progress.follow import end_of, has_begun, looks, mark_of

    if "-" in files:
        raise InputError("standard input cannot be looked at twice", where="--follow", todo="name the file")
    seen, told_before = None, dict[str, set[tuple[str, int, str]]]()
    every = looks(
        look, lambda: mark_of(files), lambda: pause(poll), begun=lambda: has_begun(files), idle=max(idle, poll)
    )
    try:
        for each in every:
            seen = each
            for name, watched in each.found.items():
                live(_news(name, watched, told_before))
            tell(_where(each))
            reason = end_of(each.runs, each.found, steps)
            if reason:
                return each, reason
    except KeyboardInterrupt:
        if seen is None:
            raise
        return seen, "Ctrl-C"
    assert seen is not None  # the generator raises where no look succeeds
    return seen, f"the log has not grown for {idle / 60:.3g} minutes"


def pause(seconds: float) -> float:
    """Let some time pass; how many seconds that was."""
    time.sleep(seconds)
    return seconds


def _news(name: str, watched: Watch, told_before: dict[str, set[tuple[str, int, str]]]) -> list[str]:
    """Lines on what is new about a run: how it is judged, and each warning, once."""
    now = {("", 0, watched.status), *((each.signal, each.step, "") for each in watched.warnings)}
    before = told_before.get(name, set())
    told_before[name] = now | {one for one in before if one[0]}
    lines = [f"{name}: {watched.status} at step {watched.step}: {watched.why}"] * (
        ("", 0, watched.status) not in before
    )
    new = [each for each in watched.warnings if (each.signal, each.step, "") not in before]
    return lines + [f"  step {each.step}: {each.signal} {each.text}" for each in new]


def _where(seen: _Seen) -> str:
    """Where the runs are: the line that is renewed on a terminal."""
    last = seen.curves.groupby("run", observed=True).tail(1)
    rows = [row for row in last.itertuples() if str(row.run) in seen.found]
    return "following " + ", ".join(f"{row.run} at step {row.step}, loss {row.loss:.4g}" for row in rows[:3])


def _look(runs: Runs, run: str | None, initial_loss: str | None, steps: int | None, fit_file: str | None) -> _Seen:
    """The health of the runs as their logs are now."""
    from scalefit.progress.watch import watch
    from scalefit.runs.final import marked
    from scalefit.runs.trajectory import spans

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
    return _Seen(runs, found)


def _answer(seen: _Seen, files: tuple[str, ...], reason: str, plot: str | None) -> Answer:
    import pandas as pd

    from scalefit.progress.behind import as_told, named_behind

    found, curves = seen.found, seen.curves
    rows = []
    for name, each in found.items():
        rows.append({"run": name, "status": each.status, "signal": "", "step": each.step, "text": each.why})
        rows += [{"run": name, "status": each.status, **vars(one)} for one in each.warnings]
    unseen = sorted({signal for each in found.values() for signal in each.unseen})
    behind = {name: named_behind(files, name) for name in found}
    lines = _together(found)
    lines += [line for name, each in found.items() for line in (f"{name}: {each}", *map(as_told, behind[name]))]
    lines += [f"followed until: {reason}"] if reason else []
    lines += _unseen(unseen)
    content: dict[str, Any] = {
        "runs": {
            name: {"status": each.status, "step": each.step, "why": each.why,
                   "warnings": [vars(w) for w in each.warnings], "spikes": [vars(s) for s in each.spikes],
                   "examples": behind[name]}
            for name, each in found.items()
        },
        "not_in_the_log": unseen,
    }  # fmt: skip
    content |= {"followed_until": reason} if reason else {}
    table = pd.DataFrame(rows, columns=["run", "status", "signal", "step", "text"])
    ok = all(each.status not in ("diverged", "diverging", "undecided") for each in found.values())
    return Answer(lines, content, table, ok, told(seen.runs), figures(plot, lambda: _figure(found, curves)))


def _together(found: Mapping[str, Watch]) -> list[str]:
    """How many of several runs are in which state, the gravest first; nothing for one run."""
    from scalefit.errors import listed
    from scalefit.progress.watch import GRAVEST

    runs = {status: [name for name, each in found.items() if each.status == status] for status in GRAVEST}
    told = [f"{len(names)} {status} ({listed(names)})" for status, names in runs.items() if names]
    return [f"{len(found)} runs: {', '.join(told)}"] if len(found) > 1 else []


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
