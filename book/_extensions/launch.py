"""Buttons that open a chapter on Colab, Kaggle and Binder, as soon as the book knows where its repository is.

``repository_url`` in ``_config.yml`` is the one setting. It switches on the buttons, the links to the repository and to
its issues, the tag ``repository`` for ``{only}`` blocks, and puts the address where a block of code says
``REPOSITORY_URL``. Without it no page has a button that leads nowhere.
"""

from __future__ import annotations

import re
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.errors import ConfigError

ADDRESS = re.compile(r"https://(github|gitlab)\.com/[\w.-]+/[\w.-]+?")
BINDER = {"binderhub_url": "https://mybinder.org", "notebook_interface": "jupyterlab"}
COLAB = {"colab_url": "https://colab.research.google.com"}
KAGGLE = "https://kaggle.com/kernels/welcome?src="
PLACEHOLDER = "REPOSITORY_URL"


def configure(app: Sphinx, config: Config) -> None:
    """Switch on what needs the repository; what the configuration says itself stays as it says."""
    options = config.html_theme_options
    url = (options.get("repository_url") or "").strip().rstrip("/").removesuffix(".git")
    if not url:
        return
    if not (found := ADDRESS.fullmatch(url)):
        raise ConfigError(
            f"expected repository_url to be https://github.com/OWNER/NAME (or gitlab.com), found {url!r}: "
            "mend _config.yml"
        )
    options["repository_url"] = url
    options["repository_branch"] = options.get("repository_branch") or "main"
    options.setdefault("use_repository_button", True)
    options.setdefault("use_issues_button", True)
    buttons = BINDER | (COLAB if found[1] == "github" else {})  # Colab and Kaggle open files of GitHub only
    options["launch_buttons"] = buttons | options.get("launch_buttons", {})
    app.tags.add("repository")


def dress(app: Sphinx, page: str, template: str, context: dict, doctree: object) -> None:
    """Add Kaggle's button beside those that the theme made, and name every icon as ``offline.py`` draws them."""
    options = app.config.html_theme_options
    for button in context.get("header_buttons", []):
        if button.get("label") == "launch-buttons" and "github.com" in options["repository_url"]:
            button["buttons"].append(kaggle(options, page + Path(app.env.doc2path(page)).suffix))
        for one in (button, *button.get("buttons", [])):
            if one.get("icon", "").startswith("fa"):
                one["icon"] = icon(one["icon"])


def kaggle(options: dict, path: str) -> dict[str, str]:
    url = f"{KAGGLE}{options['repository_url']}/blob/{options['repository_branch']}/{path}"
    return {"type": "link", "text": "Kaggle", "tooltip": "Launch on Kaggle", "icon": "fas fa-k", "url": url}


def icon(name: str) -> str:
    """``fas fa-rocket`` -> ``fa-solid fa-rocket``; instead of a company's sign, a branch."""
    style, _, outline = name.partition(" ")
    return "fa-solid fa-code-branch" if style == "fab" else f"fa-solid {outline}"


def fill_in(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Write the repository's address into blocks of code that wait for it."""
    if not app.tags.has("repository"):
        return
    for block in doctree.findall(nodes.literal_block):
        if PLACEHOLDER in (text := block.astext()):
            text = text.replace(PLACEHOLDER, app.config.html_theme_options["repository_url"])
            block.rawsource, block.children = text, []
            block += nodes.Text(text)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("config-inited", configure)
    app.connect("html-page-context", dress, priority=502)  # the theme's own buttons come with 501
    app.connect("doctree-resolved", fill_in)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
