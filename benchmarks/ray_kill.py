"""Kill a node of a Ray cluster half-way through a sweep, and compare with the local executor.

A cluster of a head and two nodes with a CPU each is started on the loopback device of this machine.
When half of the runs are finished, the processes of one node are killed. The sweep must end with
every run done once, and with the results that the local executor makes. Needs the extra `ray`, and
a machine idle enough for a Ray node to start within 15 s::

    python benchmarks/ray_kill.py [--runs 200]
"""

import argparse
import os
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

# All are read when their library is imported. The second is Ray's switch for staying on the
# loopback device: without it a driver looks for 127.0.0.1 at the machine's outer address.
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
os.environ["OMP_NUM_THREADS"] = "1"

from ray.cluster_utils import Cluster

from deepobs_runner import Execution, ExecutorOptions, RunConfig, executor_of, load_results
from deepobs_runner.executors.registry import Execute
from deepobs_runner.results.result import reproducible, result_path

LOOPBACK = {
    "num_gpus": 0,
    "node_ip_address": "127.0.0.1",
    "object_store_memory": 100 * 2**20,
    "include_dashboard": False,
    "include_log_monitor": False,
    "no_monitor": True,
}


class Counting:
    """A reporter that counts what it is told."""

    def __init__(self) -> None:
        self.started: Counter[str] = Counter()
        self.finished: Counter[str] = Counter()
        self.recorded: Counter[tuple[str, int]] = Counter()

    def start(self, run: str, label: str, evaluations: int) -> None:
        """Count a start."""
        self.started[run] += 1

    def record(self, run: str, epoch: int, metrics: Any, seconds: float) -> None:
        """Count an evaluation."""
        self.recorded[run, epoch] += 1

    def finish(self, run: str) -> None:
        """Count an end."""
        self.finished[run] += 1


def sweep(runs: int) -> list[RunConfig]:
    """Return short runs that differ in seed and learning rate."""
    from deepobs_runner import resolve_config

    return [
        resolve_config(
            RunConfig(
                problem="two_d_branin",
                optimizer="SGD",
                hyperparams={"lr": 10.0 ** -(3 + seed % 3)},
                seed=seed,
                epochs=1,
            )
        )
        for seed in range(runs)
    ]


def timed(
    execute: Execute, configs: list[RunConfig], out: Path
) -> tuple[float, Counter[str], Counting]:
    """Make the runs; return the seconds, how many ended how, and what was reported."""
    counting = Counting()
    begun = time.monotonic()
    outcomes = execute(configs, Execution(device="cpu", out=out), reporter=counting)
    seconds = time.monotonic() - begun
    for outcome in outcomes:
        if not outcome.good:
            print(f"{outcome.config.id}: {outcome.status}: {outcome.message}")
    return seconds, Counter(outcome.status for outcome in outcomes), counting


def kill_when(cluster: Cluster, node: Any, out: Path, finished: int) -> None:
    """Kill a node when so many runs have ended."""
    while len(list(out.glob("*.json"))) <= finished:  # the last file is of a run under way
        time.sleep(0.02)
    cluster.remove_node(node, allow_graceful=False)
    print(f"killed a node after {len(list(out.glob('*.json'))) - 1} runs", flush=True)


def contents(configs: list[RunConfig], out: Path) -> dict[str, Any]:
    """Return what the results hold, clocks and peak memory apart, by run."""
    assert {path.name for path in out.glob("*.json")} == {
        result_path(config, out).name for config in configs
    }
    return {
        result.config.id: (
            result.status,
            [reproducible(record) for record in result.records],
            result.step_objectives().tolist(),
        )
        for result in load_results(out)
    }


def main() -> None:
    """Run the sweep twice and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    configs = sweep(parser.parse_args().runs)
    with tempfile.TemporaryDirectory() as name:
        there, here = Path(name) / "ray", Path(name) / "local"
        there.mkdir()
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **LOOPBACK})
        try:
            nodes = [cluster.add_node(num_cpus=1, **LOOPBACK) for _ in range(2)]
            arguments = (cluster, nodes[1], there, len(configs) // 2)
            killer = threading.Thread(target=kill_when, args=arguments, daemon=True)
            killer.start()
            on_ray = executor_of(ExecutorOptions(name="ray", address=cluster.address))
            seconds, ends, told = timed(on_ray, configs, there)
            killer.join()
        finally:
            cluster.shutdown()
        print(f"ray, two nodes, one killed: {len(configs)} runs in {seconds:.0f} s: {dict(ends)}")
        seconds, ends_here, told_here = timed(executor_of(ExecutorOptions()), configs, here)
        print(f"local, one process: {len(configs)} runs in {seconds:.0f} s: {dict(ends_here)}")
        assert ends == ends_here == {"done": len(configs)}
        assert contents(configs, there) == contents(configs, here)
        assert (told.started, told.finished) == (told_here.started, told_here.finished)
        assert told.recorded == told_here.recorded
        print("no run lost, none doubled; results and reports are those of the local executor")


if __name__ == "__main__":
    main()
