"""The catalog: one entry per problem, the 26 of DeepOBS 1.1.2 here, later ones in `modern`.

Data, network, L2, batch size and epochs are those of DeepOBS 1.1.2. Where it has no batch size or
number of epochs, they come from the paper of the network or the closest sibling, as noted at the
entry. Tags are described in `suites.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from types import MappingProxyType

from torch import nn

from deepobs_data import (
    cifar10,
    cifar100,
    fmnist,
    imagenet,
    mnist,
    quadratic,
    svhn,
    tolstoi,
    two_d,
)
from deepobs_models import (
    MLP,
    VAE,
    VGG,
    AllCNNC,
    Beale,
    Branin,
    CharLSTM,
    InceptionV3,
    LogisticRegression,
    Net2c2d,
    Net3c3d,
    Quadratic,
    Rosenbrock,
    WideResNet,
)
from deepobs_problems.hessian import quadratic_deep_hessian
from deepobs_problems.losses import (
    inception_accuracy,
    inception_loss,
    model_output,
    sequence_accuracy,
    sequence_cross_entropy,
    vae_loss,
)
from deepobs_problems.modern import PROBLEMS as MODERN
from deepobs_problems.noise import with_latent_noise
from deepobs_problems.problem import (
    NO_METRICS,
    Defaults,
    Hardware,
    Problem,
    convolution_weights,
    recurrent,
    variational,
)
from deepobs_problems.stand_in import stand_in


def quadratic_deep_model() -> nn.Module:
    """100-dimensional quadratic, in float64: its Hessian as it was drawn.

    Cast it to what you compute in, with `.float()` for the float32 of the original.
    """
    return Quadratic(quadratic_deep_hessian())


# With 100 examples (50 of a deep network) in an evaluation, activations stay in a CPU's cache: with
# 1000 it takes up to 1.6 times as long (benchmarks/LOG.md).
_PIXELS = Hardware(evaluation_batch_cpu=100, channels_last=True)
_PIXELS_DEEP = replace(_PIXELS, evaluation_batch_cpu=50)
_LARGE = Hardware(evaluation_batch=50)

# What several entries share.
_logreg = partial(Problem, model=partial(LogisticRegression, 10))
_mlp = partial(Problem, model=partial(MLP, 10))
_convolutional = partial(Problem, hardware=_PIXELS)
_deep = partial(Problem, hardware=_PIXELS_DEEP)
_2c2d = partial(_convolutional, model=partial(Net2c2d, 10), defaults=Defaults(128, 100))
_vae = partial(
    Problem,
    hardware=Hardware(evaluation_batch_cpu=100),
    model=VAE,
    loss=vae_loss,
    metrics=NO_METRICS,
    stock_loss=None,
    forward=variational,
)
# L2 of the VGGs and of Inception leaves the dense layers alone. At 224 pixels, an example of VGG
# needs about 30 MB in evaluation.
_vgg = partial(Problem, hardware=_LARGE, l2=5e-4, decayed=convolution_weights)
_test_function = partial(Problem, loss=model_output, metrics=NO_METRICS, stock_loss=None)


def _tags(words: str) -> frozenset[str]:
    return frozenset(words.split())


_CONVEX = _tags("image cheap convex per-example-safe")
_CHEAP = _tags("image cheap per-example-safe")
_MEDIUM = _tags("image medium per-example-safe")
_DROPOUT = _tags("image medium dropout per-example-safe")
_LARGE_DROPOUT = _tags("image expensive dropout per-example-safe")
_LARGE_NORM = _tags("image expensive batch-norm")
_FUNCTION = _tags("synthetic cheap per-example-safe")

_PROBLEMS = (
    _logreg(
        name="mnist_logreg",
        data=mnist,
        stand_in=stand_in("mnist"),
        defaults=Defaults(128, 50),
        tags=_CONVEX,
    ),
    _mlp(name="mnist_mlp", data=mnist, stand_in=stand_in("mnist"), tags=_CHEAP),
    _2c2d(name="mnist_2c2d", data=mnist, stand_in=stand_in("mnist"), tags=_MEDIUM),
    _vae(
        name="mnist_vae",
        data=with_latent_noise(mnist),
        stand_in=with_latent_noise(stand_in("mnist")),
        defaults=Defaults(64, 50),
        tags=_DROPOUT,
    ),
    _logreg(
        name="fmnist_logreg",
        data=fmnist,
        stand_in=stand_in("fmnist"),
        defaults=Defaults(128, 50),  # as mnist_logreg
        tags=_CONVEX,
    ),
    # DeepOBS 1.1.2 loads MNIST here by mistake; 1.2.0-beta0 mended that.
    _mlp(name="fmnist_mlp", data=fmnist, stand_in=stand_in("fmnist"), tags=_CHEAP),
    _2c2d(name="fmnist_2c2d", data=fmnist, stand_in=stand_in("fmnist"), tags=_MEDIUM),
    _vae(
        name="fmnist_vae",
        data=with_latent_noise(fmnist),
        stand_in=with_latent_noise(stand_in("fmnist")),
        defaults=Defaults(64, 100),
        tags=_DROPOUT,
    ),
    _convolutional(
        name="cifar10_3c3d",
        data=cifar10,
        stand_in=stand_in("cifar10"),
        model=partial(Net3c3d, 10),
        l2=2e-3,
        defaults=Defaults(128, 100),
        tags=_MEDIUM,
    ),
    _vgg(
        name="cifar10_vgg16",
        data=cifar10,
        stand_in=stand_in("cifar10", 128, evaluated=4),
        model=partial(VGG, 16, 10),
        defaults=Defaults(128, 200),  # as cifar100_wrn404
        tags=_LARGE_DROPOUT,
    ),
    _vgg(
        name="cifar10_vgg19",
        data=cifar10,
        stand_in=stand_in("cifar10", 128, evaluated=4),
        model=partial(VGG, 19, 10),
        defaults=Defaults(128, 200),  # as cifar100_wrn404
        tags=_LARGE_DROPOUT,
    ),
    _convolutional(
        name="cifar100_3c3d",
        data=cifar100,
        stand_in=stand_in("cifar100"),
        model=partial(Net3c3d, 100),
        l2=2e-3,
        defaults=Defaults(128, 100),  # as cifar10_3c3d
        tags=_MEDIUM,
    ),
    _deep(
        name="cifar100_allcnnc",
        data=cifar100,
        stand_in=stand_in("cifar100"),
        model=partial(AllCNNC, 100),
        l2=5e-4,
        defaults=Defaults(256, 350),
        tags=_LARGE_DROPOUT,
    ),
    _vgg(
        name="cifar100_vgg16",
        data=cifar100,
        stand_in=stand_in("cifar100", 128, evaluated=4),
        model=partial(VGG, 16, 100),
        defaults=Defaults(128, 200),  # as cifar100_wrn404
        tags=_LARGE_DROPOUT,
    ),
    _vgg(
        name="cifar100_vgg19",
        data=cifar100,
        stand_in=stand_in("cifar100", 128, evaluated=4),
        model=partial(VGG, 19, 100),
        defaults=Defaults(128, 200),  # as cifar100_wrn404
        tags=_LARGE_DROPOUT,
    ),
    _deep(
        name="cifar100_wrn404",
        data=cifar100,
        stand_in=stand_in("cifar100", evaluated=64),
        model=partial(WideResNet, 40, 4, 100),
        l2=5e-4,
        defaults=Defaults(128, 200),  # Zagoruyko and Komodakis 2016
        tags=_LARGE_NORM,
    ),
    _convolutional(
        name="svhn_3c3d",
        data=svhn,
        stand_in=stand_in("svhn"),
        model=partial(Net3c3d, 10),
        l2=2e-3,
        defaults=Defaults(128, 100),  # as cifar10_3c3d
        tags=_MEDIUM,
    ),
    _deep(
        name="svhn_wrn164",
        data=svhn,
        stand_in=stand_in("svhn", evaluated=64),
        model=partial(WideResNet, 16, 4, 10),
        l2=5e-4,
        defaults=Defaults(128, 160),
        tags=_LARGE_NORM,
    ),
    _vgg(
        name="imagenet_vgg16",
        data=imagenet,
        stand_in=stand_in("imagenet", 128, evaluated=4),
        model=partial(VGG, 16, 1001),
        defaults=Defaults(128, 100),  # as imagenet_inception_v3, with CIFAR's batch size
        tags=_LARGE_DROPOUT,
    ),
    _vgg(
        name="imagenet_vgg19",
        data=imagenet,
        stand_in=stand_in("imagenet", 128, evaluated=4),
        model=partial(VGG, 19, 1001),
        defaults=Defaults(128, 100),  # as imagenet_inception_v3, with CIFAR's batch size
        tags=_LARGE_DROPOUT,
    ),
    Problem(
        name="imagenet_inception_v3",
        hardware=_LARGE,
        data=imagenet,
        stand_in=stand_in("imagenet", 64, evaluated=4),
        model=partial(InceptionV3, 1001),
        loss=inception_loss,
        metrics=MappingProxyType({"accuracy": inception_accuracy}),
        l2=5e-4,
        decayed=convolution_weights,
        defaults=Defaults(32, 100),  # Szegedy et al. 2016
        stock_loss=None,
        tags=_LARGE_NORM,
    ),
    Problem(
        name="tolstoi_char_rnn",
        hardware=_LARGE,
        data=tolstoi,
        stand_in=stand_in("tolstoi"),
        model=CharLSTM,
        loss=sequence_cross_entropy,
        metrics=MappingProxyType({"accuracy": sequence_accuracy}),
        defaults=Defaults(50, 200),
        stock_loss=None,
        forward=recurrent,
        tags=_tags("text medium dropout recurrent per-example-safe"),
    ),
    _test_function(
        name="quadratic_deep",
        data=quadratic,
        stand_in=stand_in("quadratic"),
        model=quadratic_deep_model,
        tags=_FUNCTION | {"convex"},
    ),
    # Batch size and epochs of the functions of two parameters: as quadratic_deep.
    _test_function(
        name="two_d_rosenbrock",
        data=two_d,
        stand_in=stand_in("two_d"),
        model=Rosenbrock,
        tags=_FUNCTION,
    ),
    _test_function(
        name="two_d_beale", data=two_d, stand_in=stand_in("two_d"), model=Beale, tags=_FUNCTION
    ),
    _test_function(
        name="two_d_branin", data=two_d, stand_in=stand_in("two_d"), model=Branin, tags=_FUNCTION
    ),
)

CATALOG: Mapping[str, Problem] = MappingProxyType({p.name: p for p in (*_PROBLEMS, *MODERN)})
"""All problems by name, in the order of the table."""
