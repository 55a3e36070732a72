"""War and Peace as the original prepared it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from deepobs_data.errors import DamagedFileError
from deepobs_data.files.characters import code_points, encode_text, train_length

TOLSTOI_VOCABULARY = 83
TOLSTOI_TEST_LENGTH = 653_237


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


def check_war_and_peace(path: Path) -> None:
    """Check what must hold for the original's text: 83 characters, 653,237 of them for testing.

    Raises:
        DamagedFileError: It is another text.
    """
    _read(path)


def decode_war_and_peace(paths: Mapping[str, Path]) -> dict[str, np.ndarray]:
    """Read the novel: character numbers of the train and the test part, and the vocabulary."""
    ids, vocabulary = _read(paths["war-and-peace.txt"])
    cut = train_length(len(ids))
    return {"train": ids[:cut], "test": ids[cut:], "vocabulary": code_points(vocabulary)}


def _read(path: Path) -> tuple[np.ndarray, str]:
    text = trim_war_and_peace(path.read_bytes()).decode("utf-8", errors="replace")
    ids, vocabulary = encode_text(text)
    test_length = len(ids) - train_length(len(ids))
    if len(vocabulary) != TOLSTOI_VOCABULARY or test_length != TOLSTOI_TEST_LENGTH:
        raise DamagedFileError(
            path,
            f"{path} is not the text of the original: {len(vocabulary)} characters and "
            f"{test_length} of them in the test part, expected {TOLSTOI_VOCABULARY} and "
            f"{TOLSTOI_TEST_LENGTH}. For another text use deepobs_data.text(path).",
        )
    return ids, vocabulary
