"""`python -m deepobs_runner.cli`, the same as `deepobs`."""

import os
import sys

if __name__ == "__main__" and not sys.flags.safe_path and sys.path[:1] == [os.getcwd()]:
    del sys.path[0]  # `python -m` puts the current folder there, which may hold foreign files

from deepobs_runner.cli import program

if __name__ == "__main__":  # a walk over all modules imports this one, too
    sys.exit(program())
