"""The networks of the problems after 2019 against independent implementations, in float64."""

import math
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import deepobs_models as dm


def close(actual, expected, tolerance=1e-9):
    torch.testing.assert_close(actual, expected, rtol=tolerance, atol=tolerance)


# ------------------------------------------------------------------------------------- CharGPT


def layer_norm(x, scale):
    mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + 1e-5) * scale


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def gpt_of_one_text(weights: dict[str, np.ndarray], x: np.ndarray, heads: int) -> np.ndarray:
    """Logits (T, V) of characters (T,), head by head and position by position, in numpy."""
    h = weights["token.weight"][x] + weights["position.weight"][: len(x)]
    width = h.shape[1]
    size = width // heads
    layers = 1 + max(int(name.split(".")[1]) for name in weights if name.startswith("blocks."))
    for layer in range(layers):
        own = {k.removeprefix(f"blocks.{layer}."): v for k, v in weights.items()}
        normed = layer_norm(h, own["norm1.weight"])
        query, key, value = np.split(normed @ own["attention.qkv.weight"].T, 3, axis=1)
        mixed = np.zeros_like(h)
        for head in range(heads):
            part = slice(head * size, (head + 1) * size)
            for t in range(len(x)):
                scores = key[: t + 1, part] @ query[t, part] / math.sqrt(size)
                mixed[t, part] = softmax(scores) @ value[: t + 1, part]
        h = h + mixed @ own["attention.out.weight"].T
        z = layer_norm(h, own["norm2.weight"]) @ own["expand.weight"].T
        gelu = z * 0.5 * (1 + np.vectorize(math.erf)(z / math.sqrt(2)))
        h = h + gelu @ own["contract.weight"].T
    return layer_norm(h, weights["norm.weight"]) @ weights["token.weight"].T


def random_gpt(**kwargs):
    torch.manual_seed(0)
    model = dm.CharGPT(**kwargs).double().eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return model


def test_gpt_computes_what_its_definition_says():
    model = random_gpt(vocab_size=11, window=9, layers=3, width=12, heads=3)
    weights = {name: p.detach().numpy() for name, p in model.named_parameters()}
    x = torch.randint(11, (2, 7))
    expected = np.stack([gpt_of_one_text(weights, row.numpy(), 3) for row in x])
    with torch.no_grad():
        close(model(x), torch.from_numpy(expected))


def test_gpt_agrees_with_gpt2_of_transformers():
    """A development test: the library is no dependency."""
    transformers = pytest.importorskip("transformers")
    sizes = {"vocab_size": 65, "n_positions": 64, "n_embd": 128, "n_layer": 4, "n_head": 4}
    config = transformers.GPT2Config(**sizes, activation_function="gelu", attn_pdrop=0.0)
    other = transformers.GPT2LMHeadModel(config).double().eval()
    model = random_gpt(vocab_size=65, window=64, layers=4, width=128, heads=4, dropout=0.0)
    own = dict(model.named_parameters())
    names = {
        "wte": "token", "wpe": "position", "ln_f": "norm", "ln_1": "norm1", "ln_2": "norm2",
        "attn.c_attn": "attention.qkv", "attn.c_proj": "attention.out", "mlp.c_fc": "expand",
        "mlp.c_proj": "contract",
    }  # fmt: skip
    with torch.no_grad():
        for name, parameter in other.named_parameters():
            path = name.removeprefix("transformer.").replace("h.", "blocks.", 1)
            layer, _, kind = path.rpartition(".")
            if kind == "bias":
                parameter.zero_()
                continue
            prefix = ".".join(layer.split(".")[:2]) + "." if layer.startswith("blocks.") else ""
            value = own[f"{prefix}{names[layer.removeprefix(prefix)]}.weight"]
            transposed = ".attn." in path or ".mlp." in path  # (in, out) there
            parameter.copy_(value.T if transposed else value)
        x = torch.randint(65, (3, 64))
        close(model(x), other(x).logits)


