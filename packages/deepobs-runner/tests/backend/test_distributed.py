"""Several processes give the numbers of one, and end together.

The processes are forked from a server that has torch imported; they meet at 127.0.0.1 and compute
with gloo on the CPU. In float64 the numbers agree to rounding: 1e-12, where 1e-15 was measured.
"""

import math
import multiprocessing
import os
import runpy
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn

from deepobs_runner import RunConfig, load_result, load_results
from deepobs_runner.backend.distributed import SINGLE_PROCESS, ProcessGroup, torchrun_group
from deepobs_runner.backend.shared_draws import SharedDraws, batch_dependence
from deepobs_runner.errors import UsageError
from deepobs_runner.executors.local import run_all
from deepobs_runner.runs.resolve import resolve, resolve_config
from deepobs_runner.training.data import Order

pytestmark = pytest.mark.skipif(
    not dist.is_available() or "forkserver" not in multiprocessing.get_all_start_methods(),
    reason="no torch.distributed, or no forked processes here",
)

HELPER = Path(__file__).with_name("rank_process.py")
SECONDS = 120.0


@pytest.fixture(scope="module")
def jobs():
    """Return the functions of the helper, to be called in this process."""
    return runpy.run_path(str(HELPER))


@pytest.fixture(scope="module")
def together():
    """Return a function that does a job in several processes at once.

    It returns of each what the job returned (`value`) or `raised`; None if the process died.
    """
    context = multiprocessing.get_context("forkserver")
    # torch imports its compiler with the first optimizer.
    context.set_forkserver_preload(["deepobs_runner.runs.run", "torch._dynamo"])

    def start(job, *arguments, size=2, **settings):
        store = dist.TCPStore("127.0.0.1", 0, is_master=True)
        processes, ends = [], []
        for rank in range(size):
            mine, theirs = context.Pipe(duplex=False)
            task = {"task": (theirs, store.port, rank, size, job, arguments, settings)}
            process = context.Process(
                target=runpy.run_path, args=(str(HELPER), task, "__main__"), daemon=True
            )
            process.start()
            theirs.close()
            processes.append(process)
            ends.append(mine)
        try:
            return [_receive(end) for end in ends]
        finally:
            for process in processes:
                process.join(10.0)
                if process.is_alive():
                    process.kill()
                    process.join()

    return start


def _receive(end):
    assert end.poll(SECONDS), "a process hangs"
    try:
        return end.recv()
    except EOFError:
        return None


def check_close(one, two, tolerance=1e-12):
    """Compare nested numbers."""
    if isinstance(one, dict):
        assert one.keys() == two.keys()
        for key in one:
            check_close(one[key], two[key], tolerance)
    elif isinstance(one, list):
        assert len(one) == len(two)
        for left, right in zip(one, two, strict=True):
            check_close(left, right, tolerance)
    elif one is None:
        assert two is None
    else:
        assert two == pytest.approx(one, rel=tolerance, abs=tolerance)


# The numbers ----------------------------------------------------------------------------------

SAME = {
    "dropout, augmentation, L2": (("blobs",), {}),
    "clipping": (("blobs",), {"clip_norm": 0.1}),
    "2019": (("blobs",), {"recipe": "2019", "steps": 6}),
    "momentum and L2 by the optimizer": (("blobs",), {"l2_via": "optimizer"}),
    "Adam": (("blobs", "Adam"), {}),
    "L-BFGS": (("blobs", "LBFGS"), {"hyperparams": {"lr": 0.1, "max_iter": 3}}),
    "two gradients a step": (("blobs", "Ascending"), {}),
    "line search": (("blobs", "Searching"), {}),
    "clipped line search": (("blobs", "Searching"), {"clip_norm": 0.1}),
    "second derivatives": (("blobs", "Curving"), {}),
    "clipped second derivatives": (("blobs", "Curving"), {"clip_norm": 0.1}),
    "text with state": (("chars",), {}),
    "quadratic_deep": (("quadratic_deep",), {"epochs": 1, "hyperparams": {"lr": 0.01}}),
}


@pytest.mark.filterwarnings("ignore:Using backward:UserWarning")
@pytest.mark.parametrize("case", SAME)
def test_two_processes_give_the_numbers_of_one(jobs, together, case):
    names, settings = SAME[case]
    one = jobs["numbers"](SINGLE_PROCESS, *names, **settings)
    first, second = together("numbers", *names, **settings)
    assert first == second  # of one state of the run, bit for bit
    check_close(one, first["value"])
    assert one[0]["weights"] != one[-1]["weights"]


def test_four_processes_give_the_numbers_of_one(jobs, together):
    first, *others = together("numbers", "blobs", size=4)
    assert others == [first] * 3
    check_close(jobs["numbers"](SINGLE_PROCESS, "blobs"), first["value"])


