"""Execute chapters with papermill, one progress line each.

    python scripts/execute_book.py [--recipe toycity] [--data-root DIR] [CHAPTER ...]      CHAPTER: 09 or 09-metrocon2

Without other parameters the result replaces the chapter in ``book/``. With a recipe, data or overrides of your own it
goes to ``_build/executed/<recipe>/``. When, how long and on what is noted in ``executed.json``, in ``book/results/`` or
there. A chapter that fails stays as it was; what ran is kept in ``_build/executed/failed/``, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import ast
import os
import sys
from collections.abc import Iterable
from pathlib import Path

import executions
import nbformat
import papermill
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from papermill.exceptions import PapermillExecutionError
from tidy_notebooks import ROOT, chapters, collapse, save, tidy

from spacemeshlab.arguments import Parser
from spacemeshlab.errors import UserError, exit_codes
from spacemeshlab.recipe import get_recipe

PARAMETERS = ("recipe", "data_root", "run_dir", "overrides")
FAILURES = (PapermillExecutionError, CellTimeoutError, DeadKernelError)


def choose(names: Iterable[str], root: Path = ROOT) -> list[Path]:
    """The chapters called ``names``, by number or by file name; all of them without names.

    Raises:
        UserError: a name that is no chapter (lists the chapters).
    """
    known = chapters(root)
    chosen = [(name, [path for path in known if name in (path.name, path.stem, path.stem[:2])]) for name in names]
    for name, found in chosen:
        if not found:
            stems = ", ".join(path.stem for path in known)
            raise UserError(f"expected chapters out of {stems}; got {name!r}: choose some of these")
    return [found[0] for _, found in chosen] or known


def declared(notebook: NotebookNode) -> dict[str, object]:
    """The names and defaults in the cell tagged `parameters`.

    Raises:
        UserError: something else than ``name = literal``.
    """
    values: dict[str, object] = {}
    for cell in notebook.cells:
        if "parameters" in cell.metadata.get("tags", []):
            for line in ast.parse(cell.source).body:
                try:
                    values[line.targets[0].id] = ast.literal_eval(line.value)
                except (AttributeError, ValueError):
                    raise UserError(f"expected name = literal in a parameters cell, got {ast.unparse(line)}") from None
    return values


def execute(chapter: Path, target: Path, parameters: dict[str, object], timeout: int | None, root: Path = ROOT) -> None:
    """Run one chapter in its own folder and write it, tidied, to ``target``.

    ``parameters`` that the chapter does not declare, or that equal its defaults, are left out.

    Raises:
        UserError: a parameter, given or declared, outside the four that chapters may have.
        FAILURES: ``target`` is untouched; what ran is in ``_build/executed/failed``.
    """
    os.environ["JUPYTER_PATH"] = str(Path(sys.prefix, "share", "jupyter"))  # this kernel, whatever else is installed
    notebook = nbformat.read(chapter, as_version=4)
    defaults = declared(notebook)
    for name in (*defaults, *parameters):
        if name not in PARAMETERS:
            raise UserError(f"expected parameters out of {', '.join(PARAMETERS)}; got {name!r}")
    given = {key: value for key, value in parameters.items() if key in defaults and defaults[key] != value}
    draft = root / "_build" / "executed" / "failed" / chapter.name
    draft.parent.mkdir(parents=True, exist_ok=True)
    executed = papermill.execute_notebook(
        notebook,
        str(draft).replace("{", "{{").replace("}", "}}"),  # papermill formats paths
        given,
        kernel_name="python3",
        language="python",
        progress_bar=False,
        cwd=chapter.parent,
        execution_timeout=timeout,
        extra_arguments=["--IPKernelApp.log_level=50"],  # one line a chapter
    )
    save(tidy(executed, root), target)
    draft.unlink()


def reason(error: Exception) -> str:
    """One line that says what went wrong, and in which cell."""
    cell = isinstance(error, PapermillExecutionError)
    text = f"cell [{error.exec_count}] {error.ename}: {error.evalue}" if cell else f"{type(error).__name__}: {error}"
    return collapse(text).strip().partition("\n")[0]


def parse() -> argparse.Namespace:
    parser = Parser(description="Execute chapters of the book with papermill.")
    parser.add_argument("chapters", nargs="*", metavar="CHAPTER", help="number or file name; default: all")
    parser.add_argument("--recipe", default="toycity", help="a name out of spacemeshlab.recipe (default: toycity)")
    parser.add_argument("--data-root", type=Path, help="where the recipe's data set is")
    parser.add_argument("--run-dir", type=Path, help="the run's files (default: the chapter's, or runs/RECIPE)")
    parser.add_argument("--override", action="append", default=[], metavar="KEY=VALUE", help="change the recipe")
    parser.add_argument("--timeout", type=int, help="seconds a cell (default: 900 for toycity, else none)")
    return parser.parse_args()


@exit_codes
def main() -> None:
    options = parse()
    get_recipe(options.recipe, options.override)
    in_place = options.recipe == "toycity" and not (options.override or options.data_root or options.run_dir)
    folder = ROOT / "book" if in_place else ROOT / "_build" / "executed" / options.recipe
    parameters: dict[str, object] = {}
    if not in_place:
        run_dir = options.run_dir or ROOT / "runs" / options.recipe
        parameters = {"recipe": options.recipe, "overrides": options.override, "run_dir": str(run_dir.resolve())}
        if options.data_root:
            parameters["data_root"] = str(options.data_root.resolve())
    timeout = options.timeout or (900 if options.recipe == "toycity" else None)
    records = executions.place(folder / "results" if in_place else folder)
    chosen, failed = choose(options.chapters), 0
    for number, chapter in enumerate(chosen, 1):
        print(f"[{number}/{len(chosen)}] {chapter.stem:<20} ", end="", flush=True)
        try:
            with executions.Watch() as watch:
                execute(chapter, folder / chapter.name, parameters, timeout)
            executions.note(records, chapter.stem, " ".join([options.recipe, *options.override]), watch)
            print(f"executed in {watch.seconds:.0f} s", flush=True)
        except FAILURES as error:
            failed += 1
            print(f"FAILED after {watch.seconds:.0f} s: {reason(error)}", flush=True)
    if failed:
        sys.exit("what ran is in _build/executed/failed")
    if not in_place:
        print(f"written to {folder.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
