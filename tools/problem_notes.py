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
            "'SAME', with the odd pixel at the bottom and right.",
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
            "Evaluation takes a fixed noise for each example; the original redraws it in every "
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

_NANOGPT = "A. Karpathy: nanoGPT (github.com/karpathy/nanoGPT, commit 3adf61e), without biases"
_GREYDANUS = "S. Greydanus, D. Kobak: Scaling down deep learning with MNIST-1D. ICML 2024"
_KUNSTNER = (
    "F. Kunstner, F. Bach: Scaling laws for gradient descent and sign descent for linear bigram "
    "models under Zipf's law. NeurIPS 2025"
)

NETWORKS |= {
    "BigramTable": Network(
        _KUNSTNER,
        "all zero",
        (
            "Gradient descent needs steps of the order of the vocabulary, sign descent of the "
            "order of its square root.",
            "The best rate of gradient descent lies above the classical bound 2/L: its grid must "
            "reach 10^3.5. Measure steps to an excess, such as 1e-2, 1e-4 or 1e-6.",
        ),
    ),
    "LowRankBigram": Network(
        _KUNSTNER,
        "both matrices normal with deviation 0.02",
        ("An embedding and a head, so it is not convex; the excess does not go to zero.",),
    ),
    "NoisyQuadratic": Network(
        "G. Zhang et al.: Which algorithmic choices matter at which batch sizes? Insights from a "
        "noisy quadratic model. NeurIPS 2019",
        "all ones",
        (
            "Curvature 1/i and covariance of the gradient's noise 1/(i B) in direction i. Mean and "
            "variance of SGD follow an exact recursion within one pass over the data.",
            "Evaluation is without noise, so it is the expectation.",
        ),
    ),
    "SignalMLP": Network(_GREYDANUS, "as torch starts linear layers"),
    "SignalConv": Network(_GREYDANUS, "as torch starts convolutions and linear layers"),
    "SignalGRU": Network(
        _GREYDANUS,
        "as torch starts GRUs and linear layers",
        ("The state starts at zero for each signal; nothing goes from batch to batch.",),
    ),
    "BurgersMLP": Network(
        "M. Raissi, P. Perdikaris, G. Karniadakis: Physics-informed neural networks. "
        "J. Comput. Phys. 378, 2019",
        "weights truncated normal with deviation sqrt(2 / (inputs + outputs)), biases zero",
        (
            "The network returns its value and its derivatives, which are carried forward, so one "
            "backward pass is enough.",
            "The solution is steep at x = 0 from t = 0.4 on: most of the error is there.",
        ),
    ),
    "LaplacianMLP": Network(
        "J. Müller, M. Zeinhofer: Achieving high accuracy with PINNs via energy natural gradient "
        "descent. ICML 2023",
        "weights and biases normal with deviation 0.1",
        (
            "The network returns its value and its Laplacian, which is carried forward, so one "
            "backward pass is enough.",
            "In float32 the error ends near 1e-3: run it in `fp64`, which is the default.",
            "Undamped second-order steps depend on the seed from this start: use ten seeds and "
            "report how many succeed.",
        ),
    ),
    "CharGPT": Network(
        _NANOGPT,
        "matrices and embeddings normal with deviation 0.02, the last matrix of each branch of a "
        "block with 0.02/√(2 · blocks); scales 1",
        (
            "The output is tied to the embedding of the characters: one parameter, of the role "
            "`embedding`.",
            "nanoGPT draws windows at random offsets with replacement; here an epoch goes over the "
            "text once, from a random phase.",
            "nanoGPT reports the smallest of its evaluations of 200 random batches; here all "
            "windows of the test part are evaluated. Report the best and the last value.",
            "nanoGPT decays matrices and embeddings alone, which is `--l2 0.1 --l2-via optimizer`; "
            "the `weight_decay` of AdamW decays the scales of the norms, too.",
        ),
    ),
    "SelfAttention": Network(
        "github.com/cybertronai/caffeine, commit 1c4f7cc",
        "as torch starts `MultiheadAttention`",
        ("Diagnostic: a stress test of matrices, no ranking.",),
    ),
    "ModularTransformer": Network(
        "N. Nanda et al.: Progress measures for grokking via mechanistic interpretability. ICLR "
        "2023",
        "weights normal with deviation 1/√128, of the head 1/√114; biases 0",
        (
            "Diagnostic: time to 99 % training accuracy and to 95 % test accuracy. Claims about "
            "optimizers disagree (arXiv 2504.16041 against Essential AI, 2025), so it ranks "
            "nothing.",
            "The cross-entropy is computed in float64: in float32 its gradient would vanish.",
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
    "shakespeare": "65 characters, numbered in sorted order; windows from a random phase",
    "bigram": "all tokens, each with its weighted distribution of next tokens and its logarithm",
    "bigram_pairs": "tokens and next tokens, drawn once; evaluation is on the population",
    "nqm": "normal with deviation 1, from a fixed seed; evaluation noise is 0",
    "mnist1d": "generated as the authors' file; standardised as a whole",
    "poisson": "points of a grid; targets are two weights and the solution",
    "burgers": "points of a Latin hypercube and of the edges; targets are two weights and the "
    "solution",
    "modular_addition": "the tokens a, b and 113",
    "attention_teacher": "normal with deviation 1, from a fixed seed; targets are the teacher's",
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

PUBLISHED: dict[str, str] = {
    "bigram_zipf_l2": "Of gradient descent exact: the excess after t steps of constant rate η is "
    "Σ π (1 - ηπ)^(2t) times the first, which is 0.0146695; with η = 1/π₁ 0.445 of it after 10 "
    "steps, 0.163 after 100, 0.00653 after 1000.",
    "bigram_zipf_l2_sgd": "Of mini-batch SGD exact, within one pass: steps to a quarter of the "
    "first excess with the best constant rate up to 1/π₁ are 484 at batch size 256, 134 at 1024, "
    "61 at 4096, 51 at 16,384: perfect scaling ends near 1000.",
    "quadratic_nqm": "Expected loss of SGD after 0, 10, 100 and 1000 steps: 3.743, 2.860, 1.782, "
    "0.770 at batch size 1 and rate 0.1; 3.743, 2.038, 0.959, 0.170 at 16 and 0.5.",
    "mnist1d_mlp": "Test accuracy 68 % (Adam 1e-2, 6000 steps); 65.1 % in the authors' notebook.",
    "mnist1d_conv": "Test accuracy 94 % (Adam 1e-2, 6000 steps).",
    "mnist1d_gru": "Test accuracy 91 % (Adam 1e-2, 6000 steps); 89.1 % in the authors' notebook.",
    "poisson_pinn": "First-order methods and BFGS stall at a relative error of 1e-3 to 1e-4; "
    "energy natural gradient reaches 1e-6 to 1e-8.",
    "shakespeare_chargpt": "Validation loss 1.4697, the smallest of a run (AdamW 1e-3, 5000 "
    "steps).",
    "shakespeare_chargpt_small": "Validation loss 1.88 (AdamW 1e-3, 2000 steps).",
    "attention_teacher": "Test loss after 400 steps: 58.3 for an untuned AdamW, 2.35 for the best "
    "of the leaderboard.",
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
