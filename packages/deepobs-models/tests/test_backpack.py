"""BackPACK's extensions run on the networks, as the table in the README says.

First order: `BatchGrad` on every network; its sum is the gradient. Second order: `DiagGGNExact` and
`KFAC` on the sequential networks; the diagonal agrees with one computed with `torch.func`.
"""

import re
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.func import functional_call, jacrev

import deepobs_models as dm

backpack = pytest.importorskip("backpack")
extensions = pytest.importorskip("backpack.extensions")

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

SEQUENTIAL = {
    "logreg": (lambda: dm.LogisticRegression(3, in_features=9), (1, 3, 3)),
    "mlp": (lambda: dm.MLP(3, in_features=9, hidden=(5, 4)), (1, 3, 3)),
    "2c2d": (lambda: dm.Net2c2d(3, image_size=4), (1, 4, 4)),
    "3c3d": (lambda: dm.Net3c3d(3, image_size=9), (3, 9, 9)),
    "vgg16": (lambda: dm.VGG(16, 3, image_size=16), (3, 16, 16)),
    "allcnnc": (lambda: dm.AllCNNC(3, image_size=12), (3, 12, 12)),
}
FIRST_ORDER = {
    **SEQUENTIAL,
    "wrn": (lambda: dm.WideResNet(10, 1, 3), (3, 8, 8)),
    "inception": (lambda: dm.InceptionV3(3, image_size=75, aux_head=False), (3, 75, 75)),
    "vae": (lambda: dm.VAE(), (1, 28, 28)),
    "char_lstm": (lambda: dm.CharLSTM(7, hidden_size=4), (5,)),
}


def build(entry):
    make_model, shape = entry
    torch.manual_seed(0)
    model = make_model().eval()
    if isinstance(model, dm.CharLSTM):
        return model, torch.randint(0, 7, (2, *shape))
    return model, torch.rand(2, *shape)


@pytest.mark.parametrize("name", FIRST_ORDER)
def test_first_order_extension(name):
    model, x = build(FIRST_ORDER[name])
    model = backpack.extend(model)
    loss_function = backpack.extend(nn.CrossEntropyLoss())
    output = model(x)
    if isinstance(model, dm.VAE):
        loss = nn.MSELoss()(output.reconstruction, x)
    elif isinstance(model, dm.CharLSTM):
        loss = loss_function(output[0].transpose(1, 2), x)
    else:
        loss = loss_function(output, torch.tensor([0, 2]))
    with backpack.backpack(extensions.BatchGrad()):
        loss.backward()
    for parameter in model.parameters():
        if parameter.grad is not None:
            assert parameter.grad_batch.shape == (2, *parameter.shape)
            tolerance = 1e-4 * parameter.grad.abs().max().item() + 1e-7
            torch.testing.assert_close(
                parameter.grad_batch.sum(0), parameter.grad, rtol=1e-3, atol=tolerance
            )


def ggn_diagonal(model, x) -> dict[str, torch.Tensor]:
    """Return the diagonal of the generalised Gauss-Newton matrix of the mean cross-entropy."""
    parameters = {name: p.detach() for name, p in model.named_parameters()}
    jacobians = jacrev(lambda p: functional_call(model, p, (x,)))(parameters)  # (B, C, *shape)
    probabilities = model(x).detach().softmax(dim=1)
    hessian = torch.diag_embed(probabilities) - torch.einsum(
        "bi,bj->bij", probabilities, probabilities
    )
    return {
        name: torch.einsum("bi...,bij,bj...->...", jacobian, hessian, jacobian) / len(x)
        for name, jacobian in jacobians.items()
    }


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.slow] if n == "vgg16" else []) for n in SEQUENTIAL],
)
def test_second_order_extensions(name):
    model, x = build(SEQUENTIAL[name])
    expected = ggn_diagonal(model, x) if name != "vgg16" else {}  # its Jacobian is too large
    model = backpack.extend(model)
    loss_function = backpack.extend(nn.CrossEntropyLoss())
    loss = loss_function(model(x), torch.tensor([0, 2]))
    with backpack.backpack(extensions.DiagGGNExact(), extensions.KFAC()):
        loss.backward()
    for path, parameter in model.named_parameters():
        assert torch.isfinite(parameter.diag_ggn_exact).all()
        assert all(torch.isfinite(factor).all() for factor in parameter.kfac)
        if expected:
            torch.testing.assert_close(
                parameter.diag_ggn_exact, expected[path], rtol=1e-3, atol=1e-6
            )


def test_the_table_in_the_readme_is_what_is_tested():
    readme = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.*?) \| (yes.*?|no) \| (yes|no) \|$", readme, re.MULTILINE)
    first, second = set(), set()
    for names, first_order, second_order in rows:
        for name in re.findall(r"`(\w+)`", names):
            if first_order.startswith("yes"):
                first.add(name)
            if second_order == "yes":
                second.add(name)
    assert len(rows) == 11
    same_class = {"vgg19": "vgg16", "wrn164": "wrn", "wrn404": "wrn", "inception_v3": "inception"}
    assert {same_class.get(name, name) for name in first} == set(FIRST_ORDER)
    assert {same_class.get(name, name) for name in second} == set(SEQUENTIAL)
