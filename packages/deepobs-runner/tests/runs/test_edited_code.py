"""A run's numbers are those of the code that its id names, however the code is edited."""

import importlib
import os
import pickle
import sys
from pathlib import Path

import pytest
import torch

from deepobs_problems import ProblemError
from deepobs_runner import Execution, RunConfig, run
from deepobs_runner.cli.main import main
from deepobs_runner.executors.local import run_all
from deepobs_runner.executors.remote import make_tasks, perform
from deepobs_runner.runs.resolve import resolve_config

OPTIMIZER = """
import torch

SCALE = 1.0


class Own(torch.optim.SGD):
    def __init__(self, params, lr=0.01):
        super().__init__(params, lr={}.0 * lr * SCALE)


def make(params, lr=0.01):
    return Own(params, lr=lr)
"""


def write(path, factor):
    path.write_text(OPTIMIZER.format(factor))
    os.utime(path, (1e9, 1e9))  # an edit within the same second, of the same length


def trained(optimizer, out, **settings):
    config = RunConfig(
        problem="two_d_branin", optimizer=optimizer, hyperparams={"lr": 1e-3}, steps=5, **settings
    )
    result = run(config, Execution(device="cpu", out=out))
    return result.config.id, result.records[-1]["metrics"]


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Return the file of a module `edited_optimizer` that can be imported."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    importlib.invalidate_caches()
    yield tmp_path / "edited_optimizer.py"
    sys.modules.pop("edited_optimizer", None)


def test_an_edited_file_is_imported_anew_within_the_same_second(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    path, found = tmp_path / "own.py", []
    for factor in (1, 2, 3, 1):
        write(path, factor)
        found.append(trained(f"{path}:make", tmp_path / f"out{len(found)}"))
    ids, numbers = zip(*found, strict=True)
    assert len(set(ids)) == 3
    assert found[0] == found[3]
    assert numbers[0] != numbers[1] != numbers[2] != numbers[0]


@pytest.mark.parametrize("name", ["Own", "make"])
@pytest.mark.parametrize("imported_before", [True, False])
def test_an_edited_module_is_refused(name, imported_before, module, tmp_path):
    write(module, 1)
    if imported_before:
        importlib.import_module("edited_optimizer")
    else:
        trained(f"edited_optimizer:{name}", tmp_path / "out")
    write(module, 2)
    for _ in range(2):
        with pytest.raises(ProblemError, match=r"edited after Python had imported.*Restart"):
            trained(f"edited_optimizer:{name}", tmp_path / "out")


def test_a_module_that_is_reloaded_or_put_back_runs(module, tmp_path):
    write(module, 1)
    first = trained("edited_optimizer:Own", tmp_path / "a")
    write(module, 2)
    importlib.reload(sys.modules["edited_optimizer"])
    second = trained("edited_optimizer:Own", tmp_path / "b")
    write(module, 1)
    with pytest.raises(ProblemError, match="edited"):
        trained("edited_optimizer:Own", tmp_path / "c")
    write(module, 2)
    assert trained("edited_optimizer:Own", tmp_path / "d") == second
    assert first[0] != second[0]
    assert first[1] != second[1]


def test_an_edited_problem_module_is_refused(module, tmp_path):
    text = "from dataclasses import replace\nfrom deepobs_problems import load_problem\n"
    text += "mine = replace(load_problem('two_d_branin'), name='mine', l2={})\n"
    module.write_text(text.format(0.0))
    config = RunConfig(
        problem="edited_optimizer:mine", optimizer="SGD", hyperparams={"lr": 0.01}, steps=2
    )
    run(config, Execution(device="cpu", out=tmp_path / "out"))
    module.write_text(text.format(0.1))
    with pytest.raises(ProblemError, match="edited after Python had imported edited_optimizer"):
        run(config, Execution(device="cpu", out=tmp_path / "out"))


def test_an_edited_package_with_a_short_name_is_refused(module, tmp_path):
    info = tmp_path / "own_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: own-package\nVersion: 1.0\n")
    points = "[deepobs.optimizers]\nShort = edited_optimizer:Own\n"
    (info / "entry_points.txt").write_text(points)
    write(module, 1)
    first = trained("Short", tmp_path / "out")
    write(module, 2)
    with pytest.raises(ProblemError, match="edited after Python had imported edited_optimizer"):
        trained("Short", tmp_path / "out")
    write(module, 1)
    assert trained("Short", tmp_path / "out") == first


def test_modules_that_nobody_edits_run(tmp_path):
    for name in ("torch.optim:SGD", "torch.optim.sgd:SGD"):
        assert trained(name, tmp_path / "out")[1]


