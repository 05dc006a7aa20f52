"""The book's colours: what colour-blind eyes make of them, and whether words stand out from what lies behind them."""

from __future__ import annotations

import re
from pathlib import Path

import draw_static
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from spacemeshlab import diagram
from spacemeshlab.data.labels import CAMVID, CITYSCAPES, LabelSet

ROOT = Path(__file__).resolve().parents[2]
STYLE = (ROOT / "book" / "_static" / "book.css").read_text(encoding="utf-8")
VISIONS = ("all three cones", *draw_static.MISSING_CONES)
TELL_APART = 10
"""The least CIEDE2000 distance of two colours that stand for different things. Side by side, a distance of 1 can just
be seen; across a figure, in thin lines and on many screens, more is needed. Ten times that is our choice."""

TEXT = ("text-base", "text-muted", "heading", "primary", "secondary", "accent", "inline-code")
BEHIND = ("background", "surface", "table-row-hover-bg", "target")


def theme(name: str) -> dict[str, str]:
    """The colours that book.css gives a theme of the site."""
    (block,) = re.findall(rf'html\[data-theme="{name}"\] \{{\n(.*?)\n\}}', STYLE, flags=re.DOTALL)
    return dict(re.findall(r"--pst-color-([\w-]+): (#[0-9a-f]{6});", block))


def contrast(one: str, other: str) -> float:
    """WCAG 2: (lighter + 0.05) / (darker + 0.05)."""
    lights = [draw_static.linear(np.array(to_rgb(colour))) @ (0.2126, 0.7152, 0.0722) for colour in (one, other)]
    return (max(lights) + 0.05) / (min(lights) + 0.05)


def test_the_palette_is_the_diagrams_and_the_cycle_of_every_plot():
    import matplotlib.pyplot as plt

    from spacemeshlab.book import setup

    with plt.rc_context():
        setup()
        cycle = [colour.upper() for colour in plt.rcParams["axes.prop_cycle"].by_key()["color"]]
    assert cycle == list(draw_static.PALETTE.values())
    for name, colour in draw_static.PALETTE.items():
        assert getattr(diagram, name.upper()) == colour


def test_site_and_explorers_have_the_same_palette():
    explorers = (ROOT / "book" / "_static" / "explorers" / "explorers.css").read_text(encoding="utf-8")
    for style, prefix in ((STYLE, "--"), (explorers, "--explorer-")):
        found = dict(re.findall(rf"(?m)^  {prefix}(blue|orange|green|pink|sky|red): (#\w{{6}});", style))
        assert len(found) >= 5
        for name, colour in found.items():
            assert colour.upper() == draw_static.PALETTE[name], (prefix, name)


@pytest.mark.parametrize("vision", VISIONS)
def test_every_two_colours_of_the_palette_can_be_told_apart(vision):
    colours = {name: to_rgb(colour) for name, colour in draw_static.PALETTE.items()}
    colours |= {"ink": to_rgb(diagram.INK), "paper": (1.0, 1.0, 1.0)}
    distance, one, other = draw_static.closest(colours, vision)[0]
    assert distance >= TELL_APART, (one, other)


def test_pure_red_and_green_would_not_pass():
    mixed = {"red": (0.8, 0.2, 0.1), "green": (0.35, 0.5, 0.1)}
    assert draw_static.closest(mixed, "deuteranopia")[0][0] < TELL_APART < draw_static.closest(mixed, "")[0][0]


@pytest.mark.parametrize("labels", [CITYSCAPES, CAMVID], ids=lambda labels: labels.name)
@pytest.mark.parametrize("vision", draw_static.MISSING_CONES)
def test_class_colours_fall_together_so_figures_must_name_their_classes(labels: LabelSet, vision):
    """They are the data sets' own, which every paper and tool uses: the colophon says which pairs fall together."""
    pairs = draw_static.closest(draw_static.named(labels), vision)
    text = (ROOT / "book" / "colophon.md").read_text(encoding="utf-8")
    for distance, one, other in pairs:
        if distance < 5:
            assert f"{one} and {other}" in text or f"{other} and {one}" in text, (vision, distance)
    assert pairs[0][0] < TELL_APART


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, 2.49, -0.001), (50, -2.49, 0.0009), 7.1792),
        ((50, -1.3802, -84.2814), (50, 0, -82.7485), 1.0),
        ((22.7233, 20.0904, -46.694), (23.0331, 14.973, -42.5619), 2.0373),
        ((2.0776, 0.0795, -1.135), (0.9033, -0.0636, -0.5514), 0.9082),
    ],
)
def test_the_distance_is_that_of_sharma_wu_and_dalals_table_1(one, other, expected):
    assert draw_static.difference(np.array(one), np.array(other)) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("vision", VISIONS)
def test_greys_stay_grey_in_every_eye(vision):
    grey = np.repeat(np.linspace(0, 1, 6)[:, None], 3, axis=1)
    np.testing.assert_allclose(draw_static.seen(grey, vision), grey, atol=2e-4)


@pytest.mark.parametrize("name", ["light", "dark"])
@pytest.mark.parametrize("behind", BEHIND)
@pytest.mark.parametrize("text", TEXT)
def test_words_stand_out_from_what_lies_behind_them(name, text, behind):
    colours = theme(name)
    assert contrast(colours[text], colours[behind]) >= 4.5


def test_contrast_is_wcags():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


def test_the_pictures_in_the_book_are_those_that_the_script_draws(tmp_path):
    figure = draw_static.visions()
    labels = [text.get_text() for ax in figure.axes for text in ax.texts]
    assert len(labels) == 3 * len(VISIONS)
    drawn = (ROOT / "book" / "_static" / "visions.svg").read_text(encoding="utf-8")
    for label in labels:
        assert f"<!-- {label} -->" in drawn
