"""A chapter on Colab and Kaggle: its first cell fetches the book once, installs what is missing, never touches torch.

The cell runs as it stands in a chapter, in a process of its own, with the host's variable set, a repository on this
disk, and a pip that only writes down what it was told.
"""

from __future__ import annotations

import ast
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import fill_listings
import hosted
import hosted_cell
import nbformat
import pytest
import tidy_notebooks
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from packaging.requirements import Requirement

from spacemeshlab import doctor

ROOT = Path(__file__).resolve().parents[2]
CHAPTERS = tidy_notebooks.chapters(ROOT)
CONFIG = "sphinx: {{config: {{html_theme_options: {{repository_url: '{}', repository_branch: main}}}}}}\n"

PIP = """
import json, os, sys
words = sys.argv[1:]
if "--constraint" in words:
    place = words.index("--constraint") + 1
    words[place] = open(words[place]).read().split()
with open(os.environ["PIP_LOG"], "a") as log:
    log.write(json.dumps(words) + "\\n")
if os.environ.get("PIP_FAILS"):
    sys.exit("ERROR: Could not find a version\\nERROR: No matching distribution found")
"""

DRIVER = """
import importlib.metadata, json, os, sys
import pip
assert os.path.dirname(os.path.dirname(pip.__file__)) == os.environ["PYTHONPATH"], "never the real pip"
real, versions = importlib.metadata.version, json.loads(os.environ["VERSIONS"])

def version(name):
    found = versions.get(name) or real(name)
    if found == "missing":
        raise importlib.metadata.PackageNotFoundError(name)
    return found

importlib.metadata.version = version
for _ in range(int(os.environ["RUNS"])):
    exec(open(os.environ["CELL"]).read(), {})
    print(os.getcwd())
    versions = {name: found for name, found in versions.items() if found != "missing"}
"""


@pytest.fixture
def repository(tmp_path) -> str:
    """The address of a repository with what the cell needs."""
    work, bare = tmp_path / "work", tmp_path / "book.git"
    for name in ("pyproject.toml", "scripts/hosted.py", "book/index.md"):
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, work / name)
    who = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    for words in (["init", "-q", "-b", "main"], ["add", "."], [*who, "commit", "-q", "-m", "one"]):
        subprocess.run(["git", "-C", work, *words], check=True)
    subprocess.run(["git", "clone", "-q", "--bare", work, bare], check=True)
    return bare.as_uri()


@pytest.fixture
def run(tmp_path, repository):
    """``run(variable, versions, runs)`` runs the cell in a fresh folder; returns what came of it."""
    (tmp_path / "stub" / "pip").mkdir(parents=True)
    (tmp_path / "stub" / "pip" / "__init__.py").touch()  # without it the real one would win
    (tmp_path / "stub" / "pip" / "__main__.py").write_text(PIP)
    (tmp_path / "driver.py").write_text(DRIVER)
    (tmp_path / "_config.yml").write_text(CONFIG.format(repository))
    (tmp_path / "cell.py").write_text(hosted_cell.source(tmp_path / "_config.yml"))
    session = tmp_path / "session"
    session.mkdir()

    def call(variable: str = "", versions: dict | None = None, runs: int = 1, shell: tuple = (), **more: str):
        environment = {name: value for name, value in os.environ.items() if name not in doctor.HOSTS}
        environment |= {
            "PYTHONPATH": str(tmp_path / "stub"),
            "PIP_LOG": str(tmp_path / "pip.log"),
            "VERSIONS": json.dumps(versions or {}),
            "CELL": str(tmp_path / "cell.py"),
            "RUNS": str(runs),
            **({variable: "1"} if variable else {}),
            **more,
        }
        command = [sys.executable, *shell, str(tmp_path / "driver.py")]
        done = subprocess.run(command, cwd=session, env=environment, capture_output=True, text=True, check=False)
        log = tmp_path / "pip.log"
        words = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        return SimpleNamespace(code=done.returncode, out=done.stdout, err=done.stderr, pip=words, session=session)

    return call


