"""What is shared names no folder and no user; modes of files follow the umask."""

import os
import stat
from pathlib import Path

import pytest
from runner_builders import run_of

from deepobs_runner.cli import main
from deepobs_runner.results.store import encode_result, load_results
from deepobs_runner.text import shorten_paths

MINE = """import torch
class Mine(torch.optim.SGD): pass
class Fails(torch.optim.SGD):
    def step(self, closure):
        raise ValueError(f"cannot read {__file__} of frank")
"""
REPORT = ["--no-baselines", "--formats", "html,csv,latex"]


@pytest.fixture
def secret(tmp_path):
    """Return a folder with a name that nothing may hold."""
    folder = tmp_path / "home-of-frank" / "secret"
    folder.mkdir(parents=True)
    (folder / "mine.py").write_text(MINE)
    return folder


def run(secret, name, out):
    words = f"run two_d_branin {secret}/mine.py:{name} lr=0.01 --epochs 1 --quiet --out {out}"
    return main(words.split())


@pytest.mark.parametrize("name", ["Mine", "Fails"])
@pytest.mark.parametrize("inside", [True, False], ids=["in the folder", "elsewhere"])
def test_nothing_that_is_shared_names_a_folder(secret, tmp_path, monkeypatch, capsys, name, inside):
    monkeypatch.chdir(secret.parent if inside else "/")
    out = secret / "results"
    assert run(secret, name, out) == (name == "Fails")
    assert run(secret, "Mine", out) == 0
    (out / "damaged.json").write_text("{")
    assert main(["report", str(out), *REPORT]) == 0
    files = [path for path in out.rglob("*") if path.suffix in (".json", ".csv", ".html", ".tex")]
    assert len(files) > 10
    for path in files:
        text = path.read_text()
        assert "home-of-frank" not in text, path
        assert str(Path.home()) + os.sep not in text, path


@pytest.mark.parametrize(
    "text",
    [
        'File "/home-of-frank/x/mine.py", line 3, in step',
        "[Errno 2] No such file: '/home-of-frank/data/x.gz'",
        "cannot open /scratch/home-of-frank/x: no",
        "see (/home-of-frank/y/z) and /home-of-frank/a/b, too",
        "cannot read /data/home-of-frank",
        "cannot read /home/home-of-frank.smith",
        "cannot read /home/home-of-frank/",
        "file:///data/home-of-frank/x.csv and file:/data/home-of-frank/x.csv",
        "sqlite:////data/home-of-frank/x.db, vscode://file/x",
        "//nas/home-of-frank/x.csv and \\\\nas\\home-of-frank\\x.csv",
        r"C:\Users\home-of-frank\mine.py, C:/Users/home-of-frank",
        r"'C:\\Users\\home-of-frank\\my folder\\mine.py'",
        "'/data/my home-of-frank/x y/z.csv' and \"/data/o'brien/home-of-frank/z\"",
        "/data/proj(1)/home-of-frank/x.csv",
        "g++ -I/data/home-of-frank/include -L/data/home-of-frank",
        "PATH=/bin:/data/home-of-frank/bin cache-/data/home-of-frank/q",
        "~home-of-frank/x/y",
        "https://home-of-frank:token@example.org/a/b",
    ],
)
def test_paths_in_errors_are_shortened(text):
    assert b"home-of-frank" not in encode_result(run_of(status="failed", error=text))


def test_the_home_of_the_user_is_not_named(monkeypatch):
    monkeypatch.setenv("HOME", "/srv/home-of-frank")
    for text in ("in /srv/home-of-frank", "'/srv/home-of-frank'", "/srv/home-of-frank/x.py: no"):
        assert "frank" not in shorten_paths(text)


@pytest.mark.parametrize(
    "text",
    [
        "see https://a.org/b/c and http://localhost:8080/x/y",
        "a/b/c, 1/2, and/or, 1//2 // 3 m/s",
        'File "<stdin>", line 1',
        "shape (3, 4) / [5] <x/y/z>",
    ],
)
def test_what_is_no_path_stays(text):
    assert shorten_paths(text) == text


def test_a_study_names_no_folder(secret, tmp_path, monkeypatch, capsys):
    out = secret / "results"
    monkeypatch.chdir("/")
    words = f"tune two_d_branin {secret}/mine.py:Mine --space lr=log:1e-3:1 --budget 2 --epochs 1 "
    words += f"--seeds 1 --quiet --study s --out {out}"
    assert main(words.split()) == 0
    before = (out / "tuning" / "s" / "ledger.jsonl").read_bytes()
    monkeypatch.chdir(secret)  # the study goes on with any path of the file
    assert main(words.split()) == 0
    assert main(words.replace(f"{secret}/", "").split()) == 0
    assert (out / "tuning" / "s" / "ledger.jsonl").read_bytes() == before
    plan = ["bench", str(out / "tuning" / "s" / "plan.yaml"), "--dry-run"]
    assert main([*plan, "--out", str(out)]) == 0
    assert main(["report", str(out), *REPORT]) == 0
    files = [path for path in out.rglob("*") if path.is_file() and path.suffix != ".npy"]
    assert {"study.json", "ledger.jsonl", "plan.yaml"} <= {path.name for path in files}
    for path in files:
        assert b"home-of-frank" not in path.read_bytes(), path


