"""One process of a run: reads its job from the run's folder, and trains (chapter 13).

python -m torch.distributed.run ... --module spacemeshlab.worker RUN_DIR
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from spacemeshlab.errors import exit_codes
from spacemeshlab.launch import JOB
from spacemeshlab.recipe import Recipe
from spacemeshlab.stop import stop_without
from spacemeshlab.train import train


@exit_codes
def main() -> None:
    folder = Path(sys.argv[1])
    job = json.loads((folder / JOB).read_text())
    stop_without(job["asked_by"])
    sys.argv = job["argv"]  # the command that somebody gave is where the run came from
    train(Recipe.from_dict(job["recipe"]), job["data_root"], folder)


if __name__ == "__main__":
    main()
