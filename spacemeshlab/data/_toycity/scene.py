"""ToyCity's scenes: an index and random numbers become a painted canvas and the light it stands in (chapter 03)."""

from __future__ import annotations

import numpy as np

from spacemeshlab.data._toycity import life
from spacemeshlab.data._toycity.canvas import Canvas
from spacemeshlab.data._toycity.ground import bonnet, ground
from spacemeshlab.data._toycity.houses import skyline
from spacemeshlab.data._toycity.light import Light
from spacemeshlab.data._toycity.street import END, plan


def compose(rng: np.random.Generator, index: int, size: tuple[int, int]) -> tuple[Canvas, Light]:
    """Paint scene ``index``."""
    light = daylight(rng)
    street = plan(rng, index, size, light)
    ground(street)
    skyline(street.canvas, rng, END)
    for side in (street.left, street.right):
        life.lots(street, side)
        life.furniture(street, side)
        life.walkers(street, side)
    life.traffic(street)
    life.crossing(street)
    street.paint()
    if rng.random() < 0.45:
        bonnet(street.canvas, rng)
    return street.canvas, light


def daylight(rng: np.random.Generator) -> Light:
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
