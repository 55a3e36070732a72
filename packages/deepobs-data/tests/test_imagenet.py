"""ImageNet from JPEG folders: 1,000 class folders written by the test."""

import os
import struct
import warnings
import zlib

import numpy as np
import pytest
import torch

import deepobs_data as dd
from deepobs_data.datasets.imagenet import _to_rgb, decode_image

Image = pytest.importorskip("PIL.Image")
pytest.importorskip("torchvision")

SIZES = [(300, 400), (500, 375), (256, 256), (100, 130)]  # width, height
RESIZED = [(341, 256), (256, 341), (256, 256), (333, 256)]  # height, width; 332.8 is rounded


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    rng = np.random.RandomState(0)
    originals = []
    for k, (width, height) in enumerate(SIZES):
        coarse = rng.randint(0, 256, (8, 8, 3)).astype(np.uint8)
        image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
        mode = {1: "L", 2: "CMYK"}.get(k, "RGB")  # the real set has some of each
        path = root / f"{k}.JPEG"
        image.convert(mode).save(path, "JPEG", quality=95)
        originals.append(path)
    for part in ("train", "val"):
        for k in range(1000):
            folder = root / "imagenet" / part / f"n{k:08d}"
            folder.mkdir(parents=True)
            os.link(originals[k % len(SIZES)], folder / f"{part}_{k}.JPEG")
    return root


@pytest.fixture
def data(root):
    return dd.imagenet(root, valid_size=100, workers=0)


def test_splits_and_labels(data):
    assert (len(data.train), len(data.valid), len(data.test)) == (900, 100, 1000)
    assert data.test.y.tolist() == list(range(1, 1001))
    assert len(data.classes) == 1001
    order = torch.tensor([0, 5, 999])
    x, y = next(data.test.batches(order, 3))
    assert x.shape == (3, 3, 224, 224)
    assert x.dtype == torch.float32
    assert y.tolist() == [1, 6, 1000]
    assert torch.equal(data.test[5].x, x[1])
    rows = set(data.train.rows.tolist())
    assert not rows & set(data.valid.rows.tolist())
    assert set(data.train_eval.rows.tolist()) <= rows


def test_evaluation_is_resize_centre_crop_and_standardisation(data, root):
    from torchvision.transforms import v2

    got = next(data.test.batches(torch.arange(4), 4)).x
    for k, size in enumerate(RESIZED):
        steps = v2.Compose([v2.PILToTensor(), v2.Resize(size, antialias=True), v2.CenterCrop(224)])
        with Image.open(root / f"{k}.JPEG") as image:
            pixels = steps(image.convert("RGB")).unsqueeze(0)
        expected = dd.standardize(dd.scale_to_unit(pixels))[0]
        torch.testing.assert_close(got[k], expected, atol=1e-5, rtol=1e-5)


def test_recipe_2019_resizes_as_the_original(root):
    data = dd.imagenet(root, recipe="2019", workers=0)
    got = next(data.test.batches(torch.arange(4), 4)).x
    for k, size in enumerate(RESIZED):
        with Image.open(root / f"{k}.JPEG") as image:
            pixels = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)[None]
        resized = dd.resize_legacy(pixels.float() / 255, *size)
        expected = dd.standardize(dd.center_crop_or_pad(resized, 224, 224))[0]
        torch.testing.assert_close(got[k], expected, atol=1e-4, rtol=1e-5)
    standard = next(dd.imagenet(root, workers=0).test.batches(torch.arange(4), 4)).x
    assert torch.equal(got[2], standard[2])  # 256 x 256: nothing to resize
    assert (got - standard)[[0, 1, 3]].abs().amax(dim=(1, 2, 3)).min() > 0.01


def test_augmentation_is_a_window_of_the_central_256(data):
    order = torch.tensor([3])
    centre = data.train.decode(data.train.paths[int(data.train.rows[3])])
    assert centre.shape == (3, 256, 256)
    draws = torch.tensor([[(7 + 0.5) / 33, (30 + 0.5) / 33, 0.2]])
    got = next(data.train.batches(order, 1, draws=draws)).x[0]
    window = centre[:, 7 : 7 + 224, 30 : 30 + 224].flip(-1).unsqueeze(0)
    torch.testing.assert_close(got, dd.standardize(dd.scale_to_unit(window))[0])