def test_batch_norm_is_of_one_process_but_all_stay_in_one_state(jobs, together):
    one = jobs["numbers"](SINGLE_PROCESS, "normed")
    first, second = together("numbers", "normed")
    assert first == second
    found = first["value"]
    check_close(one[0], found[0])
    losses = [records[-1]["metrics"]["test"]["loss"] for records in (one, found)]
    assert abs(losses[0] - losses[1]) > 1e-4
    # The mean of the means of equal shares is that of the batch; one step from equal weights.
    one = jobs["numbers"](SINGLE_PROCESS, "normed", epochs=None, steps=1)[-1]["weights"]
    two = together("numbers", "normed", epochs=None, steps=1)[0]["value"][-1]["weights"]
    check_close(one["2.running_mean"], two["2.running_mean"])


# Shares ---------------------------------------------------------------------------------------


def test_shares_of_an_order_are_contiguous_in_every_batch():
    order = Order(torch.arange(12), torch.arange(24.0).view(12, 2))
    shares = [order.share(rank, 3, 6) for rank in range(3)]
    assert [share.rows.tolist() for share in shares] == [[0, 1, 6, 7], [2, 3, 8, 9], [4, 5, 10, 11]]
    assert all(torch.equal(s.draws[:, 0], 2.0 * s.rows) for s in shares)


def test_uneven_shares_hold_every_row_once():
    shares = [Order(torch.arange(7), None).share(rank, 3, 7).rows for rank in range(3)]
    assert torch.cat(shares).tolist() == list(range(7))


def transposed(x):
    """Return the tensor with its first axes swapped in memory, as an LSTM's output."""
    return x.transpose(0, 1).contiguous().transpose(0, 1)


def channels_last(x):
    return x.unsqueeze(-1).contiguous(memory_format=torch.channels_last)


