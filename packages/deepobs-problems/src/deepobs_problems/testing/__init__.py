"""Does a problem behave as the benchmark expects? For tests, and for users' own problems.

>>> from deepobs_problems.testing import check_problem
>>> check_problem("two_d_beale").ok
True
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch

from deepobs_data import Dataset
from deepobs_problems.errors import ProblemError
from deepobs_problems.lookup import load_problem
from deepobs_problems.problem import Problem
from deepobs_problems.testing.case import Case, FailedCheckError
from deepobs_problems.testing.checks import CHECKS, NEEDED


class Check(NamedTuple):
    """The result of one check.

    Attributes:
        name: name of the check, such as `loss`.
        ok: whether it was passed.
        sentence: finding; for a failed check also the fix.
        error: what the problem's own code raised, None if nothing.
    """

    name: str
    ok: bool
    sentence: str
    error: Exception | None = None

    def __str__(self) -> str:
        return f"{'ok  ' if self.ok else 'FAIL'} {self.name}: {self.sentence}"


@dataclass(frozen=True)
class Report:
    """The checks of one problem, in the order they were made.

    Checks after a failed `data`, `model` or `loss` are not made, since they need all three.
    """

    problem: str
    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Whether every check was passed."""
        return not self.failed

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that were not passed."""
        return tuple(check for check in self.checks if not check.ok)

    def __str__(self) -> str:
        return "\n".join([self.problem, *(f"  {check}" for check in self.checks)])

    def raise_for_failures(self) -> None:
        """Raise a `ProblemError` that names every failed check; its cause is the first error."""
        if self.failed:
            cause = next((check.error for check in self.failed if check.error), None)
            raise ProblemError(str(Report(self.problem, self.failed))) from cause


def check_problem(
    problem: Problem | str,
    *,
    dataset: Dataset | None = None,
    data_dir: Path | str | None = None,
    examples: int = 4,
    seed: int = 0,
) -> Report:
    """Check a problem on a few examples, on the CPU.

    Args:
        problem: a `Problem`, or anything `load_problem` takes.
        dataset: the data to use; default: the problem's stand-in, else its real data.
        data_dir: folder of the real data.
        examples: number of examples in a batch, at least 2.
        seed: seed of the model's initialisation and of training noise. The global generator is left
            as it was.

    Returns:
        A report, whether or not the checks were passed.

    Raises:
        ValueError: fewer than 2 examples.
    """
    if examples < 2:
        raise ValueError(f"examples is {examples}; it must be at least 2 to compare rows.")
    found = load_problem(problem)

    def data() -> Dataset:
        if dataset is not None:
            return dataset
        return (found.stand_in or found.data)(data_dir, valid_size=0, recipe="standard")

    case = Case(found, examples, seed, data)
    with torch.random.fork_rng(devices=[]):
        return Report(found.name, tuple(_run(case)))


def _run(case: Case) -> Iterator[Check]:
    for name, check in CHECKS.items():
        result = _run_one(name, case)
        if result is not None:
            yield result
            if not result.ok and check in NEEDED:
                return


def _run_one(name: str, case: Case) -> Check | None:
    """Result of a check, None if it does not apply to this problem."""
    try:
        sentence = CHECKS[name](case)
    except FailedCheckError as failure:
        cause = failure.__cause__
        return Check(name, False, str(failure), cause if isinstance(cause, Exception) else None)
    except Exception as error:  # raised by the user's code where no message explains it
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(last.filename).name}, line {last.lineno}"
        sentence = f"{type(error).__name__} was raised in {where}: {error}"
        return Check(name, False, sentence, error)
    return None if sentence is None else Check(name, True, sentence)
