"""The report of the official baselines alone, and what every report must hold."""

import csv
import io
import json
import math
import os
import re
import shutil
import signal
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from runner_builders import run_of
from scipy import stats

from deepobs_runner import RunResult, official_results
from deepobs_runner.cli import main
from deepobs_runner.cli.terminal_table import terminal_table
from deepobs_runner.errors import UsageError
from deepobs_runner.report.booktabs import escape
from deepobs_runner.report.data import gather_data
from deepobs_runner.report.latex import latex_curves
from deepobs_runner.report.page.render import render_page
from deepobs_runner.report.sections import assemble
from deepobs_runner.report.sentences import caveats
from deepobs_runner.report.table import NOTHING, Table
from deepobs_runner.report.tables import TABLES
from deepobs_runner.report.text import (
    csv_table,
    json_table,
    markdown_table,
)
from deepobs_runner.report.write import DRAFT, LIST, LOCK, report_folder
from deepobs_runner.results.baselines import OFFICIAL_SET, all_results
from deepobs_runner.results.store import load_results, save_result
from deepobs_runner.tuning.ledger import open_ledger
from deepobs_runner.tuning.study import Study
from deepobs_runner.tuning.trials import trial_of

PUBLISHED = json.loads((Path(__file__).parent / "published_2019.json").read_text())


def page_of(data):
    return render_page(assemble(data), data)


def payload_of(page):
    """Return the numbers of a page."""
    return json.loads(
        re.search(r'<script type="application/json" id="data">(.*?)</script>', page)[1]
    )


