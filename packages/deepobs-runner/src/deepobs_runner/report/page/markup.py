"""HTML from nested elements. Text is escaped; only what is marked as markup is not."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

VOID = frozenset({"br", "hr", "img", "input", "meta"})
"""Elements without content."""


class Markup(str):
    """Text that is HTML already; it came from this module or a figure, never from a result."""

    __slots__ = ()


Content = str | Iterable["Content"] | None


def render(content: Content) -> str:
    """Return content as HTML: plain text is escaped, None is nothing.

    >>> render(["a < b", element("b", "<script>")])
    'a &lt; b<b>&lt;script&gt;</b>'
    """
    if content is None:
        return ""
    if isinstance(content, Markup):
        return str(content)
    if isinstance(content, str):
        return escape(content)
    return "".join(map(render, content))


def element(tag: str, *content: Content, **attributes: str | int | float | bool | None) -> Markup:
    """Return an element.

    Args:
        tag: its name, from code.
        content: what is in it.
        attributes: by name, `_` for `-`, with a trailing `_` where the name is a keyword; True
            stands alone, False and None are left out.

    >>> element("a", "R&D", href="#x", class_="y", aria_label='"')
    '<a href="#x" class="y" aria-label="&quot;">R&amp;D</a>'
    """
    parts = []
    for name, value in attributes.items():
        if value is None or value is False:
            continue
        written = name.rstrip("_").replace("_", "-")
        parts.append(f" {written}" if value is True else f' {written}="{escape(str(value))}"')
    opening = f"<{tag}{''.join(parts)}>"
    return Markup(opening if tag in VOID else f"{opening}{render(content)}</{tag}>")
