"""The directive of the pages in docs/api, and where autodoc finds the docstring of a constant.

.. public-names:: deepobs_models

   MLP
   VAE

makes a table of these names with the first sentences of their docstrings, and below it the whole
docstrings.
"""

from __future__ import annotations

import inspect
import sys
from importlib import import_module
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.docutils import SphinxDirective


class PublicNames(SphinxDirective):
    """Document the names in its content, which a module exports."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return the nodes of the table and of the docstrings."""
        module = self.arguments[0]
        names = [name for line in self.content for name in line.split()]
        lines = [f".. currentmodule:: {module}", "", ".. autosummary::", "   :nosignatures:", ""]
        lines += [f"   {name}" for name in names]
        home = import_module(module)
        for name in names:
            if not hasattr(home, name):
                raise self.error(f"{module} has no {name}: take it off the page.")
            lines += ["", *documented(getattr(home, name), name)]
        return self.parse_text_to_nodes(StringList(lines, source=f"names of {module}"))


def documented(value: Any, name: str) -> list[str]:
    """Return the autodoc directive for a name that stands for a value."""
    if inspect.isclass(value):
        kind = "autoexception" if issubclass(value, BaseException) else "autoclass"
        return [f".. {kind}:: {name}", "   :members:", "   :special-members: __call__"]
    if inspect.isroutine(value):
        return [f".. autofunction:: {name}"]
    return [f".. autodata:: {name}", "   :no-value:"]


def describe_constant(
    app: Sphinx, what: str, name: str, found: Any, options: Any, lines: list[str]
) -> None:
    """Replace the docstring of a constant's class by the text below the constant.

    Sphinx looks for that text in the module by which the constant is imported; ours are assigned in
    one module and exported by another.
    """
    package, _, constant = name.rpartition(".")
    if what != "data":
        return
    top = package.partition(".")[0]
    same = [
        name
        for name, module in list(sys.modules.items())
        if name.partition(".")[0] == top and getattr(module, constant, None) is found
    ]
    for module in sorted(same, key=lambda name: not name.startswith(package)):
        comments = ModuleAnalyzer.for_module(module).find_attr_docs()
        if ("", constant) in comments:
            lines[:] = comments["", constant]
            return
    raise ValueError(f"{name} has no docstring: write one below its assignment.")


def skip_tuple_fields(
    app: Sphinx, what: str, name: str, found: Any, skip: bool, options: Any
) -> bool | None:
    """Leave out the docstrings that Python gives to the fields of a named tuple."""
    return True if str(found.__doc__).startswith("Alias for field number") else None


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive and connect to autodoc."""
    app.add_directive("public-names", PublicNames)
    app.connect("autodoc-process-docstring", describe_constant)
    app.connect("autodoc-skip-member", skip_tuple_fields)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
