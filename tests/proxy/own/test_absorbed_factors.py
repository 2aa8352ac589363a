"""Training without factors in the forward pass equals training with the tables' factors in it."""

from __future__ import annotations

import copy

import pytest

torch = pytest.importorskip("torch")

import own_models as mine  # noqa: E402
from torch import nn  # noqa: E402

from scalefit.proxy import parametrize  # noqa: E402
from scalefit.proxy.models.parametrization import TABLE, at  # noqa: E402

torch.set_num_threads(1)
BRANCHES = ["blocks.*.attn", "blocks.*.mlp"]
M, DEPTH, LR, DECAY, EPS = 4.0, 2.0, 0.02, 0.1, 1e-3  # an epsilon that matters
ADAMW = {"betas": (0.9, 0.95), "eps": EPS}


def role_of(name, value):
    """As the tables see the GPT, by its names."""
    if name.startswith(("wte", "wpe")):
        return "embed"
    if value.dim() < 2:
        return "gain" if name.startswith("blocks") else "final"
    return "readout" if name.startswith("lm_head") else "hidden"


def multiplied(factor):
    return lambda module, args, output=None: factor * (args[0] if output is None else output)


def written_out(model, table, kind, tied):
    """The same model with every factor of the table in its forward pass, and its parameter groups."""
    factors = at(TABLE[table], kind=kind, m=M, m_L=DEPTH)
    plain, groups = copy.deepcopy(model), []
    for module in plain.modules():
        module._forward_hooks.clear()
        module._forward_pre_hooks.clear()
    for block in plain.blocks:
        for branch in (block.attn, block.mlp):
            branch.register_forward_hook(multiplied(factors.residual))
    for name, module in plain.named_modules():
        if isinstance(module, nn.Linear):
            role = "readout" if name == "lm_head" else "hidden"
            module.register_forward_pre_hook(lambda _, args, f=factors.forward[role]: f * args[0])
            if not (tied and role == "readout"):
                module.weight.data /= factors.forward[role]
    for name, value in plain.named_parameters():
        role = role_of(name, value)
        own = {"lr": LR * factors.lr[role], "weight_decay": DECAY * factors.decay[role]}
        groups.append({"params": [value], **own, **({"eps": EPS * factors.eps[role]} if kind == "adam" else {})})
    return plain, groups, factors


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("table", ["mup", "ntk", "depth-mup", "completep"])
def test_absorbed_factors_train_the_same_model(table, optimizer, tied):
    kind = "adam" if optimizer == "adamw" else "sgd"
    torch.manual_seed(1)
    model, base = mine.GPT(32, 2, tied).double(), mine.GPT(8, 1, tied).double()
    scaled = parametrize(model, base, table, optimizer=optimizer, branches=BRANCHES)
    plain, groups, factors = written_out(model, table, kind, tied)
    start = copy.deepcopy(model.state_dict())
    ours = scaled.groups(LR, weight_decay=DECAY, eps=EPS)
    steppings = [
        torch.optim.AdamW(g, betas=(0.9, 0.95)) if kind == "adam" else torch.optim.SGD(g, momentum=0.9)
        for g in (ours, groups)
    ]
    generators = [torch.Generator().manual_seed(3) for _ in range(2)]
    for _ in range(4):
        for each, stepping, generator in zip((model, plain), steppings, generators, strict=True):
            stepping.zero_grad()
            mine.loss(each, generator).backward()
            norm = torch.nn.utils.clip_grad_norm_(plain.parameters(), 0.5) if each is plain else scaled.clip(0.5)
            assert float(norm) > 0
            stepping.step()
    names = dict(plain.named_parameters())
    for name, value in model.named_parameters():
        forward = 1.0 if value.dim() < 2 or (tied and name == "wte.weight") else factors.forward[role_of(name, value)]
        wanted = names[name].detach() * forward - start[name]
        moved = value.detach() - start[name]
        assert float(moved.abs().max()) > 1e-5, name
        torch.testing.assert_close(moved, wanted, rtol=1e-6, atol=1e-9, msg=name)


def test_the_norm_of_the_gradient_is_that_of_the_model_as_the_table_writes_it():
    model, base = mine.build_mlp(64), mine.build_mlp(16)
    scaled = parametrize(model, base)
    mine.loss(model, torch.Generator().manual_seed(0)).backward()
    parts = [each.grad.detach().clone() for each in model.parameters()]
    parts[4] /= 4  # of the readout, whose factor is 1/4
    wanted = torch.linalg.vector_norm(torch.cat([each.flatten() for each in parts]))
    assert float(scaled.clip(1e9)) == pytest.approx(float(wanted))
    assert float(scaled.clip(float(wanted) / 2)) == pytest.approx(float(wanted))
    assert float(scaled.clip(1e9)) == pytest.approx(float(wanted) / 2, rel=1e-4)


def test_without_the_factors_the_trainings_differ():
    """The same comparison notices a rate, a decay or an epsilon that is not scaled."""
    torch.manual_seed(1)
    ends = []
    for spoiled in (None, "lr", "weight_decay", "eps"):
        torch.manual_seed(1)
        model, base = mine.GPT(32).double(), mine.GPT(8).double()
        groups = parametrize(model, base).groups(LR, weight_decay=DECAY, eps=EPS)
        if spoiled:
            groups[-1][spoiled] *= 2
        stepping, generator = torch.optim.AdamW(groups), torch.Generator().manual_seed(3)
        for _ in range(3):
            stepping.zero_grad()
            mine.loss(model, generator).backward()
            stepping.step()
        ends.append(torch.cat([each.detach().flatten() for each in model.parameters()]))
    assert all(float((end - ends[0]).abs().max()) > 1e-6 for end in ends[1:])
