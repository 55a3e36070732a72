"""Each problem trains two steps and evaluates through the command; no download."""

import json
import math

import pytest

from deepobs_problems import CATALOG
from deepobs_runner.cli import main

# A batch of these in their default size is too much for a CPU.
SMALL_BATCHES = {"chargpt": "4", "vgg16": "4", "vgg19": "4", "inception_v3": "4", "wrn404": "32"}


@pytest.mark.slow
@pytest.mark.parametrize("name", list(CATALOG))
def test_problem_runs_on_generated_data(name, tmp_path):
    size = next((n for network, n in SMALL_BATCHES.items() if name.endswith(network)), None)
    rate = "lr=1" if name.startswith("bigram") else "lr=1e-5"  # its gradients are tiny
    words = ["run", name, "SGD", rate, "--steps", "2", "--data", "synthetic", "--quiet"]
    words += ["--batch-size", size] if size else []
    assert main([*words, "--device", "cpu", "--out", str(tmp_path)]) == 0
    (path,) = tmp_path.glob("*.json")
    result = json.loads(path.read_text())
    assert result["status"] == "done"
    assert [record["steps"] for record in result["records"]][-1] == 2
    metrics = {"loss", "objective", *CATALOG[name].metrics, *CATALOG[name].roots}
    for record in result["records"]:
        for split in ("train_eval", "test"):
            assert set(record["metrics"][split]) == metrics
            assert all(math.isfinite(value) for value in record["metrics"][split].values())
    first, last = (result["records"][i]["metrics"]["train_eval"]["loss"] for i in (0, -1))
    assert last != first
