"""Output that is not UTF-8 lacks characters, and no command fails for it."""

import ast
import codecs
import os
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest

import deepobs_runner
from deepobs_runner import Execution, RunConfig, run
from deepobs_runner.cli.encoding import NAME, let_streams_substitute


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Return a folder with a run of two seeds."""
    out = tmp_path_factory.mktemp("results")
    for seed in (42, 43):
        config = RunConfig(
            problem="two_d_branin",
            optimizer="SGD",
            hyperparams={"lr": 0.01},
            seed=seed,
            epochs=2,
        )
        run(config, Execution(device="cpu", out=out))
    return out


@pytest.mark.parametrize(
    ("encoding", "words"),
    [
        ("ascii", ("table", "final")),
        ("ascii:strict", ("plot", "curves")),
        ("cp1252", ("plot", "curves")),
    ],
)
def test_tables_and_figures_are_printed(results, words, encoding):
    command, kind = words
    made = subprocess.run(
        [sys.executable, "-m", "deepobs_runner.cli", command, results, kind, "--no-baselines"],
        env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"},
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    text = made.stdout.decode(encoding.partition(":")[0])
    assert "SGD" in text
    assert text.count("?") == 0


@pytest.mark.parametrize(
    ("text", "encoding", "expected"),
    [
        ("0.5 ± 0.1", "ascii", "0.5 +/- 0.1"),
        ("0.5 ± 0.1", "cp1252", "0.5 ± 0.1"),
        ("┌─┐│█", "ascii", "+-+|#"),
        ("\u2800\u28ff\u2801", "latin-1", " .."),
        ("≥ 2 × 3 …", "ascii", ">= 2 x 3 ..."),
        ("名", "ascii", "?"),
        ("Müller", "ascii", "Muller"),
    ],
)
def test_what_stands_for_what_is_lacking(text, encoding, expected):
    let_streams_substitute()
    assert text.encode(encoding, NAME).decode(encoding) == expected


NEVER_PRINTED = ("HIDDEN", "LETTERS", "TWINS")
"""Tables of characters that foreign names may hold."""


def literals(path):
    """Yield the texts of a module that are not docstrings or in tables of characters."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    tree.body = [
        node
        for node in tree.body
        if not (
            isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in NEVER_PRINTED
        )
    ]
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    docstrings = {
        id(n.body[0].value)
        for n in ast.walk(tree)
        if isinstance(n, documented) and n.body and isinstance(n.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in docstrings:
            yield str(node.value)


def test_every_character_of_our_texts_has_a_substitute():
    let_streams_substitute()
    modules = sorted(Path(deepobs_runner.__file__).parent.rglob("*.py"))
    used = {character for path in modules for text in literals(path) for character in text}
    shown = {c for c in used if c.isprintable() and not unicodedata.combining(c)} - {"?", "\ufffd"}
    assert not [c for c in shown if c.encode("ascii", NAME) == b"?"]


def test_only_output_is_substituted():
    let_streams_substitute()
    with pytest.raises(UnicodeDecodeError):
        codecs.decode(b"\xff", "ascii", NAME)
