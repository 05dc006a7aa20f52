"""What lies in a folder of submissions: whose each file is, what it answers, and which of several counts."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from spacemeshlab.course.assignment import read_assignments
from spacemeshlab.course.notebook import NotGradable, by_name, read_notebook, which
from spacemeshlab.course.sandbox import Limits
from spacemeshlab.errors import UserError


@dataclass(frozen=True)
class Submission:
    """One student's file. ``others`` are older ones of the same student for the same assignment."""

    student: str
    path: Path
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class Job:
    """What a record depends on, and where it goes."""

    submission: Submission
    source: Path
    assignment: str | None
    seed: int = 0
    limits: Limits = field(default_factory=Limits)


def find_submissions(folder: Path) -> list[Submission]:
    """Every notebook below ``folder``: ``STUDENT/….ipynb`` at any depth, or ``STUDENT_….ipynb`` in the folder itself.

    A folder without any stands for itself, so that its student is not forgotten; it gets a record that says so.

    Raises:
        UserError: there is no such folder, or no notebook in it.
    """
    if not folder.is_dir():
        raise UserError(f"expected a folder of submissions, found none at {folder}: name the folder that holds them")
    paths = sorted(path for path in folder.rglob("*") if _is_handed_in(path.relative_to(folder)))
    if not paths:
        raise UserError(f"expected notebooks in {folder}, found none: unpack what the learning system gave you")
    found = []
    for path in paths:
        parts = path.relative_to(folder).parts
        student = parts[0] if len(parts) > 1 else path.stem.partition("_")[0] or path.stem
        found.append(Submission(printable(student), path))
    there = {path.relative_to(folder).parts[0] for path in paths}
    empty = [path for path in sorted(folder.iterdir()) if path.name not in there and _is_students(path)]
    return found + [Submission(printable(path.name), path) for path in empty]


def _is_students(path: Path) -> bool:
    """Whether it can be a student's folder, and is not what a grading wrote."""
    return path.is_dir() and _is_visible(Path(path.name)) and not (path / "records").is_dir()


def _is_handed_in(path: Path) -> bool:
    """Browsers and learning systems put further endings behind that of a notebook."""
    return _is_visible(path) and re.search(r"\.ipynb(\.\w+)?$", path.name, re.IGNORECASE) is not None


def _is_visible(path: Path) -> bool:
    return not any(part.startswith(".") or part == "__MACOSX" for part in path.parts)


def printable(name: str) -> str:
    """A file's name as text, also if it holds bytes or signs that are none."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in name)


def _refuse_a_folder_of_folders(chosen: dict[tuple[str, str], list]) -> None:
    """If all files are of one "student" and answer the same in several folders, the folders below are the students'."""
    students = {student for student, _ in chosen}
    folders = [{submission.path.parent for submission, _ in files} for files in chosen.values()]
    if len(students) == 1 and any(len(places) > 1 for places in folders):
        raise UserError(
            f"expected a folder a student, found one folder {students.pop()} with several answers to one assignment: "
            "name the folder whose folders are the students"
        )


def choose(found: list[Submission], source: Path, seed: int) -> list[Job]:
    """A job for each student and assignment; of several files the last one changed counts, and the record says so."""
    assignments, chosen = read_assignments(source), {}
    for submission in found:
        try:
            assignment = which(read_notebook(submission.path), submission.path, assignments)
            name = assignment.name if assignment else None
        except NotGradable:
            name = by_name(submission.path, assignments)
        key = (submission.student, name or submission.path.stem)
        chosen.setdefault(key, []).append((submission, name))
    _refuse_a_folder_of_folders(chosen)
    jobs = []
    for files in chosen.values():
        files.sort(key=lambda pair: (pair[0].path.lstat().st_mtime, pair[0].path.name))
        newest, name = files[-1]
        others = tuple(printable(submission.path.name) for submission, _ in files[:-1])
        jobs.append(Job(Submission(newest.student, newest.path, others), source, name, seed))
    return jobs
