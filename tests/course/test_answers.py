"""Other answers are collected by function, and found by the assignment that they answer."""

from __future__ import annotations

import pytest

from spacemeshlab.course.answers import Answer, Answers, read_answers
from spacemeshlab.errors import UserError

MODULE = """
from spacemeshlab.course.answers import Answers

answers = Answers("{name}")


@answers.right("double")
def by_sum(x):
    return x + x


@answers.wrong("double", "thrice")
def thrice(x):
    return 3 * x
"""


def write(folder, **names):
    for file, name in names.items():
        (folder / f"{file}.py").write_text(MODULE.format(name=name))


def test_answers_are_kept_in_order_with_what_is_wrong_about_them_and_stay_plain_functions():
    answers = Answers("1-tiny")

    @answers.wrong("double", "thrice")
    def first(x):
        return 3 * x

    second = answers.right("double")(lambda x: x + x)
    assert answers.all == [Answer("double", first, "thrice"), Answer("double", second)]
    assert (first(1), second(1)) == (3, 2)
    assert [str(answer) for answer in answers.all] == ["double: thrice", "double: <lambda>"]


def test_the_answers_to_an_assignment_are_found_whatever_their_file_is_called(tmp_path):
    write(tmp_path, zebra="1-tiny", ant="2-many")
    answers = read_answers(tmp_path, "1-tiny")
    assert [(answer.function, answer.mistake, answer.code(2)) for answer in answers.all] == [
        ("double", "", 4),
        ("double", "thrice", 6),
    ]


@pytest.mark.parametrize(("files", "count"), [({}, 0), ({"a": "2-many"}, 0), ({"a": "1-tiny", "b": "1-tiny"}, 2)])
def test_no_answers_or_two_files_of_them_are_refused(tmp_path, files, count):
    write(tmp_path, **files)
    with pytest.raises(UserError, match=rf"expected one file of answers to 1-tiny in .*, found {count}: write it"):
        read_answers(tmp_path, "1-tiny")
