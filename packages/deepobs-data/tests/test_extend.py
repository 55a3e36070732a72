"""Data sets from outside: listed, fetched, verified, decoded, given a stand-in, trained on."""

import hashlib
import importlib.metadata
import os
import re
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import deepobs_data as dd
from deepobs_data import cli, registry

# The example of docs/howto/extend.md.
EXAMPLE = '''\
"""Noisy waves: one row and its decoder."""

import numpy as np

from deepobs_data import DatasetInfo, Download, Source, register_dataset


def decode(paths):
    table = np.loadtxt(paths["waves.csv"], delimiter=",", dtype=np.float32)  # (300, 21)
    x, y = table[:, 1:], table[:, 0].astype(np.int64)
    return {"train_x": x[:200], "train_y": y[:200], "test_x": x[200:], "test_y": y[200:]}


WAVES_CSV = Download(
    name="waves.csv",
    checksum="MD5",
    size=SIZE,
    urls=("https://example.org/waves.csv",),
)

WAVES = register_dataset(
    DatasetInfo(
        name="waves",
        title="Noisy waves",
        kind="table",
        train_size=200,
        train_eval_size=100,
        test_size=100,
        x_shape=(20,),
        num_classes=2,
        class_names=("sine", "square"),
        licence="CC0",
        source=Source("waves", (WAVES_CSV,)),
        decode=decode,
    )
)
'''


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch):
    monkeypatch.setattr(registry, "_rows", dict(registry._rows))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith(("waves", "other")):
            del sys.modules[name]


def waves_csv():
    rng = np.random.RandomState(0)
    y = rng.randint(0, 2, 300)
    t = np.linspace(0, 4 * np.pi, 20) + rng.uniform(-0.3, 0.3, (300, 1))
    x = np.where(y[:, None] == 0, np.sin(t), np.sign(np.sin(t))) + rng.normal(0, 0.2, (300, 20))
    lines = (",".join([str(k), *(f"{v:.4f}" for v in row)]) for k, row in zip(y, x, strict=True))
    return "\n".join(lines).encode()


@pytest.fixture
def module(server, tmp_path):
    """The example as a file, with the address, checksum and size of the test's server."""
    content = waves_csv()
    server.files["waves.csv"] = content
    text = EXAMPLE.replace("MD5", hashlib.md5(content).hexdigest())
    text = text.replace("SIZE", str(len(content))).replace("https://example.org", server.url)
    path = tmp_path / "waves.py"
    path.write_text(text)
    return path


def run(*words):
    return cli.main([str(word) for word in words])


def test_a_module_is_listed_fetched_verified_and_trained_on(module, server, tmp_path, capsys):
    where = ["--module", module, "--data-dir", tmp_path / "root"]
    assert run("list", *where) == 0
    assert re.search(r"^waves +200 +100 20 +2 +\d\.\d MB +no$", capsys.readouterr().out, re.M)
    assert run("info", "waves", *where) == 0
    assert "sine, square" in capsys.readouterr().out
    assert run("fetch", "waves", *where) == 0
    assert [path for path, _ in server.requests] == ["/waves.csv"]
    assert run("verify", "waves", *where) == 0
    assert "waves: verified" in capsys.readouterr().out

    data = dd.load_dataset("waves", tmp_path / "root", valid_size=20, offline=True)
    assert [len(split) for split in data.splits().values()] == [180, 100, 20, 100]
    assert data.classes == ("sine", "square")
    torch.manual_seed(0)
    model = torch.nn.Linear(20, 2)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    for _ in range(20):
        for x, y in data.train.batches(torch.randperm(180), 60):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()
    x, y = next(data.test.batches(torch.arange(100), 100))
    assert (model(x).argmax(1) == y).float().mean() > 0.9


def test_damage_is_noticed_and_fetched_again(module, server, tmp_path):
    registry.import_rows(str(module))
    root = tmp_path / "root"
    dd.load_dataset("waves", root)
    path = root / "waves" / "waves.csv"
    path.write_bytes(path.read_bytes().replace(b"0", b"1", 1))
    with pytest.warns(UserWarning, match="downloaded again"):
        dd.load_dataset("waves", root)
    assert len(server.requests) == 2


def test_a_stand_in_needs_no_file(module):
    registry.import_rows(str(module))
    data = dd.synthetic_like("waves", n=40, valid_size=8)
    x, y = next(data.train.batches(torch.arange(4), 4))
    assert (x.shape, x.dtype, y.dtype) == ((4, 20), torch.float32, torch.int64)
    assert not data.comparable
    assert [len(split) for split in data.splits().values()] == [32, 20, 8, 20]


def install(folder, entry, **modules):
    """Write a distribution that names an entry point, as an installed package has it."""
    info = folder / "outsider-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: outsider\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[deepobs.datasets]\n{entry}\n")
    for name, text in modules.items():
        (folder / f"{name}.py").write_text(text)


def list_in_process(folder):
    path = os.pathsep.join([str(folder), *filter(None, sys.path)])
    command = [sys.executable, "-c", "from deepobs_data.cli import main; main(['list'])"]
    env = {**os.environ, "PYTHONPATH": path}
    return subprocess.run(command, env=env, check=True, capture_output=True, text=True)


def test_an_installed_package_is_listed(module, tmp_path):
    install(tmp_path / "site", "waves = waves:WAVES", waves=module.read_text())
    shown = list_in_process(tmp_path / "site")
    assert re.search(r"^waves +200", shown.stdout, re.M)
    assert shown.stderr == ""


