"""How many images a split has, beside how many it should have (chapter 03). Subsets are fine, but never silent."""

from __future__ import annotations


def count_sentence(name: str, split: str, count: int, official: tuple[int, ...]) -> str:
    """Say what was opened, e.g. ``"CamVid, 10 val images (not the published split, which has 101)"``.

    Args:
        name: the data set and, if it has several, its release.
        split: "train", "val" or "test".
        count: images found.
        official: the counts that the split is published with; the first is the paper's, () if there is none.
    """
    sentence = f"{name}, {count:,} {split} image{'' if count == 1 else 's'}"
    if not official or count == official[0]:
        return sentence
    if count in official:
        return f"{sentence} (the paper: {official[0]:,})"
    published = " or ".join(f"{number:,}" for number in official)
    return f"{sentence} (not the published split, which has {published})"
