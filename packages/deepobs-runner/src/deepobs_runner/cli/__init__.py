"""The `deepobs` command."""

from deepobs_runner.cli.main import main, program

__all__ = ["main", "program"]
