"""Any torch model in a parametrisation: roles from shapes, factors by hand, unchanged at the base size, refusals."""

from __future__ import annotations

import copy
from fnmatch import fnmatchcase

import pytest

torch = pytest.importorskip("torch")

import own_models as mine  # noqa: E402
from torch import nn  # noqa: E402

from scalefit.errors import InputError  # noqa: E402
from scalefit.proxy import Config, Ensemble, parametrize  # noqa: E402
from scalefit.proxy.own.roles import Owned, _role  # noqa: E402

torch.set_num_threads(1)
BRANCHES = ["blocks.*.attn", "blocks.*.mlp"]


def rows(model, base, *given, **options):
    """name -> (role, std, lr, decay, eps)"""
    table = parametrize(model, base, *given, **options).table
    return {row[0]: (row[1], *row[3:]) for row in table.itertuples(index=False)}


def of(found, pattern):
    """The one row that all names of a pattern share."""
    (row,) = {row for name, row in found.items() if fnmatchcase(name, pattern)}
    return row


def test_mup_of_a_gpt_with_adam_by_hand():
    """m = 4. The readout's forward factor 1/4 is absorbed: std 1/4, rate 1/4, decay 4, epsilon (1/4) · 4."""
    found = rows(mine.GPT(64), mine.GPT(16))
    assert of(found, "w?e.weight") == ("embed", 1, 1, 1, 0.25)
    for name in ("attn.qkv", "attn.proj", "mlp.0", "mlp.2"):
        assert found[f"blocks.0.{name}.weight"] == ("hidden", 0.5, 0.25, 4, 0.25)
        assert found[f"blocks.0.{name}.bias"] == ("gain", 1, 1, 0, 0.25)
    assert of(found, "blocks.0.norm?.*") == ("gain", 1, 1, 0, 0.25)
    assert of(found, "norm.*") == ("final", 1, 1, 0, 0.25)
    assert found["lm_head.weight"] == ("readout", 0.25, 0.25, 4, 1)


def test_mup_of_a_vision_transformer_with_sgd_by_hand():
    """m = 4. Rates of vectors 4; of the readout 4 · (1/4)², its decay (1/4) · 4²."""
    found = rows(mine.ViT(64), mine.ViT(16), optimizer="sgd")
    for name in ("patch_embed.weight", "cls_token", "pos_embed"):
        assert found[name][:4] == ("embed", 1, 4, 0.25), name
    assert found["patch_embed.bias"][:4] == ("final", 1, 4, 0)
    assert found["blocks.0.attn.qkv.weight"][:4] == ("hidden", 0.5, 1, 1)
    assert found["head.weight"][:4] == ("readout", 0.25, 0.25, 4)
    assert found["head.bias"][:4] == ("final", 1, 1, 0)  # it does not grow


@pytest.mark.parametrize(
    ("name", "hidden", "gain"),
    [
        ("mup", (0.5, 0.25, 4, 0.25), (1, 1, 0, 0.25)),
        ("depth-mup", (0.5, 0.25 / 2**0.5, 4, 0.25 / 2**0.5), (1, 0.5**0.5, 0, 0.25 / 2**0.5)),
        ("completep", (0.5, 0.25, 4, 0.125), (1, 1, 0, 0.125)),
        ("sp", (0.5, 1, 1, 1), (1, 1, 0, 1)),
        ("ntk", (0.5, 0.5, 2, 2), (1, 1, 0, 1)),  # forward 1/2 absorbed
    ],
)
def test_every_table_by_hand_at_four_times_the_width_and_twice_the_depth(name, hidden, gain):
    found = rows(mine.GPT(64, 4), mine.GPT(16, 2), name, branches=BRANCHES)
    assert of(found, "blocks.*.mlp.2.weight")[1:] == pytest.approx(hidden)
    assert of(found, "blocks.*.norm1.*")[1:] == pytest.approx(gain)
    assert of(found, "w?e.weight")[1] == 1


@pytest.mark.parametrize("name", ["mup", "sp", "ntk"])
def test_initial_values_have_the_deviation_of_the_base_times_the_factor(name):
    model, base = mine.ViT(64), mine.ViT(16)
    with torch.no_grad():
        model.norm.bias.fill_(0.0)
    scaled = parametrize(model, base, name)
    known = base.state_dict()
    factor = dict(zip(scaled.table["name"], scaled.table["std"], strict=True))
    for key, value in model.state_dict().items():
        if "norm" in key:
            assert torch.equal(value, torch.full_like(value, float(key.endswith("weight")))), key
        else:
            assert float(value.std(correction=0)) == pytest.approx(
                factor[key] * float(known[key].std(correction=0)), rel=1e-5
            )