def test_a_class_without_a_file_counts_by_its_code(tmp_path, monkeypatch):
    """Two versions of a notebook's cell."""
    cell = "class Cell(SGD):\n    def step(self, closure=None):\n        "
    cell += "loss = super().step(closure)\n        self.factor = {}\n        return loss"
    notebook = type(sys)("notebook_cells")
    monkeypatch.setitem(sys.modules, "notebook_cells", notebook)
    notebook.SGD = torch.optim.SGD
    ids = []
    for factor in (1, 2, 1):
        exec(cell.format(factor), vars(notebook))
        ids.append(trained("notebook_cells:Cell", tmp_path / "out")[0])
    assert ids[0] != ids[1]
    assert ids[0] == ids[2]


def planned(optimizer, seeds=1):
    return [
        resolve_config(
            RunConfig(
                problem="two_d_branin",
                optimizer=optimizer,
                hyperparams={"lr": 1e-3},
                steps=5,
                seed=42 + i,
            )
        )
        for i in range(seeds)
    ]


@pytest.mark.parametrize("jobs", [1, 2])
def test_code_that_is_edited_after_the_plan_was_made(jobs, tmp_path):
    path = tmp_path / "own.py"
    write(path, 1)
    configs = [*planned(f"{path}:Own", 2), *planned("SGD")]
    write(path, 2)
    execution = Execution(device="cpu", out=tmp_path / "out")
    own, other, sgd = run_all(configs, execution, jobs=jobs)
    assert sgd.status == "done"
    assert [own.config, other.config] == configs[:2]
    if jobs == 1:  # this process has the code that was planned
        assert own.good
        assert other.good
        write(path, 1)
        assert trained(f"{path}:Own", tmp_path / "fresh")[0] == own.config.id
    else:
        assert own.status == other.status == "refused"
        assert "own.py:Own changed after the run was planned" in own.message
    stored = sorted(path.stem for path in (tmp_path / "out").glob("*.json"))
    assert stored == sorted(o.config.id for o in (own, other, sgd) if o.good)


@pytest.mark.parametrize("edited", ["optimizer", "problem", "neither"])
def test_a_task_for_a_node_is_refused_if_the_code_there_is_another(edited, tmp_path):
    """As SLURM jobs and Ray tasks do it: the task waits in a queue."""
    files = {"optimizer": tmp_path / "own.py", "problem": tmp_path / "mine.py"}
    write(files["optimizer"], 1)
    files["problem"].write_text(
        "from dataclasses import replace\nfrom deepobs_problems import load_problem\n"
        "mine = replace(load_problem('two_d_branin'), name='mine')\n"
    )
    config = RunConfig(
        problem=f"{files['problem']}:mine",
        optimizer=f"{files['optimizer']}:Own",
        hyperparams={"lr": 1e-3},
        steps=3,
    )
    execution = Execution(device="cpu", out=tmp_path / "out")
    (task,) = make_tasks([resolve_config(config)], execution, force=False, threads=1)
    sent = pickle.loads(pickle.dumps(task))
    if edited in files:
        files[edited].write_text(files[edited].read_text() + "# edited\n")
    outcome = perform(sent)
    if edited == "neither":
        assert outcome.status == "done"
    else:
        assert outcome.status == "refused"
        name = getattr(config, edited)
        assert f"{name} changed after the run was planned" in outcome.message
    stored = [path.stem for path in (tmp_path / "out").glob("*.json")]
    assert stored == [task.config.id] * (edited == "neither")


def test_a_file_that_changes_the_folder_when_it_is_imported(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    below = tmp_path / "below"
    below.mkdir()
    text = f"import os\nos.chdir({str(below)!r})\n{OPTIMIZER.format(1)}"
    Path("first.py").write_text(text)
    Path("second.py").write_text(text)
    for name in ("first.py", "second.py"):
        assert trained(f"{name}:Own", Path("results"))[1]
    assert Path.cwd() == tmp_path
    assert len(list((tmp_path / "results").glob("*.json"))) == 2


EDITS_ITSELF = """
from pathlib import Path

import torch


class Own(torch.optim.SGD):
    def __init__(self, params, lr=0.01):
        super().__init__(params, lr=lr)
        with Path(__file__).open("a") as file:
            file.write("# edited while the command runs")
"""


def test_a_bench_ends_with_its_table_though_an_optimizer_is_edited(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("own.py").write_text(EDITS_ITSELF)
    words = ["bench", "own.py:Own", "lr=0.001", "SGD", "lr=0.001", "--problem", "two_d_branin"]
    options = ["--steps", "5", "--seeds", "3", "--jobs", "2", "--quiet"]
    assert main([*words, *options]) == 1
    shown = capsys.readouterr()
    assert "SGD lr=0.001" in shown.out
    assert "refused" in shown.out
    assert "own.py:Own changed after the run was planned" in shown.err
    assert len(list(Path("results").glob("two_d_branin-SGD-*.json"))) == 3
