"""Which laws are there, what does one of them state, and which can these runs identify?"""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING, Any

import click

from scalefit.cli import options
from scalefit.cli.completion import laws as laws_begun
from scalefit.cli.output import Answer, answering
from scalefit.errors import InputError

if TYPE_CHECKING:
    from scalefit.laws import Law


@click.command()
@click.argument("name", required=False, shell_complete=laws_begun)
@click.option("--for", "for_", metavar="FILE", help="Say which laws these runs can identify, and what others lack.")
@click.option("--bibtex", is_flag=True, help="Print what to cite as BibTeX: the law's sources, and this program.")
@options.shared("--target", show_default="each law's own")
@options.reading
@answering
def command(name: str | None, for_: str | None, bibtex: bool, target: str | None, **reading: Any) -> Answer:
    """The other options apply to the runs given by --for. --bibtex without a NAME is that of all laws.

    \b
    Example:
      scalefit laws chinchilla
    """
    import pandas as pd

    from scalefit.laws import find_law, law_names

    if bibtex:
        if for_:
            raise InputError("two questions, --bibtex and --for", where="laws", todo="ask one of them")
        return _cited([find_law(each) for each in ([name] if name else law_names())])
    if for_:
        from scalefit.diagnosis.identifiable import identify

        runs = options.read((for_,), **reading)
        found = identify(runs, target)
        width = max(len(row.law) for row in found)
        briefly = [row.reason.removeprefix(f"{for_}: ").partition("; write --map")[0] for row in found]
        can = ["yes" if row.can else "no " for row in found]
        lines = [f"  {can:<4} {row.law:<{width}} {why}" for can, row, why in zip(can, found, briefly, strict=True)]
        rows = [{**vars(row), "doubts": "; ".join(row.doubts)} for row in found]
        return Answer(lines, {"laws": [vars(row) for row in found]}, pd.DataFrame(rows), notes=options.told(runs))
    if name:
        law = find_law(name)
        rows = [{"parameter": parameter, **vars(facts)} for parameter, facts in law.parameters.items()]
        return Answer([_about(law)], _content(law), pd.DataFrame(rows))
    laws = [find_law(each) for each in law_names()]
    width = max(len(law.name) for law in laws)
    lines = []
    for law in laws:
        lines.append(f"  {law.name:<{width}}  {law.equation}")
        lines.append(f"  {'':<{width}}  {law.title.rstrip('.')}; {', '.join(law.columns.values())}; {law.source}")
    return Answer(lines, {"laws": [_content(law) for law in laws]}, pd.DataFrame(map(_flat, laws)))


def _cited(laws: list[Law]) -> Answer:
    """What to cite for some laws; the entries alone are printed, so that they can be appended to a bibliography."""
    import pandas as pd

    from scalefit.reports.citations import INCOMPLETE, entries_of

    found = entries_of(laws)
    rows = [{"entry": each.key, "kind": each.kind, **each.fields} for each in found]
    text = "\n\n".join(["\n".join(f"% {line}" for line in wrap(INCOMPLETE, 100)), *map(str, found)])
    return Answer([text], {"entries": rows, "bibtex": "\n\n".join(map(str, found))}, pd.DataFrame(rows).fillna(""))


def _flat(law: Law) -> dict[str, str]:
    return {
        "law": law.name,
        "equation": law.equation,
        "variables": " ".join(law.variables),
        "parameters": " ".join(law.parameters),
        "source": law.source,
    }


def _content(law: Law) -> dict[str, Any]:
    return {
        "name": law.spec,
        "title": law.title,
        "equation": law.equation,
        "source": law.source,
        "variables": {n: {"unit": v.unit, "meaning": v.meaning} for n, v in law.variables.items()},
        "parameters": {
            n: {"unit": p.unit, "meaning": p.meaning, "low": p.low, "high": p.high, "linear": p.linear}
            for n, p in law.parameters.items()
        },
        "options": {n: {"default": o.default, "meaning": o.meaning} for n, o in law.declaration.options.items()},
        "needs": law.needs,
        "fails": law.fails,
    }


def _about(law: Law) -> str:
    """Everything about a law, from its declaration."""
    import inspect

    parts = [law.spec, "", inspect.getdoc(type(law)) or "", "", "Reads:"]
    parts += [f"  {n:<10} {v.unit:<28} {v.meaning}" for n, v in law.variables.items()]
    parts += ["", f"Explains: {law.target} ({law.target_unit})", "", "Finds:"]
    for n, p in law.parameters.items():
        kind = "linear" if p.linear else "searched"
        parts.append(f"  {n:<10} {p.unit:<28} {p.meaning}  [{p.low:g}, {p.high:g}] {kind}")
    if law.declaration.options:
        parts += ["", "Options:"]
        parts += [f"  {n:<10} {o.meaning} (default {o.default!r})" for n, o in law.declaration.options.items()]
    parts += ["", f"Needs: {law.needs}"] if law.needs else []
    parts += ["", f"Fails: {law.fails}"] if law.fails else []
    for published in (one for one in law.published if not one.source.startswith("closed form")):
        constants = ", ".join(f"{name} {value:.6g}" for name, value in published.parameters.items())
        parts += ["", f"Constants, {published.source}: {constants}"]
    return "\n".join(parts)
