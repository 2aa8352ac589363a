"""Models as people write them, for `scalefit coordcheck` as well: a plain GPT, a vision transformer, an MLP."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

VOCAB, LENGTH = 16, 8


class Attention(nn.Module):
    """Multi-head attention with one matrix for queries, keys and values; heads of a fixed size."""

    def __init__(self, dim: int, causal: bool) -> None:
        super().__init__()
        self.head_dim, self.causal = 8, causal
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, dim = x.shape
        parts = self.qkv(x).view(batch, length, 3, dim // self.head_dim, self.head_dim)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=self.causal)
        return self.proj(mixed.transpose(1, 2).reshape(batch, length, dim))


class Block(nn.Module):
    """Pre-norm block with biases everywhere."""

    def __init__(self, dim: int, causal: bool) -> None:
        super().__init__()
        self.norm1, self.attn, self.norm2 = nn.LayerNorm(dim), Attention(dim, causal), nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class GPT(nn.Module):
    """Token and position embeddings, blocks, final norm, output weights of its own or those of the embedding."""

    def __init__(self, dim: int, depth: int = 1, tied: bool = False) -> None:
        super().__init__()
        self.wte, self.wpe = nn.Embedding(VOCAB, dim), nn.Embedding(LENGTH, dim)
        self.blocks = nn.ModuleList(Block(dim, causal=True) for _ in range(depth))
        self.norm, self.lm_head = nn.LayerNorm(dim), nn.Linear(dim, VOCAB, bias=False)
        for table in (self.wte, self.wpe):
            nn.init.normal_(table.weight, std=0.1)
        if tied:
            self.lm_head.weight = self.wte.weight

    def forward(self, ids: Tensor) -> Tensor:
        x = self.wte(ids) + self.wpe(torch.arange(ids.shape[1]))
        for block in self.blocks:
            x = block(x)
        return self.lm_head(self.norm(x))


class ViT(nn.Module):
    """Patches by a convolution, a class token, learned positions, blocks, a head with a bias."""

    def __init__(self, dim: int, depth: int = 1) -> None:
        super().__init__()
        self.patch_embed = nn.Conv2d(3, dim, kernel_size=4, stride=4)
        self.cls_token = nn.Parameter(0.02 * torch.randn(1, 1, dim))
        self.pos_embed = nn.Parameter(0.02 * torch.randn(1, 5, dim))
        self.blocks = nn.Sequential(*(Block(dim, causal=False) for _ in range(depth)))
        self.norm, self.head = nn.LayerNorm(dim), nn.Linear(dim, 4)

    def forward(self, images: Tensor) -> Tensor:
        patches = self.patch_embed(images).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(len(images), -1, -1), patches], dim=1) + self.pos_embed
        return self.head(self.norm(self.blocks(x))[:, 0])


def build_gpt(width: int) -> GPT:
    return GPT(width)


def build_tied(width: int) -> GPT:
    return GPT(width, tied=True)


def build_deep(depth: int) -> GPT:
    return GPT(32, depth)


def build_vit(width: int) -> ViT:
    return ViT(width)


def build_mlp(width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(12, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 4))


def loss(model: nn.Module, generator: torch.Generator) -> Tensor:
    """Counting modulo VOCAB, the brightness of a channel, or two signs: learned within a few steps."""
    if isinstance(model, GPT):
        start, step = (torch.randint(0, VOCAB, (32, 1), generator=generator) for _ in range(2))
        ids = (start + step * torch.arange(LENGTH + 1)) % VOCAB
        return F.cross_entropy(model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())
    if isinstance(model, ViT):
        label = torch.randint(0, 4, (64,), generator=generator)
        images = torch.randn(64, 3, 8, 8, generator=generator)
        images[:, 0] += label[:, None, None] - 1.5
        return F.cross_entropy(model(images), label)
    x = torch.randn(64, 12, generator=generator)
    return F.cross_entropy(model(x), 2 * (x[:, 0] > 0).long() + (x[:, 1] > 0).long())
