"""What the pages in docs/problems say that the code does not: sources and peculiarities."""

from __future__ import annotations

from typing import NamedTuple

ORIGINAL = "`{}.py` in `deepobs/tensorflow/testproblems`"


class Network(NamedTuple):
    """A network of the benchmark.

    Attributes:
        paper: where it was described.
        start: the distribution of its weights before training.
        notes: what to know about it.
    """

    paper: str
    start: str
    notes: tuple[str, ...] = ()


_RESIZED = "Images are resized bilinearly as TensorFlow 1 does it, without half-pixel centres."
_GLOROT_TRUNCATED = (
    "kernels of convolutions from Keras' Glorot normal, truncated at two standard deviations and "
    "rescaled"
)

NETWORKS: dict[str, Network] = {
    "LogisticRegression": Network("a linear model", "all zero"),
    "MLP": Network(
        "DeepOBS (Schneider, Balles and Hennig, ICLR 2019)",
        "kernels normal with deviation 0.03, truncated at two of it; biases 0",
    ),
    "Net2c2d": Network(
        "DeepOBS (Schneider, Balles and Hennig, ICLR 2019)",
        "kernels normal with deviation 0.05, truncated at two of it; biases 0.05",
    ),
    "Net3c3d": Network(
        "DeepOBS (Schneider, Balles and Hennig, ICLR 2019)",
        f"{_GLOROT_TRUNCATED}, of dense layers from Glorot uniform; biases 0",
        (
            "The first two convolutions are unpadded; the third and the pooling are TensorFlow's "
            "'SAME', whose odd pixel is at the bottom and right.",
        ),
    ),
    "VGG": Network(
        "K. Simonyan, A. Zisserman: Very deep convolutional networks for large-scale image "
        "recognition. ICLR 2015",
        f"{_GLOROT_TRUNCATED}, of dense layers from Glorot uniform; biases 0",
        (
            f"{_RESIZED} CIFAR's 32 pixels become 224, so a step costs what one on ImageNet does.",
            "The L2 term leaves the three dense layers alone, as the original's does.",
        ),
    ),
    "AllCNNC": Network(
        "J. T. Springenberg, A. Dosovitskiy, T. Brox, M. Riedmiller: Striving for simplicity: the "
        "all convolutional net. ICLR 2015 workshop",
        f"{_GLOROT_TRUNCATED}; biases 0.1",
        ("The last convolution has a ReLU, too, so logits are never negative.",),
    ),
    "WideResNet": Network(
        "S. Zagoruyko, N. Komodakis: Wide residual networks. BMVC 2016",
        "kernels from Glorot uniform, bias of the dense layer 0; batch norm 1 and 0",
        (
            "Batch norm has epsilon 1.001e-5: the original asks for 1e-5, and TensorFlow's fused "
            "kernel raises that.",
            "No dropout.",
        ),
    ),
    "InceptionV3": Network(
        "C. Szegedy, V. Vanhoucke, S. Ioffe, J. Shlens, Z. Wojna: Rethinking the Inception "
        "architecture for computer vision. CVPR 2016",
        "kernels from Glorot uniform, dense biases 0; batch norm 1 and 0",
        (
            f"{_RESIZED} 224 pixels become 299.",
            "No dropout: the original's dropout before the last layer never took effect, because "
            "the phase was passed in place of another argument.",
            "Labels are smoothed by 0.1 over 1,001 classes in every evaluation, too; the "
            "auxiliary head counts with 0.4 in training only.",
            "The auxiliary head normalises over one position of each image, so a training batch "
            "needs two images.",
        ),
    ),
    "VAE": Network(
        "D. P. Kingma, M. Welling: Auto-encoding variational Bayes. ICLR 2014",
        "kernels from Glorot uniform, biases 0",
        (
            "The loss is a sum over 784 pixels and 8 latent dimensions, not a mean.",
            "Evaluation takes a fixed noise for each example; the original draws anew in every "
            "evaluation.",
            "A run can end in a collapsed solution that ignores the latent variables: on MNIST at "
            "about 52.9. Look at the runs, not at their mean alone.",
            "The convergence value of the official baselines is passed in the first epoch by "
            "every optimizer, so reports take the final value of tuned Adam as target.",
        ),
    ),
    "CharLSTM": Network(
        "A. Karpathy, J. Johnson, L. Fei-Fei: Visualizing and understanding recurrent networks. "
        "ICLR 2016 workshop",
        "all matrices and the bias of the dense layer from Glorot uniform; the forget gates' bias "
        "1, other biases 0",
        (
            "Dropout of 0.2 on the input and on the output of each layer, so twice between the "
            "two; none in the recurrence.",
            "One bias a gate is trained, as in TensorFlow: `bias_hh` is zero and frozen.",
            "The state goes from batch to batch within an epoch, and starts at zero in each epoch "
            "and each evaluation; the gradient ends at the batch.",
            "The original's own gradients deviate from the true ones by a relative 1e-6 to 1e-4, "
            "because its graph overwrites the state before the backward pass has read it.",
        ),
    ),
    "Quadratic": Network(
        "DeepOBS (Schneider, Balles and Hennig, ICLR 2019)",
        "all ones",
        (
            "Ten of the 100 eigenvalues lie between 30 and 60, the others between 0 and 1; trace "
            "477.612. Every instance has this Hessian; in the original only the first of a "
            "process does.",
            "The optimum lies at the mean of the noise, so the objective does not go to zero: "
            "about 87.",
        ),
    ),
    "Rosenbrock": Network(
        "H. H. Rosenbrock: An automatic method for finding the greatest or least value of a "
        "function. The Computer Journal, 1960",
        "u = -0.5, v = 1.5",
        ("(1 - u)² + 100 (v - u²)² + u·x + v·y for noise (x, y); minimum 0 at (1, 1).",),
    ),
    "Beale": Network(
        "E. M. L. Beale: On an iterative method for finding a local minimum of a function of more "
        "than one variable. Technical report, Princeton, 1958",
        "u = -4.5, v = 4.5",
        (
            "(1.5 - u + uv)² + (2.25 - u + uv²)² + (2.625 - u + uv³)² + u·x + v·y for noise "
            "(x, y); minimum 0 at (3, 0.5).",
        ),
    ),
    "Branin": Network(
        "F. H. Branin: Widely convergent method for finding multiple solutions of simultaneous "
        "nonlinear equations. IBM Journal of Research and Development, 1972",
        "u = 2.5, v = 12.5",
        (
            "(v - 5.1/(4π²) u² + 5/π u - 6)² + 10 (1 - 1/(8π)) cos u + 10 + u·x + v·y for noise "
            "(x, y); minimum 0.398 at three points.",
        ),
    ),
}

