"""Downloads from a server that does everything wrong."""

import errno
import hashlib
import io
import json
import subprocess
import sys
import tarfile
from dataclasses import replace

import numpy as np
import pytest

import deepobs_data as dd
from deepobs_data.files.download import Patience, download
from deepobs_data.files.fetch import fetch
from deepobs_data.files.sources import Download
from deepobs_data.files.verify import verify

SIZE = 300_000
CONTENT = np.random.RandomState(0).bytes(SIZE)
MD5 = hashlib.md5(CONTENT).hexdigest()


QUICK = Patience(timeout=0.4, pause=0.01)


def described(server, *, size=SIZE, md5=MD5, names=("a.bin",)):
    server.files["a.bin"] = CONTENT
    return Download("a.bin", md5, size, tuple(f"{server.url}/{name}" for name in names))


def get(file, target):
    download(file, target, patience=QUICK)


FAULTS = ["truncate", "stall", "503", "long", "short", "noranges", "wrongrange", "corrupt"]


@pytest.mark.parametrize("known_size", [True, False])
@pytest.mark.parametrize("fault", FAULTS)
def test_one_fault_is_survived(server, tmp_path, fault, known_size):
    server.faults = [fault]
    if fault in ("noranges", "wrongrange"):
        server.faults = ["truncate", fault]
    file = described(server, size=SIZE if known_size else None)
    get(file, tmp_path / "a.bin")
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert list(tmp_path.iterdir()) == [tmp_path / "a.bin"]


def test_all_faults_in_a_row(server, tmp_path):
    server.faults = [*FAULTS, *FAULTS]
    get(described(server), tmp_path / "a.bin")
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_a_break_is_resumed_where_it_happened(server, tmp_path):
    server.faults = ["truncate", "truncate"]
    get(described(server), tmp_path / "a.bin")
    assert [wanted for _, wanted in server.requests] == [None, "bytes=150000-", "bytes=225000-"]


def test_a_later_call_resumes(server, tmp_path):
    (tmp_path / "a.bin.part").write_bytes(CONTENT[:1000])
    get(described(server), tmp_path / "a.bin")
    assert server.requests == [("/a.bin", "bytes=1000-")]
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("rubbish", [b"x" * 1000, b"x" * 400_000, b"x" * SIZE])
def test_rubbish_left_from_before_is_replaced(server, tmp_path, rubbish):
    (tmp_path / "a.bin.part").write_bytes(rubbish)
    get(described(server), tmp_path / "a.bin")
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_the_next_mirror_is_tried(server, tmp_path):
    get(described(server, names=("missing.bin", "a.bin")), tmp_path / "a.bin")
    assert [path for path, _ in server.requests] == ["/missing.bin", "/a.bin"]
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_wrong_content_is_never_kept(server, tmp_path):
    with pytest.raises(dd.DownloadError, match=f"delivered md5 {MD5}, expected {'0' * 32}"):
        get(described(server, md5="0" * 32), tmp_path / "a.bin")
    assert list(tmp_path.iterdir()) == []
    assert len(server.requests) == 2


def test_a_dead_server_is_given_up(server, tmp_path):
    server.faults = ["503"] * 50
    with pytest.raises(dd.DownloadError, match="503"):
        get(described(server), tmp_path / "a.bin")
    assert len(server.requests) == 4
    server.faults = ["truncate"] + ["503"] * 50
    with pytest.raises(dd.DownloadError):
        get(described(server), tmp_path / "a.bin")
    assert not (tmp_path / "a.bin").exists()


def test_a_server_that_never_gets_further_is_given_up(server, tmp_path):
    # Ignores ranges and always breaks at the same place: bytes arrive, but never new ones.
    class Always(list):
        def pop(self, _):
            return "truncate"

        def __bool__(self):
            return True

    server.faults = Always()
    server.files["a.bin"] = CONTENT
    file = replace(described(server), size=SIZE * 4)
    with pytest.raises(dd.DownloadError, match="ended after"):
        get(file, tmp_path / "a.bin")


def test_a_refused_connection_names_the_mirror(tmp_path):
    file = Download("a.bin", MD5, SIZE, ("http://127.0.0.1:9/a.bin",))
    with pytest.raises(dd.DownloadError, match=r"127\.0\.0\.1:9"):
        get(file, tmp_path / "a.bin")


