"""The ledger has every number of the paper, and every reading of the close reading that this book follows.

The paper and each quote are brought into one form before they are compared, :func:`normal`: without tags, stars and
TeX's marks, with ✓ × ∈ … for TeX's names, " | " for a tab, and one space for any white space. So a row of a table reads
``ResNet-50 | ✓ | | | | 78.2``. The files lie beside the checkout (``SPACEMESHLAB_SHARED``).
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "book" / "_extensions"))  # as Sphinx does with local extensions
claims = importlib.import_module("claims")

TEX = {
    "checkmark": "✓",
    "times": "×",
    "in": "∈",
    "dots": "...",
    "ldots": "...",
    "lfloor": "⌊",
    "rfloor": "⌋",
    "cdot": "·",
}
TEX |= {"dagger": "†", "bullet": "•"}
NUMERAL = re.compile(r"\d+(?:[.,]\d+)*|\b(?:[Oo]ne|[Tt]wo|[Tt]hree)\b")
NO_CLAIM = {
    r"\[\d+(, \d+)*\]": "citations",
    r"(Figure|Fig\.|Table|section) \d(\.\d)?": "where something stands",
    r"(?<= )\d\.(\d\.)? (?=[A-Z])": "headings",
    r"ResNet-\d+|MetroCon2|DeepLab[vV]\d|FCN-8s|VOC2010": "names",
    r"[ij]_1": "the first of M or N rates",
    r"One of the main reasons|two different modules|two features|two rearranged features": "manners of speaking",
}
"""Numerals of the paper that say nothing that could be wrong, and why."""

READINGS = {
    "Output stride 16 (R).": "output-stride",
    "(R) Block 1 is the stem.": "stem-is-block-1",
    "ResNet-18/34 follow the same rule": "small-backbones",
    "(R) two of them, hidden width 16, at full input resolution": "two-convolutions hidden-width full-resolution",
    "image (3 channels) or the last memo → C channels": "first-memo",
    "Both directions start from the values before the exchange": "exchange-at-once",
    "(R) addition.": "exchange-adds",
    "leaves the bare (un)shuffles": "bare-shuffles",
    "(R) G heads, G = gcd(4, C)": "heads",
    "- SCA: per head, mean and max over its C/G channels": "sca",
    "- CCA: global mean and max over H×W": "cca",
    "(R) no bias; BN and ReLU over the concatenation, then the scores": "no-bias score-after-norm",
    "Score starts at 1, no sigmoid or softmax.": "score-start",
    "No pooling branch and no 1×1 projection.": "no-pooling-branch",
    "**Decoder** (P §2.4; R details)": "decoder decoder-stride",
    "the 1280 concatenated channels go to SpaceMeshLab's decoder": "spam-aspp",
    "allow it, with DeepLabV3+'s decoder, for the ablation": "metrocon-without-spam",
    "R, from DeepLabV3 and its well-known reproductions: momentum 0.9": "momentum",
    "weight decay 5e-4": "weight-decay",
    "poly power 0.9 a step to 0": "poly",
    "random scale 0.5–2, horizontal flip": "random-scale flip",
    "crop 768×768": "crop",
    "BN synchronised over more than one device": "sync-bn",
    "no OHEM": "no-ohem",
    "one learning rate for all parameters": "one-learning-rate",
    "ignore index 255": "ignore-index",
    "align_corners=False everywhere": "align-corners",
}
"""Words of the close reading -> the entries ``reading-…`` of what they decide."""

LEGEND = "**R** = our reading"
CONTRADICTIONS = ("train-images", "depth-formula", "parameters", "pascal-step", "rounding", "conventions")


def normal(text: str) -> str:
    text = re.sub(r"<[^>]+>", "", re.sub(r" <sup>(?=\d)", "", text))
    text = re.sub(r"\\frac\{([^{}]*)\}\{([^{}]*)\}", r"\1/\2", re.sub(r"\\mathbf\{(\w)\}", r"\1", text))
    text = re.sub(r"\\([a-zA-Z]+)", lambda name: TEX.get(name[1], name[1]), text)
    return " ".join(re.sub(r"[\\$*#]", "", text.replace("\t", " | ")).split())


def places(quote: str, body: str) -> list[tuple[int, int]]:
    """Where a quote stands in a text, not beginning or ending within a word or a number."""
    pattern = rf"(?<!\w)(?<!\d[.,]){re.escape(normal(quote))}(?!\w)(?![.,]\d)"
    return [found.span() for found in re.finditer(pattern, body)]


def uncovered(body: str, quotes: Iterable[str]) -> list[str]:
    """The numerals that are in no quote and no manner of speaking, each with the words around it."""
    spans = [span for quote in quotes for span in places(quote, body)]
    spans += [found.span() for pattern in NO_CLAIM for found in re.finditer(pattern, body)]
    return [
        f"…{body[max(0, found.start() - 40) : found.end() + 25]}…"
        for found in NUMERAL.finditer(body)
        if not any(start <= found.start() and found.end() <= end for start, end in spans)
    ]


@pytest.fixture(scope="module")
def body(shared_dir) -> str:
    """The paper from its abstract to the end of section 4."""
    (path,) = (shared_dir / "paper").glob("*.txt")
    return normal(path.read_text(encoding="utf-8").partition("# ABSTRACT")[2].partition("# 5. ACKNOWLEDGEMENT")[0])


@pytest.fixture(scope="module")
def close(shared_dir) -> str:
    """The close reading, in one line."""
    return " ".join((shared_dir / "PAPER.md").read_text(encoding="utf-8").split())


@pytest.fixture(scope="module")
def entries() -> list:
    return claims.load(ROOT)


def test_every_number_of_the_paper_is_quoted_by_an_entry(body, entries):
    missing = uncovered(body, (quote for entry in entries for quote in entry.quotes))
    assert not missing, "\n".join([f"{len(missing)} without an entry", *missing])


def test_a_quote_stands_in_the_paper_exactly_once(body, entries):
    found = [(entry.id, quote, len(places(quote, body))) for entry in entries for quote in entry.quotes]
    assert not [line for line in found if line[2] != 1]


def test_a_number_in_a_claim_is_the_papers_own(body, entries):
    said = set(NUMERAL.findall(body))
    for entry in entries:
        if entry.kind != "reading":
            numbers = re.findall(r"\d+(?:[.,]\d+)*", re.sub("|".join(NO_CLAIM), "", entry.claim))
            assert set(numbers) <= said, entry.id


def test_no_pattern_of_what_is_no_claim_is_idle(body):
    for pattern in NO_CLAIM:
        assert re.search(pattern, body), pattern


def test_the_paper_without_one_entry_has_numbers_that_nobody_quotes(body, entries):
    row = next(entry for entry in entries if entry.part == "table-1")
    others = [quote for entry in entries if entry is not row for quote in entry.quotes]
    (missing,) = uncovered(body, others)
    assert NUMERAL.findall(missing)


def test_a_quote_covers_its_own_numbers_only():
    text = normal("SpaM shows **0.8%** in Table 1,\tand $78.2$ with\n16 channels [3, 4].")
    assert text == "SpaM shows 0.8% in Table 1, | and 78.2 with 16 channels [3, 4]."
    assert uncovered(text, []) == uncovered(text, ["8%", "78"])
    assert len(uncovered(text, [])) == 3
    assert len(uncovered(text, ["shows 0.8%"])) == 2
    assert uncovered(text, ["0.8%", "78.2 with 16"]) == []


def test_tex_and_what_a_reader_sees_are_one_form():
    assert normal(r"ResNet-50	$\checkmark$			 	78.2") == "ResNet-50 | ✓ | | | | 78.2"
    assert normal(r"$\mathbf{d} = \{(i, j) | i \in \{1, \dots, 9\}\}$") == "d = {(i, j) | i ∈ {1, ..., 9}}"
    assert normal(r"$\lfloor \frac{H}{16} \rfloor \times 16$") == "⌊ H/16 ⌋ × 16"
    assert normal("MetroCon<sup>2</sup> *test*") == normal("MetroCon <sup>2</sup> **test**") == "MetroCon2 test"


@pytest.mark.parametrize("words", READINGS)
def test_a_reading_of_the_close_reading_has_its_entries(close, entries, words):
    assert close.count(words) == 1
    wanted = {f"reading-{name}" for name in READINGS[words].split()}
    assert wanted <= {entry.id for entry in entries if entry.kind == "reading"}


def test_every_mark_of_a_reading_stands_in_words_that_have_an_entry(close):
    spans = [(close.index(words), close.index(words) + len(words)) for words in [LEGEND, *READINGS]]
    marks = [found.start() for found in re.finditer(r"\bR\b", close)]
    assert len(marks) >= 9
    for mark in marks:
        assert any(start <= mark < end for start, end in spans), close[mark - 40 : mark + 60]


def test_each_place_where_the_paper_does_not_add_up_has_an_entry(close, entries):
    listed = re.findall(r" (\d)\. ", close.partition("## 4. ")[2].partition("## 5. ")[0])
    assert listed == [str(number) for number in range(1, 7)]
    assert {f"contradiction-{name}" for name in CONTRADICTIONS} <= {entry.id for entry in entries}
    assert len(CONTRADICTIONS) == len(listed)
