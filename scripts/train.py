"""Train a recipe, or go on where a run stopped.

python scripts/train.py RECIPE [--data-root DIR] [--run-dir DIR] [key=value ...]
python scripts/train.py RECIPE devices=4 ...                                  four GPUs (or processes) of this machine
torchrun --nnodes=2 --nproc-per-node=4 ... scripts/train.py RECIPE ...        on each of two machines
"""

from __future__ import annotations

from pathlib import Path

from spacemeshlab.arguments import Parser
from spacemeshlab.distributed import rank
from spacemeshlab.errors import exit_codes
from spacemeshlab.recipe import RECIPES, get_recipe
from spacemeshlab.train import train


@exit_codes
def main() -> None:
    parser = Parser(description=__doc__)
    parser.add_argument("recipe", help=f"one of {', '.join(RECIPES)}")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="change single values of the recipe")
    parser.add_argument("--data-root", type=Path, help="the data set's folder (default: data/ and its name)")
    parser.add_argument("--run-dir", type=Path, help="where the run's files go (default: runs/RECIPE)")
    arguments = parser.parse_intermixed_args()
    recipe = get_recipe(arguments.recipe, arguments.overrides)
    run_dir = arguments.run_dir or Path("runs") / recipe.name
    train(recipe, arguments.data_root or recipe.data_root, run_dir)
    if rank() == 0:
        print(f"done: {run_dir}")


if __name__ == "__main__":
    main()
