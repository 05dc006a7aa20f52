"""ToyCity's light: from the id buffer to a picture (chapter 03).

Every pixel knows its polygon, hence its plane, hence the point (u, v) in metres that it sees. A texture is a function
of that point; light, shadow and haze follow from the plane's normal and the distance, all for whole arrays at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spacemeshlab.data._toycity.canvas import FRONT, GROUND, OVERSAMPLE, RGB, SIDE, SKY, Canvas, Plane

TILE = 256  # side of the repeating noise tables, a power of two
EXTRA = 9  # numbers a texture may bring along


@dataclass(frozen=True)
class Light:
    """The light of one moment. Colours are linear factors; ``sun`` and ``ambient`` may exceed 1 together."""

    sun: RGB
    ambient: RGB
    direction: tuple[float, float, float]  # towards the sun: right, up, ahead; length 1
    sky_top: RGB
    sky_low: RGB
    haze: float  # 1 / metres
    clouds: float  # share of the sky, 0..1
    lamps: float  # share of the windows that are lit, 0..1


def _value_noise(cells: tuple[int, ...], seed: int) -> np.ndarray:
    """Repeating table (TILE, TILE) float32 in 0..1: smoothly interpolated random lattices, summed over octaves."""
    rng, total = np.random.default_rng(seed), np.zeros((TILE, TILE), np.float32)
    for octave, n in enumerate(cells):
        at = np.arange(TILE) * n / TILE
        low, t = at.astype(int), at % 1.0
        t = (t * t * (3.0 - 2.0 * t))[:, None]
        lattice = rng.random((n, n))
        for _ in range(2):  # down the rows, then down the columns
            lattice = (lattice[low] * (1.0 - t) + lattice[(low + 1) % n] * t).T
        total += lattice.astype(np.float32) / 2**octave
    return (total - total.min()) / (total.max() - total.min())


_SOFT = _value_noise((8, 16, 32, 64, 128), seed=1)
_GRAIN = np.random.default_rng(2).random((TILE, TILE), dtype=np.float32)


def _lookup(table: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """The table's value at (u, v), counted in cells, repeating."""
    cell = (np.floor(v).astype(np.int32) & (TILE - 1)) * TILE + (np.floor(u).astype(np.int32) & (TILE - 1))
    return table.ravel()[cell]


def _fade(z: np.ndarray, near: float) -> np.ndarray:
    """1 up to a distance, then falling: patterns finer than a pixel must not flicker."""
    return np.minimum(1.0, near / z)


def _asphalt(u, v, z):
    patch = _lookup(_SOFT, u * 6, v * 2) - 0.5
    return 1.0 + 0.22 * patch + (_lookup(_GRAIN, u * 40, v * 25) - 0.5) * 0.34 * _fade(z, 9)


def _paving(u, v, z):
    joint = (u % 0.75 < 0.05) | ((v + (np.floor(u / 0.75) % 2) * 0.4) % 0.8 < 0.07)
    stone = _lookup(_GRAIN, u / 0.75, (v + (np.floor(u / 0.75) % 2) * 0.4) / 0.8) - 0.5
    grain = _lookup(_GRAIN, u * 30, v * 20) - 0.5
    return 1.0 + (0.14 * stone - 0.3 * joint) * _fade(z, 10) + 0.12 * grain * _fade(z, 8)


def _grass(u, v, z):
    blades = (_lookup(_GRAIN, u * 22, v * 9) - 0.5) * _fade(z, 10)
    return 1.0 + 0.5 * (_lookup(_SOFT, u * 9, v * 4) - 0.5) + 0.5 * blades


def _leaves(u, v, z):
    clumps = _lookup(_SOFT, u * 26 + 7 * z, v * 26) - 0.5
    return 1.0 + 1.0 * clumps + 0.55 * (_lookup(_GRAIN, u * 18 + z, v * 18) - 0.5) * _fade(z, 16)


def _gravel(u, v, z):
    return 1.0 + 0.7 * (_lookup(_GRAIN, u * 14, v * 9) - 0.5) * _fade(z, 12)


def _concrete(u, v, z):
    joint = ((u % 2.4) < 0.06) * 0.25 * _fade(z, 25)
    return 1.0 + 0.25 * (_lookup(_SOFT, u * 10, v * 10) - 0.5) - joint + 0.08 * (_lookup(_GRAIN, u * 30, v * 30) - 0.5)


def _bricks(u, v, z):
    course = np.floor(v / 0.22)
    shifted = u / 0.5 + 0.5 * (course % 2)
    mortar = (v % 0.22 < 0.05) | (shifted % 1.0 < 0.1)
    tone = _lookup(_GRAIN, shifted, course) - 0.5
    return 1.0 + 0.30 * _fade(z, 14) * (tone + 0.8 * mortar) + 0.15 * (_lookup(_SOFT, u * 8, v * 8) - 0.5)


