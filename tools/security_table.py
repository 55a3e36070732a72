"""Write the table of attacks in docs/security.md, counted from the tests.

    python tools/security_table.py

A row names the tests that try an attack. Every parametrised case counts once, and a property-based
test counts its examples. A test of an attack that gets through is marked `xfail`, strictly, and
counts as failed: so each number is what pytest collects, and all others pass. The last row counts
the log of the soak test (`tests/soak.py`). To add a row, add it to `ROWS`.
"""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "security.md"
START, END = "<!-- counted by tools/security_table.py -->", "<!-- end -->"
DATA, RUNNER = "packages/deepobs-data/tests", "packages/deepobs-runner/tests"


@dataclass(frozen=True)
class Row:
    """An attack and the tests that try it.

    Attributes:
        attack: what is done.
        promise: what DeepOBS does about it.
        tests: files of tests, or single ones as `file::test`.
    """

    attack: str
    promise: str
    tests: tuple[str, ...]


FOREIGN, HOSTILE = (
    f"{RUNNER}/security/test_foreign_folders.py",
    f"{RUNNER}/security/test_hostile_results.py",
)
IMAGES = f"{DATA}/test_imagenet.py"
INTERRUPTS, LOCAL = f"{RUNNER}/runs/test_interrupts.py", f"{RUNNER}/executors/test_local.py"
SOAK = ROOT / "docs" / "evidence" / "soak.txt"
"""Log of the soak test, which has a block of counts per run of it."""

