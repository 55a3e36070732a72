"""Studies carried out: every trial is noted, nothing is repeated, the winner is always the same."""

import errno
import json
import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from deepobs_runner import Execution, UsageError, load_plan, load_result, load_results, run_all
from deepobs_runner.analysis import tuned_settings
from deepobs_runner.cli import main
from deepobs_runner.cli.tuning import sentences, trials_table
from deepobs_runner.report.data import gather_data
from deepobs_runner.report.tables import TABLES
from deepobs_runner.results.files import write_bytes
from deepobs_runner.runs.outcome import Outcome
from deepobs_runner.tuning.cost import tuning_cost
from deepobs_runner.tuning.ledger import (
    LEDGER,
    damaged_lines,
    open_ledger,
    read_ledger,
    study_folder,
)
from deepobs_runner.tuning.spaces import Choice, LogUniform, Space
from deepobs_runner.tuning.study import make_study
from deepobs_runner.tuning.tuner import choose_valid_sizes, make_trials

RATES = Space({"lr": LogUniform(1e-4, 1.0)})

OWN = """
import torch
from functools import partial
from torch import nn
from deepobs_data import Dataset
from deepobs_data.table import Table
from deepobs_problems import Defaults, Problem

def line(root=None, *, valid_size=0, recipe="standard"):
    x = torch.linspace(-1, 1, 60)[:, None]
    y = (x[:, 0] > 0).long()
    rows = torch.randperm(60, generator=torch.Generator().manual_seed(0))
    def table(rows):
        return Table(x[rows], y[rows])
    return Dataset(train=table(rows[valid_size:40]), train_eval=table(rows[30:40]),
                   valid=table(rows[:valid_size]) if valid_size else None, test=table(rows[40:]))

tiny = Problem(name="tiny", data=line, model=partial(nn.Linear, 1, 2),
               defaults=Defaults(batch_size=10, epochs=3))

class Fragile(torch.optim.SGD):
    def __init__(self, params, lr, mode="fine"):
        self.mode = mode
        super().__init__(params, lr=lr)
    def step(self, closure):
        if self.mode == "memory":
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        if self.mode == "nan":
            for group in self.param_groups:
                for p in group["params"]:
                    p.data.fill_(float("nan"))
        return super().step(closure)
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Return the path of a file with a problem of 40 training rows and an optimizer that fails."""
    (tmp_path / "own_tuning.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    return "own_tuning.py"


def small(execution, *, optimizers=(("SGD", {}),), problems=("two_d_branin",), **options):
    """Return a study of few steps, with its validation sizes."""
    options = {"settings": {"steps": 5}, "budget": 4, **options}
    options.setdefault("spaces", {name: RATES for name, _ in optimizers})
    return choose_valid_sizes(
        make_study(options.pop("ruleset", "best-of-k"), problems, optimizers, **options), execution
    )


def carried_out(study, execution, **options):
    with open_ledger(study, execution.out, "s") as ledger:
        return make_trials(ledger, execution, **options)


def test_every_trial_is_an_ordinary_result_and_a_line_of_the_ledger(execution):
    study = small(execution)
    (tuned,) = carried_out(study, execution)
    lines = read_ledger(execution.out / "tuning" / "s")
    results = {result.config.id: result for result in load_results(execution.out)}
    assert [line["number"] for line in lines] == [0, 1, 2, 3]
    for line, trial in zip(lines, tuned.trials, strict=True):
        result = results[line["run"]]
        assert result.config.valid_size == 10_000  # as many as for training; no row is held out
        assert result.config.hyperparams["lr"] == line["point"]["lr"] == trial.point["lr"]
        assert line["status"] == result.status
        assert (line["epochs"], line["steps"]) == (1, 5)
        if line["status"] == "done":
            assert line["value"] == result.series("valid", "objective")[-1]
            assert line["metric"] == "valid objective"
    finished = [line for line in lines if line["status"] == "done"]
    assert tuned.winner.run == min(finished, key=lambda line: line["value"])["run"]
    assert "test" not in json.dumps(lines)
    (cost,) = tuning_cost(execution.out)
    assert (cost.trials, cost.budget, cost.epochs, cost.steps) == (4, 4, 4, 20)
    assert cost.seconds == pytest.approx(sum(line["seconds"] for line in lines))


def test_a_trial_that_a_time_limit_cut_cannot_win(execution):
    study = small(execution, settings={"epochs": 2})
    (tuned,) = carried_out(study, replace(execution, time_limit=1e-9))
    assert {trial.status for trial in tuned.trials} <= {"stopped", "diverged"}
    assert tuned.winner is None
    cut = sum(trial.status == "stopped" for trial in tuned.trials)
    assert cut > 0
    said = " ".join(sentences([tuned], study))
    assert f"the time limit ended {cut} trials, which cannot win" in said
    (tuned,) = carried_out(study, replace(execution, resume=True))
    assert tuned.winner.status == "done"
    assert "time limit" not in " ".join(sentences([tuned], study))


def test_the_winners_table_names_outcomes_as_the_table_of_costs(execution):
    study = small(execution)
    with open_ledger(study, execution.out, "s") as ledger:
        (tuned,) = make_trials(ledger, execution)
        table = trials_table([tuned], ledger)
    (cost,) = tuning_cost(execution.out)
    (row,) = table.rows
    assert (row["diverged"] or 0, row["failed"] or 0) == (cost.diverged, cost.failed)
    assert cost.diverged > 0
    assert "Pruned" not in [column.title for column in table.columns]
    for end, find in (("smallest", min), ("largest", max)):
        winner = find(tuned.trials, key=lambda trial: trial.point["lr"])
        said = " ".join(sentences([replace(tuned, winner=winner)], study))
        assert f"the best lr is the {end} of 4 values tried" in said


def test_a_study_that_was_interrupted_goes_on(execution):
    study = small(execution)
    seen = []
    (whole,) = carried_out(study, replace(execution, out=execution.out / "whole"))

    class Interrupts:
        def start(self, run, label, evaluations):
            seen.append(run)
            if len(seen) == 3:
                raise KeyboardInterrupt

        def record(self, run, epoch, metrics, seconds):
            assert set(metrics) == {"train_eval", "valid"}

        def finish(self, run):
            pass

    with pytest.raises(KeyboardInterrupt):
        carried_out(study, execution, reporter=Interrupts())
    assert len(read_ledger(execution.out / "tuning" / "s")) == 2  # noted when they ended
    (tuned,) = carried_out(study, execution, reporter=Interrupts())
    assert seen[3:] == [trial.run for trial in tuned.trials[2:]]
    assert tuned.winner.run == whole.winner.run
    assert [t.value for t in tuned.trials] == [t.value for t in whole.trials]
    content = (execution.out / "tuning" / "s" / LEDGER).read_bytes()
    carried_out(study, execution, reporter=Interrupts())
    assert len(seen) == 5
    assert (execution.out / "tuning" / "s" / LEDGER).read_bytes() == content


def test_a_ledger_that_was_cut_off_is_completed(execution):
    study = small(execution, budget=2)
    carried_out(study, execution)
    path = execution.out / "tuning" / "s" / LEDGER
    content = path.read_bytes()
    path.write_bytes(content[:-20])
    assert len(read_ledger(path.parent)) == 1
    carried_out(study, execution)
    assert len(read_ledger(path.parent)) == 2
    assert path.read_bytes().endswith(content.splitlines(keepends=True)[-1])


@pytest.mark.parametrize(
    "damage",
    [
        b"\x00garbage{",
        b"[1, 2]",
        b'{"problem": "two_d_branin", "optimizer": "SGD", "number": 0, "run": "r"}',
        None,  # a number in the place of the point
    ],
)
def test_a_damaged_line_is_named_and_noted_again(execution, capsys, damage):
    study = small(execution, budget=2)
    carried_out(study, execution)
    path = execution.out / "tuning" / "s" / LEDGER
    first, second = path.read_bytes().splitlines()
    if damage is None:
        damage = json.dumps({**json.loads(first), "point": 3}).encode()
    path.write_bytes(damage + b"\n" + second + b"\n")
    assert damaged_lines(path.parent) == [1]
    for kind, rows in (("trials", 1), ("cost", 1)):
        assert main(["table", str(execution.out), kind, "--format", "json", "--no-baselines"]) == 0
        said = capsys.readouterr()
        assert len(json.loads(said.out)) == rows
        assert "ledger.jsonl: line 1 is not a trial" in said.err
    carried_out(study, execution)
    assert sorted(line["number"] for line in read_ledger(path.parent)) == [0, 1]


def test_a_damaged_study_costs_no_other_study_its_end(execution, capsys):
    carried_out(small(execution, budget=2), execution)
    broken = execution.out / "tuning" / "broken"
    broken.mkdir()
    (broken / "study.json").write_text("{")
    command = ["tune", "two_d_branin", "SGD", "--budget", "2", "--steps", "5", "--seeds", "1"]
    assert main([*command, "--out", str(execution.out), "--device", "cpu", "--quiet"]) == 0
    capsys.readouterr()
    assert main(["table", str(execution.out), "cost", "--format", "json", "--no-baselines"]) == 0
    said = capsys.readouterr()
    assert len(json.loads(said.out)) == 2
    assert "study.json cannot be read" in said.err
    assert main([*command, "--out", str(execution.out), "--study", "broken"]) == 2
    assert "Remove it and rerun the command" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["study.json", "ledger.jsonl", "plan.yaml"])
