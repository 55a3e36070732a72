"""Files in the real formats through the real code path, good and bad."""

import os
import pickle
import shutil
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

import deepobs_data as dd
from deepobs_data.files import cache
from deepobs_data.files.find import remove_leftovers
from deepobs_data.files.verify import verify

IMAGE_SETS = ["mnist", "fmnist", "cifar10", "cifar100", "svhn"]
FOLDER = {name: dd.info(name).source.folder for name in IMAGE_SETS}


def load(name, root, **arguments):
    return getattr(dd, name)(root, offline=True, **arguments)


def stored(array):
    return array if array.ndim == 4 else array[:, None]


@pytest.mark.parametrize("name", IMAGE_SETS)
def test_real_format(name, write_files, tmp_path):
    arrays = write_files(name, tmp_path / FOLDER[name])
    data = load(name, tmp_path, valid_size=5)
    np.testing.assert_array_equal(data.train.x, stored(arrays["train_x"]))
    np.testing.assert_array_equal(data.train.y, arrays["train_y"])
    np.testing.assert_array_equal(data.test.x, stored(arrays["test_x"]))
    np.testing.assert_array_equal(data.test.y, arrays["test_y"])
    assert data.train.y.dtype == torch.int64
    assert (len(data.train), len(data.valid), len(data.test)) == (25, 5, 15)
    facts = dd.info(name)
    x, _ = next(data.test.batches(torch.arange(4), 4))
    assert x.shape == (4, *facts.x_shape)
    assert x.dtype == torch.float32
    if facts.augmented:
        expected = dd.standardize(torch.from_numpy(arrays["test_x"][:4]))
    else:
        expected = torch.from_numpy(stored(arrays["test_x"][:4])) / 255
    torch.testing.assert_close(x, expected)
    augment = {"svhn": dd.SVHN_AUGMENT, "cifar10": dd.CIFAR_AUGMENT, "cifar100": dd.CIFAR_AUGMENT}
    assert data.augment == data.train.augment == augment.get(name)
    assert data.train_eval.augment is None
    assert load(name, tmp_path, recipe="2019").train_eval.augment == augment.get(name)
    assert data.classes == facts.classes
    assert len(data.classes) == facts.num_classes


@pytest.mark.parametrize("gzipped", [True, False])
@pytest.mark.parametrize(
    "place", ["", "fmnist", "fashion-mnist", "FashionMNIST/raw", "FashionMNIST", "raw"]
)
def test_folders_where_idx_files_are_found(place, gzipped, write_files, tmp_path):
    arrays = write_files("fmnist", tmp_path / place, gzipped=gzipped)
    data = load("fmnist", tmp_path)
    np.testing.assert_array_equal(data.train.x[:, 0], arrays["train_x"])


def test_the_default_root_is_read_at_call_time(write_files, tmp_path, monkeypatch):
    write_files("mnist", tmp_path / "there")
    monkeypatch.setenv("DEEPOBS_DATA_DIR", str(tmp_path / "there"))
    assert len(dd.mnist(offline=True).train) == 30
    assert dd.default_root() == tmp_path / "there"
    monkeypatch.delenv("DEEPOBS_DATA_DIR")
    assert "deepobs" in str(dd.default_root())


def test_2019_recipe_of_cifar100(write_files, tmp_path):
    arrays = write_files("cifar100", tmp_path / FOLDER["cifar100"])
    x = load("cifar100", tmp_path, recipe="2019").train.x
    # The record in the original's file: coarse label, fine label, pixels; it reads from byte 1.
    for image, label, got in zip(arrays["train_x"], arrays["train_y"], x, strict=True):
        record = bytes([0, label]) + image.tobytes()
        assert got.numpy().tobytes() == record[1 : 1 + 3072]


def test_2019_recipe_of_svhn_keeps_64000_images(monkeypatch):
    from deepobs_data.datasets import images

    x = np.zeros((73_257, 3, 1, 1), np.uint8)
    arrays = {"train_x": x, "train_y": np.arange(73_257), "test_x": x[:9], "test_y": x[:9]}
    monkeypatch.setattr(images, "read_arrays", lambda *_, **__: arrays)
    assert len(dd.svhn().train) == 73_257
    assert dd.svhn(recipe="2019").train.y[-1] == 63_999
    assert len(dd.svhn(recipe="2019", valid_size=100).train) == 63_900


