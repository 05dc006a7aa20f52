"""Write a run's network as an ONNX file, after onnxruntime has computed the same with it as torch.

python scripts/export.py RUN_DIR OUT.onnx [--checkpoint last|best]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from spacemeshlab.arguments import Parser
from spacemeshlab.errors import exit_codes
from spacemeshlab.export import OPSET, SIZES, TOLERANCE, describe_network, export_onnx
from spacemeshlab.predict import load_network


@exit_codes
def main() -> None:
    arguments = _arguments()
    trained = load_network(arguments.run_dir, arguments.checkpoint)
    about = describe_network(trained.recipe, trained.labels, trained.mean, trained.std)
    difference = export_onnx(trained.net, arguments.out, about)
    sizes = ", ".join(f"{batch}x3x{height}x{width}" for batch, height, width in SIZES)
    print(
        f"compared with torch at {sizes}: largest difference {difference:.1e} of the largest logit "
        f"(accepted: {TOLERANCE:.0e})"
    )
    print(f"{arguments.out}: {arguments.out.stat().st_size / 2**20:.1f} MiB, opset {OPSET}, any N, H and W")


def _arguments() -> argparse.Namespace:
    parser = Parser(description=__doc__)
    parser.add_argument("run_dir", type=Path, help="a run, or a file of weights")
    parser.add_argument("out", type=Path, metavar="OUT.onnx")
    parser.add_argument("--checkpoint", choices=("last", "best"), default="last", help="best was chosen on val")
    return parser.parse_args()


if __name__ == "__main__":
    main()
