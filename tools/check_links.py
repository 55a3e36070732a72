"""Check the relative links of all Markdown files, or all links within a built site.

`python tools/check_links.py` looks at the files of the repository, as GitHub shows them;
`--site docs/_build/html` at the pages that Sphinx made. Links to other hosts are not followed. The
exit code is 1 if a link leads nowhere.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("docs", "examples", "packages", ".")

FENCE = re.compile(r"^(`{3,}).*?^\1`*$", re.DOTALL | re.MULTILINE)
INLINE_CODE = re.compile(r"`[^`\n]*`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)


def main() -> int:
    """Check what is asked for; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--site", type=Path, help="folder of a built site")
    site = parser.parse_args().site
    count, dead = check_site(site) if site else check_markdown()
    print("\n".join(dead) or f"{count} links lead somewhere.")
    return 1 if dead else 0


def check_markdown(root: Path = ROOT) -> tuple[int, list[str]]:
    """Return the number of relative links in the Markdown files, and the dead ones."""
    count, dead = 0, []
    for page in markdown_files(root):
        text = FENCE.sub("", page.read_text(encoding="utf-8"))
        for link in LINK.findall(INLINE_CODE.sub("", text)):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            count += 1
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            if not target.exists():
                dead.append(f"{page.relative_to(root)}: there is no {link}")
            elif parts.fragment and parts.fragment not in anchors(target):
                dead.append(f"{page.relative_to(root)}: {link} has no such heading")
    return count, dead


def markdown_files(root: Path) -> Iterator[Path]:
    """Yield the Markdown files of the repository, without what was built or installed."""
    for folder in FOLDERS:
        pattern = "*.md" if folder == "." else "**/*.md"
        for path in sorted((root / folder).glob(pattern)):
            if not {"_build", "node_modules", ".venv"} & set(path.parts):
                yield path


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a page.

    Lower case, without punctuation, with hyphens for spaces; a number where one repeats.
    """
    if page.suffix != ".md":
        return set()
    seen: Counter[str] = Counter()
    found = set()
    for heading in HEADING.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        slug = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return found


class Page(HTMLParser):
    """The anchors of a page of HTML, and what it refers to."""

    def __init__(self) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note anchors and references of an element."""
        for name, value in attrs:
            if name == "id" or (tag == "a" and name == "name"):
                self.anchors.add(value or "")
            elif name in ("href", "src") and value:
                self.links.append(value)


def check_site(folder: Path) -> tuple[int, list[str]]:
    """Return the number of links within a site, and the dead ones."""
    folder = folder.resolve()
    pages: dict[Path, Page] = {}
    for path in folder.rglob("*.html"):
        pages[path] = Page()
        pages[path].feed(path.read_text(encoding="utf-8"))
    if not pages:
        return 0, [f"There are no pages in {folder}."]
    count, dead = 0, []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            count += 1
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            fragment = unquote(parts.fragment)
            if not target.exists():
                dead.append(f"{path.relative_to(folder)}: there is no {link}")
            elif fragment and target in pages and fragment not in pages[target].anchors:
                dead.append(f"{path.relative_to(folder)}: {link} has no such anchor")
    return count, dead


if __name__ == "__main__":
    raise SystemExit(main())
