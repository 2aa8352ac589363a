"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from scalefit.errors import InputError


def write_whole(path: str | Path, write: Callable[[Path], object]) -> Path:
    """Let ``write`` fill a temporary file beside the place, then rename it; what stood there stays until then.

    Raises InputError where the place cannot be written; no temporary file is left, whatever stopped the writing.
    """
    place = Path(path)
    temporary = place.with_name(f".{place.name}.{os.getpid()}.part")
    try:
        write(temporary)
        temporary.replace(place)
    except OSError as error:
        todo = "give a file in a folder that exists"
        raise InputError(f"cannot be written ({error.strerror})", where=str(place), todo=todo) from error
    finally:
        with suppress(OSError):  # the folder may be what is missing
            temporary.unlink(missing_ok=True)
    return place


def write_text(path: str | Path, text: str) -> Path:
    """Write a text file in UTF-8, whole or not at all."""
    return write_whole(path, lambda to: to.write_text(text, encoding="utf-8"))
