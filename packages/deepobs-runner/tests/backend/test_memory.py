"""Runs whose memory runs out fail with a sentence, and the others go on."""

import pytest
import torch

from deepobs_problems import load_problem
from deepobs_runner import RunConfig, load_result, resolve_config, run, run_all
from deepobs_runner.backend.memory import is_out_of_memory, tensor_bytes
from deepobs_runner.errors import FailedRunError

GREEDY = """
import torch

class Greedy(torch.optim.SGD):
    \"\"\"Wants a petabyte in its third step.\"\"\"

    steps = 0

    def step(self, closure):
        self.steps += 1
        if self.steps == 3:
            torch.empty(2**50)
        return super().step(closure)
"""


@pytest.fixture
def greedy(tmp_path):
    """Return the name of an optimizer that asks for more than any machine has."""
    file = tmp_path / "greedy.py"
    file.write_text(GREEDY)
    return f"{file}:Greedy"


def configuration(optimizer):
    return resolve_config(
        RunConfig(problem="two_d_branin", optimizer=optimizer, hyperparams={"lr": 0.1}, epochs=1)
    )


def test_out_of_memory_is_a_sentence_in_the_result(greedy, execution):
    """Torch's own error of the CPU."""
    config = configuration(greedy)
    with pytest.raises(FailedRunError) as raised:
        run(config, execution)
    result = load_result(execution.out / f"{config.id}.json")
    assert result.status == "failed"
    assert result.error == str(raised.value)
    for part in ("Out of memory on cpu", "two_d_branin with batch_size 128", "GiB", "--batch-size"):
        assert part in result.error
    assert "Traceback" not in result.error
    assert len(result.records) == 1  # what was evaluated before is kept


def test_the_other_runs_of_a_plan_go_on(greedy, execution):
    outcomes = run_all([configuration(greedy), configuration("SGD")], execution)
    assert [outcome.status for outcome in outcomes] == ["failed", "done"]
    assert outcomes[0].reason.startswith("Out of memory")


def test_out_of_memory_before_the_first_record_is_stored(execution, monkeypatch):
    """While data or model are put on the device."""
    config = configuration("SGD")
    monkeypatch.setattr("deepobs_runner.training.loop.build_model", lambda *_: torch.empty(2**50))
    (outcome,) = run_all([config], execution)
    assert outcome.status == "failed"
    assert "Out of memory" in load_result(execution.out / f"{config.id}.json").error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"), True),
        (MemoryError(), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_which_errors_are_of_memory(error, expected):
    assert is_out_of_memory(error) is expected


def test_bytes_of_nested_state():
    state = {"a": [torch.zeros(3), (torch.zeros(2, dtype=torch.float64), 7)], "b": {"c": None}}
    assert tensor_bytes(state) == 12 + 16
    assert tensor_bytes(load_problem("two_d_branin").model().state_dict()) > 0
