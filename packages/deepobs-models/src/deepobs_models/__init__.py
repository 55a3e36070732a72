"""The networks of the DeepOBS optimizer benchmark and the layers they are made of.

The exported names are public. The modules are private and may change in any release.
"""

from typing import TYPE_CHECKING

from deepobs_models.building import (
    build_layer,
    build_uninitialized,
    initialize_layer,
    reset_parameters,
)
from deepobs_models.initializers import glorot_normal_, glorot_uniform_, truncated_normal_
from deepobs_models.layers.convolution import (
    Conv1dSame,
    Conv2dSame,
    Conv3dSame,
    ConvTranspose1dSame,
    ConvTranspose2dSame,
    ConvTranspose3dSame,
)
from deepobs_models.layers.padding import (
    SameCrop1d,
    SameCrop2d,
    SameCrop3d,
    SamePad1d,
    SamePad2d,
    SamePad3d,
    same_output_size,
    same_padding,
    same_zero_pad2d,
)
from deepobs_models.layers.pooling import (
    AvgPool1dSame,
    AvgPool2dSame,
    AvgPool3dSame,
    GlobalAvgPool2d,
    MaxPool1dSame,
    MaxPool2dSame,
    MaxPool3dSame,
    same_avg_pool2d,
    same_max_pool2d,
)
from deepobs_models.layers.resize import LegacyBilinearResize, legacy_bilinear_resize
from deepobs_models.networks.all_cnn_c import AllCNNC
from deepobs_models.networks.analytic import Beale, Branin, NoisyQuadratic, Quadratic, Rosenbrock
from deepobs_models.networks.attention_student import SelfAttention
from deepobs_models.networks.bigram import BigramTable, LowRankBigram
from deepobs_models.networks.burgers_mlp import BurgersMLP
from deepobs_models.networks.char_gpt import CausalSelfAttention, CharGPT, TransformerBlock
from deepobs_models.networks.char_lstm import CharLSTM, CharLSTMState
from deepobs_models.networks.inception import (
    Branches,
    ConvNormReLU,
    InceptionOutput,
    InceptionV3,
    inception_a,
    inception_aux_head,
    inception_b,
    inception_c,
    inception_d,
    inception_e,
    inception_stem,
)
from deepobs_models.networks.laplacian_mlp import LaplacianMLP
from deepobs_models.networks.linear import MLP, LogisticRegression
from deepobs_models.networks.modular_transformer import ModularTransformer
from deepobs_models.networks.signals import SignalConv, SignalGRU, SignalMLP
from deepobs_models.networks.simple_convolutional import Net2c2d, Net3c3d
from deepobs_models.networks.vae import VAE, VAEOutput, sample_gaussian
from deepobs_models.networks.vgg import VGG
from deepobs_models.networks.wide_resnet import PreActResidualBlock, WideResNet
from deepobs_models.registry import create_model, list_models
from deepobs_models.roles import Role, roles

__all__ = [
    "MLP",
    "VAE",
    "VGG",
    "AllCNNC",
    "AvgPool1dSame",
    "AvgPool2dSame",
    "AvgPool3dSame",
    "Beale",
    "BigramTable",
    "Branches",
    "Branin",
    "BurgersMLP",
    "CausalSelfAttention",
    "CharGPT",
    "CharLSTM",
    "CharLSTMState",
    "Conv1dSame",
    "Conv2dSame",
    "Conv3dSame",
    "ConvNormReLU",
    "ConvTranspose1dSame",
    "ConvTranspose2dSame",
    "ConvTranspose3dSame",
    "GlobalAvgPool2d",
    "InceptionOutput",
    "InceptionV3",
    "LaplacianMLP",
    "LegacyBilinearResize",
    "LogisticRegression",
    "LowRankBigram",
    "MaxPool1dSame",
    "MaxPool2dSame",
    "MaxPool3dSame",
    "ModularTransformer",
    "Net2c2d",
    "Net3c3d",
    "NoisyQuadratic",
    "PreActResidualBlock",
    "Quadratic",
    "Role",
    "Rosenbrock",
    "SameCrop1d",
    "SameCrop2d",
    "SameCrop3d",
    "SamePad1d",
    "SamePad2d",
    "SamePad3d",
    "SelfAttention",
    "SignalConv",
    "SignalGRU",
    "SignalMLP",
    "TransformerBlock",
    "VAEOutput",
    "WideResNet",
    "build_layer",
    "build_uninitialized",
    "create_model",
    "glorot_normal_",
    "glorot_uniform_",
    "inception_a",
    "inception_aux_head",
    "inception_b",
    "inception_c",
    "inception_d",
    "inception_e",
    "inception_stem",
    "initialize_layer",
    "legacy_bilinear_resize",
    "list_models",
    "reset_parameters",
    "roles",
    "same_avg_pool2d",
    "same_max_pool2d",
    "same_output_size",
    "same_padding",
    "same_zero_pad2d",
    "sample_gaussian",
    "truncated_normal_",
]

if TYPE_CHECKING:
    __version__: str
else:  # a checker would take every misspelled name for one of these

    def __getattr__(name: str) -> str:
        # Reading the metadata costs more than importing the package, so it is done on demand.
        if name == "__version__":
            from importlib.metadata import version

            return version("deepobs-models")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
