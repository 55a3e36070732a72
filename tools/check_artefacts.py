"""Check what was built: `python tools/check_artefacts.py dist [PACKAGE ...]`.

A source distribution must hold the package's files, its tests and the licence, and nothing else; a
wheel the same modules and data, `py.typed` and the licence, and no tests. Both say the version of
pyproject.toml. Everything that is wrong is printed, then the sizes.
"""

from __future__ import annotations

import email
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = sorted(path.name for path in (ROOT / "packages").iterdir())
NOT_IN_SOURCES = {"__pycache__", ".pytest_cache"}
REQUIRED = {"LICENSE", "README.md", "CHANGELOG.md", "pyproject.toml", "PKG-INFO"}
# What the build backend adds to a source distribution.
ADDED = {"PKG-INFO", ".gitignore"}
# What a package may consist of; another kind is a slip, or is to be added here.
KINDS = (
    ".py",
    ".typed",
    ".txt",
    ".json",
    ".jsonl.gz",
    ".jsonl.xz",
    ".yaml",
    ".md",
    ".bib",
    ".css",
    ".html",
    ".js",
)
# Larger than this, something was packed that does not belong there.
LARGEST = 6_000_000  # bytes

Files = dict[str, bytes]


def files_of_checkout(package: Path) -> Files:
    """Return what belongs into a source distribution: the package's folder, caches left out."""
    return {
        str(path.relative_to(package).as_posix()): path.read_bytes()
        for path in sorted(package.rglob("*"))
        if path.is_file() and not NOT_IN_SOURCES & set(path.parts)
    }


def files_of_sdist(path: Path) -> Files:
    """Return the files of a source distribution, without its top folder's name."""
    with tarfile.open(path) as archive:
        members = [member for member in archive.getmembers() if member.isfile()]
        contents = {m.name: archive.extractfile(m) for m in members}
        return {name.partition("/")[2]: file.read() for name, file in contents.items() if file}


def files_of_wheel(path: Path) -> Files:
    """Return the files of a wheel."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist() if name[-1] != "/"}


def differences(found: Files, expected: Files, where: str) -> list[str]:
    """Return a sentence for every file that is missing, too much, or has other bytes."""
    missing = [f"{where} lacks {name}" for name in sorted(expected.keys() - found.keys())]
    stray = [f"{where} holds {name}" for name in sorted(found.keys() - expected.keys())]
    common = sorted(found.keys() & expected.keys())
    other = [
        f"{name} in {where} is not that of the checkout"
        for name in common
        if found[name] != expected[name]
    ]
    return missing + stray + other


def check_sdist(sdist: Path, package: Path) -> list[str]:
    """Return what is wrong with a source distribution."""
    files = files_of_sdist(sdist)
    found = {name: data for name, data in files.items() if name not in ADDED}
    wrong = differences(found, files_of_checkout(package), sdist.name)
    wrong += [
        f"{sdist.name} has no {name}" for name in ("LICENSE", "PKG-INFO") if name not in files
    ]
    if not any(name.startswith("tests/test_") for name in files):
        wrong.append(f"{sdist.name} has no tests")
    return wrong


def check_wheel(wheel: Path, package: Path) -> list[str]:
    """Return what is wrong with a wheel."""
    project = tomllib.loads((package / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    module = project["name"].replace("-", "_")
    info = f"{module}-{project['version']}.dist-info"
    files = files_of_wheel(wheel)
    if f"{info}/METADATA" not in files:
        return [f"{wheel.name} has no {info}/METADATA: it was not built from this version"]
    checkout = files_of_checkout(package)
    expected = {n.removeprefix("src/"): d for n, d in checkout.items() if n.startswith("src/")}
    expected[f"{info}/licenses/LICENSE"] = checkout.get("LICENSE", b"")
    written = {f"{info}/{name}" for name in ("METADATA", "WHEEL", "RECORD", "entry_points.txt")}
    found = {name: data for name, data in files.items() if name not in written}
    wrong = differences(found, expected, wheel.name)
    if f"{module}/py.typed" not in files:
        wrong.append(f"{wheel.name} has no {module}/py.typed")
    odd = sorted(name for name in found if not name.startswith(info) and not name.endswith(KINDS))
    wrong += [f"{wheel.name} holds {name}, no kind of file that belongs there" for name in odd]
    metadata = email.message_from_bytes(files[f"{info}/METADATA"])
    for key, value in {
        "Version": project["version"],
        "License-Expression": project["license"],
        "Requires-Python": project["requires-python"],
    }.items():
        if metadata[key] != value:
            wrong.append(f"{wheel.name} says {key}: {metadata[key]}, not {value}")
    return wrong


def check(package: Path, dist: Path) -> list[str]:
    """Return what is wrong with the two artefacts of a package in a folder."""
    stem = package.name.replace("-", "_")
    wrong = []
    for pattern, check_one in (("*.tar.gz", check_sdist), ("*.whl", check_wheel)):
        artefacts = sorted(dist.glob(f"{stem}-{pattern}"))
        if len(artefacts) != 1:
            names = [path.name for path in artefacts]
            wrong.append(f"{dist} should hold one {stem}-{pattern}, and holds {names}")
            continue
        (artefact,) = artefacts
        wrong += check_one(artefact, package)
        size = artefact.stat().st_size
        if size > LARGEST:
            wrong.append(f"{artefact.name} has {size:,} bytes, more than {LARGEST:,}")
    return wrong


def main(arguments: list[str]) -> int:
    """Check the artefacts of the named packages, or of all; return 1 if anything is wrong."""
    dist, packages = Path(arguments[0]), arguments[1:] or PACKAGES
    wrong = [line for name in packages for line in check(ROOT / "packages" / name, dist)]
    for name in packages:
        for path in sorted(dist.glob(f"{name.replace('-', '_')}-*")):
            count = len(files_of_wheel(path) if path.suffix == ".whl" else files_of_sdist(path))
            print(f"{path.name:45} {path.stat().st_size:>9,} bytes {count:>4} files")
    for line in wrong:
        print(f"wrong: {line}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1:]))
