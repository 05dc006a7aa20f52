"""Citations by author and year, as in "Chen et al., 2017b": the same words in the text and in the list of references.

Two works that would read alike get the letters a and b, in the order of the list: by first author, then year, then
title. ``{cite}`key``` gives [Chen et al., 2017b], ``{cite:t}`key``` gives Chen et al. [2017b].
"""

from __future__ import annotations

import string
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pybtex.database import Entry
from pybtex.plugin import register_plugin
from pybtex.richtext import Text
from pybtex.style.formatting.unsrt import Style
from pybtex.style.labels import BaseLabelStyle
from pybtex.style.sorting import BaseSortingStyle
from pybtex.style.template import field, href, node
from sphinx.application import Sphinx
from sphinxcontrib.bibtex import plugin as bibtex
from sphinxcontrib.bibtex.style.referencing import BaseReferenceStyle, BracketStyle, GroupReferenceStyle
from sphinxcontrib.bibtex.style.template import entry_label, join, post_text, pre_text, reference

NAME = "spacemeshlab"


def authors(entry: Entry) -> str:
    """One name, two names with "and", or the first "et al."."""
    names = [
        str(Text(" ").join([*person.rich_prelast_names, *person.rich_last_names])) for person in entry.persons["author"]
    ]
    if len(names) > 2 or names[-1] == "others":
        return f"{names[0]} et al."
    return " and ".join(names)


class Labels(BaseLabelStyle):
    """ "Chen et al., 2017", with a letter where several works share that."""

    def format_labels(self, sorted_entries: Iterable[Entry]) -> Iterator[str]:
        plain = [f"{authors(entry)}, {entry.fields.get('year', 'n.d.')}" for entry in sorted_entries]
        alike, letters = Counter(plain), {label: iter(string.ascii_lowercase) for label in plain}
        for label in plain:
            yield label + next(letters[label]) if alike[label] > 1 else label


class Order(BaseSortingStyle):
    """By what the reader sees first: the names without their accents, the year, the title."""

    def sorting_key(self, entry: Entry) -> tuple[str, ...]:
        words = (authors(entry), entry.fields.get("year", ""), entry.fields.get("title", ""))
        return tuple(_bare(text) for text in words)


def _bare(text: str) -> str:
    """Letters without accents, digits and spaces: what an alphabetical order looks at."""
    letters = unicodedata.normalize("NFD", text).casefold()
    return "".join(letter for letter in letters if letter.isalnum() or letter == " ")


class Works(Style):
    """pybtex's plain style with these labels, in this order, and addresses that are links without the word URL."""

    default_label_style = NAME
    default_sorting_style = NAME

    def format_url(self, _: Entry):
        address = field("url", raw=True)
        return href(address)[address]


@node
def _split_label(children: list, data: dict, part: int) -> Text:
    """What stands before (0) or behind (1) the last comma of "Chen et al., 2017b"."""
    return Text(data["formatted_entry"].label.rsplit(", ", 1)[part])


@dataclass
class InBrackets(BaseReferenceStyle):
    """[Chen et al., 2017b]"""

    def role_names(self) -> Iterable[str]:
        return ["p"]

    def outer(self, role_name: str, children: list):
        return BracketStyle(sep="; ").outer(children, brackets=True)

    def inner(self, role_name: str):
        return join[pre_text, reference[entry_label], post_text]


@dataclass
class InText(BaseReferenceStyle):
    """Chen et al. [2017b]"""

    def role_names(self) -> Iterable[str]:
        return ["t"]

    def outer(self, role_name: str, children: list):
        return BracketStyle(last_sep=" and ", sep2=" and ").outer(children)

    def inner(self, role_name: str):
        return join[_split_label(part=0), " [", pre_text, reference[_split_label(part=1)], post_text, "]"]


@dataclass
class References(GroupReferenceStyle):
    """Both, for the roles ``cite`` and ``cite:t``."""

    def __post_init__(self) -> None:
        self.styles.extend([InBrackets(), InText()])
        super().__post_init__()


def setup(app: Sphinx) -> dict[str, bool]:
    register_plugin("pybtex.style.labels", NAME, Labels)
    register_plugin("pybtex.style.sorting", NAME, Order)
    register_plugin("pybtex.style.formatting", NAME, Works)
    bibtex.register_plugin("sphinxcontrib.bibtex.style.referencing", NAME, References)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
