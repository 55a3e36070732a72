"""Executors make the same results, lose no run, double none, and say what is wrong first."""

import errno
import json
import os
import socket
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from deepobs_runner import Execution, ExecutorOptions, RunConfig, executor_of, load_results, run_all
from deepobs_runner.cli import main
from deepobs_runner.errors import UsageError
from deepobs_runner.executors.remote import make_tasks, perform, worker_environment
from deepobs_runner.executors.slurm import Job, minutes_of, parse_slurm, submitit_parameters
from deepobs_runner.results.result import repeat_folder, result_path
from deepobs_runner.runs.outcome import outcome_of
from deepobs_runner.runs.resolve import resolve_config

OPTIMIZERS = """
import os, signal, time
import torch

class Slow(torch.optim.SGD):
    def step(self, closure):
        time.sleep(0.02)
        return super().step(closure)

class Failing(torch.optim.SGD):
    def step(self, closure):
        raise ArithmeticError("the matrix is singular")

class Dying(torch.optim.SGD):
    def step(self, closure):
        os.kill(os.getpid(), signal.SIGKILL)

class Preempted(torch.optim.SGD):
    taken = 0
    def step(self, closure):
        Preempted.taken += 1
        if Preempted.taken == 10 and not os.path.exists(os.environ["PREEMPTED"]):
            open(os.environ["PREEMPTED"], "w").close()
            os.kill(os.getpid(), signal.SIGUSR2)
        return super().step(closure)
"""


@pytest.fixture
def optimizers(tmp_path, monkeypatch):
    """Return the name of a module of optimizers, which workers find because this process does."""
    (tmp_path / "cluster_optimizers.py").write_text(OPTIMIZERS)
    monkeypatch.syspath_prepend(tmp_path)
    return "cluster_optimizers"


def configure(optimizer="SGD", problem="quadratic_deep", seed=42, epochs=2):
    config = RunConfig(
        problem=problem, optimizer=optimizer, hyperparams={"lr": 0.01}, seed=seed, epochs=epochs
    )
    return resolve_config(config)


def execution_in(folder, **settings):
    return Execution(device="cpu", out=folder, **settings)


# Options --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"name": "cloud"}, "Use local, ray, slurm"),
        ({"jobs": 0}, "--jobs is 0"),
        ({"name": "ray", "jobs": 4}, "--jobs has no effect on --executor ray"),
        ({"gpus_per_run": 1}, "use --executor ray or slurm"),
        ({"name": "slurm", "address": "auto"}, "--address has no effect on --executor slurm"),
        ({"name": "ray", "slurm": {"time": 5}}, "--slurm has no effect on --executor ray"),
        ({"name": "ray", "gpus_per_run": 1.5}, "--gpus-per-run is 1.5"),
        ({"name": "ray", "gpus_per_run": float("nan")}, "--gpus-per-run is nan"),
        ({"name": "ray", "cpus_per_run": 0}, "--cpus-per-run is 0"),
        ({"name": "ray", "retries": -1}, "--retries is -1"),
    ],
)
def test_options_that_make_no_sense(options, said):
    with pytest.raises(UsageError, match=said):
        ExecutorOptions(**options)


def test_slurm_gives_a_job_whole_gpus():
    with pytest.raises(UsageError, match="SLURM assigns whole GPUs"):
        submitit_parameters(ExecutorOptions(name="slurm", gpus_per_run=0.5))


@pytest.mark.parametrize(("name", "module"), [("ray", "ray"), ("slurm", "submitit")])
def test_a_missing_extra_is_said_before_anything_is_trained(
    name, module, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr("deepobs_runner.extensions.is_installed", lambda asked: asked != module)
    words = ["bench", "SGD", "lr=1", "--problem", "two_d_branin", "--out", str(tmp_path / "out")]
    assert main([*words, "--executor", name]) == 2
    assert f'pip install "deepobs-runner[{name}]"' in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("5", 5), ("5:01", 6), ("2:00:00", 120), ("1-0", 1440), ("1-1:30", 1530), ("2-0:0:1", 2881)],
)
def test_times_of_sbatch(text, minutes):
    assert minutes_of(text) == minutes


