"""The one-block transformer on which grokking was taken apart."""

import math
from functools import partial

import torch
from torch import Tensor, nn

from deepobs_models.building import Device, Factory, build_layer, reset_parameters
from deepobs_models.checks import check_positive
from deepobs_models.initializers import normal_
from deepobs_models.networks.char_gpt import places


def _check_tokens(x: Tensor, length: int) -> Tensor:
    if x.ndim != 2 or x.shape[1] != length or x.is_floating_point():
        raise ValueError(
            f"ModularTransformer takes tokens (B, {length}) of an integer type, got shape "
            f"{tuple(x.shape)} of {x.dtype}."
        )
    return x


torch.fx.wrap("_check_tokens")
torch.fx.wrap("places")


class ModularTransformer(nn.Module):
    """One transformer block without normalisation that reads (a, b, =) and answers at the end.

    Nanda et al., ICLR 2023 (github.com/mechanistic-interpretability-grokking/
    progress-measures-paper, `transformers.py`). Causal attention without biases, scores scaled by
    1/√(width/heads); ReLU mlp with biases. Input tokens (B, T), output logits (B, tokens) at the
    last position. All weights start normal with std 1/√width, the head with 1/√tokens; biases 0.
    By default::

        token     Embedding(114, 128)   14592
        position  Embedding(3, 128)       384
        query     Linear(128, 128)      16384  no bias
        key       Linear(128, 128)      16384  no bias
        value     Linear(128, 128)      16384  no bias
        out       Linear(128, 128)      16384  no bias
        expand    Linear(128, 512)      66048
        contract  Linear(512, 128)      65664
        head      Linear(128, 114)      14592  no bias
        total                          226816

    Args:
        tokens: Number of tokens: those that are added, and "=".
        length: Number of positions.
        width: Features of a position.
        heads: Number of heads, which divides the width.
        hidden: Width of the mlp.
        device: Device of the parameters.
        dtype: Type of the parameters.

    Raises:
        ValueError: A size below 1, heads that do not divide the width; tokens that are not
            (B, length) integers.
    """

    reset_parameters = reset_parameters

    def __init__(
        self,
        tokens: int = 114,
        *,
        length: int = 3,
        width: int = 128,
        heads: int = 4,
        hidden: int = 512,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_positive(tokens=tokens, length=length, width=width, heads=heads, hidden=hidden)
        if width % heads:
            raise ValueError(f"heads must divide the width, got width {width} and {heads} heads.")
        self.heads = heads
        factory: Factory = {"device": device, "dtype": dtype}
        normal = partial(normal_, std=1 / math.sqrt(width))
        embedding = partial(build_layer, nn.Embedding, weight_init=normal, **factory)
        linear = partial(build_layer, nn.Linear, weight_init=normal, **factory)
        self.token = embedding(tokens, width)
        self.position = embedding(length, width)
        self.query, self.key, self.value, self.out = (
            linear(width, width, bias=False) for _ in range(4)
        )
        self.expand = linear(width, hidden)
        self.contract = linear(hidden, width)
        unembedding = partial(normal_, std=1 / math.sqrt(tokens))
        self.head = linear(width, tokens, bias=False, weight_init=unembedding)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, tokens) of what follows the tokens x (B, length)."""
        x = _check_tokens(x, self.position.num_embeddings)
        h = self.token(x) + self.position(places(x))  # (B, T, width)
        # The last position alone is read, so it alone is computed; it sees all others.
        last = h[:, -1]  # (B, width)
        query = self.query(last).unflatten(1, (self.heads, 1, -1))  # (B, H, 1, width / H)
        key, value = (
            part(h).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for part in (self.key, self.value)
        )  # (B, H, T, width / H)
        scores = query @ key.mT / math.sqrt(query.shape[-1])  # (B, H, 1, T)
        mixed = scores.softmax(dim=-1) @ value  # (B, H, 1, width / H)
        last = last + self.out(mixed.flatten(1))
        last = last + self.contract(self.expand(last).relu())
        logits: Tensor = self.head(last)
        return logits
