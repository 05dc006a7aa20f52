"""ToyCity's life: houses and trees beside the street, people, traffic, and a side street (chapter 03)."""

from __future__ import annotations

import numpy as np

from spacemeshlab.data._toycity import people, things, vehicles
from spacemeshlab.data._toycity.canvas import Canvas
from spacemeshlab.data._toycity.houses import barrier, building, garden, park
from spacemeshlab.data._toycity.street import END, Kerbs, Street
from spacemeshlab.data._toycity.things import pick


def lots(street: Street, side: Kerbs) -> None:
    """Fill one side with houses, gardens and parks, from the camera to the end of the street."""
    rng, z = street.rng, float(street.rng.uniform(2.0, 5.0))
    kinds = ["house", "house", "garden" if rng.random() < 0.7 else "house", "park"]
    order = [*rng.permutation(kinds), "house", "garden", "house", "park", "house", "house", "house"]
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
            street.put(x, end, building, x, z, end, street.sun)
        else:
            street.put(x, end, garden if kind == "garden" else park, x, z, end, street.sun)
            street.put(x, end - 0.01, barrier, barriers.pop(0) if barriers else "hedge", x, z, end)
        z = end


def furniture(street: Street, side: Kerbs) -> None:
    """Lamps, trees, signs, bins, racks and railings between kerb and building line."""
    rng, s = street.rng, side.sign
    at_kerb = s * (side.kerb + 0.5)
    clear = [street.crossing]

    def free(z: float, gap: float) -> bool:
        return all(abs(z - other) > gap for other in clear[1:]) and abs(z - clear[0]) > 4.5

    first = float(rng.uniform(7, 20))
    for z in np.arange(first, 90, float(rng.uniform(17, 24))):
        if free(z, 1.0):
            street.put(at_kerb, z, lambda canvas, rng, x, z: things.street_lamp(canvas, x, z), at_kerb, float(z))
            clear.append(float(z))
    trees = rng.random() < (0.9 if side.walk > side.kerb else 0.5)
    for z in np.arange(float(rng.uniform(9, 14)), 70, float(rng.uniform(6.5, 11))):
        if trees and free(z, 2.0):
            street.stand(things.tree, s * (side.kerb + max(0.7, (side.walk - side.kerb) / 2)), float(z), 2.0, 6.0)
            clear.append(float(z))
    for job, count, half, tall in (
        (things.traffic_sign, int(rng.integers(1, 4)), 0.3, 2.5),
        (things.litter_bin, int(rng.integers(0, 3)), 0.35, 1.0),
        (_bollard, int(rng.integers(0, 4)), 0.08, 1.0),
    ):
        for _ in range(count):
            z = float(rng.uniform(6, 32))
            if free(z, 0.8):
                street.stand(job, at_kerb + s * float(rng.uniform(0.0, 0.3)), z, half, tall)
                clear.append(z)
    if rng.random() < 0.45:  # bicycles and motorcycles at a rack
        z, motor = float(rng.uniform(7, 18)), bool(rng.random() < 0.4)
        for i in range(int(rng.integers(1, 4))):
            x = s * (side.line - 0.9 - 0.25 * i)
            street.stand(people.cycle, x, z + 0.9 * i, 0.8, 0.9, motor=motor, ridden=False, crossing=True)
    if rng.random() < 0.3 or (street.theme == "truck" and s > 0):  # railings between kerb and pavement
        z = float(rng.uniform(6, 12))
        if abs(z + 5 - street.crossing) > 10:
            street.put(at_kerb, z + 10, barrier, "railing", s * (side.kerb + 0.35), z, z + 10)


def _bollard(canvas: Canvas, rng: np.random.Generator, x: float, z: float) -> None:
    things.pole(canvas, x, z, 0.95, 0.16, (0.25, 0.26, 0.28))


def walkers(street: Street, side: Kerbs) -> None:
    """People on the pavement, more of them near the camera, some in pairs."""
    rng = street.rng
    for _ in range(int(rng.integers(2, 6))):
        z = float(6.5 * np.exp(rng.uniform(0.0, 1.7)))
        x = side.sign * float(rng.uniform(side.walk + 0.9, side.line - 0.5))
        street.stand(people.person, x, z, 0.25, 1.7)
        if rng.random() < 0.3:
            street.stand(people.person, x + 0.65, z + 0.2, 0.25, 1.7)


