"""The Python examples of the README run."""

import re
from pathlib import Path

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


def test_examples(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert len(BLOCKS) == 2
    for block in BLOCKS:
        exec(compile(block, "README.md", "exec"), {})
    assert list((tmp_path / "results").glob("*.json"))
