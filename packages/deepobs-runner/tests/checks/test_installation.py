"""What `deepobs doctor` says is so, and a broken problem is found."""

import json
from dataclasses import replace

import pytest

from deepobs_problems import CATALOG
from deepobs_runner.backend.environment import has_bf16_instructions, processor
from deepobs_runner.checks.installation import data_sets, extras, is_writable
from deepobs_runner.checks.smoke import candidates, smoke_test
from deepobs_runner.cli import main


def test_doctor_says_it_in_json_and_writes_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DEEPOBS_DATA_DIR", str(tmp_path / "data"))
    assert main(["doctor", "--json", "--smoke", "--smoke-seconds", "0.2"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert set(facts["versions"]) >= {"python", "torch", "deepobs-runner"}
    assert facts["devices"][0]["device"] == "cpu"
    assert facts["devices"][0]["name"] == processor()
    assert facts["data"]["sets"]["cifar10"] == "missing"
    assert facts["data"]["sets"]["quadratic"] == "made"
    assert "official" in facts["baselines"]
    assert len(facts["smoke"]) == len(CATALOG)
    assert facts["smoke"][0]["problem"].startswith("two_d_")  # the cheapest
    assert facts["smoke"][0]["status"] == "ok"
    assert list(tmp_path.iterdir()) == []


def test_doctor_in_words(tmp_path, capsys):
    assert main(["doctor", "--data-dir", str(tmp_path), "--out", str(tmp_path / "new")]) == 0
    said = capsys.readouterr().out
    assert f"data:      {tmp_path}" in said
    assert "missing:  mnist" in said
    assert f"{tmp_path / 'new'}, writable" in said
    assert not (tmp_path / "new").exists()
    assert main(["doctor", "--device", "cuda:99"]) == 2
    assert "cuda:99" in capsys.readouterr().err


def test_doctor_lists_what_other_packages_add(tmp_path, monkeypatch, capsys):
    added = {"optimizers": {"LeafSGD": "leaf 1.0"}, "figures": {"tree": "leaf 1.0"}}
    monkeypatch.setattr("deepobs_runner.checks.installation.installed_extensions", lambda: added)
    assert main(["doctor", "--data-dir", str(tmp_path), "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "more optimizers: LeafSGD (leaf 1.0)\n" in said
    assert "more figures:    tree (leaf 1.0)\n" in said


def test_real_and_damaged_files_are_told_apart(tmp_path, fashion_mnist):
    folder = tmp_path / "fashion-mnist"
    folder.mkdir()
    for path in fashion_mnist.glob("*ubyte*"):  # a run may have put decoded files beside them
        (folder / path.name).write_bytes(path.read_bytes())
    assert data_sets(tmp_path)["sets"]["fmnist"] == "verified"
    labels = next(folder.glob("t10k-labels*"))
    labels.write_bytes(labels.read_bytes()[:-1] + b"x")
    assert data_sets(tmp_path)["sets"]["fmnist"] == "damaged"


def test_extras_are_read_from_the_declared_requirements():
    found = extras(
        [
            "torch>=2.6",
            'numpy>=2; extra == "sums"',
            "no-such-package-of-ours>=1; extra == 'both'",
            "rich>=13; extra == 'both'",
        ]
    )
    assert found["sums"]["installed"]
    assert not found["both"]["installed"]
    assert found["both"]["packages"]["no-such-package-of-ours"] is None
    assert found["both"]["packages"]["rich"]
    assert found["both"]["command"] == 'pip install "deepobs-runner[both]"'


def test_a_folder_below_a_file_is_not_writable(tmp_path):
    (tmp_path / "file").write_text("")
    assert is_writable(tmp_path / "new" / "results")
    assert not is_writable(tmp_path / "file" / "results")


@pytest.mark.parametrize(
    ("text", "native"),
    [
        ("model name\t: Some CPU\nflags\t\t: fpu avx2 avx512_bf16\n\nflags\t: fpu\n", True),
        ("model name\t: Some CPU\nflags\t\t: fpu avx2 avx512f\n", False),
        ("Features\t: fp asimd bf16 i8mm\n", True),
        ("", None),
    ],
)
def test_bf16_instructions_are_read_from_the_processors_flags(tmp_path, monkeypatch, text, native):
    (tmp_path / "cpuinfo").write_text(text)
    monkeypatch.setattr("deepobs_runner.backend.environment.CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr("platform.system", lambda: "Linux")
    assert has_bf16_instructions.__wrapped__() is native
    if "model name" in text:
        assert processor.__wrapped__() == "Some CPU"


def test_a_broken_problem_fails_with_its_reason(monkeypatch):
    def explode():
        raise RuntimeError("no such operator")

    branin = CATALOG["two_d_branin"]
    problems = [branin, replace(branin, name="broken", model=explode)]
    good, bad = smoke_test(problems, device="cpu")
    assert (good.status, good.reason) == ("ok", "")
    assert (bad.status, bad.reason) == ("failed", "RuntimeError: no such operator")
    monkeypatch.setattr("deepobs_runner.checks.smoke.candidates", lambda: (problems[1:], []))
    assert main(["doctor", "--smoke", "--json"]) == 1


def test_numbers_that_are_not_finite_fail():
    branin = CATALOG["two_d_branin"]
    (smoke,) = smoke_test(
        [replace(branin, loss=lambda output, batch: output / 0.0 - output / 0.0)], device="cpu"
    )
    assert smoke.status == "failed"
    assert "not finite" in smoke.reason


def test_what_does_not_fit_the_time_is_left_out():
    branin = CATALOG["two_d_branin"]
    ended = []
    first, second = smoke_test([branin] * 2, device="cpu", seconds=1e-3, on_end=ended.append)
    assert first.status == "ok"
    assert (second.status, second.reason) == ("left out", "0.001 s are over")
    assert ended == [first, second]


def test_every_problem_is_tried_or_named():
    small, large = candidates()
    names = [problem.name for problem in small] + [smoke.problem for smoke in large]
    assert sorted(names) == sorted(CATALOG)
    assert {smoke.status for smoke in large} == {"left out"}


@pytest.mark.slow
def test_every_small_problem_passes():
    small, _ = candidates()
    assert {smoke.status for smoke in smoke_test(small, device="cpu", seconds=600)} == {"ok"}