@pytest.mark.parametrize("name", IMAGE_SETS)
@pytest.mark.parametrize("damage", ["truncated", "altered", "longer", "empty"])
def test_damaged_files_are_moved_aside(name, damage, write_files, tmp_path):
    folder = tmp_path / FOLDER[name]
    write_files(name, folder)
    for path in sorted(folder.iterdir()):
        content = path.read_bytes()
        middle = len(content) // 2
        change = {
            "truncated": content[:-1],
            "altered": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
            "longer": content + b"x",
            "empty": b"",
        }
        path.write_bytes(change[damage])
        with pytest.raises(dd.DamagedFileError, match="moved aside") as error:
            load(name, tmp_path)
        assert path.name in str(error.value)
        assert "deepobs-data fetch" in str(error.value)
        assert not path.exists()
        aside = path.with_name(f"{path.name}.damaged")
        assert aside.read_bytes() == change[damage]
        path.write_bytes(content)
    load(name, tmp_path)


def test_checksums_are_named(write_files, tmp_path):
    write_files("svhn", tmp_path / "svhn")
    expected = dd.info("svhn").source.files[0].checksum
    with (tmp_path / "svhn" / "train_32x32.mat").open("ab") as file:
        file.write(b"x")
    with pytest.raises(dd.DamagedFileError, match=f"found md5 [0-9a-f]{{32}}, expected {expected}"):
        load("svhn", tmp_path)


def test_damaged_gzip(write_files, tmp_path):
    folder = tmp_path / FOLDER["mnist"]
    write_files("mnist", folder, gzipped=True)
    path = folder / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(dd.DamagedFileError, match=r"t10k-images-idx3-ubyte\.gz"):
        load("mnist", tmp_path)


def test_files_of_someone_else_are_left_alone(write_files, tmp_path):
    # Both sets have the same file names; a flat folder of one is no damaged copy of the other.
    write_files("mnist", tmp_path)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(dd.DamagedFileError, match="other content"):
        load("fmnist", tmp_path)
    assert sorted(tmp_path.iterdir()) == before
    load("mnist", tmp_path)


def test_a_pickle_is_not_opened_before_its_checksum_matched(write_files, tmp_path):
    folder = tmp_path / FOLDER["cifar10"]
    write_files("cifar10", folder)

    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "evil"),)

    (folder / "data_batch_3").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(dd.DamagedFileError, match="found md5"):
        load("cifar10", tmp_path)
    assert not (tmp_path / "evil").exists()


def test_a_pickle_can_only_build_arrays(write_files, change_source, tmp_path):
    import hashlib

    folder = tmp_path / FOLDER["cifar10"]
    write_files("cifar10", folder)

    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "evil"),)

    content = pickle.dumps(Evil())
    (folder / "test_batch").write_bytes(content)
    files = dd.info("cifar10").source.files
    last = replace(files[-1], checksum=hashlib.md5(content).hexdigest())
    change_source("cifar10", files=(*files[:-1], last))
    with pytest.raises(pickle.UnpicklingError, match="mkdir"):
        load("cifar10", tmp_path)
    assert not (tmp_path / "evil").exists()


