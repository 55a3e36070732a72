"""Messages, docstrings, comments and pages avoid the phrases in phrases.txt."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MODULES = sorted(ROOT.glob("packages/*/src/**/*.py"))
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "packages/*/*.md", "examples/**/*.md")
    for path in ROOT.glob(pattern)
    if "_build" not in path.parts
)
MOST_SEMICOLONS = 2


def read_phrases() -> list[tuple[re.Pattern[str], str]]:
    lines = (ROOT / "tests" / "phrases.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split(" => ", 1) for line in lines if line and not line.startswith("#")]
    return [(re.compile(pattern, re.IGNORECASE), instead) for pattern, instead in pairs]


PHRASES = read_phrases()


def is_prose(value: object) -> bool:
    return isinstance(value, str) and len(value.split()) > 2 and "import " not in value


def prose_of_module(source: str) -> Iterator[tuple[int, str]]:
    """Yield line and text of docstrings, messages (three words or more) and comments."""
    inside = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr):
            inside |= {id(part) for part in ast.walk(node)} - {id(node)}
            parts = [part.value if isinstance(part, ast.Constant) else "…" for part in node.values]
            yield node.lineno, "".join(map(str, parts))
        elif isinstance(node, ast.Constant) and id(node) not in inside and is_prose(node.value):
            yield node.lineno, node.value
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def prose_of_page(text: str) -> Iterator[tuple[int, str]]:
    """Yield line and text of the paragraphs outside code blocks; of a changelog the newest part."""
    code, start, lines, releases = False, 1, [], 0
    for number, line in enumerate([*text.splitlines(), ""], start=1):
        if line.startswith("## ["):
            releases += 1
            if releases > 1:
                break
        if line.lstrip().startswith("```"):
            code = not code
        elif not code and line.strip() and not line.startswith(("#", "- ", "|")):
            lines.append(line)
            continue
        if lines:
            yield start, "\n".join(lines)
        lines, start = ([] if code or not line.strip() else [line]), number
        if lines == ["```"] or line.lstrip().startswith("```"):
            lines = []


def faults(text: str) -> Iterator[str]:
    """Yield what is wrong with a text."""
    flat = " ".join(re.sub(r"`[^`]*`", "`…`", text).split())
    for pattern, instead in PHRASES:
        if match := pattern.search(flat):
            yield f"{match[0]!r}: write {instead}"
    for sentence in re.split(r"(?<=[.?!])\s|\n\n", re.sub(r"`[^`]*`|&\w+;", "`…`", text)):
        if not sentence.startswith("|") and sentence.count("; ") > MOST_SEMICOLONS:
            yield f"chain of semicolons: {' '.join(sentence.split())[:60]!r}"


def check(path: Path, prose: Iterator[tuple[int, str]]) -> None:
    name = path.relative_to(ROOT)
    found = [f"{name}:{line}: {fault}" for line, text in prose for fault in faults(text)]
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: "/".join(path.parts[-3:]))
def test_modules_avoid_the_phrases(path):
    check(path, prose_of_module(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_pages_avoid_the_phrases(path):
    check(path, prose_of_page(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("468 steps an epoch", "an epoch"),
        ("This file is none.", "is none"),
        ("a run whose time is over", "whose"),
        ("One; two; three; four.", "semicolons"),
    ],
)
def test_a_tic_is_found(text, fault):
    assert fault in "".join(faults(text))


def first_lines(source: str) -> Iterator[str]:
    """Yield the first line of the docstring of every function."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef) and (text := ast.get_docstring(node)):
            yield text.splitlines()[0]


def test_docstrings_begin_with_the_thing():
    """A docstring that begins with "Return" is an exception, as where a value is passed through."""
    lines = [line for path in MODULES for line in first_lines(path.read_text(encoding="utf-8"))]
    returning = [line for line in lines if line.startswith("Return ")]
    assert len(returning) < 0.03 * len(lines), "\n".join(returning)


def test_code_is_no_prose():
    assert not list(faults("Call `whose(x)`."))
    assert [text for _, text in prose_of_page("One.\n\n```python\nwhose\n```\nTwo.\n")] == [
        "One.",
        "Two.",
    ]


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").split()) <= 400
