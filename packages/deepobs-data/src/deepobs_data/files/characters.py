"""From a text to character numbers; numpy only."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np


def encode_text(text: str) -> tuple[np.ndarray, str]:
    """Number the characters of a text by falling frequency; ties go to the first to appear.

    Source: DeepOBS 1.1.2, deepobs/scripts/_tolstoi_preprocess.py.

    Returns:
        ids: (n,) int64, the number of each character.
        vocabulary: The characters in the order of their numbers.
    """
    codes = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
    counts = np.bincount(codes)  # (largest code + 1,)
    first = np.zeros(len(counts), dtype=np.int64)
    first[codes[::-1]] = np.arange(len(codes))[::-1]  # the last assignment is the first place
    used = np.flatnonzero(counts)
    by_rank = used[np.lexsort((first[used], -counts[used]))]
    ids = np.zeros(len(counts), dtype=np.int64)
    ids[by_rank] = np.arange(len(by_rank))
    return ids[codes], "".join(map(chr, by_rank))


def train_length(n: int, test_fraction: float = 0.2) -> int:
    """Number of characters before the test part: the first ceil((1 - test_fraction) * n)."""
    return math.ceil((1.0 - test_fraction) * n)


def code_points(vocabulary: str) -> np.ndarray:
    """The characters of a vocabulary as an array (V,) uint32, to be stored beside the numbers."""
    return np.frombuffer(vocabulary.encode("utf-32-le"), dtype=np.uint32)


def decode_shakespeare(paths: Mapping[str, Path]) -> dict[str, np.ndarray]:
    """Number the characters in sorted order; the first 90 % are train, the rest is test.

    Source: karpathy/nanoGPT, data/shakespeare_char/prepare.py; its validation part is our test.
    """
    text = paths["input.txt"].read_text(encoding="utf-8")
    codes = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
    vocabulary, ids = np.unique(codes, return_inverse=True)
    cut = len(ids) * 9 // 10
    ids = ids.astype(np.int64)
    return {"train": ids[:cut], "test": ids[cut:], "vocabulary": vocabulary}
