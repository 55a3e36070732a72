"""Labels: distinct settings have distinct names, whatever they are shown with."""

from dataclasses import replace
from functools import partial

import pytest
from runner_builders import run_of

from deepobs_runner import RunConfig, resolve_config
from deepobs_runner.cli import main
from deepobs_runner.report.notes import notes, settings_by_problem
from deepobs_runner.results.labels import label_run, label_setting
from deepobs_runner.results.official import official_results
from deepobs_runner.results.settings import settings_of
from deepobs_runner.schedules import parse_schedule

result = partial(run_of, ())


def labels(*results):
    return [setting.label for setting in settings_of(results)]


@pytest.mark.parametrize(
    ("settings", "label"),
    [
        ({}, "SGD lr=0.1"),
        ({"hyperparams": {"lr": 0.1, "nesterov": True, "momentum": 0.9}},
         "SGD lr=0.1 momentum=0.9 nesterov=true"),
        ({"optimizer": "Momentum", "hyperparams": {"lr": 0.1}}, "Momentum lr=0.1"),
        ({"optimizer": "Momentum", "hyperparams": {"lr": 0.1, "momentum": 0.9}},
         "Momentum lr=0.1 momentum=0.9"),
        ({"optimizer": "Adam", "hyperparams": {"lr": 0.1, "betas": [0.9, 0.99]}},
         "Adam lr=0.1 betas=0.9,0.99"),
        ({"optimizer": "Adam", "hyperparams": {"lr": 0.1, "betas": [0.9, 0.999]}}, "Adam lr=0.1"),
        ({"epochs": 7, "recipe": "2019"}, "SGD lr=0.1 epochs=7 recipe=2019"),
        ({"epochs": 100, "batch_size": 128}, "SGD lr=0.1"),
        ({"precision": "fp64", "valid_size": 9}, "SGD lr=0.1 precision=fp64 valid_size=9"),
        ({"steps": 9}, "SGD lr=0.1 steps=9"),
    ],
)  # fmt: skip
def test_a_label_names_what_is_no_default(settings, label):
    config = resolve_config(
        RunConfig(**{"problem": "quadratic_deep", "optimizer": "SGD",
                     "hyperparams": {"lr": 0.1}, **settings})
    )  # fmt: skip
    assert label_setting(config) == label
    assert label_run(config) == f"quadratic_deep {label} seed 42"


@pytest.mark.parametrize(
    "written",
    [
        "cosine", "cosine:warmup=0.1", "cosine:final=0.2", "exponential:gamma=0.95",
        "step:epochs=2/4,factors=0.5/0.25",
    ],
)  # fmt: skip
def test_schedules_are_named_as_they_are_written(written):
    config = result(schedule=parse_schedule(written)).config
    assert label_setting(config) == f"SGD lr=0.1 schedule={written}"


def test_distinct_settings_have_distinct_labels():
    warm = [result(schedule=parse_schedule(f"cosine:warmup={w}")) for w in (0.1, 0.5)]
    rates = [result(hyperparams={"lr": lr}) for lr in (0.001, 0.0010000001, 1, 1.0)]
    prints = [result(fingerprint=text) for text in ("a", "b")]
    paths = ("slow", "sub/slow")
    files = [result(optimizer=f"{path}.py:Slow", fingerprint=f"0-{path}") for path in paths]
    named = labels(*warm, *rates, *prints, *files)
    assert len(set(named)) == 10
    assert named[:4] == [
        "SGD lr=0.1 schedule=cosine:warmup=0.1",
        "SGD lr=0.1 schedule=cosine:warmup=0.5",
        "SGD lr=0.001",
        "SGD lr=0.0010000001",
    ]
    assert named[-2:] == ["slow.py:Slow lr=0.1", "sub/slow.py:Slow lr=0.1"]
    digits = prints[0].config.id.rpartition("-")[2]
    assert named[6] == f"SGD lr=0.1 #{digits[:4]}"


def test_a_label_does_not_depend_on_the_others():
    one = result(hyperparams={"lr": 0.1, "momentum": 0.9})
    other = result(hyperparams={"lr": 0.1, "momentum": 0.5})
    assert labels(one) == labels(one, other)[:1] == ["SGD lr=0.1 momentum=0.9"]


@pytest.mark.parametrize("problem", ["quadratic_deep", "tolstoi_char_rnn"])
def test_the_official_settings_are_the_defaults(problem):
    words = {setting.optimizer: setting.label.split() for setting in settings_of(
        official_results(problem)
    )}  # fmt: skip
    assert {name: len(listed) for name, listed in words.items()} == {
        "SGD": 2, "Momentum": 2, "Adam": 2,
    }  # fmt: skip


def test_a_dry_run_tells_its_runs_apart(tmp_path, capsys):
    words = ["bench", "SGD", "lr=0.1", "SGD", "lr=0.1", "momentum=0.9", "SGD", "lr=0.1",
             "dampening=0.5", "SGD", "lr=0.2"]  # fmt: skip
    assert main([*words, "--problem", "quadratic_deep", "--epochs", "1", "--dry-run",
                 "--out", str(tmp_path)]) == 0  # fmt: skip
    lines = [x.split("(")[0] for x in capsys.readouterr().out.splitlines() if "to run  " in x]
    assert len(set(lines)) == len(lines) == 4


