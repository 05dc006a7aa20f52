"""axe-core finds nothing serious on any page, by day on a screen, by night on a phone."""

from __future__ import annotations

GRAVE = ("serious", "critical")
THEIRS: dict[str, str] = {
    # rule of axe-core: why the theme may break it, looked at by hand
}


def test_axe_finds_nothing_serious_of_ours(look, name):
    found = {
        (view, finding["id"]): finding["nodes"][:5]
        for view, findings in look(name).axe.items()
        for finding in findings
        if finding["impact"] in GRAVE and finding["id"] not in THEIRS
    }
    assert found == {}


def test_axe_sees_faint_text_at_night_and_a_button_without_a_name(visit, equip):
    """The check itself: a page with two faults has two findings."""
    page = visit(width=390).open("book/notation")
    equip(page)
    page.evaluate("""() => { Looks.theme('dark');
      document.querySelector('.bd-article section h1').insertAdjacentHTML('afterend',
        '<p style="color: #333">faint</p><button type="button"></button>') }""")
    found = page.evaluate("() => Looks.axe(['color-contrast', 'button-name'])")
    assert sorted(finding["id"] for finding in found) == ["button-name", "color-contrast"]