def trained(model, groups, steps=5):
    """The weights after a few steps of AdamW."""
    optimizer, generator = torch.optim.AdamW(groups, lr=1.0), torch.Generator().manual_seed(0)
    for _ in range(steps):
        optimizer.zero_grad()
        mine.loss(model, generator).backward()
        optimizer.step()
    return list(model.state_dict().values())


@pytest.mark.parametrize("name", ["sp", "mup", "completep"])
@pytest.mark.parametrize("tied", [False, True])
def test_nothing_changes_at_the_base_size_to_the_bit(name, tied):
    torch.manual_seed(0)
    model, base = mine.GPT(16, 2, tied), mine.GPT(16, 2, tied)
    plain = copy.deepcopy(model)
    scaled = parametrize(model, base, name, branches=BRANCHES)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), plain.parameters(), strict=True))
    decayed = [each for each in plain.parameters() if each.dim() > 1]
    rest = [each for each in plain.parameters() if each.dim() < 2]
    options = {"lr": 0.01, "eps": 1e-8}
    groups = [{"params": decayed, "weight_decay": 0.1, **options}, {"params": rest, "weight_decay": 0.0, **options}]
    ours = trained(model, scaled.groups(0.01, weight_decay=0.1))
    assert all(torch.equal(a, b) for a, b in zip(ours, trained(plain, groups), strict=True))


def test_groups_by_hand():
    scaled = parametrize(mine.build_mlp(32), mine.build_mlp(8))
    groups = scaled.groups(0.1, weight_decay=0.2, eps=1e-6)
    told = {(g["lr"], round(g["weight_decay"], 9), g["eps"], g["lr_factor"]): len(g["params"]) for g in groups}
    assert told == {
        (0.1, 0.2, 2.5e-7, 1.0): 1,  # input
        (0.1, 0.0, 2.5e-7, 1.0): 2,  # biases that grow
        (0.025, 0.8, 2.5e-7, 0.25): 1,  # hidden
        (0.025, 0.8, 1e-6, 0.25): 1,  # readout
        (0.1, 0.0, 1e-6, 1.0): 1,  # its bias
    }
    assert all("eps" not in g for g in parametrize(mine.build_mlp(16), mine.build_mlp(8), optimizer="sgd").groups(0.1))


def test_frozen_weights_are_in_no_group():
    model = mine.build_mlp(32)
    model[0].weight.requires_grad_(False)
    groups = parametrize(model, mine.build_mlp(8)).groups(0.1)
    assert sum(len(g["params"]) for g in groups) == 5
    assert not any(each is model[0].weight for g in groups for each in g["params"])


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_an_mlp_trains_as_in_our_own_trainer(optimizer):
    """Our trainer multiplies the readout by 1/m in the forward pass, with the decay and the rates of its tables."""
    decay = 0.1 if optimizer == "adamw" else 0.0  # torch's SGD lets the decay pass through the momentum
    options = {"beta1": 0.9, "beta2": 0.95} if optimizer == "adamw" else {"momentum": 0.9}
    config = Config(
        model="mlp", data="sparse-parity", d_model=64, base_width=16, n_layer=2, parametrization="mup", batch=32,
        optimizer=optimizer, optimizer_options=options, lr=0.02, clip=0.0, steps=6, warmup=0, schedule="constant",
        weight_decay=decay, independent_decay=False, zero_readout=False,
        eval_batch=32,
    )  # fmt: skip
    ensemble = Ensemble([config])
    inputs, classes = ensemble.model.leaves["in"].shape[0], ensemble.model.leaves["readout"].shape[1]

    def build(d):
        return nn.Sequential(nn.Linear(inputs, d), nn.ReLU(), nn.Linear(d, d), nn.ReLU(), nn.Linear(d, classes, False))

    model = build(64)
    scaled = parametrize(model, build(16), optimizer=optimizer, roles={"*.bias": "embed"})
    weights = [model[0].weight, model[0].bias, model[2].weight, model[2].bias, model[4].weight]

    def theirs():
        parts = torch.split(ensemble.theta.detach()[0], [leaf.size for leaf in ensemble.model.leaves.values()])
        shaped = [part.view(leaf.shape) for part, leaf in zip(parts, ensemble.model.leaves.values(), strict=True)]
        turned = [each.mT if each.dim() == 2 else each for each in shaped]
        return [*turned[:-1], turned[-1] / 4]  # m = 4

    with torch.no_grad():
        for weight, value in zip(weights, theirs(), strict=True):
            weight.copy_(value)
    groups = scaled.groups(0.02, weight_decay=decay)
    adamw = optimizer == "adamw"
    stepping = torch.optim.AdamW(groups, betas=(0.9, 0.95)) if adamw else torch.optim.SGD(groups, momentum=0.9)
    before = [each.detach().clone() for each in weights]
    for step in range(1, 7):
        batch = {name: value[0] for name, value in ensemble.batch(step).items()}
        stepping.zero_grad()
        nn.functional.cross_entropy(model(batch["x"].float()), batch["y"]).backward()
        stepping.step()
        ensemble.update()
    for ours, wanted, first in zip(weights, theirs(), before, strict=True):
        moved = (ours - first).detach()
        assert float(moved.abs().max()) > 1e-4
        torch.testing.assert_close(moved, (wanted - first), rtol=1e-3, atol=2e-6)


