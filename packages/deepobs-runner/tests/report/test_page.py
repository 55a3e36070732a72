"""Parts of the page that need no browser: what is vendored, sizes, notebooks, odd results."""

import csv
import hashlib
import io
import re
import sys
from dataclasses import replace
from importlib.resources import files

import numpy as np
import pytest
from runner_builders import run_of

from deepobs_runner.cli import main
from deepobs_runner.errors import UsageError
from deepobs_runner.report import report
from deepobs_runner.report.data import gather_data
from deepobs_runner.report.page.groups import groups_of
from deepobs_runner.report.page.overview import badges_of, card_of, facts_of
from deepobs_runner.report.page.render import render_page
from deepobs_runner.report.sections import assemble
from deepobs_runner.report.tables import TABLES
from deepobs_runner.report.text import csv_table
from deepobs_runner.results.official import official_results
from deepobs_runner.results.store import save_result

VENDORED = files("deepobs_runner.report.page") / "vendor"


def page_of(runs, **options):
    data = gather_data(runs, **options)
    return render_page(assemble(data), data)


def cells_of(page):
    """Return the texts of the cells of the forest, by row."""
    forest = page[page.index('<table class="forest') : page.index("</table>")]
    rows = re.findall(r"<tr data-p=.*?</tr>", forest, re.DOTALL)
    return [
        [
            re.sub(r"<[^>]*>", "", cell).strip()
            for cell in re.findall(r"<td.*?</td>", row, re.DOTALL)
        ]
        for row in rows
    ]


def test_the_plotting_library_is_what_its_page_says():
    text = (VENDORED / "VENDORED.md").read_text("utf-8")
    sums = dict(re.findall(r"\| `([^`]+)` \| `([0-9a-f]{64})` \|", text))
    there = {file.name for file in VENDORED.iterdir() if file.name != "VENDORED.md"}
    assert set(sums) == there
    for name, checksum in sums.items():
        assert hashlib.sha256((VENDORED / name).read_bytes()).hexdigest() == checksum
    (version,) = set(re.findall(r"uplot@([\d.]+)", text))
    assert f"uPlot {version}" in (VENDORED.parent / "templates" / "page.html").read_text("utf-8")


def test_ten_thousand_runs_make_a_page_under_1_MB():
    runs = [
        run_of(
            [3.0, *(2.0 + 1 / (1 + epoch + lr) + seed / 1000 for epoch in range(30))],
            seed,
            problem=f"problem_{problem}",
            optimizer=optimizer,
            lr=10.0**lr,
            splits=("train_eval", "test"),
        )
        for problem in range(10)
        for optimizer in ("SGD", "Adam", "A", "B", "C")
        for lr in range(20)
        for seed in range(10)
    ]
    assert len(runs) == 10_000
    assert len(page_of(runs).encode()) < 1_000_000


SHORT = {
    "one seed": ([run_of(), run_of([3.0, 1.5], optimizer="Adam")], "one run", "+0.500"),
    "diverged": (
        [run_of(seed=s) for s in (1, 2)]
        + [run_of([3.0, None], s, optimizer="Adam", status="diverged") for s in (1, 2)],
        "reached 0/2 vs. 2/2",
        "diverged",
    ),
    "other metrics": (
        [run_of(seed=s) for s in (1, 2)]
        + [run_of([0.1, 0.2], s, optimizer="Adam", metric="accuracy") for s in (1, 2)],
        "",
        "no runs",
    ),
}


@pytest.mark.parametrize("name", SHORT)
def test_what_is_not_known_is_said_where_the_number_would_stand(name):
    runs, speed, final = SHORT[name]
    (row,) = cells_of(page_of(runs))
    assert len(row) == 3
    assert speed in row[0] != ""
    assert final in row[2] != ""
    assert "nan" not in " ".join(row)


def test_a_single_optimizer_has_no_verdict_but_a_page():
    page = page_of([run_of(seed=s) for s in (1, 2)])
    assert "One optimizer only" in page
    assert cells_of(page) == [["nothing to compare with"]]


def test_optimizers_of_three_and_more_have_a_heat_map():
    runs = [
        run_of([3.0, 2.0 - 0.1 * k, 1.0 - 0.1 * k + 0.01 * s], s, optimizer=name)
        for k, name in enumerate(("SGD", "A", "B", "C"))
        for s in range(3)
    ]
    page = page_of(runs, references=["SGD"])
    assert page.count('<table class="heat"') == 1
    heat = page[page.index('<table class="heat"') :]
    assert re.findall(r'data-challenger="(\w)">', heat[: heat.index("</table>")]) != []
    assert '<table class="heat"' not in page_of(runs[:6], references=["SGD"])


