"""All suspects examined, of every run, and what pairs of runs say together (chapter 15; ``scripts/diagnose.py``)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from spacemeshlab.checkpoint import read_origin
from spacemeshlab.data import open_dataset
from spacemeshlab.data.loaders import train_loader
from spacemeshlab.data.transforms import eval_transform, train_transform
from spacemeshlab.diagnosis import crosscheck, pace, reach, signals
from spacemeshlab.errors import UserError
from spacemeshlab.predict import TrainedNetwork, load_network
from spacemeshlab.results import Difference, Summary, difference

LOOPED = 4  # images that the loop predicts, too


def load_finished(run_dir: Path) -> TrainedNetwork:
    """A run that came to its end.

    Raises:
        UserError: no run, or one that did not.
    """
    one = load_network(run_dir)
    if one.iteration is None or one.iteration < one.recipe.iterations:
        found = "weights alone" if one.iteration is None else f"one at {one.iteration} of {one.recipe.iterations}"
        raise UserError(f"expected a finished run with its checkpoint in {run_dir}, found {found}: train it to its end")
    return one


def examine(run_dir: Path, data_root: Path, images: int) -> dict[str, Any]:
    """Every measurement of one finished run, at its start and at its end, ready for JSON.

    Args:
        images: at most so many of each split are looked at, evenly spread.

    Raises:
        UserError: as :func:`load_finished` and :func:`~spacemeshlab.diagnosis.pace.curve`.
    """
    one = load_finished(run_dir)
    net, recipe = one.net.cpu(), one.recipe
    augment = train_transform(recipe.crop, recipe.scale_range, recipe.flip, recipe.scale)
    batches = open_dataset(recipe.dataset, data_root, "train", augment)
    batch = next(iter(train_loader(batches, recipe.batch_size, recipe.iterations, recipe.seed, 0)))
    train_set, val_set = (
        open_dataset(recipe.dataset, data_root, split, eval_transform()) for split in ("train", "val")
    )
    train_images, val_images = (_spread(len(data), images) for data in (train_set, val_set))
    states = {"first": signals.first_network(recipe, len(one.labels)), "last": net}
    found: dict[str, Any] = {"trained": read_origin(run_dir), "curve": pace.curve(run_dir)}
    found |= {when: signals.examine(state, batch, recipe) for when, state in states.items()}
    found["moved"] = signals.apart(*(dict(state.named_parameters()) for state in states.values()))
    found["check"] = crosscheck.examine(net, val_set, _spread(len(val_set), LOOPED), batch, recipe)
    small, large = reach.map_size(recipe.crop), reach.map_size(val_set[0][1].shape, recipe.scale)
    found["reach"] = {"training": small, "testing": large} | reach.shares(net, small, large)
    found["fit"] = {
        "train": reach.fit(net, train_set, train_images, recipe),
        "val": reach.fit(net, val_set, val_images, recipe),
        "val_silenced": reach.fit(reach.silenced(net, small), val_set, val_images, recipe),
        "val_window": reach.fit(net, val_set, val_images, recipe, recipe.crop),
    }
    found["findings"] = crosscheck.findings(found["check"])
    found["findings"] += [f"{when}: {said}" for when in states for said in signals.findings(found[when])]
    return found


def _spread(length: int, number: int) -> list[int]:
    """At most ``number`` indices, evenly over 0..length - 1."""
    number = min(number, length)
    return [(2 * index + 1) * length // (2 * number) for index in range(number)]


def compare(pairs: Iterable[tuple[str, str]], networks: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the pairs of each kind of network say together: a difference counts if its interval does not reach zero.

    Args:
        pairs: names, baseline and ours. Names that end in ``-seed`` and a number are of one kind up to there.
        networks: name -> :func:`examine`.

    Returns:
        For each kind: ``network``; ``steps``, the difference of the curves of every pair; and ``differences``, each
        with ``seeds``, ``mean`` and the ``margin`` of its 95 % interval (None for one seed). They are, of ours minus
        the baseline: ``training_loss`` at the end, ``train_loss``, ``val_loss``, ``val_miou``; and of ours with the
        taps silenced that no training map reaches, minus ours as it is: ``silenced_loss``, ``silenced_miou``.
    """
    kinds: dict[str, list[tuple[str, str]]] = {}
    for one, other in pairs:
        kinds.setdefault(other.rpartition("-seed")[0] or other, []).append((one, other))
    return [{"network": kind} | _together(found, networks) for kind, found in kinds.items()]


def _together(pairs: list[tuple[str, str]], networks: Mapping[str, Any]) -> dict[str, Any]:
    """The steps and the differences of the pairs of one kind."""
    baselines, ours = ([networks[name] for name in names] for names in zip(*pairs, strict=True))

    def of(nets: list[Any], split: str, key: str) -> list[float]:
        return [net["fit"][split][key] for net in nets]

    found = {"training_loss": _apart([pace.last_loss(net) for net in ours], [pace.last_loss(net) for net in baselines])}
    for split, key in (("train", "loss"), ("val", "loss"), ("val", "miou")):
        found[f"{split}_{key}"] = _apart(of(ours, split, key), of(baselines, split, key))
    for key in ("loss", "miou"):
        found[f"silenced_{key}"] = _apart(of(ours, "val_silenced", key), of(ours, "val", key))
    steps = [
        {"baseline": one, "ours": other} | pace.steps(networks[one]["curve"], networks[other]["curve"])
        for one, other in pairs
    ]
    return {"differences": found, "steps": steps}


def _apart(ones: list[float], others: list[float]) -> dict[str, Any]:
    """The mean of ``ones`` minus ``others``, in pairs, and its margin."""
    return dataclasses.asdict(difference(Summary(dict(enumerate(ones))), Summary(dict(enumerate(others)))))


def table(name: str, found: Mapping[str, Any]) -> str:
    """What :func:`examine` found about one network, for the eye."""
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


def summary(found: Mapping[str, Any]) -> str:
    """What :func:`compare` found about one kind of network, for the eye."""
    lines = [found["network"]]
    for name, values in found["differences"].items():
        one = Difference(**values)
        margin = "" if one.margin is None else f" ± {one.margin:.4f}"
        lines.append(f"  {name:14}{one.mean:+.4f}{margin}, {one.verdict}")
    return "\n".join(lines)
