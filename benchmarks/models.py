"""Time forward and backward of deepobs-models against the obvious references.

torchvision's VGG-16 and Inception v3 at equal input, and a plain `nn.Sequential` for 3c3d. The two
candidates take turns on one thread, and processor times are compared, so that other load on the
machine disturbs little and hits both; on a busy machine the fastest steps tell more than the
medians. Needs torchvision::

    python benchmarks/models.py [--repeats 15] [--only 3c3d]
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
import torchvision
from torch import Tensor, nn

import deepobs_models as dm


def plain_3c3d() -> nn.Sequential:
    """Return 3c3d as one would write it down, with symmetric instead of 'SAME' padding."""
    return nn.Sequential(
        *[nn.Conv2d(3, 64, 5), nn.ReLU(), nn.MaxPool2d(3, 2, padding=1)],
        *[nn.Conv2d(64, 96, 3), nn.ReLU(), nn.MaxPool2d(3, 2, padding=1)],
        *[nn.Conv2d(96, 128, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2, padding=1)],
        *[nn.Flatten(), nn.Linear(1152, 512), nn.ReLU(), nn.Linear(512, 256), nn.ReLU()],
        nn.Linear(256, 10),
    )


def reference_inception() -> nn.Module:
    """Return torchvision's Inception v3 without its own (slow) initialisation."""
    model: nn.Module = torchvision.models.inception_v3(
        weights=None, aux_logits=True, init_weights=False
    )
    return model


# name: (ours, reference, shape of the input)
PAIRS: dict[str, tuple[Callable[[], nn.Module], Callable[[], nn.Module], tuple[int, ...]]] = {
    "3c3d": (lambda: dm.Net3c3d(10), plain_3c3d, (128, 3, 32, 32)),
    "vgg16": (lambda: dm.VGG(16, 1000), torchvision.models.vgg16, (2, 3, 224, 224)),
    "inception_v3": (lambda: dm.InceptionV3(1000), reference_inception, (4, 3, 299, 299)),
}


def time_step(model: nn.Module, x: Tensor) -> float:
    """Return the processor seconds of one forward and backward pass in training mode."""
    model.zero_grad()
    start = time.process_time()
    output = model(x)
    outputs = output if isinstance(output, tuple) else (output,)
    sum(value.square().mean() for value in outputs).backward()
    return time.process_time() - start


def compare(name: str, repeats: int) -> tuple[list[float], list[float]]:
    """Return the seconds of each step of ours and of the reference."""
    make_ours, make_reference, shape = PAIRS[name]
    torch.manual_seed(0)
    candidates = [make_ours().train(), make_reference().train()]
    x = torch.rand(shape)
    times: list[list[float]] = [[], []]
    for repeat in range(repeats + 1):
        order = (0, 1) if repeat % 2 == 0 else (1, 0)
        for index in order:
            seconds = time_step(candidates[index], x)
            if repeat > 0:  # the first round warms up
                times[index].append(seconds)
    return times[0], times[1]


def main() -> None:
    """Print a line for each pair."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--only", choices=PAIRS, help="one pair instead of all")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, torchvision {torchvision.__version__}, 1 thread")
    for name in [arguments.only] if arguments.only else PAIRS:
        ours, reference = compare(name, arguments.repeats)
        for what, summary in (("median", statistics.median), ("fastest", min)):
            a, b = summary(ours), summary(reference)
            print(f"{name:13} {what:8} {a:6.3f} s, reference {b:6.3f} s: {a / b:.3f} times")


if __name__ == "__main__":
    main()
