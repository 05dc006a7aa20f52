"""Grade one submission, or a folder of them: a record for each, in any order, on all cores, and resumable.

A record depends on the submission, the assignment and the seed alone; what is graded already is not graded again. No
submission can stop the others: one that cannot be read gets a record that says so, and waits for the teacher.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import re
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

import torch

from spacemeshlab.checkpoint import write_atomically
from spacemeshlab.course.assignment import Assignment, read_assignments
from spacemeshlab.course.handin import NotGradable, prepare, read_notebook, which
from spacemeshlab.course.judge import judge
from spacemeshlab.course.sandbox import Limits, protection
from spacemeshlab.course.student import Student
from spacemeshlab.errors import UserError

VERSION = 1
"""Of the records; another one is graded again."""
GRADED, UNREADABLE = "graded", "not graded"


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

    Raises:
        UserError: there is no such folder, or no notebook in it.
    """
    if not folder.is_dir():
        raise UserError(f"expected a folder of submissions, found none at {folder}: name the folder that holds them")
    paths = sorted(path for path in folder.rglob("*.ipynb") if _is_handed_in(path.relative_to(folder)))
    if not paths:
        raise UserError(f"expected notebooks in {folder}, found none: unpack what the learning system gave you")
    found = []
    for path in paths:
        parts = path.relative_to(folder).parts
        found.append(Submission(parts[0] if len(parts) > 1 else path.stem.partition("_")[0], path))
    return found


def _is_handed_in(path: Path) -> bool:
    return not any(part.startswith(".") or part == "__MACOSX" for part in path.parts)


def choose(found: list[Submission], source: Path, seed: int) -> list[Job]:
    """A job for each student and assignment; of several files the last one changed counts, and the record says so."""
    assignments, chosen = read_assignments(source), {}
    for submission in found:
        try:
            assignment = which(read_notebook(submission.path), submission.path, assignments)
            name = assignment.name if assignment else None
        except NotGradable:
            name = next((name for name in assignments if name in submission.path.as_posix()), None)
        key = (submission.student, name or submission.path.stem)
        chosen.setdefault(key, []).append((submission, name))
    jobs = []
    for files in chosen.values():
        files.sort(key=lambda pair: (pair[0].path.lstat().st_mtime, pair[0].path.name))
        newest, name = files[-1]
        others = tuple(submission.path.name for submission, _ in files[:-1])
        jobs.append(Job(Submission(newest.student, newest.path, others), source, name, seed))
    return jobs


def grade(submission: Submission, assignment: Assignment, seed: int = 0, limits: Limits | None = None) -> dict:
    """The record of one submission; see the fields below. Never raises for what a student did."""
    notebook = read_notebook(submission.path)
    hand_in = prepare(notebook, assignment)
    with Student(hand_in.cells, limits) as student:
        outcomes = judge(assignment, student.functions(assignment.functions), seed)
        notes = [*hand_in.notes, *student.notes]
        errors = dict(student.errors)
    wanted = {name for code in hand_in.cells for name in code.defines} & set(assignment.functions)
    code = {name: "\n\n".join(one.source for one in hand_in.cells if name in one.defines) for name in sorted(wanted)}
    return {
        "status": GRADED,
        "points": sum(outcome.points or 0 for outcome in outcomes),
        "possible": sum(outcome.possible for outcome in outcomes),
        "cells": [outcome.as_dict() for outcome in outcomes],
        "notes": notes,
        "errors": errors,
        "code": code,
        "written": hand_in.written,
    }


def run(job: Job) -> dict:
    """The record of one job, in a process of its own.

    One that cannot be graded has no points and no zeros: it has a reason.
    """
    torch.set_num_threads(1)
    assignments = read_assignments(job.source)
    record = head(job, assignments)
    try:
        if job.assignment is None:
            read_notebook(job.submission.path)
            raise NotGradable(
                f"expected an answer to one of {', '.join(assignments)}, found none of their functions: ask which it is"
            )
        record |= grade(job.submission, assignments[job.assignment], job.seed, job.limits)
    except NotGradable as error:
        record |= {"status": UNREADABLE, "notes": [str(error)]}
    except Exception as error:  # a fault of ours must not cost the others their grades, nor this one its points
        record |= {"status": UNREADABLE, "notes": [f"the grader failed ({type(error).__name__}: {error}): report it"]}
    if job.submission.others:
        record["notes"].append(f"there are older files, which were not graded: {', '.join(job.submission.others)}")
    return record


def head(job: Job, assignments: dict[str, Assignment]) -> dict:
    """What identifies a record: equal heads, equal grades."""
    path = job.submission.path
    content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
    return {
        "version": VERSION,
        "student": job.submission.student,
        "assignment": job.assignment,
        "file": path.name,
        "sha256": hashlib.sha256(content).hexdigest(),
        "source": assignments[job.assignment].digest if job.assignment else None,
        "seed": job.seed,
        "protection": protection(),
        "limits": {name: getattr(job.limits, name) for name in ("cell", "call", "whole", "memory")},
    }


def record_path(out: Path, student: str, assignment: str | None, file: str) -> Path:
    """Where a record lies; any student's name makes a file's name."""
    return out / "records" / _file_name(student) / f"{_file_name(assignment or Path(file).stem)}.json"


def _file_name(text: str) -> str:
    """A name as it is where it is a plain one; else a tidy one with a few digits that keep it apart from others."""
    plain = re.sub(r"[^\w .@+-]", "_", text).strip(" .") or "_"
    return plain[:80] if plain == text else f"{plain[:80]}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"


def grade_all(jobs: list[Job], out: Path, workers: int, again: bool = False) -> Iterator[tuple[dict, bool]]:
    """Grade what has no record yet, ``workers`` at a time; yield every record, and whether it was graded now."""
    assignments = read_assignments(jobs[0].source)
    todo = []
    for job in jobs:
        path = _path(out, job)
        record = None if again else _read(path)
        if record and all(record.get(key) == value for key, value in head(job, assignments).items()):
            yield record, False
        else:
            todo.append((job, path))
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max(1, min(workers, len(todo))), mp_context=context) as pool:
        waiting = {pool.submit(run, job): path for job, path in todo}
        try:
            for done in as_completed(waiting):
                record, path = done.result(), waiting[done]
                write_json(path, record)
                yield record, True
        except BaseException:  # Ctrl-C: what is done is written, the rest waits for the next time
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _path(out: Path, job: Job) -> Path:
    return record_path(out, job.submission.student, job.assignment, job.submission.path.name)


def _read(path: Path) -> dict | None:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def write_json(path: Path, value: object) -> None:
    """Write a file in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(value, indent=1, ensure_ascii=False) + "\n"
    write_atomically(path, lambda draft: draft.write_text(text, encoding="utf-8"))


def read_records(out: Path) -> list[dict]:
    """All records below ``out``, by student and assignment.

    Raises:
        UserError: there is none.
    """
    records = [record for path in (out / "records").glob("*/*.json") if (record := _read(path))]
    if not records:
        raise UserError(f"expected graded submissions in {out}, found none: grade a folder first")
    return sorted(records, key=lambda record: (record["student"], record["assignment"] or "", record["file"]))