def _wood(u, v, z):
    plank = np.floor(u / 0.22)
    gap = (u % 0.22 < 0.03) * 0.45 * _fade(z, 14)
    return 1.0 + 0.3 * (_lookup(_GRAIN, plank, plank * 7) - 0.5) - gap + 0.15 * (_lookup(_SOFT, u * 60, v * 6) - 0.5)


def _steel(u, v, z):
    return 0.94 + 0.12 * np.clip(v / 2.0, 0.0, 1.0) + 0.05 * (_lookup(_SOFT, u * 9, v * 5) - 0.5)


def _glass(u, v, z):
    return 0.75 + 0.5 * np.clip(v / 2.5, 0.0, 1.0) + 0.25 * (((u * 0.7 + v) % 1.3) < 0.35)


_TEXTURES = {
    "asphalt": _asphalt,
    "paving": _paving,
    "grass": _grass,
    "leaves": _leaves,
    "gravel": _gravel,
    "concrete": _concrete,
    "bricks": _bricks,
    "wood": _wood,
    "steel": _steel,
    "glass": _glass,
}
_NAMES = (*_TEXTURES, "facade", "sky", "plain")


def _facade(u, v, z, extra, colour, light: Light):
    """Walls with windows, shops and cornice. Returns colours (3, n) and glow (n,).

    ``extra``: first u, bay, storey and ground floor (metres), height, window width and height (shares of bay and
    storey), 1 for bricks, a seed.
    """
    start, bay, storey, ground, height, wide, tall, bricks, seed = extra
    across, up = (u - start) / bay, (v - ground) / storey
    column, row = np.floor(across), np.floor(up)
    x, y = np.abs(across - column - 0.5), np.abs(up - row - 0.5)
    dice = _lookup(_GRAIN, column * 37 + seed, row * 101 + 3 * seed)
    upper, below = (v > ground) & (v < height - 0.9), (v > 0.45) & (v < ground - 0.8)
    pane = (upper & (x < wide / 2) & (y < tall / 2)) | (below & (x < 0.42))
    frame = ((upper & (x < wide / 2 + 0.05) & (y < tall / 2 + 0.05)) | (below & (x < 0.46))) & ~pane
    frame |= pane & upper & ((x < 0.02) | (np.abs(up - row - 0.6) < 0.02))
    wall = 1.0 + 0.16 * (_lookup(_SOFT, u * 5, v * 5) - 0.5)
    laid = np.flatnonzero(bricks)
    wall[laid] = _bricks(u[laid], v[laid], z[laid])
    wall *= np.where(v > height - 0.7, 1.14, 1.0 - 0.28 * (np.abs(v - ground + 0.15) < 0.22))
    wall *= 1.0 - 0.08 * (upper & (y > 0.47)) - 0.22 * (v < 0.45)
    lit = pane & ~frame & (dice < light.lamps)
    glass = 0.14 + 0.22 * dice + 0.30 * np.clip(up - row - 0.35, 0.0, 1.0) + 0.10 * below
    trim = 0.88 - 0.58 * (seed % 3 < 1)
    layers = zip(colour, (0.82, 1.0, 1.18), (1.0, 0.8, 0.45), strict=True)
    rgb = [np.where(frame, trim, np.where(lit, lamp, np.where(pane, g * glass, c * wall))) for c, g, lamp in layers]
    return np.stack(rgb), np.where(lit, 0.8, 0.0)