def names(words: list) -> set[str]:
    """The packages that pip was asked to install."""
    asked = [word for word in words if isinstance(word, str) and word[0] not in "-/" and word != "install"]
    return {Requirement(word).name for word in asked}


@pytest.mark.parametrize("variable", list(doctor.HOSTS))
def test_the_cell_fetches_the_book_once_and_pip_is_never_told_to_install_torch(run, variable):
    versions = {"lightning": "missing", "tensorboard": "missing", "spacemeshlab": "missing"}
    done = run(variable, versions, runs=2)
    assert (done.code, done.err) == (0, "")
    checkout = done.session / "SpaceMeshLab"
    assert [path.name for path in done.session.iterdir()] == ["SpaceMeshLab"]
    lines = done.out.splitlines()
    assert lines[1] == lines[3] == str(checkout / "book")
    assert lines[0].startswith("installed lightning, tensorboard; torch ")
    assert lines[2].startswith("installed nothing; torch ")
    first, second = done.pip  # the second run of the cell calls pip no more
    assert names(first) == {"lightning", "tensorboard"}
    assert second[-3:] == ["--no-deps", "--editable", str(checkout)]
    for words in done.pip:
        assert not names(words) & set(hosted.GIVEN)
        assert not {"--upgrade", "-U", "--force-reinstall"} & {word for word in words if isinstance(word, str)}


def test_everything_that_is_installed_is_a_constraint_for_pip(run):
    pins = run("COLAB_RELEASE_TAG", {"lightning": "missing"}).pip[0][-2]
    for name in (*hosted.GIVEN, "matplotlib", "pillow", "scipy"):
        assert f"{name}=={importlib.metadata.version(name)}" in pins
    assert not any(pin.startswith("lightning==") for pin in pins)


def test_a_package_that_is_too_old_is_replaced_and_the_reader_asked_to_restart(run):
    done = run("KAGGLE_KERNEL_RUN_TYPE", {"matplotlib": "3.0"})
    assert names(done.pip[0]) == {"matplotlib"}
    assert not any(pin.startswith("matplotlib==") for pin in done.pip[0][-2])
    assert "matplotlib replaced: restart the session once" in done.out


@pytest.mark.parametrize(("name", "found"), [("torch", "2.10.0+cu128"), ("torchvision", "missing"), ("numpy", "2.4.0")])
def test_an_environment_whose_torch_does_not_fit_is_refused_in_one_line_and_left_alone(run, name, found):
    done = run("COLAB_RELEASE_TAG", {name: found, "lightning": "missing"})
    assert done.code == 2
    assert done.err.count("\n") == 1
    assert done.err.startswith(f"error: expected {name}")
    assert f"found {'none' if found == 'missing' else found}: choose the host's newest environment" in done.err
    assert done.pip == []


def test_a_notebook_shows_a_refusal_without_a_traceback(run):
    done = run("COLAB_RELEASE_TAG", {"torch": "2.10.0"}, shell=("-m", "IPython", "--colors=NoColor"))
    assert "error: expected torch>=2.11 in this environment, found 2.10.0" in done.out + done.err
    assert "Traceback" not in done.out + done.err


def test_without_internet_the_cell_says_what_to_switch_on(run, tmp_path):
    done = run("KAGGLE_KERNEL_RUN_TYPE", {"lightning": "missing"}, PIP_FAILS="1")
    assert done.code == 2
    assert done.err.count("\n") == 1
    assert "did not (No matching distribution found): switch on the internet" in done.err
    shutil.rmtree(done.session / "SpaceMeshLab")
    shutil.rmtree(tmp_path / "book.git")
    done = run("KAGGLE_KERNEL_RUN_TYPE")
    assert "AssertionError: is the internet switched on in the notebook's settings? fatal: " in done.err
    assert not list(done.session.iterdir())


def test_anywhere_else_the_cell_does_nothing(run):
    done = run("", {"lightning": "missing"})
    assert (done.code, done.out.strip(), done.err) == (0, str(done.session), "")
    assert done.pip == []
    assert not list(done.session.iterdir())


