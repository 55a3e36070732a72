"""The port has the shapes, the padding and the initial weights of Keras."""

import math

import torch
from keras_port import Encoder
from torch import nn


def test_sizes_are_rounded_up():
    pad, convolution, *_ = model = Encoder(10)
    images = torch.zeros(2, 3, 27, 28)
    assert convolution(pad(images)).shape == (2, 16, 14, 14)
    assert model(images).shape == (2, 10)


def test_number_of_parameters():
    # Conv2D 3*3*3*16 + 16, Conv2D 3*3*16*32 + 32, Dense 32*10 + 10
    assert sum(p.numel() for p in Encoder(10).parameters()) == 448 + 4640 + 330


def test_padding_is_below_and_to_the_right():
    """A kernel of ones on an image of ones, 4 x 4: the last window of each axis hangs over."""
    pad, convolution, *_ = Encoder(10)
    nn.init.ones_(convolution.weight)
    sums = convolution(pad(torch.ones(1, 3, 4, 4)))[0, 0] / 3
    assert sums.tolist() == [[9.0, 6.0], [6.0, 4.0]]  # symmetric padding gives 4 first


def test_initial_weights():
    torch.manual_seed(0)
    convolution = Encoder(10)[4]
    bound = math.sqrt(6 / (9 * 16 + 9 * 32))
    assert 0.99 * bound < convolution.weight.abs().max() <= bound
    assert (convolution.bias == 0).all()


def test_it_learns():
    torch.manual_seed(0)
    model = Encoder(2)
    images, labels = torch.rand(64, 3, 8, 8), torch.arange(64) % 2
    images[labels == 1] *= 0.5  # darker
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
    assert (model(images).argmax(dim=1) == labels).float().mean() > 0.9