def test_gpt_starts_as_nanogpt_does():
    torch.manual_seed(0)
    model = dm.CharGPT()
    for name, parameter in model.named_parameters():
        if "norm" in name:
            assert (parameter == 1).all()
            continue
        narrow = name.endswith(("attention.out.weight", "contract.weight"))
        std = 0.02 / math.sqrt(12) if narrow else 0.02
        assert parameter.std().item() == pytest.approx(std, rel=0.02)
        assert abs(parameter.mean().item()) < 0.05 * std
    x = torch.randint(65, (4, 256))
    with torch.no_grad():
        loss = F.cross_entropy(model.eval()(x).flatten(0, 1), torch.randint(65, (1024,)))
    assert loss.item() == pytest.approx(math.log(65) + 384 * 0.02**2 / 2, abs=0.03)


def test_gpt_does_not_see_the_future_and_takes_shorter_texts():
    model = random_gpt(vocab_size=11, window=9, layers=2, width=8, heads=2)
    x = torch.randint(11, (2, 9))
    with torch.no_grad():
        close(model(x[:, :5]), model(x)[:, :5])


# ------------------------------------------------------------------------------ MNIST-1D


def test_residual_mlp_computes_what_its_definition_says():
    model = dm.SignalMLP().double()
    x = torch.randn(3, 40, dtype=torch.float64)
    h = F.relu(F.linear(x, model.dense1.weight, model.dense1.bias))
    h = h + F.relu(F.linear(h, model.dense2.weight, model.dense2.bias))
    close(model(x), F.linear(h, model.dense3.weight, model.dense3.bias))


@pytest.mark.parametrize("length", [3, 4, 5, 6, 7, 39, 40, 41])
def test_convolutions_fit_every_length(length):
    model = dm.SignalConv(length=length).double()
    x = torch.randn(3, length, dtype=torch.float64)
    h = x.unsqueeze(1)
    for conv in (model.conv1, model.conv2, model.conv3):
        h = F.conv1d(h, conv.weight, conv.bias, stride=2, padding=1).clamp(min=0)
    close(model(x), model.dense(h.flatten(1)))


def test_gru_reads_in_both_directions():
    model = dm.SignalGRU(length=4, hidden=2).double()
    x = torch.randn(3, 4, dtype=torch.float64)
    weights = dict(model.gru.named_parameters())

    def read(order, suffix):
        h, states = torch.zeros(3, 2, dtype=torch.float64), {}
        for t in order:
            i = x[:, t : t + 1] @ weights[f"weight_ih_l0{suffix}"].T
            i = i + weights[f"bias_ih_l0{suffix}"]
            r = h @ weights[f"weight_hh_l0{suffix}"].T + weights[f"bias_hh_l0{suffix}"]
            (ir, iz, inn), (hr, hz, hn) = i.chunk(3, 1), r.chunk(3, 1)
            reset, keep = (ir + hr).sigmoid(), (iz + hz).sigmoid()
            h = (1 - keep) * (inn + reset * hn).tanh() + keep * h
            states[t] = h
        return torch.stack([states[t] for t in range(4)], dim=1)

    states = torch.cat([read(range(4), ""), read(reversed(range(4)), "_reverse")], dim=2)
    close(model(x), model.dense(states.flatten(1)))


# ---------------------------------------------------------------------------------- others


@pytest.mark.parametrize("hidden", [(32,), (5, 4), (6, 5, 4)])
def test_laplacian_is_that_of_autograd(hidden):
    torch.manual_seed(0)
    model = dm.LaplacianMLP(3, hidden=hidden, std=0.7)
    points = torch.randn(4, 3, dtype=torch.float64)
    values = model(points)

    def value(point):
        return model(point.unsqueeze(0))[0, 0]

    for point, (u, laplacian) in zip(points, values, strict=True):
        close(u, value(point))
        close(laplacian, torch.func.hessian(value)(point).trace())


def test_laplacian_of_one_hidden_layer_in_closed_form():
    torch.manual_seed(0)
    model = dm.LaplacianMLP()
    first, last = model.layers
    x = torch.rand(5, 2, dtype=torch.float64)
    t = torch.tanh(first(x))
    bend = -2 * t * (1 - t.square())
    close(model(x)[:, 1], bend @ (last.weight[0] * first.weight.square().sum(1)))
    values = torch.cat([p.detach().flatten() for p in model.parameters()])
    assert values.std().item() == pytest.approx(0.1, rel=0.15)


