"""Chapters that touch data run on photographs without an edit: papermill with recipe=camvid-cpu, on a few pictures."""

from __future__ import annotations

import shutil
from pathlib import Path

import execute_book
import nbformat
import pytest
import tidy_notebooks

CHAPTERS = {path.stem[:2]: path for path in tidy_notebooks.chapters(Path(__file__).resolve().parents[2])}
SMALL = ["iterations=2", "validate_every=1", "batch_size=2", "workers=0"]


@pytest.fixture(scope="module")
def camvid(shared_dir, tmp_path_factory) -> Path:
    """The first pictures of each split of CamVid, in its own layout."""
    folder = tmp_path_factory.mktemp("data") / "camvid"
    for name, pictures in {"train": 8, "val": 8}.items():
        for part in (name, f"{name}annot"):
            (folder / part).mkdir(parents=True)
            for source in sorted((shared_dir / "data" / "camvid" / part).iterdir())[:pictures]:
                shutil.copy(source, folder / part)
    return folder


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory) -> Path:
    """One run for all chapters: chapter 13 trains it, chapters 14 and 17 find it there."""
    return tmp_path_factory.mktemp("runs") / "camvid-cpu"


@pytest.mark.slow
@pytest.mark.parametrize("number", ["02", "03", "13", "14", "17"])
def test_a_chapter_runs_on_photographs(number, camvid, run_dir, tmp_path):
    parameters = {"recipe": "camvid-cpu", "data_root": str(camvid), "run_dir": str(run_dir), "overrides": SMALL}
    target = tmp_path / "executed.ipynb"
    execute_book.execute(CHAPTERS[number], target, parameters, timeout=300, root=tmp_path)
    cells = [cell for cell in nbformat.read(target, as_version=4).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
