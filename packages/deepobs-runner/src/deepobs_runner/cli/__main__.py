"""`python -m deepobs_runner.cli`, the same as `deepobs`."""

import sys

from deepobs_runner.cli import main

if __name__ == "__main__":  # a walk over all modules imports this one, too
    sys.exit(main())
