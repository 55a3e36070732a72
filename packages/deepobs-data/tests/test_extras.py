"""What reads ImageNet and SVHN comes with extras; all else works without."""

import subprocess
import sys

import pytest

import deepobs_data as dd
from deepobs_data.errors import import_extra

WITHOUT = """
import sys
for module in ("torchvision", "scipy", "PIL"):
    sys.modules[module] = None  # cannot be imported
import deepobs_data as dd
from deepobs_data import cli
"""


def run(script):
    return subprocess.run(
        [sys.executable, "-c", WITHOUT + script], capture_output=True, text=True, check=False
    )


def test_sets_load_without_the_extras(write_files, tmp_path):
    """Nothing else than SVHN's .mat files and ImageNet's JPEG files needs them."""
    write_files("cifar10", tmp_path / "cifar-10-batches-py")
    done = run(f"""
import warnings
warnings.simplefilter("error")
for row in dd.list_datasets():
    dd.synthetic_like(row.name, n=4).train[0]
dd.quadratic(), dd.two_d()
from pathlib import Path
from deepobs_data.files.decode import decode_cifar
folder = Path({str(tmp_path / "cifar-10-batches-py")!r})
arrays = decode_cifar({{path.name: path for path in folder.iterdir()}})
assert arrays["train_x"].shape == (30, 3, 32, 32)
cli.main(["list"])
""")
    assert done.returncode == 0, done.stderr


def test_imagenet_names_the_extra(tmp_path):
    for part in ("train", "val"):
        (tmp_path / part).mkdir()
    done = run(f"dd.imagenet({str(tmp_path)!r})")
    assert "MissingPackageError: ImageNet needs torchvision" in done.stderr
    assert 'pip install "deepobs-data[images]"' in done.stderr


def test_a_missing_folder_is_named_before_a_missing_package(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision.datasets", None)
    with pytest.raises(dd.DataNotFoundError, match="no folders train and val"):
        dd.imagenet(tmp_path)


def test_svhn_names_the_extra(write_files, tmp_path, monkeypatch):
    write_files("svhn", tmp_path / "svhn")
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    with pytest.raises(dd.MissingPackageError, match=r"SVHN needs scipy.*deepobs-data\[svhn\]"):
        dd.svhn(tmp_path, offline=True)
    assert (tmp_path / "svhn" / "train_32x32.mat").exists()  # not taken for damaged


@pytest.mark.parametrize("broken", ["raise ImportError('libfoo.so.1: no such file')", "import zzz"])
def test_a_package_that_cannot_be_imported_says_why(tmp_path, monkeypatch, broken):
    (tmp_path / "halfinstalled.py").write_text(broken)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(dd.MissingPackageError, match=r"libfoo|'zzz'"):
        import_extra("halfinstalled", "images", "This")
