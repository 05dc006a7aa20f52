"""Draw what a right answer looks like, for every assignment: the figure that its own cell draws from the reference.

    python scripts/draw_assignments.py [NAME ...]        into book/assignments/source/NAME/right-answer.png

The cell is tagged `right-answer`; students run the same cell on their own functions and compare.
"""

from __future__ import annotations

import io
import os
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import torch
from course import COURSE, ROOT
from PIL import Image
from tidy_notebooks import MEANT

from spacemeshlab.arguments import Parser
from spacemeshlab.book import setup
from spacemeshlab.course.assignment import Assignment, is_experiment, is_given, read_assignments
from spacemeshlab.errors import UserError, exit_codes
from spacemeshlab.pictures import reduce_colours

FIGURE, NAME = "right-answer", "right-answer.png"


def draw(assignment: Assignment) -> Image.Image:
    """Run the source, experiments included, up to the cell of the figure; return the figure."""
    namespace = {"__name__": "__main__", **assignment.setup(), **assignment.reference()}
    for cell in assignment.notebook.cells:
        if cell.cell_type == "code" and is_given(cell) and is_experiment(cell):
            exec(compile(cell.source, f"<{assignment.name}>", "exec"), namespace)
            if FIGURE in cell.metadata.tags:
                plt.gcf().savefig(buffer := io.BytesIO(), format="png")
                plt.close("all")
                return reduce_colours(Image.open(buffer).convert("RGB"), MEANT)
    raise UserError(f"expected a cell tagged {FIGURE} in {assignment.name}, found none: tag the one with the figure")


@exit_codes
def main() -> None:
    parser = Parser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="default: all")
    names = parser.parse_args().names
    known = read_assignments(COURSE / "source")
    mpl.use("Agg")
    plt.show = lambda *_, **__: None
    torch.set_num_threads(1)
    os.chdir(ROOT / "book")  # where chapters run, and data are at ../data
    for name in names or known:
        if name not in known:
            raise UserError(f"expected an assignment out of {', '.join(known)}, found {name!r}: name some of them")
        setup(seed=0)
        path = Path(COURSE / "source" / name / NAME)
        draw(known[name]).save(path, "PNG", optimize=True)
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size // 1024} KB")


if __name__ == "__main__":
    main()
