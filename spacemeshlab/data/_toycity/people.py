"""ToyCity's people, on foot, on bicycles and on motorcycles (chapter 03).

They face the camera like paper figures: every part lies on the plane at their depth z. Sizes are those of adults.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from spacemeshlab.data._toycity.canvas import FRONT, RGB, Canvas, Material, Plane, box
from spacemeshlab.data._toycity.things import AMBER, DARK, METAL, PAINTS, RUBBER, TAIL, pick, tint

CLOTHES: tuple[RGB, ...] = (
    (0.15, 0.16, 0.20), (0.25, 0.30, 0.42), (0.55, 0.16, 0.18), (0.75, 0.70, 0.62), (0.20, 0.38, 0.30),
    (0.80, 0.55, 0.20), (0.42, 0.28, 0.48), (0.86, 0.86, 0.84), (0.38, 0.55, 0.70), (0.35, 0.28, 0.22),
)  # fmt: skip
SKINS: tuple[RGB, ...] = ((0.93, 0.76, 0.64), (0.80, 0.60, 0.46), (0.56, 0.38, 0.27), (0.36, 0.24, 0.18))


def _head(canvas, plane, u, v, rng, label, helmet=None):
    canvas.disc(plane, (u, v), (0.105, 0.14), Material(pick(rng, SKINS)), label)
    hair = helmet or Material(pick(rng, ((0.12, 0.09, 0.07), (0.35, 0.22, 0.12), (0.75, 0.62, 0.38), (0.6, 0.6, 0.6))))
    canvas.paint(plane, [(u - 0.10, v + 0.03), (u + 0.10, v + 0.03), (u + 0.06, v + 0.14), (u - 0.06, v + 0.14)], hair)


def person(canvas: Canvas, rng: np.random.Generator, x: float, z: float) -> None:
    """Somebody who stands or walks, an adult or a child."""
    size = float(rng.uniform(0.9, 1.05)) if rng.random() < 0.85 else 0.66
    stride, lean = float(rng.uniform(0.05, 0.3)), float(rng.normal(0.0, 0.03))
    coat, legs = (Material(tint(rng, pick(rng, CLOTHES))) for _ in range(2))
    plane = Plane(FRONT, z)

    def limb(u0, v0, u1, v1, width, material):
        canvas.limb(plane, [(x + u0 * size, v0 * size), (x + u1 * size, v1 * size)], width * size, material, "person")

    limb(lean - 0.07, 0.85, -stride, 0.04, 0.15, legs)
    limb(lean + 0.07, 0.85, stride, 0.04, 0.15, legs)
    limb(-stride - 0.04, 0.04, -stride + 0.10, 0.04, 0.09, RUBBER)
    limb(stride - 0.04, 0.04, stride + 0.10, 0.04, 0.09, RUBBER)
    long_coat = 0.55 if rng.random() < 0.3 else 0.80
    shoulders = [(-0.17, long_coat), (0.17, long_coat), (0.20, 1.36), (0.10, 1.47), (-0.10, 1.47), (-0.20, 1.36)]
    canvas.paint(plane, [(x + (u + lean) * size, v * size) for u, v in shoulders], coat, "person")
    sleeve = Material(tuple(0.82 * np.asarray(coat.colour)))
    limb(lean - 0.21, 1.38, -0.24 - stride * 0.4, 0.84, 0.10, sleeve)
    limb(lean + 0.21, 1.38, 0.24 + stride * 0.4, 0.84, 0.10, sleeve)
    if rng.random() < 0.3:  # a bag
        canvas.paint(plane, box(x + 0.20 * size, 0.62 * size, x + 0.42 * size, 0.9 * size), AMBER, "person")
    _head(canvas, plane, x + lean * size, 1.60 * size, rng, "person")


def _rider(canvas, rng, plane, at, hip, shoulder, hand, foot, helmet):
    """A seated figure; the points (u, v) are relative to ``at`` and make legs, back, arms and head."""
    coat, legs = (Material(tint(rng, pick(rng, CLOTHES))) for _ in range(2))
    point = {name: (at + u, v) for name, (u, v) in {"h": hip, "s": shoulder, "a": hand, "f": foot}.items()}
    knee = ((point["h"][0] + point["f"][0]) / 2 + 0.16 * np.sign(hand[0] - hip[0]), (hip[1] + foot[1]) / 2 + 0.08)
    canvas.limb(plane, [point["h"], knee], 0.17, legs, "rider")
    canvas.limb(plane, [knee, point["f"]], 0.14, legs, "rider")
    canvas.limb(plane, [point["h"], point["s"]], 0.34, coat, "rider")
    canvas.limb(plane, [point["s"], point["a"]], 0.11, coat, "rider")
    _head(canvas, plane, point["s"][0] + 0.06 * np.sign(hand[0] - hip[0]), shoulder[1] + 0.26, rng, "rider", helmet)


def _wheel(canvas, plane, u, radius, label, tyre):
    """A spoked wheel: the label fills it, as Cityscapes' annotators do; the picture shows tyre, hub and spokes."""
    canvas.disc(plane, (u, radius), radius, None, label)
    ring = np.linspace(0, 2 * np.pi, 13)
    points = np.stack([u + (radius - tyre / 2) * np.cos(ring), radius + (radius - tyre / 2) * np.sin(ring)], axis=1)
    for start, end in pairwise(points):
        canvas.limb(plane, [start, end], tyre, RUBBER)
    for start, end in zip(points[:3], points[6:9], strict=True):
        canvas.limb(plane, [start, end], 0.012, METAL)


