"""Every chapter has the anatomy of STYLE_GUIDE.md, and its outputs can be compared on another machine."""

from __future__ import annotations

import ast
import itertools
import re
import statistics
from importlib.metadata import version
from pathlib import Path

import execute_book
import fill_listings
import hosted_cell
import nbformat
import pytest
import tidy_notebooks
import yaml

ROOT = Path(__file__).resolve().parents[2]
CHAPTERS = tidy_notebooks.chapters(ROOT)
CARD = ("You will build", "You need", "Time", "Module", "Test")
LAST_SECTIONS = ["## Summary", "## Exercises", "## References"]
ALLOWED_TAGS = {"parameters", "listing", "nbval-ignore-output", "raises-exception", "hide-input"}
MACHINE = re.compile(
    r"(?<![\w.])/(?:home|root|usr|opt|tmp|var|mnt|work|Users|private)/|[A-Z]:\\\\|site-packages"  # paths
    r"|\b(?:cuda(?::\d)?|mps)\b|\+cu\d+|0x[0-9a-f]{6,}"  # devices, builds, addresses
)
BAR = re.compile(r"\d+%\||it/s|s/it")
VERSIONS = [version(name) for name in ("torch", "torchvision", "numpy", "lightning", "matplotlib")]


@pytest.fixture(params=CHAPTERS, ids=lambda path: path.stem)
def chapter(request) -> nbformat.NotebookNode:
    """A chapter as its reader sees it, without the cell for hosted notebooks."""
    return hosted_cell.remove(nbformat.read(request.param, as_version=4))


def code(chapter: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in chapter.cells if cell.cell_type == "code"]


def tags(cell: nbformat.NotebookNode) -> list[str]:
    return cell.metadata.get("tags", [])


def texts(cell: nbformat.NotebookNode) -> list[str]:
    """What the cell printed or displayed, as text."""
    found = [output.text for output in cell.outputs if output.output_type == "stream"]
    for output in cell.outputs:
        found += [value for kind, value in output.get("data", {}).items() if kind.startswith("text/")]
    return found


def headings(chapter: nbformat.NotebookNode) -> list[str]:
    prose = "\n".join(cell.source for cell in chapter.cells if cell.cell_type == "markdown")
    return re.findall(r"^#{1,2} .*", re.sub(r"```.*?```", "", prose, flags=re.DOTALL), flags=re.MULTILINE)


def section(chapter: nbformat.NotebookNode, title: str) -> str:
    """The prose from a ``##`` heading to the next."""
    prose = "\n\n".join(cell.source for cell in chapter.cells if cell.cell_type == "markdown")
    return prose.partition(f"## {title}\n")[2].partition("\n## ")[0]


def test_the_table_of_contents_lists_every_chapter_once_and_only_files_that_exist():
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    listed = [chapter["file"] for part in toc["parts"] for chapter in part["chapters"]]
    assert [name for name in listed if re.match(r"book/\d\d-", name)] == [f"book/{path.stem}" for path in CHAPTERS]
    for name in [toc["root"], *listed]:
        assert list(ROOT.glob(f"{name}.*")), f"_toc.yml lists {name}, which does not exist"


def test_a_chapter_opens_with_one_title_a_sentence_and_the_card(chapter):
    first = chapter.cells[0]
    assert first.cell_type == "markdown"
    title, sentence, card = first.source.split("\n\n", 2)
    assert re.fullmatch(r"# [^\n]+", title)
    assert re.fullmatch(r"[^#:\n].*[.?!]", sentence, flags=re.DOTALL)
    assert card.startswith(":::{admonition} Chapter card\n:class: chapter-card\n- **You will build** ")
    assert re.findall(r"^- \*\*(.+?)\*\*", card, flags=re.MULTILINE) == list(CARD)
    assert [heading for heading in headings(chapter) if heading.startswith("# ")] == [title]


def test_the_modules_and_tests_on_the_card_exist(chapter):
    for word, folder in (("Module", "spacemeshlab/"), ("Test", "tests/")):
        line = re.search(rf"^- \*\*{word}\*\*(.*(?:\n  .*)*)", chapter.cells[0].source, flags=re.MULTILINE)[1]
        named = [path for path in re.findall(r"`([^`]+)`", line) if "/" in path]
        assert named, f"{word} names no file"
        for path in named:
            assert path.startswith((folder, "scripts/")), path
            assert (ROOT / path).exists(), path


def test_the_first_code_cells_are_parameters_and_setup(chapter):
    cells = code(chapter)
    assert [cell.id for cell in cells if "parameters" in tags(cell)] in ([], [cells[0].id])
    assert set(execute_book.declared(chapter)) <= set(execute_book.PARAMETERS)
    start = cells["parameters" in tags(cells[0])]
    assert re.search(r"^setup\((seed=)?\d*\)$", start.source, flags=re.MULTILINE)


