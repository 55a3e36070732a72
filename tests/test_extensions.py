"""The examples of docs/howto/extend.md work from outside: listed, used by runs, and reported."""

import csv
import hashlib
import io
import json
import math
import re
import threading
import tomllib
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from deepobs_data import registry
from deepobs_runner import load_results
from deepobs_runner.checks.installation import diagnose
from deepobs_runner.cli import main
from deepobs_runner.errors import UsageError
from deepobs_runner.executors.registry import EXECUTORS
from deepobs_runner.figures import FIGURES
from deepobs_runner.report.tables import TABLES
from deepobs_runner.trackers import TRACKERS
from deepobs_runner.tuning.rulesets import RULESETS
from deepobs_runner.tuning.samplers import SAMPLERS

PAGE = Path(__file__).resolve().parents[1] / "docs" / "howto" / "extend.md"
MODULES = dict(re.findall(r"^`(\w+\.py)`:\n\n```python\n(.*?)^```", PAGE.read_text(), re.M | re.S))
KINDS = {k.noun: k for k in (FIGURES, TABLES, TRACKERS, EXECUTORS, RULESETS, SAMPLERS)}
NAMES = {
    "figure": ("every-seed", "every_seed.py:FIGURE"),
    "table": ("seed-range", "seed_range.py:TABLE"),
    "tracker": ("best-loss", "best_loss.py:BestLoss"),
    "executor": ("seeds-first", "seeds_first.py:EXECUTOR"),
    "ruleset": ("quick", "quick.py:RULESET"),
    "sampler": ("latin", "latin.py:SAMPLER"),
}
"""Of the examples: as an entry point, and with their file."""


