"""The whole package in one table, ``{overview}``: each module, what it is, its chapters and its tests."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import relations
from docutils import nodes
from reference import link
from sphinx.application import Sphinx
from status import Table

CHAPTER = re.compile(r";? ?chapters? \d\d(?: and \d\d)?")
ROLE = re.compile(r":\w+:`~?(?:[\w.]+\.)?(\w+)`")


def summary(path: Path) -> str:
    """The first sentence of a module's docstring as Markdown, without the chapter that it names."""
    text = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n\n")[0].replace("\n", " ")
    text = CHAPTER.sub("", text).replace(" ()", "").replace("()", "").strip()
    return ROLE.sub(r"`\1`", text).removesuffix(".")


class Overview(Table):
    def run(self) -> list[nodes.Node]:
        root = Path(self.env.srcdir)
        modules = [path for path in relations.modules(root) if path.startswith("spacemeshlab/")]
        for path in modules:
            self.env.note_dependency(path)
        return self.table(["Module", "Chapter", "Tests"], [self.row(root, path) for path in modules])

    def row(self, root: Path, path: str) -> list[str]:
        chapters = ", ".join(link(chapter, str(chapter.number)) for chapter in relations.chapters_of(root, path))
        tests = ", ".join(
            f"{{ref}}`{Path(test).stem.removeprefix('test_')} <{test}>`" for test in relations.tests_of(root, path)
        )
        name = relations.dotted(path)
        module = f"{{py:mod}}`{name.removeprefix('spacemeshlab.')} <{name}>`"
        return [f"{module} {summary(root / path)}", chapters or "–", tests or "–"]


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("overview", Overview)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
