"""Plans: what they unfold to, what is refused and where, and how long they are said to take."""

import json
from dataclasses import replace

import pytest

from deepobs_data import DataNotFoundError
from deepobs_runner import Execution, UsageError, load_plan
from deepobs_runner.cli import main
from deepobs_runner.plans.estimate import Timing, cost_kind, predict, time_runs
from deepobs_runner.schedules import Cosine, Warmup


@pytest.fixture
def plan(tmp_path):
    """Return a function that loads a plan from its text."""

    def load(text):
        path = tmp_path / "plan.yaml"
        path.write_text(text)
        return load_plan(path)

    return load


SMALL = """\
problems: [quadratic_deep]
optimizers:
  - name: SGD
    hyperparams: {lr: 1e-2}
"""


def test_the_product_of_everything(plan):
    configs = plan("""
problems: [two_d_branin]
suites: [synthetic]
optimizers:
  - {name: SGD, hyperparams: {lr: 1e-2}}
  - {name: Adam, hyperparams: {betas: [0.8, 0.99]}, grid: {lr: [.1, 1e-1000, 0.3], eps: [1.e-8]}}
settings:
  - {epochs: 2}
  - {epochs: 3, schedule: 'cosine:warmup=0.1', recipe: 2019, clip_norm: 5}
seeds: [7, 8]
""")
    assert len(configs) == 4 * (1 + 3) * 2 * 2
    assert len({config.id for config in configs}) == len(configs)
    # In the order of the plan: problems, optimizers, settings, seeds; defaults resolved.
    assert [c.problem for c in configs[::16]] == [
        "two_d_branin", "quadratic_deep", "two_d_rosenbrock", "two_d_beale",
    ]  # fmt: skip
    assert [(c.optimizer, c.epochs, c.seed) for c in configs[:5]] == [
        ("SGD", 2, 7), ("SGD", 2, 8), ("SGD", 3, 7), ("SGD", 3, 8), ("Adam", 2, 7),
    ]  # fmt: skip
    assert configs[2].schedule == Warmup(Cosine(), 0.1)
    assert (configs[2].recipe, configs[2].clip_norm, configs[2].batch_size) == ("2019", 5, 128)
    assert configs[0].hyperparams["lr"] == 0.01
    assert configs[4].hyperparams["betas"] == [0.8, 0.99]
    assert [c.hyperparams["lr"] for c in configs[4:16:4]] == [0.1, 0.0, 0.3]


@pytest.mark.parametrize(
    ("seeds", "expected"), [("", [42]), ("seeds: 3", [42, 43, 44]), ("seeds: [5, 1]", [5, 1])]
)
def test_seeds(plan, seeds, expected):
    assert [config.seed for config in plan(SMALL + seeds)] == expected


def test_the_tuned_rate_where_none_is_given(plan):
    (config,) = plan("{problems: [quadratic_deep], optimizers: [Adam]}")
    assert config.hyperparams["lr"] == 0.039810717


def test_overrides_by_problem_by_optimizer_and_by_pair(plan):
    configs = plan("""
problems: [quadratic_deep, two_d_branin]
optimizers:
  - {name: SGD, hyperparams: {lr: 0.1}}
  - {name: Adam, hyperparams: {lr: 0.2}}
settings: {epochs: 5}
overrides:
  - {problem: two_d_branin, settings: {epochs: 6}, hyperparams: {lr: 0.3}}
  - {optimizer: Adam, settings: {clip_norm: 1}, seeds: 2}
  - {problem: [two_d_branin], optimizer: [Adam], hyperparams: {lr: 0.4}}
""")
    found = [
        (c.problem, c.optimizer, c.hyperparams["lr"], c.epochs, c.clip_norm, c.seed)
        for c in configs
    ]
    assert found == [
        ("quadratic_deep", "SGD", 0.1, 5, None, 42),
        ("quadratic_deep", "Adam", 0.2, 5, 1, 42),
        ("quadratic_deep", "Adam", 0.2, 5, 1, 43),
        ("two_d_branin", "SGD", 0.3, 6, None, 42),
        ("two_d_branin", "Adam", 0.4, 6, 1, 42),
        ("two_d_branin", "Adam", 0.4, 6, 1, 43),
    ]


