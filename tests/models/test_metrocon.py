"""MetroCon²: the scores, why they stand behind batch norm, the paper's numbers, and its weight's layout."""

import copy
import re

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from spacemeshlab import MetroCon2, testing
from spacemeshlab.models import metrocon
from spacemeshlab.models.aspp import ASPP
from spacemeshlab.models.meshgrid_conv import meshgrid_conv2d
from spacemeshlab.models.meshgrid_conv_gemm import filter_storage
from spacemeshlab.models.metrocon import default_depth


def naive_metrocon2(module, x):
    """One convolution, one batch norm, one ReLU and one score for each pair of rates (eval mode)."""
    maps, norm = [], module.norm
    for a, rows in enumerate(module.rates):
        for b, columns in enumerate(module.rates):
            part = slice((a * len(module.rates) + b) * module.depth, (a * len(module.rates) + b + 1) * module.depth)
            y = F.conv2d(x, module.weight[a, b], padding=(rows, columns), dilation=(rows, columns))
            y = F.batch_norm(y, norm.running_mean[part], norm.running_var[part], norm.weight[part], norm.bias[part])
            maps.append(module.score[a, b] * torch.relu(y))
    return torch.cat(maps, dim=1)


@pytest.mark.parametrize(("rates", "n", "h", "w"), [((1, 2, 3), 1, 7, 5), ((2,), 2, 3, 3), ((1, 18), 3, 9, 20)])
def test_equals_one_branch_after_the_other(rates, n, h, w):
    module = MetroCon2(6, rates, depth=3).eval()
    for tensor in (module.norm.running_mean, module.norm.weight, module.norm.bias, module.score):
        nn.init.normal_(tensor)
    nn.init.uniform_(module.norm.running_var, 0.5, 2)
    x = torch.randn(n, 6, h, w)
    testing.check_same(module(x), naive_metrocon2(module, x))


@pytest.mark.parametrize(("n", "h", "w"), [(1, 5, 7), (2, 1, 3)])
def test_shape_with_odd_sizes(n, h, w):
    module = MetroCon2(4, (1, 2, 6), depth=2).eval()
    assert module.out_channels == 18
    testing.check_shape(module, (n, 4, h, w), (n, 18, h, w))


def test_default_depth_is_the_papers_for_three_nine_and_eighteen_rates():
    assert {m: default_depth(m) for m in (3, 9, 18)} == {3: 144, 9: 16, 18: 4}
    assert {m * m * default_depth(m) for m in (3, 9, 18)} == {1296}


@pytest.mark.parametrize("m", range(1, 40))
def test_default_depth_is_the_smallest_that_makes_1280_channels_the_shuffle_can_divide(m):
    fitting = (depth for depth in range(1, 1297) if m * m * depth >= 1280 and m * m * depth % 16 == 0)
    assert default_depth(m) == next(fitting)


def test_the_papers_own_formula_cannot_be_shuffled():
    assert round(1280 / 9) == 142
    assert 9 * 142 % 16 != 0


def test_the_papers_claim_about_parameters_holds_only_against_five_3x3_branches():
    with torch.device("meta"):
        metrocon2 = MetroCon2(2048, range(1, 19)).weight.numel()
        aspp = sum(conv.weight.numel() for conv in ASPP(2048).modules() if isinstance(conv, nn.Conv2d))
    assert metrocon2 == 2048 * 9 * 324 * 4 == 23_887_872
    assert aspp == 2048 * 256 * (1 + 9 + 9 + 9 + 1) == 15_204_352  # 1×1, three 3×3, 1×1 after pooling
    five_branches = 2048 * 256 * 9 * 5
    assert five_branches == 23_592_960
    assert round(metrocon2 / aspp, 2) == 1.57
    assert round(metrocon2 / five_branches, 2) == 1.01


@pytest.mark.parametrize(("a", "b"), [(0, 0), (0, 2), (2, 1)])
def test_a_score_scales_the_channels_of_its_pair_and_no_other(a, b):
    module, x = MetroCon2(4, (1, 2, 3), depth=2).eval(), torch.randn(1, 4, 5, 5)
    before = module(x)
    module.score.data[a, b] = 3.0
    expected = before.clone()
    first = (a * 3 + b) * 2
    expected[:, first : first + 2] *= 3
    testing.check_same(module(x), expected)
    assert not torch.equal(before, expected)


def trained(*arguments, **options) -> MetroCon2:
    """A module in eval mode whose batch norm and scores are no longer as they began."""
    module = MetroCon2(*arguments, **options).eval()
    for tensor in (module.norm.weight, module.norm.bias, module.norm.running_mean, module.score):
        tensor.data.normal_()
    module.norm.running_var.uniform_(0.1, 3)
    return module


