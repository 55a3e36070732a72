"""LaTeX of results: it compiles whatever results are called, fits a column, and marks ties."""

import re
import shutil
import subprocess
from dataclasses import replace

import pytest
from runner_builders import BAR, reaching, run_of

from deepobs_runner.analysis import tuned_settings
from deepobs_runner.comparison import judge_settings
from deepobs_runner.figures.kinds.forest import text_of
from deepobs_runner.report.data import gather_data
from deepobs_runner.report.latex import latex_forest, latex_methods, latex_results
from deepobs_runner.report.page.forest import axis_of, speed_cell
from deepobs_runner.report.sections import assemble
from deepobs_runner.report.sentences import speedup_sentence

HOSTILE = r"\input{/etc/passwd} $x^2$ 50%_&{}~#^\\ <é> 数 \write18{ls}"
DOCUMENT = r"""\documentclass[twocolumn]{article}
\usepackage[utf8]{inputenc}\usepackage[T1]{fontenc}
\usepackage{textcomp}
%% Debian's texlive-latex-base has no booktabs.
\IfFileExists{booktabs.sty}{\usepackage{booktabs}}{%%
  \let\toprule\hline\let\midrule\hline\let\bottomrule\hline}
\providecommand{\cite}[1]{[#1]}
\begin{document}
%s
\end{document}
"""


def runs(optimizer, ends, problem="p", **settings):
    return [
        run_of([3.0 * ends[0], end], seed, optimizer=optimizer, problem=problem, **settings)
        for seed, end in enumerate(ends)
    ]


@pytest.fixture
def data():
    """Return results of two metrics, with a clear winner, a tie, and a diverged optimizer."""
    noise = [0.0, 0.01, 0.02, -0.01, 0.015]
    found = runs("SGD", [2.0 + n for n in noise]) + runs("Adam", [1.0 - n for n in noise])
    found += runs("AdamW", [1.001 + n for n in noise])
    found += runs("SGD", [2.5e-7 * (1 + n) for n in noise], problem="small")
    found += runs("Adam", [2.6e-7 * (1 + n) for n in noise], problem="small")
    found += runs("SGD", [0.9 + n for n in noise], problem="tolstoi_char_rnn", metric="accuracy")
    found += runs("Adam", [0.8 - n for n in noise], problem="tolstoi_char_rnn", metric="accuracy")
    found += [
        run_of([0.1, None], s, problem="tolstoi_char_rnn", metric="accuracy", optimizer="AdamW",
               status="diverged") for s in range(5)
    ]  # fmt: skip
    return gather_data(found, references=["Adam"])


def test_the_best_is_bold_and_so_is_what_no_test_tells_from_it(data):
    tables = latex_results(data)
    assert sorted(tables) == ["results-accuracy", "results-objective"]
    rows = {
        line.split(" & ")[0].strip(): re.findall(r"\\mathbf", line)
        for text in tables.values()
        for line in text.splitlines()
        if " & " in line
    }
    assert len(rows["p"]) == 2  # Adam, and AdamW
    assert len(rows[r"tolstoi\_char\_rnn"]) == 1
    assert r"$\mathbf{90.7}_{\pm 1.2}$" in tables["results-accuracy"]  # in per cent
    assert "diverged" in tables["results-accuracy"]
    assert r"\times 10^{-7}" in tables["results-objective"]


SEEDS = [0.4, 0.41, 0.395, 0.395]


@pytest.mark.parametrize(
    ("best", "others", "bold"),
    [
        pytest.param(SEEDS, [38.9], ["Adam"], id="one seed beside several"),
        pytest.param([0.4], [0.398], ["SGD"], id="one seed is the best"),
        pytest.param([0.4], [0.4], ["Adam", "SGD"], id="the same mean"),
        pytest.param(SEEDS, [0.43, 0.44, 0.9], ["Adam"], id="every run is worse, not significant"),
        pytest.param(SEEDS, [0.39, 0.405, 0.42], ["Adam", "SGD"], id="runs overlap"),
    ],
)
def test_a_tie_takes_a_test_and_runs_that_overlap(best, others, bold):
    data = gather_data(runs("Adam", best) + runs("SGD", others))
    lines = latex_results(data)["results-objective"].splitlines()
    head, row = (line.removesuffix(r" \\").split(" & ") for line in lines if " & " in line)
    assert [name for name, cell in zip(head, row, strict=True) if "mathbf" in cell] == bold


def test_every_number_is_in_math_mode_and_no_e_notation_is_left(data):
    texts = [*latex_results(data).values(), latex_forest(data)]
    texts += [table.to_latex() for table in assemble(data).tables.values() if table.rows]
    for text in texts:
        assert not re.search(r"\de[-+]\d", text)


def judged(slow, fast):
    """Return a report on Adam against SGD, with the bar as target."""
    verdict = judge_settings(tuned_settings([*slow, *fast]), {"p": BAR}, "Adam", "SGD")
    return replace(gather_data([*slow, *fast]), verdicts=(verdict,)), verdict.problems[0]


def test_no_speedup_is_shown_where_runs_end_too_early():
    long = [reaching(8, seed) for seed in range(6)]
    data, line = judged(long, [reaching(None, s, length=5, optimizer="Adam") for s in range(6)])
    assert (line.speedup_status, line.speedup.bound) == ("too short", "at most")
    for text in (
        latex_forest(data),
        speed_cell(line, axis_of(data.verdicts)).text,
        text_of(line),
        speedup_sentence(line),
        assemble(data).tables["speedup"].to_latex(),
    ):
        assert not re.search(r"leq|≤|at most", text)


def test_an_open_end_is_not_a_number():
    data, line = judged(
        [reaching(5, seed) for seed in range(6)],
        [reaching(None, seed, length=40, optimizer="Adam") for seed in range(6)],
    )
    assert line.speedup.low == 0.0
    assert r"[\leq " in latex_forest(data)
    assert speed_cell(line, axis_of(data.verdicts)).range.startswith("≤ ")


def compiled(text, folder):
    """Compile a document; return its log, and that of boxes that are too wide."""
    (folder / "paper.tex").write_text(DOCUMENT % text, "utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, errors="replace", timeout=120
    )
    assert done.returncode == 0, done.stdout[-2000:]
    return done.stdout


needs_latex = pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex")


@needs_latex
def test_results_and_verdicts_compile_and_fit_a_column(data, tmp_path):
    log = compiled("\n".join([*latex_results(data).values(), latex_forest(data)]), tmp_path)
    assert "Overfull" not in log


@needs_latex
def test_names_and_messages_of_results_are_never_commands(tmp_path):
    found = runs("a.py:Mine", [1.0, 1.1], problem=f"{HOSTILE}.py:p{HOSTILE}")
    found += runs("SGD", [2.0, 2.1], problem=f"{HOSTILE}.py:p{HOSTILE}", error=HOSTILE)
    data = gather_data(found, left_out=[HOSTILE])
    report = assemble(data)
    tables = [table.to_latex() for table in report.tables.values() if table.rows]
    texts = [*latex_results(data).values(), latex_forest(data), latex_methods(report.methods)]
    log = compiled("\n".join([*tables, *texts]), tmp_path)
    assert "root:x" not in log
