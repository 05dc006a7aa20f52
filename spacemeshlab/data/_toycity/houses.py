"""ToyCity's lots: houses, gardens, parks, and the fences and walls in front of them (chapter 03).

Every function paints the piece of the street's side between depths z0 and z1 whose front line is at ``x``, metres.
"""

from __future__ import annotations

import numpy as np

from spacemeshlab.data._toycity.canvas import FRONT, GROUND, RGB, SIDE, Canvas, Material, Plane, box
from spacemeshlab.data._toycity.things import GREENS, clump, hedge, pick, tint, tree

FACADES: tuple[RGB, ...] = (
    (0.80, 0.74, 0.62), (0.74, 0.60, 0.46), (0.84, 0.82, 0.78), (0.66, 0.68, 0.70), (0.78, 0.66, 0.62),
    (0.70, 0.73, 0.66), (0.82, 0.70, 0.48), (0.62, 0.66, 0.73), (0.55, 0.50, 0.46),
)  # fmt: skip
BRICKS: tuple[RGB, ...] = ((0.56, 0.30, 0.23), (0.48, 0.27, 0.22), (0.62, 0.42, 0.30), (0.50, 0.40, 0.34))
ROOFS: tuple[RGB, ...] = ((0.46, 0.22, 0.17), (0.28, 0.28, 0.31), (0.36, 0.26, 0.22))


def _shade_of_house(canvas: Canvas, x: float, z0: float, z1: float, height: float, sun: tuple) -> None:
    across = -0.7 * sun[0] / max(sun[1], 0.35) * height
    ahead = -0.7 * sun[2] / max(sun[1], 0.35) * height
    if across * x < 0:  # only towards the street
        far = [(x + across, max(z1 + ahead, 1.5)), (x + across, max(z0 + ahead, 1.5))]
        canvas.shadow([(x, z0), (x, z1), *far])


def building(
    canvas: Canvas, rng: np.random.Generator, x: float, z0: float, z1: float, sun: tuple, storeys: int = 0
) -> None:
    """A house on the front line: facade along the street, gable towards the camera, roof, signs and a door."""
    side, floors = np.sign(x), storeys or int(rng.integers(2, 6))
    ground, storey = float(rng.uniform(3.2, 4.0)), float(rng.uniform(2.8, 3.3))
    height = ground + floors * storey + 0.9
    bricks = bool(rng.random() < 0.35)
    colour = tint(rng, pick(rng, BRICKS if bricks else FACADES), 0.06)
    bay = (z1 - z0) / max(2, round((z1 - z0) / float(rng.uniform(2.2, 3.2))))
    look = (float(rng.uniform(0.36, 0.56)), float(rng.uniform(0.44, 0.62)), float(bricks), float(rng.integers(3, 200)))
    deep = 11.0
    gable = Material(
        tuple(0.94 * np.asarray(colour)), "facade", extra=(x, 3.6, storey, ground, height, 0.28, *look[1:])
    )
    if rng.random() < 0.5:
        gable = Material(gable.colour, "bricks" if bricks else "concrete")
    front = Material(colour, "facade", extra=(z0, bay, storey, ground, height, *look))
    face, plane = Plane(FRONT, z0), Plane(SIDE, x)
    roof = Material(tint(rng, pick(rng, ROOFS)), "wood")
    ridge = height + float(rng.uniform(2.0, 4.0))
    outline = [(x, 0.0), (x + side * deep, 0.0), (x + side * deep, height)]
    if rng.random() < 0.6:
        outline.append((x + side * deep / 2, ridge))
    canvas.paint(face, [*outline, (x, height)], gable, "building")
    if rng.random() < 0.6:  # a steep lower roof that shows above the cornice
        slope = Plane(SIDE, x, lean=0.5 * side, belt=height)
        canvas.paint(slope, box(z0, height - 0.05, z1, height + 1.9), roof, "building")
        for u in np.arange(z0 + bay / 2, z1 - 0.8, 2 * bay):
            canvas.paint(plane, box(u, height + 0.1, u + 1.0, height + 1.3), Material(colour), "building")
            canvas.paint(plane, box(u + 0.2, height + 0.25, u + 0.8, height + 1.1), Material((0.2, 0.25, 0.3), "glass"))
    canvas.paint(plane, box(z0, 0.0, z1, height), front, "building")
    sign = Material(tint(rng, pick(rng, ((0.6, 0.15, 0.15), (0.15, 0.3, 0.25), (0.2, 0.25, 0.45), (0.75, 0.6, 0.3)))))
    for u in np.arange(z0 + 0.3, z1 - bay, 2 * bay):
        if rng.random() < 0.5:
            canvas.paint(plane, box(u, ground - 0.75, u + 1.6 * bay, ground - 0.2), sign)
            if rng.random() < 0.5:  # an awning
                awning = Plane(SIDE, x, lean=0.9 * side, belt=ground - 1.3)
                canvas.paint(awning, box(u, ground - 1.3, u + 1.5 * bay, ground - 0.7), sign)
    _shade_of_house(canvas, x, z0, z1, height, sun)


