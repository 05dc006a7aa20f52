"""ToyCity's vehicles: cars, trucks, buses and trams as boxes with an end and a side (chapter 03).

A vehicle that drives along the street shows the camera the face at depth z and the side that looks at the street's
middle; one that crosses shows its side only. ``oncoming`` turns it round.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from spacemeshlab.data._toycity.canvas import FRONT, SIDE, Canvas, Material, Plane, box
from spacemeshlab.data._toycity.things import AMBER, DARK, HEAD, METAL, PAINTS, PANE, RUBBER, TAIL, pick, tint

WHITE = Material((0.92, 0.92, 0.90))


def _wheels(canvas, plane, at, radius, label):
    for u in at:
        canvas.disc(plane, (u, radius), radius, RUBBER, label)
        canvas.disc(plane, (u, radius), 0.55 * radius, METAL)


# side views: (u, v) from the rear bumper forwards, metres
_BODIES = {
    "hatchback": (
        4.0,
        [(0, 0.28), (0, 0.8), (0.1, 0.98), (0.45, 1.42), (1.0, 1.48), (2.0, 1.45), (2.75, 1.0), (3.7, 0.85),
         (4, 0.6), (4, 0.28)],
        [[(0.5, 1.0), (0.65, 1.34), (1.2, 1.38), (1.2, 1.0)], [(1.3, 1.0), (1.3, 1.38), (1.95, 1.35), (2.5, 1.0)]],
    ),
    "saloon": (
        4.6,
        [(0, 0.3), (0, 0.85), (0.15, 0.98), (0.8, 1.02), (1.35, 1.4), (2.4, 1.43), (3.2, 0.98),
         (4.3, 0.85), (4.6, 0.6), (4.6, 0.3)],
        [[(1.05, 1.02), (1.45, 1.32), (1.85, 1.34), (1.85, 1.02)], [(1.95, 1.02), (1.95, 1.34), (2.4, 1.34),
         (2.95, 1.0)]],
    ),
    "van": (
        4.9,
        [(0, 0.3), (0, 1.2), (0.08, 1.9), (0.4, 2.0), (3.2, 1.98), (4.0, 1.2), (4.7, 1.05), (4.9, 0.7), (4.9, 0.3)],
        [[(0.4, 1.15), (0.45, 1.78), (1.6, 1.78), (1.6, 1.15)], [(1.75, 1.15), (1.75, 1.78), (3.1, 1.76), (3.65, 1.2)]],
    ),
}  # fmt: skip


def car(canvas: Canvas, rng: np.random.Generator, x: float, z: float, *, oncoming=False, crossing=False) -> None:
    """A hatchback, a saloon or a van; ``x`` is its middle, ``z`` its nearest end."""
    length, outline, windows = _BODIES[pick(rng, ("hatchback", "hatchback", "saloon", "saloon", "van"))]
    paint = Material(tint(rng, pick(rng, PAINTS)), "steel")
    roof = max(v for _, v in outline)
    half = 0.88 if roof < 1.6 else 0.95
    belt = 1.0 if roof < 1.6 else 1.2
    if crossing:
        to = 1.0 if rng.random() < 0.5 else -1.0
        _car_side(canvas, Plane(FRONT, z), x - to * length / 2, to, length, outline, windows, paint)
        return
    if abs(x) > half:
        plane = Plane(SIDE, x - np.sign(x) * half, lean=0.45 * np.sign(x), belt=belt)
        start, to = (z + length, -1.0) if oncoming else (z, 1.0)
        _car_side(canvas, plane, start, to, length, outline, windows, paint)
    profile = [(length - u, v) for u, v in outline[::-1]] if oncoming else outline
    _car_end(canvas, x, z, profile, half, belt, paint, oncoming)


def _car_side(canvas, plane, start, to, length, outline, windows, paint):
    canvas.paint(plane, [(start + to * u, v) for u, v in outline], paint, "car")
    canvas.paint(plane, [(start + to * u, v) for u, v in box(0.05, 0.28, length - 0.05, 0.42)], DARK)
    for window in windows:
        canvas.paint(plane, [(start + to * u, v) for u, v in window], PANE)
    canvas.paint(plane, [(start + to * u, v) for u, v in box(0.0, 0.7, 0.14, 0.88)], TAIL)
    canvas.paint(plane, [(start + to * u, v) for u, v in box(length - 0.25, 0.6, length - 0.02, 0.74)], HEAD)
    _wheels(canvas, plane, (start + to * 0.78, start + to * (length - 0.82)), 0.32, "car")


def _car_end(canvas, x, z, profile, half, belt, paint, oncoming):
    """The end that the camera sees: the side's profile, up to the roof, pulled across the car's width."""
    plane = Plane(FRONT, z)
    for u in (-half + 0.14, half - 0.14):
        canvas.paint(plane, box(x + u - 0.11, 0.0, x + u + 0.11, 0.4), RUBBER, "car")
    top = max(range(len(profile)), key=lambda i: profile[i][1]) + 1
    rows = [(z + u, v, half - 0.45 * max(v - belt, 0.0)) for u, v in profile[: top + 1]]
    for low, high in list(pairwise(rows))[::-1]:
        _across(canvas, x, low, high, 0.0, paint, "car")
        if high[1] - low[1] > 0.3 and low[1] > belt - 0.05:
            _across(canvas, x, low, high, 0.07, PANE, None)
    canvas.paint(plane, box(x - half + 0.02, 0.26, x + half - 0.02, 0.4), DARK)
    lamp, v = (HEAD, 0.58) if oncoming else (TAIL, 0.66)
    for u in (-half + 0.03, half - 0.31):
        canvas.paint(plane, box(x + u, v, x + u + 0.28, v + 0.14), lamp)
    canvas.paint(plane, box(x - 0.26, 0.45, x + 0.26, 0.57), WHITE)
    if oncoming:
        canvas.paint(plane, box(x - 0.5, 0.6, x + 0.5, 0.7), DARK)


def _across(canvas, x, low, high, margin, material, label):
    """The surface between two edges (z, v, half width) of a car, a margin smaller."""
    (z0, v0, half0), (z1, v1, half1) = low, high
    corners = [(-half0, v0, z0), (half0, v0, z0), (half1, v1, z1), (-half1, v1, z1)]
    middle = ((v0 + v1) / 2, (z0 + z1) / 2)
    shrink = 1.0 - 2.5 * margin
    inner = [
        (x + u - np.sign(u) * margin, middle[0] + shrink * (v - middle[0]), middle[1] + shrink * (z - middle[1]))
        for u, v, z in corners
    ]
    canvas.paint_pixels([canvas.camera.project(point) for point in inner], Plane(FRONT, min(z0, z1)), material, label)


def _box_sides(canvas, x, z, width, length, height, paint, label, low=0.35, crossing=False):
    """The two visible faces of a box. Returns its side's plane, start and end along it, and whether it is visible."""
    if crossing:
        plane = Plane(FRONT, z)
        canvas.paint(plane, box(x - length / 2, low, x + length / 2, height), paint, label)
        return plane, x - length / 2, x + length / 2, True
    inner = x - np.sign(x) * width / 2
    seen = abs(x) > width / 2
    plane = Plane(SIDE, inner)
    if seen:
        canvas.paint(plane, box(z, low, z + length, height), paint, label)
    return plane, z, z + length, seen


