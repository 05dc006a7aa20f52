"""The package's reference out of its docstrings: a section a module, with its chapters and its tests.

    :::{modules}
    spacemeshlab.models.spam
    spacemeshlab.models.metrocon
    :::

Autodoc reads the docstrings as they stand in the code. Three things in them are ours: a paragraph that begins with
``Shape:`` or ``Reading:`` becomes a field, an indented equation a block of its own, and a short name such as
``UserError`` a link if only one thing is called so. ``{scripts}`` does the same for the docstrings of the commands.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from pathlib import Path

import relations
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.ext import napoleon
from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import make_refnode

CONFIG = {
    "add_module_names": False,
    "autodoc_inherit_docstrings": False,  # torch's text on forward() says nothing about ours
    "autodoc_preserve_defaults": True,
    "html_domain_indices": False,  # the table of all modules serves better
    "html_use_index": False,
    "python_maximum_signature_line_length": 88,
}
NAPOLEON = napoleon.Config(
    napoleon_custom_sections=[["Attributes", "params_style"]], napoleon_numpy_docstring=False, napoleon_use_rtype=False
)
FIELD = re.compile(r"(Shape|Reading):(?: (.*))?$")
SECTION = re.compile(r"[A-Z]\w*:$")
STAR = re.compile(r"(``.+?``)|(?<=[ (])\*(?=\w+(?![\w ]*\*))|(?<=/)\*(?=\.)")  # (3, *crop), a/*.png
LETTER = re.compile(r"(?<=: )([A-Z])\.$")  # of a shape; docutils takes "C." for an item of a list
ROLE = re.compile(r":\w+:`~?([\w.]+)`")


class Modules(SphinxDirective):
    """One section for each module that the content names."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        root = Path(self.env.srcdir)
        known = {relations.dotted(path): path for path in relations.modules(root)}
        return [self.section(root, known, name.strip()) for name in self.content if name.strip()]

    def section(self, root: Path, known: dict[str, str], name: str) -> nodes.section:
        if name not in known:
            raise self.error(f"expected a module of the package, found {name!r}: mend the name")
        self.env.note_dependency(known[name])
        title = name.removeprefix("spacemeshlab.")
        text = [f".. automodule:: {name}", "   :members:", "   :member-order: bysource", "   :ignore-module-all:"]
        return self.filled(root, known[name], title, text)

    def filled(self, root: Path, path: str, title: str, text: list[str]) -> nodes.section:
        """A section with a heading, the line of chapters and tests, and reStructuredText."""
        label = nodes.make_id(path.removesuffix(".py"))
        section = nodes.section("", nodes.title("", "", nodes.literal("", title)), ids=[label])
        self.env.get_domain("std").note_hyperlink_target(path, self.env.docname, label, title)
        section += nodes.container(classes=["belongs"])
        for node, lines in ((section[-1], belongs(root, path)), (section, ["````{eval-rst}", *text, "````"])):
            self.state.nested_parse(StringList(lines, source=path), self.content_offset, node)
        return section


class Scripts(Modules):
    """One section for each command in ``scripts/``."""

    has_content = False

    def run(self) -> list[nodes.Node]:
        root = Path(self.env.srcdir)
        sources = {path: (root / path).read_text(encoding="utf-8") for path in relations.modules(root)}
        commands = [path for path in sources if path.startswith("scripts/") and "__main__" in sources[path]]
        return [self.command(root, path, sources[path]) for path in commands]

    def command(self, root: Path, path: str, source: str) -> nodes.section:
        self.env.note_dependency(path)
        text = ast.get_docstring(ast.parse(source)) or ""
        return self.filled(root, path, Path(path).name, mend(ROLE.sub(r"``\1``", text).split("\n")))


