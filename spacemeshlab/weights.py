"""A trained network as one file for others: weights, and what is needed to use them (chapter 13).

The file is safetensors: tensors and text, nothing that runs when it is read. The text holds the recipe, the classes
with their colours and label values, and the normalisation, each as JSON, so nobody has to guess them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from spacemeshlab.checkpoint import write_atomically
from spacemeshlab.data.labels import RGB, LabelSet
from spacemeshlab.data.transforms import MEAN, STD
from spacemeshlab.errors import UserError
from spacemeshlab.recipe import Recipe

VERSION = 1
"""Of the metadata: raised when an older version of this package could not understand a new file."""

_VERSION_KEY = "spacemeshlab_weights"
_WRAPPERS = ("module.", "_forward_module.", "_original_module.")  # DistributedDataParallel's and Fabric's
_COMPILED = "_orig_mod."  # torch.compile's; anywhere in a name, as single layers can be compiled too

_BUILT_BY = {
    "backbone": "backbone",
    "spam": "spam, attention and backbone",
    "context": "context, rates and backbone",
    "decoder": "spam, attention, context and backbone",
    "aux_head": "aux_weight (0 builds no auxiliary head) and backbone",
}
"""Part of the network -> the recipe's fields that decide what it looks like."""


@dataclass(frozen=True)
class Weights:
    """What a weights file holds.

    Attributes:
        tensors: name -> tensor, on the CPU.
        recipe: what was trained.
        classes: K class names; position = class index.
        palette: K colours (R, G, B), 0..255.
        file_values: K values; what the data set's label files store for each class.
        mean, std: of the normalisation, R G B.
    """

    tensors: dict[str, Tensor]
    recipe: Recipe
    classes: tuple[str, ...]
    palette: tuple[RGB, ...]
    file_values: tuple[int, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]


def save_weights(net: nn.Module, path: str | Path, recipe: Recipe, labels: LabelSet) -> None:
    """Write the weights of ``net`` and everything that using them needs, in one step.

    Args:
        net: plain, compiled or wrapped for several processes; the names in the file are the plain network's.
        path: the file, by custom ``….safetensors``.
        recipe: what it was trained with.
        labels: its classes.

    Raises:
        UserError: no room, or no right to write there.
    """
    tensors = {_plain(name): tensor.detach().cpu().contiguous() for name, tensor in net.state_dict().items()}
    values = {
        "recipe": recipe.as_dict(),
        "classes": labels.classes,
        "palette": labels.palette,
        "file_values": labels.file_values,
        "mean": MEAN,
        "std": STD,
    }
    metadata = {"format": "pt", _VERSION_KEY: str(VERSION)} | {
        name: json.dumps(value) for name, value in values.items()
    }
    content = safetensors.torch.save(tensors, metadata)  # its own writing hides why a file can't be written
    write_atomically(Path(path), lambda draft: draft.write_bytes(content))


def load_weights(path: str | Path) -> Weights:
    """Read a file of :func:`save_weights`.

    Raises:
        UserError: no file, no safetensors, a cut one, one without our metadata, or one of a newer version; one line.
    """
    path = Path(path)
    if not path.is_file():
        found = "a folder" if path.is_dir() else "no such file"
        raise UserError(f"expected weights at {path}, found {found}: name the model.safetensors of a finished run")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            _check_version(metadata, path)
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except (SafetensorError, OSError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"expected weights as safetensors at {path}, found {path.stat().st_size} bytes that can't be read so "
            f"({reason}): copy the file again, or name a run's model.safetensors"
        ) from None
    try:
        return Weights(tensors, **_parse(metadata))
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UserError(
            f"expected recipe, classes, palette, label values and normalisation in {path}, found others: "
            "they were changed after training; take the file out of its run again"
        ) from None


def load_state(net: nn.Module, tensors: Mapping[str, Tensor], source: str | Path) -> None:
    """Load ``tensors`` into ``net``, every layer or none; numbers take the network's precision.

    Names may carry the prefixes of torch.compile, DistributedDataParallel and Fabric, on either side.

    Args:
        net: changed in place.
        tensors: name -> tensor.
        source: where they come from; for the message.

    Raises:
        UserError: a layer that is missing, too many or of another shape; names the first one in the network's order.
    """
    own = net.state_dict()
    wanted = {_plain(name): tensor for name, tensor in own.items()}
    found = {_plain(name): tensor for name, tensor in tensors.items()}
    differing = [name for name in wanted if name not in found or _unlike(wanted[name], found[name])]
    differing += [name for name in found if name not in wanted]
    if differing:
        raise UserError(_explain(differing, wanted, found, source))
    net.load_state_dict({name: found[_plain(name)] for name in own})


