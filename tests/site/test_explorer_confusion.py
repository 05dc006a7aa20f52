"""The confusion explorer computes what spacemeshlab.metrics computes, and is painted by mouse, finger and keyboard."""

from __future__ import annotations

from pathlib import Path

import draw_confusion
import pytest
import torch

from spacemeshlab import metrics

PAGE = "book/02-segmentation"
ARITHMETIC = """() => {
  const { DATA, PRESETS, SCORES, confusion, iou, meanIou, accuracy, atThreshold, sentence } = SpaceMeshLab.confusion;
  const words = (value) => Number.isNaN(value) ? "nan" : value;
  const told = (prediction, truth, classes) => {
    const matrix = confusion(prediction, truth, classes);
    return { prediction, truth, matrix, iou: iou(matrix).map(words), mean: words(meanIou(matrix)),
      accuracy: words(accuracy(matrix)) };
  };
  const ours = {};
  for (const name of Object.keys(PRESETS)) ours[name] = told(PRESETS[name](), DATA.truth, 5);
  for (const t of [0, 30, 50, 75, 100]) ours[t] = told(atThreshold(t), DATA.truth, 5);
  for (const name of Object.keys(ours)) {
    for (const score of ["precision", "recall"]) ours[name][score] = words(SCORES[score][1](ours[name].matrix));
    ours[name].said = sentence(ours[name].matrix);
  }
  ours.absent = told([0, 1, 3, 4], [0, 1, 1, 255], 5);
  ours.void = told([0, 1], [255, 255], 2);
  return { DATA, ours };
}"""


@pytest.fixture
def figure(seen):
    return seen.page.locator("figure.explorer-confusion")


def cell(figure, row: int, column: int):
    grid = figure.get_by_role("grid", name="The prediction")
    return grid.get_by_role("row").nth(row).get_by_role("gridcell").nth(column)


def counts(figure) -> list[list[int]]:
    """The matrix on the page, without names and IoU."""
    rows = figure.locator(".confusion-table tbody tr").all()
    return [[int(one) for one in row.locator("td").all_inner_texts()[:5]] for row in rows]


def shown(figure, name: str) -> str:
    return figure.locator(".confusion-score", has_text=name).locator("> span").nth(2).inner_text()


def test_the_explorer_counts_and_divides_as_the_package_does(seen):
    found = seen.page.evaluate(ARITHMETIC)["ours"]
    assert {"perfect", "all road", "the poles gone", "shifted by one cell", "absent", "void", "50"} <= set(found)
    for name, one in found.items():
        prediction, truth = torch.tensor(one["prediction"]), torch.tensor(one["truth"])
        matrix = metrics.confusion_matrix(prediction, truth, len(one["matrix"]))
        assert one["matrix"] == matrix.tolist(), name
        assert [float(value) for value in one["iou"]] == pytest.approx(metrics.iou(matrix).tolist(), nan_ok=True)
        assert float(one["mean"]) == pytest.approx(metrics.mean_iou(matrix), nan_ok=True)
        assert float(one["accuracy"]) == pytest.approx(metrics.pixel_accuracy(matrix), nan_ok=True)
        if "precision" in one:
            pole = matrix[2].double(), matrix[:, 2].double()
            assert float(one["recall"]) == pytest.approx((pole[0][2] / pole[0].sum()).item(), nan_ok=True)
            assert float(one["precision"]) == pytest.approx((pole[1][2] / pole[1].sum()).item(), nan_ok=True)
    assert found["absent"]["iou"][2:] == ["nan", 0, "nan"]  # nowhere, only said, said at a void place only
    assert found["100"]["precision"] == "nan"


def test_the_script_holds_what_the_drawing_script_writes():
    script = Path(draw_confusion.__file__).parents[1] / "book/_static/explorers/confusion.js"
    text = script.read_text(encoding="utf-8")
    assert draw_confusion.fill(text) == text
    assert draw_confusion.fill("const DATA = {};") != "const DATA = {};"


def test_the_buttons_say_what_they_do_and_accuracy_stays_high_without_poles(seen):
    page = seen.page.evaluate(ARITHMETIC)
    truth, found = page["DATA"]["truth"], page["ours"]
    counted = [place for place, k in enumerate(truth) if k != 255]
    assert found["perfect"]["accuracy"] == found["perfect"]["mean"] == 1
    assert set(found["all road"]["prediction"]) == {3}
    assert 2 not in found["the poles gone"]["prediction"]
    perfect, shifted = (found[name]["prediction"] for name in ("perfect", "shifted by one cell"))
    assert all(perfect[place] == truth[place] for place in counted)
    assert all(shifted[place] == perfect[place - (place % 16 > 0)] for place in range(len(truth)))
    gone = found["the poles gone"]
    assert gone["accuracy"] > 0.9
    assert gone["mean"] < 0.7
    assert gone["iou"][2] == 0
    assert gone["said"].endswith("the lowest IoU is 0.000, for pole.")
    assert found["perfect"]["said"].endswith("every class has an IoU of 1.")


