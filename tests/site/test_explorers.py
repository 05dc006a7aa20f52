"""The explorers of chapters 06 and 09 compute what the package computes, obey mouse, finger and keyboard, and leave a
picture where scripts are off and on paper."""

from __future__ import annotations

import io
import itertools
import re
import sys
from collections import Counter
from pathlib import Path

import pytest
import torch
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace, patch_docutils
from torch import nn
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from spacemeshlab import meshgrid_conv2d
from spacemeshlab.models.aspp import ASPP
from spacemeshlab.models.shuffle import FACTOR, PixelUnshuffle

PAGES = {"metrocon2": "book/09-metrocon2", "shuffle": "book/06-shuffle"}
ROWS, COLUMNS, RATES = 16, 32, range(1, 19)
FAR = max(RATES)
CELLS = [(0, 0), (6, 26), (15, 31)]
CHOICES = [
    [(4, 1)],
    [(1, 18), (18, 1), (2, 7), (7, 7), (7, 2)],
    list(itertools.product((6, 12, 18), repeat=2)),
    list(itertools.product(RATES, repeat=2)),
]
SHAPES = [(1, 4, 2), (2, 4, 2), (3, 8, 2), (4, 8, 4), (4, 4, 4)]  # channels of y, its rows and columns, factor


@pytest.fixture
def metrocon2(visit):
    return visit().open(PAGES["metrocon2"])


@pytest.fixture
def shuffle(visit):
    return visit().open(PAGES["shuffle"])


def result(page, name: str) -> str:
    return page.locator(f".explorer-{name} .explorer-result").inner_text()


def looked_at(outputs: torch.Tensor, x: torch.Tensor) -> Counter:
    """How many of the outputs depend on each place of a map (1, 1, H, W): its gradient, where all weights are 1."""
    (gradient,) = torch.autograd.grad(outputs.sum(), x)
    return Counter({(r, c): int(gradient[0, 0, r, c]) for r, c in gradient[0, 0].nonzero().tolist()})


def street(far: int = 0) -> torch.Tensor:
    """A map as large as the street's, and ``far`` more on each side."""
    return torch.zeros(1, 1, ROWS + 2 * far, COLUMNS + 2 * far, requires_grad=True)


def moved(count: Counter, far: int) -> dict[tuple[int, int], int]:
    return {(r - far, c - far): number for (r, c), number in count.items()}


def listed(places: list[list[int]]) -> dict[tuple[int, int], int]:
    found = {(r, c): number for r, c, number in places}
    assert len(found) == len(places)
    return found


# ---- MetroCon²: the numbers


def ask(page, function: str, *words: object) -> object:
    return page.evaluate(f"words => SpaceMeshLab.metrocon2.{function}(...words)", list(words))


def test_taps_land_where_the_packages_convolutions_look(metrocon2):
    for choice, (row, column) in itertools.product(CHOICES, CELLS):
        weight = torch.zeros(18, 18, 1, 1, 3, 3)
        weight[tuple(torch.tensor(choice).T - 1)] = 1
        x = street(FAR)
        outputs = meshgrid_conv2d(x, weight, RATES)[..., row + FAR, column + FAR]
        expected = moved(looked_at(outputs, x), FAR)
        assert listed(ask(metrocon2, "touched", choice, [row, column])) == expected
        x = street()
        within = looked_at(meshgrid_conv2d(x, weight, RATES)[..., row, column], x)
        words = ask(metrocon2, "sentence", choice, [row, column])
        pairs, cells, inside, padding, *_ = map(int, re.findall(r"\d+", words))
        assert (pairs, cells, inside) == (len(choice), len(expected), len(within))
        assert inside + padding == cells


