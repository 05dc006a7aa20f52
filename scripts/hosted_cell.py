"""The cell that makes a chapter run on Colab and Kaggle: in every chapter while ``_config.yml`` names a repository.

`fill_listings.py` puts it behind the chapter's title and takes it away again. It is no part of the page (tag
``remove-cell``), and on any other machine it does nothing. What it starts is `hosted.py`.
"""

from __future__ import annotations

from pathlib import Path

import yaml
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from spacemeshlab.doctor import HOSTS

TAG = "hosted"
FOLDER = "SpaceMeshLab"
TEXT = """\
# On Colab and Kaggle: fetch the book, and the packages that are missing there. Elsewhere this cell does nothing.
import os
import runpy
import subprocess

if os.environ.keys() & {{{variables}}}:
    url = "{url}"
    if not os.path.exists("../scripts/hosted.py"):
        if not os.path.exists("{folder}"):
            command = ["git", "clone", "--quiet", "--depth=1", "--branch={branch}", url, "{folder}"]
            git = subprocess.run(command, capture_output=True, text=True)
            assert git.returncode == 0, f"is the internet switched on in the notebook's settings? {{git.stderr}}"
        os.chdir("{folder}/book")
    runpy.run_path("../scripts/hosted.py", run_name="__main__")"""


def source(config: Path) -> str:
    """The cell's text for the repository that ``config``, a ``_config.yml``, names; empty if it names none."""
    options = {}
    if config.is_file():
        options = yaml.safe_load(config.read_text(encoding="utf-8"))["sphinx"]["config"]["html_theme_options"]
    if not (url := (options.get("repository_url") or "").strip()):
        return ""
    branch = options.get("repository_branch") or "main"
    variables = ", ".join(f'"{name}"' for name in HOSTS)
    return TEXT.format(variables=variables, folder=FOLDER, branch=branch, url=url)


def place(notebook: NotebookNode, wanted: str) -> list[str]:
    """Give the notebook, in place, the cell with the text ``wanted``, or none; return the names of what changed."""
    if [cell.source for cell in notebook.cells if is_hosted(cell)] == ([wanted] if wanted else []):
        return []
    remove(notebook)
    if wanted:
        executed = any(cell.get("execution_count") for cell in notebook.cells)
        _renumber(notebook, 1)
        cell = new_code_cell(wanted, metadata={"tags": [TAG, "remove-cell"]}, execution_count=1 if executed else None)
        notebook.cells.insert(1, cell)
    return ["the cell for hosted notebooks"]


def remove(notebook: NotebookNode) -> NotebookNode:
    """Take the cell out, in place, as if it had never been executed."""
    for cell in filter(is_hosted, list(notebook.cells)):
        notebook.cells.remove(cell)
        _renumber(notebook, -1 if cell.execution_count else 0)
    return notebook


def is_hosted(cell: NotebookNode) -> bool:
    return TAG in cell.metadata.get("tags", [])


def _renumber(notebook: NotebookNode, by: int) -> None:
    for cell in notebook.cells:
        for numbered in (cell, *cell.get("outputs", [])):
            if numbered.get("execution_count"):
                numbered.execution_count += by