def garden(canvas: Canvas, rng: np.random.Generator, x: float, z0: float, z1: float, sun: tuple) -> None:
    """A house set back behind grass, with a tree or bushes."""
    side, back = np.sign(x), float(rng.uniform(4.0, 7.0))
    _lawn(canvas, rng, x, z0, z1)
    margin = float(rng.uniform(0.5, 2.0))
    building(canvas, rng, x + side * back, z0 + margin, z1 - margin, sun, storeys=int(rng.integers(1, 3)))
    for z in np.sort(rng.uniform(z0 + 1, z1 - 1, int(rng.integers(1, 4))))[::-1]:
        u = x + side * float(rng.uniform(1.2, back - 1.0))
        if rng.random() < 0.55:
            tree(canvas, rng, u, float(z), float(rng.uniform(3.0, 6.0)))
        else:
            green = tint(rng, pick(rng, GREENS))
            clump(canvas, rng, Plane(FRONT, float(z)), u, 0.5, float(rng.uniform(0.6, 1.0)), green)


def park(canvas: Canvas, rng: np.random.Generator, x: float, z0: float, z1: float, sun: tuple) -> None:
    """Grass with rows of trees and a thicket behind them."""
    side = np.sign(x)
    _lawn(canvas, rng, x, z0, z1)
    for z in np.arange(z1, z0, -2.2):
        u, radius = x + side * float(rng.uniform(15, 19)), float(rng.uniform(2.2, 3.4))
        clump(canvas, rng, Plane(FRONT, float(z)), u, radius * 0.7, radius, tint(rng, pick(rng, GREENS), 0.08))
    depths = np.arange(z1 - 1.0, z0, -float(rng.uniform(3.0, 4.5)))
    for z in depths:
        tree(canvas, rng, x + side * float(rng.uniform(2.0, 11.0)), float(z))


def _lawn(canvas: Canvas, rng: np.random.Generator, x: float, z0: float, z1: float) -> None:
    grass = Material(tint(rng, (0.36, 0.47, 0.20), 0.07), "grass")
    canvas.paint(Plane(GROUND), box(x, z0, x + np.sign(x) * 30, z1), grass, "terrain")


def skyline(canvas: Canvas, rng: np.random.Generator, z: float) -> None:
    """Houses and trees that close the street."""
    x = -90.0
    while x < 90:
        wide, height = float(rng.uniform(9, 20)), float(rng.uniform(8, 24))
        colour = tint(rng, pick(rng, FACADES + BRICKS))
        depth = z + float(rng.uniform(10, 40))
        material = Material(colour, "facade", extra=(x, 3.0, 3.0, 3.5, height, 0.45, 0.5, 0.0, float(rng.integers(99))))
        outline = [(x, -1.0), (x + wide, -1.0), (x + wide, height), (x, height)]
        canvas.paint(Plane(FRONT, depth), outline, material, "building")
        x += wide
    for x in np.arange(-70.0, 70.0, 7.0):
        if rng.random() < 0.45:
            tree(
                canvas,
                rng,
                float(x) + float(rng.uniform(-3, 3)),
                z + float(rng.uniform(2, 9)),
                float(rng.uniform(6, 12)),
            )


# --- barriers --------------------------------------------------------------------------------------------------------


