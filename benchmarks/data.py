"""How fast one training epoch of data alone is: deepobs-data beside torchvision and a bare gather.

Run from the repository root, in an environment with deepobs-data and torchvision:

    python benchmarks/data.py                      # Fashion-MNIST and CIFAR-10
    python benchmarks/data.py --data-dir DIR       # where Fashion-MNIST is (any usual layout)

Each line is the median over `--repeats` epochs, measured in turns within one process, so that a
busy machine slows all candidates alike:

* ours: order and draws of the epoch, batches of 128 from the in-memory table, ready for a network;
* torchvision: its data set class, the equivalent transforms and a DataLoader, 0 and 2 workers;
* floor: `index_select` of the batches from one float tensor that is ready for a network.

CIFAR-10 is a stand-in: random images written in the real file format, read by both sides.
Memory is the peak resident size of a fresh process that loads a data set and runs an epoch, above
what the same process needs for its imports, divided by the bytes of the raw tensors (train and
test, images and labels as held).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

BATCH = 128


def make_cifar10(root: Path) -> None:
    """Write random images in the files of the python version of CIFAR-10."""
    import pickle
    import struct

    import numpy as np

    class Python2Pickler(pickle._Pickler):
        """Writes byte strings and text as Python 2 did, like the real files."""

        def save_string(self, value: bytes | str) -> None:
            content = value if isinstance(value, bytes) else value.encode()
            self.write(pickle.BINSTRING + struct.pack("<i", len(content)) + content)
            self.memoize(value)

        dispatch = {**pickle._Pickler.dispatch, bytes: save_string, str: save_string}  # noqa: RUF012

    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    rng = np.random.RandomState(0)
    for name in [f"data_batch_{k}" for k in range(1, 6)] + ["test_batch"]:
        data = rng.randint(0, 256, (10_000, 3072)).astype(np.uint8)
        batch = {"data": data, "labels": rng.randint(0, 10, 10_000).tolist()}
        with (folder / name).open("wb") as file:
            Python2Pickler(file, protocol=2).dump(batch)


def expect_files(root: Path) -> None:
    """Make both packages expect the checksums of the written CIFAR-10 files."""
    import hashlib
    from dataclasses import replace

    from deepobs_data import info, registry

    sums = {}
    for path in (root / "cifar-10-batches-py").iterdir():
        with path.open("rb") as file:  # not all at once: this runs where memory is measured
            sums[path.name] = hashlib.file_digest(file, "md5").hexdigest()
    row = info("cifar10")
    assert row.source is not None
    files = tuple(replace(file, checksum=sums[file.name]) for file in row.source.files)
    registry._rows["cifar10"] = replace(row, source=replace(row.source, files=files))


def load_ours(name: str, root: Path) -> Any:
    """The data set as deepobs-data gives it."""
    import deepobs_data

    return getattr(deepobs_data, name)(root, offline=True)


def epoch_ours(data: Any, seed: int) -> Iterator[Any]:
    """One training epoch: order, draws, batches."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(data.train), generator=generator)
    draws = None if data.augment is None else data.augment.draw(len(order), generator)
    return data.train.batches(order, BATCH, draws=draws)


def load_torchvision(name: str, root: Path) -> Any:
    """The same data through torchvision's class with the equivalent transforms."""
    import torchvision
    from torchvision import transforms as T

    if name == "fmnist":
        # torchvision knows its own layout alone.
        links = root / "FashionMNIST" / "raw"
        return torchvision.datasets.FashionMNIST(str(links.parent.parent), transform=T.ToTensor())

    def standardize(image: Any) -> Any:
        return (image - image.mean()) / image.std(correction=0).clamp_min(3072**-0.5)

    class Cifar10(torchvision.datasets.CIFAR10):
        def _check_integrity(self) -> bool:
            return True  # the stand-in's files are not the real ones

        def _load_meta(self) -> None:
            self.classes = [str(k) for k in range(10)]

    steps = [
        T.RandomCrop(32, padding=2),
        T.RandomHorizontalFlip(),
        T.ColorJitter(brightness=63 / 255, saturation=0.5, contrast=0.8),
        T.ToTensor(),
        T.Lambda(standardize),
    ]
    return Cifar10(str(root), transform=T.Compose(steps))


def time_epoch(make: Callable[[], Iterator[Any]]) -> float:
    """Seconds until every batch of one epoch was delivered."""
    start = time.perf_counter()
    for _ in make():
        pass
    return time.perf_counter() - start


