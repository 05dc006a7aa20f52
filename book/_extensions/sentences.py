"""The tests as a page to read: their names are sentences.

    :::{sentences} tests/models
    :::

lists every file of a folder (not of those below it) with its sentences, folded, and with links to the module and the
chapters. Nothing is imported; a test with many cases stands there once.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import relations
from docutils import nodes
from docutils.statemachine import StringList
from reference import links
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

SPELLING = """
ASPP BN CCA CPU CUDA CamVid Chromium Cityscapes DeepLabV3 GPU GPUs GiB HTML IoU JSON Jupyter ONNX PNG PyTorch RAM RGB
ReLU ResNet SCA SpaM TTA ToyCity Triton mIoU
"""
NAMES = {word.lower(): word for word in SPELLING.split()} | {"metrocon2": "MetroCon²", "deeplabv3plus": "DeepLabV3+"}


def tests(path: Path) -> list[str]:
    """The names of the tests in a file, in its order."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]


def sentence(name: str) -> str:
    """``test_no_pixel_counts_twice`` -> ``No pixel counts twice``; the names of things keep their own spelling."""
    words = [NAMES.get(word, word) for word in name.removeprefix("test_").split("_")]
    text = " ".join(words)
    return text if re.match(r"\w*[A-Z]", words[0]) else text[0].upper() + text[1:]


class Sentences(SphinxDirective):
    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        root, folder = Path(self.env.srcdir), self.arguments[0].strip("/")
        files = [test for test in relations.tests(root) if Path(test).parent.as_posix() == folder]
        if not files:
            raise self.error(f"expected a folder with tests, found none in {folder!r}: mend the name")
        return [self.section(root, file) for file in files]

    def section(self, root: Path, file: str) -> nodes.section:
        self.env.note_dependency(file)
        label = nodes.make_id(file.removesuffix(".py"))
        section = nodes.section("", nodes.title("", "", nodes.literal("", Path(file).name)), ids=[label])
        self.place(file, label)
        if about := self.about(root, file):
            section += nodes.container(classes=["belongs"])
            self.state.nested_parse(StringList([about], source=file), self.content_offset, section[-1])
        names = tests(root / file)
        count = "one test" if len(names) == 1 else f"{len(names)} tests"
        items = nodes.bullet_list(classes=["sentences"])
        for name in names:
            place = f"t{self.env.new_serialno('sentences')}"  # short: there are many
            items += nodes.list_item("", nodes.Text(sentence(name)), ids=[place])
            self.place(f"{file}::{name}", place)
        section += nodes.raw("", f"<details><summary>{count}</summary>", format="html")
        section += items
        section += nodes.raw("", "</details>", format="html")
        return section

    def place(self, name: str, label: str) -> None:
        self.env.get_domain("std").note_hyperlink_target(name, self.env.docname, label, name)

    def about(self, root: Path, file: str) -> str:
        """In Markdown: what the tests are about, and where the book tells of it."""
        modules = ", ".join(f"`{module}`" for module in relations.modules_of(root, file))
        chapters = relations.chapters_of(root, file)
        return " · ".join(filter(None, (modules, chapters and links(chapters))))


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("sentences", Sentences)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