def test_a_full_disk_is_said_and_gone_on_from(name, execution, capsys, monkeypatch):
    out = execution.out
    command = ["tune", "two_d_branin", "SGD", "--budget", "2", "--steps", "5", "--seeds", "1"]
    command += ["--out", str(out), "--device", "cpu", "--quiet", "--study", "s"]

    def full(path, content):
        if path.name == name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write_bytes(path, content)

    with monkeypatch.context() as patch:
        patch.setattr("deepobs_runner.tuning.ledger.write_bytes", full)
        patch.setattr("deepobs_runner.plans.write.write_bytes", full)
        if name == "ledger.jsonl":
            own = SimpleNamespace(**{**vars(os), "fsync": lambda _: full(Path(name), b"")})
            patch.setattr("deepobs_runner.tuning.ledger.os", own)
        assert main(command) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"deepobs: Cannot write {out / 'tuning' / 's' / name}: No space left")
    assert "Traceback" not in said
    assert damaged_lines(out / "tuning" / "s") == []
    if name == "ledger.jsonl":  # nothing half written
        assert (out / "tuning" / "s" / name).read_bytes() == b""
    assert main(command) == 0
    assert len(read_ledger(out / "tuning" / "s")) == 2


def test_a_choice_without_some_trials_is_no_success(execution, capsys, monkeypatch):
    command = ["tune", "two_d_branin", "SGD", "--budget", "4", "--steps", "5", "--seeds", "1"]
    command += ["--out", str(execution.out), "--device", "cpu", "--quiet", "--study", "s"]

    def loses_one(configs, execution, **options):
        if len(configs) < 4:
            return run_all(configs, execution, **options)
        lost = Outcome(config=configs[0], status="killed", message="killed with SIGKILL")
        return [lost, *run_all(configs[1:], execution, **options)]

    with monkeypatch.context() as patch:
        patch.setattr("deepobs_runner.cli.tuning.executor_of", lambda _: loses_one)
        assert main(command) == 1
    printed = " ".join(capsys.readouterr().out.split())
    assert "1 trial without a result, not considered" in printed
    assert main(command) == 0
    assert "without a result" not in capsys.readouterr().out


