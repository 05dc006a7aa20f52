"""The pages about GPUs and the reproduction: each of their commands is understood by the program that it calls."""

from __future__ import annotations

import ast
import importlib
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from cityscapesscripts.download import downloader
from IPython.core.inputtransformer2 import TransformerManager
from torch.distributed.run import get_args_parser

from spacemeshlab.preflight import GIB, bytes_kept
from spacemeshlab.recipe import get_recipe
from spacemeshlab.step import build_network
from spacemeshlab.tables import TABLES, choose

ROOT = Path(__file__).resolve().parents[2]
PAGES = {name: (ROOT / "book" / f"{name}.md").read_text(encoding="utf-8") for name in ("gpu", "eight-gpus")}
PAGES["reproducibility"] = (ROOT / "book" / "reproducibility.md").read_text(encoding="utf-8")
PAGE, ALL = PAGES["gpu"], "\n".join(PAGES.values())
BLOCKS = re.findall(r"^```(bash|ipython3)\n(.*?)^```", ALL, flags=re.MULTILINE | re.DOTALL)
LINES = [line.lstrip("!%") for _, text in BLOCKS for line in text.splitlines()]
LINES += re.findall(r"`(?:\.venv/bin/)?(python scripts/[^`]+)`", ALL)
COMMANDS = [line for line in LINES if re.search(r"scripts/\w+\.(py|slurm)", line) and "hosted.py" not in line]
CLASSES = {"camvid": 11, "pascal-context": 59, "cityscapes": 19}
ROWS = re.findall(r"^\| `([\w-]+)` \| `([\w-]+)` \|(.*)\|$", PAGE, flags=re.MULTILINE)


def words(line: str) -> list[str]:
    """The words of a command, without what the shell keeps for itself."""
    return shlex.split(re.split(r" [>|]| 2>| &", line)[0])


def test_the_page_is_in_the_book():
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    assert "book/gpu" in [chapter["file"] for part in toc["parts"] for chapter in part["chapters"]]
    assert re.findall(r"^# .*", PAGE, flags=re.MULTILINE)[0] == "# Run on your GPU"
    assert len([line for line in COMMANDS if line in PAGE]) >= 10


def test_the_page_for_eight_gpus_stands_below_it_and_has_a_command_for_every_table():
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    (page,) = [entry for part in toc["parts"] for entry in part["chapters"] if entry["file"] == "book/gpu"]
    assert page["sections"] == [{"file": "book/eight-gpus"}]
    found = re.findall(r"^\.venv/bin/python scripts/reproduce\.py (\w+) .*", PAGES["eight-gpus"], flags=re.MULTILINE)
    assert set(found) == set(importlib.import_module("reproduce").NAMES)


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_is_understood_by_its_script(parse, line):
    given = words(line)
    place = next(index for index, word in enumerate(given) if word.startswith("scripts/"))
    script, rest = given[place], given[place + 1 :]
    found = parse("scripts/train.py" if script.endswith(".slurm") else script, rest)
    if hasattr(found, "overrides"):
        get_recipe(found.recipe, found.overrides)
    if script == "scripts/reproduce.py":
        get_recipe(found.recipe, found.override)
        choose(TABLES[importlib.import_module("reproduce").NAMES[found.table]], found.rows)
    if given[0].endswith("torchrun"):
        assert get_args_parser().parse_args(given[1:]).training_script == script
    if given[0] == "sbatch":
        known = re.findall(r"^#SBATCH (--[\w-]+)", (ROOT / script).read_text(), flags=re.MULTILINE)
        assert all(word.partition("=")[0] in known for word in given[1:place])


@pytest.mark.parametrize("pair", re.findall(r"--override (\S+?=[^\s`]+)", PAGES["eight-gpus"]))
def test_an_override_that_the_page_for_eight_gpus_names_changes_its_recipe(pair):
    assert get_recipe("cityscapes", [pair]) != get_recipe("cityscapes")


@pytest.mark.parametrize("text", [text for kind, text in BLOCKS if kind == "bash"])
def test_a_block_for_the_shell_is_sound_bash_and_calls_what_there_is(text):
    subprocess.run(["bash", "-n"], input=text, text=True, check=True)
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert set(re.findall(r"^make (\w+)", text, flags=re.MULTILINE)) <= set(targets)
    for name in re.findall(r"\.venv/bin/(\w+)", text):
        assert (Path(sys.executable).parent / name).exists()
    for code in re.findall(r"python -c '(.*)'", text):
        imported, call = ast.parse(code).body
        assert callable(getattr(importlib.import_module(imported.module), call.value.func.id))


@pytest.mark.parametrize("text", [text for kind, text in BLOCKS if kind == "ipython3"])
def test_a_block_for_a_notebook_is_sound_python_once_ipython_has_read_it(text):
    ast.parse(TransformerManager().transform_cell(text))
    for path in re.findall(r"^%run (\S+)$", text, flags=re.MULTILINE):
        assert (ROOT / path).is_file()


def test_cityscapes_own_tool_understands_its_command(monkeypatch):
    (line,) = [line for line in LINES if line.startswith("csDownload")]
    monkeypatch.setattr(sys, "argv", words(line))
    found = downloader.parse_arguments()
    assert found.destination_path == "data/cityscapes"
    assert found.package_name == ["gtFine_trainvaltest.zip", "leftImg8bit_trainvaltest.zip"]


def test_the_kernel_for_a_hub_can_be_installed(tmp_path):
    (line,) = [line for line in LINES if "ipykernel install" in line]
    environment = {**os.environ, "HOME": str(tmp_path), "JUPYTER_DATA_DIR": str(tmp_path)}
    command = [sys.executable, *words(line)[1:]]
    subprocess.run(command, env=environment, check=True, capture_output=True)
    assert (tmp_path / "kernels" / "spacemeshlab" / "kernel.json").is_file()


def gib(recipe: str, precision: str, images: int) -> str:
    """What the table says: the least memory that training takes, as the check before each run counts it."""
    plan = get_recipe(recipe, [f"precision={precision}", "pretrained=false"])
    net = build_network(plan, CLASSES[recipe])
    fixed = 3 * sum(parameter.nbytes for parameter in net.parameters())
    return f"{(fixed + bytes_kept(net, images, plan)) / GIB:.1f}"


def test_the_table_of_memory_has_every_recipe_for_a_gpu_in_both_precisions():
    assert [row[:2] for row in ROWS] == [(name, kind) for name in CLASSES for kind in ("32-true", "bf16-mixed")]
    assert {get_recipe(name).batch_size for name in CLASSES} == {8}


@pytest.mark.slow
@pytest.mark.parametrize("name", CLASSES)
def test_the_table_of_memory_says_what_the_check_before_a_run_counts(name):
    for recipe, precision, cells in ROWS:
        if recipe == name:
            eight, four, two = (float(cell) for cell in cells.split("|"))
            assert gib(recipe, precision, 2) == f"{two:.1f}"
            assert eight - four == pytest.approx(2 * (four - two), abs=0.2)  # it grows by the image
