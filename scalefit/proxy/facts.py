"""What run.json says about a run: configuration, sizes by several conventions, compute, data, environment."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from typing import Any

import torch

from scalefit.proxy.config import Config
from scalefit.proxy.tasks.data import Source

FLOPS = {
    "decoder": "flops_per_token = 6 N_readout + 12 seq_len n_layer d_model",
    "encoder-decoder": "flops_per_token = 6 (N_readout + (r - 1) (N - N_dec)) + 12 seq_len "
    "(r^2 n_encoder_layer encoder_width + (1 + r) n_layer d_model), r = tokens read / tokens written",
    "mlp": "flops_per_token = 6 N_readout - 2 inputs d_model",
}
UNITS = {"decoder": "tokens", "encoder-decoder": "target tokens", "mlp": "examples"}
BITS = {"fp32": 32, "bf16": 16}  #: of weights in the products of the forward pass, where they are not rounded further
COPIED = ("d_model", "n_layer", "d_head", "seq_len", "batch", "seed", "data_seed", "parametrization", "optimizer")


def facts(
    config: Config,
    sizes: Mapping[str, int],
    sources: Mapping[str, Source],
    step: int,
    device: torch.device,
    earlier: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """Everything about a run but how it ended. C counts forward and backward passes, the causal mask not deducted, of
    experts those that a token passes, and not what a teacher computes. ``earlier``: the runs from which this one goes
    on, by what they are to it."""
    schedule, per_token = config.lr_schedule(), flops_per_token(config, sizes, sources["val_loss"])
    return {
        "run": config.name,
        "identity": config.identity(),
        **sizes,
        "D": step * config.batch,
        "C": per_token * step * config.batch,
        "flops_per_token": per_token,
        "flops_formula": f"{FLOPS[config.model]}; C = flops_per_token D; D counts {UNITS[config.model]}",
        **({"lr": float(schedule.per_step().max())} if config.lr_is_of_schedule() else {}),
        "peak_lr": float(schedule.per_step().max()),
        "schedule": schedule.text,
        "vocab": sources["val_loss"].vocab,
        "n_head": config.d_model // config.d_head,
        "d_ff": config.d_ff or 4 * config.d_model,
        **{key: getattr(config, key) for key in COPIED},
        **_of_model(config),
        **_of_data(sources["val_loss"], step * config.batch),
        **{f"loss_{role}": about["val_loss"] for role, about in (earlier or {}).items()},
        **{role: dict(about) for role, about in (earlier or {}).items()},
        "step": step,
        "config": config.as_dict(),
        "data": {name: source.facts for name, source in sources.items()},
        "environment": environment(device),
    }


def flops_per_token(config: Config, sizes: Mapping[str, int], source: Source) -> float:
    """FLOP of forward and backward pass for each token, target token or example: see FLOPS."""
    decoder = config.n_layer * config.d_model
    if config.model == "mlp":
        return 6 * sizes["N_readout"] - 2 * source.inputs * config.d_model  # its inputs need no gradient
    if config.model == "decoder":
        return 6 * sizes["N_readout"] + 12 * config.seq_len * decoder
    ratio = source.read / config.seq_len  # what the encoder's side computes, it computes for each token that is read
    encoder = config.n_encoder_layer * (config.encoder_width or config.d_model)
    attended = ratio**2 * encoder + (1 + ratio) * decoder
    joint = (ratio - 1) * (sizes["N"] - sizes["N_dec"])
    return 6 * (sizes["N_readout"] + joint) + 12 * config.seq_len * attended


def _of_model(config: Config) -> dict[str, Any]:
    """What laws of experts and of few bits read: of dense models and of weights that are not rounded too, so that
    these stand beside the others in a sweep. The granularity is of experts alone."""
    full = BITS[config.precision]
    found: dict[str, Any] = {"precision_w": min(config.weight_bits or full, full)}
    found |= {"group_size": config.weight_group} if config.weight_group else {}
    if config.model == "mlp":
        return found
    found |= {"experts": config.experts, "sparsity": 1 - config.experts_per_token / config.experts}
    if config.experts == 1:
        return found
    return found | {"granularity": 4 * config.d_model / (config.d_ff or 4 * config.d_model)}


def _of_data(source: Source, D: int) -> dict[str, Any]:
    """Unique tokens and how often a run of D predicts them, where what passes and fixed examples leave out does not
    count; of a mixture the share of each source."""
    said, shares = source.facts, source.facts.get("shares", {})
    unique = said.get("read_in_a_pass", said.get("tokens", 0))
    found = {f"share_{name}": share for name, share in shares.items()}
    for name, share in shares.items():
        if tokens := said["sources"][name].get("tokens", 0):
            found[f"epochs_{name}"] = share * D / tokens
    return found | ({"U": unique, "epochs": D / said.get("predicted_in_a_pass", unique)} if unique else {})


def environment(device: torch.device) -> dict[str, Any]:
    """Versions and the kind of device."""
    kind = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{platform.machine()} CPU"
    return {
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "device": kind,
        "threads": torch.get_num_threads(),
    }


def gpu_name() -> str:
    """The name of the first CUDA device; empty without one."""
    return str(torch.cuda.get_device_name(0)) if torch.cuda.is_available() else ""
