"""A file's name in code type becomes a link to where the book tells of it.

``spacemeshlab/models/spam.py`` leads to the module's section of the reference, ``scripts/look.py`` to the command's, a
file of tests and ``tests/models/test_spam.py::test_name`` to the page of tests. The places are the labels that the
directives ``modules``, ``scripts`` and ``sentences`` leave, which ``{ref}`` knows too.
"""

from __future__ import annotations

import re

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.nodes import make_refnode

PATH = re.compile(r"(?:spacemeshlab|scripts|tests)/[\w/]+\.py(?:::test_\w+)?")


class Crosslinks(SphinxPostTransform):
    """Turns literals that are paths with a place into references; others stay as they are."""

    default_priority = 5  # before references are resolved

    def run(self, **_: object) -> None:
        if self.env.docname.startswith("_"):
            return
        for literal in list(self.document.findall(nodes.literal)):
            linked = isinstance(literal.parent, nodes.reference | nodes.title | addnodes.pending_xref)
            if not linked and PATH.fullmatch(literal.astext()):
                if (link := place(self.app, self.env, literal)) is not None:
                    literal.replace_self(link)


def place(app: Sphinx, env: BuildEnvironment, literal: nodes.literal) -> nodes.reference | None:
    docname, label = env.get_domain("std").anonlabels.get(literal.astext(), ("", ""))
    if not docname:
        return None
    return make_refnode(app.builder, env.docname, docname, label, literal.deepcopy())


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_post_transform(Crosslinks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
