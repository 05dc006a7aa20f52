"""Kill training at random moments and check that it ends with the same bits; writes what happened.

python scripts/survive.py [--trials 24] [--kills 2] [--seed 0] [--result FILE]
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
from pathlib import Path

from spacemeshlab import survival
from spacemeshlab.arguments import Parser
from spacemeshlab.checkpoint import write_atomically
from spacemeshlab.data import toycity
from spacemeshlab.errors import UserError, exit_codes
from spacemeshlab.provenance import origin

ROOT = Path(__file__).parents[1]


@exit_codes
def main() -> None:
    arguments = _arguments()
    try:
        arguments.result.parent.mkdir(parents=True, exist_ok=True)  # hours later would be too late to find out
    except OSError as error:
        raise UserError(
            f"expected to write {arguments.result}, found: {error.strerror.lower()}: choose another --result"
        ) from None
    chance, trials = random.Random(arguments.seed), []
    with tempfile.TemporaryDirectory() as folder:
        data, whole, killed = (Path(folder) / name for name in ("city", "whole", "killed"))
        toycity.generate(data, train=10, val=2, size=(64, 128), progress=False)
        seconds = survival.whole_run(data, whole)
        for number in range(1, arguments.trials + 1):
            one = survival.trial(data, killed, whole, seconds, arguments.kills, chance)
            trials.append(one)
            moments = ", ".join(f"{kill.seconds:.1f} s (step {kill.saved} saved)" for kill in one.kills)
            print(f"[{number}/{arguments.trials}] killed after {moments}: identical={one.identical}", flush=True)
            shutil.rmtree(killed)
    result = survival.report(trials) | {"seed": arguments.seed, "origin": origin()}
    write_atomically(arguments.result, lambda draft: draft.write_text(json.dumps(result, indent=2) + "\n"))
    print(f"{result['identical']} of {result['trials']} runs identical after {result['kills']} kills")
    sys.exit(result["identical"] != result["trials"])


def _arguments() -> argparse.Namespace:
    parser = Parser(description=__doc__)
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--kills", type=int, default=2, help="of each run")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--result", type=Path, default=ROOT / "book" / "results" / "survival.json")
    arguments = parser.parse_args()
    if arguments.result.is_dir():
        parser.error(f"argument --result: expected a file's name, got the folder {arguments.result}")
    for name in ("trials", "kills"):
        if getattr(arguments, name) < 1:
            parser.error(f"argument --{name}: expected 1 or more, got {getattr(arguments, name)}")
    return arguments


if __name__ == "__main__":
    main()