MERGED = """\
problems: [quadratic_deep]
seeds: &two 2
settings: &short {epochs: 1}
optimizers:
  - name: Adam
    hyperparams: &adam {lr: 0.01, eps: 1e-7}
  - name: AdamW
    hyperparams: %s
overrides:
  - optimizer: AdamW
    settings: {<<: *short, batch_size: 64}
    seeds: *two
"""


@pytest.mark.parametrize(
    ("hyperparams", "expected"),
    [
        ("*adam", {"lr": 0.01, "eps": 1e-7}),
        ("{<<: *adam}", {"lr": 0.01, "eps": 1e-7}),
        ("{<<: *adam, lr: 0.02}", {"lr": 0.02, "eps": 1e-7}),
        ("{lr: 0.02, <<: *adam}", {"lr": 0.02, "eps": 1e-7}),
        ("{<<: [*adam, {lr: 3, weight_decay: 0.5}]}", {"lr": 0.01, "weight_decay": 0.5}),
        ("{<<: {<<: *adam, lr: 0.03}}", {"lr": 0.03, "eps": 1e-7}),
    ],
)
def test_merge_keys_and_aliases(plan, hyperparams, expected):
    configs = plan(MERGED % hyperparams)
    assert len(configs) == 4
    for config in configs:
        assert config.epochs == 1
        if config.optimizer == "AdamW":
            assert config.batch_size == 64
            assert config.hyperparams.items() >= expected.items()


@pytest.mark.parametrize(
    ("hyperparams", "said"),
    [
        ("{<<: 3}", "must be a mapping"),
        ("{<<: [3]}", "must be a mapping"),
        ("{'<<': *adam}", "no hyperparameter '<<'"),
        ("{<<: *adam, eps: 1, eps: 2}", "'eps' of .* is given twice"),
    ],
)
def test_what_cannot_be_merged(plan, hyperparams, said):
    with pytest.raises(UsageError, match=rf"plan.yaml:[78]: .*{said}"):
        plan(MERGED % hyperparams)


def test_scalars_are_those_of_yaml_1_2(plan):
    (config,) = plan("""
problems: ["quadratic_deep"]
optimizers: [{name: SGD, hyperparams: {lr: 1e-3, momentum: .9, nesterov: true, dampening: 0}}]
""")
    assert config.hyperparams["lr"] == 0.001
    assert config.hyperparams["momentum"] == 0.9
    assert config.hyperparams["nesterov"] is True


