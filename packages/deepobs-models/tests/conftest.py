"""The networks that the ecosystem tests run over, as the fixture `case`."""

import contextlib
import os

# Threads that spin at a barrier ruin small steps on a busy machine; set before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

import deepobs_models as dm


def pytest_addoption(parser):
    with contextlib.suppress(ValueError):  # the repository's conftest has it; this one goes alone
        parser.addoption("--slow", action="store_true", help="also run the tests marked slow")


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: takes more than a few seconds; run with --slow")


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--slow"):
        for item in items:
            if "slow" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="slow: run with --slow"))


TOKENS = {"char_lstm": 83, "char_gpt": 65, "bigram": 7, "low_rank_bigram": 7, "modular": 6}


@dataclass(frozen=True)
class Case:
    """A network with everything needed to run it on random examples."""

    name: str
    build: Callable[[], nn.Module]
    shape: tuple[int, ...]  # of one example

    def model(self, dtype: torch.dtype = torch.float32) -> nn.Module:
        torch.manual_seed(0)
        model = self.build().to(dtype).eval()
        if isinstance(model, dm.LogisticRegression | dm.BigramTable):
            # They start at zero, where much is degenerate.
            for weight in model.parameters():
                nn.init.normal_(weight, std=0.1)
        return model

    def inputs(self, batch: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, ...]:
        generator = torch.Generator().manual_seed(1)
        if self.name in TOKENS:
            limit = TOKENS[self.name]
            return (torch.randint(0, limit, (batch, *self.shape), generator=generator),)
        x = torch.rand(batch, *self.shape, generator=generator).to(dtype)
        if self.name == "vae":
            return x, torch.randn(batch, 8, generator=generator).to(dtype)
        return (x,)

    @staticmethod
    def losses(output) -> Tensor:
        """Return a smooth loss (B,) of everything that the network computes for an example."""
        match output:
            case dm.VAEOutput():
                values = [output.reconstruction, output.mean, output.log_sigma]
            case (logits, _):
                values = [logits]
            case Tensor(ndim=1):  # a test function: already losses
                return output
            case _:
                values = [output]
        return sum(value.sin().flatten(1).sum(dim=1) for value in values)


CASES = [
    Case("logreg", lambda: dm.LogisticRegression(10), (1, 28, 28)),
    Case("mlp", lambda: dm.MLP(10, hidden=(30, 20, 10)), (1, 28, 28)),
    Case("2c2d", lambda: dm.Net2c2d(10), (1, 28, 28)),
    Case("3c3d", lambda: dm.Net3c3d(10), (3, 32, 32)),
    Case("allcnnc", lambda: dm.AllCNNC(100, image_size=13), (3, 13, 13)),
    Case("wrn", lambda: dm.WideResNet(16, 1, 10), (3, 12, 13)),
    Case("aux_head", lambda: dm.inception_aux_head(4, 10), (4, 17, 17)),
    Case("vae", lambda: dm.VAE(), (1, 28, 28)),
    Case("char_lstm", lambda: dm.CharLSTM(), (7,)),
    Case("quadratic", lambda: dm.Quadratic(torch.eye(5) + torch.ones(5, 5)), (5,)),
    Case("rosenbrock", lambda: dm.Rosenbrock(), (2,)),
    Case("beale", lambda: dm.Beale(), (2,)),
    Case("branin", lambda: dm.Branin(), (2,)),
    Case("noisy_quadratic", lambda: dm.NoisyQuadratic(5), (5,)),
    Case(
        "char_gpt",
        lambda: dm.CharGPT(65, window=6, layers=2, width=16, heads=2, dropout=0.1),
        (5,),
    ),
    Case("signal_mlp", lambda: dm.SignalMLP(10, hidden=9), (40,)),
    Case("signal_conv", lambda: dm.SignalConv(10, channels=4), (40,)),
    Case("signal_gru", lambda: dm.SignalGRU(10, length=9, hidden=3), (9,)),
    Case("bigram", lambda: dm.BigramTable(7), ()),
    Case("low_rank_bigram", lambda: dm.LowRankBigram(7, rank=3), ()),
    Case("burgers_mlp", lambda: dm.BurgersMLP(5, 3, dtype=torch.float32), (2,)),
    Case("laplacian_mlp", lambda: dm.LaplacianMLP(3, hidden=(5, 4), dtype=torch.float32), (3,)),
    Case("self_attention", lambda: dm.SelfAttention(8), (5, 8)),
    Case("modular", lambda: dm.ModularTransformer(6, width=8, heads=2, hidden=12), (3,)),
]
SLOW_CASES = [
    Case("vgg", lambda: dm.VGG(11, 10, image_size=32), (3, 30, 28)),
    Case("inception", lambda: dm.InceptionV3(10, image_size=75, aux_head=False), (3, 32, 32)),
]


@pytest.fixture(
    params=[
        *(pytest.param(case, id=case.name) for case in CASES),
        *(pytest.param(case, id=case.name, marks=pytest.mark.slow) for case in SLOW_CASES),
    ]
)
def case(request) -> Case:
    return request.param


@pytest.fixture
def all_cases() -> dict[str, Case]:
    return {case.name: case for case in [*CASES, *SLOW_CASES]}
