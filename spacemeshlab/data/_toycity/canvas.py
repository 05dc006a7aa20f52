"""ToyCity's paper: cut-outs on three kinds of planes, seen by one pinhole camera (chapter 03).

World coordinates are metres: X to the right, Y up from the ground, Z ahead of the camera. Everything in a scene is a
polygon on a plane of constant Z (``front``), constant X (``side``) or Y = 0 (``ground``), painted far to near. A
:class:`Canvas` keeps, for every polygon, one number in an id buffer (for the picture, see ``light``) and, if
the polygon has a label, integer vertices in a label map: the same vertices that the data set's JSON file lists.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from spacemeshlab.data.labels import CITYSCAPES

OVERSAMPLE = 2
"""The id buffer has this many rows and columns for each one of the picture (anti-aliasing); labels are never mixed."""

NEAR = 1.0  # metres; nothing is nearer to the camera

LABEL_IDS: dict[str, int] = {
    **dict(zip(CITYSCAPES.classes, CITYSCAPES.file_values, strict=True)),
    **{"unlabeled": 0, "ego vehicle": 1, "static": 4, "parking": 9, "rail track": 10},  # void: they do not count
}
"""Cityscapes' label id of every label that occurs in ToyCity."""

RGB = tuple[float, float, float]
Point2 = tuple[float, float]
Point3 = tuple[float, float, float]
FRONT, SIDE, GROUND, SKY = range(4)


class Plane(NamedTuple):
    """A plane to paint on: ``front`` at depth ``at`` has (u, v) = (X, Y); ``side`` at X = ``at`` has (Z, Y); ``ground``
    has (X, Z). A side leans outwards by ``lean`` metres a metre above height ``belt``, as the windows of a car do."""

    axis: int
    at: float = 0.0
    lean: float = 0.0
    belt: float = 0.0

    def lift(self, u: float, v: float) -> Point3:
        """The world point (X, Y, Z) of a point on the plane."""
        if self.axis == FRONT:
            return u, v, self.at
        if self.axis == SIDE:
            return self.at + self.lean * max(v - self.belt, 0.0), v, u
        return u, 0.0, v


@dataclass(frozen=True)
class Camera:
    """A pinhole camera above a street that bends by ``bend * Z**2`` metres; lengths in pixels unless said otherwise."""

    size: tuple[int, int]  # H, W
    focal: float
    height: float  # metres above the ground
    centre: float  # column of the vanishing point
    horizon: float  # row of the vanishing point
    bend: float  # 1 / metres

    def project(self, point: Point3) -> Point2:
        """World point -> column and row, measured from the picture's upper left corner."""
        x, y, z = point
        z = max(z, NEAR)
        return self.centre + self.focal * (x / z + self.bend * z), self.horizon + self.focal * (self.height - y) / z

    def side_depth(self, x: np.ndarray, column: np.ndarray) -> np.ndarray:
        """Depth Z, metres, at which a column sees the plane X = x: the smaller root of bend*Z**2 - t*Z + x = 0."""
        t = (column - self.centre) / self.focal
        root = np.sqrt(np.maximum(t * t - 4.0 * self.bend * x, 0.0)) + 1e-6
        return 2.0 * x / (t + np.copysign(root, x))


class Material(NamedTuple):
    """What a polygon is made of."""

    colour: RGB = (0.5, 0.5, 0.5)
    texture: str = "plain"
    glow: float = 0.0  # 1: shines by itself
    extra: tuple[float, ...] = ()  # the texture's own numbers, at most 9


