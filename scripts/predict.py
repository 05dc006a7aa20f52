"""Label photographs with a finished run: a colour overlay and a label PNG each.

python scripts/predict.py RUN_DIR IMAGE ... --out DIR [--tta]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tqdm import tqdm

from spacemeshlab.data.dataset import read_image
from spacemeshlab.errors import UserError, exit_codes
from spacemeshlab.pictures import label_image, overlay
from spacemeshlab.predict import load_network


@exit_codes
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("images", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tta", action="store_true", help="MS + flip: six scales, each also mirrored")
    arguments = parser.parse_args()
    trained = load_network(arguments.run_dir)
    _check(arguments.images)
    arguments.out.mkdir(parents=True, exist_ok=True)
    for path in tqdm(arguments.images, "predict"):
        image = read_image(path)
        prediction = trained.predict(image, arguments.tta)
        overlay(image, prediction, trained.labels).save(arguments.out / f"{path.stem}_overlay.png")
        label_image(prediction, trained.labels).save(arguments.out / f"{path.stem}_labels.png")
    print(f"done: {2 * len(arguments.images)} files in {arguments.out}")


def _check(images: list[Path]) -> None:
    """Stop before anything is written if a file can't be read, or two files would get the same results."""
    names: dict[str, Path] = {}
    for path in images:
        read_image(path)
        if path.stem in names:
            raise UserError(
                f"expected images with different names, found {names[path.stem]} and {path}: "
                "label them one by one, each with its own --out"
            )
        names[path.stem] = path


if __name__ == "__main__":
    main()
