"""K members of one shape, each with its configuration: weights, optimiser, data and one update. Writes no files."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from scalefit.errors import InputError
from scalefit.proxy import probes, spikes
from scalefit.proxy.config import Config
from scalefit.proxy.data_parallel import Peers
from scalefit.proxy.finished import Finished, Start, Teacher
from scalefit.proxy.models import weights
from scalefit.proxy.models.layers import Recorder, Weights
from scalefit.proxy.models.parametrization import Factors
from scalefit.proxy.optimizers import optimizer
from scalefit.proxy.tasks.data import Examples, Source, draws, open_source
from scalefit.proxy.tasks.mixture import Mixture

CHUNK = 2**15  # tokens per forward pass in evaluation
DROPOUT = 2**61  # seeds of dropout begin here: a stream that no batch uses


class Ensemble:
    """Members that differ in learning rate, seed, decay, … and share everything else; K = 1 is no special case.

    ``theta`` (K, P) holds the weights, ``state`` is the optimiser's, ``step`` counts the updates done. ``factors``
    replaces those of the configured parametrisation. With ``peers`` this process computes its share of each batch.
    Raises InputError for members that cannot be built together.
    """

    def __init__(self, members: Sequence[Config], factors: Factors | None = None, peers: Peers | None = None) -> None:
        if len({config.pack_key() for config in members}) > 1:
            raise InputError(
                "the members differ in more than learning rate, seed, decay and schedule", todo="train them separately"
            )
        c = self.config = members[0]
        self.members, self.step, self.peers = list(members), 0, peers
        if peers:
            peers.check(c.examples, c.accumulate)
        self.factors = factors or c.factors()
        self.device = _device(c.device)
        self.source = self._training_data()
        if 0 < self.source.facts.get("tokens", 0) < c.batch:
            raise InputError(
                f"the training data of {self.source.facts['tokens']} tokens is smaller than one batch of {c.batch}",
                where=c.data,
                todo="give more data or a smaller batch",
            )
        self.validation: dict[str, Source] = {"val_loss": self.source}
        self.validation |= {f"val_loss_{name}": part for name, part in self.source.parts.items()}
        self.validation |= {f"val_loss_{name}": self._open(data) for name, data in c.val.items()}
        self.held_out = {name: self._held_out(source) for name, source in self.validation.items()}
        self.model = c.build(self.source, self.factors)
        self.teacher = Teacher(c.teacher, self.source, self.device) if c.teacher else None
        self.began = Start(c.start, self.source, self.device) if c.start else None
        self.losses = torch.compile(self.model.losses) if c.compile else self.model.losses
        self._schedule()
        self._start()

    def _schedule(self) -> None:
        """Learning rate and decay of every step, (K, steps + 1), and their factors over the weights, (K, P)."""
        schedules = [c.lr_schedule() for c in self.members]
        self.lr = np.stack([schedule(np.arange(self.config.steps + 1)) for schedule in schedules])
        unit = [s.peak or 1.0 if c.independent_decay else 1.0 for c, s in zip(self.members, schedules, strict=True)]
        decay = self.lr / np.array(unit)[:, None] * np.array([[c.weight_decay] for c in self.members])
        self.lr_KS, self.decay_KS = (torch.from_numpy(a).float().to(self.device) for a in (self.lr, decay))
        leaves = self.model.leaves
        self.lr_P = weights.spread(self.factors.lr, leaves).to(self.device)
        coupled_P = weights.spread(self.factors.decay, leaves).to(self.device) * self.lr_P
        decayed = [(coupled_P != 0).float() if c.independent_decay else coupled_P for c in self.members]
        self.decay_KP = torch.stack(decayed) if decay.any() else None

    def _start(self) -> None:
        leaves, members = self.model.leaves, self.members
        eps_P = weights.spread(self.factors.eps, leaves)
        self.optimizer = optimizer(self.config.optimizer)([c.optimizer_options for c in members], eps_P, leaves)
        self.theta = self._initial()
        self.state = self.optimizer.start(self.theta)
        self.state |= spikes.watched(self.theta) if self.config.spike_examples else {}
        self.spiked: list[tuple[int, dict[str, Any]]] = []  #: member, and what is saved of the spikes of its loss

    def update(self, record: Recorder | None = None) -> dict[str, Tensor]:
        """One optimiser step; returns what is logged about it, (K,) each. ``record`` receives the forward pass."""
        self.step += 1
        theta_KP = self.theta.requires_grad_()
        probing = isinstance(record, probes.Probe)
        grad_KP, objective_K, row = self._gradient(theta_KP, self.batch(self.step) | self._dropped(), record)
        theta_KP.requires_grad_(False)
        c = self.config
        if c.spike_examples:
            for k in spikes.begun(self.state, theta_KP, row["loss"], self.step, c.spike_examples):
                self.spiked.append((k, self._behind(k)))
        if c.spike_every and self.step % c.spike_every == 0:
            spikes.add_spikes_(grad_KP, [m.data_seed for m in self.members], self.step, c.spike_size, c.spike_share)
        if probing:
            row |= probes.by_role("rms_grad", grad_KP, self.model.leaves)
        row["grad_norm"] = weights.clip_(grad_KP, c.clip)
        lr = self.lr_KS[:, self.step, None] * self.lr_P
        decay = None if self.decay_KP is None else self.decay_KS[:, self.step, None] * self.decay_KP
        before_KP = theta_KP.clone() if probing else theta_KP
        self.optimizer.step(theta_KP, grad_KP, self.state, lr, decay, objective_K)
        if isinstance(record, probes.Probe):
            row |= record.values | probes.by_role("rms_update", theta_KP - before_KP, self.model.leaves)
            row["init_distance"] = torch.linalg.vector_norm(theta_KP - self._initial(), dim=1)
        return row

    def _behind(self, k: int) -> dict[str, Any]:
        """The examples of the last batches whose loss changed most since the weights before a spike of member k."""
        steps = range(max(self.step - spikes.BATCHES + 1, 1), self.step + 1)
        batches = [self.batch(step) for step in steps]
        before, now = (
            torch.cat([self._example_losses(theta, batch)[k] for batch in batches])
            for theta in (self.state[spikes.BEFORE], self.theta)
        )
        rows: list[dict[str, Any]] = spikes.ranked(now - before, before, steps[0], self.config.examples)
        for row in rows:
            tokens = batches[int(row["step"]) - steps[0]].get("tokens")
            if tokens is not None:
                ids = tokens[min(k, len(tokens) - 1), int(row["example"])].tolist()
                row |= {"text": bytes(ids).decode(errors="replace")} if self._reads_bytes else {"tokens": ids}
        since = int(self.state[spikes.STEPS][k, 0].item())
        return {"step": self.step, "since": since, "loss": now.mean().item(), "examples": rows}

    @property
    def _reads_bytes(self) -> bool:
        return bool(self.source.facts.get("unit") == "bytes")

    def _example_losses(self, theta_KP: Tensor, batch: Examples) -> Tensor:
        """Mean over the tokens of each example, (K, B)."""
        seen: dict[str, Tensor] = {}
        with torch.no_grad(), self._precision():
            self.model.losses(self.weights(theta_KP), batch, seen.__setitem__)
        return seen["token_loss"].unflatten(1, (self.config.examples, -1)).mean(-1)

    @property
    def earlier(self) -> list[Finished]:
        """The finished runs from which this one goes on."""
        return [each for each in (self.began, self.teacher) if each]

    def _initial(self) -> Tensor:
        """The weights at step 0, (K, P): those of the run it starts from, or drawn again from the seeds."""
        if self.began:
            return self.began.weights_for(self.model).repeat(len(self.members), 1)
        seeds, scales = [c.seed for c in self.members], [c.init_scale for c in self.members]
        return weights.initial(self.model.leaves, self.factors, seeds, scales).to(self.device)

    def _gradient(
        self, theta_KP: Tensor, batch: Examples, record: Recorder | None
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Gradient (K, P), what is minimised (K,) and the loss, over the batch in ``accumulate`` parts; with several
        parts the noise too."""
        parts = self.config.accumulate
        pieces = zip(*(value.chunk(parts, dim=1) for value in batch.values()), strict=True)
        grads, both = [], []
        for number, piece in enumerate(pieces):
            chunk = dict(zip(batch, piece, strict=True))
            w = self.weights(theta_KP)
            with self._precision():
                watched = record is not None and number == 0
                if self.peers:
                    self._watch_whole(w, chunk, record if watched else None)
                    chunk, watched = self.peers.share(chunk), False
                objective_K, loss_K = self.model.losses(w, chunk, record) if watched else self.losses(w, chunk)
            grad_KP, values_2K = weights.gradient(theta_KP, objective_K), torch.stack([objective_K, loss_K]).detach()
            grads.append(self.peers.mean(grad_KP) if self.peers else grad_KP)
            both.append(self.peers.mean(values_2K) if self.peers else values_2K)
        if parts == 1:
            return grads[0], both[0][0], {"loss": both[0][1]}
        grad_KP, (objective_K, loss_K) = torch.stack(grads).mean(0), torch.stack(both).mean(0)
        return grad_KP, objective_K, {"loss": loss_K} | probes.noise(grads, grad_KP, self.config.examples)

    def _watch_whole(self, w: Weights, chunk: Examples, record: Recorder | None) -> None:
        """Record the forward pass of all examples, of which this process computes the gradient of a share."""
        if record is not None:
            with torch.no_grad():
                self.model.losses(w, chunk, record)

    def batch(self, step: int) -> Examples:
        """Examples of a step, with a member axis of length K, or 1 where all members see the same examples."""
        seeds = [c.data_seed for c in self.members]
        batches = {seed: self.source.batch(seed, step, self.config.examples) for seed in set(seeds)}
        chosen = seeds if len(batches) > 1 else seeds[:1]
        names = batches[seeds[0]]
        found = {name: torch.stack([batches[seed][name] for seed in chosen]).to(self.device) for name in names}
        return found | (self.teacher.logits(found) if self.teacher else {})

    def weights(self, theta_KP: Tensor) -> Weights:
        """The weights by name as the model sees them: rounded, where the configuration gives them few bits."""
        w, bits = weights.views(theta_KP, self.model.leaves), self.config.weight_bits
        return weights.rounded(w, self.model.leaves, bits, self.config.weight_group) if bits else w

    def _dropped(self) -> Examples:
        """The keys of what dropout drops in this step, (K, B), from each member's seed."""
        if not self.config.dropout:
            return {}
        keys = [draws(DROPOUT + c.seed, self.step).integers(2**62, size=self.config.examples) for c in self.members]
        return {"dropout": torch.from_numpy(np.stack(keys)).to(self.device)}

    def _open(self, name: str, options: Mapping[str, float] | None = None) -> Source:
        return open_source(name, self.config.seq_len, options, self.config.tokenizer)

    def _training_data(self) -> Source:
        c = self.config
        if not c.mixture:
            return self._open(c.data, c.data_options)
        return Mixture({name: self._open(c.sources.get(name, name)) for name in c.mixture}, c.mixture)

    def evaluate(self) -> dict[str, Tensor]:
        """Held-out losses, (K,) each."""
        with torch.no_grad():
            w = self.weights(self.optimizer.evaluation_point(self.theta, self.state))
            return {name: self._mean_loss(w, examples) for name, examples in self.held_out.items()}

    def _mean_loss(self, w: Weights, examples: Examples) -> Tensor:
        """Mean over the examples, (K,), computed in chunks that fit in memory."""
        K, number = len(self.members), len(next(iter(examples.values())))
        size = max(CHUNK // (K * self.config.sequence_tokens), 1)
        total = torch.zeros(K, dtype=torch.float64, device=self.device)
        for at in range(0, number, size):
            chunk = {key: value[None, at : at + size].to(self.device) for key, value in examples.items()}
            with self._precision():
                total += self.losses(w, chunk)[1].double() * next(iter(chunk.values())).shape[1]
        return total / number

    def _held_out(self, source: Source) -> Examples:
        if source.vocab > self.source.vocab or source.task != self.source.task:
            raise InputError(
                f"the validation data {source.facts['source']!r} has {source.vocab} symbols ({source.task}), "
                f"the training data {self.source.vocab} ({self.source.task})",
                todo="choose validation data of the same task with no more symbols",
            )
        return source.held_out(max(self.config.eval_batch // self.config.sequence_tokens, 1))

    def _precision(self) -> contextlib.AbstractContextManager[Any]:
        half = self.config.precision == "bf16"
        return torch.autocast(self.device.type, torch.bfloat16) if half else contextlib.nullcontext()


def _device(name: str) -> torch.device:
    there = torch.cuda.is_available()
    if name not in ("auto", "cpu") and not (there and name.partition(":")[0] == "cuda"):
        raise InputError(f"no device {name!r} here", todo=f"choose {'cpu, cuda or auto' if there else 'cpu or auto'}")
    return torch.device(("cuda" if there else "cpu") if name == "auto" else name)
