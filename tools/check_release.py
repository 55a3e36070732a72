"""Check that a tag can be released: `python tools/check_release.py deepobs-models-v1.2.0`.

The tag names a package and the version in its pyproject.toml; the changelog's newest heading is
that version, with a date. Prints `name=` and `version=` as lines for a workflow's outputs. With
`--rehearsal` the argument is a package alone, and its changelog may still say `unreleased`.
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TAG = re.compile(r"(?P<name>deepobs-[a-z]+)-v(?P<version>\d+\.\d+\.\d+((a|b|rc)\d+)?)")
HEADING = re.compile(r"^## \[(?P<version>[^\]]+)\] - (?P<date>\d{4}-\d{2}-\d{2}|unreleased)$", re.M)


class ReleaseError(Exception):
    """A tag that cannot be released, and why."""


def version_of(package: Path) -> str:
    """Return the version in a package's pyproject.toml."""
    project = tomllib.loads((package / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return str(project["version"])


def newest_heading(package: Path) -> tuple[str, str]:
    """Return version and date of the changelog's newest entry; the date may be `unreleased`.

    Raises:
        ReleaseError: no heading, or the first of all has another form.
    """
    text = (package / "CHANGELOG.md").read_text(encoding="utf-8")
    first = re.search(r"^## .*$", text, re.M)
    heading = HEADING.match(first.group()) if first else None
    if heading is None:
        raise ReleaseError(
            f"The newest heading of {package.name}/CHANGELOG.md is "
            f"{first.group() if first else 'missing'!r}; write '## [1.2.0] - 2026-01-31' or "
            "'## [1.2.0] - unreleased'."
        )
    return heading["version"], heading["date"]


def find_package(name: str, packages: Path) -> Path:
    """Return the folder of a package.

    Raises:
        ReleaseError: there is none of this name.
    """
    known = sorted(path.name for path in packages.iterdir())
    if name not in known:
        raise ReleaseError(f"Unknown package {name!r}; the packages are {', '.join(known)}.")
    return packages / name


def check(name: str, version: str, packages: Path, *, dated: bool) -> None:
    """Check that pyproject.toml and changelog of a package say this version.

    Raises:
        ReleaseError: they do not, or the changelog has no date though `dated`.
    """
    package = find_package(name, packages)
    if version_of(package) != version:
        raise ReleaseError(
            f"{name} has version {version_of(package)} in pyproject.toml, and {version} is to be "
            "released. Tag the commit that raised the version, or raise it."
        )
    newest, date = newest_heading(package)
    if newest != version:
        raise ReleaseError(
            f"The newest entry of {name}/CHANGELOG.md is {newest}; write the one of {version}."
        )
    if dated and "/OWNER/" in (package / "pyproject.toml").read_text(encoding="utf-8"):
        raise ReleaseError(
            "The address of the repository is not set. Replace OWNER in tools/project_metadata.py, "
            "and run it."
        )
    if dated and date == "unreleased":
        raise ReleaseError(
            f"{name}/CHANGELOG.md says that {version} is unreleased; put the date there."
        )


def main(arguments: list[str], packages: Path = ROOT / "packages") -> int:
    """Check a tag, or a package in a rehearsal; return 1 and say why if it cannot be released."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tag", help="deepobs-models-v1.2.0; a package's name in a rehearsal")
    parser.add_argument("--rehearsal", action="store_true")
    options = parser.parse_args(arguments)
    try:
        if options.rehearsal:
            name, version = options.tag, version_of(find_package(options.tag, packages))
        else:
            match = TAG.fullmatch(options.tag)
            if match is None:
                raise ReleaseError(
                    f"{options.tag!r} is not a release tag. Write it like deepobs-models-v1.2.0."
                )
            name, version = match["name"], match["version"]
        check(name, version, packages, dated=not options.rehearsal)
    except ReleaseError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"name={name}\nversion={version}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
