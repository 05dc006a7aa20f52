"""Bring notebooks into the one form that is committed: no times, paths, versions or leftovers of the tools.

    python scripts/tidy_notebooks.py [--check] [NOTEBOOK ...]        default: every chapter

`execute_book.py` calls :func:`tidy` on what it ran; call it after editing in Jupyter. Twice changes nothing."""

from __future__ import annotations

import base64
import hashlib
import io
import itertools
import os
import re
import sys
import tempfile
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from PIL import Image

from spacemeshlab.arguments import Parser
from spacemeshlab.data.labels import CAMVID, CITYSCAPES
from spacemeshlab.errors import UserError, exit_codes
from spacemeshlab.pictures import reduce_colours

ROOT = Path(__file__).resolve().parents[1]
KEPT = ("tags", "mystnb", "nbgrader", "spacemeshlab")  # metadata of a cell
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"file_extension": ".py", "mimetype": "text/x-python", "name": "python"},
}
MEANT = sorted({*CITYSCAPES.palette, *CAMVID.palette})  # colours that stand for a class
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def chapters(root: Path = ROOT) -> list[Path]:
    """Every chapter in the book's order: ``book/NN-topic.ipynb``."""
    return sorted((root / "book").glob("[0-9][0-9]-*.ipynb"))


def tidy(notebook: NotebookNode, root: Path = ROOT) -> NotebookNode:
    """Return a copy of the notebook in its committed form; nothing that a reader sees changes its meaning."""
    notebook = nbformat.v4.upgrade(nbformat.from_dict(notebook))
    notebook.metadata = nbformat.from_dict(METADATA)
    used: set[str] = set()
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({key: cell.metadata[key] for key in KEPT if cell.metadata.get(key)})
        cell.source = cell.source.rstrip()
        cell.id = _identity(cell, used)
        if cell.cell_type == "code":
            cell.outputs = _merge_streams([_tidy_output(output, root) for output in cell.outputs])
    return notebook


def save(notebook: NotebookNode, path: Path) -> None:
    """Write the notebook in one step, so that a reader of ``path`` sees the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")
    draft.replace(path)


def collapse(text: str) -> str:
    """What a terminal shows in the end: carriage returns overwrite the line from its start, colours are dropped."""
    lines = []
    for line in ANSI.sub("", text).replace("\r\n", "\n").split("\n"):
        shown = ""
        for part in line.split("\r"):
            shown = part + shown[len(part) :]
        lines.append(shown.rstrip() if "\r" in line else shown)
    return "\n".join(lines)


def _identity(cell: NotebookNode, used: set[str]) -> str:
    """An id that follows from the cell's source alone, so that inserting a cell changes no other id."""
    digest = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:8]
    names = (digest if copy == 1 else f"{digest}-{copy}" for copy in itertools.count(1))
    name = next(name for name in names if name not in used)
    used.add(name)
    return name


def _tidy_output(output: NotebookNode, root: Path) -> NotebookNode:
    if output.output_type == "stream":
        output.text = _hide_paths(output.text, root)
    elif output.output_type == "error":
        output.traceback = [_hide_paths(ANSI.sub("", line), root) for line in output.traceback]
    else:
        output.metadata = nbformat.from_dict({})
        for kind, value in output.data.items():
            if kind.startswith("text/"):
                output.data[kind] = _hide_paths(value, root)
            elif kind == "image/png":
                output.data[kind] = _shrink(value)
    return output


def _shrink(png: str) -> str:
    """A base64 PNG in at most 256 colours, about a third of the size; one that has them already stays as it is."""
    image = Image.open(io.BytesIO(base64.b64decode(png)))
    if image.mode == "P":
        return png
    reduce_colours(image, MEANT).save(buffer := io.BytesIO(), "PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()


def _hide_paths(text: str, root: Path) -> str:
    for folder, name in ((root, "SpaceMeshLab"), (Path.home(), "~"), (Path(tempfile.gettempdir()), "TMP")):
        if folder != Path(folder.anchor):  # a container's home can be /
            text = re.sub(re.escape(str(folder)) + r"(?![\w.-])", name, text)
    return text


def _merge_streams(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Join neighbouring pieces of one stream, then collapse; a stream of which nothing is left disappears."""
    merged: list[NotebookNode] = []
    for output in outputs:
        same = merged and merged[-1].output_type == output.output_type == "stream" and merged[-1].name == output.name
        if same:
            merged[-1].text += output.text
        else:
            merged.append(output)
    for output in merged:
        if output.output_type == "stream":
            output.text = collapse(output.text)
    return [output for output in merged if output.output_type != "stream" or output.text.strip()]


@exit_codes
def main() -> None:
    parser = Parser(description="Bring notebooks into the form that is committed.")
    parser.add_argument("notebooks", nargs="*", type=Path, metavar="NOTEBOOK", help="default: every chapter")
    parser.add_argument("--check", action="store_true", help="change nothing; exit 2 if a notebook is untidy")
    arguments, untidy = parser.parse_args(), []
    for path in arguments.notebooks or chapters():
        if not path.is_file():
            raise UserError(f"expected a notebook, found no file {path}: name one of book/")
        if (after := tidy(nbformat.read(path, as_version=4))) != nbformat.read(path, as_version=4):
            untidy.append(path.name)
            if not arguments.check:
                save(after, path)
                print(f"tidied {path.name}")
    if untidy and arguments.check:
        raise UserError(f"untidy: {', '.join(untidy)}; run {Path(sys.argv[0]).name} on them")


if __name__ == "__main__":
    main()
