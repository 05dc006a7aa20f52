"""Any picture as the network takes it; class maps as label files and as colours over the photograph."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from spacemeshlab.data import DATASETS
from spacemeshlab.data.labels import CAMVID, CITYSCAPES
from spacemeshlab.errors import UserError
from spacemeshlab.pictures import label_image, overlay, read_photograph, reduce_colours, side_by_side

COLOURS = np.array([[[10, 20, 30], [200, 100, 50], [0, 255, 7]]], dtype=np.uint8)  # (1, 3, 3)


def pixels(path: Path, **keywords) -> list:
    """The rows of a picture; every pixel [R, G, B]."""
    tensor = read_photograph(path, **keywords)
    assert (tensor.dtype, tensor.shape[0]) == (torch.uint8, 3)
    return tensor.permute(1, 2, 0).tolist()


def save(path: Path, image: Image.Image | np.ndarray, **keywords) -> Path:
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(path, **keywords)
    return path


def png(path: Path, values: np.ndarray, colour_type: int, depth: int = 16, size=None, transparent=b"") -> Path:
    """A PNG written by hand, as Pillow writes none of 16 bits with colour. values (H, W) or (H, W, channels)."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = values.astype(">u2" if depth == 16 else np.uint8).reshape(len(values), -1)
    width, height = size or (values.shape[1], values.shape[0])
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    extra = chunk(b"tRNS", transparent) if transparent else b""
    content = chunk(b"IHDR", header) + extra + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + content)
    return path


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "ppm", "webp"])
def test_colours_come_back_in_the_order_red_green_blue_without_loss(tmp_path, suffix):
    path = save(tmp_path / f"a.{suffix}", COLOURS, **({"lossless": True} if suffix == "webp" else {}))
    assert pixels(path) == COLOURS.tolist()


def test_a_jpeg_comes_back(tmp_path):
    grey = np.full((8, 8, 3), 77, dtype=np.uint8)
    assert pixels(save(tmp_path / "a.jpg", grey, quality=95)) == grey.tolist()


def test_grey_becomes_three_equal_channels(tmp_path):
    grey = np.array([[0, 77, 255]], dtype=np.uint8)
    assert pixels(save(tmp_path / "a.png", grey)) == [[[0] * 3, [77] * 3, [255] * 3]]
    assert pixels(save(tmp_path / "b.png", Image.fromarray(grey > 50).convert("1"))) == [
        [[0] * 3, [255] * 3, [255] * 3]
    ]


def test_a_palette_picture_shows_its_colours(tmp_path):
    image = Image.fromarray(np.array([[2, 0, 1]], dtype=np.uint8))
    image.putpalette(COLOURS.flatten().tolist())
    assert pixels(save(tmp_path / "a.png", image)) == [[COLOURS[0, k].tolist() for k in (2, 0, 1)]]


def test_what_is_transparent_shows_white(tmp_path):
    opaque, half, clear = [10, 20, 30, 255], [100, 0, 200, 51], [9, 8, 7, 0]
    expected = [[[10, 20, 30], [224, 204, 244], [255, 255, 255]]]  # 51/255 = 1/5 of the colour, 4/5 white
    assert pixels(save(tmp_path / "rgba.png", np.array([[opaque, half, clear]], dtype=np.uint8))) == expected
    grey = np.array([[[10, 255], [100, 51], [9, 0]]], dtype=np.uint8)
    assert pixels(save(tmp_path / "la.png", grey)) == [[[10] * 3, [224] * 3, [255] * 3]]


def test_a_colour_that_a_file_declares_transparent_shows_white(tmp_path):
    palette = Image.fromarray(np.array([[2, 0, 1]], dtype=np.uint8))
    palette.putpalette(COLOURS.flatten().tolist())
    expected = [[[0, 255, 7], [255, 255, 255], [200, 100, 50]]]
    assert pixels(save(tmp_path / "p.png", palette, transparency=0)) == expected
    assert pixels(save(tmp_path / "pa.png", palette, transparency=b"\x00\xff\xff")) == expected
    assert pixels(save(tmp_path / "a.gif", palette, transparency=0)) == expected
    colour = save(tmp_path / "rgb.png", COLOURS, transparency=(200, 100, 50))
    assert pixels(colour) == [[[10, 20, 30], [255, 255, 255], [0, 255, 7]]]
    grey = png(tmp_path / "g16.png", np.array([[0x1234, 0x1235]]), 0, transparent=struct.pack(">H", 0x1234))
    assert pixels(grey) == [[[255] * 3, [0x12] * 3]]


