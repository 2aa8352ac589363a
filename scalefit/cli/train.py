"""Train one small (proxy) model and write its run log; an interrupted run continues where it stopped."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from scalefit.cli import options
from scalefit.cli.output import Answer, answering, as_lines, records
from scalefit.errors import InputError
from scalefit.escaping import one_line

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@click.argument("config", required=False, type=click.Path(), metavar="[CONFIG.toml]")
@click.option("--quick", is_flag=True, help="Train a small model that takes less than a minute on a CPU.")
@options.shared("--set")
@click.option("--out", default="runs", metavar="FOLDER", help="Write into this folder.")
@answering
def command(config: str | None, quick: bool, settings: tuple[str, ...], out: str) -> Answer:
    """\b
    Example:
      scalefit train --quick --set steps=60 --out runs
    """
    torch_is_there()
    from dataclasses import asdict

    from scalefit.proxy import QUICK, Config, train
    from scalefit.proxy.data_parallel import rank
    from scalefit.runs import read_runs

    content: dict[str, Any] = asdict(QUICK) if quick else {}
    content |= read_toml(config) if config else {}
    if not quick and not config and not settings:
        raise InputError("nothing to train", todo="give a TOML file, --quick, or --set KEY=VALUE")
    content |= {key: plain(value) for key, value in options.pairs(settings, "--set").items()}
    folder = train(Config.read(content, config or "--set"), out, progress())
    if rank():  # the first of several processes answers for all
        sys.exit(0)
    runs = read_runs(folder)
    curve = runs.curves
    assert curve is not None
    shown = curve[[name for name in ("step", "tokens", "lr", "loss", "val_loss") if name in curve.columns]]
    measured = shown.dropna(subset="val_loss")
    some = measured.iloc[:: -max(1, len(measured) // 12)].iloc[::-1]
    text = f"{_headline(folder)}\n{as_lines(some)}\n"
    text += f"next: scalefit inspect {folder}, scalefit laws --for {folder}; a family of runs: scalefit sweep"
    return Answer([text], {"folder": str(folder), "table": records(runs.table)}, shown)


def _headline(folder: Path) -> str:
    """Where the run lies, how large it was, how it ended."""
    from scalefit.proxy.run_folder import RunFolder

    about = RunFolder(folder).facts()
    unit = str(about["flops_formula"]).rpartition("D counts ")[2]
    ended = "" if about.get("val_loss") is None else f", val_loss {about['val_loss']:.4g} nats"
    size = f"N = {about['N']:,} parameters, D = {about['D']:,} {unit}"
    note = f"\n! {about['note']}" if "note" in about else ""
    return f"{folder}: {about['status']}{ended}; {size}, {about['wall_s']:.1f} s{note}"


def torch_is_there() -> None:
    """Refuse in one line where the extra is not installed."""
    from importlib.util import find_spec

    if find_spec("torch") is None:
        raise InputError("PyTorch is not installed", todo='install the extra: pip install -e ".[proxy]"')


def read_toml(path: str) -> dict[str, Any]:
    """A TOML file, or the line that says why it cannot be read."""
    import tomllib
    from pathlib import Path

    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=path, todo="give a TOML file") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"not TOML ({error})", where=path, todo="mend the file") from error


def plain(text: str) -> Any:
    """A value as TOML would read it, or a number as people write it; a bare word is text.

    >>> plain("3"), plain(".5"), plain("true"), plain("mup")
    (3, 0.5, True, 'mup')
    """
    import tomllib

    for written in (text, f"0{text}", f"{text}0"):  # .5 and 5. are no numbers to TOML
        try:
            return tomllib.loads(f"value = {written}")["value"]
        except tomllib.TOMLDecodeError:
            if "." not in (text[:1], text[-1:]):
                break
    return text


def progress() -> Any:
    """Writes the last line of progress over the one before it, on a terminal only."""
    if not sys.stderr.isatty():
        return None
    return lambda line: click.echo(f"\r{one_line(line):<78}", nl=False, err=True)
