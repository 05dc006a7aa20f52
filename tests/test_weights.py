"""Weights for others: what the file says about itself, and which layer does not fit."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest
import safetensors.torch
import torch
from safetensors import safe_open
from torch import nn

from spacemeshlab.data.labels import CAMVID, CITYSCAPES
from spacemeshlab.data.transforms import MEAN, STD
from spacemeshlab.errors import UserError
from spacemeshlab.models.network import SpaceMeshLab
from spacemeshlab.recipe import get_recipe
from spacemeshlab.weights import load_state, load_weights, save_weights

RECIPE = get_recipe("camvid", ["rates=1,2", "crop=32x64"])


class Network(nn.Module):
    """Stands in for the network: a backbone, a decoder with a classifier, a counter of whole numbers."""

    def __init__(self, num_classes: int = 11, width: int = 4) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, width, 3), nn.BatchNorm2d(width))
        self.decoder = nn.Module()
        self.decoder.classify = nn.Conv2d(width, num_classes, 1)

    def forward(self, images):
        return {"out": self.decoder.classify(self.backbone(images))}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "model.safetensors"
    save_weights(Network(), path, RECIPE, CAMVID)
    return path


def rewrite(path, **changes):
    """The same file with other metadata; None leaves a key out."""
    with safe_open(path, "pt") as stored:
        metadata = stored.metadata()
    tensors = safetensors.torch.load_file(path)
    metadata = {name: text for name, text in (metadata | changes).items() if text is not None}
    safetensors.torch.save_file(tensors, path, metadata)


def equal(net: nn.Module, other: nn.Module) -> bool:
    own, others = net.state_dict(), other.state_dict()
    return list(own) == list(others) and all(torch.equal(own[name], others[name]) for name in own)


def test_what_is_saved_comes_back_with_recipe_classes_colours_and_normalisation(tmp_path):
    net = Network().to(memory_format=torch.channels_last)
    save_weights(net, tmp_path / "model.safetensors", RECIPE, CAMVID)
    weights = load_weights(tmp_path / "model.safetensors")
    assert weights.tensors.keys() == net.state_dict().keys()
    assert all(torch.equal(weights.tensors[name], tensor) for name, tensor in net.state_dict().items())
    assert weights.recipe == RECIPE
    assert (weights.classes, weights.palette, weights.file_values) == (
        CAMVID.classes,
        CAMVID.palette,
        CAMVID.file_values,
    )
    assert (weights.mean, weights.std) == (MEAN, STD)
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]  # no draft stays


def test_a_full_disk_is_one_line_and_leaves_the_old_file(file, monkeypatch):
    def full(path, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    before = file.read_bytes()
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UserError, match=r"expected to write .*model.safetensors, but no space left"):
        save_weights(Network(), file, RECIPE, CAMVID)
    assert file.read_bytes() == before


def test_other_programs_read_the_file_and_its_text_is_json(file):
    assert safetensors.torch.load_file(file).keys() == Network().state_dict().keys()
    with safe_open(file, "pt") as stored:
        metadata = stored.metadata()
    assert metadata.pop("format") == "pt"  # what other libraries ask for
    assert metadata.pop("spacemeshlab_weights") == "1"
    assert metadata.keys() == {"recipe", "classes", "palette", "file_values", "mean", "std"}
    assert json.loads(metadata["recipe"])["crop"] == [32, 64]
    assert json.loads(metadata["classes"])[0] == "sky"


def test_nothing_is_unpickled(tmp_path):
    torch.save({"model": Network().state_dict()}, tmp_path / "last.ckpt")
    with pytest.raises(UserError, match=r"expected weights as safetensors at .*last.ckpt, found \d+ bytes that can't"):
        load_weights(tmp_path / "last.ckpt")


@pytest.mark.parametrize("size", [0, 4, 300, -1], ids=["empty", "cut length", "cut text", "cut tensors"])
def test_a_cut_file_is_refused(file, size):
    file.write_bytes(file.read_bytes()[:size])
    with pytest.raises(UserError, match=r"model.safetensors, found \d+ bytes that can't be read so \(.*\): copy"):
        load_weights(file)


def test_no_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"expected weights at .*none.safetensors, found no such file: name"):
        load_weights(tmp_path / "none.safetensors")
    with pytest.raises(UserError, match=r"expected weights at .*, found a folder: name"):
        load_weights(tmp_path)


def test_safetensors_of_another_program_are_refused(tmp_path):
    for metadata in (None, {"format": "pt"}):
        safetensors.torch.save_file({"weight": torch.zeros(1)}, tmp_path / "other.safetensors", metadata)
        with pytest.raises(UserError, match=r"with their recipe and classes in .*other.safetensors, found .* without"):
            load_weights(tmp_path / "other.safetensors")


@pytest.mark.parametrize("version", ["2", "1.1", "-1"])
def test_a_newer_format_is_refused(file, version):
    rewrite(file, spacemeshlab_weights=version)
    with pytest.raises(UserError, match=rf"format 1 or older in .*model.safetensors, found format {version}: update"):
        load_weights(file)


@pytest.mark.parametrize(
    "changes",
    [
        {"classes": None},
        {"classes": "[1, 2"},
        {"classes": '["sky"]'},
        {"palette": "[[1, 2]]"},
        {"file_values": "7"},
        {"mean": "[0.5]"},
        {"std": '["a", "b", "c"]'},
    ],
    ids=str,
)
def test_damaged_text_is_refused(file, changes):
    rewrite(file, **changes)
    with pytest.raises(UserError, match=r"expected recipe, classes, palette, .* in .*model.safetensors, found others"):
        load_weights(file)


def test_a_recipe_of_another_version_is_refused_with_the_files_name(file):
    rewrite(file, recipe=json.dumps(RECIPE.as_dict() | {"novelty": 1}))
    with pytest.raises(UserError, match=r"model.safetensors: .*unknown fields \['novelty'\]"):
        load_weights(file)


def test_a_recipe_without_newer_fields_takes_their_defaults(file):
    older = RECIPE.as_dict()
    del older["test_multiple"]
    rewrite(file, recipe=json.dumps(older))
    assert load_weights(file).recipe == RECIPE


def test_every_layer_is_loaded(file):
    net, other = Network(), Network()
    assert not equal(net, other)
    load_state(net, other.state_dict(), file)
    assert equal(net, other)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_another_precision_is_converted_to_the_networks(dtype):
    net, other = Network(), Network().to(dtype)
    load_state(net, other.state_dict(), "half.safetensors")
    assert {tensor.dtype for tensor in net.state_dict().values()} == {torch.float32, torch.int64}
    assert equal(net, other.float())


def test_the_prefixes_of_compile_and_of_several_processes_are_understood_on_both_sides(tmp_path):
    other = Network()
    compiled = torch.compile(other)  # compiles nothing before it is called
    assert all(name.startswith("_orig_mod.") for name in compiled.state_dict())
    save_weights(compiled, tmp_path / "model.safetensors", RECIPE, CAMVID)
    assert load_weights(tmp_path / "model.safetensors").tensors.keys() == other.state_dict().keys()
    for prefix in ("_orig_mod.", "module.", "module._orig_mod.", "_orig_mod.module.", "_forward_module."):
        net = Network()
        load_state(net, {prefix + name: tensor for name, tensor in other.state_dict().items()}, "a.safetensors")
        assert equal(net, other), prefix
    inner = {name.replace("classify", "classify._orig_mod"): tensor for name, tensor in other.state_dict().items()}
    net = Network()
    load_state(torch.compile(net), inner, "a.safetensors")
    assert equal(net, other)


def test_another_number_of_classes_is_named_as_such():
    with pytest.raises(
        UserError,
        match=r"expected decoder.classify.weight of shape \(19, 4, 1, 1\) for 19 classes, found shape \(11, 4, 1, 1\) "
        r"for 11 classes in a.safetensors \(and 1 more that differ\): use the recipe and the data set",
    ):
        load_state(Network(19), Network(11).state_dict(), "a.safetensors")


def test_another_shape_is_named_with_both_shapes_and_is_no_number_of_classes():
    with pytest.raises(
        UserError,
        match=r"expected backbone.0.weight of shape \(4, 3, 3, 3\), found shape \(5, 3, 3, 3\) in a.safetensors "
        r"\(and 6 more that differ\): use the recipe, .* trained with; this layer depends on backbone$",
    ):
        load_state(Network(), Network(width=5).state_dict(), "a.safetensors")


def test_a_layer_that_differs_in_two_sides_says_nothing_of_classes():
    state = Network().state_dict() | {"decoder.classify.weight": torch.zeros(12, 5, 1, 1)}
    with pytest.raises(
        UserError, match=r"\(11, 4, 1, 1\), found shape \(12, 5, 1, 1\) in a.safetensors: use the recipe,"
    ):
        load_state(Network(), state, "a.safetensors")


def test_a_missing_layer_is_named_before_a_surplus_one():
    state = Network().state_dict()
    state["decoder.score.weight"] = state.pop("decoder.classify.weight")
    with pytest.raises(UserError, match=r"expected decoder.classify.weight of shape \(11, 4, 1, 1\), found no such la"):
        load_state(Network(), state, "a.safetensors")


def test_a_surplus_layer_is_named():
    state = Network().state_dict() | {"aux_head.weight": torch.zeros(2)}
    with pytest.raises(
        UserError, match=r"expected no layer aux_head.weight, found shape \(2,\) in a.safetensors: .* on aux_weight"
    ):
        load_state(Network(), state, "a.safetensors")


def test_quantised_weights_are_no_weights():
    state = Network().state_dict()
    state["backbone.0.weight"] = state["backbone.0.weight"].to(torch.int8)
    with pytest.raises(UserError, match=r"found shape \(4, 3, 3, 3\) and type int8 in a.safetensors"):
        load_state(Network(), state, "a.safetensors")


def test_nothing_is_loaded_if_one_layer_differs():
    net, state = Network(), Network().state_dict()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    state["decoder.classify.bias"] = torch.zeros(12)
    with pytest.raises(UserError, match=r"expected decoder.classify.bias of shape"):
        load_state(net, state, "a.safetensors")
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())


@pytest.mark.parametrize(
    ("stored", "built", "line"),
    [
        ({"num_classes": 11}, {}, r"decoder.head.2.weight .* for 19 classes, found .* for 11 classes .* 3 more"),
        ({"context": "aspp"}, {}, r"expected context.weight of shape .*, found no such layer .* on context, rates"),
        ({"rates": (1, 2, 3, 4)}, {}, r"expected context.weight of shape .*, found shape .* on context, rates"),
        ({"aux": False}, {}, r"expected aux_head.0.0.weight .*found no such layer .* aux_weight"),
        ({}, {"aux": False}, r"expected no layer aux_head.0.0.weight, found .* aux_weight"),
        ({"spam": False}, {}, r"expected spam.*found no such layer .* on spam, attention"),
        ({"backbone": "resnet34"}, {}, r"expected no layer backbone.*found .* on backbone"),
    ],
    ids=str,
)
def test_the_real_networks_differences_name_the_recipes_field(stored, built, line):
    usual = {"num_classes": len(CITYSCAPES), "backbone": "resnet18", "rates": (1, 2), "depth": 4}
    with torch.device("meta"):
        net, other = SpaceMeshLab(**usual | built), SpaceMeshLab(**usual | stored)
    with pytest.raises(UserError, match=line):
        load_state(net, other.state_dict(), "a.safetensors")


def test_a_recipe_that_is_none_is_refused_with_the_files_name(file):
    rewrite(file, recipe="[]")
    with pytest.raises(UserError, match=r"model.safetensors: expected the values of a recipe, found others"):
        load_weights(file)