def _sky(canvas: Canvas, where: np.ndarray, light: Light) -> np.ndarray:
    """Gradient and clouds, (3, n), at the pixels ``where`` of the id buffer."""
    camera, (height, width) = canvas.camera, canvas.camera.size
    across = ((_centres(width) - camera.centre) / camera.focal)[where % (width * OVERSAMPLE)]
    up = np.clip((camera.horizon - _centres(height)) / camera.focal, 0.0, 1.0)[where // (width * OVERSAMPLE)]
    t, far = np.sqrt(np.clip(up / 0.6, 0.0, 1.0)), 1.0 / (up + 0.12)
    puff = _lookup(_SOFT, across * far * 34 + 40 * light.direction[0], far * 30)
    cover = np.clip((puff - (0.95 - 0.6 * light.clouds)) / 0.22, 0.0, 1.0) * np.clip(up / 0.1, 0.15, 1.0) * 0.75
    rgb = []
    for low, top, sun, ambient in zip(light.sky_low, light.sky_top, light.sun, light.ambient, strict=True):
        blue = low + (top - low) * t
        rgb.append(blue + cover * (0.35 * low + 0.65 * min(sun + ambient, 1.02) - blue))
    return np.stack(rgb)


def shade(canvas: Canvas, light: Light, rng: np.random.Generator) -> np.ndarray:
    """The picture, (H, W, 3) uint8."""
    height, width = canvas.camera.size
    ids = np.asarray(canvas.ids).ravel().astype(np.intp)
    planes, materials = zip(*canvas.surfaces, strict=True)
    u, v, y, z, axis = _see(canvas, ids, planes)
    rgb = np.stack(
        [np.array(c, np.float32)[ids] for c in zip(*(m.colour for m in materials), strict=True)]
    )  # (3, pixels)
    glow = np.array([m.glow for m in materials], np.float32)[ids]
    extra = np.array([(*m.extra, *(0.0,) * (EXTRA - len(m.extra))) for m in materials], np.float32)
    kinds = np.array([_NAMES.index(m.texture) for m in materials], np.uint8)[ids]
    for number, name in enumerate(_NAMES):
        where = np.flatnonzero(kinds == number)
        if name == "plain" or not where.size:
            continue
        if name == "sky":
            rgb[:, where] = _sky(canvas, where, light)
        elif name == "facade":
            rgb[:, where], glow[where] = _facade(
                u[where], v[where], z[where], extra[ids[where]].T, rgb[:, where], light
            )
        else:
            rgb[:, where] *= _TEXTURES[name](u[where], v[where], z[where])

    sky, ground = axis == SKY, axis == GROUND
    glow[sky] = 1.0
    shadow = np.asarray(canvas.shadows).ravel() * np.float32(1 / 255) * ground
    sun = _facing(planes, light)[ids] * (1.0 - shadow)
    foot = 0.72 + 0.28 * np.clip(y / 1.2, 0.0, 1.0)  # less sky is seen from near the ground
    foot = np.where(ground, 1.0 - 0.2 * shadow, foot)
    clear = np.exp(np.float32(-light.haze) * z)
    clear[sky] = 1.0
    for channel, direct, diffuse, haze in zip(rgb, light.sun, light.ambient, light.sky_low, strict=True):
        channel *= glow + (1.0 - glow) * (direct * sun + diffuse * foot)
        channel -= haze
        channel *= clear
        channel += haze
    return _develop(rgb.reshape(3, height, OVERSAMPLE, width, OVERSAMPLE), rng)


def _develop(fine: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Average the fine pixels (3, H, OVERSAMPLE, W, OVERSAMPLE), add sensor noise, round: (H, W, 3) uint8."""
    picture = sum(fine[:, :, i, :, j] for i in range(OVERSAMPLE) for j in range(OVERSAMPLE)) / OVERSAMPLE**2
    picture += rng.standard_normal(picture.shape[1:], dtype=np.float32) * np.float32(0.008)
    return np.ascontiguousarray((np.clip(picture, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8).transpose(1, 2, 0))


def _see(canvas: Canvas, ids: np.ndarray, planes: tuple[Plane, ...]) -> tuple[np.ndarray, ...]:
    """What each pixel of the id buffer sees: texture coordinates u, v, height y, depth z (metres), the plane's axis."""
    camera, (height, width) = canvas.camera, canvas.camera.size
    column, row = _centres(width), _centres(height)[:, None]
    axis = np.array([plane.axis for plane in planes], np.uint8)[ids]
    at = np.array([plane.at for plane in planes], np.float32)[ids]
    z = np.maximum(at, 1.0)
    side, ground = np.flatnonzero(axis == SIDE), np.flatnonzero(axis == GROUND)
    z[side] = np.clip(camera.side_depth(at[side], column[side % len(column)]), 1.0, 400.0)
    z[ground] = (camera.focal * camera.height / np.maximum(row - camera.horizon, 0.2)).ravel()[ground // len(column)]
    z = z.reshape(len(row), len(column))
    x = ((column - camera.centre) / camera.focal - np.float32(camera.bend) * z) * z
    y = camera.height - (row - camera.horizon) / camera.focal * z
    x, y, z = x.ravel(), y.ravel(), z.ravel()
    u, v = x, y.copy()
    u[side], v[ground] = z[side], z[ground]
    return u, v, y, z, axis


def _centres(pixels: int) -> np.ndarray:
    return (np.arange(pixels * OVERSAMPLE, dtype=np.float32) + 0.5) / OVERSAMPLE


def _facing(planes: tuple[Plane, ...], light: Light) -> np.ndarray:
    """Cosine (surfaces,) between each plane's normal, which looks at the camera's side, and the sun; 0 if behind."""
    right, up, ahead = light.direction
    cosine = [{FRONT: -ahead, GROUND: up, SKY: 0.0}.get(p.axis, -np.sign(p.at) * right) for p in planes]
    return np.maximum(np.array(cosine, np.float32), 0.0)
