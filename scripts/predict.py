"""Label photographs with a finished run: a colour overlay and a label PNG each.

python scripts/predict.py RUN_DIR IMAGE ... --out DIR [--tta] [--window HxW] [--checkpoint best]

RUN_DIR is a run directory or a .safetensors file; IMAGE a picture in any format and depth, or a folder of pictures.
Large pictures are labelled in tiles, which the output says, so that memory does not grow with them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from tqdm import tqdm

from spacemeshlab.arguments import Parser
from spacemeshlab.checkpoint import write_atomically
from spacemeshlab.errors import UserError, exit_codes
from spacemeshlab.pictures import label_image, overlay, read_photograph
from spacemeshlab.predict import TrainedNetwork, load_network

SUFFIXES = (".avif", ".bmp", ".gif", ".jp2", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
"""What counts as a picture in a folder; a file that is named itself may end in anything."""


@exit_codes
def main() -> None:
    arguments = _arguments()
    window = _window(arguments.window)
    pictures = _expand(arguments.images, arguments.out)
    trained = load_network(arguments.run_dir, arguments.checkpoint)
    _check(pictures, arguments.out)
    for path in tqdm(pictures, "predict", disable=None):
        _label(trained, path, arguments.out, arguments.tta, window)
    print(f"done: {2 * len(pictures)} files in {arguments.out}")


def _arguments() -> argparse.Namespace:
    parser = Parser(description=__doc__)
    parser.add_argument("run_dir", type=Path, metavar="RUN_DIR")
    parser.add_argument("images", type=Path, nargs="+", metavar="IMAGE")
    parser.add_argument("--out", type=Path, required=True, help="folder for the results; made if it is missing")
    parser.add_argument("--tta", action="store_true", help="MS + flip: six scales, each also mirrored")
    parser.add_argument("--window", metavar="HxW", help="slide a window over each view instead of the whole at once")
    parser.add_argument("--checkpoint", choices=("last", "best"), default="last", help="in a run directory")
    return parser.parse_args()


def _window(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    height, _, width = text.lower().partition("x")
    if not (height.isdecimal() and width.isdecimal()) or min(int(height), int(width)) < 16:
        raise UserError(
            f"--window: expected HEIGHTxWIDTH such as 768x768, both at least 16, got {text!r}: try --window 768x768"
        )
    return int(height), int(width)


def _expand(images: list[Path], out: Path) -> list[Path]:
    """The pictures, each once; says what a folder holds besides."""
    pictures: dict[Path, Path] = {}
    for image in images:
        found = [image]
        if image.is_dir():
            if image.resolve() == out.resolve():
                raise UserError(f"expected --out outside the pictures, got their folder {out}: choose another --out")
            files = sorted(path for path in image.iterdir() if path.is_file() and not path.name.startswith("."))
            found = [path for path in files if path.suffix.lower() in SUFFIXES]
            others = [path.name for path in files if path not in found]
            if not found:
                raise UserError(
                    f"{image}: expected pictures ({' '.join(SUFFIXES)}), found none and {len(others)} other files: "
                    "name the folder that holds them"
                )
            if others:
                print(f"{image}: {len(others)} other files left out, such as {others[0]}")
        pictures |= {path.resolve(): path for path in found}
    return list(pictures.values())


def _check(pictures: list[Path], out: Path) -> None:
    """Stop before anything is written if a file can't be read, or if a result would replace another file's."""
    names: dict[str, Path] = {}
    for path in pictures:
        if path.stem in names:
            raise UserError(
                f"expected images with different names, found {names[path.stem]} and {path}: "
                "label them one by one, each with its own --out"
            )
        names[path.stem] = path
    inputs = {path.resolve(): path for path in pictures}
    for path in pictures:
        for result in _results(path, out):
            if result.resolve() in inputs:
                raise UserError(f"expected to keep the picture {result}, but --out would replace it: choose another")
        read_photograph(path)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"expected to make the folder {out}, found {error.strerror}: choose another --out") from None


def _results(path: Path, out: Path) -> tuple[Path, Path]:
    return out / f"{path.stem}_overlay.png", out / f"{path.stem}_labels.png"


def _label(trained: TrainedNetwork, path: Path, out: Path, tta: bool, window: tuple[int, int] | None) -> None:
    image = read_photograph(path, note=tqdm.write)
    tiles = len(trained.tiles(image.shape[-2:], window))
    if tiles > 1:
        tqdm.write(f"{path}: {image.shape[1]}x{image.shape[2]} pixels are labelled in {tiles} tiles")
    try:
        prediction = trained.predict(image, tta, window)
    except torch.OutOfMemoryError:
        raise UserError(
            f"{path}: expected memory for {image.shape[1]}x{image.shape[2]} pixels, found too little on the GPU: "
            "give a smaller --window, such as 256x256, or leave out --tta"
        ) from None
    results = (overlay(image, prediction, trained.labels), label_image(prediction, trained.labels))
    for result, target in zip(results, _results(path, out), strict=True):
        write_atomically(target, lambda draft, result=result: result.save(draft, format="PNG"))


if __name__ == "__main__":
    main()