@pytest.mark.parametrize(
    "broken", ["raise SystemExit('bye')", "import no_such_module", "x = (", "WAVES = [1]"]
)
def test_a_broken_package_costs_only_its_own(tmp_path, broken):
    install(tmp_path / "site", "waves = waves:WAVES", waves=broken)
    shown = list_in_process(tmp_path / "site")
    assert "mnist" in shown.stdout
    assert "'waves' of waves:WAVES is skipped" in shown.stderr


def test_two_rows_of_one_name_are_refused(module):
    registry.import_rows(str(module))
    row = dd.info("waves")
    assert dd.register_dataset(row) is row
    for name in ("waves", "mnist"):
        with pytest.raises(ValueError, match=f"'{name}' exists already"):
            dd.register_dataset(replace(row, name=name, title="other"))


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("no_such_module_at_all", "Cannot find the module"),
        ("none.py", r"Cannot find the file none\.py"),
    ],
)
def test_a_module_that_is_not_there(location, message, capsys):
    assert run("list", "--module", location) == 2
    assert re.search(message, capsys.readouterr().err)


def pictures(paths):
    with np.load(paths["pictures.npz"]) as file:
        return dict(file)


def letters(paths):
    codes = np.frombuffer(paths["letters.txt"].read_bytes(), np.uint8)
    vocabulary, ids = np.unique(codes, return_inverse=True)
    ids = ids.astype(np.int64)
    return {"train": ids[:900], "test": ids[900:], "vocabulary": vocabulary.astype(np.uint32)}


def numbers(paths):
    table = np.fromfile(paths["numbers.bin"], np.float32).reshape(-1, 4)
    x, y = table[:, :3], table[:, 3:]
    return {"train_x": x[:20], "train_y": y[:20], "test_x": x[20:], "test_y": y[20:]}


def row_of(kind, folder):
    """A data set of each kind with its file in `folder`."""
    rng = np.random.RandomState(1)
    common = {"kind": kind, "train_size": 20, "train_eval_size": 10, "test_size": 10}
    if kind == "image":
        arrays = {
            f"{part}_{key}": value
            for part, n in (("train", 20), ("test", 10))
            for key, value in (
                ("x", rng.randint(0, 256, (n, 3, 8, 8)).astype(np.uint8)),
                ("y", rng.randint(0, 4, n)),
            )
        }
        np.savez(folder / "pictures.npz", **arrays)
        common |= {"x_shape": (3, 8, 8), "num_classes": 4, "decode": pictures}
        common |= {"channel_statistics": ((0.5,) * 3, (0.3,) * 3)}
        file = "pictures.npz"
    elif kind == "text":
        (folder / "letters.txt").write_bytes(
            rng.choice(list(b"abcdef"), 1200).astype(np.uint8).tobytes()
        )
        common |= {"train_size": 90, "train_eval_size": 30, "test_size": 30, "x_shape": (10,)}
        common |= {"y_shape": (10,), "x_dtype": "int64", "num_classes": 6, "decode": letters}
        file = "letters.txt"
    else:
        rng.normal(size=(30, 4)).astype(np.float32).tofile(folder / "numbers.bin")
        common |= {"x_shape": (3,), "y_shape": (1,), "y_dtype": "float32", "decode": numbers}
        file = "numbers.bin"
    md5 = hashlib.md5((folder / file).read_bytes()).hexdigest()
    source = dd.Source("other", (dd.Download(file, md5, None, ()),))
    return dd.DatasetInfo(name=f"other_{kind}", source=source, **common)


@pytest.mark.parametrize("kind", ["image", "text", "table"])
def test_every_kind_has_the_shapes_of_its_row(kind, tmp_path):
    row = dd.register_dataset(row_of(kind, tmp_path))
    for data in (
        dd.load_dataset(row.name, tmp_path, valid_size=5, offline=True),
        dd.synthetic_like(row.name, n=40, valid_size=5),
    ):
        for split in data.splits().values():
            x, y = next(split.batches(torch.arange(2), 2))
            assert (x.shape[1:], y.shape[1:]) == (row.x_shape, row.y_shape)
            assert (str(x.dtype), str(y.dtype)) == (f"torch.{row.x_dtype}", f"torch.{row.y_dtype}")
    assert isinstance(data.train, dd.Windows) == (kind == "text")


def test_entry_points_may_name_several_rows(tmp_path):
    rows = [row_of(kind, tmp_path) for kind in ("image", "table")]

    class Entry:
        name, value = "two", "here:ROWS"

        def load(self):
            return rows

    registry._register_installed([Entry()])
    assert [dd.info(row.name) for row in rows] == rows


def test_entry_point_group_is_documented():
    assert registry.ENTRY_POINT_GROUP == "deepobs.datasets"
    assert not list(importlib.metadata.entry_points(group="deepobs.datasets", name="mnist"))


def test_the_documented_example_is_this_one():
    page = Path(__file__).parents[3] / "docs" / "howto" / "extend.md"
    if not page.is_file():
        pytest.skip("not in a checkout of the repository")
    text = page.read_text(encoding="utf-8")
    shown = EXAMPLE.replace('"MD5"', '"7b9304c6f67285cfc41cd5f38eeb4526"').replace("SIZE", "45_627")
    assert textwrap.dedent(shown) in text
