"""Memory of the machine, and of a container inside it, whose control groups the tests write themselves."""

from __future__ import annotations

import psutil
import pytest

from spacemeshlab import machine
from spacemeshlab.machine import memory_free, memory_total

MIB = 2**20


@pytest.fixture
def groups(tmp_path, monkeypatch):
    """``groups(table, {folder: (limit, used, cached)}, version)`` writes what this process then finds as its groups."""

    def write(table, files, version):
        limit, usage, cached = machine._V2 if version == 2 else machine._V1
        for folder, (total, used, cache) in files.items():
            (path := tmp_path / "cgroup" / folder).mkdir(parents=True, exist_ok=True)
            (path / limit).write_text(f"{total}\n")
            (path / usage).write_text(f"{used}\n")
            (path / "memory.stat").write_text(f"anon 5\n{cached} {cache}\n")
        (tmp_path / "table").write_text(table)

    monkeypatch.setattr(machine, "_TABLE", tmp_path / "table")
    monkeypatch.setattr(machine, "_MOUNT", tmp_path / "cgroup")
    return write


def test_without_control_groups_the_machines_memory_counts(groups):
    assert memory_total() == psutil.virtual_memory().total
    assert 0 < memory_free() <= memory_total()


@pytest.mark.parametrize("version", [1, 2])
def test_a_containers_limit_counts_and_cached_files_are_free(groups, version):
    table, folder = ("0::/\n", ".") if version == 2 else ("5:cpu,cpuacct:/\n4:memory:/\n", "memory")
    groups(table, {folder: (64 * MIB, 40 * MIB, 10 * MIB)}, version)
    assert memory_total() == 64 * MIB
    assert memory_free() == 34 * MIB


def test_the_tightest_of_the_groups_around_a_process_counts(groups):
    files = {"slurm": (48 * MIB, 8 * MIB, 0), "slurm/job/step": (32 * MIB, 4 * MIB, 0), "slurm/job": ("max", 0, 0)}
    groups("0::/slurm/job/step\n", files, 2)
    assert (memory_total(), memory_free()) == (32 * MIB, 28 * MIB)
    files["slurm"] = (48 * MIB, 38 * MIB, 0)  # neighbours in the outer group have used most of it
    groups("0::/slurm/job/step\n", files, 2)
    assert (memory_total(), memory_free()) == (32 * MIB, 10 * MIB)


def test_a_container_that_sees_its_own_group_as_the_root_is_limited_too(groups):
    groups("4:memory:/docker/0123abcd\n", {"memory": (64 * MIB, 0, 0)}, 1)
    assert memory_total() == 64 * MIB


@pytest.mark.parametrize(("limit", "version"), [("max", 2), (9223372036854771712, 1)])
def test_a_group_without_limit_changes_nothing(groups, limit, version):
    table, folder = ("0::/\n", ".") if version == 2 else ("4:memory:/\n", "memory")
    groups(table, {folder: (limit, 40 * MIB, 0)}, version)
    assert memory_total() == psutil.virtual_memory().total


def test_a_used_up_group_has_nothing_free_rather_than_less(groups):
    groups("0::/\n", {".": (64 * MIB, 65 * MIB, 0)}, 2)
    assert memory_free() == 0
