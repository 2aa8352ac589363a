"""Is scalefit set up? Versions, optional parts with how to install them, the GPU, and the font of figures."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

import click
import pandas as pd

from scalefit.cli.output import Answer, answering, as_lines, records
from scalefit.notices import doubted
from scalefit.version import __version__

CORE = ("numpy", "scipy", "pandas", "lmfit", "matplotlib", "click", "pyyaml", "jinja2")
#: optional libraries, what they are for, and the extra that installs them
OPTIONAL = {
    "torch": ("training small models", "proxy"),
    "pyarrow": ("Parquet files", "parquet"),
    "wandb": ("runs from a W&B server", "wandb"),
    "ray": ("sweeps on Ray", "ray"),
}


@click.command()
@answering
def command() -> Answer:
    """Exit code 1 where a library that every command needs is missing. A missing optional part is no fault.

    \b
    Example:
      scalefit doctor
    """
    rows = [("scalefit", __version__, ""), ("python", platform.python_version(), platform.platform())]
    rows += [(name, _version(name), "") for name in CORE]
    for name, (purpose, extra) in OPTIONAL.items():
        found = _version(name)
        rows.append((name, found, purpose if found else f"{purpose}: install the extra {extra}"))
    rows.append(("GPU", _gpu(), ""))
    rows.append(("font", _font(), "of figures"))
    table = pd.DataFrame(rows, columns=["part", "version", "note"])
    missing = [name for name in CORE if not _version(name)]
    lines = doubted(f"{name} is missing: install scalefit again" for name in missing)
    head = "everything that scalefit needs is there" if not missing else f"{len(missing)} libraries are missing"
    shown = as_lines(table.assign(version=[text or "not installed" for text in table["version"]]))
    return Answer([head, *lines, shown], {"parts": records(table)}, table, not missing)


def _version(name: str) -> str:
    """The installed version of a library; empty where it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _gpu() -> str:
    """The name of the first CUDA device."""
    if find_spec("torch") is None:
        return ""
    from scalefit.proxy.facts import gpu_name

    return gpu_name()


def _font() -> str:
    """The font in which figures are written."""
    from scalefit.plots.canvas import font_name

    return font_name()
