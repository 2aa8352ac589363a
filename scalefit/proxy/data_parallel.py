"""One run on several processes, begun by torchrun: each computes its share of every batch, the first writes the files.

The weights are on every process. What is computed is what one process computes but for the order of sums, so that a
run may go on from its checkpoint on any number of processes. The balance loss of experts is that of each share, as it
is within each part of an accumulated batch.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist

from scalefit.errors import InputError


@dataclass(frozen=True)
class Peers:
    """The processes of a run; ``rank`` 0 leads, the others follow."""

    rank: int
    size: int
    device: torch.device  #: where tensors lie that all of them exchange

    def share(self, examples: dict[str, Tensor]) -> dict[str, Tensor]:
        """The part of some examples, (K, B, ...), that this process computes."""
        return {name: value.chunk(self.size, dim=1)[self.rank] for name, value in examples.items()}

    def mean(self, value: Tensor) -> Tensor:
        """The mean of a tensor over all processes."""
        dist.all_reduce(value)
        return value / self.size

    def tell(self, said: Any = None) -> Any:
        """What the leader says; None where it has nothing more to do."""
        box = [said]
        dist.broadcast_object_list(box, src=0, device=self.device)
        return box[0]

    def same(self, tensors: Sequence[Tensor]) -> None:
        """Overwrite tensors by those of the leader."""
        for value in tensors:
            dist.broadcast(value, src=0)

    def goes_on(self, further: bool = True) -> bool:
        """Whether there is a further step, as the leader says."""
        word = torch.tensor([int(further)], device=self.device)
        dist.broadcast(word, src=0)
        return bool(word.item())

    def check(self, examples: int, accumulate: int) -> None:
        """Raise InputError where a batch cannot be shared equally."""
        if examples % (accumulate * self.size):
            what = f"a batch of {examples} sequences is not shared equally by {self.size} processes"
            parts = f" × accumulate = {accumulate}" if accumulate > 1 else ""
            raise InputError(
                what, where="torchrun", todo=f"choose a batch of a multiple of {self.size}{parts} sequences"
            )


def rank() -> int:
    """The number of this process among those of torchrun; 0 where there is one."""
    return int(os.environ.get("RANK", "0")) if dist.is_available() and dist.is_torchelastic_launched() else 0


@contextlib.contextmanager
def joined(device: str) -> Iterator[Peers | None]:
    """Join the processes that torchrun began, by NCCL where each has a GPU, else by Gloo; None without torchrun.

    When the leader leaves, it says to the others that nothing more is to be done.
    """
    alone = not dist.is_available() or not dist.is_torchelastic_launched() or os.environ.get("WORLD_SIZE") == "1"
    if alone:
        yield None
        return
    cuda = torch.cuda.is_available() and device != "cpu"
    if cuda:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if cuda else "gloo")
    peers = Peers(dist.get_rank(), dist.get_world_size(), torch.device("cuda" if cuda else "cpu"))
    try:
        yield peers
    finally:
        if peers.rank == 0:
            peers.tell()
        dist.destroy_process_group()
