"""Wrong usage of a command: every fault of a line, where click stops at the first; options that are not read."""

from __future__ import annotations

import re
from collections.abc import Sequence

import click
from click.core import ParameterSource, iter_params_for_processing

from scalefit.errors import InputError, together


def refuse_unread(beside: str, where: str, *names: str) -> None:
    """Raise for the first of these parameters that was given, which the command does not read beside an option."""
    context = click.get_current_context()
    for parameter in context.command.params:
        if parameter.name in names and context.get_parameter_source(parameter.name) is not ParameterSource.DEFAULT:
            option = parameter.opts[0]
            what = f"{option} beside {beside}, which does not read it"
            raise InputError(what, where=where, todo=f"leave out {option}")


def every_fault(first: click.UsageError, words: Sequence[str]) -> InputError:
    """The error that lists all faults of a command line, given the one at which click stopped."""
    found = [first]
    if first.ctx is not None and not isinstance(first.ctx.command, click.Group):
        found = _faults(first.ctx, words[1:]) or found
    place = first.ctx.command_path if first.ctx is not None else "scalefit"
    return together([InputError(_said(fault), todo=f"see {place} --help") for fault in found])


def _faults(context: click.Context, words: Sequence[str]) -> list[click.UsageError]:
    """The options that the command does not have, and the values and arguments that are wrong or missing."""
    command, left, found = context.command, list(words), list[click.UsageError]()
    while True:
        try:
            values, rest, order = command.make_parser(context).parse_args(list(left))
            break
        except click.NoSuchOption as error:
            found.append(error)
            known = [word for word in left if word.partition("=")[0] != error.option_name]
            if len(known) == len(left):  # it is part of a word such as -xq
                return found
            left = known
        except click.UsageError as error:  # an option without its value: what follows cannot be told apart
            return [*found, error]
    for parameter in iter_params_for_processing(order, command.get_params(context)):
        try:
            _, rest = parameter.handle_parse_result(context, values, rest)
        except click.UsageError as error:
            found.append(error)
    return found


def _said(fault: click.UsageError) -> str:
    """What is wrong; of a missing option also what it is, of an unknown one the option whose value holds it."""
    text = fault.format_message().rstrip(".")
    if isinstance(fault, click.NoSuchOption) and fault.ctx is not None:
        name = fault.option_name.lstrip("-").replace("-", "_")
        holders = [each.opts[0] for each in fault.ctx.command.params if _holds(each, name)]
        if holders:
            return f"{text.partition(' (Did')[0].rstrip('.')} (write {name}=... in {' or '.join(holders)})"
    asked = getattr(fault.param, "help", None) if isinstance(fault, click.MissingParameter) else None
    return f"{text} ({asked.rstrip('.')})" if asked else text


def _holds(parameter: click.Parameter, name: str) -> bool:
    """Whether an option's value is written with this key, as its help or its placeholder shows."""
    shown = f"{parameter.metavar or ''} {getattr(parameter, 'help', None) or ''}"
    return bool(re.search(rf"(?<![\w-]){re.escape(name)}=", shown))
