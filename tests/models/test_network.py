"""The whole network: every row of tables 1 and 2, its contract, and that it can learn."""

import pytest
import torch
import torch.nn.functional as F

from spacemeshlab import DeepLabV3Plus, SpaceMeshLab, testing
from spacemeshlab.models.network import pad_to_multiple

ROWS = {
    "table 1: DeepLabV3+": {"spam": False, "context": "aspp"},
    "table 1: SpaM": {"attention": False, "context": "aspp"},
    "table 1: SpaM, SCA, CCA": {"context": "aspp"},
    "table 2: 6, 12, 18": {"rates": (6, 12, 18)},
    "table 2: 1 to 9": {"rates": range(1, 10)},
    "table 2: 1 to 18": {},
    "MetroCon2 alone": {"spam": False},
}


def small(**keywords) -> SpaceMeshLab:
    """A network of 5 classes that runs in a blink."""
    return SpaceMeshLab(**{"num_classes": 5, "backbone": "resnet18", "rates": (1, 2), "depth": 4, **keywords})


@pytest.mark.parametrize("keywords", ROWS.values(), ids=ROWS.keys())
def test_every_row_of_the_tables_runs_by_keyword_with_the_same_keys_in_every_mode(keywords):
    net, images = SpaceMeshLab(5, backbone="resnet18", **keywords), torch.randn(2, 3, 32, 48)
    with torch.no_grad():
        for training in (True, False):
            logits = net.train(training)(images)
            assert {name: tuple(maps.shape) for name, maps in logits.items()} == {
                "out": (2, 5, 32, 48),
                "aux": (2, 5, 32, 48),
            }


@pytest.mark.parametrize(
    ("keywords", "channels"),
    [({"rates": (6, 12, 18)}, 9 * 144), ({"rates": range(1, 10)}, 81 * 16), ({}, 324 * 4), ({"context": "aspp"}, 1280)],
)
def test_the_context_of_every_row_has_the_papers_channels(keywords, channels):
    with torch.device("meta"):
        net = SpaceMeshLab(19, backbone="resnet18", **keywords)
    assert net.context.out_channels == channels
    assert net.decoder.head[0][0].in_channels == channels // 16 + 16 * 2  # resnet18's memo has 2 channels


@pytest.mark.parametrize("keywords", [{}, {"spam": False, "context": "aspp"}])
@pytest.mark.parametrize(("n", "height", "width"), [(1, 33, 47), (2, 16, 1), (1, 17, 64)])
def test_odd_sizes_come_back_as_they_went_in(keywords, n, height, width):
    net = small(**keywords).eval()
    testing.check_shape(lambda images: net(images)["out"], (n, 3, height, width), (n, 5, height, width))
    testing.check_shape(lambda images: net(images)["aux"], (n, 3, height, width), (n, 5, height, width))


def test_odd_sizes_are_padded_with_zeros_right_and_below_and_the_logits_cut_back():
    net, images = small().eval(), torch.randn(1, 3, 30, 33)
    padded = torch.zeros(1, 3, 32, 48)
    padded[..., :30, :33] = images
    assert torch.equal(pad_to_multiple(images, 16), padded)
    for name, maps in net(images).items():
        assert torch.equal(maps, net(padded)[name][..., :30, :33])


def test_the_forward_pass_is_these_five_steps():
    net, images = small().eval(), torch.randn(1, 3, 32, 48)
    features, memo = net.spam(images, net.backbone)
    out = net.decoder(net.context(features[-1]), memo)  # at 1/4
    aux = net.aux_head(features[-1])  # at 1/16
    for name, maps, factor in (("out", out, 4), ("aux", aux, 16)):
        full = F.interpolate(maps, scale_factor=factor, mode="bilinear", align_corners=False)
        testing.check_same(net(images)[name], full)


def test_without_spam_the_decoder_takes_the_second_block():
    net, images = small(spam=False).eval(), torch.randn(1, 3, 32, 48)
    features = net.backbone(images)
    out = net.decoder(net.context(features[-1]), features[1])
    testing.check_same(net(images)["out"], F.interpolate(out, (32, 48), mode="bilinear", align_corners=False))


