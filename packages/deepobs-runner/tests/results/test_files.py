"""Files that are written follow the umask, and a user's files stay."""

import os
import stat
import sys
import warnings
from dataclasses import replace

import pytest

from deepobs_runner import RunConfig
from deepobs_runner.plans.write import EditedPlanWarning, write_plans
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


def test_an_edited_plan_is_kept(tmp_path):
    one = RunConfig(problem="p", optimizer="SGD", hyperparams={"lr": 0.1})
    winners = {("p", "SGD"): [one], ("q", "Adam"): [one]}
    plan, further = tmp_path / "plan.yaml", tmp_path / "plan-2.yaml"
    write_plans(plan, winners, {}, "the winners")
    written = plan.read_text()
    edits = [f"{written}# my note\n", written.replace("0.1", "0.2"), "# mine\n", ""]
    for number, edited in enumerate(edits, start=1):
        plan.write_text(edited)
        with pytest.warns(EditedPlanWarning, match=r"plan\.yaml was edited"):
            write_plans(plan, winners, {}, "the winners")
        ending = "" if number == 1 else f"-{number}"
        assert (tmp_path / f"plan.yaml.edited{ending}").read_text() == edited
        assert plan.read_text() == written
    further.write_text(further.read_text() + "# mine")
    write_plans(plan, {("p", "SGD"): [one]}, {}, "the winners")
    assert further.read_text().endswith("# mine")  # what was edited is not deleted
    more = {("p", "SGD"): [one, replace(one, seed=43)]}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_plans(plan, more, {}, "the winners")  # what was not is replaced
    assert "43" in plan.read_text()
