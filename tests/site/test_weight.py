"""A page and all that it asks for before anybody scrolls stay below a megabyte, compressed."""

from __future__ import annotations

import gzip
import random

import pytest
import weigh


def test_a_first_visit_weighs_less_than_a_megabyte(look, html, name):
    heavy = {file: weigh.weight(html / file) for file in look(name).files}
    assert sum(heavy.values()) < weigh.LIMIT, sorted(heavy.items(), key=lambda item: -item[1])[:8]


def test_text_is_weighed_compressed_and_a_picture_as_it_is(tmp_path):
    noise = random.Random(0).randbytes(1000)
    for name, data in (("text.js", b"let x = 1;" * 100), ("picture.png", b"png" * 100), ("font.woff", noise)):
        (tmp_path / name).write_bytes(data)
    assert weigh.weight(tmp_path / "text.js") == len(gzip.compress(b"let x = 1;" * 100, 6)) < 100
    assert weigh.weight(tmp_path / "picture.png") == 300
    assert weigh.weight(tmp_path / "font.woff") == 1000


@pytest.mark.parametrize("chapter", ["book/06-shuffle", "book/notation"])
def test_the_script_counts_what_the_browser_asks_a_server_for(look, browser, html, chapter):
    asked = weigh.first_visit(browser, html.resolve() / f"{chapter}.html")
    served = {html.resolve() / file for file in look(chapter).files} - {html.resolve() / "favicon.ico"}
    assert {path for path in asked if path.suffix != ".svg"} == {path for path in served if path.suffix != ".svg"}
    assert any(path.suffix == ".woff" for path in asked) == ("tex-chtml.js" in {path.name for path in asked})