def test_of_sixteen_bits_the_upper_eight_are_kept_in_grey_and_in_colour(tmp_path):
    values = np.array([[0, 255, 256, 0x12FF, 0x8000, 65535]])
    upper = [0, 0, 1, 0x12, 0x80, 255]
    grey = [[[value] * 3 for value in upper]]
    assert pixels(png(tmp_path / "grey.png", values, 0)) == grey
    assert pixels(save(tmp_path / "grey.tif", values.astype(np.uint16))) == grey
    assert pixels(save(tmp_path / "long.tif", values.astype(np.int32))) == grey
    colour = np.stack([values, values[:, ::-1], values], axis=-1)
    expected = [[[a, b, a] for a, b in zip(upper, upper[::-1], strict=True)]]
    assert pixels(png(tmp_path / "colour.png", colour, 2)) == expected
    opaque = np.concatenate([colour, np.full((1, 6, 1), 65535)], axis=-1)
    assert pixels(png(tmp_path / "alpha.png", opaque, 6)) == expected
    assert pixels(png(tmp_path / "grey-alpha.png", np.stack([values, 0 * values], axis=-1), 4)) == [[[255] * 3] * 6]


def test_whole_numbers_beyond_sixteen_bits_are_refused(tmp_path):
    for values, found in (([[0, 65536]], "0..65536"), ([[-5, 7]], "-5..7")):
        path = save(tmp_path / "a.tif", np.array(values, dtype=np.int32))
        with pytest.raises(UserError, match=rf"a.tif: expected 8 or 16 bits a channel, found values {found}: convert"):
            read_photograph(path)


def test_floating_point_numbers_are_0_to_1_or_refused(tmp_path):
    path = save(tmp_path / "a.tif", np.array([[0, 0.2, 0.999, 1]], dtype=np.float32))
    assert pixels(path) == [[[0] * 3, [51] * 3, [255] * 3, [255] * 3]]
    for values, found in (([[0, 255]], "0..255"), ([[-0.5, 1]], "-0.5..1"), ([[np.nan, 1]], "nan..nan")):
        save(path, np.array(values, dtype=np.float32))
        with pytest.raises(UserError, match=rf"a.tif: expected floating-point values in 0..1, found {found}: convert"):
            read_photograph(path)


@pytest.mark.parametrize("name", ["a.jpg", "a.tif"])
def test_cmyk_becomes_rgb(tmp_path, name):
    path = save(tmp_path / name, Image.new("CMYK", (8, 8), (0, 255, 255, 0)))
    assert pixels(path) == [[[255, 0, 0]] * 8] * 8
    assert pixels(save(path, Image.new("CMYK", (8, 8), (0, 0, 0, 255)))) == [[[0, 0, 0]] * 8] * 8


@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
def test_a_turned_picture_is_turned_upright(tmp_path, suffix):
    upright = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)
    stored = {1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 6: np.rot90(upright), 8: np.rot90(upright, 3)}
    for orientation, array in stored.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        keywords = {"exif": exif} | ({"lossless": True} if suffix == "webp" else {})
        path = save(tmp_path / f"a.{suffix}", np.ascontiguousarray(array), **keywords)
        assert pixels(path) == upright.tolist(), orientation


def test_a_turned_jpeg_has_its_upright_size(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    halves = np.zeros((16, 32, 3), dtype=np.uint8)
    halves[:, 16:] = 255  # right half white: turned clockwise, the lower half
    picture = read_photograph(save(tmp_path / "a.jpg", halves, exif=exif))
    assert picture.shape == (3, 32, 16)
    assert (picture[:, :16].max(), picture[:, 16:].min()) == (0, 255)


def test_exif_that_cannot_be_read_turns_nothing(tmp_path):
    for name in ("a.jpg", "a.png"):
        path = save(tmp_path / name, np.full((2, 3, 3), 9, dtype=np.uint8), exif=b"Exif\0\0garbage!")
        assert pixels(path) == [[[9, 9, 9]] * 3] * 2


def test_a_picture_of_one_pixel_is_a_picture(tmp_path):
    assert pixels(save(tmp_path / "a.png", COLOURS[:, :1])) == [[[10, 20, 30]]]


@pytest.mark.parametrize("suffix", ["gif", "webp", "tif", "png"])
def test_of_several_frames_the_first_is_read_and_that_is_said(tmp_path, suffix):
    frames = [Image.new("RGB", (4, 4), colour) for colour in ((255, 0, 0), (0, 0, 255), (0, 255, 0))]
    keywords = {"lossless": True} if suffix == "webp" else {}
    path, notes = tmp_path / f"a.{suffix}", []
    frames[0].save(path, save_all=True, append_images=frames[1:], **keywords)
    assert pixels(path, note=notes.append) == [[[255, 0, 0]] * 4] * 4
    assert notes == [f"{path}: 3 frames or pages, read the first"]
    frames[0].save(path, **keywords)
    read_photograph(path, note=notes.append)
    assert len(notes) == 1


def test_a_phones_jpeg_with_a_preview_inside_is_one_picture(tmp_path):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("white", "black")]
    frames[0].save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=frames[1:])
    notes = []
    assert pixels(tmp_path / "a.jpg", note=notes.append) == [[[255] * 3] * 8] * 8
    assert notes == []


