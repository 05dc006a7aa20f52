"""The before/after slider shows pairs of pictures, exactly on each other; its numbers are those of looking.json."""

from __future__ import annotations

import json
from pathlib import Path

import draw_slider
import numpy as np
import pytest
import torch
from PIL import Image

from spacemeshlab.data.labels import CAMVID

PAGE = "book/17-looking"
EXPLORERS = draw_slider.OUT
LOOKING = EXPLORERS.parents[1] / "results" / "camvid-cpu" / "looking.json"
PARTS = ("photograph", "truth", "prediction0", "prediction1", "errors0", "errors1")
SCENES = ("worst", "middle", "best")
BOXES = """all => all.map(picture => {
  const { padding, filter } = getComputedStyle(picture);
  return [picture.getBoundingClientRect().toJSON(), padding, filter];
})"""


@pytest.fixture
def figure(seen):
    return seen.page.locator("figure.explorer-slider")


def shown(figure) -> list[str]:
    """The files of both pictures, left first, once they are there."""
    figure.locator(".slider-stage").scroll_into_view_if_needed()
    figure.page.wait_for_function(
        "() => [...document.querySelectorAll('.slider-stage img')].every(i => i.complete && i.naturalWidth === 480)"
    )
    return [Path(one.get_attribute("src")).stem for one in figure.locator(".slider-stage img").all()]


def border(figure) -> float:
    """Where the left picture is cut off, as a share of the width."""
    stage, line = (figure.locator(name).bounding_box() for name in (".slider-stage", ".slider-line"))
    return (line["x"] + line["width"] / 2 - stage["x"]) / stage["width"]


def picture(scene: str, part: str) -> np.ndarray:
    return np.asarray(Image.open(EXPLORERS / "slider" / f"{scene}-{part}.webp").convert("RGB")).astype(int)


def test_every_button_shows_its_pair_and_its_colours(figure):
    assert shown(figure) == ["middle-truth", "middle-prediction0"]
    pairs = {
        "photograph | truth": ("photograph", "truth"),
        "truth | prediction": ("truth", "prediction0"),
        "prediction | error map": ("prediction0", "errors0"),
        "SpaceMeshLab | DeepLabV3+": ("prediction0", "prediction1"),
        "error maps of both": ("errors0", "errors1"),
    }
    group = figure.get_by_role("group", name="Pair of pictures")
    assert group.get_by_role("button").all_inner_texts() == list(pairs)
    for name, (left, right) in pairs.items():
        group.get_by_role("button", name=name).click()
        assert shown(figure) == [f"middle-{left}", f"middle-{right}"]
        assert group.get_by_role("button", pressed=True).all_inner_texts() == [name]
        legend = figure.get_by_role("list", name="Colours").get_by_role("listitem").all_inner_texts()
        assert ("bicyclist" in legend) == (name != "error maps of both")
        assert ("wrong, farther inside" in legend) == ("errors" in right)
        assert ("not counted" in legend) == (name != "SpaceMeshLab | DeepLabV3+")
    for scene in SCENES:
        figure.get_by_role("button", name=f"{scene} scene").click()
        assert shown(figure) == [f"{scene}-errors0", f"{scene}-errors1"]
        alts = [one.get_attribute("alt") for one in figure.locator(".slider-stage img").all()]
        assert alts[0].startswith("Errors of SpaceMeshLab in validation image ")
        assert alts[1].startswith("Errors of DeepLabV3+ in validation image ")


def test_a_mouse_and_the_keyboard_move_the_border(figure, seen):
    assert border(figure) == pytest.approx(0.5, abs=0.003)
    figure.locator(".slider-stage").scroll_into_view_if_needed()
    stage = figure.locator(".slider-stage").bounding_box()
    middle = stage["y"] + stage["height"] / 2
    seen.page.mouse.move(stage["x"] + stage["width"] / 2, middle)
    seen.page.mouse.down()
    seen.page.mouse.move(stage["x"] + 0.2 * stage["width"], middle, steps=5)
    seen.page.mouse.up()
    assert border(figure) == pytest.approx(0.2, abs=0.01)  # the handle stays under the pointer
    slider = figure.get_by_role("slider", name="Border between ground truth on the left and SpaceMeshLab on the right")
    assert slider.get_attribute("aria-valuetext") == "20 % ground truth, 80 % SpaceMeshLab"
    slider.focus()
    seen.page.keyboard.press("ArrowRight")
    assert border(figure) == pytest.approx(0.21, abs=0.003)
    for key, place in (("Home", 0), ("End", 1)):
        seen.page.keyboard.press(key)
        assert border(figure) == pytest.approx(place, abs=0.003)
    cut = "e => getComputedStyle(e).clipPath"
    assert figure.locator(".slider-left").evaluate(cut) in (
        "inset(0px)",
        "inset(0px 0% 0px 0px)",
        "inset(0px calc(0%) 0px 0px)",
    )
    figure.get_by_role("button", name="best scene").focus()
    seen.page.keyboard.press("Space")
    assert shown(figure)[0] == "best-truth"
    assert border(figure) == pytest.approx(1, abs=0.003)  # stays where it was


