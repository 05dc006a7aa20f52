"""Train and score the rows of one of the paper's tables, for several seeds, and print it beside the paper's.

    python scripts/reproduce.py table1|table2|table4 --recipe NAME [--seeds 0 1 2] [--data-root DIR] [--rows NAME ...]

A run is a row and a seed: a folder below runs/RECIPE, and a result a protocol in book/results/RECIPE. Rows that share
a network share its run, and rows of one seed see the same images in the same order. What has a result is skipped and
what was stopped goes on: the same command again does what is left. A row that fails says why in one line; the others
go on, and the exit code is 2. Table 3 needs the test server: see scripts/submission.py.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from spacemeshlab.arguments import Parser
from spacemeshlab.data import open_dataset
from spacemeshlab.errors import UserError, exit_codes
from spacemeshlab.recipe import RECIPES, Recipe, get_recipe
from spacemeshlab.tables import TABLES, Row, compare, measured, run_name, summarise
from spacemeshlab.train import train

ROOT = Path(__file__).parents[1]
EVALUATE = Path(__file__).with_name("evaluate.py")
DECIDED_BY_ROWS = ("spam", "attention", "context", "rates", "seed")


@dataclass
class Job:
    """One training run, and the rows that it is for: at most one for each protocol. Jobs do not need each other."""

    recipe: Recipe
    rows: list[Row] = field(default_factory=list)


@dataclass(frozen=True)
class Places:
    """Where data are read from, and where runs and results go."""

    data: Path
    runs: Path
    results: Path


@exit_codes
def main() -> None:
    arguments = _arguments()
    base = get_recipe(arguments.recipe, arguments.override)
    places = Places(
        arguments.data_root or base.data_root,
        arguments.runs or Path("runs") / base.name,
        arguments.results or ROOT / "book" / "results" / base.name,
    )
    table = int(arguments.table[-1])
    todo, failed = jobs(choose(TABLES[table], arguments.rows), base, arguments.seeds), 0
    for split in ("train", "val"):  # what is missing is missing for every row
        open_dataset(base.dataset, places.data, split)
    print(f"table {table}, {base.name}, backbones {', '.join(dict.fromkeys(job.recipe.backbone for job in todo))}")
    for number, job in enumerate(todo, 1):  # one after the other
        try:
            done = run(job, base, places)
        except UserError as error:
            failed, done = failed + 1, f"FAILED: {error}"
        print(f"[{number}/{len(todo)}] {run_name(job.recipe)}: {done}", flush=True)
    print(compare(table, base, places.results))
    sys.exit(2 if failed else 0)


def choose(rows: tuple[Row, ...], names: list[str] | None) -> list[Row]:
    """The rows called ``names``, all of them without names."""
    known = {row.name: row for row in rows}
    for name in names or []:
        if name not in known:
            raise UserError(f"expected rows out of {', '.join(known)}; got {name!r}: choose some of these")
    return [known[name] for name in dict.fromkeys(names or known)]


def jobs(rows: list[Row], base: Recipe, seeds: list[int]) -> list[Job]:
    """The training runs that these rows need, seed by seed, so that whole tables come early."""
    found: dict[str, Job] = {}
    for seed in dict.fromkeys(seeds):
        for row in rows:
            recipe = row.recipe(base, seed)
            job = found.setdefault(run_name(recipe), Job(recipe))
            if all(row.tta != other.tta for other in job.rows):
                job.rows.append(row)
    return list(found.values())


def run(job: Job, base: Recipe, places: Places) -> str:
    """Train and score what has no result yet; says what was done."""
    missing = [row for row in job.rows if not _score(row, job, base, places)]
    if not missing:
        return "has its results already"
    files = {row: places.results / f"{run_name(job.recipe)}{'-tta' * row.tta}.json" for row in missing}
    for file in files.values():
        if file.exists():  # hours later would be too late to find out
            raise UserError(f"expected {file} to be free, found another recipe's result: choose another --results")
    places.results.mkdir(parents=True, exist_ok=True)
    folder = train(job.recipe, places.data, places.runs / run_name(job.recipe))
    for row, file in files.items():
        evaluate(folder, places.data, file, row.tta, job.recipe.workers)
    return ", ".join(f"{'MS + flip' if row.tta else 'one view'} {_score(row, job, base, places)}" for row in missing)


def evaluate(folder: Path, data: Path, file: Path, tta: bool, workers: int) -> None:
    """Let scripts/evaluate.py write the result, as everybody's results are written."""
    words = [folder, "--data-root", data, "--result", file, "--workers", workers, *(["--tta"] if tta else [])]
    done = subprocess.run([sys.executable, EVALUATE, *map(str, words)], capture_output=True, text=True, check=False)
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["no word"]
        raise UserError(f"expected a score of {folder}, found none: {last[0].removeprefix('error: ')}")


def _score(row: Row, job: Job, base: Recipe, places: Places) -> str:
    """The result of this row and seed in per cent, or ""."""
    scores, seed = summarise(measured(row, base, places.results)).scores, job.recipe.seed
    return f"{scores[seed]:.1f} %" if seed in scores else ""


def _arguments() -> argparse.Namespace:
    parser = Parser(description=__doc__)
    parser.add_argument("table", choices=("table1", "table2", "table4"))
    parser.add_argument("--recipe", required=True, help=f"one of {', '.join(RECIPES)}")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], metavar="N", help="default: 0 1 2")
    parser.add_argument("--rows", nargs="+", metavar="NAME", help="default: all of the table")
    parser.add_argument("--data-root", type=Path, help="the data set's folder (default: data/ and its name)")
    parser.add_argument("--runs", type=Path, metavar="DIR", help="for the run folders (default: runs/RECIPE)")
    parser.add_argument("--results", type=Path, metavar="DIR", help="for the JSON (default: book/results/RECIPE)")
    parser.add_argument("--override", action="append", default=[], metavar="KEY=VALUE", help="change the recipe")
    arguments = parser.parse_args()
    for pair in arguments.override:
        if pair.partition("=")[0] in DECIDED_BY_ROWS:
            parser.error(f"argument --override: the rows and --seeds decide {', '.join(DECIDED_BY_ROWS)}, got {pair}")
    return arguments


if __name__ == "__main__":
    main()