def test_more_pixels_than_pillow_opens_are_one_line_and_fewer_no_warning(tmp_path, monkeypatch):
    bomb = png(tmp_path / "a.png", np.zeros((1, 1, 3)), 2, 8, size=(20_000, 20_000))
    with pytest.raises(
        UserError, match=r"a.png: expected fewer pixels, found more .*400000000 pixels.*: shrink it, or"
    ):
        read_photograph(bomb)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2)  # Pillow warns above it and raises above twice of it
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert pixels(save(tmp_path / "b.png", COLOURS)) == COLOURS.tolist()


def test_what_is_no_picture_is_one_line(tmp_path):
    with pytest.raises(UserError, match=r"none.png: expected a picture, found no such file"):
        read_photograph(tmp_path / "none.png")
    with pytest.raises(UserError, match=r"expected a picture, found a folder"):
        read_photograph(tmp_path)
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(
        UserError, match=r"text.png: expected a complete picture, found 8 bytes .*\(cannot identify image file\): "
    ):
        read_photograph(tmp_path / "text.png")


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "tif", "webp", "bmp"])
def test_a_cut_picture_is_one_line(tmp_path, suffix):
    random = np.random.default_rng(0)
    path = save(tmp_path / f"a.{suffix}", random.integers(256, size=(32, 32, 3), dtype=np.uint8))
    whole = path.read_bytes()
    for size in (0, 30, len(whole) // 2):
        path.write_bytes(whole[:size])
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # they would be lines of their own
            with pytest.raises(UserError, match=rf"^[^\n]*a.{suffix}: expected a complete picture, found {size} bytes"):
                read_photograph(path)


@pytest.mark.parametrize("name", DATASETS)
def test_a_label_file_holds_the_data_sets_values_and_shows_its_colours_also_after_saving(name):
    labels = DATASETS[name].labels
    prediction = torch.cat((torch.arange(len(labels)), torch.randint(len(labels), (13 * 17 - len(labels),))))
    prediction = prediction.reshape(13, 17)
    file = io.BytesIO()
    label_image(prediction, labels).save(file, "png")
    image = Image.open(file)
    assert (image.mode, image.size) == ("P", (17, 13))
    assert np.array_equal(labels.to_index[np.asarray(image)], prediction.numpy())
    assert np.array_equal(np.asarray(image.convert("RGB")), labels.colours[prediction.numpy()])


def test_an_overlay_mixes_photograph_and_colour():
    image = torch.tensor([[[100]], [[0]], [[200]]], dtype=torch.uint8)
    car = torch.tensor([[13]])  # (0, 0, 142)
    assert overlay(image, car, CITYSCAPES, opacity=0.5).getpixel((0, 0)) == (50, 0, 171)
    assert overlay(image, car, CITYSCAPES, opacity=0.0).getpixel((0, 0)) == (100, 0, 200)
    assert overlay(image, car, CITYSCAPES, opacity=1.0).getpixel((0, 0)) == (0, 0, 142)


def test_an_overlay_of_many_rows_mixes_each_with_its_own():
    image = torch.randint(256, (3, 600, 2), dtype=torch.uint8)
    prediction = torch.randint(19, (600, 2))
    mixed = np.asarray(overlay(image, prediction, CITYSCAPES, opacity=0.25)).astype(float)
    expected = 0.25 * CITYSCAPES.colours[prediction.numpy()] + 0.75 * image.permute(1, 2, 0).numpy()
    assert mixed.shape == (600, 2, 3)
    assert np.abs(mixed - expected).max() <= 0.5001


def test_photograph_truth_and_prediction_stand_side_by_side():
    image = torch.tensor([[[100]], [[0]], [[200]]], dtype=torch.uint8)
    shown = side_by_side(image, torch.tensor([[255]]), torch.tensor([[13]]), CITYSCAPES)
    assert (shown.dtype, shown.tolist()) == (np.uint8, [[[100, 0, 200], [0, 0, 0], [0, 0, 142]]])


@pytest.mark.parametrize("labels", [CITYSCAPES, CAMVID], ids=lambda labels: labels.name)
def test_a_picture_with_fewer_colours_keeps_those_that_mean_a_class_exactly(labels):
    values = np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    for index, colour in enumerate(labels.palette):
        values[7 * index : 7 * index + 2, 11] = colour  # two pixels are enough
    small = reduce_colours(Image.fromarray(values), labels.palette)
    assert small.mode == "P"
    shown = np.asarray(small.convert("RGB"))
    assert len(np.unique(shown.reshape(-1, 3), axis=0)) <= 256
    for index, colour in enumerate(labels.palette):
        assert (shown[7 * index : 7 * index + 2, 11] == colour).all()
    assert np.abs(shown.astype(int) - values).mean() < 20
