"""Downloading one file: mirrors, resuming, checking, and never a half file under its name."""

from __future__ import annotations

import errno
import os
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import TextIO, cast

from deepobs_data.errors import DownloadError
from deepobs_data.files.checksum import algorithm_of, digest
from deepobs_data.files.sources import Download

Progress = Callable[[str, int, int | None], None]
"""Called with file name, bytes so far and bytes in all (None where unknown)."""

_CHUNK = 1 << 18
_DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FINAL_CODES = {400, 401, 403, 404, 405, 410}


class _MirrorError(Exception):
    """This mirror is of no use: go on with the next one at once."""


def download(
    file: Download,
    target: Path,
    *,
    progress: Progress | None = None,
    timeout: float = 30.0,
    attempts: int = 4,
    pause: float = 0.5,
) -> None:
    """Download `file` to `target`.

    Bytes are collected in `target + ".part"` and continued there after a break, also by a later
    call, by the same or another mirror. Only when length and checksum are right is the file
    renamed to `target`. A mirror is given up after `attempts` requests in a row that brought
    nothing new; each further request waits twice as long as the one before, from `pause` seconds.

    Args:
        file: Name, checksum, size and mirrors.
        target: Where the file goes.
        progress: Told about every piece that arrives.
        timeout: Seconds without a byte after which a connection is given up.
        attempts: Fruitless requests per mirror.
        pause: Seconds before the first repetition.

    Raises:
        DownloadError: No mirror delivered the file, or it could not be written.
    """
    part = target.with_name(f"{target.name}.part")
    failures = []
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        for url in file.urls:
            try:
                _use_mirror(url, file, part, progress, timeout, attempts, pause)
            except _MirrorError as error:
                failures.append(f"  {url}: {error}")
            else:
                os.replace(part, target)
                return
    except OSError as error:
        if error.errno in _DISK_FULL:
            part.unlink(missing_ok=True)
            raise DownloadError(
                f"No space for {target}: {error.strerror}. {_amount(file.size)} are needed; what "
                "had arrived was deleted. Make room or choose another --data-dir."
            ) from error
        raise DownloadError(f"Cannot write {target}: {error}") from error
    raise DownloadError(f"No mirror delivered {file.name}:\n" + "\n".join(failures))


def _use_mirror(
    url: str,
    file: Download,
    part: Path,
    progress: Progress | None,
    timeout: float,
    attempts: int,
    pause: float,
) -> None:
    """Complete `part` from one mirror, or raise _MirrorError."""
    best = _size(part)
    fruitless = wrong = 0
    reason = ""
    while fruitless < attempts:
        if fruitless:
            time.sleep(pause * 2 ** (fruitless - 1))
        try:
            complete = _request(url, file, part, progress, timeout)
            reason = f"ended after {_size(part)} of {file.size or 'an unknown number of'} bytes"
        except urllib.error.HTTPError as error:
            if error.code in _FINAL_CODES:
                raise _MirrorError(str(error)) from error
            complete, reason = False, str(error)
        except (HTTPException, OSError) as error:
            cause = getattr(error, "reason", error)
            if isinstance(cause, (socket.gaierror, ConnectionRefusedError)):
                raise _MirrorError(str(cause)) from error
            if isinstance(error, OSError) and error.errno in _DISK_FULL:
                raise
            complete, reason = False, str(cause) or type(cause).__name__
        if complete:
            if file.checksum is None:
                return
            algorithm = algorithm_of(file.checksum)
            with part.open("rb") as content:
                found = digest(content, algorithm)
            if found == file.checksum:
                return
            part.unlink()
            best, wrong = 0, wrong + 1
            reason = f"delivered {algorithm} {found}, expected {file.checksum}"
            if wrong == 2:  # once may be two versions patched together by resuming
                break
        grown = _size(part) > best
        best = max(best, _size(part))
        fruitless = 0 if grown else fruitless + 1
    raise _MirrorError(reason)


def _request(
    url: str, file: Download, part: Path, progress: Progress | None, timeout: float
) -> bool:
    """Make one request and append what it brings; True when the file has its full length."""
    start = _size(part)
    if file.size is not None and start >= file.size:
        if start == file.size:
            return True
        part.unlink()
        start = 0
    request = urllib.request.Request(url, headers={"User-Agent": "deepobs-data"})
    if start:
        request.add_header("Range", f"bytes={start}-")
    try:
        answer = cast(HTTPResponse, urllib.request.urlopen(request, timeout=timeout))
    except urllib.error.HTTPError as error:
        if error.code == 416:  # what lies here is no beginning of what lies there
            part.unlink(missing_ok=True)
        raise
    with answer:
        continues = answer.status == 206 and (answer.headers.get("Content-Range") or "").startswith(
            f"bytes {start}-"
        )
        if answer.status == 206 and not continues:
            part.unlink(missing_ok=True)
            raise HTTPException(f"sent {answer.headers.get('Content-Range')} instead of {start}-")
        done = start if continues else 0
        announced = answer.headers.get("Content-Length")
        total = done + int(announced) if announced and announced.isdigit() else None
        with part.open("ab" if continues else "wb") as out:
            while chunk := answer.read(_CHUNK):
                if file.size is not None and done + len(chunk) > file.size:
                    out.truncate(0)
                    raise HTTPException(f"sent more than the {file.size} bytes of the file")
                out.write(chunk)
                done += len(chunk)
                if progress is not None:
                    progress(file.name, done, file.size or total)
    # The known size decides; what the server announces only where there is none.
    return done == file.size if file.size is not None else total is None or done == total


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _amount(size: int | None) -> str:
    return f"{size / 1e6:.0f} MB" if size is not None else "Some MB"


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
