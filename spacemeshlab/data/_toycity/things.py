"""ToyCity's small things: poles, lamps, signs, bins, plants; and the palettes that all things share (chapter 03).

Every function paints one thing with its foot at (x, z), metres, and draws what varies from ``rng``. A thing consists of
several polygons; those with a label make its shape, the others its looks. Sizes are those of real streets.
"""

from __future__ import annotations

import numpy as np

from spacemeshlab.data._toycity.canvas import FRONT, RGB, SIDE, Canvas, Material, Plane, box

PAINTS: tuple[RGB, ...] = (
    (0.85, 0.86, 0.87), (0.62, 0.64, 0.67), (0.13, 0.14, 0.16), (0.33, 0.35, 0.38), (0.62, 0.10, 0.10),
    (0.12, 0.22, 0.46), (0.18, 0.36, 0.28), (0.78, 0.62, 0.20), (0.50, 0.32, 0.22), (0.30, 0.48, 0.66),
)  # fmt: skip
GREENS: tuple[RGB, ...] = ((0.30, 0.46, 0.17), (0.22, 0.40, 0.19), (0.39, 0.49, 0.17), (0.25, 0.36, 0.14))

RUBBER, METAL, DARK = Material((0.09, 0.09, 0.10)), Material((0.50, 0.52, 0.54), "steel"), Material((0.17, 0.18, 0.20))
PANE = Material((0.20, 0.25, 0.30), "glass")
TAIL, HEAD, AMBER = (
    Material((0.80, 0.09, 0.08), glow=0.5),
    Material((1.0, 0.98, 0.88), glow=0.7),
    Material((0.9, 0.5, 0.1)),
)


def pick(rng: np.random.Generator, items: tuple) -> object:
    return items[int(rng.integers(len(items)))]


def tint(rng: np.random.Generator, colour: RGB, spread: float = 0.05) -> RGB:
    """The colour, a little off."""
    return tuple(
        np.clip(np.asarray(colour) * (1 + spread * rng.normal()) + spread * 0.5 * rng.normal(size=3), 0.03, 1.0)
    )


def drop_shadow(canvas: Canvas, x: float, z: float, half: float, height: float, sun: tuple) -> None:
    """The shadow on the ground of something ``2 half`` wide and ``height`` tall."""
    along, ahead = -sun[0] / max(sun[1], 0.3) * height, -sun[2] / max(sun[1], 0.3) * height
    far = max(z + ahead, 1.5)
    canvas.shadow([(x - half, z), (x + half, z), (x + half * 0.7 + along, far), (x - half * 0.7 + along, far)])
    canvas.shadow([(x - half * 1.2, z - 0.15), (x + half * 1.2, z - 0.15), (x + half, z + 0.5), (x - half, z + 0.5)])


def shadow_under(canvas: Canvas, x: float, z: float, width: float, length: float, sun: tuple) -> None:
    """The dark ground below a vehicle and its shadow beside it."""
    canvas.shadow(box(x - width / 2, z - 0.25, x + width / 2, z + length))
    shift = -sun[0] / max(sun[1], 0.3) * 1.3
    low, high = min(0.0, shift), max(0.0, shift)
    canvas.shadow(box(x - width / 2 + low, z, x + width / 2 + high, z + length), 0.9)


# --- at the kerb -----------------------------------------------------------------------------------------------------


def pole(
    canvas: Canvas, x: float, z: float, height: float, width: float = 0.11, colour: RGB = (0.36, 0.38, 0.38)
) -> None:
    """An upright pole."""
    canvas.limb(Plane(FRONT, z), [(x, 0.0), (x, height)], width, Material(colour, "steel"), "pole")


