"""Showing a download: a line that is rewritten on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from typing import TextIO


class ProgressLine:
    """Prints how much of a file has arrived; pass it as `progress` to `fetch`.

    On a terminal one line is rewritten up to five times a second; elsewhere a line is printed for
    every tenth of the file, so that a log stays short.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._terminal = out.isatty()
        self._next = 0.0
        self._name = ""
        self._start = (0.0, 0)

    def __call__(self, name: str, done: int, total: int | None) -> None:
        """Take note of `done` of `total` bytes of file `name` (total None where unknown)."""
        now = time.monotonic()
        if name != self._name:
            self._name, self._start, self._next = name, (now, done), 0.0
        ends = total is not None and done >= total
        share = done / total if total else done / 1e8
        if not ends and (now if self._terminal else share) < self._next:
            return
        self._next = now + 0.2 if self._terminal else int(share * 10 + 1) / 10
        rate = (done - self._start[1]) / max(now - self._start[0], 1e-3)
        line = f"{name}: {done / 1e6:.1f}"
        line += f" of {total / 1e6:.1f} MB ({share:.0%})" if total else " MB"
        if total and rate > 0 and not ends and now > self._start[0]:
            line += f", {rate / 1e6:.1f} MB/s, {(total - done) / rate:.0f} s left"
        if self._terminal:
            self._out.write(f"\r\x1b[K{line}" + ("\n" if ends else ""))
        else:
            self._out.write(f"{line}\n")
        self._out.flush()
