"""ToyCity's paper: cut-outs on three kinds of planes, seen by one pinhole camera (chapter 03).

World coordinates are metres: X to the right, Y up from the ground, Z ahead of the camera. Everything in a scene is a
polygon on a plane of constant Z (``front``), constant X (``side``) or Y = 0 (``ground``), painted far to near. A
:class:`Canvas` keeps, for every polygon, one number in an id buffer (for the picture, see ``_toycity_light``) and, if
the polygon has a label, integer vertices in a label map: the same vertices that the data set's JSON file lists.
"""

from __future__ import annotations

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
FRONT, SIDE, GROUND, SKY = range(4)


class Plane(NamedTuple):
    """A plane to paint on: ``front`` at depth ``at`` has (u, v) = (X, Y); ``side`` at X = ``at`` has (Z, Y); ``ground``
    has (X, Z). A side leans inwards by ``lean`` metres a metre above height ``belt``, as the windows of a car do."""

    axis: int
    at: float = 0.0
    lean: float = 0.0
    belt: float = 0.0

    def lift(self, uv: np.ndarray) -> np.ndarray:
        """Points (n, 2) on the plane, metres -> points (n, 3) in the world."""
        u, v = uv[:, 0], uv[:, 1]
        if self.axis == SIDE:
            return np.stack([self.at + self.lean * np.maximum(v - self.belt, 0.0), v, u], axis=1)
        if self.axis == GROUND:
            return np.stack([u, np.zeros_like(u), v], axis=1)
        return np.stack([u, v, np.full_like(u, self.at)], axis=1)


@dataclass(frozen=True)
class Camera:
    """A pinhole camera above a street that bends by ``bend * Z**2`` metres; lengths in pixels unless said otherwise."""

    size: tuple[int, int]  # H, W
    focal: float
    height: float  # metres above the ground
    centre: float  # column of the vanishing point
    horizon: float  # row of the vanishing point
    bend: float  # 1 / metres

    def project(self, points: np.ndarray) -> np.ndarray:
        """World points (n, 3) -> (n, 2) columns and rows, measured from the picture's upper left corner."""
        z = np.maximum(points[:, 2], NEAR)
        x = self.centre + self.focal * (points[:, 0] / z + self.bend * z)
        return np.stack([x, self.horizon + self.focal * (self.height - points[:, 1]) / z], axis=1)

    def side_depth(self, x: np.ndarray, column: np.ndarray) -> np.ndarray:
        """Depth Z, metres, at which a column sees the plane X = x: the smaller root of bend*Z**2 - t*Z + x = 0."""
        t = (column - self.centre) / self.focal
        root = np.sqrt(np.maximum(t * t - 4.0 * self.bend * x, 0.0))
        return 2.0 * x / (t + np.where(x < 0, -root, root) + np.where(x < 0, -1e-6, 1e-6))


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
        self.paint_pixels(self.camera.project(plane.lift(np.asarray(uv, dtype=float))), plane, material, label)

    def paint_pixels(self, xy: np.ndarray, plane: Plane, material: Material | None, label: str | None = None) -> None:
        """Paint the polygon ``xy`` (n, 2), columns and rows of the picture."""
        height, width = self.camera.size
        low, high = xy.min(axis=0), xy.max(axis=0)
        if high[0] <= 0 or high[1] <= 0 or low[0] >= width or low[1] >= height or (high - low).max() < 0.5:
            return
        if low[0] < -width or low[1] < -height or high[0] > 2 * width or high[1] > 2 * height:
            xy = _clip(xy, width, height)
            if not len(xy):
                return
        if material is not None:
            self._ids.polygon(_fine(xy), fill=len(self.surfaces))
            self.surfaces.append((plane, material))
        polygon = [] if label is None else _to_pixels(xy, width, height)
        if polygon:
            self._labels.polygon([tuple(point) for point in polygon], fill=LABEL_IDS[label])
            self.objects.append({"label": label, "polygon": polygon})

    def limb(self, plane: Plane, ends: object, width: float, material: Material | None, label: str | None = None):
        """A straight bar between two points (2, 2), metres; at least a pixel wide, so that thin things stay visible."""
        (u0, v0), (u1, v1) = ends
        depth = plane.at if plane.axis == FRONT else max(min(u0, u1) if plane.axis == SIDE else min(v0, v1), NEAR)
        half = max(width, 1.1 * depth / self.camera.focal) / 2
        length = max(float(np.hypot(u1 - u0, v1 - v0)), 1e-6)
        du, dv = -(v1 - v0) / length * half, (u1 - u0) / length * half
        corners = [(u0 + du, v0 + dv), (u1 + du, v1 + dv), (u1 - du, v1 - dv), (u0 - du, v0 - dv)]
        self.paint(plane, corners, material, label)

    def disc(
        self, plane: Plane, centre: object, radius: float | tuple, material: Material | None, label: str | None = None
    ):
        """An ellipse with radii ``radius`` (one number, or along u and v), metres."""
        self.paint(plane, np.asarray(centre) + _CIRCLE * np.asarray(radius), material, label)

    def shadow(self, uv: object, strength: float = 1.0) -> None:
        """Darken the ground inside ``uv`` (n, 2): X and Z, metres. What stands on the ground hides its shadow."""
        xy = self.camera.project(Plane(GROUND).lift(np.asarray(uv, dtype=float)))
        self._shadows.polygon(_fine(xy), fill=round(255 * strength))


def box(u0: float, v0: float, u1: float, v1: float) -> list[tuple[float, float]]:
    """The four corners of an upright rectangle."""
    return [(u0, v0), (u1, v0), (u1, v1), (u0, v1)]


_ANGLES = np.arange(14) * (2 * np.pi / 14)
_CIRCLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)


def _fine(xy: np.ndarray) -> list[tuple[float, float]]:
    return list(map(tuple, (np.clip(xy, -9999, 9999) * OVERSAMPLE - 0.5).tolist()))


def _to_pixels(xy: np.ndarray, width: int, height: int) -> list[list[int]]:
    """Outline (n, 2) -> vertices (n, 2) on pixels such that Pillow, which also fills the outline, keeps the area."""
    if xy.min() < 0 or xy[:, 0].max() > width or xy[:, 1].max() > height:
        xy = _clip(xy, width, height, margin=0)
        if not len(xy):
            return []
    middle = (xy.min(axis=0) + xy.max(axis=0)) / 2
    pixels = np.floor(xy + 0.5) - (xy > middle)  # left and upper edges: first pixel inside; right and lower: last one
    return np.clip(pixels, 0, (width - 1, height - 1)).astype(int).tolist()


def _clip(xy: np.ndarray, width: int, height: int, margin: int = 8) -> np.ndarray:
    """Cut a polygon (n, 2) at the picture's border plus a margin, edge after edge (Sutherland and Hodgman, 1974)."""
    points = xy.tolist()
    for axis, sign, limit in ((0, 1, -margin), (0, -1, -width - margin), (1, 1, -margin), (1, -1, -height - margin)):
        kept = []
        for start, end in zip(points, points[1:] + points[:1], strict=True):
            a, b = sign * start[axis] - limit, sign * end[axis] - limit
            if a >= 0:
                kept.append(start)
            if (a >= 0) != (b >= 0):
                t = a / (a - b)
                kept.append([start[0] + t * (end[0] - start[0]), start[1] + t * (end[1] - start[1])])
        points = kept
    return np.array(points)
