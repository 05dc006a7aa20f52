"""Calculate what the rows of the paper's tables cost on GPUs, and write book/results/estimate.json.

    python scripts/estimate.py

Nothing is trained and no GPU is needed: operations and bytes are counted on tensors without numbers, and hours follow
from rates that are assumed. Takes half a minute.
"""

from __future__ import annotations

import json
from pathlib import Path

from spacemeshlab.arguments import Parser
from spacemeshlab.benchmark.estimate import estimate
from spacemeshlab.checkpoint import write_atomically
from spacemeshlab.errors import exit_codes
from spacemeshlab.provenance import origin

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "book" / "results" / "estimate.json"


@exit_codes
def main() -> None:
    Parser(description=__doc__).parse_args()
    found = estimate() | {"origin": origin()}
    write_atomically(RESULT, lambda draft: draft.write_text(json.dumps(found, indent=2) + "\n"))
    print("calculated, not measured: hours of a GPU")
    for table, sums in found["tables"].items():
        for precision, hours in sums["gpu_hours"].items():
            words = "  ".join(f"{gpu} {low:g} to {high:g}" for gpu, (low, high) in hours.items())
            print(f"{table:10} {sums['runs']:3} runs  {precision:10} {words}")
    print(f"done: {RESULT.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
