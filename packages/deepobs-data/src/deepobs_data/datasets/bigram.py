"""A bigram language with Zipf-distributed words and known probabilities."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from deepobs_data.dataset import Dataset
from deepobs_data.partition import Recipe, check_recipe, check_valid_size
from deepobs_data.table import Table

VOCABULARY = 1000
PAIRS = 2**20


def frequencies(vocabulary: int = VOCABULARY) -> np.ndarray:
    """Frequency of each token, (V,): proportional to 1 / (k + 1) for token k."""
    shares: np.ndarray = 1 / np.arange(1, vocabulary + 1)
    shares /= shares.sum()
    return shares


@cache
def _ranks() -> np.ndarray:
    """The rank of token i after token j, (V, V): each row is a permutation."""
    rng = np.random.RandomState(42)
    return np.stack([rng.permutation(VOCABULARY) for _ in range(VOCABULARY)])


@cache
def _population() -> Table:
    """All tokens, each with its distribution of next tokens."""
    conditional = frequencies()[_ranks()]  # (V, V), rows sum to 1
    weights = VOCABULARY * frequencies()  # of mean 1
    y = np.stack([weights[:, None] * conditional, np.log(conditional)], axis=1)
    return Table(torch.arange(VOCABULARY), torch.from_numpy(y))


@cache
def _pairs() -> tuple[Tensor, Tensor]:
    """Tokens and their successors, each (PAIRS,) int64."""
    rng = np.random.RandomState(47)
    x, rank = (rng.choice(VOCABULARY, size=PAIRS, p=frequencies()) for _ in range(2))
    y = np.argsort(_ranks(), axis=1)[x, rank]
    return torch.from_numpy(x.astype(np.int64)), torch.from_numpy(y.astype(np.int64))


def bigram(
    root: Path | str | None = None, *, valid_size: int = 0, recipe: Recipe = "standard"
) -> Dataset:
    """The population of all bigrams: an exact expectation over a language, no download.

    Token k of 1000 occurs with probability pi[k] proportional to 1/(k + 1). The next token after j
    is distributed as P[j]: pi in an order of its own, `P[j, i] = pi[perm_j[i]]` with perm_j the
    j-th permutation of RandomState(42). Example j is x = j, () int64, and y (2, 1000) float64:
    `1000 pi[j] P[j]`, a distribution times the weight of the example, and log P[j]. All splits are
    the same 1000 examples; an epoch is 20 steps with all of them.

    Source: F. Kunstner, F. Bach: Scaling laws for gradient descent and sign descent for linear
    bigram models under Zipf's law. NeurIPS 2025, arXiv 2505.19227.

    Args:
        root: Ignored; nothing is read.
        valid_size: 0 for no validation split, else it is the population.
        recipe: Both recipes give the same tables.

    Raises:
        ValueError: `valid_size` or `recipe` is not allowed.
    """
    check_recipe(recipe)
    check_valid_size(valid_size, VOCABULARY)
    whole = _population()
    return Dataset(
        name="bigram",
        train=whole,
        train_eval=whole,
        valid=whole if valid_size else None,
        test=whole,
        passes_per_epoch=20,
    )


def bigram_pairs(
    root: Path | str | None = None, *, valid_size: int = 0, recipe: Recipe = "standard"
) -> Dataset:
    """Bigrams drawn from the language of `bigram`: noise of mini-batches, exact evaluation.

    Train are 2^20 independent pairs from RandomState(47): x, () int64, is a token, y the next one.
    One pass goes over them in 16 epochs. The other splits are the population of `bigram`.
    Arguments and errors are those of `bigram`.
    """
    check_recipe(recipe)
    check_valid_size(valid_size, PAIRS)
    whole = _population()
    return Dataset(
        name="bigram_pairs",
        train=Table(*_pairs()),
        train_eval=whole,
        valid=whole if valid_size else None,
        test=whole,
        epochs_per_pass=16,
    )
