"""A line that gives something away is found in any markup, and what is public anyway is none."""

from __future__ import annotations

import json

import nbformat
import pytest
import tiny_course
from tiny_course import cell

from spacemeshlab.course.assignment import read_assignments
from spacemeshlab.course.feedback import write_feedback
from spacemeshlab.course.leaks import SHORTEST, leaks, public_texts, secrets, squeeze
from spacemeshlab.course.release import release

LINE = "return torch.bincount(labels.flatten(), minlength=classes)"
HIDDEN = "assert span(torch.tensor([-5.0, -2.0])) == (-5.0, -2.0)"
COLOURED = (
    '<span class="k">return</span> <span class="n">torch</span><span class="o">.</span><span class="n">bincount</span>'
    "(<b>labels</b>.flatten(),&#32;minlength&#61;<i\ntitle='a'>classes</i>)"
)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.html", f"<p>{LINE}</p>"),
        ("a.html", COLOURED),
        ("a.html", f'<button data-code="{LINE}">'),
        ("a.html", f"<script>var code = '{LINE}'</script>"),
        (
            "a.html",
            "<pre>assert span(torch.tensor([-5.0,\n -2.0])) &equals;&#61; (-5.0, -2.0), &quot;expected (-5.0,"
            " -2.0) of negative numbers&quot;</pre>",
        ),
        ("a.txt", f"    {LINE}\n"),
        ("a.md", f"```\n{LINE.replace(', ', ',')}\n```"),
        ("a.js", f'Search.setIndex("{LINE}")'),
        ("a.json", json.dumps({"a": [{"b": LINE}]})),
        ("a.json", "{ no JSON " + LINE),
        (
            "a.ipynb",
            json.dumps(
                {"cells": [{"source": ["return torch.bincount(\n", "    labels.flatten(), minlength=classes)"]}]}
            ),
        ),
        ("a.ipynb", json.dumps({"cells": [{"outputs": [{"data": {"text/html": [COLOURED]}}]}]})),
        ("a.csv", "Nobody can say why, which is the answer."),
        ("a.html", "Nobody <em>can say</em> why, which is the answer."),
    ],
)
def test_a_solution_a_hidden_test_or_a_marking_scheme_is_found_in_any_markup(assignment, tmp_path, name, content):
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    (line,) = leaks(secrets(assignment), [path, tmp_path / "none.html"])
    assert line.startswith(f"{path} holds ")


def test_every_secret_of_the_source_is_looked_for_and_the_release_holds_none(assignment, tmp_path):
    nbformat.write(release(assignment), tmp_path / "a.ipynb")
    assert list(leaks(secrets(assignment), [tmp_path / "a.ipynb"])) == []
    nbformat.write(assignment.notebook, tmp_path / "a.ipynb")
    assert len(list(leaks(secrets(assignment), [tmp_path / "a.ipynb"]))) == len(secrets(assignment)) == 8


def test_short_lines_and_lines_of_what_is_public_anyway_are_no_secrets(tmp_path):
    notebook = tiny_course.source()
    solution = cell(notebook, "double")
    solution.source = solution.source.replace("return twice_everything", "import torch as the_very_torch\n    x = 1")
    assignment = read_assignments(tiny_course.write_source(tmp_path, notebook))["1-tiny"]
    found = secrets(assignment)
    assert squeeze("import torch as the_very_torch") in found
    assert squeeze("x = 1") not in found
    assert min(map(len, found)) >= SHORTEST
    assert squeeze(LINE) in found
    assert squeeze(LINE) not in secrets(assignment, ["# as in\n" + LINE.replace(" ", "")])


def test_the_package_and_the_chapters_are_public(tmp_path):
    (tmp_path / "spacemeshlab" / "models").mkdir(parents=True)
    (tmp_path / "book" / "assignments").mkdir(parents=True)
    (tmp_path / "spacemeshlab" / "models" / "a.py").write_text("public_line = 1")
    (tmp_path / "book" / "01-a.ipynb").write_text(json.dumps({"cells": [{"source": ["chapter", " line"]}]}))
    (tmp_path / "book" / "assignments" / "b.ipynb").write_text(json.dumps({"cells": [{"source": "not public"}]}))
    found = "\n".join(public_texts(tmp_path))
    assert "public_line = 1" in found
    assert "chapter line" in found
    assert "not public" not in found


def test_feedback_betrays_nothing_but_a_students_own_identical_lines(grade_here, assignment, notebook, tmp_path):
    cell(notebook, "double").source = "def double(x):\n    return 2 * x.abs()"
    cell(notebook, "count").source = f"def count(labels, classes):\n    return 7\n    {LINE}"
    record = grade_here(notebook) | {"student": "ann", "assignment": "1-tiny", "file": "a.ipynb"}
    assert [each["status"] for each in record["cells"]] == ["wrong", "wrong", "right", "by hand"]
    (page,) = write_feedback(tmp_path, [record], {"1-tiny": assignment})
    files = list((tmp_path / "feedback").rglob("*"))
    assert page in files
    (line,) = leaks(secrets(assignment), files)
    assert line == f"{page} holds {LINE!r}"
    assert list(leaks(secrets(assignment), files, own=record["code"]["count"])) == []
