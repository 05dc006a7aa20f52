"""The plan of batches as a pure function of (seed, iteration), and the loaders built on it."""

import copy
import itertools
import random
from collections import Counter

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

from spacemeshlab.data import CamVid
from spacemeshlab.data.loaders import BatchPlan, SeededView, _options, check_shared_memory, eval_loader, train_loader
from spacemeshlab.data.transforms import eval_transform, train_transform
from spacemeshlab.errors import UserError


class Noise(Dataset):
    """Item i is i and three random numbers."""

    def __len__(self):
        return 10

    def __getitem__(self, index):
        return torch.tensor(index), torch.rand(3)


def test_an_epoch_shows_every_image_once_and_drops_the_rest():
    plan = BatchPlan(10, 3, seed=0, stop=6)
    assert plan.per_epoch == 3
    epochs = [[index for batch in list(plan)[start : start + 3] for index, _ in batch] for start in (0, 3)]
    for indices in epochs:
        assert len(set(indices)) == len(indices) == 9
    assert epochs[0] != epochs[1]


def test_no_image_is_left_out_of_an_epoch_when_batches_fit():
    counts = Counter(index for batch in BatchPlan(12, 4, seed=5, stop=3 * 4) for index, _ in batch)
    assert counts == dict.fromkeys(range(12), 4)


@pytest.mark.parametrize("start", [1, 3, 4, 7, 11])
def test_a_plan_that_starts_later_equals_the_tail_of_the_whole(start):
    whole = list(BatchPlan(10, 3, seed=7, stop=12))
    tail = BatchPlan(10, 3, seed=7, stop=12, start=start)
    assert list(tail) == whole[start:]
    assert len(tail) == 12 - start


def test_asking_in_any_order_gives_the_same_batches():
    plan = BatchPlan(10, 3, seed=7, stop=12)
    whole = list(plan)
    assert [plan.batch(iteration) for iteration in reversed(range(12))] == whole[::-1]
    assert copy.deepcopy(plan).batch(5) == whole[5]


def test_another_seed_gives_other_orders_and_other_augmentations():
    first, second = (list(itertools.chain(*BatchPlan(100, 10, seed=seed, stop=10))) for seed in (0, 1))
    assert [index for index, _ in first] != [index for index, _ in second]
    assert not {seed for _, seed in first} & {seed for _, seed in second}


def test_every_sample_has_an_augmentation_seed_of_its_own():
    seeds = [seed for batch in BatchPlan(10, 5, seed=0, stop=200) for _, seed in batch]
    assert len(set(seeds)) == 1000


def test_ranks_partition_the_global_batch():
    whole = BatchPlan(20, 8, seed=3, stop=9)
    ranks = [BatchPlan(20, 8, seed=3, stop=9, rank=rank, world_size=4) for rank in range(4)]
    for iteration in range(9):
        shares = [plan.batch(iteration) for plan in ranks]
        assert [len(share) for share in shares] == [2] * 4
        assert sorted(itertools.chain(*shares)) == sorted(whole.batch(iteration))


def test_a_batch_larger_than_the_data_set_is_refused():
    with pytest.raises(UserError, match=r"at least batch_size=8 images, found 5: set batch_size=5 or less"):
        BatchPlan(5, 8, seed=0, stop=1)


def test_a_batch_that_processes_cannot_share_is_refused():
    with pytest.raises(UserError, match=r"multiple of the 3 processes, found 8"):
        BatchPlan(20, 8, seed=0, stop=1, world_size=3)


def test_a_negative_seed_is_refused():
    with pytest.raises(UserError, match=r"seed of 0 or more, found -1"):
        BatchPlan(20, 8, seed=-1, stop=1)


def test_a_sample_depends_on_its_seed_alone_and_leaves_the_generator_alone():
    view = SeededView(Noise())
    torch.manual_seed(0)
    state = torch.get_rng_state()
    first = view[4, 99]
    assert torch.get_rng_state().equal(state)
    torch.manual_seed(1)
    assert view[4, 99][1].equal(first[1])
    assert not view[4, 100][1].equal(first[1])
    assert first[0] == 4
    assert len(view) == 10


class Draws(Dataset):
    """Item i is i and a number from each generator that a transform may use."""

    def __len__(self):
        return 10

    def __getitem__(self, index):
        numbers = torch.rand(()).item(), random.random(), np.random.random()  # noqa: NPY002
        return torch.tensor(index), torch.tensor(numbers, dtype=torch.float64)


def test_transforms_that_draw_from_python_or_numpy_are_seeded_too_and_their_generators_left_alone():
    view = SeededView(Draws())
    first, other = view[4, 99][1], view[4, 100][1]
    assert not torch.isclose(first, other).any()
    assert view[4, 99 + 2**32][1].ne(first).any()
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    expected = random.random(), np.random.random()  # noqa: NPY002
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    assert view[4, 99][1].equal(first)
    assert (random.random(), np.random.random()) == expected  # noqa: NPY002