# --- on the road -----------------------------------------------------------------------------------------------------


def traffic(street: Street) -> None:
    """Parked cars, the theme's large vehicle, who drives ahead and who comes towards us, and riders."""
    for side in (street.left, street.right):
        if side.parking:
            _parked(street, side)
    rng, theme = street.rng, street.theme
    ahead, oncoming = float(rng.uniform(11, 20)), float(rng.uniform(9, 18))
    if theme in ("bus", "truck"):
        large = vehicles.bus if theme == "bus" else vehicles.truck
        ahead, oncoming = min(ahead, street.crossing - 11), min(oncoming, street.crossing - 13)
        if rng.random() < 0.5:
            street.drive(large, float(rng.uniform(-0.3, 0.3)), ahead, 2.5, 10.0)
            ahead += 18
        else:
            street.drive(large, -3.5, oncoming, 2.5, 10.0, oncoming=True)
            oncoming += 18
    elif theme == "train":
        street.drive(vehicles.tram, street.rails, float(rng.uniform(9, 22)), 2.4, 33.0)
    kinds = (*((vehicles.car, 1.8, 4.5),) * 8, (vehicles.bus, 2.5, 11.0), (vehicles.truck, 2.45, 9.0))
    for _ in range(int(rng.integers(1, 3))):
        kind, *sides = pick(rng, kinds)
        street.drive(kind, float(rng.uniform(-0.3, 0.3)), ahead, *sides)
        kind, *sides = pick(rng, kinds)
        street.drive(kind, float(rng.uniform(-3.8, -3.2)), oncoming, *sides, oncoming=True)
        ahead, oncoming = ahead + float(rng.uniform(14, 22)), oncoming + float(rng.uniform(14, 22))
    _riders(street)


def _parked(street: Street, side: Kerbs) -> None:
    rng, x = street.rng, side.sign * (side.kerb - 1.05)
    z = float(rng.uniform(6, 10))
    while z < 70:
        if abs(z + 2.5 - street.crossing) > 9 and rng.random() < 0.7:
            if rng.random() < 0.04 and z > 12:
                street.drive(vehicles.truck, x - 0.2 * side.sign, z, 2.4, 8.0, oncoming=side.sign < 0)
                z += 4.5
            else:
                street.drive(vehicles.car, x, z, 1.76, 4.3, oncoming=side.sign < 0)
        z += float(rng.uniform(5.3, 6.5))


def _riders(street: Street) -> None:
    """One near rider, on a bicycle in every other scene, and often one farther off."""
    rng = street.rng
    for i in range(1 + int(rng.random() < 0.5)):
        motor = bool(rng.random() < 0.5) if i else street.theme in ("train", "bus")
        x = float(rng.uniform(0.6, 1.4)) if rng.random() < 0.6 else float(rng.uniform(-2.6, -2.0))
        z = float(rng.uniform(12, 20)) if i else float(rng.uniform(7, 12))
        street.stand(people.cycle, x, z, 0.3, 1.6, motor=motor, ridden=True, crossing=bool(rng.random() < 0.35))


def crossing(street: Street) -> None:
    """Traffic lights, people on the zebra crossing and whoever comes out of the side street."""
    rng, z = street.rng, street.crossing
    if z > END:
        if rng.random() < 0.4:
            z = float(rng.uniform(16, 26))
            for side in (street.left, street.right):
                street.stand(things.traffic_light, side.sign * (side.kerb + 0.45), z, 0.15, 3.0)
        return
    for side in (street.left, street.right):
        for depth in (z - 5.6, z + 4.6):
            street.stand(things.traffic_light, side.sign * (side.kerb + 0.45), depth, 0.15, 3.0)
    for _ in range(int(rng.integers(0, 4))):
        x = float(rng.uniform(-street.left.kerb, street.right.kerb))
        street.stand(people.person, x, z - 7.5 + float(rng.uniform(-0.8, 0.8)), 0.25, 1.7)
    if rng.random() < 0.7:
        kind = pick(rng, (vehicles.car,) * 4 + (vehicles.bus, vehicles.truck))
        x = float(rng.uniform(-9, 9))
        street.drive(kind, x, z + 0.5, 4.4, 1.8, crossing=True)
    x, motor = float(rng.uniform(-5, 3)), bool(rng.random() < 0.5)
    street.stand(people.cycle, x, z - 2.0, 0.8, 1.6, motor=motor, ridden=True, crossing=True)
