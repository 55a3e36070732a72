"""The convolutional variational autoencoder."""

from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from deepobs_models.building import Device, Factory, build_layer, reset_parameters
from deepobs_models.checks import (
    ImageSize,
    check_dropout,
    check_image_size,
    check_images,
    check_positive,
)
from deepobs_models.classifier import FeatureInfo
from deepobs_models.initializers import glorot_uniform_
from deepobs_models.layers.padding import SameCrop2d, SamePad2d

torch.fx.wrap("check_images")


def sample_gaussian(mean: Tensor, log_sigma: Tensor, noise: Tensor | None = None) -> Tensor:
    """Return mean + noise·exp(log_sigma): a Gaussian sample through which gradients flow.

    The reparametrisation trick (Kingma and Welling 2014).

    Args:
        mean: Means, any shape.
        log_sigma: Logarithms of the standard deviations, same shape.
        noise: Standard normal numbers, same shape; None draws them from the global generator.

    >>> sample_gaussian(torch.ones(2), torch.zeros(2), noise=torch.tensor([-1.0, 2.0]))
    tensor([0., 3.])
    """
    if noise is None:
        noise = torch.randn_like(mean)
    return mean + noise * torch.exp(log_sigma)


def _check_noise(noise: Tensor | None, x: Tensor, latent_size: int) -> Tensor | None:
    expected = (x.shape[0], latent_size)
    if noise is not None and noise.shape != expected:
        raise ValueError(
            f"noise of VAE must have shape {expected}, got {tuple(noise.shape)}. "
            "Omit it to draw it from the global generator."
        )
    return noise


torch.fx.wrap("sample_gaussian")
torch.fx.wrap("_check_noise")


class VAEOutput(NamedTuple):
    """What `VAE` returns."""

    reconstruction: Tensor  # (B, 1, 28, 28), in (0, 1)
    mean: Tensor  # (B, latent_size)
    log_sigma: Tensor  # (B, latent_size)