def truck(canvas: Canvas, rng: np.random.Generator, x: float, z: float, *, oncoming=False, crossing=False) -> None:
    """A lorry with a box body, 7 to 9 m long, and a cab of another colour."""
    length, width, height = float(rng.uniform(7.0, 9.0)), 2.45, float(rng.uniform(3.1, 3.7))
    cargo = Material(
        tint(rng, pick(rng, ((0.88, 0.88, 0.86), (0.75, 0.62, 0.4), (0.3, 0.42, 0.55), (0.62, 0.2, 0.18))))
    )
    cab, half = Material(tint(rng, pick(rng, PAINTS)), "steel"), width / 2
    plane, start, end, seen = _box_sides(canvas, x, z, width, length, height, cargo, "truck", 0.75, crossing)
    front = start if oncoming else end
    into = 1.0 if oncoming else -1.0
    if seen:
        _truck_side(canvas, plane, start, end, front, into, height, cab)
    if crossing:
        return
    face = Plane(FRONT, z)
    for u in (-half + 0.25, half - 0.25):
        canvas.paint(face, box(x + u - 0.18, 0.0, x + u + 0.18, 0.9), RUBBER, "truck")
    if oncoming:
        canvas.paint(face, box(x - half, 2.4, x + half, height), cargo, "truck")
        canvas.paint(face, box(x - half, 0.4, x + half, 2.75), cab, "truck")
        canvas.paint(face, box(x - half + 0.15, 1.55, x + half - 0.15, 2.5), PANE)
        canvas.paint(face, box(x - 0.8, 0.85, x + 0.8, 1.3), DARK)
    else:
        canvas.paint(face, box(x - half, 0.7, x + half, height), cargo, "truck")
        canvas.paint(face, box(x - half, 0.5, x + half, 0.8), DARK, "truck")
        canvas.paint(face, box(x - 0.03, 0.85, x + 0.03, height - 0.1), DARK)
        for u in (-0.35, 0.35):
            canvas.paint(face, box(x + u - 0.03, 0.85, x + u + 0.03, height - 0.1), METAL)
    for u in (-half + 0.05, half - 0.4):
        canvas.paint(face, box(x + u, 0.55, x + u + 0.35, 0.75), HEAD if oncoming else TAIL)