def cycle(
    canvas: Canvas, rng: np.random.Generator, x: float, z: float, *, motor: bool, ridden: bool, crossing: bool
) -> None:
    """A bicycle or a motorcycle, from the side (``crossing``) or from behind, with or without its rider."""
    label, plane = ("motorcycle" if motor else "bicycle"), Plane(FRONT, z)
    paint = Material(tint(rng, pick(rng, PAINTS)), "steel")
    helmet = Material(tint(rng, pick(rng, PAINTS))) if motor or rng.random() < 0.6 else None
    to = 1.0 if rng.random() < 0.5 else -1.0
    if crossing:
        (_motorcycle_side if motor else _bicycle_side)(canvas, plane, x, to, paint)
        if ridden:
            hip, hand = ((-0.25, 0.82), (0.36, 0.98)) if motor else ((-0.22, 0.98), (0.40, 1.02))
            foot = (0.05, 0.32) if motor else (0.02, 0.26)
            turned = [(to * u, v) for u, v in (hip, (0.05, hip[1] + 0.52), hand, foot)]
            _rider(canvas, rng, plane, x, *turned, helmet)
        return
    canvas.limb(plane, [(x, 0.0), (x, 0.66)], 0.18 if motor else 0.07, RUBBER, label)
    canvas.limb(plane, [(x - 0.36, 1.0), (x + 0.36, 1.0)], 0.06, DARK, label)
    canvas.limb(plane, [(x, 0.5), (x, 1.0)], 0.34 if motor else 0.06, paint, label)
    if motor:
        canvas.paint(plane, box(x - 0.24, 0.45, x + 0.24, 0.82), paint, label)
        canvas.disc(plane, (x, 0.72), (0.1, 0.06), TAIL)
        for u in (-0.4, 0.4):
            canvas.disc(plane, (x + u, 1.12), 0.08, DARK, label)
    if ridden:
        coat, legs = (Material(tint(rng, pick(rng, CLOTHES))) for _ in range(2))
        for u in (-1, 1):
            canvas.limb(plane, [(x + 0.1 * u, 0.92), (x + 0.2 * u, 0.32)], 0.15, legs, "rider")
            canvas.limb(plane, [(x + 0.18 * u, 1.42), (x + 0.34 * u, 1.02)], 0.10, coat, "rider")
        canvas.limb(plane, [(x, 0.85), (x, 1.5)], 0.42, coat, "rider")
        _head(canvas, plane, x, 1.66, rng, "rider", helmet)


def _bicycle_side(canvas, plane, x, to, paint):
    for u in (-0.52, 0.52):
        _wheel(canvas, plane, x + to * u, 0.34, "bicycle", 0.055)
    corners = {
        "rear": (-0.52, 0.34),
        "seat": (-0.2, 0.8),
        "crank": (-0.05, 0.3),
        "head": (0.36, 0.78),
        "front": (0.52, 0.34),
    }
    for ends in ("rear seat", "rear crank", "seat crank", "seat head", "crank head", "head front"):
        points = [(x + to * corners[name][0], corners[name][1]) for name in ends.split()]
        canvas.limb(plane, points, 0.05, paint, "bicycle")
    canvas.limb(plane, [(x - to * 0.32, 0.92), (x - to * 0.1, 0.92)], 0.07, DARK, "bicycle")
    canvas.limb(plane, [(x + to * 0.34, 0.78), (x + to * 0.38, 1.02)], 0.05, METAL, "bicycle")
    canvas.limb(plane, [(x + to * 0.30, 1.02), (x + to * 0.44, 1.02)], 0.06, DARK, "bicycle")


def _motorcycle_side(canvas, plane, x, to, paint):
    for u in (-0.68, 0.68):
        canvas.disc(plane, (x + to * u, 0.32), 0.32, RUBBER, "motorcycle")
        canvas.disc(plane, (x + to * u, 0.32), 0.17, METAL)
    body = [(-0.95, 0.78), (-0.3, 0.70), (0.0, 0.95), (0.35, 0.92), (0.5, 0.6), (0.2, 0.28), (-0.35, 0.28), (-0.6, 0.5)]
    canvas.paint(plane, [(x + to * u, v) for u, v in body], paint, "motorcycle")
    canvas.paint(plane, [(x + to * u, v) for u, v in ((-0.3, 0.3), (0.2, 0.3), (0.25, 0.55), (-0.3, 0.55))], DARK)
    canvas.limb(plane, [(x - to * 0.85, 0.80), (x - to * 0.1, 0.76)], 0.12, DARK, "motorcycle")
    canvas.limb(plane, [(x + to * 0.68, 0.32), (x + to * 0.38, 1.08)], 0.09, METAL, "motorcycle")
    canvas.limb(plane, [(x - to * 0.2, 0.3), (x - to * 0.9, 0.38)], 0.1, METAL, "motorcycle")
