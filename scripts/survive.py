"""Kill training at random moments and check that it ends with the same bits; writes what happened.

python scripts/survive.py [--trials 20] [--kills 2] [--seed 0] [--data-root DIR] [--result FILE]
"""

from __future__ import annotations

import json
import random
import shutil
import sys
import tempfile
from pathlib import Path

from spacemeshlab import survival
from spacemeshlab.arguments import Parser
from spacemeshlab.checkpoint import write_atomically
from spacemeshlab.data import open_dataset
from spacemeshlab.errors import exit_codes
from spacemeshlab.provenance import origin

ROOT = Path(__file__).parents[1]


@exit_codes
def main() -> None:
    parser = Parser(description=__doc__)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--kills", type=int, default=2, help="of each run")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--data-root", type=Path, default=ROOT / "data" / "toycity")
    parser.add_argument("--result", type=Path, default=ROOT / "book" / "results" / "survival.json")
    arguments = parser.parse_args()
    open_dataset("cityscapes", arguments.data_root, "train")
    chance, trials = random.Random(arguments.seed), []
    with tempfile.TemporaryDirectory() as folder:
        whole, killed = Path(folder) / "whole", Path(folder) / "killed"
        seconds = survival.whole_run(arguments.data_root, whole)
        for number in range(1, arguments.trials + 1):
            one = survival.trial(arguments.data_root, killed, whole, seconds, arguments.kills, chance)
            trials.append(one)
            moments = ", ".join(f"{kill.seconds:.1f} s (step {kill.saved} saved)" for kill in one.kills)
            print(f"[{number}/{arguments.trials}] killed after {moments}: identical={one.identical}", flush=True)
            shutil.rmtree(killed)
    result = survival.report(trials) | {"seed": arguments.seed, "origin": origin()}
    arguments.result.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(arguments.result, lambda draft: draft.write_text(json.dumps(result, indent=2) + "\n"))
    print(f"{result['identical']} of {result['trials']} runs identical after {result['kills']} kills")
    sys.exit(result["identical"] != result["trials"])


if __name__ == "__main__":
    main()