@pytest.mark.usefixtures("package")
def test_an_optimizer_gets_a_bare_name(tmp_path):
    words = ["run", "two_d_branin", "SoftSign", "lr=0.01", "--steps", "30", "--out", "out"]
    assert main([*words, "--quiet"]) == 0
    (result,) = load_results(tmp_path / "out")
    assert result.config.hyperparams["etas"] == [0.5, 1.1]
    objectives = result.series("test", "objective")
    assert objectives[-1] < objectives[0]
    assert diagnose(None, tmp_path)["extensions"]["optimizers"] == {
        "SoftSign": "soft_sign:SOFT_SIGN"
    }


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Write the examples of the page into the current folder."""
    monkeypatch.chdir(tmp_path)
    for place in [*(place for _, place in NAMES.values()), "soft_sign.py:SOFT_SIGN"]:
        name = place.partition(":")[0]
        (tmp_path / name).write_text(MODULES[name])
    return tmp_path


@pytest.fixture
def package(files, monkeypatch):
    """Install the examples as the page says, by entry points."""
    blocks = re.findall(r"```toml\n(.*?)```", PAGE.read_text(), re.S)
    groups = {}
    for block in blocks:
        groups |= tomllib.loads(block)["project"]["entry-points"]
    lines = [
        line
        for group, points in groups.items()
        if group.removeprefix("deepobs.").removesuffix("s") in {*KINDS, "optimizer"}
        for line in (f"[{group}]", *(f"{name} = {place}" for name, place in points.items()))
    ]
    folder = files / "more_deepobs-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: more-deepobs\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(files)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_every_module_of_the_package_is_one(kind):
    assert kind.built_in()
    for name in kind.built_in():
        kind.load(name)  # checks what the module defines
    with pytest.raises(UsageError, match=rf"Unknown {kind.noun} 'none'.* Use {kind.built_in()[0]}"):
        kind.find("none")


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize("noun", KINDS)
def test_entry_points_are_listed(noun, tmp_path):
    name, _ = NAMES[noun]
    assert KINDS[noun].names()[-1] == name
    assert name in diagnose(None, tmp_path)["extensions"][f"{noun}s"]
    with pytest.raises(UsageError, match=f"Did you mean '{name}'"):
        KINDS[noun].find(name[:-1])


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("noun", KINDS)
def test_what_is_no_extension_is_refused(noun):
    with pytest.raises(UsageError, match=f"not a valid {noun}"):
        KINDS[noun].find("seeds_first.py:__doc__")


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize("place", [0, 1], ids=["entry point", "file"])
def test_runs_use_a_tracker_and_an_executor(place, tmp_path):
    words = ["bench", "SGD", "lr=0.01", "Adam", "lr=0.01", "--problem", "two_d_branin",
             "--seeds", "2", "--steps", "3", "--out", "out"]  # fmt: skip
    words += ["--track", NAMES["tracker"][place], "--executor", NAMES["executor"][place]]
    assert main(words) == 0
    results = load_results(tmp_path / "out")
    assert len(results) == 4
    begun = sorted(results, key=lambda result: result.path.stat().st_mtime_ns)
    assert [result.config.seed for result in begun] == [42, 42, 43, 43]
    folder = tmp_path / "out" / "tracking" / NAMES["tracker"][place].rpartition(":")[2]
    for result in results:
        best = min(result.series("test", "objective"))
        assert (folder / f"{result.config.id}.txt").read_text() == f"{best:.6g} done\n"


@pytest.mark.usefixtures("files")
def test_an_executor_says_which_options_it_takes(capsys):
    words = ["bench", "SGD", "lr=0.01", "--problem", "two_d_branin", "--out", "out"]
    words += ["--executor", "seeds_first.py:EXECUTOR"]
    assert main([*words, "--gpus-per-run", "1"]) == 2
    assert "--gpus-per-run has no effect on --executor seeds_first.py" in capsys.readouterr().err


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize("place", [0, 1], ids=["entry point", "file"])
def test_studies_use_a_ruleset_and_a_sampler_and_are_reported(place, tmp_path, capsys):
    ruleset, sampler = NAMES["ruleset"][place], NAMES["sampler"][place]
    words = ["tune", "two_d_branin", "SGD", "--ruleset", ruleset, "--sampler", sampler]
    assert main([*words, "--steps", "3", "--out", "out", "--quiet"]) == 0
    (folder,) = (tmp_path / "out" / "tuning").iterdir()
    assert folder.name.startswith(f"{ruleset.rpartition(':')[2]}-")
    lines = [json.loads(line) for line in (folder / "ledger.jsonl").read_text().splitlines()]
    rates = sorted(line["point"]["lr"] for line in lines)
    assert [int(2 * (4 + math.log10(rate))) for rate in rates] == list(range(8))  # of 1e-4 to 1
    assert main([*words, "--steps", "3", "--out", "out", "--quiet"]) == 0  # the study is reopened
    capsys.readouterr()
    assert main(["table", "out", "cost", "--format", "csv", "--no-baselines"]) == 0
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert (row["ruleset"], row["sampler"], row["trials"]) == (ruleset, sampler, "8")
    seeds = {r.config.seed for r in load_results(tmp_path / "out") if r.config.valid_size == 0}
    assert seeds == {43, 44, 45}  # 42 is the seed of the trials


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize("place", [0, 1], ids=["entry point", "file"])
def test_results_are_drawn_and_tabulated(place, tmp_path, capsys):
    words = ["bench", "SGD", "lr=0.01", "Adam", "lr=0.01", "--problem", "two_d_branin",
             "--seeds", "2", "--steps", "3", "--out", "out", "--quiet"]  # fmt: skip
    assert main(words) == 0
    ends = [r.series("test", "objective")[-1] for r in load_results(tmp_path / "out")]
    capsys.readouterr()
    table = ["table", "out", NAMES["table"][place], "--no-baselines", "--format", "csv"]
    assert main(table) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["optimizer"] for row in rows] == ["Adam", "SGD"]
    assert sorted(float(row[end]) for row in rows for end in ("best", "worst")) == sorted(ends)
    assert main(["plot", "out", NAMES["figure"][place], "--no-baselines"]) == 0
    shown = capsys.readouterr().out
    assert "two_d_branin" in shown
    assert re.search("A Adam\n.*B SGD", shown)


@pytest.mark.usefixtures("package")
def test_a_report_shows_installed_figures_and_tables(tmp_path):
    words = ["bench", "SGD", "lr=0.01", "--problem", "two_d_branin", "--seeds", "2", "--steps", "3"]
    assert main([*words, "--out", "out", "--quiet"]) == 0
    assert main(["report", "out", "--no-baselines", "--formats", "html,csv,png"]) == 0
    folder = tmp_path / "out" / "report"
    assert (folder / "tables" / "seed-range.csv").read_text().startswith("problem,optimizer,best")
    assert (folder / "figures" / "every-seed-two_d_branin.png").exists()
    page = (folder / "report.html").read_text()
    assert "Best and worst seed" in page
    assert "The final test objective of every run." in page


def test_help_names_them(capsys):
    said = ""
    for command in ("tune", "table", "plot"):
        with pytest.raises(SystemExit):
            main([command, "--help"])
        said += capsys.readouterr().out
    for kind in KINDS.values():
        assert all(name in said for name in kind.built_in())


def test_a_problem_uses_a_data_set(tmp_path, monkeypatch):
    """The data set of the page, fetched from a local server, in a problem that is run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(registry, "_rows", dict(registry._rows))
    rng = np.random.RandomState(0)
    table = np.c_[rng.randint(0, 2, 300), rng.normal(size=(300, 20))]
    (tmp_path / "served").mkdir()
    np.savetxt(tmp_path / "served" / "waves.csv", table, delimiter=",")
    content = (tmp_path / "served" / "waves.csv").read_bytes()
    handler = partial(SimpleHTTPRequestHandler, directory=tmp_path / "served")
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        text = MODULES["waves.py"].replace(
            "https://example.org", f"http://127.0.0.1:{server.server_port}"
        )
        text = re.sub('checksum=".*"', f'checksum="{hashlib.md5(content).hexdigest()}"', text)
        text = text.replace("45_627", str(len(content)))
        (tmp_path / "waves.py").write_text(text)
        (tmp_path / "problems.py").write_text(WAVES_PROBLEM)
        words = ["problems.py:linear", "SGD", "lr=0.1", "--data-dir", "data", "--epochs", "2"]
        assert main(["run", *words, "--out", "results"]) == 0
        server.shutdown()
    (result,) = load_results(Path("results"))
    assert (result.status, len(result.records)) == ("done", 3)
    assert (tmp_path / "data" / "waves" / "waves.csv").read_bytes() == content


WAVES_PROBLEM = """
from functools import partial

import waves
from torch import nn

from deepobs_data import load_dataset
from deepobs_problems import Defaults, Problem, stand_in

linear = Problem(
    name="waves_linear",
    data=partial(load_dataset, "waves"),
    stand_in=stand_in("waves"),
    model=partial(nn.Linear, 20, 2),
    defaults=Defaults(50, 2),
)
"""
