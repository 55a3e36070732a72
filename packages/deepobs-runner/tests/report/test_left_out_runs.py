"""Runs that failed or are not finished are visible wherever a mean leaves them out."""

import pytest
from runner_builders import OUT_OF_TIME, run_of

from deepobs_runner.report.data import gather_data
from deepobs_runner.report.sections import assemble
from deepobs_runner.report.sentences import caveats

SEEDS = (42, 43, 44)
CASES = {
    "failed without a record": ({"values": (), "status": "failed", "error": "broken"}, "1 failed"),
    "failed after a record": ({"status": "failed", "error": "broken"}, "1 failed"),
    "running without a record": ({"values": (), "status": "running"}, "1 running"),
    "running": ({"values": (3.0,), "status": "running"}, "1 running"),
    "out of time": ({"values": (3.0,), "status": "stopped", "error": OUT_OF_TIME}, "1 out of time"),
}


def results(**third):
    """Return three runs of SGD, and three of Adam of which the first ended otherwise."""
    sgd = [run_of((3.0, 2.0 + seed / 100), seed, optimizer="SGD") for seed in SEEDS]
    adam = [run_of((3.0, 1.0 + seed / 100), seed, optimizer="Adam") for seed in SEEDS[1:]]
    return [*sgd, run_of(**{"seed": SEEDS[0], "optimizer": "Adam", **third}), *adam]


def rows_of(report, kind):
    """Return the shown cells of a table, by the setting of their row."""
    table = report.tables[kind]
    titles = [column.title for column in table.columns]
    return {
        row["optimizer"]: dict(zip(titles, cells, strict=True))
        for row, cells in zip(table.rows, table.cells(), strict=True)
    }


@pytest.fixture(params=CASES.values(), ids=CASES)
def case(request):
    """Return the report of results with one run that does not count, and its state."""
    third, state = request.param
    data = gather_data(results(**third))
    return data, assemble(data), state


def test_tables_show_how_many_runs_a_mean_has(case):
    _, report, state = case
    for kind in ("final", "settings"):
        rows = rows_of(report, kind)
        assert rows["Adam"]["Seeds"] == "2 of 3"
        assert rows["SGD"]["Seeds"] == "3"
        assert state.split()[1] in rows["Adam"]["Status"] or "time" in rows["Adam"]["Status"]
    assert len(report.tables["runs"].rows) == 6


def test_a_verdict_names_them(case):
    data, report, state = case
    (verdict,) = data.verdicts
    said = f"Runs that do not count on p: Adam 1 of 3 ({state})."
    assert said in caveats(verdict)
    assert not any("Different" in line for line in caveats(verdict))  # neither epochs nor seeds
    assert any(said in row["verdict"] for row in report.tables["verdict"].rows)


def test_notes_and_methods_name_them(case):
    _, report, _ = case
    found = [note for note in report.notes if "1 of 3 runs of Adam" in note]
    assert len(found) == 1
    assert "are excluded from final values" in found[0]
    assert "Of 6 runs, outcomes: " in report.methods.plain()


def test_both_sides_are_named_where_both_lack_the_same():
    broken = [
        run_of((), 45, optimizer=name, status="failed", error="broken") for name in ("SGD", "Adam")
    ]
    data = gather_data([*results(), *broken])
    (verdict,) = data.verdicts
    said = "Runs that do not count on p: SGD 1 of 4 (1 failed), Adam 1 of 4 (1 failed)."
    assert caveats(verdict) == [said]


def test_complete_runs_need_no_caveat():
    data = gather_data(results())
    assert caveats(data.verdicts[0]) == []
    assert all(
        "Seeds" not in row or row["Seeds"] == "3"
        for row in rows_of(assemble(data), "final").values()
    )


@pytest.mark.parametrize("status", ["failed", "running"])
def test_a_setting_without_any_record_has_a_note(status):
    other = [run_of((), seed, optimizer="Momentum", status=status) for seed in SEEDS]
    report = assemble(gather_data([*results(), *other]))
    assert (
        f"p: no run of Momentum lr=0.1 has an evaluation (3 {status}), so no table shows it."
        in report.notes
    )
