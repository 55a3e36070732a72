"""The examples of the README run as they stand."""

import re
from pathlib import Path

import pytest

import deepobs_data as dd

README = Path(__file__).parents[1] / "README.md"
EXAMPLES = re.findall(r"^```python\n(.*?)^```", README.read_text(encoding="utf-8"), re.M | re.S)


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_example(number, capsys):
    exec(compile(EXAMPLES[number], f"README.md, example {number + 1}", "exec"), {})
    out = capsys.readouterr().out
    assert out
    if number == 0:
        # Training on the stand-in learns something.
        assert int(re.findall(r"accuracy (\d+)%", out)[-1]) > 50


def test_readme_names_what_exists():
    text = README.read_text(encoding="utf-8")
    for entry in dd.list_datasets():
        assert f"`{entry.name}`" in text
