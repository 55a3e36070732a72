"""What the networks that classify have in common: features, head, checkpointing, reset."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, TypedDict

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from deepobs_models.building import Block, reset_parameters
from deepobs_models.checks import check_images, check_integer

torch.fx.wrap("check_images")


class FeatureInfo(TypedDict):
    """One entry of a network's `feature_info`, with timm's keys."""

    num_chs: int  # channels of the output
    reduction: int  # height and width of the image divided by those of the output
    module: str  # the module with this output


@contextmanager
def _frozen_statistics(layers: list[_BatchNorm]) -> Iterator[None]:
    """Keep batch norm from updating its statistics."""
    before = [(layer.momentum, layer.num_batches_tracked) for layer in layers]
    for layer in layers:
        layer.momentum, layer.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for layer, (momentum, count) in zip(layers, before, strict=True):
            layer.momentum, layer.num_batches_tracked = momentum, count


def _run(layers: Sequence[nn.Module], x: Tensor) -> Tensor:
    for layer in layers:
        x = layer(x)
    return x


def _run_checkpointed(layers: Sequence[nn.Module], x: Tensor) -> Tensor:
    """Run layers and recompute their inner activations in the backward pass.

    Dropout draws the same masks again, and batch norm updates its statistics once.
    """
    inner = (module for layer in layers for module in layer.modules())
    norms = [module for module in inner if isinstance(module, _BatchNorm) and module.training]
    options: dict[str, Any] = {"use_reentrant": False}
    if norms:
        options["context_fn"] = lambda: (nullcontext(), _frozen_statistics(norms))
    return checkpoint(_run, layers, x, **options)


class WithClassifier(nn.Module):
    """A network with a classifier as its last layer, from features to logits."""

    num_classes: int
    num_features: int
    """Values per example, or channels, that the classifier takes."""
    classifier_name: str
    new_classifier: Callable[..., nn.Module]
    """Builds a classifier for a number of classes; takes `device` and `dtype`, too."""

    reset_parameters = reset_parameters

    def get_classifier(self) -> nn.Module:
        """Classifier."""
        return self.get_submodule(self.classifier_name)

    def reset_classifier(self, num_classes: int, global_pool: None = None) -> None:
        """Replace the classifier by a fresh one, with the same initial distribution.

        Args:
            num_classes: Number of classes; 0 leaves no classifier, so that the network returns
                what `forward_head(..., pre_logits=True)` does.
            global_pool: None alone, for callers of timm: the pooling is fixed.

        Raises:
            TypeError: A number of classes that is not an integer.
            ValueError: A number of classes below 0, or another `global_pool`.
        """
        if global_pool is not None:
            raise ValueError(
                f"{type(self).__name__} has a fixed pooling, got global_pool={global_pool!r}. "
                "Leave out global_pool."
            )
        check_integer(num_classes=num_classes)
        if num_classes < 0:
            raise ValueError(f"num_classes must be at least 0, got {num_classes}.")
        self.num_classes = num_classes
        setattr(self, self.classifier_name, self._fresh(self.new_classifier, num_classes))

    def _fresh(self, build: Callable[..., nn.Module], num_classes: int) -> nn.Module:
        if num_classes == 0:
            return nn.Identity()
        like = next(self.parameters(), torch.empty(0))
        return build(num_classes, device=like.device, dtype=like.dtype)


class Classifier(WithClassifier):
    """A network that makes features of its input and logits of them, with timm's vocabulary."""

    feature_info: list[FeatureInfo]
    """Inner outputs worth extracting, in order."""
    grad_checkpointing: bool = False

    @abstractmethod
    def forward_features(self, x: Tensor) -> Tensor:
        """Features that the network computes from the input `x`, before its head."""

    @abstractmethod
    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Logits (B, num_classes) of features.

        Args:
            x: What `forward_features` returned.
            pre_logits: Leave out the classifier.
        """

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Trade memory for time: keep few activations, and compute the others again in backward.

        The numbers stay the same, with dropout and batch norm, too.
        """
        self.grad_checkpointing = enable

    def _run(self, parts: Iterable[Sequence[nn.Module]], x: Tensor) -> Tensor:
        """Run parts one after the other; with checkpointing, only what they return is kept."""
        run = _run_checkpointed if self.grad_checkpointing and torch.is_grad_enabled() else _run
        for part in parts:
            x = run(part, x)
        return x


class SequentialClassifier(Classifier, Block):
    """A classifier that runs its modules in sequence.

    Slices are plain `nn.Sequential`s, which check no input.
    """

    head_name: str
    """The first module of the head."""

    @abstractmethod
    def _check_input(self, x: Tensor) -> Tensor:
        """Return `x`, or raise a `ValueError` with the shape that the network takes."""

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, num_classes)."""
        if self.grad_checkpointing:
            return self.forward_head(self.forward_features(x))
        logits: Tensor = super().forward(self._check_input(x))  # type: ignore[no-untyped-call]
        return logits

    def _split(self) -> int:
        return list(self._modules).index(self.head_name)

    def forward_features(self, x: Tensor) -> Tensor:
        """Features that the network computes from the input `x`, before its head."""
        return self._run(self._parts(), self._check_input(x))

    def _parts(self) -> Iterator[list[nn.Module]]:
        """Yield the layers before the head, divided after the modules in `feature_info`."""
        ends = {info["module"] for info in self.feature_info}
        part: list[nn.Module] = []
        for name, layer in list(self._modules.items())[: self._split()]:
            part.append(layer)
            if name in ends:
                yield part
                part = []
        yield part

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Logits (B, num_classes) of features.

        Args:
            x: What `forward_features` returned.
            pre_logits: Leave out the classifier.
        """
        for name, layer in list(self._modules.items())[self._split() :]:
            if not (pre_logits and name == self.classifier_name):
                x = layer(x)
        return x


class ImageClassifier(SequentialClassifier):
    """A sequential classifier of images (B, in_channels, H, W)."""

    in_channels: int
    image_size: tuple[int, int] | None
    """The height and width that the layers take; None is any."""
    resizes: bool = False
    """Whether images of other sizes are resized instead of refused."""

    def _check_input(self, x: Tensor) -> Tensor:
        size = None if self.resizes else self.image_size
        return check_images(x, type(self).__name__, self.in_channels, size=size)