def test_a_name_belongs_to_one_study(execution):
    study = small(execution, budget=2)
    busy = pytest.raises(UsageError, match="Another process is running the study 's'")
    with open_ledger(study, execution.out, "s"), busy:
        carried_out(study, execution)
    with pytest.raises(UsageError, match=r"study 's' exists with other settings \(budget: 2"):
        carried_out(small(execution, budget=3), execution)
    with pytest.raises(UsageError, match=r"study name '\.\./s' must be of letters"):
        study_folder(execution.out, "../s")


def test_whatever_happens_to_a_trial_is_noted_and_the_rest_goes_on(own, execution):
    optimizer = f"{own}:Fragile"
    study = small(
        execution,
        optimizers=[(optimizer, {"lr": 0.1})],
        problems=[f"{own}:tiny"],
        spaces={optimizer: Space({"mode": Choice(("memory", "nan", "fine"))})},
        sampler="grid",
        budget=3,
        settings={},
    )
    assert study.valid_sizes == {f"{own}:tiny": 4}  # a tenth of 40
    (tuned,) = carried_out(study, execution)
    assert [t.status for t in tuned.trials] == ["failed", "diverged", "done"]
    assert "out of memory" in tuned.trials[0].message
    assert [t.value is None for t in tuned.trials] == [True, True, False]
    assert tuned.winner is tuned.trials[2]
    assert tuned.winner.metric.name == "accuracy"
    (cost,) = tuning_cost(execution.out)
    assert (cost.trials, cost.failed, cost.diverged) == (3, 1, 1)


