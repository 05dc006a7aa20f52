"""The course: hand out assignments, grade what comes back, give feedback, and prove that all of it is fair and safe.

    python scripts/course.py release [NAME ...]          student notebooks, without solutions and hidden tests
    python scripts/course.py grade DIR [--out OUT]       submissions -> points.csv, totals.csv, grades.json, feedback
    python scripts/course.py feedback OUT                again, after points were filled into OUT/written.csv
    python scripts/course.py check [NAME ...]            references, releases, right and wrong answers, attacks, leaks

Grading again grades only what changed. Submissions run in a sandbox (bubblewrap), or with a warning under limits alone.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import torch
import yaml
from tidy_notebooks import save
from tqdm import tqdm

from spacemeshlab.arguments import Parser
from spacemeshlab.course import gradebook
from spacemeshlab.course.answers import read_answers
from spacemeshlab.course.assignment import Assignment, read_assignments
from spacemeshlab.course.feedback import write_feedback
from spacemeshlab.course.grade import GRADED, grade_all, make_folder
from spacemeshlab.course.hostile import ATTACKS, attack_all
from spacemeshlab.course.leaks import public_texts
from spacemeshlab.course.release import copy_pictures, is_released, release
from spacemeshlab.course.sandbox import warn
from spacemeshlab.course.submissions import choose, find_submissions
from spacemeshlab.course.verify import leak_problems, problems
from spacemeshlab.errors import UserError, exit_codes

ROOT = Path(__file__).resolve().parents[1]
COURSE = ROOT / "book" / "assignments"


@exit_codes
def main() -> None:
    arguments = _arguments()
    try:
        arguments.do(arguments)
    except KeyboardInterrupt:
        print("stopped; what is done is kept, and the same command does the rest", file=sys.stderr)
        sys.exit(130)


def do_release(arguments: argparse.Namespace) -> None:
    """Write the student's notebooks, and the pictures beside their sources."""
    for assignment in _chosen(arguments):
        path = arguments.out / assignment.name / f"{assignment.name}.ipynb"
        make_folder(path.parent)
        save(release(assignment, arguments.repository), path)
        copy_pictures(arguments.source / assignment.name, path.parent)
        possible = sum(cell.points for cell in assignment.cells)
        print(f"{path}: {len(assignment.tests)} functions, {possible:g} points")


def do_grade(arguments: argparse.Namespace) -> None:
    """Grade a folder of submissions."""
    folder = arguments.folder.resolve()
    out = arguments.out or folder.parent / f"{folder.name}-graded"
    jobs = choose(find_submissions(folder), arguments.source, arguments.seed)
    make_folder(out / "records")
    warn()
    fresh = 0
    with tqdm(total=len(jobs), desc="grading", unit="submission", disable=None) as bar:
        for record, new in grade_all(jobs, out, arguments.jobs, arguments.again):
            fresh += new
            bar.update()
            if record["status"] != GRADED:
                bar.write(f"{record['student']}, {record['file']}: not graded, {record['notes'][0]}")
    print(f"{len(jobs)} submissions: {fresh} graded now, {len(jobs) - fresh} before")
    _finish(arguments.source, out)


def do_feedback(arguments: argparse.Namespace) -> None:
    """Bring tables and feedback up to date with written.csv."""
    _finish(arguments.source, arguments.folder)


def _finish(source: Path, out: Path) -> None:
    records = gradebook.update(out)
    write_feedback(out, records, read_assignments(source))
    waiting = sum(map(gradebook.is_open, records))
    print(f"tables in {out}, feedback in {out / 'feedback' / 'index.html'}")
    if waiting:
        print(f"{waiting} wait for a person: fill points and comment into {out / 'written.csv'}, then call feedback")


def do_check(arguments: argparse.Namespace) -> None:
    """Prove that assignments are fair and safe and give nothing away."""
    torch.set_num_threads(1)
    warn()
    found, chosen, public = [], _chosen(arguments), public_texts(ROOT)
    pages = [path for path in sorted(arguments.html.rglob("*")) if path.is_file()]
    if not pages:
        print(f"no built book in {arguments.html}: its pages are not searched for leaks")
    for assignment in chosen:
        own = list(problems(assignment, read_answers(arguments.source.parent / "answers", assignment.name)))
        path = arguments.out / assignment.name / f"{assignment.name}.ipynb"
        own += [] if is_released(assignment, path, arguments.repository) else [f"{path} is old: make assignments"]
        own += leak_problems(assignment, path, pages, public)
        print(f"{assignment.name}: {'in order' if not own else f'{len(own)} problems'}")
        found += own
    tried, harm = attack_all(chosen[0])
    print(f"{tried} of {len(ATTACKS)} attacks tried")
    if found := found + harm:
        raise UserError("expected a course in order, found\n  " + "\n  ".join(found))


def _chosen(arguments: argparse.Namespace) -> list[Assignment]:
    known = read_assignments(arguments.source)
    for name in arguments.names:
        if name not in known:
            raise UserError(f"expected assignments out of {', '.join(known)}, found {name!r}: name some of them")
    return [known[name] for name in arguments.names or known]


def _arguments() -> argparse.Namespace:
    options = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["sphinx"]["config"]
    address = (options["html_theme_options"].get("repository_url") or "").strip()
    parser = Parser(description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for do in (do_release, do_grade, do_feedback, do_check):
        command = commands.add_parser(do.__name__.removeprefix("do_"), help=do.__doc__.rstrip(".").lower())
        command.set_defaults(do=do)
        command.add_argument("--source", type=Path, default=COURSE / "source", metavar="DIR", help="the assignments")
        if do in (do_release, do_check):
            command.add_argument("names", nargs="*", metavar="NAME", help="default: all assignments")
            command.add_argument("--out", type=Path, default=COURSE / "release", metavar="DIR", help="the releases")
            command.add_argument("--repository", default=address, metavar="URL", help="default: that of _config.yml")
        if do is do_check:
            command.add_argument("--html", type=Path, default=ROOT / "_build" / "html", metavar="DIR", help="the pages")
        if do is do_feedback:
            command.add_argument("folder", type=Path, metavar="OUT", help="what grade wrote")
        if do is do_grade:
            command.add_argument("folder", type=Path, metavar="DIR", help="STUDENT/….ipynb, or STUDENT_….ipynb")
            command.add_argument("--out", type=Path, metavar="OUT", help="default: DIR-graded")
            command.add_argument("--jobs", type=int, default=os.cpu_count(), metavar="N", help="default: one a core")
            command.add_argument("--seed", type=int, default=0, help="of the hidden tests: another year, other numbers")
            command.add_argument("--again", action="store_true", help="grade all of them again")
    return parser.parse_args()


if __name__ == "__main__":
    main()
