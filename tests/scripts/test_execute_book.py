"""Chapters are executed, tidied and replaced in one step, or not at all."""

from __future__ import annotations

import base64
import io
import json
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import execute_book
import executions
import nbformat
import numpy as np
import pytest
import tidy_notebooks
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from papermill.exceptions import PapermillExecutionError
from PIL import Image

from spacemeshlab.errors import UserError
from spacemeshlab.provenance import origin


def write_chapter(root: Path, *cells: str, name: str = "01-tiny.ipynb", parameters: str | None = None) -> Path:
    """A chapter with a title, perhaps a parameters cell, and code cells."""
    notebook = new_notebook(cells=[new_markdown_cell("# Tiny")])
    if parameters is not None:
        notebook.cells.append(new_code_cell(parameters, metadata={"tags": ["parameters"]}))
    notebook.cells += [new_code_cell(cell) for cell in cells]
    path = root / "book" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)
    return path


def run(
    chapter: Path, target: Path | None = None, timeout: int | None = 60, **parameters: object
) -> nbformat.NotebookNode:
    root = chapter.parents[1]
    execute_book.execute(chapter, target or chapter, parameters, timeout, root)
    return nbformat.read(target or chapter, as_version=4)


def printed(notebook: nbformat.NotebookNode) -> str:
    return "".join(output.text for cell in notebook.cells for output in cell.get("outputs", []) if "text" in output)


