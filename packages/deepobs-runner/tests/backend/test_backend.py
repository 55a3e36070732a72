"""What a backend refuses, and that a plain one is the default."""

import pytest
import torch

from deepobs_runner import Execution
from deepobs_runner.backend.backend import Backend, make_backend
from deepobs_runner.backend.distributed import ProcessGroup
from deepobs_runner.errors import UsageError


@pytest.mark.parametrize(
    ("execution", "precision", "size", "sentence"),
    [
        ({"device": "toaster"}, "fp32", 1, "Unknown device 'toaster'"),
        ({}, "fp16", 1, "Precision fp16 is not available.*bf16"),
        ({"cuda_graphs": True}, "fp32", 1, "need an NVIDIA GPU"),
        ({"compile": True}, "fp32", 2, "by several processes is not supported.*--compile"),
    ],
)
def test_what_a_machine_cannot_compute(execution, precision, size, sentence):
    execution = Execution(**{"device": "cpu", **execution})
    with pytest.raises(UsageError, match=sentence):
        make_backend(execution, precision, ProcessGroup(size=size))


def test_a_plain_execution_has_a_plain_backend():
    assert make_backend(Execution(device="cpu")) == Backend()
    assert Backend().dtype == torch.float32
    assert not Backend().prepares