@pytest.mark.parametrize("aux", [True, False])
def test_deeplab_is_the_network_with_neither_spam_nor_metrocon2(aux):
    deeplab = DeepLabV3Plus(5, "resnet18", aux=aux).eval()
    net = SpaceMeshLab(5, "resnet18", spam=False, context="aspp", aux=aux).eval()
    net.load_state_dict(deeplab.state_dict())
    images = torch.randn(1, 3, 32, 48)
    for name, maps in deeplab(images).items():
        assert torch.equal(net(images)[name], maps)


def test_without_aux_there_is_one_output_and_no_head():
    net = small(aux=False)
    assert net.aux_head is None
    for training in (True, False):
        assert set(net.train(training)(torch.randn(2, 3, 32, 32))) == {"out"}


def test_one_image_can_train_spacemeshlab_which_pools_nothing():
    small()(torch.randn(1, 3, 32, 48))["out"].sum().backward()


@pytest.mark.parametrize("keywords", [{}, {"context": "aspp", "attention": False}, {"spam": False, "context": "aspp"}])
def test_inputs_stay_and_gradients_arrive(keywords, awake):
    net, images = awake(small(**keywords)), torch.randn(2, 3, 35, 48)
    testing.check_inputs_unmodified(net, images)
    testing.check_gradients_reach_everything(net, images)


def test_every_argument_matters():
    def run(net):
        return net(torch.ones(1, 3, 32, 32))

    testing.check_every_argument_matters(
        SpaceMeshLab,
        run,
        {"num_classes": 5, "backbone": "resnet18", "rates": (1, 2), "depth": 4},
        {
            "num_classes": 6,
            "backbone": "resnet34",
            "spam": False,
            "attention": False,
            "context": "aspp",
            "rates": (2, 3),
            "depth": 8,
            "aux": False,
        },
        except_for=("pretrained",),
    )
    testing.check_every_argument_matters(
        DeepLabV3Plus,
        run,
        {"num_classes": 5, "backbone": "resnet18"},
        {"num_classes": 6, "backbone": "resnet34", "aux": False},
        except_for=("pretrained",),
    )


@pytest.mark.parametrize("build", [SpaceMeshLab, DeepLabV3Plus])
def test_pretrained_reaches_the_backbone(build, monkeypatch):
    asked = []
    monkeypatch.setattr("spacemeshlab.models.network.ResNet", lambda *args: asked.append(args) or 1 / 0)
    with pytest.raises(ZeroDivisionError, match="division by zero"):
        build(5, "resnet50", True)
    assert asked == [("resnet50", True)]


def test_learns_two_images_by_heart():
    net = small()
    blocks = torch.randint(5, (2, 3, 2))  # a class for each 16×16 block
    target = blocks.repeat_interleave(16, 1).repeat_interleave(16, 2)  # (2, 48, 32)
    images = torch.randn(5, 3)[target].permute(0, 3, 1, 2) + 0.1 * torch.randn(2, 3, 48, 32)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    losses = []
    for _ in range(15):
        logits = net(images)
        loss = F.cross_entropy(logits["out"], target) + 0.4 * F.cross_entropy(logits["aux"], target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] > 1.6  # about ln 5 and 0.4 of it: nothing known yet
    assert losses[-1] < 0.3, losses


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(3, 32, 32), r"images must be \(N, 3, H, W\), got \(3, 32, 32\): add the batch axis"),
        (torch.zeros(1, 4, 32, 32), r"images must be \(N, 3, H, W\), got \(1, 4, 32, 32\)"),
        (torch.zeros(1, 3, 32, 32, dtype=torch.uint8), r"normalised floating-point numbers, got torch\.uint8"),
    ],
)
def test_bad_images_are_refused(images, message):
    with pytest.raises(ValueError, match=message):
        small()(images)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"context": "psp"}, "context must be one of metrocon2, aspp, got 'psp'"),
        ({"backbone": "vgg16"}, "backbone must be one of .* got 'vgg16'"),
        ({"rates": (6, 12, 18), "depth": 142}, "multiple of 16 for steps=1, got 1278"),
    ],
)
def test_bad_keywords_are_refused(keywords, message):
    with pytest.raises(ValueError, match=message):
        small(**keywords)