def test_a_chapter_is_replaced_in_place_by_its_tidy_execution(tmp_path):
    cells = (
        "import os, sys, time\nprint(os.path.basename(os.getcwd()))\nprint('in', os.getcwd())",
        "for step in range(3):\n    print(f'\\rstep {step}', end='', file=sys.stderr)\n    time.sleep(0.02)",
        "6 * 7",
    )
    notebook = run(write_chapter(tmp_path, *cells))
    assert printed(notebook) == "book\nin SpaceMeshLab/book\nstep 2"
    assert [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"] == [1, 2, 3]
    assert notebook.cells[3].outputs[0].data["text/plain"] == "42"
    assert all(not cell.metadata for cell in notebook.cells)
    assert notebook.metadata == tidy_notebooks.METADATA
    assert [file.name for file in (tmp_path / "book").iterdir()] == ["01-tiny.ipynb"]


def test_the_kernel_is_the_interpreter_that_runs_the_script_whatever_kernels_are_installed(tmp_path, monkeypatch):
    kernel = tmp_path / "jupyter" / "kernels" / "python3" / "kernel.json"
    kernel.parent.mkdir(parents=True)
    kernel.write_text('{"argv": ["false"], "display_name": "Another Python", "language": "python"}')
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    notebook = run(write_chapter(tmp_path, "import sys\nfrom pathlib import Path\nPath(sys.prefix).name"))
    assert notebook.cells[1].outputs[0].data["text/plain"] == repr(Path(sys.prefix).name)


def test_a_chapter_that_fails_stays_as_it_was_and_what_ran_is_kept(tmp_path):
    chapter = write_chapter(tmp_path, "print('first')", "raise RuntimeError('no luck\\nat all')", "print('never')")
    before = chapter.read_bytes()
    with pytest.raises(PapermillExecutionError, match="no luck") as caught:
        run(chapter)
    assert execute_book.reason(caught.value) == "cell [2] RuntimeError: no luck"
    assert chapter.read_bytes() == before
    failed = nbformat.read(tmp_path / "_build" / "executed" / "failed" / chapter.name, as_version=4)
    assert "first" in printed(failed)
    assert "never" not in printed(failed)


def test_a_cell_that_takes_too_long_is_stopped(tmp_path):
    chapter = write_chapter(tmp_path, "import time\ntime.sleep(60)")
    before = chapter.read_bytes()
    with pytest.raises(TimeoutError, match="1 seconds") as caught:
        run(chapter, timeout=1)
    assert execute_book.reason(caught.value).startswith("CellTimeoutError: ")
    assert chapter.read_bytes() == before


def test_parameters_reach_the_chapter_with_their_types_and_only_if_declared(tmp_path):
    chapter = write_chapter(tmp_path, "print(recipe, overrides)", parameters='recipe = "toycity"\noverrides = []')
    before = chapter.read_bytes()
    target = tmp_path / "_build" / "executed" / "camvid" / chapter.name
    notebook = run(chapter, target, recipe="camvid", overrides=["lr=0.1"], data_root="elsewhere")
    assert printed(notebook) == "camvid ['lr=0.1']\n"
    assert "elsewhere" not in target.read_text()
    assert chapter.read_bytes() == before


def test_parameters_that_equal_the_defaults_inject_nothing(tmp_path):
    chapter = write_chapter(tmp_path, "print(recipe)", parameters='recipe = "toycity"')
    assert len(run(chapter, recipe="toycity", overrides=[]).cells) == 3


def test_unknown_parameters_are_refused_wherever_they_come_from(tmp_path):
    chapter = write_chapter(tmp_path, "1", parameters='recipe = "toycity"\nrate = 3')
    with pytest.raises(UserError, match="recipe, data_root, run_dir, overrides; got 'rate'"):
        run(chapter)
    with pytest.raises(UserError, match="got 'alpha'"):
        run(write_chapter(tmp_path, "1"), alpha=1)
    computed = write_chapter(tmp_path, "1", parameters="recipe = 'toy' + 'city'")
    with pytest.raises(UserError, match="name = literal in a parameters cell, got recipe = 'toy'"):
        run(computed)


def test_chapters_are_chosen_by_number_or_name_and_unknown_ones_list_what_there_is(tmp_path):
    first = write_chapter(tmp_path, name="01-tiny.ipynb")
    second = write_chapter(tmp_path, name="09-other.ipynb")
    assert execute_book.choose([], tmp_path) == [first, second]
    assert execute_book.choose(["09", "01-tiny"], tmp_path) == [second, first]
    with pytest.raises(UserError, match="01-tiny, 09-other; got '02'"):
        execute_book.choose(["02"], tmp_path)


def test_progress_bars_collapse_to_what_a_terminal_shows_in_the_end():
    assert tidy_notebooks.collapse("\r  0%|    |\r 50%|██  |\r100%|████|\ndone\n") == "100%|████|\ndone\n"
    assert tidy_notebooks.collapse("\rlong line\rab") == "abng line"
    assert tidy_notebooks.collapse("\x1b[31mred\x1b[0m  \n") == "red  \n"
    assert tidy_notebooks.collapse("\rbar\r   \r") == ""


def test_tidying_joins_streams_drops_leftovers_and_is_idempotent(tmp_path):
    code = new_code_cell("f()", metadata={"tags": ["hide-input"], "papermill": {"duration": 1.2}, "execution": {}})
    code.outputs = [
        new_output("stream", name="stdout", text="a"),
        new_output("stream", name="stdout", text=f"b {tmp_path}/book/x.py and {tmp_path}-b\n"),
        new_output("stream", name="stderr", text="\rbar\r   \r"),
        new_output("error", ename="E", evalue="e", traceback=[f"\x1b[31mFile {tmp_path}/y.py"]),
    ]
    notebook = new_notebook(cells=[new_markdown_cell("same", metadata={"tags": []}), new_markdown_cell("same"), code])
    notebook.metadata["papermill"] = {"start_time": "now"}
    tidied = tidy_notebooks.tidy(notebook, tmp_path)
    assert [output.output_type for output in tidied.cells[2].outputs] == ["stream", "error"]
    assert tidied.cells[2].outputs[0].text.startswith("ab SpaceMeshLab/book/x.py and ")
    assert "SpaceMeshLab-b" not in tidied.cells[2].outputs[0].text
    assert tidied.cells[2].outputs[1].traceback == ["File SpaceMeshLab/y.py"]
    assert [dict(cell.metadata) for cell in tidied.cells] == [{}, {}, {"tags": ["hide-input"]}]
    first, second, _ = (cell.id for cell in tidied.cells)
    assert second == f"{first}-2"
    assert json.dumps(tidy_notebooks.tidy(tidied, tmp_path)) == json.dumps(tidied)


def call(monkeypatch, *arguments: str, notes: list | None = None) -> list[tuple]:
    """The calls of ``execute`` that the command line leads to; those of ``note`` are added to ``notes``."""
    calls = []
    monkeypatch.setattr(execute_book, "execute", lambda *call: calls.append(call))
    monkeypatch.setattr(executions, "note", lambda *note: notes is not None and notes.append(note))
    monkeypatch.setattr(sys, "argv", ["execute_book.py", *arguments])
    execute_book.main()
    return calls


def test_without_options_every_chapter_is_replaced_and_has_one_line(monkeypatch, capsys):
    calls = call(monkeypatch, notes=(notes := []))
    assert [chapter for chapter, *_ in calls] == tidy_notebooks.chapters()
    assert all(target == chapter and parameters == {} for chapter, target, parameters, _ in calls)
    assert len(capsys.readouterr().out.splitlines()) == len(calls)
    records = tidy_notebooks.ROOT / "book" / "results" / "executed.json"
    assert [note[:3] for note in notes] == [(records, path.stem, "toycity") for path in tidy_notebooks.chapters()]


def test_another_recipe_is_written_elsewhere_with_absolute_folders_and_no_limit(monkeypatch):
    words = ("--recipe", "camvid", "--data-root", "data/c", "--override", "lr=0.1", "13")
    ((chapter, target, parameters, timeout),) = call(monkeypatch, *words, notes=(notes := []))
    assert notes[0][:3] == (target.with_name("executed.json"), chapter.stem, "camvid lr=0.1")
    assert chapter.stem == "13-training"
    assert target == tidy_notebooks.ROOT / "_build" / "executed" / "camvid" / chapter.name
    assert parameters["recipe"] == "camvid"
    assert parameters["data_root"] == str(Path("data/c").resolve())
    assert parameters["run_dir"] == str(tidy_notebooks.ROOT / "runs" / "camvid")
    assert timeout is None


def book(root: Path, monkeypatch) -> Path:
    """Let the script take ``root`` for the checkout; returns the file with its records."""
    monkeypatch.setattr(execute_book, "ROOT", root)
    monkeypatch.setattr(execute_book.chapters, "__defaults__", (root,))
    monkeypatch.setattr(execute_book.choose, "__defaults__", (root,))
    monkeypatch.setattr(execute_book.execute, "__defaults__", (root,))
    monkeypatch.setattr(sys, "argv", ["execute_book.py"])
    return root / "book" / "results" / "executed.json"


def test_what_an_execution_took_is_recorded_beside_the_chapter_and_changes_nothing_in_it(tmp_path, monkeypatch):
    source = "import time\nmemory = bytearray(300 * 2**20)\nmemory[::4096] = memory[1::4096]"
    source += f"\ntime.sleep({3 * executions.INTERVAL})"  # a kernel is looked at in intervals
    chapter = write_chapter(tmp_path, source)
    records = book(tmp_path, monkeypatch)
    records.parent.mkdir()
    records.write_text('{"09-other": {"date": "2020-02-02", "seconds": 3.5}}')
    execute_book.main()
    found, first = json.loads(records.read_text()), chapter.read_bytes()
    assert found["09-other"] == {"date": "2020-02-02", "seconds": 3.5}
    record = found[chapter.stem]
    assert list(record) == ["date", "seconds", "memory_mib", *executions.ORIGIN, "recipe"]
    assert datetime.now(UTC).date() - date.fromisoformat(record["date"]) <= timedelta(days=1)
    assert record["seconds"] > 0
    if Path("/proc/self/status").exists():
        assert 300 < record["memory_mib"] < 2000
    assert {key: record[key] for key in executions.ORIGIN} == {key: origin()[key] for key in executions.ORIGIN}
    assert record["recipe"] == "toycity"
    assert [file.name for file in records.parent.iterdir()] == ["executed.json"]
    execute_book.main()
    assert chapter.read_bytes() == first


def test_a_chapter_that_fails_keeps_its_old_record(tmp_path, monkeypatch, capsys):
    chapter = write_chapter(tmp_path, "raise RuntimeError('no luck')")
    records = book(tmp_path, monkeypatch)
    records.parent.mkdir()
    records.write_text(before := json.dumps({chapter.stem: {"seconds": 1}}))
    with pytest.raises(SystemExit, match="failed"):
        execute_book.main()
    assert "FAILED after" in capsys.readouterr().out
    assert records.read_text() == before


@pytest.mark.parametrize("text", ["", "[1]", '{"01-tiny": 3}', "{"])
def test_a_spoilt_record_is_refused_before_anything_runs(tmp_path, monkeypatch, capsys, text):
    chapter = write_chapter(tmp_path, "1 + 1")
    records, before = book(tmp_path, monkeypatch), chapter.read_bytes()
    records.parent.mkdir()
    records.write_text(text)
    with pytest.raises(SystemExit) as stopped:
        execute_book.main()
    assert stopped.value.code == 2
    assert capsys.readouterr().err.startswith("error: expected one record a chapter in ")
    assert (records.read_text(), chapter.read_bytes()) == (text, before)


def test_mistakes_in_the_recipe_are_reported_before_anything_runs(monkeypatch, capsys):
    for arguments in (["--recipe", "camvit"], ["--override", "learning_rate=3"], ["77"]):
        with pytest.raises(SystemExit) as stopped:
            call(monkeypatch, *arguments)
        assert stopped.value.code == 2
        assert capsys.readouterr().err.startswith("error: expected ")


def test_a_picture_is_stored_in_256_colours_and_only_once():
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "PNG")
    data = {"image/png": base64.b64encode(file.getvalue()).decode()}
    cell = new_code_cell("plt.show()", outputs=[new_output("display_data", data)])
    notebook = new_notebook(cells=[cell])
    once = tidy_notebooks.tidy(notebook)
    image = Image.open(io.BytesIO(base64.b64decode(once.cells[0].outputs[0].data["image/png"])))
    assert (image.mode, image.size) == ("P", (64, 64))
    assert tidy_notebooks.tidy(once) == once