@pytest.mark.parametrize("method", ["loop", "gemm", "triton"])
def test_without_gradients_norm_relu_and_score_ride_along_and_change_nothing(method, monkeypatch):
    module, x = trained(4, (1, 2, 9), depth=2, method=method), torch.randn(2, 4, 6, 5)
    step_by_step = module(x)
    monkeypatch.setattr(metrocon, "meshgrid_conv2d", None)
    with torch.no_grad():
        testing.check_same(module(x), step_by_step)
    with torch.inference_mode():
        testing.check_same(module(x), step_by_step)


def test_autocast_s_type_comes_out_in_every_mode():
    module, x = trained(4, (1, 2), depth=2), torch.randn(2, 4, 6, 5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        step_by_step = module(x)
        with torch.no_grad():
            at_once = module(x)
    assert step_by_step.dtype == at_once.dtype == torch.bfloat16
    testing.check_same(at_once.float(), module(x).detach(), tolerance=2e-2)
    testing.check_same(step_by_step.float(), module(x).detach(), tolerance=2e-2)


class NaiveScoreFirst(nn.Module):
    """The same operation with the score where it seems to belong: on the convolution's output, before batch norm."""

    def __init__(self, module: MetroCon2) -> None:
        super().__init__()
        self.module, self.score = module, nn.Parameter(module.score.detach().clone())

    def forward(self, x):
        y = meshgrid_conv2d(x, self.module.weight, self.module.rates)
        return torch.relu(
            self.module.norm(y * self.score.flatten().repeat_interleave(self.module.depth).view(1, -1, 1, 1))
        )


def test_a_score_before_batch_norm_gets_no_gradient_and_one_behind_it_does():
    module = MetroCon2(4, (1, 2), depth=3).double()
    module.norm.eps = 1e-30  # eps alone lets a trace through
    x, target = torch.randn(2, 4, 6, 5).double(), torch.randn(2, 12, 6, 5).double()
    before = NaiveScoreFirst(module)
    for net in (before, module):
        (net(x) - target).square().mean().backward()
    assert before.score.grad.abs().max() < 1e-12
    assert before.module is module  # one and the same weights
    assert module.score.grad.abs().min() > 1e-3


def test_state_dict_has_the_names_and_shapes_of_the_contract():
    shapes = {name: tuple(tensor.shape) for name, tensor in MetroCon2(5, (1, 2, 6), depth=4).state_dict().items()}
    assert shapes == {
        "weight": (3, 3, 4, 5, 3, 3),
        "score": (3, 3),
        **{f"norm.{name}": (36,) for name in ("weight", "bias", "running_mean", "running_var")},
        "norm.num_batches_tracked": (),
    }


def test_scores_start_at_one_and_weights_with_he_s_variance():
    module = MetroCon2(64, (1, 2, 3), depth=16)
    assert (module.score == 1).all()
    assert module.weight.std().item() == pytest.approx((2 / (9 * 64)) ** 0.5, rel=0.02)


def test_the_weights_lie_in_memory_as_the_product_wants_them_also_after_loading_and_copying():
    module, x = MetroCon2(5, (1, 2), depth=4).eval(), torch.randn(1, 5, 4, 3)
    stride = filter_storage(2, 2, 4, 5, 3, 3).stride()
    other = MetroCon2(5, (1, 2), depth=4).eval()
    other.load_state_dict({name: tensor.contiguous() for name, tensor in module.state_dict().items()})
    for same in (module, other, copy.deepcopy(module)):
        assert same.weight.stride() == stride
        assert torch.equal(same(x), module(x))


def test_a_copy_does_not_share_its_weights():
    module = MetroCon2(5, (1, 2), depth=4)
    twin = copy.deepcopy(module)
    twin.weight.data.zero_()
    assert module.weight.any()


def test_inputs_stay_and_gradients_arrive():
    module, x = MetroCon2(4, (1, 2, 9), depth=2), torch.randn(2, 4, 5, 7)
    testing.check_inputs_unmodified(module, x)
    testing.check_gradients_reach_everything(module, x)
    assert module.score.grad.all()


def test_every_argument_matters():
    testing.check_every_argument_matters(
        MetroCon2,
        lambda module: module(torch.ones(1, 4, 5, 5)),
        {"in_channels": 4, "rates": (1, 2), "depth": 3},
        {"in_channels": 5, "rates": (1, 3), "depth": 4},
        except_for=("method",),  # changes no number; see the next test
    )


def test_the_method_is_handed_on():
    with pytest.raises(ValueError, match=r"method must be one of .*, got 'magic'"):
        MetroCon2(4, (1, 2), depth=3, method="magic")(torch.randn(1, 4, 5, 5))


def test_repr_tells_sizes_and_rates():
    assert "MetroCon2(\n  4, 12, rates=(1, 2), depth=3" in repr(MetroCon2(4, (1, 2), depth=3))


@pytest.mark.parametrize("rates", [(6, 1), (), (0, 1), (1.5, 2)])
def test_rates_that_do_not_increase_are_refused_when_the_module_is_built(rates):
    with pytest.raises(ValueError, match=re.escape(f"strictly increasing integers, got {rates}")):
        MetroCon2(4, rates)
