"""The soak test, for a minute; `DEEPOBS_SOAK_SECONDS` and `DEEPOBS_SOAK_SEED` choose others."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("soak.py")


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked")
def test_disturbed_runs_equal_undisturbed_ones():
    seconds = os.environ.get("DEEPOBS_SOAK_SECONDS", "60")
    seed = os.environ.get("DEEPOBS_SOAK_SEED", "1")
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--seconds", seconds, "--seed", seed],
        capture_output=True,
        text=True,
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "failures: 0" in done.stdout
