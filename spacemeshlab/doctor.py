"""What is wrong with this machine and these packages, and how to mend it: each check is a function that says so.

``scripts/doctor.py`` prints the findings; :mod:`spacemeshlab.doctor_data` examines a data set. "Run on your GPU"
in the book says when to ask the doctor.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
import torchvision
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from spacemeshlab.data import loaders
from spacemeshlab.errors import UserError
from spacemeshlab.machine import memory_free, memory_total
from spacemeshlab.recipe import Recipe

HOSTS = {"COLAB_RELEASE_TAG": "Colab", "KAGGLE_KERNEL_RUN_TYPE": "Kaggle"}
"""Services that run notebooks on machines of their own, by a variable of the environment that only they set."""

_GIB = 2**30
_GIVEN = ("torch", "torchvision", "numpy")  # what hosted notebooks bring along, made for their GPUs and drivers


@dataclass(frozen=True)
class Finding:
    """The answer of one check.

    Attributes:
        kind: "ok", "note" (worth knowing, nothing need be done) or "problem" (the user has to mend it).
        text: what was found.
        remedy: what to do about it.
    """

    kind: str
    text: str
    remedy: str = ""


def check_machine(folder: Path = Path()) -> list[Finding]:
    """Python, processor, memory, disk around ``folder``, GPUs."""
    return [check_python(), *check_hardware(folder), *check_gpus()]


def check_python() -> Finding:
    """Is this Python new enough for the package?"""
    try:
        wanted = importlib.metadata.metadata("spacemeshlab")["Requires-Python"]
    except importlib.metadata.PackageNotFoundError:  # check_packages says it
        return Finding("ok", f"Python {platform.python_version()}")
    if platform.python_version() in SpecifierSet(wanted, prereleases=True):
        return Finding("ok", f"Python {platform.python_version()}")
    remedy = "install a newer Python, make a new environment with it, and install the package there"
    return Finding("problem", f"Python {platform.python_version()}, expected {wanted}", remedy)


def check_hardware(folder: Path = Path()) -> list[Finding]:
    """Cores, memory and disk that this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    place = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.is_dir())
    return [
        Finding("ok", f"{cores} processor cores"),
        Finding("ok", f"{memory_free() / _GIB:.1f} GiB of {memory_total() / _GIB:.1f} GiB memory free"),
        Finding("ok", f"{shutil.disk_usage(place).free / _GIB:.1f} GiB of disk free in {place}"),
    ]


def check_gpus() -> list[Finding]:
    """The GPUs that torch sees."""
    if not torch.cuda.is_available():
        host = _host()
        mend = f"switch it on in {host}'s settings" if host else "install its driver and a torch built for it"
        remedy = f"train with recipe toycity or camvid-cpu; if the machine has one, {mend}"
        return [Finding("note", "no GPU that torch can use", remedy)]
    findings = []
    for index in range(torch.cuda.device_count()):
        device = torch.cuda.get_device_properties(index)
        text = f"GPU {index}: {device.name}, {device.total_memory / _GIB:.1f} GiB"
        if (device.major, device.minor) >= (8, 0):  # what torch reports for older ones is emulation
            findings.append(Finding("ok", f"{text}, bf16"))
        else:
            findings.append(Finding("note", f"{text}, no bf16", "train with precision=16-mixed or precision=32-true"))
    return findings


def check_shared_memory(recipe: Recipe | None = None, folder: str = "/dev/shm") -> Finding:
    """Does the recipe's loading fit into shared memory, through which worker processes hand over their batches?"""
    if not Path(folder).is_dir():
        return Finding("ok", "no limit of shared memory")
    free = f"{shutil.disk_usage(folder).free / _GIB:.2f} GiB of shared memory free in {folder}"
    if recipe is None or not recipe.workers:
        return Finding("ok", free)
    image = torch.empty(3, *recipe.crop, device="meta")
    target = torch.empty(recipe.crop, dtype=torch.int64, device="meta")
    try:
        loaders.check_shared_memory((image, target), recipe.batch_size, recipe.workers, folder)
    except UserError as error:
        text, remedy = str(error).rsplit(": ", 1)
        return Finding("problem", f"recipe {recipe.name}: {text}", remedy)
    return Finding("ok", f"{free}, enough for recipe {recipe.name}")


def check_packages() -> list[Finding]:
    """Is everything installed that the package's own metadata asks for, in versions that it can use?"""
    try:
        lines = importlib.metadata.requires("spacemeshlab") or []
    except importlib.metadata.PackageNotFoundError:
        remedy = "pip install -e . in the checkout"  # lower bounds: keeps the torch that is there
        return [Finding("problem", "the package spacemeshlab is not installed", remedy)]
    wanted = [Requirement(line) for line in lines]
    extras = importlib.metadata.metadata("spacemeshlab").get_all("Provides-Extra") or []
    findings = [check_package(need) for need in wanted if need.marker is None or need.marker.evaluate({"extra": ""})]
    for extra in extras:
        needs = [need for need in wanted if need.marker is not None and _belongs(need, extra)]
        findings += [check_package(need, extra) for need in needs]
    return [*findings, check_torch_pair()]


def check_package(need: Requirement, extra: str = "") -> Finding:
    """One requirement. What only an extra asks for may be missing."""
    kind, place = ("note", f", for the extra {extra}") if extra else ("problem", "")
    remedy = f'pip install "{need.name}{need.specifier}"'
    try:
        found = importlib.metadata.version(need.name)
    except importlib.metadata.PackageNotFoundError:
        return Finding(kind, f"{need.name} is not installed{place}", _protect(need.name, remedy))
    if need.specifier.contains(found, prereleases=True):
        return Finding("ok", f"{need.name} {found}{place}")
    why = ": cityscapesScripts calls what NumPy 2.4 removed" if need.name == "numpy" else ""
    text = f"{need.name} {found}, expected {need.specifier}{place}{why}"
    return Finding(kind, text, _protect(need.name, remedy))


def check_torch_pair() -> Finding:
    """Do torch and torchvision work together? Calls an operator that torchvision adds to torch."""
    pair = f"torch {torch.__version__} and torchvision {torchvision.__version__}"
    try:
        torchvision.ops.nms(torch.tensor([[0.0, 0.0, 1.0, 1.0]]), torch.ones(1), 0.5)
    except (RuntimeError, AttributeError, NotImplementedError) as error:
        remedy = "install both in one command: pip install --force-reinstall torch torchvision"
        reason = str(error).splitlines()[0]
        return Finding("problem", f"{pair} do not work together ({reason})", _protect("torch", remedy))
    return Finding("ok", f"{pair} work together")


def _belongs(need: Requirement, extra: str) -> bool:
    return need.marker.evaluate({"extra": extra}) and not need.marker.evaluate({"extra": ""})


def _host() -> str | None:
    """The service whose notebook this runs in."""
    return next((name for variable, name in HOSTS.items() if variable in os.environ), None)


def _protect(package: str, remedy: str) -> str:
    """The remedy, or on Colab and Kaggle one that leaves their own packages alone."""
    if (host := _host()) is None or package not in _GIVEN:
        return remedy
    return f"keep {host}'s own {package}: restart the session, or choose {host}'s newest environment; do not use pip"
