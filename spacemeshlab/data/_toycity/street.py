"""ToyCity's street: its width, its kerbs, and the painter's list of what stands where (chapter 03).

The street runs along Z; the camera drives in its right lane at X = 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from spacemeshlab.data._toycity.canvas import Camera, Canvas
from spacemeshlab.data._toycity.light import Light
from spacemeshlab.data._toycity.things import drop_shadow, shadow_under

Job = tuple[float, float, Callable[[], None]]  # depth, X, what to do

END = 120.0  # metres; the street ends here

THEMES = ("bus", "train", "truck", "square")
"""What scene ``index`` shows for certain: theme ``index % 4``, so that four scenes in a row hold all classes."""


@dataclass(frozen=True)
class Kerbs:
    """One side of the street: sign of X, and the X of kerb, pavement and building line, metres from the camera."""

    sign: int
    kerb: float
    walk: float
    line: float
    parking: bool


@dataclass
class Street:
    """One scene in the making."""

    canvas: Canvas
    rng: np.random.Generator
    sun: tuple[float, float, float]
    theme: str
    left: Kerbs
    right: Kerbs
    crossing: float  # depth of the side street, metres; beyond END: none
    rails: float | None  # X of the tram's rails
    jobs: list[Job] = field(default_factory=list)
    rows: list[tuple[float, float, float]] = field(default_factory=list)  # X, near and far end of what is long

    def put(self, x: float, depth: float, job: Callable[..., None], *args: object, **kwargs: object) -> None:
        """Remember to call ``job(canvas, rng, *args)`` for something at X = x, whose far end is at ``depth``."""
        self.jobs.append((depth, x, lambda: job(self.canvas, self.rng, *args, **kwargs)))

    def stand(self, job: Callable[..., None], x: float, z: float, half: float, tall: float, **kwargs: object) -> None:
        """Put something on the ground together with its shadow; ``half`` its half width, ``tall`` its height."""
        drop_shadow(self.canvas, x, z, half, tall, self.sun)
        self.put(x, z, job, x, z, **kwargs)

    def drive(
        self, job: Callable[..., None], x: float, z: float, width: float, length: float, **kwargs: object
    ) -> None:
        """Put a vehicle on the road together with its shadow."""
        shadow_under(self.canvas, x, z, width, length, self.sun)
        if abs(x) > width / 2 and not kwargs.get("crossing"):  # its side is seen
            self.rows.append((x, z, z + length))
            self.put(x, z + length, job, x, z, **kwargs)
        else:
            self.put(x, z, job, x, z, **kwargs)

    def paint(self) -> None:
        """Do all jobs, the farthest first (the painter's algorithm), so that near things hide far ones.

        What stands behind a long vehicle's side, farther from the street's middle, comes before the whole vehicle.
        """
        jobs, self.jobs = self.jobs, []
        for _, _, job in sorted(jobs, key=lambda job: self._depth(*job[:2]), reverse=True):
            job()

    def _depth(self, depth: float, x: float) -> float:
        ends = [end for at, near, end in self.rows if at * x > 0 and abs(x) > abs(at) + 0.5 and near < depth <= end]
        return max([depth, *ends]) + (0.001 * abs(x) if ends else 0.0)


def plan(rng: np.random.Generator, index: int, size: tuple[int, int], light: Light) -> Street:
    """Choose camera, lanes, kerbs and side street of scene ``index``."""
    height, width = size
    theme = THEMES[index % len(THEMES)]
    focal = 0.75 * min(width, 2 * height) * float(rng.uniform(0.92, 1.12))
    camera = Camera(
        size=size,
        focal=focal,
        height=float(rng.uniform(1.4, 1.9)),
        centre=width * float(rng.uniform(0.42, 0.58)),
        horizon=height * float(rng.uniform(0.40, 0.48)),
        bend=float(rng.uniform(-0.0013, 0.0013)),
    )
    tram = theme == "train"
    rails = -7.0 if tram else None
    sides = []
    for sign, lane in ((-1, 5.2), (1, 1.9)):
        parking = bool(rng.random() < 0.65) and not (tram and sign < 0)
        kerb = lane + (2.2 if parking else 0.0) + (3.5 if tram and sign < 0 else 0.0)
        walk = kerb + (float(rng.uniform(1.2, 2.2)) if rng.random() < 0.5 else 0.0)
        sides.append(Kerbs(sign, kerb, walk, walk + float(rng.uniform(2.2, 3.4)), parking))
    near = 24.0 if theme in ("bus", "truck") else 17.0  # nothing crosses in front of the theme
    crossing = near + float(rng.uniform(0, 13)) if theme == "square" or rng.random() < 0.5 else 2 * END
    return Street(Canvas(camera), rng, light.direction, theme, sides[0], sides[1], crossing, rails)
