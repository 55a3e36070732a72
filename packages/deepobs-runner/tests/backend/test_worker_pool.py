import os
import subprocess
import sys

import pytest

from deepobs_runner import load_results
from deepobs_runner.backend.worker_pool import InlineExecutor, worker_pool
from deepobs_runner.cli import main
from deepobs_runner.cli.console import PatientConsole
from deepobs_runner.errors import UsageError

COMMAND = "import sys; from deepobs_runner.cli import main; sys.exit(main())"


def test_an_inline_executor_uses_this_process_and_keeps_exceptions_for_the_future():
    assert InlineExecutor().submit(os.getpid).result() == os.getpid()
    future = InlineExecutor().submit(int, "x")
    with pytest.raises(ValueError, match="invalid literal"):
        future.result()
    with worker_pool(1) as executor:
        assert isinstance(executor, InlineExecutor)


def test_without_a_main_module_to_import_there_is_no_pool(monkeypatch):
    monkeypatch.setattr(sys.modules["__main__"], "__file__", "/nowhere/<stdin>", raising=False)
    with worker_pool(2) as executor:
        assert isinstance(executor, InlineExecutor)


def test_a_reader_that_goes_away_ends_no_work(capfd):
    reader, writer = os.pipe()
    os.close(reader)
    console = PatientConsole(file=os.fdopen(writer, "w"))
    console.print("nobody reads this")
    console.print("nor this")
    assert console.quiet
    os.write(writer, b"the descriptor leads nowhere now")


def test_a_run_goes_on_when_its_reader_goes_away(tmp_path):
    words = ["run", "two_d_branin", "SGD", "lr=1e-4", "--steps", "30", "--out", str(tmp_path)]
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-c", COMMAND, *words]
    ended = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert ended.stderr == b""
    assert ended.returncode == 0
    (result,) = load_results(tmp_path)
    assert result.status == "done"


@pytest.mark.slow
def test_a_main_module_that_cannot_be_imported_again_is_said(tmp_path):
    program = tmp_path / "unguarded.py"
    program.write_text(
        "import os\nfrom deepobs_runner.backend.worker_pool import worker_pool\n"
        "with worker_pool(2) as executor:\n    executor.submit(os.getpid).result()\n"
    )
    ended = subprocess.run([sys.executable, str(program)], capture_output=True, text=True)
    assert "could not be started" in ended.stderr
    assert '__name__ == "__main__"' in ended.stderr


@pytest.mark.slow
def test_a_pool_has_other_processes_and_a_killed_one_is_an_error():
    with worker_pool(2) as executor:
        assert executor.submit(os.getpid).result() != os.getpid()
    with pytest.raises(UsageError, match="was killed; is memory short"), worker_pool(2) as executor:
        executor.submit(os._exit, 9).result()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there, a pipe tells no end")
def test_no_process_of_a_pool_outlives_the_one_that_was_killed(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        "import os, signal\n"
        "from deepobs_runner.backend.worker_pool import worker_pool\n"
        'if __name__ == "__main__":\n'
        "    with worker_pool(2) as executor:\n"
        "        executor.submit(os.getpid).result()\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    # Each has the program's output open, so reading it ends with the last of them.
    subprocess.run([sys.executable, str(program)], stdout=subprocess.PIPE, timeout=60)


@pytest.mark.slow
def test_a_report_is_the_same_with_and_without_a_pool(tmp_path):
    words = ["bench", "SGD", "lr=1e-4", "Adam", "lr=0.1", "--problem", "two_d_branin",
             "--seeds", "10", "--steps", "30"]  # fmt: skip
    results = tmp_path / "results"
    assert main([*words, "--quiet", "--out", str(results)]) == 0
    ask = ["report", str(results), "--paper", "--out"]
    # In a process of its own, because workers import the main module again.
    command = [sys.executable, "-c", COMMAND, *ask, str(tmp_path / "pool")]
    subprocess.run(command, check=True, capture_output=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("deepobs_runner.cli.commands.report.WORTH_A_POOL", 10**9)
        assert main([*ask, str(tmp_path / "alone")]) == 0
    files = sorted(p.relative_to(tmp_path / "alone") for p in (tmp_path / "alone").rglob("*.*"))
    assert {path.suffix for path in files} >= {".html", ".png", ".pdf", ".csv", ".tex"}
    for path in files:
        assert (tmp_path / "pool" / path).read_bytes() == (tmp_path / "alone" / path).read_bytes()
