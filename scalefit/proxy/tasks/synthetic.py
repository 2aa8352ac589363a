"""Synthetic tasks whose laws are known exactly: a Zipf–Markov language and multitask sparse parity."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from scalefit.errors import InputError
from scalefit.proxy.tasks.data import Examples, Source, TokenSource

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ZipfMarkov:
    """A Markov chain of ``order`` over ``vocab`` tokens whose frequencies fall roughly as rank^-exponent.

    Given the last ``order`` tokens, the next one follows a distribution that is 0.95 Dirichlet(concentration ·
    zipf) + 0.05 zipf, drawn once from ``seed``. The entropy rate, Σ_c π_c H(row_c) with π the stationary
    distribution of contexts, is exact: it is the loss (nats/token) below which no model can go.

    >>> language = ZipfMarkov(vocab=8, order=1)
    >>> bool(0 < language.entropy_rate < np.log(8))
    True
    """

    vocab: int = 32
    order: int = 2
    exponent: float = 1.0
    concentration: float = 4.0
    seed: int = 0
    rows: Floats = field(init=False, repr=False, compare=False)  # (V^order, V)
    stationary: Floats = field(init=False, repr=False, compare=False)  # (V^order,)

    def __post_init__(self) -> None:
        fits = self.vocab >= 2 and self.order >= 1 and self.vocab ** (self.order + 1) <= 2**26
        if not fits or not self.concentration > 0:
            raise InputError(
                f"no language with vocab={self.vocab}, order={self.order}, concentration={self.concentration}",
                todo="choose vocab >= 2, order >= 1, vocab^(order + 1) <= 2^26 and concentration > 0",
            )
        zipf = np.arange(1.0, self.vocab + 1) ** -self.exponent
        zipf /= zipf.sum()
        generator = np.random.Generator(np.random.PCG64(self.seed))
        drawn = generator.dirichlet(self.concentration * zipf, size=self.vocab**self.order)
        object.__setattr__(self, "rows", 0.95 * drawn + 0.05 * zipf)
        object.__setattr__(self, "stationary", self._stationary())

    def _stationary(self) -> Floats:
        """π = π P by iteration, which converges from any start because every row contains a share of zipf."""
        V = self.vocab
        rows = self.rows.reshape(V, -1, V)  # oldest token, the others, next token
        pi = np.full((V, rows.shape[1]), V**-self.order)
        for _ in range(5000):
            after = np.einsum("ac,act->ct", pi, rows).reshape(pi.shape)
            if np.abs(after - pi).sum() < 1e-15:
                break
            pi = after
        return np.asarray(pi.reshape(-1) / pi.sum())

    @property
    def entropy_rate(self) -> float:
        """Nats per token when all earlier tokens are known."""
        return float(self.stationary @ entropy(self.rows))

    def floor(self, seq_len: int) -> float:
        """Least mean loss, nats/token, on stationary windows of ``seq_len`` predictions.

        It lies a little above the entropy rate, because the first tokens of a window have fewer than ``order`` tokens
        before them.
        """
        blocks = [0.0] + [float(entropy(self._marginal(length))) for length in range(1, self.order + 1)]
        conditional = np.diff(blocks)[1:]  # entropy of a token after 1, 2, …, order − 1 known tokens
        short = conditional[:seq_len]
        return float((short.sum() + (seq_len - len(short)) * self.entropy_rate) / seq_len)

    def _marginal(self, length: int) -> Floats:
        """Distribution of ``length`` tokens in a row, flat."""
        return np.asarray(self.stationary.reshape(-1, self.vocab**length).sum(0))

    def sample(self, chains: int, length: int, seed: int) -> NDArray[np.uint16]:
        """Stationary chains, (chains, length)."""
        V, generator = self.vocab, np.random.Generator(np.random.Philox(key=[seed, self.seed]))
        cumulative = self.rows.cumsum(1)
        cumulative[:, -1] = 1.0
        context = generator.choice(V**self.order, size=chains, p=self.stationary)
        tokens = np.empty((chains, length), dtype=np.uint16)
        for t in range(length):
            u = generator.random(chains)
            tokens[:, t] = (cumulative[context] <= u[:, None]).sum(1)
            context = (context * V + tokens[:, t]) % V**self.order
        return tokens


def entropy(p: Floats) -> Floats:
    """−Σ p log p over the last axis, nats; 0 log 0 = 0."""
    return np.asarray(-(p * np.log(np.where(p > 0, p, 1.0))).sum(-1))


def zipf_markov(
    seq_len: int,
    *,
    tokens: int = 2**22,
    limit: int = 0,
    passes: int = 0,
    vocab: int = 32,
    order: int = 2,
    exponent: float = 1.0,
    concentration: float = 4.0,
    seed: int = 0,
) -> TokenSource:
    """``tokens`` training tokens of a Zipf–Markov language in 1,024 chains, and 2^17 held-out tokens."""
    language, chains = ZipfMarkov(vocab, order, exponent, concentration, seed), 1024
    train = language.sample(chains, max(tokens // chains, seq_len + 1), seed=1)
    held = language.sample(chains, max(2**17 // chains, seq_len + 1), seed=2)
    facts = {
        "source": "zipf-markov",
        "unit": "tokens",
        "entropy_rate": language.entropy_rate,
        "loss_floor": language.floor(seq_len),
        "rows_sha256": hashlib.sha256(language.rows.tobytes()).hexdigest(),
    }
    return TokenSource(train, held, seq_len, vocab, facts, limit, passes=passes)


@dataclass(kw_only=True, eq=False)
class SparseParity(Source):
    """Multitask sparse parity: the input names one of ``tasks`` (one-hot) and holds ``bits`` random bits; the label is
    the parity of the ``k`` bits that belong to the task, flipped in a share ``noise`` of the examples. Tasks occur with
    probability ∝ rank^-(alpha + 1). ``examples`` is as in `Source`. Source: arXiv:2303.13506.
    """

    task = "classification"
    vocab = 2
    tasks: int = 64
    bits: int = 32
    k: int = 3
    alpha: float = 0.4
    noise: float = 0.0
    examples: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.k <= self.bits or self.tasks < 1:
            raise InputError(f"no parity of k={self.k} bits among bits={self.bits}", todo="choose 1 <= k <= bits")
        order = np.random.Generator(np.random.PCG64(self.seed)).random((self.tasks, self.bits)).argsort(1)
        self.subset = np.sort(order[:, : self.k], axis=1)  # (tasks, k)
        weight = np.arange(1.0, self.tasks + 1) ** -(self.alpha + 1)
        self.cumulative = (weight / weight.sum()).cumsum()
        self.inputs = self.tasks + self.bits
        self.facts: dict[str, Any] = {"source": "sparse-parity", "unit": "examples", "tokens": self.examples}

    def draw(self, generator: np.random.Generator, size: int) -> Examples:
        """Inputs x (size, tasks + bits) and labels y (size,)."""
        task = self.cumulative.searchsorted(generator.random(size)).clip(max=self.tasks - 1)
        bits = generator.integers(2, size=(size, self.bits))
        label = np.take_along_axis(bits, self.subset[task], axis=1).sum(1) % 2
        label = np.where(generator.random(size) < self.noise, 1 - label, label)
        x = np.zeros((size, self.inputs), dtype=np.float32)
        x[np.arange(size), task] = 1.0
        x[:, self.tasks :] = bits
        return {"x": torch.from_numpy(x), "y": torch.from_numpy(label.astype(np.int64))}