def street_lamp(canvas: Canvas, x: float, z: float) -> None:
    """A tall pole with an arm over the road and a lamp."""
    to, plane = -np.sign(x) or 1.0, Plane(FRONT, z)
    pole(canvas, x, z, 7.0, 0.15)
    canvas.limb(plane, [(x, 6.95), (x + to * 1.5, 7.25)], 0.09, METAL, "pole")
    canvas.limb(plane, [(x + to * 1.2, 7.2), (x + to * 1.9, 7.3)], 0.16, Material((0.75, 0.75, 0.7)), "pole")


def traffic_light(canvas: Canvas, rng: np.random.Generator, x: float, z: float) -> None:
    """A pole with a light box; every other one reaches over the road and carries a second box."""
    plane, to, state = Plane(FRONT, z), -np.sign(x) or 1.0, int(rng.integers(3))
    boxes = [(x + to * 0.16, 2.6)]
    if rng.random() < 0.5:
        reach = float(rng.uniform(1.8, 3.2))
        pole(canvas, x, z, 5.6, 0.14)
        canvas.limb(plane, [(x, 5.5), (x + to * reach, 5.5)], 0.11, METAL, "pole")
        boxes.append((x + to * reach, 4.7))
    else:
        pole(canvas, x, z, 3.5, 0.12)
    for u, v in boxes:
        canvas.paint(plane, box(u - 0.17, v, u + 0.17, v + 0.98), Material((0.10, 0.12, 0.11)), "traffic light")
        for i, colour in enumerate(((0.15, 0.95, 0.45), (1.0, 0.75, 0.1), (1.0, 0.15, 0.1))):
            on = Material(colour, glow=1.0) if i == state else Material(tuple(0.25 * np.asarray(colour)))
            canvas.disc(plane, (u, v + 0.19 + 0.3 * i), 0.125, on)


def traffic_sign(canvas: Canvas, rng: np.random.Generator, x: float, z: float) -> None:
    """A pole with one or two signs: speed limit, warning, priority, parking, no entry."""
    plane, top = Plane(FRONT, z), float(rng.uniform(2.3, 2.9))
    pole(canvas, x, z, top + 0.3, 0.08)
    red, white, blue, yellow = (
        Material(c, glow=0.15) for c in ((0.8, 0.08, 0.1), (0.95,) * 3, (0.08, 0.3, 0.7), (0.95, 0.78, 0.1))
    )
    for v in (top, top - 0.85)[: 1 + (rng.random() < 0.35)]:
        kind = int(rng.integers(5))
        if kind == 0:
            canvas.disc(plane, (x, v), 0.34, red, "traffic sign")
            canvas.disc(plane, (x, v), 0.25, white)
            canvas.limb(plane, [(x - 0.12, v), (x + 0.12, v)], 0.16, DARK)
        elif kind == 1:
            canvas.paint(plane, [(x - 0.40, v - 0.32), (x + 0.40, v - 0.32), (x, v + 0.40)], red, "traffic sign")
            canvas.paint(plane, [(x - 0.23, v - 0.22), (x + 0.23, v - 0.22), (x, v + 0.20)], white)
        elif kind == 2:
            turned = np.array([(-1, 0), (0, 1), (1, 0), (0, -1)])
            canvas.paint(plane, (x, v) + 0.38 * turned, white, "traffic sign")
            canvas.paint(plane, (x, v) + 0.27 * turned, yellow)
        elif kind == 3:
            canvas.paint(plane, box(x - 0.36, v - 0.36, x + 0.36, v + 0.36), blue, "traffic sign")
            canvas.limb(plane, [(x - 0.08, v - 0.22), (x - 0.08, v + 0.24)], 0.1, white)
            canvas.disc(plane, (x + 0.06, v + 0.1), 0.14, white)
        else:
            canvas.disc(plane, (x, v), 0.34, red, "traffic sign")
            canvas.limb(plane, [(x - 0.22, v), (x + 0.22, v)], 0.13, white)


