"""A run back as a network that labels photographs."""

from __future__ import annotations

import dataclasses

import pytest
import safetensors.torch
import torch
from safetensors import safe_open
from torch import Tensor, nn

import spacemeshlab.predict as module
from spacemeshlab.data.labels import CAMVID, CITYSCAPES
from spacemeshlab.data.transforms import MEAN, STD, normalise
from spacemeshlab.errors import UserError
from spacemeshlab.predict import load_network
from spacemeshlab.recipe import get_recipe
from spacemeshlab.step import build_network
from spacemeshlab.weights import load_weights, save_weights


class TinyNetwork(nn.Conv2d):
    """Stands in for the network: a 1×1 convolution."""

    def __init__(self, num_classes: int) -> None:
        super().__init__(3, num_classes, 1)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {"out": super().forward(images)}


@pytest.fixture
def run_dir(tmp_path, monkeypatch):
    """A run whose last and best checkpoint differ in their weights and in nothing else."""
    built = []

    def build(recipe, num_classes):
        built.append(recipe.pretrained)
        return TinyNetwork(num_classes)

    monkeypatch.setattr(module, "build_network", build)
    for name in ("last", "best"):
        state = {"model": TinyNetwork(11).state_dict(), "iteration": 7, "seconds": 3.5, "classes": list(CAMVID.classes)}
        state |= {"recipe": get_recipe("camvid", ["scale=0.5"]).as_dict(), "mean": list(MEAN), "std": list(STD)}
        torch.save(state, tmp_path / f"{name}.ckpt")
    yield tmp_path
    assert not any(built)  # nothing is downloaded, whatever the recipe says


def test_a_run_comes_back_with_its_weights_recipe_classes_and_normalisation(run_dir):
    trained = load_network(run_dir)
    stored = torch.load(run_dir / "last.ckpt")
    assert all(torch.equal(stored["model"][name], tensor) for name, tensor in trained.net.cpu().state_dict().items())
    assert not trained.net.training
    assert trained.recipe == get_recipe("camvid", ["scale=0.5"])
    assert trained.recipe.pretrained
    assert trained.labels is CAMVID
    assert (trained.iteration, trained.seconds, trained.mean, trained.std) == (7, 3.5, list(MEAN), list(STD))


def test_best_is_loaded_when_asked_for_and_a_missing_run_is_one_line(run_dir, tmp_path):
    last, best = load_network(run_dir), load_network(run_dir, "best")
    assert not torch.equal(last.net.weight, best.net.weight)
    with pytest.raises(UserError, match=r"none/last.ckpt, found none: train first"):
        load_network(tmp_path / "none")


def test_a_prediction_has_the_photographs_size_and_scores_at_the_recipes_scale(run_dir):
    trained = load_network(run_dir)
    image = torch.randint(256, (3, 9, 14), dtype=torch.uint8)
    before = image.clone()
    prediction = trained.predict(image)
    assert (prediction.shape, prediction.dtype) == ((9, 14), torch.int64)
    assert torch.equal(image, before)
    views = module.protocol(trained.recipe, tta=False)
    logits = module.predict_logits(trained.net.cpu(), normalise(image)[None], (9, 14), **views)
    assert torch.equal(prediction, logits[0].argmax(0))
    assert trained.predict(image, tta=True).shape == (9, 14)


def test_the_copy_that_predicts_is_made_once(run_dir, monkeypatch):
    trained, made = load_network(run_dir), []
    monkeypatch.setattr(module, "inference_copy", lambda net: made.append(net) or net)
    for _ in range(2):
        trained.predict(torch.zeros(3, 4, 4, dtype=torch.uint8), tta=True)
    assert made == [trained.net]


def test_a_prediction_uses_the_normalisation_of_the_checkpoint(run_dir):
    trained = load_network(run_dir)
    image = torch.randint(256, (3, 32, 32), dtype=torch.uint8)
    usual = trained.predict(image)
    trained.mean = [10.0, -10.0, 10.0]
    assert not torch.equal(trained.predict(image), usual)


def change(run_dir, **entries):
    """The run's checkpoint with other entries; None leaves one out."""
    state = torch.load(run_dir / "last.ckpt", weights_only=True) | entries
    torch.save({name: entry for name, entry in state.items() if entry is not None}, run_dir / "last.ckpt")


