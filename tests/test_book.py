"""The few lines that every chapter starts with."""

from __future__ import annotations

import importlib.metadata
import json
import random

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from spacemeshlab.book import ensure_toycity, load_results, setup
from spacemeshlab.errors import UserError


@pytest.fixture(autouse=True)
def _settings_stay_in_the_test():
    with plt.rc_context(), np.printoptions():
        yield
    torch.set_printoptions(profile="default")


def draws(seed: int) -> tuple:
    setup(seed)
    return random.random(), np.random.rand(), torch.rand(()).item()  # noqa: NPY002


def test_setup_refuses_a_package_that_is_too_old_before_a_chapter_fails_at_it(monkeypatch):
    version = importlib.metadata.version
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "2.4.0" if name == "torch" else version(name))
    with pytest.raises(UserError, match=r"found torch 2.4.0, expected >=2.11: pip install") as refused:
        setup()
    assert "\n" not in str(refused.value)
    monkeypatch.setenv("COLAB_RELEASE_TAG", "release")
    with pytest.raises(UserError, match=r"expected >=2.11: keep Colab's own torch: .* do not use pip"):
        setup()


def test_setup_makes_every_generator_repeat_itself_and_another_seed_differs():
    assert draws(3) == draws(3)
    assert all(a != b for a, b in zip(draws(3), draws(4), strict=True))


def test_setup_prints_three_digits():
    setup()
    assert str(torch.tensor([1 / 3, 1e-5])) == "tensor([0.333, 0.000])"
    assert str(np.array([1 / 3, 1e-5])) == "[0.333 0.   ]"


def test_results_are_read_and_a_missing_or_broken_file_is_one_clear_line(tmp_path):
    (tmp_path / "good.json").write_text(json.dumps({"miou": 0.5}))
    (tmp_path / "torn.json").write_text('{"miou"')
    assert load_results("good", tmp_path) == {"miou": 0.5}
    with pytest.raises(UserError, match=r"nope\.json, found good, torn in .*: run the experiment"):
        load_results("nope", tmp_path)
    with pytest.raises(UserError, match=r"expected JSON in .*torn\.json, found line 1"):
        load_results("torn", tmp_path)


def test_ensure_toycity_generates_without_a_progress_bar(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr("spacemeshlab.data.toycity.generate", lambda root, progress: calls.append((root, progress)))
    ensure_toycity(tmp_path)
    assert calls == [(tmp_path, False)]
