"""Citations by author and year: one wording in the text and in the list of references."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from pybtex.database import parse_file, parse_string

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def citations():
    sys.path.insert(0, str(ROOT / "book" / "_extensions"))
    try:
        import citations

        citations.setup(None)
        yield citations
    finally:
        sys.path.pop(0)


def labels(citations, text: str) -> dict[str, str]:
    """Key -> label, in the order of the list."""
    style = citations.Works()
    entries = style.sort(parse_string(text, "bibtex").entries.values())
    return dict(zip((entry.key for entry in entries), style.format_labels(entries), strict=True))


def work(key: str, author: str, year: int, title: str = "A") -> str:
    return f"@misc{{{key}, author={{{author}}}, year={{{year}}}, title={{{title}}}}}\n"


def test_one_two_and_many_authors_read_as_in_a_sentence(citations):
    text = work("one", "Lee Dice", 1945) + work("two", "Yu, F. and Koltun, V.", 2016)
    text += work("three", "van den Berg, R. and B, C. and D, E.", 2017) + work("others", "Gross, S. and others", 2019)
    text += work("group", "{TorchVision maintainers and contributors}", 2016)
    assert labels(citations, text) == {
        "one": "Dice, 1945",
        "others": "Gross et al., 2019",
        "group": "TorchVision maintainers and contributors, 2016",
        "three": "van den Berg et al., 2017",
        "two": "Yu and Koltun, 2016",
    }


def test_works_that_would_read_alike_get_letters_in_the_order_of_the_list(citations):
    text = work("rethinking", "Chen, L. and P, G. and S, F.", 2017, "Rethinking")
    text += work("deeplab", "Chen, L. and P, G. and K, I.", 2017, "{DeepLab}")
    text += work("plus", "Chen, L. and Z, Y. and P, G.", 2018)
    text += work("alone", "Chen, L.", 2017)
    assert list(labels(citations, text).items()) == [
        ("alone", "Chen, 2017"),
        ("deeplab", "Chen et al., 2017a"),
        ("rethinking", "Chen et al., 2017b"),
        ("plus", "Chen et al., 2018"),
    ]


def test_accents_do_not_change_the_order(citations):
    text = work("z", "Zhao, H.", 2017) + work("l", r"{\L}ukasz, K.", 2017) + work("k", r"K{\"u}nsch, H.", 1989)
    text += work("kv", "Kz, A.", 1990)
    assert list(labels(citations, text))[:2] == ["k", "kv"]


def test_no_two_works_of_the_book_read_alike(citations):
    entries = parse_file(str(ROOT / "book" / "references.bib")).entries
    style = citations.Works()
    found = list(style.format_labels(style.sort(entries.values())))
    assert len(set(found)) == len(found) == len(entries)
    assert {"Chen et al., 2017a", "Chen et al., 2017b"} <= set(found)


def test_no_address_hides_in_a_note():
    for key, entry in parse_file(str(ROOT / "book" / "references.bib")).entries.items():
        assert "://" not in entry.fields.get("note", ""), key


def test_the_role_in_the_text_gives_the_words_of_the_list(citations, tmp_path):
    from sphinx.application import Sphinx
    from sphinx.util.docutils import docutils_namespace, patch_docutils

    works = work("b", "A, B. and C, D. and E, F.", 2017, "Second") + work(
        "a", "A, B. and X, Y. and E, F.", 2017, "First"
    )
    (tmp_path / "works.bib").write_text(works)
    (tmp_path / "conf.py").write_text(
        f"import sys\nsys.path.insert(0, {str(ROOT / 'book' / '_extensions')!r})\n"
        "extensions = ['sphinxcontrib.bibtex', 'citations']\nbibtex_bibfiles = ['works.bib']\n"
        "bibtex_default_style = bibtex_reference_style = 'spacemeshlab'\n"
    )
    (tmp_path / "index.rst").write_text("T\n=\n\n:cite:`b,a` and :cite:t:`b`.\n\n.. bibliography::\n")
    with patch_docutils(), docutils_namespace():
        app = Sphinx(
            tmp_path, tmp_path, tmp_path / "out", tmp_path / "doctrees", "text", status=None, warningiserror=True
        )
        app.build()
    text = " ".join((tmp_path / "out" / "index.txt").read_text().split())
    assert "[A et al., 2017a; A et al., 2017b] and A et al. [2017b]." in text
    assert text.index("[A et al., 2017a] B. A") < text.index("[A et al., 2017b] B. A")