def test_cells_of_csv_are_no_formulas():
    evil = "=HYPERLINK(1)"
    runs = [run_of([-3.0, -2.5], error=evil, seed=1), run_of(seed=2)]
    text = csv_table(TABLES.load("runs")(gather_data(runs)))
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["final_test_objective"] for row in rows] == ["-2.5", "2.0"]
    assert rows[0]["error"] == f"'{evil}"


def test_a_notebook_shows_the_page_and_frames(tmp_path):
    found = report([run_of(seed=s) for s in (1, 2)], baselines=[])
    shown = found._repr_html_()
    assert shown.startswith('<iframe srcdoc="&lt;!doctype html&gt;')
    assert "<script" not in shown
    assert found.verdicts == ()
    frame = pytest.importorskip("pandas").DataFrame
    rows = found.tables["runs"].to_frame()
    assert isinstance(rows, frame)
    assert rows["seed"].tolist() == [1, 2]
    assert r"\toprule" in found.tables["final"].to_latex()
    (page, *_) = found.save(tmp_path, ["html"])
    assert page.read_text("utf-8") == found.html
    with pytest.raises(UsageError, match="Unknown format"):
        found.save(tmp_path, ["docx"])


def test_a_frame_says_what_it_needs(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    table = TABLES.load("runs")(gather_data([run_of()]))
    with pytest.raises(UsageError, match="pip install pandas"):
        table.to_frame()


def test_pictures_and_latex_are_written_on_request(tmp_path):
    place = tmp_path / "results"
    place.mkdir()
    for seed in (1, 2):
        save_result(run_of(seed=seed), place, np.zeros(0))
    out = tmp_path / "report"
    words = ["report", str(place), "--no-baselines", "--out", str(out)]
    assert main(words) == 0
    kinds = {path.suffix for path in out.rglob("*.*")}
    assert kinds - {""} == {".html", ".csv", ".txt"}
    assert main([*words, "--paper"]) == 0
    assert {".png", ".pdf", ".tex", ".bib"} <= {path.suffix for path in out.rglob("*.*")}


@pytest.mark.parametrize(
    ("problem", "badges"),
    [
        ("fmnist_vae", ["target set by Adam on 1 problem"]),
        ("fmnist_2c2d", []),  # the official value, which nobody here has set
    ],
)
def test_a_target_that_a_compared_optimizer_has_set_is_named(problem, badges):
    data = gather_data(official_results(problem))
    assert [badge.text for badge in badges_of(data)] == badges


@pytest.mark.parametrize(
    ("mine", "theirs", "headline"),
    [
        ([4.0, 0.9], [4.0, 2.0], "Final value better"),  # one epoch; the target is Adam's own
        ([4.0, 3.0], [4.0, 2.0], "Final value worse"),
        ([4.0, 2.0], [4.0, 2.0], "Inconclusive"),
    ],
)
def test_the_headline_is_the_final_value_where_speed_is_not_decided(mine, theirs, headline):
    runs = [
        run_of([*values[:-1], values[-1] + 0.001 * seed], seed, optimizer=name)
        for name, values in (("AdamW", mine), ("Adam", theirs))
        for seed in range(3)
    ]
    (card,) = (card_of(group) for group in groups_of(gather_data(runs).verdicts))
    assert card.headline == headline


def test_a_pair_without_a_common_problem_is_not_compared():
    runs = [
        run_of([4.0, 2.0 + seed], seed, optimizer=name, problem=problem)
        for name, problem in (("AdamW", "p"), ("AdamW", "poisson_pinn"), ("Adam", "q"))
        for seed in range(3)
    ]
    cards = {card.optimizer: card for card in map(card_of, groups_of(gather_data(runs).verdicts))}
    assert {count.status for count in cards["AdamW"].speed} == {"no runs", "no target"}
    assert cards["AdamW"].headline == "Not compared"


def test_the_line_below_the_title_counts_what_is_compared():
    runs = [run_of(seed=seed, optimizer=name) for name in ("SGD", "Adam") for seed in (1, 2, 3)]
    others = [run_of(seed=seed, optimizer="Momentum") for seed in range(9)]
    data = gather_data([*runs, *others])
    assert facts_of(data)[1] == "3–9 vs. 3 seeds"
    compared = [v for v in data.verdicts if {v.optimizer, v.reference} == {"Adam", "SGD"}]
    assert compared
    assert facts_of(replace(data, verdicts=tuple(compared)))[1] == "3 seeds"