@dataclass
class Canvas:
    """Collects one scene: id buffer, shadows, label map and the labelled polygons in painting order."""

    camera: Camera
    surfaces: list[tuple[Plane, Material]] = field(default_factory=list)
    objects: list[dict] = field(default_factory=list)

    def __post_init__(self) -> None:
        height, width = self.camera.size
        self.labels = Image.new("L", (width, height), LABEL_IDS["unlabeled"])
        fine = (width * OVERSAMPLE, height * OVERSAMPLE)
        self.ids, self.shadows = Image.new("I", fine, 0), Image.new("L", fine, 0)
        self._labels, self._ids, self._shadows = (ImageDraw.Draw(x) for x in (self.labels, self.ids, self.shadows))
        self.surfaces.append((Plane(SKY), Material(texture="sky")))

    def paint(self, plane: Plane, uv: object, material: Material | None, label: str | None = None) -> None:
        """Paint the polygon ``uv`` (n, 2), metres on ``plane``; without a material only its label, and vice versa."""
        self.paint_pixels([self.camera.project(plane.lift(u, v)) for u, v in _points(uv)], plane, material, label)

    def paint_pixels(self, xy: object, plane: Plane, material: Material | None, label: str | None = None) -> None:
        """Paint the polygon ``xy`` (n, 2), columns and rows of the picture."""
        xy = [(float(x), float(y)) for x, y in xy]
        height, width = self.camera.size
        left, top, right, bottom = _bounds(xy)
        if right <= 0 or bottom <= 0 or left >= width or top >= height or max(right - left, bottom - top) < 0.5:
            return
        if left < 0 or top < 0 or right > width or bottom > height:
            xy = _clip(xy, width, height)
            if len(xy) < 3:
                return
        if material is not None:
            self._ids.polygon(_fine(xy), fill=len(self.surfaces))
            self.surfaces.append((plane, material))
        if label is not None:
            polygon = _to_pixels(xy, width, height)
            self._labels.polygon([tuple(point) for point in polygon], fill=LABEL_IDS[label])
            self.objects.append({"label": label, "polygon": polygon})

    def limb(self, plane: Plane, ends: object, width: float, material: Material | None, label: str | None = None):
        """A straight bar between two points (2, 2), metres; at least a pixel wide, so that thin things stay visible."""
        (u0, v0), (u1, v1) = ends
        depth = plane.at if plane.axis == FRONT else max(min(u0, u1) if plane.axis == SIDE else min(v0, v1), NEAR)
        half = max(width, 1.1 * depth / self.camera.focal) / 2
        length = max(math.hypot(u1 - u0, v1 - v0), 1e-6)
        du, dv = -(v1 - v0) / length * half, (u1 - u0) / length * half
        corners = [(u0 + du, v0 + dv), (u1 + du, v1 + dv), (u1 - du, v1 - dv), (u0 - du, v0 - dv)]
        self.paint(plane, corners, material, label)

    def disc(
        self, plane: Plane, centre: Point2, radius: float | Point2, material: Material | None, label: str | None = None
    ) -> None:
        """An ellipse with radii ``radius`` (one number, or along u and v), metres."""
        (u, v), (ru, rv) = centre, radius if isinstance(radius, tuple) else (radius, radius)
        self.paint(plane, [(u + ru * c, v + rv * s) for c, s in _CIRCLE], material, label)

    def shadow(self, uv: object, strength: float = 1.0) -> None:
        """Darken the ground inside ``uv`` (n, 2): X and Z, metres. What stands on the ground hides its shadow."""
        xy = [self.camera.project((x, 0.0, z)) for x, z in _points(uv)]
        self._shadows.polygon(_fine(xy), fill=round(255 * strength))


def box(u0: float, v0: float, u1: float, v1: float) -> list[Point2]:
    """The four corners of an upright rectangle."""
    return [(u0, v0), (u1, v0), (u1, v1), (u0, v1)]


_CIRCLE = [(math.cos(i * math.tau / 14), math.sin(i * math.tau / 14)) for i in range(14)]


def _points(uv: object) -> list[Point2]:
    return uv.tolist() if isinstance(uv, np.ndarray) else uv


def _bounds(xy: list[Point2]) -> tuple[float, float, float, float]:
    columns, rows = [x for x, _ in xy], [y for _, y in xy]
    return min(columns), min(rows), max(columns), max(rows)


def _fine(xy: list[Point2]) -> list[Point2]:
    return [(x * OVERSAMPLE - 0.5, y * OVERSAMPLE - 0.5) for x, y in xy]


def _to_pixels(xy: list[Point2], width: int, height: int) -> list[list[int]]:
    """Outline -> vertices [column, row] on pixels such that Pillow, which also fills the outline, keeps the area: left
    and upper edges take the first pixel inside, right and lower ones the last."""
    left, top, right, bottom = _bounds(xy)
    middle, centre = (left + right) / 2, (top + bottom) / 2
    return [
        [
            min(max(math.floor(x + 0.5) - (x > middle), 0), width - 1),
            min(max(math.floor(y + 0.5) - (y > centre), 0), height - 1),
        ]
        for x, y in xy
    ]


def _clip(points: list[Point2], width: int, height: int) -> list[Point2]:
    """Cut a polygon at the picture's border, one edge after the other (Sutherland and Hodgman, 1974)."""
    for axis, sign, limit in ((0, 1, 0), (0, -1, -width), (1, 1, 0), (1, -1, -height)):
        kept = []
        for start, end in zip(points, points[1:] + points[:1], strict=True):
            a, b = sign * start[axis] - limit, sign * end[axis] - limit
            if a >= 0:
                kept.append(start)
            if (a >= 0) != (b >= 0):
                t = a / (a - b)
                kept.append((start[0] + t * (end[0] - start[0]), start[1] + t * (end[1] - start[1])))
        points = kept
    return points
