"""Every code block of the documentation is run, or parsed, or named below with the reason why not.

Blocks of Python run page by page, in order, in one namespace and an empty folder. Of blocks of
shell, the lines of `deepobs` and `deepobs-data` go through the real parsers, and those in `RUN` are
run. What else a shell block may hold is in `OTHER_COMMANDS`.
"""

import contextlib
import doctest
import importlib
import importlib.util
import re
import shlex
import shutil
import statistics
import tomllib
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from deepobs_data import cli as data_cli
from deepobs_data import registry
from deepobs_runner.cli import main as deepobs
from deepobs_runner.cli.main import build_parser
from deepobs_runner.cli.runs import parse_optimizers
from deepobs_runner.optimizers import parse_hyperparams

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"

RUN_ELSEWHERE = {
    "docs/notebook.md": "tests/test_notebook.py",
    "packages/deepobs-data/README.md": "packages/deepobs-data/tests/test_readme.py",
    "packages/deepobs-models/README.md": "packages/deepobs-models/tests/test_doctests.py",
    "packages/deepobs-problems/README.md": "packages/deepobs-problems/tests/test_readme.py",
    "packages/deepobs-runner/README.md": "packages/deepobs-runner/tests/test_readme.py",
}
"""Pages whose Python runs in the tests of their package."""

SLOW_PAGES: tuple[str, ...] = ()
"""Pages whose Python takes more than a few seconds."""

OTHER_COMMANDS = {
    ".": "activates an environment",
    "cd": "of the shell",
    "export": "of the shell",
    "git": "needs a network",
    "nox": "the sessions are what CI runs",
    "pip": "installs",
    "python": "a script of the repository, tested by itself",
    "python3": "makes an environment",
    "ray": "starts a server",
    "tensorboard": "starts a server",
    "torchrun": "starts processes; the tests of the runner do",
}
"""First words of commands that are not run here, and why."""

RUN = (
    "deepobs --version",
    "deepobs list",
    "deepobs baselines list",
    "deepobs baselines show official --problem quadratic_deep",
    "deepobs plan-seeds quadratic_deep cifar10_3c3d --baselines official --ratio 1.2 --seeds 3"
    " --seeds 10",
    "deepobs check examples/custom_optimizer.py:Lion lr=0.01",
    "deepobs run two_d_branin examples/custom_optimizer.py:Lion lr=0.01 --epochs 3",
    "deepobs run quadratic_deep SGD lr=0.01 momentum=0.9 nesterov=true"
    " --schedule step:epochs=50/75,factors=0.1/0.01 --steps 14",
    "deepobs run quadratic_deep Adam lr=0.01 betas=0.9,0.999 eps=1e-8 --steps 14",
    "deepobs run quadratic_deep LBFGS lr=1.0 max_iter=4 line_search_fn=strong_wolfe --epochs 3",
    "deepobs table results",
    "deepobs plot results curves",
    "deepobs-data list",
)
"""Cheap commands that need no network, in the order in which they are run."""

RUN_SLOW = (
    "deepobs doctor",
    "deepobs bench AdamW lr=0.04 SGD Adam --problem quadratic_deep --recipe 2019 --seeds 3",
    "deepobs report results",
    "deepobs table results verdict",
    "deepobs bench examples/custom_optimizer.py:Lion lr=0.01 SGD Adam --problem quadratic_deep"
    " --recipe 2019 --seeds 3",
    "deepobs run cifar10_3c3d Adam lr=1e-3 --batch-size 128 --epochs 100 --seed 42 --dry-run",
    "deepobs run fmnist_2c2d examples/custom_optimizer.py:Lion lr=1e-4 --epochs 1 --data synthetic",
    "deepobs bench examples/plan.yaml --dry-run",
    "deepobs bench examples/demo.yaml --dry-run",
    "deepobs tune two_d_branin SGD Adam --budget 8 --epochs 5 --dry-run",
    "deepobs tune two_d_branin SGD Adam --budget 8 --epochs 5 --seeds 3",
    "deepobs baselines export official --out official-runs",
    "deepobs plot official sensitivity --problem quadratic_deep --out sensitivity.png",
    "deepobs report results --no-baselines",
)
"""The whole of getting-started.md, and more, in the order in which they are run."""

OUTPUT = {"text", "bibtex", "", "{toctree}", "{eval-rst}", "{include}"}
"""Blocks that are shown, or are directives of the site."""


class Block(NamedTuple):
    """A fenced block: its page, the line of its fence, its language and its text."""

    page: str
    line: int
    language: str
    text: str


def blocks_of(path: Path) -> Iterator[Block]:
    """Yield the fenced blocks of a page."""
    page, start, language, lines = path.relative_to(ROOT).as_posix(), 0, "", []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.lstrip().startswith("```"):
            lines.append(line)
        elif start:
            yield Block(page, start, language, "\n".join(lines) + "\n")
            start = 0
        else:
            words = line.strip().removeprefix("```").split()
            start, language, lines = number, words[0] if words else "", []
    assert not start, f"{page}:{start}: the block does not end"