@pytest.mark.parametrize(("width", "depth"), [(20, 8), (4, 1)])
def test_derivatives_of_burgers_network_are_those_of_autograd(width, depth):
    torch.manual_seed(0)
    model = dm.BurgersMLP(width, depth)
    points = torch.rand(4, 2, dtype=torch.float64)

    def value(point):
        return model(point.unsqueeze(0))[0, 0]

    for point, (u, u_x, u_xx, u_t) in zip(points, model(points), strict=True):
        close(u, value(point))
        close(torch.stack([u_x, u_t]), torch.func.grad(value)(point))
        close(u_xx, torch.func.hessian(value)(point)[0, 0])


def test_burgers_network_starts_as_the_authors():
    torch.manual_seed(0)
    model = dm.BurgersMLP()
    inner = torch.cat([layer.weight.detach().flatten() for layer in list(model.layers)[1:-1]])
    std = math.sqrt(2 / 40)
    assert inner.abs().max() <= 2 * std  # truncated there
    assert inner.std().item() == pytest.approx(0.8796 * std, rel=0.03)
    assert not any(layer.bias.any() for layer in model.layers)


def test_modular_transformer_computes_what_its_definition_says():
    """With the einsums of the authors' code."""
    torch.manual_seed(0)
    model = dm.ModularTransformer(12, width=8, heads=2, hidden=20).double()
    with torch.no_grad():
        nn.init.normal_(model.expand.bias)
        nn.init.normal_(model.contract.bias)
    x = torch.randint(12, (5, 3))
    h = model.token.weight[x] + model.position.weight
    q, k, v = (
        torch.einsum("ihd,bpd->biph", w.weight.view(2, 4, 8), h)
        for w in (model.query, model.key, model.value)
    )
    scores = torch.einsum("biph,biqh->biqp", k, q)
    mask = torch.tril(torch.ones(3, 3, dtype=torch.float64))
    weights = ((scores * mask - 1e10 * (1 - mask)) / math.sqrt(4)).softmax(dim=-1)
    z = torch.einsum("biph,biqp->biqh", v, weights).permute(0, 2, 1, 3).flatten(2)
    h = h + z @ model.out.weight.T
    h = h + model.contract((model.expand(h)).relu())
    close(model(x), (h @ model.head.weight.T)[:, -1])


def test_modular_transformer_starts_as_the_authors_does():
    torch.manual_seed(0)
    model = dm.ModularTransformer()
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            assert not parameter.any()
        else:
            columns = 114 if name == "head.weight" else 128
            assert parameter.std().item() * math.sqrt(columns) == pytest.approx(1, rel=0.1)


def test_noisy_quadratic_has_its_curvature_and_noise():
    torch.manual_seed(0)
    model = dm.NoisyQuadratic(4).double()
    model.reset_parameters()  # the curvatures in float64
    h = torch.tensor([1, 1 / 2, 1 / 3, 1 / 4], dtype=torch.float64)
    with torch.no_grad():
        model.theta.copy_(torch.randn(4))
    z = torch.randn(3, 4, dtype=torch.float64)
    for row, loss in zip(z, model(z), strict=True):
        (gradient,) = torch.autograd.grad(loss, model.theta, retain_graph=True)
        close(gradient, h * model.theta + h.sqrt() * row)
        close(loss, (h * model.theta.square() / 2 + h.sqrt() * row * model.theta).sum())


def test_bigrams_are_rows_of_a_table():
    torch.manual_seed(0)
    table, product = dm.BigramTable(5), dm.LowRankBigram(5, rank=2)
    x = torch.tensor([3, 0])
    assert not table(x).any()
    nn.init.normal_(table.logits.weight)
    assert torch.equal(table(x), table.logits.weight[x])
    close(product(x), (product.embedding.weight @ product.head.weight.T)[x], 1e-6)


def test_a_model_says_what_a_bare_parameter_is_for():
    class Tables(nn.Module):
        parameter_roles: ClassVar = {"position": "embedding"}

        def __init__(self):
            super().__init__()
            self.position = nn.Parameter(torch.zeros(1, 5, 4))
            self.dense = nn.Linear(4, 2)

    expected = {"position": "embedding", "dense.weight": "head", "dense.bias": "bias"}
    assert dm.roles(Tables()) == expected
    wrapped = {f"_orig_mod.{name}": role for name, role in expected.items()}
    assert dm.roles(torch.compile(Tables())) == wrapped
