"""What the tests of several executors share."""

import pytest

from deepobs_runner import load_results
from deepobs_runner.results.result import reproducible


class Listener:
    """A reporter that notes what it is told."""

    def __init__(self):
        self.heard = []

    def start(self, run, label, evaluations):
        self.heard.append(("start", run, evaluations))

    def record(self, run, epoch, metrics, seconds):
        assert metrics["test"]["objective"] > 0
        self.heard.append(("record", run, epoch))

    def finish(self, run):
        self.heard.append(("finish", run))

    def of(self, config):
        """Return what was told about a run."""
        return [event for event in self.heard if event[1] == config.id]


@pytest.fixture
def listener():
    """Return a reporter that notes what it is told."""
    return Listener()


@pytest.fixture(scope="session")
def without_clocks():
    """Return a function from a folder to status, records and step objectives by run."""

    def read(folder):
        return {
            result.config.id: (
                result.status,
                [reproducible(record) for record in result.records],
                result.step_objectives().tolist(),
            )
            for result in load_results(folder)
        }

    return read
