"""War and Peace and texts of one's own."""

import collections
import hashlib
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch

import deepobs_data as dd
from deepobs_data.files.characters import encode_text, train_length
from deepobs_data.files.war_and_peace import trim_war_and_peace

pytestmark = pytest.mark.filterwarnings("ignore:.*another edition")

ALPHABET = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .,;:!?'\"()-*/=éàêç€"
LENGTH = 3_266_187  # ceil(0.8 n) leaves 653,237


def test_vocabulary_follows_the_original_rule():
    text = "hello world, hällo wörld"
    ids, vocabulary = encode_text(text)
    # The original's code: a stable sort of a Counter by falling count.
    pairs = sorted(collections.Counter(text).items(), key=lambda pair: -pair[1])
    assert vocabulary == "".join(character for character, _ in pairs)
    assert "".join(vocabulary[k] for k in ids) == text
    assert ids.dtype == np.int64


def test_trimming_is_that_of_sed():
    lines = [f"line {k}\r more\n".encode() for k in range(1, 65_001)] + [b"end without newline"]
    kept = lines[29:]  # sed 1,29d
    kept = kept[:4] + kept[775:]  # sed 5,775d
    kept = kept[: 63_850 - 1] + kept[64_207:]  # sed 63850,64207d
    assert trim_war_and_peace(b"".join(lines)) == b"".join(kept)


@pytest.fixture(scope="module")
def novel(tmp_path_factory):
    """A file like the original's: 83 characters and 653,237 of them in the test part."""
    assert len(set(ALPHABET + "\n")) == 83
    rng = np.random.RandomState(0)
    weights = 1.0 / np.arange(1, 83)
    letters = rng.choice(list(ALPHABET), LENGTH, p=weights / weights.sum())
    letters[:82] = list(ALPHABET)
    letters[60::61] = "\n"  # short lines: fewer than 63,849 after the front matter
    text = "".join(letters)
    lines = text.splitlines(keepends=True)
    assert len(lines) < 63_849
    junk = [f"# not part of the novel {k} %&\n" for k in range(29 + 771)]
    content = "".join([*junk[:29], *lines[:4], *junk[29:], *lines[4:]]).encode()
    root = tmp_path_factory.mktemp("novel")
    (root / "tolstoi").mkdir()
    (root / "tolstoi" / "war-and-peace.txt").write_bytes(content)
    return root, text


def test_tolstoi_real_format(novel):
    root, text = novel
    data = dd.tolstoi(root, offline=True)
    cut = train_length(len(text))
    assert len(text) - cut == 653_237
    assert data.order == "stateful"
    assert len(data.classes) == 83
    assert len(data.train) == (cut - 1) // 50
    assert len(data.test) == len(data.train_eval) == 13_064 == dd.info("tolstoi").test_size
    for split, part in ((data.train, text[:cut]), (data.test, text[cut:])):
        x, y = split[7]
        assert "".join(data.classes[k] for k in x) == part[350:400]
        assert "".join(data.classes[k] for k in y) == part[351:401]
    counts = torch.bincount(data.train.x.flatten(), minlength=83)
    assert counts[0] == counts.max()


def test_batches_continue_each_other(novel):
    data = dd.tolstoi(novel[0], offline=True)
    batch_size = 50
    batches = data.train.batches(dd.stateful_order(len(data.train), batch_size), batch_size)
    ids = torch.cat([data.train.x.flatten(), data.train.y[-1, -1:]])
    # The original reshapes the text to one long row per batch row and walks along it.
    steps = (len(ids) - 1) // (batch_size * 50)
    rows = ids[: steps * batch_size * 50].view(batch_size, -1)
    count = 0
    for k, (x, y) in enumerate(batches):
        assert torch.equal(x, rows[:, k * 50 : (k + 1) * 50])
        assert torch.equal(y[:, :-1], x[:, 1:])
        count += 1
    assert count == steps == 1045


def test_valid_and_2019(novel):
    root, _ = novel
    whole = dd.tolstoi(root, offline=True)
    data = dd.tolstoi(root, valid_size=100, offline=True)
    assert torch.equal(data.valid.x, whole.train.x[:100])
    assert torch.equal(data.train.x, whole.train.x[100:])
    assert torch.equal(data.train_eval.x, whole.train.x[100 : 100 + 13_064])
    assert len(dd.tolstoi(root, recipe="2019", offline=True).train_eval) == len(whole.train)
    with pytest.raises(ValueError, match="allowed are 0"):
        dd.tolstoi(root, valid_size=-1, offline=True)
    with pytest.raises(ValueError, match="seq_length"):
        dd.tolstoi(root, seq_length=0, offline=True)


def test_another_text_is_refused(novel, tmp_path):
    root, _ = novel
    content = (root / "tolstoi" / "war-and-peace.txt").read_bytes()
    folder = tmp_path / "tolstoi"
    folder.mkdir()
    (folder / "war-and-peace.txt").write_bytes(content[:-10])
    with pytest.raises(dd.DamagedFileError, match=r"expected 83 and 653237.*deepobs_data\.text"):
        dd.tolstoi(tmp_path, offline=True)
    assert (folder / "war-and-peace.txt.damaged").exists()


def test_another_edition_is_used_with_a_warning(novel, change_source):
    root, _ = novel
    file = dd.info("tolstoi").source.files[0]
    with pytest.warns(UserWarning, match=f"expected {file.checksum}. .* another edition"):
        data = dd.tolstoi(root, offline=True)
    content = (root / "tolstoi" / "war-and-peace.txt").read_bytes()
    known = replace(file, checksum=hashlib.sha256(content).hexdigest())
    change_source("tolstoi", files=(known,))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(dd.tolstoi(root, offline=True).train.x, data.train.x)


def test_own_text(tmp_path):
    path = tmp_path / "book.txt"
    path.write_text("to be or not to be, that is the question. " * 50, encoding="utf-8")
    data = dd.text(path, seq_length=20, valid_size=3)
    assert not data.comparable
    assert data.name == "book"
    assert data.train.x.shape[1] == 20
    assert torch.equal(data.train.x[0, 1:], data.train.y[0, :-1])
    assert set(data.classes) == set(path.read_text())
    train, valid = len(data.train), len(data.valid)
    assert train + valid == (train_length(2100) - 1) // 20


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seq_length": 5000}, "too few"),
        ({"seq_length": 0}, "at least 1"),
        ({"test_fraction": 1.0}, "between 0 and 1"),
        ({"valid_size": 10_000}, "allowed are 0"),
    ],
)
def test_own_text_bad_arguments(tmp_path, arguments, message):
    path = tmp_path / "book.txt"
    path.write_text("abc " * 500)
    with pytest.raises(ValueError, match=message):
        dd.text(path, **arguments)
    with pytest.raises(FileNotFoundError):
        dd.text(tmp_path / "none.txt")
