"""Proof that an assignment is fair: its reference gets everything, its release nothing, every right answer passes, and
every wrong one loses exactly its cell.

    python -m spacemeshlab.course.verify NAME        for authors; scripts/course.py check does it for all, and more
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import torch

from spacemeshlab.course.answers import Answer, Answers, read_answers
from spacemeshlab.course.assignment import TEST, Assignment, identity, read_assignments
from spacemeshlab.course.judge import EMPTY, RIGHT, Outcome, judge
from spacemeshlab.course.leaks import leaks, secrets
from spacemeshlab.course.release import release
from spacemeshlab.errors import UserError, exit_codes

RIGHT_ANSWERS, WRONG_ANSWERS = 3, 10
"""At least so many right answers for each function, and wrong ones for each part."""


def reference_problems(assignment: Assignment, seed: int = 0) -> list[str]:
    """Cells that the source's own solutions do not pass."""
    return [
        f"the reference fails {outcome.cell}: {outcome.message}"
        for outcome in _tested(judge(assignment, assignment.reference(), seed))
        if outcome.status != RIGHT
    ]


def untouched(assignment: Assignment) -> dict[str, Callable]:
    """The functions of the notebook as students get it."""
    namespace = assignment.setup()
    for cell in release(assignment).cells:
        if identity(cell) in assignment.functions:
            exec(compile(cell.source, "<release>", "exec"), namespace)
    return {name: namespace[name] for name in assignment.functions}


def release_problems(assignment: Assignment) -> list[str]:
    """Cells that give points to a notebook in which nothing was written, or take them for another reason."""
    return [
        f"the untouched release is {outcome.status} in {outcome.cell}: {outcome.message}"
        for outcome in _tested(judge(assignment, untouched(assignment)))
        if outcome.status != EMPTY or outcome.points
    ]


def judge_answer(assignment: Assignment, answer: Answer, reference: Mapping[str, Callable]) -> dict[str, Outcome]:
    """The outcome of each test when one function is answered otherwise, the rest by the reference."""
    functions = {**reference, answer.function: answer.code}
    return {outcome.cell: outcome for outcome in _tested(judge(assignment, functions))}


def answer_problem(assignment: Assignment, answer: Answer, reference: Mapping[str, Callable]) -> str:
    """What is unfair about the score of an answer; "" if nothing is."""
    outcomes = judge_answer(assignment, answer, reference)
    lost = [name for name, outcome in outcomes.items() if outcome.status != RIGHT]
    own = f"{TEST}{answer.function}"
    if lost == ([own] if answer.mistake else []):
        return ""
    if not answer.mistake:
        return f"the right answer {answer} loses {', '.join(lost)}: {outcomes[lost[0]].message}"
    return f"the wrong answer {answer} loses {', '.join(lost) or 'nothing'} instead of {own}"


def count_problems(assignment: Assignment, answers: Answers) -> list[str]:
    """Functions with too few right answers, parts with too few wrong ones, answers to what is not asked."""
    right = Counter(answer.function for answer in answers.all if not answer.mistake)
    part = {cell.function: cell.part for cell in assignment.tests}
    wrong = Counter(part.get(answer.function) for answer in answers.all if answer.mistake)
    strangers = {answer.function for answer in answers.all} - set(part)
    lists = (
        (f"{name} has {right[name]} right answers, not {RIGHT_ANSWERS}", right[name] < RIGHT_ANSWERS) for name in part
    )
    parts = (
        (f"{name} has {wrong[name]} wrong answers, not {WRONG_ANSWERS}", wrong[name] < WRONG_ANSWERS)
        for name in assignment.parts
    )
    found = [text for text, bad in (*lists, *parts) if bad]
    return found + [f"{name} is answered, but no function of {assignment.name}" for name in sorted(strangers)]


def problems(assignment: Assignment, answers: Answers) -> Iterator[str]:
    """Everything that is not as it should be, one line each."""
    yield from reference_problems(assignment)
    yield from reference_problems(assignment, seed=2027)
    yield from release_problems(assignment)
    yield from count_problems(assignment, answers)
    reference = assignment.reference()
    yield from filter(None, (answer_problem(assignment, answer, reference) for answer in answers.all))


def leak_problems(assignment: Assignment, handed_out: Path, pages: Iterable[Path], public: Iterable[str]) -> list[str]:
    """What the student's notebook, or a page of the book, gives away; ``public`` is what the book shows on purpose."""
    return [*leaks(secrets(assignment), [handed_out]), *leaks(secrets(assignment, public), pages)]


def _tested(outcomes: list[Outcome]) -> list[Outcome]:
    return [outcome for outcome in outcomes if outcome.cell.startswith(TEST)]


@exit_codes
def main() -> None:
    torch.set_num_threads(1)
    course = Path("book/assignments")
    assignments = read_assignments(course / "source")
    for name in sys.argv[1:] or assignments:
        if name not in assignments:
            raise UserError(f"expected an assignment out of {', '.join(assignments)}, found {name!r}: name one of them")
        answers = read_answers(course / "answers", name)
        wrong = [answer for answer in answers.all if answer.mistake]
        reference, late = assignments[name].reference(), 0
        for answer in wrong:
            outcome = judge_answer(assignments[name], answer, reference)[f"{TEST}{answer.function}"]
            late += outcome.hidden
            print(f"  {answer}\n      {'hidden: ' if outcome.hidden else ''}{outcome.message}")
        right = len(answers.all) - len(wrong)
        print(f"{name}: {right} right answers, {len(wrong)} wrong ones, {late} of them found by hidden tests only")
        if found := list(problems(assignments[name], answers)):
            raise UserError(f"expected a fair assignment {name}, found\n  " + "\n  ".join(found))


if __name__ == "__main__":
    main()
