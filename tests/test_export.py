"""A network as an ONNX file: the same logits at every size, and no file where they are not."""

from __future__ import annotations

import contextlib
import copy
import io
import json
from types import SimpleNamespace

import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from spacemeshlab import export
from spacemeshlab.data.labels import CITYSCAPES
from spacemeshlab.data.transforms import MEAN, STD
from spacemeshlab.errors import UserError
from spacemeshlab.export import OPSET, TOLERANCE, TransposedMetroCon2, describe_network, export_onnx
from spacemeshlab.models.metrocon import MetroCon2
from spacemeshlab.models.network import DeepLabV3Plus, SpaceMeshLab
from spacemeshlab.recipe import Recipe, get_recipe

ABOUT = describe_network(get_recipe("toycity"), CITYSCAPES, MEAN, STD)


def as_if_trained(net):
    """Norms with statistics and factors of both signs, scores of both signs: what a mistake would show in."""
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                for tensor in (module.weight, module.bias, module.running_mean):
                    tensor.add_(torch.randn_like(tensor) / 4)
                module.running_var.uniform_(0.5, 2)
            if isinstance(module, MetroCon2):
                module.score.copy_(torch.randn_like(module.score))
    return net


def exported(net, folder):
    """Everything about one export, because one takes long: what was written, returned, said and traced."""
    programs, trace, before = [], export._trace, copy.deepcopy(net.state_dict())
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        patch.setattr(export, "_trace", lambda reference: programs.append(trace(reference)) or programs[0])
        difference = export_onnx(net, folder / "net.onnx", ABOUT)
    unchanged = all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    return SimpleNamespace(
        net=net,
        path=folder / "net.onnx",
        difference=difference,
        said=said.getvalue(),
        program=programs[0],
        unchanged=unchanged and net.training,
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The whole network: memo, attention, MetroCon² of four pairs of rates, auxiliary head."""
    torch.manual_seed(0)
    net = as_if_trained(SpaceMeshLab(5, "resnet18", rates=(1, 2)))
    return exported(net, tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def baseline(tmp_path_factory):
    """DeepLabV3+, with image pooling."""
    torch.manual_seed(0)
    return exported(as_if_trained(DeepLabV3Plus(5, "resnet18")), tmp_path_factory.mktemp("baseline"))


def both(made, *size):
    """The file's logits and the network's own, on the same images."""
    images = torch.randn(size[0], 3, *size[1:])
    session = onnxruntime.InferenceSession(made.path, providers=["CPUExecutionProvider"])
    (found,) = session.run(["logits"], {"images": images.numpy()})
    with torch.inference_mode():
        expected = copy.deepcopy(made.net).eval()(images)["out"]  # unfolded, with MetroCon²'s own operator
    return torch.from_numpy(found), expected


SIZES = [(1, 64, 64), (2, 50, 90), (3, 1, 5), (1, 129, 47)]  # also the traced size, and less than a cell of 16


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
def test_the_whole_network_computes_the_same_at_any_size_and_number(whole, size):
    found, expected = both(whole, *size)
    assert found.shape == (size[0], 5, *size[1:])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
def test_deeplab_with_its_image_pooling_computes_the_same_at_any_size_and_number(baseline, size):
    found, expected = both(baseline, *size)
    assert found.shape == (size[0], 5, *size[1:])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_the_file_is_valid_and_names_its_sides_its_classes_and_its_normalisation(whole):
    model = onnx.load(whole.path)
    onnx.checker.check_model(model, full_check=True)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", OPSET)]
    session = onnxruntime.InferenceSession(whole.path, providers=["CPUExecutionProvider"])
    sides = [(side.name, side.shape, side.type) for side in (*session.get_inputs(), *session.get_outputs())]
    assert sides == [("images", ["N", 3, "H", "W"], "tensor(float)"), ("logits", ["N", 5, "H", "W"], "tensor(float)")]
    about = {name: json.loads(text) for name, text in session.get_modelmeta().custom_metadata_map.items()}
    assert set(about) == {"classes", "palette", "mean", "std", "recipe"}
    assert about["classes"] == list(CITYSCAPES.classes)
    assert about["palette"] == [list(colour) for colour in CITYSCAPES.palette]
    assert (about["mean"], about["std"]) == (list(MEAN), list(STD))
    assert Recipe.from_dict(about["recipe"]) == get_recipe("toycity")


@pytest.mark.slow
def test_the_file_holds_the_weights_once_and_nothing_of_the_machine(whole):
    parameters = [*whole.net.backbone.parameters(), *whole.net.spam.parameters()]
    parameters += [*whole.net.context.parameters(), *whole.net.decoder.parameters()]
    weights = sum(4 * parameter.numel() for parameter in parameters)
    assert abs(whole.path.stat().st_size / weights - 1) < 0.01
    content = whole.path.read_bytes()
    assert b".py" not in content
    assert b"stack_trace" not in content
    kinds = [node.op_type for node in onnx.load(whole.path).graph.node]
    assert kinds.count("ConvTranspose") == 4
    assert "BatchNormalization" not in kinds


@pytest.mark.slow
def test_exporting_says_nothing_changes_nothing_and_reports_the_difference(whole, baseline):
    for made in (whole, baseline):
        assert made.said == ""
        assert made.unchanged
        assert 0 < made.difference < TOLERANCE
        assert [path.name for path in made.path.parent.iterdir()] == ["net.onnx"]


@pytest.mark.slow
@pytest.mark.parametrize("spoil", [lambda weight: weight.mul_(1.01), lambda weight: weight.fill_(torch.nan)])
def test_a_file_that_computes_something_else_is_not_written(baseline, tmp_path, monkeypatch, spoil):
    monkeypatch.setattr(export, "_trace", lambda reference: baseline.program)
    (tmp_path / "net.onnx").write_text("of last week")
    export_onnx(baseline.net, tmp_path / "good.onnx")
    net = copy.deepcopy(baseline.net)
    with torch.no_grad():
        spoil(net.decoder.head[-1].weight)
    with pytest.raises(UserError, match=r"of the largest logit, found .* for .*net.onnx, which was not written: inst"):
        export_onnx(net, tmp_path / "net.onnx")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["good.onnx", "net.onnx"]
    assert (tmp_path / "net.onnx").read_text() == "of last week"


@pytest.mark.parametrize("rates", [(1, 2), (1, 3, 9)])
@pytest.mark.parametrize("size", [(1, 1), (4, 7)])
def test_transposed_convolutions_are_metrocon_in_eval_mode(rates, size):
    context = as_if_trained(MetroCon2(3, rates, depth=2)).eval()
    transposed = TransposedMetroCon2(context)
    x = torch.randn(2, 3, *size)
    with torch.no_grad():
        torch.testing.assert_close(transposed(x), context(x), rtol=1e-5, atol=1e-5)
    assert not any(parameter.requires_grad for parameter in transposed.parameters())


def test_the_comparison_has_several_batches_and_sizes_that_are_no_multiples_of_16():
    assert len({batch for batch, _, _ in export.SIZES}) == len(export.SIZES) == 3
    assert {side % 16 == 0 for _, *sides in export.SIZES for side in sides} == {True, False}
    assert export._TRACED not in export.SIZES
    assert all(side % 16 for side in export._TRACED[1:])


def test_missing_packages_are_one_line_with_the_command(tmp_path, monkeypatch):
    monkeypatch.setattr(export, "_PACKAGES", ("onnx", "no_such_package"))
    with pytest.raises(
        UserError, match=r'expected no_such_package for .*, found none: pip install "spacemeshlab\[onnx\]"'
    ):
        export_onnx(DeepLabV3Plus(2, "resnet18"), tmp_path / "net.onnx")


def test_a_place_that_cannot_be_written_is_refused_before_the_work(tmp_path):
    net = nn.Identity()
    with pytest.raises(UserError, match=r"expected a file name in a folder that exists, found a folder: choose an"):
        export_onnx(net, tmp_path)
    with pytest.raises(UserError, match=r"found no folder .*none: choose another than .*none/net.onnx"):
        export_onnx(net, tmp_path / "none" / "net.onnx")


def test_another_network_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"net must be a SpaceMeshLab, got Conv2d: export it with torch.onnx.export"):
        export_onnx(nn.Conv2d(3, 5, 1), tmp_path / "net.onnx")
