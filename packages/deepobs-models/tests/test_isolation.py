"""The package needs torch alone, and importing it does nothing else."""

import subprocess
import sys

CODE = """
import sys
sys.modules["numpy"] = None  # importing numpy now fails
import warnings
warnings.simplefilter("ignore")  # torch notes that numpy is missing
import torch
before = set(sys.modules)
state = torch.get_rng_state()
import deepobs_models
added = {name.partition(".")[0] for name in set(sys.modules) - before}
of_torch = {"torch", "sympy", "mpmath"}  # torch 2.6 imports parts of itself late
print(*sorted(added - set(sys.stdlib_module_names) - of_torch))
print(torch.equal(torch.get_rng_state(), state))
print(tuple(deepobs_models.Net2c2d(10)(torch.zeros(1, 1, 28, 28)).shape))
"""


def test_import_needs_torch_alone():
    result = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True)
    assert result.stdout.splitlines() == ["deepobs_models", "True", "(1, 10)"], result.stderr
