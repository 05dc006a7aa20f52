"""ToyCity's ground: road, pavement, grass, rails, and what is painted on the road (chapter 03)."""

from __future__ import annotations

import numpy as np

from spacemeshlab.data._toycity.canvas import FRONT, GROUND, SKY, Canvas, Material, Plane, box
from spacemeshlab.data._toycity.street import END, Street
from spacemeshlab.data._toycity.things import PAINTS, pick, tint

PAINT = Material((0.86, 0.86, 0.84), "asphalt")


def _strip(canvas: Canvas, x0: float, x1: float, material: Material, label: str | None, z0=1.5, z1=END + 8) -> None:
    """A band of ground along the street, cut into pieces so that it bends with it."""
    z = np.geomspace(z0, z1, 14)
    outline = np.concatenate([np.stack([np.full(14, x0), z], axis=1), np.stack([np.full(14, x1), z], axis=1)[::-1]])
    canvas.paint(Plane(GROUND), outline, material, label)


def ground(street: Street) -> None:
    canvas, rng = street.canvas, street.rng
    height, width = canvas.camera.size
    row = canvas.camera.horizon
    sky = np.array([(0, 0), (width, 0), (width, row + 1), (0, row + 1)], dtype=float)
    canvas.paint_pixels(sky, Plane(SKY), Material(texture="sky"), "sky")
    land = np.array([(0, row), (width, row), (width, height), (0, height)], dtype=float)
    grass = Material(tint(rng, (0.36, 0.46, 0.20)), "grass")
    canvas.paint_pixels(land, Plane(GROUND), grass, "terrain")
    grey = float(rng.uniform(0.30, 0.42))
    asphalt = Material(tint(rng, (grey, grey, grey * 1.03), 0.02), "asphalt")
    slabs = Material(tint(rng, pick(rng, ((0.58, 0.56, 0.53), (0.50, 0.50, 0.51), (0.60, 0.50, 0.44)))), "paving")
    stone = Material((0.66, 0.65, 0.63), "concrete")
    for side in (street.left, street.right):
        s = side.sign
        _strip(canvas, s * side.kerb, s * (side.line + 0.2), slabs, "sidewalk")
        if side.walk > side.kerb:
            _strip(canvas, s * side.kerb, s * side.walk, grass, "terrain")
        _strip(canvas, s * side.kerb, s * (side.kerb + 0.28), stone, "sidewalk")
    if street.crossing < END:
        _side_street(street, asphalt, slabs)
    _strip(canvas, -street.left.kerb, street.right.kerb, asphalt, "road")
    if rng.random() < 0.2 and street.right.parking:  # a paved parking bay, which does not count
        _strip(canvas, street.right.kerb - 2.2, street.right.kerb, slabs, "parking", z1=street.crossing - 6)
    if street.rails is not None:
        _rails(street)
    _markings(street)


def _side_street(street: Street, asphalt: Material, slabs: Material) -> None:
    z = street.crossing
    for side in (street.left, street.right):
        far, near = side.sign * 60.0, side.sign * (side.kerb - 0.5)
        street.canvas.paint(Plane(GROUND), box(near, z - 5.5, far, z + 5.5), slabs, "sidewalk")
        street.canvas.paint(Plane(GROUND), box(near, z - 3.2, far, z + 3.2), asphalt, "road")


def _rails(street: Street) -> None:
    x, canvas = street.rails, street.canvas
    bed = Material((0.42, 0.39, 0.36), "gravel")
    _strip(canvas, x - 1.75, x + 1.75, bed, "rail track", z1=street.crossing - 4)
    _strip(canvas, x - 1.75, x + 1.75, bed, "rail track", z0=street.crossing + 4, z1=max(END, street.crossing + 5))
    for z in np.arange(3.0, 30.0, 0.7):
        canvas.paint(Plane(GROUND), box(x - 1.2, z, x + 1.2, z + 0.25), Material((0.33, 0.29, 0.25), "gravel"))
    for u in (-0.72, 0.72):
        _strip(canvas, x + u - 0.05, x + u + 0.05, Material((0.62, 0.60, 0.58)), None)


def _markings(street: Street) -> None:
    canvas, rng = street.canvas, street.rng
    phase = float(rng.uniform(0, 6))
    for z in np.arange(2.0 + phase, 70.0, 6.0):
        if abs(z + 1.5 - street.crossing) > 8:
            canvas.paint(Plane(GROUND), box(-1.74, z, -1.58, z + 3.0), PAINT)
    for edge, side in ((-5.15, street.left), (1.75, street.right)):
        if side.parking or (side is street.left and street.rails is not None):
            _strip(canvas, edge - 0.06, edge + 0.06, PAINT, None, z1=min(street.crossing - 6, END))
    for _ in range(int(rng.integers(0, 4))):  # mended asphalt and manholes
        x, z = float(rng.uniform(-4.5, 1.2)), float(rng.uniform(5, 30))
        grey = float(rng.uniform(0.24, 0.34))
        canvas.paint(
            Plane(GROUND), box(x, z, x + float(rng.uniform(0.6, 1.6)), z + 4), Material((grey,) * 3, "asphalt")
        )
        canvas.disc(Plane(GROUND), (x - 0.8, z), 0.36, Material((0.16, 0.16, 0.17), "gravel"))
    if street.crossing < END or rng.random() < 0.3:  # a zebra crossing
        z = street.crossing - 9.0 if street.crossing < END else float(rng.uniform(10, 25))
        for x in np.arange(-street.left.kerb + 0.4, street.right.kerb - 0.5, 1.1):
            canvas.paint(Plane(GROUND), box(x, z, x + 0.55, z + 3.2), PAINT)


def bonnet(canvas: Canvas, rng: np.random.Generator) -> None:
    """The camera's own car at the lower border: ``ego vehicle``, which does not count."""
    height, width = canvas.camera.size
    t = np.linspace(-1.0, 1.0, 17)
    rise = height * float(rng.uniform(0.04, 0.085))
    arc = np.stack([width * (0.5 + 0.52 * t), height - rise * (1.0 - 0.75 * np.abs(t) ** 3)], axis=1)
    outline = np.concatenate([arc, [(width, height), (0.0, height)]])
    paint = Material(tint(rng, pick(rng, PAINTS[:5])), "steel")
    canvas.paint_pixels(outline, Plane(FRONT, 1.5), Material(tuple(0.6 * np.asarray(paint.colour))), "ego vehicle")
    inner = np.concatenate([arc + np.array([0.0, 0.3 * rise]), [(width * 0.9, height + 2), (width * 0.1, height + 2)]])
    canvas.paint_pixels(inner, Plane(FRONT, 1.5), Material(tuple(0.75 * np.asarray(paint.colour))))