DRAWS = {
    "dropout": lambda x: F.dropout(x, 0.3),
    "dropout module": nn.Dropout(0.5),
    "dropout in place": lambda x: F.dropout(x.clone(), 0.3, inplace=True),
    "dropout of strided rows": lambda x: F.dropout(transposed(x), 0.3),
    "dropout, channels last": lambda x: F.dropout(channels_last(x), 0.3),
    "dropout of channels": lambda x: F.dropout1d(x, 0.3),
    "dropout off": lambda x: F.dropout(x, 0.3, training=False),
    "noise like": torch.randn_like,
    "uniform like": lambda x: torch.rand_like(input=x, dtype=torch.float64),
    "dropout by name": lambda x: F.dropout(input=x, p=0.3),
    "noise": lambda x: torch.randn(len(x), 3),
    "noise of a shape": lambda x: torch.randn(x.shape, dtype=torch.float64),
    "uniform of a size": lambda x: torch.rand(size=(len(x), 2)),
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_draws_of_the_shares_are_those_of_the_batch(draw):
    x = torch.randn(12, 5, 4, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(0)
    whole = draw(x)
    state = torch.get_rng_state()
    parts = []
    for rank in range(3):
        torch.manual_seed(0)
        with SharedDraws(rank, 3, 4):
            parts.append(draw(x[4 * rank : 4 * rank + 4]))
        assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(torch.cat(parts), whole)


def test_a_mask_of_weights_is_the_same_in_every_process():
    weights = torch.ones(5, 4)
    masks = []
    for rank in range(2):
        torch.manual_seed(0)
        with SharedDraws(rank, 2, 4):
            masks.append(F.dropout(weights, 0.5))
    assert torch.equal(*masks)


def test_what_depends_on_how_a_batch_is_divided():
    assert batch_dependence(nn.Sequential(nn.Linear(2, 2), nn.Dropout(), nn.LSTM(2, 2))) is None
    assert batch_dependence(nn.Sequential(nn.BatchNorm1d(2))) == "batch norm"
    assert batch_dependence(nn.Sequential(nn.SyncBatchNorm(2), nn.GroupNorm(1, 2))) is None
    assert batch_dependence(nn.LSTM(2, 2, 2, dropout=0.1)) == "dropout inside LSTM"
    assert batch_dependence(nn.Sequential(nn.RReLU(), nn.BatchNorm1d(2))) == "RReLU, batch norm"


# Identity -------------------------------------------------------------------------------------

TWO = ProcessGroup(rank=1, size=2, local_rank=1)


def test_world_size_is_part_of_a_run_only_where_it_changes_the_numbers():
    plain = resolve_config(
        RunConfig(problem="fmnist_mlp", optimizer="SGD", hyperparams={"lr": 0.1})
    )
    assert resolve(plain, group=TWO).config == plain
    assert "world_size" not in plain.to_json()
    normed = replace(plain, problem="cifar100_wrn404", fingerprint=None)
    of_two = resolve(normed, group=TWO).config
    assert of_two.world_size == 2
    assert of_two.id != replace(of_two, world_size=1).id
    assert RunConfig.from_json(of_two.to_json()) == of_two
    with pytest.raises(UsageError, match="world_size is 2"):
        resolve(of_two)
    with pytest.raises(UsageError, match="world_size is 4"):
        resolve(replace(plain, world_size=4), group=TWO)


def test_batch_that_cannot_be_divided(together):
    config = RunConfig(problem="fmnist_mlp", optimizer="SGD", hyperparams={"lr": 0.1})
    with pytest.raises(UsageError, match="not a multiple of 3 processes"):
        resolve(config, group=ProcessGroup(size=3))
    for found in together("numbers", "blobs", batch_size=15):
        assert found["raised"] == "UsageError"
        assert "batch_size is 15" in found["text"]


def test_devices_of_processes():
    assert TWO.device("cpu") == torch.device("cpu")
    count = torch.cuda.device_count()
    with pytest.raises(UsageError, match=r"not found|each on its own"):
        TWO.device("cuda:0")
    if count == 0:
        assert TWO.device("auto") == torch.device("cpu")
    elif count == 1:
        with pytest.raises(UsageError, match="cuda:1"):
            TWO.device("auto")
    else:
        assert TWO.device("auto") == TWO.device("cuda") == torch.device("cuda:1")


def test_several_jobs_of_several_processes():
    config = resolve_config(
        RunConfig(problem="two_d_branin", optimizer="SGD", hyperparams={"lr": 0.1})
    )
    with pytest.raises(UsageError, match="2 processes share every run"):
        run_all([config], jobs=2, group=TWO)


def test_environment_of_torchrun():
    assert torchrun_group({}) == SINGLE_PROCESS
    assert torchrun_group({"WORLD_SIZE": "1", "RANK": "0"}) == SINGLE_PROCESS
    with pytest.raises(UsageError, match="MASTER_ADDR, MASTER_PORT is not set"):
        torchrun_group({"WORLD_SIZE": "2", "RANK": "0"})


# Files and ends -------------------------------------------------------------------------------


def values(found):
    return [process["value"] for process in found]


def without_clocks(result):
    records = [
        {**record, "clocks": None, "counters": {**record["counters"], "peak_memory_bytes": None}}
        for record in result.records
    ]
    return records, result.step_objectives().tolist()


@pytest.fixture(scope="module")
def undisturbed(together, tmp_path_factory):
    """Return the result of a run by two processes."""
    out = tmp_path_factory.mktemp("undisturbed")
    for value in values(together("stored", out, {}, {})):  # made, then found
        assert [end["status"] for end in value] == ["done", "done"]
    (result,) = load_results(out)
    return result


def test_the_first_process_writes(undisturbed):
    assert undisturbed.environment["world_size"] == 2
    assert [record["epoch"] for record in undisturbed.records] == [0, 1, 2, 3]
    assert undisturbed.config.world_size == 1  # the numbers are those of one process


def test_a_stop_is_the_end_in_all_and_resume_goes_on_in_all(together, undisturbed, tmp_path):
    limited = {"time_limit": 1e-9}
    for value in values(together("stored", tmp_path, limited, {"resume": True})):
        assert [end["status"] for end in value] == ["stopped", "done"]
    (result,) = load_results(tmp_path)
    assert without_clocks(result) == without_clocks(undisturbed)


def test_an_interrupt_in_the_first_process_ends_all(together, undisturbed, tmp_path):
    found = values(together("stored", tmp_path, {"interrupt": 1}, {"resume": True}))
    assert [[end.get("raised") for end in value] for value in found] == [
        ["KeyboardInterrupt", None]
    ] * 2
    (result,) = load_results(tmp_path)
    assert without_clocks(result) == without_clocks(undisturbed)


def test_divergence_is_the_end_in_all(together, tmp_path):
    for value in values(together("stored", tmp_path, {"lr": 1e200})):
        assert [end["status"] for end in value] == ["diverged"]


def test_a_failure_in_one_process_is_recorded_and_the_next_run_goes_on(together, tmp_path):
    first, second = values(together("stored", tmp_path, {"fail": 1}, {"lr": 0.05}))
    assert first[0]["raised"] == "RuntimeError"
    assert "Process 1 of 2 failed" in first[0]["text"]
    assert second[0]["raised"] == "ArithmeticError"
    assert first[1]["status"] == second[1]["status"] == "done"
    stored = {result.config.hyperparams["lr"]: result for result in load_results(tmp_path)}
    assert stored[0.1].status == "failed"
    assert "the matrix is singular" in stored[0.1].error
    assert [record["epoch"] for record in stored[0.1].records] == [0, 1]


def test_memory_that_runs_out_in_one_process_is_a_sentence_in_the_result(together, tmp_path):
    first, second = values(together("stored", tmp_path, {"starve": 1}))
    assert first[0]["raised"] == second[0]["raised"] == "FailedRunError"
    (result,) = load_results(tmp_path)
    assert result.status == "failed"
    said, explained = result.error.splitlines()
    assert said == "Process 1 of 2 failed."
    assert explained.startswith("Out of memory on cpu: blobs with batch_size 16")


def test_a_killed_process_ends_the_others_with_a_valid_file(together, undisturbed, tmp_path):
    started = time.monotonic()
    first, second = together("stored", tmp_path, {"kill": 1})
    assert time.monotonic() - started < 60.0
    assert second is None
    assert first["value"][0]["raised"] == "LostProcessError"
    assert "--resume" in first["value"][0]["text"]
    (result,) = load_results(tmp_path)
    assert result.status == "running"
    assert [record["epoch"] for record in result.records] == [0, 1]
    values(together("stored", tmp_path, {"resume": True}))
    (result,) = load_results(tmp_path)
    assert without_clocks(result) == without_clocks(undisturbed)


# The command ----------------------------------------------------------------------------------


def command(out, *words, processes=2):
    """Return a command line that trains with stand-in data, and its environment."""
    several = [
        "-m", "torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1",
        "--nproc-per-node", str(processes), "-m", "deepobs_runner.cli",
    ]  # fmt: skip
    starter = several if processes > 1 else ["-m", "deepobs_runner.cli"]
    settings = ["--data", "synthetic", "--device", "cpu", "--out", str(out)]
    environment = {**os.environ, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    environment["PYTHONFAULTHANDLER"] = "1"  # an abort shows where
    return [sys.executable, *starter, "run", *words, *settings], environment


def run_command(out, *words, processes=2):
    line, environment = command(out, *words, processes=processes)
    options = {"env": environment, "capture_output": True, "text": True, "timeout": 300}
    found = subprocess.run(line, **options)
    # A thread of torch that asks for the interpreter's lock while the interpreter ends aborts the
    # process (pytorch/pytorch#179291): seen on busy machines, after the results are stored.
    if "terminate called without an active exception" in found.stderr:
        shutil.rmtree(out, ignore_errors=True)
        found = subprocess.run(line, **options)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("problem", ["fmnist_mlp", "fmnist_2c2d"])
@pytest.mark.parametrize(
    # Norms of the gradient are those at weights that differ by the rounding of all steps before.
    ("precision", "tolerance", "of_norms"),
    [("fp64", 1e-11, 1e-10), ("fp32", 1e-4, 1e-2)],
)
def test_torchrun_gives_the_numbers_of_one_process(
    tmp_path, problem, precision, tolerance, of_norms
):
    words = (problem, "Momentum", "lr=0.01", "--steps", "8", "--epochs", "4")
    results = []
    for processes in (1, 2):
        out = tmp_path / str(processes)
        done = run_command(out, *words, "--precision", precision, processes=processes)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("1 run: 1 done") == 1
        results += load_results(out)
    one, two = results
    assert one.config == two.config
    assert two.environment["world_size"] == 2
    difference = np.abs(one.step_objectives() - two.step_objectives()).max()
    assert 0.0 <= difference < tolerance
    for left, right in zip(one.records, two.records, strict=True):
        check_close(left["telemetry"], right["telemetry"], of_norms)
        losses = [record["metrics"]["test"]["loss"] for record in (left, right)]
        assert math.isclose(*losses, rel_tol=10 * tolerance)


@pytest.mark.slow
def test_torchrun_refuses_once_and_notes_batch_norm(tmp_path):
    uneven = run_command(tmp_path, "fmnist_mlp", "SGD", "lr=0.1", "--batch-size", "15")
    assert "15, which is not a multiple of 2 processes" in uneven.stderr
    assert not list(tmp_path.glob("*.json"))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds the processes in /proc")
def test_kill_of_one_process_of_torchrun(tmp_path):
    words = ("quadratic_deep", "SGD", "lr=0.01", "--epochs", "100000")
    line, environment = command(tmp_path, *words)
    process = subprocess.Popen(
        line, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        while not any(load_result(path).records for path in tmp_path.glob("*.json")):
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.1)
        listed = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
        children = [int(word) for word in listed.split()]
        assert len(children) == 2
        os.kill(children[1], signal.SIGKILL)
        killed = time.monotonic()
        process.communicate(timeout=60)
        assert time.monotonic() - killed < 45.0
    finally:
        process.kill()
        process.communicate()
    assert process.returncode != 0
    assert not any(Path(f"/proc/{child}").exists() for child in children)
    (result,) = load_results(tmp_path)
    assert result.status in ("running", "failed")
    last = result.records[-1]
    assert len(result.step_objectives()) == last["steps"]
    assert [record["epoch"] for record in result.records] == list(range(last["epoch"] + 1))
