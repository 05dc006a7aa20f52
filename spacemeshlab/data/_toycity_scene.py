"""ToyCity's plan: which street, which houses, what stands where, and in which light (chapter 03).

A :class:`Street` collects things with their depth and paints them far to near (the painter's algorithm), so that near
things hide far ones. The street runs along Z; the camera drives in its right lane at X = 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from spacemeshlab.data import _toycity_things as things
from spacemeshlab.data import _toycity_vehicles as vehicles
from spacemeshlab.data._toycity_canvas import FRONT, GROUND, Camera, Canvas, Material, Plane, box
from spacemeshlab.data._toycity_houses import barrier, building, garden, park, skyline
from spacemeshlab.data._toycity_light import Light
from spacemeshlab.data._toycity_things import pick, tint

THEMES = ("bus", "train", "truck", "square")
"""What scene ``index`` shows for certain: theme ``index % 4``. All classes occur in any four scenes in a row."""

END = 120.0  # metres; the street ends here

PAINT = Material((0.86, 0.86, 0.84), "asphalt")


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
    jobs: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)

    def put(self, depth: float, job: Callable[..., None], *args: object, **kwargs: object) -> None:
        """Remember to call ``job(canvas, rng, *args)`` when everything farther than ``depth`` has been painted."""
        self.jobs.append((-depth, len(self.jobs), lambda: job(self.canvas, self.rng, *args, **kwargs)))

    def paint(self) -> None:
        jobs, self.jobs = sorted(self.jobs, key=lambda job: job[:2]), []
        for _, _, job in jobs:
            job()


def compose(rng: np.random.Generator, index: int, size: tuple[int, int]) -> tuple[Canvas, Light]:
    """Paint scene ``index``."""
    light = _light(rng)
    street = _street(rng, index, size, light)
    _ground(street)
    skyline(street.canvas, rng, END)
    for side in (street.left, street.right):
        _lots(street, side)
        _furniture(street, side)
        _people(street, side)
    _traffic(street)
    _crossing(street)
    street.paint()
    if rng.random() < 0.6:
        _bonnet(street.canvas, rng)
    return street.canvas, light


def _light(rng: np.random.Generator) -> Light:
    """Noon, morning, evening, a grey day, mist or dusk."""
    moments = (
        # share, sun, ambient, sky above, sky low, elevation, haze, clouds, lamps
        (0.36, (0.72, 0.68, 0.60), (0.58, 0.61, 0.66), (0.28, 0.52, 0.86), (0.76, 0.87, 0.96), 52, 0.004, 0.45, 0.0),
        (0.18, (0.74, 0.63, 0.48), (0.56, 0.57, 0.62), (0.40, 0.60, 0.86), (0.92, 0.90, 0.82), 38, 0.007, 0.35, 0.03),
        (0.14, (0.80, 0.54, 0.30), (0.54, 0.53, 0.60), (0.36, 0.50, 0.76), (0.99, 0.80, 0.58), 32, 0.007, 0.50, 0.10),
        (0.16, (0.16, 0.16, 0.16), (0.82, 0.84, 0.87), (0.66, 0.70, 0.75), (0.84, 0.86, 0.88), 55, 0.006, 0.60, 0.05),
        (0.08, (0.20, 0.19, 0.17), (0.80, 0.81, 0.83), (0.74, 0.78, 0.82), (0.87, 0.88, 0.88), 40, 0.016, 0.30, 0.06),
        (0.08, (0.26, 0.19, 0.19), (0.56, 0.54, 0.66), (0.22, 0.26, 0.48), (0.90, 0.62, 0.55), 30, 0.006, 0.40, 0.35),
    )
    moment = moments[int(np.searchsorted(np.cumsum([m[0] for m in moments]), rng.random()))]
    _, sun, ambient, top, low, elevation, haze, clouds, lamps = moment
    height = np.deg2rad(elevation + float(rng.uniform(-4, 8)))
    azimuth = np.deg2rad(float(rng.uniform(50, 310)))  # from straight ahead, clockwise: never into the lens
    across = float(np.cos(height))
    direction = (across * float(np.sin(azimuth)), float(np.sin(height)), across * float(np.cos(azimuth)))
    haze *= float(rng.uniform(0.7, 1.4))
    return Light(sun, ambient, direction, top, low, haze, clouds * float(rng.uniform(0.6, 1.2)), lamps)


def _street(rng: np.random.Generator, index: int, size: tuple[int, int], light: Light) -> Street:
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
    crossing = float(rng.uniform(17, 32)) if theme == "square" or rng.random() < 0.5 else 2 * END
    return Street(Canvas(camera), rng, light.direction, theme, sides[0], sides[1], crossing, rails)


# --- the ground ------------------------------------------------------------------------------------------------------


def _strip(canvas: Canvas, x0: float, x1: float, material: Material, label: str | None, z0=1.5, z1=END + 8) -> None:
    """A band of ground along the street, cut into pieces so that it bends with it."""
    z = np.geomspace(z0, z1, 14)
    outline = np.concatenate([np.stack([np.full(14, x0), z], axis=1), np.stack([np.full(14, x1), z], axis=1)[::-1]])
    canvas.paint(Plane(GROUND), outline, material, label)


def _ground(street: Street) -> None:
    canvas, rng = street.canvas, street.rng
    height, width = canvas.camera.size
    row = canvas.camera.horizon
    sky = np.array([(0, 0), (width, 0), (width, row + 1), (0, row + 1)], dtype=float)
    canvas.paint_pixels(sky, Plane(3), Material(texture="sky"), "sky")
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


# --- beside the street -----------------------------------------------------------------------------------------------


def _lots(street: Street, side: Kerbs) -> None:
    """Fill one side with houses, gardens and parks, from the camera to the end of the street."""
    rng, z = street.rng, float(street.rng.uniform(2.0, 5.0))
    kinds = ["house", "house", "garden" if rng.random() < 0.6 else "house", pick(rng, ("park", "garden"))]
    order = list(rng.permutation(kinds)) + ["house", "garden", "house", "park", "house", "house", "house"]
    fenced = ("fence", "wall") if (side.sign > 0) == (street.theme in ("bus", "square")) else ("wall", "fence")
    barriers = [*fenced, "hedge", "fence", "wall", None, "fence"]
    for kind in order:
        end = z + float(rng.uniform(9, 15 if kind == "house" else 19))
        if z < street.crossing + 6 and end > street.crossing - 6:
            if street.crossing - 6 - z < 5:
                z, end = street.crossing + 6, street.crossing + 6 + float(rng.uniform(9, 16))
            else:
                end = street.crossing - 6
        if z > END:
            return
        x = side.sign * side.line
        if kind == "house":
            street.put(end, building, x, z, end, street.sun)
        else:
            street.put(end, garden if kind == "garden" else park, x, z, end, street.sun)
            street.put(end - 0.01, barrier, barriers.pop(0) if barriers else "hedge", x, z, end)
        z = end


def _furniture(street: Street, side: Kerbs) -> None:
    """Lamps, trees, signs, bins, racks and railings between kerb and building line."""
    rng, s = street.rng, side.sign
    at_kerb = s * (side.kerb + 0.5)
    clear = [street.crossing]

    def free(z: float, gap: float) -> bool:
        return all(abs(z - other) > gap for other in clear[1:]) and abs(z - clear[0]) > 4.5

    first = float(rng.uniform(7, 20))
    for z in np.arange(first, 90, float(rng.uniform(17, 24))):
        if free(z, 1.0):
            street.put(z, lambda canvas, rng, x, z: things.street_lamp(canvas, x, z), at_kerb, float(z))
            clear.append(float(z))
    trees = rng.random() < (0.75 if side.walk > side.kerb else 0.35)
    for z in np.arange(float(rng.uniform(8, 16)), 80, float(rng.uniform(8, 13))):
        if trees and free(z, 2.0):
            _standing(street, things.tree, s * (side.kerb + max(0.7, (side.walk - side.kerb) / 2)), float(z), 2.0, 6.0)
            clear.append(float(z))
    for job, count, half, tall in (
        (things.traffic_sign, int(rng.integers(1, 4)), 0.3, 2.5),
        (things.litter_bin, int(rng.integers(0, 3)), 0.35, 1.0),
        (_bollard, int(rng.integers(0, 4)), 0.08, 1.0),
    ):
        for _ in range(count):
            z = float(rng.uniform(6, 32))
            if free(z, 0.8):
                _standing(street, job, at_kerb + s * float(rng.uniform(0.0, 0.3)), z, half, tall)
                clear.append(z)
    if rng.random() < 0.45:  # bicycles and motorcycles at a rack
        z, motor = float(rng.uniform(7, 18)), bool(rng.random() < 0.4)
        for i in range(int(rng.integers(1, 4))):
            x = s * (side.line - 0.9 - 0.25 * i)
            _standing(street, things.cycle, x, z + 0.9 * i, 0.8, 0.9, motor=motor, ridden=False, crossing=True)
    if rng.random() < 0.3 or (street.theme == "truck" and s > 0):  # railings between kerb and pavement
        z = float(rng.uniform(6, 12))
        if abs(z + 5 - street.crossing) > 10:
            street.put(z + 10, barrier, "railing", s * (side.kerb + 0.35), z, z + 10)


def _bollard(canvas: Canvas, rng: np.random.Generator, x: float, z: float) -> None:
    things.pole(canvas, x, z, 0.95, 0.16, (0.25, 0.26, 0.28))


def _standing(street: Street, job: Callable, x: float, z: float, half: float, tall: float, **kwargs: object) -> None:
    """Put something on the ground together with its shadow."""
    things.drop_shadow(street.canvas, x, z, half, tall, street.sun)
    street.put(z, job, x, z, **kwargs)


def _people(street: Street, side: Kerbs) -> None:
    rng = street.rng
    for _ in range(int(rng.integers(2, 6))):
        z = float(6.5 * np.exp(rng.uniform(0.0, 1.7)))
        x = side.sign * float(rng.uniform(side.walk + 0.9, side.line - 0.5))
        _standing(street, things.person, x, z, 0.25, 1.7)
        if rng.random() < 0.3:
            _standing(street, things.person, x + 0.65, z + 0.2, 0.25, 1.7)


# --- on the road -----------------------------------------------------------------------------------------------------


def _drive(street: Street, job: Callable, x: float, z: float, width: float, length: float, **kwargs: object) -> None:
    vehicles.shadow_under(street.canvas, x, z, width, length, street.sun)
    street.put(z, job, x, z, **kwargs)


def _traffic(street: Street) -> None:
    rng, theme = street.rng, street.theme
    for side in (street.left, street.right):
        z = float(rng.uniform(6, 10)) if side.parking else END
        while z < 70:
            if abs(z + 2.5 - street.crossing) > 9 and rng.random() < 0.7:
                x = side.sign * (side.kerb - 1.05)
                if rng.random() < 0.04 and z > 12:
                    _drive(street, vehicles.truck, x - 0.2 * side.sign, z, 2.4, 8.0, oncoming=side.sign < 0)
                    z += 4.5
                else:
                    _drive(street, vehicles.car, x, z, 1.76, 4.3, oncoming=side.sign < 0)
            z += float(rng.uniform(5.3, 6.5))
    ahead, oncoming = float(rng.uniform(13, 24)), float(rng.uniform(9, 20))
    if theme in ("bus", "truck"):
        large = vehicles.bus if theme == "bus" else vehicles.truck
        if rng.random() < 0.5:
            _drive(street, large, float(rng.uniform(-0.3, 0.3)), ahead, 2.5, 10.0)
            ahead += 18
        else:
            _drive(street, large, -3.5, oncoming, 2.5, 10.0, oncoming=True)
            oncoming += 18
    if theme == "train":
        _drive(street, vehicles.tram, street.rails, float(rng.uniform(9, 22)), 2.4, 24.0)
    kinds = {"car": vehicles.car, "bus": vehicles.bus, "truck": vehicles.truck}
    for _ in range(int(rng.integers(1, 3))):
        kind = pick(rng, ("car",) * 8 + ("bus", "truck"))
        _drive(street, kinds[kind], float(rng.uniform(-0.3, 0.3)), ahead, 1.8, 4.5)
        kind = pick(rng, ("car",) * 8 + ("bus", "truck"))
        _drive(street, kinds[kind], -3.5 + float(rng.uniform(-0.3, 0.3)), oncoming, 1.8, 4.5, oncoming=True)
        ahead, oncoming = ahead + float(rng.uniform(14, 22)), oncoming + float(rng.uniform(14, 22))
    riders = 1 + int(rng.random() < 0.5)
    for i in range(riders):
        motor = bool((street.canvas.camera.height * 1e3) % 2 < 1) if i else theme in ("train", "bus")
        x = float(rng.uniform(0.6, 1.4)) if rng.random() < 0.6 else -float(rng.uniform(2.0, 2.6))
        z = float(rng.uniform(7, 12)) if i == 0 else float(rng.uniform(12, 20))
        _standing(street, things.cycle, x, z, 0.3, 1.6, motor=motor, ridden=True, crossing=bool(rng.random() < 0.35))


def _crossing(street: Street) -> None:
    """Traffic lights, people on the zebra crossing and whoever comes out of the side street."""
    rng, z = street.rng, street.crossing
    if z > END:
        if rng.random() < 0.4:
            z = float(rng.uniform(16, 26))
            for side in (street.left, street.right):
                _standing(street, things.traffic_light, side.sign * (side.kerb + 0.45), z, 0.15, 3.0)
        return
    for side in (street.left, street.right):
        for depth in (z - 5.6, z + 4.6):
            _standing(street, things.traffic_light, side.sign * (side.kerb + 0.45), depth, 0.15, 3.0)
    for _ in range(int(rng.integers(0, 4))):
        x = float(rng.uniform(-street.left.kerb, street.right.kerb))
        _standing(street, things.person, x, z - 7.5 + float(rng.uniform(-0.8, 0.8)), 0.25, 1.7)
    if rng.random() < 0.7:
        kind = pick(rng, (vehicles.car,) * 4 + (vehicles.bus, vehicles.truck))
        x = float(rng.uniform(-9, 9))
        _drive(street, kind, x, z + 0.5, 4.4, 1.8, crossing=True)
    motor = bool(rng.random() < 0.5)
    _standing(
        street, things.cycle, float(rng.uniform(-5, 3)), z - 2.0, 0.8, 1.6, motor=motor, ridden=True, crossing=True
    )


def _bonnet(canvas: Canvas, rng: np.random.Generator) -> None:
    """The camera's own car at the lower border: ``ego vehicle``, which does not count."""
    height, width = canvas.camera.size
    t = np.linspace(-1.0, 1.0, 17)
    rise = height * float(rng.uniform(0.04, 0.085))
    arc = np.stack([width * (0.5 + 0.52 * t), height - rise * (1.0 - 0.75 * np.abs(t) ** 3)], axis=1)
    outline = np.concatenate([arc, [(width, height), (0.0, height)]])
    paint = Material(tint(rng, pick(rng, things.PAINTS[:5])), "steel")
    canvas.paint_pixels(outline, Plane(FRONT, 1.5), Material(tuple(0.6 * np.asarray(paint.colour))), "ego vehicle")
    inner = np.concatenate([arc + (0, 0.3 * rise), [(width * 0.9, height + 2), (width * 0.1, height + 2)]])
    canvas.paint_pixels(inner, Plane(FRONT, 1.5), Material(tuple(0.75 * np.asarray(paint.colour))))
