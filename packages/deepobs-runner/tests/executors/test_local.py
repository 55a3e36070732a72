"""Several runs at once: workers that fail, die and are interrupted; nothing is lost or invented."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from processes import children, is_gone, wait_for

from deepobs_runner import Execution, RunConfig, load_plan, load_result, load_results, run
from deepobs_runner.errors import RunLockedError, UsageError
from deepobs_runner.executors.local import run_all, spread_devices, threads_per_worker
from deepobs_runner.runs.outcome import Outcome
from deepobs_runner.runs.resolve import resolve_config

OPTIMIZERS = """
import os, signal, sys, time
import torch

class Slow(torch.optim.SGD):
    def step(self, closure):
        time.sleep(0.01)
        return super().step(closure)

class Failing(torch.optim.SGD):
    def step(self, closure):
        print("about to fail")
        raise ArithmeticError("the matrix is singular")

class Dying(torch.optim.SGD):
    def step(self, closure):
        print("last words", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

class Exiting(torch.optim.SGD):
    def step(self, closure):
        sys.exit("enough")
"""


@pytest.fixture
def optimizers(tmp_path, monkeypatch):
    """Return the name of a module of optimizers, which workers find because this process does."""
    (tmp_path / "jobs_optimizers.py").write_text(OPTIMIZERS)
    monkeypatch.syspath_prepend(tmp_path)
    return "jobs_optimizers"


def configure(optimizer="SGD", problem="quadratic_deep", seed=42):
    config = RunConfig(
        problem=problem, optimizer=optimizer, hyperparams={"lr": 0.01}, seed=seed, epochs=2
    )
    return resolve_config(config)


def test_whatever_happens_to_one_run_the_others_go_on(
    tmp_path, optimizers, capfd, monkeypatch, listener
):
    monkeypatch.setenv("DEEPOBS_OFFLINE", "1")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("deepobs_runner.executors.local.usable_cores", lambda: 6)
    configs = [
        configure(seed=1),
        configure(f"{optimizers}:Failing"),
        configure(f"{optimizers}:Dying"),
        configure(problem="fmnist_logreg"),
        configure(f"{optimizers}:Exiting"),
        configure(seed=2),
    ]
    execution = Execution(device="cpu", out=tmp_path / "out", data_dir=tmp_path / "empty")
    outcomes = run_all(configs, execution, jobs=2, reporter=listener)
    assert [outcome.config for outcome in outcomes] == configs
    assert [outcome.status for outcome in outcomes] == [
        "done", "failed", "killed", "refused", "failed", "done",
    ]  # fmt: skip
    _, failing, dying, refused, exiting, _ = outcomes
    assert "Traceback" in failing.message
    assert failing.reason == "ArithmeticError: the matrix is singular"
    assert "SIGKILL" in dying.reason
    assert "last words" in dying.message
    assert exiting.reason == "SystemExit: enough"
    assert "train-images-idx3-ubyte" in refused.message
    assert "about to fail" in capfd.readouterr().err  # printed by the worker

    stored = {result.config.id: result for result in load_results(tmp_path / "out")}
    assert "the matrix is singular" in stored[configs[1].id].error
    assert stored[configs[2].id].status == "running"  # so that it is run again
    assert configs[3].id not in stored
    assert stored[configs[5].id].environment["threads"] == 3
    for config in configs:
        heard = listener.of(config)
        assert heard[0] == ("start", config.id, 3)
        assert heard[-1] == ("finish", config.id)
        epochs = [event[2] for event in heard if event[0] == "record"]
        assert epochs == list(range(len(epochs)))
    assert ("record", configs[5].id, 2) in listener.heard


def test_a_configuration_given_twice_is_run_once(tmp_path):
    outcomes = run_all([configure(), configure()], Execution(device="cpu", out=tmp_path))
    assert [outcome.status for outcome in outcomes] == ["done"]


def test_a_locked_run_is_tried_again_and_said(tmp_path, monkeypatch):
    def locked(*_, **__):
        raise RunLockedError("Another process is running it.")

    monkeypatch.setattr("deepobs_runner.runs.outcome.run", locked)
    (outcome,) = run_all([configure()], Execution(device="cpu", out=tmp_path))
    assert outcome == Outcome(
        config=configure(), status="locked", message="Another process is running it."
    )
    assert not outcome.good


@pytest.mark.parametrize(("jobs", "cores", "threads"), [(1, 8, 8), (3, 8, 2), (4, 2, 1)])
def test_threads_are_divided(jobs, cores, threads):
    assert threads_per_worker(jobs, cores=cores) == threads


def test_devices_are_shared_only_where_there_are_several():
    assert spread_devices("auto", 1, 1) == "auto"
    assert spread_devices("cuda:1", 0, 4) == "cuda:1"


def test_no_jobs():
    with pytest.raises(UsageError, match="jobs is 0"):
        run_all([configure()], jobs=0)


SCRIPT = """
import sys
from pathlib import Path
from deepobs_runner import Execution, RunConfig, run
if __name__ == "__main__":
    config = RunConfig(
        problem="quadratic_deep", optimizer="SGD", hyperparams={"lr": 0.01}, epochs=1
    )
    print(run(config, Execution(device="cpu", out=Path("out"))).status)
"""


def test_run_does_not_read_the_arguments_of_its_process(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["script.py", "--epochs", "7", "--help", "bench"])
    for name, value in {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    result = run(configure(), Execution(device="cpu", out=tmp_path))
    assert (result.status, result.config.epochs) == ("done", 2)


@pytest.mark.slow
def test_run_under_torchrun(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "1"]
    done = subprocess.run(
        [*command, "script.py", "--epochs", "7"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "done" in done.stdout


# Kills ----------------------------------------------------------------------------------------

PLAN = """
problems: [quadratic_deep, two_d_branin]
optimizers:
  - {name: SGD, hyperparams: {lr: 1e-2}}
  - {name: "jobs_optimizers:Slow", hyperparams: {lr: 1e-2}}
settings: {epochs: 12}
seeds: 2
overrides:
  - {problem: two_d_branin, settings: {epochs: 4, steps: 60, batch_size: 500}}
"""


def check_files(folder):
    """Check that every file is valid and complete; return the content of finished results."""
    finished = {}
    for path in folder.glob("*.json"):
        data = json.loads(path.read_bytes(), parse_constant=pytest.fail)
        result = load_result(path)
        steps = result.records[-1]["steps"]
        assert len(result.step_objectives()) == steps
        assert len(np.load(path.with_name(f"{path.stem}.steps.npy"))) >= steps
        if data["status"] == "done":
            finished[path] = path.read_bytes()
    return finished


def start_bench(plan, out):
    environment = {**os.environ, "PYTHONPATH": str(plan.parent)}
    command = [sys.executable, "-m", "deepobs_runner.cli", "bench", str(plan), "--jobs", "2"]
    return subprocess.Popen(
        [*command, "--out", str(out), "--device", "cpu", "--quiet"],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        # A shell's background job ignores Ctrl-C, and so would all that it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip


def wait_until_it_writes(process, out):
    """Wait until a bench has written something, so that there is something to lose."""
    changed = {path: path.stat().st_mtime_ns for path in out.glob("*.json")}

    def is_writing():
        return any(p.stat().st_mtime_ns > changed.get(p, 0) for p in out.glob("*.json"))

    return wait_for(is_writing, process)


def kill_worker(process, chance):
    """Kill a worker of a bench; return whether there was one."""
    workers = children(process.pid)
    if process.poll() is not None or not workers:
        return False
    os.kill(chance.choice(workers), signal.SIGKILL)
    return True


def kill_parent(process):
    """Kill a bench itself; return whether it was still there. Its workers must follow."""
    workers = children(process.pid)
    killed = process.poll() is None
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 30
    while not all(map(is_gone, workers)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert all(map(is_gone, workers)), "a worker outlived its parent"
    return killed


def finish(plan, out):
    process = start_bench(plan, out)
    output, errors = process.communicate()
    assert process.returncode == 0, output + errors
    return output


@pytest.fixture(scope="module")
def plan_and_undisturbed(tmp_path_factory, without_clocks):
    """Return a short plan and the records it gives if nothing happens to it."""
    folder = tmp_path_factory.mktemp("kills")
    (folder / "jobs_optimizers.py").write_text(OPTIMIZERS)
    plan = folder / "plan.yaml"
    plan.write_text(PLAN)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        threads = torch.get_num_threads()
        torch.set_num_threads(min(threads, threads_per_worker(2)))
        run_all(load_plan(plan), Execution(device="cpu", out=folder / "undisturbed"))
        torch.set_num_threads(threads)
    records = without_clocks(folder / "undisturbed")
    assert len(records) == 8
    assert {status for status, _, _ in records.values()} == {"done"}
    return plan, records


linux = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds workers by /proc")


@linux
def test_a_killed_bench_is_completed_by_the_next(plan_and_undisturbed, tmp_path, without_clocks):
    plan, expected = plan_and_undisturbed
    process = start_bench(plan, tmp_path)
    assert wait_until_it_writes(process, tmp_path)
    assert kill_parent(process)
    finished = check_files(tmp_path)
    assert len(finished) < len(expected)
    output = finish(plan, tmp_path)
    assert finished.items() <= check_files(tmp_path).items()  # only what was missing was run
    assert f"{len(finished)} finished before" in output or not finished
    assert without_clocks(tmp_path) == expected


@linux
@pytest.mark.slow
def test_twenty_kills(plan_and_undisturbed, tmp_path, without_clocks):
    plan, expected = plan_and_undisturbed
    chance = random.Random(1)
    kills = rounds = 0
    while kills < 20:
        out = tmp_path / str(rounds)
        out.mkdir()
        rounds += 1
        while kills < 20 and len(check_files(out)) < len(expected):
            finished = check_files(out)
            process = start_bench(plan, out)
            wait_until_it_writes(process, out)
            time.sleep(chance.uniform(0.0, 0.6))
            for _ in range(chance.choice([0, 1, 2])):
                kills += kill_worker(process, chance)
                time.sleep(chance.uniform(0.0, 3.0))
                assert finished.items() <= check_files(out).items()
            kills += kill_parent(process)
            assert finished.items() <= check_files(out).items()
        finish(plan, out)
        assert without_clocks(out) == expected


@linux
@pytest.mark.slow
def test_a_killed_worker_is_said_in_the_summary(plan_and_undisturbed, tmp_path, without_clocks):
    plan, expected = plan_and_undisturbed
    process = start_bench(plan, tmp_path)
    wait_until_it_writes(process, tmp_path)
    assert kill_worker(process, random.Random(2))
    output, errors = process.communicate()
    assert process.returncode == 1
    assert "8 runs: 7 done, 1 killed" in output or "1 killed, " in output
    assert "killed with SIGKILL" in errors
    assert "8 runs: 7 finished before, 1 done" in finish(plan, tmp_path)
    assert without_clocks(tmp_path) == expected


@linux
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupt_ends_the_workers_and_keeps_what_is_there(number, tmp_path):
    (tmp_path / "jobs_optimizers.py").write_text(OPTIMIZERS)
    plan = tmp_path / "plan.yaml"
    plan.write_text(PLAN.replace("epochs: 12", "epochs: 1000"))
    out = tmp_path / "out"
    process = start_bench(plan, out)
    assert wait_for(lambda: len(list(out.glob("*.json"))) >= 2, process)
    workers = children(process.pid)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == "deepobs: Interrupted; finished runs are kept.\n"
    assert len(workers) == 2
    assert all(map(is_gone, workers))
    check_files(out)
    # The workers were asked to end, so the last completed epochs can be gone on from.
    assert list(out.glob("*.ckpt"))
