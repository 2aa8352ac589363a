"""Make the notebooks from the percent scripts beside this file and execute them: python examples/make_notebooks.py.

Names of scripts (``my_own_table two_recipes``) make only theirs.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).parent


def executed(script: Path, folder: str | Path) -> nbformat.NotebookNode:
    """The script as a notebook, run in a folder, with its outputs and without times or versions."""
    notebook = jupytext.read(script)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number}"
        cell.metadata.pop("execution", None)
    notebook.metadata.pop("language_info", None)
    return notebook


def main() -> None:
    """Write one notebook beside each script, or beside those that are named."""
    scripts = sorted(set(HERE.glob("*.py")) - {Path(__file__)})
    for script in [HERE / f"{name}.py" for name in sys.argv[1:]] or scripts:
        with tempfile.TemporaryDirectory() as folder:
            nbformat.write(executed(script, folder), script.with_suffix(".ipynb"))


if __name__ == "__main__":
    main()
