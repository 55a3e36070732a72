"""How Sphinx builds the documentation site: `nox -s docs`.

The pages are Markdown that GitHub shows as well, so links to other pages are relative paths. Links
to files of the repository that are no pages lead to GitHub on the site.
"""

from __future__ import annotations

import re
import shutil
import sys
from importlib import metadata
from pathlib import Path

from sphinx.application import Sphinx

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
RELATIVE_LINK = re.compile(
    r"(?<!!)\[(?P<text>[^\[\]]*)\]\((?P<path>[^)#:\s]+)(?P<anchor>(?:#[^)\s]*)?)\)"
)
REPORTS = DOCS / "examples"

sys.path += [str(DOCS / "_ext"), str(ROOT / "tools")]

from project_metadata import REPOSITORY  # noqa: E402

project = "DeepOBS"
author = "The DeepOBS developers"
project_copyright = "The DeepOBS developers, MIT licence"
release = metadata.version("deepobs-runner")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "public_names",
]
# Prompts and output are not copied.
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
exclude_patterns = ["_build", "_ext"]
html_theme = "furo"
html_title = "DeepOBS"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_theme_options = {
    "source_repository": f"{REPOSITORY}/",
    "source_branch": "main",
    "source_directory": "docs/",
}
html_copy_source = False
html_show_sourcelink = False

# GitHub makes an anchor of every heading.
myst_heading_anchors = 4
myst_enable_extensions = ["dollarmath"]

autosummary_generate = False
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 90
maximum_signature_line_length = 90
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
# Docstrings are written as Markdown is: `name` is code.
default_role = "code"

# Every name in a signature must be known, but for those of other projects: the site is built
# without a network, so their inventories are not at hand.
nitpicky = True
FOREIGN = r"torch|numpy|np|nn|matplotlib|collections|concurrent|contextlib|pathlib|typing|types"
# Annotations that are imported for type checkers only.
BARE = "Tensor|Module|Figure|Path|LineStyle|Status"
TYPE_VARIABLE = r"(deepobs_[\w.]+\.)?(_M|_Layer|T|P|P\.args|P\.kwargs)"
# Types of fields that a reader of the pages needs no page for.
NAMES = "Contrast|Factory|Identity|Kind|LossScale|Move|Options|Profiles|Ranks|Reason|Scale|Shift"
INTERNAL = rf"(deepobs_[\w.]+\.)?({NAMES})"
nitpick_ignore_regex = [
    ("py:.*", rf"({FOREIGN})\..*"),
    ("py:.*", BARE),
    ("py:.*", TYPE_VARIABLE),
    ("py:.*", INTERNAL),
]


def adapt_page(app: Sphinx, page: str, source: list[str]) -> None:
    """Let relative links to files that are not pages lead to the repository.

    A page that has a folder of its name, such as problems.md, becomes the parent of what is in it;
    it does not say so itself, because GitHub would show that.
    """
    folder = (DOCS / page).parent

    def replaced(match: re.Match[str]) -> str:
        target = (folder / match["path"]).resolve()
        if target.is_relative_to(REPORTS) and target.suffix == ".html":
            return f'<a href="{match["path"]}">{match["text"]}</a>'
        if target.is_relative_to(DOCS) and target.suffix in (".md", ".png"):
            return match[0]
        if not target.exists() or not target.is_relative_to(ROOT):
            return match[0]  # Sphinx says what is wrong with it
        kind = "tree" if target.is_dir() else "blob"
        path = target.relative_to(ROOT).as_posix()
        return f"[{match['text']}]({REPOSITORY}/{kind}/main/{path}{match['anchor']})"

    source[0] = RELATIVE_LINK.sub(replaced, source[0])
    if page == "glossary":
        source[0] = as_glossary(source[0])
    if any((DOCS / page).glob("*.md")):
        source[0] += f"\n```{{toctree}}\n:hidden:\n:glob:\n\n{(DOCS / page).name}/*\n```\n"


def as_glossary(page: str) -> str:
    """Turn the table of terms into Sphinx's glossary, so that a search finds each term."""
    title, _, table = page.partition("| --- | --- |\n")
    rows = re.findall(r"^\| (.+?) \| (.+) \|$", table, re.M)
    terms = "\n\n".join(f"{term}\n  {meaning}" for term, meaning in rows)
    heading = title.partition("\n")[0]
    return f"{heading}\n\n```{{glossary}}\n{terms}\n```\n"


def copy_reports(app: Sphinx, error: Exception | None) -> None:
    """Copy the example reports into the site, where links open them in the browser."""
    if error is None and app.builder.format == "html":
        for report in REPORTS.glob("*/report.html"):
            copy = Path(app.outdir) / report.relative_to(DOCS)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(report, copy)


def setup(app: Sphinx) -> None:
    """Register what this file adds."""
    app.connect("source-read", adapt_page)
    app.connect("build-finished", copy_reports)
