"""A test problem: data, model, loss, metrics, L2 and defaults in one frozen object."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from deepobs_data import Batch, Dataset
from deepobs_problems.errors import ProblemError
from deepobs_problems.fingerprints import describe
from deepobs_problems.losses import accuracy, cross_entropy

State = Any
"""A recurrent model's state, a nested tuple of tensors; None for every other model."""

Forward = Callable[[nn.Module, Batch, State], tuple[Any, State]]
PerExample = Callable[[Any, Batch], Tensor]

ACCURACY: Mapping[str, PerExample] = MappingProxyType({"accuracy": accuracy})
"""The metrics of a problem that classifies: the default of `Problem.metrics`."""

NO_METRICS: Mapping[str, PerExample] = MappingProxyType({})
"""The metrics of a problem that has none but its loss."""


class Reference(NamedTuple):
    """A setting of an optimizer that suits a problem: the published one, or the best of a sweep.

    A run with this optimizer takes from here the hyperparameters that it is not given.
    """

    optimizer: str
    hyperparams: Mapping[str, Any]


@dataclass(frozen=True)
class Defaults:
    """Default settings of a problem's runs.

    Attributes:
        batch_size: training batch size.
        epochs: number of epochs; None if `steps` ends the run.
        steps: number of optimizer steps after which a run ends; None if `epochs` ends it.
        schedule: learning-rate schedule, as `deepobs_runner.parse_schedule` reads it.
        clip_norm: largest norm of the gradient; None does not clip.
        precision: arithmetic, such as `fp32`, `fp64`.
        reference: an optimizer with hyperparameters that suit the problem.
    """

    batch_size: int = 128
    epochs: int | None = 100
    steps: int | None = None
    schedule: str = "constant"
    clip_norm: float | None = None
    precision: str = "fp32"
    reference: Reference | None = None

    def __post_init__(self) -> None:
        ends = [n for n in (self.epochs, self.steps) if n is not None]
        if not ends or any(not isinstance(n, int) or n < 1 for n in (self.batch_size, *ends)):
            raise ProblemError(
                f"{self} has a batch size, epochs or steps that are no whole numbers >= 1, or "
                "neither epochs nor steps."
            )
        if self.clip_norm is not None and not self.clip_norm > 0:
            raise ProblemError(f"clip_norm is {self.clip_norm!r}; it must be a number > 0.")


@dataclass(frozen=True)
class Hardware:
    """How a problem runs fastest on a kind of hardware; no part of its definition.

    Attributes:
        evaluation_batch: batch size of evaluation passes, fits into a few GB of memory. Recurrent
            models are evaluated in batches of the training's size.
        evaluation_batch_cpu: in its place on CPUs, where a smaller batch keeps activations in the
            cache; None is the same everywhere.
        channels_last: hand images to the model in `torch.channels_last` on CPUs, where most
            convolutions are faster with it. A model that flattens with `view` does not take it,
            `flatten` and `reshape` do.
    """

    evaluation_batch: int = 1000
    evaluation_batch_cpu: int | None = None
    channels_last: bool = False

    def evaluation_batch_on(self, device: torch.device) -> int:
        """Batch size of evaluation passes on a device."""
        if device.type == "cpu" and self.evaluation_batch_cpu:
            return self.evaluation_batch_cpu
        return self.evaluation_batch

    def __post_init__(self) -> None:
        sizes = [n for n in (self.evaluation_batch, self.evaluation_batch_cpu) if n is not None]
        if any(not isinstance(n, int) or n < 1 for n in sizes):
            raise ProblemError(f"Batch sizes must be whole numbers >= 1, got {self}.")


class ParameterGroup(dict[str, Any]):
    """A `torch.optim` parameter group: `params` and `weight_decay`."""


def feed_forward(model: nn.Module, batch: Batch, state: State) -> tuple[Any, State]:
    """Apply the model to the inputs; there is no state."""
    return model(batch.x), None


def recurrent(model: nn.Module, batch: Batch, state: State) -> tuple[Any, State]:
    """Apply a recurrent model to inputs and incoming state (None: zero); return its new state."""
    output, state = model(batch.x, state)
    return output, state


def variational(model: nn.Module, batch: Batch, state: State) -> tuple[Any, State]:
    """Apply a VAE: in training with fresh noise, in evaluation with the batch's own.

    The data set of a VAE problem carries the evaluation noise of each example as `y`, so that
    two evaluations of the same weights agree, whatever the order and the batch size.
    """
    noise = None if model.training else batch.y
    return model(batch.x, noise), None