def test_weights_of_another_network_are_refused_in_one_line(run_dir):
    change(run_dir, model={**TinyNetwork(11).state_dict(), "stranger": torch.zeros(1)})
    with pytest.raises(
        UserError, match=r"expected no layer stranger, found shape \(1,\) in .*last.ckpt: use the recipe"
    ):
        load_network(run_dir)
    change(run_dir, model=TinyNetwork(12).state_dict())
    with pytest.raises(UserError, match=r"weight of shape \(11, 3, 1, 1\) for 11 classes, found .* for 12 classes in"):
        load_network(run_dir)


def test_weights_in_half_precision_are_loaded_in_the_networks(run_dir):
    half = TinyNetwork(11).half()
    change(run_dir, model=half.state_dict())
    weight = load_network(run_dir).net.weight
    assert weight.dtype == torch.float32
    assert torch.equal(weight.cpu(), half.weight.float())


@pytest.fixture
def weights_file(tmp_path):
    """Weights as safetensors, in a folder of their own without a checkpoint."""
    (tmp_path / "alone").mkdir()
    net = TinyNetwork(11)
    save_weights(net, tmp_path / "alone" / "model.safetensors", get_recipe("camvid", ["scale=0.5"]), CAMVID)
    return tmp_path / "alone" / "model.safetensors"


def test_a_safetensors_file_comes_back_as_a_network_by_its_name_or_its_folder(run_dir, weights_file):
    stored = load_weights(weights_file).tensors
    for source in (weights_file, weights_file.parent, str(weights_file)):
        trained = load_network(source)
        assert torch.equal(trained.net.weight.cpu(), stored["weight"])
        assert not trained.net.training
        assert (trained.recipe, trained.labels) == (get_recipe("camvid", ["scale=0.5"]), CAMVID)
        assert (trained.mean, trained.std) == (list(MEAN), list(STD))
        assert (trained.iteration, trained.seconds) == (None, None)
        assert trained.predict(torch.zeros(3, 5, 6, dtype=torch.uint8)).shape == (5, 6)


def test_a_checkpoint_goes_before_safetensors_and_can_be_named_itself(run_dir, weights_file):
    weights_file.rename(run_dir / "model.safetensors")
    stored = {name: torch.load(run_dir / f"{name}.ckpt")["model"]["weight"] for name in ("last", "best")}
    assert torch.equal(load_network(run_dir).net.weight.cpu(), stored["last"])
    assert torch.equal(load_network(run_dir / "best.ckpt").net.weight.cpu(), stored["best"])


def test_safetensors_do_not_stand_for_the_best_checkpoint(run_dir, weights_file):
    with pytest.raises(UserError, match=r"expected a checkpoint at .*best.ckpt, found none"):
        load_network(weights_file.parent, "best")


def test_a_missing_file_is_one_line(run_dir, tmp_path):
    with pytest.raises(UserError, match=r"expected weights at .*none.safetensors, found no such file"):
        load_network(tmp_path / "none.safetensors")
    with pytest.raises(UserError, match=r"expected a checkpoint at .*none.ckpt, found none"):
        load_network(tmp_path / "none.ckpt")


def swapped(values):
    return [values[1], values[0], *values[2:]]


def test_a_checkpoint_with_classes_in_another_order_is_refused(run_dir):
    change(run_dir, classes=swapped(CAMVID.classes))
    with pytest.raises(
        UserError, match=r"expected class 0 of CamVid with the name 'sky', found 'building' in .*last.ckpt: use the ver"
    ):
        load_network(run_dir)
    change(run_dir, classes=list(CAMVID.classes[:10]))
    with pytest.raises(UserError, match=r"expected the 11 classes of CamVid, found 10 in .*last.ckpt"):
        load_network(run_dir)


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"classes": tuple(swapped(CAMVID.classes))}, r"class 0 of CamVid with the name 'sky', found 'building' in"),
        ({"palette": tuple(swapped(CAMVID.palette))}, r"the colour \(128, 128, 128\), found \(128, 0, 0\) in"),
        ({"file_values": tuple(swapped(CAMVID.file_values))}, r"class 0 of CamVid with the label value 0, found 1 in"),
    ],
    ids=["classes", "palette", "file values"],
)
def test_safetensors_with_another_table_of_classes_are_refused(run_dir, tmp_path, changed, line):
    file = tmp_path / "a.safetensors"
    save_weights(TinyNetwork(11), file, get_recipe("camvid"), dataclasses.replace(CAMVID, **changed))
    with pytest.raises(UserError, match=line + r" .*a.safetensors: use the version"):
        load_network(file)


