"""A dress rehearsal of the real thing: the recipe cityscapes at full size, on ToyCity, through every command.

python scripts/rehearse.py [--iterations 2] [--folder DIR] [--stand-in-weights] [--override KEY=VALUE ...]

Writes what each command took and what came out to book/results/rehearsal.json, and what they said to rehearsal.log.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from spacemeshlab.arguments import Parser
from spacemeshlab.checkpoint import write_atomically
from spacemeshlab.errors import UserError, exit_codes
from spacemeshlab.provenance import origin
from spacemeshlab.recipe import get_recipe
from spacemeshlab.rehearsal import ROOT, Stage, rehearse, stand_in_weights


@exit_codes
def main() -> None:
    parser = Parser(description=__doc__)
    parser.add_argument("--iterations", type=int, default=2, help="even; half of them before the notebook is killed")
    parser.add_argument("--folder", type=Path, default=ROOT / "runs" / "rehearsal", help="for its files; a new one")
    parser.add_argument("--stand-in-weights", action="store_true", help="random numbers instead of ImageNet weights")
    parser.add_argument("--override", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--size", type=int, nargs=2, default=(1024, 2048), metavar=("ROWS", "COLUMNS"))
    parser.add_argument("--result", type=Path, default=ROOT / "book" / "results" / "rehearsal.json")
    arguments = parser.parse_args()
    recipe = get_recipe("cityscapes", arguments.override)
    if arguments.iterations < 2 or arguments.iterations % 2:
        raise UserError(f"expected an even number of --iterations, found {arguments.iterations}: 2 is enough")
    folder = arguments.folder.resolve()
    if folder.exists():
        raise UserError(f"expected a new folder, found {arguments.folder}: remove it, or name another with --folder")
    folder.mkdir(parents=True)
    stage = Stage(folder)
    if arguments.stand_in_weights:
        stand_in_weights(stage, recipe.backbone)
    result = rehearse(stage, arguments.iterations, arguments.override, tuple(arguments.size))
    result |= {"stand_in_weights": arguments.stand_in_weights, "origin": origin()}
    write_atomically(arguments.result, lambda draft: draft.write_text(json.dumps(result, indent=2) + "\n"))
    said = stage.said()
    write_atomically(arguments.result.with_suffix(".log"), lambda draft: draft.write_text(said))
    shutil.rmtree(folder)
    print(f"done: {arguments.result}")


if __name__ == "__main__":
    main()
