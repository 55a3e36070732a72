"""Random streams, each addressed by a tuple such as `(42, "data", 3)`.

The seed of a stream is a hash of its address, so that no stream depends on what was drawn from
another, and a resumed run needs no generator state.
"""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.random.mtrand import get_bit_generator, set_bit_generator
from torch import Tensor

TORCH_GLOBALS = threading.RLock()
"""Held while global generators or torch's switches are changed, since all threads of a process
share them: runs in several threads take turns."""


def seed_of(*address: int | str) -> int:
    """Seed of a stream: the first 63 bits of the sha256 of its address.

    >>> seed_of(42, "init")
    7920988386951094333
    """
    text = "/".join(map(str, address))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(*address: int | str) -> torch.Generator:
    """Fresh CPU generator at the start of the stream."""
    return torch.Generator().manual_seed(seed_of(*address))


@contextmanager
def global_stream(*address: int | str, device: torch.device | None = None) -> Iterator[None]:
    """Let the global generators draw from the stream; leave them as they were found.

    They are those of torch, of Python's `random` and of `numpy.random`. For what takes no
    generator: layer constructors, dropout and optimizers. Other threads wait for their streams
    until this one is left.

    Args:
        address: address of the stream.
        device: an accelerator; its generator is seeded, too.
    """
    seed = seed_of(*address)
    on_cpu = device is None or device.type == "cpu"
    kind = "cuda" if device is None or on_cpu else device.type
    with (
        TORCH_GLOBALS,
        torch.random.fork_rng(devices=[] if on_cpu else [device], device_type=kind),
        _python_and_numpy(seed),
    ):
        # Not torch.manual_seed: it would reseed every accelerator there is.
        torch.default_generator.manual_seed(seed)
        if device is not None and device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        elif device is not None and device.type == "mps":
            torch.mps.manual_seed(seed)
        yield


@contextmanager
def _python_and_numpy(seed: int) -> Iterator[None]:
    """Seed the global generators of Python and numpy; put them back as they were found."""
    python, numpy = random.getstate(), np.random.get_state(legacy=False)
    bits = get_bit_generator()  # the caller may have exchanged it
    random.seed(seed)
    set_bit_generator(np.random.MT19937(seed))
    try:
        yield
    finally:
        random.setstate(python)
        set_bit_generator(bits)
        np.random.set_state(numpy)


class Generators:
    """Torch's global generators, of the CPU and of CUDA devices.

    Args:
        devices: others than CUDA are ignored.
    """

    def __init__(self, devices: Iterable[torch.device]) -> None:
        self._devices = sorted((d for d in devices if d.type == "cuda"), key=str)

    def state(self) -> list[Tensor]:
        """State of each generator."""
        return [torch.get_rng_state(), *map(torch.cuda.get_rng_state, self._devices)]

    def set_state(self, states: Sequence[Tensor]) -> None:
        """Take over what `state` returned."""
        torch.set_rng_state(states[0])
        for state, device in zip(states[1:], self._devices, strict=True):
            torch.cuda.set_rng_state(state, device)
