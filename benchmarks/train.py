"""Throughput of the proxy trainer compared with a plain training loop: python benchmarks/train.py [--device cuda].

The plain loop trains one model written with torch.nn, torch.optim.AdamW and clip_grad_norm_, as one would by hand.
Both train the same shape on the same batches. Times are CPU times of one thread, or synchronised wall times on a GPU;
the smallest of interleaved repeats counts.

What packing, compiling and captured graphs give on a GPU is measured by gpu.py.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scalefit.proxy import Config, Ensemble


class Block(nn.Module):
    def __init__(self, d: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(d, bias=False), nn.LayerNorm(d, bias=False)
        self.q_norm, self.k_norm = nn.LayerNorm(d // heads, bias=False), nn.LayerNorm(d // heads, bias=False)
        self.qkv, self.out = nn.Linear(d, 3 * d, bias=False), nn.Linear(d, d, bias=False)
        self.up, self.down = nn.Linear(d, 4 * d, bias=False), nn.Linear(4 * d, d, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        B, T, D = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(B, T, 3, self.heads, D // self.heads).permute(2, 0, 3, 1, 4)
        q, k = turn(self.q_norm(q), cos, sin), turn(self.k_norm(k), cos, sin)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(B, T, D))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


def turn(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)


class Plain(nn.Module):
    def __init__(self, config: Config, vocab: int) -> None:
        super().__init__()
        d, c = config.d_model, config.d_head
        self.embed, self.head = nn.Embedding(vocab, d), nn.Linear(d, vocab, bias=False)
        self.blocks = nn.ModuleList([Block(d, d // c) for _ in range(config.n_layer)])
        self.norm = nn.LayerNorm(d, bias=False)
        angle = torch.outer(torch.arange(config.seq_len), 10000.0 ** (-torch.arange(0, c, 2) / c))
        self.register_buffer("cos", angle.cos())
        self.register_buffer("sin", angle.sin())

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embed(ids)
        for block in self.blocks:
            x = block(x, self.cos, self.sin)
        return self.head(self.norm(x))


def plain_step(config: Config) -> Callable[[], None]:
    ensemble = Ensemble([config])
    model = Plain(config, ensemble.source.vocab).to(ensemble.device)
    adam = torch.optim.AdamW(model.parameters(), lr=config.lr, betas=(0.9, 0.95), weight_decay=0.0, fused=True)
    step = iter(range(1, 10**9))

    def run() -> None:
        tokens = ensemble.batch(next(step))["tokens"][0]
        adam.zero_grad(set_to_none=True)
        logits = model(tokens[:, :-1])
        F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten()).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        adam.step()

    return run


def our_step(config: Config, members: int) -> Callable[[], None]:
    ensemble = Ensemble([replace(config, seed=seed) for seed in range(members)])

    def run() -> None:
        ensemble.update()

    return run


def least(steps: dict[str, Callable[[], None]], device: str, repeats: int) -> dict[str, float]:
    """Smallest time per step of each, in seconds, measured in turn."""
    clock = time.perf_counter if device == "cuda" else time.process_time
    best = dict.fromkeys(steps, float("inf"))
    for repeat in range(repeats + 2):
        for name, run in steps.items():
            began = clock()
            for _ in range(5):
                run()
            if device == "cuda":
                torch.cuda.synchronize()
            took = (clock() - began) / 5
            best[name] = min(best[name], took) if repeat >= 2 else best[name]
    return best


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--members", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=8)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    if chosen.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("no GPU here: nothing measured")
    print("| sequences × length | d_model | plain, tokens/s | K = 1 | ratio | packed | ratio |")
    print("|---|---|---|---|---|---|---|")
    for sequences, length, width in ((2, 64, 32), (2, 64, 64), (2, 64, 128), (16, 64, 32), (16, 64, 64), (16, 64, 128)):
        config = Config(d_model=width, seq_len=length, batch=sequences * length, eval_batch=length, steps=10**6)
        config = replace(config, device=chosen.device, schedule="constant")
        steps = {"plain": plain_step(config), "one": our_step(config, 1), "many": our_step(config, chosen.members)}
        took = least(steps, chosen.device, chosen.repeats)
        plain, one = config.batch / took["plain"], config.batch / took["one"]
        many = chosen.members * config.batch / took["many"]
        row = (f"{plain:,.0f}", f"{one:,.0f}", f"{one / plain:.2f}", f"{many:,.0f}", f"{many / plain:.2f}")
        print(f"| {sequences} × {length} | {width} | {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
