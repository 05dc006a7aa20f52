"""Make a hosted notebook, such as Colab's or Kaggle's, ready for the book, and leave its own packages as they are.

python scripts/hosted.py

The chapters' first cell calls it there. Every package that is installed is a constraint for pip, so that pip adds what
is missing and replaces nothing but what is too old for the book; torch, torchvision and numpy are never installed or
replaced. The book's own package is installed from this checkout. Called again, it does nothing.
"""

from __future__ import annotations

import builtins
import importlib
import importlib.metadata
import subprocess
import sys
import tempfile
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
GIVEN = ("torch", "torchvision", "numpy")  # made for the host's GPUs and drivers
ALSO = ("cityscapesScripts",)  # out of the extra "book": chapter 14 compares with the official score


class Refused(Exception):
    """What the reader has to mend; a notebook shows it as one line."""

    def _render_traceback_(self) -> list[str]:  # IPython asks for it
        return [f"error: {self}"]


def main() -> None:
    missing = [need for need in needs() if not satisfied(need)]
    for need in missing:
        if need.name in GIVEN:
            raise Refused(
                f"expected {need.name}{need.specifier} in this environment, found {version(need.name) or 'none'}: "
                "choose the host's newest environment; the book never replaces it"
            )
    replaced = [need.name for need in missing if version(need.name)]
    if missing:
        install(missing)
    if version("spacemeshlab") is None:
        pip("--no-deps", "--editable", str(ROOT))
    importlib.invalidate_caches()
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))  # this process started before the package was there
    names = ", ".join(need.name for need in missing) or "nothing"
    print(f"installed {names}; {', '.join(f'{name} {version(name)}' for name in GIVEN)} stay as they are")
    if replaced:
        print(f"{', '.join(replaced)} replaced: restart the session once, then run this cell again")


def needs() -> list[Requirement]:
    """What the chapters need, as pyproject.toml says it."""
    try:
        import tomllib
    except ModuleNotFoundError:
        found = sys.version.split()[0]
        raise Refused(f"expected Python 3.11 or newer, found {found}: choose the host's newest environment") from None
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extra = [line for line in project["optional-dependencies"]["book"] if Requirement(line).name in ALSO]
    return [Requirement(line) for line in (*project["dependencies"], *extra)]


def satisfied(need: Requirement) -> bool:
    found = version(need.name)
    return found is not None and need.specifier.contains(found, prereleases=True)


def version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def constraints(but: list[str]) -> list[str]:
    """``name==version`` of everything that is installed, without the names in ``but``."""
    pins: dict[str, str] = {}
    for package in importlib.metadata.distributions():  # in the path's order: what is found first is what is imported
        line = f"{package.metadata['Name']}=={package.version}"
        try:
            pins.setdefault(canonicalize_name(Requirement(line).name), line)
        except InvalidRequirement:  # a version that pip would not understand either
            continue
    return [line for name, line in sorted(pins.items()) if name not in map(canonicalize_name, but)]


def install(missing: list[Requirement]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "constraints.txt"
        file.write_text("\n".join(constraints([need.name for need in missing])) + "\n")
        pip("--constraint", str(file), *map(str, missing))


def pip(*words: str) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()] or ["no reason given"]
        raise Refused(
            f"expected pip to install {words[-1]}, but it did not ({said[-1].removeprefix('ERROR: ')}): switch on the "
            "internet in the notebook's settings if it is off, then run this again"
        )


if __name__ == "__main__":
    try:
        main()
    except Refused as refused:
        if hasattr(builtins, "__IPYTHON__"):
            raise
        print(f"error: {refused}", file=sys.stderr)
        sys.exit(2)