WRONG = {
    "setting at the top": (SMALL + "epoch: 3", 5, "such as epochs belong under 'settings'"),
    "unknown key": (SMALL + "seed: 3", 5, "Unknown key 'seed' in the plan. Did you mean 'seeds'"),
    "unknown setting": (
        SMALL + "settings:\n  epochs: 2\n  bach_size: 3",
        7,
        "Unknown key 'bach_size' in settings. Did you mean 'batch_size'",
    ),
    "unknown key of an optimizer": (
        "problems: [quadratic_deep]\noptimizers:\n  - name: SGD\n    lr: 1",
        4,
        "Unknown key 'lr' in optimizers[1].",
    ),
    "wrong type": (
        SMALL + "settings: {epochs: ten}",
        5,
        "settings.epochs is 'ten'; it must be a whole number.",
    ),
    "a truth value is no number": (SMALL + "settings: {epochs: true}", 5, "is True; it must be"),
    "a float is no whole number": (SMALL + "seeds: [1.5]", 5, "seeds[1] is 1.5; it must be"),
    "out of range": (SMALL + "settings: {epochs: -1}", 5, "epochs is -1; it must be"),
    "not finite": (SMALL + "settings: {l2: .nan}", 5, "l2 is nan; it must be a finite number"),
    "no such choice": (SMALL + "settings: {precision: fp8}", 5, "allowed: fp32, tf32"),
    "bad schedule": (SMALL + "settings:\n  schedule: linear", 6, "Unknown schedule 'linear'"),
    "a list for a mapping": (SMALL + "settings: 3", 5, "settings is 3; it must be a mapping"),
    "a text for a list": (
        "problems: quadratic_deep\noptimizers: [Adam]",
        1,
        "problems is 'quadratic_deep'; it must be a list",
    ),
    "no problems": ("optimizers: [Adam]", 1, "names no problems"),
    "no optimizers": ("suites: [synthetic]", 1, "names no optimizers"),
    "an empty list": (SMALL + "seeds: []", 5, "seeds is an empty list, so there is nothing to run"),
    "no seeds": (SMALL + "seeds: 0", 5, "seeds is 0, so there is nothing to run"),
    "an empty grid": (
        "problems: [quadratic_deep]\noptimizers:\n  - name: SGD\n    grid:\n      lr: []",
        5,
        "optimizers[1].grid.lr is an empty list",
    ),
    "a key twice": (
        SMALL + "problems: [two_d_beale]",
        5,
        "The key 'problems' of the plan is given",
    ),
    "a problem twice": (
        "optimizers: [Adam]\nproblems:\n  - quadratic_deep\n  - quadratic_deep",
        4,
        "The problem 'quadratic_deep' is listed twice",
    ),
    "a seed twice": (SMALL + "seeds:\n  - 1\n  - 1", 6, "The seed 1 is listed twice"),
    "an optimizer twice": (
        "problems: [quadratic_deep]\noptimizers:\n  - SGD\n  - Adam\n  - SGD",
        5,
        "SGD on quadratic_deep with seed 42 is listed twice",
    ),
    "settings twice": (SMALL + "settings: [{epochs: 3}, {epochs: 3}]", 3, "is listed twice"),
    "unknown problem": (
        "optimizers: [Adam]\nproblems:\n  - quadratik_deep",
        3,
        "Did you mean 'quadratic_deep'",
    ),
    "unknown suite": ("optimizers: [Adam]\nsuites:\n  - tiny", 3, "Unknown suite 'tiny'"),
    "unknown optimizer": (
        "problems: [quadratic_deep]\noptimizers:\n  - Adm",
        3,
        "Unknown optimizer 'Adm'",
    ),
    "unknown hyperparameter": (
        "problems: [quadratic_deep]\noptimizers:\n  - name: SGD\n    hyperparams: {lrr: 1}",
        3,
        "SGD on quadratic_deep: SGD has no hyperparameter 'lrr'",
    ),
    "no learning rate": (
        "problems: [two_d_beale]\noptimizers:\n  - SGD",
        3,
        "SGD needs a learning rate on two_d_beale",
    ),
    "in hyperparams and grid": (
        SMALL + "    grid: {lr: [1]}",
        5,
        "'lr' is in both hyperparams and grid",
    ),
    "an override of nothing planned": (
        SMALL + "overrides:\n  - problem: two_d_beale\n    settings: {epochs: 1}",
        6,
        "The override is for the problem 'two_d_beale', which is not in the plan",
    ),
    "an override for all": (
        SMALL + "overrides:\n  - settings: {epochs: 1}",
        6,
        "names neither problem nor optimizer",
    ),
    "an override without effect": (
        SMALL + "overrides:\n  - problem: quadratic_deep",
        6,
        "overrides nothing",
    ),
    "an ambiguous word": (
        "problems: [quadratic_deep]\noptimizers:\n  - name: SGD\n"
        "    hyperparams: {lr: 1, nesterov: yes}",
        4,
        "is yes; write true or false",
    ),
    "no YAML": (SMALL + "seeds: [1", 5, "invalid YAML"),
    "a tab": (SMALL + "\tseeds: 1", 5, "invalid YAML"),
    "empty": ("# nothing\n", 1, "The plan is empty"),
    "a list": ("- SGD", 1, "the plan is a list; it must be a mapping"),
    "itself": ("problems: &a [*a]\noptimizers: [Adam]", 1, "The plan contains itself"),
}


