"""The command line: one file for each command; each parses its options, calls one function and prints the answer."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Any, NoReturn

import click

import scalefit
from scalefit.errors import ON_COMMAND_LINE, ScalefitError
from scalefit.memory import remembering

FOLDER = __path__[0]
NOT_COMMANDS = {"__init__", "completion", "headline", "options", "output", "project", "rows_left", "shape", "usage"}
LONGEST = 300  #: letters of an unexpected error that are shown
REPORT = "please report it with the command and, if you can, the file; --traceback shows where it arose"
SETTINGS = {"help_option_names": ["-h", "--help"], "show_default": True}


class Commands(click.Group):
    """The commands of this folder, imported when they are asked for; nothing heavy is loaded for ``--help``."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, from the files of this folder."""
        names = (name.removesuffix(".py") for name in os.listdir(FOLDER) if name.endswith(".py"))  # noqa: PTH208
        return sorted(name.replace("_", "-") for name in names if name not in NOT_COMMANDS)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands with the first line of their files, so that no command is imported to list them."""
        rows = []
        for name in self.list_commands(ctx):
            with open(os.path.join(FOLDER, name.replace("-", "_") + ".py"), encoding="utf-8") as file:  # noqa: PTH118, PTH123
                rows.append((name, file.readline().strip().strip('"')))
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, or None; for a near miss :meth:`resolve_command` names the nearest."""
        if cmd_name not in self.list_commands(ctx):
            return None
        module = importlib.import_module(f"{__name__}.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def main(self, args: Sequence[str] | None = None, *, standalone_mode: bool = True, **extra: Any) -> Any:  # type: ignore[override]  # click has overloads
        """Run and exit; a usage error is one line on stderr (or one JSON object), as any other error."""
        speaks = ON_COMMAND_LINE.set(True)
        try:
            with remembering():
                code = super().main(args, standalone_mode=False, **extra)
        except click.ClickException as error:
            if not standalone_mode or not isinstance(error, click.UsageError) or error.ctx is None:
                raise
            from scalefit.cli.output import fail
            from scalefit.cli.usage import every_fault

            words = list(sys.argv[1:] if args is None else args)
            fail(every_fault(error, words), "--json" in words)
        except click.Abort:
            sys.exit(130)
        finally:
            ON_COMMAND_LINE.reset(speaks)
        if standalone_mode:
            sys.exit(code if isinstance(code, int) else 0)
        return code

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command; an unknown one names the nearest."""
        from difflib import get_close_matches

        if args and args[0] not in self.list_commands(ctx) and not args[0].startswith("-"):
            near = get_close_matches(args[0], self.list_commands(ctx), n=1)
            ctx.fail(f"no command '{args[0]}'" + (f"; did you mean {near[0]}?" if near else ""))
        return super().resolve_command(ctx, args)


def run() -> NoReturn:
    """The program ``scalefit``: an error that no command foresaw is one line with a request to report it.

    With ``--traceback`` it is shown as Python shows it. Called as a click command, ``main`` raises it always.
    """
    if "--traceback" not in sys.argv[1:]:
        sys.excepthook = unforeseen
    main(prog_name="scalefit")
    sys.exit(0)


def unforeseen(kind: type[BaseException], error: BaseException, _: TracebackType | None) -> None:
    """Show an error that reached the end of the program, and exit with 2."""
    from scalefit.cli.output import fail

    what = f"an unexpected error, a fault of scalefit ({kind.__name__}: {str(error)[:LONGEST]})"
    fail(ScalefitError(what, todo=REPORT), "--json" in sys.argv[1:])


@click.group(cls=Commands, invoke_without_command=True, context_settings=SETTINGS)
@click.version_option(scalefit.__version__, prog_name="scalefit")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Fit scaling laws to the logs of small training runs, and predict the large ones.

    \b
    Example:
      scalefit fit data/schedules/curves.csv --where "d_model == 96" --law annealing:decay=0.99
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
