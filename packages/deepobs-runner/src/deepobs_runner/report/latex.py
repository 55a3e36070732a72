"""LaTeX of results: final values, verdicts, the methods paragraph, and curves for PGFPlots."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from deepobs_runner.analysis import Metric, curve_band, metric_of, summarize_end
from deepobs_runner.analysis.tuned import find
from deepobs_runner.comparison import Estimate, ProblemComparison, holm
from deepobs_runner.comparison.final_values import values_by_seed
from deepobs_runner.comparison.problem_comparison import compare_on_problem
from deepobs_runner.report.booktabs import booktabs, escape
from deepobs_runner.report.data import ReportData
from deepobs_runner.report.methods import Methods, cite
from deepobs_runner.report.table import decimals_for
from deepobs_runner.results.settings import Setting
from deepobs_runner.text import count

ROWS = 12
"""Problems of a table, so that it fits a column."""

COLORS = ("0072B2", "D55E00", "009E73", "CC79A7", "E69F00", "56B4E9", "882255", "999933")
"""Colours safe for all kinds of colour vision (Okabe and Ito; Tol)."""

DASHES = ("solid", "dashed", "dotted", "dashdotted")


def latex_results(data: ReportData) -> dict[str, str]:
    """Final values of problems × optimizers, a table per metric, by its name.

    Each fits a column of a paper. The best mean of a problem is bold, and so is every tie: a mean
    that the corrected test does not tell from it, with runs that overlap its runs. A single run
    allows no test, so it ties with nothing.
    """
    found: dict[str, str] = {}
    for metric, problems in _by_metric(data).items():
        for part in range(0, len(problems), ROWS):
            name = f"results-{metric.name}" + (f"-{part // ROWS + 1}" if part else "")
            found[name] = _results(data, metric, problems[part : part + ROWS], name)
    return found


def _by_metric(data: ReportData) -> dict[Metric, list[str]]:
    groups: dict[Metric, list[str]] = {}
    for problem, listed in data.problems.items():
        metric = metric_of([run for setting in listed for run in setting.runs])
        if metric is not None:
            groups.setdefault(metric, []).append(problem)
    return groups


def _results(data: ReportData, metric: Metric, problems: Sequence[str], name: str) -> str:
    labels = [
        label
        for label in data.labels
        if any(s.optimizer == label for p in problems for s in data.problems[p])
    ]
    unit = " in %" if metric.higher_is_better else ""
    ends = {problem: _ends(data.problems[problem], metric) for problem in problems}
    bold = _best_and_ties(data, ends, metric)
    rows = [
        " & ".join(
            [
                escape(problem),
                *(
                    _mean_and_spread(ends[problem].get(label), metric, (problem, label) in bold)
                    for label in labels
                ),
            ]
        )
        for problem in problems
    ]
    seeds = sorted({len(s.runs) for p in problems for s in data.problems[p]})
    several = count(f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}", "seed")
    caption = (
        f"Final {metric}{unit}, mean and standard deviation over {several}. Bold: the "
        "best mean, and means that do not differ from it significantly (p-values corrected by "
        "Holm over the table) with runs that overlap its runs. A single seed allows no test."
    )
    head = " & ".join(["Problem", *map(escape, labels)])
    return booktabs(f"l{'r' * len(labels)}", [head], rows, caption, f"tab:{name}", narrow=True)


def _ends(listed: Sequence[Setting], metric: Metric) -> dict[str, tuple[float, float]]:
    found = {}
    for setting in listed:
        end = summarize_end(setting.runs, metric)
        if end is not None:
            found[setting.optimizer] = (end.mean, end.std)
    return found


def _best(ends: Mapping[str, tuple[float, float]], metric: Metric) -> str | None:
    finite = [label for label, (mean, _) in ends.items() if math.isfinite(mean)]
    return max(finite, key=lambda label: metric.sign * ends[label][0], default=None)


def _best_and_ties(
    data: ReportData, ends: Mapping[str, Mapping[str, tuple[float, float]]], metric: Metric
) -> set[tuple[str, str]]:
    """Problem and label of each best mean, and of those that no test tells from it."""
    found: set[tuple[str, str]] = set()
    p_values: dict[tuple[str, str], float] = {}
    for problem, of in ends.items():
        best = _best(of, metric)
        if best is None:
            continue
        found |= {(problem, label) for label, (mean, _) in of.items() if mean == of[best][0]}
        for label, (mean, _) in of.items():
            if (problem, label) not in found and math.isfinite(mean):
                p = _p_against(data, problem, label, best)
                if not math.isnan(p):
                    p_values[problem, label] = p
    corrected = holm(list(p_values.values())).tolist() if p_values else []
    for (problem, label), p in zip(p_values, corrected, strict=True):
        best = _best(ends[problem], metric)
        if best and p > 1 - data.level and _overlap(data, problem, label, best, metric):
            found.add((problem, label))
    return found


def _p_against(data: ReportData, problem: str, label: str, best: str) -> float:
    """Uncorrected p-value of the final values; NaN without a test, as with one run on a side."""
    line = compare_on_problem(
        problem, data.problems[problem], None, best, label, unit=data.unit, level=data.level
    )
    return math.nan if line.final is None else line.final.p


def _overlap(data: ReportData, problem: str, label: str, best: str, metric: Metric) -> bool:
    """Whether a run of an optimizer is at least as good as the worst run of the best one.

    A t-test of three seeds with a large spread finds little; where every run is worse, failing to
    find a difference does not count as a tie.
    """
    one, other = (find(data.problems[problem], name) for name in (label, best))
    if one is None or other is None:
        return False
    runs = values_by_seed(one, metric), values_by_seed(other, metric)
    return all(runs) and max(runs[0].values()) >= min(runs[1].values())


def _mean_and_spread(end: tuple[float, float] | None, metric: Metric, bold: bool) -> str:
    r"""Mean with its standard deviation as a subscript.

    >>> _mean_and_spread((87.397543, 0.1603), Metric("test", "objective", False), True)
    '$\\mathbf{87.40}_{\\pm 0.16}$'
    """
    if end is None:
        return "--"
    mean, std = end
    if not math.isfinite(mean):
        return "diverged"
    if metric.higher_is_better:
        mean, std = 100 * mean, 100 * std
    scale, suffix = 0, ""
    if mean and not -3 <= math.floor(math.log10(abs(mean))) < 5:
        scale = math.floor(math.log10(abs(mean)))
        suffix = rf" \times 10^{{{scale}}}"
    mean, std = mean / 10**scale, std / 10**scale
    if math.isfinite(std) and std > 0:
        decimals = min(max(1 - math.floor(math.log10(std)), 0), 4)
    else:
        decimals = 2
    text = f"{mean:.{decimals}f}"
    text = rf"\mathbf{{{text}}}" if bold else text
    spread = rf"_{{\pm {std:.{decimals}f}}}" if math.isfinite(std) else ""
    return f"${text}{spread}{suffix}$"


def latex_forest(data: ReportData) -> str:
    """Verdicts of each problem: speedup and difference of the final values.

    What is decided after the correction is bold.
    """
    parts = []
    interval = escape(f"{data.percent} CI")
    for verdict in data.verdicts:
        rows = [" & ".join(_forest_cells(line)) for line in verdict.problems]
        if verdict.geometric_mean is not None:
            mean = _estimate(verdict.geometric_mean, verdict.geometric_mean.decided, TIMES)
            rows.append(rf"\midrule Geometric mean & {mean} & ")
        optimizer, reference = (
            name.removesuffix(" (yours)") for name in (verdict.optimizer, verdict.reference)
        )
        name = f"{optimizer} vs. {reference}"
        caption = (
            f"{name}: speedup to the target (above 1: {optimizer} is faster) and difference of the "
            f"final values (above 0: better), with uncorrected {data.percent} intervals."
            f"{POINTS if any(map(_in_points, verdict.problems)) else ''} Bold: decided after "
            "correction for all tests of the report."
        )
        head = [f"Problem & Speedup [{interval}] & Final value [{interval}]"]
        label = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-").lower()
        parts.append(booktabs("lrr", head, rows, caption, f"tab:{label}", narrow=True))
    return "\n".join(parts)


TIMES = r"{\times}"
POINTS = " pp: percentage points."


def _in_points(line: ProblemComparison) -> bool:
    """Whether differences of the final value are percentage points."""
    return line.final_metric is not None and line.final_metric.higher_is_better


def _forest_cells(line: ProblemComparison) -> list[str]:
    speed = _estimate(line.shown_speedup, line.speedup_status in ("faster", "slower"), TIMES)
    if line.shown_speedup is None:
        speed = escape(line.speedup_status)
    points = _in_points(line)
    decided = line.final_status in ("better", "worse")
    final = _estimate(line.final, decided, r"\,\mathrm{pp}" if points else "", 100 if points else 1)
    return [escape(line.problem), speed, final]


def _estimate(estimate: Estimate | None, bold: bool, unit: str, factor: float = 1.0) -> str:
    """Estimate and its interval, which share a power of ten."""
    if estimate is None or math.isnan(estimate.value):
        return "--"
    value, low, high = (factor * x for x in (estimate.value, estimate.low, estimate.high))
    largest = max((abs(x) for x in (value, low, high) if math.isfinite(x)), default=0.0)
    size = math.floor(math.log10(largest)) if largest else 0
    power = 0 if -4 < size < 5 else size
    value, low, high = (x / 10**power for x in (value, low, high))
    decimals = min(decimals_for(value, high - low), 5) if math.isfinite(high - low) else 2
    if unit == TIMES and value < 10:  # as on the page; with fewer, 1.02 would be 1
        decimals = max(decimals, 2)
    text = plain_number(value, decimals)
    text = {"at least": r"\geq ", "at most": r"\leq "}.get(estimate.bound, "") + (
        rf"\mathbf{{{text}}}" if bold else text
    )
    times = rf" \times 10^{{{power}}}" if power else ""
    if not estimate.has_interval:
        return f"${text}{times}{unit}$"
    if estimate.open_below:
        ends = rf"[\leq {plain_number(high, decimals)}]"
    elif math.isinf(high):
        ends = rf"[\geq {plain_number(low, decimals)}]"
    else:
        ends = f"[{plain_number(low, decimals)}, {plain_number(high, decimals)}]"
    if times:
        return f"$({text}\\ {ends}){times}{unit}$"
    return f"${text}{unit}\\ {ends}$"


def plain_number(value: float, decimals: int) -> str:
    r"""Number in math mode.

    >>> plain_number(1.234, 2), plain_number(math.inf, 0)
    ('1.23', '\\infty')
    """
    if math.isinf(value):
        return r"\infty" if value > 0 else r"-\infty"
    return f"{value:z.{decimals}f}"


def latex_methods(methods: Methods) -> str:
    r"""Methods paragraphs with `\cite` commands."""
    paragraphs = (cite(text, lambda key: rf"\cite{{{key}}}", escape) for text in methods.paragraphs)
    return "\n\n".join(paragraphs) + "\n"


def latex_curves(problem: str, settings: Sequence[Setting], *, level: float = 0.95) -> str:
    """PGFPlots picture of the curves of a problem, with the numbers in it.

    Drawn is the median over seeds of the metric the problem is judged by, with a bootstrap band
    where there are at least five; nothing if no setting has a finite value.
    """
    metric = metric_of([run for setting in settings for run in setting.runs])
    plots = [] if metric is None else _plots(settings, metric, level)
    if metric is None or not plots:
        return ""
    colors = [rf"\definecolor{{deepobs{i}}}{{HTML}}{{{c}}}" for i, c in enumerate(COLORS)]
    lines = [
        r"% needs \usepackage{pgfplots} \usepgfplotslibrary{fillbetween}",
        *colors,
        r"\begin{tikzpicture}",
        r"  \begin{axis}[",
        rf"    title={{{escape(problem)}}}, xlabel={{Epoch}}, ylabel={{{escape(str(metric))}}},",
        r"    legend pos=outer north east, legend cell align=left, grid=major]",
        *plots,
        r"  \end{axis}",
        r"\end{tikzpicture}",
    ]
    return "\n".join(lines) + "\n"


def _plots(settings: Sequence[Setting], metric: Metric, level: float) -> list[str]:
    lines = []
    for index, setting in enumerate(settings):
        band = curve_band(setting.runs, metric, center="median", level=level)
        if band is None:
            continue
        color = f"deepobs{index % len(COLORS)}"
        dash = DASHES[index // len(COLORS) % len(DASHES)]
        epochs = band.epochs.tolist()
        if any(map(math.isfinite, band.low.tolist())):
            for name, values in (("low", band.low), ("high", band.high)):
                path = f"draw=none, forget plot, name path={name}{index}"
                lines.append(_plot(path, epochs, values.tolist()))
            lines.append(
                rf"    \addplot[{color}, opacity=0.2, forget plot] fill between"
                rf"[of=low{index} and high{index}];"
            )
        lines.append(_plot(f"{color}, thick, {dash}", epochs, band.median.tolist()))
        lines.append(rf"    \addlegendentry{{{escape(f'{setting.label}, {setting.source}')}}}")
    return lines


def _plot(options: str, epochs: Sequence[float], values: Sequence[float]) -> str:
    points = " ".join(
        f"({epoch:g},{value:.6g})"
        for epoch, value in zip(epochs, values, strict=True)
        if math.isfinite(value)
    )
    return rf"    \addplot[{options}] coordinates {{{points}}};"
