"""Check that two folders hold the same runs with equal records.

`python tools/compare_results.py BEFORE AFTER [PACKAGE=VERSION ...]`: times and memory may differ;
the results in AFTER must have been made with the packages named.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

# What two runs of one configuration need not share.
MEASURED = {"clocks", "peak_memory_bytes"}


def without_measurements(value: Any) -> Any:
    """Return records without what is measured rather than computed."""
    if isinstance(value, dict):
        return {k: without_measurements(v) for k, v in value.items() if k not in MEASURED}
    if isinstance(value, list):
        return [without_measurements(item) for item in value]
    return value


def read(folder: Path) -> dict[str, Any]:
    """Return the result files of a folder by name."""
    return {p.name: json.loads(p.read_text(encoding="utf-8")) for p in folder.glob("*.json")}


def differences(before: Path, after: Path, versions: dict[str, str]) -> list[str]:
    """Return a sentence for every run that is missing in one folder, or other in the second."""
    first, second = read(before), read(after)
    if not first:
        return [f"{before} holds no results"]
    wrong = [f"{name} is in one folder only" for name in sorted(first.keys() ^ second.keys())]
    for name in sorted(first.keys() & second.keys()):
        for key in ("id", "config", "status", "records"):
            if without_measurements(first[name][key]) != without_measurements(second[name][key]):
                wrong.append(f"{name}: not the same {key}")
        used = second[name]["environment"]["packages"]
        for package, version in versions.items():
            if used.get(package) != version:
                wrong.append(f"{name} was made with {package} {used.get(package)}, not {version}")
    return wrong


def main(arguments: list[str]) -> int:
    """Compare two folders; print what differs and return 1 if anything does."""
    before, after = map(Path, arguments[:2])
    versions = dict(word.split("=", 1) for word in arguments[2:])
    wrong = differences(before, after, versions)
    for line in wrong:
        print(line, file=sys.stderr)
    if not wrong:
        print(f"equal: {', '.join(sorted(path.stem for path in before.glob('*.json')))}")
    return 1 if wrong else 0


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1:]))