def belongs(root: Path, path: str) -> list[str]:
    """The line below a heading, in Markdown: where the book builds it, and what tests it."""
    chapters, tests = relations.chapters_of(root, path), relations.tests_of(root, path)
    built = any(path in chapter.modules for chapter in chapters)
    parts = [f"{'built in' if built else 'belongs to'} {links(chapters)}"] if chapters else []
    parts += [f"tested by {', '.join(f'`{test}`' for test in tests)}"] if tests else []
    line = " · ".join(parts)
    return [line[:1].upper() + line[1:]]


def links(chapters: Sequence[relations.Chapter]) -> str:
    """``chapters 5 and 11``, each number a link, in Markdown."""
    numbers = [link(chapter, str(chapter.number)) for chapter in chapters]
    if len(numbers) == 1:
        return link(chapters[0], f"chapter {chapters[0].number}")
    return f"chapters {', '.join(numbers[:-1])} and {numbers[-1]}"


def link(chapter: relations.Chapter, text: str) -> str:
    return f"{{doc}}`{text} </{chapter.docname}>`"


def mend(lines: list[str]) -> list[str]:
    """Our docstrings as reStructuredText, except for the sections that napoleon reads."""
    lines, mended = tables(lines), []
    section = field = False
    before = ""  # the last line that was not empty
    for line in lines:
        flush = bool(line) and not line.startswith(" ")
        if flush and not field:
            section = bool(SECTION.match(line))
        if found := FIELD.match(line):
            field, section = True, not found[2]  # its text follows, indented as that of Args, or stands beside it
            line = f":{found[1]}: {found[2] or ''}".rstrip()
        elif field and flush:
            line = f"    {line}"
        elif line.startswith("    ") and not section and not field and not before.startswith(" "):
            mended += [".. code-block:: text", ""] if not before.endswith("::") else []
        field = field and bool(line)
        before = line or before
        line = LETTER.sub(r"\1\.", line)
        mended += STAR.sub(lambda star: star[1] or r"\*", line).split("\n")
    return mended


def tables(lines: list[str]) -> list[str]:
    """Tables in Markdown as reStructuredText's list-table."""
    found: list[str] = []
    for line in lines:
        if not line.startswith("|"):
            found.append(line)
        elif set(line) <= set("|-: "):
            continue
        else:
            if not found or not found[-1].startswith("     "):
                found += [".. list-table::", "   :header-rows: 1", ""]
            cells = [cell.strip() for cell in line.strip("| ").split("|")]
            found += [f"   {'  ' if number else '* '}- {cell}" for number, cell in enumerate(cells)]
    return found


def mend_docstring(app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    mended = mend(lines)
    if what not in ("attribute", "data", "property"):  # there napoleon takes what stands before a colon for a type
        mended = napoleon.GoogleDocstring(mended, NAPOLEON, app, what, name, thing, options).lines()
    lines[:] = [*mended, ""]


def sign(app: Sphinx, what: str, name: str, thing: object, *_: object) -> tuple[str, str] | None:
    """No signature for a class that takes its parent's arguments: torch's names would not say where they come from."""
    return ("", "") if what == "class" and "__init__" not in vars(thing) else None


def find(app: Sphinx, env: BuildEnvironment, node: nodes.Element, content: nodes.Element) -> nodes.reference | None:
    """A link for a short name, as in ``Raises: UserError``, and for what the package hands on at its door."""
    if node.get("refdomain") != "py":
        return None
    short = node["reftarget"].removeprefix("spacemeshlab.")
    found = [entry for name, entry in env.get_domain("py").objects.items() if name.endswith(f".{short}")]
    if len(found) != 1:
        return None
    return make_refnode(app.builder, node["refdoc"], found[0].docname, found[0].node_id, content)


def setup(app: Sphinx) -> dict[str, bool]:
    for name in ("autodoc", "viewcode"):
        app.setup_extension(f"sphinx.ext.{name}")
    for key, value in CONFIG.items():
        setattr(app.config, key, value)
    app.add_css_file("reference.css")
    app.add_directive("modules", Modules)
    app.add_directive("scripts", Scripts)
    app.connect("autodoc-process-docstring", mend_docstring)
    app.connect("autodoc-process-signature", sign)
    app.connect("missing-reference", find)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