def test_aspp_looks_where_the_packages_aspp_looks(metrocon2):
    convolutions = [
        next(m for m in branch.modules() if isinstance(m, nn.Conv2d)) for branch in ASPP(1, channels=1).branches
    ]
    for row, column in CELLS:
        expected, within = Counter(), Counter()
        for convolution in convolutions:
            nn.init.ones_(convolution.weight)
            x = street(FAR)
            expected += looked_at(convolution(x)[..., row + FAR, column + FAR], x)
            x = street()
            within += looked_at(convolution(x)[..., row, column], x)
        aspp = metrocon2.evaluate("SpaceMeshLab.metrocon2.ASPP")
        assert listed(ask(metrocon2, "touched", aspp, [row, column])) == moved(expected, FAR)
        words = ask(metrocon2, "sentence", [], [row, column])
        assert words.endswith(f"ASPP touches {len(expected)}, {len(within)} of them inside.")


def test_a_button_chooses_its_pairs(metrocon2):
    for button, pairs, cells in (("none", 0, 0), ("all", 324, 1369), ("diagonal", 18, 145), ("12, 18", 9, 49)):
        metrocon2.locator(".explorer-metrocon2").get_by_role("button", name=button).click()
        assert result(metrocon2, "metrocon2").startswith(f"{pairs} pairs touch {cells} cells")
        assert metrocon2.locator(".metrocon2-pairs [aria-selected=true]").count() == pairs
        assert metrocon2.locator(".metrocon2-tap, .metrocon2-far").count() == (9 if pairs else 0)


# ---- MetroCon²: mouse, finger, keyboard


def pair(page, i: int, j: int):
    return page.get_by_role("gridcell", name=f"rates {i}, {j}", exact=True)


def test_pairs_are_clicked_dragged_over_and_taken_back(metrocon2):
    metrocon2.get_by_role("button", name="none").click()
    pair(metrocon2, 5, 5).click()
    assert result(metrocon2, "metrocon2").startswith("1 pair touches 9 cells")
    start, end = (pair(metrocon2, 2, j).bounding_box() for j in (3, 6))
    metrocon2.mouse.move(start["x"] + 8, start["y"] + 8)
    metrocon2.mouse.down()
    metrocon2.mouse.move(end["x"] + 8, end["y"] + 8, steps=12)
    metrocon2.mouse.up()
    metrocon2.mouse.move(start["x"] + 8, start["y"] + 40)
    chosen = metrocon2.locator(".metrocon2-pairs [aria-selected=true]")
    names = [chosen.nth(k).get_attribute("aria-label") for k in range(chosen.count())]
    assert names == [*(f"rates 2, {j}" for j in (3, 4, 5, 6)), "rates 5, 5"]
    pair(metrocon2, 5, 5).click()
    assert result(metrocon2, "metrocon2").startswith("4 pairs touch")


def test_a_finger_chooses_a_pair_and_a_cell(visit):
    page = visit(width=390, height=800, has_touch=True).open(PAGES["metrocon2"])
    pair(page, 18, 18).tap()
    assert result(page, "metrocon2").startswith("2 pairs touch")
    page.get_by_role("gridcell", name=re.compile("^row 3, column 5:")).tap()
    assert "row 3, column 5" in page.locator(".metrocon2-note").inner_text()


def test_the_keyboard_alone_chooses_a_pair_and_a_cell(metrocon2):
    scene, pairs = metrocon2.locator(".metrocon2-cells"), metrocon2.locator(".metrocon2-pairs")
    for grid in (scene, pairs):
        assert grid.locator("[tabindex='0']").count() == 1
    scene.locator("[tabindex='0']").focus()
    for key in ("ArrowUp", "ArrowLeft", "ArrowLeft"):
        metrocon2.keyboard.press(key)
    assert scene.locator("[aria-selected=true]").get_attribute("aria-label").startswith("row 5, column 24:")
    metrocon2.keyboard.press("Tab")
    assert metrocon2.evaluate("document.activeElement.getAttribute('aria-label')") == "rates 4, 1"
    for key in ("ArrowRight", "ArrowRight", "ArrowDown"):
        metrocon2.keyboard.press(key)
    assert "pair (5, 3)" in metrocon2.locator(".metrocon2-note").inner_text()  # a look ahead, not yet chosen
    assert result(metrocon2, "metrocon2").startswith("1 pair")
    metrocon2.keyboard.press("Space")
    assert result(metrocon2, "metrocon2").startswith("2 pairs")
    metrocon2.keyboard.press("Enter")
    assert result(metrocon2, "metrocon2").startswith("1 pair ")
    metrocon2.keyboard.press("Tab")
    assert metrocon2.evaluate("document.activeElement.textContent") == "none"


