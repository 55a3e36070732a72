"""Data of diagnostic problems: addition modulo 113, an attention teacher."""

from __future__ import annotations

import random
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn

from deepobs_data.dataset import Dataset
from deepobs_data.partition import Recipe, check_recipe, check_valid_size
from deepobs_data.table import Table

_PRIME = 113
_SUMS = 3830  # training pairs: 30 % of all

_LENGTH, _WIDTH = 64, 128
_SEQUENCES, _TEST_SEQUENCES = 8192, 2048


def modular_addition(
    root: Path | str | None = None, *, valid_size: int = 0, recipe: Recipe = "standard"
) -> Dataset:
    """All sums a + b modulo 113, of which 30 % are seen in training, no download.

    x (3,) int64 are the tokens a, b and 113 for "=", y () int64 is the sum. Train and train_eval
    are 3830 of the 12,769 pairs, as `random.seed(0)` shuffles them; valid are the next
    `valid_size`, test the rest. An epoch is 100 steps with all training pairs.

    Source: N. Nanda, L. Chan, T. Lieberum, J. Smith, J. Steinhardt: Progress measures for grokking
    via mechanistic interpretability. ICLR 2023, arXiv 2301.05217.

    Args:
        root: Ignored; nothing is read.
        valid_size: Pairs of the validation split, taken from those of test; 0 for none.
        recipe: Both recipes give the same tables.

    Raises:
        ValueError: `valid_size` or `recipe` is not allowed.
    """
    check_recipe(recipe)
    pairs = [(a, b) for a in range(_PRIME) for b in range(_PRIME)]
    check_valid_size(valid_size, len(pairs) - _SUMS - 1)
    random.Random(0).shuffle(pairs)
    numbers = torch.tensor(pairs)  # (12769, 2)
    x = torch.cat([numbers, torch.full((len(pairs), 1), _PRIME)], dim=1)
    y = numbers.sum(dim=1) % _PRIME
    train = Table(x[:_SUMS], y[:_SUMS])
    rest_x, rest_y = x[_SUMS:], y[_SUMS:]
    return Dataset(
        name="modular_addition",
        train=train,
        train_eval=train,
        valid=Table(rest_x[:valid_size], rest_y[:valid_size]) if valid_size else None,
        test=Table(rest_x[valid_size:], rest_y[valid_size:]),
        passes_per_epoch=100,
    )


def attention_teacher(
    root: Path | str | None = None,
    *,
    valid_size: int = 0,
    recipe: Recipe = "standard",
    sizes: tuple[int, int] = (_SEQUENCES, _TEST_SEQUENCES),
) -> Dataset:
    """Standard normal sequences, and the outputs of a random self-attention layer as targets.

    x and y (64, 128) float32. The teacher is a `torch.nn.MultiheadAttention` of width 128 with one
    head. Its parameters are uniform in (-1, 1) from the seed 1729. Train are 8192 sequences of the
    seed 271828, train_eval their first 2048, test 2048 of the seed 161803, valid `valid_size` of
    the seed 44. Needs 0.7 GB.

    Source: github.com/cybertronai/caffeine, commit 1c4f7cc, `tracks/random_teacher.py`.

    Args:
        root: Ignored; nothing is read.
        valid_size: Sequences of the validation split, at most 8192; 0 for none.
        recipe: Both recipes give the same tables.
        sizes: Sequences for training and for testing.

    Raises:
        ValueError: `valid_size` or `recipe` is not allowed.
    """
    check_recipe(recipe)
    check_valid_size(valid_size, _SEQUENCES)
    train = _answered(271828, sizes[0])
    evaluated = min(sizes[1], sizes[0])
    return Dataset(
        name="attention_teacher",
        train=train,
        train_eval=Table(train.x[:evaluated], train.y[:evaluated]),
        valid=_answered(44, valid_size) if valid_size else None,
        test=_answered(161803, sizes[1]),
    )


@cache
def _teacher() -> nn.MultiheadAttention:
    # Without its own initialisation, which draws from the generator that all threads share.
    teacher: nn.MultiheadAttention = nn.utils.skip_init(  # type: ignore[no-untyped-call]
        nn.MultiheadAttention, _WIDTH, 1, batch_first=True
    )
    generator = torch.Generator().manual_seed(1729)
    with torch.no_grad():
        for parameter in teacher.parameters():
            parameter.uniform_(-1, 1, generator=generator)
    return teacher.eval()


def _answered(seed: int, count: int) -> Table:
    """`count` sequences of a seed and the teacher's answers."""
    x = torch.randn(count, _LENGTH, _WIDTH, generator=torch.Generator().manual_seed(seed))
    return Table(x, answers(x))


@torch.no_grad()
def answers(x: Tensor) -> Tensor:
    """The teacher's outputs for sequences (N, 64, 128)."""
    parts = [_teacher()(part, part, part, need_weights=False)[0] for part in torch.split(x, 512)]
    return torch.cat(parts)
