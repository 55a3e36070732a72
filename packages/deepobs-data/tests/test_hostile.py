"""Servers that answer nonsense, never end, or send something else: the next mirror is asked."""

import gzip
import hashlib
import http.server
import os
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

import deepobs_data as dd
from deepobs_data.files.download import Patience, download
from deepobs_data.files.fetch import locked
from deepobs_data.files.sources import Download

GOOD, BAD = (np.random.RandomState(seed).bytes(200_000) for seed in (0, 1))
PATIENCE = Patience(timeout=2.0, pause=0.005, period=4.0, total=60.0)
"""The slow answers below take longer than the total, after which no mirror is asked any more."""


def head(status="200 OK", **fields):
    lines = [f"HTTP/1.1 {status}", *(f"{k.replace('_', '-')}: {v}" for k, v in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def part_of(content, start):
    """A right answer to a request for what follows `start`."""
    body = content[start:]
    if not start:
        return head(Content_Length=len(body)) + body
    where = f"bytes {start}-{len(content) - 1}/{len(content)}"
    return head("206 Partial Content", Content_Length=len(body), Content_Range=where) + body


def redirect(to):
    return lambda start: head("302 Found", Location=to, Content_Length=0)


def drip(first, rest, pause=0.05):
    """Send some bytes, then the others one by one."""

    def answer(start):
        yield first
        for byte in rest:
            time.sleep(pause)
            yield bytes([byte])

    return answer


PAGE = b"<html>Please log in</html>"
ANSWERS = {
    "nothing": lambda start: b"",
    "another protocol": lambda start: b"220 mail ready\r\n\r\n",
    "no status": lambda start: b"HTTP/1.1\r\n\r\n",
    "a status of text": lambda start: b"HTTP/1.1 OK 200\r\n\r\n" + GOOD,
    "an unknown status": lambda start: head("799 Go away", Content_Length=0),
    "no content": lambda start: head("204 No Content"),
    "not modified": lambda start: head("304 Not Modified"),
    "a page": lambda start: head(Content_Type="text/html", Content_Length=len(PAGE)) + PAGE,
    "a page of the right length": lambda start: (
        head(Content_Type="text/html; charset=utf-8", Content_Length=200_000) + PAGE.ljust(200_000)
    ),
    "a page without a type": lambda start: head(Content_Length=len(PAGE)) + PAGE,
    "other content": lambda start: part_of(BAD, start),
    "compressed": lambda start: head(Content_Encoding="gzip") + gzip.compress(GOOD),
    "one byte each": lambda start: part_of(GOOD, start)[: -len(GOOD) + start + 1 or None],
    "another range": lambda start: (
        head("206 Partial Content", Content_Range="bytes 5-9/10") + GOOD[5:]
    ),
    "a range of text": lambda start: head("206 Partial Content", Content_Range="all") + GOOD,
    "a range nobody can satisfy": lambda start: head("416 Range Not Satisfiable"),
    "endless content": lambda start: (GOOD for _ in range(1000)),
    "a broken chunk": lambda start: head(Transfer_Encoding="chunked") + b"zz\r\n" + GOOD,
    "a negative chunk": lambda start: head(Transfer_Encoding="chunked") + b"-5\r\n" + GOOD[:99],
    "a huge chunk": lambda start: (
        head(Transfer_Encoding="chunked") + b"f" * 50 + b"\r\n" + GOOD[:99]
    ),
    "many headers": lambda start: b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 1000,
    "a long header": lambda start: b"HTTP/1.1 200 OK\r\na: " + b"b" * 100_000 + b"\r\n\r\n",
    "a password": lambda start: head("401 Unauthorized", WWW_Authenticate="Basic"),
    "a redirect to a file": redirect("file:///etc/hostname"),
    "a redirect to ftp": redirect("ftp://127.0.0.1/x"),
    "a redirect to no scheme": redirect("gopher://127.0.0.1/x"),
    "a redirect to itself": redirect("/"),
    "a redirect to half an address": redirect("http://[::1/"),
    "a redirect to no port": redirect("http://127.0.0.1:http/"),
    "a redirect to a port too high": redirect("http://127.0.0.1:70000/"),
    "a redirect to a long name": redirect(f"http://{'x' * 70}.example/"),
    "a redirect to an empty label": redirect("http://a..example/"),
    "a redirect with spaces": redirect("/a b"),
    "a redirect to control characters": redirect("/a\tb\x7f"),
    "a redirect to bytes": redirect("/\xff\xfe"),
    "a redirect to nowhere": lambda start: head("302 Found"),
    "a slow header": drip(b"HTTP/1.1 200 OK\r\n", b"a: b\r\n" * 1000),
    "slow content": drip(head(Content_Length=200_000), GOOD),
    "a slow chunk": drip(head(Transfer_Encoding="chunked"), b"0" * 10_000),
    "silence": drip(b"", b"x", pause=300.0),
    "silence after the header": drip(head(Content_Length=200_000), b"x", pause=300.0),
}


class Server:
    """Answers every request with what `answer(start)` gives or yields."""

    def __init__(self, answer):
        self.answer, self.requests = answer, 0
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}/a"
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.requests += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection:
            try:
                request = b""
                while b"\r\n\r\n" not in request:
                    request += connection.recv(4096) or b"\r\n\r\n"
                ranges = [line for line in request.split(b"\r\n") if line.startswith(b"Range:")]
                start = int(ranges[0].split(b"=")[1].split(b"-")[0]) if ranges else 0
                answer = self.answer(start)
                for piece in [answer] if isinstance(answer, bytes) else answer:
                    connection.sendall(piece)
            except OSError:
                pass


@pytest.fixture
def serve(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    running = []

    def start(answer):
        running.append(Server(answer))
        return running[-1]

    yield start
    for server in running:
        server.socket.close()


def good(start):
    return part_of(GOOD, start)


@pytest.mark.parametrize("what", ANSWERS)
def test_a_malformed_answer_goes_to_the_next_mirror(serve, tmp_path, what):
    first, second = serve(ANSWERS[what]), serve(good)
    md5 = hashlib.md5(GOOD).hexdigest()
    file = Download("a", md5, len(GOOD), (first.url, second.url))
    download(file, tmp_path / "a", patience=PATIENCE)
    assert (tmp_path / "a").read_bytes() == GOOD
    assert first.requests >= 1
    assert second.requests >= 1
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("what", ["no length", "superscript", "5000 digits", "negative"])
def test_an_odd_length_does_not_matter_where_the_size_is_known(serve, tmp_path, what):
    length = {"superscript": "\xb2", "5000 digits": "9" * 5000, "negative": "-1"}
    fields = {"Content_Length": length[what]} if what in length else {}
    server = serve(lambda start: head(**fields) + GOOD)
    file = Download("a", hashlib.md5(GOOD).hexdigest(), len(GOOD), (server.url,))
    download(file, tmp_path / "a", patience=PATIENCE)
    assert (tmp_path / "a").read_bytes() == GOOD


@pytest.mark.parametrize("url", ["http://[half", "file:///etc/hostname", "no address", "http://"])
def test_an_address_that_is_none_goes_to_the_next_mirror(serve, tmp_path, url):
    server = serve(good)
    file = Download("a", hashlib.md5(GOOD).hexdigest(), len(GOOD), (url, server.url))
    download(file, tmp_path / "a", patience=PATIENCE)
    assert (tmp_path / "a").read_bytes() == GOOD


def test_all_mirrors_together_have_a_time_limit(serve, tmp_path):
    slow = [serve(drip(head(Content_Length=200_000), GOOD)) for _ in range(9)]
    file = Download("a", None, len(GOOD), tuple(server.url for server in slow))
    patience = replace(PATIENCE, total=2.5)
    with pytest.raises(dd.DownloadError, match=r"not complete after 2\.5 s"):
        download(file, tmp_path / "a", patience=patience)
    assert slow[-1].requests == 0  # one limit per mirror would ask all
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("body", [PAGE, b"", b"another text", b"\xff\xfe\x00"])
def test_a_text_without_a_checksum_is_read_before_it_is_accepted(
    serve, tmp_path, change_source, body
):
    wrong = serve(lambda start: head(Content_Length=len(body)) + body)
    lines = b"".join(b"line %d\n" % k for k in range(1000))
    right = serve(lambda start: part_of(lines, start))
    source = dd.info("tolstoi").source
    unknown = replace(source.files[0], checksum=None, size=None, accept=_must_have_lines)
    urls = (wrong.url, right.url)
    change_source(
        "tolstoi", files=(unknown,), downloads=(Download(unknown.name, None, None, urls),)
    )
    dd.fetch("tolstoi", tmp_path)
    assert (tmp_path / "tolstoi" / "war-and-peace.txt").read_bytes() == lines


def _must_have_lines(path):
    if path.read_bytes().count(b"\n") < 100:
        raise dd.DamagedFileError(path, f"{path} is too short.")


def small_file(serve):
    server = serve(good)
    return Download("a", hashlib.md5(GOOD).hexdigest(), len(GOOD), (server.url,))


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
@pytest.mark.parametrize("kind", ["symlink", "hard link", "dangling", "fifo"])
def test_nothing_is_written_through_a_part_file(serve, tmp_path, kind):
    victim = tmp_path / "victim"
    victim.write_bytes(GOOD[:100])  # even where it looks like the beginning
    folder = tmp_path / "folder"
    folder.mkdir()
    part = folder / "a.part"
    if kind == "fifo":
        os.mkfifo(part)
    elif kind == "hard link":
        os.link(victim, part)
    else:
        part.symlink_to(victim if kind == "symlink" else tmp_path / "new")
    download(small_file(serve), folder / "a", patience=PATIENCE)
    assert (folder / "a").read_bytes() == GOOD
    assert victim.read_bytes() == GOOD[:100]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "victim"]


def test_a_part_file_that_is_a_folder_is_named(serve, tmp_path):
    (tmp_path / "a.part").mkdir()
    with pytest.raises(dd.DownloadError, match="Cannot write"):
        download(small_file(serve), tmp_path / "a", patience=PATIENCE)


@pytest.mark.parametrize("kind", ["symlink", "folder"])
def test_a_lock_file_that_is_none(tmp_path, kind):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    lock = tmp_path / "root" / ".locks" / "mnist.lock"
    lock.parent.mkdir(parents=True)
    lock.mkdir() if kind == "folder" else lock.symlink_to(victim)
    with (
        pytest.raises(dd.DownloadError, match="Choose another"),
        locked("mnist", tmp_path / "root"),
    ):
        pass
    assert victim.read_text() == "precious"


def hold_lock(root):
    """Hold the lock of `mnist` in another process until its input ends."""
    script = f"""
import sys
from pathlib import Path
from deepobs_data.files.fetch import locked
with locked("mnist", Path({str(root)!r})):
    print("held", flush=True)
    sys.stdin.read()
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    return process


def test_waiting_for_another_process_is_said(tmp_path, capsys):
    with hold_lock(tmp_path) as process:
        threading.Timer(0.5, process.stdin.close).start()
        with locked("mnist", tmp_path, quiet=0.1):
            pass
        process.stdin = None
    assert "waiting for another process that works on mnist" in capsys.readouterr().err


def test_waiting_for_another_process_ends(tmp_path):
    with hold_lock(tmp_path) as process:
        with (
            pytest.raises(dd.DownloadError, match="Another process has worked on mnist"),
            locked("mnist", tmp_path, quiet=0.1, patience=0.2),
        ):
            pass
        process.kill()
    with locked("mnist", tmp_path, quiet=5.0):  # the lock of a dead process is free
        pass


def test_damaged_files_elsewhere_do_not_prevent_a_download(
    server, write_files, change_source, tmp_path
):
    """Two sets with equal file names: one lies flat in the root, the other is asked for."""
    arrays = write_files("fmnist", tmp_path / "made", gzipped=True)
    downloads = []
    for path in sorted((tmp_path / "made").iterdir()):
        server.files[path.name] = path.read_bytes()
        md5 = hashlib.md5(path.read_bytes()).hexdigest()
        downloads.append(Download(path.name, md5, None, (f"{server.url}/{path.name}",)))
    change_source("fmnist", downloads=tuple(downloads))
    write_files("mnist", tmp_path / "root", seed=5)
    with pytest.warns(UserWarning, match="other content"):
        data = dd.fmnist(tmp_path / "root")
    np.testing.assert_array_equal(data.train.x[:, 0], arrays["train_x"])
    assert isinstance(server.server, http.server.ThreadingHTTPServer)
    assert len(server.requests) == 4
