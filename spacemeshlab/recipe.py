"""Everything that distinguishes one training run from another, in one frozen dataclass (chapter 13).

A recipe is a name and a set of values; ``key=value`` strings change single values. The comment beside each field gives
the paper's value (P, with its section) or our reading (R) where the paper is silent.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import typing
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from spacemeshlab.data import DATASETS
from spacemeshlab.errors import UserError
from spacemeshlab.models.backbone import BACKBONES
from spacemeshlab.models.network import CONTEXTS
from spacemeshlab.models.variants import VARIANTS, needs

_CHOICES = {
    "dataset": tuple(DATASETS),
    "backbone": BACKBONES,
    "context": CONTEXTS,
    "variant": VARIANTS,
    "precision": ("32-true", "bf16-mixed", "16-mixed"),
}
_LEAST = {
    "iterations": 1,
    "batch_size": 2,
    "momentum": 0,
    "weight_decay": 0,
    "aux_weight": 0,
    "seed": 0,
    "devices": 1,
    "accumulate": 1,
    "test_multiple": 1,
    "workers": 0,
    "validate_every": 1,
}
_MOST = {  # far beyond anything of use; without a limit the loss, an image or the generator overflows
    "seed": 2**63 - 1,
    "lr": 10**6,
    "momentum": 1,
    "weight_decay": 10**6,
    "aux_weight": 10**6,
    "poly_power": 10**6,
    "scale": 100,
}
_FORMS = {
    "crop": "HEIGHTxWIDTH such as 768x768",
    "rates": "a range such as 1-18 or a list such as 6,12,18",
    "scale_range": "LOW-HIGH such as 0.5-2",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
}


@dataclass(frozen=True)
class Recipe:
    """One training run, written down. The defaults are the paper's Cityscapes run."""

    name: str = "cityscapes"  # of the preset; the run's folder is called so too
    dataset: str = "cityscapes"  # P (section 3): Cityscapes and Pascal-Context

    backbone: str = "resnet101"  # P (section 3): resnet50 and resnet101
    pretrained: bool = True  # P (section 1): ImageNet weights
    spam: bool = True  # P (table 1)
    attention: bool = True  # P (table 1): SCA and CCA
    context: str = "metrocon2"  # P (table 2): "metrocon2" or "aspp"
    rates: tuple[int, ...] = tuple(range(1, 19))  # P (section 2.2): 1..18 on both axes
    variant: str = "none"  # R: none; an ablation that the paper lacks, see spacemeshlab.models.variants

    iterations: int = 80_000  # P (section 3): 80K
    batch_size: int = 8  # P (section 3): 8, over all devices together
    crop: tuple[int, int] = (768, 768)  # R: DeepLabV3 crops 769, which is no multiple of 16
    scale: float = 1.0  # R: 1; resizes every image before anything else, in training and in testing
    scale_range: tuple[float, float] = (0.5, 2.0)  # R: DeepLabV3's random scale
    flip: bool = True  # R: DeepLabV3's random horizontal flip
    test_multiple: int = 1  # P (section 3): 16 for Pascal-Context, whose test images are cut down to such a size

    lr: float = 0.01  # P (section 3): 0.01
    momentum: float = 0.9  # R: DeepLabV3
    weight_decay: float = 5e-4  # R: common reproductions of DeepLabV3
    poly_power: float = 0.9  # R: DeepLabV3
    aux_weight: float = 0.4  # P (section 3): 0.4; 0 builds the network without the auxiliary head

    seed: int = 0  # R: the paper names none; of the first weights, the batches and the augmentation
    precision: str = "32-true"  # R: Lightning Fabric's names: 32-true, bf16-mixed, 16-mixed
    devices: int = 1  # R: GPUs on one machine; on a CPU, processes
    accumulate: int = 1  # R: parts of a batch that follow each other on a device that cannot hold it at once
    channels_last: bool = True  # memory format; convolutions like it
    compile: bool = False  # torch.compile the network; worth its minutes in long runs on a GPU
    cache: bool = False  # keep decoded images and labels beside the data set: loading without decoding PNGs
    workers: int = 4  # loader processes; 0 loads in the training process
    validate_every: int = 2_000  # iterations between two validations; every one also writes a checkpoint

    def __post_init__(self) -> None:
        for field, choices in _CHOICES.items():
            if getattr(self, field) not in choices:
                found = repr(getattr(self, field))
                raise UserError(f"{field} must be one of {', '.join(choices)}, got {found}: choose one of these")
        there = {"spam": self.spam, "attention": self.spam and self.attention, "metrocon2": self.context == "metrocon2"}
        if not there.get(needs(self.variant), True):
            raise UserError(
                f"variant={self.variant} needs a network with {needs(self.variant)}, got one without: set variant=none"
            )
        height, width = self.crop
        if any(side <= 0 or side % 16 for side in self.crop):
            nearest = "x".join(str(max(16, round(side / 16) * 16)) for side in self.crop)
            raise UserError(f"crop must be positive multiples of 16, got {height}x{width}: try crop={nearest}")
        for field, least in _LEAST.items():
            if not getattr(self, field) >= least:
                why = " (batch norm needs two images)" if field == "batch_size" else ""
                raise UserError(
                    f"{field} must be at least {least}{why}, got {getattr(self, field)}: set {field}={least}"
                )
        for field in ("lr", "scale", "poly_power"):
            if not getattr(self, field) > 0:
                usual = Recipe.__dataclass_fields__[field].default
                raise UserError(f"{field} must be positive, got {getattr(self, field)}: {field}={usual} is usual")
        for field, most in _MOST.items():
            if not getattr(self, field) <= most:
                raise UserError(f"{field} must be at most {most}, got {getattr(self, field)}: set a smaller {field}")
        if not 0 < self.scale_range[0] <= self.scale_range[1] <= _MOST["scale"]:
            raise UserError(
                f"scale_range must be LOW-HIGH with 0 < LOW <= HIGH, got {self.scale_range}: try scale_range=0.5-2"
            )
        if not self.rates or self.rates[0] < 1 or any(a >= b for a, b in itertools.pairwise(self.rates)):
            raise UserError(f"rates must increase from 1 or more, got {self.rates}: try rates=1-18 or rates=6,12,18")
        parts = self.devices * self.accumulate
        if self.batch_size % parts:
            nearest = -(-self.batch_size // parts) * parts
            raise UserError(
                f"batch_size must be a multiple of devices={self.devices} times accumulate={self.accumulate}, "
                f"got {self.batch_size}: set batch_size={nearest}"
            )

    @property
    def data_root(self) -> Path:
        """Where the scripts look for the data set unless they are told: data/toycity, or data/ and its name."""
        return Path("data") / ("toycity" if self.name == "toycity" else self.dataset)

    def override(self, pairs: Iterable[str]) -> Recipe:
        """Return a copy with ``key=value`` strings applied.

        Raises:
            UserError: an unknown key (lists the valid ones) or a value of the wrong type.
        """
        types = typing.get_type_hints(Recipe)
        changes: dict[str, object] = {}
        for pair in pairs:
            key, equals, text = pair.partition("=")
            if not equals or key not in types:
                keys = ", ".join(types)
                raise UserError(f"expected key=value with one of the keys {keys}; got {pair!r}: choose one of these")
            changes[key] = _parse(key, types[key], text)
        return dataclasses.replace(self, **changes)

    def as_dict(self) -> dict:
        """Plain values for JSON and checkpoints (tuples become lists)."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    @classmethod
    def from_dict(cls, values: dict) -> Recipe:
        """Rebuild a recipe from its JSON values (lists become tuples again).

        Raises:
            UserError: fields or values that a recipe does not have.
        """
        try:
            if not isinstance(values, dict):
                raise TypeError(f"a {type(values).__name__}")
            unknown = set(values) - {field.name for field in dataclasses.fields(cls)}
            if unknown:
                raise UserError(
                    f"expected the fields of a recipe, found unknown fields {sorted(unknown)}: it was written by "
                    "another version; use that one, or train again"
                )
            return cls(**{key: tuple(value) if isinstance(value, list) else value for key, value in values.items()})
        except UserError:
            raise
        except (TypeError, ValueError) as error:
            raise UserError(
                f"expected the values of a recipe, found others ({error}): restore them, or train again"
            ) from None


def _parse(key: str, kind: object, text: str) -> object:
    """Read one value as the field's type; ``768x768``, ``1-18``, ``6,12,18`` and ``0.5-2`` are understood."""
    try:
        if kind is bool:
            return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}[text.lower()]
        if key == "crop":
            height, width = (int(side) for side in text.lower().split("x"))
            return height, width
        if key == "rates":
            return _parse_rates(text)
        if key == "scale_range":
            low, high = (float(end) for end in text.split("-"))
            return low, high
        return kind(text)  # int, float, str
    except (ValueError, KeyError):
        form = _FORMS.get(key) or _FORMS[kind]
        raise UserError(f"{key} expects {form}, got {text!r}: give {key} such a value") from None


