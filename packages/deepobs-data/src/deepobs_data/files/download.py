"""Download of one file: mirrors, resuming, checksums; incomplete files keep a temporary name."""

from __future__ import annotations

import errno
import os
import queue
import socket
import stat
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator
from contextlib import closing, suppress
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse, InvalidURL
from pathlib import Path
from typing import BinaryIO, TextIO, cast

from deepobs_data.errors import DamagedFileError, DownloadError
from deepobs_data.files.checksum import algorithm_of, digest
from deepobs_data.files.sources import Download

Progress = Callable[[str, int, int | None], None]
"""Called with file name, bytes so far and bytes in all (None where unknown)."""

Check = Callable[[Path], object]
"""Raises DamagedFileError for a file with other content than it must have."""

_CHUNK = 1 << 18
_LARGEST = 1 << 34  # of a file of unknown size
_DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FINAL_CODES = {400, 401, 403, 404, 405, 410}


@dataclass(frozen=True, kw_only=True)
class Patience:
    """When a server is given up.

    Attributes:
        timeout: Seconds without a byte after which a request is repeated.
        attempts: Consecutive requests that deliver almost nothing.
        pause: Seconds before the first repetition; each further one waits twice as long.
        least: Bytes that a request must bring, and that must arrive within `period`.
        period: Seconds.
        total: Seconds for a file from all mirrors.
    """

    timeout: float = 30.0
    attempts: int = 4
    pause: float = 0.5
    least: int = 1 << 16
    period: float = 60.0
    total: float = 6 * 3600.0


class _MirrorError(Exception):
    """This mirror failed; try the next one at once."""


class _RequestError(Exception):
    """A request failed; the same mirror may be asked again."""


def download(
    file: Download,
    target: Path,
    *,
    progress: Progress | None = None,
    check: Check | None = None,
    patience: Patience | None = None,
) -> None:
    """Download `file` to `target`.

    Bytes are collected in `target + ".part"` and continued there after a break, also by a later
    call, by the same or another mirror. Only when length, checksum and `check` are right is the
    file renamed to `target`.

    Args:
        file: Name, checksum, size and mirrors.
        target: Where the file goes.
        progress: Called for every piece that arrives.
        check: Checks the content, where the checksum is not known.
        patience: When a server is given up.

    Raises:
        DownloadError: No mirror delivered the file, or it could not be written.
    """
    part = target.with_name(f"{target.name}.part")
    transfer = _Transfer(file, part, progress, check, patience or Patience())
    failures = []
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        for url in file.urls:
            try:
                transfer.use_mirror(url)
            except _MirrorError as error:
                failures.append(f"  {url}: {error}")
            else:
                os.replace(part, target)
                return
    except OSError as error:
        if error.errno in _DISK_FULL:
            part.unlink(missing_ok=True)
            raise DownloadError(
                f"No space for {target}: {error.strerror}. {_amount(file.size)} are needed; the "
                "partial file was deleted. Free some space, or choose another --data-dir."
            ) from error
        raise DownloadError(f"Cannot write {target}: {error}") from error
    raise DownloadError(f"No mirror delivered {file.name}:\n" + "\n".join(failures))