def barrier(canvas: Canvas, rng: np.random.Generator, kind: str | None, x: float, z0: float, z1: float) -> None:
    """What divides a lot from the pavement: a wall, a fence, railings, a hedge or nothing."""
    if kind == "wall":
        _wall(canvas, rng, x, z0, z1)
    elif kind == "hedge":
        hedge(canvas, rng, x, z0, z1, float(rng.uniform(0.8, 1.7)))
    elif kind == "railing":
        _railings(
            canvas, x, z0, z1, 1.0, tint(rng, pick(rng, ((0.13, 0.15, 0.15), (0.16, 0.28, 0.22), (0.6, 0.6, 0.6))))
        )
    elif kind == "fence":
        style = rng.random()
        wood = tint(rng, pick(rng, ((0.52, 0.38, 0.25), (0.80, 0.79, 0.75), (0.42, 0.34, 0.27), (0.36, 0.42, 0.38))))
        if style < 0.35:
            _pickets(canvas, x, z0, z1, float(rng.uniform(1.0, 1.5)), wood)
        elif style < 0.7:
            _railings(canvas, x, z0, z1, float(rng.uniform(1.2, 1.8)), wood)
        else:
            boards = Material(wood, "wood")
            height = float(rng.uniform(1.5, 2.1))
            canvas.paint(Plane(SIDE, x), box(z0, 0.0, z1, height), boards, "fence")
            canvas.limb(Plane(FRONT, z0), [(x, 0.0), (x, height + 0.1)], 0.16, boards, "fence")


def _wall(canvas: Canvas, rng: np.random.Generator, x: float, z0: float, z1: float) -> None:
    height, bricks = float(rng.uniform(1.5, 2.6)), bool(rng.random() < 0.5)
    colour = tint(rng, pick(rng, BRICKS if bricks else ((0.62, 0.60, 0.57), (0.70, 0.66, 0.58), (0.52, 0.52, 0.53))))
    texture, deep = ("bricks" if bricks else "concrete"), x + np.sign(x) * 0.35
    canvas.paint(Plane(FRONT, z0), box(x, 0.0, deep, height), Material(colour, texture), "wall")
    canvas.paint(Plane(SIDE, x), box(z0, 0.0, z1, height), Material(colour, texture), "wall")
    cap = Material((0.64, 0.62, 0.60), "concrete")
    canvas.paint(Plane(SIDE, x), box(z0, height - 0.15, z1, height + 0.03), cap, "wall")
    for z in np.arange(z1 - 0.3, z0, -5.0):  # pillars
        canvas.paint(Plane(SIDE, x * 0.99), box(z - 0.45, 0.0, z, height + 0.2), Material(colour, texture), "wall")


def _pickets(canvas: Canvas, x: float, z0: float, z1: float, height: float, colour: RGB) -> None:
    """Boards with gaps; where a board would be thinner than a pixel, the row becomes one surface."""
    plane, wood = Plane(SIDE, x), Material(colour, "wood")
    dense = min(max((abs(x) * canvas.camera.focal * 0.10) ** 0.5, z0), z1)
    canvas.paint(plane, box(dense, 0.1, z1, height), wood, "fence")
    for v in (0.3, height - 0.35):
        canvas.paint(plane, box(z0, v, dense, v + 0.12), Material(tuple(0.8 * np.asarray(colour)), "wood"), "fence")
    for z in np.arange(dense, z0, -0.36):
        tip = [(z - 0.16, 0.08), (z, 0.08), (z, height - 0.1), (z - 0.08, height + 0.03), (z - 0.16, height - 0.1)]
        canvas.paint(plane, tip, wood, "fence")


def _railings(canvas: Canvas, x: float, z0: float, z1: float, height: float, colour: RGB) -> None:
    """Posts, rails and thin bars, each of them labelled; the lawn shows, and counts, between them."""
    plane, metal = Plane(SIDE, x), Material(colour, "steel")
    thin = min(max((abs(x) * canvas.camera.focal * 0.05) ** 0.5, z0), z1)
    for z in np.arange(thin, z0, -0.42):
        canvas.paint(plane, box(z - 0.05, 0.1, z, height), metal, "fence")
    for v in (0.15, height - 0.08, height * 0.55):
        canvas.paint(plane, box(z0, v, z1, v + 0.08), metal, "fence")
    for z in np.arange(z1, z0 - 0.01, -2.1):
        canvas.limb(Plane(FRONT, max(z, z0)), [(x, 0.0), (x, height + 0.08)], 0.10, metal, "fence")
