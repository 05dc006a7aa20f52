"""The paper's rows and what was measured of them, ``{measured}``, read from the files of results in every build.

    :::{measured} 1
    :recipe: camvid-small
    :rows: r101, r101-spam
    :against: above
    :::

The argument names tables (``1 2``). ``rows`` chooses rows, in this order; ``against`` says what each is compared with,
seed by seed: its own row of the table (the default), the row ``above``, or a row by its name; several give several
columns. ``overrides`` changes the recipe. With ``classes`` the table shows the IoU of these classes instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from status import Table

from spacemeshlab import results
from spacemeshlab.data import DATASETS
from spacemeshlab.errors import UserError
from spacemeshlab.recipe import Recipe, get_recipe
from spacemeshlab.tables import TABLES, Row, choose

NOT_RUN, NOTHING = "*not run*", "–"
PLUS_MINUS = "\u00a0±\u00a0"  # a number and its noise stay on one line
Found = Mapping[str, list[dict[str, Any]]]
"""A row's name -> its results, a seed each."""


def words(text: str | None) -> list[str]:
    return [word.strip() for word in (text or "").split(",") if word.strip()]


class Measured(Table):
    required_arguments = 1
    final_argument_whitespace = True
    option_spec: ClassVar = {
        "recipe": directives.unchanged_required,
        **dict.fromkeys(("rows", "against", "overrides", "classes"), words),
    }

    def run(self) -> list[nodes.Node]:
        self.env.metadata[self.env.docname]["measured"] = "true"  # for read_again
        try:
            recipe = get_recipe(self.options.get("recipe", ""), self.options.get("overrides", ()))
            folder = Path(self.env.srcdir, "book", "results", recipe.name)
            there = together(self.arguments[0].split())
            rows = choose(there.values(), self.options.get("rows"))
            found = {name: results.measured(row, recipe, folder) for name, row in there.items()}
            if classes := self.options.get("classes"):
                head, lines = by_class(rows, found, known(recipe, classes))
            else:
                head, lines = by_row(rows, found, self.options.get("against") or ["own"])
        except UserError as error:
            raise self.error(str(error)) from None
        return self.table(head, [[cell.replace(" ± ", PLUS_MINUS) for cell in line] for line in lines])


def together(tables: Sequence[str]) -> dict[str, Row]:
    """The rows of these tables by name; of equal names the first."""
    there: dict[str, Row] = {}
    for table in tables:
        key = int(table) if table.isdecimal() else table
        if key not in TABLES:
            raise UserError(f"expected tables out of {', '.join(map(str, TABLES))}, found {table!r}: mend the name")
        there |= {row.name: row for row in TABLES[key] if row.name not in there}
    return there


def known(recipe: Recipe, classes: Sequence[str]) -> Sequence[str]:
    there = DATASETS[recipe.dataset].labels.classes
    for name in classes:
        if name not in there:
            raise UserError(f"expected classes out of {', '.join(there)}, found {name!r}: mend the name")
    return classes


def by_row(rows: Sequence[Row], found: Found, against: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """Head and lines: the paper's score, ours, a paired step for each of ``against``, and what it cost."""
    heads = {"own": "Step", "above": "From the row above"}
    steps = [heads.get(one) or f"From `{one}`" for one in against]
    lines, above = [], ""
    for row in rows:
        name = row.name
        others = [{"own": row.against, "above": above}.get(one, one) for one in against]
        cells = [step(found, name, other) for other in others]
        score = str(results.summarise(found[name])).replace("not run", NOT_RUN)
        paper = NOTHING if row.paper is None else f"{row.paper:.1f}"
        lines.append([label(row), paper, score, *cells, *costs(found[name])])
        above = name
    return ["Row", "Paper", "Measured", *steps, "Minutes", "GiB", "Weights, M"], lines


def by_class(rows: Sequence[Row], found: Found, classes: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """Head and lines: the IoU of each class in per cent, mean and standard deviation over the seeds."""
    lines = []
    for row in rows:
        seeds, each = len(found[row.name]), results.by_class(found[row.name], classes).values()
        cells = [spread(one, seeds) if seeds else NOT_RUN for one in each]
        lines.append([label(row), str(seeds), *cells])
    return ["Row", "Seeds", *classes], lines


def label(row: Row) -> str:
    return f"`{row.name}` {row.title}"


def step(found: Found, name: str, other: str) -> str:
    """A row minus another one; nothing where there is none to compare with."""
    if other in ("", name):
        return NOTHING
    if other not in found:
        raise UserError(
            f"expected against own, above or a row out of {', '.join(found)}, found {other!r}: mend the name"
        )
    return str(results.difference(*(results.summarise(found[one]) for one in (name, other))) or NOT_RUN)


def costs(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """A run's minutes in the mean, its largest peak of memory, millions of weights; what no file says stays open."""
    took = results.cost(runs)
    weights = took.parameters and took.parameters / 1e6
    numbers = ((took.minutes, ".0f"), (took.memory_gib, ".1f"), (weights, ".1f"))
    return [NOTHING if number is None else format(number, form) for number, form in numbers]


def spread(scores: results.Summary, seeds: int) -> str:
    """As in words, without the number of seeds if it is that of the line; nothing where the class is nowhere."""
    if not scores.scores:
        return NOTHING
    text = str(scores)
    return text.partition(" (")[0] if len(scores.scores) == seeds else text


def read_again(app: Sphinx, env: BuildEnvironment, *_: object) -> list[str]:
    """Pages with such a table, in every build: a new file of results changes none of those that it was made from."""
    return [page for page in env.found_docs if "measured" in env.metadata.get(page, {})]


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("env-get-outdated", read_again)
    app.add_directive("measured", Measured)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
