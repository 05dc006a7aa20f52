"""The pages for students and for teachers: every command is understood, every number and word is the grader's own."""

from __future__ import annotations

import csv
import dataclasses
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
import torch
import yaml
from IPython.core.inputtransformer2 import TransformerManager

from spacemeshlab.course import feedback, grade, gradebook, judge, notebook
from spacemeshlab.course.assignment import identity, read_assignments
from spacemeshlab.course.hostile import solved
from spacemeshlab.course.release import release
from spacemeshlab.course.sandbox import MIB, Limits
from spacemeshlab.course.submissions import find_submissions
from spacemeshlab.testing import check_flip_pair, check_same

ROOT = Path(__file__).resolve().parents[2]
PAGES = {name: (ROOT / "book" / f"{name}.md").read_text(encoding="utf-8") for name in ("course", "teaching")}
TITLES = {"course": "The course, for students", "teaching": "For teachers"}
BLOCKS = [
    (kind, text.replace("\\\n", "") if kind == "bash" else text)
    for page in PAGES.values()
    for kind, text in re.findall(r"^```(\w+)\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)
]
LINES = [line for kind, text in BLOCKS if kind == "bash" for line in text.splitlines()]
COMMANDS = [line for line in LINES if "scripts/" in line]
ASSIGNMENTS = read_assignments(ROOT / "book" / "assignments" / "source")
NEW = "6-yours"
"""What the page calls an assignment that is not there yet."""


def blocks(kind: str) -> list[str]:
    return [text for each, text in BLOCKS if each == kind]


def rows(page: str, first: str) -> list[list[str]]:
    """The rows of the table that begins with the column ``first``, without its head."""
    table = re.search(rf"^ *\| {re.escape(first)} \|(?:.*\|\n)(?: *\|.*\|\n)+", PAGES[page], flags=re.MULTILINE)[0]
    return [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in table.splitlines()[2:]]


def plain(cell: str) -> str:
    return re.sub(r"[`*]", "", cell)


@pytest.mark.parametrize("name", PAGES)
def test_the_pages_are_in_the_book_under_their_titles(name):
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    assert f"book/{name}" in [chapter["file"] for part in toc["parts"] for chapter in part["chapters"]]
    text = re.sub(r"^```.*?^```", "", PAGES[name], flags=re.MULTILINE | re.DOTALL)
    assert re.findall(r"^# .*", text, flags=re.MULTILINE) == [f"# {TITLES[name]}"]


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_is_understood_by_its_script_and_names_what_there_is(parse, line):
    given = shlex.split(line)
    place = next(index for index, word in enumerate(given) if word.startswith("scripts/"))
    assert given[:place] == [".venv/bin/python"]
    assert (ROOT / given[place]).is_file()
    found = parse(given[place], given[place + 1 :])
    assert set(getattr(found, "names", [])) <= {*ASSIGNMENTS, NEW}


@pytest.mark.parametrize("text", blocks("bash"))
def test_a_block_for_the_shell_is_sound_bash_and_calls_what_there_is(text):
    subprocess.run(["bash", "-n"], input=text, text=True, check=True)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target, variable in re.findall(r"^make (\w+)(?: (\w+)=\S+)?$", text, flags=re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE)
        assert not variable or f'"$({variable})"' in makefile
    for name in re.findall(r"\.venv/bin/([\w-]+)", text):
        assert (Path(sys.executable).parent / name).exists()
    for path in re.findall(r"(?:^|\s)(book/[\w./-]+)", text):
        if "/mine" not in path:  # the student's own copy
            source = path.replace("/release/", "/source/")
            assert (ROOT / source).exists(), path
    for name in re.findall(r"-m spacemeshlab\.course\.verify (\S+)", text):
        assert name in {*ASSIGNMENTS, NEW}


def test_every_command_of_the_course_is_on_the_teachers_page_or_behind_a_target_of_make():
    page, makefile = PAGES["teaching"], (ROOT / "Makefile").read_text(encoding="utf-8")
    for command in ("release", "grade", "feedback"):
        assert f"scripts/course.py {command}" in page
    for target, command in (("assignments", "release"), ("assignments", "check"), ("grade", "grade")):
        assert re.search(rf"^{target}:.*\n(?:\t.*\n)*?\t.*scripts/course\.py {command}\b", makefile, flags=re.MULTILINE)
        assert f"\nmake {target}" in page


@pytest.mark.parametrize("name", PAGES)
def test_every_file_that_the_text_names_is_there(name):
    for path in re.findall(r"`((?:book|spacemeshlab|tests|scripts)/[\w./-]+)`", PAGES[name]):
        if not re.search(r"NAME|yours|/release/", path):
            assert (ROOT / path).exists(), path
    for target in re.findall(r"\]\(([\w./-]+\.md)\)", PAGES[name]):
        assert (ROOT / "book" / target).is_file()


def test_the_sources_are_in_nbgraders_format_and_its_own_command_makes_the_same_notebook(tmp_path):
    (text,) = (text for text in blocks("bash") if "nbgrader" in text)
    change, command, back = text.splitlines()
    folder = tmp_path / change.removeprefix("cd ")
    shutil.copytree(ROOT / "book" / "assignments" / "source", folder / "source")
    program, *words = shlex.split(command)
    assert (folder / back.removeprefix("cd ")).resolve() == tmp_path.resolve()
    assert program == "../../.venv/bin/nbgrader"
    command = [sys.executable, str(Path(sys.executable).parent / "nbgrader"), *words]
    environment = {**os.environ, "HOME": str(tmp_path)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (made,) = folder.glob("handout/1-miou/1-miou.ipynb")
    ours = [(cell.cell_type, cell.source, identity(cell)) for cell in release(ASSIGNMENTS["1-miou"]).cells]
    theirs = [(cell.cell_type, cell.source.rstrip(), identity(cell)) for cell in nbformat.read(made, 4).cells]
    assert theirs == ours
    assert [path.name for path in folder.iterdir() if path.is_file()] == []  # no data base is left behind


def test_nbgraders_own_grader_gives_the_reference_the_points_that_the_page_says(tmp_path):
    (said,) = re.findall(r"gives the reference of assignment 1 its (\d+) points", PAGES["teaching"])
    shutil.copytree(ROOT / "book" / "assignments" / "source" / "1-miou", tmp_path / "source" / "1-miou")
    handed_in = tmp_path / "submitted" / "ada" / "1-miou" / "1-miou.ipynb"
    handed_in.parent.mkdir(parents=True)
    nbformat.write(solved(ASSIGNMENTS["1-miou"]), handed_in)
    programs = Path(sys.executable).parent
    environment = {**os.environ, "HOME": str(tmp_path), "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    for words in ("generate_assignment 1-miou", "autograde 1-miou", "export"):
        command = [sys.executable, str(programs / "nbgrader"), *words.split()]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    (row,) = csv.DictReader((tmp_path / "grades.csv").read_text().splitlines())
    assert float(row["score"]) == float(said)


def test_the_limits_are_those_of_the_sandbox():
    limits = Limits()
    students = {row[0]: row[1] for row in rows("course", "for")}
    teachers = {row[0]: row[1] for row in rows("teaching", "limit")}
    assert teachers == {
        "start of a process": f"{limits.start:g} s",
        "each cell": f"{limits.cell:g} s",
        "each call of a function": f"{limits.call:g} s",
        "the whole notebook": f"{limits.whole:g} s",
        "time of the processor, a process": f"{limits.processor} s",
        "memory": f"{limits.memory // MIB} MiB",
        "files written": f"{limits.scratch // MIB} MiB",
        "processes": f"{limits.processes}",
        "output that is kept": f"{limits.output // 1024} KiB",
    }
    assert len(teachers) == len(dataclasses.fields(Limits))
    assert students == {
        "each cell of yours": f"{limits.cell:g} seconds",
        "each call of a function": f"{limits.call:g} seconds",
        "the whole notebook": f"{limits.whole:g} seconds",
        "memory": f"{limits.memory // MIB} MiB",
        "files that you write, in all": f"{limits.scratch // MIB} MiB",
        "the notebook as a file": f"{notebook.LARGEST // MIB} MiB",
    }


def test_the_status_words_are_exactly_those_of_the_grader():
    cells = {judge.RIGHT, judge.WRONG, judge.EMPTY, judge.MISSING, judge.STOPPED, judge.WRITTEN}
    assert cells == set(feedback.WORDS)
    tables = re.findall(r"^\| status \|(?:.*\|\n)((?:\|.*\|\n)+)", PAGES["teaching"], flags=re.MULTILINE)
    found = [[row.split("|")[1].strip().strip("`") for row in table.splitlines()[1:]] for table in tables]
    assert sorted(found[0]) == sorted(cells)
    assert sorted(found[1]) == sorted({grade.GRADED, grade.UNREADABLE, grade.FAILED})
    assert [row[0] for row in rows("course", "the page says")] == list(feedback.WORDS.values())


def test_the_columns_of_the_tables_are_those_that_are_written():
    table = {plain(row[0]): re.findall(r"`(\w+)`", row[2]) for row in rows("teaching", "file")}
    assert table["points.csv"] == list(gradebook.CELL_FIELDS)
    assert table["written.csv"] == list(gradebook.WRITTEN_FIELDS)
    assert table["totals.csv"] == ["student", "total", "open"]
    assert set(table) == {"totals.csv", "points.csv", "written.csv", "grades.json"}


@pytest.mark.parametrize("row", rows("teaching", "lies in the folder"), ids=lambda row: plain(row[0]))
def test_a_layout_on_the_page_gives_the_student_that_the_page_says(row, tmp_path):
    path = tmp_path / plain(row[0])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{}")
    (found,) = find_submissions(tmp_path)
    assert found.path == path
    assert found.student == plain(row[1])


def test_a_note_that_the_page_explains_is_one_that_is_given():
    course = ROOT / "spacemeshlab" / "course"
    words = " ".join(" ".join(path.read_text(encoding="utf-8").split()) for path in sorted(course.glob("*.py")))
    section = re.search(r"^### Notes\n(.*?)^### ", PAGES["teaching"], flags=re.MULTILINE | re.DOTALL)[1]
    quoted = re.findall(r"(?<!\*)\*(?!\*)([^*]+)\*", " ".join(section.split()))
    assert len(quoted) >= 8
    for note in quoted:
        for part in filter(None, (part.strip() for part in note.split("…"))):
            assert part in words, note


def test_the_example_of_a_message_is_what_the_check_says():
    with pytest.raises(AssertionError) as error:
        check_flip_pair(lambda image, target: (image.flip(1), target.flip(1)))
    (shown,) = blocks("text")
    assert " ".join(shown.split()) == f"AssertionError: {error.value}"


def test_there_are_five_assignments_and_the_hours_are_those_of_their_first_cells():
    hours = []
    for assignment in ASSIGNMENTS.values():
        hours += map(int, re.findall(r"\d+", re.search(r"\*\*Time\*\* ([^\n]*?) hours", _first(assignment))[1]))
    text = " ".join(PAGES["course"].split())
    assert text.startswith("# The course, for students Five assignments")
    assert f"Each takes {min(hours)} to {max(hours)} hours." in text
    assert len(ASSIGNMENTS) == 5


def _first(assignment) -> str:
    return assignment.notebook.cells[0].source


def test_the_points_of_the_written_answer_and_its_first_line_are_the_assignments():
    text = " ".join(PAGES["course"].split())
    for assignment in ASSIGNMENTS.values():
        assert [f"{cell.points:g} points" in text for cell in assignment.questions] == [True]
        (question,) = (cell for cell in assignment.notebook.cells if identity(cell) == "question_1")
        assert question.source.startswith("**Your answer to question 1**")
    assert "**Your answer to question 1**" in text


def test_every_assignment_has_its_table_of_mistakes():
    assert re.findall(r"^:::\{mistakes\} (\S+)$", PAGES["teaching"], flags=re.MULTILINE) == list(ASSIGNMENTS)


def test_six_weeks_hand_out_each_assignment_when_its_chapters_were_read_and_collect_it_a_week_later():
    read, out, due, names = set(), {}, {}, list(ASSIGNMENTS)
    for week, chapters, handed_out, collected, idea in rows("teaching", "week"):
        read |= {int(chapter) for chapter in re.findall(r"\d+", chapters)}
        if handed_out:
            out[handed_out] = int(week)
            (name,) = (name for name in names if name.startswith(f"{handed_out}-"))
            assert set(ASSIGNMENTS[name].chapters) <= read
        if collected:
            due[collected] = int(week)
        for chapter, exercise in re.findall(r"[Ee]xercise (\d+)\.(\d)", idea):
            (path,) = (ROOT / "book").glob(f"{int(chapter):02}-*.ipynb")
            assert f"**{chapter}.{exercise}**" in path.read_text(encoding="utf-8")
        for chapter in re.findall(r"chapter (\d+)'s explorer", idea):
            (path,) = (ROOT / "book").glob(f"{int(chapter):02}-*.ipynb")
            assert "{explorer}" in path.read_text(encoding="utf-8")
    assert read == set(range(1, 19))
    assert due == {number: week + 1 for number, week in out.items()}
    assert len(out) == len(ASSIGNMENTS)


def test_the_metadata_of_a_new_assignments_cells_are_those_of_the_five():
    given = {row[4]: [cell == "true" for cell in row[1:4]] for row in rows("teaching", "cell")}
    assert list(given) == ["any, each once", "`iou`", "`test_iou`", "`question_1`"]
    cells = {identity(cell): cell for cell in ASSIGNMENTS["1-miou"].notebook.cells}
    for name, flags in given.items():
        about = cells["about" if name.startswith("any") else name.strip("`")].metadata["nbgrader"]
        assert [about[key] for key in ("grade", "solution", "locked")] == flags
        assert ("points" in about) == about["grade"]


def test_the_line_that_installs_the_package_is_what_the_first_cell_does_on_colab(monkeypatch):
    (line,) = blocks("ipython3")
    url = "https://github.com/someone/book"
    (cell,) = (cell for cell in release(ASSIGNMENTS["1-miou"], url).cells if "hosted" in cell.metadata.get("tags", []))
    ran = []
    monkeypatch.setattr(subprocess, "run", lambda command, **_: ran.append(command) or SimpleNamespace(returncode=0))
    monkeypatch.setenv("COLAB_RELEASE_TAG", "release-colab_20260101")
    exec(cell.source, {})
    assert ran == [[sys.executable, "-m", *shlex.split(line.lstrip("!").replace("REPOSITORY_URL", url))]]
    compile(TransformerManager().transform_cell(line), "line", "exec")


def test_the_container_is_made_of_files_that_there_are_and_begins_with_a_command_that_is_understood(parse):
    (text,) = blocks("dockerfile")
    for line in re.findall(r"^COPY (.+)$", text, flags=re.MULTILINE):
        for name in line.split()[:-1]:
            assert (ROOT / name).exists()
    entry = re.findall(r'"([^"]+)"', re.search(r"^ENTRYPOINT .+$", text, flags=re.MULTILINE)[0])
    assert (ROOT / entry[1]).is_file()
    found = parse(entry[1], entry[2:])
    (run,) = (line for line in LINES if line.startswith("podman run"))
    assert {f"/{found.folder.name}:ro", f"/{found.out.name}"} == {
        volume.partition(":")[2] for volume in re.findall(r'--volume "([^"]+)"', run)
    }


def test_the_search_for_torchs_own_shuffle_finds_it_and_nothing_in_an_honest_answer(tmp_path):
    (line,) = (line for line in LINES if line.startswith("grep "))
    pattern = shlex.split(line)[2]
    (name,) = (name for name in ASSIGNMENTS if name.startswith("2-"))
    honest = "\n".join(
        cell.source for cell in ASSIGNMENTS[name].notebook.cells if identity(cell) in ASSIGNMENTS[name].functions
    )
    for folder, text in (
        ("honest", honest),
        ("one", "return F.pixel_shuffle(x, factor)"),
        ("two", "return torch.nn.PixelUnshuffle(factor)(x)"),
    ):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "record.json").write_text(text)
    done = subprocess.run(["grep", "-rlE", pattern, "."], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert sorted(done.stdout.split()) == ["./one/record.json", "./two/record.json"]


def test_the_tolerance_on_the_students_page_is_the_checks():
    text = " ".join(PAGES["course"].split())
    assert "it may differ by 1e-5 of the largest one (or of 1, if all are smaller)" in text
    for largest in (0.5, 100.0):
        expected = torch.tensor([largest, 0.0])
        allowed = 1e-5 * max(1.0, largest)
        check_same(expected + torch.tensor([0.0, 0.9 * allowed]), expected)
        with pytest.raises(AssertionError, match="expected the result 0 at"):
            check_same(expected + torch.tensor([0.0, 1.1 * allowed]), expected)


def test_what_was_not_run_is_said_on_both_pages():
    assert all("*not run*" in page.lower() for page in PAGES.values())
    for name in ("Colab", "Kaggle", "container", "Moodle", "Canvas", "macOS"):
        assert name in re.search(r":class: note\n(.*?):::", PAGES["teaching"], flags=re.DOTALL)[1]
