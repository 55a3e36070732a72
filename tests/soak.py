"""Soak test: disturb benches on one folder at random, then compare with an undisturbed run.

    python tests/soak.py --seconds 1200 --seed 1

In every round two benches work in a new folder at once, and tables and reports read it meanwhile.
Processes, and groups of them, are killed, signalled and stopped, and files are damaged. At the end
of a round an undisturbed bench completes the folder. All results must equal those of a run that
nothing happened to, bit for bit without clocks. Prints what was done how often, and every failure.

Processes are forked from one that has imported torch, which takes most of a start. Some benches
start workers of their own.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from deepobs_runner import load_result, load_results
from deepobs_runner.cli import main
from deepobs_runner.errors import UsageError
from deepobs_runner.results.result import reproducible

BENCH = [
    *("bench", "SGD", "lr=0.01", "Adam", "lr=0.001", "--seeds", "2", "--epochs", "5"),
    *("--problem", "quadratic_deep", "--problem", "two_d_branin", "--device", "cpu", "--quiet"),
]
READERS = ("table {} final --no-baselines", "report {} --no-baselines --out {}-report")
SIGNALS = ("SIGKILL", "SIGTERM", "SIGINT", "SIGHUP", "SIGSTOP")
DAMAGES = ("empty", "half", "garbage", "zeros", "zeros within", "one bit", "gone", "a folder")
DAMAGED = {  # what each kind of file must survive; a result has no checksum, its steps may be gone
    ".json": [damage for damage in DAMAGES if damage != "one bit"],
    ".ckpt": [damage for damage in DAMAGES if damage != "a folder"],
    ".npy": [damage for damage in DAMAGES if damage not in ("gone", "a folder")],
}


class Process:
    """A forked `deepobs` command that leads a session of its own."""

    def __init__(self, words: Sequence[str]) -> None:
        self.words, self.disturbed = list(words), False
        self.code: int | None = None
        self._output = tempfile.TemporaryFile()  # noqa: SIM115
        self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                os.setsid()
                os.dup2(self._output.fileno(), 1)
                os.dup2(self._output.fileno(), 2)
                code = main(self.words)
                sys.stdout.flush()
            finally:
                os._exit(code)

    def is_running(self) -> bool:
        """Whether it has not ended."""
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
        return self.code is None

    def send(self, name: str, *, to_group: bool) -> None:
        """Send a signal; let one that it stops go on after a moment."""
        send = os.killpg if to_group else os.kill
        self.disturbed = True
        send(self.pid, getattr(signal, name))
        if name == "SIGSTOP":
            time.sleep(0.3)
            send(self.pid, signal.SIGCONT)

    def output(self) -> str:
        """Return what it has printed so far."""
        self._output.seek(0)
        return self._output.read().decode(errors="replace")


class Soak:
    """A series of rounds in a folder.

    Args:
        folder: empty.
        seed: of what is done, when and to what; the moments depend on the machine, too.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.chance = folder, random.Random(seed)
        self.done: Counter[str] = Counter()
        self.failures: list[str] = []
        undisturbed = folder / "undisturbed"
        commands = [[*BENCH, "--out", str(undisturbed)]]
        commands += [reader.format(undisturbed, undisturbed).split() for reader in READERS]
        for words in commands:  # here, so that all modules are imported before a process is forked
            with contextlib.redirect_stdout(io.StringIO()):
                assert main(words) == 0
        self.expected = numbers(undisturbed)
        assert len(self.expected) == 8

    def round(self) -> None:
        """Disturb a folder, complete it, and compare it."""
        out = self.folder / f"round-{self.done['rounds']}"
        before = len(self.failures)
        damages = 0
        for _ in range(self.chance.randint(2, 5)):
            damages += self._disturb(out)
        process = Process([*BENCH, "--out", str(out), "--retry-failed"])
        self._wait([process])
        if process.code != 0:
            self.failures.append(f"the last bench ended with {process.code}: {process.output()}")
        self._compare(out, damages)
        self.done["rounds"] += 1
        if len(self.failures) == before:
            shutil.rmtree(out)
            shutil.rmtree(f"{out}-report", ignore_errors=True)

    def _disturb(self, out: Path) -> int:
        """Start two benches and a reader, and disturb them; return the number of damages."""
        processes = [self._bench(out) for _ in range(self.chance.choice([1, 2, 2]))]
        damages = 0
        for _ in range(self.chance.randint(2, 6)):
            time.sleep(self.chance.expovariate(2.0))
            if out.exists() and self.chance.random() < 0.3:
                reader = self.chance.choices(READERS, [4, 1])[0].format(out, out).split()
                processes.append(Process(reader))
                self.done[f"commands: {reader[0]}"] += 1
            running = [process for process in processes if process.is_running()]
            if running and self.chance.random() < 0.7:
                self._signal(self.chance.choice(running))
            elif self.chance.random() < 0.7:
                damages += self._damage(out)
        self._wait(processes)
        return damages + self._damage(out)

    def _bench(self, out: Path) -> Process:
        words = [*BENCH, "--out", str(out)]
        words += self.chance.choice([[], ["--resume"], ["--resume", "--checkpoint-epochs", "3"]])
        if self.chance.random() < 0.15:
            words += ["--jobs", "2"]
            self.done["benches with workers"] += 1
        self.done["commands: bench"] += 1
        return Process(words)

    def _signal(self, process: Process) -> None:
        name, to_group = self.chance.choice(SIGNALS), self.chance.random() < 0.5
        try:
            process.send(name, to_group=to_group)
        except ProcessLookupError:
            return
        self.done[f"signals: {name} to {'a group' if to_group else 'a process'}"] += 1
        if self.chance.random() < 0.3:
            time.sleep(self.chance.choice([0.0, 0.01, 0.1]))
            self._signal(process)

    def _damage(self, out: Path) -> int:
        """Damage a file; return whether there was one."""
        files = [path for path in sorted(out.glob("*")) if path.suffix in DAMAGED]
        if not files:
            return 0
        # Checkpoints go soon, and decide where a run continues.
        checkpoints = [path for path in files if path.suffix == ".ckpt"]
        path = self.chance.choice(checkpoints or files)
        damage = self.chance.choice(DAMAGED[path.suffix])
        try:
            self._write(path, damage)
        except OSError:  # it was replaced or removed meanwhile
            return 0
        self.done[f"damages: {path.suffix} {damage}"] += 1
        return 1

    def _write(self, path: Path, damage: str) -> None:
        content = path.read_bytes() or bytes(64)
        middle = len(content) // 2
        if damage in ("gone", "a folder"):
            path.unlink()
            if damage == "a folder":
                path.mkdir()
            return
        changed = {
            "empty": b"",
            "half": content[:middle],
            "garbage": self.chance.randbytes(len(content)),
            "zeros": bytes(len(content)),
            "zeros within": content[: middle - 32] + bytes(64) + content[middle + 32 :],
            "one bit": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
        }[damage]
        path.write_bytes(changed)

    def _wait(self, processes: Sequence[Process], seconds: float = 600.0) -> None:
        """Wait until all have ended; note what an undisturbed one must not do."""
        deadline = time.monotonic() + seconds
        while any(process.is_running() for process in processes):
            if time.monotonic() > deadline:
                for process in processes:
                    if process.is_running():
                        os.killpg(process.pid, signal.SIGKILL)
                        self.failures.append(f"no end: {process.words}: {process.output()}")
            time.sleep(0.02)
        for process in processes:
            output = process.output()
            if "Traceback" in output and not (process.disturbed and "KeyboardInterrupt" in output):
                self.failures.append(f"a traceback: {process.words}: {output}")

    def _compare(self, out: Path, damages: int) -> None:
        try:
            found = numbers(out)
        except UsageError as error:
            self.failures.append(f"unreadable: {error}")
            return
        self.done["runs compared"] += len(self.expected)
        for name in self.expected.keys() | found.keys():
            if found.get(name) != self.expected.get(name):
                self.failures.append(f"other numbers: {out / name}")
        aside = list(out.glob("*.damaged*"))
        self.done["files set aside"] += len(aside)
        if len(aside) > 2 * damages:  # a result and its step objectives
            self.failures.append(f"{len(aside)} files set aside after {damages} damages in {out}")
        if left := [*out.glob(".*.tmp"), *out.glob("*.ckpt")]:
            self.failures.append(f"left behind: {left}")


def numbers(folder: Path) -> dict[str, object]:
    """Status, records and step objectives of each run in a folder, without clocks."""
    return {
        result.config.id: (
            result.status,
            [reproducible(record) for record in result.records],
            result.step_objectives().tobytes(),
        )
        for result in map(load_result, sorted(folder.glob("*.json")))
    }


def soak(seconds: float, seed: int) -> int:
    """Make rounds for so many seconds; print the counts; return 1 after a failure."""
    folder = Path(tempfile.mkdtemp(prefix="deepobs-soak-"))
    test, began = Soak(folder, seed), time.monotonic()
    while time.monotonic() - began < seconds:
        test.round()
    minutes = (time.monotonic() - began) / 60
    print(f"seed {seed}, {minutes:.1f} minutes, {len(load_results(folder / 'undisturbed'))} runs")
    print(json.dumps(dict(sorted(test.done.items())), indent=1))
    print(f"failures: {len(test.failures)}")
    for failure in test.failures:
        print(f"- {failure}")
    if not test.failures:
        shutil.rmtree(folder)
    return int(bool(test.failures))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    sys.exit(soak(arguments.seconds, arguments.seed))
