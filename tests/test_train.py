"""A training run that is killed, asked to stop, resumed, refused, finished."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import lightning as L
import pytest
import safetensors.torch
import torch
from lightning.fabric.plugins import MixedPrecision
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor, nn

import spacemeshlab.run as module
from spacemeshlab.checkpoint import RunDirectory, load_checkpoint
from spacemeshlab.data import open_dataset
from spacemeshlab.data.loaders import BatchPlan
from spacemeshlab.data.transforms import MEAN, STD
from spacemeshlab.errors import UserError
from spacemeshlab.recipe import Recipe, get_recipe
from spacemeshlab.step import poly_lr, training_step
from spacemeshlab.train import train


class TinyNetwork(nn.Module):
    """Stands in for the network where only the loop is tested: batch norm, two heads, 500 parameters."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.out, self.aux = nn.Conv2d(8, num_classes, 1), nn.Conv2d(8, num_classes, 1)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        features = self.features(images)
        return {"out": self.out(features), "aux": self.aux(features)}


@pytest.fixture
def tiny(monkeypatch):
    """Train :class:`TinyNetwork` instead, and log every step."""
    monkeypatch.setattr(module, "build_network", lambda recipe, num_classes: TinyNetwork(num_classes))
    monkeypatch.setattr(module, "LOG_EVERY", 1)


def small(*overrides: str) -> Recipe:
    """Five steps of two images on the four of the tiny ToyCity: an epoch is two steps, a checkpoint lies within one."""
    few = ["crop=32x64", "rates=1,2", "batch_size=2", "iterations=5", "validate_every=3", "scale=1"]
    return get_recipe("toycity", [*few, *overrides])


def train_quietly(recipe: Recipe, data_root: Path, run_dir: Path) -> Path:
    return train(recipe, data_root, run_dir, progress=False)