ROWS = (
    Row(
        "Modules in the current folder (`pickle.py`, `torch.py`)",
        "not imported, neither by commands nor by workers",
        (
            f"{FOREIGN}::test_no_module_of_the_current_folder_is_imported",
            f"{FOREIGN}::test_a_worker_imports_nothing_from_the_current_folder",
            f"{FOREIGN}::test_python_m_leaves_the_current_folder_out",
        ),
    ),
    Row(
        "A `matplotlibrc` in the current folder",
        "not read",
        (f"{FOREIGN}::test_no_matplotlibrc_of_the_current_folder_is_obeyed",),
    ),
    Row(
        "Symbolic links and devices in a folder of results",
        "an error before anything is written",
        (
            f"{FOREIGN}::test_a_report_is_not_written_through_a_link",
            f"{FOREIGN}::test_a_run_is_not_written_through_a_link",
            f"{FOREIGN}::test_a_ledger_is_not_appended_to_through_a_link",
        ),
    ),
    Row(
        "Pipes, devices, loops, folders, hard links and bombs in place of files of a folder of "
        "results; step objectives and checkpoints that claim terabytes",
        "no hang, no memory beyond the file, no write to a file of yours; an error or a warning "
        "that names the file",
        (f"{RUNNER}/security/test_foreign_files.py",),
    ),
    Row(
        "`--out` that names a file of yours, a device, a pipe or a link",
        "a report replaces only files of a report; a device, a pipe or a link stays what it is",
        (
            f"{FOREIGN}::test_a_report_replaces_no_file_of_the_user",
            f"{FOREIGN}::test_an_output_is_never_replaced_by_a_file",
        ),
    ),
    Row(
        "Results with values beyond use (400 digits, 100,000 levels, pipes, 16 GiB)",
        "named and left out; the report comes",
        (f"{HOSTILE}::test_a_result_beyond_use_is_named_and_left_out",),
    ),
    Row(
        "Results with odd texts and values (terminal escapes, markup, half surrogate pairs)",
        "shown as text; nothing that a terminal, browser, spreadsheet or LaTeX obeys",
        (
            f"{HOSTILE}::test_a_strange_result_is_shown",
            f"{HOSTILE}::test_a_file_name_with_escapes_is_printed_without",
            f"{HOSTILE}::test_figures_of_strange_names_are_drawn",
            f"{HOSTILE}::test_no_warning_of_a_figure_holds_control_characters",
            f"{HOSTILE}::test_an_error_that_nothing_expects_is_printed_without_escapes",
            f"{HOSTILE}::test_a_name_shows_what_it_hides",
            f"{HOSTILE}::test_a_long_name_is_shortened",
            f"{HOSTILE}::test_no_cell_is_a_formula",
            f"{HOSTILE}::test_no_part_of_a_cell_is_a_row_or_a_formula",
            f"{HOSTILE}::test_no_name_is_an_argument_of_a_command_of_latex",
            f"{HOSTILE}::test_markdown_has_no_markup_of_results",
        ),
    ),
    Row(
        "Results that claim to be official or of a baseline set",
        "the folder decides, not the file",
        (
            f"{HOSTILE}::test_no_field_of_a_file_makes_a_result_official",
            f"{HOSTILE}::test_no_set_has_the_name_of_another",
            f"{HOSTILE}::test_a_folder_of_results_has_a_name_that_a_label_can_show",
            f"{HOSTILE}::test_sets_that_are_chosen_together_do_not_look_alike",
            f"{HOSTILE}::test_no_name_of_an_optimizer_claims_to_be_of_a_set",
        ),
    ),
    Row(
        "Packed sets: bombs, damage, paths that lead elsewhere",
        "an error",
        (
            f"{HOSTILE}::test_a_hostile_set_is_refused",
            f"{HOSTILE}::test_a_hostile_description_of_a_set_is_refused",
        ),
    ),
    Row(
        "Settings in results that would draw a trajectory for hours",
        "the trajectory ends after 200,000 calls or 20 s",
        (f"{RUNNER}/security/test_slow_settings.py",),
    ),
    Row(
        "Plans: alias bombs, deep nesting, endless grids and seeds",
        "an error with the line",
        (f"{RUNNER}/security/test_hostile_plans.py::test_a_hostile_plan_is_an_error_with_its_line",),
    ),
    Row(
        "Results, plans, ledgers and packed sets with anything in them (property-based)",
        "read, or an error of DeepOBS",
        (f"{RUNNER}/security/test_fuzzing.py",),
    ),
    Row(
        "Installed packages that cannot be imported",
        "each costs its own entry",
        (f"{RUNNER}/security/test_broken_packages.py",),
    ),
    Row(
        "Checkpoints and results that name code",
        "no code runs",
        (
            f"{RUNNER}/runs/test_resume.py::test_checkpoints_execute_no_code",
            f"{RUNNER}/security/test_privacy.py::test_a_result_imports_no_code",
        ),
    ),
    Row(
        "Pickles of SLURM jobs that lie in a folder of results before; links in their place",
        "never read; jobs are in a new, private folder per submission",
        (f"{RUNNER}/security/test_foreign_pickles.py",),
    ),
    Row(
        "Paths and user names in what is shared",
        "none in results, studies, packed sets, reports and LaTeX; file modes follow the umask",
        (
            f"{RUNNER}/security/test_privacy.py::test_nothing_that_is_shared_names_a_folder",
            f"{RUNNER}/security/test_privacy.py::test_paths_in_errors_are_shortened",
            f"{RUNNER}/security/test_privacy.py::test_the_home_of_the_user_is_not_named",
            f"{RUNNER}/security/test_privacy.py::test_a_study_names_no_folder",
            f"{RUNNER}/security/test_privacy.py::test_a_study_of_an_earlier_version_names_no_folder_in_a_report",
            f"{RUNNER}/security/test_privacy.py::test_a_packed_set_names_no_folder",
            f"{RUNNER}/security/test_privacy.py::test_modes_follow_the_umask",
        ),
    ),
    Row(
        "Servers: malformed answers, endless redirects, stalls, wrong content",
        "the next mirror, within a time limit; wrong content is never kept",
        (f"{DATA}/test_hostile.py", f"{DATA}/test_download.py"),
    ),
    Row(
        "Images: decompression bombs, extreme shapes, other formats under the name of a JPEG",
        "refused, or decoded right",
        (
            f"{IMAGES}::test_a_decompression_bomb_is_refused",
            f"{IMAGES}::test_an_image_that_would_be_scaled_to_gigabytes_is_refused",
            f"{IMAGES}::test_sixteen_bits_are_scaled_not_clipped",
            f"{IMAGES}::test_grey_values_that_are_no_image_are_refused",
            f"{IMAGES}::test_other_formats_under_the_name_of_a_jpeg_are_refused",
            f"{IMAGES}::test_a_truncated_image_is_named",
        ),
    ),
    Row(
        "Data folders with links, pipes or devices in place of locks, folders, files, images and "
        "caches; files of other content",
        "nothing is written through a link, no hang; other content never counts as there",
        (f"{DATA}/test_foreign_folders.py",),
    ),
    Row(
        "Decoded caches: damage, other arrays, leftovers of killed writers",
        "rebuilt; leftovers are removed",
        tuple(
            f"{DATA}/test_files.py::{name}"
            for name in (
                "test_a_damaged_cache_is_rebuilt",
                "test_a_cache_of_other_arrays_is_rebuilt",
                "test_leftovers_of_killed_writers_are_removed",
                "test_leftovers_that_are_links_lead_nowhere",
                "test_every_flipped_bit_of_a_cache_is_noticed",
            )
        ),
    ),
    Row(
        "Damaged results, step objectives and checkpoints",
        "set aside with a warning; the run is made again or restarts from a sound state; what only "
        "cannot be read stays",
        (f"{RUNNER}/runs/test_checksums.py", f"{RUNNER}/runs/test_damaged_results.py"),
    ),
    Row(
        "Repetitions (`--force`) that are interrupted, fail or find no room",
        "the finished result stays until the repetition is finished",
        (f"{RUNNER}/runs/test_repeats.py",),
    ),
    Row(
        "Full, read-only or vanishing disks, limits on file sizes",
        "status and message are true; other runs go on",
        (f"{RUNNER}/runs/test_disk.py",),
    ),
    Row(
        "Ctrl-C, SIGTERM and SIGHUP, to a process or all, one or several; stopped workers; a "
        "closed terminal",
        "a checkpoint of the last completed epoch of every run",
        (
            f"{INTERRUPTS}::test_signals_to_a_group_leave_a_checkpoint_of_every_run",
            f"{INTERRUPTS}::test_signals_at_random_moments",
            f"{INTERRUPTS}::test_signals_to_torchrun_and_its_processes",
            f"{INTERRUPTS}::test_stopped_workers_are_continued_to_store_their_runs",
            f"{INTERRUPTS}::test_workers_without_a_parent_store_their_runs",
            f"{INTERRUPTS}::test_a_closed_terminal",
            f"{INTERRUPTS}::test_an_optimizer_that_catches_interrupts_is_interrupted_anyhow",
        ),
    ),
    Row(
        "Killed benches and workers",
        "the next bench completes them; finished results stay as they are",
        (
            f"{LOCAL}::test_a_killed_bench_is_completed_by_the_next",
            f"{LOCAL}::test_twenty_kills",
            f"{LOCAL}::test_a_killed_worker_is_said_in_the_summary",
        ),
    ),
)  # fmt: skip