def pages() -> list[Path]:
    found = [*DOCS.glob("**/*.md"), *ROOT.glob("*.md"), *ROOT.glob("packages/*/*.md")]
    found += ROOT.glob("examples/**/*.md")
    return sorted(path for path in found if "_build" not in path.parts)


BLOCKS = [block for path in pages() for block in blocks_of(path)]
PYTHON = [block for block in BLOCKS if block.language == "python"]
SHELL = [block for block in BLOCKS if block.language in ("bash", "sh")]
PYTHON_PAGES = sorted({block.page for block in PYTHON} - set(RUN_ELSEWHERE))


def commands_of(block: Block) -> Iterator[str]:
    """Yield the commands of a shell block, without comments, variables and line breaks."""
    for line in block.text.replace("\\\n", " ").splitlines():
        for part in line.split("&&"):
            words = shlex.split(part, comments=True)
            while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
                words.pop(0)
            if words:
                yield shlex.join(words)


FIRST_COMMAND = re.compile(r"(pip|deepobs|deepobs-data) ")
# Blocks without a language are text, unless they begin with a command.
COMMANDS = [
    (block, command)
    for block in BLOCKS
    if block in SHELL or (not block.language and FIRST_COMMAND.match(block.text))
    for command in commands_of(block)
]


def is_ours(command: str) -> bool:
    """Whether a command is one of ours, perhaps started by torchrun."""
    return command.startswith("deepobs") or " deepobs_runner.cli " in command


def test_no_block_is_overlooked(record_property):
    """Every block has a language that one of the tests below knows."""
    fences = sum(
        line.lstrip().startswith("```")
        for path in pages()
        for line in path.read_text(encoding="utf-8").splitlines()
    )
    assert fences == 2 * len(BLOCKS)
    counts = Counter(block.language for block in BLOCKS)
    assert set(counts) <= {"python", "bash", "sh", "yaml", "toml", *OUTPUT}, counts
    assert counts["python"] >= 50
    assert len(COMMANDS) > 100
    record_property("blocks", str(dict(counts)))
    record_property("commands", len(COMMANDS))