@pytest.mark.parametrize("text", ["", "soon", "1:2:3:4", "-5", "0", "1-2:3:4:5"])
def test_no_times_of_sbatch(text):
    with pytest.raises(UsageError):
        minutes_of(text)


@pytest.mark.parametrize(
    "word", ["partition", "=x", "time=soon", "nodes=2", "cluster=pbs", "signal_delay_s=no"]
)
def test_slurm_words_that_make_no_sense(word):
    with pytest.raises(UsageError):
        parse_slurm([word])


def test_slurm_options_reach_sbatch(tmp_path):
    slurm = pytest.importorskip("submitit.slurm.slurm")
    words = [
        "partition=gpu", "time=1:30:00", "mem=8G", "mail-type=FAIL", "exclusive=true",
        "array_parallelism=7", "setup=module load cuda", "setup=ulimit -n 4096",
    ]  # fmt: skip
    options = ExecutorOptions(
        name="slurm", cpus_per_run=4, gpus_per_run=2, slurm=parse_slurm(words)
    )
    executor = slurm.SlurmExecutor.__new__(slurm.SlurmExecutor)  # srun need not be here
    parameters = submitit_parameters(options)
    own = {k.removeprefix("slurm_"): v for k, v in parameters.items() if k.startswith("slurm_")}
    shared = {k: v for k, v in parameters.items() if not k.startswith("slurm_")}
    script = slurm._make_sbatch_string(
        command="true",
        folder=tmp_path,
        map_count=100,
        **executor._convert_parameters(shared),
        **own,
    )
    for line in (
        "--partition=gpu", "--time=90", "--mem=8G", "--mail-type=FAIL", "--exclusive",
        "--array=0-99%7", "--cpus-per-task=4", "--gpus-per-node=2", "--nodes=1",
    ):  # fmt: skip
        assert f"#SBATCH {line}\n" in script
    assert "module load cuda\nulimit -n 4096\n" in script


# A run on a node ------------------------------------------------------------------------------


def task_of(config, folder, *, force=False, **settings):
    (task,) = make_tasks([config], execution_in(folder, **settings), force=force, threads=1)
    return task


