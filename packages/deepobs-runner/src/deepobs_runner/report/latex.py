"""LaTeX of results: final values, verdicts, the methods paragraph, and curves for PGFPlots."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from deepobs_runner.analysis import Metric, curve_band, metric_of, summarize_end
from deepobs_runner.comparison import Estimate, ProblemComparison
from deepobs_runner.report.booktabs import booktabs, escape
from deepobs_runner.report.data import ReportData
from deepobs_runner.report.methods import Methods, cite
from deepobs_runner.results.settings import Setting

ROWS = 12
"""Problems of a table, so that it fits a column."""

COLORS = ("0072B2", "D55E00", "009E73", "CC79A7", "E69F00", "56B4E9", "882255", "999933")
"""Told apart with every kind of colour vision (Okabe and Ito; Tol)."""

DASHES = ("solid", "dashed", "dotted", "dashdotted")


def latex_results(data: ReportData) -> dict[str, str]:
    """Return the final values of problems × optimizers, a table per metric, by its name.

    Each fits a column of a paper. The best mean of a problem is bold, and so is every other that
    the corrected test does not tell from it.
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
    rows = []
    for problem in problems:
        ends = _ends(data.problems[problem], metric)
        best = _best(ends, metric)
        ties = {best} | {label for label in ends if _tied(data, problem, label, best)}
        cells = [_mean_and_spread(ends.get(label), metric, label in ties) for label in labels]
        rows.append(" & ".join([escape(problem), *cells]))
    seeds = sorted({len(s.runs) for p in problems for s in data.problems[p]})
    several = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    caption = (
        f"Final {metric}{unit}, mean and standard deviation over {several} seeds. Bold: the best "
        "mean, and those that the test, corrected for all comparisons, does not tell from it."
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


def _tied(data: ReportData, problem: str, label: str, best: str | None) -> bool:
    """Whether a comparison of a label with the best was made, and left it inconclusive."""
    for verdict in data.verdicts:
        if {verdict.optimizer, verdict.reference} == {label, best}:
            for line in verdict.problems:
                if line.problem == problem:
                    return line.final_status == "inconclusive"
    return False


def _mean_and_spread(end: tuple[float, float] | None, metric: Metric, bold: bool) -> str:
    r"""Return a mean with its standard deviation as a subscript.

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
    """Return the verdicts of each problem: speedup and difference of the final values.

    What is decided after the correction is bold.
    """
    parts = []
    for verdict in data.verdicts:
        rows = [" & ".join(_forest_cells(line)) for line in verdict.problems]
        name = f"{verdict.optimizer} vs. {verdict.reference}"
        caption = (
            f"{name}: speedup to the target (above 1: {verdict.optimizer} is faster) and "
            f"difference of the final values (above 0: better), each with its {data.percent} "
            "interval. Bold: decided after correction for all tests."
        )
        head = ["Problem & Speedup & Interval & Final value & Interval"]
        label = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-").lower()
        parts.append(booktabs("lrlrl", head, rows, caption, f"tab:{label}", narrow=True))
    return "\n".join(parts)


def _forest_cells(line: ProblemComparison) -> list[str]:
    speed = _estimate(line.speedup, line.speedup_status in ("faster", "slower"), r"\times")
    if line.speedup is None:
        speed = [escape(line.speedup_status), ""]
    points = line.final_metric is not None and line.final_metric.higher_is_better
    decided = line.final_status in ("better", "worse")
    final = _estimate(line.final, decided, r"\,\mathrm{pp}" if points else "", 100 if points else 1)
    return [escape(line.problem), *speed, *final]


def _estimate(estimate: Estimate | None, bold: bool, unit: str, factor: float = 1.0) -> list[str]:
    """Return an estimate and its interval."""
    if estimate is None or math.isnan(estimate.value):
        return ["--", ""]
    signs = {"at least": r"\geq ", "at most": r"\leq "}
    value = power_of_ten(factor * estimate.value)
    text = rf"\mathbf{{{value}}}" if bold else value
    text = f"${signs.get(estimate.bound, '')}{text}{unit}$"
    if estimate.bound or not estimate.has_interval:
        return [text, ""]
    ends = (power_of_ten(factor * end) for end in (estimate.low, estimate.high))
    return [text, f"$[{', '.join(ends)}]$"]


def power_of_ten(value: float) -> str:
    r"""Return a number with three digits, in math mode.

    >>> power_of_ten(1.234), power_of_ten(-2.5e-7), power_of_ten(math.inf)
    ('1.23', '-2.50 \\times 10^{-7}', '\\infty')
    """
    if math.isinf(value):
        return r"\infty" if value > 0 else r"-\infty"
    size = math.floor(math.log10(abs(value))) if value else 0
    if not -4 < size < 6:
        return rf"{value / 10**size:.2f} \times 10^{{{size}}}"
    return f"{value:.{max(2 - size, 0)}f}"


def latex_methods(methods: Methods) -> str:
    r"""Return the methods paragraphs with `\cite` commands."""
    paragraphs = (cite(text, lambda key: rf"\cite{{{key}}}", escape) for text in methods.paragraphs)
    return "\n\n".join(paragraphs) + "\n"


def latex_curves(problem: str, settings: Sequence[Setting], *, level: float = 0.95) -> str:
    """Return a PGFPlots picture of the curves of a problem, with the numbers in it.

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
