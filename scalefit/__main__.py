"""``python -m scalefit``."""

from scalefit.cli import run

run()