def test_both_pictures_lie_exactly_on_each_other_day_and_night(visit):
    for scheme in ("light", "dark"):
        visited = visit(color_scheme=scheme)
        visited.start(PAGE)
        left, right = visited.page.locator(".slider-stage img").evaluate_all(BOXES)
        assert left == right
        assert left[1:] == ["0px", "none"]
        assert left[0]["width"] / left[0]["height"] == pytest.approx(480 / 360, rel=0.01)


def test_the_scenes_are_the_worst_the_middle_and_the_best_and_their_scores_are_those_of_the_file(seen, figure):
    data = seen.page.evaluate("SpaceMeshLab.slider.DATA")
    networks = json.loads(LOOKING.read_text())["networks"]
    assert data["networks"] == list(networks)
    assert data["classes"] == list(CAMVID.classes)
    assert data["palette"] == [list(colour) for colour in CAMVID.palette]
    scores = networks["SpaceMeshLab"]["image_miou"]
    chosen = {name: sorted(scores)[place] for name, place in zip(SCENES, (0, len(scores) // 2, -1), strict=True)}
    assert list(data["scenes"]) == list(SCENES)
    for name, scene in data["scenes"].items():
        assert scores[scene["number"]] == chosen[name]
        for title, network in networks.items():
            assert scene["miou"][title] == pytest.approx(network["image_miou"][scene["number"]], abs=2e-6)
    words = figure.locator(".explorer-result").inner_text().replace("\xa0", " ")
    middle = data["scenes"]["middle"]
    assert f"validation image {middle['number']}, {middle['file']}." in words
    assert f"{100 * chosen['middle']:.1f} % for SpaceMeshLab" in words


@pytest.mark.parametrize("scene", SCENES)
def test_an_error_map_marks_where_prediction_and_truth_differ(scene):
    truth, void = picture(scene, "truth"), (0, 0, 0)
    outside = (truth == void).all(-1)
    for network in "01":
        wrong = (picture(scene, f"prediction{network}") != truth).any(-1) & ~outside
        marks = picture(scene, f"errors{network}")
        blue, orange = ((marks == rgb).all(-1) for rgb in ((0, 114, 178), (230, 159, 0)))
        assert ((blue | orange) == wrong).all()
        assert ((marks == void).all(-1) == outside).all()
        assert blue.any()
        assert orange.any()


def test_blue_is_near_a_border_and_orange_is_not():
    truth = torch.zeros(9, 20, dtype=torch.int64)
    truth[:, 10:] = 1
    truth[0, 0] = 255
    marks = draw_slider.errors(1 - truth.clamp(max=1), truth)
    assert {tuple(rgb) for rgb in marks[4, 7:13]} == {(0, 114, 178)}
    assert {tuple(rgb) for rgb in np.concatenate([marks[4, :7], marks[4, 13:]])} == {(230, 159, 0)}
    assert tuple(marks[0, 0]) == (0, 0, 0)


def test_the_pictures_are_light_and_named_as_the_script_asks_for_them():
    files = {path.stem: path.stat().st_size for path in (EXPLORERS / "slider").iterdir()}
    assert set(files) == {f"{scene}-{part}" for scene in SCENES for part in PARTS}
    assert sum(files.values()) + (EXPLORERS / "slider.webp").stat().st_size < 200_000


def test_without_runs_the_drawing_script_says_so_and_leaves_the_pictures(monkeypatch, capsys, tmp_path):
    words = ["a=no-run", "b=no-run", "--data-root", "none", "--looking", str(LOOKING), "--out", str(tmp_path)]
    monkeypatch.setattr("sys.argv", ["draw_slider.py", *words])
    with pytest.raises(SystemExit, match="2"):
        draw_slider.main()
    assert "expected a checkpoint at no-run/last.ckpt, found none" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_it_fits_a_phone_and_a_finger_moves_it(visit):
    visited = visit(width=360, height=740, has_touch=True)
    page = visited.page
    visited.start(PAGE)
    figure = page.locator("figure.explorer-slider")
    figure.locator(".slider-stage").scroll_into_view_if_needed()
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    stage = figure.locator(".slider-stage").bounding_box()
    page.touchscreen.tap(stage["x"] + 0.75 * stage["width"], stage["y"] + stage["height"] / 2)
    assert border(figure) == pytest.approx(0.75, abs=0.02)
    assert visited.complaints == []


def test_without_scripts_and_on_paper_there_is_the_picture(visit, figure, seen):
    picture = figure.locator(":scope > img")
    assert picture.is_hidden()
    seen.page.emulate_media(media="print")
    assert picture.is_visible()
    assert figure.locator(".explorer-live").is_hidden()
    still = visit(java_script_enabled=False)
    still.start(PAGE)
    assert still.page.locator("figure.explorer-slider > img").is_visible()


def test_it_works_from_a_folder_on_a_disk(visit, html):
    visited = visit()
    visited.page.goto((html / f"{PAGE}.html").as_uri())
    figure = visited.page.locator("figure.explorer-slider")
    figure.get_by_role("button", name="worst scene").click()
    assert shown(figure) == ["worst-truth", "worst-prediction0"]
    assert visited.complaints == []
