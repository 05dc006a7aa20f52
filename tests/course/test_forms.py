"""What students and other programs do to a notebook costs no points: it is repaired, and the teacher reads what was."""

from __future__ import annotations

import copy
import re

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_raw_cell
from tiny_course import cell, place

from spacemeshlab.course.release import release

MAKE = {"markdown": new_markdown_cell, "raw": new_raw_cell, "code": new_code_cell}
DOUBLE = "double is there 2 times"
HELPER = "def helper(x):\n    return 2 * x"


def delete(name):
    return lambda nb, _: nb.cells.pop(place(nb, name))


def retype(name, kind, text="{}"):
    def change(nb, _):
        old = cell(nb, name)
        nb.cells[place(nb, name)] = MAKE[kind](text.format(old.source), metadata=old.metadata)

    return change


def insert(text, before="double"):
    return lambda nb, _: nb.cells.insert(place(nb, before), new_code_cell(text))


def write(name, text):
    """``{}`` in the text is what stood there."""
    return lambda nb, _: cell(nb, name).update(source=text.replace("{}", cell(nb, name).source))


def both(*changes):
    return lambda nb, handed_out: [change(nb, handed_out) for change in changes]


def stub(name, shift):
    return lambda nb, handed_out: nb.cells.insert(place(nb, name) + shift, copy.deepcopy(cell(handed_out, name)))


def twice(nb, _):
    nb.cells = [each for each in nb.cells for each in (each, copy.deepcopy(each))]


def windows(nb, _):
    for each in nb.cells:
        each.source = each.source.replace("\n", "\r\n")


def strip(nb, _):
    """Kaggle's way: nothing is left but texts."""
    nb.metadata = nbformat.from_dict({"kernelspec": nb.metadata.kernelspec})
    for each in nb.cells:
        each.metadata = nbformat.from_dict({})
        del each["id"]


def colab(nb, _):
    for number, each in enumerate(nb.cells):
        each.metadata |= {"id": f"x{number}", "colab": {"base_uri": "https://localhost"}}
        del each["id"]


def in_one_cell(nb, handed_out):
    names = ("double", "count", "span")
    cell(nb, "setup").source += "".join(f"\n\n\n{cell(nb, name).source}" for name in names)
    for name in names:
        cell(nb, name).source = cell(handed_out, name).source


def merge(first, second):
    def change(nb, _):
        below = nb.cells.pop(place(nb, second))
        cell(nb, first).source += f"\n\n\n{below.source}"

    return change


FORMS = {
    "as it should be": (both(), []),
    "imports deleted": (delete("setup"), ["the given cell setup is gone: run as it was handed out"]),
    "imports turned into text": (retype("setup", "markdown"), []),
    "imports spoiled": (write("setup", "from google.colab import drive\n{}"), ["the given cell setup was changed"]),
    "a test deleted": (delete("test_double"), []),
    "a test twice": (lambda nb, _: nb.cells.append(copy.deepcopy(cell(nb, "test_double"))), []),
    "a test changed": (write("test_double", "pass"), ["the test test_double was changed: the original judged"]),
    "a test changed to fail": (write("test_span", "assert False"), ["the test test_span was changed"]),
    "a test as text": (retype("test_span", "markdown"), []),
    "untouched copy before": (stub("double", 0), [f"{DOUBLE}: the one that was written counts"]),
    "untouched copy behind": (stub("double", 1), [f"{DOUBLE}: the one that was written counts"]),
    "untouched copy, shortened": (
        insert("def double(x):\n    raise NotImplementedError", "handing-in"),
        [f"{DOUBLE}: the one that was written counts"],
    ),
    "older try": (insert("def double(x):\n    return 3 * x"), [f"{DOUBLE}: the last one counts"]),
    "older try that fails": (insert("def double(x):\n    return 3 * x\nshow(double(1))"), [DOUBLE]),
    "name used again": (insert("double = double(torch.ones(2))", "span"), [f"{DOUBLE}: the last one counts"]),
    "all cells twice": (twice, [DOUBLE, "count is there 2 times", "span is there 2 times"]),
    "reversed": (
        lambda nb, _: nb.cells.reverse(),
        ["the cells are in another order than they were handed out in"],
    ),
    "code as text": (retype("double", "markdown"), ["double stood in a cell of type markdown: run as code"]),
    "code as raw text": (retype("double", "raw"), ["double stood in a cell of type raw: run as code"]),
    "code in a fence": (
        retype("double", "markdown", "```python\n{}\n```"),
        ["double stood in a cell"],
    ),
    "code among words": (retype("span", "markdown", "I think:\n\n~~~\n{}\n~~~\nThat's it."), ["span stood in a cell"]),
    "text as code": (retype("part-1", "code"), []),
    "experiment changed": (write("picture", "plt.plot(undefined)"), []),
    "helper above": (both(insert(HELPER), write("double", "def double(x):\n    return helper(x)")), []),
    "helper below": (both(insert(HELPER, "span"), write("double", "def double(x):\n    return helper(x)")), []),
    "helper renamed below": (both(insert(HELPER, "span"), write("double", "double = helper")), []),
    "all in the first cell": (in_one_cell, [DOUBLE, "count is there 2 times", "span is there 2 times"]),
    "code and test merged": (merge("double", "test_double"), []),
    "test and next code merged": (merge("test_double", "count"), ["the test test_double was changed"]),
    "lambda": (write("double", "double = lambda x: 2 * x"), []),
    "partial": (write("double", "import functools, operator\ndouble = functools.partial(operator.mul, 2)"), []),
    "object": (
        write("double", "class Double:\n    def __call__(self, x): return 2 * x\ndouble = Double()"),
        [],
    ),
    "in a block": (write("double", "try:\n    double: object = lambda x: 2 * x\nfinally:\n    pass"), []),
    "line magic": (write("double", "%matplotlib inline\n{}"), []),
    "line magic and lambda": (write("double", "%pylab\n!ls\ndouble = lambda x: 2 * x"), []),
    "cell magic": (write("double", "%%time\n{}"), []),
    "two cell magics": (write("double", "%%capture words\n%%time\n{}"), []),
    "a timed line": (both(insert("%time two = 2"), write("double", "def double(x):\n    return two * x")), []),
    "commands": (insert("!pip install numpy\nfiles = !ls\n%cd ..\n%pip install numpy\nlen?"), []),
    "another language": (insert("%%bash\nrm -r *"), []),
    "exit()": (insert("import sys\nsys.exit()"), []),
    "a cell that fails": (insert("1 / 0"), []),
    "a cell that is no Python": (insert("this is no Python"), []),
    "a cell that asks": (insert("name = input('Your name? ')"), []),
    "a number as last value": (write("double", "{}\n\n20"), []),
    "Windows' line ends": (windows, []),
    "Kaggle": (strip, ["the cells have lost their metadata: recognised by their text"]),
    "Kaggle, twice": (both(twice, strip), ["double is", "count is", "span is", "lost their metadata"]),
    "Colab": (colab, []),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_solved_notebook_keeps_all_points_in_every_form_and_what_was_repaired_is_noted(
    grade_here, assignment, notebook, form
):
    change, notes = FORMS[form]
    change(notebook, release(assignment))
    record = grade_here(notebook)
    assert [(each["status"], each["message"]) for each in record["cells"][:3]] == [("right", "")] * 3
    assert record["points"] == 9
    assert record["written"] == {"question_1": "Because."}
    assert len(record["notes"]) == len(notes), record["notes"]
    assert all(map(re.search, notes, record["notes"])), record["notes"]
