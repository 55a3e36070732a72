"""What each parameter of a network is for."""

from typing import Literal

from torch import nn

Role = Literal["embedding", "hidden", "head", "norm", "bias"]

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
    modules, as `InceptionV3` has.

    Args:
        model: One of this package's networks, or any other.

    Returns:
        The role of each name in ``model.named_parameters()``, in its order.

    >>> roles(torch.nn.Linear(3, 2))
    {'weight': 'head', 'bias': 'bias'}
    """
    result: dict[str, Role] = {}
    for name, parameter in model.named_parameters():
        owner = model.get_submodule(name.rpartition(".")[0])
        if isinstance(owner, _NORMS):
            result[name] = "norm"
        elif isinstance(owner, _EMBEDDINGS):
            result[name] = "embedding"
        else:
            result[name] = "hidden" if parameter.ndim >= 2 else "bias"
    weights = [name for name, role in result.items() if role == "hidden"]
    declared = getattr(model, "head_names", None)
    if declared is None:
        heads = weights[-1:]
    else:
        heads = [name for name in weights if name.rpartition(".")[0] in declared]
    return {name: "head" if name in heads else role for name, role in result.items()}