class _Transfer:
    """The transfer of one file from its mirrors into its part file."""

    def __init__(
        self,
        file: Download,
        part: Path,
        progress: Progress | None,
        check: Check | None,
        patience: Patience,
    ) -> None:
        self.file, self.part, self.progress = file, part, progress
        self.check, self.patience = check, patience
        self.end = time.monotonic() + patience.total
        # Of a small file, a twentieth is something.
        size = file.size or _LARGEST
        self.least = max(1, min(patience.least, size // 20))

    def use_mirror(self, url: str) -> None:
        """Complete the part file from one mirror, or raise _MirrorError."""
        best = _size(self.part)
        fruitless = wrong = 0
        reason = ""
        while fruitless < self.patience.attempts:
            if fruitless:
                time.sleep(self.patience.pause * 2 ** (fruitless - 1))
            try:
                complete = self._request(url)
                have, all_of_it = _size(self.part), self.file.size or "an unknown number of"
                reason = f"ended after {have} of {all_of_it} bytes"
            except _RequestError as error:
                complete, reason = False, str(error)
            if complete:
                found = self._wrong_content()
                if found is None:
                    return
                self.part.unlink()
                best, wrong, reason = 0, wrong + 1, found
                if wrong == 2:  # once may be two versions patched together by resuming
                    break
            grown = _size(self.part) - best
            best = max(best, _size(self.part))
            fruitless = 0 if grown >= self.least else fruitless + 1
        raise _MirrorError(reason)

    def _wrong_content(self) -> str | None:
        """What is wrong with the complete part file; None if nothing is."""
        if self.file.checksum is not None:
            algorithm = algorithm_of(self.file.checksum)
            with self.part.open("rb") as content:
                found = digest(content, algorithm)
            if found != self.file.checksum:
                return f"delivered {algorithm} {found}, expected {self.file.checksum}"
        elif self.check is not None:
            try:
                self.check(self.part)
            except DamagedFileError as error:
                return str(error)
        return None

    def _request(self, url: str) -> bool:
        """Make one request and append what it brings; True when the file has its full length."""
        size = self.file.size
        start = _size(self.part)
        if size is not None and start >= size:
            if start == size:
                return True
            self.part.unlink()
            start = 0
        headers = {"User-Agent": "deepobs-data"} | ({"Range": f"bytes={start}-"} if start else {})
        try:
            request = urllib.request.Request(url, headers=headers)
        except ValueError as error:
            raise _MirrorError(str(error)) from error
        with closing(self._pieces(request)) as pieces:
            try:
                answer = cast(HTTPResponse, next(pieces))
            except urllib.error.HTTPError as error:
                if error.code == 416:  # the partial file here does not match the file there
                    self.part.unlink(missing_ok=True)
                if error.code in _FINAL_CODES:
                    raise _MirrorError(str(error)) from error
                raise _RequestError(str(error)) from error
            done = self._first_byte(answer, start)
            announced = answer.headers.get("Content-Length") or ""
            known = announced.isascii() and announced.isdigit() and len(announced) < 19
            total = done + int(announced) if known else None
            with _open_part(self.part, append=done > 0) as out:
                for chunk in pieces:
                    assert isinstance(chunk, bytes)
                    if done + len(chunk) > (size or _LARGEST):
                        out.truncate(0)
                        raise _RequestError(f"sent more than the {size or _LARGEST} bytes")
                    out.write(chunk)
                    done += len(chunk)
                    if self.progress is not None:
                        self.progress(self.file.name, done, size or total)
        # The known size decides; the server's length counts only without one.
        return done == size if size is not None else total is None or done == total

    def _first_byte(self, answer: HTTPResponse, start: int) -> int:
        """At which byte of the file the answer begins."""
        if answer.headers.get_content_type() == "text/html":
            raise _MirrorError("sent a web page instead of the file")
        if answer.status == 200:
            return 0
        sent = answer.headers.get("Content-Range") or "nothing"
        if answer.status == 206 and sent.startswith(f"bytes {start}-"):
            return start
        self.part.unlink(missing_ok=True)
        raise _RequestError(f"answered {answer.status} with {sent} instead of {start}-")

    def _check_time(self) -> float:
        """The time, unless all of it has passed."""
        now = time.monotonic()
        if now >= self.end:
            raise _MirrorError(f"not complete after {self.patience.total:g} s")
        return now

    def _pieces(self, request: urllib.request.Request) -> Generator[HTTPResponse | bytes]:
        """The answer to a request, then its content in pieces.

        A thread reads them, since a server can block in places without a time limit (name,
        handshake, header, length of a chunk).
        """
        self._check_time()  # no request after the end
        arrived: queue.Queue[HTTPResponse | bytes | BaseException] = queue.Queue(maxsize=16)
        given_up = threading.Event()
        job = (request, self.patience.timeout, arrived, given_up)
        threading.Thread(target=_receive, args=job, daemon=True).start()
        brought, until = 0, time.monotonic() + self.patience.period
        try:
            while True:
                now = self._check_time()
                if now >= until:
                    if brought < self.least:
                        raise _MirrorError(f"sent {brought} bytes in {self.patience.period:g} s")
                    brought, until = 0, now + self.patience.period
                try:
                    item = arrived.get(timeout=max(0.001, min(until, self.end) - now))
                except queue.Empty:
                    continue
                if isinstance(item, BaseException):
                    raise _failure(item) from item
                if item == b"":
                    return
                brought += len(item) if isinstance(item, bytes) else 0
                yield item
        finally:
            given_up.set()


def _receive(
    request: urllib.request.Request,
    timeout: float,
    arrived: queue.Queue[HTTPResponse | bytes | BaseException],
    given_up: threading.Event,
) -> None:
    """Put the answer, its content and an empty piece into a queue, or the error that came."""

    def put(item: HTTPResponse | bytes | BaseException) -> None:
        while not given_up.is_set():
            with suppress(queue.Full):
                arrived.put(item, timeout=0.5)
                return

    try:
        with cast(HTTPResponse, _opener().open(request, timeout=timeout)) as answer:
            put(answer)
            while not given_up.is_set():
                chunk = answer.read1(_CHUNK)
                put(chunk)
                if not chunk:
                    return
    except BaseException as error:
        put(error)


def _opener() -> urllib.request.OpenerDirector:
    """Opens only http and https addresses, so that no redirect reads a local file."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.UnknownHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPRedirectHandler,
        urllib.request.HTTPErrorProcessor,
    ):
        opener.add_handler(handler())
    return opener


def _failure(error: BaseException) -> BaseException:
    """What an error of a request means for its mirror."""
    if isinstance(error, urllib.error.HTTPError):
        return error
    cause = getattr(error, "reason", error)
    text = str(cause) or type(cause).__name__
    if isinstance(cause, socket.gaierror | ConnectionRefusedError):
        return _MirrorError(text)
    final = isinstance(error, ValueError | InvalidURL)  # a certificate, an impossible address
    if isinstance(error, HTTPException | OSError) and not final:
        return _RequestError(text)
    return _MirrorError(f"sent a malformed answer: {text}")  # any error that urllib raises for it


def _open_part(part: Path, *, append: bool) -> BinaryIO:
    """Open a part file for writing, but never through a link."""
    with suppress(FileNotFoundError):
        found = part.lstat()
        if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
            part.unlink()
            append = False
    flags = os.O_WRONLY | os.O_CREAT | (os.O_APPEND if append else os.O_TRUNC)
    for name in ("O_NOFOLLOW", "O_BINARY"):  # each if the system has it
        flags |= getattr(os, name, 0)
    return cast(BinaryIO, os.fdopen(os.open(part, flags, 0o666), "wb"))


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() and not path.is_symlink() else 0


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