def _truck_side(canvas, plane, start, end, front, into, height, cab):
    deep = front + into * 1.9
    canvas.paint(plane, box(start, 0.5, end, 0.85), DARK, "truck")
    canvas.paint(plane, box(min(front, deep), 0.4, max(front, deep), 2.75), cab, "truck")
    window = [(0.25, 1.5), (1.3, 1.5), (1.3, 2.4), (0.45, 2.4)]
    canvas.paint(plane, [(front + into * u, v) for u, v in window], PANE)
    stripe = box(min(deep, front + into * 6), 0.55 * height, max(deep, front + into * 6), 0.66 * height)
    canvas.paint(plane, stripe, Material(tuple(0.8 * np.asarray(cab.colour) + 0.1)))
    _wheels(
        canvas,
        plane,
        (front + into * 1.1, front + into * (end - start - 2.1), front + into * (end - start - 1.0)),
        0.48,
        "truck",
    )


def bus(canvas: Canvas, rng: np.random.Generator, x: float, z: float, *, oncoming=False, crossing=False) -> None:
    """A city bus, 11 m long, with a row of large windows and a lit destination sign."""
    length, width, height = 11.0, 2.5, 3.05
    paint = Material(
        tint(rng, pick(rng, ((0.80, 0.16, 0.12), (0.92, 0.75, 0.15), (0.15, 0.42, 0.62), (0.9, 0.9, 0.9)))), "steel"
    )
    plane, start, end, seen = _box_sides(canvas, x, z, width, length, height, paint, "bus", 0.35, crossing)
    half = width / 2
    if seen:
        canvas.paint(plane, box(start + 0.2, 1.25, end - 0.2, 2.45), DARK)
        for u in np.arange(start + 0.35, end - 1.2, 1.45):
            canvas.paint(plane, box(u, 1.32, u + 1.3, 2.4), PANE)
        for u in (start + 1.6, (start + end) / 2):
            canvas.paint(plane, box(u, 0.4, u + 1.3, 2.45), DARK)
            canvas.paint(plane, box(u + 0.08, 0.55, u + 1.2, 2.35), PANE)
        canvas.paint(plane, box(start, 0.35, end, 0.55), DARK)
        _wheels(canvas, plane, (start + 2.3 + 1.2, end - 2.3), 0.48, "bus")
    if crossing:
        return
    face = Plane(FRONT, z)
    for u in (-half + 0.3, half - 0.3):
        canvas.paint(face, box(x + u - 0.16, 0.0, x + u + 0.16, 0.5), RUBBER, "bus")
    corners = [
        (-half, 0.3),
        (half, 0.3),
        (half, height - 0.15),
        (half - 0.15, height),
        (-half + 0.15, height),
        (-half, height - 0.15),
    ]
    canvas.paint(face, [(x + u, v) for u, v in corners], paint, "bus")
    canvas.paint(face, box(x - half + 0.12, 1.15 if oncoming else 1.6, x + half - 0.12, 2.45), PANE)
    canvas.paint(face, box(x - 0.8, 2.55, x + 0.8, 2.88), DARK)
    canvas.paint(face, box(x - 0.6, 2.63, x + 0.6, 2.8), Material((1.0, 0.68, 0.15), glow=0.9))
    for u in (-half + 0.08, half - 0.43):
        canvas.paint(face, box(x + u, 0.6, x + u + 0.35, 0.8), HEAD if oncoming else TAIL)
    canvas.paint(face, box(x - half, 0.3, x + half, 0.45), DARK)


