"""A network that is only asked, never trained: the same function in fewer passes over memory (chapter 18).

In eval mode batch norm multiplies and shifts every channel by constants. The convolution before it can do that with
its own weights and a bias, and one pass over a map does what took two. SpaM's full-resolution maps gain most.
"""

from __future__ import annotations

import copy
import itertools

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from spacemeshlab.models.network import SpaceMeshLab


def inference_copy(net: nn.Module) -> nn.Module:
    """A frozen copy of one of our networks in eval mode: no batch norm behind convolutions, no auxiliary head.

    Every ``nn.Conv2d`` that its parent registers right before a batch norm of its width, synchronised over GPUs or not,
    is taken to run right before it. This holds for everything in this package and in torchvision's ResNets; of another
    network nobody knows.

    Args:
        net: a :class:`SpaceMeshLab`, plain, compiled or wrapped by Fabric; it stays as it is. Its copy is plain,
            takes the memory of the weights once more, and does not see later changes.

    Returns:
        The copy, whose ``out`` is the same up to rounding and which has no ``aux``. A network of another class comes
        back itself.
    """
    plain = _unwrap(net)
    if not isinstance(plain, SpaceMeshLab):
        return net
    with torch.inference_mode(False):
        plain = copy.deepcopy(plain).eval().requires_grad_(False)
        plain.aux_head = None
        fold_batch_norms(plain)
    return plain


@torch.no_grad()
def fold_batch_norms(net: nn.Module) -> None:
    """Fold every norm of ``net``, in eval mode, into the convolution that its parent registers right before it.

    Only for a network that also runs them one right after the other. nn.Identity takes the place of the norm.
    """
    for parent in list(net.modules()):
        for (name, conv), (follower, norm) in itertools.pairwise(list(parent.named_children())):
            if (
                isinstance(conv, nn.Conv2d)
                and isinstance(norm, nn.BatchNorm2d | nn.SyncBatchNorm)
                and norm.num_features == conv.out_channels
            ):
                setattr(parent, name, fuse_conv_bn_eval(conv, norm))
                setattr(parent, follower, nn.Identity().eval())


def _unwrap(net: nn.Module) -> nn.Module:
    """The network within Lightning Fabric's wrapper, torch.compile's, or both."""
    for attribute in ("_original_module", "_orig_mod"):
        net = getattr(net, attribute, net)
    return net
