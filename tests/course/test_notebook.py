"""Any file is a notebook, or a sentence that says why not; the assignment that it answers is found."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import tiny_course

from spacemeshlab.course.assignment import read_assignments
from spacemeshlab.course.hostile import solved
from spacemeshlab.course.notebook import LARGEST, NotGradable, by_name, functions_in, read_notebook, which
from spacemeshlab.course.release import release

CELL = '{"cell_type": "code", "source": "x = 1", "metadata": {}}'
DEEP = 10**5


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "JSONDecodeError"),
        (b"%PDF-1.7", "JSONDecodeError"),
        (b"\xff\xfe\x00", "JSONDecodeError"),
        (b"[]", "AttributeError"),
        (b"3", "AttributeError"),
        (b"{}", "KeyError"),
        (b'{"cells": 3}', "TypeError"),
        (b'{"nbformat": "four", "cells": []}', "ValueError"),
        (b'{"nbformat": 3, "worksheets": 7}', "read as one"),
        (b"[" * DEEP + b"]" * DEEP, "RecursionError"),
        (b'{"metadata": ' + b'{"a":' * DEEP + b"1" + b"}" * DEEP + b"}", "RecursionError"),
        (b'{"cells": []}', "without a single cell"),
        (b'{"cells": {"0": {}}}', "without a single cell"),
        (b'{"cells": [1, "x", null]}', "without a single cell"),
    ],
)
def test_what_is_no_notebook_is_refused_with_a_reason_and_a_remedy(tmp_path, content, reason):
    (tmp_path / "a.ipynb").write_bytes(content)
    with pytest.raises(NotGradable, match=rf"^expected a notebook, found .*{reason}.*: ask for") as raised:
        read_notebook(tmp_path / "a.ipynb")
    assert "\n" not in str(raised.value)


def test_a_file_of_more_than_30_mib_is_not_even_read(tmp_path):
    with open(tmp_path / "a.ipynb", "wb") as file:
        file.truncate(LARGEST + 2**20)
    with pytest.raises(NotGradable, match="found 31 MiB: ask for it without its outputs"):
        read_notebook(tmp_path / "a.ipynb")


def test_links_folders_and_pipes_are_not_followed(tmp_path):
    (tmp_path / "secret.ipynb").write_text(f'{{"cells": [{CELL}]}}')
    (tmp_path / "link.ipynb").symlink_to(tmp_path / "secret.ipynb")
    (tmp_path / "folder.ipynb").mkdir()
    os.mkfifo(tmp_path / "pipe.ipynb")
    for name in ("link", "folder", "pipe", "none"):
        with pytest.raises(NotGradable, match="found no plain file"):
            read_notebook(tmp_path / f"{name}.ipynb")


@pytest.mark.parametrize(
    ("cell", "source", "kind"),
    [
        ({"cell_type": "code", "source": ["a\n", "b"]}, "a\nb", "code"),
        ({"cell_type": "code", "source": 3}, "3", "code"),
        ({"cell_type": "code", "source": ["a", 3, None]}, "a3None", "code"),
        ({"cell_type": ["x"]}, "", "['x']"),
        ({}, "", "raw"),
        ({"cell_type": "code", "source": "x", "metadata": {"tags": 3, "nbgrader": {"grade_id": {}}}}, "x", "code"),
        ({"cell_type": "code", "source": "x", "metadata": {"tags": [1, [], "y"], "nbgrader": []}}, "x", "code"),
    ],
)
def test_wrong_types_inside_a_notebook_are_read_as_what_can_be_meant(tmp_path, cell, source, kind):
    (tmp_path / "a.ipynb").write_text("\ufeff" + json.dumps({"cells": [cell, 7], "metadata": [1], "nbformat": "4"}))
    (found,) = read_notebook(tmp_path / "a.ipynb").cells
    assert (found.source, found.cell_type) == (source, kind)
    assert found.metadata.nbgrader == {}
    assert found.metadata.tags in ([], ["y"])


def test_metadata_that_is_nested_as_deep_as_json_allows_is_left_alone(tmp_path):
    deep = '{"a":' * 700 + "1" + "}" * 700
    (tmp_path / "a.ipynb").write_text(f'{{"cells": [{CELL[:-1]}, "more": {deep}}}], "metadata": {deep}}}')
    assert read_notebook(tmp_path / "a.ipynb").cells[0].source == "x = 1"


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("def f(x): pass\nclass G: pass\nasync def h(): pass", "f G h"),
        ("f = lambda: 1\ng: object = f\n(a, [b]) = 1, [2]", "f g a b"),
        ("if x:\n    def f(): pass\nelse:\n    g = 1\nfor i in x:\n    with y:\n        h = 2", "f g h"),
        ("try:\n    from torch import f\nexcept ImportError:\n    import torch.g as g, os.path", "f g os"),
        ("def f():\n    inner = 1\n    def g(): pass", "f"),
        ("%matplotlib inline\n!ls\nif 1:\n    %time x\n    f = 2", "f"),
        ("%%time\ndef f(): pass", "f"),
        ("def f(x):\n    return 2 x\nasync def g (y): pass\n  def h(): pass", "f g"),
        ("(" * 10**6, ""),
        ("-" * 10**6 + "1", ""),
        ("f = " + "+".join("a" * 10**5), ""),
        ("f\0", ""),
        ("f = '\ud800'", ""),
    ],
)
def test_the_names_that_a_text_defines_are_found_also_where_it_is_not_quite_python(source, names):
    assert functions_in(source) == tuple(names.split())


@pytest.fixture(scope="module")
def assignments(tmp_path_factory):
    folder = tiny_course.write_source(tmp_path_factory.mktemp("two"))
    tiny_course.write_source(folder, tiny_course.source(tiny_course.many(2)), "2-many")
    return read_assignments(folder)


def test_a_notebook_answers_what_its_metadata_says_then_what_it_defines_then_what_it_is_called(assignments):
    tiny, many = assignments["1-tiny"], assignments["2-many"]
    notebook = release(tiny)
    assert which(notebook, Path("2-many.ipynb"), assignments) == tiny
    del notebook.metadata["spacemeshlab"]
    assert which(notebook, Path("2-many.ipynb"), assignments) == tiny
    notebook.cells = notebook.cells[:2]
    assert which(notebook, Path("2-many.ipynb"), assignments) == many
    assert which(notebook, Path("2-many/ann/x.ipynb"), assignments) == many
    assert which(notebook, Path("x.ipynb"), assignments) is None


def test_an_answer_to_one_assignment_in_the_emptied_notebook_of_another_is_taken_for_what_it_is(assignments):
    notebook = release(assignments["1-tiny"])
    notebook.cells = solved(assignments["2-many"]).cells
    assert which(notebook, Path("1-tiny.ipynb"), assignments) == assignments["2-many"]


def test_a_files_own_name_says_more_than_that_of_a_folder_around_it():
    assert by_name(Path("/course/1-tiny/ann/2-many.ipynb"), ["1-tiny", "2-many"]) == "2-many"
    assert by_name(Path("/course/1-tiny/ann/x.ipynb"), ["1-tiny", "2-many"]) == "1-tiny"
    assert by_name(Path("/course/ann/x.ipynb"), ["1-tiny", "2-many"]) is None