def weights_not_biases(model: nn.Module) -> list[Tensor]:
    """Weights of all convolutional and linear layers, in the order of the modules.

    What the original regularizes in 3c3d, All-CNN-C and the Wide ResNets: no bias, no batch norm.
    """
    convolutions = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
    transposed = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
    layers = (nn.Linear, *convolutions, *transposed)
    return [module.weight for module in model.modules() if isinstance(module, layers)]


def convolution_weights(model: nn.Module) -> list[Tensor]:
    """Weights of the convolutions alone, which is what VGG and Inception decay."""
    return [module.weight for module in model.modules() if isinstance(module, nn.Conv2d)]


def matrices(model: nn.Module) -> list[Tensor]:
    """All parameters of two or more dimensions, embeddings too, as GPTs decay them."""
    return [parameter for parameter in model.parameters() if parameter.ndim >= 2]


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Data, model and loss, and how the benchmark uses them.

    The training objective is `losses(...).mean() + regularizer(model)`; evaluation reports the
    mean loss and the objective over all examples of a split.

    Attributes:
        name: unique, lower case, `<data>_<network>`.
        data: called with `(root, valid_size=, recipe=)`; returns the data set.
        model: builds the network, initialised from torch's global generator.
        loss: `(output, batch) -> (B,)`.
        metrics: further values per example, by name; each `(output, batch) -> (B,)`.
        l2: factor of the regularizer `l2 / 2 * sum of squares` over the decayed weights.
        decayed: picks the regularized parameters of a model.
        training_loss: loss in training mode, such as with smoothed labels; None: use `loss`.
            Evaluation reports `loss`.
        roots: square roots of the means of metrics, by name, such as
            `{"relative_error": "relative_squared_error"}`; reported like metrics.
        prepare: called with the model and the data set before the first step, for initial values
            or buffers that depend on the data; deterministic.
        defaults: default settings of a run.
        stock_loss: builds a `torch.nn` loss equal to the mean of `loss`, for BackPACK's `extend`;
            None where torch has none.
        forward: `(model, batch, state) -> (output, state)`.
        stand_in: called like `data`, returns generated data of the same shapes; None: it has none.
        hardware: batch size of evaluation and memory format; the same numbers up to rounding.
        tags: words to select problems by; those of the catalog are `suites.TAGS`.
        source: sha256 of the file a user's problem was loaded from; "" in the catalog.
    """

    name: str
    data: Callable[..., Dataset]
    model: Callable[[], nn.Module]
    loss: PerExample = cross_entropy
    metrics: Mapping[str, PerExample] = field(default_factory=lambda: ACCURACY)
    training_loss: PerExample | None = None
    roots: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    prepare: Callable[[nn.Module, Dataset], None] | None = None
    l2: float = 0.0
    decayed: Callable[[nn.Module], Iterable[Tensor]] = weights_not_biases
    defaults: Defaults = field(default_factory=Defaults)
    stock_loss: Callable[[], nn.Module] | None = nn.CrossEntropyLoss
    forward: Forward = feed_forward
    stand_in: Callable[..., Dataset] | None = None
    hardware: Hardware = field(default_factory=Hardware)
    tags: frozenset[str] = frozenset()
    source: str = ""

    def __post_init__(self) -> None:
        reserved = {"loss", "objective"} & {*self.metrics, *self.roots}
        if reserved:
            raise ProblemError(
                f"{self.name} has a metric called {reserved.pop()!r}; evaluation reports the loss "
                "and the objective by these names. Choose another."
            )
        if not self.l2 >= 0:
            raise ProblemError(f"l2 of {self.name} is {self.l2!r}; it must be a number >= 0.")

    def build_model(self, dataset: Dataset) -> nn.Module:
        """New model, prepared for the data, from torch's global generator."""
        model = self.model()
        if self.prepare is not None:
            self.prepare(model, dataset)
        return model

    def model_without_memory(self) -> nn.Module:
        """Model on the meta device, for inspection: no memory, no random numbers.

        One that cannot be built there is built for real, and leaves the global generator as it was.
        """
        try:
            with torch.device("meta"):
                return self.model()
        except (RuntimeError, NotImplementedError, TypeError):
            with torch.random.fork_rng(devices=[]):
                return self.model()

    def losses(self, model: nn.Module, batch: Batch, state: State = None) -> tuple[Tensor, State]:
        """Loss of each example, `(B,)`, and the model's new state.

        Raises:
            ProblemError: the loss is of another shape.
        """
        output, state = self.forward(model, batch, state)
        name = "training_loss" if model.training and self.training_loss is not None else "loss"
        return self._per_example(name, getattr(self, name), output, batch), state

    def measures(self, output: Any, batch: Batch) -> dict[str, Tensor]:
        """`loss` and the metrics of each example in evaluation, each `(B,)`.

        Raises:
            ProblemError: one of them is of another shape.
        """
        functions = {"loss": self.loss, **self.metrics}
        return {n: self._per_example(n, f, output, batch) for n, f in functions.items()}

    def _per_example(self, name: str, function: PerExample, output: Any, batch: Batch) -> Tensor:
        """Return one value per example, since a mean over anything else is another number.

        Targets `(B,)` beside outputs `(B, 1)`, for one, broadcast to `(B, B)`.
        """
        values = function(output, batch)
        rows = len(batch.y)
        if isinstance(values, Tensor) and values.shape == (rows,):
            return values
        got = (
            f"shape {tuple(values.shape)}" if isinstance(values, Tensor) else type(values).__name__
        )
        shapes = {"output": output, "targets": batch.y}
        given = [f"{k} {tuple(v.shape)}" for k, v in shapes.items() if isinstance(v, Tensor)]
        raise ProblemError(
            f"The {name} of {self.name} returned {got} for {rows} examples ({', '.join(given)}); "
            f"it must return shape ({rows},), one value per example. Give output and targets the "
            "same shape, do not average over the batch (reduction='none'), and average over all "
            "other axes: values.flatten(1).mean(1)."
        )

    def with_roots(self, means: Mapping[str, float]) -> dict[str, float]:
        """Means with the roots of those that have one."""
        roots = {name: math.sqrt(means[of]) for name, of in self.roots.items()}
        return {**means, **roots}

    def regularizer(self, model: nn.Module, l2: float | None = None) -> Tensor | float:
        """`l2 / 2 * sum of squares` over the decayed weights; 0.0 without any.

        Args:
            model: a model of this problem.
            l2: L2 coefficient; default: the problem's.

        Raises:
            ProblemError: there is a factor, but `decayed` picks no parameter.
        """
        factor = self.l2 if l2 is None else l2
        if factor == 0.0:
            return 0.0
        return half_sum_of_squares(self._decayed(model, factor)) * factor

    def _decayed(self, model: nn.Module, factor: float) -> list[Tensor]:
        decayed = list(self.decayed(model))
        if not decayed:
            raise ProblemError(
                f"l2 is {factor:g}, but `decayed` of {self.name} picks no parameter of the model. "
                "Set l2 to 0, or pass a `decayed` that returns the parameters to regularize."
            )
        return decayed

    def objective(
        self, model: nn.Module, batch: Batch, state: State = None, *, l2: float | None = None
    ) -> tuple[Tensor, State]:
        """Scalar that training minimises and the model's new state."""
        losses, state = self.losses(model, batch, state)
        mean = losses.mean()
        if not (self.l2 if l2 is None else l2):
            return mean, state
        return mean + self.regularizer(model, l2), state

    def parameter_groups(self, model: nn.Module, l2: float | None = None) -> list[ParameterGroup]:
        """Optimizer groups with the same L2 as `weight_decay`: decayed and other weights.

        Plain SGD's `weight_decay` adds `l2 * w` to the gradient, exactly the regularizer's
        gradient. Frozen parameters and empty groups are left out.

        Raises:
            ProblemError: there is a factor, but `decayed` picks no parameter.
        """
        factor = self.l2 if l2 is None else l2
        decayed = {id(p) for p in self._decayed(model, factor)} if factor else set()
        trained = [p for p in model.parameters() if p.requires_grad]
        groups = [
            ParameterGroup(params=[p for p in trained if id(p) in decayed], weight_decay=factor),
            ParameterGroup(params=[p for p in trained if id(p) not in decayed], weight_decay=0.0),
        ]
        return [group for group in groups if group["params"]]

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that change with what defines the problem's numbers.

        Data, model, loss, metrics and L2, see `fingerprints.describe`; of a problem from a file,
        the whole file.
        """
        parts = [describe(getattr(self, name)) for name in ("data", "model", "loss", "forward")]
        metrics = {name: describe(metric) for name, metric in self.metrics.items()}
        definition = [self.name, *parts, metrics, self.l2, describe(self.decayed), self.source]
        later = {
            name: describe(value)
            for name in ("training_loss", "roots", "prepare")
            if (value := getattr(self, name))
        }
        if later:  # what no problem had when the first results were stored
            definition.append(later)
        return hashlib.sha256(json.dumps(definition, sort_keys=True).encode()).hexdigest()[:16]


def half_sum_of_squares(parameters: Iterable[Tensor]) -> Tensor:
    """Half the sum of squares of all entries, a scalar."""
    return 0.5 * torch.stack([p.square().sum() for p in parameters]).sum()