def test_train_eval_takes_draws_in_recipe_2019_only(root, data):
    assert data.augment == dd.IMAGENET_AUGMENT
    assert data.train_eval.augment is None
    assert dd.imagenet(root, recipe="2019").train_eval.augment == dd.IMAGENET_AUGMENT


def test_arguments_of_batches(data):
    order = torch.arange(1)
    with pytest.raises(ValueError, match="at least 1"):
        data.test.batches(order, 0)  # without asking for a batch
    by_name = next(data.test.batches(order, 1, device="cpu"))
    assert torch.equal(by_name.x, next(data.test.batches(order, 1)).x)


def test_workers_do_not_change_the_result(root):
    order = torch.tensor([4, 0, 2, 4, 1, 3])
    results = []
    state = torch.get_rng_state()
    for workers in (0, 2):
        data = dd.imagenet(root, workers=workers)
        draws = data.augment.draw(6, torch.Generator().manual_seed(0))
        batches = list(data.train.batches(order, 4, draws=draws))
        assert [len(batch.y) for batch in batches] == [4, 2]
        results.append(torch.cat([batch.x for batch in batches]))
    assert torch.equal(*results)
    assert torch.equal(torch.get_rng_state(), state)


def test_loader_over_a_stream(root):
    data = dd.imagenet(root, workers=0)
    runs = []
    for workers in (0, 2):
        loader = dd.loader(data.test, 8, shuffle=True, workers=workers)
        runs.append(next(iter(loader)))
    assert torch.equal(runs[0].x, runs[1].x)


def test_channel_normalisation(root):
    data = dd.imagenet(root, workers=0, normalization="channel", augment=False)
    assert data.augment is None
    image = data.test.decode(data.test.paths[0])[:, 16:240, 16:240].float() / 255
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in dd.CHANNEL_STATISTICS["imagenet"])
    torch.testing.assert_close(data.test[0].x, (image - mean) / std)


def test_a_missing_folder_says_what_to_download(tmp_path):
    with pytest.raises(dd.DataNotFoundError) as error:
        dd.imagenet(tmp_path)
    for part in ("ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar", "devkit", "image-net.org"):
        assert part in str(error.value)
    assert str(tmp_path / "imagenet") in str(error.value)


def test_wrong_number_of_classes(tmp_path):
    for part in ("train", "val"):
        (tmp_path / part / "n00000001").mkdir(parents=True)
    with pytest.raises(dd.DamagedFileError, match="1 class folders, expected 1000"):
        dd.imagenet(tmp_path)


def test_an_unreadable_image_is_named(data, tmp_path):
    path = tmp_path / "broken.JPEG"
    path.write_bytes(b"\xff\xd8\xff\xe0 no image")
    with pytest.raises(dd.DamagedFileError, match=r"broken\.JPEG is not a readable image"):
        data.test.decode(str(path))


