"""Throughput of the proxy trainer compared with a plain training loop: python benchmarks/train.py [--device cuda].

The plain loop trains one model written with torch.nn, torch.optim.AdamW and clip_grad_norm_, as one would by hand.
Both train the same shape on the same batches. Times are CPU times of one thread, or synchronised wall times on a GPU;
the smallest of interleaved repeats counts.

On a GPU a second table packs 1, 8, 64 and 256 members, run eagerly, compiled, and as one captured CUDA graph per step,
and a third trains one wide model in bfloat16. The peak is what the same card reaches in one large matrix product.
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
from scalefit.proxy.facts import facts
from scalefit.proxy.models import weights


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


def graph_step(config: Config, members: int) -> Callable[[], None]:
    """One update as one CUDA graph; each step copies its batch into the graph's inputs. The learning rate is constant,
    so that the graph does not depend on the step."""
    ensemble = Ensemble([replace(config, seed=seed) for seed in range(members)])
    draw, inputs = ensemble.batch, ensemble.batch(1)
    ensemble.batch = lambda step: inputs  # type: ignore[method-assign]
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(3):
            ensemble.update()
    torch.cuda.current_stream().wait_stream(aside)
    graph, steps = torch.cuda.CUDAGraph(), iter(range(4, 10**9))
    with torch.cuda.graph(graph):
        ensemble.update()

    def run() -> None:
        for name, value in draw(next(steps)).items():
            inputs[name].copy_(value)
        graph.replay()

    return run


def compiled_step(config: Config, members: int) -> Callable[[], None]:
    return our_step(replace(config, compile=True), members)


WAYS = {"eager": our_step, "compiled": compiled_step, "graph": graph_step}


def flops_per_token(config: Config) -> int:
    """FLOPs of forward and backward pass, as in run.json."""
    ensemble = Ensemble([replace(config, device="cpu")])
    about = facts(config, weights.counts(ensemble.model.leaves), ensemble.validation, 1, ensemble.device)
    return int(about["flops_per_token"])


def peak(dtype: torch.dtype, size: int = 8192) -> float:
    """FLOP/s of this card in one large matrix product."""
    a, b = (torch.randn(size, size, device="cuda", dtype=dtype) for _ in range(2))
    return 2 * size**3 / least({"": lambda: torch.mm(a, b)}, "cuda", 5)[""]


def row_of(config: Config, members: int, way: str, top: float, repeats: int) -> float:
    """Measure and print one row; returns tokens/s of all members together."""
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    took = least({"": WAYS[way](config, members)}, "cuda", repeats)[""]
    rate, memory = members * config.batch / took, torch.cuda.max_memory_allocated() / 2**30
    share = rate * flops_per_token(config) / top
    print(f"| {config.d_model} | {members} | {way} | {rate:,.0f} | {memory:.2f} | {share:.1%} |", flush=True)
    return rate


def packing(repeats: int) -> None:
    """All numbers of members in all ways, in float32, and up to which width packing pays."""
    print(f"\n{torch.cuda.get_device_name()}, float32, 16 sequences of 64, 2 layers\n")
    print("| d_model | members | how | tokens/s | memory, GiB | share of peak |\n|---|---|---|---|---|---|")
    top, gains = peak(torch.float32), {}
    for width in (32, 64, 128, 256, 512, 1024):
        config = Config(d_model=width, batch=1024, eval_batch=64, steps=10**6, schedule="constant", device="cuda")
        best = {}
        for members in (1, 8, 64, 256):
            if members * width**2 <= 2**25:  # what fits into 80 GB
                best[members] = max(row_of(config, members, way, top, repeats) for way in WAYS)
        gains[width] = max(best.values()) / best[1]
    print("\nbest packing over the best single member: " + ", ".join(f"{w}: {g:.1f}" for w, g in gains.items()))


def wide(repeats: int) -> None:
    """One model of d_model 1024 and 2048 in bfloat16."""
    print("\nbfloat16, one member, 8 layers, 32 sequences of 512\n")
    print("| d_model | members | how | tokens/s | memory, GiB | share of peak |\n|---|---|---|---|---|---|")
    top = peak(torch.bfloat16)
    for width in (1024, 2048):
        config = Config(d_model=width, n_layer=8, d_head=64, seq_len=512, batch=32 * 512, eval_batch=512, steps=10**6)
        config = replace(config, schedule="constant", device="cuda", precision="bf16")
        for way in ("eager", "compiled"):
            row_of(config, 1, way, top, repeats)


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
    if chosen.device == "cuda":
        packing(chosen.repeats)
        wide(chosen.repeats)


if __name__ == "__main__":
    main()
