"""Look for the reason why a network does no better than its baseline: tables, and as the last line one JSON object.

python scripts/diagnose.py BASELINE_RUN OURS_RUN [BASELINE_RUN OURS_RUN ...] --data-root DIR --out FILE
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from spacemeshlab import crosscheck, diagnosis, pace, reach
from spacemeshlab.arguments import Parser
from spacemeshlab.checkpoint import read_origin
from spacemeshlab.data import open_dataset
from spacemeshlab.data.loaders import train_loader
from spacemeshlab.data.transforms import eval_transform, train_transform
from spacemeshlab.errors import UserError, exit_codes
from spacemeshlab.predict import TrainedNetwork, load_network
from spacemeshlab.provenance import origin
from spacemeshlab.records import plain, write_record

LOOPED = 4  # images that the loop predicts, too


@exit_codes
def main() -> None:
    arguments = _arguments()
    names = [folder.resolve().name for folder in arguments.runs]
    folders, pairs = dict(zip(names, arguments.runs, strict=True)), list(zip(names[::2], names[1::2], strict=True))
    trained = {name: _finished(folder) for name, folder in folders.items()}
    for one, other in pairs:
        pace.check_twins(trained[one].recipe, trained[other].recipe)
    curves = {name: pace.curve(folder) for name, folder in folders.items()}
    rates = pace.learning_rates(arguments.learning_rates)
    result: dict[str, Any] = {"networks": {}}
    for name, one in trained.items():
        found = _examine(one, arguments.data_root, arguments.images)
        result["networks"][name] = {"trained": read_origin(folders[name]), "curve": curves[name]} | found
        print(_table(name, found), flush=True)
    result["pairs"] = pace.compare(pairs, curves)
    print("\n".join(f"{one['network']}: {one['verdict']}" for one in result["pairs"]))
    result |= {"learning_rates": rates, "diagnosed": origin()}
    write_record(arguments.out, result)
    print(json.dumps(plain(result)))


def _finished(folder: Path) -> TrainedNetwork:
    one = load_network(folder)
    if one.iteration is None or one.iteration < one.recipe.iterations:
        found = "weights alone" if one.iteration is None else f"one at {one.iteration} of {one.recipe.iterations}"
        raise UserError(f"expected a finished run with its checkpoint in {folder}, found {found}: train it to its end")
    return one


def _examine(one: TrainedNetwork, root: Path, images: int) -> dict[str, Any]:
    """All measurements of one run, at its start and at its end."""
    net, recipe = one.net.cpu(), one.recipe
    augment = train_transform(recipe.crop, recipe.scale_range, recipe.flip, recipe.scale)
    batches = open_dataset(recipe.dataset, root, "train", augment)
    batch = next(iter(train_loader(batches, recipe.batch_size, recipe.iterations, recipe.seed, 0)))
    train_set, val_set = (open_dataset(recipe.dataset, root, split, eval_transform()) for split in ("train", "val"))
    some = {data: _spread(len(data), images) for data in (train_set, val_set)}
    states = {"first": diagnosis.first_network(recipe, len(one.labels)), "last": net}
    found: dict[str, Any] = {when: diagnosis.examine(state, batch, recipe) for when, state in states.items()}
    start, end = (dict(state.named_parameters()) for state in states.values())
    found["moved"] = diagnosis.apart(start, end)
    found["check"] = crosscheck.examine(net, val_set, _spread(len(val_set), LOOPED), batch, recipe)
    small, large = reach.map_size(recipe.crop), reach.map_size(val_set[0][1].shape, recipe.scale)
    found["reach"] = {"training": small, "testing": large} | reach.shares(net, small, large)
    found["fit"] = {
        "train": reach.fit(net, train_set, some[train_set], recipe),
        "val": reach.fit(net, val_set, some[val_set], recipe),
        "val_silenced": reach.fit(reach.silenced(net, small), val_set, some[val_set], recipe),
        "val_window": reach.fit(net, val_set, some[val_set], recipe, recipe.crop),
    }
    found["findings"] = crosscheck.findings(found["check"])
    found["findings"] += [f"{when}: {said}" for when in states for said in diagnosis.findings(found[when])]
    return found


def _spread(length: int, number: int) -> list[int]:
    """At most ``number`` indices, evenly over 0..length - 1."""
    number = min(number, length)
    return [(2 * index + 1) * length // (2 * number) for index in range(number)]


def _table(name: str, found: dict[str, Any]) -> str:
    """What was found about one network, for the eye."""
    lines = [name, f"  {'part':10}{'|g|/|w| first':>16}{'last':>10}{'moved':>8}"]
    for part, first in found["first"]["parts"].items():
        last, moved = found["last"]["parts"][part]["relative"], found["moved"][part]
        lines.append(f"  {part:10}{first['relative']:16.2g}{last:10.2g}{moved:8.0%}")
    for index, first in found["first"]["exchanges"].items():
        for way, ratio in first.items():
            both = (ratio, found["last"]["exchanges"][index][way])
            lines.append(
                f"  exchange {index}, {way:11}" + " ".join("–" if one is None else f"{one:.2f}" for one in both)
            )
    lines += [f"  {where:13} loss {fit['loss']:.3f}, mIoU {fit['miou']:.3f}" for where, fit in found["fit"].items()]
    lines.append(
        f"  taps: {found['reach']['trained']:.0%} trained, {found['reach']['surprised']:.0%} used by testing alone"
    )
    return "\n".join(lines + [f"  ! {said}" for said in found["findings"]])


def _arguments() -> argparse.Namespace:
    parser = Parser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN_DIR", help="pairs of finished runs: baseline, ours")
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the JSON")
    parser.add_argument("--images", type=int, default=101, help="of each split, evenly spread")
    parser.add_argument("--learning-rates", nargs="*", type=Path, default=[], metavar="RUN_DIR", help="runs to list")
    arguments = parser.parse_args()
    folders = {folder.resolve() for folder in arguments.runs}
    if len({folder.name for folder in folders}) < len(folders):
        parser.error("expected runs with names of their own, got two folders of one name: rename one")
    if len(arguments.runs) % 2:
        parser.error(f"expected pairs of runs, got {len(arguments.runs)}: give each of ours its baseline")
    if arguments.images < 1:
        parser.error(f"argument --images: expected 1 or more, got {arguments.images}")
    if not arguments.out.parent.is_dir() or arguments.out.is_dir():
        parser.error(f"argument --out: expected a file's name in a folder that exists, got {arguments.out}")
    return arguments


if __name__ == "__main__":
    main()
