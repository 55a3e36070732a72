"""The command `deepobs-data`: list, info, fetch, verify, import. Never imports torch."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from deepobs_data.dataset_info import DatasetInfo
from deepobs_data.errors import (
    DamagedFileError,
    DataNotFoundError,
    DownloadError,
    MissingPackageError,
)
from deepobs_data.files.find import find_folders
from deepobs_data.files.roots import is_offline, resolve_root
from deepobs_data.files.sources import resolve
from deepobs_data.registry import import_rows, info, list_datasets

_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]"
)


def _print(text: str, **options: Any) -> None:
    """Print without characters that a terminal obeys: a server's answer or a file name has any."""
    print(_HIDDEN.sub("\ufffd", text), **options)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with `argv` (default: the process's arguments).

    Returns:
        0 on success, 1 where data is missing or wrong or nothing can be written, 2 for wrong
        arguments.
    """
    options = _parser().parse_args(argv)
    try:
        for location in options.module:
            import_rows(location)
        code = int(options.run(options))
        sys.stdout.flush()
        return code
    except (DataNotFoundError, DamagedFileError, DownloadError, MissingPackageError) as error:
        _print(f"error: {error}", file=sys.stderr)
        return 1
    except ValueError as error:
        _print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        if not isinstance(error, BrokenPipeError):  # `head` and others have enough
            _print(f"error: {error}", file=sys.stderr)
        _drop_output()
        return 1
    except KeyboardInterrupt:
        _print("interrupted; run the same command again to resume", file=sys.stderr)
        return 130


def _drop_output() -> None:
    """Discard what Python could not write, so that its exit does not fail again."""
    with suppress(OSError), open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="deepobs-data", description="The data sets of the DeepOBS optimizer benchmark."
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--data-dir",
        type=Path,
        metavar="DIR",
        help="data folder; default: $DEEPOBS_DATA_DIR, else user cache",
    )
    common.add_argument(
        "--module",
        action="append",
        default=[],
        metavar="MODULE",
        help="module or .py file that registers data sets",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: object, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text, parents=[common])
        sub.set_defaults(run=run)
        return sub

    sub = command("list", _list, "list the data sets and their state in the data folder")
    sub.add_argument("--json", action="store_true", help="print JSON")
    sub = command("info", _info, "show sizes, classes, licence and citation of a data set")
    sub.add_argument("name")
    sub = command("fetch", _fetch, "download missing data sets")
    sub.add_argument("names", nargs="*", metavar="NAME")
    sub.add_argument("--all", action="store_true", help="all downloadable data sets")
    sub.add_argument(
        "--dry-run", action="store_true", help="show the downloads without starting them"
    )
    sub = command("verify", _verify, "compare files with their checksums")
    sub.add_argument("names", nargs="*", metavar="NAME", help="default: all in the data folder")
    sub = command("import", _import, "check existing files and copy them into the data folder")
    sub.add_argument("name")
    sub.add_argument("path", type=Path, help="file, archive or folder to import")
    return parser


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        _print(f"deepobs-data {version('deepobs-data')}")
        parser.exit()


def _list(options: argparse.Namespace) -> int:
    root = resolve_root(options.data_dir)
    rows = list_datasets()
    if options.json:
        _print(json.dumps([_json_row(row, root) for row in rows], indent=1))
        return 0
    _print(f"Data folder: {root}\n")
    width = max(len(row.name) for row in rows)
    _print(
        f"{'name':<{width}} {'train':>9} {'test':>7} {'input':<13} {'classes':>7} {'download':>9}  "
        "here"
    )
    for row in rows:
        shape = "x".join(map(str, row.x_shape))
        _print(
            f"{row.name:<{width}} {row.train_size:>9,} {row.test_size:>7,} {shape:<13} "
            f"{row.num_classes or '-':>7} {_size(row):>9}  {_place(row, root)}"
        )
    return 0


def _json_row(row: DatasetInfo, root: Path) -> dict[str, object]:
    """Values of a row of `list`; `download` in bytes, 0 for a data set without files."""
    return {
        "name": row.name, "train": row.train_size, "test": row.test_size, "input": row.x_shape,
        "classes": row.num_classes, "download": row.external_size or row.download_size,
        "here": _place(row, root),
    }  # fmt: skip


def _info(options: argparse.Namespace) -> int:
    row, root = info(options.name), resolve_root(options.data_dir)
    lines = {
        "name": f"{row.name}: {row.title}",
        "train": f"{row.train_size:,} examples ({row.train_eval_size:,} for train_eval)",
        "test": f"{row.test_size:,} examples",
        "input": f"{row.x_shape} {row.x_dtype}",
        "target": f"{row.y_shape} {row.y_dtype}",
        "classes": _shorten(row.classes) or row.num_classes or "none",
        "augmented": "yes" if row.augmented else "no",
        "licence": row.licence,
        "citation": row.citation,
        "homepage": row.homepage,
        "download": _size(row),
        "here": _place(row, root),
    }
    for key, value in lines.items():
        _print(f"{key:<10} {value}")
    return 0


def _fetch(options: argparse.Namespace) -> int:
    if options.all == bool(options.names):
        raise ValueError("No data set given. Name one, or add --all.")
    from deepobs_data.files.download import ProgressLine
    from deepobs_data.files.fetch import fetch, pending_downloads, set_damaged_aside

    root = resolve_root(options.data_dir)
    total = 0
    for row in _chosen(options.names):
        if row.source is None:
            _print(f"{row.name}: {_locate(row, root)}")
            continue
        pending = pending_downloads(row.source, root)
        damaged = not pending and set_damaged_aside(row.source, root, only_look=True)
        if damaged and options.dry_run:
            pending = row.source.downloads
        if not pending and not damaged:
            _print(f"{row.name}: already in {root}")
        elif options.dry_run:
            for file in pending:
                total += file.size or 0
                _print(f"{row.name}: {file.name}, {_megabytes(file.size)}, from {file.urls[0]}")
        elif is_offline(None):
            raise DownloadError("DEEPOBS_OFFLINE is set. Unset it to download.")
        else:
            fetch(row.name, root, progress=ProgressLine(sys.stderr))
            _print(f"{row.name}: now in {root / row.source.folder}")
    if options.dry_run:
        _print(f"To download: {_megabytes(total)}, into {root}")
    return 0


def _verify(options: argparse.Namespace) -> int:
    from deepobs_data.files.verify import verify

    root = resolve_root(options.data_dir)
    wrong = False
    for row in _chosen(options.names):
        if row.source is None:
            _print(f"{row.name}: {_place(row, root)}; no checksums")
            continue
        for path, state, reason in verify(row.name, root):
            if state == "missing" and not options.names:
                continue
            wrong = wrong or state not in ("verified", "present")
            _print(f"{row.name}: {state}: {path}" + (f" ({reason})" if reason else ""))
    return int(wrong)


def _chosen(names: Sequence[str]) -> list[DatasetInfo]:
    """Rows of these data sets, or of all with files."""
    if names:
        return [info(name) for name in names]
    return [row for row in list_datasets() if row.source is not None]


def _import(options: argparse.Namespace) -> int:
    from deepobs_data.files.fetch import import_files

    place = import_files(options.name, options.path, resolve_root(options.data_dir))
    number = len(info(options.name).require_source().files)
    _print(f"{options.name}: {number} {'file' if number == 1 else 'files'} now in {place}")
    return 0


def _place(row: DatasetInfo, root: Path) -> str:
    if row.source is not None:
        found = find_folders(row.source, root)
        return str(next(iter(found[0].paths.values())).parent) if found else "no"
    try:
        return str(_locate(row, root))
    except DataNotFoundError:
        return f"missing (how: deepobs-data fetch {row.name})"  # prints what to do by hand


def _locate(row: DatasetInfo, root: Path) -> Path | str:
    """Location of a data set without downloads."""
    return "needs no files" if row.locate is None else resolve(row.locate)(root)


def _size(row: DatasetInfo) -> str:
    if row.external_size:
        return f"{row.external_size / 1e9:.0f} GB"
    return "none" if row.download_size == 0 else _megabytes(row.download_size)


def _megabytes(size: int | None) -> str:
    return "unknown" if size is None else f"{size / 1e6:.1f} MB"


def _shorten(names: tuple[str, ...]) -> str:
    if len(names) <= 10:
        return ", ".join(names)
    return f"{len(names)}: {', '.join(names[:5])}, ..., {names[-1]}"