class Reader(HTMLParser):
    """Collects what a page would load, its ids, and whether every element is closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.loads, self.links, self.tags = [], [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.tags.append(tag)
        self.ids += [given["id"]] if "id" in given else []
        self.links += [given["href"]] if tag == "a" else []
        self.loads += [given[name] for name in ("src", "srcset", "data", "poster") if name in given]
        if tag == "link":
            self.loads.append(given["href"])
        if tag not in ("meta", "link", "input", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def official():
    """Return the data of the official results alone."""
    return gather_data(all_results(OFFICIAL_SET))


@pytest.mark.parametrize("entry", PUBLISHED["settings"], ids=lambda e: "-".join(e["who"]))
def test_the_published_tables(official, entry):
    """Learning rate, mean, spread (ddof 0) and best values as published with the baselines.

    Both sides are rounded: the tables to four decimals, the shipped results to six digits.
    """
    (row,) = [
        row
        for row in TABLES.load("final")(official).rows
        if [row["problem"], row["optimizer"]] == entry["who"]
    ]
    assert row["lr"] == pytest.approx(entry["lr"], rel=1e-5)
    assert (row["seeds"], row["settings_seen"], row["status"]) == (10, 36, "done")
    for name in ("test_objective", "train_objective", "test_accuracy", "train_accuracy"):
        if name not in entry:
            assert row[f"final_{name}"] is None
            continue
        mean, std = entry[name]
        assert row[f"final_{name}"] == pytest.approx(mean, abs=1e-4)
        assert row[f"final_{name}_std"] * math.sqrt(9 / 10) == pytest.approx(std, abs=1e-4)
    mean, std = entry["best"]
    assert row["best"] == pytest.approx(mean, abs=1e-4)
    assert row["best_std"] * math.sqrt(9 / 10) == pytest.approx(std, abs=1e-4)
    assert row["low"] < row[f"final_{row['metric'].replace(' ', '_')}"] < row["high"]


@pytest.mark.parametrize("entry", PUBLISHED["settings"], ids=lambda e: "-".join(e["who"]))
def test_the_best_learning_rate_is_the_published_one(official, entry):
    (row,) = [
        row
        for row in TABLES.load("sensitivity")(official).rows
        if [row["problem"], row["optimizer"]] == entry["who"]
    ]
    assert row["rates"] == 36
    assert row["best_lr"] == pytest.approx(entry["lr"], rel=1e-5)


def test_the_published_speed(official):
    rows = {(row["problem"], row["optimizer"]): row for row in TABLES.load("final")(official).rows}
    for entry in PUBLISHED["settings"]:
        row = rows[tuple(entry["who"])]
        # The targets of the VAEs are others than the published ones, which every run passes.
        if "vae" not in row["problem"]:
            assert row["speed"] == pytest.approx(entry["speed"], abs=1e-9)
            assert row["not_reached"] == entry["not_reached"]


@pytest.fixture(scope="module")
def page(official):
    return page_of(official)


def test_a_page_holds_everything_it_needs(page):
    read = Reader(page)
    assert read.open == []  # every element is closed
    assert read.loads == ["data:,"]  # the icon, which a browser would else ask for
    assert not re.search(r"@import|url\((?!#)|\bfetch\(|XMLHttpRequest", page)
    assert len(read.ids) == len(set(read.ids))
    assert {link.removeprefix("#") for link in read.links} <= set(read.ids)
    assert read.tags.count("table") == read.tags.count("caption") > 8
    assert read.tags.count("h1") == 1


def test_the_forest_reads_without_a_script(page, official):
    """Every verdict is in the first table, in words and with its interval."""
    forest = page[page.index('<table class="forest') : page.index("</table>")]
    assert page.index("<h1>Adam, Momentum vs. SGD</h1>") < page.index('<table class="forest')
    lines = [line for verdict in official.verdicts for line in verdict.problems]
    decided = [line for line in lines if line.speedup_status in ("faster", "slower")]
    assert decided
    for line in decided:
        sign = {"": "", "at least": "≥ ", "at most": "≤ "}[line.speedup.bound]
        assert f">{sign}{line.speedup.value:.2f}×</span>" in forest
        if not sign:
            assert f"{line.speedup.low:.2f} to {line.speedup.high:.2f}" in forest
    assert forest.count(" faster</span>") == sum(s.speedup_status == "faster" for s in lines)
    assert forest.count(" better</span>") == sum(s.final_status == "better" for s in lines)
    assert forest.count('<svg class="interval') >= len(lines)


def test_curves_of_the_page_are_those_of_the_results(page, official):
    """Thinned, but each point that is there is the median over seeds, to five digits."""
    for index, problem in enumerate(payload_of(page)["problems"]):
        assert problem["name"] == list(official.settings)[index]
        for shown, setting in zip(
            problem["settings"], official.problems[problem["name"]], strict=True
        ):
            for metric, band in zip(problem["metrics"], shown["bands"], strict=True):
                split, name = metric["name"].split(" ")
                table = np.array([run.series(split, name) for run in setting.runs])
                at = np.isin(setting.runs[0].epochs(), shown["x"]["epochs"])
                wanted = np.median(np.where(np.isnan(table), np.inf, table), axis=0)[at]
                found = [math.inf if value is None else value for value in band[0]]
                np.testing.assert_allclose(found, wanted, rtol=1e-4)


def test_official_results_make_a_page_under_600_kB(page):
    assert len(page.encode()) < 600_000


def test_every_run_is_on_the_page():
    runs = [
        run_of(seed=1),
        run_of(seed=2, status="stopped"),
        run_of([3.0, None], seed=3, status="diverged"),
        run_of([], seed=4, status="failed", error="Traceback\n  …\nValueError: too <many> rows"),
        run_of([3.0], seed=5, status="running"),
    ]
    data = gather_data(runs)
    rows = TABLES.load("runs")(data).rows
    assert [(row["seed"], row["status"]) for row in rows] == [
        (1, "done"), (2, "stopped"), (3, "diverged"), (4, "failed"), (5, "running"),
    ]  # fmt: skip
    text = page_of(data)
    shown = payload_of(text)["runs"]
    seeds = [(row[1], shown["statuses"][row[2]]) for row in shown["rows"]]
    assert seeds == [
        (row["seed"], row["status"].replace("stopped", "stopped early")) for row in rows
    ]
    assert "ValueError: too <many> rows" in shown["errors"]
    assert "1 of 5 runs of SGD lr=0.1 diverged" not in text  # the failed one has no record
    assert "1 of 4 runs of SGD lr=0.1 diverged" in text


def test_what_results_say_is_never_markup():
    evil = "<script>alert('&')</script>"
    runs = [
        run_of(problem=f"{evil}.py:p", optimizer=f"a.py:{evil}", environment={"system": evil}),
        run_of(problem=f"{evil}.py:p", optimizer="Adam", error=evil, seed=7),
    ]
    text = page_of(gather_data(runs))
    assert evil not in text
    assert text.count("<script") == 3  # ours
    assert "&lt;script&gt;" in text
    assert evil in payload_of(text)["runs"]["errors"]
    assert Reader(text).open == []


def test_latex_is_escaped():
    assert escape(r"50% of a_b & {c} \d #1 $x^2$~") == (
        r"50\% of a\_b \& \{c\} \textbackslash{}d \#1 \$x\textasciicircum{}2\$\textasciitilde{}"
    )
    data = gather_data([run_of(problem="p_1"), run_of(problem="p_1", optimizer="Adam")])
    text = TABLES.load("final")(data).to_latex()
    assert r"p\_1" in text
    body = text[text.index(r"\midrule") : text.index(r"\bottomrule")]
    columns = re.search(r"begin\{tabular\}\{(\w+)\}", text).group(1)
    for line in body.splitlines()[1:-1]:
        assert len(re.findall(r"(?<!\\)&", line)) == len(columns) - 1
        assert line.endswith(r"\\")


def test_the_curves_of_latex_hold_the_means():
    data = gather_data([run_of([3.0, 2.0, 1.0], seed=1), run_of([3.0, 4.0, 2.0], seed=2)])
    text = latex_curves("p", data.settings["p"])
    assert "coordinates {(0,3) (1,3) (2,1.5)}" in text
    assert text.count("{") == text.count("}")
    assert latex_curves("p", gather_data([run_of([None], status="diverged")]).settings["p"]) == ""


def test_tables_as_text_agree():
    data = gather_data([run_of(seed=1), run_of([3.0, 1.0], seed=2)])
    table = TABLES.load("final")(data)
    (row,) = json.loads(json_table(table))
    assert row["final_test_objective"] == 1.5
    (line,) = csv.DictReader(io.StringIO(csv_table(table)))
    assert float(line["final_test_objective"]) == 1.5
    assert float(line["final_test_objective_std"]) == pytest.approx(math.sqrt(0.5))
    markdown = markdown_table(table).splitlines()
    assert len({line.count("|") for line in markdown[:3]}) == 1
    assert "1.50 ± 0.71" in markdown[2]


@pytest.mark.parametrize("width", [60, 80, 120, 300])
def test_no_word_of_a_table_is_broken_in_the_terminal(width, official):
    for kind in TABLES.names():
        table = TABLES.load(kind)(official)
        console = Console(width=width)
        with console.capture() as printed:
            console.print(terminal_table(table))
        lines = printed.get().splitlines()
        assert max(map(len, lines)) <= width, kind
        shown = {word.strip(";") for line in lines for word in line.split()}
        for row in table.cells()[:40]:
            for word in " ".join(row).split():
                assert word.strip(";") in shown or len(word) > 50 or word == NOTHING, (kind, word)


@pytest.fixture
def folder(tmp_path):
    """Return a function that stores runs in a folder, and the folder."""
    place = tmp_path / "results"
    place.mkdir()

    def store(*runs, empty=False):
        if empty:
            shutil.rmtree(place)
            place.mkdir()
        for run in runs:
            save_result(run, place, np.zeros(0))
        return place

    return store


def test_an_empty_folder_is_said_in_a_sentence(folder, capsys):
    assert main(["report", str(folder())]) == 2
    said = capsys.readouterr().err
    assert "No results in" in said
    assert "Traceback" not in said


def test_all_files_of_a_report(folder, tmp_path, capsys):
    place = folder(run_of(seed=1), run_of(seed=2), run_of(optimizer="Adam", seed=1))
    out = tmp_path / "report"
    words = ["report", str(place), "--no-baselines", "--out", str(out), "--formats"]
    assert main([*words, "html,csv", "--paper"]) == 0
    assert "report.html" in capsys.readouterr().out
    names = {str(path.relative_to(out)) for path in out.rglob("*.*")}
    assert {
        "report.html", "methods.txt", "evaluations.csv", "tables/final.csv", "latex/final.tex",
        "latex/methods.tex", "latex/references.bib", "latex/curves-p.tex",
    } <= names  # fmt: skip
    with (out / "evaluations.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(r["optimizer"], r["seed"], r["epoch"]) for r in rows] == [
        (optimizer, seed, epoch)
        for optimizer, seed in (("Adam", "1"), ("SGD", "1"), ("SGD", "2"))
        for epoch in "01"
    ]
    assert {r["test_objective"] for r in rows} == {"3.0", "2.0"}
    out.joinpath("notes.md").write_text("mine")
    assert (out / "tables" / "difference.csv").exists()
    fewer = folder(run_of(problem="q"), empty=True)
    assert main([*words[:1], str(fewer), *words[2:], "html,csv"]) == 0
    assert "beside it: tables, methods\n" in capsys.readouterr().out
    # Of the formats written again, what only the first report wrote is gone.
    left = {str(path.relative_to(out)) for path in out.rglob("*.*") if path.is_file()}
    assert not (out / "tables" / "difference.csv").exists()
    assert {"report.html", "tables/final.csv", "latex/curves-p.tex", "notes.md", LIST} <= left


def test_what_cannot_be_written_is_said_before_anything_is_done(folder, tmp_path, capsys):
    words = ["report", str(folder(run_of())), "--no-baselines", "--out"]
    for formats in ("html,docx", ""):
        assert main([*words, str(tmp_path / "new"), "--formats", formats]) == 2
        said = capsys.readouterr()
        assert "allowed: html, png, pdf" in said.err
        assert said.out == ""
    assert not (tmp_path / "new").exists()
    (tmp_path / "file").write_text("")
    assert main([*words, str(tmp_path / "file"), "--formats", "csv"]) == 2
    said = capsys.readouterr()
    assert "Cannot write the report to" in said.err
    assert said.out == ""


def test_two_reports_are_not_written_to_one_folder_at_once(folder, tmp_path, capsys):
    place, out = folder(run_of()), tmp_path / "report"
    words = ["report", str(place), "--no-baselines", "--out", str(out), "--formats", "csv"]
    with report_folder(out, ["csv"]):
        (out / DRAFT / "methods.txt").write_text("half of it")
        assert main(words) == 2
        assert "Another process is writing a report to" in capsys.readouterr().err
        assert (out / DRAFT / "methods.txt").read_text() == "half of it"
    assert main(words) == 0
    assert not (out / DRAFT).exists()


def test_a_report_that_is_killed_half_way_is_listed_and_removed_by_the_next(
    folder, tmp_path, monkeypatch
):
    out = tmp_path / "report"
    words = ["--no-baselines", "--out", str(out), "--formats", "csv"]
    first = folder(run_of(), run_of(optimizer="Adam"))
    with monkeypatch.context() as patch:
        patch.setattr("deepobs_runner.report.write.os.replace", killed_after("difference.csv"))
        with pytest.raises(SystemExit):
            main(["report", str(first), *words])
    assert (out / "tables" / "difference.csv").exists()
    second = folder(run_of(problem="q"), empty=True)
    assert main(["report", str(second), *words]) == 0
    left = {path.relative_to(out).as_posix() for path in out.rglob("*.*") if path.is_file()}
    listed = set((out / LIST).read_text().splitlines())
    assert left - {LIST, LOCK} == listed
    assert "tables/difference.csv" not in listed


def killed_after(name):
    """Return a function that renames files, and ends the process after one of this name."""
    replace = os.replace

    def rename(path, target):
        replace(path, target)
        if Path(target).name == name:
            raise SystemExit

    return rename


def test_an_interrupt_waits_until_a_report_has_replaced_the_earlier_one(
    folder, tmp_path, monkeypatch
):
    outs = [tmp_path / name for name in ("cut", "whole")]
    words = [["--no-baselines", "--out", str(out), "--formats", "csv"] for out in outs]
    assert main(["report", str(folder(run_of())), *words[0]]) == 0
    second = folder(run_of([3.0, 1.0]), empty=True)
    assert main(["report", str(second), *words[1]]) == 0
    replace = os.replace

    def interrupted(path, target):
        replace(path, target)
        signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr("deepobs_runner.report.write.os.replace", interrupted)
        handler = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may ignore it
        try:
            assert main(["report", str(second), *words[0]]) == 130
        finally:
            signal.signal(signal.SIGINT, handler)
    cut, whole = ({p.relative_to(out): p.read_bytes() for p in out.rglob("*.*")} for out in outs)
    assert cut == whole


def test_only_files_in_the_folder_of_a_report_are_ever_removed(folder, tmp_path):
    place, out = folder(run_of()), tmp_path / "report"
    words = ["report", str(place), "--no-baselines", "--out", str(out), "--formats", "csv"]
    assert main(words) == 0
    other = tmp_path / "other.txt"
    other.write_text("mine")
    with (out / LIST).open("a") as file:
        file.write("../other.txt\n")
    assert main(words) == 0
    assert other.exists()


def test_methods_say_what_was_run_and_cite_what_was_used(folder):
    environment = {"python": "3.12.1", "device": "cpu", "packages": {"torch": "2.7.0"}}
    runs = [run_of(seed=s, environment=environment, precision="bf16") for s in (4, 5, 6)]
    alone = assemble(gather_data(runs)).methods
    text = alone.plain()
    assert "PyTorch 2.7.0 (Paszke et al., 2019) under Python 3.12.1 on cpu" in text
    assert "On p (1 epoch): SGD lr=0.1 precision=bf16. Each with seeds 4 to 6." in text
    assert "Precision: bf16." in text
    assert "holm1979" not in alone.keys  # nothing was compared
    both = assemble(gather_data([*runs, run_of(optimizer="Adam")])).methods
    assert {"schneider2019deepobs", "holm1979", "welch1947", "student1908"} <= set(both.keys)


def test_methods_name_the_study_that_chose_a_setting(folder):
    trials = [run_of([3.0, 2.0 + lr], lr=lr, valid_size=100) for lr in (0.1, 0.2)]
    winner = [run_of(seed=seed) for seed in (43, 44)]
    place = folder(*trials, *winner)
    unknown = assemble(gather_data(load_results(place))).methods.plain()
    assert "the one of 2 settings among the results that has the most seeds" in unknown
    study = Study(
        ruleset="best-of-k", problems=("p",), candidates=(), sampler="halton", budget=2,
        valid_sizes={"p": 100},
    )  # fmt: skip
    with open_ledger(study, place, "study") as ledger:
        for number, run in enumerate(trials):
            about = {"problem": "p", "optimizer": "SGD", "number": number, "point": {}}
            ledger.append(trial_of(run, "test", about))
    assert (
        "the best by final test objective on 100 held-out training examples of 2 trials of deepobs "
        "tune (ruleset best-of-k, sampler halton, budget 2)"
    ) in assemble(gather_data(load_results(place))).methods.plain()


def test_one_table_on_the_command_line(folder, tmp_path, capsys):
    place = folder(run_of(seed=1), run_of([3.0, 1.0], optimizer="Adam", seed=1))
    assert main(["table", str(place), "--no-baselines", "--format", "csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [(r["optimizer"], r["final_test_objective"]) for r in rows] == [
        ("Adam", "1.0"), ("SGD", "2.0"),
    ]  # fmt: skip
    out = tmp_path / "verdict.md"
    assert main(["table", str(place), "verdict", "--no-baselines", "--out", str(out)]) == 0
    assert "| Adam | SGD | all |" in out.read_text("utf-8")
    assert main(["table", str(place), "runs", "--problem", "q"]) == 2
    assert "No results on the problem 'q'. Problems: p." in capsys.readouterr().err
    assert main(["table", str(place), "--reference", "Lion"]) == 2
    assert "'Lion' is not in the results. Choose one of: Adam, SGD." in capsys.readouterr().err


def test_problems_that_are_chosen_are_all_there_is(folder, capsys):
    """P-values are corrected over the chosen problems, as in a report of these alone."""
    runs = [
        run_of([3.0, end + seed], problem=problem, optimizer=optimizer, seed=seed)
        for problem in ("p", "q")
        for optimizer, end in (("SGD", 1.0), ("Adam", -2.0))
        for seed in range(4)
    ]
    place = folder(*runs)

    def p_values(*options):
        assert main(["table", str(place), "difference", "--format", "csv", *options]) == 0
        return [
            float(r["final_p_corrected"])
            for r in csv.DictReader(io.StringIO(capsys.readouterr().out))
        ]

    sides = np.arange(4) + 1.0, np.arange(4) - 2.0
    p = stats.ttest_ind(*sides, equal_var=False).pvalue
    assert p_values() == pytest.approx([3 * p] * 2)  # and the probability of being faster
    assert p_values("--problem", "q") == pytest.approx([p])


def test_a_chosen_problem_without_a_record_is_named(folder, capsys):
    place = folder(run_of(), run_of((), problem="q"))
    assert main(["table", str(place), "--problem", "p", "--problem", "q"]) == 0
    assert "q: no run has an evaluation yet" in capsys.readouterr().err
    assert main(["table", str(place), "--problem", "q"]) == 2
    assert "no run has an evaluation yet" in capsys.readouterr().err


@pytest.mark.parametrize(
    "runs",
    [
        [run_of()],
        [run_of([None], status="diverged")],
        [run_of(), run_of(problem="quadratic_deep", optimizer="no.such:Thing", hyperparams={})],
        [run_of(recipe="2019"), run_of(), run_of([3.0, 2.0, 1.0], seed=43)],
        [RunResult(config=run_of().config, status="done", records=({"epoch": 0, "metrics": {}},))],
    ],
    ids=["one seed", "only a diverged run", "unknown names", "mixed recipes", "no metrics"],
)
def test_whatever_the_runs_are_the_page_comes_out(runs):
    data = gather_data(runs)
    assert Reader(page_of(data)).open == []
    for kind in TABLES.names():
        table = TABLES.load(kind)(data)
        for write in (csv_table, json_table, markdown_table, Table.to_latex):
            assert isinstance(write(table), str), kind


def test_environments_count_the_runs_that_are_shown():
    own = [run_of([350.0, 87.0], problem="quadratic_deep", recipe="2019", seed=s) for s in (1, 2)]
    data = gather_data(own, all_results(OFFICIAL_SET))
    shown = [run for s in data.settings["quadratic_deep"] for run in s.runs]
    counts = [row["runs"] for row in TABLES.load("environment")(data).rows]
    assert sum(counts) == len(shown) < len(data.baselines)


def test_different_data_is_never_compared():
    def runs(optimizer, data):
        return [
            run_of([3.0, 2.0, 1.0], optimizer=optimizer, data=data, seed=seed) for seed in (1, 2, 3)
        ]

    def pairs(*own, **given):
        data = gather_data([run for runs in own for run in runs], **given)
        return {(v.optimizer, v.reference) for v in data.verdicts}

    real, generated = runs("SGD", "real"), runs("SGD", "synthetic")
    assert pairs(real, generated) == set()
    adams = runs("Adam", "real"), runs("Adam", "synthetic")
    both = {(f"Adam ({data} data)", f"SGD ({data} data)") for data in ("real", "synthetic")}
    assert pairs(real, generated, *adams) == both
    reference = "SGD (real data)"
    assert pairs(real, generated, *adams, references=[reference]) == {
        ("Adam (real data)", reference)
    }
    with pytest.raises(UsageError, match="no other optimizer has real data"):
        pairs(real, adams[1], references=["SGD"])


def test_figures_have_the_level_of_the_study():
    runs = [run_of([3.0, 2.0 + 0.1 * seed], seed=seed) for seed in range(3)]
    (drawing,) = gather_data(runs, level=0.8).drawings(["curves"])
    assert "80 %" in drawing.caption


def test_baselines_are_compared_and_their_budget_is_named():
    own = [
        run_of([350.0, 87.0], problem="quadratic_deep", optimizer="AdamW", recipe="2019", seed=s)
        for s in (42, 43, 44)
    ]
    data = gather_data(own, all_results(OFFICIAL_SET))
    assert list(data.problems) == ["quadratic_deep"]  # nothing is said of the others
    pairs = [(v.optimizer, v.reference) for v in data.verdicts]
    assert pairs == [("AdamW", "SGD"), ("AdamW", "Momentum"), ("AdamW", "Adam")]
    verdict = data.verdicts[0]
    assert any("AdamW 1 setting tried" in line and "36" in line for line in caveats(verdict))
    assert sum(s.baseline for s in data.settings["quadratic_deep"]) == 3  # the tuned ones
    with pytest.raises(UsageError, match="Choose one of"):
        gather_data(own, references=["Lion"])


def test_each_is_compared_with_the_usual_reference_of_its_own_recipe():
    def runs(optimizer, recipe, **environment):
        return [
            replace(
                run,
                config=replace(run.config, optimizer=optimizer, recipe=recipe, seed=seed),
                environment=environment,
            )
            for seed, run in enumerate(official_results("quadratic_deep")[:3])
        ]

    mine = runs("AdamW", "2019") + runs("AdamW", "standard")  # so both sets below are of use
    theirs = runs("SGD", "2019", baselines="old") + runs("SGD", "standard", baselines="new")
    data = gather_data(mine, theirs)
    recipes = {s.optimizer: s.config.recipe for s in data.problems["quadratic_deep"]}
    pairs = [(v.optimizer, v.reference) for v in data.verdicts]
    assert len(recipes) == 4
    assert len(pairs) == 2
    assert all(recipes[one] == recipes[other] for one, other in pairs)
    # Where nobody has its recipe, another is better than no comparison; the page says what differs.
    assert len(gather_data(runs("AdamW", "2019"), theirs[3:]).verdicts) == 1
    # Where somebody has, those of another recipe would only be in the way.
    data = gather_data(mine[:3], theirs)
    assert [run.config.recipe for run in data.baselines] == ["2019"] * 3
    assert "only baselines of recipe 2019" in data.left_out[0]


def test_a_grid_that_diverged_has_no_interval():
    """Two of three rates diverge; the seed that won is none of the seeds that are counted."""
    runs = [run_of((3.0, None), hyperparams={"lr": lr}, status="diverged") for lr in (1.0, 10.0)]
    runs += [run_of(seed=seed) for seed in (42, 43, 44)]
    runs += [run_of((3.0, None), seed=45, status="diverged")]
    (row,) = TABLES.load("divergence")(gather_data(runs)).rows
    assert (row["settings_diverged"], row["settings"]) == (2, 3)
    assert (row["diverged"], row["runs"]) == (1, 3)
    assert 0 < row["low"] < 1 / 3 < row["high"] < 1
    (row,) = TABLES.load("divergence")(gather_data(runs[2:])).rows
    assert (row["settings"], row["runs"]) == (0, 4)
    (row,) = TABLES.load("divergence")(gather_data(runs[:3])).rows
    assert row["runs"] == 0
    assert math.isnan(row["low"])


def test_only_what_was_compared_is_called_equal():
    runs = [run_of(batch_size=8), run_of(optimizer="Adam", batch_size=8)]
    page = page_of(gather_data(runs))
    assert "<b>Matched:</b> tuning budget, recipe, precision, epochs, batch size, " in page
    assert "<b>Unknown on one side:</b> regularizer" in page
    page = page_of(gather_data([*runs[:1], run_of(optimizer="Adam", batch_size=9)]))
    assert re.search(r'<li title="Different batch sizes[^"]*">batch size \d vs. \d</li>', page)
    assert "batch size, " not in re.search("Matched:[^>]*>[^<]*", page)[0]