@pytest.mark.parametrize(("text", "line", "said"), WRONG.values(), ids=WRONG)
def test_errors_say_file_and_line(plan, tmp_path, text, line, said):
    with pytest.raises(UsageError) as caught:
        plan(text)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'plan.yaml'}:{line}: ")
    assert said in message
    assert message.endswith((".", "?", "'"))


@pytest.mark.parametrize(
    ("text", "line", "tag"),
    [
        (
            "problems:\n  - !!python/object:os.system quadratic_deep\n",
            2,
            "!!python/object:os.system",
        ),
        ("problems: [quadratic_deep]\noptimizers: !!set [SGD]\n", 2, "!!set"),
        ("problems: [quadratic_deep]\noptimizers: [SGD]\nseeds: !!str 3\n", 3, "!!str"),
        ("!mine {problems: [quadratic_deep], optimizers: [SGD]}", 1, "!mine"),
        ("problems: [quadratic_deep]\n!!str optimizers: [SGD]\n", 2, "!!str"),
        ("problems: [! quadratic_deep]\noptimizers: [SGD]\n", 1, "!"),
    ],
)
def test_tags_are_refused(plan, tmp_path, text, line, tag):
    with pytest.raises(UsageError) as caught:
        plan(text)
    place = f"{tmp_path / 'plan.yaml'}:{line}"
    assert str(caught.value).startswith(f"{place}: unsupported tag {tag}. Remove")


def test_a_plan_that_is_no_text(tmp_path):
    (tmp_path / "plan.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="not UTF-8"):
        load_plan(tmp_path / "plan.yaml")


def test_a_plan_is_run_and_not_repeated(tmp_path, capsys):
    path = tmp_path / "plan.yaml"
    path.write_text(SMALL + "settings: {epochs: 1}\nseeds: 2")
    words = ["bench", str(path), "--out", str(tmp_path / "out"), "--device", "cpu"]
    assert main(words) == 0
    assert "2 runs: 2 done" in capsys.readouterr().out
    files = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").glob("*.json")}
    assert len(files) == 2
    assert main(words) == 0
    assert "2 runs: 2 finished before" in capsys.readouterr().out
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "out").glob("*.json")} == files
    assert main([*words, "--dry-run"]) == 0
    assert "0 of 2 runs to run" in capsys.readouterr().out


FAILING = """
import torch

class Failing(torch.optim.SGD):
    def step(self, closure):
        closure()
        raise ArithmeticError("the matrix is singular")

class Broken(torch.optim.SGD):
    def __init__(self, params, lr):
        raise ValueError("no such preconditioner")
"""


def test_failed_runs_are_kept_and_retried_on_request(tmp_path, monkeypatch, capsys):
    (tmp_path / "plan_optimizers.py").write_text(FAILING)
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "plan.yaml"
    path.write_text("""
problems: [quadratic_deep]
optimizers: [SGD, "plan_optimizers:Failing", "plan_optimizers:Broken"]
settings: {epochs: 1}
overrides:
  - optimizer: ["plan_optimizers:Failing", "plan_optimizers:Broken"]
    hyperparams: {lr: 1}
""")
    out = tmp_path / "out"
    words = ["bench", str(path), "--out", str(out), "--quiet", "--device", "cpu"]
    assert main(words) == 1
    printed = capsys.readouterr()
    assert "3 runs: 1 done, 2 failed" in printed.out
    assert "ArithmeticError: the matrix is singular" in printed.err
    assert "ValueError: no such preconditioner" in printed.err
    results = [json.loads(p.read_text()) for p in out.glob("*.json")]
    assert sorted(r["status"] for r in results) == ["done", "failed", "failed"]
    assert all("Traceback" in r["error"] for r in results if r["status"] == "failed")

    assert main(words) == 1  # they are not tried again, but still count
    printed = capsys.readouterr()
    assert "3 runs: 1 finished before, 2 failed earlier" in printed.out
    assert "the matrix is singular" in printed.err

    mended = FAILING.replace('raise ArithmeticError("the matrix is singular")', "super().step()")
    monkeypatch.delitem(__import__("sys").modules, "plan_optimizers")
    (tmp_path / "plan_optimizers.py").write_text(mended)
    assert main([*words, "--retry-failed"]) == 1
    printed = capsys.readouterr()
    assert "3 runs: 1 finished before, 1 done, 1 failed;" in printed.out


