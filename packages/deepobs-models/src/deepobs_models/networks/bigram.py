"""Bigram language models: logits of the next token from the present one alone."""

from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn

from deepobs_models.building import Device, build_layer, reset_parameters
from deepobs_models.checks import check_positive
from deepobs_models.initializers import normal_
from deepobs_models.roles import Role


def _check_tokens(x: Tensor, model: str) -> Tensor:
    if x.ndim != 1 or x.is_floating_point():
        raise ValueError(
            f"{model} takes tokens (B,) of an integer type, got shape {tuple(x.shape)} of "
            f"{x.dtype}."
        )
    return x


torch.fx.wrap("_check_tokens")


class BigramTable(nn.Module):
    """A table of logits, one row for each token, that starts at zero.

    The model of Kunstner and Bach, NeurIPS 2025 (arXiv 2505.19227): with cross-entropy or squared
    error it is convex. Input tokens (B,), output logits (B, vocab_size); vocab_size² parameters.

    Args:
        vocab_size: Number of tokens.
        device: Device of the parameters.
        dtype: Type of the parameters.

    Raises:
        ValueError: A size below 1; tokens that are not (B,) integers.

    >>> BigramTable(3)(torch.tensor([2, 0])).tolist()
    [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """

    # A linear layer of one-hot tokens.
    parameter_roles: ClassVar[dict[str, Role]] = {"logits.weight": "head"}

    reset_parameters = reset_parameters

    def __init__(
        self,
        vocab_size: int = 1000,
        *,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_positive(vocab_size=vocab_size)
        self.logits = build_layer(
            nn.Embedding,
            vocab_size,
            vocab_size,
            weight_init=nn.init.zeros_,
            device=device,
            dtype=dtype,
        )

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, vocab_size) of tokens x (B,)."""
        logits: Tensor = self.logits(_check_tokens(x, "BigramTable"))
        return logits


class LowRankBigram(nn.Module):
    """A bigram table that is a product: embedding (V, rank) times head (rank, V).

    The smallest language model with an embedding and a head, not convex. Both start normal with
    std 0.02. Input tokens (B,), output logits (B, vocab_size).

    Args:
        vocab_size: Number of tokens.
        rank: Features of a token.
        device: Device of the parameters.
        dtype: Type of the parameters.

    Raises:
        ValueError: A size below 1; tokens that are not (B,) integers.
    """

    reset_parameters = reset_parameters

    def __init__(
        self,
        vocab_size: int = 1000,
        *,
        rank: int = 64,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_positive(vocab_size=vocab_size, rank=rank)
        build = partial(
            build_layer, weight_init=partial(normal_, std=0.02), device=device, dtype=dtype
        )
        self.embedding = build(nn.Embedding, vocab_size, rank)
        self.head = build(nn.Linear, rank, vocab_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, vocab_size) of tokens x (B,)."""
        logits: Tensor = self.head(self.embedding(_check_tokens(x, "LowRankBigram")))
        return logits
