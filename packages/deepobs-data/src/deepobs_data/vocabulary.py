"""From a text to character numbers, by the original's rules; numpy only."""

from __future__ import annotations

import math

import numpy as np


def encode_text(text: str) -> tuple[np.ndarray, str]:
    """Number the characters of a text by falling frequency; ties go to the first to appear.

    Source: DeepOBS 1.1.2, deepobs/scripts/_tolstoi_preprocess.py.

    Returns:
        ids: (n,) int64, the number of each character.
        vocabulary: The characters in the order of their numbers.
    """
    codes = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
    counts = np.bincount(codes)
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


def trim_war_and_peace(content: bytes) -> bytes:
    """Cut the notes around the novel off, as the original's three `sed` calls do.

    They delete lines 1-29, of what is left lines 5-775 (the table of contents), and of what is
    left then lines 63850-64207 (the licence).

    Source: DeepOBS 1.1.2, deepobs_prepare_data.sh.
    """
    # `sed` ends lines at "\n" alone; bytes.splitlines would also end them at "\r".
    lines = [line + b"\n" for line in content.split(b"\n")]
    lines[-1] = lines[-1][:-1]
    lines = lines[29:]
    lines = lines[:4] + lines[775:]
    return b"".join(lines[:63_849] + lines[64_207:])