def test_a_killed_worker_is_a_lost_trial(execution):
    study = small(execution, budget=2)

    def killed(configs, execution, **options):
        return [Outcome(config=c, status="killed", message="SIGKILL") for c in configs]

    (tuned,) = carried_out(study, execution, execute=killed)
    assert tuned.winner is None
    assert {line["status"] for line in read_ledger(execution.out / "tuning" / "s")} == {"killed"}
    (tuned,) = carried_out(study, execution)  # made again
    assert tuned.winner is not None
    assert [line["status"] for line in read_ledger(execution.out / "tuning" / "s")] == ["done"] * 2


def test_without_the_data_there_is_no_study(tmp_path, execution, monkeypatch):
    monkeypatch.setenv("DEEPOBS_OFFLINE", "1")
    execution = replace(execution, data_dir=tmp_path / "empty")
    study = small(execution, problems=["fmnist_logreg"], budget=2)
    assert study.valid_sizes == {"fmnist_logreg": 6000}
    with pytest.raises(UsageError, match=r"(?s)No trial could be made: .*train-images-idx3-ubyte"):
        carried_out(study, execution)


def test_one_configuration_for_several_problems(execution):
    problems = ["two_d_branin", "two_d_beale"]
    study = small(execution, ruleset="shared", problems=problems, sampler="grid")
    both = carried_out(study, execution)
    assert [t.problem for t in both] == problems
    assert both[0].winner.point == both[1].winner.point
    assert both[0].score == both[1].score > 0
    assert len(read_ledger(execution.out / "tuning" / "s")) == 8


