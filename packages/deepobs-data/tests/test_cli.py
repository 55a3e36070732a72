"""The command deepobs-data, in process and as a process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import deepobs_data as dd
from deepobs_data import cli
from deepobs_data.errors import DownloadError

PROCESS = "import sys; from deepobs_data.cli import main; sys.exit(main())"


def run(*argv):
    return cli.main([str(word) for word in argv])


def test_list_names_everything(capsys):
    assert run("list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert {line.split()[0] for line in lines[3:]} == {e.name for e in dd.list_datasets()}


def test_list_names_the_command_that_tells_how_to_get_imagenet(tmp_path, capsys):
    assert run("list", "--data-dir", tmp_path) == 0
    assert "missing (how: deepobs-data fetch imagenet)" in capsys.readouterr().out


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has /dev/full")
@pytest.mark.parametrize("words", ["list", "info mnist", "list --json"])
def test_output_that_cannot_be_written_is_an_error_in_one_line(words):
    command = [sys.executable, "-c", PROCESS, *words.split()]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "error: [Errno 28] No space left on device\n")


@pytest.mark.skipif(os.name == "nt", reason="Windows has other errors for pipes")
def test_whoever_reads_the_output_may_stop():
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-c", PROCESS, "list"]
    with open(write, "w") as pipe:
        done = subprocess.run(command, stdout=pipe, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "")


def test_list_as_json(tmp_path, capsys):
    assert run("list", "--json", "--data-dir", tmp_path) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["mnist"]["train"] == 60_000
    assert rows["mnist"]["input"] == [1, 28, 28]
    assert rows["quadratic"]["download"] == 0


def test_list_shows_what_is_there(write_files, tmp_path, capsys):
    write_files("fmnist", tmp_path / "fmnist")
    assert run("list", "--data-dir", tmp_path) == 0
    assert str(tmp_path / "fmnist") in capsys.readouterr().out


@pytest.mark.parametrize("name", [entry.name for entry in dd.list_datasets()])
def test_info(name, capsys):
    assert run("info", name) == 0
    out = capsys.readouterr().out
    assert dd.info(name).citation in out
    assert f"{dd.info(name).train_size:,}" in out


def test_info_of_an_unknown_name(capsys):
    assert run("info", "fashion") == 2
    assert "Known: mnist, fmnist" in capsys.readouterr().err


def test_dry_run_downloads_nothing(tmp_path, capsys):
    assert run("fetch", "--all", "--dry-run", "--data-dir", tmp_path / "root") == 0
    out = capsys.readouterr().out
    assert "cifar-10-python.tar.gz, 170.5 MB" in out
    total = sum(row.download_size or 0 for row in dd.list_datasets())
    assert f"To download: {total / 1e6:.1f} MB" in out
    assert not (tmp_path / "root").exists()


def test_fetch_needs_names_or_all(capsys):
    assert run("fetch") == 2
    assert run("fetch", "mnist", "--all") == 2
    assert run("fetch", "quadratic") == 0


def test_fetch_imagenet_says_how(capsys):
    assert run("fetch", "imagenet") == 1
    assert "ILSVRC2012_img_train.tar" in capsys.readouterr().err


def test_fetch_offline(monkeypatch, capsys):
    monkeypatch.setenv("DEEPOBS_OFFLINE", "1")
    assert run("fetch", "mnist") == 1
    assert "DEEPOBS_OFFLINE" in capsys.readouterr().err


def test_import_verify_fetch(write_files, tmp_path, capsys):
    write_files("cifar100", tmp_path / "theirs")
    root = tmp_path / "root"
    assert run("import", "cifar100", tmp_path / "theirs", "--data-dir", root) == 0
    assert "cifar100: 2 files now in" in capsys.readouterr().out
    assert run("verify", "--data-dir", root) == 0
    assert capsys.readouterr().out.count("cifar100: verified") == 2
    assert run("fetch", "cifar100", "--data-dir", root) == 0
    assert "already in" in capsys.readouterr().out
    with (root / "cifar-100-python" / "test").open("ab") as file:
        file.write(b"x")
    assert run("verify", "--data-dir", root) == 1
    out = capsys.readouterr().out
    assert "cifar100: damaged" in out
    assert dd.info("cifar100").source.files[1].checksum in out
    assert run("verify", "svhn", "--data-dir", root) == 1
    assert "svhn: missing" in capsys.readouterr().out


def test_import_what_cannot_be_imported(tmp_path, capsys):
    assert run("import", "imagenet", tmp_path) == 2
    assert "read in place" in capsys.readouterr().err
    assert run("import", "two_d", tmp_path) == 2
    assert run("import", "mnist", tmp_path) == 1


def test_progress_is_short_in_a_log():
    import io

    from deepobs_data.files.download import ProgressLine

    out = io.StringIO()
    show = ProgressLine(out)
    for done in range(0, 1001):
        show("a", done * 1000, 1_000_000)
    show("b", 5, None)
    lines = out.getvalue().splitlines()
    assert 10 <= len(lines) <= 13
    assert lines[-2].startswith("a: 1.0 of 1.0 MB (100%)")


@pytest.mark.parametrize("code", ["['list']", "['--help']", "['fetch', '--all', '--dry-run']"])
def test_the_command_does_not_import_torch(code):
    script = f"""
import sys
from deepobs_data.cli import main
try:
    main({code})
except SystemExit:
    pass
heavy = {{"torch", "torchvision", "numpy", "scipy"}} & set(sys.modules)
allowed = {{"numpy"}} if "fetch" in {code!r} else set()
sys.exit(str(heavy - allowed) if heavy - allowed else 0)
"""
    subprocess.run([sys.executable, "-c", script], check=True, stdout=subprocess.DEVNULL)


def test_importing_the_package_imports_nothing_heavy():
    script = (
        "import sys, deepobs_data; "
        "assert not {'torch', 'numpy', 'scipy', 'torchvision'} & set(sys.modules); "
        "deepobs_data.synthetic_like('mnist', n=4); deepobs_data.quadratic(); "
        "assert 'torchvision' not in sys.modules and 'scipy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_version_and_names():
    from importlib.metadata import version

    assert dd.__version__ == version("deepobs-data")
    for name in dd.__all__:
        assert getattr(dd, name) is not None
    assert set(dir(dd)) == set(dd.__all__)
    with pytest.raises(AttributeError, match="no attribute 'cifar11'"):
        dd.cifar11  # noqa: B018


@pytest.mark.parametrize("text", ["\x1b]0;t\x07", "\x9b31m", "a\rb", "\u202eb", "\u2066"])
def test_what_a_server_says_reaches_the_terminal_without_control_characters(
    monkeypatch, capsys, text
):
    def fails(location):
        raise DownloadError(f"500 {text}")

    monkeypatch.setattr(cli, "import_rows", fails)
    assert cli.main(["list", "--module", "m"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: 500 ")
    assert said.rstrip("\n").isprintable()
