"""The decoder-only transformer of nanoGPT, over characters."""

import math
from functools import partial
from typing import Unpack

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepobs_models.building import Device, Factory, build_layer, reset_parameters
from deepobs_models.checks import check_dropout, check_positive
from deepobs_models.initializers import normal_

_STD = 0.02
_normal = partial(normal_, std=_STD)


class CausalSelfAttention(nn.Module):
    """Multi-head attention of each position to itself and those before it, without biases.

    Input and output (B, T, width). `qkv` gives queries, keys and values of all heads, in this
    order; scores are scaled by 1/√(width/heads). Dropout acts on the attention weights and on the
    output.

    Args:
        width: Features of a position.
        heads: Number of heads, which divides the width.
        dropout: Rate of both dropouts.
        out_std: Standard deviation of the initial output matrix.
        **factory: `device` and `dtype` of the parameters.

    Raises:
        ValueError: A size below 1, heads that do not divide the width, a rate outside [0, 1).
    """

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        dropout: float = 0.0,
        out_std: float = _STD,
        **factory: Unpack[Factory],
    ) -> None:
        super().__init__()
        check_positive(width=width, heads=heads)
        check_dropout(dropout=dropout)
        if width % heads:
            raise ValueError(f"heads must divide the width, got width {width} and {heads} heads.")
        self.heads, self.dropout = heads, dropout
        linear = partial(build_layer, nn.Linear, bias=False, **factory)
        self.qkv = linear(width, 3 * width, weight_init=_normal)
        self.out = linear(width, width, weight_init=partial(normal_, std=out_std))
        self.out_dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Attention's output (B, T, width) for x (B, T, width)."""
        heads = self.qkv(x).unflatten(-1, (3, self.heads, -1))  # (B, T, 3, H, width / H)
        query, key, value = heads.permute(2, 0, 3, 1, 4).unbind()  # each (B, H, T, width / H)
        mixed = _attend(query, key, value, self.dropout if self.training else 0.0)
        y: Tensor = self.out_dropout(self.out(mixed.transpose(1, 2).flatten(-2)))
        return y


def _attend(query: Tensor, key: Tensor, value: Tensor, dropout: float) -> Tensor:
    """Causal attention (B, H, T, D) of queries, keys and values (B, H, T, D)."""
    if query.is_cuda:
        return F.scaled_dot_product_attention(query, key, value, dropout_p=dropout, is_causal=True)
    # On CPUs the fused kernel is no faster, and has neither a second derivative nor a rule for
    # vmap.
    time, size = query.shape[-2:]
    future = torch.ones(time, time, dtype=torch.bool, device=query.device).triu(1)
    scores = query @ key.mT / math.sqrt(size)  # (B, H, T, T)
    weights = scores.masked_fill(future, -math.inf).softmax(dim=-1)
    return F.dropout(weights, dropout) @ value


def _check_characters(x: Tensor, window: int) -> Tensor:
    if x.ndim != 2 or x.is_floating_point() or x.shape[1] > window:
        raise ValueError(
            f"CharGPT takes at most {window} characters, (B, T) of an integer type, got shape "
            f"{tuple(x.shape)} of {x.dtype}."
        )
    return x


def places(x: Tensor) -> Tensor:
    """Places 0 to T - 1 of characters x (B, T)."""
    return torch.arange(x.shape[1], device=x.device)


torch.fx.wrap("_attend")
torch.fx.wrap("_check_characters")
torch.fx.wrap("places")


class TransformerBlock(nn.Module):
    """Pre-norm block: x + attention(LN x), then x + mlp(LN x), without biases.

    Args:
        width: Features of a position.
        heads: Number of heads of the attention.
        dropout: Rate of the attention's dropouts and of the one after the mlp.
        out_std: Standard deviation of the initial output matrices of both branches.
        **factory: `device` and `dtype` of the parameters.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        dropout: float = 0.0,
        out_std: float = _STD,
        **factory: Unpack[Factory],
    ) -> None:
        super().__init__()
        linear = partial(build_layer, nn.Linear, bias=False, **factory)
        self.norm1 = nn.LayerNorm(width, bias=False, **factory)
        self.attention = CausalSelfAttention(
            width, heads, dropout=dropout, out_std=out_std, **factory
        )
        self.norm2 = nn.LayerNorm(width, bias=False, **factory)
        self.expand = linear(width, 4 * width, weight_init=_normal)
        self.gelu = nn.GELU()
        self.contract = linear(4 * width, width, weight_init=partial(normal_, std=out_std))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Block's output (B, T, width) for x (B, T, width)."""
        x = x + self.attention(self.norm1(x))
        y: Tensor = x + self.dropout(self.contract(self.gelu(self.expand(self.norm2(x)))))
        return y


class CharGPT(nn.Module):
    """Character-level GPT: embeddings, pre-norm transformer blocks, output tied to the embedding.

    nanoGPT (github.com/karpathy/nanoGPT, commit 3adf61e, `model.py` with `bias=False`). Input
    characters (B, T) with T up to `window`, output logits (B, T, vocab_size) of the next one.
    Matrices and embeddings start normal with std 0.02, the last matrix of each branch of a block
    with 0.02/√(2·layers), scales of the norms at 1; nothing has a bias. By default, with 1,770,240
    parameters in a block::

        token     Embedding(65, 384)        24960  the output, too
        position  Embedding(256, 384)       98304
        blocks    6 of TransformerBlock  10621440
        norm      LayerNorm(384)              384
        total                            10745088

    Args:
        vocab_size: Number of characters.
        window: Largest number of characters that are read at once.
        layers: Number of blocks.
        width: Features of a position.
        heads: Heads of each attention.
        dropout: Rate of all dropouts: on the embeddings, in the attention and after each branch.
        device: Device of the parameters.
        dtype: Type of the parameters.

    Raises:
        ValueError: A size below 1, heads that do not divide the width, a rate outside [0, 1);
            characters that are not (B, T) integers or are more than `window`.

    >>> model = CharGPT(65, window=8, layers=1, width=16, heads=2)
    >>> model(torch.zeros(2, 8, dtype=torch.int64)).shape
    torch.Size([2, 8, 65])
    """

    # Tied to the embedding: the output has no weight of its own.
    head_names: tuple[str, ...] = ()
    reset_parameters = reset_parameters

    def __init__(
        self,
        vocab_size: int = 65,
        *,
        window: int = 256,
        layers: int = 6,
        width: int = 384,
        heads: int = 6,
        dropout: float = 0.2,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_positive(vocab_size=vocab_size, window=window, layers=layers)
        factory: Factory = {"device": device, "dtype": dtype}
        embedding = partial(build_layer, nn.Embedding, weight_init=_normal, **factory)
        block = partial(
            TransformerBlock,
            dropout=dropout,
            out_std=_STD / math.sqrt(2 * layers),  # 2 * layers branches are added up
            **factory,
        )
        self.token = embedding(vocab_size, width)
        self.position = embedding(window, width)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.Sequential(*(block(width, heads) for _ in range(layers)))
        self.norm = nn.LayerNorm(width, bias=False, **factory)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, T, vocab_size) of characters x (B, T)."""
        x = _check_characters(x, self.position.num_embeddings)
        h = self.dropout(self.token(x) + self.position(places(x)))  # (B, T, width)
        h = self.norm(self.blocks(h))
        return F.linear(h, self.token.weight)
