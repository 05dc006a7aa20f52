"""Generate ToyCity in Cityscapes' folder layout: python scripts/toycity.py OUT --train 64 --val 16 --size 256x512"""

import re

from spacemeshlab.arguments import Parser
from spacemeshlab.data.toycity import generate
from spacemeshlab.errors import UserError, exit_codes


def parse_size(text: str) -> tuple[int, int]:
    """Read ``HxW``."""
    match = re.fullmatch(r"(\d+)x(\d+)", text.lower())
    if not match:
        raise UserError(f"--size expects HxW, got {text!r}: try --size 256x512")
    return int(match[1]), int(match[2])


@exit_codes
def main() -> None:
    parser = Parser(description="Generate ToyCity, street scenes in Cityscapes' folder layout.")
    parser.add_argument("out", metavar="OUT", help="the folder to make")
    parser.add_argument("--train", type=int, default=64, metavar="N", help="scenes to train on (default: %(default)s)")
    parser.add_argument("--val", type=int, default=16, metavar="N", help="scenes to validate on (default: %(default)s)")
    parser.add_argument("--size", default="256x512", metavar="HxW", help="multiples of 16 (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="another seed is another city (default: %(default)s)")
    args = parser.parse_args()
    out = generate(args.out, train=args.train, val=args.val, size=parse_size(args.size), seed=args.seed)
    print(f"ToyCity is in {out}: {args.train} scenes to train on, {args.val} to validate on")


if __name__ == "__main__":
    main()