@pytest.mark.parametrize("entry", ["classes", "mean", "std"])
def test_a_checkpoint_without_classes_or_normalisation_is_refused(run_dir, entry):
    change(run_dir, **{entry: None})
    with pytest.raises(UserError, match=rf"expected the entry {entry} in .*last.ckpt, found none"):
        load_network(run_dir)


def test_a_recipe_of_another_version_is_refused_with_the_files_name(run_dir):
    change(run_dir, recipe={"novelty": 1})
    with pytest.raises(UserError, match=r"last.ckpt: .*unknown fields \['novelty'\]"):
        load_network(run_dir)


def test_the_normalisation_in_safetensors_is_used(run_dir, weights_file):
    image = torch.randint(256, (3, 32, 32), dtype=torch.uint8)
    usual = load_network(weights_file).predict(image)
    with safe_open(weights_file, "pt") as file:
        metadata = file.metadata() | {"mean": "[10, -10, 10]"}
    safetensors.torch.save_file(safetensors.torch.load_file(weights_file), weights_file, metadata)
    trained = load_network(weights_file)
    assert trained.mean == [10, -10, 10]
    assert not torch.equal(trained.predict(image), usual)


def test_nothing_but_tensors_and_plain_python_is_loaded(run_dir, tmp_path):
    torch.save({"model": TinyNetwork(11), "recipe": {}}, tmp_path / "last.ckpt")  # a pickled module
    with pytest.raises(UserError, match=r"expected a checkpoint at .*last.ckpt, but it can't be read"):
        load_network(tmp_path)
    (tmp_path / "last.ckpt").rename(tmp_path / "a.safetensors")
    with pytest.raises(UserError, match=r"expected weights as safetensors at .*a.safetensors"):
        load_network(tmp_path / "a.safetensors")


@pytest.mark.parametrize(
    "image",
    [torch.zeros(3, 4, 4), torch.zeros(1, 4, 4, dtype=torch.uint8), torch.zeros(3, 0, 4, dtype=torch.uint8)],
    ids=["float", "grey", "empty"],
)
def test_an_image_that_is_none_is_refused(run_dir, image):
    with pytest.raises(ValueError, match=r"image must be uint8 \(3, H, W\), got torch"):
        load_network(run_dir).predict(image)


class Views:
    """Stands in for predict_logits: notes what it is called with; the class is the first channel's value."""

    def __init__(self) -> None:
        self.calls = []

    def __call__(self, net, images, size, **views):
        assert tuple(images.shape[-2:]) == tuple(size)
        self.calls.append((tuple(size), views))
        return torch.nn.functional.one_hot((images[:, 0] * 255).round().long(), 200).permute(0, 3, 1, 2)


@pytest.fixture
def seen(run_dir, monkeypatch):
    """(network, what it was asked); tiles of 12x20 above 300 pixels, and the recipe's own scale 1."""
    views = Views()
    monkeypatch.setattr(module, "predict_logits", views)
    monkeypatch.setattr(module, "TILE", (12, 20))
    monkeypatch.setattr(module, "WHOLE", 300)
    trained = load_network(run_dir)
    trained.recipe = get_recipe("camvid", ["test_multiple=4"])
    trained.mean, trained.std = [0.0] * 3, [1.0] * 3
    return trained, views


def test_up_to_a_number_of_pixels_the_picture_is_one_part_and_above_it_is_cut(seen):
    trained, views = seen
    small, large = (torch.randint(200, (3, height, 30), dtype=torch.uint8) for height in (10, 11))
    assert torch.equal(trained.predict(small), small[0].long())
    assert [size for size, _ in views.calls] == [(10, 30)]
    assert torch.equal(trained.predict(large), large[0].long())
    assert [size for size, _ in views.calls[1:]] == [(11, 20)] * 2


