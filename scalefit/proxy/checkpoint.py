"""What checkpoint.pt holds, and how it is written and read: by torch, without executing anything that a file says.

While the members of a pack are saved one after the other, each keeps the checkpoint before as EARLIER (empty: there was
none), so that after a kill in between all can go on from the same step: only then do they compute what they would have.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from scalefit.errors import InputError
from scalefit.writing import write_whole

KINDS = {"identity": str, "step": int, "wall": float, "ema": float, "theta": Tensor, "state": dict, "torch": str}
EARLIER = "checkpoint.earlier.pt"


def write(path: Path, checkpoint: Mapping[str, Any], keep: bool = False) -> None:
    """Replace the file, whole or not at all; with ``keep`` the one before stays beside it as EARLIER."""
    memory = io.BytesIO()  # torch itself does not report why it cannot write a file
    torch.save(dict(checkpoint), memory)
    if keep:
        earlier = path.with_name(EARLIER)
        if path.exists():
            path.replace(earlier)
        else:
            earlier.touch()
    write_whole(path, lambda to: to.write_bytes(memory.getbuffer()))


def read(path: Path) -> dict[str, Any]:
    """What was written. Raises InputError for anything else."""
    try:
        saved: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, OSError, LookupError, ValueError, TypeError, AttributeError,
            AssertionError, pickle.UnpicklingError) as error:  # fmt: skip
        raise InputError("not a checkpoint", where=str(path), todo="delete it to train again") from error
    if not isinstance(saved, dict) or any(not isinstance(saved.get(key), kind) for key, kind in KINDS.items()):
        raise InputError("not a checkpoint of a run", where=str(path), todo="delete it to train again")
    return dict(saved)
