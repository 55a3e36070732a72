"""Folders of somebody else: nothing there is run, obeyed or written through."""

import os
import subprocess
import sys

import numpy as np
import pytest
from runner_builders import SPLITS, run_of

from deepobs_runner.cli import main
from deepobs_runner.results.store import save_result

SCRIPT = """import sys
from deepobs_runner.cli import main
if __name__ == "__main__":
    sys.exit(main())
"""
"""As an installer writes it."""

MODULES = (
    "pickle", "struct", "multiprocessing", "json", "queue", "signal", "socket", "selectors",
    "torch", "numpy", "matplotlib", "scipy", "rich", "yaml", "sitecustomize",
)  # fmt: skip
"""A module of each of these names lies in the folder."""

BENCH = "bench SGD lr=0.01 Adam lr=0.01 --problem two_d_branin --epochs 1 --jobs 2 --quiet --out b"
COMMANDS = (BENCH, "report . --formats png --no-baselines --problem p", "list")


def fill(folder, number=2, **settings):
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(number):
        result = run_of(seed=seed, splits=SPLITS, per_epoch=1, **settings)
        save_result(result, folder, np.zeros(0))
    return folder


def command(words, folder, tmp_path, **environment):
    """Run the installed command in a folder."""
    script = tmp_path / "bin" / "deepobs"
    script.parent.mkdir(exist_ok=True)
    script.write_text(SCRIPT)
    return subprocess.run(
        [sys.executable, str(script), *words.split()],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """Return names of modules of the current folder that three commands have imported."""
    place = tmp_path_factory.mktemp("foreign")
    folder = fill(place / "results", 21)  # more than one process draws
    noted = place / "imported"
    for name in MODULES:
        text = f"open({str(noted)!r}, 'a').write({name!r} + chr(10))\nraise ImportError\n"
        (folder / f"{name}.py").write_text(text)
    for words in COMMANDS:
        done = command(words, folder, place)
        assert done.returncode == 0, done.stderr
    return noted.read_text().split() if noted.exists() else []


@pytest.mark.slow
@pytest.mark.parametrize("name", MODULES)
def test_no_module_of_the_current_folder_is_imported(imported, name):
    assert name not in imported


def test_a_worker_imports_nothing_from_the_current_folder(tmp_path, monkeypatch):
    from queue import SimpleQueue

    from deepobs_runner.executors.worker import WorkerProcess

    (tmp_path / "pickle.py").write_text("raise SystemExit(7)")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    events = SimpleQueue()
    worker = WorkerProcess(0, 1, events)
    try:
        _, event = events.get(timeout=120)
    finally:
        worker.close()
    assert event == {"event": "ready"}


def test_python_m_leaves_the_current_folder_out(tmp_path):
    (tmp_path / "rich.py").write_text("raise SystemExit(7)")
    done = subprocess.run(
        [sys.executable, "-m", "deepobs_runner.cli", "list"], cwd=tmp_path, capture_output=True
    )
    assert done.returncode == 0


def test_a_file_of_an_optimizer_is_still_found(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text("import torch\nclass Mine(torch.optim.SGD): pass\n")
    words = "run two_d_branin ./mine.py:Mine lr=0.01 --epochs 1 --quiet"
    assert main(words.split()) == 0


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("kind", ["settings", "pipe", "damaged"])
def test_no_matplotlibrc_of_the_current_folder_is_obeyed(tmp_path, kind):
    folder = fill(tmp_path / "results")
    if kind == "pipe":
        os.mkfifo(folder / "matplotlibrc")
    else:
        red = "savefig.facecolor: red\nfigure.facecolor: red\naxes.facecolor: red\n"
        (folder / "matplotlibrc").write_text(red if kind == "settings" else "\x1b[31m: \x07\n")
    done = command("plot . curves --no-baselines --out c.png", folder, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    from matplotlib.image import imread

    assert imread(folder / "c.png")[2, 2, :3].tolist() == [1.0, 1.0, 1.0]


def test_figures_ignore_the_settings_of_the_caller():
    import matplotlib

    from deepobs_runner.figures.style import paper_style

    with matplotlib.rc_context({"axes.facecolor": "red", "text.usetex": True}):
        with paper_style():
            assert matplotlib.rcParams["axes.facecolor"] == "white"
        assert matplotlib.rcParams["axes.facecolor"] == "red"


LINKS = (
    "report", "report/report.html", "report/methods.txt", "report/tables",
    "report/tables/final.csv", "report/.written", "report/evaluations.csv", "report/figures",
    "report/figures/curves-p.png", "report/latex/methods.tex", "report/.deepobs-draft",
    "report/.deepobs-lock",
)  # fmt: skip
REPORT = ["--formats", "html,csv,png,latex", "--no-baselines"]


@pytest.mark.parametrize("name", LINKS)
def test_a_report_is_not_written_through_a_link(tmp_path, capsys, name):
    folder, target = fill(tmp_path / "results"), tmp_path / "target"
    is_folder = name.endswith(("report", "tables", "figures", "draft"))
    target.mkdir() if is_folder else target.write_text("mine")
    link = folder / name
    link.parent.mkdir(parents=True, exist_ok=True)
    (link.parent if name.count("/") == 1 else link.parent.parent).joinpath(".written").touch()
    if name.endswith(".written"):
        link.unlink()
    link.symlink_to(target)
    assert main(["report", str(folder), *REPORT]) == 2
    assert f"{name} is a symbolic link" in capsys.readouterr().err
    assert list(target.iterdir()) == [] if is_folder else target.read_text() == "mine"


@pytest.mark.parametrize("name", [".locks", "tracking", "tuning"])
def test_a_run_is_not_written_through_a_link(tmp_path, capsys, recwarn, name):
    folder, target = tmp_path / "results", tmp_path / "target"
    folder.mkdir()
    target.mkdir()
    (folder / name).symlink_to(target)
    words = {"tuning": "tune two_d_branin SGD --budget 2 --epochs 1 --seeds 1"}.get(
        name, "run two_d_branin SGD lr=0.01 --epochs 1 --track jsonl"
    )
    code = main([*words.split(), "--quiet", "--out", str(folder)])
    assert code == (0 if name == "tracking" else 2)  # a tracker that fails is dropped
    said = capsys.readouterr().err + "".join(str(warning.message) for warning in recwarn)
    assert f"{name} is a symbolic link" in said
    assert list(target.iterdir()) == []


def test_a_ledger_is_not_appended_to_through_a_link(tmp_path, capsys):
    words = ["tune", "two_d_branin", "SGD", "--budget", "2", "--epochs", "1", "--seeds", "1"]
    words += ["--quiet", "--out", str(tmp_path / "results"), "--study", "s"]
    assert main(words) == 0
    (target := tmp_path / "target").write_text("mine")
    ledger = tmp_path / "results" / "tuning" / "s" / "ledger.jsonl"
    ledger.unlink()
    ledger.symlink_to(target)
    assert main(words) == 2
    assert "Cannot write" in capsys.readouterr().err
    assert target.read_text() == "mine"


@pytest.mark.parametrize("name", ["report.html", "methods.txt", "tables"])
def test_a_report_replaces_no_file_of_the_user(tmp_path, capsys, name):
    folder, out = fill(tmp_path / "results"), tmp_path / "mine"
    (out / name).parent.mkdir(parents=True)
    (out / name).write_text("mine")
    assert main(["report", str(folder), "--out", str(out), *REPORT]) == 2
    assert f"{name} is there, and DeepOBS did not write it" in capsys.readouterr().err
    assert [path.read_text() for path in out.iterdir()] == ["mine"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("kind", ["device", "full", "pipe", "link", "link to nothing"])
def test_an_output_is_never_replaced_by_a_file(tmp_path, capsys, kind):
    folder, place = fill(tmp_path / "results"), tmp_path / "out.csv"
    reader = None
    if kind == "pipe":
        os.mkfifo(place)
        reader = os.open(place, os.O_RDONLY | os.O_NONBLOCK)
    elif kind.startswith("link"):
        target = tmp_path / "target"
        target.write_text("old") if kind == "link" else None
        place.symlink_to(target)
    else:
        place = {"device": "/dev/null", "full": "/dev/full"}[kind]
    before = os.lstat(place)
    words = ["table", str(folder), "final", "--no-baselines", "--format", "csv"]
    assert main([*words, "--out", str(place)]) == (2 if kind == "full" else 0)
    assert os.lstat(place).st_ino == before.st_ino
    assert os.lstat(place).st_mode == before.st_mode
    if reader is not None:
        assert os.read(reader, 100_000).startswith(b"problem,")
    if kind.startswith("link"):
        assert target.read_text().startswith("problem,")
