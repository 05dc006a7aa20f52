"""A tiny book with and without a repository: every button leads somewhere, or there is none."""

from __future__ import annotations

import io
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import tidy_notebooks
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from sphinx.application import Sphinx
from sphinx.errors import ConfigError
from sphinx.util.docutils import docutils_namespace, patch_docutils

EXTENSIONS = Path(__file__).resolve().parents[2] / "book" / "_extensions"
PAGE = """# A page

:::{only} repository
Buttons above.
:::
:::{only} not repository
No address yet.
:::

```bash
git clone REPOSITORY_URL SpaceMeshLab
```
"""


@pytest.fixture
def build(tmp_path, monkeypatch):
    """``build(options)`` writes a chapter and a page as HTML and returns both, and what was warned of."""
    monkeypatch.syspath_prepend(EXTENSIONS)
    source = tmp_path / "source" / "book"
    source.mkdir(parents=True)
    notebook = new_notebook(cells=[new_markdown_cell("# A chapter"), new_code_cell("1")])
    tidy_notebooks.save(tidy_notebooks.tidy(notebook), source / "01-chapter.ipynb")
    (source / "page.md").write_text(PAGE)
    (source / "index.md").write_text("# Book\n\n```{toctree}\n01-chapter\npage\n```\n")

    def run(options: dict) -> SimpleNamespace:
        settings = {
            "extensions": ["myst_nb", "launch"],
            "html_theme": "sphinx_book_theme",
            "html_theme_options": options,
            "master_doc": "book/index",
            "myst_enable_extensions": ["colon_fence"],
            "nb_execution_mode": "off",
        }
        folders = (tmp_path / "source", None, tmp_path / "html", tmp_path / "doctrees")
        warnings = io.StringIO()
        with patch_docutils(), docutils_namespace():
            Sphinx(*folders, "html", settings, status=None, warning=warnings).build()
        read = [(tmp_path / "html" / "book" / f"{name}.html").read_text() for name in ("01-chapter", "page")]
        return SimpleNamespace(chapter=read[0], page=read[1], warnings=warnings.getvalue())

    return run


def away(html: str) -> dict[str, str]:
    """The buttons that leave the book: text -> address."""
    button = re.compile(r'<a href="(https?:[^"]*)"[^>]*class="btn.*?btn__text-container">([^<]*)<', flags=re.DOTALL)
    return {text: address for address, text in button.findall(html)}


def icons(html: str) -> list[str]:
    header = html.partition('class="article-header-buttons"')[2].partition('class="theme-switch')[0]
    return re.findall(r'<i class="([^"]*)"></i>', header)


@pytest.mark.parametrize("options", [{}, {"repository_url": "", "repository_branch": "main"}])
def test_without_a_repository_no_page_has_a_button_that_leads_away(build, options):
    built = build(options)
    assert built.warnings == ""
    assert away(built.chapter) == away(built.page) == {}
    assert "launch-buttons" not in built.chapter + built.page
    assert "REPOSITORY_URL" in built.page
    assert "No address yet." in built.page
    assert "Buttons above." not in built.page


def test_one_setting_brings_colab_kaggle_and_binder_to_chapters_and_the_repository_to_every_page(build):
    built = build({"repository_url": "https://github.com/someone/spacemesh-book.git"})
    assert built.warnings == ""
    buttons = away(built.chapter)
    file = "blob/main/book/01-chapter.ipynb"
    assert buttons["Colab"] == f"https://colab.research.google.com/github/someone/spacemesh-book/{file}"
    assert (
        buttons["Kaggle"] == f"https://kaggle.com/kernels/welcome?src=https://github.com/someone/spacemesh-book/{file}"
    )
    assert buttons["Binder"] == (
        "https://mybinder.org/v2/gh/someone/spacemesh-book/main?urlpath=lab/tree/book/01-chapter.ipynb"
    )
    assert set(away(built.page)) == {"Repository", "Open issue"}
    assert set(buttons) == {"Colab", "Kaggle", "Binder", "Repository", "Open issue"}
    assert buttons["Repository"] == "https://github.com/someone/spacemesh-book"


def test_with_a_repository_the_page_gives_its_address_instead_of_a_placeholder(build):
    page = build({"repository_url": "https://github.com/someone/spacemesh-book/", "repository_branch": "dev"}).page
    assert "REPOSITORY_URL" not in page
    assert "git clone https://github.com/someone/spacemesh-book SpaceMeshLab" in re.sub(r"<[^>]*>", "", page)
    assert "Buttons above." in page
    assert "No address yet." not in page


def test_a_repository_on_gitlab_has_binder_only_and_a_hub_of_ones_own_is_added(build):
    hub = {"jupyterhub_url": "https://hub.example.org"}
    built = build({"repository_url": "https://gitlab.com/someone/book", "launch_buttons": hub})
    assert built.warnings == ""
    assert set(away(built.chapter)) == {"Binder", "JupyterHub", "Repository", "Open issue"}
    assert "repo=https%3A//gitlab.com/someone/book" in away(built.chapter)["JupyterHub"]


def test_every_icon_of_a_button_is_one_that_the_book_draws_itself(build):
    built = build({"repository_url": "https://github.com/someone/book"})
    assert {"fa-solid fa-rocket", "fa-solid fa-k", "fa-solid fa-code-branch"} <= set(icons(built.chapter))
    assert all(name.startswith("fa-solid fa-") for name in icons(built.chapter))


@pytest.mark.parametrize("url", ["github.com/someone/book", "https://github.com/someone", "https://example.org/a/b"])
def test_an_address_that_no_button_can_use_is_refused_in_one_line(build, url):
    with pytest.raises(ConfigError, match=r"expected repository_url to be https://github\.com/OWNER/NAME") as told:
        build({"repository_url": url})
    assert "\n" not in str(told.value)
