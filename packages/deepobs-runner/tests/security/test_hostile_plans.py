"""Plans of somebody else: an error with the line, before anything is expanded."""

import re

import pytest

from deepobs_runner.plans.plan import load_plan
from deepobs_runner.plans.strict_yaml import PlanError

HEAD = "problems: [two_d_branin]\noptimizers: [{name: SGD, hyperparams: {lr: 0.1}}]\n"
TEN = ", ".join(map(str, range(1, 11)))


def bomb(levels=9, width=9, merge=False):
    """Return lists of aliases of lists of aliases."""
    lines = ["settings: &a0 {epochs: 1}" if merge else "seeds: &a0 [1, 2]"]
    for level in range(1, levels):
        alias = f"*a{level - 1}"
        value = ", ".join([alias] * width)
        lines.append(f"k{level}: &a{level} " + (f"{{<<: [{value}]}}" if merge else f"[{value}]"))
    return "\n".join(lines) + "\n"


HOSTILE = {
    "aliases of aliases": (bomb(), "too many values"),
    "merges of merges": (bomb(merge=True), "too many values"),
    "an alias of itself": (HEAD + "seeds: &a [*a]\n", "contains itself"),
    "lists 100 deep": (HEAD + f"seeds: {'[' * 100}1{']' * 100}\n", "too many levels"),
    "lists 100,000 deep": (HEAD + f"seeds: {'[' * 100_000}\n", "too many levels"),
    "objects 5,000 deep": ("a: {" * 5000, "too many levels"),
    "dashes 3,000 deep": (HEAD + "seeds:\n  " + "- " * 3000, "too many levels"),
    "a list of 30,000 seeds": (HEAD + f"seeds: [{'1, ' * 30_000}]\n", "too many values"),
    "a hundred billion seeds": (HEAD + "seeds: 100000000000\n", "at most 100,000"),
    "a number of 5,000 digits": (HEAD + f"seeds: {'9' * 5000}\n", "5000 digits"),
    "a negative number of 400 digits": (HEAD + f"seeds: [-{'9' * 400}]\n", "401 digits"),
    "a grid of twelve axes": (
        "problems: [two_d_branin]\noptimizers:\n  - name: SGD\n    grid:\n"
        + "".join(f"      p{axis}: [{TEN}]\n" for axis in range(12)),
        "1,000,000,000,000 runs",
    ),
    "many optimizers with many seeds": (
        "problems: [two_d_branin]\nseeds: 90000\noptimizers:\n  - name: SGD\n"
        f"    grid: {{lr: [{TEN}]}}\n",
        "900,000 runs",
    ),
    "many seeds of an override": (
        HEAD + "overrides: [{problem: two_d_branin, seeds: 100001}]\n",
        "at most 100,000",
    ),
    "a control character": (HEAD + "seeds: \x1b[2J\n", "invalid YAML"),
    "half a surrogate pair": (HEAD.replace("SGD", '"\\ud800"'), "Unknown optimizer"),
    "a tag": (HEAD + "seeds: !!python/object/apply:os.system [ls]\n", "unsupported tag"),
    "two documents": (HEAD + "---\n" + HEAD, "invalid YAML"),
    "nothing but a dash": ("- ", "must be a mapping"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_plan_is_an_error_with_its_line(tmp_path, case):
    text, reason = HOSTILE[case]
    path = tmp_path / "plan.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(PlanError, match=re.escape(reason)) as caught:
        load_plan(path)
    assert re.match(rf"{re.escape(str(path))}:\d+: ", str(caught.value))


@pytest.mark.parametrize("kind", ["a folder", "two megabytes", "Latin-1", "nothing there"])
def test_a_file_that_is_no_plan_is_an_error(tmp_path, kind):
    path = tmp_path / "plan.yaml"
    if kind == "a folder":
        path.mkdir()
    elif kind != "nothing there":
        path.write_bytes(b"\xe4" if kind == "Latin-1" else bytes(2**21))
    with pytest.raises(PlanError, match=r"plan\.yaml"):
        load_plan(path)


def test_a_long_list_is_still_read(tmp_path):
    path = tmp_path / "plan.yaml"
    path.write_text(HEAD + f"seeds: [{', '.join(map(str, range(1, 301)))}]\n")
    assert len(load_plan(path)) == 300
