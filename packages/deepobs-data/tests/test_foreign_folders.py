"""Data folders of somebody else: nothing is written through links, and nothing waits for a pipe."""

import io
import os
import shutil
import signal
import warnings
import zipfile

import numpy as np
import pytest

import deepobs_data as dd
from deepobs_data.cli import main

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")

HOME = dd.info("cifar10").source.folder


@pytest.fixture(autouse=True)
def no_hang():
    """Fail a test that waits for a pipe."""

    def ring(*_):
        raise AssertionError("it hangs")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(120)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def content_of(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


PLACES = [
    *((place, kind) for place in (".locks", ".locks/cifar10.lock", HOME)
      for kind in ("link", "link to nothing", "pipe")),
    (".locks/cifar10.lock", "hard link"),
]  # fmt: skip


@pytest.mark.parametrize(("place", "kind"), PLACES)
@pytest.mark.parametrize("command", ["fetch", "import"])
def test_nothing_is_put_into_a_folder_that_leads_elsewhere(
    write_files, tmp_path, capsys, place, kind, command
):
    write_files("cifar10", tmp_path / "source")
    root, target = tmp_path / "root", tmp_path / "target"
    link = root / place
    link.parent.mkdir(parents=True)
    if kind == "pipe":
        os.mkfifo(link)
    elif kind == "hard link":
        target.write_text("mine")
        os.link(target, link)
    else:
        target.mkdir()
        (target / "mine").write_text("mine")
        link.symlink_to(target if kind == "link" else tmp_path / "new")
    words = {
        "fetch": ["fetch", "cifar10"],
        "import": ["import", "cifar10", str(tmp_path / "source")],
    }
    assert main([*words[command], "--data-dir", str(root)]) == 1
    assert "Choose another with --data-dir" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
    if target.exists():
        assert {*content_of(tmp_path / "target").values()} <= {b"mine"}
        assert target.is_dir() or target.read_text() == "mine"


def test_a_linked_folder_is_read_and_left_alone(write_files, tmp_path, monkeypatch):
    monkeypatch.setenv("DEEPOBS_DATA_DIR", str(tmp_path / "default"))
    arrays = write_files("cifar10", tmp_path / "target")
    before = content_of(tmp_path / "target")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / HOME).symlink_to(tmp_path / "target")
    data = dd.cifar10(tmp_path / "root", offline=True)
    np.testing.assert_array_equal(data.train.x, arrays["train_x"])
    assert content_of(tmp_path / "target") == before
    (damaged := tmp_path / "target" / "test_batch").write_bytes(b"other")
    with pytest.raises(dd.DamagedFileError):
        dd.cifar10(tmp_path / "root", offline=True)
    assert damaged.read_bytes() == b"other"


@pytest.mark.parametrize("kind", ["link", "link to nothing", "pipe", "file"])
def test_no_cache_is_written_through_a_link(write_files, tmp_path, monkeypatch, kind):
    monkeypatch.setenv("DEEPOBS_DATA_DIR", str(tmp_path / "default"))
    arrays = write_files("cifar10", tmp_path / "root" / HOME)
    (target := tmp_path / "target").mkdir()
    place = tmp_path / "root" / "decoded"
    if kind == "pipe":
        os.mkfifo(place)
    elif kind == "file":
        place.write_text("mine")
    else:
        place.symlink_to(target if kind == "link" else tmp_path / "new")
    for _ in range(2):
        data = dd.cifar10(tmp_path / "root", offline=True)
        np.testing.assert_array_equal(data.train.x, arrays["train_x"])
    assert list(target.iterdir()) == []
    assert not (tmp_path / "new").exists()


def pipe(path):
    os.mkfifo(path)


def device(path):
    path.symlink_to("/dev/zero")


def folder(path):
    path.mkdir()


def bomb(path):
    """The same arrays, compressed: some KB could be any number of GB."""
    packed = io.BytesIO()
    with zipfile.ZipFile(path.with_name("kept")) as before, zipfile.ZipFile(packed, "w") as members:
        for name in before.namelist():
            members.writestr(name, before.read(name), zipfile.ZIP_DEFLATED)
    path.write_bytes(packed.getvalue())


@pytest.mark.parametrize("make", [pipe, device, folder, bomb])
def test_an_odd_file_in_place_of_the_cache(write_files, tmp_path, monkeypatch, make):
    monkeypatch.setenv("DEEPOBS_DATA_DIR", str(tmp_path / "default"))
    arrays = write_files("cifar10", tmp_path / "root" / HOME)
    dd.cifar10(tmp_path / "root", offline=True)
    (entry,) = (tmp_path / "root" / "decoded").iterdir()
    entry.rename(entry.with_name("kept"))
    make(entry)
    data = dd.cifar10(tmp_path / "root", offline=True)
    np.testing.assert_array_equal(data.train.x, arrays["train_x"])


@pytest.mark.parametrize("make", [pipe, device, folder])
def test_an_odd_file_in_place_of_data_is_missing(write_files, tmp_path, make):
    write_files("mnist", place := tmp_path / dd.info("mnist").source.folder)
    path = sorted(place.iterdir())[0]
    path.unlink()
    make(path)
    with pytest.raises(dd.DataNotFoundError, match=path.name.removesuffix(".gz")):
        dd.mnist(tmp_path, offline=True)


@pytest.mark.parametrize("make", [pipe, device, folder])
def test_an_odd_file_in_place_of_an_image(tmp_path, make):
    pytest.importorskip("torchvision")
    from deepobs_data.datasets.imagenet import decode_image

    make(tmp_path / "x.JPEG")
    with pytest.raises(dd.DamagedFileError, match="it is not a file"):
        decode_image(str(tmp_path / "x.JPEG"))


@pytest.mark.parametrize("place", [HOME, ""])
def test_fetch_accepts_no_wrong_content(write_files, tmp_path, monkeypatch, capsys, place):
    """What is there is compared with its checksums before it counts as there."""
    write_files("cifar10", tmp_path / "good")
    write_files("cifar10", root_files := tmp_path / "root" / place)
    words = ["fetch", "cifar10", "--data-dir", str(tmp_path / "root")]
    assert main(words) == 0
    assert "already in" in capsys.readouterr().out
    (root_files / "test_batch").write_bytes(b"other")

    def download(file, target, **_):
        raise dd.DownloadError(f"tried {file.name}")

    monkeypatch.setattr("deepobs_data.files.fetch.download", download)
    with pytest.warns(UserWarning, match=r"test_batch has other content.*downloaded again"):
        assert main(words) == 1
    said = capsys.readouterr()
    assert "tried" in said.err
    assert "already in" not in said.out
    assert (root_files / "test_batch.damaged").exists() == (place == HOME)
    shutil.copy(tmp_path / "good" / "test_batch", root_files)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert main(words) == 0
