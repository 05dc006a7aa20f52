"""The grade book: tables for people and for a learning system, and the points that a person gives.

``points.csv`` has a line a cell, ``totals.csv`` one a student, ``grades.json`` both for programs. ``written.csv`` is
the teacher's: a line for each written answer, whose points and comment are filled in by hand and never overwritten. A
line with the name of a test in it overrules the test.
"""

from __future__ import annotations

import contextlib
import csv
import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from spacemeshlab.course.grade import GRADED, read_records, write_json, write_text
from spacemeshlab.course.judge import WRITTEN
from spacemeshlab.errors import UserError

WRITTEN_FIELDS = ("student", "assignment", "question", "possible", "points", "comment")
FORMULA = r"(^|(?<=[;\t\r\n]) *){}('*)(?=[=+\-@\t\r])"
"""Where a spreadsheet might begin to calculate, also one that splits cells at semicolons."""
CELL_FIELDS = ("student", "assignment", "cell", "part", "points", "possible", "status", "message")


def update(out: Path) -> list[dict]:
    """Bring all tables in ``out`` up to date with the records and with the teacher's points; return the records.

    Raises:
        UserError: no records, or a line of written.csv that is no grade; says which.
    """
    records = read_records(out)
    by_hand = _read_written(out / "written.csv")
    known = {(record["student"], record["assignment"]) for record in records}
    for student, assignment, question in by_hand:
        if (student, assignment) not in known:
            raise UserError(
                f"expected students and assignments as they were in written.csv, found {student}, {assignment}, "
                f"{question}: restore that line's first columns, or delete it"
            )
    for record in records:
        for cell in record.get("cells", []):
            key = _key(record, cell)
            if cell["status"] == WRITTEN or key in by_hand:
                line = by_hand.setdefault(key, {"points": None, "comment": ""})
                line["possible"] = f"{cell['possible']:g}"
                if line["points"] is not None and not 0 <= line["points"] <= cell["possible"]:
                    raise UserError(
                        f"expected 0 to {cell['possible']:g} points for {', '.join(key)} in "
                        f"written.csv, found {line['points']:g}: mend that line"
                    )
                if cell["status"] == WRITTEN or line["points"] is not None:
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
        yield {**row, "total": sum(graded.values()) if graded else "", "open": " ".join(waiting)}


def _cell_rows(records: list[dict]) -> Iterable[Sequence[object]]:
    for record in records:
        who = (record["student"], record["assignment"] or record["file"])
        if record["status"] != GRADED:
            yield (*who, "", "", "", "", record["status"], record["notes"][0])
        for cell in record.get("cells", []):
            given = "" if cell["points"] is None else cell["points"]
            yield (*who, cell["cell"], cell["part"], given, cell["possible"], cell["status"], cell["message"])


def _key(record: dict, cell: dict) -> tuple[str, str, str]:
    return record["student"], record["assignment"], cell["cell"]


def _written_rows(by_hand: dict[tuple, dict]) -> Iterable[Sequence[object]]:
    for key, line in sorted(by_hand.items()):
        given = "" if line["points"] is None else f"{line['points']:g}"
        yield (*key, line["possible"], given, line["comment"])


def _read_written(path: Path) -> dict[tuple, dict]:
    """What the teacher filled in, with the separators, the decimal commas and the encodings of spreadsheets."""
    if not path.is_file():
        return {}
    text = _decoded(path.read_bytes())
    delimiter = max(",;\t", key=text.partition("\n")[0].count)
    rows, found = csv.DictReader(io.StringIO(text, newline=None), delimiter=delimiter), {}
    for row in rows:
        if not any(row.values()):
            continue
        if set(row) != set(WRITTEN_FIELDS) or None in row.values():
            raise UserError(
                f"expected the columns {', '.join(WRITTEN_FIELDS)} in {path}, found others in line {rows.line_num}: "
                "mend that line"
            )
        key, given = (_as_written(row["student"]), row["assignment"], row["question"]), row["points"].strip()
        try:
            points = float(given.replace(",", ".")) if given else None
        except ValueError:
            raise UserError(
                f"expected a number or nothing as points in line {rows.line_num} of {path}, found {given!r}: "
                "mend that line"
            ) from None
        if key in found:
            raise UserError(f"expected each answer once in {path}, found {', '.join(key)} twice: delete a line")
        found[key] = {"points": points, "possible": row["possible"], "comment": _as_written(row["comment"])}
    return found


def _decoded(content: bytes) -> str:
    for encoding in ("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig", "cp1252"):
        with contextlib.suppress(UnicodeDecodeError):
            return content.decode(encoding)
    return content.decode("latin-1")


def _write(path: Path, fields: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A CSV in UTF-8 that spreadsheets take for data, not for formulas."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(fields)
    table.writerows([[_calm(value) for value in row] for row in rows])
    write_text(path, text.getvalue())


def _calm(value: object) -> object:
    """A text in which a ' stands before whatever looks like a formula; a number without zeros behind it."""
    if isinstance(value, float):
        return f"{value:g}"
    return re.sub(FORMULA.format(""), r"\1'\2", value) if isinstance(value, str) else value


def _as_written(text: str) -> str:
    """The inverse: what the teacher wrote."""
    return re.sub(FORMULA.format("'"), r"\1\2", text)
