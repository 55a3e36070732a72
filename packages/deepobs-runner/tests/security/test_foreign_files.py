"""Files of somebody else that are pipes, devices, links or bombs: no hang, no memory, no write."""

import ast
import io
import os
import shutil
import signal
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from runner_builders import SPLITS, run_of

import deepobs_runner
from deepobs_runner.cli import main
from deepobs_runner.errors import UsageError
from deepobs_runner.results.files import MOST_BYTES, write_with_checksum
from deepobs_runner.results.result import steps_path
from deepobs_runner.results.store import load_results, save_result
from deepobs_runner.runs.checkpoint_file import checkpoint_path, load_checkpoint

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")

RUN = "run two_d_branin SGD lr=0.01 --epochs 1 --quiet --resume --out"
TUNE = "tune two_d_branin SGD --budget 2 --epochs 1 --seeds 1 --study s --quiet --out"


def large(path):
    with path.open("wb") as file:
        file.truncate(MOST_BYTES + 1)


KINDS = {
    "pipe": os.mkfifo if hasattr(os, "mkfifo") else None,
    "endless device": lambda path: path.symlink_to("/dev/zero"),
    "full device": lambda path: path.symlink_to("/dev/full"),
    "loop": lambda path: path.symlink_to(path.name),
    "link to nothing": lambda path: path.symlink_to("missing"),
    "folder": Path.mkdir,
    "filled folder": lambda path: (path / "below").mkdir(parents=True),
    "larger than the limit": large,
    "empty": Path.touch,
    "not UTF-8": lambda path: path.write_bytes(b"\xff\xfe\0\n" * 9),
    "unreadable": lambda path: path.touch(mode=0),
}
kinds = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(autouse=True)
def no_hang():
    """Fail a test that waits for a pipe."""

    def ring(*_):
        raise AssertionError("it hangs")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(120)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Return a folder with a run and a study."""
    folder = tmp_path_factory.mktemp("finished")
    for words in (RUN, TUNE):
        assert main([*words.split(), str(folder)]) == 0
    return folder


@pytest.fixture
def foreign(finished, tmp_path):
    return Path(shutil.copytree(finished, tmp_path / "results"))


def place(path, kind):
    """Put an odd file in the place of another."""
    with suppress(FileNotFoundError):
        path.unlink()
    KINDS[kind](path)


def run_id(folder):
    (found,) = [r for r in load_results(folder) if r.config.valid_size in (None, 0)][:1]
    return found.config.id


@kinds
@pytest.mark.parametrize("name", ["{}.json", "{}.steps.npy", "{}.ckpt", ".{}.json.0a1b2c3d.tmp"])
def test_a_run_meets_an_odd_file(foreign, capsys, recwarn, kind, name):
    identity = run_id(foreign)
    stored = foreign / f"{identity}.json"
    if "ckpt" in name:  # else nothing is resumed
        stored.write_text(stored.read_text().replace('"status": "done"', '"status": "running"'))
    place(foreign / name.format(identity), kind)
    code = main([*RUN.split(), str(foreign)])
    assert code == 0 or "Cannot" in capsys.readouterr().err
    if code == 0:
        (result,) = [r for r in load_results(foreign) if r.config.id == identity]
        assert result.status == "done"
        if kind not in ("loop", "link to nothing"):  # which is a file that is missing
            assert len(result.step_objectives()) == result.records[-1]["steps"]


@kinds
@pytest.mark.parametrize("name", ["study.json", "ledger.jsonl", "plan.yaml", "plan-2.yaml"])
@pytest.mark.parametrize("words", ["table {} cost --no-baselines", TUNE + " {}"])
def test_a_study_with_an_odd_file(foreign, capsys, kind, name, words):
    path = foreign / "tuning" / "s" / name
    place(path, kind)
    code = main(words.format(foreign).split())
    said = capsys.readouterr()
    assert code == 0 or said.err.startswith("deepobs: ")
    if words.startswith("table") and name == "ledger.jsonl" and code == 0 and kind not in (
        "empty", "link to nothing", "unreadable",
    ):  # fmt: skip
        assert "skipped: tuning/s/ledger.jsonl" in said.err + said.out


def header(text, version=(1, 0), numbers=b"\0" * 80):
    """Content of a `.npy` file with any header."""
    text = text.encode() + b"\n"
    return (
        b"\x93NUMPY"
        + bytes(version)
        + len(text).to_bytes(2 * version[0], "little")
        + text
        + numbers
    )


def described(shape, kind="'<f4'"):
    return header(f"{{'descr': {kind}, 'fortran_order': False, 'shape': {shape}}}")


def archive(compression=zipfile.ZIP_STORED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as members:
        members.writestr("a.npy", b"x" * 99)
    return buffer.getvalue()


OBJECTIVES = {
    "a huge shape": described("(10000000000000,)"),
    "a shape of 400 digits": described(f"({'9' * 400},)"),
    "a negative shape": described("(-1,)"),
    "no axes": described("()"),
    "an axis too many": described("(4, 5)"),
    "a shape that is a text": described("'x'"),
    "one number fewer": described("(19,)"),
    "objects": described("(10,)", "'|O'"),
    "texts": described("(20,)", "'|S4'"),
    "records": described("(10,)", "[('a', '<f8')]"),
    "complex numbers": described("(10,)", "'<c8'"),
    "no type": described("(10,)", "'x'"),
    "brackets": header("(" * 9000),
    "an open bracket": header("{'descr': '<f4', 'shape': (20,"),
    "a long of Python 2": header("{'descr': '<f4', 'fortran_order': False, 'shape': (20L"),
    "another version": described("(20,)").replace(b"\x01\0", b"\x09\0", 1),
    "an archive": archive(),
    "nothing": b"",
}


@pytest.mark.parametrize("content", OBJECTIVES.values(), ids=OBJECTIVES)
@pytest.mark.parametrize("checksum", [True, False])
def test_hostile_step_objectives(tmp_path, content, checksum):
    result = run_of(values=(3.0,), splits=SPLITS)
    path = save_result(result, tmp_path, np.zeros(0, np.float32))
    if checksum:
        write_with_checksum(steps_path(path), lambda file: file.write(content))
    else:
        steps_path(path).write_bytes(content)
    (found,) = load_results(tmp_path)
    with pytest.raises(UsageError, match=r"steps\.npy is damaged"):
        found.step_objectives()


def repeated():
    """Nested lists of a few bytes that hold 2⁶⁰ values."""
    state = [1]
    for _ in range(60):
        state = [state, state]
    return state


def endless():
    state = []
    state.append(state)
    return state


FIELDS = {
    "schema": 3, "run_id": "i", "epoch": 1, "steps": 1, "model": {}, "optimizer": {},
    "counters": {}, "loss_scale": None,
}  # fmt: skip


def saved(**changes):
    """Return a function that saves a checkpoint with other fields, None for one that is missing."""

    def make():
        fields = {k: v for k, v in {**FIELDS, **changes}.items() if v is not Ellipsis}
        buffer = io.BytesIO()
        torch.save(fields, buffer)
        return buffer.getvalue()

    return make


def packed_again():
    """A checkpoint of 64 MB in some KB."""
    buffer = io.BytesIO()
    before = zipfile.ZipFile(io.BytesIO(saved(model={"x": torch.zeros(2**24)})()))
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as members:
        for name in before.namelist():
            members.writestr(name, before.read(name))
    return buffer.getvalue()


def legacy():
    buffer = io.BytesIO()
    torch.save(FIELDS, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


def of_a_list():
    buffer = io.BytesIO()
    torch.save([1, 2], buffer)
    return buffer.getvalue()


CHECKPOINTS = {
    "compressed": packed_again,
    "legacy format": legacy,
    "repeated lists": saved(model={"x": repeated()}),
    "a list in itself": saved(counters={"x": endless()}),
    "a list": of_a_list,
    "no schema": saved(schema=...),
    "a field too few": saved(counters=...),
    "a field too many": saved(extra=1),
    "a field of another name": saved(counters=..., counter={}),
    "an epoch that is a text": saved(epoch="1"),
    "a model that is a list": saved(model=[]),
    "a loss scale that is a number": saved(loss_scale=1.0),
    "an array of objects": saved(
        model={"deepobs_kind": "array", "dtype": "|O", "shape": (1,), "content": b"x" * 8}
    ),
    "an array of a huge shape": saved(
        model={"deepobs_kind": "array", "dtype": "<f4", "shape": (2**40,), "content": b"x" * 8}
    ),
    "a generator of no device": saved(
        model={"deepobs_kind": "generator", "device": "x", "state": torch.zeros(1)}
    ),
    "a class other than a tuple": saved(
        model={"deepobs_kind": "namedtuple", "class": ["os", "system"], "items": ["true"]}
    ),
    "an archive without content": archive,
    "nothing": bytes,
}


@pytest.mark.parametrize("make", CHECKPOINTS.values(), ids=CHECKPOINTS)
def test_hostile_checkpoints(tmp_path, make):
    path = checkpoint_path(tmp_path, "i")
    write_with_checksum(path, lambda file: file.write(make()))
    with pytest.raises(UsageError, match=r"i\.ckpt"):
        load_checkpoint(path, "i")


def test_the_same_checkpoint_without_a_fault_is_read(tmp_path):
    path = checkpoint_path(tmp_path, "i")
    write_with_checksum(path, lambda file: file.write(saved()()))
    assert load_checkpoint(path, "i").steps == 1


def fill(folder):
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(2):
        save_result(run_of(seed=seed, splits=SPLITS, per_epoch=1), folder, np.zeros(0))
    return folder


def test_folders_of_any_depth(tmp_path, monkeypatch):
    folder = fill(tmp_path / "results")
    monkeypatch.chdir(folder)
    levels = 2200  # deeper than Python calls, and than a path can be long
    for _ in range(levels):
        os.mkdir("a")
        os.chdir("a")
    try:
        assert main(["table", str(folder), "final", "--no-baselines"]) == 0
    finally:
        for _ in range(levels):
            os.chdir("..")
            os.rmdir("a")


LISTS = {
    "a null character": b"tables/a\0b.csv\nx\0.html\n",
    "not UTF-8": b"\xff\xfe\n",
    "a folder": b"tables\n.\n..\n\ntables/x.csv\n",
    "files of the user": b"../mine.csv\n../../mine.html\nlatex/../../mine.tex\n/etc/mine.csv\n",
    "other folders": b"notes/mine.csv\nfigures/below/mine.png\n",
    "a name of 9,000 letters": b"x" * 9000 + b".csv\n",
    "more than a MiB": b"a.csv\n" * 2**18,
}


@pytest.mark.parametrize("names", LISTS.values(), ids=LISTS)
def test_a_hostile_list_of_what_a_report_wrote(tmp_path, names):
    folder = fill(tmp_path / "results")
    mine = [
        folder / "mine.csv", tmp_path / "mine.html", folder / "report" / "notes" / "mine.csv",
        folder / "report" / "figures" / "below" / "mine.png", folder / "mine.tex",
    ]  # fmt: skip
    (folder / "report" / "tables" / "x.csv").mkdir(parents=True)
    for path in mine:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    (folder / "report" / ".written").write_bytes(names)
    words = ["report", str(folder), "--formats", "html,csv,latex", "--no-baselines"]
    assert main(words) == 0
    assert [path.read_text() for path in mine] == ["mine"] * len(mine)


@kinds
def test_an_odd_file_in_place_of_that_list(tmp_path, capsys, kind):
    folder = fill(tmp_path / "results")
    (folder / "report").mkdir()
    place(folder / "report" / ".written", kind)
    code = main(["report", str(folder), "--formats", "csv", "--no-baselines"])
    assert (
        code == 0
        or "Cannot write the report" in (said := capsys.readouterr().err)
        or (".written is" in said)
    )


HARD_LINKS = (
    "report/report.html", "report/methods.txt", "report/tables/final.csv", "report/evaluations.csv",
    "report/figures/curves-p.png", "report/latex/methods.tex", "report/.written",
)  # fmt: skip


@pytest.mark.parametrize("name", HARD_LINKS)
def test_a_report_is_not_written_through_a_hard_link(tmp_path, name):
    folder, target = fill(tmp_path / "results"), tmp_path / "target"
    target.write_text("mine")
    (folder / name).parent.mkdir(parents=True)
    (folder / "report" / ".written").touch()
    (folder / name).unlink(missing_ok=True)
    os.link(target, folder / name)
    words = ["--formats", "html,csv,png,latex", "--no-baselines"]
    assert main(["report", str(folder), *words]) == 0
    assert target.read_text() == "mine"
    assert not (folder / name).samefile(target)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (".locks/{}", RUN + " {} --force"),
        ("{}.json", RUN + " {} --force"),
        ("{}.steps.npy", RUN + " {} --force"),
        ("tracking/jsonl/{}.jsonl", RUN + " {} --force --track jsonl"),
        ("tracking/csv/{}.csv", RUN + " {} --force --track csv"),
        ("tuning/s/.lock", TUNE + " {}"),
        ("tuning/s/ledger.jsonl", TUNE + " {}"),
        ("tuning/s/plan.yaml", TUNE + " {}"),
    ],
)
def test_a_run_is_not_written_through_a_hard_link(foreign, tmp_path, capsys, name, words):
    (target := tmp_path / "target").write_text("mine")
    path = foreign / name.format(run_id(foreign))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    os.link(target, path)
    code = main(words.format(foreign).split())
    assert code == 0 or "hard link" in capsys.readouterr().err
    assert target.read_text() == "mine"


@pytest.mark.parametrize("kind", ["link", "link above"])
def test_event_files_are_not_written_through_a_link(foreign, tmp_path, recwarn, kind):
    pytest.importorskip("tensorboard")
    (target := tmp_path / "target").mkdir()
    (old := target / "events.out.tfevents.1").write_text("mine")
    link = foreign / "tracking" / "tensorboard"
    if kind == "link":
        link = link / run_id(foreign)
    link.parent.mkdir(parents=True)
    link.symlink_to(target)
    assert main([*RUN.split(), str(foreign), "--force", "--track", "tensorboard"]) == 0
    assert any("is a symbolic link" in str(warning.message) for warning in recwarn)
    assert [*target.iterdir()] == [old]
    assert old.read_text() == "mine"


OPENING = {
    "open", "os.open", "io.open", "np.load", "np.fromfile", "np.memmap", "torch.load",
    "gzip.open", "lzma.open", "zipfile.ZipFile", "tarfile.open",
}  # fmt: skip
METHODS = {"open", "read_bytes", "read_text", "write_bytes", "write_text", "touch"}
ALLOWED = {
    "results/files.py": "the checks are there",
    "results/outputs.py": "the checks are there",
    "results/official.py": "a file of the package",
    "results/shipped_defaults.py": "a file of the package",
    "plans/problem_table.py": "a file of the package",
    "report/page/render.py": "a file of the package",
    "report/references.py": "a file of the package",
    "backend/environment.py": "/proc",
    "backend/memory.py": "/proc",
    "report/write.py": "drafts in a folder of its own",
    "trackers/jsonl.py": "after make_way, in the mode x",
    "runs/checkpoint_file.py": "what open_file has opened",
    "results/baselines.py": "content in memory",
    "executors/ray.py": "in a temporary folder",
    "cli/main.py": "/dev/null",
    "cli/console.py": "/dev/null",
    "cli/commands/report.py": "webbrowser",
}
"""Modules that open files themselves, and why they may."""


def opens(node):
    if not isinstance(node, ast.Call):
        return False
    name = ast.unparse(node.func)
    return name in OPENING or (isinstance(node.func, ast.Attribute) and node.func.attr in METHODS)


def test_no_other_module_opens_files():
    root = Path(deepobs_runner.__file__).parent
    found = {
        path.relative_to(root).as_posix()
        for path in root.rglob("*.py")
        if any(map(opens, ast.walk(ast.parse(path.read_text(encoding="utf-8")))))
    }
    assert found == set(ALLOWED)