def test_a_run_that_is_finished_is_not_made_again(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes this for a terminal
    words = ["run", "two_d_beale", "SGD", "lr=0.01", "--steps", "3", "--out", str(tmp_path)]
    assert main(words) == 0
    first = capsys.readouterr().out
    assert "━" in first
    assert main(words) == 0
    again = capsys.readouterr().out
    assert "1 of 1 run is finished already" in again
    assert "━" not in again  # no bar of nothing


def test_what_is_asked_for_twice_is_one_run(tmp_path, capsys):
    words = ["bench", "SGD", "lr=1e-3", "SGD", "lr=0.001", "SGD", "lr=1", "SGD", "lr=1.0"]
    options = ["--problem", "quadratic_deep", "--epochs", "0", "--out", str(tmp_path), "--quiet"]
    assert main([*words, *options]) == 0
    printed = capsys.readouterr().out
    assert "2 runs: 2 done" in printed
    assert "duplicate, run once: quadratic_deep SGD lr=0.001 epochs=0 seed 42" in printed
    assert "duplicate, run once: quadratic_deep SGD lr=1 epochs=0 seed 42" in printed
    assert "±" not in printed.replace("Mean ± standard", "")
    assert len(list(tmp_path.glob("*.json"))) == 2


def test_a_single_run_is_named_in_full(tmp_path, capsys):
    words = ["run", "quadratic_deep", "SGD", "lr=0.001", "momentum=0.9", "nesterov=true"]
    options = ["--epochs", "0", "--schedule", "cosine:final=0.125,warmup=0.0625", "--precision",
               "fp64", "--clip-norm", "5", "--recipe", "2019"]  # fmt: skip
    assert main([*words, *options, "--out", str(tmp_path), "--quiet"]) == 0
    assert (
        "SGD lr=0.001 momentum=0.9 nesterov=true schedule=cosine:final=0.125,warmup=0.0625 "
        "epochs=0 clip_norm=5 precision=fp64 recipe=2019 seed 42\n"
    ) in capsys.readouterr().out


def test_a_plan_may_shout(tmp_path, capsys):
    plan = tmp_path / "PLAN.YAML"
    plan.write_text("problems: [quadratic_deep]\noptimizers: [SGD]\nsettings: {epochs: 0}\n")
    assert main(["bench", str(plan), "--out", str(tmp_path / "out"), "--quiet"]) == 0
    assert "1 run: 1 done" in capsys.readouterr().out


def test_what_all_settings_of_a_users_optimizer_share_is_said_once():
    def mine(lr, **hyperparams):
        given = {"lr": lr, "eps": 1e-8, "power": 2, **hyperparams}
        return result(optimizer="mine.py:Mine", hyperparams=given)

    assert labels(mine(0.1), mine(0.2)) == ["Mine lr=0.1", "Mine lr=0.2"]
    assert labels(mine(0.1), mine(0.1, power=3)) == ["Mine lr=0.1 power=2", "Mine lr=0.1 power=3"]
    assert labels(mine(0.1), result(hyperparams={"lr": 0.1, "momentum": 0.9}))[1] == (
        "SGD lr=0.1 momentum=0.9"  # its defaults are known
    )
    evaluated = [
        replace(run, records=({"epoch": 0, "metrics": {"test": {"objective": 1.0}}},))
        for run in (mine(0.1), mine(0.2))
    ]
    problems = settings_by_problem(evaluated, baselines=[])
    assert notes(problems) == ["All settings of Mine share eps=1e-08 power=2."]


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("mixed", [False, True], ids=["plain", "epochs and status"])
def test_the_summary_fits(width, mixed):
    from rich.console import Console

    from deepobs_runner.cli.summary import Summary

    given = {"lr": 25.11886431509579, "eps": 1e-8, "power": 2}
    runs = [
        replace(
            result(problem="fmnist_2c2d", optimizer="there:AdamWScheduleFree", seed=seed,
                   hyperparams=given, recipe="2019"),
            status="stopped" if mixed and seed == 44 else "done",
            error="the time limit of 60 s was reached" if mixed and seed == 44 else None,
            records=tuple(
                {"epoch": epoch, "steps": 7 * epoch - 3 * (mixed and epoch == 10),
                 "metrics": {"test": {"objective": 123 + seed / 1000, "accuracy": seed / 100}}}
                for epoch in range(11)
            ),
        )
        for seed in (42, 43, 44)
    ]  # fmt: skip
    console = Console(width=width)
    with console.capture() as printed:
        problems = settings_by_problem(runs)
        console.print(Summary(problems))
    lines = printed.get().splitlines()
    assert max(map(len, map(str.rstrip, lines))) <= width
    words = printed.get().split()
    numbers = ["0.4250", "123.04250"] if mixed else ["0.430", "123.04300"]
    extra = ["9.57", "(67", "limit"] if mixed else []
    for whole in ("AdamWScheduleFree", "lr=25.1189", "official,", "fmnist_2c2d", *numbers, *extra):
        assert whole in words  # nothing is cut or broken
