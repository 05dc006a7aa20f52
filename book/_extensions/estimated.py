"""What the paper's tables will cost, out of estimate.json: ``{estimated}`` in sum, ``{estimated} TABLE`` by run.

``{estimated} rates`` has what is assumed of the GPUs. The option ``precision`` is a recipe's, ``32-true`` by default.
``scripts/estimate.py`` writes that file. Everything in it is calculated, and the heads of the columns say so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from status import Table

FILE = "book/results/estimate.json"
NAMES = {"1": "Table 1", "2": "Table 2", "4": "Table 4", "ablations": "The ablations", "all": "**All of them**"}
JOINED = "\u2060–\u2060"  # a range stays on one line


class Estimated(Table):
    optional_arguments = 1
    option_spec: ClassVar = {"precision": directives.unchanged_required}

    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(FILE)
        found = json.loads(Path(self.env.srcdir, FILE).read_text(encoding="utf-8"))
        (table,), precision = self.arguments or [""], self.options.get("precision", "32-true")
        if table not in (names := ["", "rates", *found["tables"]]):
            raise self.error(f"expected one of {', '.join(names[1:])}, found {table!r}: mend the name")
        if table == "rates":
            return self.table(*rates(found))
        if precision not in (known := found["tables"]["all"]["hours"]):
            raise self.error(f"expected a precision out of {', '.join(known)}, found {precision!r}: mend the name")
        return self.table(*(by_run(found, table, precision) if table else in_sum(found, precision)))


def by_run(found: Mapping[str, Any], table: str, precision: str) -> tuple[list[str], list[list[str]]]:
    """Head and lines: the runs of a table, what one takes on one GPU, and all seeds together."""
    seeds = found["seeds"]
    heads = [head for gpu in found["gpus"] for head in (f"{gpu}: hours", f"{seeds} seeds")]
    lines = []
    for run in found["runs"].values():
        if rows := run["rows"].get(table):
            hours = [
                [scale * end for end in run["hours"][precision][gpu]] for gpu in found["gpus"] for scale in (1, seeds)
            ]
            size = (run["weights"] / 1e6, run["multiply_adds"] / 1e12, run["memory"] / 2**30)
            names = ", ".join(f"`{row}`" for row in rows)
            lines.append([names, *(f"{number:.1f}" for number in size), *map(span, hours)])
    return ["Rows", "Weights, M", "A step, T", "At least, GiB", *heads], lines


def in_sum(found: Mapping[str, Any], precision: str) -> tuple[list[str], list[list[str]]]:
    """Head and lines: hours of a GPU in sum, and hours until several GPUs are done, a run each at a time."""
    heads = [head for gpu in found["gpus"] for head in (f"{gpu}: GPU hours", f"on {found['at_once']} of them")]
    lines = []
    for table, sums in found["tables"].items():
        hours = [sums[kind][precision][gpu] for gpu in found["gpus"] for kind in ("gpu_hours", "hours")]
        lines.append([NAMES[table], str(sums["runs"]), *map(span, hours)])
    return ["Table", "Runs", *heads], lines


def rates(found: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Head and lines: what is stated of each GPU, and which shares of it were assumed."""
    kinds = {"bf16": "bfloat16", "tf32": "TF32", "float32": "float32"}
    lines = []
    for name, gpu in found["gpus"].items():
        cells = [f"{stated:g} TFLOP/s, {100 * low:g} to {100 * high:g} %" for stated, low, high in map(gpu.get, kinds)]
        lines.append([name, *cells])
    return ["GPU", *kinds.values()], lines


def span(ends: Sequence[float]) -> str:
    """``1.9–7.8``, or ``25–99``: two digits are more than an assumed rate is good for."""
    return JOINED.join(f"{end:.1f}" if end < 9.95 else f"{end:.0f}" for end in ends)


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("estimated", Estimated)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
