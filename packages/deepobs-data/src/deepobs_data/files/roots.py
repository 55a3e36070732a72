"""Default location of data."""

from __future__ import annotations

import os
from pathlib import Path


def default_root() -> Path:
    """Data folder used when none is given: `$DEEPOBS_DATA_DIR`, else the user's cache folder.

    Read at every call, so changing the variable takes effect at once.
    """
    named = os.environ.get("DEEPOBS_DATA_DIR")
    if named:
        return Path(named).expanduser()
    from platformdirs import user_cache_path

    return user_cache_path("deepobs", appauthor=False) / "data"


def resolve_root(root: Path | str | None) -> Path:
    """`root` as a path, or the default if it is None."""
    return default_root() if root is None else Path(root).expanduser()


def is_offline(offline: bool | None) -> bool:
    """Whether downloads are forbidden: the argument, else `$DEEPOBS_OFFLINE` (1, true, yes, on)."""
    if offline is not None:
        return offline
    return os.environ.get("DEEPOBS_OFFLINE", "").lower() in {"1", "true", "yes", "on"}