@pytest.mark.parametrize("size", [(37, 61), (301, 1), (1, 301), (12, 100), (64, 64)], ids=str)
def test_a_large_picture_gets_a_class_everywhere_out_of_tiles_of_bounded_size(seen, size):
    trained, views = seen
    image = torch.randint(200, (3, *size), dtype=torch.uint8)
    assert torch.equal(trained.predict(image, tta=True), image[0].long())
    assert all(height <= 12 and width <= 20 for (height, width), _ in views.calls)
    assert len(views.calls) == len(trained.tiles(size)) > 1
    assert all(views == module.protocol(trained.recipe, True) | {"window": None} for _, views in views.calls)
    assert views.calls[0][1]["multiple"] == 4


def test_tiles_cover_every_pixel_once_and_see_around_what_they_keep(seen):
    trained, _ = seen
    kept_times = torch.zeros(50, 90, dtype=torch.int64)
    for seen_part, kept in trained.tiles((50, 90)):
        kept_times[kept] += 1
        for around, inner, side, part in zip(seen_part, kept, (50, 90), (12, 20), strict=True):
            assert around.start <= inner.start < inner.stop <= around.stop
            assert around.stop - around.start == part
            for distance, end in (
                (inner.start - around.start, inner.start),
                (around.stop - inner.stop, side - inner.stop),
            ):
                assert distance >= part // 6 or end == 0  # a sixth of context, but at the picture's own edge
    assert (kept_times == 1).all()


def test_a_window_is_handed_on_and_one_larger_than_a_tile_makes_larger_tiles(seen):
    trained, views = seen
    image = torch.randint(200, (3, 40, 40), dtype=torch.uint8)
    trained.predict(image, window=(8, 8))
    assert all(asked["window"] == (8, 8) for _, asked in views.calls)
    assert {size for size, _ in views.calls} == {(12, 20)}
    del views.calls[:]
    trained.predict(image, window=(16, 64))
    assert {size for size, _ in views.calls} == {(16, 40)}
    del views.calls[:]
    trained.predict(image, window=(40, 40))
    assert [size for size, _ in views.calls] == [(40, 40)]


def test_pixels_are_counted_at_the_larger_of_the_pictures_and_the_recipes_scale(seen):
    trained, _ = seen
    for scale, parts, shape in ((0.5, 1, (10, 30)), (1, 1, (10, 30)), (2, 10, (6, 10))):
        trained.recipe = get_recipe("camvid", [f"scale={scale}"])
        tiles = trained.tiles((10, 30))
        assert (len(tiles), tuple(part.stop - part.start for part in tiles[0][0])) == (parts, shape)


def test_tiles_and_the_whole_agree_where_the_network_sees_single_pixels(run_dir, monkeypatch):
    trained = load_network(run_dir)
    trained.recipe = get_recipe("camvid")
    image = torch.randint(256, (3, 40, 60), dtype=torch.uint8)
    whole = trained.predict(image)
    monkeypatch.setattr(module, "TILE", (12, 20))
    monkeypatch.setattr(module, "WHOLE", 300)
    assert len(trained.tiles((40, 60))) > 1
    assert torch.equal(trained.predict(image), whole)
    assert torch.equal(trained.predict(image, window=(16, 16)), whole)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1)], ids=str)
def test_the_smallest_pictures_are_labelled(run_dir, size):
    trained = load_network(run_dir)
    assert trained.predict(torch.zeros(3, *size, dtype=torch.uint8), tta=True).shape == size


def test_the_real_network_comes_back_from_a_file_and_labels_a_picture_of_one_pixel(tmp_path):
    recipe = get_recipe("toycity", ["rates=1,2"])
    net = build_network(recipe, len(CITYSCAPES)).eval()
    save_weights(net, tmp_path / "a.safetensors", recipe, CITYSCAPES)
    trained = load_network(tmp_path / "a.safetensors")
    assert trained.labels is CITYSCAPES
    assert trained.predict(torch.zeros(3, 1, 1, dtype=torch.uint8)).shape == (1, 1)
    image = torch.randint(256, (3, 17, 30), dtype=torch.uint8)
    views = module.protocol(recipe, tta=False)
    with torch.inference_mode():
        logits = module.predict_logits(net, normalise(image)[None], (17, 30), **views)
    assert (trained.predict(image) == logits[0].argmax(0)).float().mean() > 0.99  # the copy that predicts rounds