def litter_bin(canvas: Canvas, rng: np.random.Generator, x: float, z: float) -> None:
    """A bin or an advertising pillar: ``static``, which does not count."""
    plane = Plane(FRONT, z)
    if rng.random() < 0.7:
        canvas.paint(plane, box(x - 0.28, 0.0, x + 0.28, 0.95), Material((0.25, 0.32, 0.28), "steel"), "static")
        canvas.limb(plane, [(x - 0.3, 0.95), (x + 0.3, 0.95)], 0.12, DARK, "static")
    else:
        canvas.paint(plane, box(x - 0.6, 0.0, x + 0.6, 2.8), Material((0.35, 0.42, 0.38), "steel"), "static")
        canvas.paint(plane, box(x - 0.5, 0.7, x + 0.5, 2.3), Material(tint(rng, pick(rng, PAINTS), 0.2)))
        canvas.disc(plane, (x, 2.85), (0.68, 0.2), DARK, "static")


# --- plants ----------------------------------------------------------------------------------------------------------


def tree(canvas: Canvas, rng: np.random.Generator, x: float, z: float, height: float | None = None) -> None:
    """A leafy tree of overlapping clumps, light on top, or a conifer."""
    plane, height = Plane(FRONT, z), height or float(rng.uniform(5.5, 9.5))
    green = np.asarray(tint(rng, pick(rng, GREENS), 0.08))
    if rng.random() < 0.12:  # autumn comes early
        green = green * (1.7, 0.95, 0.7)
    trunk = Material((0.30, 0.23, 0.17), "wood")
    canvas.limb(plane, [(x, 0.0), (x, height * 0.55)], 0.05 * height, trunk, "vegetation")
    if rng.random() < 0.2 and z > 14:
        for i in range(5):
            low, wide = height * (0.15 + 0.165 * i), height * (0.26 - 0.045 * i)
            tier = [(x - wide, low), (x + wide, low), (x, low + height * 0.30)]
            canvas.paint(plane, tier, Material(tuple(green * (0.55 + 0.08 * i)), "leaves"), "vegetation")
        return
    radius, clumps = height * float(rng.uniform(0.24, 0.32)), (7 if z < 40 else 3)
    angles = rng.uniform(-0.6, np.pi + 0.6, clumps)
    for i, angle in enumerate((*angles, np.pi / 2)):
        u, v = x + 0.55 * radius * np.cos(angle), height * 0.66 + 0.7 * radius * np.sin(angle)
        shade = 0.80 + 0.22 * np.sin(angle) + 0.04 * (i % 3)
        clump(canvas, rng, plane, u, v, radius * 0.62, tuple(green * shade))


def clump(
    canvas: Canvas, rng: np.random.Generator, plane: Plane, u: float, v: float, radius: float, green: RGB
) -> None:
    """A lump of leaves with a ragged outline and a lighter upper half."""
    ragged = (radius * (1.0 + 0.13 * rng.standard_normal(len(_ROUND)))).tolist()
    canvas.paint(
        plane,
        [(u + r * c, v + 0.85 * r * s) for r, (c, s) in zip(ragged, _ROUND, strict=True)],
        Material(green, "leaves"),
        "vegetation",
    )
    light = [(u + 0.62 * r * c, v + 0.15 * radius + 0.53 * r * s) for r, (c, s) in zip(ragged, _ROUND, strict=True)]
    canvas.paint(plane, light, Material(tuple(1.22 * np.asarray(green)), "leaves"))


_ROUND = [(float(np.cos(a)), float(np.sin(a))) for a in np.arange(16) * (2 * np.pi / 16)]


def hedge(canvas: Canvas, rng: np.random.Generator, x: float, z0: float, z1: float, height: float) -> None:
    """A clipped hedge along the street."""
    green = Material(tint(rng, pick(rng, GREENS), 0.06), "leaves")
    canvas.paint(Plane(SIDE, x), box(z0, 0.0, z1, height), green, "vegetation")
    canvas.paint(Plane(FRONT, z0), box(min(x, x * 1.12), 0.0, max(x, x * 1.12), height), green, "vegetation")