def test_a_chapter_ends_in_summary_exercises_and_references(chapter):
    assert headings(chapter)[-3:] == LAST_SECTIONS
    assert "{cite" in section(chapter, "References")
    exercises = section(chapter, "Exercises")
    numbers = re.findall(r"^\*\*\d+\.(\d+)\*\*", exercises, flags=re.MULTILINE)
    assert 3 <= len(numbers) <= 5
    assert numbers == [str(number) for number in range(1, len(numbers) + 1)]
    assert exercises.count(":::{dropdown} Hint") == len(numbers)


def test_a_chapter_has_a_readable_size(chapter):
    assert 40 <= len(chapter.cells) <= 80
    prose = [cell.source for cell in chapter.cells if cell.cell_type == "markdown" and "listing" not in tags(cell)]
    text = re.sub(r"^:\w+: .*$", " ", "\n".join(prose), flags=re.MULTILINE)  # a directive's options are not prose
    words = re.sub(r"```.*?```|\$\$.*?\$\$", " ", text, flags=re.DOTALL).split()
    assert 1200 <= sum(any(letter.isalpha() for letter in word) for word in words) <= 3000
    lengths = [len(cell.source.splitlines()) for cell in code(chapter) if "listing" not in tags(cell)]
    assert statistics.median(lengths) <= 6
    assert all(len(cell.source.splitlines()) <= 42 for cell in chapter.cells if "listing" in tags(cell))


def test_never_more_than_two_code_cells_stand_in_a_row(chapter):
    kinds = [cell.cell_type for cell in chapter.cells]
    assert max(len(list(run)) for kind, run in itertools.groupby(kinds) if kind == "code") <= 2


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_committed_notebook_is_tidy_and_small(path):
    assert path.stat().st_size <= 500 * 1024
    notebook = nbformat.read(path, as_version=4)
    assert tidy_notebooks.tidy(notebook) == notebook, "run make format"


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_has_the_cell_for_hosted_notebooks_exactly_if_a_repository_is_configured(path):
    notebook = nbformat.read(path, as_version=4)
    assert not hosted_cell.place(notebook, hosted_cell.source(ROOT / "_config.yml")), "run make format"


def test_cells_were_executed_in_order_and_none_failed_by_mistake(chapter):
    cells = code(chapter)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    for cell in cells:
        failed = any(output.output_type == "error" for output in cell.outputs)
        assert failed == ("raises-exception" in tags(cell)), cell.source


def test_cells_carry_known_tags_only_and_no_parameters_were_injected(chapter):
    for cell in chapter.cells:
        assert set(tags(cell)) <= ALLOWED_TAGS, cell.source


def test_outputs_hold_nothing_of_one_machine(chapter):
    for cell in code(chapter):
        for text in texts(cell):
            assert not MACHINE.search(text), f"{MACHINE.search(text)[0]!r} in the output of {cell.source!r}"
            assert not any(number in text for number in VERSIONS), f"a version in the output of {cell.source!r}"
            if "nbval-ignore-output" not in tags(cell):
                assert not BAR.search(text), f"a progress bar in the output of {cell.source!r}"
        kinds = {kind for output in cell.outputs for kind in output.get("data", {})}
        assert not any("widget" in kind for kind in kinds), f"a widget in the output of {cell.source!r}"


def test_cells_that_are_compared_print_nothing_to_stderr_and_need_no_semicolon(chapter):
    for cell in code(chapter):
        if "nbval-ignore-output" not in tags(cell):
            assert all(output.get("name") != "stderr" for output in cell.outputs), cell.source
            assert not cell.source.endswith(";"), f"nbval does not know the semicolon, end in plt.show(): {cell.source}"


def test_every_figure_has_alt_text(chapter):
    for cell in code(chapter):
        if any("image/png" in output.get("data", {}) for output in cell.outputs):
            alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
            assert len(alt.split()) >= 5, f"no alt text: {cell.source}"


def test_listings_are_the_source_of_the_package(chapter):
    for cell in chapter.cells:
        if "listing" in tags(cell):
            assert cell.source == fill_listings.listing(cell), "run make format"


def test_no_listing_redefines_a_name_that_the_chapter_imports(chapter):
    imported: set[str] = set()
    for cell in code(chapter):
        nodes = ast.parse(cell.source).body
        if "listing" in tags(cell):
            assert not imported & {node.name for node in nodes}, f"make it a markdown cell: {cell.source[:60]}"
        for node in nodes:
            if isinstance(node, ast.Import | ast.ImportFrom):
                imported |= {alias.asname or alias.name for alias in node.names}
