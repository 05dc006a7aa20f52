"""One process of a run whose batch norm is frozen, because PyTorch has no synchronised one for CPUs.

python -m torch.distributed.run ... tests/frozen_worker.py DATA_ROOT RUN_DIR [key=value ...]
"""

from __future__ import annotations

import sys

import torch
from torch import nn

import spacemeshlab.run as module
from spacemeshlab.recipe import Recipe, get_recipe
from spacemeshlab.step import build_network
from spacemeshlab.train import train

SMALL = ("crop=32x64", "rates=1,2", "batch_size=8", "iterations=3", "validate_every=2", "scale=1")


def frozen(recipe: Recipe, num_classes: int) -> nn.Module:
    net = build_network(recipe, num_classes)
    for norm in net.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.eval()
    return net


def main(data_root: str, run_dir: str, *overrides: str) -> None:
    torch.set_num_threads(1)
    module.build_network, module.LOG_EVERY = frozen, 1
    train(get_recipe("toycity", [*SMALL, *overrides]), data_root, run_dir)


if __name__ == "__main__":
    main(*sys.argv[1:])