def test_a_full_disk_fails_the_run_with_a_sentence(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("deepobs_runner.runs.recorder.save_result", full)
    monkeypatch.setattr("deepobs_runner.runs.checkpoint_file.save_checkpoint", full)
    outcome = perform(task_of(configure(), tmp_path))
    assert outcome.status == "failed"
    assert outcome.reason.startswith(f"A disk of {socket.gethostname()} is full")
    (stored,) = load_results(tmp_path)
    assert (stored.status, stored.records) == ("failed", ())
    assert "No space left on device" in stored.error


def test_a_run_that_is_taken_up_again_goes_on_from_its_checkpoint(tmp_path, without_clocks):
    expected = outcome_of(configure(epochs=4), execution_in(tmp_path / "whole"))
    assert expected.good
    cut = execution_in(tmp_path / "cut", checkpoint_epochs=1)

    def interrupt(record):
        if record.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        outcome_of(configure(epochs=4), cut, on_record=interrupt)
    kept = json.loads(result_path(configure(epochs=4), cut.out).read_bytes())["records"]
    outcome = perform(task_of(configure(epochs=4), cut.out, force=True), again=True)
    assert outcome.status == "done"
    assert without_clocks(cut.out) == without_clocks(tmp_path / "whole")
    now = json.loads(result_path(configure(epochs=4), cut.out).read_bytes())["records"]
    assert now[:3] == kept  # with their clocks: these epochs were not trained again


def test_a_forced_run_of_a_stopped_one_goes_on_with_the_repetition(tmp_path):
    config, execution = configure(epochs=4), execution_in(tmp_path)
    stopped = outcome_of(config, execution, on_record=lambda r: "enough" if r.epoch else None)
    assert stopped.status == "stopped"

    def interrupt(record):
        if record.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        outcome_of(config, execution, on_record=interrupt, force=True)
    kept = json.loads(result_path(config, repeat_folder(tmp_path)).read_bytes())["records"]
    assert perform(task_of(config, tmp_path, force=True), again=True).status == "done"
    now = json.loads(result_path(config, tmp_path).read_bytes())["records"]
    assert now[: len(kept)] == kept  # with their clocks
    assert not list(repeat_folder(tmp_path).iterdir())


def test_a_forced_run_that_was_lost_before_it_began_is_repeated(tmp_path):
    assert outcome_of(configure(), execution_in(tmp_path)).good
    path = result_path(configure(), tmp_path)
    before = path.stat().st_mtime_ns
    assert perform(task_of(configure(), tmp_path), again=True).good
    assert path.stat().st_mtime_ns == before
    assert perform(task_of(configure(), tmp_path, force=True), again=True).good
    assert path.stat().st_mtime_ns > before


def test_the_lock_of_a_lost_worker_is_waited_for(tmp_path):
    from filelock import FileLock

    config = configure()
    (tmp_path / ".locks").mkdir()
    lock = FileLock(tmp_path / ".locks" / config.id, thread_local=False)
    lock.acquire()
    first = perform(task_of(config, tmp_path))
    assert first.status == "locked"
    assert socket.gethostname() in first.message
    threading.Timer(1.0, lock.release).start()
    assert perform(task_of(config, tmp_path), again=True).status == "done"


@pytest.mark.parametrize("place", ["outside", "below the environment"])
def test_workers_find_modules_where_the_parent_does(place, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    if place == "below the environment":
        monkeypatch.setattr(sys, "prefix", str(tmp_path.parent))
    monkeypatch.setenv("DEEPOBS_DATA_DIR", "/data")
    environment = worker_environment(3)
    paths = environment["PYTHONPATH"].split(os.pathsep)
    assert paths[0] == str(tmp_path)
    assert not {str(Path(module.__file__).parent.parent) for module in (json, pytest)} & set(paths)
    assert environment["DEEPOBS_DATA_DIR"] == "/data"
    assert environment["OMP_NUM_THREADS"] == "3"


# SLURM, by submitit's executors without it -----------------------------------------------------


def on_submitit(cluster, **options):
    pytest.importorskip("submitit")
    slurm = {"cluster": cluster, "time": 5}
    return executor_of(ExecutorOptions(name="slurm", slurm=slurm, **options))


def test_submitit_makes_the_results_of_local_runs(tmp_path, optimizers, listener, without_clocks):
    configs = [configure(seed=1), configure(f"{optimizers}:Failing"), configure(seed=2)]
    expected = run_all(configs, execution_in(tmp_path / "local"))
    out = tmp_path / "slurm"
    execute = on_submitit("debug")
    outcomes = execute([*configs, configs[0]], execution_in(out), reporter=listener)
    assert [outcome.config for outcome in outcomes] == configs
    assert [outcome.status for outcome in outcomes] == ["done", "failed", "done"]
    assert [o.reason for o in outcomes] == [o.reason for o in expected]
    assert without_clocks(out) == without_clocks(tmp_path / "local")
    for config, epochs in zip(configs, ([0, 1, 2], [0], [0, 1, 2]), strict=True):
        assert listener.of(config) == [
            ("start", config.id, 3),
            *[("record", config.id, epoch) for epoch in epochs],
            ("finish", config.id),
        ]


def test_a_queued_job_goes_on_where_it_was_cut(tmp_path):
    pytest.importorskip("submitit")
    job = Job(task=task_of(configure(), tmp_path))
    queued = job.checkpoint()
    assert queued.function == replace(job, again=True)
    assert queued.result().status == "done"


def test_no_slurm_here(tmp_path, monkeypatch):
    pytest.importorskip("submitit")
    monkeypatch.setenv("PATH", str(tmp_path))
    execute = executor_of(ExecutorOptions(name="slurm"))
    with pytest.raises(UsageError, match=r"srun.*--slurm cluster=local"):
        execute([configure()], execution_in(tmp_path / "out"))


@pytest.mark.slow
def test_a_job_that_is_preempted_is_queued_again_and_goes_on(
    tmp_path, optimizers, monkeypatch, without_clocks
):
    monkeypatch.setenv("PREEMPTED", str(tmp_path / "preempted"))
    configs = [
        configure(f"{optimizers}:Preempted", epochs=4), configure(f"{optimizers}:Dying"),
    ]  # fmt: skip
    out = tmp_path / "slurm"
    execute = on_submitit("local", retries=1)
    preempted, dying = execute(configs, execution_in(out))
    assert preempted.status == "done", preempted.message
    assert (tmp_path / "preempted").exists()  # so the undisturbed run is not
    run_all(configs[:1], execution_in(tmp_path / "local"))
    name = configs[0].id
    assert without_clocks(out)[name] == without_clocks(tmp_path / "local")[name]
    assert (dying.status, dying.reason[:23]) == ("killed", "Its job was lost 2 time")
    assert not list(out.glob("*.ckpt"))


# Ray -------------------------------------------------------------------------------------------


def free_ports(number):
    """Return ports that nobody listens to."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [opened.getsockname()[1] for opened in sockets]
    for opened in sockets:
        opened.close()
    return ports


def node_of(cpus):
    """Return the settings of a small Ray node on the loopback device.

    A node whose agents are to choose their ports gives up if they have not within 15 s, which is
    too short for a busy machine.
    """
    agents = (
        "metrics_agent_port", "metrics_export_port", "dashboard_agent_listen_port",
        "runtime_env_agent_port",
    )  # fmt: skip
    return {
        "num_cpus": cpus,
        "num_gpus": 0,
        "node_ip_address": "127.0.0.1",
        "object_store_memory": 100 * 2**20,
        "include_dashboard": False,
        "include_log_monitor": False,
        "no_monitor": True,
        **dict(zip(agents, free_ports(len(agents)), strict=True)),
    }


@pytest.fixture
def ray_cluster(monkeypatch):
    """Return a Ray cluster of two nodes with a CPU each beside a head without, all local."""
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    # Ray's switch for the loopback device; else a driver seeks 127.0.0.1 at the outer address.
    monkeypatch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args=node_of(0))
    try:
        nodes = [cluster.add_node(**node_of(1)) for _ in range(2)]
        yield cluster, nodes[1]
    finally:
        cluster.shutdown()


def kill_a_node(cluster, node, out, finished, done):
    """Kill a node of a cluster when so many runs are finished; note how many there were."""

    def ended():
        return [r.status for r in load_results(out, on_error=lambda _: None)].count("done")

    while not out.exists() or ended() < finished:
        time.sleep(0.05)
    cluster.remove_node(node, allow_graceful=False)
    done.append(ended())


@pytest.mark.slow
def test_ray_loses_and_doubles_no_run_when_a_node_is_killed(
    tmp_path, optimizers, ray_cluster, listener, without_clocks
):
    configs = [configure(f"{optimizers}:Slow", seed=seed) for seed in range(24)]
    out, killed = tmp_path / "ray", []
    cluster, node = ray_cluster
    options = ExecutorOptions(name="ray", address=cluster.address)
    killer = threading.Thread(target=kill_a_node, args=(cluster, node, out, 8, killed))
    killer.start()
    outcomes = executor_of(options)(configs, execution_in(out), reporter=listener)
    killer.join()
    assert [outcome.config for outcome in outcomes] == configs
    assert {outcome.status for outcome in outcomes} == {"done"}
    assert 8 <= killed[0] < 24
    run_all(configs, execution_in(tmp_path / "local"))
    assert without_clocks(out) == without_clocks(tmp_path / "local")
    for config in configs:
        kinds = [event[0] for event in listener.of(config)]
        assert kinds == ["start", "record", "record", "record", "finish"]
    assert not list(out.glob(".ray-*"))
