"""The convolutional variational autoencoder."""

from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from deepobs_models.checks import check_dropout, check_images, check_positive
from deepobs_models.initializers import build_layer, glorot_uniform_
from deepobs_models.padding import SameCrop2d, SamePad2d


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


class VAEOutput(NamedTuple):
    """What `VAE` returns."""

    reconstruction: Tensor  # (B, 1, 28, 28), in (0, 1)
    mean: Tensor  # (B, latent_size)
    log_sigma: Tensor  # (B, latent_size)


class VAE(nn.Module):
    """Convolutional variational autoencoder for images (B, 1, 28, 28) (Kingma and Welling 2014).

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
        dropout: Rate of the five dropout layers.

    Raises:
        ValueError: A size below 1, a dropout rate outside [0, 1); images or noise of another
            shape, images of an integer type.

    >>> model = VAE().eval()
    >>> model(torch.zeros(2, 1, 28, 28), noise=torch.zeros(2, 8)).reconstruction.shape
    torch.Size([2, 1, 28, 28])
    """

    def __init__(self, latent_size: int = 8, *, dropout: float = 0.2) -> None:
        super().__init__()
        check_positive(latent_size=latent_size)
        check_dropout(dropout=dropout)
        self.latent_size = latent_size
        conv = partial(build_layer, nn.Conv2d, weight_init=glorot_uniform_)
        deconv = partial(build_layer, nn.ConvTranspose2d, weight_init=glorot_uniform_)
        dense = partial(build_layer, nn.Linear, weight_init=glorot_uniform_)

        self.encoder = nn.Sequential()
        self.encoder.conv1 = conv(1, 64, 4, stride=2, padding=1)
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

        self.mean = dense(64 * 7 * 7, latent_size)
        self.raw_log_sigma = dense(64 * 7 * 7, latent_size)

        self.decoder = nn.Sequential()
        self.decoder.dense1 = dense(latent_size, 24)
        self.decoder.activation1 = nn.LeakyReLU(0.3)
        self.decoder.dense2 = dense(24, 7 * 7)
        self.decoder.activation2 = nn.LeakyReLU(0.3)
        self.decoder.unflatten = nn.Unflatten(1, (1, 7, 7))
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
        self.decoder.dense3 = dense(64 * 14 * 14, 28 * 28)
        self.decoder.sigmoid = nn.Sigmoid()
        self.decoder.to_image = nn.Unflatten(1, (1, 28, 28))

    def forward(self, x: Tensor, noise: Tensor | None = None) -> VAEOutput:
        """Encode images x (B, 1, 28, 28), sample the latent space, decode.

        Args:
            x: Images (B, 1, 28, 28).
            noise: Standard normal numbers (B, latent_size) for the latent sample; None draws them
                from the global generator.
        """
        check_images(x, "VAE", 1, size=28)
        expected = (x.shape[0], self.latent_size)
        if noise is not None and noise.shape != expected:
            raise ValueError(
                f"noise of VAE must have shape {expected}, got {tuple(noise.shape)}. "
                "Omit it to draw it from the global generator."
            )
        features = self.encoder(x)  # (B, 3136)
        mean = self.mean(features)
        log_sigma = 0.5 * self.raw_log_sigma(features)
        latent = sample_gaussian(mean, log_sigma, noise)
        return VAEOutput(self.decoder(latent), mean, log_sigma)
