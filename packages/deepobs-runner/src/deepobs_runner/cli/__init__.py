"""The `deepobs` command."""

from deepobs_runner.cli.parser import main

__all__ = ["main"]