def png(width, height, depth, colour, rows):
    """A PNG file, written by hand: of sizes and depths that Pillow does not write."""

    def chunk(name, content):
        body = name + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    content = zlib.compress(b"".join(b"\0" + row for row in rows))
    chunks = (chunk(b"IHDR", header), chunk(b"IDAT", content), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.parametrize("size", [(30_000, 30_000), (60_000, 2_000), (8_193, 8_193)])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP"])
def test_a_decompression_bomb_is_refused(tmp_path, size, kind):
    path = tmp_path / "bomb.JPEG"
    if kind == "PNG":
        path.write_bytes(png(*size, 1, 0, [bytes(size[0] // 8 + 1)]))
    else:
        Image.new("L", (8, 8)).save(path, kind)
        content = bytearray(path.read_bytes())
        if kind == "JPEG":  # the frame header says height and width
            place = content.index(b"\xff\xc0") + 5
            content[place : place + 4] = struct.pack(">HH", *(min(n, 65_000) for n in size))
        else:
            content[18:26] = struct.pack("<ii", *size)
        path.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's own, above 89 million pixels
        with pytest.raises(
            dd.DamagedFileError, match=r"bomb\.JPEG is not a readable image: .*pixels"
        ):
            decode_image(str(path))


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("size", [(1, 15_000), (15_000, 1), (9, 600)])
def test_an_image_that_would_be_scaled_to_gigabytes_is_refused(tmp_path, size, antialias):
    path = tmp_path / "long.JPEG"
    Image.new("RGB", size).save(path, "JPEG")
    with pytest.raises(dd.DamagedFileError, match=f"{size[0]} x {size[1]} pixels are too"):
        decode_image(str(path), antialias=antialias)


def test_a_long_image_is_cut(tmp_path):
    path = tmp_path / "long.JPEG"
    Image.new("RGB", (10, 640), (200, 10, 10)).save(path, "JPEG", quality=95)
    assert decode_image(str(path)).shape == (3, 256, 256)


GREY = [[0, 255, 256, 40_000], [65_535, 1_000, 128, 30_000]]


@pytest.mark.parametrize(
    "kind", ["PNG", "TIFF", "big-endian TIFF", "RGB PNG", "grey and alpha PNG"]
)
def test_sixteen_bits_are_scaled_not_clipped(tmp_path, kind):
    path, values = tmp_path / "deep.JPEG", np.array(GREY, np.uint16)
    if kind == "TIFF":
        Image.fromarray(values).save(path, "TIFF")
    elif kind == "big-endian TIFF":
        Image.frombytes("I;16B", (4, 2), values.astype(">u2").tobytes()).save(path, "TIFF")
    else:
        repeat, colour = {"PNG": (1, 0), "RGB PNG": (3, 2)}.get(kind, (2, 4))
        deep = np.repeat(values.astype(">u2"), repeat, axis=1)
        path.write_bytes(png(4, 2, 16, colour, [row.tobytes() for row in deep]))
    with Image.open(path) as image:
        got = np.asarray(_to_rgb(image, Image))
    np.testing.assert_array_equal(got, np.repeat((values >> 8)[:, :, None], 3, axis=2))
    assert decode_image(str(path)).shape == (3, 256, 256)


@pytest.mark.parametrize("mode", ["F", "I"])
def test_grey_values_that_are_no_image_are_refused(tmp_path, mode):
    path = tmp_path / "measured.JPEG"
    kind = np.float32 if mode == "F" else np.int32
    Image.fromarray(np.full((4, 4), 70_000, kind)).save(path, "TIFF")
    with pytest.raises(dd.DamagedFileError, match="its grey values"):
        decode_image(str(path))


EPS = b"""%!PS-Adobe-3.0 EPSF-3.0
%%BoundingBox: 0 0 100 100
%%EndComments
(started) print
%%EOF
"""


@pytest.mark.parametrize(
    "content",
    [
        EPS,
        b"\xc5\xd0\xd3\xc6" + EPS.rjust(500),
        b"\x01\x00\x00\x00" + bytes(200),
        b"GIF89a" + bytes(99),
    ],
    ids=["EPS", "EPS with a preview", "EMF", "GIF"],
)
def test_other_formats_under_the_name_of_a_jpeg_are_refused(tmp_path, monkeypatch, content):
    from PIL import EpsImagePlugin

    def started(*_, **__):
        pytest.fail("Ghostscript would have been started")

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", started)
    path = tmp_path / "vector.JPEG"
    path.write_bytes(content)
    with pytest.raises(dd.DamagedFileError, match="cannot identify"):
        decode_image(str(path))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "PPM", "TIFF"])
@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 0.9])
def test_a_truncated_image_is_named(tmp_path, kind, share):
    path = tmp_path / "half.JPEG"
    noise = np.random.RandomState(0).randint(0, 256, (64, 64, 3)).astype(np.uint8)
    Image.fromarray(noise).save(path, kind)
    assert decode_image(str(path)).shape == (3, 256, 256)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(dd.DamagedFileError, match=r"half\.JPEG is not a readable image"):
        decode_image(str(path))


@pytest.mark.parametrize("workers", [0, 1])
def test_an_unreadable_image_met_by_a_worker(data, tmp_path, workers):
    path = tmp_path / "broken.JPEG"
    path.write_bytes(b"\xff\xd8\xff\xe0 no image")
    paths = [data.test.paths[0], str(path)]
    split = dd.Stream(paths, torch.zeros(2), data.test.decode, workers=workers)
    batches = split.batches(torch.arange(2), 1)
    assert next(batches).x.shape == (1, 3, 256, 256)
    with pytest.raises(dd.DamagedFileError, match=r"broken\.JPEG is not a readable image") as error:
        next(batches)
    assert error.value.path == path
    with pytest.raises(dd.DamagedFileError, match=r"broken\.JPEG is not a readable image"):
        list(dd.loader(split, 1, workers=workers))