def _parse_rates(text: str) -> tuple[int, ...]:
    if "-" in text:
        first, last = (int(end) for end in text.split("-"))
        return tuple(range(first, last + 1))
    return tuple(int(rate) for rate in text.split(","))


_CITYSCAPES = Recipe()

RECIPES: dict[str, Recipe] = {
    "cityscapes": _CITYSCAPES,
    # photographs of everything, about 375 x 500; 59 classes
    "pascal-context": dataclasses.replace(
        _CITYSCAPES,
        name="pascal-context",
        dataset="pascal-context",
        crop=(480, 480),  # R: the paper names none; the images are smaller than Cityscapes' crop
        test_multiple=16,
    ),
    # generated streets, in Cityscapes' layout; under two minutes on two CPU cores
    "toycity": dataclasses.replace(
        _CITYSCAPES,
        name="toycity",
        backbone="resnet18",
        pretrained=False,
        iterations=60,
        batch_size=4,
        crop=(128, 256),
        scale=0.5,
        scale_range=(0.75, 1.5),
        lr=0.05,
        workers=0,
        validate_every=30,
    ),
    # 367 photographs of 360 x 480; one GPU
    "camvid": dataclasses.replace(
        _CITYSCAPES,
        name="camvid",
        dataset="camvid",
        backbone="resnet50",
        iterations=20_000,
        crop=(352, 480),
        validate_every=1_000,
    ),
    # the same photographs at half the side: from scratch, on a CPU with patience
    "camvid-cpu": dataclasses.replace(
        _CITYSCAPES,
        name="camvid-cpu",
        dataset="camvid",
        backbone="resnet18",
        pretrained=False,
        iterations=800,
        crop=(192, 240),
        scale=0.5,
        lr=0.05,
        workers=1,
        validate_every=200,
    ),
    # whole tables on a CPU; one that computes bfloat16 takes a quarter of an hour of one core for a row and a seed
    "camvid-small": dataclasses.replace(
        _CITYSCAPES,
        name="camvid-small",
        dataset="camvid",
        backbone="resnet18",
        pretrained=False,
        iterations=600,
        crop=(128, 160),
        scale=0.5,
        lr=0.05,
        precision="bf16-mixed",
        cache=True,
        workers=0,
        validate_every=300,
    ),
}


def get_recipe(name: str, overrides: Iterable[str] = ()) -> Recipe:
    """The preset ``name`` with ``key=value`` overrides.

    Raises:
        UserError: unknown name, key or value.
    """
    if name not in RECIPES:
        raise UserError(f"expected a recipe out of {', '.join(RECIPES)}; got {name!r}: choose one of these")
    return RECIPES[name].override(overrides)