def test_generators_are_set_back_after_an_error_too():
    class Broken(Draws):
        def __getitem__(self, index):
            super().__getitem__(index)
            raise UserError("expected a file, found none: restore it")

    random.seed(1)
    torch.manual_seed(1)
    before = random.getstate(), torch.get_rng_state()
    with pytest.raises(UserError, match="restore it"):
        SeededView(Broken())[0, 7]
    assert random.getstate() == before[0]
    assert torch.get_rng_state().equal(before[1])


@pytest.mark.parametrize("workers", [1, 2])
def test_any_number_of_workers_draws_the_same_from_every_generator(workers):
    alone = list(train_loader(Draws(), 3, 4, seed=1, workers=0))
    for expected, found in zip(alone, train_loader(Draws(), 3, 4, seed=1, workers=workers), strict=True):
        assert expected[1].equal(found[1])


def test_workers_live_on_between_epochs_and_batches_are_pinned_where_there_is_a_gpu(monkeypatch):
    for gpu in (False, True):
        monkeypatch.setattr(torch.cuda, "is_available", lambda gpu=gpu: gpu)
        assert _options(2) == {"num_workers": 2, "pin_memory": gpu, "persistent_workers": True, "prefetch_factor": 2}
        assert _options(0) == {"num_workers": 0, "pin_memory": gpu}


@pytest.mark.parametrize("workers", [0, 2])
def test_a_resumed_loader_gives_the_same_batches_with_any_number_of_workers(camvid_root, workers):
    dataset = CamVid(camvid_root, "train", train_transform((16, 16)))
    whole = list(train_loader(dataset, 3, iterations=7, seed=1, workers=0))
    torch.manual_seed(123)  # the surroundings do not matter
    tail = list(train_loader(dataset, 3, iterations=7, seed=1, workers=workers, start=2))
    assert len(whole) == 7
    assert len(tail) == 5
    for expected, found in zip(whole[2:], tail, strict=True):
        assert expected[0].shape == (3, 3, 16, 16)
        assert expected[0].equal(found[0])
        assert expected[1].equal(found[1])
    assert not whole[0][0].equal(whole[3][0])


def test_two_ranks_together_see_the_global_batch(camvid_root):
    dataset = CamVid(camvid_root, "train", train_transform((16, 16)))
    whole = next(iter(train_loader(dataset, 4, 1, seed=0, workers=0)))
    first, second = (next(iter(train_loader(dataset, 4, 1, 0, 0, rank=rank, world_size=2))) for rank in (0, 1))
    assert whole[0][0::2].equal(first[0])
    assert whole[0][1::2].equal(second[0])


@pytest.mark.parametrize("workers", [0, 1])
def test_evaluation_gives_every_image_once_in_order_and_again(camvid_root, workers):
    loader = eval_loader(CamVid(camvid_root, "train", eval_transform()), workers)
    for _ in range(2):
        batches = list(loader)
        assert [target[0, 5, 5].item() for _, target in batches] == list(range(10))
        assert batches[0][0].shape == (1, 3, 24, 32)
        assert batches[0][1].shape == (1, 24, 32)


def test_evaluation_over_processes_repeats_and_forgets_no_image(camvid_root):
    dataset = CamVid(camvid_root, "train", eval_transform())
    loaders = [eval_loader(dataset, 0, rank=rank, world_size=3) for rank in range(3)]
    assert [len(loader) for loader in loaders] == [4, 3, 3]
    seen = [target[0, 5, 5].item() for loader in loaders for _, target in loader]
    assert sorted(seen) == list(range(10))


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_file_is_still_one_line_when_a_worker_meets_it(camvid_root, workers):
    (camvid_root / "train" / "scene_3.jpg").write_bytes(b"no image")
    dataset = CamVid(camvid_root, "train", eval_transform())
    with pytest.raises(UserError, match=r"scene_3\.jpg: expected a complete image, found 8 bytes") as caught:
        list(eval_loader(dataset, workers))
    assert "\n" not in str(caught.value)
    assert "Traceback" not in str(caught.value)


def test_too_little_shared_memory_is_said_before_the_bus_error(tmp_path):
    huge = torch.empty(2**50, device="meta", dtype=torch.uint8)
    with pytest.raises(
        UserError, match=r"shared memory for 4 loader processes, found \d+ MiB free in .*: set workers=0"
    ):
        check_shared_memory((huge,), batch_size=8, workers=4, folder=str(tmp_path))
    check_shared_memory((torch.zeros(1),), batch_size=1, workers=1, folder=str(tmp_path))
    check_shared_memory((huge,), batch_size=8, workers=4, folder=str(tmp_path / "absent"))
