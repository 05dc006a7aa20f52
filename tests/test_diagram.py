"""Boxes, arrows and grids of numbers stand where they were put."""

from __future__ import annotations

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb, to_rgba

from spacemeshlab.diagram import BLUE, FAINT, GREEN, RED, Diagram


@pytest.fixture
def sheet():
    mpl.use("Agg")
    yield Diagram(16, 4, "A sheet")
    plt.close("all")


def words(sheet: Diagram) -> dict[str, tuple[float, float]]:
    return {text.get_text(): text.get_position() for text in sheet.ax.texts}


def test_a_sheet_has_a_title_and_units_of_the_same_length_in_both_directions(sheet):
    assert sheet.ax.get_title() == "A sheet"
    assert (*sheet.ax.get_xlim(), *sheet.ax.get_ylim()) == (0, 16, 0, 4)
    assert sheet.ax.get_aspect() == 1


def test_every_sheet_is_as_wide_as_the_column_whatever_its_units(sheet):
    assert Diagram(5, 1).figure.get_figwidth() == sheet.figure.get_figwidth()


def test_a_box_holds_its_title_above_its_note(sheet):
    sheet.box(2, 1, 1.5, 1.2, "memo", "16 at 1/1", colour=GREEN)
    box = sheet.ax.patches[0]
    assert box.get_edgecolor() == to_rgba(GREEN)
    (x, title), (also_x, note) = words(sheet)["memo"], words(sheet)["16 at 1/1"]
    assert x == also_x == 2.75
    assert 1 < note < title < 2.2


def test_a_box_without_a_note_has_its_title_in_the_middle(sheet):
    sheet.box(0, 0, 2, 1, "SCA")
    assert words(sheet)["SCA"] == (1, 0.5)


def test_what_is_not_lit_is_grey(sheet):
    sheet.box(0, 0, 2, 1, "SCA", colour=BLUE, lit=False)
    assert sheet.ax.patches[0].get_edgecolor() == to_rgba(FAINT)
    assert sheet.ax.patches[0].get_facecolor() == to_rgba("white")


def test_an_arrow_bends_at_its_points_and_its_head_is_at_the_last(sheet):
    sheet.arrow((0, 0), (0, 3), (4, 3), label="up")
    assert sheet.ax.lines[0].get_xydata().tolist() == [[0, 0], [0, 3]]
    assert sheet.ax.texts[0].xy == (4, 3)
    assert sheet.ax.texts[1].get_text() == "up"
    assert sheet.ax.texts[1].xy == (2, 3)


@pytest.mark.parametrize(("end", "rotation"), [((4, 1), 0), ((1, 4), 90)])
def test_a_label_runs_along_its_arrow(sheet, end, rotation):
    sheet.arrow((0, 0), end, label="down")
    assert sheet.ax.texts[-1].get_rotation() == rotation


def test_numbers_are_laid_out_like_a_printed_tensor(sheet):
    sheet.numbers((1, 3), [[1, 2], [3, np.nan]], cell=1, colours=[RED, "white", "white", "white"])
    assert words(sheet) == {"1": (1.5, 2.5), "2": (2.5, 2.5), "3": (1.5, 1.5)}
    cells = [patch.get_xy() for patch in sheet.ax.patches]
    assert cells == [(1, 2), (2, 2), (1, 1), (2, 1)]
    assert sheet.ax.patches[1].get_facecolor() == to_rgba("white")
    assert sheet.ax.patches[0].get_facecolor()[0] > to_rgb(RED)[0] - 1e-6  # a tint, so the number can be read
    assert sheet.ax.patches[0].get_facecolor() != to_rgba("white")


def test_numbers_are_rounded_to_the_digits_asked_for(sheet):
    sheet.numbers((0, 2), [[0.126]], digits=2)
    assert list(words(sheet)) == ["0.13"]