def test_a_mouse_paints_a_stroke_and_the_matrix_follows(figure, seen):
    figure.get_by_role("button", name="perfect").click()
    before = counts(figure)
    assert before[3] == [0, 0, 0, 25, 0]
    assert [shown(figure, name) for name in ("pixel accuracy", "mIoU")] == ["1.000", "1.000"]
    figure.get_by_role("button", name="car").click()
    start, stop = (cell(figure, 6, column).bounding_box() for column in (10, 13))
    seen.page.mouse.move(start["x"] + 5, start["y"] + 5)
    seen.page.mouse.down()
    seen.page.mouse.move(stop["x"] + 5, stop["y"] + 5, steps=20)
    seen.page.mouse.up()
    seen.page.mouse.move(start["x"] - 60, start["y"] + 5, steps=5)  # no longer pressed
    after = counts(figure)
    assert after[3] == [0, 0, 0, 21, 4]
    assert after[:3] + after[4:] == before[:3] + before[4:]
    assert shown(figure, "pixel accuracy") == f"{118 / 122:.3f}"
    assert shown(figure, "mIoU") == f"{(3 + 21 / 25 + 4 / 8) / 5:.3f}"
    assert figure.locator(".confusion-wrong").count() == 4
    assert cell(figure, 6, 13).get_attribute("aria-label") == "row 6, column 13: is road, called car, wrong"
    assert figure.locator(".explorer-result").inner_text().startswith("118 of 122 cells are right: accuracy 0.967.")


def test_arrows_walk_and_space_and_numbers_paint(figure, seen):
    press = seen.page.keyboard.press
    figure.get_by_role("button", name="perfect").focus()
    press("Enter")
    figure.get_by_role("button", name="building").focus()
    press("Space")
    assert figure.get_by_role("button", name="building").get_attribute("aria-pressed") == "true"
    for _ in range(8):  # to the grid, whose one tab stop is the first pole
        press("Tab")
    for key in ("Home", "PageUp", "ArrowRight", "Space"):
        press(key)
    assert counts(figure)[0] == [33, 1, 0, 0, 0]
    focused = seen.page.evaluate("document.activeElement.ariaLabel")
    assert focused == "row 0, column 1: is sky, called building, wrong"
    assert figure.locator(".confusion-here").inner_text() == "1"
    for key in ("ArrowRight", "4", "ArrowDown", "ArrowDown", "ArrowLeft", "3"):
        press(key)
    matrix = counts(figure)
    assert matrix[0] == [32, 1, 0, 0, 1]
    assert matrix[1] == [0, 46, 0, 1, 0]
    brushes = figure.get_by_role("group", name="Class to paint with")
    assert brushes.get_by_role("button", pressed=True).inner_text().endswith("road")
    press("PageDown")
    for _ in range(5):
        press("ArrowRight")
    before = counts(figure)
    press("0")  # the bonnet: costs nothing
    assert counts(figure) == before
    assert "which costs nothing" in figure.locator(".explorer-note").first.inner_text()


def test_a_threshold_moves_precision_recall_and_iou_and_paints_nothing(figure, seen):
    figure.get_by_role("button", name="threshold a probability").click()
    expected = seen.page.evaluate(ARITHMETIC)["ours"]["50"]
    assert shown(figure, "precision") == f"{expected['precision']:.3f}"
    assert shown(figure, "recall") == f"{expected['recall']:.3f}"
    assert shown(figure, "pole: IoU") == f"{expected['iou'][2]:.3f}"
    assert counts(figure) == expected["matrix"]
    slider = figure.get_by_role("slider", name="pole from probability")
    slider.focus()
    seen.page.keyboard.press("Home")
    assert [shown(figure, name) for name in ("precision", "recall")] == [f"{12 / 122:.3f}", "1.000"]
    seen.page.keyboard.press("End")
    assert [shown(figure, name) for name in ("precision", "recall", "pole: IoU")] == ["–", "0.000", "0.000"]
    assert float(shown(figure, "pixel accuracy")) > 0.9
    before = counts(figure)
    cell(figure, 1, 8).click()
    assert counts(figure) == before
    assert cell(figure, 1, 8).get_attribute("aria-label").endswith("called sky, probability of pole 0.66, wrong")


def test_a_finger_paints_on_a_phone_and_nothing_leaves_the_page(visit):
    visited = visit(width=360, height=740, has_touch=True)
    page = visited.page
    visited.start(PAGE)
    figure = page.locator("figure.explorer-confusion")
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    figure.get_by_role("button", name="perfect").tap()
    figure.get_by_role("group", name="Class to paint with").get_by_role("button", name="pole").tap()
    cell(figure, 0, 0).tap()
    assert counts(figure)[0] == [33, 0, 1, 0, 0]
    assert visited.complaints == []


def test_without_scripts_and_on_paper_there_is_the_picture(visit, seen, figure):
    picture = figure.locator("img")
    assert picture.is_hidden()
    seen.page.emulate_media(media="print")
    assert picture.is_visible()
    assert figure.locator(".explorer-live").is_hidden()
    still = visit(java_script_enabled=False)
    still.start(PAGE)
    assert still.page.locator("figure.explorer-confusion img").is_visible()
    assert "accuracy is 0.90 and mIoU 0.69" in still.page.locator("figure.explorer-confusion img").get_attribute("alt")


def test_it_works_from_a_folder_on_a_disk(visit, html):
    visited = visit()
    visited.page.goto((html / f"{PAGE}.html").as_uri())
    figure = visited.page.locator("figure.explorer-confusion")
    figure.get_by_role("button", name="all road").click()
    assert shown(figure, "mIoU") == f"{25 / 122 / 5:.3f}"
    assert visited.complaints == []