def test_the_command_ends_in_a_plan_of_the_winners_runs(tmp_path, capsys):
    out = tmp_path / "out"
    command = [
        "tune", "two_d_branin", "SGD", "Adam", "betas=0.9,0.99", "--budget", "3", "--steps", "5",
        "--seeds", "2", "--study", "mine", "--out", str(out), "--device", "cpu", "--quiet",
        "--schedule", "cosine", "--clip-norm", "5",
    ]  # fmt: skip
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert "held out while tuning: 10,000 of two_d_branin" in printed
    folder = out / "tuning" / "mine"
    planned = load_plan(folder / "plan.yaml")
    assert [(c.optimizer, c.seed) for c in planned] == [
        ("SGD", 43), ("SGD", 44), ("Adam", 43), ("Adam", 44),
    ]  # fmt: skip
    assert "winners: seeds 43 to 44; the trials use seed 42" in printed
    lines = read_ledger(folder)
    for config in planned:
        assert config.valid_size == 0
        assert load_result(out / f"{config.id}.json").status == "done"
        own = [line for line in lines if line["optimizer"] == config.optimizer]
        best = min((line for line in own if line["value"] is not None), key=lambda x: x["value"])
        assert config.hyperparams["lr"] == best["point"]["lr"]
    assert planned[2].hyperparams["betas"] == [0.9, 0.99]

    before = {path: path.stat().st_mtime_ns for path in out.glob("*.json")}
    assert main([*command, "--seeds", "3"]) == 0  # more seeds are no other study
    after = {path: path.stat().st_mtime_ns for path in out.glob("*.json")}
    assert {path: after[path] for path in before} == before
    assert len(after) == len(before) + 2
    assert len(load_plan(folder / "plan.yaml")) == 6
    capsys.readouterr()
    assert main(["table", str(out), "cost", "--format", "json", "--no-baselines"]) == 0
    costs = json.loads(capsys.readouterr().out)
    assert [(row["optimizer"], row["trials"], row["steps"]) for row in costs] == [
        ("SGD", 3, 15), ("Adam", 3, 15),
    ]  # fmt: skip
    assert main(["table", str(out), "trials", "--format", "json", "--no-baselines"]) == 0
    assert [row["run"] for row in json.loads(capsys.readouterr().out)] == [x["run"] for x in lines]
    for kind, rows in (("cost", 2), ("trials", 6)):
        for problem, expected in (("two_d_branin", rows), ("two_d_beale", 0)):
            study = gather_data(load_results(out), chosen=[problem])
            assert len(TABLES.load(kind)(study).rows) == expected
    page = tmp_path / "report"
    assert main(["report", str(out), "--out", str(page), "--no-baselines"]) == 0
    shown = (page / "report.html").read_text()
    assert "Every trial" in shown
    for line in lines:
        assert " ".join(f"{key}={value}" for key, value in line["point"].items()) in shown
    capsys.readouterr()
    assert main([*command, "--budget", "4"]) == 2
    assert "study 'mine' exists" in capsys.readouterr().err


def test_the_winner_stands_for_its_optimizer_and_no_trial_by_its_test_value(execution):
    study = small(execution)
    (tuned,) = carried_out(study, execution)
    run_all(study.winners("two_d_branin", tuned.candidate, tuned.winner.point, 1), execution)
    results = load_results(execution.out)
    winner = next(r for r in results if not r.config.valid_size)
    for record in winner.records:  # whatever the test split says
        record["metrics"]["test"]["objective"] = 1e6
    ((setting,),) = tuned_settings(results).values()
    assert setting.runs == (winner,)
    assert (setting.chosen_by, setting.tried) == ("its training on all rows", 4)


def test_without_any_winner(tmp_path, capsys):
    out = str(tmp_path / "out")
    command = ["tune", "two_d_beale", "SGD", "--space", "lr=log:1e4:1e6", "--budget", "2"]
    assert main([*command, "--steps", "20", "--out", out, "--quiet"]) == 1
    printed = capsys.readouterr().out
    assert "SGD on two_d_beale: no winner: no trial of 2 ended with a finite value" in printed


def test_a_missing_optuna_is_said_before_anything_is_trained(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("deepobs_runner.extensions.is_installed", lambda name: name != "optuna")
    out = tmp_path / "out"
    assert main(["tune", "two_d_branin", "SGD", "--sampler", "tpe", "--out", str(out)]) == 2
    assert 'pip install "deepobs-runner[tune]"' in capsys.readouterr().err
    assert not out.exists()


def test_a_dry_run_writes_nothing(tmp_path, capsys):
    out = tmp_path / "out"
    assert (
        main(["tune", "two_d_branin", "SGD", "--steps", "3", "--dry-run", "--out", str(out)]) == 0
    )
    printed = capsys.readouterr().out
    assert "16 trials and up to 10 runs of the winners" in printed
    assert "about " in printed
    assert not out.exists()


def test_grids_of_unequal_sizes_are_said(tmp_path, capsys):
    command = ["tune", "two_d_branin", "SGD", "Adam", "--steps", "3", "--dry-run"]
    command += ["--out", str(tmp_path / "out"), "--budget", "9"]
    assert main([*command, "--sampler", "grid"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "unequal numbers of trials (SGD 9, Adam 8): a grid has as many points as fit" in printed
    assert main([*command, "--sampler", "sobol"]) == 0
    assert "unequal" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--valid-size", "0"], "best-of-k chooses on the validation split; --valid-size is 0"),
        (["--ruleset", "deepobs-2019", "--valid-size", "9"], "holds out no validation examples"),
        (["--space", "betas.0=uniform:0:1"], "SGD has no hyperparameter 'betas'"),
        (["--budget", "many"], "The budget of best-of-k is 'many'"),
        (["--seeds", "0"], "--seeds is 0"),
        (["--force"], "never repeats finished trials"),
    ],
)
def test_what_the_command_refuses(tmp_path, capsys, options, sentence):
    assert main(["tune", "two_d_branin", "SGD", "--out", str(tmp_path), *options]) == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "tuning").exists()