def test_a_full_disk_leaves_nothing(server, tmp_path, monkeypatch):
    from deepobs_data.files import download as module

    real = module._open_part

    def full(part, **options):
        file = real(part, **options)

        class Full(io.RawIOBase):
            def write(self, data):
                if file.tell() > 100_000:
                    raise OSError(errno.ENOSPC, "No space left on device")
                return file.write(data)

            def close(self):
                file.close()

        return Full()

    monkeypatch.setattr(module, "_open_part", full)
    monkeypatch.setattr("deepobs_data.files.download._CHUNK", 10_000)
    with pytest.raises(dd.DownloadError, match="No space"):
        get(described(server), tmp_path / "a.bin")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="file size limits are a POSIX feature")
def test_a_limit_of_the_system_leaves_nothing(server, tmp_path):
    described(server)
    script = f"""
import resource, sys
from pathlib import Path
from deepobs_data.files.download import Patience, download
from deepobs_data.errors import DownloadError
from deepobs_data.files.sources import Download
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    download(Download("a.bin", {MD5!r}, {SIZE}, ({server.url + "/a.bin"!r},)),
             Path({str(tmp_path)!r}) / "a.bin")
except DownloadError as error:
    sys.exit(0 if "No space" in str(error) else str(error))
sys.exit("it fitted")
"""
    subprocess.run([sys.executable, "-c", script], check=True)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def served_mnist(server, write_files, change_source, tmp_path):
    """MNIST in small, on the server."""
    arrays = write_files("mnist", tmp_path / "made", gzipped=True)
    downloads = []
    for path in sorted((tmp_path / "made").iterdir()):
        content = path.read_bytes()
        server.files[path.name] = content
        md5 = hashlib.md5(content).hexdigest()
        url = f"{server.url}/{path.name}"
        downloads.append(Download(path.name, md5, len(content), (url,)))
    change_source("mnist", downloads=tuple(downloads))
    return arrays


def test_missing_files_are_fetched_once(server, served_mnist, tmp_path):
    data = dd.mnist(tmp_path / "root")
    np.testing.assert_array_equal(data.train.x[:, 0], served_mnist["train_x"])
    assert len(server.requests) == 4
    dd.mnist(tmp_path / "root")
    assert len(server.requests) == 4


def test_only_the_damaged_file_is_fetched_again(server, served_mnist, tmp_path):
    root = tmp_path / "root"
    dd.mnist(root)
    server.requests.clear()
    damaged = root / "MNIST" / "raw" / "t10k-images-idx3-ubyte.gz"
    damaged.write_bytes(damaged.read_bytes()[:-20])
    with pytest.warns(UserWarning, match=r"moved aside to .*downloaded again"):
        data = dd.mnist(root)
    assert [path for path, _ in server.requests] == ["/t10k-images-idx3-ubyte.gz"]
    assert damaged.with_name(damaged.name + ".damaged").exists()
    np.testing.assert_array_equal(data.test.x[:, 0], served_mnist["test_x"])


def test_offline_never_asks(server, served_mnist, tmp_path, monkeypatch):
    with pytest.raises(dd.DataNotFoundError, match="Downloads are switched off"):
        dd.mnist(tmp_path / "root", offline=True)
    monkeypatch.setenv("DEEPOBS_OFFLINE", "1")
    with pytest.raises(dd.DataNotFoundError):
        dd.mnist(tmp_path / "root")
    assert server.requests == []
    assert not (tmp_path / "root").exists()


def test_no_network_names_the_three_ways(served_mnist, server, tmp_path):
    server.server.shutdown()
    server.server.server_close()
    with pytest.raises(dd.DataNotFoundError) as error:
        dd.mnist(tmp_path / "root")
    for part in ("t10k-labels", "MNIST", "deepobs-data fetch", "import", "DEEPOBS_DATA_DIR"):
        assert part in str(error.value)