def test_a_study_of_an_earlier_version_names_no_folder_in_a_report(secret, capsys, monkeypatch):
    monkeypatch.chdir(secret)
    words = "tune two_d_branin mine.py:Mine --space lr=log:1e-3:1 --budget 2 --epochs 1 --seeds 1"
    words = [*words.split(), "--quiet", "--study", "s", "--out", "results"]
    assert main(words) == 0
    for name in ("study.json", "ledger.jsonl"):
        path = secret / "results" / "tuning" / "s" / name
        path.write_text(path.read_text().replace('"mine.py:', f'"{secret}/mine.py:'))
    before = (secret / "results" / "tuning" / "s" / "ledger.jsonl").read_bytes()
    assert main(words) == 0
    assert (secret / "results" / "tuning" / "s" / "ledger.jsonl").read_bytes() == before
    assert main(["report", "results", *REPORT]) == 0
    for path in (secret / "results" / "report").rglob("*.*"):
        assert "home-of-frank" not in path.read_text(), path


def test_a_packed_set_names_no_folder(secret, capsys, monkeypatch):
    monkeypatch.chdir("/")
    assert run(secret, "Mine", secret / "results") == 0
    words = f"baselines export {secret}/results --pack mine --out {secret}/packed"
    assert main(words.split()) == 0
    assert "home-of-frank" not in (secret / "packed" / "set.json").read_text()


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps the current folder")
def test_a_current_folder_that_was_removed_prevents_no_result(tmp_path, monkeypatch):
    (gone := tmp_path / "gone").mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    failed = run_of(status="failed", error="in /home/user/x", optimizer="/home/user/mine.py:Mine")
    assert b"/home" not in encode_result(failed)


def test_a_result_imports_no_code(secret, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(secret)
    assert (
        main(
            [
                "run",
                "two_d_branin",
                "mine.py:Mine",
                "lr=0.01",
                "--epochs",
                "1",
                "--quiet",
                "--out",
                "r",
            ]
        )
        == 0
    )
    (secret / "mine.py").write_text("raise SystemExit('imported')")
    assert main(["plot", "r", "trajectory", "--no-baselines", "--out", "t.png"]) == 1
    assert "imported with --import-code alone" in capsys.readouterr().err
    assert main(["report", "r", "--no-baselines", "--formats", "html,csv,png"]) == 0


def test_a_result_of_a_file_is_found_again(secret, monkeypatch):
    monkeypatch.chdir(secret)
    assert run(secret, "Mine", "r") == 0
    (result,) = load_results(Path("r"))
    assert result.config.optimizer == "mine.py:Mine"
    before = (secret / "r" / f"{result.config.id}.json").read_bytes()
    assert run(secret, "Mine", "r") == 0  # finished: its identity has no folder
    assert (secret / "r" / f"{result.config.id}.json").read_bytes() == before


@pytest.mark.skipif(os.name == "nt", reason="Windows has other rights")
@pytest.mark.parametrize("mask", [0o022, 0o027, 0o002, 0o077])
def test_modes_follow_the_umask(tmp_path, mask):
    out = tmp_path / "results"
    before = os.umask(mask)
    try:
        words = "run two_d_branin SGD lr=0.01 --epochs 2 --quiet --track csv --track jsonl"
        assert main([*words.split(), "--checkpoint-epochs", "1", "--out", str(out)]) == 0
        study = "tune two_d_branin SGD --budget 2 --epochs 1 --seeds 1 --quiet --study s"
        assert main([*study.split(), "--out", str(out)]) == 0
        assert main(["report", str(out), "--no-baselines", "--formats", "html,csv,png,latex"]) == 0
        words = ["table", str(out), "final", "--no-baselines", "--out", str(out / "t.csv")]
        assert main(words) == 0
        words = ["baselines", "export", str(out), "--pack", "p", "--out", str(out / "packed")]
        assert main(words) == 0
    finally:
        os.umask(before)
    for path in (out, *out.rglob("*")):
        wanted = (0o777 if path.is_dir() else 0o666) & ~mask
        assert stat.S_IMODE(path.stat().st_mode) == wanted, path
