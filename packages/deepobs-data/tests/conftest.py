"""Files in the real formats, a faulty web server, and no traces in the user's folders."""

import contextlib
import gzip
import hashlib
import http.server
import os
import pickle
import struct
import threading
import time
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported

import numpy as np
import pytest

from deepobs_data import info, registry


def pytest_addoption(parser):
    with contextlib.suppress(ValueError):  # the repository's conftest has it; this one goes alone
        parser.addoption("--slow", action="store_true", help="also run the tests marked slow")


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: takes more than a few seconds; run with --slow")


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--slow"):
        for item in items:
            if "slow" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="slow: run with --slow"))


@pytest.fixture(autouse=True)
def _own_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("DEEPOBS_DATA_DIR", str(tmp_path / "default-root"))
    monkeypatch.delenv("DEEPOBS_OFFLINE", raising=False)


@pytest.fixture
def fmnist_root():
    """A folder with the real Fashion-MNIST: $DEEPOBS_TEST_FMNIST, Debian's package, or skip."""
    named = os.environ.get("DEEPOBS_TEST_FMNIST")
    if named:
        if not Path(named).is_dir():
            pytest.fail(f"DEEPOBS_TEST_FMNIST names {named}, which is no folder")
        return Path(named)
    debian = Path("/usr/share/datasets/fashion-mnist")
    if not debian.is_dir():
        pytest.skip("no Fashion-MNIST: set DEEPOBS_TEST_FMNIST or install dataset-fashion-mnist")
    return debian


def idx_bytes(array):
    head = b"\0\0\x08" + bytes([array.ndim])
    return head + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


class Python2Pickler(pickle._Pickler):
    """Writes byte strings and text as Python 2 did, like the real CIFAR files."""

    def save_string(self, value):
        content = value if isinstance(value, bytes) else value.encode()
        self.write(pickle.BINSTRING + struct.pack("<i", len(content)) + content)
        self.memoize(value)

    dispatch = {**pickle._Pickler.dispatch, bytes: save_string, str: save_string}  # noqa: RUF012


@pytest.fixture
def change_source(monkeypatch):
    """Replace fields of the source of a data set, and other fields of its row."""

    def change(name, row=None, **fields):
        old = info(name)
        new = replace(old, source=replace(old.source, **fields), **(row or {}))
        monkeypatch.setitem(registry._rows, name, new)

    return change


@pytest.fixture
def write_files(change_source):
    """Write a small data set in the real format into a folder; returns its arrays.

    The checksums that the package expects are replaced by those of the written files.
    """

    def expect(name, contents, n):
        files = tuple(
            replace(
                file,
                checksum=hashlib.md5(contents[file.name]).hexdigest(),
                size=len(contents[file.name]),
            )
            for file in info(name).source.files
        )
        change_source(name, {"train_size": n, "test_size": n // 2}, files=files)

    def write(name, folder, n=30, *, gzipped=False, seed=0):
        folder.mkdir(parents=True, exist_ok=True)
        rng = np.random.RandomState(seed)
        classes = 100 if name == "cifar100" else 10
        sizes = {"train": n, "test": n // 2}
        shape = (28, 28) if name in ("mnist", "fmnist") else (3, 32, 32)
        arrays = {}
        for part, size in sizes.items():
            arrays[f"{part}_x"] = rng.randint(0, 256, (size, *shape)).astype(np.uint8)
            arrays[f"{part}_y"] = rng.randint(0, classes, size)
        contents = FORMATS[name](arrays)
        for file, content in contents.items():
            path = folder / (f"{file}.gz" if gzipped else file)
            path.write_bytes(gzip.compress(content) if gzipped else content)
        expect(name, contents, n)
        return arrays

    return write


def _idx_files(arrays):
    files = {}
    for part, prefix in (("train", "train"), ("test", "t10k")):
        files[f"{prefix}-images-idx3-ubyte"] = idx_bytes(arrays[f"{part}_x"])
        files[f"{prefix}-labels-idx1-ubyte"] = idx_bytes(arrays[f"{part}_y"].astype(np.uint8))
    return files


def _cifar_batch(x, y, key):
    from io import BytesIO

    out = BytesIO()
    batch = {
        "batch_label": "some batch",
        key: y.tolist(),
        "data": x.reshape(len(x), -1),
        "filenames": [f"{k}.png" for k in range(len(x))],
    }
    Python2Pickler(out, protocol=2).dump(batch)
    # The module's name when the real files were written.
    return out.getvalue().replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")


def _cifar10_files(arrays):
    parts = np.array_split(np.arange(len(arrays["train_x"])), 5)
    files = {
        f"data_batch_{k + 1}": _cifar_batch(arrays["train_x"][p], arrays["train_y"][p], "labels")
        for k, p in enumerate(parts)
    }
    files["test_batch"] = _cifar_batch(arrays["test_x"], arrays["test_y"], "labels")
    return files


def _cifar100_files(arrays):
    return {
        part: _cifar_batch(arrays[f"{part}_x"], arrays[f"{part}_y"], "fine_labels")
        for part in ("train", "test")
    }


def _svhn_files(arrays):
    from io import BytesIO

    savemat = pytest.importorskip("scipy.io", reason="SVHN needs scipy").savemat

    files = {}
    for part in ("train", "test"):
        out = BytesIO()
        y = arrays[f"{part}_y"]
        images = arrays[f"{part}_x"].transpose(2, 3, 1, 0)  # (32, 32, 3, N), as in the real files
        labels = np.where(y == 0, 10, y).astype(np.uint8)[:, None]
        savemat(out, {"X": images, "y": labels}, do_compression=True)
        files[f"{part}_32x32.mat"] = out.getvalue()
    return files


FORMATS = {
    "mnist": _idx_files,
    "fmnist": _idx_files,
    "cifar10": _cifar10_files,
    "cifar100": _cifar100_files,
    "svhn": _svhn_files,
}


class FaultyServer:
    """Serves `files`; `faults` lists what goes wrong with the first requests, in order.

    Faults: "truncate" (half the body, then the connection ends), "stall" (half, then silence),
    "503", "404", "long" and "short" (a wrong length is announced), "noranges", "wrongrange",
    "corrupt" (other bytes of the same length), "ok".
    """

    def __init__(self):
        self.files = {}
        self.faults = []
        self.requests = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):
                outer.requests.append((self.path, self.headers.get("Range")))
                fault = outer.faults.pop(0) if outer.faults else "ok"
                body = outer.files.get(self.path.lstrip("/"))
                if body is None or fault in ("404", "503"):
                    self.send_error(404 if body is None or fault == "404" else 503)
                    return
                if fault == "corrupt":
                    body = bytes(255 - byte for byte in body)
                wanted, start = self.headers.get("Range"), 0
                if wanted and fault != "noranges":
                    start = int(wanted.removeprefix("bytes=").rstrip("-"))
                    if start >= len(body):
                        self.send_error(416)
                        return
                if fault == "wrongrange":
                    start = start // 2
                rest = body[start:]
                self.send_response(206 if wanted and fault != "noranges" else 200)
                if wanted and fault != "noranges":
                    self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
                announced = {"long": 2 * len(rest), "short": len(rest) // 2}.get(fault, len(rest))
                self.send_header("Content-Length", str(announced))
                self.end_headers()
                if fault in ("truncate", "stall"):
                    rest = rest[: len(rest) // 2]
                self.wfile.write(rest)
                self.wfile.flush()
                if fault == "stall":
                    time.sleep(1.0)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()


@pytest.fixture
def server(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    running = FaultyServer()
    yield running
    running.server.shutdown()
    running.server.server_close()
