"""`deepobs doctor`: check the installation."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from deepobs_runner.cli.commands import Command
from deepobs_runner.cli.parser import add, add_data_dir, add_device, add_flag, add_out
from deepobs_runner.errors import UsageError

if TYPE_CHECKING:
    from deepobs_runner.checks.smoke import Smoke
    from deepobs_runner.cli.console import PatientConsole

SLOW_BF16 = "no bf16 instructions: --precision bf16 is slower than fp32"
NO_COMPILER = "not found: install g++ or clang for torch.compile on the CPU"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the smoke test, and the folders to check."""
    parser.description = (
        "Show versions, devices, threads, data sets, extras and baseline sets. "
        "Downloads and writes nothing."
    )
    add_flag(
        parser,
        "--smoke",
        "train a few steps of as many problems as time allows",
    )
    add(parser, "--smoke-seconds S", "default: %(default)g", float, default=10.0)
    add_device(parser, "device for the smoke test; default: %(default)s")
    add_data_dir(parser)
    add_out(parser)
    add_flag(parser, "--json", "print JSON")


def execute(arguments: argparse.Namespace) -> int:
    """Print the state of the installation; return 1 if the smoke test fails."""
    import json
    from dataclasses import asdict

    from deepobs_runner.backend.devices import choose_device
    from deepobs_runner.backend.memory import keep_memory
    from deepobs_runner.checks.installation import diagnose
    from deepobs_runner.cli.console import make_console

    keep_memory()
    if not arguments.smoke_seconds > 0:
        raise UsageError(f"--smoke-seconds is {arguments.smoke_seconds}; it must be > 0.")
    choose_device(arguments.device)
    facts = diagnose(arguments.data_dir, arguments.out)
    console = make_console()
    if not arguments.json:
        for line in lines_of(facts):
            console.print_line(line)
    smokes = _smoke(console, arguments) if arguments.smoke else []
    if arguments.json:
        shown = {"smoke": [asdict(smoke) for smoke in smokes]} if arguments.smoke else {}
        print(json.dumps({**facts, **shown}, indent=1))
    return int(any(smoke.status == "failed" for smoke in smokes))


def _smoke(console: PatientConsole, arguments: argparse.Namespace) -> list[Smoke]:
    from deepobs_runner.checks.smoke import candidates, smoke_test

    small, large = candidates()
    if not arguments.json:
        console.print_line(
            f"\nsmoke test: a few steps of each problem, {arguments.smoke_seconds:g} s"
        )

    def show(smoke: Smoke) -> None:
        if not arguments.json and smoke.status != "left out":
            seconds = f"{smoke.seconds:5.1f} s"
            console.print_line(
                f"  {smoke.problem:22} {smoke.status:6} {seconds}  {smoke.reason}".rstrip()
            )

    tried = smoke_test(small, device=arguments.device, seconds=arguments.smoke_seconds, on_end=show)
    smokes = [*tried, *large]
    if not arguments.json:
        left_out: dict[str, list[str]] = {}
        for smoke in smokes:
            if smoke.status == "left out":
                left_out.setdefault(smoke.reason, []).append(smoke.problem)
        for reason, names in left_out.items():
            console.print_line(f"  left out, {reason}: {', '.join(names)}")
        good = sum(smoke.status == "ok" for smoke in smokes)
        bad = sum(smoke.status == "failed" for smoke in smokes)
        console.print_line(f"  {good} ok, {bad} failed, {len(smokes) - good - bad} left out")
    return smokes


def lines_of(facts: Mapping[str, Any]) -> Iterator[str]:
    """Lines about the findings of `diagnose`."""
    named = ", ".join(f"{name} {number}" for name, number in facts["versions"].items())
    yield f"versions:  {named}"
    for device in facts["devices"]:
        yield f"device:    {_describe_device(device)}"
    threads = facts["threads"]
    policy = threads["OMP_WAIT_POLICY"]
    yield f"threads:   {threads['torch']} of {threads['cores']} cores, OMP_WAIT_POLICY {policy}"
    kept = (
        "is kept by the process" if facts["memory_kept"] else ("is returned to the system (slower)")
    )
    yield f"memory:    freed memory {kept}"
    yield f"compiler:  {facts['compiler'] or NO_COMPILER}"
    yield f"data:      {facts['data']['folder']}"
    for state, names in _by_value(facts["data"]["sets"]).items():
        yield f"  {state + ':':10}{', '.join(names)}"
    yield from _describe_extras(facts["extras"])
    for kind, names in facts["extensions"].items():
        shown = ", ".join(f"{name} ({place})" for name, place in names.items())
        yield f"more {kind + ':':12}{shown}"
    results = facts["results"]
    yield f"results:   {results['folder']}, {'' if results['writable'] else 'NOT '}writable"
    yield f"baselines: {', '.join(facts['baselines'])}"


def _describe_device(device: Mapping[str, Any]) -> str:
    parts = [f"{device['device']}: {device['name']}"]
    if device["memory"]:
        parts.append(f"{device['memory'] / 2**30:.0f} GiB")
    if device.get("vectors"):
        parts.append(device["vectors"])
    if device["bf16"] is not None:
        parts.append("bf16 instructions" if device["bf16"] else SLOW_BF16)
    return ", ".join(parts)


def _describe_extras(extras: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for extra, facts in extras.items():
        packages = facts["packages"].items()
        if facts["installed"]:
            shown = ", ".join(f"{name} {number}" for name, number in packages)
        else:
            missing = ", ".join(name for name, number in packages if number is None)
            shown = f"without {missing}: {facts['command']}"
        yield f"extra:     {extra}: {shown}"


def _by_value(values: Mapping[str, str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for key, value in values.items():
        groups.setdefault(value, []).append(key)
    return groups


COMMAND = Command("check the installation", add_arguments, execute)
