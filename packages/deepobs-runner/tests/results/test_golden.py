"""Result files that version 1.2.0 wrote: their ids, their bytes, and that they are read.

A change that needs an edit of these files changes what users have stored.
"""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from deepobs_runner import load_result, run
from deepobs_runner.results.store import save_result
from deepobs_runner.schedules import Constant, Cosine, Step, Warmup

GOLDEN = Path(__file__).parent / "golden"
KEYS = ["schema", "id", "status", "config", "environment", "error", "records"]
RECORD = ["epoch", "steps", "steps_per_epoch", "lr", "clocks", "counters", "metrics", "telemetry"]

# File, id, number of records, schedule, objectives on the test split.
FILES = [
    ("running", "two_d_beale-Adam-43-59dca26f47ee", Cosine(), [169680.828125]),
    (
        "done",
        "two_d_beale-Adam-42-3bb32a2a1bd3",
        Constant(),
        [169680.828125, 48729.25390625, 21077.7265625],
    ),
    (
        "diverged",
        "fmnist_mlp-Momentum-42-ae75f5a63837",
        Warmup(Step((2, 4), (0.1, 0.01)), 0.1),
        [2.302585092994046, 1e22, math.nan],
    ),
    ("stopped", "cifar10_3c3d-AdamW-42-7e732451ab06", Constant(), [2.5, 2.25]),
    ("failed", "mine-Mine-42-833373011837", Constant(), []),
    # Written before records had counters, `steps_per_epoch` and a clock for each activity.
    ("done_before_counters", "quadratic_deep-SGD-42-2ba811d52aba", Constant(), [3.0, 2.5, 2.5]),
]


def test_every_golden_file_is_listed():
    assert {path.stem for path in GOLDEN.glob("*.json")} == {name for name, *_ in FILES}


@pytest.mark.parametrize(("name", "run_id", "schedule", "objectives"), FILES)
def test_a_golden_file_is_read_and_written_again_with_the_same_bytes(
    tmp_path, name, run_id, schedule, objectives
):
    path = GOLDEN / f"{name}.json"
    result = load_result(path)
    assert result.config.id == run_id
    assert result.status == name.partition("_")[0]
    assert result.config.schedule == schedule
    assert np.array_equal(result.series("test", "objective"), objectives, equal_nan=True)
    written = save_result(result, tmp_path)
    assert written.name == f"{run_id}.json"
    assert written.read_bytes() == path.read_bytes()


def test_step_objectives_lie_beside_a_golden_file():
    steps = load_result(GOLDEN / "done.json").step_objectives()
    assert (steps.shape, steps.dtype) == ((156,), np.float32)


def test_a_new_result_has_the_keys_of_the_golden_files_in_their_order(
    problem, configure, execution
):
    data = json.loads(run(configure(), execution, problem=problem).path.read_bytes())
    golden = json.loads((GOLDEN / "done.json").read_bytes())
    assert list(golden) == KEYS
    assert list(data) == [*KEYS, "steps_sha256"]
    assert list(data["config"]) == list(golden["config"])
    for record in (*data["records"], *golden["records"]):
        assert list(record) == RECORD
        assert list(record["clocks"]) == list(golden["records"][0]["clocks"])
