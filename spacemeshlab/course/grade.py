"""Grade one submission, or a folder of them: a record for each, in any order, on all cores, and resumable.

A record depends on the submission, the assignment and the seed alone; what is graded already is not graded again. No
submission can stop the others: one that cannot be read gets a record that says so, and waits for the teacher.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import multiprocessing
import re
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import torch

from spacemeshlab import testing
from spacemeshlab.checkpoint import write_atomically
from spacemeshlab.course.assignment import Assignment, read_assignments
from spacemeshlab.course.handin import prepare
from spacemeshlab.course.judge import Unstarted, judge
from spacemeshlab.course.notebook import NotGradable, read_notebook
from spacemeshlab.course.sandbox import Limits, protection
from spacemeshlab.course.student import Student
from spacemeshlab.course.submissions import Job, Submission, printable
from spacemeshlab.errors import UserError

VERSION = 1
"""Of the records; another one is graded again."""
GRADED, UNREADABLE, FAILED = "graded", "not graded", "the grader failed"
"""What became of a submission; the last is no fault of its own, and tried again the next time."""


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
    except (Exception, Unstarted) as error:  # a fault of ours must not cost the others their grades, nor this one
        record |= _failed(f"{type(error).__name__}: {error}")
    if job.submission.others:
        record["notes"].append(f"there are older files, which were not graded: {', '.join(job.submission.others)}")
    return record


def _failed(why: str) -> dict:
    return {"status": FAILED, "notes": [f"the grader failed ({why}): grade again, and report it if it stays"]}


def head(job: Job, assignments: dict[str, Assignment]) -> dict:
    """What identifies a record: equal heads, equal grades."""
    path, digest = job.submission.path, ""
    if path.is_file() and not path.is_symlink():
        with contextlib.suppress(OSError), open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {
        "version": VERSION,
        "student": job.submission.student,
        "assignment": job.assignment,
        "file": printable(path.name),
        "sha256": digest,
        "source": assignments[job.assignment].digest if job.assignment else None,
        "checks": _checks(),
        "seed": job.seed,
        "protection": protection(),
        "limits": {name: getattr(job.limits, name) for name in ("cell", "call", "whole", "memory")},
    }


@functools.cache
def _checks() -> str:
    """Of the tests' words: a check that was mended grades again."""
    files = sorted(Path(testing.__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def record_path(out: Path, student: str, assignment: str | None, file: str) -> Path:
    """Where a record lies; any student's name makes a file's name."""
    return out / "records" / _file_name(student) / f"{_file_name(assignment or Path(file).stem)}.json"


def _file_name(text: str) -> str:
    """A name as it is where it is a plain one; else a tidy one with a few digits that keep it apart from others."""
    plain = re.sub(r"[^\w .@+-]", "_", text).strip(" .") or "_"
    return text if text == plain[:40] else f"{plain[:40]}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"


def grade_all(jobs: list[Job], out: Path, workers: int, again: bool = False) -> Iterator[tuple[dict, bool]]:
    """Grade what has no record yet, ``workers`` at a time; yield every record, and whether it was graded now."""
    assignments = read_assignments(jobs[0].source)
    todo, places = {}, {_place(out, job): job for job in jobs}
    for path, job in places.items():
        empty = record_path(out, job.submission.student, None, job.submission.student)
        if empty not in places:  # there was no file in the student's folder once
            empty.unlink(missing_ok=True)
        record = None if again else _read(path)
        known = record and record.get("status") != FAILED
        if known and all(record.get(key) == value for key, value in head(job, assignments).items()):
            yield record, False
        else:
            todo[path] = job
    for path, record in _run_all(todo, workers):
        write_json(path, record)
        yield record, True


def _place(out: Path, job: Job) -> Path:
    return record_path(out, job.submission.student, job.assignment, printable(job.submission.path.name))


def _run_all(todo: dict[Path, Job], workers: int) -> Iterator[tuple[Path, dict]]:
    """Every job's record. Those that were there when a worker was killed are tried again, each with a worker alone."""
    again = []
    with _pool(min(workers, len(todo))) as pool:
        waiting = {_submit(pool, job): path for path, job in todo.items()}
        try:
            for done in as_completed(waiting):
                if isinstance(done.exception(), BrokenProcessPool):
                    again.append(waiting[done])
                else:
                    yield waiting[done], done.result()
        except BaseException:  # Ctrl-C: what is done is written, the rest waits for the next time
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    for path in again:
        with _pool(1) as pool:
            done = _submit(pool, todo[path])
            if isinstance(done.exception(), BrokenProcessPool):
                yield path, head(todo[path], read_assignments(todo[path].source)) | _failed("its process was killed")
            else:
                yield path, done.result()


def _submit(pool: ProcessPoolExecutor, job: Job) -> Future:
    try:
        return pool.submit(run, job)
    except BrokenProcessPool as error:
        future: Future = Future()
        future.set_exception(error)
        return future


def _pool(workers: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(max(1, workers), mp_context=multiprocessing.get_context("spawn"))


def _read(path: Path) -> dict | None:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def write_json(path: Path, value: object) -> None:
    """Write a file in one step."""
    text = json.dumps(value, indent=1, ensure_ascii=False) + "\n"
    write_text(path, text)


def write_text(path: Path, text: str) -> None:
    """The same for a text, also one with signs that are none, as a student's may be."""
    make_folder(path.parent)
    content = text.encode("utf-8", "backslashreplace")
    write_atomically(path, lambda draft: draft.write_bytes(content))


def make_folder(path: Path) -> None:
    """Make a folder for results.

    Raises:
        UserError: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"expected to make the folder {path}, found {error.strerror}: choose another --out") from None


def read_records(out: Path) -> list[dict]:
    """All records below ``out``, by student and assignment.

    Raises:
        UserError: there is none.
    """
    records = [record for path in (out / "records").glob("*/*.json") if (record := _read(path))]
    if not records:
        raise UserError(f"expected graded submissions in {out}, found none: grade a folder first")
    return sorted(records, key=lambda record: (record["student"], record["assignment"] or "", record["file"]))
