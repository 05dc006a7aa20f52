"""Long names break at their joints."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def soften(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(ROOT / "book" / "_extensions"))
    sys.modules.pop("names", None)
    import names

    return names.soften


def test_a_long_name_may_break_behind_its_joints(soften):
    name = "tests/data/test_city.py::test_ids_are__read"
    broken = "tests/<wbr/>data/<wbr/>test_<wbr/>city.py::<wbr/>test_<wbr/>ids_<wbr/>are__<wbr/>read"
    assert soften(f'<span class="pre">{name}</span>') == f'<span class="pre long">{broken}</span>'


def test_a_tag_in_a_name_stays_one(soften):
    html = '<span class="pre">{"docstring":&lt;false&gt;}</span>'
    assert soften(html) == html.replace("pre", "pre long")


@pytest.mark.parametrize(
    "html",
    [
        '<span class="pre">short_name</span>',
        '<span class="n">a_long_name_in_a_block_of_code</span>',
        '<a href="a/long/address/of_a_page.html">words</a>',
    ],
)
def test_everything_else_stays(soften, html):
    assert soften(html) == html