def tram(canvas: Canvas, rng: np.random.Generator, x: float, z: float) -> None:
    """A tram of two or three cars on its rails, Cityscapes' class ``train``: rounded end, two colours, pantograph."""
    width, height, half = 2.4, 3.5, 1.2
    low, high = (Material(tint(rng, c), "steel") for c in pick(rng, _LIVERIES))
    length = 11.0 * int(rng.integers(2, 4))
    plane, start, end, seen = _box_sides(canvas, x, z, width, length, height, low, "train", 0.25)
    if seen:
        canvas.paint(plane, box(start, 1.15, end, height), high)
        for u in np.arange(start + 0.3, end - 1.4, 1.83):
            canvas.paint(plane, box(u, 1.5, u + 1.5, 2.65), PANE)
        for u in np.arange(start + 5.2, end - 2.0, 5.5):
            canvas.paint(plane, box(u, 0.4, u + 1.4, 2.8), DARK)
            canvas.paint(plane, box(u + 0.1, 0.7, u + 1.3, 2.7), PANE)
        for u in np.arange(start + 10.8, end, 11.0):
            canvas.paint(plane, box(u, 0.3, u + 0.4, height), DARK)
        canvas.paint(plane, box(start, 0.25, end, 0.5), DARK)
    for ends in ([(x - 0.5, height), (x + 0.3, height + 0.6)], [(x + 0.3, height + 0.6), (x - 0.3, height + 1.1)]):
        canvas.limb(Plane(FRONT, z + 4.0), ends, 0.06, METAL, "train")
    canvas.limb(Plane(FRONT, z + 4.0), [(x - 0.8, height + 1.1), (x + 0.6, height + 1.1)], 0.06, METAL, "train")
    face = Plane(FRONT, z)
    nose = [(-half, 0.2), (half, 0.2), (half, 2.3), (0.88, height), (-0.88, height), (-half, 2.3)]
    canvas.paint(face, [(x + u, v) for u, v in nose], low, "train")
    canvas.paint(face, [(x + u, v) for u, v in [(-half, 1.15), (half, 1.15), *nose[2:]]], high)
    shield = [(-half + 0.1, 1.4), (half - 0.1, 1.4), (half - 0.1, 2.3), (0.85, 2.8), (-0.85, 2.8), (-half + 0.1, 2.3)]
    canvas.paint(face, [(x + u, v) for u, v in shield], PANE)
    canvas.paint(face, box(x - 0.55, 2.95, x + 0.55, 3.25), Material((1.0, 0.68, 0.15), glow=0.9))
    for u in (-0.85, 0.85):
        canvas.disc(face, (x + u, 0.8), 0.16, HEAD)
    canvas.paint(face, box(x - 0.5, 0.2, x + 0.5, 0.45), AMBER)


_LIVERIES = (
    ((0.72, 0.12, 0.14), (0.90, 0.88, 0.80)),
    ((0.92, 0.74, 0.12), (0.93, 0.92, 0.88)),
    ((0.10, 0.42, 0.36), (0.86, 0.84, 0.72)),
    ((0.16, 0.30, 0.58), (0.86, 0.88, 0.90)),
)
