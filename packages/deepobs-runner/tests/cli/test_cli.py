"""The `deepobs` command, in real processes."""

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from deepobs_problems import CATALOG, SUITES
from deepobs_runner.cli import main
from deepobs_runner.cli.commands.list import problem_table
from deepobs_runner.cli.terminal_table import terminal_table
from deepobs_runner.plans.problem_table import TABLE, problem_row, shipped_rows, table_text


def deepobs(*arguments, **options):
    command = [sys.executable, "-m", "deepobs_runner.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, **options)


def test_help_does_not_import_torch():
    script = (
        "import sys; from deepobs_runner.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "assert not {'torch', 'numpy', 'matplotlib', 'rich'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "bench" in done.stdout


def test_bench_and_report(tmp_path, capsys):
    out = tmp_path / "results"
    words = [
        "bench", "SGD", "Adam", "lr=0.03", "--problem", "quadratic_deep",
        "--seeds", "2", "--epochs", "2", "--recipe", "2019", "--out", str(out),
    ]  # fmt: skip
    done = deepobs(*words)
    assert done.returncode == 0, done.stderr
    assert "SGD: lr=0.015848932 (tuned in the official runs)" in done.stdout
    lines = [line for line in done.stdout.splitlines() if " epoch 2 " in line]
    assert len(lines) == 4  # the last record of every run
    run = "quadratic_deep Adam lr=0.03 epochs=2 recipe=2019 seed 43"
    assert lines[-1].startswith(f"{run}  epoch 2  train_eval obj")
    assert len(list(out.glob("*.json"))) == 4
    assert main(words) == 0
    assert "4 of 4 runs are finished already" in capsys.readouterr().out
    report = ["report", str(out), "--out", str(tmp_path / "report"), "--formats", "png,csv"]
    assert main(report) == 0
    reported = capsys.readouterr().out
    assert "official, 2019" in reported
    assert "different numbers of epochs (2, 100)" in reported
    image = (tmp_path / "report" / "figures" / "curves-quadratic_deep.png").read_bytes()
    assert image.startswith(b"\x89PNG")
    with (tmp_path / "report" / "tables" / "settings.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 5  # two of ours, three official
    assert {row["source"] for row in rows} == {"yours", "official"}


USER_PROBLEM = """
import torch
from deepobs_data import Dataset, Table
from deepobs_problems import Defaults, Problem
from torch import nn

def data(root=None, *, valid_size=0, recipe="standard"):
    x = torch.linspace(-1, 1, 400).reshape(100, 4)
    y = (x.sum(dim=1) > 0).long()
    train = Table(x, y)
    return Dataset(train=train, train_eval=train, valid=train if valid_size else None, test=train)

mine = Problem(
    name="mine", data=data, model=lambda: nn.Linear(4, 2), l2=0.01, defaults=Defaults(10, 3)
)
"""


def test_run_of_a_users_problem_with_every_setting(tmp_path):
    (tmp_path / "mine.py").write_text(USER_PROBLEM)
    words = [
        "run", tmp_path / "mine.py:mine", "SGD", "lr=0.01", "--epochs", 2, "--seed", 7,
        "--batch-size", 100,
        "--schedule", "cosine:warmup=0.1", "--l2", 0.1, "--l2-via", "optimizer", "--clip-norm", 5,
        "--precision", "fp64", "--valid-size", 50, "--device", "cpu", "--out", tmp_path, "--quiet",
    ]  # fmt: skip
    assert main(list(map(str, words))) == 0
    (path,) = tmp_path.glob("mine-SGD-7-*.json")
    config = json.loads(path.read_text())["config"]
    assert (config["seed"], config["batch_size"], config["l2"]) == (7, 100, 0.1)
    assert config["schedule"] == {"kind": "cosine", "final": 0.0, "warmup": 0.1}
    assert "valid" in json.loads(path.read_text())["records"][0]["metrics"]


def test_dry_run_trains_nothing(tmp_path, capsys):
    words = ["bench", "SGD", "Adam", "--problem", "quadratic_deep", "--seeds", "2", "--dry-run"]
    code = main([*words, "--out", str(tmp_path / "results")])
    assert code == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("to run ") for line in lines) == 4
    assert lines[-1].startswith("about ")
    assert "estimate" in lines[-1]
    assert "power of 2 seeds: deepobs plan-seeds quadratic_deep --seeds 2" in lines
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    "words", [["--problem", "quadratic_deep"], ["--problem", "mnist_mlp", "--seeds", "2"]]
)
def test_a_dry_run_says_nothing_of_power_that_is_not_known(words, tmp_path, capsys):
    words = ["bench", "SGD", "lr=0.1", *words, "--data", "synthetic", "--steps", "1", "--dry-run"]
    assert main([*words, "--out", str(tmp_path)]) == 0
    assert "plan-seeds" not in capsys.readouterr().out


def test_the_table_of_the_list_is_current():
    assert TABLE.read_text(encoding="utf-8") == table_text(), (
        "run: python tools/generate_problem_table.py"
    )


def test_a_table_of_another_version_is_not_read(monkeypatch):
    assert len(shipped_rows()) == len(CATALOG)
    monkeypatch.setattr("deepobs_runner.plans.problem_table.version", lambda name: "99")
    assert shipped_rows() is None


def test_the_list_does_not_import_torch():
    code = (
        "import sys; from deepobs_runner.cli import main; main(['list', '--tag', 'convex']); "
        "assert not {'torch', 'numpy', 'matplotlib'} & set(sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "quadratic_deep" in said.stdout


def listed(capsys, *arguments):
    assert main(["list", "--json", *arguments]) == 0
    return {row["problem"]: row for row in json.loads(capsys.readouterr().out)}


def test_list_as_json(capsys):
    rows = listed(capsys)
    assert list(rows) == list(CATALOG)
    assert rows["fmnist_2c2d"]["parameters"] == 3_274_634
    assert rows["imagenet_vgg19"]["parameters"] > 140_000_000
    assert rows["cifar100_wrn404"]["tags"] == ["batch-norm", "expensive", "image"]


def test_list_by_suite_and_tags(capsys):
    assert list(listed(capsys, "--tag", "convex", "--suite", "synthetic")) == ["quadratic_deep"]
    assert list(listed(capsys, "--suite", "modern")) == list(SUITES["modern"])
    assert list(listed(capsys, "--tag", "pinn")) == ["poisson_pinn", "burgers_pinn"]
    assert list(listed(capsys, "--tag", "convex", "--tag", "image", "--suite", "all")) == [
        "mnist_logreg", "fmnist_logreg",
    ]  # fmt: skip
    assert list(listed(capsys, "--suite", "small", "--tag", "convex")) == ["quadratic_deep"]
    assert listed(capsys, "--tag", "text", "--tag", "image") == {}
    assert main(["list", "--tag", "text", "--tag", "image"]) == 0
    assert "No problem" in capsys.readouterr().out


def test_the_list_fits_80_columns():
    rows = [problem_row(problem) for problem in CATALOG.values()]
    text = {}
    for width in (80, 200):
        console = Console(width=width)
        with console.capture() as printed:
            console.print(terminal_table(problem_table(rows)))
        text[width] = [line.rstrip() for line in printed.get().splitlines()]
    assert max(map(len, text[80])) <= 80
    # Only spaces and rules are shorter: nothing is cut.
    words = {width: [line.replace("─", "").split() for line in text[width]] for width in text}
    assert words[80] == words[200]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "fmnist_2d2c", "SGD", "lr=1"], "Did you mean 'fmnist_2c2d'"),
        (["run", "quadratic_deep", "Adm"], "'Adam'"),
        (["run", "quadratic_deep", "Adam", "lr=1", "beta1=2"], "no hyperparameter 'beta1'"),
        (["run", "quadratic_deep", "AdamW"], "needs a learning rate on quadratic_deep"),
        (["run", "quadratic_deep", "SGD", "lr=0,01"], "A decimal has a point, as in 0.01."),
        (["run", "two_d_beale", "torch.optim:Adam"], "torch.optim:Adam --space lr=log:1e-5:1"),
        (["run", "quadratic_deep", "SGD", "0.1"], "as key=value"),
        (["run", "quadratic_deep", "SGD", "--epochs", "-1"], "epochs is -1"),
        (["run", "quadratic_deep", "SGD", "--batch-size", "5000"], "training split has 1000"),
        (["run", "quadratic_deep", "SGD", "--device", "abacus"], "Unknown device 'abacus'"),
        (["run", "quadratic_deep", "SGD", "--schedule", "linear"], "Unknown schedule 'linear'"),
        (["run", "quadratic_deep", "SGD", "--l2", "0.1"], "no weights to regularize"),
        (
            ["run", "quadratic_deep", "SGD", "--device", "cuda:99", "--dry-run"],
            "Device 'cuda:99' not found",
        ),
        (["tune", "smal", "SGD"], "Unknown problem or suite 'smal'. Did you mean 'small'"),
        (["run", "nowhere.py:problem", "SGD", "lr=1"], "Cannot find the file nowhere.py"),
        (["run", "quadratic_deep", "SGD", "lr=-1"], "does not take these hyperparameters"),
        (["run", "quadratic_deep", "SGD", "--device", "meta"], "not supported"),
        (["run", "quadratic_deep", "SGD", "--valid-size", "5000"], "valid_size"),
        (
            ["run", "quadratic_deep", "SGD", "--recipe", "2019", "--batch-size", "1000"],
            "evaluated in whole batches",
        ),
        (["run", ":x", "SGD", "lr=1"], "is not a module"),
        (["run", "builtins:dict", "SGD", "lr=1"], "is a type"),
        (["bench", "SGD"], "No problem given"),
        (["bench", "lr=1", "SGD", "--problem", "quadratic_deep"], "needs an optimizer in front"),
        (["bench", "SGD", "--problem", "quadratic_deep", "--seeds", "0"], "--seeds is 0"),
        (["bench", "SGD", "--suite", "synthetik"], "'synthetic'"),
        (["list", "--suite", "tiny"], "Unknown suite"),
        (["list", "--tag", "konvex"], "Did you mean 'convex'"),
        (["bench", "SGD", "--problem", "quadratic_deep", "--jobs", "0"], "--jobs is 0"),
        (["bench", "plan.yaml", "SGD"], "'SGD' cannot be combined with a plan"),
        (["bench", "plan.yaml", "--epochs", "2"], "--epochs cannot be combined with a plan"),
        (["bench", "plan.yaml"], "Cannot read the plan plan.yaml: No such file"),
        (["report", "nowhere"], "folder nowhere does not exist"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_bad_input_is_one_sentence_and_exit_code_2(arguments, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("deepobs: ")
    assert said in error
    assert "Traceback" not in error


def test_bad_input_in_a_real_process(tmp_path):
    done = deepobs("run", "quadratik", "SGD", "lr=1", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("deepobs: Unknown problem 'quadratik'. Did you mean")
    assert not done.stdout


def test_missing_data_offline(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DEEPOBS_OFFLINE", "1")
    arguments = ["run", "fmnist_logreg", "SGD", "lr=0.1", "--data-dir", str(tmp_path / "empty")]
    assert main([*arguments, "--out", str(tmp_path / "results")]) == 2
    error = capsys.readouterr().err
    assert "train-images-idx3-ubyte" in error
    assert "--data-dir" in error


def test_empty_results_folder(tmp_path, capsys):
    assert main(["report", str(tmp_path)]) == 2
    assert "No results" in capsys.readouterr().err


def test_no_arguments_print_the_help(capsys):
    assert main([]) == 0
    assert "usage: deepobs" in capsys.readouterr().out


def test_version(capsys):
    assert main(["--version"]) == 0
    assert "deepobs-runner " in capsys.readouterr().out


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("arguments", [["list"], ["table", "official", "--format", "json"]])
def test_output_that_finds_no_space_is_a_sentence(arguments):
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "deepobs_runner.cli", *arguments]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=300)
    assert done.returncode == 2
    assert re.match("deepobs: .*No space left on device", done.stderr)
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((), "bigram_zipf Adam: lr=1.0 (reference setting)"),
        (("lr=1", "eps=1e-9"), "bigram_zipf Adam: lr=1.0 (reference setting)"),
        (("lr=0.5",), None),
    ],
)
def test_reference_values_are_named_where_a_run_has_them(given, said, tmp_path):
    done = deepobs("run", "bigram_zipf", "Adam", *given, "--dry-run", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stdout.splitlines() if "(reference setting)" in line] == [
        line for line in (said,) if line
    ]


def test_warnings_are_messages_without_a_location(tmp_path):
    decays = ("weight_decay=0.1", "--l2", "0.1")
    words = ("fmnist_mlp", "SGD", "lr=0.1", *decays, "--data", "synthetic", "--steps", "1")
    done = deepobs("run", *words, "--quiet", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if "decay" in line]
    assert line.startswith("deepobs: warning: SGD decays weights by 0.1 and the objective of")
    assert ".py" not in done.stderr


def test_plan_seeds_leaves_out_what_it_cannot_use(tmp_path):
    """A damaged file among results, and one seed, of which no spread is known."""
    words = ("quadratic_deep", "SGD", "lr=0.01", "--epochs", "1", "--quiet")
    assert deepobs("run", *words, "--out", str(tmp_path / "own")).returncode == 0
    (tmp_path / "own" / "quadratic_deep-SGD-99-000000000000.json").write_text("")
    done = deepobs("plan-seeds", "quadratic_deep", "--baselines", str(tmp_path / "own"))
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("is not a DeepOBS result") == 1
    said = "Speedups cannot be estimated without two runs of a reference that reach the target"
    assert said in " ".join(done.stdout.split())
    assert "on 0" not in done.stdout
