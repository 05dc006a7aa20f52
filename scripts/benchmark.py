"""Measure speed and memory: one table, and one JSON with the origin of every part.

    python scripts/benchmark.py [--quick] [--only PART ...] [--out FILE]

Parts: operation, networks, growth, metrics, data. Each is written when it is done, beside the parts that the file has
already, so that a machine with little time can do them one by one. The file is book/results/benchmark/cpu.json, or
has the GPU's name; with --quick, which proves only that everything runs, it is _build/benchmark-quick.json.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from spacemeshlab.arguments import Parser
from spacemeshlab.benchmark.bench import Bench
from spacemeshlab.benchmark.results import PARTS, file_name, measure_part, merge, prepare
from spacemeshlab.benchmark.table import part_lines, target_lines
from spacemeshlab.errors import UserError, exit_codes

ROOT = Path(__file__).resolve().parents[1]


@exit_codes
def main() -> None:
    arguments = _arguments()
    unknown = [part for part in arguments.only if part not in PARTS]
    if unknown:
        raise UserError(
            f"expected parts out of {', '.join(PARTS)}; got {', '.join(map(repr, unknown))}: choose some of these"
        )
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.backends.cudnn.allow_tf32 = False  # float32 means float32, in convolutions as it does in products
    out = arguments.out or _default(device, arguments.quick)
    prepare(out, arguments.quick)
    bench = Bench(device, arguments.quick)
    for part in arguments.only or PARTS:
        found = measure_part(part, bench)
        whole = merge(out, arguments.quick, part, found)
        print(*part_lines(part, found), sep="\n", flush=True)
    print(*target_lines(whole["targets"]), f"done: {out}", sep="\n")


def _default(device: torch.device, quick: bool) -> Path:
    return ROOT / "_build" / "benchmark-quick.json" if quick else ROOT / "book/results/benchmark" / file_name(device)


def _arguments() -> argparse.Namespace:
    parser = Parser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny sizes: proves that it runs, measures nothing of use")
    parser.add_argument("--only", nargs="+", default=[], metavar="PART", help="these parts; default: all")
    parser.add_argument("--out", type=Path, metavar="FILE", help="where the JSON goes, or is merged into")
    return parser.parse_args()


if __name__ == "__main__":
    main()
