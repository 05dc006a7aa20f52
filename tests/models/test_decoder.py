"""Both decoders and the auxiliary head, rebuilt from their parts."""

import pytest
import torch
import torch.nn.functional as F

from spacemeshlab import testing
from spacemeshlab.models.decoder import AuxiliaryHead, DeepLabV3PlusDecoder, SpaceMeshLabDecoder


def context_and_memo(n=1, h=3, w=5):
    return torch.randn(n, 64, h, w), torch.randn(n, 2, 16 * h, 16 * w)


@pytest.mark.parametrize(("n", "h", "w"), [(1, 3, 5), (2, 1, 1)])
def test_shapes_at_a_quarter_of_the_image(n, h, w):
    context, memo = context_and_memo(n, h, w)
    low_level = torch.randn(n, 9, 4 * h, 4 * w)
    assert SpaceMeshLabDecoder(64, 2, 7)(context, memo).shape == (n, 7, 4 * h, 4 * w)
    assert DeepLabV3PlusDecoder(64, 9, 7)(context, low_level).shape == (n, 7, 4 * h, 4 * w)
    testing.check_shape(AuxiliaryHead(64, 7).eval(), (n, 64, h, w), (n, 7, h, w))


def test_eighty_one_and_128_channels_meet_as_in_the_paper():
    decoder = SpaceMeshLabDecoder(1296, 8, 19)
    assert 1296 // 16 + 8 * 16 == 209 == decoder.head[0][0].in_channels
    assert decoder.head[-1].weight.shape == (19, 256, 1, 1)
    assert DeepLabV3PlusDecoder(1280, 256, 19).head[0][0].in_channels == 256 + 48


@pytest.mark.parametrize("attention", [True, False])
def test_context_goes_up_memo_goes_down_and_context_comes_first(attention):
    decoder = SpaceMeshLabDecoder(64, 2, 3, attention).eval()
    context, memo = context_and_memo()
    up, down = F.pixel_shuffle(context, 4), F.pixel_unshuffle(memo, 4)  # 4 and 32 channels at 1/4
    if attention:
        up, down = decoder.up[1](up), decoder.down[1](down)
    testing.check_same(decoder(context, memo), decoder.head(torch.cat((up, down), dim=1)))


def test_without_attention_only_the_head_learns():
    names = {name.split(".")[0] for name, _ in SpaceMeshLabDecoder(64, 2, 3, attention=False).named_parameters()}
    assert names == {"head"}


def test_deeplab_enlarges_the_projected_context_to_the_early_feature():
    decoder = DeepLabV3PlusDecoder(64, 9, 3).eval()
    context, low_level = torch.randn(1, 64, 3, 5), torch.randn(1, 9, 12, 20)
    large = F.interpolate(decoder.project(context), scale_factor=4, mode="bilinear", align_corners=False)
    expected = decoder.head(torch.cat((large, decoder.reduce(low_level)), dim=1))
    testing.check_same(decoder(context, low_level), expected)


@pytest.mark.parametrize("attention", [True, False])
def test_spacemeshlab_decoder_leaves_its_inputs_and_trains_everything(attention, awake):
    decoder = awake(SpaceMeshLabDecoder(64, 2, 3, attention))
    testing.check_inputs_unmodified(decoder, *context_and_memo(2))
    testing.check_gradients_reach_everything(decoder, *context_and_memo(2))


def test_deeplab_decoder_and_auxiliary_head_leave_their_inputs_and_train_everything():
    context, low_level = torch.randn(2, 64, 3, 5), torch.randn(2, 9, 12, 20)
    for module, inputs in ((DeepLabV3PlusDecoder(64, 9, 3), (context, low_level)), (AuxiliaryHead(64, 3), (context,))):
        testing.check_inputs_unmodified(module, *inputs)
        testing.check_gradients_reach_everything(module, *inputs)


def test_every_argument_matters():
    context, memo = context_and_memo()
    testing.check_every_argument_matters(
        SpaceMeshLabDecoder,
        lambda decoder: decoder(context, memo),
        {"context_channels": 64, "memo_channels": 2, "num_classes": 3},
        {"context_channels": 32, "memo_channels": 3, "num_classes": 4, "attention": False},
    )
    testing.check_every_argument_matters(
        DeepLabV3PlusDecoder,
        lambda decoder: decoder(context, torch.ones(1, 9, 12, 20)),
        {"context_channels": 64, "low_level_channels": 9, "num_classes": 3},
        {"context_channels": 32, "low_level_channels": 8, "num_classes": 4},
    )
    testing.check_every_argument_matters(
        AuxiliaryHead,
        lambda head: head(context),
        {"in_channels": 64, "num_classes": 3},
        {"in_channels": 32, "num_classes": 4},
    )


def test_a_context_that_cannot_be_shuffled_is_refused():
    with pytest.raises(ValueError, match="multiple of 16 for steps=1, got 1278"):
        SpaceMeshLabDecoder(9 * 142, 8, 19)  # the paper's formula round(1280/9), not its table