def start_processes(count, root, work):
    """Run `work` in fresh processes that expect what this one expects; returns their results."""
    row = dd.info("mnist")
    spec = {
        "downloads": [[f.name, f.checksum, f.size, list(f.urls)] for f in row.source.downloads],
        "files": [[f.name, f.checksum, f.size, f.gzipped] for f in row.source.files],
        "sizes": [row.train_size, row.test_size],
    }
    script = f"""
import json, sys
from dataclasses import replace
from pathlib import Path
from deepobs_data import Download, SourceFile, info, registry
spec, root = json.loads(sys.argv[1]), Path(sys.argv[2])
row, sizes = info("mnist"), spec["sizes"]
source = replace(
    row.source,
    downloads=tuple(Download(n, m, s, tuple(u)) for n, m, s, u in spec["downloads"]),
    files=tuple(SourceFile(*file) for file in spec["files"]),
)
registry._rows["mnist"] = replace(row, source=source, train_size=sizes[0], test_size=sizes[1])
{work}
"""
    command = [sys.executable, "-W", "ignore", "-c", script, json.dumps(spec), str(root)]
    processes = [subprocess.Popen(command) for _ in range(count)]
    return [process.wait(timeout=60) for process in processes]


def test_eight_processes_make_one_download(server, served_mnist, tmp_path):
    work = 'from deepobs_data.files.fetch import fetch; fetch("mnist", root)'
    assert start_processes(8, tmp_path / "root", work) == [0] * 8
    assert len(server.requests) == 4
    data = dd.mnist(tmp_path / "root", offline=True)
    np.testing.assert_array_equal(data.test.x[:, 0], served_mnist["test_x"])


def test_eight_processes_repair_a_damaged_file_once(server, served_mnist, tmp_path):
    root = tmp_path / "root"
    dd.fetch("mnist", root)
    server.requests.clear()
    damaged = root / "MNIST" / "raw" / "train-labels-idx1-ubyte.gz"
    damaged.write_bytes(b"rubbish")
    work = """
from deepobs_data.files.fetch import read_arrays
read_arrays(info("mnist"), root, offline=False)
"""
    assert start_processes(8, root, work) == [0] * 8
    assert [path for path, _ in server.requests] == ["/train-labels-idx1-ubyte.gz"]
    assert damaged.with_name(f"{damaged.name}.damaged").read_bytes() == b"rubbish"


def tar_bytes(entries):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, content in entries:
            member = tarfile.TarInfo(name)
            if content is None:
                member.type = tarfile.SYMTYPE
                member.linkname = "/etc/passwd"
                tar.addfile(member)
            else:
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    return out.getvalue()


def serve_archive(server, change_source, content):
    server.files["cifar-100-python.tar.gz"] = content
    md5 = hashlib.md5(content).hexdigest()
    url = f"{server.url}/cifar-100-python.tar.gz"
    file = Download("cifar-100-python.tar.gz", md5, len(content), (url,), archive=True)
    change_source("cifar100", downloads=(file,))


def test_an_archive_is_fetched_and_unpacked(
    server, write_files, tmp_path, monkeypatch, change_source
):
    made = tmp_path / "made"
    arrays = write_files("cifar100", made)
    entries = [(f"cifar-100-python/{p.name}", p.read_bytes()) for p in made.iterdir()]
    serve_archive(server, change_source, tar_bytes(entries))
    server.faults = ["truncate", "stall"]
    monkeypatch.setattr("deepobs_data.files.download.Patience", lambda: QUICK)
    data = dd.cifar100(tmp_path / "root")
    np.testing.assert_array_equal(data.train.x, arrays["train_x"])
    assert not list((tmp_path / "root").glob("*.tar.gz*"))


def test_an_archive_that_was_there_is_used_and_kept(server, write_files, tmp_path, change_source):
    made, root = tmp_path / "made", tmp_path / "root"
    arrays = write_files("cifar100", made)
    entries = [(f"cifar-100-python/{p.name}", p.read_bytes()) for p in made.iterdir()]
    serve_archive(server, change_source, tar_bytes(entries))
    root.mkdir()
    archive = root / "cifar-100-python.tar.gz"
    archive.write_bytes(server.files["cifar-100-python.tar.gz"])
    np.testing.assert_array_equal(dd.cifar100(root).train.x, arrays["train_x"])
    assert server.requests == []
    assert archive.exists()


