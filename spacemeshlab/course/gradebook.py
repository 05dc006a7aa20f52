"""The grade book: tables for people and for a learning system, and the points that a person gives.

``points.csv`` has a line a cell, ``totals.csv`` one a student, ``grades.json`` both for programs. ``written.csv`` is
the teacher's: a line for each written answer, whose points and comment are filled in by hand and never overwritten.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from spacemeshlab.checkpoint import write_atomically
from spacemeshlab.course.grade import GRADED, read_records, write_json
from spacemeshlab.course.judge import WRITTEN
from spacemeshlab.errors import UserError

WRITTEN_FIELDS = ("student", "assignment", "question", "possible", "points", "comment")
CELL_FIELDS = ("student", "assignment", "cell", "part", "points", "possible", "status", "message")


def update(out: Path) -> list[dict]:
    """Bring all tables in ``out`` up to date with the records and with the teacher's points; return the records.

    Raises:
        UserError: no records, or a line of written.csv that is no grade; says which.
    """
    records = read_records(out)
    by_hand = _read_written(out / "written.csv")
    for record in records:
        for cell in record.get("cells", []):
            if cell["status"] == WRITTEN:
                line = by_hand.setdefault(_key(record, cell), {"points": None, "comment": ""})
                line["possible"] = cell["possible"]
                if line["points"] is not None and not 0 <= line["points"] <= cell["possible"]:
                    raise UserError(
                        f"expected 0 to {cell['possible']:g} points for {', '.join(_key(record, cell))} in "
                        f"written.csv, found {line['points']:g}: mend that line"
                    )
                cell["points"], cell["comment"] = line["points"], line["comment"]
    _write(out / "written.csv", WRITTEN_FIELDS, _written_rows(by_hand))
    _write(out / "points.csv", CELL_FIELDS, _cell_rows(records))
    names = sorted({record["assignment"] for record in records if record["assignment"]})
    totals = list(_totals(records, names))
    _write(out / "totals.csv", ["student", *names, "total", "open"], [list(row.values()) for row in totals])
    graded = [{key: record[key] for key in record if key not in ("code", "written")} for record in records]
    write_json(out / "grades.json", {"totals": totals, "submissions": graded})
    return records


def points(record: dict) -> float:
    """The points of a submission, those by hand included."""
    return sum(cell["points"] or 0 for cell in record.get("cells", []))


def is_open(record: dict) -> bool:
    """Whether a person still has to look: a written answer without points, a file that was not graded."""
    return record["status"] != GRADED or any(cell["points"] is None for cell in record["cells"])


def _totals(records: list[dict], names: list[str]) -> Iterable[dict]:
    for student in dict.fromkeys(record["student"] for record in records):
        own = [record for record in records if record["student"] == student]
        graded = {record["assignment"]: points(record) for record in own if record["status"] == GRADED}
        row = {"student": student, **{name: graded.get(name, "") for name in names}}
        waiting = [record["assignment"] or record["file"] for record in own if is_open(record)]
        yield {**row, "total": sum(graded.values()), "open": " ".join(waiting)}


def _cell_rows(records: list[dict]) -> Iterable[Sequence[object]]:
    for record in records:
        who = (record["student"], record["assignment"] or record["file"])
        if record["status"] != GRADED:
            yield (*who, "", "", "", "", record["status"], record["notes"][0])
        for cell in record.get("cells", []):
            given = "" if cell["points"] is None else cell["points"]
            yield (*who, cell["cell"], cell["part"], given, cell["possible"], cell["status"], cell["message"])


def _key(record: dict, cell: dict) -> tuple[str, str, str]:
    return _calm(record["student"]), record["assignment"], cell["cell"]


def _written_rows(by_hand: dict[tuple, dict]) -> Iterable[Sequence[object]]:
    for key, line in sorted(by_hand.items()):
        given = "" if line["points"] is None else f"{line['points']:g}"
        yield (*key, f"{line['possible']:g}", given, line["comment"])


def _read_written(path: Path) -> dict[tuple, dict]:
    """What the teacher filled in; spreadsheets write commas or semicolons between, and commas in numbers."""
    if not path.is_file():
        return {}
    text = path.read_text(encoding="utf-8-sig")
    delimiter = ";" if ";" in text.partition("\n")[0] else ","
    found = {}
    for number, row in enumerate(csv.DictReader(io.StringIO(text), delimiter=delimiter), 2):
        if set(row) != set(WRITTEN_FIELDS) or None in row.values():
            raise UserError(
                f"expected the columns {', '.join(WRITTEN_FIELDS)} in {path}, found another line {number}: mend it"
            )
        given, possible = (row[name].strip().replace(",", ".") for name in ("points", "possible"))
        try:
            line = {"points": float(given) if given else None, "possible": float(possible), "comment": row["comment"]}
        except ValueError:
            raise UserError(
                f"expected a number or nothing as points in line {number} of {path}, found {given!r}: mend it"
            ) from None
        found[row["student"], row["assignment"], row["question"]] = line
    return found


def _write(path: Path, fields: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A CSV in UTF-8 that spreadsheets take for data: a text that begins like a formula gets a ' in front."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(fields)
    table.writerows([[_calm(value) for value in row] for row in rows])
    write_atomically(path, lambda draft: draft.write_text(text.getvalue(), encoding="utf-8"))


def _calm(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value
