"""The reproduction ledger: ``{ledger}`` counts its entries, ``{ledger} PART`` shows those of a part.

Each entry is a definition: its status and the claim, then where the paper says it, how we read it, what tests it and
our number, read from the files of results in every build. The label ``ledger-ID`` leads to it.
"""

from __future__ import annotations

import re
from pathlib import Path

import claims
import evidence
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from status import Table

from spacemeshlab.errors import UserError

NAMES = {
    **{f"table-{number}": f"Table {number}" for number in (1, 2, 3, 4)},
    **{"text": "text and captions", "setting": "settings", "contradiction": "contradictions", "reading": "readings"},
}


class Ledger(Table):
    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        root, part = Path(self.env.srcdir), (self.arguments or [""])[0]
        self.env.note_dependency(claims.LEDGER)
        try:
            entries = claims.load(root)
            if not part:
                return self.counts(root, entries)
            chosen = [entry for entry in entries if entry.part == part]
            if not chosen:
                raise self.error(f"expected a part out of {', '.join(claims.PARTS)}, found {part!r}: mend the name")
            return [nodes.definition_list("", *(self.entry(root, entry) for entry in chosen), classes=["ledger"])]
        except UserError as error:
            raise self.error(str(error)) from None

    def counts(self, root: Path, entries: list[claims.Entry]) -> list[nodes.Node]:
        """How many entries of each part have which status."""
        found = [(entry.part, status(root, entry)) for entry in entries]
        rows = [
            [f"{{ref}}`{NAMES[part]} <ledger-part-{part}>`", *(count(found, part, name) for name in claims.STATUSES)]
            for part in claims.PARTS
        ]
        total = [f"**{len(found)} entries**", *(count(found, "", name) for name in claims.STATUSES)]
        return self.table(["", *claims.STATUSES], [*rows, total])

    def entry(self, root: Path, entry: claims.Entry) -> nodes.definition_list_item:
        label, word = f"ledger-{entry.id}", status(root, entry)
        self.env.get_domain("std").note_hyperlink_target(label, self.env.docname, label, entry.claim)
        badge = nodes.inline("", word, classes=["ledger-status", nodes.make_id(word)])
        link = nodes.reference("", "#", refuri=f"#{label}", reftitle="Link to this entry", classes=["headerlink"])
        term = nodes.term("", "", badge, nodes.Text(" "), *self.words(entry.claim), link, ids=[label])
        body = nodes.definition()
        text = StringList(lines(entry, word, evidence.number(root, entry)), source=claims.LEDGER)
        self.state.nested_parse(text, self.content_offset, body)
        body[0]["classes"].append("ledger-where")
        return nodes.definition_list_item("", term, body)

    def words(self, text: str) -> list[nodes.Node]:
        """Markdown within a line."""
        holder = nodes.Element()
        self.state.nested_parse(StringList([" ".join(text.split())], source=claims.LEDGER), self.content_offset, holder)
        return list(holder[0].children)


def status(root: Path, entry: claims.Entry) -> str:
    """What the files of results say; for an entry in which they have no say, what it says itself."""
    return evidence.verdict(root, entry) or entry.status


def count(found: list[tuple[str, str]], part: str, word: str) -> str:
    number = sum(word == one and part in ("", where) for where, one in found)
    return str(number) if number else "–"


def page(name: str) -> str:
    """A link in Markdown: a chapter by its number, another page by its title."""
    number = re.match(r"\d\d", name)
    return f"{{doc}}`chapter {int(number[0])} </book/{name}>`" if number else f"{{doc}}`/book/{name}`"


def lines(entry: claims.Entry, word: str, number: str) -> list[str]:
    """What stands below the claim, in Markdown: a paragraph each."""
    shown = f"`{number}`" if "cell" in (entry.ours or {}) else f"**{number}**"
    ours = f" · ours: {shown}" if number and number != claims.NOT_RUN else ""
    found = [f"{entry.where} · {page(entry.link)}{ours}"]
    found += [f"*How we read it.* {entry.reading}"] * bool(entry.reading)
    found += [f"*If that is wrong.* {entry.if_wrong}"] * bool(entry.if_wrong)
    return [line for text in found for line in (" ".join(text.split()), "")] + tested(entry, word)


def tested(entry: claims.Entry, word: str) -> list[str]:
    """What tests an entry; of one that is not run, what would, or what there is so far."""
    ((form, test),) = entry.test.items()
    if form == "command":
        head = "To be tested by" if word == claims.NOT_RUN else "Tested by"
        return [f"*{head}*", "", "```bash", *test.split(" && "), "```"]
    head = "Tested by"
    if word == claims.NOT_RUN:
        head = "The package does so:" if entry.kind == "reading" else "What there is so far:"
    shown = f"`{test}`" if form == "pytest" else f"{page(test['chapter'])}, which prints `{test['prints']}`"
    return [f"*{head}* {shown}"]


def read_again(app: Sphinx, env: object, added: set, changed: set, removed: set) -> list[str]:
    """The ledger's pages, in every build: a new file of results changes none of those that they were made from."""
    return [name for name in env.found_docs if name.startswith("book/ledger")]


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("env-get-outdated", read_again)
    app.add_directive("ledger", Ledger)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
