"""Write docs/laws: one page a law and an index, from the declarations. ``python docs/make_laws.py [FOLDER]``.

Nothing in these pages is written by hand; a test compares them with what this file writes.
"""

from __future__ import annotations

import csv
import inspect
import math
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from scalefit.laws import Law, find_law, law_names
from scalefit.laws.law import Published
from scalefit.planning.allocation.cost import SIZES
from scalefit.planning.optimum.compute_optimal import CLOSED_FORMS

HERE = Path(__file__).parent / "laws"
MEASURED = HERE / "measured.csv"
#: law -> why it was not back-tested: which data it would need, and why they cannot be had
UNMEASURED: dict[str, str] = {}
#: law -> what finds its optimum, where that is no plan of size and data
OPTIMA = {
    "encoder-decoder": "closed form (`encoder_share`)",
    "kaplan-steps": "closed form (`kaplan_frontier`)",
    "lr-batch-surface": "closed form (`best_lr_batch`)",
    "optimal-lr-batch": "is one",
    "adamw-timescale": "is one",
    "distillation": "numeric (`best_teacher`)",
    "mixture-scale": "numeric (`best_shares`), `scalefit plan`",
    "sample-size": "closed form (`enough`)",
    "vocabulary": "numeric (`best_vocabulary`), `scalefit plan`",
    "width-depth": "closed form (`best_shape`), `scalefit plan`",
}


def main(folder: Path = HERE) -> None:
    """Write every page into the folder and remove pages of laws that are gone."""
    folder.mkdir(parents=True, exist_ok=True)
    pages = {f"{name}.md": page(find_law(name)) for name in law_names()}
    pages["index.md"] = index([find_law(name) for name in law_names()])
    for old in folder.glob("*.md"):
        if old.name not in pages:
            old.unlink()
    for name, text in pages.items():
        (folder / name).write_text(text, encoding="utf-8")


def page(law: Law) -> str:
    """Everything that a law declares."""
    parts = [f"# {law.name}", *described(law), f"Explains `{law.target}` ({law.target_unit})."]
    rows = [(f"`{name}`", v.unit, v.meaning) for name, v in law.variables.items()]
    parts += ["## Variables", table(("variable", "unit", "meaning"), rows)]
    found = [
        (f"`{name}`", p.unit, p.meaning, domain(p.low, p.high), "solved exactly" if p.linear else "searched")
        for name, p in law.parameters.items()
    ]
    parts += ["## Parameters", table(("parameter", "unit", "meaning", "domain", "how"), found)]
    if law.declaration.options:
        parts += ["## Options", *options(law)]
    parts += ["## Needs", sentence(law.needs)] if law.needs else []
    parts += ["## Fails", *(f"- {part}" for part in law.fails.split("; "))] if law.fails else []
    stated = [constants(one) for one in law.published if not one.source.startswith("closed form")]
    parts += ["## Constants", *stated] if stated else []
    return laid_out(parts)


def index(laws: Sequence[Law]) -> str:
    """The table of all laws."""
    found = extrapolated()
    rows = [
        (
            f"[{law.name}]({law.name}.md)",
            f"`{law.equation}`",
            law.title.rstrip("."),
            law.source,
            proof(law),
            found[law.name] if law.name in found else f"none: it needs {UNMEASURED[law.name]}",
            law.fails.split("; ")[0].rstrip("."),
            optimum(law),
        )
        for law in laws
    ]
    parts = [
        "# Laws",
        f"{len(laws)} laws, one file each in `scalefit/laws/`. `scalefit laws NAME` prints the same page, and "
        "`scalefit laws --for FILE` says which of them some runs can identify. Proof: published values that the tests "
        "hold the law to, or published constants that it carries; every law also passes the contract test (planted "
        "constants come back). Extrapolated: the median error of predictions of held-out larger runs (or left-out "
        "schedules) on a bundled or public data set, mean over refits, with the share of them inside the 90 % "
        "intervals and how many times their compute lies beyond the fitted runs, as `scalefit backtest` measures them "
        "(`python docs/measure_laws.py`). "
        "Known failure: the first of those on its page. Optimum: what finds the best size, data or setting.",
        table(("law", "formula", "what it says", "source", "proof", "extrapolated", "known failure", "optimum"), rows),
    ]
    return laid_out(parts)