class Tied(nn.Module):
    """Output weights taken from the embedding inside forward, where no module shows it."""

    def __init__(self, dim):
        super().__init__()
        self.wte = nn.Embedding(10, dim)

    def forward(self, ids):
        return self.wte(ids) @ self.wte.weight.T


class Raw(nn.Module):
    """A matrix that is no module's weight."""

    def __init__(self, dim):
        super().__init__()
        self.out = nn.Parameter(torch.randn(10, dim))


class Grouped(nn.Module):
    """A fused projection whose keys and values do not grow with the queries."""

    def __init__(self, dim):
        super().__init__()
        self.qkv = nn.Linear(dim, dim + 16)


def test_tied_embeddings_read_out_with_the_factor():
    model, base = mine.GPT(64, 1, tied=True), mine.GPT(16, 1, tied=True)
    plain = copy.deepcopy(model)
    found = parametrize(model, base)
    assert "tied: wte.weight = lm_head.weight" in str(found)
    assert "lm_head.weight" not in list(found.table["name"])
    plain.load_state_dict(model.state_dict())
    ids = torch.arange(8)[None]
    torch.testing.assert_close(model(ids), plain(ids) / 4)


def test_an_embedding_that_reads_out_unseen_is_noted():
    (note,) = [each for each in parametrize(Tied(64), Tied(16)).notes if "reads out" in str(each)]
    assert "wte.weight" in note.text
    assert "multiply that output by 0.25" in note.text


def test_heads_that_grow_are_noted():
    class Few(nn.Module):
        def __init__(self, dim, heads):
            super().__init__()
            self.attn = nn.MultiheadAttention(dim, heads)

    assert "its heads grow 4 times" in str(parametrize(Few(64, 2), Few(16, 2)))
    assert "multiply its attention logits by 0.5 " in str(parametrize(Few(64, 2), Few(16, 2)))
    assert "its heads grow 2 times" in str(parametrize(Few(64, 4), Few(16, 2)))
    assert not parametrize(Few(64, 8), Few(16, 2)).notes


def test_heads_whose_size_no_module_tells_have_their_share_of_the_width():
    class Counted(nn.Module):
        def __init__(self, dim, heads):
            super().__init__()
            self.proj, self.n_head = nn.Linear(dim, dim), heads

    class Few(nn.Module):
        def __init__(self, dim, heads):
            super().__init__()
            self.attn = Counted(dim, heads)

    assert "attn: its heads grow 2 times" in str(parametrize(Few(64, 4), Few(16, 2)))
    assert "attn: its heads grow 8 times" in str(parametrize(Few(64, 1), Few(16, 2)))
    assert "heads grow" not in str(parametrize(Few(64, 8), Few(16, 2)))