def kill_at(iteration: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until the fixture is undone, the step of ``iteration`` ends the run as Ctrl-C would."""

    def step(*arguments) -> float:
        if arguments[-1] == iteration:
            raise KeyboardInterrupt
        return training_step(*arguments)

    monkeypatch.setattr(module, "training_step", step)


def metrics(run_dir: Path) -> list[dict]:
    """The lines of metrics.jsonl without what differs between equal runs."""
    entries = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    return [
        {name: value for name, value in entry.items() if name not in ("seconds", "memory_gib")} for entry in entries
    ]


def check_equal(found: object, expected: object, where: str = "") -> None:
    """Two checkpoints are equal, bit for bit."""
    assert type(found) is type(expected), where
    if isinstance(found, Tensor):
        assert torch.equal(found, expected), where
    elif isinstance(found, dict):
        assert list(found) == list(expected), where
        for name in found:
            check_equal(found[name], expected[name], f"{where}/{name}")
    else:
        assert found == expected, where


def known_scores(*scores: float) -> Callable[..., Tensor]:
    """A stand-in for ``evaluate``: of two classes, each call gets the next of ``scores`` right."""
    left = iter(scores)

    def evaluate(*_, **__) -> Tensor:
        hits = round(100 * next(left))
        return torch.tensor([[hits, 100 - hits], [100 - hits, hits]])

    return evaluate


def test_a_killed_and_resumed_run_equals_one_that_was_not_bit_for_bit(toycity_dir, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(module, "LOG_EVERY", 1)
    monkeypatch.setattr("os.fsync", lambda _: None)  # half a gigabyte of checkpoints need not reach the disk
    recipe, whole, killed = small("iterations=4"), tmp_path / "whole", tmp_path / "killed"
    train_quietly(recipe, toycity_dir, whole)
    assert "resuming" not in capsys.readouterr().out
    with monkeypatch.context() as patch:
        kill_at(3, patch)
        with pytest.raises(KeyboardInterrupt):
            train_quietly(recipe, toycity_dir, killed)
    assert load_checkpoint(killed / "last.ckpt")["iteration"] == 3  # in the middle of the second epoch
    torch.manual_seed(99)  # a new process has another random state
    train_quietly(recipe, toycity_dir, killed)
    assert f"resuming {killed} at iteration 3 of 4" in capsys.readouterr().out

    ends = [load_checkpoint(run / "last.ckpt") for run in (whole, killed)]
    assert all(end.pop("seconds") > 0 for end in ends)
    check_equal(ends[1], ends[0])
    assert all(state["momentum_buffer"].any() for state in ends[0]["optimizer"]["state"].values())
    assert metrics(killed) == metrics(whole)
    weights = [safetensors.torch.load_file(run / "model.safetensors") for run in (whole, killed)]
    check_equal(weights[0], weights[1])
    check_equal(dict(sorted(ends[0]["model"].items())), dict(sorted(weights[0].items())))


@pytest.mark.parametrize("iteration", [0, 2, 3])  # the checkpoint is after three steps
def test_it_does_not_matter_when_a_run_is_killed(tiny, toycity_dir, tmp_path, monkeypatch, iteration):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    train_quietly(small(), toycity_dir, whole)
    for at in (iteration, iteration + 1):  # twice
        with monkeypatch.context() as patch:
            kill_at(at, patch)
            with pytest.raises(KeyboardInterrupt):
                train_quietly(small(), toycity_dir, killed)
    train_quietly(small(), toycity_dir, killed)
    ends = [load_checkpoint(run / "last.ckpt") | {"seconds": 0} for run in (whole, killed)]
    check_equal(ends[1], ends[0])
    assert metrics(killed) == metrics(whole)


def test_a_run_leaves_every_file_that_the_checkpoint_module_promises(tiny, toycity_dir, tmp_path):
    run = train_quietly(small(), toycity_dir, tmp_path / "run")
    names = {path.name.split(".")[0] if "tfevents" in path.name else path.name for path in run.iterdir()}
    files = {"recipe.json", "metrics.jsonl", "events", "last.ckpt", "best.ckpt", "model.safetensors", "lock"}
    assert names == files
    stated = json.loads((run / "recipe.json").read_text())
    assert Recipe.from_dict(stated["recipe"]) == small()
    assert {"commit", "command", "machine", "data"} <= set(stated["origin"])
    assert stated["origin"]["processes"] == 1
    log = metrics(run)
    assert [line["iteration"] for line in log if "loss" in line] == [1, 2, 3, 4, 5]
    assert [line["iteration"] for line in log if "val_miou" in line] == [3, 5]
    assert log[0]["lr"] == poly_lr(small(), 0)
    events = EventAccumulator(str(run)).Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [
        (line["iteration"], pytest.approx(line["loss"])) for line in log if "loss" in line
    ]
    assert all(line["protocol"] == "val, whole image, scale 1, logits" for line in log if "val_miou" in line)
    for index in (0, 1):  # the two validation images: photograph, truth and prediction side by side
        pictures = events.Images(f"val/{index}")
        assert [(picture.step, picture.width, picture.height) for picture in pictures] == [
            (3, 384, 64),
            (5, 384, 64),
        ]


def test_a_checkpoint_holds_all_that_using_it_and_resuming_need(tiny, toycity_dir, tmp_path):
    run = train_quietly(small(), toycity_dir, tmp_path)
    state = torch.load(run / "last.ckpt", weights_only=True)
    assert {"model", "optimizer", "iteration", "best_miou", "recipe", "classes", "mean", "std"} <= set(state)
    assert state["iteration"] == 5
    assert Recipe.from_dict(state["recipe"]) == small()
    assert (state["classes"][0], len(state["classes"])) == ("road", 19)
    assert (state["mean"], state["std"]) == (list(MEAN), list(STD))
    TinyNetwork(19).load_state_dict(state["model"])  # plain names, no wrapper's prefix


def test_a_finished_run_is_not_trained_again(tiny, toycity_dir, tmp_path, monkeypatch, capsys):
    train_quietly(small(), toycity_dir, tmp_path)
    before = (tmp_path / "last.ckpt").read_bytes(), metrics(tmp_path)
    kill_at(0, monkeypatch)
    monkeypatch.setattr(module, "evaluate", None)
    train_quietly(small(), toycity_dir, tmp_path)
    assert "at iteration 5 of 5" in capsys.readouterr().out
    assert ((tmp_path / "last.ckpt").read_bytes(), metrics(tmp_path)) == before


def test_another_recipes_run_is_refused_and_stays_as_it_was(tiny, toycity_dir, tmp_path):
    train_quietly(small(), toycity_dir, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(UserError, match=r"found another run \(iterations=5 there, 9 asked for\): choose another"):
        train_quietly(small("iterations=9"), toycity_dir, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_loss_that_is_no_number_stops_with_step_rate_and_files_and_the_checkpoint_stays(tiny, toycity_dir, tmp_path):
    recipe = small("lr=1e6", "weight_decay=1e6", "validate_every=1")
    with pytest.raises(UserError, match=r"expected a finite loss, found (nan|inf) at iteration") as stopped:
        train_quietly(recipe, toycity_dir, tmp_path)
    at = int(re.search(r"at iteration (\d)", str(stopped.value))[1])
    plan = BatchPlan(4, 2, recipe.seed, stop=5)
    files = open_dataset("cityscapes", toycity_dir, "train").files
    names = ", ".join(files[index][0].name for index, _ in plan.batch(at))
    assert f"with learning rate {poly_lr(recipe, at):.3g} on {names}: look at these files" in str(stopped.value)
    assert str(stopped.value).count("\n") == 0
    saved = load_checkpoint(tmp_path / "last.ckpt")
    assert 1 <= saved["iteration"] < 5
    assert [line["iteration"] for line in metrics(tmp_path)][-1] == saved["iteration"]


def test_a_cut_checkpoint_is_one_line_and_is_not_overwritten(tiny, toycity_dir, tmp_path):
    train_quietly(small(), toycity_dir, tmp_path)
    cut = (tmp_path / "last.ckpt").read_bytes()[:2000]
    (tmp_path / "last.ckpt").write_bytes(cut)
    with pytest.raises(UserError, match=r"last.ckpt, but it can't be read \(.*\): delete it, or train again$"):
        train_quietly(small(), toycity_dir, tmp_path)
    assert (tmp_path / "last.ckpt").read_bytes() == cut


def test_best_is_the_checkpoint_with_the_highest_score_also_after_resuming(tiny, toycity_dir, tmp_path, monkeypatch):
    recipe = small("validate_every=1", "iterations=4")
    monkeypatch.setattr(module, "evaluate", known_scores(0.2, 0.6, 0.4))
    with monkeypatch.context() as patch:
        kill_at(3, patch)
        with pytest.raises(KeyboardInterrupt):
            train_quietly(recipe, toycity_dir, tmp_path)
    monkeypatch.setattr(module, "evaluate", known_scores(0.5))
    train_quietly(recipe, toycity_dir, tmp_path)
    last, best = (load_checkpoint(tmp_path / f"{name}.ckpt") for name in ("last", "best"))
    assert (best["iteration"], last["iteration"]) == (2, 4)
    assert last["best_miou"] == best["miou"] > last["miou"]
    scores = [line["val_miou"] for line in metrics(tmp_path) if "val_miou" in line]
    assert best["miou"] == max(scores)
    assert last["miou"] == scores[-1]


def test_validation_scores_the_whole_set_at_the_recipes_scale(tiny, toycity_dir, tmp_path, monkeypatch):
    calls = []
    evaluate = module.evaluate
    monkeypatch.setattr(module, "evaluate", lambda net, data, **how: calls.append(how) or evaluate(net, data, **how))
    train_quietly(small("iterations=1", "scale=0.5", "crop=16x32"), toycity_dir, tmp_path)
    assert [call.pop("on_prediction") is not None for call in calls] == [True]
    assert calls == [{"scales": (0.5,), "flip": False, "multiple": 1, "workers": 0}]


def test_what_cannot_be_trained_is_said_before_anything_is_written(toycity_dir, tmp_path):
    with pytest.raises(UserError, match="found no such folder"):
        train_quietly(small(), tmp_path / "nowhere", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_more_images_in_a_batch_than_in_the_set_is_one_line(tiny, toycity_dir, tmp_path):
    with pytest.raises(UserError, match="at least batch_size=8 images, found 4: set batch_size=4 or less"):
        train_quietly(small("batch_size=8"), toycity_dir, tmp_path)


def test_a_log_shows_what_starts_and_then_loss_score_and_how_far_it_is(tiny, toycity_dir, tmp_path, capsys):
    train(small(), toycity_dir, tmp_path)
    first, second, memory, last = capsys.readouterr().out.splitlines()
    assert first == "toycity: 1 x CPU (1 thread), 32-true"
    assert second == (
        "batch 2 = 1 process x 1 part x 2 images, batch norm over 2 images; 5 iterations = 2.5 epochs of 4 images"
    )
    assert memory.startswith("memory: at least 0.0 GiB of the ")
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert last.startswith(f"toycity 5/5, loss {lines[-2]['loss']:.3f}, mIoU {lines[-1]['val_miou']:.3f}, ")


def test_a_compiled_run_has_plain_names_and_may_go_on_uncompiled_and_back(tiny, toycity_dir, tmp_path, monkeypatch):
    graphs, compiled_networks, compile_network = [], [], torch.compile

    def backend(graph: torch.fx.GraphModule, _: list[Tensor]) -> Callable[..., tuple[Tensor, ...]]:
        graphs.append(graph)
        return graph.forward

    def compile_quickly(net: nn.Module, **_) -> nn.Module:
        compiled_networks.append(net)
        return compile_network(net, backend=backend)

    monkeypatch.setattr(torch, "compile", compile_quickly)
    train_quietly(small(), toycity_dir, tmp_path / "plain")
    assert not compiled_networks
    for at, switch, compiles in ((3, "compile=true", True), (4, "compile=false", False), (None, "compile=true", True)):
        before = len(compiled_networks)
        with monkeypatch.context() as patch:
            if at is not None:
                kill_at(at, patch)
            with contextlib.suppress(KeyboardInterrupt):
                train_quietly(small(switch, "validate_every=1"), toycity_dir, tmp_path / "compiled")
        assert (len(compiled_networks) > before) == compiles
    assert graphs
    plain, compiled = (load_checkpoint(tmp_path / run / "last.ckpt")["model"] for run in ("plain", "compiled"))
    files = [safetensors.torch.load_file(tmp_path / run / "model.safetensors") for run in ("plain", "compiled")]
    assert list(compiled) == list(plain) == list(TinyNetwork(19).state_dict())
    assert files[0].keys() == files[1].keys() == plain.keys()
    for name, tensor in compiled.items():
        assert torch.allclose(tensor, plain[name], atol=1e-5), name


@pytest.mark.parametrize(("precision", "reduced"), [("32-true", False), ("bf16-mixed", True)])
def test_validation_has_the_precision_of_training(tiny, toycity_dir, tmp_path, monkeypatch, precision, reduced):
    seen, evaluate = [], module.evaluate
    monkeypatch.setattr(
        module, "evaluate", lambda *args, **how: seen.append(torch.is_autocast_enabled("cpu")) or evaluate(*args, **how)
    )
    train_quietly(small("iterations=1", f"precision={precision}"), toycity_dir, tmp_path)
    assert seen == [reduced]


def test_a_resumed_run_downloads_no_weights(tmp_path, toycity_dir, monkeypatch):
    asked: list[bool] = []

    def build(recipe: Recipe, num_classes: int) -> nn.Module:
        asked.append(recipe.pretrained)
        return TinyNetwork(num_classes)

    monkeypatch.setattr(module, "build_network", build)
    for _ in range(2):
        train_quietly(small("pretrained=true", "iterations=1"), toycity_dir, tmp_path / "run")
    assert asked == [True, False]
    assert load_checkpoint(tmp_path / "run" / "last.ckpt")["recipe"]["pretrained"] is True


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_machine_that_is_taken_away_costs_nothing(tiny, toycity_dir, tmp_path, monkeypatch, capsys, number):
    whole, asked = tmp_path / "whole", tmp_path / "asked"
    train_quietly(small(), toycity_dir, whole)

    def step(*arguments) -> float:
        if arguments[-1] == 1:
            os.kill(os.getpid(), number)
        return training_step(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(module, "training_step", step)
        with pytest.raises(SystemExit) as left:
            train(small(), toycity_dir, asked)
    assert left.value.code == 128 + number
    assert "saved at iteration 2 of 5; the same command goes on from there" in capsys.readouterr().out
    assert load_checkpoint(asked / "last.ckpt")["iteration"] == 2  # the step in progress was finished and saved
    assert signal.getsignal(number) == signal.SIG_DFL
    train_quietly(small(), toycity_dir, asked)
    ends = [load_checkpoint(run / "last.ckpt") | {"seconds": 0} for run in (whole, asked)]
    check_equal(ends[1], ends[0])
    assert metrics(asked) == metrics(whole)


class ForgetfulNetwork(TinyNetwork):
    """Has a layer that draws random numbers."""

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return super().forward(nn.functional.dropout(images, 0.5, self.training))


def test_random_numbers_within_the_network_come_back_too(tiny, toycity_dir, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "build_network", lambda recipe, num_classes: ForgetfulNetwork(num_classes))
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    train_quietly(small(), toycity_dir, whole)
    with monkeypatch.context() as patch:
        kill_at(4, patch)
        with pytest.raises(KeyboardInterrupt):
            train_quietly(small(), toycity_dir, killed)
    torch.manual_seed(99)
    train_quietly(small(), toycity_dir, killed)
    ends = [load_checkpoint(run / "last.ckpt") | {"seconds": 0} for run in (whole, killed)]
    check_equal(ends[1], ends[0])


def test_the_scale_of_float16_losses_comes_back_too(tiny, toycity_dir, tmp_path, monkeypatch):
    def fabric(_: Recipe) -> L.Fabric:
        return L.Fabric(accelerator="cpu", devices=1, plugins=MixedPrecision("16-mixed", "cpu"))

    monkeypatch.setattr("spacemeshlab.train._fabric", fabric)
    with monkeypatch.context() as patch:
        kill_at(4, patch)
        with pytest.raises(KeyboardInterrupt):
            train_quietly(small(), toycity_dir, tmp_path)
    kept = load_checkpoint(tmp_path / "last.ckpt")["scaler"]
    assert kept["scale"] > 1
    assert kept["_growth_tracker"] > 0
    torch.save(load_checkpoint(tmp_path / "last.ckpt") | {"scaler": kept | {"scale": 4.0}}, tmp_path / "last.ckpt")
    train_quietly(small(), toycity_dir, tmp_path)
    assert load_checkpoint(tmp_path / "last.ckpt")["scaler"]["scale"] == 4


def test_a_folder_in_which_a_run_is_going_on_is_refused(tiny, toycity_dir, tmp_path):
    running = RunDirectory(tmp_path, small())
    running.lock()
    with pytest.raises(UserError, match=rf"expected {tmp_path} to be free, found process {os.getpid()} training there"):
        train_quietly(small(), toycity_dir, tmp_path)
    running.close()
    train_quietly(small(), toycity_dir, tmp_path)


def test_a_full_disk_ends_in_one_line_and_the_run_goes_on_once_there_is_room(tiny, toycity_dir, tmp_path, monkeypatch):
    whole, full = tmp_path / "whole", tmp_path / "full"
    train_quietly(small("validate_every=2"), toycity_dir, whole)

    def no_room(state: dict, file) -> None:
        if state["iteration"] == 4:
            file.write(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        save(state, file)

    save = torch.save
    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", no_room)
        with pytest.raises(UserError, match=r"best.ckpt, but no space left on device: make room .* nothing .* is lost"):
            train_quietly(small("validate_every=2"), toycity_dir, full)
    assert load_checkpoint(full / "last.ckpt")["iteration"] == 2
    assert not list(full.glob(".*"))  # no draft takes the room that is missing
    train_quietly(small("validate_every=2"), toycity_dir, full)
    ends = [load_checkpoint(run / "last.ckpt") | {"seconds": 0} for run in (whole, full)]
    check_equal(ends[1], ends[0])
    assert metrics(full) == metrics(whole)


def test_what_a_killed_write_left_behind_is_no_checkpoint_and_does_not_stay(tiny, toycity_dir, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        kill_at(4, patch)
        with pytest.raises(KeyboardInterrupt):
            train_quietly(small(), toycity_dir, tmp_path)
    for name in ("last.ckpt", "best.ckpt", "metrics.jsonl"):
        (tmp_path / f".{name}.part").write_bytes(b"half of")
    with open(tmp_path / "metrics.jsonl", "a") as file:
        file.write('{"iteration": 4, "lo')
    train_quietly(small(), toycity_dir, tmp_path)
    assert load_checkpoint(tmp_path / "last.ckpt")["iteration"] == 5
    assert not list(tmp_path.glob(".*"))
    assert [line["iteration"] for line in metrics(tmp_path) if "loss" in line] == [1, 2, 3, 4, 5]


def test_a_validation_set_without_a_labelled_pixel_has_no_score(tiny, toycity_dir, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "evaluate", lambda *_, **__: torch.zeros(19, 19, dtype=torch.int64))
    train_quietly(small(), toycity_dir, tmp_path)
    assert not any("val_miou" in line for line in metrics(tmp_path))
    assert load_checkpoint(tmp_path / "last.ckpt")["miou"] == 0
