"""A listing is the package's own source, or the build says so."""

from __future__ import annotations

import sys

import fill_listings
import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from spacemeshlab.errors import UserError


def wish(name: str, **more: object) -> dict:
    return {"tags": ["listing"], "spacemeshlab": {"object": name, **more}}


def test_a_method_is_dedented_and_its_docstring_can_be_left_out():
    whole = fill_listings.source_of("spacemeshlab.recipe.Recipe.from_dict")
    assert whole.startswith('@classmethod\ndef from_dict(cls, values: dict) -> Recipe:\n    """Rebuild')
    short = fill_listings.source_of("spacemeshlab.recipe.Recipe.from_dict", docstring=False)
    assert "Rebuild" not in short
    assert short.startswith("@classmethod\ndef from_dict(cls, values: dict) -> Recipe:\n    try:\n")


def test_without_docstrings_keeps_comments_and_drops_the_blank_line_that_follows():
    source = (
        'class A:\n    """Doc.\n\n    More.\n    """\n\n    b = 1  # kept\n\n'
        '    def f(self):\n        """Doc."""\n        return 2'
    )
    left = "class A:\n    b = 1  # kept\n\n    def f(self):\n        return 2"
    assert fill_listings.without_docstrings(source) == left


def test_markdown_cells_get_a_fenced_block_and_code_cells_the_bare_source():
    name = "spacemeshlab.errors.UserError"
    notebook = new_notebook(cells=[new_markdown_cell(metadata=wish(name)), new_code_cell(metadata=wish(name))])
    assert fill_listings.fill(notebook) == [name, name]
    fenced, bare = (cell.source for cell in notebook.cells)
    assert bare.startswith("class UserError(ValueError):")
    assert fenced == f"```python\n{bare}\n```"
    assert fill_listings.fill(notebook) == []


def test_a_listing_without_an_object_or_with_an_unknown_one_is_refused():
    with pytest.raises(UserError, match=r"found 'spacemeshlab\.recipe\.Receipt'"):
        fill_listings.source_of("spacemeshlab.recipe.Receipt")
    with pytest.raises(UserError, match="cell tagged listing, found none"):
        fill_listings.fill(new_notebook(cells=[new_markdown_cell(metadata={"tags": ["listing"]})]))


def test_check_fails_in_one_line_until_the_listings_are_filled(tmp_path, monkeypatch, capsys):
    path = tmp_path / "01-tiny.ipynb"
    nbformat.write(new_notebook(cells=[new_markdown_cell(metadata=wish("spacemeshlab.errors.UserError"))]), path)

    def call(*arguments: str) -> None:
        monkeypatch.setattr(sys, "argv", ["fill_listings.py", *arguments, str(path)])
        fill_listings.main()

    with pytest.raises(SystemExit) as stopped:
        call("--check")
    assert stopped.value.code == 2
    expected = "error: listings differ from the package (01-tiny.ipynb: spacemeshlab.errors.UserError): "
    assert capsys.readouterr().err.startswith(expected)
    call()
    assert capsys.readouterr().out == "filled 01-tiny.ipynb: spacemeshlab.errors.UserError\n"
    call("--check")