def check_labels(labels: LabelSet, stored: Mapping[str, Sequence], source: str | Path) -> None:
    """Refuse weights of other classes, of another order or with other colours: all would be read as something else.

    Args:
        labels: the data set's.
        stored: what the file holds of ``classes``, ``palette`` and ``file_values``.
        source: the file; for the message.

    Raises:
        UserError: names the first class that differs.
    """
    remedy = "use the version of spacemeshlab that trained it, or train again"
    for what, word in (("classes", "name"), ("palette", "colour"), ("file_values", "label value")):
        ours, theirs = getattr(labels, what), stored.get(what, getattr(labels, what))
        if len(theirs) != len(ours):
            raise UserError(
                f"expected the {len(ours)} classes of {labels.name}, found {len(theirs)} in {source}: {remedy}"
            )
        for index, (expected, found) in enumerate(zip(ours, theirs, strict=True)):
            found = tuple(found) if isinstance(found, list) else found
            if found != expected:
                raise UserError(
                    f"expected class {index} of {labels.name} with the {word} {expected!r}, found {found!r} in "
                    f"{source}: {remedy}"
                )


def _plain(name: str) -> str:
    """The name without what wrappers put before and into it."""
    name = name.replace(_COMPILED, "")
    while name.startswith(_WRAPPERS):
        name = name.partition(".")[2]
    return name


def _unlike(wanted: Tensor, found: Tensor) -> bool:
    """Another shape, or whole numbers in place of broken ones, as in a quantised network."""
    return wanted.shape != found.shape or wanted.is_floating_point() != found.is_floating_point()


def _explain(differing: list[str], wanted: dict[str, Tensor], found: dict[str, Tensor], source: str | Path) -> str:
    first, more = differing[0], len(differing) - 1
    counts = _class_counts(differing, wanted, found)
    expected = f"{first} of {_describe(wanted[first])}" if first in wanted else f"no layer {first}"
    seen = _describe(found[first]) if first in found else "no such layer"
    others = f" (and {more} more that differ)" if more else ""
    if counts:
        expected += f" for {counts[0]} classes"
        seen += f" for {counts[1]} classes"
        remedy = "use the recipe and the data set that these weights were trained with"
    else:
        fields = _BUILT_BY.get(first.partition(".")[0])
        remedy = "use the recipe, and the version of spacemeshlab, that these weights were trained with"
        remedy += f"; this layer depends on {fields}" if fields else ""
    return f"expected {expected}, found {seen} in {source}{others}: {remedy}"


def _describe(tensor: Tensor) -> str:
    kind = "" if tensor.is_floating_point() else f" and type {str(tensor.dtype).removeprefix('torch.')}"
    return f"shape {tuple(tensor.shape)}{kind}"


def _class_counts(differing: list[str], wanted: dict[str, Tensor], found: dict[str, Tensor]) -> tuple[int, int] | None:
    """(expected, found) if the number of classes is all that differs: only first sides, everywhere the same pair."""
    if any(name not in wanted or name not in found for name in differing):
        return None
    shapes = [(wanted[name].shape, found[name].shape) for name in differing]
    if any(not ours or not theirs or ours[1:] != theirs[1:] for ours, theirs in shapes):
        return None
    pairs = {(ours[0], theirs[0]) for ours, theirs in shapes}
    ours, theirs = pairs.pop()
    return (ours, theirs) if not pairs and ours != theirs else None


def _check_version(metadata: dict[str, str], path: Path) -> None:
    if _VERSION_KEY not in metadata:
        raise UserError(
            f"expected weights with their recipe and classes in {path}, found safetensors without: "
            "name a model.safetensors that this package wrote, or the run directory"
        )
    version = metadata[_VERSION_KEY]
    if not version.isdecimal() or int(version) > VERSION:
        raise UserError(
            f"expected weights of format {VERSION} or older in {path}, found format {version}: "
            "update spacemeshlab to the version that wrote them"
        )


def _parse(metadata: dict[str, str]) -> dict:
    """The fields of :class:`Weights` but its tensors."""
    values = {name: json.loads(metadata[name]) for name in ("classes", "palette", "file_values", "mean", "std")}
    parsed = {
        "recipe": Recipe.from_dict(json.loads(metadata["recipe"])),
        "classes": tuple(str(name) for name in values["classes"]),
        "palette": tuple((int(red), int(green), int(blue)) for red, green, blue in values["palette"]),
        "file_values": tuple(int(value) for value in values["file_values"]),
        "mean": tuple(float(value) for value in values["mean"]),
        "std": tuple(float(value) for value in values["std"]),
    }
    sizes = [len(parsed[name]) for name in ("classes", "palette", "file_values", "mean", "std")]
    if sizes != [sizes[0]] * 3 + [3] * 2:
        raise ValueError(f"lengths {sizes} do not belong together")
    return parsed
