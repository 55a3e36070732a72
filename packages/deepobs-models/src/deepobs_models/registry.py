"""The networks by name."""

import difflib
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from torch import nn

from deepobs_models.all_cnn_c import AllCNNC
from deepobs_models.analytic import Beale, Branin, Quadratic, Rosenbrock
from deepobs_models.char_lstm import CharLSTM
from deepobs_models.inception import InceptionV3
from deepobs_models.linear import MLP, LogisticRegression
from deepobs_models.simple_convolutional import Net2c2d, Net3c3d
from deepobs_models.vae import VAE
from deepobs_models.vgg import VGG
from deepobs_models.wide_resnet import WideResNet

_MODELS: Mapping[str, Callable[..., nn.Module]] = MappingProxyType(
    {
        "logreg": LogisticRegression,
        "mlp": MLP,
        "2c2d": Net2c2d,
        "3c3d": Net3c3d,
        "vgg16": partial(VGG, 16),
        "vgg19": partial(VGG, 19),
        "allcnnc": AllCNNC,
        "wrn164": partial(WideResNet, 16, 4),
        "wrn404": partial(WideResNet, 40, 4),
        "inception_v3": InceptionV3,
        "vae": VAE,
        "char_lstm": CharLSTM,
        "quadratic": Quadratic,
        "rosenbrock": Rosenbrock,
        "beale": Beale,
        "branin": Branin,
    }
)


def list_models() -> list[str]:
    """Return the names that `create_model` knows.

    >>> list_models()[:4]
    ['logreg', 'mlp', '2c2d', '3c3d']
    """
    return list(_MODELS)


def create_model(name: str, **kwargs: Any) -> nn.Module:
    """Build a network by name.

    Args:
        name: One of `list_models()`.
        **kwargs: Arguments of the class; the VGGs and Wide ResNets need `num_classes`, the
            quadratic its `hessian`.

    Raises:
        ValueError: There is no such name.

    >>> create_model("wrn164", num_classes=10)(torch.zeros(1, 3, 32, 32)).shape
    torch.Size([1, 10])
    """
    if name not in _MODELS:
        close = difflib.get_close_matches(name, _MODELS, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"Unknown model {name!r}.{hint} There are: {', '.join(_MODELS)}.")
    return _MODELS[name](**kwargs)
