"""Run several command lines in one process, with a line before each; for test_terminal.py.

The only argument is a JSON array of command lines, each an array of words.
"""

import json
import sys
import traceback

from deepobs_runner.cli.main import main

MARK = "==== deepobs"


def run(words: list[str]) -> str:
    """Return the exit code of a command line, or the exception that ended it."""
    try:
        return str(main(words))
    except SystemExit as end:
        return str(end.code)
    except Exception:
        traceback.print_exc()
        return "exception"


if __name__ == "__main__":
    for words in json.loads(sys.argv[1]):
        print(f"{MARK} {' '.join(words).encode('ascii', 'replace').decode()}", flush=True)
        print(f"{MARK} ended: {run(words)}", flush=True)
