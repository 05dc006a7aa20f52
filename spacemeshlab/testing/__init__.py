"""Contract checks that the tests and the graded assignments share, so that an exercise cannot drift from the package.

Every ``check_*`` listed here takes the thing to be judged, returns nothing, and raises AssertionError with one line:
what was expected, what was found, and a hint where to look. Nothing knows how the package computes its results.
"""

from spacemeshlab.testing.ablations import check_changed_fields, check_paired_difference
from spacemeshlab.testing.attention import check_channel_gate, check_head_maps, check_spatial_gate
from spacemeshlab.testing.consensus import check_consensus, check_default_depth
from spacemeshlab.testing.contracts import (
    check_every_argument_matters,
    check_gradients_reach_everything,
    check_inputs_unmodified,
    check_same,
    check_shape,
)
from spacemeshlab.testing.decoder import (
    check_decoder_input,
    check_decoder_parameters,
    check_pad_to_stride,
    check_resize_logits,
)
from spacemeshlab.testing.evaluation import check_flip_average, check_multi_scale
from spacemeshlab.testing.labels import check_count_pixels, check_map_labels
from spacemeshlab.testing.meshgrid import (
    check_dilated_conv,
    check_meshgrid_conv,
    check_tap_places,
    naive_meshgrid_conv2d,
)
from spacemeshlab.testing.miou import check_confusion_matrix, check_iou, check_mean_iou
from spacemeshlab.testing.one_product import check_shift_and_add, check_tap_responses
from spacemeshlab.testing.pairs import check_flip_pair, check_pad_pair
from spacemeshlab.testing.sgd import check_sgd_step
from spacemeshlab.testing.shuffle import (
    check_pixel_shuffle,
    check_pixel_unshuffle,
    check_shuffle_roundtrip,
    check_source_of,
)
from spacemeshlab.testing.spam import check_exchange, check_feature_to_memo, check_memo_channels
from spacemeshlab.testing.training import check_poly_lr, check_segmentation_loss

__all__ = [
    "check_changed_fields",
    "check_channel_gate",
    "check_confusion_matrix",
    "check_consensus",
    "check_count_pixels",
    "check_decoder_input",
    "check_decoder_parameters",
    "check_default_depth",
    "check_dilated_conv",
    "check_every_argument_matters",
    "check_exchange",
    "check_feature_to_memo",
    "check_flip_average",
    "check_flip_pair",
    "check_gradients_reach_everything",
    "check_head_maps",
    "check_inputs_unmodified",
    "check_iou",
    "check_map_labels",
    "check_mean_iou",
    "check_memo_channels",
    "check_meshgrid_conv",
    "check_multi_scale",
    "check_pad_pair",
    "check_pad_to_stride",
    "check_paired_difference",
    "check_pixel_shuffle",
    "check_pixel_unshuffle",
    "check_poly_lr",
    "check_resize_logits",
    "check_same",
    "check_segmentation_loss",
    "check_sgd_step",
    "check_shape",
    "check_shift_and_add",
    "check_shuffle_roundtrip",
    "check_source_of",
    "check_spatial_gate",
    "check_tap_places",
    "check_tap_responses",
    "naive_meshgrid_conv2d",
]