_STANDARDISED = "then each image standardised by its own mean and deviation"
_CIFAR = f"padded by 2 and cropped, flipped, brightness, saturation, contrast; {_STANDARDISED}"

PREPARED: dict[str, str] = {
    "mnist": "scaled to [0, 1]; not augmented",
    "fmnist": "scaled to [0, 1]; not augmented",
    "cifar10": _CIFAR,
    "cifar100": _CIFAR,
    "svhn": f"padded by 2 and cropped, brightness, saturation, contrast; {_STANDARDISED}",
    "imagenet": "smaller side resized to 256, cut to 256 x 256, cropped to 224 x 224, flipped; "
    + _STANDARDISED,
    "tolstoi": "83 characters, numbered by frequency; windows of 50",
    "quadratic": "normal with deviation 0.6, from a fixed seed",
    "two_d": "normal with deviation 1, from a fixed seed; test noise is 0, so that test is the "
    "function itself",
}

DATA_NOTES: dict[str, tuple[str, ...]] = {
    "cifar100": (
        "In the original every image is read one byte early: the first value is the label, and all "
        "others are shifted by one. Recipe `2019` repeats that, `standard` does not.",
    ),
    "svhn": (
        "The original trains on the first 64,000 of 73,257 images; so does recipe `2019`, and only "
        "that.",
    ),
    "imagenet": (
        "Labels are torchvision's plus one, as class 0 of 1,001 never occurs.",
        "Images are resized with antialiasing in recipe `standard`; the original has none, and "
        "recipe `2019` repeats that.",
    ),
    "tolstoi": (
        "The original evaluates its training loss on the whole training text, by a wrong count; "
        "recipe `2019` repeats that.",
    ),
}

PROBLEM_NOTES: dict[str, tuple[str, ...]] = {
    "fmnist_mlp": (
        "DeepOBS 1.1 loads MNIST here by mistake; its numbers for this problem are MNIST's. Here "
        "it is Fashion-MNIST.",
    ),
    "mnist_vae": (
        "Four of the ten official seeds of SGD, and all ten of Momentum, end collapsed.",
    ),
    "fmnist_vae": ("Eight of the ten official seeds of Momentum end collapsed, at about 67.9.",),
}