def compare(name: str, root: Path, tv_root: Path, repeats: int) -> dict[str, float]:
    """Images per second of every candidate, medians over epochs in turns."""
    import torch

    ours = load_ours(name, root)
    theirs = load_torchvision(name, tv_root)
    n = len(ours.train)
    ready = torch.empty(n, *next(iter(epoch_ours(ours, 0))).x.shape[1:]).uniform_()
    targets = ours.train.y

    def floor(seed: int) -> Iterator[Any]:
        order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
        for rows in torch.split(order, BATCH):
            yield ready.index_select(0, rows), targets.index_select(0, rows)

    def dataloader(workers: int) -> Iterator[Any]:
        return iter(torch.utils.data.DataLoader(theirs, BATCH, shuffle=True, num_workers=workers))

    candidates: dict[str, Callable[[int], Iterator[Any]]] = {
        "ours": lambda seed: epoch_ours(ours, seed),
        "floor": floor,
        "torchvision, 0 workers": lambda seed: dataloader(0),
        "torchvision, 2 workers": lambda seed: dataloader(2),
    }
    seconds: dict[str, list[float]] = {key: [] for key in candidates}
    for key in ("ours", "floor"):
        time_epoch(lambda key=key: candidates[key](0))  # first touch of memory
    for repeat in range(repeats):
        for key, make in candidates.items():
            # The fast ones are over in a fraction of a second: measure more of them.
            for extra in range(5 if key in ("ours", "floor") else 1):
                seed = repeat * 5 + extra
                seconds[key].append(time_epoch(lambda make=make, seed=seed: make(seed)))
    return {key: n / statistics.median(values) for key, values in seconds.items()}


def measure_memory(name: str, root: Path) -> dict[str, float]:
    """In a fresh process: peak megabytes above the imports, and the raw tensors' megabytes."""
    script = (
        "import json, sys; sys.path.insert(0, sys.argv[3]); import data; "
        "print(json.dumps(data.memory(sys.argv[1], sys.argv[2])))"
    )
    command = [sys.executable, "-c", script, name, str(root), str(Path(__file__).parent)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def memory(name: str, root: str) -> dict[str, float]:
    """What `measure_memory` runs in the fresh process."""
    import torch

    import deepobs_data.datasets.images

    torch.set_num_threads(1)
    if name == "cifar10":
        expect_files(Path(root))
    # The first batches pull in parts of torch that are no data.
    warm = deepobs_data.synthetic_like(name, n=4)
    for _ in epoch_ours(warm, 0):
        pass
    before = _status("VmRSS")
    data = load_ours(name, Path(root))
    for _ in epoch_ours(data, 0):
        pass
    for _ in data.test.batches(torch.arange(len(data.test)), BATCH):
        pass
    peak = _status("VmHWM")
    tensors = {id(t): t for s in (data.train, data.test) for t in (s.x, s.y)}
    raw = sum(t.nbytes for t in tensors.values()) / 2**20
    return {"peak above imports": peak - before, "raw tensors": raw, "ratio": (peak - before) / raw}


def _status(key: str) -> float:
    # Not getrusage: its maximum survives exec and so would be the parent's.
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith(key))


def main() -> None:
    """Run everything and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, default=Path("/usr/share/datasets"))
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()

    import torch
    import torchvision

    import deepobs_data

    torch.set_num_threads(1)
    print(
        f"torch {torch.__version__}, torchvision {torchvision.__version__}, "
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, one thread, "
        f"batch {BATCH}, medians of one run"
    )
    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        os.environ["DEEPOBS_DATA_DIR"] = str(scratch / "default")
        deepobs_data.import_files("fmnist", options.data_dir, scratch / "fmnist")
        make_cifar10(scratch / "cifar")
        expect_files(scratch / "cifar")
        unpack_for_torchvision(scratch / "fmnist")
        for name, root in (("fmnist", scratch / "fmnist"), ("cifar10", scratch / "cifar")):
            starts = []
            for _ in range(2):
                start = time.perf_counter()
                load_ours(name, root)
                starts.append(time.perf_counter() - start)
            print(f"\n{name}: first start {starts[0]:.2f} s, second start {starts[1]:.2f} s")
            rates = compare(name, root, root, options.repeats)
            for key, rate in rates.items():
                times = rates["ours"] / rate
                print(f"  {key:<24} {rate:>12,.0f} images/s   ours is {times:6.2f} times this")
            for label in ("first", "second"):
                if label == "first":
                    for entry in (root / "decoded").glob("*.npz"):
                        entry.unlink()
                usage = measure_memory(name, root)
                print(
                    f"  {label} start: peak {usage['peak above imports']:.0f} MiB above imports, "
                    f"raw tensors {usage['raw tensors']:.0f} MiB: {usage['ratio']:.2f} times"
                )


def unpack_for_torchvision(root: Path) -> None:
    """Torchvision reads idx files unpacked; ours takes either."""
    import gzip

    for path in (root / "FashionMNIST" / "raw").glob("*.gz"):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))


if __name__ == "__main__":
    main()
