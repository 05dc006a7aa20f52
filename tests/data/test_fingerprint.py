"""The name of a split's data: equal for equal files, another one for every change that could change a score."""

from __future__ import annotations

import pytest

from spacemeshlab.data.fingerprint import fingerprint


@pytest.fixture
def pairs(tmp_path):
    files = [(tmp_path / f"{name}.png", tmp_path / f"{name}_label.png") for name in "ab"]
    for number, (image, label) in enumerate(files):
        image.write_bytes(b"image" * (number + 1))
        label.write_bytes(b"label%d" % number)
    return files


def test_the_same_files_elsewhere_have_the_same_name(pairs, tmp_path):
    (tmp_path / "copy").mkdir()
    copies = [tuple(path.parent / "copy" / path.name for path in pair) for pair in pairs]
    for old, new in zip(sum(pairs, ()), sum(copies, ()), strict=True):
        new.write_bytes(old.read_bytes())
    assert fingerprint(copies) == fingerprint(pairs)
    assert len(fingerprint(pairs)) == 16


@pytest.mark.parametrize(
    "change",
    [
        lambda pairs: pairs[:1],
        lambda pairs: pairs[::-1],
        lambda pairs: [(pairs[0][0], None), pairs[1]],
        lambda pairs: pairs[0][0].write_bytes(b"longer image") and pairs,
        lambda pairs: pairs[1][1].write_bytes(b"label9") and pairs,  # as long as before
        lambda pairs: [(pairs[0][0].rename(pairs[0][0].with_name("c.png")), pairs[0][1]), pairs[1]],
    ],
    ids=["an image less", "another order", "a label less", "image of another size", "label's contents", "a name"],
)
def test_a_change_of_the_files_changes_the_name(pairs, change):
    before = fingerprint(pairs)
    assert fingerprint(change(pairs)) != before
