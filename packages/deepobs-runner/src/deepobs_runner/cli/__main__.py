"""`python -m deepobs_runner.cli`, the same as `deepobs`."""

import sys

from deepobs_runner.cli import main

sys.exit(main())
