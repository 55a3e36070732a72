"""Signals to processes in training: no checkpoint of a completed epoch is lost."""

import os
import random
import signal
import subprocess
import sys
import threading
import time

import pytest
import torch
from processes import is_gone

from deepobs_runner import load_results, run
from deepobs_runner.runs import interrupts
from deepobs_runner.runs.checkpoint_file import checkpoint_path, load_checkpoint
from deepobs_runner.runs.interrupts import interruptible, shielded, was_interrupted


@pytest.fixture(autouse=True)
def _interrupts_have_their_usual_handler():
    """Whoever runs the tests in the background of a shell has SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


posix = pytest.mark.skipif(os.name == "nt", reason="process groups and SIGHUP are POSIX")

PROBLEM = """
import os
from pathlib import Path
import torch
from torch import nn
from deepobs_data import Dataset
from deepobs_data.table import Table
from deepobs_problems import Defaults, Problem, cross_entropy

def data(root=None, *, valid_size=0, recipe="standard"):
    x = torch.randn(60, 8, generator=torch.Generator().manual_seed(0))
    table = Table(x, (x.sum(1) > 0).long())
    return Dataset(train=table, train_eval=table, valid=None, test=table)

def network():
    width = int(os.environ.get("WIDTH", 16))
    return nn.Sequential(nn.Linear(8, width), nn.ReLU(), nn.Linear(width, 2))

def loss(output, batch):
    with open(Path(os.environ["CALLS"]) / str(os.getpid()), "a") as file:
        file.write(".")
    return cross_entropy(output, batch)

problem = Problem(
    name="counted", data=data, model=network, loss=loss,
    defaults=Defaults(batch_size=20, epochs=10**6),
)
"""
CALLS = 40
"""Evaluations of the loss after which several epochs are over."""

WORDS = {
    "one run": ("run {} SGD lr=0.01", 1, 1),
    "workers": ("bench SGD lr=0.01 --problem {} --seeds 2 --jobs 2", 2, 2),
    "a stack": ("bench SGD lr=0.01 --problem {} --seeds 5 --vectorize on", 1, 5),
    "torchrun": ("run {} SGD lr=0.01", 2, 1),
}
"""Of a command; the number of processes that train, and of runs that they make at once."""


class Training:
    """A command in a session of its own, and all its processes."""

    def __init__(self, name, folder, width=16):
        words, processes, self.runs = WORDS[name]
        self.out, calls = folder / "results", folder / "calls"
        calls.mkdir()
        (folder / "counted.py").write_text(PROBLEM)
        options = f"--quiet --device cpu --out {self.out}"
        command = f"{words.format(folder / 'counted.py:problem')} {options}"
        torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
        self.process = subprocess.Popen(
            [
                sys.executable,
                *(torchrun if name == "torchrun" else ()),
                *("-m", "deepobs_runner.cli", *command.split()),
            ],
            env={**os.environ, "CALLS": str(calls), "WIDTH": str(width)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            preexec_fn=_default_signals,
        )
        while sum(path.stat().st_size >= CALLS for path in calls.iterdir()) < processes:
            assert self.process.poll() is None, self.process.stdout.read()
            time.sleep(0.02)
        self.trainers = [int(path.name) for path in calls.iterdir()]

    def send(self, *numbers, delay=0.0, to_group=True):
        for number in numbers:
            if self.process.poll() is None:
                (os.killpg if to_group else os.kill)(self.process.pid, number)
            time.sleep(delay)

    def check_end(self):
        """Assert that it ended as by Ctrl-C, with a checkpoint of every run's last record."""
        printed, _ = self.process.communicate(timeout=60)
        assert "deepobs: Interrupted; finished runs are kept." in printed.splitlines()
        late = [-signal.SIGTERM, -signal.SIGHUP, -signal.SIGINT]  # in the exit of Python itself
        assert self.process.returncode in (130, *late), printed
        assert self.process.returncode != 130 or "Traceback" not in printed
        self.check_files()

    def check_files(self):
        deadline = time.monotonic() + 60
        while not all(map(is_gone, self.trainers)):
            assert time.monotonic() < deadline, "a process goes on"
            time.sleep(0.02)
        results = load_results(self.out)
        assert [result.status for result in results] == ["running"] * self.runs
        for result in results:
            path = checkpoint_path(self.out, result.config.id)
            epoch = load_checkpoint(path, result.config.id).epoch
            assert epoch == result.records[-1]["epoch"] >= 1
        assert not list(self.out.glob(".*.tmp"))


def _default_signals():
    # Whoever runs the tests in the background of a shell has SIGINT ignored, and hands it on.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


@pytest.fixture
def start(tmp_path):
    """Return a function that starts a command; what is left of it is killed at the end."""
    started = []

    def make(name, **options):
        folder = tmp_path / str(len(started))
        folder.mkdir()
        started.append(Training(name, folder, **options))
        return started[-1]

    yield make
    for training in started:
        training.process.kill()
        training.process.communicate()


@posix
@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("one run", [signal.SIGINT, signal.SIGTERM]),
        ("one run", [signal.SIGHUP]),
        ("workers", [signal.SIGINT]),
        ("a stack", [signal.SIGTERM, signal.SIGINT]),
    ],
)
def test_signals_to_a_group_leave_a_checkpoint_of_every_run(start, name, numbers):
    training = start(name, width=1000)
    training.send(*numbers, delay=0.005)
    training.check_end()


