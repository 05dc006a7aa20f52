"""pyproject.toml, requirements.lock, environment.yml and _config.yml speak of the same packages."""

from __future__ import annotations

import importlib
import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
WANTED = [Requirement(line) for line in sum(EXTRAS.values(), PROJECT["dependencies"])]
LOCK_LINES = [line for line in (ROOT / "requirements.lock").read_text().splitlines() if not line.startswith("#")]
PINS = [Requirement(line) for line in LOCK_LINES]
CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text())


def pins(name: str) -> list[Requirement]:
    return [pin for pin in PINS if canonicalize_name(pin.name) == canonicalize_name(name)]


@pytest.mark.parametrize("wanted", WANTED, ids=lambda wanted: wanted.name)
def test_every_dependency_has_a_lower_bound_and_a_pin_that_satisfies_it(wanted):
    assert any(part.operator == ">=" for part in wanted.specifier), f"{wanted} has no lower bound"
    assert pins(wanted.name), f"{wanted.name} is not in requirements.lock: make lock"
    for pin in pins(wanted.name):
        (version,) = pin.specifier
        assert wanted.specifier.contains(version.version, prereleases=True), (
            f"{pin} does not satisfy {wanted}: make lock"
        )


def test_the_lock_holds_exact_versions_and_nothing_of_one_machine():
    for line, pin in zip(LOCK_LINES, PINS, strict=True):
        assert re.match(r"[\w.-]+(\[[\w,-]+\])?==[\w.!+]+( ; .+)?$", line), line
        assert pin.url is None
    assert "://" not in (ROOT / "requirements.lock").read_text()


def test_packages_for_nvidia_gpus_are_asked_for_on_linux_only():
    for pin in PINS:
        if re.match(r"nvidia-|cuda-|triton$", pin.name):
            assert not pin.marker.evaluate({"sys_platform": "darwin", "python_version": "3.12"}), pin.name


def test_the_conda_environment_is_python_and_the_lock():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    *conda, pip = environment["dependencies"]
    assert conda == [f"python{PROJECT['requires-python']}", "pip"]
    assert pip == {"pip": ["-r requirements.lock", "-e ."]}


@pytest.mark.parametrize("extension", CONFIG["sphinx"]["extra_extensions"])
def test_every_sphinx_extension_of_the_book_is_installed_and_is_a_dependency_of_the_extra_book(extension):
    importlib.import_module(extension)
    distribution = canonicalize_name(extension)  # sphinxcontrib.bibtex -> sphinxcontrib-bibtex
    assert distribution in {canonicalize_name(Requirement(line).name) for line in EXTRAS["book"]}
