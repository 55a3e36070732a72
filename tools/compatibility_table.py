"""Write docs/compatibility.md of what `nox -s matrix` left in build/matrix.

`python tools/compatibility_table.py [FOLDER]`. Every file is a JUnit report of one pair, named
`py3.11-torch2.6.0.xml`. A second one of the pair, `py3.11-torch2.6.0-again.xml`, holds tests that
were run again, say after a fix: of a test, the later outcome counts, and the page says so. One with
`-lowest` in its name was run on the lowest versions of all that the packages declare; it has a row
of its own. Where a row has only some of a package's test files, the page names them.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "compatibility.md"
FOLDER = ROOT / "build" / "matrix"
PACKAGES_FOLDER = ROOT / "packages"
PACKAGES = ["deepobs-data", "deepobs-models", "deepobs-problems", "deepobs-runner"]
NAME = re.compile(r"py(?P<python>\d+\.\d+)-torch(?P<torch>\d+(\.\d+)+)(?P<lowest>-lowest)?(-\w+)?")
OUTCOMES = {"failure": "failed", "error": "failed", "skipped": "skipped"}

Outcomes = dict[tuple[str, str], str]  # (module, test) -> passed, failed or skipped


class Pair(NamedTuple):
    """A Python and a torch, as numbers to be sorted by."""

    python: tuple[int, ...]
    torch: tuple[int, ...]
    lowest: bool = False  # all other packages, too

    def versions(self) -> tuple[str, str]:
        """Return both as text."""
        python, torch = (".".join(map(str, numbers)) for numbers in self[:2])
        return python, torch + ", lowest versions" * self.lowest


def pair_of(path: Path) -> Pair:
    """Return the pair that a report's name says.

    Raises:
        SystemExit: it says none.
    """
    match = NAME.fullmatch(path.stem)
    if match is None:
        sys.exit(f"{path.name} names no pair; it should be like py3.11-torch2.6.0.xml.")
    python, torch = (tuple(map(int, match[key].split("."))) for key in ("python", "torch"))
    return Pair(python, torch, bool(match["lowest"]))


def read(path: Path) -> tuple[str, Outcomes]:
    """Return when a report was made, and the outcome of every test in it."""
    suites = list(ElementTree.parse(path).iter("testsuite"))
    outcomes: Outcomes = {}
    for case in suites[0].iter("testcase"):
        found = [OUTCOMES[child.tag] for child in case if child.tag in OUTCOMES]
        name = case.get("name", "")
        # A file that was skipped as a whole has no class.
        module = case.get("classname") or name
        outcomes[module, name] = found[0] if found else "passed"
    return suites[0].get("timestamp", ""), outcomes


def package_of(module: str) -> str:
    """Return the package of a test module such as `packages.deepobs-data.tests.test_table`."""
    return module.split(".")[1]


def present_files(package: str) -> set[str]:
    """Return the test files of a package as they are now, relative to its tests."""
    tests = PACKAGES_FOLDER / package / "tests"
    return {path.relative_to(tests).as_posix() for path in tests.rglob("test_*.py")}


def run_files(outcomes: Outcomes, package: str) -> set[str]:
    """Return those of them that a report has."""
    start = f"packages.{package}.tests."
    run = {module.removeprefix(start) for module, _ in outcomes if module.startswith(start)}
    names = {file: file.removesuffix(".py").replace("/", ".") for file in present_files(package)}
    # A test in a class has the class behind the file.
    return {f for f, name in names.items() if any(f"{m}.".startswith(f"{name}.") for m in run)}


def cell(outcomes: Outcomes, package: str) -> str:
    """Return what is said of a package: failed, passed, skipped, and the files where not all."""
    counts = Counter(how for (module, _), how in outcomes.items() if package_of(module) == package)
    if not counts:
        return "–"
    failed = f"**{counts['failed']} failed**, " if counts["failed"] else ""
    run, present = run_files(outcomes, package), present_files(package)
    part = f", {len(run)} of {len(present)} files" if run < present else ""
    return f"{failed}{counts['passed']} ({counts['skipped']}){part}"


def shortened(files: set[str], present: set[str]) -> str:
    """Return the names of files, with a folder in place of all that it holds."""

    def named(file: str) -> str:
        folder = file.rpartition("/")[0]
        inside = {other for other in present if other.startswith(f"{folder}/")}
        return f"{folder}/" if folder and inside <= files else file

    return ", ".join(f"`{name}`" for name in sorted(set(map(named, files))))


def parts(rows: Mapping[Pair, Outcomes]) -> str:
    """Return the lines that name the files where a row has some of a package only."""
    of: dict[str, list[str]] = {}
    for pair, outcomes in rows.items():
        for package in PACKAGES:
            run, present = run_files(outcomes, package), present_files(package)
            if run and run < present:
                files = f"`{package}`: {shortened(run, present)}"
                of.setdefault(files, []).append(
                    f"{pair.versions()[1]} on Python {pair.versions()[0]}"
                )
    lines = "".join(f"* torch {'; '.join(pairs)}, {files}\n" for files, pairs in of.items())
    return f"\nThe files that were run where not all were:\n\n{lines}" if lines else ""


def render(paths: list[Path]) -> str:
    """Return the page."""
    reports: dict[Pair, list[tuple[str, Outcomes]]] = {}
    for path in paths:
        reports.setdefault(pair_of(path), []).append(read(path))
    merged: dict[Pair, Outcomes] = {}
    rows = []
    for pair, made in sorted(reports.items(), key=lambda item: (item[0].torch, item[0])):
        made.sort(key=lambda report: report[0])
        together = merged.setdefault(pair, {})
        repeated: set[tuple[str, str]] = set()
        for _, outcomes in made:
            repeated |= outcomes.keys() & together.keys()
            together |= outcomes
        again = f", {len(repeated)} test{'s' * (len(repeated) > 1)} again" if repeated else ""
        cells = [*pair.versions(), *(cell(together, package) for package in PACKAGES)]
        rows.append(f"| {' | '.join(cells)} | {made[-1][0][:10]}{again} |")
    header = f"| {' | '.join(HEADER)} |\n{'| --- ' * len(HEADER)}|"
    return TEXT.format(header=header, rows="\n".join(rows), parts=parts(merged))


HEADER = ["Python", "torch", *(f"`{package}`" for package in PACKAGES), "run on"]
TEXT = """# Tested Python and torch versions

Python 3.11 or newer and torch 2.6 or newer. `nox -s releases` runs the tests of networks and data
on every minor release of torch, `nox -s matrix` those of all four packages on some. The table lists
every pair that was run for this page, on Linux without a GPU: tests that passed, and in brackets
those that were skipped, which are slow, need a GPU or a package that is not installed. A dash: not
run.

{header}
{rows}
{parts}
The packages declare lower bounds for other people's packages and no upper ones: `nox -s minimum`
tests each on the lowest versions that it allows, `nox -s newest` all on the newest there are.
`nox -s install_check` installs the built wheels on the oldest and the newest pair and trains with
them.

`python tools/compatibility_table.py` wrote this page.
"""


def main(folder: Path) -> None:
    """Write the page."""
    paths = sorted(folder.glob("*.xml"))
    if not paths:
        sys.exit(f"{folder} holds no reports; run nox -s matrix first.")
    PAGE.write_text(render(paths), encoding="utf-8")
    print(f"wrote {PAGE}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