@posix
@pytest.mark.slow
@pytest.mark.parametrize("name", ["one run", "workers", "a stack"])
def test_signals_at_random_moments(start, name):
    """One to three, of one kind or several, at any distance, to the parent or to all."""
    chance = random.Random(name)
    for _ in range(10):
        training = start(name, width=chance.choice([16, 1000, 200_000]))
        time.sleep(chance.uniform(0.0, 0.5))
        kinds = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
        training.send(
            *chance.choices(kinds, k=chance.choice([1, 2, 3])),
            delay=chance.choice([0.0, 0.001, 0.01, 0.1, 0.5]),
            to_group=chance.random() < 0.7,
        )
        training.check_end()


@posix
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_to_torchrun_and_its_processes(start, number):
    training = start("torchrun", width=1000)
    training.send(number)  # torchrun passes it on, so that each process gets two
    training.process.communicate(timeout=60)
    training.check_files()


@posix
def test_stopped_workers_are_continued_to_store_their_runs(start):
    training = start("workers")
    for pid in training.trainers:
        os.kill(pid, signal.SIGSTOP)
    training.send(signal.SIGINT)
    training.check_end()


@posix
def test_workers_without_a_parent_store_their_runs(start):
    training = start("workers", width=1000)
    training.process.kill()
    training.check_files()


@posix
@pytest.mark.parametrize("ignored", [True, False], ids=["nohup", "default"])
def test_a_closed_terminal(tmp_path, ignored):
    """With the bar, which cannot be drawn any more: ignored, or an interrupt like any other."""
    import fcntl
    import termios

    ours, theirs = os.openpty()

    def take_terminal():
        _default_signals()
        fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)
        if ignored:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)

    words = ["run", "quadratic_deep", "SGD", "lr=0.01", "--epochs", "900", "--out", str(tmp_path)]
    process = subprocess.Popen(
        [sys.executable, "-m", "deepobs_runner.cli", *words],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=take_terminal,
        env={**os.environ, "TERM": "xterm"},
    )
    os.close(theirs)
    drawn = b""
    while b"/901" not in drawn or not list(tmp_path.glob("*.json")):
        drawn += os.read(ours, 65536)
    os.close(ours)
    assert process.wait(timeout=300) == (2 if ignored else 130)
    (result,) = load_results(tmp_path)
    assert result.status == ("done" if ignored else "running")
    assert checkpoint_path(tmp_path, result.config.id).exists() != ignored


EXIT = """
import atexit
import time
from pathlib import Path
from deepobs_problems import load_problem

def clean_up():
    Path("cleaning").touch()
    time.sleep(60)

atexit.register(clean_up)
problem = load_problem("quadratic_deep")
"""


@posix
@pytest.mark.parametrize("command", ["run {} SGD lr=0.01 --epochs 1", "check {}"])
def test_ctrl_c_in_the_exit_of_python_prints_no_traceback(tmp_path, command):
    """Libraries clean up there, and a second Ctrl-C often comes as late."""
    (tmp_path / "slow_exit.py").write_text(EXIT)
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "deepobs_runner.cli",
            *command.format("slow_exit.py:problem").split(),
        ],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=_default_signals,
    )
    while not (tmp_path / "cleaning").exists():
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    printed, _ = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGINT
    assert "Traceback" not in printed


class Deaf(torch.optim.SGD):
    """Gets a signal in its tenth step, and makes something else of it."""

    replies = None

    def step(self, closure):
        self.taken = getattr(self, "taken", 0) + 1
        try:
            if self.taken == 10:
                signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            if self.replies is not None:
                raise self.replies from None
        return super().step(closure)


@pytest.mark.parametrize("replies", [None, ArithmeticError("?"), SystemExit("bye")], ids=repr)
def test_an_optimizer_that_catches_interrupts_is_interrupted_anyhow(
    problem, configure, execution, monkeypatch, replies
):
    monkeypatch.setattr(torch.optim, "Deaf", Deaf, raising=False)
    monkeypatch.setattr(Deaf, "replies", replies)
    with pytest.raises(KeyboardInterrupt):
        run(configure("Deaf", epochs=5), execution, problem=problem)
    (result,) = load_results(execution.out)
    assert (result.status, result.records[-1]["epoch"]) == ("running", 2)  # 4 steps per epoch
    run_id = result.config.id  # has the hash of this file
    assert load_checkpoint(checkpoint_path(execution.out, run_id), run_id).epoch == 2
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_signal_under_a_shield_waits():
    done = []

    def work():
        with shielded(), shielded():
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGTERM)
            done.append("in it")
        done.append("behind it")

    with interruptible() as received, pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["in it"]
    assert received == [signal.SIGINT]
    with interruptible():
        assert not was_interrupted()


def test_later_signals_are_ignored_for_a_time(monkeypatch):
    with interruptible() as received:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
        assert was_interrupted()
        monkeypatch.setattr(interrupts, "SECONDS_OF_PEACE", 0.0)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert received == [signal.SIGINT] * 2


@pytest.mark.parametrize("handler", [signal.SIG_IGN, print])
def test_handlers_of_others_stay(handler):
    before = signal.signal(signal.SIGINT, handler)
    try:
        with interruptible():
            assert signal.getsignal(signal.SIGINT) is handler
            assert signal.getsignal(signal.SIGTERM) is interrupts._interrupt
    finally:
        signal.signal(signal.SIGINT, before)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_other_threads_set_no_handlers():
    handlers = []

    def work():
        with interruptible(), shielded():
            handlers.append(signal.getsignal(signal.SIGINT))
            assert not was_interrupted()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert handlers == [signal.getsignal(signal.SIGINT)]