def test_the_rings_stand_on_the_nine_taps_and_leave_the_sheet_by_its_rim(metrocon2):
    metrocon2.get_by_role("gridcell", name=re.compile("^row 0, column 0:")).click(position={"x": 3, "y": 3})
    metrocon2.get_by_role("button", name="12, 18").click()
    near = metrocon2.locator(".metrocon2-tap")
    places = {tuple(float(near.nth(k).get_attribute(side)) for side in ("cy", "cx")) for k in range(near.count())}
    assert places == {(0.5, 0.5), (18.5, 0.5), (0.5, 18.5), (18.5, 18.5)}
    assert metrocon2.locator(".metrocon2-far").count() == 5
    assert metrocon2.locator(".metrocon2-aspp").count() == 0
    metrocon2.get_by_label("ASPP").check()
    frames = metrocon2.locator(".metrocon2-aspp").get_attribute("d")
    assert frames.count("M") == 25


# ---- shuffle: the numbers


def tensors(shape: tuple[int, int, int]) -> tuple[torch.Tensor, torch.Tensor, dict[str, int]]:
    channels, size, factor = shape
    x = torch.randperm(channels * size**2, generator=torch.Generator().manual_seed(0))
    x = x.view(channels * factor**2, size // factor, size // factor).float()
    return x, pixel_shuffle(x, factor), {"channels": channels, "size": size, "factor": factor}


def run(page, function: str, numbers: torch.Tensor, shape: dict[str, int], order: str) -> list[int]:
    script = f"([x, shape, order]) => SpaceMeshLab.shuffle.{function}(x, shape, order)"
    return page.evaluate(script, [numbers.flatten().int().tolist(), shape, order])


def test_shuffle_and_unshuffle_are_torchs_and_the_packages(shuffle):
    for shape in SHAPES:
        x, y, sizes = tensors(shape)
        assert run(shuffle, "shuffle", x, sizes, "phase last") == y.flatten().tolist()
        back = run(shuffle, "unshuffle", y, sizes, "phase last")
        assert back == pixel_unshuffle(y, shape[2]).flatten().tolist() == x.flatten().tolist()
        if shape[2] == FACTOR:
            assert back == PixelUnshuffle()(y[None]).flatten().tolist()


def test_the_other_order_is_tensorflows(shuffle):
    for shape in SHAPES:
        x, _, sizes = tensors(shape)
        f = shape[2]
        split = x.unflatten(0, (f, f, shape[0]))  # (u, v, c, p, q), as depth_to_space reads its channels
        expected = split.permute(2, 3, 0, 4, 1).flatten(3, 4).flatten(1, 2)
        assert run(shuffle, "shuffle", x, sizes, "phase first") == expected.flatten().tolist()
        assert run(shuffle, "unshuffle", expected, sizes, "phase first") == x.flatten().tolist()


def test_every_formula_filled_in_is_true(shuffle):
    script = """([places, shape]) => places.map(at => SpaceMeshLab.shuffle.explain(at, shape, "phase last"))"""
    for shape in SHAPES:
        x, y, sizes = tensors(shape)
        places = [list(at) for at in torch.cartesian_prod(*map(torch.arange, x.shape)).tolist()]
        for at, told in zip(places, shuffle.evaluate(script, [places, sizes]), strict=True):
            left, right = (
                [eval(index, {}) for index in re.search(r"\[(.*)\]", side)[1].replace("·", "*").split(",")]
                for side in told["filled"].split(" = ")
            )
            assert right == at
            assert y[tuple(left)] == x[tuple(right)]
            assert left == told["at"]
            assert (told["elsewhere"] is None) == ("the same pixel" in told["where"])


# ---- shuffle: mouse and keyboard


def number(page, name: str):
    return page.get_by_role("gridcell", name=re.compile(rf"{re.escape(name)}$"))


def lit(page) -> list[str]:
    found = page.locator(".explorer-shuffle [role=gridcell][aria-selected=true]")
    return [found.nth(k).get_attribute("aria-label") for k in range(found.count())]


def test_a_number_lights_up_on_both_sides_while_pointed_at_and_stays_when_clicked(shuffle):
    before = lit(shuffle)
    number(shuffle, "x[7, 1, 1]").hover()
    assert lit(shuffle) == ["31, x[7, 1, 1]", "31, y[1, 3, 3]"]
    assert shuffle.locator(".explorer-shuffle .shuffle-patch").count() == 2 * 3
    shuffle.mouse.move(2, 2)
    assert lit(shuffle) == before
    number(shuffle, "y[1, 0, 1]").click()
    shuffle.mouse.move(2, 2)
    assert lit(shuffle) == ["20, x[5, 0, 0]", "20, y[1, 0, 1]"]
    assert "20 is x[5, 0, 0] and y[1, 0, 1]" in result(shuffle, "shuffle")
    assert "y[1, 0·2 + 0, 0·2 + 1] = x[1·4 + 0·2 + 1, 0, 0]" in shuffle.locator(".shuffle-formula").inner_text()
    stray = shuffle.locator(".shuffle-other")
    assert stray.get_attribute("aria-label").endswith("y[1, 1, 0]")


def test_the_keyboard_alone_walks_the_channels_and_follows_a_number(shuffle):
    shuffle.locator(".shuffle-x [tabindex='0']").focus()
    steps = {
        "Home": "x[1, 1, 0]",
        "ArrowLeft": "x[0, 1, 1]",
        "ArrowUp": "x[0, 0, 1]",
        "ArrowRight": "x[1, 0, 0]",
        "PageDown": "x[2, 0, 0]",
        "Enter": "y[0, 1, 0]",
    }
    for key, place in steps.items():
        shuffle.keyboard.press(key)
        label = shuffle.evaluate("document.activeElement.getAttribute('aria-label')")
        assert label.endswith(place), key
    assert lit(shuffle) == ["8, x[2, 0, 0]", "8, y[0, 1, 0]"]
    shuffle.keyboard.press("Space")
    assert shuffle.evaluate("document.activeElement.getAttribute('aria-label')") == "8, x[2, 0, 0]"


def test_sizes_and_order_can_be_chosen(shuffle):
    figure = shuffle.locator(".explorer-shuffle")
    for label, value in (("channels", "3"), ("rows", "8"), ("factor", "4")):
        figure.get_by_label(label).select_option(value)
    assert figure.locator(".shuffle-x [role=grid]").count() == 48
    assert figure.locator(".shuffle-y [role=grid]").count() == 3
    x = torch.arange(192.0).view(48, 2, 2)
    shown = [int(text) for text in figure.locator(".shuffle-y [role=gridcell]").all_inner_texts()]
    assert shown == pixel_shuffle(x, 4).flatten().tolist()
    figure.get_by_label("order").select_option("phase first")
    order = torch.arange(48).view(16, 3).T.flatten()
    shown = [int(text) for text in figure.locator(".shuffle-y [role=gridcell]").all_inner_texts()]
    assert shown == pixel_shuffle(x[order], 4).flatten().tolist()


# ---- both: where they live


@pytest.mark.parametrize("explorer", PAGES)
def test_the_picture_stands_in_where_scripts_are_off(visit, explorer):
    seen = visit(java_script_enabled=False)
    seen.page.goto(f"{seen.address}/{PAGES[explorer]}.html")
    figure = seen.page.locator(f"figure.explorer-{explorer}")
    assert figure.locator(".explorer-live").count() == 0
    assert figure.locator("img").is_visible()
    assert figure.locator("figcaption").is_visible()


@pytest.mark.parametrize("explorer", PAGES)
def test_the_picture_stands_in_on_paper(visit, explorer):
    page = visit().open(PAGES[explorer])
    figure = page.locator(f"figure.explorer-{explorer}")
    assert figure.locator(".explorer-live").is_visible()
    assert not figure.locator("img").is_visible()
    page.emulate_media(media="print")
    assert not figure.locator(".explorer-live").is_visible()
    assert figure.locator("img").is_visible()
    page.wait_for_function(
        "name => document.querySelector(`.explorer-${name} > img`).naturalWidth > 0", arg=explorer, timeout=5000
    )


@pytest.mark.parametrize("explorer", PAGES)
def test_an_explorer_works_from_a_folder_without_a_complaint(visit, html, explorer):
    seen = visit(width=360, height=800)
    seen.page.goto((html / f"{PAGES[explorer]}.html").as_uri())
    live = seen.page.locator(f".explorer-{explorer} .explorer-live")
    assert live.is_visible()
    cell = live.get_by_role("gridcell").last
    cell.click()
    assert cell.get_attribute("aria-selected") == "true"
    assert live.evaluate("e => [...e.querySelectorAll('*')].every(c => c.scrollWidth <= innerWidth)")
    assert seen.complaints == []
    assert seen.strangers == []


def test_scripts_of_explorers_are_loaded_where_they_are_needed_and_nowhere_else(html):
    def scripts(page: str) -> list[str]:
        text = (html / f"{page}.html").read_text(encoding="utf-8")
        return re.findall(r'(?:src|href)="[^"]*explorers/([\w.]+)\?', text)

    assert scripts(PAGES["metrocon2"]) == ["explorers.css", "metrocon2.css", "common.js", "street.js", "metrocon2.js"]
    assert scripts(PAGES["shuffle"]) == ["explorers.css", "shuffle.css", "common.js", "shuffle.js"]
    assert scripts("book/notation") == []


# ---- the directive


def build(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """A book of one page: its HTML, and what Sphinx had to say."""
    extensions = Path(__file__).parents[2] / "book" / "_extensions"
    monkeypatch.setattr(sys, "path", [str(extensions), *sys.path])
    (folder / "index.md").write_text(f"# A page\n\n{text}\n")
    (folder / "picture.png").write_bytes((extensions.parent / "_static" / "explorers" / "shuffle.png").read_bytes())
    said = io.StringIO()
    settings = {
        "extensions": ["myst_parser", "explorers"],
        "myst_enable_extensions": ["colon_fence"],
        "source_suffix": {".md": "markdown"},  # Sphinx's default is one dictionary, which other builds have filled
    }
    out = folder / "out"
    with patch_docutils(), docutils_namespace():  # or the next application finds what this one registered
        Sphinx(folder, None, out, out, "html", confoverrides=settings, status=None, warning=said).build()
    return (out / "index.html").read_text(encoding="utf-8"), said.getvalue()


def test_the_directive_makes_a_figure_with_alt_text_and_a_caption(tmp_path, monkeypatch):
    words = ":::{explorer} shuffle\n:picture: picture.png\n:alt: eight channels\n\n**One** number.\n:::"
    html, said = build(tmp_path, words, monkeypatch)
    assert said == ""
    assert re.search(r'<figure class="[^"]*explorer explorer-shuffle', html)
    assert re.search(r'<img alt="eight channels" src="_images/picture\.png"', html)
    assert re.search(r"<figcaption>\s*<div class=\"legend\">\s*<p><strong>One</strong> number\.</p>", html)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (":::{explorer} nothing\n:picture: picture.png\n:alt: a\n:::", "expected an explorer out of .*; got 'nothing'"),
        (":::{explorer} common\n:picture: picture.png\n:alt: a\n:::", "expected an explorer out of .*; got 'common'"),
        (":::{explorer} shuffle\n:picture: picture.png\n:::", "expected the options picture and alt"),
    ],
)
def test_the_directive_says_what_it_expected(tmp_path, monkeypatch, words, complaint):
    assert re.search(complaint, build(tmp_path, words, monkeypatch)[1])
