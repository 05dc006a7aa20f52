"""What pages say about the assignments, from their sources: ``{assignments}``, ``{mistakes}``, a line on each card.

Nothing of a solution or of a hidden test is read here but the names of functions, their points, and what is wrong about
the wrong answers that each assignment is tested with.
"""

from __future__ import annotations

from pathlib import Path

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform
from status import Table

from spacemeshlab.course.answers import read_answers
from spacemeshlab.course.assignment import TEST, Assignment, read_assignments

FOLDER = "book/assignments"


def assignments(root: Path) -> list[Assignment]:
    return list(read_assignments(root / FOLDER / "source").values())


def page(assignment: Assignment) -> str:
    """The docname of the student's notebook."""
    return f"{FOLDER}/release/{assignment.name}/{assignment.name}"


def number(assignment: Assignment) -> str:
    return assignment.name.partition("-")[0]


class Assignments(Table):
    """Each assignment: chapters, functions, points."""

    def run(self) -> list[nodes.Node]:
        root = Path(self.env.srcdir)
        rows = []
        for assignment in assignments(root):
            self.env.note_dependency(f"{FOLDER}/source/{assignment.name}/{assignment.name}.ipynb")
            tests = sum(cell.points for cell in assignment.tests)
            by_hand = sum(cell.points for cell in assignment.questions)
            chapters = ", ".join(str(chapter) for chapter in assignment.chapters)
            link = f"{{doc}}`{assignment.title} </{page(assignment)}>`"
            names = ", ".join(f"`{name}`" for name in assignment.functions)
            rows.append([link, chapters, names, f"{tests:g} + {by_hand:g}"])
        return self.table(["Assignment", "Chapters", "Functions", "Points: tests + written"], rows)


class Mistakes(Table):
    """Every wrong answer of one assignment that is tried on it, and the cell that finds it."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        root, name = Path(self.env.srcdir), self.arguments[0]
        for path in sorted((root / FOLDER / "answers").glob("*.py")):
            self.env.note_dependency(path.relative_to(root).as_posix())
        answers = [answer for answer in read_answers(root / FOLDER / "answers", name).all if answer.mistake]
        rows = [[answer.mistake, f"`{TEST}{answer.function}`"] for answer in answers]
        return self.table(["Mistake", "Found by"], rows)


class Graded(SphinxTransform):
    """Adds to a chapter's card which assignment is about it."""

    default_priority = 510  # behind the card's other lines

    def apply(self, **_: object) -> None:
        chapter = Path(self.env.docname).name[:2]
        about = [
            one for one in assignments(Path(self.env.srcdir)) if chapter.isdigit() and int(chapter) in one.chapters
        ]
        cards = [node for node in self.document.findall(nodes.admonition) if "chapter-card" in node["classes"]]
        for assignment in about if cards else []:
            text = nodes.inline("", assignment.title)
            link = pending_xref("", text, refdomain="std", reftype="doc", reftarget=f"/{page(assignment)}")
            link.attributes |= {"refexplicit": True, "refdoc": self.env.docname, "refwarn": True}
            line = nodes.paragraph("", "", nodes.strong("", "Graded"), nodes.Text(" "), link)
            next(cards[0].findall(nodes.bullet_list)).append(nodes.list_item("", line))


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("assignments", Assignments)
    app.add_directive("mistakes", Mistakes)
    app.add_transform(Graded)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
