"""A study belongs to one version of the user's code: trials of two are never mixed."""

import json
from pathlib import Path

import pytest

from deepobs_runner.cli import main
from deepobs_runner.tuning.ledger import read_ledger

OPTIMIZER = """
import torch

class Own(torch.optim.SGD):
    def __init__(self, params, lr):
        super().__init__(params, lr={} * lr)
"""

PROBLEM = """
from dataclasses import replace
from deepobs_problems import load_problem

mine = replace(load_problem("two_d_branin"), name="mine")  # {}
"""

SAMPLER = """
from deepobs_runner.tuning.samplers import SAMPLERS

given = SAMPLERS.load("random" if {} < 2 else "sobol")
"""


def tune(*words, problem="two_d_branin", name="s"):
    options = ["--space", "lr=log:1e-4:1", "--budget", "2", "--steps", "3", "--seeds", "1"]
    study = ["--study", name] if name else []
    return main(["tune", problem, *words, *options, *study, "--device", "cpu", "--quiet"])


def edited(path, text, number):
    path.write_text(text.format(number))


CASES = {
    "optimizer": ("own.py:Own", OPTIMIZER, lambda: tune("own.py:Own")),
    "problem": ("own.py:mine", PROBLEM, lambda: tune("SGD", problem="own.py:mine")),
    "sampler": ("own.py:given", SAMPLER, lambda: tune("SGD", "--sampler", "own.py:given")),
}


@pytest.mark.parametrize("case", CASES)
def test_an_edit_between_two_commands_is_refused(case, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    name, text, command = CASES[case]
    path = Path("own.py")
    edited(path, text, 1)
    assert command() == 0
    lines = read_ledger(Path("results/tuning/s"))
    assert len(lines) == 2
    capsys.readouterr()
    edited(path, text, 2)
    assert command() == 2
    assert f"The study 's' began with another version of {name} (code" in capsys.readouterr().err
    assert read_ledger(Path("results/tuning/s")) == lines
    edited(path, text, 1)
    assert command() == 0
    assert read_ledger(Path("results/tuning/s")) == lines


def test_the_default_name_is_that_of_the_version(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number in (1, 2, 1):
        edited(Path("own.py"), OPTIMIZER, number)
        assert tune("own.py:Own", name="") == 0
    folders = sorted(Path("results/tuning").iterdir())
    assert [len(read_ledger(folder)) for folder in folders] == [2, 2]


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_an_edit_during_the_study_ends_it_without_a_winner(jobs, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    path = Path("own.py")
    itself = "\nfrom pathlib import Path\nPath(__file__).open('a').write('# edited')\n"
    edited(path, OPTIMIZER, 1)
    build = "        super().__init__"
    path.write_text(path.read_text().replace(build, f"        edit()\n{build}"))
    path.write_text(path.read_text() + "\ndef edit():" + itself.replace("\n", "\n    "))
    assert tune("own.py:Own", "--jobs", jobs) == 2
    assert "own.py:Own was edited after the study began" in capsys.readouterr().err
    lines = read_ledger(Path("results/tuning/s"))
    assert {line["status"] for line in lines} <= {"done", "refused"}
    assert not list(Path("results/tuning/s").glob("plan*"))


def test_a_study_of_an_earlier_version_goes_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    edited(Path("own.py"), OPTIMIZER, 1)
    assert tune("own.py:Own") == 0
    stored = Path("results/tuning/s/study.json")
    study = json.loads(stored.read_text())
    assert list(study.pop("sources")) == ["own.py:Own"]
    stored.write_text(json.dumps(study))
    assert tune("own.py:Own") == 0
    assert len(read_ledger(stored.parent)) == 2