def test_what_runs_elsewhere_runs_there():
    assert set(RUN_ELSEWHERE) <= {block.page for block in PYTHON}
    for page, test in RUN_ELSEWHERE.items():
        assert Path(page).stem in (ROOT / test).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "page",
    [pytest.param(p, marks=[pytest.mark.slow] if p in SLOW_PAGES else []) for p in PYTHON_PAGES],
)
def test_python_of_a_page_runs(page, tmp_path, monkeypatch):
    blocks = [block for block in PYTHON if block.page == page]
    if any("from backpack" in block.text for block in blocks):
        pytest.importorskip("backpack")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "_rows", dict(registry._rows))  # a page registers a data set
    names = {"__name__": "documentation"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of other people's packages
        for block in blocks:
            if block.text.lstrip().startswith(">>>"):
                run_session(block, names)
            else:
                code = compile(block.text, f"{page}:{block.line}", "exec")
                if "import nox" not in block.text:  # runs the tests, so they may not have it
                    exec(code, names)


def test_the_quick_start_prints_what_its_comment_shows(capsys):
    (block,) = (block for block in PYTHON if block.page == "README.md")
    exec(compile(block.text, "README.md", "exec"), {})
    *_, shown = re.findall(r"print\(.*\)  # (.*)", block.text)
    printed = capsys.readouterr().out
    assert doctest.OutputChecker().check_output(f"{shown}\n", printed, doctest.ELLIPSIS), printed


def run_session(block: Block, names: dict) -> None:
    """Run a block with prompts; what it prints must be what it says."""
    test = doctest.DocTestParser().get_doctest(
        block.text, names, block.page, block.page, block.line
    )
    result = doctest.DocTestRunner().run(test, clear_globs=False)
    names.update(test.globs)
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.parametrize("language", ["yaml", "toml"])
def test_data_is_well_formed(language):
    found = [block for block in BLOCKS if block.language == language]
    for block in found:
        yaml.safe_load(block.text) if language == "yaml" else tomllib.loads(block.text)


def test_the_parts_of_plans_are_parts_of_plans(tmp_path):
    """The YAML blocks of docs/plans.md, each in a plan that is whole."""
    from deepobs_runner import load_plan

    optimizers, merged, overrides = [
        block.text for block in BLOCKS if block.page == "docs/plans.md" and block.language == "yaml"
    ]
    plan = tmp_path / "plan.yaml"
    plan.write_text("problems: [quadratic_deep]\nsettings: {epochs: 1}\n" + optimizers)
    assert len(load_plan(plan)) == 1 + 4  # Adam, and the grid of SGD
    plan.write_text("problems: [quadratic_deep]\n" + merged)
    assert {run.hyperparams["eps"] for run in load_plan(plan)} == {1e-7}
    plan.write_text(
        "problems: [two_d_beale, two_d_branin]\n"
        "optimizers: [{name: SGD, hyperparams: {lr: 0.1}}]\n" + overrides
    )
    assert {run.hyperparams["lr"] for run in load_plan(plan)} == {1e-3}
    assert len(load_plan(plan)) == 2 * 10


def test_commands_are_known():
    """Every first word is parsed below, or listed with the reason why it is not run."""
    first = {command.split()[0] for _, command in COMMANDS}
    assert first - {"deepobs", "deepobs-data"} - set(OTHER_COMMANDS) == set()
    assert set(OTHER_COMMANDS) - first == set(), "no longer in the documentation"


@pytest.mark.parametrize(
    ("page", "command"),
    sorted({(block.page, command) for block, command in COMMANDS if is_ours(command)}),
)
def test_command_line_is_understood(page, command, capsys):
    words = shlex.split(command)
    if words[0] == "torchrun":
        words = ["deepobs", *words[words.index("deepobs_runner.cli") + 1 :]]
    parser = build_parser(words[1]) if words[0] == "deepobs" else data_cli._parser()
    try:
        options = parser.parse_args(words[1:])
    except SystemExit:
        pytest.fail(f"{page}: {command}\n{capsys.readouterr().err}")
    if getattr(options, "command", None) == "run":
        parse_hyperparams(options.hyperparams)
    elif hasattr(options, "optimizers") and not options.optimizers[0].endswith(".yaml"):
        parse_optimizers(options.optimizers)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """An empty folder with the examples, in which commands are run one after another."""
    folder = tmp_path_factory.mktemp("documentation")
    shutil.copytree(ROOT / "examples", folder / "examples")
    return folder


@pytest.fixture(autouse=True)
def _baselines_are_the_shipped_ones(monkeypatch):
    monkeypatch.delenv("DEEPOBS_BASELINE_DIR", raising=False)


def test_what_is_run_is_in_the_documentation():
    there = {command for _, command in COMMANDS}
    assert {*RUN, *RUN_SLOW} - there == set()


def run_in(folder: Path, command: str) -> None:
    words = shlex.split(command)
    with contextlib.chdir(folder):
        code = (deepobs if words[0] == "deepobs" else data_cli.main)(words[1:])
    assert code == 0, command


def test_cheap_commands_run(workplace, capsys):
    for command in RUN:
        run_in(workplace, command)
        assert capsys.readouterr().out, command


def check_first_comparison(results: Path) -> None:
    """Compare the table on getting-started.md with the runs it was made of."""
    from deepobs_runner import load_results

    (shown,) = [
        b.text
        for b in BLOCKS
        if b.page == "docs/getting-started.md" and b.language == "text" and "±" in b.text
    ]
    rows = re.findall(r"^   (\w+) lr=.*yours, 2019 +3 +([\d.]+) ± ([\d.]+)$", shown, re.M)
    assert [name for name, _, _ in rows] == ["AdamW", "SGD", "Adam"]
    for name, mean, deviation in rows:
        ends = [
            run.series("test", "objective")[-1]
            for run in load_results(results)
            if run.config.optimizer == name and run.config.recipe == "2019"
        ]
        assert len(ends) == 3
        assert statistics.mean(ends) == pytest.approx(float(mean), abs=0.01)
        assert statistics.stdev(ends) == pytest.approx(float(deviation), abs=0.01)


@pytest.mark.slow
def test_getting_started_and_other_commands_run(workplace, capsys):
    for command in RUN_SLOW:
        run_in(workplace, command)
        if command.startswith("deepobs bench AdamW"):
            check_first_comparison(workplace / "results")
    assert (workplace / "results" / "report" / "report.html").is_file()
    assert "(tuned in the official runs)" in "".join(capsys.readouterr())


def test_every_public_name_is_in_the_reference():
    """The pages in docs/api name what the packages export, each name once."""
    listed = Counter()
    for path in (DOCS / "api").glob("*.md"):
        text = path.read_text(encoding="utf-8")
        for module, names in re.findall(r"\.\. public-names:: (\S+)\n\n((?:   .*\n)+)", text):
            listed.update((module, name) for name in names.split())
    assert [name for name, count in listed.items() if count > 1] == []
    for package in (
        "deepobs_data",
        "deepobs_models",
        "deepobs_problems",
        "deepobs_runner",
        "deepobs_runner.analysis",
        "deepobs_runner.comparison",
        "deepobs_runner.figures",
    ):
        exported = set(importlib.import_module(package).__all__) - {"__version__"}
        if package == "deepobs_problems":
            exported -= {"Batch", "Dataset"}  # those of deepobs_data
        assert exported == {name for module, name in listed if module == package}, package


def test_links_of_the_pages_lead_somewhere():
    spec = importlib.util.spec_from_file_location("check_links", ROOT / "tools" / "check_links.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    count, dead = tool.check_markdown()
    assert dead == []
    assert count > 200
