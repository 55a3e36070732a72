"""What each parameter of a network is for."""

from inspect import getattr_static
from typing import Literal

from torch import nn

Role = Literal["embedding", "hidden", "head", "norm", "bias"]
"""Role of a parameter, as returned by `roles`."""

_NORMS = (
    nn.BatchNorm1d,
    nn.BatchNorm2d,
    nn.BatchNorm3d,
    nn.SyncBatchNorm,
    nn.InstanceNorm1d,
    nn.InstanceNorm2d,
    nn.InstanceNorm3d,
    nn.LayerNorm,
    nn.GroupNorm,
    nn.RMSNorm,
)
_EMBEDDINGS = (nn.Embedding, nn.EmbeddingBag)


def _declares(model: nn.Module, name: str) -> bool:
    return getattr_static(model, name, None) is not None


def _unwrap(model: nn.Module) -> nn.Module:
    """Network inside wrappers such as those of `torch.compile` and data parallelism.

    A wrapper has one child and no parameters of its own, and declares no roles. Some wrappers hand
    on every attribute of what is inside; hence the static look.
    """
    while not any(_declares(model, name) for name in ("head_names", "parameter_roles")):
        children = list(model.children())
        if len(children) != 1 or next(model.parameters(recurse=False), None) is not None:
            break
        model = children[0]
    return model


def _find_layer(model: nn.Module, path: str) -> nn.Module | None:
    """Layer at `path`, or None where the model was built without it."""
    layer: nn.Module | None = model
    for step in path.split("."):
        layer = getattr(layer, step, None)
    return layer


def roles(model: nn.Module) -> dict[str, Role]:
    """Name the role of every parameter, for optimizers that treat them differently (such as Muon).

    * ``embedding``: weights of embeddings;
    * ``norm``: scales and shifts of normalisation layers;
    * ``bias``: everything else with fewer than two dimensions: the biases, and the free parameters
      of `Quadratic` and the functions of two parameters;
    * ``head``: the weight of the last layer, which gives the output;
    * ``hidden``: all other weights.

    The last layer is the one that was created last among those with a weight of two or more
    dimensions. A model with other or more heads has an attribute `head_names`: the names of the
    modules, as `InceptionV3` has; none where the output is tied to the embedding, as in `CharGPT`.
    Where these rules are wrong, such as for a position table that is a bare `nn.Parameter`, it has
    an attribute `parameter_roles`, a mapping from names of parameters to roles. Wrapped models (by
    `torch.compile`, `DistributedDataParallel`, `AveragedModel`, ...) have the roles of the model
    inside, under the names of the wrapper.

    Args:
        model: One of this package's networks, or any other.

    Returns:
        The role of each name in ``model.named_parameters()``, in its order.

    >>> roles(nn.Linear(3, 2))
    {'weight': 'head', 'bias': 'bias'}
    """
    result: dict[str, Role] = {}
    owners: dict[str, nn.Module] = {}
    for name, parameter in model.named_parameters():
        owner = model.get_submodule(name.rpartition(".")[0])
        owners[name] = owner
        if isinstance(owner, _NORMS):
            result[name] = "norm"
        elif isinstance(owner, _EMBEDDINGS):
            result[name] = "embedding"
        else:
            result[name] = "hidden" if parameter.ndim >= 2 else "bias"
    weights = [name for name, role in result.items() if role == "hidden"]
    inner = _unwrap(model)
    declared = getattr(inner, "head_names", None)
    if declared is None:
        heads = weights[-1:]
    else:
        layers = [_find_layer(inner, path) for path in declared]
        heads = [name for name in weights if any(owners[name] is layer for layer in layers)]
    result |= dict.fromkeys(heads, "head")
    own = getattr(inner, "parameter_roles", {})
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return result | {names[id(inner.get_parameter(name))]: role for name, role in own.items()}
