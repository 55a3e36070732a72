"""Files that are written follow the umask, and a user's files stay."""

import os
import stat
import sys

import pytest

from deepobs_runner import RunConfig
from deepobs_runner.plans.write import write_plans
from deepobs_runner.results.files import write_bytes


@pytest.mark.skipif(sys.platform == "win32", reason="there is no umask on Windows")
@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077])
def test_files_follow_the_umask(umask, tmp_path):
    before = os.umask(umask)
    try:
        write_bytes(tmp_path / "x.json", b"1")
        write_bytes(tmp_path / "x.json", b"2")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "x.json").stat().st_mode) == 0o666 & ~umask
    assert (tmp_path / "x.json").read_bytes() == b"2"
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]


def test_plans_of_a_user_are_not_deleted(tmp_path):
    mine = ["plan-edited.yaml", "plans.yaml", "plan-7.yaml", "plan-2-old.yaml"]
    for name in mine:
        (tmp_path / name).write_text("# mine")
    (tmp_path / "plan-9.yaml").mkdir()
    one = RunConfig(problem="p", optimizer="SGD", hyperparams={"lr": 0.1})
    winners = {("p", "SGD"): [one], ("q", "Adam"): [one]}
    first = write_plans(tmp_path / "plan.yaml", winners, {}, "the winners")
    assert [path.name for path in first] == ["plan.yaml", "plan-2.yaml"]
    write_plans(tmp_path / "plan.yaml", {("p", "SGD"): [one]}, {}, "the winners")
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {*mine, "plan-9.yaml", "plan.yaml"}
