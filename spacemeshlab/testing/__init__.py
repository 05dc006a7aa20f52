"""Contract checks that the tests and the graded assignments share, so that an exercise cannot drift from the package.

Every ``check_*`` takes the thing to be judged, returns nothing, and raises AssertionError with one line: what was
expected, what was found, and a hint where to look. Nothing here knows how the package computes its results.
"""

from spacemeshlab.testing.contracts import (
    check_every_argument_matters,
    check_gradients_reach_everything,
    check_inputs_unmodified,
    check_same,
    check_shape,
    check_shuffle_roundtrip,
    check_tensor,
)
from spacemeshlab.testing.meshgrid import MESHGRID_CASES, check_meshgrid_conv, naive_meshgrid_conv2d

__all__ = [
    "MESHGRID_CASES",
    "check_every_argument_matters",
    "check_gradients_reach_everything",
    "check_inputs_unmodified",
    "check_meshgrid_conv",
    "check_same",
    "check_shape",
    "check_shuffle_roundtrip",
    "check_tensor",
    "naive_meshgrid_conv2d",
]
