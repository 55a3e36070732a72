"""From a text to character numbers, by the original's rules; numpy only."""

from __future__ import annotations

import hashlib
import math
from contextlib import suppress
from pathlib import Path

import numpy as np

from deepobs_data.errors import DamagedFileError

TOLSTOI_VOCABULARY = 83
TOLSTOI_TEST_LENGTH = 653_237


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


def check_war_and_peace(path: Path, *, record: bool = False) -> tuple[np.ndarray, str]:
    """Read the untrimmed novel and check what must hold for the original's text.

    No checksum of the file is known, so its trimmed text must have 83 characters and a test part
    of 653,237. The sha256 of the first file that passes is recorded beside it
    (`war-and-peace.txt.sha256`), where that can be written, and later files must have it too.

    Returns:
        ids: (n,) int64, the number of each character, train and test.
        vocabulary: The characters in the order of their numbers.

    Raises:
        DamagedFileError: A check fails.
    """
    content = path.read_bytes()
    ids, vocabulary = encode_text(trim_war_and_peace(content).decode("utf-8", errors="replace"))
    test_length = len(ids) - train_length(len(ids))
    if len(vocabulary) != TOLSTOI_VOCABULARY or test_length != TOLSTOI_TEST_LENGTH:
        raise DamagedFileError(
            path,
            f"{path} is not the text of the original: {len(vocabulary)} characters and "
            f"{test_length} of them in the test part, expected {TOLSTOI_VOCABULARY} and "
            f"{TOLSTOI_TEST_LENGTH}. For another text use deepobs_data.text(path).",
        )
    found = hashlib.sha256(content).hexdigest()
    note = path.with_name(f"{path.name}.sha256")
    if note.is_file():
        expected = note.read_text(encoding="utf-8").partition(" ")[0].strip()
        if expected != found:
            raise DamagedFileError(
                path,
                f"{path} has changed since its first use: found sha256 {found}, expected "
                f"{expected} (recorded in {note.name}).",
            )
    elif record:
        with suppress(OSError):
            note.write_text(f"{found}  {path.name}\n", encoding="utf-8")
    return ids, vocabulary
