"""An archive for Cityscapes' test server.

python scripts/submission.py build RUN_DIR --data-root DIR --out FILE.zip [--tta] [--checkpoint last|best]
python scripts/submission.py check FILE.zip [--data-root DIR]

build labels every test image, goes on where it was stopped, and checks the archive; check only looks.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from spacemeshlab.arguments import Parser
from spacemeshlab.errors import exit_codes
from spacemeshlab.predict import load_network
from spacemeshlab.submission import build_submission, check_submission, split_images


@exit_codes
def main() -> None:
    arguments = _arguments()
    {"build": _build, "check": _check}[arguments.command](arguments)


def _build(arguments: argparse.Namespace) -> None:
    trained = load_network(arguments.run_dir, arguments.checkpoint)
    built = build_submission(
        trained,
        arguments.data_root,
        arguments.out,
        arguments.split,
        arguments.tta,
        arguments.workers,
        progress=sys.stderr.isatty(),
    )
    if built.kept:
        print(f"kept {built.kept} predictions of an earlier call")
    if built.replaced:
        print(f"threw {built.replaced} predictions away: they came from other weights, images or views")
    print(f"{arguments.out}: {built.summary}")


def _check(arguments: argparse.Namespace) -> None:
    images = split_images(arguments.data_root, arguments.split) if arguments.data_root else None
    print(f"{arguments.archive}: {check_submission(arguments.archive, images, progress=sys.stderr.isatty())}")


def _arguments() -> argparse.Namespace:
    parser = Parser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    build = commands.add_parser("build", help="label the test images and pack them")
    build.add_argument("run_dir", type=Path)
    build.add_argument("--data-root", type=Path, required=True)
    build.add_argument("--out", type=Path, required=True, metavar="FILE.zip")
    build.add_argument("--tta", action="store_true", help="MS + flip: six scales, each also mirrored")
    build.add_argument("--checkpoint", choices=("last", "best"), default="last", help="best was chosen on val")
    build.add_argument("--workers", type=int, default=0)
    check = commands.add_parser("check", help="look at an archive as the server would")
    check.add_argument("archive", type=Path, metavar="FILE.zip")
    check.add_argument("--data-root", type=Path, help="expect the names and sizes of this data set")
    for command in (build, check):
        command.add_argument("--split", default="test", help="a folder of leftImg8bit")
    arguments = parser.parse_args()
    if arguments.command == "build" and arguments.workers < 0:
        parser.error(f"argument --workers: expected 0 or more, got {arguments.workers}")
    return arguments


if __name__ == "__main__":
    main()
