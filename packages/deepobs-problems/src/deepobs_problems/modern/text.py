"""Character-level GPTs: attention, embeddings, a tied head, layer normalisation.

nanoGPT (github.com/karpathy/nanoGPT, commit 3adf61e, `config/train_shakespeare_char.py` and the
README): 1.4697 nats on validation for the large form, 1.88 for the small one. There, windows are
drawn with replacement; here an epoch goes over the text once, from a random phase.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType

import torch
from torch import nn

from deepobs_data import Dataset, Recipe, Table, load_dataset, synthetic_like
from deepobs_models import CharGPT
from deepobs_problems.losses import sequence_accuracy, sequence_cross_entropy
from deepobs_problems.problem import Defaults, Hardware, Problem, Reference, matrices

_EVALUATED = 111_360
"""Training characters that are evaluated: as many as nanoGPT's validation part has."""

_IMITATED = 2**15
"""Training characters of generated text, whatever the window."""


def characters(
    name: str,
    window: int,
    parts: int,
    root: Path | str | None = None,
    *,
    valid_size: int = 0,
    recipe: Recipe = "standard",
) -> Dataset:
    """Text in windows of one length, which one pass goes over in several epochs.

    Args:
        name: a text of `deepobs_data`.
        window: characters in a window.
        parts: epochs per pass.
        root: see the data set.
        valid_size: see the data set.
        recipe: see the data set.
    """
    cut = {"seq_length": window, "order": "shuffled"}
    data = load_dataset(name, root, valid_size=valid_size, recipe=recipe, **cut)
    return _evaluated(replace(data, epochs_per_pass=parts), window)


def characters_like(
    name: str,
    window: int,
    parts: int,
    root: Path | str | None = None,
    *,
    valid_size: int = 0,
    recipe: Recipe = "standard",
) -> Dataset:
    """Generated text in the form of `characters`."""
    data = synthetic_like(
        name,
        _IMITATED // window,
        valid_size=valid_size,
        recipe=recipe,
        seq_length=window,
        order="shuffled",
    )
    return _evaluated(replace(data, epochs_per_pass=parts), window)


def _evaluated(data: Dataset, window: int) -> Dataset:
    """Cut the training windows that are evaluated to a fixed number of characters."""
    whole = data.train_eval
    assert isinstance(whole, Table)
    rows = torch.arange(min(len(whole), _EVALUATED // window))
    return replace(data, train_eval=replace(whole, rows=rows))


def _gpt(
    name: str,
    window: int,
    parts: int,
    model: Callable[[], nn.Module],
    defaults: Defaults,
    tags: str,
    small: bool,
) -> Problem:
    text = name.partition("_")[0]
    return Problem(
        name=name,
        data=partial(characters, text, window, parts),
        stand_in=partial(characters_like, text, window, parts),
        model=model,
        loss=sequence_cross_entropy,
        metrics=MappingProxyType({"accuracy": sequence_accuracy}),
        decayed=matrices,
        stock_loss=None,
        defaults=defaults,
        hardware=Hardware(evaluation_batch=256 if small else 64, evaluation_batch_cpu=16),
        tags=frozenset(tags.split()),
    )


_ADAMW = Reference("AdamW", {"lr": 1e-3, "betas": [0.9, 0.99], "weight_decay": 0.1})
_TAGS = "text attention per-example-safe"
_large = partial(CharGPT, window=256)
_small = partial(CharGPT, window=64, layers=4, width=128, heads=4, dropout=0.0)
_defaults = partial(Defaults, epochs=None, clip_norm=1.0, reference=_ADAMW)
_LARGE_DEFAULTS = _defaults(64, steps=5000, schedule="cosine:final=0.1,warmup=0.02")
_SMALL_DEFAULTS = _defaults(12, steps=2000, schedule="cosine:final=0.1,warmup=0.05")

PROBLEMS = tuple(
    problem
    for text, vocabulary in (("tolstoi", 83), ("shakespeare", 65))
    for problem in (
        _gpt(
            f"{text}_chargpt",
            256,
            1,
            partial(_large, vocabulary),
            _LARGE_DEFAULTS,
            f"{_TAGS} medium dropout",
            small=False,
        ),
        _gpt(
            f"{text}_chargpt_small",
            64,
            4,
            partial(_small, vocabulary),
            _SMALL_DEFAULTS,
            f"{_TAGS} cheap",
            small=True,
        ),
    )
)
