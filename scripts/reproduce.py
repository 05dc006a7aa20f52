"""Train and score the rows of one of the paper's tables, for several seeds, and print it beside the paper's.

    python scripts/reproduce.py table1|table2|table4 --recipe NAME [--seeds 0 1 2] [--data-root DIR] [--rows NAME ...]
    python scripts/reproduce.py ablations --recipe NAME ...     what the paper's tables leave open
    python scripts/reproduce.py table3 --recipe cityscapes ...  one seed, and archives for the test server

A run is a row and a seed: a folder below runs/RECIPE, and a result a protocol in book/results/RECIPE. Rows that share
a network share its run, and rows of one seed see the same images in the same order. What has a result is skipped and
what was stopped goes on: the same command again does what is left. A row that fails says why in one line; the others
go on, and the exit code is 2.

The runs go one after the other. --workers N has N of them at once, each on GPUs of its own, or on its share of the CPU
cores; 0 has as many as there is room for. --address HOST:PORT does so on the machines of a Ray cluster, which need the
same checkout, and the folders of runs and results on a disk that they share. Both want pip install -e .[cluster].
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from spacemeshlab.arguments import Parser
from spacemeshlab.cluster import side_by_side
from spacemeshlab.errors import UserError, exit_codes
from spacemeshlab.recipe import RECIPES, get_recipe
from spacemeshlab.reproduce import Places, check_data, jobs, one_after_the_other
from spacemeshlab.results import compare
from spacemeshlab.tables import TABLES, choose

ROOT = Path(__file__).parents[1]
DECIDED_BY_ROWS = ("spam", "attention", "context", "rates", "variant", "seed")
NAMES = {table if isinstance(table, str) else f"table{table}": table for table in TABLES}
SERVER = "https://www.cityscapes-dataset.com"


@exit_codes
def main() -> None:
    arguments = _arguments()
    base = get_recipe(arguments.recipe, arguments.override)
    places = Places(
        arguments.data_root or base.data_root,
        arguments.runs or Path("runs") / base.name,
        arguments.results or ROOT / "book" / "results" / base.name,
    )
    table = NAMES[arguments.table]
    rows = choose(TABLES[table], arguments.rows)
    served = any(row.split == "test" for row in rows)  # a server takes few uploads: one seed
    todo, failed = jobs(rows, base, arguments.seeds[:1] if served else arguments.seeds), 0
    check_data(rows, base, places.data)
    print(f"{arguments.table}, {base.name}, backbones {', '.join(dict.fromkeys(job.recipe.backbone for job in todo))}")
    together = arguments.workers is not None or arguments.address is not None
    ended = (
        side_by_side(todo, base, places, arguments.workers or 0, arguments.address)
        if together
        else one_after_the_other(todo, base, places)
    )
    for number, (job, done) in enumerate(ended, 1):
        failed += isinstance(done, UserError)
        print(f"[{number}/{len(todo)}] {job.name}: {'FAILED: ' * isinstance(done, UserError)}{done}", flush=True)
    if served and not failed:
        print(f"upload each archive at {SERVER}: its server alone has the labels")
    print(compare(table, base, places.results))
    sys.exit(2 if failed else 0)


def _arguments() -> argparse.Namespace:
    parser = Parser(description=__doc__)
    parser.add_argument("table", choices=NAMES)
    parser.add_argument("--recipe", required=True, help=f"one of {', '.join(RECIPES)}")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], metavar="N", help="default: 0 1 2")
    parser.add_argument("--rows", nargs="+", metavar="NAME", help="default: all of the table")
    parser.add_argument("--data-root", type=Path, help="the data set's folder (default: data/ and its name)")
    parser.add_argument("--runs", type=Path, metavar="DIR", help="for the run folders (default: runs/RECIPE)")
    parser.add_argument("--results", type=Path, metavar="DIR", help="for the JSON (default: book/results/RECIPE)")
    parser.add_argument("--override", action="append", default=[], metavar="KEY=VALUE", help="change the recipe")
    parser.add_argument("--workers", type=int, metavar="N", help="runs at once; 0: as many as there is room for")
    parser.add_argument("--address", metavar="HOST:PORT", help="of a Ray cluster; auto finds this machine's")
    arguments = parser.parse_args()
    for pair in arguments.override:
        if pair.partition("=")[0] in DECIDED_BY_ROWS:
            parser.error(f"argument --override: the rows and --seeds decide {', '.join(DECIDED_BY_ROWS)}, got {pair}")
    if arguments.workers is not None and arguments.workers < 0:
        parser.error(f"argument --workers: expected 0 or more, got {arguments.workers}")
    return arguments


if __name__ == "__main__":
    main()