def test_missing_files_are_named(write_files, tmp_path):
    write_files("mnist", tmp_path / FOLDER["mnist"])
    (tmp_path / FOLDER["mnist"] / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(dd.DataNotFoundError) as error:
        load("mnist", tmp_path)
    text = str(error.value)
    assert "Missing: t10k-labels-idx1-ubyte[.gz]; they would go to" in text
    for way in ("deepobs-data fetch mnist", "deepobs-data import mnist", "DEEPOBS_DATA_DIR"):
        assert way in text


def both_kinds(write_files, folder):
    """Write Fashion-MNIST twice: plain, and gzipped beside it."""
    write_files("fmnist", folder)
    return write_files("fmnist", folder, gzipped=True)


@pytest.mark.parametrize("name", ["t10k-images-idx3-ubyte", "train-labels-idx1-ubyte"])
@pytest.mark.parametrize("place", [FOLDER["fmnist"], ""])
def test_a_damaged_plain_file_does_not_hide_the_gzipped_one(write_files, tmp_path, name, place):
    arrays = both_kinds(write_files, tmp_path / place)
    path = tmp_path / place / name
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.warns(UserWarning, match=rf"{name} has other content.* {name}\.gz beside it is"):
        data = load("fmnist", tmp_path)
    np.testing.assert_array_equal(data.train.y, arrays["train_y"])
    np.testing.assert_array_equal(data.test.x[:, 0], arrays["test_x"])
    assert path.exists()
    with pytest.warns(UserWarning, match="beside it"):
        dd.import_files("fmnist", tmp_path / place, tmp_path / "root")
    assert (tmp_path / "root" / FOLDER["fmnist"] / f"{name}.gz").exists()


def test_a_damaged_gzipped_file_does_not_hide_the_plain_one(write_files, tmp_path, recwarn):
    arrays = both_kinds(write_files, tmp_path)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(b"\x1f\x8b nothing")
    np.testing.assert_array_equal(load("fmnist", tmp_path).train.x[:, 0], arrays["train_x"])
    assert not recwarn.list


def test_both_kinds_damaged(write_files, tmp_path):
    both_kinds(write_files, tmp_path / FOLDER["fmnist"])
    for path in (tmp_path / FOLDER["fmnist"]).glob("t10k-labels*"):
        path.write_bytes(b"x")
    with pytest.raises(dd.DamagedFileError, match="moved aside"):
        load("fmnist", tmp_path)
    states = [verdict.state for verdict in verify("fmnist", tmp_path)]
    assert states.count("damaged") in (0, 1)  # what is left of the two


def test_verify_looks_at_both_kinds(write_files, tmp_path):
    both_kinds(write_files, tmp_path)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(b"x")
    states = [verdict.state for verdict in verify("fmnist", tmp_path)]
    assert (states.count("verified"), states.count("damaged")) == (7, 1)


@pytest.fixture
def cached_cifar(write_files, tmp_path):
    folder = tmp_path / FOLDER["cifar10"]
    arrays = write_files("cifar10", folder)
    load("cifar10", tmp_path)
    (entry,) = (tmp_path / "decoded").iterdir()
    return arrays, folder, entry


def forbid_decoding(monkeypatch):
    from deepobs_data.files import decode

    def refuse(*_):
        raise AssertionError("decoded again")

    monkeypatch.setattr(decode, "decode_cifar", refuse)


def test_the_second_start_reads_the_cache(cached_cifar, tmp_path, monkeypatch):
    arrays, _, _ = cached_cifar
    forbid_decoding(monkeypatch)
    np.testing.assert_array_equal(load("cifar10", tmp_path).train.x, arrays["train_x"])


def test_a_stale_cache_is_rebuilt(cached_cifar, tmp_path, write_files):
    _, folder, entry = cached_cifar
    old = entry.read_bytes()
    new = write_files("cifar10", folder, seed=1)
    np.testing.assert_array_equal(load("cifar10", tmp_path).train.x, new["train_x"])
    assert entry.read_bytes() != old


def test_a_cache_of_an_older_format_is_rebuilt(cached_cifar, tmp_path, monkeypatch):
    _, _, entry = cached_cifar
    old = entry.read_bytes()
    monkeypatch.setattr(cache, "FORMAT", cache.FORMAT + 1)
    load("cifar10", tmp_path)
    assert entry.read_bytes() != old


@pytest.mark.parametrize("place", [0.0, 0.1, 0.5, 0.9, 0.999, None])
def test_a_damaged_cache_is_rebuilt(cached_cifar, tmp_path, place):
    arrays, _, entry = cached_cifar
    content = bytearray(entry.read_bytes())
    good = bytes(content)
    if place is None:
        del content[len(content) // 3 :]
    else:
        content[int(place * len(content))] ^= 0xFF
    entry.write_bytes(content)
    data = load("cifar10", tmp_path)
    np.testing.assert_array_equal(data.train.x, arrays["train_x"])
    np.testing.assert_array_equal(data.test.y, arrays["test_y"])
    assert len(entry.read_bytes()) == len(good)


FORGED = {
    "other label": lambda a: a["train_y"].__setitem__(3, 10),
    "negative label": lambda a: a["test_y"].__setitem__(0, -1),
    "other size": lambda a: a.update(train_x=a["train_x"][:, :, :28, :28]),
    "fewer rows": lambda a: a.update(test_x=a["test_x"][1:], test_y=a["test_y"][1:]),
    "float": lambda a: a.update(train_x=a["train_x"].astype(np.float32)),
    "32 bits": lambda a: a.update(test_y=a["test_y"].astype(np.int32)),
    "a missing array": lambda a: a.pop("test_y"),
    "another array": lambda a: a.update(valid_x=a["test_x"]),
    "no axes": lambda a: a.update(train_y=np.int64(3)),
}


@pytest.mark.parametrize("what", FORGED)
def test_a_cache_of_other_arrays_is_rebuilt(cached_cifar, tmp_path, what):
    """A sound file in the place of the cache that does not hold CIFAR-10."""
    arrays, folder, entry = cached_cifar
    meta = cache._describe({path.name: path for path in folder.iterdir()})
    stored = {
        f"{part}_{key}": np.array(arrays[f"{part}_{key}"], np.uint8 if key == "x" else np.int64)
        for part in ("train", "test")
        for key in "xy"
    }
    FORGED[what](stored)
    assert cache._write(entry, meta, {k: np.asarray(v) for k, v in stored.items()})
    data = load("cifar10", tmp_path)
    np.testing.assert_array_equal(data.train.y, arrays["train_y"])
    np.testing.assert_array_equal(data.test.x, arrays["test_x"])
    assert data.train.x.dtype == torch.uint8


def test_a_decoder_that_does_not_fit_its_row_is_named(write_files, change_source, tmp_path):
    write_files("mnist", tmp_path)
    change_source("mnist", {"x_shape": (1, 32, 32)})
    with pytest.raises(ValueError, match=r"mnist: shape of train_x is .30, 1, 28, 28., exp"):
        load("mnist", tmp_path)


def age(path, seconds):
    then = time.time() - seconds
    os.utime(path, (then, then))


def test_leftovers_of_killed_writers_are_removed(write_files, tmp_path):
    root = tmp_path / "root"
    write_files("cifar10", tmp_path / "theirs")
    for folder in (root / FOLDER["cifar10"], root / "decoded", root / ".unpack-abc"):
        folder.mkdir(parents=True)
    old = [
        root / FOLDER["cifar10"] / "data_batch_1.123-0123abcd.part",
        root / "decoded" / "cifar10-ab.npz.99-89abcdef.part",
        root / ".unpack-abc" / "data_batch_1",
    ]
    kept = [
        root / FOLDER["cifar10"] / "archive.tar.gz.part",  # a download that can be resumed
        root / FOLDER["cifar10"] / "test_batch.7-0123abce.part",  # being written
        root / "decoded" / "mine.part",
    ]
    for path in (*old, *kept):
        path.write_bytes(b"x")
    for path in (*old, root / ".unpack-abc", kept[0], kept[2]):
        age(path, 3600)
    dd.import_files("cifar10", tmp_path / "theirs", root)
    load("cifar10", root)
    remove_leftovers(root)
    assert not any(path.exists() for path in (*old, root / ".unpack-abc"))
    assert all(path.exists() for path in kept)


def test_leftovers_that_are_links_lead_nowhere(tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("x")
    folder = tmp_path / "folder"
    folder.mkdir()
    link = folder / ".unpack-xyz"
    link.symlink_to(tmp_path / "precious")
    then = time.time() - 3600
    os.utime(link, (then, then), follow_symlinks=False)
    remove_leftovers(folder, tmp_path / "none")
    assert not link.is_symlink()
    assert (tmp_path / "precious" / "file").exists()


def test_every_flipped_bit_of_a_cache_is_noticed(tmp_path, monkeypatch):
    # Bits of a header can make an array shorter, so that its checksum is never reached.
    (tmp_path / "source").write_bytes(b"abc")
    arrays = {"train_x": np.arange(60, dtype=np.uint8).reshape(12, 5), "train_y": np.arange(12)}

    def read():
        return cache.cached_arrays("z", {"s": tmp_path / "source"}, tmp_path, lambda: arrays, print)

    read()
    (entry,) = (tmp_path / "decoded").iterdir()
    good = entry.read_bytes()
    monkeypatch.setattr(cache, "_write", lambda *_: False)  # it would be rebuilt every time
    for place in range(len(good)):
        for bit in (1, 4, 16):
            damaged = bytearray(good)
            damaged[place] ^= bit
            entry.write_bytes(damaged)
            got = read()
            assert sorted(got) == ["train_x", "train_y"]
            for name, array in arrays.items():
                assert got[name].dtype == array.dtype
                np.testing.assert_array_equal(got[name], array)


def test_an_interrupt_leaves_no_part_of_a_cache(write_files, tmp_path, monkeypatch):
    write_files("cifar10", tmp_path / FOLDER["cifar10"])

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(cache.os, "replace", stop)
    with pytest.raises(KeyboardInterrupt):
        load("cifar10", tmp_path)
    assert list((tmp_path / "decoded").iterdir()) == []


def test_an_interrupt_leaves_no_part_of_an_import(write_files, tmp_path, monkeypatch):
    write_files("svhn", tmp_path / "theirs")

    def stop(source, target):
        target.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr("shutil.copyfile", stop)
    with pytest.raises(KeyboardInterrupt):
        dd.import_files("svhn", tmp_path / "theirs", tmp_path / "root")
    assert list((tmp_path / "root" / "svhn").iterdir()) == []


@pytest.mark.parametrize("last", [65_536, 0])
def test_an_idx_header_of_absurd_size(tmp_path, last):
    from deepobs_data.files.decode import read_idx

    path = tmp_path / "x-idx4-ubyte"
    sizes = np.array([65_536] * 3 + [last], ">u4")  # the product is 2^64: 0 in int64
    path.write_bytes(b"\0\0\x08\x04" + sizes.tobytes())
    with pytest.raises(dd.DamagedFileError, match="more than these sets hold"):
        read_idx(path)


def test_a_damage_survives_pickling(tmp_path):
    error = pickle.loads(pickle.dumps(dd.DamagedFileError(tmp_path / "a", "a is damaged")))
    assert (type(error), error.path, str(error)) == (
        dd.DamagedFileError,
        tmp_path / "a",
        "a is damaged",
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cifar11", "Did you mean 'cifar10"),
        ("imagenet", "read in place"),
        ("quadratic", "generated from a seed"),
    ],
)
def test_what_cannot_be_fetched_or_imported(name, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        dd.fetch(name, tmp_path)
    with pytest.raises(ValueError, match=message):
        dd.import_files(name, tmp_path, tmp_path)


def test_fetch_and_import_take_strings(write_files, tmp_path):
    arrays = write_files("svhn", tmp_path / "theirs")
    place = dd.import_files("svhn", str(tmp_path / "theirs"), str(tmp_path / "root"))
    assert place == tmp_path / "root" / "svhn"
    dd.fetch("svhn", str(tmp_path / "root"))  # nothing is missing
    np.testing.assert_array_equal(load("svhn", str(tmp_path / "root")).train.x, arrays["train_x"])
    dd.import_files("svhn", tmp_path / "theirs")
    assert (dd.default_root() / "svhn").is_dir()


def test_a_folder_of_someone_else_gets_no_cache(write_files, tmp_path):
    write_files("fmnist", tmp_path / "theirs")
    load("fmnist", tmp_path / "theirs")
    assert not (tmp_path / "theirs" / "decoded").exists()
    assert list((dd.default_root() / "decoded").iterdir())


def test_without_a_place_for_the_cache_all_works(write_files, tmp_path, monkeypatch):
    write_files("fmnist", tmp_path / "theirs")
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("DEEPOBS_DATA_DIR", str(tmp_path / "file"))
    assert len(load("fmnist", tmp_path / "theirs").train) == 30


def test_a_read_only_root(write_files, tmp_path):
    folder = tmp_path / "fixed" / FOLDER["cifar10"]
    arrays = write_files("cifar10", folder)
    for path in (folder, folder.parent):
        path.chmod(0o555)
    try:
        for _ in range(2):
            data = load("cifar10", tmp_path / "fixed")
            np.testing.assert_array_equal(data.train.x, arrays["train_x"])
    finally:
        for path in (folder.parent, folder):
            path.chmod(0o755)


def test_checksums_are_those_of_torchvision():
    datasets = pytest.importorskip("torchvision.datasets")
    for name, cls in (("mnist", datasets.MNIST), ("fmnist", datasets.FashionMNIST)):
        assert {(f.name, f.checksum) for f in dd.info(name).source.downloads} == set(cls.resources)
    for name, cls in (("cifar10", datasets.CIFAR10), ("cifar100", datasets.CIFAR100)):
        source = dd.info(name).source
        files = {(file.name, file.checksum) for file in source.files}
        assert files == {tuple(row) for row in cls.train_list + cls.test_list}
        assert source.downloads[0].checksum == cls.tgz_md5
        assert source.folder == cls.base_folder
    for file in dd.info("svhn").source.files:
        assert datasets.SVHN.split_list[file.name.split("_")[0]][1:] == [file.name, file.checksum]


def test_torchvision_reads_what_we_place(write_files, tmp_path):
    datasets = pytest.importorskip("torchvision.datasets")
    arrays = write_files("fmnist", tmp_path / "FashionMNIST" / "raw")
    theirs = datasets.FashionMNIST(tmp_path, train=True)
    np.testing.assert_array_equal(theirs.data, arrays["train_x"])


def test_real_fashion_mnist(fmnist_root):
    import gzip

    data = dd.fmnist(fmnist_root, offline=True)
    assert (len(data.train), len(data.train_eval), len(data.test)) == (60_000, 10_000, 10_000)
    assert data.train.y[:5].tolist() == [9, 0, 0, 3, 0]
    assert data.test.y[:5].tolist() == [9, 2, 1, 1, 6]
    for split, prefix in ((data.train, "train"), (data.test, "t10k")):
        path = next(fmnist_root.rglob(f"{prefix}-images-idx3-ubyte*"))
        content = path.read_bytes()
        content = gzip.decompress(content) if path.suffix == ".gz" else content
        raw = np.frombuffer(content, np.uint8, offset=16)
        assert int(split.x.sum(dtype=torch.int64)) == int(raw.sum(dtype=np.int64))
        total = sum(b.x.double().sum() for b in split.batches(torch.arange(len(split)), 1000))
        assert total.item() == pytest.approx(raw.sum(dtype=np.int64) / 255, rel=1e-6)


def test_import_copies_verified_files(write_files, tmp_path):
    theirs = tmp_path / "downloads" / "some folder"
    arrays = write_files("fmnist", theirs, gzipped=True)
    assert dd.import_files("fmnist", tmp_path / "downloads", tmp_path / "root") == (
        tmp_path / "root" / "FashionMNIST" / "raw"
    )
    shutil.rmtree(theirs)
    np.testing.assert_array_equal(
        load("fmnist", tmp_path / "root").train.x[:, 0], arrays["train_x"]
    )


@pytest.mark.parametrize("chosen", ["train_32x32.mat", "test_32x32.mat"])
def test_import_of_one_of_several_files_takes_the_others(write_files, tmp_path, chosen):
    arrays = write_files("svhn", tmp_path / "theirs")
    dd.import_files("svhn", tmp_path / "theirs" / chosen, tmp_path / "root")
    np.testing.assert_array_equal(load("svhn", tmp_path / "root").test.x, arrays["test_x"])


def test_import_of_the_only_file_under_any_name(tmp_path, change_source):
    import hashlib

    content = b"To be, or not to be.\n" * 300
    (tmp_path / "download (1).txt").write_bytes(content)
    file = dd.info("shakespeare").source.files[0]
    known = replace(file, checksum=hashlib.md5(content).hexdigest())
    change_source("shakespeare", {"num_classes": 11}, files=(known,))
    place = dd.import_files("shakespeare", tmp_path / "download (1).txt", tmp_path / "root")
    assert [path.name for path in place.iterdir()] == ["input.txt"]
    assert len(dd.shakespeare(tmp_path / "root", seq_length=9, offline=True).classes) == 11
    (tmp_path / "other.txt").write_bytes(b"x" * 9)
    with pytest.raises(dd.DamagedFileError, match=r"other\.txt has other content"):
        dd.import_files("shakespeare", tmp_path / "other.txt", tmp_path / "root")


@pytest.mark.parametrize(("name", "gone"), [("mnist", "none.gz"), ("cifar10", "none")])
def test_import_of_nothing(tmp_path, name, gone):
    with pytest.raises(dd.DataNotFoundError, match=f"Cannot find .*{gone}"):
        dd.import_files(name, tmp_path / gone, tmp_path / "root")
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(b"")
    with pytest.raises(dd.DataNotFoundError, match="does not hold all files of 'mnist'"):
        dd.import_files("mnist", tmp_path / "t10k-labels-idx1-ubyte", tmp_path / "root")


def test_import_refuses_wrong_and_missing_files(write_files, tmp_path):
    write_files("svhn", tmp_path / "theirs")
    with (tmp_path / "theirs" / "test_32x32.mat").open("ab") as file:
        file.write(b"x")
    with pytest.raises(dd.DamagedFileError, match="expected"):
        dd.import_files("svhn", tmp_path / "theirs", tmp_path / "root")
    with pytest.raises(dd.DataNotFoundError, match=r"nor the archive cifar-10-python\.tar\.gz"):
        dd.import_files("cifar10", tmp_path / "theirs", tmp_path / "root")
    assert not (tmp_path / "root" / "svhn").exists()
