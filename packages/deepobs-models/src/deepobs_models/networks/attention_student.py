"""One layer of self-attention, to be fitted to another."""

import torch
from torch import Tensor, nn

from deepobs_models.building import Device, build_stock, reset_parameters
from deepobs_models.checks import check_positive


class SelfAttention(nn.Module):
    """`torch.nn.MultiheadAttention` with one head, of a sequence to itself.

    The student of github.com/cybertronai/caffeine (commit 1c4f7cc). Input and output (B, T, width);
    torch's own initialisation. By default 66,048 parameters.

    Args:
        width: Features of a position.
        heads: Number of heads, which divides the width.
        device: Device of the parameters.
        dtype: Type of the parameters.

    Raises:
        ValueError: A size below 1.
    """

    reset_parameters = reset_parameters

    def __init__(
        self,
        width: int = 128,
        *,
        heads: int = 1,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_positive(width=width, heads=heads)
        self.attention = build_stock(
            nn.MultiheadAttention, width, heads, batch_first=True, device=device, dtype=dtype
        )

    def forward(self, x: Tensor) -> Tensor:
        """Attention's output (B, T, width) for x (B, T, width)."""
        # With the weights asked for, torch computes what has a second derivative.
        output: Tensor = self.attention(x, x, x, need_weights=True)[0]
        return output