def test_hosts_and_their_own_packages_are_those_that_the_doctor_knows(tmp_path):
    (tmp_path / "_config.yml").write_text(CONFIG.format("https://github.com/a/b"))
    statements = ast.parse(hosted_cell.source(tmp_path / "_config.yml")).body
    condition = next(node for node in statements if isinstance(node, ast.If))
    assert ast.literal_eval(condition.test.right) == set(doctor.HOSTS)
    assert hosted.GIVEN == doctor._GIVEN


def test_what_the_chapters_import_is_what_gets_installed():
    packages = importlib.metadata.packages_distributions()
    known = {need.name.lower() for need in hosted.needs()} | {"spacemeshlab"}
    for path in CHAPTERS:
        cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
        for node in ast.walk(ast.parse("\n".join(cell.source for cell in cells))):
            modules = [node.module] if isinstance(node, ast.ImportFrom) else []
            modules += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for top in {module.partition(".")[0] for module in modules} - sys.stdlib_module_names:
                assert {name.lower() for name in packages[top]} & known, f"{path.name} imports {top}"


def small() -> nbformat.NotebookNode:
    result = new_output("execute_result", {"text/plain": "2"}, execution_count=2)
    cells = [new_markdown_cell("# T"), new_code_cell("1", execution_count=1)]
    cells.append(new_code_cell("2", execution_count=2, outputs=[result]))
    return tidy_notebooks.tidy(new_notebook(cells=cells))


def test_the_cell_stands_behind_the_title_counts_as_executed_and_can_be_taken_out_again():
    notebook = small()
    assert hosted_cell.place(notebook, "pass") == ["the cell for hosted notebooks"]
    assert hosted_cell.place(notebook, "pass") == []
    assert [cell.source for cell in notebook.cells] == ["# T", "pass", "1", "2"]
    assert notebook.cells[1].metadata.tags == ["hosted", "remove-cell"]
    assert [cell.execution_count for cell in notebook.cells[1:]] == [1, 2, 3]
    assert notebook.cells[3].outputs[0].execution_count == 3
    hosted_cell.place(notebook, "other")
    assert [cell.source for cell in notebook.cells] == ["# T", "other", "1", "2"]
    assert hosted_cell.place(notebook, "") == ["the cell for hosted notebooks"]
    assert notebook == small()


def test_make_format_gives_every_chapter_the_cell_and_takes_it_away(tmp_path, monkeypatch, capsys):
    path = tmp_path / "book" / "01-tiny.ipynb"
    tidy_notebooks.save(small(), path)
    before = path.read_bytes()

    def call(url: str, *options: str) -> str:
        (tmp_path / "_config.yml").write_text(CONFIG.format(url))
        monkeypatch.setattr(sys, "argv", ["fill_listings.py", *options, str(path)])
        fill_listings.main()
        return capsys.readouterr().out

    assert call("") == ""
    with pytest.raises(SystemExit):
        call("https://github.com/a/b", "--check")
    assert path.read_bytes() == before
    assert call("https://github.com/a/b") == "filled 01-tiny.ipynb: the cell for hosted notebooks\n"
    written = nbformat.read(path, as_version=4)
    assert tidy_notebooks.tidy(written) == written
    assert 'url = "https://github.com/a/b"' in written.cells[1].source
    assert call("https://github.com/a/b", "--check") == ""
    call("")
    assert path.read_bytes() == before


def test_the_cell_is_clean_code_in_every_chapter(tmp_path):
    (tmp_path / "_config.yml").write_text(CONFIG.format("https://github.com/a/b"))
    text = hosted_cell.source(tmp_path / "_config.yml")
    for path in CHAPTERS:
        notebook = nbformat.read(path, as_version=4)
        hosted_cell.place(notebook, text)
        tidy_notebooks.save(notebook, tmp_path / path.name)
    ruff = shutil.which("ruff", path=str(Path(sys.executable).parent))
    for words in (["check"], ["format", "--check"]):
        command = [ruff, *words, "--config", ROOT / "pyproject.toml", "--no-cache", tmp_path]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout
