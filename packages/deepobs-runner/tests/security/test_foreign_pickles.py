"""SLURM jobs are pickles: none is read that lay in the folder of results before."""

import os
import pickle
import stat
from pathlib import Path

import pytest

from deepobs_runner import Execution, ExecutorOptions, RunConfig, executor_of
from deepobs_runner.errors import UsageError
from deepobs_runner.runs.resolve import resolve_config

pytest.importorskip("submitit")

NUMBER = 1000
"""Of the next job of the site, which its users can foresee."""

SBATCH = f"""#!/bin/sh
for script; do :; done
export SLURM_JOB_ID={NUMBER} SLURM_NTASKS=1 SLURM_JOB_NUM_NODES=1 SLURM_NODEID=0 SLURM_PROCID=0
export SLURM_LOCALID=0 SLURM_JOB_NODELIST=here
sh "$script" >/dev/null 2>&1 &
echo Submitted batch job {NUMBER}
"""
SRUN = """#!/bin/sh
while [ "${1##*/python*}" ]; do shift; done
exec "$@"
"""
"""Runs the command that follows the options."""


class Touch:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def slurm(cluster):
    return executor_of(ExecutorOptions(name="slurm", slurm={"cluster": cluster, "time": 5}))


def one_run():
    return resolve_config(
        RunConfig(problem="two_d_branin", optimizer="SGD", hyperparams={"lr": 0.01}, epochs=1)
    )


@pytest.fixture
def site(tmp_path, monkeypatch):
    """Stand-in of a SLURM site that starts each job at once."""
    commands = tmp_path / "bin"
    commands.mkdir()
    quiet = dict.fromkeys(("sacct", "scancel", "squeue", "scontrol"), "#!/bin/sh\n")
    for name, script in {"sbatch": SBATCH, "srun": SRUN, **quiet}.items():
        (commands / name).write_text(script)
        (commands / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="the stand-in is a shell script")
def test_no_pickle_of_a_foreign_folder_is_read(tmp_path, site):
    touched, out = tmp_path / "touched", tmp_path / "out"
    content = pickle.dumps(("success", Touch(touched)))
    names = ("{}_0_result.pkl", "{}_0_0_result.pkl", "{}_submitted.pkl", "{}_0_submitted.pkl")
    places = (".", "slurm", "slurm/20260101T000000Z-0000000000000000")
    planted = [out / place / name.format(NUMBER) for place in places for name in names]
    for path in planted:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (outcome,) = slurm("slurm")([one_run()], Execution(out=out))
    assert outcome.status == "done", outcome.message
    assert not touched.exists()
    assert {path.read_bytes() for path in planted} == {content}


@pytest.mark.parametrize("kind", ["link", "link to nothing", "link above", "file", "pipe"])
def test_no_job_is_written_through_a_link(tmp_path, kind):
    if kind == "pipe" and not hasattr(os, "mkfifo"):
        pytest.skip("needs named pipes")
    out, target = tmp_path / "out", tmp_path / "target"
    out.mkdir()
    place = out / "slurm"
    if kind.startswith("link"):
        (target / "below").mkdir(parents=True)
        names = {"link to nothing": "missing", "link above": ".."}
        place.symlink_to(target / names.get(kind, "below"))
    elif kind == "pipe":
        os.mkfifo(place)
    else:
        place.write_text("mine")
    before = os.lstat(place)
    with pytest.raises(UsageError, match=r"out/slurm"):
        slurm("debug")([one_run()], Execution(out=out))
    assert os.lstat(place).st_ino == before.st_ino
    assert sorted(p.name for p in tmp_path.rglob("*") if p.is_file()) == (
        ["slurm"] if kind == "file" else []
    )


def test_every_submission_has_a_private_folder(tmp_path):
    for _ in range(2):
        (outcome,) = slurm("debug")([one_run()], Execution(out=tmp_path))
        assert outcome.status == "done", outcome.message
    made = list((tmp_path / "slurm").iterdir())
    assert len(made) == 2
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in made} == {0o700}
