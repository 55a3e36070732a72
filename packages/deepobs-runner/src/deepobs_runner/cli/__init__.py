"""The `deepobs` command."""

from deepobs_runner.cli.main import main

__all__ = ["main"]
