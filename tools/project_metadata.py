"""Addresses, classifiers and keywords of the four packages, set in one place.

Run `python tools/project_metadata.py` after a change; a test compares the pyproject.toml files.
"""

from __future__ import annotations

import re
from pathlib import Path

REPOSITORY = "https://github.com/OWNER/DeepOBS"
"""Address of this code; replace OWNER before a release."""

PACKAGES = Path(__file__).resolve().parents[1] / "packages"

KEYWORDS = ("deep learning", "PyTorch", "benchmark", "optimizer")
OWN_KEYWORDS = {
    "deepobs-data": ("data sets",),
    "deepobs-models": ("neural networks", "TensorFlow padding"),
    "deepobs-problems": ("test problems", "second-order methods"),
    "deepobs-runner": ("hyperparameter tuning", "reproducibility"),
}
CLASSIFIERS = (
    "Development Status :: 4 - Beta",
    "Intended Audience :: Science/Research",
    "Operating System :: OS Independent",
    "Programming Language :: Python :: 3",
    "Programming Language :: Python :: 3 :: Only",
    *(f"Programming Language :: Python :: 3.{minor}" for minor in (11, 12, 13)),
    "Topic :: Scientific/Engineering :: Artificial Intelligence",
    "Typing :: Typed",
)


def urls_of(name: str) -> dict[str, str]:
    """Return the addresses of a package."""
    folder = f"{REPOSITORY}/tree/main/packages/{name}"
    return {
        "Homepage": REPOSITORY,
        "Documentation": f"{REPOSITORY}/tree/main/docs",
        "Source": folder,
        "Changelog": f"{REPOSITORY}/blob/main/packages/{name}/CHANGELOG.md",
        "Issues": f"{REPOSITORY}/issues",
    }


def with_metadata(name: str, text: str) -> str:
    """Return a pyproject.toml with the metadata of its package.

    Args:
        name: of the package.
        text: content of the file, with keywords and classifiers.
    """
    for field, values in (
        ("keywords", (*KEYWORDS, *OWN_KEYWORDS[name])),
        ("classifiers", CLASSIFIERS),
    ):
        lines = "".join(f'  "{value}",\n' for value in values)
        text = re.sub(
            rf"^{field} = \[\n.*?^\]\n", f"{field} = [\n{lines}]\n", text, flags=re.M | re.S
        )
    urls = "".join(f'{label} = "{address}"\n' for label, address in urls_of(name).items())
    section = f"[project.urls]\n{urls}\n"
    if "[project.urls]\n" in text:
        return re.sub(r"^\[project\.urls\]\n.*?\n\n", section, text, flags=re.M | re.S)
    first = re.search(r"^\[(project\.(optional-dependencies|scripts)|tool)", text, re.M)
    assert first is not None
    return text[: first.start()] + section + text[first.start() :]


if __name__ == "__main__":
    for package in OWN_KEYWORDS:
        path = PACKAGES / package / "pyproject.toml"
        path.write_text(with_metadata(package, path.read_text(encoding="utf-8")), encoding="utf-8")
