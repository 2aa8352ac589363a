"""What is measured of finished runs for laws whose data are no losses of a sweep: see README.md."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from scalefit.laws.repeated_sampling import pass_at_k
from scalefit.proxy import Config, Ensemble
from scalefit.proxy.checkpoint import read
from scalefit.proxy.models.encoder_decoder import EncoderDecoder
from scalefit.proxy.run_folder import RunFolder

WORDS = 4  #: the longest n-grams of BLEU
SAMPLES, MOST = 4096, 1024  #: drawn for each expression; of which coverage is counted
ORDERS = 2000  #: of the held-out windows, over which the change of the mean loss is averaged


def finished(folder: Path) -> Ensemble:
    """The model of a finished run, as it is evaluated."""
    ensemble = Ensemble([Config.read(RunFolder(folder).facts()["config"])])
    saved = read(folder / "checkpoint.pt")
    state = {name: value[None] for name, value in saved["state"].items()}
    ensemble.theta = ensemble.optimizer.evaluation_point(saved["theta"][None], state)
    return ensemble


def bleu(folder: Path, size: int = 512) -> float:
    """BLEU of the likeliest words one by one, on held-out expressions: no smoothing, one reference, 0 to 100."""
    ensemble = finished(folder)
    examples = ensemble.source.held_out(size)
    said = _greedy(ensemble, examples["source"], examples["tokens"][:, :1], examples["target"].shape[1])
    shares = [_matched(said, examples["target"].numpy(), n) for n in range(1, WORDS + 1)]
    return float(100 * np.exp(np.mean(np.log(np.maximum(shares, 1e-12)))))


def _greedy(ensemble: Ensemble, source: torch.Tensor, begin: torch.Tensor, length: int) -> np.ndarray:
    """The likeliest next word, ``length`` times, (size, length)."""
    model, w, tokens = ensemble.model, ensemble.weights(ensemble.theta), begin
    assert isinstance(model, EncoderDecoder)
    with torch.no_grad():
        for _ in range(length):
            logits = model.translate(w, source[None], tokens[None])
            tokens = torch.cat([tokens, logits[0, :, -1].argmax(-1, keepdim=True)], 1)
    return np.asarray(tokens[:, 1:])


def _matched(said: np.ndarray, wanted: np.ndarray, n: int) -> float:
    """The share of n-grams that stand in the reference, each as often as there at most; both are equally long."""
    hits = 0
    for ours, theirs in zip(said.tolist(), wanted.tolist(), strict=True):
        left = [tuple(theirs[i : i + n]) for i in range(len(theirs) - n + 1)]
        for i in range(len(ours) - n + 1):
            if (gram := tuple(ours[i : i + n])) in left:
                left.remove(gram)
                hits += 1
    return hits / (len(said) * (said.shape[1] - n + 1))


def coverage(folder: Path, size: int = 512, seed: int = 0) -> pd.DataFrame:
    """Coverage of held-out expressions in the number of samples, from SAMPLES of each at temperature 1.

    The one right translation has the probability that the model gives it, so that the number of right ones among the
    samples is drawn as a binomial.
    """
    ensemble = finished(folder)
    losses = _per_token(ensemble, ensemble.source.held_out(size), size)
    correct = np.random.default_rng(seed).binomial(SAMPLES, np.exp(-losses.sum(1)))
    ks = 2 ** np.arange(int(np.log2(MOST)) + 1)
    found = pass_at_k(correct, np.full(size, SAMPLES), ks).mean(0)
    return pd.DataFrame({"samples": ks, "coverage": found})


def rewards(folder: Path, steps: int = 200, size: int = 512, lr: float = 0.003) -> pd.DataFrame:
    """The share of held-out expressions that one sample translates rightly, along a policy gradient, and its compute.

    The one right translation makes the expected reward exact, the mean of its probability; each step goes along the
    gradient of that over new expressions, with the optimiser of the run, which begins anew.
    """
    e, rows = finished(folder), []
    held, per_step = e.source.held_out(size), RunFolder(folder).facts()["flops_per_token"] * e.config.batch
    rate = torch.full((1, 1), lr)
    for step in range(steps + 1):
        if step in np.unique(np.geomspace(4, steps, 24).astype(int)) or not step:
            right = np.exp(-_per_token(e, held, size).sum(1)).mean()
            rows.append({"step": step, "C": step * per_step, "reward": float(right)})
        theta, seen = e.theta.clone().requires_grad_(), {}
        e.model.losses(e.weights(theta), e.batch(10**6 + step), seen.__setitem__)
        reward = seen["token_loss"].unflatten(1, (e.config.examples, -1)).sum(-1).neg().exp().mean(1)
        (grad,) = torch.autograd.grad(-reward.sum(), theta)
        e.optimizer.step(e.theta, grad, e.state, rate, None, -reward.detach())
    return pd.DataFrame(rows)


def information(folder: Path, size: int = 1024) -> float:
    """What the first half of a window tells of the second, nats: how much cheaper its tokens are than those of the
    first half, which have as many before them within their half and nothing else."""
    ensemble = finished(folder)
    losses = _per_token(ensemble, ensemble.source.held_out(size), size).mean(0)
    half = len(losses) // 2
    return float(losses[:half].sum() - losses[half:].sum())


def loss_change(folder: Path, size: int = 1024, seed: int = 0) -> pd.DataFrame:
    """The mean change of a model's mean loss by one more held-out window, over ORDERS orders of them."""
    ensemble = finished(folder)
    losses = _per_token(ensemble, ensemble.source.held_out(size), size).mean(1)
    rng, ks = np.random.default_rng(seed), np.unique(np.geomspace(8, size // 2, 13).astype(int))
    orders = losses[np.argsort(rng.random((ORDERS, size)), axis=1)]
    means = orders.cumsum(1) / np.arange(1, size + 1)
    changes = np.abs(means[:, ks] - means[:, ks - 1]).mean(0)
    return pd.DataFrame({"examples": ks, "loss_change": changes})


def _per_token(ensemble: Ensemble, examples: dict[str, torch.Tensor], size: int) -> np.ndarray:
    """Losses of the tokens of each example, (size, T), a few examples at a time."""
    return np.concatenate(list(_chunks(ensemble, examples, size)))


def _chunks(ensemble: Ensemble, examples: dict[str, torch.Tensor], size: int, at_once: int = 128) -> Iterator[Any]:
    w = ensemble.weights(ensemble.theta)
    for at in range(0, size, at_once):
        seen: dict[str, torch.Tensor] = {}
        chunk = {name: value[None, at : at + at_once] for name, value in examples.items()}
        with torch.no_grad():
            ensemble.model.losses(w, chunk, seen.__setitem__)
        yield seen["token_loss"][0].unflatten(0, (chunk["tokens"].shape[1], -1)).double().numpy()


def byte_pairs(text: bytes, sizes: Sequence[int]) -> Iterator[tuple[int, Any]]:
    """The text in tokens of byte pairs, for each size of the vocabulary in growing order: again and again the pair that
    is most frequent becomes a token."""
    ids, known = np.frombuffer(text, np.uint8).astype(np.int64), 256
    for size in sizes:
        for new in range(known, size):
            pairs = ids[:-1] * size + ids[1:]
            at = np.flatnonzero(pairs == np.bincount(pairs).argmax())
            begins = np.diff(at, prepend=-2) > 1  # of runs of places that overlap, as in "aaa", every second counts
            within = np.arange(len(at)) - np.maximum.accumulate(np.where(begins, np.arange(len(at)), 0))
            at = at[within % 2 == 0]
            ids[at] = new
            ids = np.delete(ids, at + 1)
        known = size
        yield size, ids.astype(np.uint16)


def unigram(tokens: Any, vocab: int) -> float:
    """The loss on the last twentieth of a text, nats, of a model that knows how often each token occurs before it."""
    cut = len(tokens) * 19 // 20
    seen = np.bincount(tokens[:cut], minlength=vocab) + 1
    return float(-np.log(seen / seen.sum())[tokens[cut:]].mean())
