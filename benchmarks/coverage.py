"""How often intervals cover, and how often equal optimizers are called different.

Run from the repository root, in an environment with deepobs-runner:

    python benchmarks/coverage.py              # all tables, in about two minutes
    python benchmarks/coverage.py --samples 0.1    # a tenth of the samples

Samples are drawn here; estimates, tests and their correction are the functions that make reports.
docs/statistics.md shows the tables, and tests/test_coverage.py holds their bounds.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import NamedTuple

import numpy as np

from deepobs_runner import official_results
from deepobs_runner.analysis import Metric, final_value, metric_of, tuned_settings
from deepobs_runner.analysis.bootstrap import quantiles
from deepobs_runner.analysis.t_tests import Contrast, student, welch
from deepobs_runner.comparison import (
    ProblemComparison,
    Target,
    Times,
    Verdict,
    correct,
    final_difference,
    improvement,
    judge_settings,
    speedup_of,
    target_of,
)
from deepobs_runner.comparison.fairness import Agreement
from deepobs_runner.comparison.speedup import log_speedup, reached_p
from deepobs_runner.results.official import official_problems

SEEDS = (2, 3, 5, 10)
LEVEL = 0.95
TYPICAL, SPREAD = 20.0, 0.15
"""Median time to target in epochs, and standard deviation of its logarithm."""

BUDGET = 22.0
"""Epochs after which censored runs end: about a quarter of them, at the typical time."""

REPORT = (6, 3)
"""Problems and references of a simulated report."""

TARGET = Target(
    problem="p", metric=Metric("test", "loss", higher_is_better=False), value=1.0, source=""
)


SIGNIFICANT = ": significant without correction"
"""End of the names of shares that count significant tests, not intervals that cover."""


class Share(NamedTuple):
    """How often something was seen among samples.

    Attributes:
        what: what is counted.
        seeds: number of seeds of each optimizer.
        share: share of the samples.
    """

    what: str
    seeds: int
    share: float


def generator(*words: int) -> np.random.Generator:
    """Return the random generator of a table, so that each repeats on its own."""
    return np.random.default_rng([2026, *words])


@cache
def official_finals() -> Mapping[tuple[str, str], np.ndarray]:
    """Return the final values of each tuned official setting by problem and optimizer, `(10,)`.

    They are in the order of seeds; settings with diverged runs are left out.
    """
    found = {}
    for problem in official_problems():
        runs = official_results(problem)
        metric = metric_of(runs)
        for setting in tuned_settings(runs)[problem]:
            ordered = sorted(setting.runs, key=lambda run: run.config.seed)
            values = np.array([final_value(run, metric) for run in ordered if metric])
            if np.isfinite(values).all():
                found[problem, setting.optimizer] = values
    return found


def covered(contrast: Contrast, truth: np.ndarray | float = 0.0) -> float:
    """Return the share of the intervals of a contrast that hold the truth."""
    low, high = contrast.interval(LEVEL)
    return float(np.mean((low <= truth) & (truth <= high)))


# Coverage.


def coverage_of_means(samples: int) -> Iterator[Share]:
    """Yield how often intervals of means and medians cover."""
    for n in SEEDS:
        rng = generator(1, n)
        normal = rng.normal(size=(samples, n))
        yield Share("mean, normal: Student's t", n, covered(student(normal)))
        skewed = rng.lognormal(sigma=0.5, size=(samples, n))
        yield Share(
            "mean, log-normal (0.5): Student's t", n, covered(student(skewed), math.exp(1 / 8))
        )
        pools = official_finals().values()
        drawn = [covered(student(rng.choice(p, size=(samples, n))), p.mean()) for p in pools]
        yield Share("mean, resampled finals: Student's t", n, float(np.mean(drawn)))
        few = normal[:500]
        draws = rng.integers(n, size=(1000, n))
        for name, statistic in (("mean", np.mean), ("median", np.median)):
            replicates = statistic(few[:, draws], axis=-1)
            low, high = quantiles(replicates.T, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
            share = float(np.mean((low <= 0) & (high >= 0)))
            yield Share(f"{name}, normal: percentile bootstrap", n, share)


def coverage_of_differences(samples: int) -> Iterator[Share]:
    """Yield how often intervals of differences of final values cover."""
    finals = official_finals()
    for n in SEEDS:
        rng = generator(2, n)
        first, second = rng.normal(size=(2, samples, n))
        yield Share("final, normal: Welch's t", n, covered(welch(first, second)))
        yield Share("final, spreads 1 to 3: Welch's t", n, covered(welch(first, 3 * second)))
        drawn = [covered(welch(*rng.choice(p, size=(2, samples, n)))) for p in finals.values()]
        yield Share("final, resampled finals: Welch's t", n, float(np.mean(drawn)))
        yield Share("final, normal: paired t", n, covered(student(first - second)))
        pairs = [finals[key] - finals[key[0], "SGD"] for key in finals if key[1] != "SGD"]
        drawn = [covered(student(rng.choice(p, size=(samples, n))), p.mean()) for p in pairs]
        yield Share("final, resampled pairs: paired t", n, float(np.mean(drawn)))
        lost = [lost_coverage(rng, n) for _ in range(samples // 20)]
        yield Share("final, a fifth diverged: rank-sum", n, float(np.mean(lost)))


def lost_coverage(rng: np.random.Generator, n: int) -> bool:
    """Return whether the interval covers where a fifth of the runs of both sides diverge."""
    sides = rng.normal(size=(2, n))
    sides[rng.random((2, n)) < 0.2] = -np.inf
    one, other = (dict(enumerate(side.tolist())) for side in sides)
    found = final_difference(one, other, level=LEVEL)
    return found is not None and not (found.low > 0 or found.high < 0)


def coverage_of_speedups(samples: int) -> Iterator[Share]:
    """Yield how often intervals of speedups cover, and how often they decide."""
    for n in SEEDS:
        for ratio in (1.0, 1.2, 1.5):
            for name, spreads in (("", (1, 1)), (", spreads 1 to 3", (1, 3))):
                rng = generator(3, n, round(10 * ratio))
                first, second = (
                    np.ceil(typical * rng.lognormal(sigma=SPREAD * factor, size=(samples, n)))
                    for typical, factor in zip((TYPICAL, TYPICAL * ratio), spreads, strict=True)
                )
                ones = np.ones_like(first)
                found = log_speedup(first, second, ones, ones)
                yield Share(
                    f"speedup {ratio:g}{name}: Welch's t", n, covered(found, math.log(ratio))
                )
                if ratio > 1 and not name:
                    power = float(np.mean(found.p() <= 1 - LEVEL))
                    yield Share(f"speedup {ratio:g}{SIGNIFICANT}", n, power)
        for ratio in (1.0, 1.5):
            rng = generator(4, n, round(10 * ratio))
            found = [censored_speedup(rng, n, ratio) for _ in range(samples // 5)]
            both = float(np.mean([covers for covers, _ in found]))
            yield Share(f"speedup {ratio:g}, censored runs: rank-sum", n, both)
            decided = float(np.mean([decided for _, decided in found]))
            yield Share(f"speedup {ratio:g}, censored runs{SIGNIFICANT}", n, decided)


def censored_speedup(rng: np.random.Generator, n: int, ratio: float) -> tuple[bool, bool]:
    """Return whether the interval of one speedup covers, and whether it is decided."""
    sides = [times_of(rng, n, typical, BUDGET) for typical in (TYPICAL, TYPICAL * ratio)]
    found = speedup_of(*sides, LEVEL)
    if found is None:
        return True, False
    decided = found.p <= 1 - LEVEL
    low, high = found.low, found.high
    inside = low <= ratio <= high and not (decided and ratio in (low, high))
    return math.isnan(low) or inside, decided


def times_of(
    rng: np.random.Generator, n: int, typical: float = TYPICAL, budget: float = math.inf
) -> Times:
    """Return times to target in whole epochs, log-normal, censored at a budget."""
    times = np.ceil(typical * rng.lognormal(sigma=SPREAD, size=n))
    return Times(
        target=TARGET,
        unit="epochs",
        counted="epochs",
        seeds=tuple(range(n)),
        times=np.minimum(times, budget),
        reached=times <= budget,
        grid=np.ones(n),
        lost=np.zeros(n, dtype=bool),
        unknown=0,
    )


# False claims.


def false_claims(samples: int, seeds: Sequence[int] = SEEDS) -> Iterator[Share]:
    """Yield how often something is claimed of optimizers that are equal."""
    for n in seeds:
        rng = generator(5, n)
        reports = [report(rng, n) for _ in range(samples)]
        lines = [line for verdicts in reports for verdict in verdicts for line in verdict.problems]
        yield Share("one test, before correction", n, _any_p(lines, "p"))
        yield Share("one test, after correction", n, _any_p(lines, "p_corrected"))
        yield Share("any claim in a report", n, float(np.mean([claims(v) for v in reports])))
        decided = [overall_decided(verdict) for verdicts in reports for verdict in verdicts]
        yield Share("probability of being faster, or mean", n, float(np.mean(decided)))
        rng = generator(6, n)
        only = [only_one_reaches(rng, n) for _ in range(samples)]
        yield Share("only one optimizer reaches the target", n, float(np.mean(only)))


def _any_p(lines: Sequence[ProblemComparison], name: str) -> float:
    p = [getattr(e, name) for line in lines for e in (line.speedup, line.final) if e is not None]
    return float(np.mean(np.array(p) <= 1 - LEVEL))


def report(rng: np.random.Generator, n: int, ratio: float = 1.0) -> tuple[Verdict, ...]:
    """Return the verdicts of a report on one optimizer and references that are slower by a factor.

    On a third of the problems the budget censors runs, and finals are those of official runs.
    """
    problems, references = REPORT
    pools = list(official_finals().values())
    pools = [pools[index] for index in rng.integers(len(pools), size=problems)]
    budgets = [math.inf if index % 3 else BUDGET for index in range(problems)]
    own = [times_of(rng, n, TYPICAL, budget) for budget in budgets]
    ends = [normal_like(rng, pool, n) for pool in pools]
    verdicts = []
    for _ in range(references):
        lines = [
            line_of(mine, times_of(rng, n, TYPICAL * ratio, budget), end, normal_like(rng, pool, n))
            for mine, end, budget, pool in zip(own, ends, budgets, pools, strict=True)
        ]
        verdicts.append(verdict_of(lines))
    return correct(verdicts)


def normal_like(rng: np.random.Generator, pool: np.ndarray, n: int) -> dict[int, float]:
    """Return final values resampled from official ones and jittered, as values never repeat."""
    values = rng.choice(pool, size=n) + 0.2 * pool.std() * rng.normal(size=n)
    return dict(enumerate(values.tolist()))


def line_of(
    times: Times, reference: Times, ends: Mapping[int, float], others: Mapping[int, float]
) -> ProblemComparison:
    """Return the comparison on one problem, as `compare_on_problem` makes it of results."""
    return ProblemComparison(
        problem="p",
        optimizer="A",
        reference="B",
        unit="epochs",
        level=LEVEL,
        target=TARGET,
        times=times,
        reference_times=reference,
        speedup=speedup_of(times, reference, LEVEL),
        undecided="inconclusive",
        reached_p=reached_p(times.reached_of, reference.reached_of),
        final=final_difference(ends, others, level=LEVEL),
        final_metric=TARGET.metric,
        final_runs=(len(ends), len(others)),
        diverged=(0, 0),
        pairs=len(ends.keys() & others.keys()),
        other_targets={},
    )


def verdict_of(lines: Sequence[ProblemComparison]) -> Verdict:
    """Return a verdict on these lines, not corrected yet."""
    return Verdict(
        optimizer="A",
        reference="B",
        unit="epochs",
        level=LEVEL,
        problems=tuple(lines),
        improvement=improvement(lines, LEVEL),
        mean=None,
        differences=(),
        foreign=(),
        agreement=Agreement((), ()),
        known=("A", "B"),
    )


def claims(verdicts: Sequence[Verdict]) -> bool:
    """Whether a report calls two optimizers different anywhere."""
    statuses = {"faster", "slower", "better", "worse"}
    lines = [line for verdict in verdicts for line in verdict.problems]
    found = {s for line in lines for s in (line.speedup_status, line.final_status)}
    return bool(found & statuses) or any(map(overall_decided, verdicts))


def overall_decided(verdict: Verdict) -> bool:
    """Whether an estimate over all problems is decided."""
    return any(e is not None and e.decided for e in (verdict.improvement, verdict.geometric_mean))


def only_one_reaches(rng: np.random.Generator, n: int) -> bool:
    """Whether a difference is decided, with every run of one side and half of the other's.

    The target is what the runs of one of two equal optimizers reach in the median, the worst case.
    """
    sides = [times_of(rng, n) for _ in range(2)]
    budget = float(np.median(sides[0].times))
    sides = [
        replace(side, times=np.minimum(side.times, budget), reached=side.times <= budget)
        for side in sides
    ]
    found = speedup_of(*sides, LEVEL)
    return found is not None and found.p <= 1 - LEVEL


def power_of_reports(samples: int) -> Iterator[Share]:
    """Yield how often true speedups on every problem are claimed."""
    for ratio in (1.1, 1.2, 1.5):
        for n in SEEDS[1:]:
            rng = generator(7, n, round(10 * ratio))
            reports = [report(rng, n, ratio) for _ in range(samples)]
            verdicts = [verdict for found in reports for verdict in found]
            right = [line.speedup_status == "faster" for v in verdicts for line in v.problems]
            yield Share(f"speedup {ratio:g}: significant on a problem", n, float(np.mean(right)))
            overall = [v.improvement is not None and v.improvement.decided for v in verdicts]
            share = float(np.mean(overall))
            yield Share(f"speedup {ratio:g}: significant probability of being faster", n, share)


def divided_seeds(divisions: int) -> int:
    """Return how many divisions of the official seeds of one optimizer end in a claim.

    The ten seeds of a tuned official optimizer on eight problems are divided at random into two
    "optimizers" of three seeds each, or of five, which are compared as any other two.
    """
    found = 0
    targets = {problem: target_of(problem) for problem in official_problems()}
    runs = {
        (problem, setting.optimizer): setting.runs
        for problem in official_problems()
        for setting in tuned_settings(official_results(problem))[problem]
    }
    for division in range(divisions):
        optimizer, size = ("SGD", "Momentum", "Adam")[division % 3], (3, 5)[division % 2]
        rng = generator(8, division)
        halves = []
        for problem in official_problems():
            own = runs[problem, optimizer]
            for place, index in enumerate(rng.permutation(len(own))[: 2 * size]):
                config = replace(own[index].config, optimizer="AB"[place % 2])
                halves.append(replace(own[index], config=config))
        found += claims([judge_settings(tuned_settings(halves), targets, "A", "B")])
    return found


def table(title: str, shares: Sequence[Share]) -> str:
    """Return shares as a table in Markdown: a row for each thing, a column for each n."""
    seeds = [n for n in SEEDS if any(share.seeds == n for share in shares)]
    found = {(share.what, share.seeds): share.share for share in shares}
    lines = [
        f"| {title} | {' | '.join(f'n = {n}' for n in seeds)} |",
        f"|---|{'---:|' * len(seeds)}",
    ]
    for what in dict.fromkeys(share.what for share in shares):
        cells = [f"{100 * found[what, n]:.1f}" if (what, n) in found else "" for n in seeds]
        lines.append(f"| {what} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Print every table, in percent."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--samples", type=float, default=1.0, help="factor; default: %(default)s")
    factor = parser.parse_args().samples
    many, some = max(20, round(10000 * factor)), max(20, round(250 * factor))
    print(table("coverage (%)", list(coverage_of_means(many))), end="\n\n")
    print(table("coverage (%)", list(coverage_of_differences(many))), end="\n\n")
    speedups = list(coverage_of_speedups(many))
    covered_shares = [share for share in speedups if not share.what.endswith(SIGNIFICANT)]
    print(table("coverage (%)", covered_shares), end="\n\n")
    significant = [
        share._replace(what=share.what.removesuffix(SIGNIFICANT))
        for share in speedups
        if share.what.endswith(SIGNIFICANT)
    ]
    print(table("significant without correction (%)", significant), end="\n\n")
    print(table("false claims (%)", list(false_claims(2 * some))), end="\n\n")
    print(table("power (%)", list(power_of_reports(some // 2))), end="\n\n")
    divisions = max(40, round(200 * factor))
    number = divided_seeds(divisions)
    print(f"{number} of {divisions} divisions of the seeds of one optimizer end in a claim.")


if __name__ == "__main__":
    main()