@pytest.mark.parametrize(
    ("model", "base", "options", "words"),
    [
        (Grouped(64), Grouped(32), {}, ["qkv.weight", "different ratios", "(48, 32)", "roles"]),
        (Grouped(64), Grouped(32), {"roles": {"qkv.*": "hidden"}, "optimizer": "sgd"}, ["qkv.weight", "under SGD"]),
        (Raw(64), Raw(32), {}, ["out", "does not say which", "roles={'out'"]),
        (nn.Linear(4, 8), nn.Linear(4, 4, bias=False), {}, ["bias: base has no such parameter"]),
        (nn.Linear(4, 8, bias=False), nn.Linear(4, 4), {}, ["the model lacks bias", "same code"]),
        (
            mine.build_mlp(32),
            nn.Sequential(nn.Linear(12, 8)),
            {},
            ["2.weight (for 0.weight of base)", "last one names"],
        ),
        (nn.Linear(4, 4), nn.Conv1d(4, 4, 1), {}, ["weight", "Conv1d"]),
        (nn.Conv1d(4, 4, 3), nn.Conv1d(4, 4, 1), {}, ["weight", "Conv1d does not say which is input"]),
        (nn.Embedding(9, 8), nn.Embedding(7, 4), {}, ["vocabulary"]),
        (nn.LazyLinear(4), nn.LazyLinear(4), {}, ["weight", "no shape yet"]),
        (mine.build_mlp(32), mine.build_mlp(8), {"roles": {"4.*": "readuot"}}, ["did you mean 'readout'"]),
        (mine.build_mlp(32), mine.build_mlp(8), {"roles": {"head.*": "readout"}}, ["no parameter is named 'head.*'"]),
        (mine.build_mlp(32), mine.build_mlp(8), {"branches": ["blocks.*"]}, ["no module is named 'blocks.*'"]),
        (mine.GPT(16, 2), mine.GPT(16, 1), {"parametrization": "completep"}, ["blocks has another depth", "branches"]),
        (mine.GPT(8, 2), mine.GPT(8, 1), {"branches": ["blocks.*", "blocks.*.attn"]}, ["lies inside"]),
        (mine.build_mlp(32), mine.build_mlp(8), {"parametrization": "mupp"}, ["did you mean 'mup'"]),
        (mine.build_mlp(32), mine.build_mlp(8), {"optimizer": "adamm"}, ["did you mean 'adamw'"]),
    ],
)
def test_what_cannot_be_found_out_is_refused_by_name_and_changes_nothing(model, base, options, words):
    before = copy.deepcopy(model.state_dict()) if not isinstance(model, nn.LazyLinear) else {}
    with pytest.raises(InputError) as refused:
        parametrize(model, base, **options)
    assert not [word for word in words if word not in str(refused.value)], refused.value
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items() if before)
    if "did you mean 'adamw'" not in words and before:
        assert not any(module._forward_hooks for module in model.modules())


def test_a_named_role_decides():
    assert of(rows(Raw(64), Raw(16), roles={"out": "readout"}), "out") == ("readout", 0.25, 0.25, 4, 1)
    assert of(rows(Raw(64), Raw(16), roles={"out": "embed"}), "out") == ("embed", 1, 1, 1, 0.25)
    found = rows(Grouped(64), Grouped(16), roles={"*": "hidden"})  # the ratio of the inputs, 4
    assert found["qkv.weight"] == ("hidden", 0.5, 0.25, 4, 0.25)


def test_values_drawn_otherwise_than_in_base_are_refused():
    model, base = mine.build_mlp(32), mine.build_mlp(8)
    nn.init.zeros_(model[4].weight)
    with pytest.raises(InputError, match=r"4\.weight: the standard deviation .* is 0, in base"):
        parametrize(model, base)


def test_twice_is_refused():
    model, base = mine.build_mlp(32), mine.build_mlp(8)
    parametrize(model, base)
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(InputError, match="model: it has been parametrized before"):
        parametrize(model, base)
    with pytest.raises(InputError, match="base: it has been parametrized before"):
        parametrize(mine.build_mlp(64), model)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    parametrize(base, mine.build_mlp(8))  # at its own size it stays a base
    parametrize(mine.build_mlp(64), base)


class Compiled(nn.Module):
    """As torch.compile wraps a model; compiling one takes seconds."""

    def __init__(self) -> None:
        super().__init__()
        self._orig_mod = mine.build_mlp(8)


@pytest.mark.parametrize("other", [32, None, mine.build_mlp, Compiled()], ids=["number", "none", "maker", "compiled"])
def test_what_is_no_model_or_is_wrapped_is_refused(other):
    said = "base: it is compiled" if isinstance(other, nn.Module) else "base: .* is no torch.nn module"
    with pytest.raises(InputError, match=f"{said}; give the model as your code builds it"):
        parametrize(mine.build_mlp(32), other)


def test_decay_that_adam_would_normalise_is_refused():
    scaled = parametrize(mine.build_mlp(32), mine.build_mlp(8), optimizer="adam")
    with pytest.raises(InputError, match="use AdamW"):
        scaled.groups(0.1, weight_decay=0.1)
    assert scaled.groups(0.1)[0]["eps"] == 2.5e-9


@pytest.mark.parametrize(
    ("name", "where"), [("a.0.weight", "a.0.weight: "), ("a.3.weight", r"a\.3\.weight \(for a\.0\.weight of base\): ")]
)
def test_a_parameter_of_another_kind_is_named_as_in_both_models(name, where):
    base = Owned("a.0.weight", nn.Linear(4, 4), torch.zeros(4, 4))
    with pytest.raises(InputError, match=where + "shape"):
        _role(Owned(name, nn.LayerNorm(8), torch.zeros(8)), base, {})
