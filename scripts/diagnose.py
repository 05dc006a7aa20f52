"""Look for the reason why a network does no better than its baseline: tables, and as the last line one JSON object.

python scripts/diagnose.py BASELINE_RUN OURS_RUN [BASELINE_RUN OURS_RUN ...] --data-root DIR --out FILE
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from spacemeshlab.arguments import Parser
from spacemeshlab.diagnosis import pace, report
from spacemeshlab.errors import exit_codes
from spacemeshlab.provenance import origin
from spacemeshlab.records import plain, write_record


@exit_codes
def main() -> None:
    arguments = _arguments()
    folders = {folder.resolve().name: folder for folder in arguments.runs}
    names = [folder.resolve().name for folder in arguments.runs]
    pairs = list(zip(names[::2], names[1::2], strict=True))
    recipes = {name: report.load_finished(folder).recipe for name, folder in folders.items()}
    for one, other in pairs:
        pace.check_twins(recipes[one], recipes[other])
    for folder in arguments.runs:  # minutes of measuring later would be too late to find out
        pace.curve(folder)
    rates = pace.learning_rates(arguments.learning_rates)
    networks = {}
    for name, folder in folders.items():
        networks[name] = report.examine(folder, arguments.data_root, arguments.images)
        print(report.table(name, networks[name]), flush=True)
    found = report.compare(pairs, networks)
    print("\n".join(map(report.summary, found)))
    result = {"networks": networks, "pairs": found, "learning_rates": rates, "diagnosed": origin()}
    write_record(arguments.out, result)
    print(json.dumps(plain(result)))


def _arguments() -> argparse.Namespace:
    parser = Parser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN_DIR", help="pairs of finished runs: baseline, ours")
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the JSON")
    parser.add_argument("--images", type=int, default=101, help="of each split, evenly spread")
    parser.add_argument("--learning-rates", nargs="*", type=Path, default=[], metavar="RUN_DIR", help="runs to list")
    arguments = parser.parse_args()
    folders = {folder.resolve() for folder in arguments.runs}
    if len({folder.name for folder in folders}) < len(folders):
        parser.error("expected runs with names of their own, got two folders of one name: rename one")
    if len(arguments.runs) % 2:
        parser.error(f"expected pairs of runs, got {len(arguments.runs)}: give each of ours its baseline")
    if arguments.images < 1:
        parser.error(f"argument --images: expected 1 or more, got {arguments.images}")
    if not arguments.out.parent.is_dir() or arguments.out.is_dir():
        parser.error(f"argument --out: expected a file's name in a folder that exists, got {arguments.out}")
    return arguments


if __name__ == "__main__":
    main()
