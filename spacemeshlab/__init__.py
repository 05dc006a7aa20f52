"""SpaceMeshLab (Kim, Kim, Kim, arXiv 2106.04025) in PyTorch: the package behind the book."""

from spacemeshlab.models.attention import ChannelContextAttention, SpatialContextAttention
from spacemeshlab.models.meshgrid_conv import meshgrid_conv2d
from spacemeshlab.models.metrocon import MetroCon2
from spacemeshlab.models.network import DeepLabV3Plus, SpaceMeshLab
from spacemeshlab.models.shuffle import ShuffleDown, ShuffleUp
from spacemeshlab.models.spam import SpaM

__all__ = [
    "ChannelContextAttention",
    "DeepLabV3Plus",
    "MetroCon2",
    "ShuffleDown",
    "ShuffleUp",
    "SpaM",
    "SpaceMeshLab",
    "SpatialContextAttention",
    "meshgrid_conv2d",
]