class VAE(nn.Module):
    """Convolutional variational autoencoder for images (B, C, H, W) (Kingma and Welling 2014).

    DeepOBS 1.1.2, `deepobs/tensorflow/testproblems/_vae.py`. Leaky ReLU of slope 0.3 up to the
    second dense layer of the decoder, ReLU after it, sigmoid at the end. Kernels from Glorot
    uniform, biases 0. Layers and parameters by default::

        encoder.conv1    Conv2d(1, 64, 4)             1088  (64, 14, 14), stride 2, then dropout
        encoder.conv2    Conv2d(64, 64, 4)           65600  (64, 7, 7), stride 2, then dropout
        encoder.conv3    Conv2d(64, 64, 4)           65600  (64, 7, 7), then dropout
        mean             Linear(3136, 8)             25096
        raw_log_sigma    Linear(3136, 8)             25096  times 1/2: log sigma
        decoder.dense1   Linear(8, 24)                 216
        decoder.dense2   Linear(24, 49)               1225  (1, 7, 7)
        decoder.deconv1  ConvTranspose2d(1, 64, 4)    1088  (64, 14, 14), stride 2, then dropout
        decoder.deconv2  ConvTranspose2d(64, 64, 4)  65600  (64, 14, 14), then dropout
        decoder.deconv3  ConvTranspose2d(64, 64, 4)  65600  (64, 14, 14)
        decoder.dense3   Linear(12544, 784)        9835280  (1, 28, 28)
        total                                     10151489

    Args:
        latent_size: Size of the latent space.
        in_channels: Channels of the images.
        image_size: Height and width of the images, multiples of 4, one number or both.
        dropout: Rate of the five dropout layers.
        device: Device of the parameters.
        dtype: Type of the parameters.

    Raises:
        ValueError: A size below 1, an image size that is not a multiple of 4, a dropout rate
            outside [0, 1); images or noise of another shape, images of an integer type.

    >>> model = VAE().eval()
    >>> model(torch.zeros(2, 1, 28, 28), noise=torch.zeros(2, 8)).reconstruction.shape
    torch.Size([2, 1, 28, 28])
    """

    reset_parameters = reset_parameters

    def __init__(
        self,
        latent_size: int = 8,
        *,
        in_channels: int = 1,
        image_size: ImageSize = 28,
        dropout: float = 0.2,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_positive(latent_size=latent_size, in_channels=in_channels)
        check_dropout(dropout=dropout)
        height, width = check_image_size(image_size, "VAE")
        if height % 4 or width % 4:
            raise ValueError(f"image_size of VAE must be multiples of 4, got {image_size}.")
        quarter = (1, height // 4, width // 4)
        positions = quarter[1] * quarter[2]
        self.latent_size = latent_size
        self.in_channels = in_channels
        self.image_size = (height, width)
        self.num_features = 64 * positions
        self.feature_info: list[FeatureInfo] = [
            {"num_chs": 64, "reduction": 2, "module": "encoder.activation1"},
            {"num_chs": 64, "reduction": 4, "module": "encoder.activation2"},
            {"num_chs": 64, "reduction": 4, "module": "encoder.activation3"},
        ]
        factory: Factory = {"device": device, "dtype": dtype}
        conv = partial(build_layer, nn.Conv2d, weight_init=glorot_uniform_, **factory)
        deconv = partial(build_layer, nn.ConvTranspose2d, weight_init=glorot_uniform_, **factory)
        dense = partial(build_layer, nn.Linear, weight_init=glorot_uniform_, **factory)

        self.encoder = nn.Sequential()
        self.encoder.conv1 = conv(in_channels, 64, 4, stride=2, padding=1)
        self.encoder.activation1 = nn.LeakyReLU(0.3)
        self.encoder.dropout1 = nn.Dropout(dropout)
        self.encoder.conv2 = conv(64, 64, 4, stride=2, padding=1)
        self.encoder.activation2 = nn.LeakyReLU(0.3)
        self.encoder.dropout2 = nn.Dropout(dropout)
        self.encoder.pad3 = SamePad2d(4)
        self.encoder.conv3 = conv(64, 64, 4)
        self.encoder.activation3 = nn.LeakyReLU(0.3)
        self.encoder.dropout3 = nn.Dropout(dropout)
        self.encoder.flatten = nn.Flatten()

        self.mean = dense(self.num_features, latent_size)
        self.raw_log_sigma = dense(self.num_features, latent_size)

        self.decoder = nn.Sequential()
        self.decoder.dense1 = dense(latent_size, 24)
        self.decoder.activation1 = nn.LeakyReLU(0.3)
        self.decoder.dense2 = dense(24, positions)
        self.decoder.activation2 = nn.LeakyReLU(0.3)
        self.decoder.unflatten = nn.Unflatten(1, quarter)
        self.decoder.deconv1 = deconv(1, 64, 4, stride=2, padding=1)
        self.decoder.activation3 = nn.ReLU()
        self.decoder.dropout1 = nn.Dropout(dropout)
        self.decoder.deconv2 = deconv(64, 64, 4)
        self.decoder.crop2 = SameCrop2d(4)
        self.decoder.activation4 = nn.ReLU()
        self.decoder.dropout2 = nn.Dropout(dropout)
        self.decoder.deconv3 = deconv(64, 64, 4)
        self.decoder.crop3 = SameCrop2d(4)
        self.decoder.activation5 = nn.ReLU()
        self.decoder.flatten = nn.Flatten()
        self.decoder.dense3 = dense(64 * 4 * positions, in_channels * height * width)
        self.decoder.sigmoid = nn.Sigmoid()
        self.decoder.to_image = nn.Unflatten(1, (in_channels, height, width))

    def forward(self, x: Tensor, noise: Tensor | None = None) -> VAEOutput:
        """Encode images x (B, C, H, W), sample the latent space, decode.

        Args:
            x: Images (B, C, H, W).
            noise: Standard normal numbers (B, latent_size) for the latent sample; None draws them
                from the global generator.
        """
        noise = _check_noise(noise, x, self.latent_size)
        return self.forward_head(self.forward_features(x), noise)

    def forward_features(self, x: Tensor) -> Tensor:
        """Features (B, num_features) of images x (B, C, H, W)."""
        x = check_images(x, "VAE", self.in_channels, size=self.image_size)
        return self.encoder(x)  # type: ignore[no-any-return]

    def forward_head(self, x: Tensor, noise: Tensor | None = None) -> VAEOutput:
        """Everything that the network makes of features (B, num_features).

        Args:
            x: What `forward_features` returned.
            noise: As in `forward`.
        """
        mean = self.mean(x)
        log_sigma = 0.5 * self.raw_log_sigma(x)
        latent = sample_gaussian(mean, log_sigma, noise)
        return VAEOutput(self.decoder(latent), mean, log_sigma)
