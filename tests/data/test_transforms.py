"""Scale, crop, flip and normalisation: values, shapes, and image and target staying together."""

import pickle

import pytest
import torch
from torch.nn.functional import interpolate
from torchvision import tv_tensors

from spacemeshlab.data.transforms import (
    MEAN,
    STD,
    RandomScaleCrop,
    Window,
    denormalise,
    eval_transform,
    normalise,
    train_transform,
)


def scene(height=48, width=80, classes=6):
    """An image whose red value is 40 times its class: blocks of 8 x 8 pixels with random classes, one of them void."""
    blocks = torch.randint(0, classes, (height // 8, width // 8), generator=torch.Generator().manual_seed(1))
    target = blocks.repeat_interleave(8, 0).repeat_interleave(8, 1)
    image = torch.stack([40 * target, 255 - 40 * target, torch.full_like(target, 128)]).to(torch.uint8)
    target = torch.where(target == classes - 1, 255, target)
    return tv_tensors.Image(image), tv_tensors.Mask(target)


def decoded(image):
    """The class that each pixel's colour stands for; class 5 is void."""
    red = denormalise(image)[0].float()
    return torch.where((red / 40).round() == 5, 255, (red / 40).round())


@pytest.mark.parametrize("scale_range", [(0.5, 0.5), (0.7, 0.7), (1.0, 1.0), (1.63, 1.63), (2.0, 2.0), (0.5, 2.0)])
def test_image_and_target_stay_aligned(scale_range):
    image, target = train_transform((40, 40), scale_range)(*scene())
    inside = (denormalise(image)[2].int() - 128).abs() <= 1  # blue is 128 in the scene and 104 in the padding
    agree = (decoded(image) == target) & inside
    assert (
        agree.sum() / inside.sum() > 0.6
    )  # blurred block edges decode to another class; a shift by a pixel gives less
    assert inside.sum() > 0


@pytest.mark.parametrize("factor", [0.5, 2.0, 3.0])
def test_the_target_keeps_the_images_grid_to_a_pixel(factor):
    image, target = scene()
    whole = round(48 * factor), round(80 * factor)
    resized, small = RandomScaleCrop(whole, (factor, factor))(image, target)
    centre = resized[0, round(4 * factor) :: round(8 * factor), round(4 * factor) :: round(8 * factor)].float() / 40
    label = small[round(4 * factor) :: round(8 * factor), round(4 * factor) :: round(8 * factor)]
    assert torch.where(centre.round() == 5, 255, centre.round()).equal(label.float())


def test_the_target_is_sampled_at_pixel_centres():
    target = tv_tensors.Mask(torch.tensor([[0, 1, 2, 3, 4, 5]]).repeat(6, 1))
    image = tv_tensors.Image(torch.zeros(3, 6, 6, dtype=torch.uint8))
    _, small = RandomScaleCrop((2, 2), (1 / 3, 1 / 3))(image, target)
    assert small.tolist() == [[1, 4], [1, 4]]  # the old "nearest" would take 0 and 3


SIZES = [((48, 80), (40, 40)), ((47, 81), (64, 32)), ((33, 20), (16, 48)), ((20, 20), (64, 64)), ((7, 5), (4, 4))]


@pytest.mark.parametrize("scale_range", [(0.25, 0.6), (0.5, 2.0), (1.0, 1.0), (1.5, 3.0)])
@pytest.mark.parametrize(("size", "crop"), SIZES)
def test_the_crop_equals_the_crop_of_the_whole_resized_image(size, crop, scale_range):
    transform = RandomScaleCrop(crop, scale_range, fill=(1, 2, 3))
    generator = torch.Generator().manual_seed(0)
    image = tv_tensors.Image(torch.randint(0, 256, (3, *size), generator=generator, dtype=torch.uint8))
    target = tv_tensors.Mask(torch.randint(0, 19, size, generator=generator))
    different = 0
    for _ in range(20):
        windows = transform.make_params([image])
        rows, columns = windows["rows"], windows["columns"]
        scaled = rows.scaled, columns.scaled
        whole = interpolate(image[None].as_subclass(torch.Tensor), scaled, mode="bilinear", antialias=True)[0]
        labels = interpolate(target[None, None].float().as_subclass(torch.Tensor), scaled, mode="nearest-exact")[0, 0]
        expected = torch.tensor([1, 2, 3], dtype=torch.uint8)[:, None, None].repeat(1, *crop)
        expected[:, rows.place, columns.place] = whole[:, rows.seen, columns.seen]
        difference = (transform.transform(image, windows).as_subclass(torch.Tensor).int() - expected).abs()
        assert difference.max() <= 1  # the operator rounds its weights, see _resized
        different += (difference > 0).float().mean().item() / 20
        expected = torch.full(crop, 255)
        expected[rows.place, columns.place] = labels[rows.seen, columns.seen].long()
        assert transform.transform(target, windows).as_subclass(torch.Tensor).equal(expected)
    assert different < 0.01


def test_a_window_by_hand():
    inside = Window(length=100, scaled=200, start=30, crop=40)
    assert (inside.seen, inside.place, inside.needed) == (slice(30, 70), slice(0, 40), 37)
    around = Window(length=100, scaled=20, start=-5, crop=32)
    assert (around.seen, around.place, around.needed) == (slice(0, 20), slice(5, 25), 100)
    assert around.nearest.tolist() == list(range(2, 100, 5))


@pytest.mark.parametrize(("crop", "starts"), [(8, range(0, 9)), (16, range(0, 1)), (20, range(-4, 1))])
def test_every_position_of_the_crop_is_drawn_about_equally_often(crop, starts):
    drawn = [Window.draw(16, crop, 1.0).start for _ in range(60 * len(starts))]
    assert set(drawn) == set(starts)
    assert max(drawn.count(start) for start in starts) <= 90


def test_the_draws_come_from_torchs_generator_alone():
    image, target = scene()
    transform = train_transform((40, 40))
    results = []
    for _ in range(2):
        torch.manual_seed(3)
        results.append(transform(image, target))
    assert results[0][0].equal(results[1][0])
    assert results[0][1].equal(results[1][1])
    assert not transform(image, target)[0].equal(results[0][0])


@pytest.mark.parametrize("layout", ["rows of pixels", "planes"])
def test_the_memory_layout_of_an_image_does_not_matter_and_its_memory_is_left_alone(layout):
    image, target = scene()
    expected = RandomScaleCrop((40, 40), (1.3, 1.3)).transform(image, windows := _windows(image))
    other = image if layout == "planes" else tv_tensors.Image(image.permute(1, 2, 0).contiguous().permute(2, 0, 1))
    before = other.clone(), target.clone()
    assert RandomScaleCrop((40, 40), (1.3, 1.3)).transform(other, windows).equal(expected)
    train_transform((40, 40))(other, target)
    assert other.equal(before[0])
    assert target.equal(before[1])


def _windows(image):
    return RandomScaleCrop((40, 40), (1.3, 1.3)).make_params([image])


def test_random_scale_makes_no_new_label_value():
    image, target = scene()
    for seed in range(20):
        torch.manual_seed(seed)
        _, out = train_transform((64, 64))(image, target)
        assert set(out.unique().tolist()) <= set(target.unique().tolist()) | {255}


def test_random_scale_draws_from_the_whole_range():
    image, target = scene()
    torch.manual_seed(0)
    transform = RandomScaleCrop((128, 16), (0.5, 2.0))  # taller than any resized image
    heights = [(transform(image, target)[0][2] == 128).any(1).sum().item() for _ in range(200)]  # blue of the scene
    assert min(heights) in range(24, 28)
    assert max(heights) in range(92, 97)
    assert sum(heights) / len(heights) == pytest.approx(1.25 * 48, rel=0.08)


def test_the_fixed_scale_multiplies_the_random_one():
    image, target = scene()
    _, out = train_transform((48, 80), (1.0, 1.0), flip=False, scale=0.5)(
        image, tv_tensors.Mask(torch.zeros_like(target))
    )
    assert (out == 0).sum() == 24 * 40


def test_a_crop_larger_than_the_image_pads_with_mean_colour_and_255():
    image = tv_tensors.Image(torch.full((3, 20, 30), 255, dtype=torch.uint8))
    target = tv_tensors.Mask(torch.zeros(20, 30, dtype=torch.int64))
    out, padded = train_transform((64, 48), (1.0, 1.0))(image, target)
    assert (out.shape, padded.shape) == ((3, 64, 48), (64, 48))
    assert (padded == 0).sum() == 20 * 30  # the whole image is inside
    assert (padded == 255).sum() == 64 * 48 - 20 * 30
    assert out[:, padded == 255].abs().max() < 0.01
    assert out[:, padded == 0].min() > 2


def test_results_are_plain_tensors_of_the_right_types_and_the_crops_size():
    image, target = train_transform((32, 16))(*scene())
    assert type(image) is type(target) is torch.Tensor
    assert (image.shape, image.dtype) == ((3, 32, 16), torch.float32)
    assert (target.shape, target.dtype) == ((32, 16), torch.int64)


def test_flip_mirrors_both_about_every_second_time():
    image, target = scene()
    plain = train_transform((48, 80), (1.0, 1.0), flip=False)(image, target)
    assert plain[1].equal(target.as_subclass(torch.Tensor))
    transform = train_transform((48, 80), (1.0, 1.0))
    torch.manual_seed(0)
    mirrored = 0
    for _ in range(60):
        out = transform(image, target)
        if out[1].equal(plain[1]):
            assert out[0].equal(plain[0])
        else:
            mirrored += 1
            assert out[1].equal(plain[1].flip(-1))
            assert out[0].equal(plain[0].flip(-1))
    assert 15 <= mirrored <= 45


def test_without_flip_nothing_is_ever_mirrored():
    image, target = scene()
    transform = train_transform((48, 80), (1.0, 1.0), flip=False)
    assert all(transform(image, target)[1].equal(target.as_subclass(torch.Tensor)) for _ in range(12))


def test_fine_stripes_become_grey_when_an_image_shrinks():
    transform = train_transform((8, 8), (0.25, 0.25))
    stripes = torch.tensor([255, 0, 0, 255], dtype=torch.uint8).repeat(16)  # without antialiasing: all black
    image, target = tv_tensors.Image(stripes.expand(3, 64, 64)), tv_tensors.Mask(torch.zeros(64, 64, dtype=torch.int64))
    small = denormalise(transform(image, target)[0])
    assert (small[:, :, 2:6].int() - 128).abs().max() < 30


def test_normalisation_by_hand():
    image = tv_tensors.Image(torch.tensor([0, 51, 255], dtype=torch.uint8).expand(3, 1, 3))
    out, _ = eval_transform()(image, tv_tensors.Mask(torch.zeros(1, 3, dtype=torch.int64)))
    assert out[0, 0, 0].item() == pytest.approx(-0.485 / 0.229, abs=1e-5)
    assert out[1, 0, 1].item() == pytest.approx((0.2 - 0.456) / 0.224, abs=1e-5)
    assert out[2, 0, 2].item() == pytest.approx((1 - 0.406) / 0.225, abs=1e-5)
    assert len(MEAN) == len(STD) == 3


def test_denormalise_gives_the_pixels_back_for_one_image_and_for_a_batch():
    image, target = scene()
    out, _ = eval_transform()(image, target)
    assert denormalise(out).equal(image.as_subclass(torch.Tensor))
    assert denormalise(torch.stack([out, out]))[1].equal(image.as_subclass(torch.Tensor))


def test_evaluation_only_normalises():
    image, target = scene()
    out, same = eval_transform()(image, target)
    assert out.equal(normalise(image.as_subclass(torch.Tensor)))
    assert same.equal(target.as_subclass(torch.Tensor))
    assert same.dtype == torch.int64


def test_inputs_are_not_modified():
    image, target = scene()
    before = image.clone(), target.clone()
    train_transform((64, 64))(image, target)
    eval_transform()(image, target)
    assert image.equal(before[0])
    assert target.equal(before[1])


def test_transforms_travel_to_worker_processes():
    image, target = scene()
    transform = train_transform((32, 32))
    copy = pickle.loads(pickle.dumps(transform))
    torch.manual_seed(3)
    first = transform(image, target)
    torch.manual_seed(3)
    second = copy(image, target)
    assert first[0].equal(second[0])
    assert first[1].equal(second[1])