def extrapolated() -> dict[str, str]:
    """By law, the data sets on which it was back-tested, and what came out."""
    found: dict[str, str] = {}
    with MEASURED.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            name = row["law"].partition(":")[0]
            found[name] = "; ".join([*([found[name]] if name in found else []), outcome(row)])
    return found


def optimum(law: Law) -> str:
    """What finds the best size and data, or the best setting."""
    if law.name in CLOSED_FORMS:
        return "closed form (`compute_optimal`), `scalefit plan`"
    columns = set(law.columns.values())
    planned = law.target == "loss" and not law.is_trajectory and "D" in columns and columns & set(SIZES)
    return OPTIMA.get(law.name, "numeric (`scalefit plan`)" if planned else "none")


def outcome(row: Mapping[str, str]) -> str:
    """One row of the measured back-tests in words."""
    error, beyond = float(row["error"]), float(row["beyond"])
    inside = f", {100 * float(row['coverage']):.0f} % inside" if row["coverage"] else ""
    where = f" ({row['where']})" if row["where"] else ""
    far = f", up to {beyond:.2g} times beyond" if beyond > 1.01 else ""
    spec = f" as `{row['law']}`" if ":" in row["law"] else ""
    return f"{row['data']}{where}{spec}: {100 * error:.2g} %{inside} of {row['predictions']}{far}"


def proof(law: Law) -> str:
    """How many published values a law reproduces, or which constants it carries, or that none is public."""
    public = [one for one in law.published if not one.source.startswith("closed form")]
    values = sum(len(one.values) for one in public)
    if values:
        return f"{values} published value{'s' * (values > 1)}"
    if public:
        return f"{len(public)} published set{'s' * (len(public) > 1)} of constants"
    return "none is public" if not law.published else "a closed form; no constants are public"


def described(law: Law) -> list[str]:
    """The docstring, its formula as a block of code; examples left out."""
    text = (inspect.getdoc(type(law)) or "").split("\n>>> ")[0].rstrip()
    text = re.sub(r":\w+:`~?([^`]+)`", r"`\1`", text).replace("``", "`")
    return [re.sub(r"(?m)^(?: {4}.*\n?)+", fenced, text).rstrip()]


def fenced(block: re.Match[str]) -> str:
    """An indented block as a fenced one."""
    lines = "\n".join(line[4:] for line in block[0].rstrip("\n").split("\n"))
    return f"```text\n{lines}\n```\n"


def options(law: Law) -> list[str]:
    """The options, and how one is written."""
    rows = [
        (f"`{name}`", f"`{o.default}`" if o.default != "" else "none", o.meaning, ", ".join(map(str, o.choices)))
        for name, o in law.declaration.options.items()
    ]
    pairs = ",".join(f"{name}={value}" for name, value in law.options.items() if value != "")
    written = f"Written after the name: `--law {law.name}:{pairs}`." if pairs else ""
    return [table(("option", "default", "meaning", "choices"), rows), written or "Written as `name:option=value`."]


def constants(published: Published) -> str:
    """The constants of one source on a line."""
    values = ", ".join(f"{name} = {value:.6g}" for name, value in published.parameters.items())
    return f"- {published.source}: {values}"


def domain(low: float, high: float) -> str:
    """An interval; an infinite end is open."""
    left, right = "(-∞" if math.isinf(low) else f"[{low:g}", "∞)" if math.isinf(high) else f"{high:g}]"
    return f"{left}, {right}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; empty columns are left out."""
    lines = [list(map(cell, row)) for row in rows]
    keep = [i for i in range(len(head)) if any(line[i] for line in lines)]
    shown = [[head[i] for i in keep], ["---"] * len(keep), *([line[i] for i in keep] for line in lines)]
    return "\n".join(f"| {' | '.join(line)} |" for line in shown)


def cell(text: str) -> str:
    """Text that may stand in a table."""
    return text.replace("|", "\\|").replace("\n", " ")


def sentence(text: str) -> str:
    """The text with a capital and a full stop."""
    return f"{text[0].upper()}{text[1:].rstrip('.')}."


def laid_out(parts: Sequence[str]) -> str:
    """Parts below each other, items of a list close together."""
    text = "\n\n".join(part.strip("\n") for part in parts)
    return re.sub(r"(\n- .*)\n(?=\n- )", r"\1", text) + "\n"


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