def test_a_missing_data_set_does_not_stop_the_others(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DEEPOBS_OFFLINE", "1")
    words = ["bench", "SGD", "lr=0.1", "--problem", "fmnist_logreg", "--problem", "quadratic_deep"]
    places = ["--data-dir", str(tmp_path / "empty"), "--out", str(tmp_path / "out")]
    assert main([*words, *places, "--epochs", "1", "--quiet"]) == 1
    printed = capsys.readouterr()
    assert "2 runs: 1 refused, 1 done" in printed.out
    assert "train-images-idx3-ubyte" in printed.err
    assert len(list((tmp_path / "out").glob("*.json"))) == 1


@pytest.mark.parametrize(
    ("epochs", "steps", "seconds"), [(3, None, 10 + 30 + 20), (None, 25, 10 + 25 + 20), (9, 0, 15)]
)
def test_the_time_of_a_run(epochs, steps, seconds, configure):
    timing = Timing(start=10.0, step=1.0, evaluation=5.0, steps_per_epoch=10)
    config = replace(configure(), epochs=epochs, steps=steps)
    assert timing.seconds(config) == seconds


def test_the_time_of_several_jobs(configure):
    configs = [configure(seed=seed, epochs=epochs) for seed, epochs in enumerate((4, 1, 1, 1))]
    timings = {
        cost_kind(configs[0]): Timing(start=0.0, step=1.0, evaluation=0.0, steps_per_epoch=10)
    }
    assert predict(configs, timings).seconds == 70
    assert predict(configs, timings, jobs=2).seconds == 40
    timings = {cost_kind(configs[0]): "no data"}
    assert predict(configs, timings).seconds is None
    assert predict(configs, timings).gaps == ("no data",)


def test_kinds_differ_where_the_cost_does(configure):
    base = configure()
    same = configure(hyperparams={"lr": 0.5}, seed=3, epochs=7)
    assert cost_kind(same) == cost_kind(base)
    for other in (
        configure("Adam"),
        configure(batch_size=4),
        configure(hyperparams={"lr": 0.1, "momentum": 0.9}),
        configure(precision="fp64"),
    ):
        assert cost_kind(other) != cost_kind(base)


def test_calibration_counts_the_real_data_where_only_stand_ins_are(tmp_path, monkeypatch, plan):
    (config,) = plan("""
problems: [fmnist_logreg]
optimizers: [{name: SGD, hyperparams: {lr: 0.1}}]
settings: {epochs: 1, valid_size: 5000}
""")

    def absent(*_, **__):
        raise DataNotFoundError("not here")

    from deepobs_problems import load_problem

    problem = replace(load_problem("fmnist_logreg"), data=absent)
    monkeypatch.setattr("deepobs_runner.plans.estimate.load_problem", lambda name: problem)
    (timing,) = time_runs([config], Execution(device="cpu", data_dir=tmp_path / "data")).values()
    assert timing.steps_per_epoch == 55_000 // 128
    assert timing.step > 0
    assert timing.evaluation > 0
    assert not (tmp_path / "data").exists()


def test_a_calibration_that_fails_is_a_sentence(plan, monkeypatch):
    def broken(*_):
        raise ValueError("no such preconditioner")

    configs = plan(SMALL)
    monkeypatch.setattr("deepobs_runner.plans.estimate.optimizer_of", broken)
    (reason,) = time_runs(configs, Execution(device="cpu")).values()
    assert reason == "SGD on quadratic_deep: ValueError: no such preconditioner"
