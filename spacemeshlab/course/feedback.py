"""What a student gets back: a page of plain HTML with the points, what each lost point says, and the teacher's words.

Nothing of a hidden test is on it but what it said, and nothing that a student wrote is more than text: no markup of a
submission reaches the page of the teacher who opens it.
"""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from spacemeshlab.course.assignment import QUESTION, TEST, Assignment
from spacemeshlab.course.grade import GRADED, record_path, write_text
from spacemeshlab.course.gradebook import is_open, points
from spacemeshlab.course.judge import EMPTY, MISSING, RIGHT, STOPPED, WRITTEN, WRONG

WORDS = {
    RIGHT: "right",
    WRONG: "not right yet",
    EMPTY: "not written",
    MISSING: "not found",
    STOPPED: "had to be stopped",
    WRITTEN: "graded by a person",
}
SIGNS = {RIGHT: "✓", WRONG: "✗", EMPTY: "–", MISSING: "?", STOPPED: "!", WRITTEN: "✎"}


def _template(name: str):
    """Everything that is put in is escaped."""
    loader = PackageLoader("spacemeshlab.course", "pages")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True).get_template(name)


def page(record: dict, assignment: Assignment | None) -> str:
    """The feedback on one submission, as HTML."""
    cells = []
    for cell in record.get("cells", []):
        name = cell["cell"].removeprefix(TEST)
        question = name.removeprefix(QUESTION) if name.startswith(QUESTION) else ""
        cells.append(
            {
                **cell,
                "title": f"Question {question}" if question else name,
                "sign": SIGNS[cell["status"]],
                "word": WORDS[cell["status"]],
                "code": record["code"].get(name, "") if cell["status"] != RIGHT else "",
                "written": record["written"].get(name) if question else None,
                "comment": cell.get("comment", ""),
            }
        )
    return _template("feedback.html").render(
        title=assignment.title if assignment else record["file"],
        student=record["student"],
        file=record["file"],
        graded=record["status"] == GRADED,
        points=f"{points(record):g}",
        possible=f"{record.get('possible', 0):g}",
        open=is_open(record),
        cells=cells,
        notes=record["notes"],
        errors=[
            f"{name} ended in {error}"
            for name, error in record.get("errors", {}).items()
            if name not in record["code"]  # its test says it already
        ],
    )


def write_feedback(out: Path, records: list[dict], assignments: dict[str, Assignment]) -> list[Path]:
    """A page for each record, below ``out/feedback``, and one for the teacher that leads to all of them."""
    written, rows = [], []
    for record in records:
        place = record_path(out, record["student"], record["assignment"], record["file"])
        path = out / "feedback" / place.parent.name / f"{place.stem}.html"
        write_text(path, page(record, assignments.get(record["assignment"])))
        written.append(path)
        rows.append(
            {
                **record,
                "points": f"{points(record):g}",
                "open": is_open(record),
                "link": f"{path.parent.name}/{path.name}",
            }
        )
    write_text(out / "feedback" / "index.html", _template("overview.html").render(rows=rows))
    return written
