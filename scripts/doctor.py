"""Look at this machine, its packages and a data set: what is missing or wrong, and how to mend it.

python scripts/doctor.py [--data-root DIR --dataset NAME] [--recipe NAME] [--quick]

Exit code 0: all is well. 2: something has to be mended; the lines that begin with PROBLEM say what.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

try:
    import torchvision  # noqa: F401 - a pair of torch and torchvision that do not fit fails here

    from spacemeshlab import doctor, doctor_data
    from spacemeshlab.arguments import Parser
    from spacemeshlab.doctor import Finding
    from spacemeshlab.errors import UserError, exit_codes
    from spacemeshlab.recipe import get_recipe
except (ImportError, RuntimeError, OSError) as broken:
    reason = str(broken).splitlines()[0]
    sys.exit(
        print(
            f"error: expected packages that can be imported, found one that can't ({reason}): restart the session if a "
            "package was just installed; on Colab and Kaggle keep their own torch; elsewhere pip install -e . again",
            file=sys.stderr,
        )
        or 2
    )


@exit_codes
def main() -> None:
    parser = Parser(description=__doc__)
    parser.add_argument("--data-root", type=Path, help="the data set's folder (default with --recipe: as train.py's)")
    parser.add_argument("--dataset", help="its name (default: the recipe's, or what the folder looks like)")
    parser.add_argument("--recipe", help="also look whether this recipe can be run")
    parser.add_argument("--quick", action="store_true", help="read a few pairs of each split, not all")
    arguments = parser.parse_args()
    if arguments.dataset and not (arguments.data_root or arguments.recipe):
        raise UserError("expected --data-root beside --dataset, found none: add --data-root DIR")
    problems = show(findings(arguments))
    if problems:
        raise UserError(f"expected no problems, found {problems}: mend what the lines with PROBLEM say, then ask again")
    print("all is well")


def findings(arguments: argparse.Namespace) -> Iterator[Finding]:
    """All checks that were asked for."""
    recipe = get_recipe(arguments.recipe) if arguments.recipe else None
    root = arguments.data_root or (recipe.data_root if recipe else None)
    yield from doctor.check_machine(root or Path())
    yield doctor.check_shared_memory(recipe)
    yield from doctor.check_packages()
    if root is not None:
        name = arguments.dataset or (recipe.dataset if recipe else doctor_data.guess_dataset(root))
        yield from doctor_data.check_data(name, root, arguments.quick, progress=sys.stderr.isatty())


def show(found: Iterable[Finding]) -> int:
    """Print the findings as they come; returns the number of problems."""
    problems = 0
    for finding in found:
        problems += finding.kind == "problem"
        print(f"{finding.kind.upper() if finding.kind == 'problem' else finding.kind:<8}{finding.text}")
        if finding.remedy:
            print(f"{'':8}-> {finding.remedy}")
    return problems


if __name__ == "__main__":
    main()