class Collected:
    """A plugin of pytest that keeps the collected tests."""

    def __init__(self) -> None:
        self.items: list[pytest.Item] = []

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Keep the tests."""
        self.items = list(session.items)


def collect(rows: Sequence[Row] = ROWS) -> list[pytest.Item]:
    """Collect the tests of all rows, without running them."""
    files = sorted({test.partition("::")[0] for row in rows for test in row.tests})
    collected = Collected()
    options = ["--collect-only", "-qq", "-p", "no:cacheprovider"]
    with redirect_stdout(io.StringIO()):
        code = pytest.main([*options, *(str(ROOT / file) for file in files)], plugins=[collected])
    if code != pytest.ExitCode.OK:
        sys.exit(f"pytest cannot collect {', '.join(files)}: {code!r}")
    return collected.items


def attacks(item: pytest.Item) -> int:
    """Attacks that a test tries: one, or the examples of a property-based test."""
    function = getattr(item, "function", None)
    found = getattr(function, "_hypothesis_internal_use_settings", None)
    return 1 if found is None else int(found.max_examples)


def tests_of(row: Row, items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """Collected tests of a row.

    Raises:
        SystemExit: one of its tests is missing.
    """
    found = []
    for test in row.tests:
        file, _, name = test.partition("::")
        here = [
            item
            for item in items
            if item.path == ROOT / file and name in ("", getattr(item, "originalname", item.name))
        ]
        if not here:
            sys.exit(f"The row {row.attack!r} names {test}, which is missing.")
        found += here
    return found


def soak(log: str) -> tuple[int, int, int]:
    """Minutes of the soak test, its signals and damages, and its failures."""
    counts = [json.loads(block) for block in re.findall(r"^{.*?^}", log, re.DOTALL | re.MULTILINE)]
    disturbances = sum(
        number
        for block in counts
        for name, number in block.items()
        if name.startswith(("signals", "damages"))
    )
    minutes = sum(map(float, re.findall(r"([\d.]+) minutes", log)))
    return round(minutes), disturbances, sum(map(int, re.findall(r"failures: (\d+)", log)))


def table(rows: Sequence[Row] = ROWS) -> str:
    """Return the table as Markdown."""
    items = collect(rows)
    lines = ["| attack | promise | tried | failed | tests |", "| --- | --- | ---: | ---: | --- |"]
    totals = [0, 0]
    for row in rows:
        tests = tests_of(row, items)
        tried = sum(map(attacks, tests))
        failed = sum(attacks(test) for test in tests if test.get_closest_marker("xfail"))
        totals = [totals[0] + tried, totals[1] + failed]
        files = dict.fromkeys(Path(test.partition("::")[0]).name for test in row.tests)
        named = ", ".join(f"`{name}`" for name in files)
        lines.append(f"| {row.attack} | {row.promise} | {tried:,} | {failed:,} | {named} |")
    minutes, tried, failed = soak(SOAK.read_text(encoding="utf-8"))
    totals = [totals[0] + tried, totals[1] + failed]
    lines.append(
        f"| Signals and damages at random for {minutes} minutes, while two benches and reports "
        "share a folder | all results equal undisturbed ones bit for bit | "
        f"{tried:,} | {failed:,} | [`soak.txt`](evidence/soak.txt) |"
    )
    lines.append(f"| **All** | | **{totals[0]:,}** | **{totals[1]:,}** | |")
    return "\n".join(lines)


def page() -> str:
    """Return the page with today's table."""
    head, _, rest = PAGE.read_text(encoding="utf-8").partition(START)
    return f"{head}{START}\n\n{table()}\n\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    text = page()
    if "--check" in sys.argv:
        sys.exit(
            0 if text == PAGE.read_text(encoding="utf-8") else "docs/security.md is not current"
        )
    PAGE.write_text(text, encoding="utf-8")
