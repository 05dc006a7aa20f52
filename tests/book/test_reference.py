"""Chapters, modules and tests are tied together by what stands in their files, and docstrings become clean markup."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "book" / "_extensions"))  # as Sphinx does with local extensions
overview, reference, relations, sentences = map(
    importlib.import_module, ("overview", "reference", "relations", "sentences")
)
PAGES = sorted((ROOT / "book").glob("api*.md"))


def numbers(path: str) -> list[int]:
    return [chapter.number for chapter in relations.chapters_of(ROOT, path)]


def listed() -> list[str]:
    """The modules in the blocks ``{modules}`` of all pages."""
    blocks = [re.findall(r"^:::\{modules\}\n(.*?)\n:::", page.read_text(), re.DOTALL | re.MULTILINE) for page in PAGES]
    return [name for found in blocks for block in found for name in block.split()]


def test_every_public_module_stands_on_one_page_of_the_reference():
    modules = [path for path in relations.modules(ROOT) if path.startswith("spacemeshlab/")]
    assert sorted(listed()) == sorted(map(relations.dotted, modules))
    assert not [path for path in modules if "/_" in path.replace("/__init__", "")]


def test_every_page_of_the_reference_is_in_the_table_of_contents():
    text = (ROOT / "_toc.yml").read_text(encoding="utf-8")
    for page in [*PAGES, ROOT / "book" / "tests.md", ROOT / "book" / "status.md"]:
        assert re.search(rf"file: book/{page.stem}$", text, re.MULTILINE), page.stem
    assert yaml.safe_load(text)


def test_what_stands_on_a_card_leads_back_to_its_chapter():
    chapters = relations.chapters(ROOT)
    assert [chapter.number for chapter in chapters] == list(range(1, len(chapters) + 1))
    for chapter in chapters:
        assert chapter.modules
        assert chapter.tests
        for path in chapter.modules + chapter.tests:
            assert chapter in relations.chapters_of(ROOT, path)


def test_a_module_on_no_card_belongs_to_the_chapter_that_its_docstring_or_its_package_names():
    assert numbers("spacemeshlab/models/meshgrid_conv_triton.py") == [18]  # its docstring
    assert numbers("spacemeshlab/benchmark/table.py") == [18]  # its package's docstring
    assert numbers("scripts/train.py") == [13]  # the module of its name
    assert numbers("spacemeshlab/errors.py") == []


def test_a_file_of_tests_is_about_the_module_of_its_name_or_those_that_it_imports():
    about = {
        "tests/models/test_meshgrid_conv.py": "spacemeshlab/models/meshgrid_conv.py",
        "tests/models/test_meshgrid_conv_gemm.py": "spacemeshlab/models/meshgrid_conv_gemm.py",
        "tests/models/test_network_cost.py": "spacemeshlab/models/network.py",
        "tests/scripts/test_train.py": "scripts/train.py",
        "tests/test_train.py": "spacemeshlab/train.py",
    }
    assert {test: relations.modules_of(ROOT, test) for test in about} == {key: (value,) for key, value in about.items()}
    assert "spacemeshlab/evaluate.py" in relations.modules_of(ROOT, "tests/test_parity.py")
    assert relations.modules_of(ROOT, "tests/book/test_reference.py") == ()


def test_every_part_of_the_network_and_of_the_data_has_tests():
    for module in relations.modules(ROOT):
        if module.startswith(("spacemeshlab/models/", "spacemeshlab/data/")) and not module.endswith("__init__.py"):
            assert relations.tests_of(ROOT, module), module


def test_shapes_and_readings_become_fields_with_all_of_their_lines():
    lines = ["A part.", "", "Shape: (N, 3, *crop) -> ``*that``.", "", "Reading: *then* the", "score.", "", "More."]
    wanted = [
        "A part.",
        "",
        r":Shape: (N, 3, \*crop) -> ``*that``.",
        "",
        ":Reading: *then* the",
        "    score.",
        "",
        "More.",
    ]
    assert reference.mend(lines) == wanted
    assert reference.mend(["Shape:", "    (*crop)", "", "Raises:", "    UserError: no."]) == [
        *(":Shape:", r"    (\*crop)", "", "Raises:", "    UserError: no.")
    ]


def test_an_indented_equation_becomes_a_block_and_an_argument_stays_one():
    lines = ["Adds.", "", "    y = x**2 + 1", "    z = 2", "", "Args:", "    x: C.", "        More."]
    block = [".. code-block:: text", "", "    y = x**2 + 1", "    z = 2"]
    assert reference.mend(lines) == ["Adds.", "", *block, "", "Args:", r"    x: C\.", "        More."]
    assert reference.mend(["So::", "", "    y = 1"]) == ["So::", "", "    y = 1"]


def test_a_table_in_markdown_becomes_one_in_restructuredtext():
    lines = ["| a | b |", "|---|---|", "| 1 | 2 |", "", "End."]
    rows = ["   * - a", "     - b", "   * - 1", "     - 2"]
    assert reference.mend(lines) == [".. list-table::", "   :header-rows: 1", "", *rows, "", "End."]


def test_a_summary_is_the_first_sentence_without_its_chapter(tmp_path):
    (tmp_path / "a.py").write_text(
        '"""What a run\nholds (section 3; chapters 09 and 10); see :mod:`~x.run`.\n\nMore."""\n'
    )
    assert overview.summary(tmp_path / "a.py") == "What a run holds (section 3); see `run`"
    (tmp_path / "b.py").write_text('"""The data (chapter 03)."""\n')
    assert overview.summary(tmp_path / "b.py") == "The data"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("test_no_pixel_counts_twice", "No pixel counts twice"),
        ("test_miou_is_the_mean_on_a_gpu", "mIoU is the mean on a GPU"),
        ("test_metrocon2_has_81_pairs", "MetroCon² has 81 pairs"),
    ],
)
def test_a_tests_name_becomes_a_sentence_and_names_keep_their_spelling(name, text):
    assert sentences.sentence(name) == text


def test_tests_are_read_without_being_run_and_those_with_many_cases_once(tmp_path):
    code = (
        "raise SystemExit\n@mark.parametrize('a', range(9))\ndef test_b(a): ...\ndef other(): ...\ndef test_a(): ...\n"
    )
    (tmp_path / "test_x.py").write_text(code)
    assert sentences.tests(tmp_path / "test_x.py") == ["test_b", "test_a"]


def test_every_folder_with_tests_is_on_a_page_of_tests():
    folders = {Path(test).parent.as_posix() for test in relations.tests(ROOT)}
    pages = "\n".join(page.read_text() for page in (ROOT / "book").glob("tests*.md"))
    shown = re.findall(r"^:::\{sentences\} (\S+)$", pages, re.MULTILINE)
    assert sorted(shown) == sorted(folders)