@pytest.mark.slow
def test_several_jobs_make_the_same_study(tmp_path):
    found = []
    for jobs in (1, 2):
        execution = Execution(device="cpu", out=tmp_path / str(jobs))
        study = small(execution, optimizers=[("SGD", {}), ("Adam", {})])
        tuned = carried_out(study, execution, execute=partial(run_all, jobs=jobs))
        found.append([(t.winner.run, [x.value for x in t.trials]) for t in tuned])
        assert len(read_ledger(execution.out / "tuning" / "s")) == 8
    assert found[0] == found[1]


def test_the_original_protocol_in_small(tmp_path, capsys):
    out = tmp_path / "out"
    command = ["tune", "quadratic_deep", "Adam", "--ruleset", "deepobs-2019", "--epochs", "1"]
    assert main([*command, "--seeds", "2", "--out", str(out), "--quiet", "--study", "o"]) == 0
    printed = capsys.readouterr().out
    assert "chosen on the test set" in printed
    lines = read_ledger(out / "tuning" / "o")
    assert len(lines) == 36
    results = load_results(out)
    assert len(results) == 37  # seed 42 of the winner is its trial
    assert "(as in 2019)" in printed
    assert {(r.config.recipe, r.config.valid_size) for r in results} == {("2019", 0)}


def test_the_seeds_of_winners_do_not_name_another_study():
    """Names are those of before there were seeds of their own."""
    found = make_study("best-of-k", ["two_d_branin"], [("SGD", {})], budget=2)
    assert (found.default_name, found.first_seed) == ("best-of-k-6bbda536", 43)
    found = make_study("deepobs-2019", ["quadratic_deep"], [("Adam", {})])
    assert (found.default_name, found.first_seed) == ("deepobs-2019-2541adaa", 42)


def test_a_study_that_began_before_the_rule_keeps_its_seeds(tmp_path, capsys):
    out = tmp_path / "out"
    command = ["tune", "two_d_branin", "SGD", "--budget", "2", "--steps", "3", "--study", "old"]
    command += ["--out", str(out), "--quiet", "--seeds", "2"]
    assert main([*command, "--dry-run"]) == 0
    assert main(command) == 0
    place = out / "tuning" / "old" / "study.json"
    study = json.loads(place.read_text())
    assert study.pop("first_seed") == 43
    place.write_text(json.dumps(study))
    capsys.readouterr()
    assert main(command) == 0
    assert "they include seed 42, the seed of the trials" in capsys.readouterr().out
    assert [c.seed for c in load_plan(place.with_name("plan.yaml"))] == [42, 43]
    winners = {r.config.seed for r in load_results(out) if not r.config.valid_size}
    assert winners == {42, 43, 44}


def test_default_values_in_one_shot(tmp_path, capsys):
    out = tmp_path / "out"
    command = ["tune", "two_d_branin", "Adam", "--ruleset", "crowded-valley"]
    command += ["--budget", "one-shot", "--steps", "3", "--seeds", "1", "--out", str(out)]
    for _ in range(2):  # the second time there is nothing to do
        assert main([*command, "--quiet"]) == 0
        assert "lr=0.001" in capsys.readouterr().out
    results = load_results(out)
    assert sorted(r.config.valid_size for r in results) == [0, 10_000]
    assert {r.config.hyperparams["lr"] for r in results} == {0.001}
