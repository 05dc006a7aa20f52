"""ToyCity's light: from the id buffer to a picture (chapter 03).

Every pixel knows its polygon, hence its plane, hence the point (u, v) in metres that it sees. A texture is a function of
that point; light, shadow and haze follow from the plane's normal and the distance. All of it is done for whole arrays.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spacemeshlab.data._toycity_canvas import FRONT, GROUND, OVERSAMPLE, RGB, SIDE, SKY, Canvas

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
    row = np.floor(v).astype(np.int32) & (TILE - 1)
    column = np.floor(u).astype(np.int32) & (TILE - 1)
    return table[row, column]


def _fade(z: np.ndarray, near: float) -> np.ndarray:
    """1 up to a distance, then falling: patterns finer than a pixel must not flicker."""
    return np.minimum(1.0, near / z)


def _asphalt(u, v, z, extra):
    patch = _lookup(_SOFT, u * 6, v * 2) - 0.5
    return 1.0 + 0.22 * patch + (_lookup(_GRAIN, u * 40, v * 25) - 0.5) * 0.34 * _fade(z, 9)


def _paving(u, v, z, extra):
    joint = (u % 0.75 < 0.05) | ((v + (np.floor(u / 0.75) % 2) * 0.4) % 0.8 < 0.07)
    stone = _lookup(_GRAIN, u / 0.75, (v + (np.floor(u / 0.75) % 2) * 0.4) / 0.8) - 0.5
    grain = _lookup(_GRAIN, u * 30, v * 20) - 0.5
    return 1.0 + (0.14 * stone - 0.3 * joint) * _fade(z, 10) + 0.12 * grain * _fade(z, 8)


def _grass(u, v, z, extra):
    blades = (_lookup(_GRAIN, u * 22, v * 9) - 0.5) * _fade(z, 10)
    return 1.0 + 0.5 * (_lookup(_SOFT, u * 9, v * 4) - 0.5) + 0.5 * blades


def _leaves(u, v, z, extra):
    clumps = _lookup(_SOFT, u * 26 + 7 * z, v * 26) - 0.5
    return 1.0 + 1.0 * clumps + 0.55 * (_lookup(_GRAIN, u * 12 + z, v * 12) - 0.5) * _fade(z, 16)


def _gravel(u, v, z, extra):
    return 1.0 + 0.7 * (_lookup(_GRAIN, u * 14, v * 9) - 0.5) * _fade(z, 12)


def _concrete(u, v, z, extra):
    joint = ((u % 2.4) < 0.06) * 0.25 * _fade(z, 25)
    return 1.0 + 0.25 * (_lookup(_SOFT, u * 10, v * 10) - 0.5) - joint + 0.08 * (_lookup(_GRAIN, u * 30, v * 30) - 0.5)


def _bricks(u, v, z, extra):
    course = np.floor(v / 0.22)
    shifted = u / 0.5 + 0.5 * (course % 2)
    mortar = (v % 0.22 < 0.05) | (shifted % 1.0 < 0.1)
    tone = _lookup(_GRAIN, shifted, course) - 0.5
    return 1.0 + 0.30 * _fade(z, 14) * (tone + 0.8 * mortar) + 0.15 * (_lookup(_SOFT, u * 8, v * 8) - 0.5)


def _wood(u, v, z, extra):
    plank = np.floor(u / 0.22)
    gap = (u % 0.22 < 0.03) * 0.45 * _fade(z, 14)
    return 1.0 + 0.3 * (_lookup(_GRAIN, plank, plank * 7) - 0.5) - gap + 0.15 * (_lookup(_SOFT, u * 60, v * 6) - 0.5)


def _steel(u, v, z, extra):
    return 0.94 + 0.12 * np.clip(v / 2.0, 0.0, 1.0) + 0.05 * (_lookup(_SOFT, u * 9, v * 5) - 0.5)


def _glass(u, v, z, extra):
    return 0.75 + 0.5 * np.clip(v / 2.5, 0.0, 1.0) + 0.25 * (((u * 0.7 + v) % 1.3) < 0.35)


def _plain(u, v, z, extra):
    return np.ones_like(u)


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
    "plain": _plain,
}
_NAMES = (*_TEXTURES, "facade", "sky")


def _facade(u, v, z, extra, colour, lamps):
    """Walls with windows, shops and cornice. Returns colours (n, 3) and glow (n,).

    ``extra``: first u, bay, storey and ground floor (metres), height, window width and height (shares of bay and
    storey), 1 for bricks, a seed.
    """
    start, bay, storey, ground, height, wide, tall, bricks, seed = extra.T
    across, up = (u - start) / bay, (v - ground) / storey
    column, row = np.floor(across), np.floor(up)
    x, y = np.abs(across - column - 0.5), np.abs(up - row - 0.5)
    dice = _lookup(_GRAIN, column * 37 + seed, row * 101 + 3 * seed)
    upper = (v > ground) & (v < height - 0.9)
    below = (v > 0.45) & (v < ground - 0.8)
    pane = (upper & (x < wide / 2) & (y < tall / 2)) | (below & (x < 0.42))
    frame = ((upper & (x < wide / 2 + 0.05) & (y < tall / 2 + 0.05)) | (below & (x < 0.46))) & ~pane
    bar = pane & upper & ((x < 0.02) | (np.abs(up - row - 0.6) < 0.02))
    wall = np.where(bricks > 0, _bricks(u, v, z, extra), 1.0 + 0.16 * (_lookup(_SOFT, u * 5, v * 5) - 0.5))
    wall = wall * np.where(v > height - 0.7, 1.14, 1.0) * np.where(np.abs(v - ground + 0.15) < 0.22, 0.72, 1.0)
    wall = wall * np.where(upper & (y > 0.47), 0.92, 1.0) * np.where(v < 0.45, 0.78, 1.0)
    rgb = colour * wall[:, None]
    glass = 0.20 + 0.22 * (dice - 0.3) + 0.30 * np.clip(up - row - 0.35, 0.0, 1.0) + 0.10 * below
    lit = pane & (dice < lamps)
    rgb[pane] = glass[pane, None] * np.array([0.82, 1.0, 1.18])
    rgb[lit] = np.array([1.0, 0.80, 0.45])
    trim = np.where(seed % 3 < 1, 0.30, 0.88)[:, None]
    rgb = np.where((frame | bar)[:, None], 0.25 * rgb + 0.75 * trim, rgb)
    return rgb, np.where(lit & ~bar, 0.8, 0.0)


def _sky(column, row, light: Light):
    """Gradient and clouds; ``column`` and ``row``: pixels from the vanishing point, as shares of the focal length."""
    up = np.clip(-row, 0.0, 1.0)
    t = np.sqrt(np.clip(up / 0.6, 0.0, 1.0))[:, None]
    rgb = np.asarray(light.sky_low) * (1 - t) + np.asarray(light.sky_top) * t
    far = 1.0 / (up + 0.12)
    puff = _lookup(_SOFT, column * far * 34 + 40 * light.direction[0], far * 30)
    cover = np.clip((puff - (0.95 - 0.6 * light.clouds)) / 0.22, 0.0, 1.0) * np.clip(up / 0.1, 0.15, 1.0)
    cloud = 0.35 * np.asarray(light.sky_low) + 0.65 * np.minimum(np.add(light.sun, light.ambient), 1.02)
    return rgb + 0.75 * cover[:, None] * (cloud - rgb)


def shade(canvas: Canvas, light: Light, rng: np.random.Generator) -> np.ndarray:
    """The picture, (H, W, 3) uint8."""
    camera, (height, width) = canvas.camera, canvas.camera.size
    ids = np.asarray(canvas.ids).ravel()
    rows, columns = height * OVERSAMPLE, width * OVERSAMPLE
    column = np.tile((np.arange(columns, dtype=np.float32) + 0.5) / OVERSAMPLE, rows)
    row = np.repeat((np.arange(rows, dtype=np.float32) + 0.5) / OVERSAMPLE, columns)
    planes, materials = zip(*canvas.surfaces, strict=True)
    axes = np.array([plane.axis for plane in planes])
    at = np.array([plane.at for plane in planes], np.float32)
    colours = np.array([material.colour for material in materials], np.float32)
    texture = np.array([_NAMES.index(material.texture) for material in materials])
    glow = np.array([material.glow for material in materials], np.float32)
    extra = np.array([(*m.extra, *(0.0,) * (EXTRA - len(m.extra))) for m in materials], np.float32)
    normals = np.zeros((len(planes), 3), np.float32)
    normals[axes == FRONT, 2], normals[axes == GROUND, 1] = -1.0, 1.0
    normals[axes == SIDE, 0] = -np.sign(at[axes == SIDE])
    facing = np.maximum((normals * np.asarray(light.direction)).sum(axis=1), 0.0)

    axis = axes[ids]
    rgb, shine = colours[ids], glow[ids]
    z = np.maximum(at[ids], 1.0)
    side, ground = np.flatnonzero(axis == SIDE), np.flatnonzero(axis == GROUND)
    z[side] = np.clip(camera.side_depth(at[ids[side]], column[side]), 1.0, 400.0)
    z[ground] = camera.focal * camera.height / np.maximum(row[ground] - camera.horizon, 0.2)
    x = ((column - camera.centre) / camera.focal - camera.bend * z) * z
    y = camera.height - (row - camera.horizon) * z / camera.focal
    u, v = np.where(axis == SIDE, z, x), np.where(axis == GROUND, z, y)

    kinds = texture[ids]
    for number, name in enumerate(_NAMES):
        at_kind = np.flatnonzero(kinds == number)
        if not at_kind.size:
            continue
        if name == "sky":
            f = camera.focal
            rgb[at_kind] = _sky((column[at_kind] - camera.centre) / f, (row[at_kind] - camera.horizon) / f, light)
            continue
        where = u[at_kind], v[at_kind], z[at_kind], extra[ids[at_kind]]
        if name == "facade":
            rgb[at_kind], shine[at_kind] = _facade(*where, rgb[at_kind], light.lamps)
        elif name != "plain":
            rgb[at_kind] *= _TEXTURES[name](*where)[:, None]

    shadow = np.asarray(canvas.shadows).ravel() * np.float32(1 / 255) * (axis == GROUND)
    sun = (facing[ids] * (1.0 - shadow))[:, None] * np.asarray(light.sun, np.float32)
    foot = np.where((axis == GROUND) | (axis == SKY), 1.0, 0.72 + 0.28 * np.clip(y / 1.2, 0.0, 1.0))
    ambient = (foot * (1.0 - 0.25 * shadow))[:, None].astype(np.float32) * np.asarray(light.ambient, np.float32)
    bright = np.where(axis == SKY, 1.0, shine).astype(np.float32)[:, None]
    rgb *= bright + (1.0 - bright) * (sun + ambient)
    clear = np.exp(-light.haze * z)[:, None]
    clear[axis == SKY] = 1.0
    rgb = np.asarray(light.sky_low, np.float32) * (1.0 - clear) + rgb * clear

    rgb = rgb.reshape(height, OVERSAMPLE, width, OVERSAMPLE, 3).mean(axis=(1, 3))
    rgb += rng.standard_normal((height, width, 1), dtype=np.float32) * 0.008
    return (np.clip(rgb, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)
