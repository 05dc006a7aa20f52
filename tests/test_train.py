"""Training: loss, schedule and step by hand; a run that is killed, resumed, refused, finished."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable
from pathlib import Path

import lightning as L
import pytest
import safetensors.torch
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor, nn

import spacemeshlab.train as module
from spacemeshlab.checkpoint import load_checkpoint
from spacemeshlab.data.labels import IGNORE_INDEX
from spacemeshlab.data.transforms import MEAN, STD
from spacemeshlab.errors import UserError
from spacemeshlab.recipe import Recipe, get_recipe
from spacemeshlab.train import build_network, poly_lr, segmentation_loss, train, training_step


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
    """The lines of metrics.jsonl without the time."""
    entries = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in entry.items() if name != "seconds"} for entry in entries]


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


def test_the_learning_rate_falls_from_lr_to_zero_as_a_power_of_what_is_left():
    recipe = small("iterations=100", "lr=0.01", "poly_power=0.9")
    assert poly_lr(recipe, 0) == 0.01
    assert poly_lr(recipe, 50) == pytest.approx(0.01 * 0.5358867312681466)  # 0.5 ** 0.9
    assert poly_lr(recipe, 99) == pytest.approx(0.01 * 0.01**0.9)
    assert poly_lr(recipe, 100) == 0


def test_the_loss_is_cross_entropy_of_both_heads_and_looks_at_no_void_pixel():
    target = torch.tensor([[[0, 1, IGNORE_INDEX]]])
    out = torch.tensor([[[[0.0, 0.0, 9.0]], [[0.0, math.log(3), -9.0]]]])  # p(true) = 1/2, 3/4
    aux = torch.tensor([[[[math.log(4), 0.0, 9.0]], [[0.0, 0.0, 9.0]]]])  # p(true) = 4/5, 1/2
    main, side = (-math.log(1 / 2) - math.log(3 / 4)) / 2, (-math.log(4 / 5) - math.log(1 / 2)) / 2
    assert segmentation_loss({"out": out, "aux": aux}, target, 0.4).item() == pytest.approx(main + 0.4 * side)
    assert segmentation_loss({"out": out}, target, 0.4).item() == pytest.approx(main)


def test_the_loss_is_taken_in_float32_whatever_the_precision_of_the_logits():
    logits = {name: torch.randn(1, 3, 4, 4, dtype=torch.bfloat16) for name in ("out", "aux")}
    assert segmentation_loss(logits, torch.zeros(1, 4, 4, dtype=torch.int64), 0.4).dtype == torch.float32


def test_the_recipe_decides_what_is_built():
    with torch.device("meta"):  # shapes without numbers: fast
        net = build_network(small(), 19)
        assert (net.spam is not None, net.aux_head is not None, net.context.rates) == (True, True, (1, 2))
        assert next(net.parameters()).is_contiguous(memory_format=torch.channels_last)
        assert build_network(small("aux_weight=0"), 19).aux_head is None
        assert build_network(small("spam=false", "context=aspp"), 19).spam is None


def test_a_step_moves_the_weights_by_the_scheduled_rate_and_steps_lower_the_loss():
    fabric, recipe = L.Fabric(accelerator="cpu", devices=1), small("lr=0.1", "momentum=0", "weight_decay=0")
    net = TinyNetwork(19)
    plain = [parameter.detach().clone() for parameter in net.parameters()]
    net, optimizer = fabric.setup(net, torch.optim.SGD(net.parameters(), 123.0))
    batch = torch.randn(2, 3, 16, 16), torch.randint(19, (2, 16, 16))
    losses = [training_step(fabric, net, optimizer, batch, recipe, 2)]
    for before, parameter in zip(plain, net.parameters(), strict=True):
        assert torch.allclose(parameter, before - poly_lr(recipe, 2) * parameter.grad)
    losses += [training_step(fabric, net, optimizer, batch, recipe, 2) for _ in range(5)]
    assert losses == sorted(losses, reverse=True)


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
    files = {"recipe.json", "metrics.jsonl", "events", "last.ckpt", "best.ckpt", "model.safetensors"}
    assert names == files
    stated = json.loads((run / "recipe.json").read_text())
    assert Recipe.from_dict(stated["recipe"]) == small()
    assert {"commit", "command", "machine"} <= set(stated["origin"])
    log = metrics(run)
    assert [line["iteration"] for line in log if "loss" in line] == [1, 2, 3, 4, 5]
    assert [line["iteration"] for line in log if "val_miou" in line] == [3, 5]
    assert log[0]["lr"] == poly_lr(small(), 0)
    events = EventAccumulator(str(run)).Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [
        (line["iteration"], pytest.approx(line["loss"])) for line in log if "loss" in line
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


def test_a_loss_that_is_no_number_stops_the_run_and_the_checkpoint_stays(tiny, toycity_dir, tmp_path):
    with pytest.raises(UserError, match=r"expected a finite loss, found (nan|inf) at iteration \d: lower lr=1e\+30"):
        train_quietly(small("lr=1e30", "validate_every=1"), toycity_dir, tmp_path)
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
    assert calls == [{"scales": (0.5,), "flip": False, "workers": 0}]


def test_what_cannot_be_trained_is_said_before_anything_is_written(toycity_dir, tmp_path):
    with pytest.raises(UserError, match="training on several devices is not built yet"):
        train_quietly(small("devices=2"), toycity_dir, tmp_path / "run")
    with pytest.raises(UserError, match="found no such folder"):
        train_quietly(small(), tmp_path / "nowhere", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_more_images_in_a_batch_than_in_the_set_is_one_line(tiny, toycity_dir, tmp_path):
    with pytest.raises(UserError, match="at least batch_size=8 images, found 4: set batch_size=4 or less"):
        train_quietly(small("batch_size=8"), toycity_dir, tmp_path)


def test_the_bar_shows_loss_score_and_how_far_it_is(tiny, toycity_dir, tmp_path, capsys):
    train(small(), toycity_dir, tmp_path)
    last = capsys.readouterr().out.strip().split("\r")[-1]
    assert last.startswith("toycity: 100%")
    assert "5/5" in last
    assert f"mIoU={metrics(tmp_path)[-1]['val_miou']:.3f}" in last


def test_a_compiled_run_has_plain_names_and_may_go_on_uncompiled_and_back(tiny, toycity_dir, tmp_path, monkeypatch):
    graphs, compile_network = [], torch.compile

    def backend(graph: torch.fx.GraphModule, _: list[Tensor]) -> Callable[..., tuple[Tensor, ...]]:
        graphs.append(graph)
        return graph.forward

    monkeypatch.setattr(torch, "compile", lambda net, **_: compile_network(net, backend=backend))
    train_quietly(small(), toycity_dir, tmp_path / "plain")
    assert not graphs
    for at, switch in ((3, "compile=true"), (4, "compile=false"), (None, "compile=true")):
        with monkeypatch.context() as patch:
            if at is not None:
                kill_at(at, patch)
            with contextlib.suppress(KeyboardInterrupt):
                train_quietly(small(switch, "validate_every=1"), toycity_dir, tmp_path / "compiled")
    assert len(graphs) >= 2  # at the first start and at the third
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
