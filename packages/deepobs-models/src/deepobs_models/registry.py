"""Networks by name."""

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from functools import partial
from types import MappingProxyType
from typing import Any

from torch import nn

from deepobs_models.checks import ImageSize, check_image_size
from deepobs_models.classifier import WithClassifier
from deepobs_models.networks.all_cnn_c import AllCNNC
from deepobs_models.networks.analytic import Beale, Branin, NoisyQuadratic, Quadratic, Rosenbrock
from deepobs_models.networks.attention_student import SelfAttention
from deepobs_models.networks.bigram import BigramTable, LowRankBigram
from deepobs_models.networks.burgers_mlp import BurgersMLP
from deepobs_models.networks.char_gpt import CharGPT
from deepobs_models.networks.char_lstm import CharLSTM
from deepobs_models.networks.inception import InceptionV3
from deepobs_models.networks.laplacian_mlp import LaplacianMLP
from deepobs_models.networks.linear import MLP, LogisticRegression
from deepobs_models.networks.modular_transformer import ModularTransformer
from deepobs_models.networks.signals import SignalConv, SignalGRU, SignalMLP
from deepobs_models.networks.simple_convolutional import Net2c2d, Net3c3d
from deepobs_models.networks.vae import VAE
from deepobs_models.networks.vgg import VGG
from deepobs_models.networks.wide_resnet import WideResNet


def _of_images(network: type[nn.Module]) -> Callable[..., nn.Module]:
    """Let a network of `in_features` values take the arguments of the networks of images."""

    def build(
        *, in_channels: int = 1, image_size: ImageSize = 28, in_features: int = 0, **kwargs: Any
    ) -> nn.Module:
        height, width = check_image_size(image_size, network.__name__)
        return network(in_features=in_features or in_channels * height * width, **kwargs)

    own = inspect.signature(network).parameters.values()
    new = [p for p in inspect.signature(build).parameters.values() if p.kind == p.KEYWORD_ONLY]
    names = {p.name for p in new}
    build.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [*(p.replace(kind=p.KEYWORD_ONLY) for p in own if p.name not in names), *new]
    )
    return build


_MODELS: Mapping[str, Callable[..., nn.Module]] = MappingProxyType(
    {
        "logreg": _of_images(LogisticRegression),
        "mlp": _of_images(MLP),
        "2c2d": Net2c2d,
        "3c3d": Net3c3d,
        **{f"vgg{depth}": partial(VGG, depth=depth) for depth in (11, 13, 16, 19)},
        **{
            f"vgg{depth}_bn": partial(VGG, depth=depth, batch_norm=True)
            for depth in (11, 13, 16, 19)
        },
        "allcnnc": AllCNNC,
        "wrn": WideResNet,
        "wrn164": partial(WideResNet, depth=16, widen_factor=4),
        "wrn404": partial(WideResNet, depth=40, widen_factor=4, num_classes=100),
        "wrn2810": partial(WideResNet, depth=28, widen_factor=10),
        "inception_v3": InceptionV3,
        "vae": VAE,
        "char_lstm": CharLSTM,
        "quadratic": Quadratic,
        "rosenbrock": Rosenbrock,
        "beale": Beale,
        "branin": Branin,
        "char_gpt": CharGPT,
        "char_gpt_small": partial(CharGPT, window=64, layers=4, width=128, heads=4, dropout=0.0),
        "signal_mlp": SignalMLP,
        "signal_conv": SignalConv,
        "signal_gru": SignalGRU,
        "bigram_table": BigramTable,
        "low_rank_bigram": LowRankBigram,
        "noisy_quadratic": NoisyQuadratic,
        "laplacian_mlp": LaplacianMLP,
        "burgers_mlp": BurgersMLP,
        "self_attention": SelfAttention,
        "modular_transformer": ModularTransformer,
    }
)

# Other libraries' names of arguments.
_SYNONYMS = {"in_chans": "in_channels", "img_size": "image_size", "drop_rate": "dropout"}

# Arguments of timm's create_model that may be false or left out, and why.
_UNSUPPORTED = {
    "pretrained": (
        "has no pretrained weights. Leave out pretrained, and load weights of your own with "
        "load_state_dict()."
    ),
    "features_only": (
        "is not built as a feature extractor. Leave out features_only, and hook the modules in "
        "feature_info."
    ),
    "global_pool": (
        "has a fixed pooling. Leave out global_pool; forward_features() returns the features "
        "before the head."
    ),
}


def list_models(patterns: str | Iterable[str] = "*") -> list[str]:
    """Names that `create_model` knows, or those that match a pattern.

    Args:
        patterns: One or several patterns with `*` and `?`, such as ``"vgg*"``.

    >>> list_models("vgg*_bn")
    ['vgg11_bn', 'vgg13_bn', 'vgg16_bn', 'vgg19_bn']
    """
    wanted = [patterns] if isinstance(patterns, str) else list(patterns)
    return [name for name in _MODELS if any(fnmatchcase(name, p.lower()) for p in wanted)]


def create_model(name: str, **kwargs: Any) -> nn.Module:
    """Build a network by name.

    All take `device` and `dtype`. All that classify take `num_classes`, all of images `in_channels`
    and `image_size`; those with dropout take `dropout`. `in_chans`, `img_size` and `drop_rate` are
    understood, too. Everything has a default, the original's where it has one.

    With `num_classes=0` a network with a classifier is built without it, as after
    `reset_classifier(0)`. `pretrained=False` and `features_only=False` are understood and do
    nothing.

    Args:
        name: One of `list_models()`.
        **kwargs: Arguments of the class.

    Raises:
        ValueError: Unknown name, a value out of range, or an option of timm that is not supported.
        TypeError: The network takes no such argument, or a number is not an integer.

    >>> import torch
    >>> create_model("wrn164", num_classes=5)(torch.zeros(1, 3, 32, 32)).shape
    torch.Size([1, 5])
    >>> create_model("wrn164", num_classes=0)(torch.zeros(1, 3, 32, 32)).shape
    torch.Size([1, 256])
    """
    if name not in _MODELS:
        raise ValueError(f"Unknown model {name!r}.{_hint(name, _MODELS)}")
    build = _MODELS[name]
    known = list(inspect.signature(build).parameters)
    arguments = {_SYNONYMS.get(key, key): value for key, value in kwargs.items()}
    for option, why in _UNSUPPORTED.items():
        if arguments.pop(option, None) not in (None, False):
            raise ValueError(f"{name} {why}")
    headless = arguments.get("num_classes") == 0
    if headless and {"num_classes", "vocab_size"} & set(known):
        del arguments["num_classes"]
    if "num_classes" in arguments and "vocab_size" in known:
        arguments["vocab_size"] = arguments.pop("num_classes")
    for key in arguments:
        if key not in known:
            raise TypeError(f"{name} takes no argument {key!r}.{_hint(key, known)}")
    model = build(**arguments)
    if headless:
        if not isinstance(model, WithClassifier):
            raise ValueError(f"{name} has no classifier to leave out: num_classes must be over 0.")
        model.reset_classifier(0)
    return model


def _hint(name: str, known: Iterable[str]) -> str:
    known = list(known)
    close = difflib.get_close_matches(name.lower(), known, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return f"{hint} There are: {', '.join(known)}."
