"""Fill every cell tagged `listing` with the package's own source, so that a chapter cannot show other code.

    python scripts/fill_listings.py [--check] [NOTEBOOK ...]         default: every chapter

The cell's metadata names the object: ``{"spacemeshlab": {"object": "spacemeshlab.models.spam.SpaM.forward"}}``, with
``"docstring": false`` to leave docstrings out. A markdown cell gets a fenced block, a code cell the bare source. The
cell for hosted notebooks, see ``hosted_cell.py``, comes and goes here too.
"""

from __future__ import annotations

import ast
import inspect
import pkgutil
import textwrap
from pathlib import Path

import hosted_cell
import nbformat
from nbformat import NotebookNode
from tidy_notebooks import chapters, save, tidy

from spacemeshlab.arguments import Parser
from spacemeshlab.errors import UserError, exit_codes


def source_of(name: str, docstring: bool = True) -> str:
    """The dedented source of ``package.module.object[.attribute]``.

    Raises:
        UserError: nothing has that name, or it has no source.
    """
    try:
        found = pkgutil.resolve_name(name)
        source = inspect.getsource(inspect.unwrap(getattr(found, "fget", found)))
    except (ImportError, AttributeError, ValueError, TypeError):
        raise UserError(f"expected a function or class of the package, found {name!r}: mend the cell") from None
    source = textwrap.dedent(source).rstrip()
    return source if docstring else without_docstrings(source)


def without_docstrings(source: str) -> str:
    """The source with every docstring's lines taken out; the rest stays as it was written."""
    lines = source.split("\n")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node) and len(node.body) > 1:
            first, last = node.body[0].lineno - 1, node.body[0].end_lineno
            blank = last < len(lines) and not lines[last].strip()
            lines[first : last + blank] = [None] * (last + blank - first)
    return "\n".join(line for line in lines if line is not None)


def listing(cell: NotebookNode) -> str:
    """What the cell must contain."""
    wish = cell.metadata.get("spacemeshlab", {})
    if "object" not in wish:
        raise UserError('expected metadata {"spacemeshlab": {"object": ...}} in a cell tagged listing, found none')
    source = source_of(wish["object"], wish.get("docstring", True))
    return source if cell.cell_type == "code" else f"```python\n{source}\n```"


def fill(notebook: NotebookNode) -> list[str]:
    """Fill the notebook's listings in place and return the names of the objects that had changed."""
    changed = []
    for cell in notebook.cells:
        if "listing" in cell.metadata.get("tags", []) and cell.source != (wanted := listing(cell)):
            cell.source = wanted
            changed.append(cell.metadata["spacemeshlab"]["object"])
    return changed


@exit_codes
def main() -> None:
    parser = Parser(description="Fill the listings of chapters from the package's source.")
    parser.add_argument("notebooks", nargs="*", type=Path, metavar="NOTEBOOK", help="default: every chapter")
    parser.add_argument("--check", action="store_true", help="change nothing; exit 2 if a listing differs")
    arguments = parser.parse_args()
    stale = []
    for path in arguments.notebooks or chapters():
        notebook = nbformat.read(path, as_version=4)
        changed = fill(notebook)
        changed += hosted_cell.place(notebook, hosted_cell.source(path.resolve().parents[1] / "_config.yml"))
        stale += [f"{path.name}: {name}" for name in changed]
        if changed and not arguments.check:
            save(tidy(notebook), path)
            print(f"filled {path.name}: {', '.join(changed)}")
    if stale and arguments.check:
        raise UserError(f"listings differ from the package ({'; '.join(stale)}): run scripts/fill_listings.py")


if __name__ == "__main__":
    main()
