"""The command `deepobs-data`: list, info, fetch, verify, import. Never imports torch."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from deepobs_data.dataset_info import DatasetInfo, info, list_datasets
from deepobs_data.errors import DamagedFileError, DataNotFoundError, DownloadError
from deepobs_data.files.find import find_folders
from deepobs_data.files.imagenet_folder import find_imagenet
from deepobs_data.files.roots import is_offline, resolve_root
from deepobs_data.files.sources import SOURCES


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with `argv` (default: the process's arguments).

    Returns:
        0 on success, 1 where data is missing or wrong, 2 for wrong arguments.
    """
    options = _parser().parse_args(argv)
    try:
        return int(options.run(options))
    except (DataNotFoundError, DamagedFileError, DownloadError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; run the same command again to go on", file=sys.stderr)
        return 130


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
        help="data folder; default $DEEPOBS_DATA_DIR, else the user's cache folder",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: object, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text, parents=[common])
        sub.set_defaults(run=run)
        return sub

    command("list", _list, "list the data sets and what of them is in the data folder")
    sub = command("info", _info, "show sizes, classes, licence and citation of a data set")
    sub.add_argument("name")
    sub = command("fetch", _fetch, "download data sets; what is there already is left alone")
    sub.add_argument("names", nargs="*", metavar="NAME")
    sub.add_argument("--all", action="store_true", help="all that can be downloaded")
    sub.add_argument("--dry-run", action="store_true", help="only say what would be downloaded")
    sub = command("verify", _verify, "compare files with their checksums")
    sub.add_argument("names", nargs="*", metavar="NAME", help="default: all that are there")
    sub = command("import", _import, "check files you have and copy them into the data folder")
    sub.add_argument("name")
    sub.add_argument("folder", type=Path, help="files flat, in torchvision's layout, or an archive")
    return parser


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"deepobs-data {version('deepobs-data')}")
        parser.exit()


def _list(options: argparse.Namespace) -> int:
    root = resolve_root(options.data_dir)
    print(f"Data folder: {root}\n")
    print(
        f"{'name':<10} {'train':>9} {'test':>7} {'input':<13} {'classes':>7} {'download':>9}  here"
    )
    for facts in list_datasets():
        shape = "x".join(map(str, facts.x_shape))
        print(
            f"{facts.name:<10} {facts.train_size:>9,} {facts.test_size:>7,} {shape:<13} "
            f"{facts.num_classes or '-':>7} {_size(facts):>9}  {_place(facts.name, root)}"
        )
    return 0


def _info(options: argparse.Namespace) -> int:
    facts, root = info(options.name), resolve_root(options.data_dir)
    rows = {
        "name": f"{facts.name}: {facts.title}",
        "train": f"{facts.train_size:,} examples ({facts.train_eval_size:,} for train_eval)",
        "test": f"{facts.test_size:,} examples",
        "input": f"{facts.x_shape} {facts.x_dtype}",
        "target": f"{facts.y_shape} {facts.y_dtype}",
        "classes": _shorten(facts.classes) or facts.num_classes or "none",
        "augmented": "yes" if facts.augmented else "no",
        "licence": facts.licence,
        "citation": facts.citation,
        "homepage": facts.homepage,
        "download": _size(facts),
        "here": _place(facts.name, root),
    }
    for key, value in rows.items():
        print(f"{key:<10} {value}")
    return 0


def _fetch(options: argparse.Namespace) -> int:
    if options.all == bool(options.names):
        raise ValueError("Name the data sets to fetch, or use --all for everything.")
    from deepobs_data.files.fetch import fetch, pending_downloads
    from deepobs_data.progress import ProgressLine

    root = resolve_root(options.data_dir)
    names = [info(name).name for name in options.names] or list(SOURCES)
    total = 0
    for name in names:
        if name not in SOURCES:
            where = find_imagenet(root) if name == "imagenet" else "needs no files"
            print(f"{name}: {where}")
            continue
        pending = pending_downloads(name, root)
        if not pending:
            print(f"{name}: already in {root}")
        elif options.dry_run:
            for file in pending:
                total += file.size or 0
                print(f"{name}: {file.name}, {_megabytes(file.size)}, from {file.urls[0]}")
        elif is_offline(None):
            raise DownloadError("DEEPOBS_OFFLINE is set, so nothing is downloaded.")
        else:
            fetch(name, root, progress=ProgressLine(sys.stderr))
            print(f"{name}: now in {root / SOURCES[name].folder}")
    if options.dry_run:
        print(f"To download: {_megabytes(total)}, into {root}")
    return 0


def _verify(options: argparse.Namespace) -> int:
    from deepobs_data.files.verify import verify

    root = resolve_root(options.data_dir)
    names = [info(name).name for name in options.names]
    wrong = False
    for name in names or SOURCES:
        if name not in SOURCES:
            print(f"{name}: {_place(name, root)}; no checksums")
            continue
        for path, state, reason in verify(name, root):
            if state == "missing" and not names:
                continue
            wrong = wrong or state != "verified"
            print(f"{name}: {state}: {path}" + (f" ({reason})" if reason else ""))
    return int(wrong)


def _import(options: argparse.Namespace) -> int:
    from deepobs_data.files.fetch import import_files

    place = import_files(options.name, options.folder, resolve_root(options.data_dir))
    print(f"{options.name}: now in {place}")
    return 0


def _place(name: str, root: Path) -> str:
    if name in SOURCES:
        found = find_folders(SOURCES[name], root)
        return str(next(iter(found[0].paths.values())).parent) if found else "no"
    if name == "imagenet":
        try:
            return str(find_imagenet(root))
        except DataNotFoundError:
            return 'no ("deepobs-data fetch imagenet" says how to get it)'
    return "needs no files"


def _size(facts: DatasetInfo) -> str:
    if facts.name == "imagenet":
        return "144 GB"
    return "none" if facts.download_size == 0 else _megabytes(facts.download_size)


def _megabytes(size: int | None) -> str:
    return "about 3 MB" if size is None else f"{size / 1e6:.1f} MB"


def _shorten(names: tuple[str, ...]) -> str:
    if len(names) <= 10:
        return ", ".join(names)
    return f"{len(names)}: {', '.join(names[:5])}, ..., {names[-1]}"
