"""When a run stops early."""

import numpy as np
import pytest

from deepobs_runner.training.early_stopping import reason_to_stop_early

INF, NAN = np.inf, np.nan


@pytest.mark.parametrize(
    ("objectives", "stops"),
    [
        ([3.0, 2.0, 1.0], False),
        ([1.0, 2.0], False),
        ([1.0, 2.0, 3.0], True),
        ([1.0, 1.0, 1.0], True),
        ([2.0, NAN, 1.0], False),
        ([1.0, NAN, INF], True),
        ([INF, NAN, NAN], True),
        ([INF, INF, 1.0], False),
    ],
)
def test_after_two_epochs_without_a_lower_objective(objectives, stops):
    reason = reason_to_stop_early(np.array(objectives), "valid", 2)
    assert reason == ("no lower objective on valid for 2 epochs" if stops else None)