@pytest.mark.parametrize("name", ["cifar-100-python.tar.gz", "archive (2).tgz"])
def test_an_archive_is_imported(server, write_files, tmp_path, change_source, name):
    arrays = write_files("cifar100", tmp_path / "made")
    entries = [
        (f"cifar-100-python/{p.name}", p.read_bytes()) for p in (tmp_path / "made").iterdir()
    ]
    serve_archive(server, change_source, tar_bytes(entries))
    archive = tmp_path / name
    archive.write_bytes(server.files["cifar-100-python.tar.gz"])
    dd.import_files("cifar100", archive, tmp_path / "root")
    assert archive.exists()
    data = dd.cifar100(tmp_path / "root", offline=True)
    np.testing.assert_array_equal(data.train.x, arrays["train_x"])
    archive.write_bytes(b"no archive")
    with pytest.raises(dd.DamagedFileError, match="found md5"):
        dd.import_files("cifar100", archive, tmp_path / "root2")
    assert archive.read_bytes() == b"no archive"


@pytest.mark.parametrize("explicit", [True, False])
def test_a_damaged_archive_that_was_there_is_fetched_again(
    server, write_files, tmp_path, change_source, explicit
):
    made, root = tmp_path / "made", tmp_path / "root"
    arrays = write_files("cifar100", made)
    entries = [(f"cifar-100-python/{p.name}", p.read_bytes()) for p in made.iterdir()]
    serve_archive(server, change_source, tar_bytes(entries))
    root.mkdir()
    archive = root / "cifar-100-python.tar.gz"
    archive.write_bytes(b"garbage")
    with pytest.warns(UserWarning, match=r"moved aside to .*downloaded again"):
        dd.fetch("cifar100", root) if explicit else dd.cifar100(root)
    np.testing.assert_array_equal(dd.cifar100(root).train.x, arrays["train_x"])
    assert len(server.requests) == 1
    assert not archive.exists()
    assert archive.with_name(f"{archive.name}.damaged").read_bytes() == b"garbage"


def test_a_disk_full_while_unpacking_leaves_nothing(
    server, write_files, tmp_path, monkeypatch, change_source
):
    made, root = tmp_path / "made", tmp_path / "root"
    write_files("cifar100", made)
    entries = [(f"cifar-100-python/{p.name}", p.read_bytes()) for p in made.iterdir()]
    serve_archive(server, change_source, tar_bytes(entries))

    def full(source, out, _):
        out.write(source.read(100))
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("shutil.copyfileobj", full)
    with pytest.raises(dd.DownloadError, match="No space left"):
        dd.fetch("cifar100", root)
    names = {path.name for path in root.rglob("*") if ".locks" not in path.parts}
    assert names - {".locks", "cifar100.lock"} == {"cifar-100-python.tar.gz"}


@pytest.mark.parametrize(
    "name",
    ["../evil", "/tmp/evil", "cifar-100-python/../../evil", "other/train", "cifar-100-python/link"],
)
def test_an_archive_with_foreign_paths_is_refused(server, tmp_path, change_source, name):
    good = ("cifar-100-python/train", b"content")
    bad = (name, None if name.endswith("link") else b"evil")
    serve_archive(server, change_source, tar_bytes([good, bad]))
    root = tmp_path / "folder" / "root"
    with pytest.raises(dd.DamagedFileError, match="refused"):
        dd.fetch("cifar100", root)
    assert not (root / "cifar-100-python").exists()
    assert not [path for path in tmp_path.rglob("*") if "evil" in path.name]
    assert [p.name for p in root.iterdir() if not p.name.startswith(".")] == [
        "cifar-100-python.tar.gz.damaged"
    ]


def test_an_unwritable_folder_is_named(served_mnist, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(dd.DownloadError, match="Choose another"):
        dd.fetch("mnist", tmp_path / "file")


def test_several_damaged_files_are_all_fetched_again(server, served_mnist, tmp_path):
    root = tmp_path / "root"
    dd.mnist(root)
    server.requests.clear()
    names = ["t10k-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"]
    for name in names:
        damaged = root / "MNIST" / "raw" / name
        damaged.write_bytes(damaged.read_bytes()[:-20])
    with pytest.warns(UserWarning, match=r"moved aside to .*downloaded again"):
        fetch("mnist", root)
    assert sorted(path for path, _ in server.requests) == [f"/{name}" for name in names]
    assert {state for _, state, _ in verify("mnist", root)} == {"verified"}
