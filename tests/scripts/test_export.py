"""scripts/export.py: what it hands to the package and what it prints; the file itself is tests/test_export.py's."""

from __future__ import annotations

import json

import export as script
import pytest
import torch

from spacemeshlab.checkpoint import load_checkpoint


@pytest.fixture
def handed_over(monkeypatch):
    """What the script exports, without the long export itself."""
    calls = []

    def write(net, path, metadata):
        calls.append((net, metadata))
        path.write_bytes(bytes(2**20))
        return 2e-6

    monkeypatch.setattr(script, "export_onnx", write)
    return calls


@pytest.mark.parametrize("checkpoint", ["last", "best"])
def test_the_chosen_checkpoint_is_exported_with_its_classes_and_normalisation(
    call, run_dir, tmp_path, handed_over, checkpoint
):
    out = tmp_path / "net.onnx"
    outcome = call(script, run_dir, out, "--checkpoint", checkpoint)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == (
        "compared with torch at 2x3x64x96, 1x3x50x70, 3x3x17x33: largest difference 2.0e-06 of the largest logit "
        f"(accepted: 1e-04)\n{out}: 1.0 MiB, opset 18, any N, H and W\n"
    )
    [(net, metadata)] = handed_over
    state = load_checkpoint(run_dir / f"{checkpoint}.ckpt")
    assert torch.equal(net.state_dict()["backbone.conv1.weight"].cpu(), state["model"]["backbone.conv1.weight"])
    assert {name: json.loads(text) for name, text in metadata.items()} == {
        "classes": list(state["classes"]),
        "palette": [list(colour) for colour in script.load_network(run_dir).labels.palette],
        "mean": list(state["mean"]),
        "std": list(state["std"]),
        "recipe": state["recipe"],
    }


def test_a_missing_run_place_or_word_is_one_line(refused, run_dir, tmp_path):
    assert "expected a checkpoint at" in refused(script, tmp_path / "none", tmp_path / "net.onnx")
    assert "found a folder: choose another" in refused(script, run_dir, tmp_path)
    assert "required: OUT.onnx; see --help" in refused(script, run_dir)
