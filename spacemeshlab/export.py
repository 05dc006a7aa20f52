"""A network as one ONNX file that other programs run without this package (chapter 18).

Input ``images`` (N, 3, H, W), float32, normalised with the file's own ``mean`` and ``std``; output ``logits``
(N, K, H, W). N, H and W are free: padding to multiples of 16 and cutting back are part of the graph.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import itertools
import json
import logging
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from spacemeshlab.checkpoint import write_atomically
from spacemeshlab.data.labels import LabelSet
from spacemeshlab.errors import UserError
from spacemeshlab.models.fuse import inference_copy
from spacemeshlab.models.metrocon import MetroCon2
from spacemeshlab.models.network import SpaceMeshLab
from spacemeshlab.recipe import Recipe

OPSET = 18
"""The version of ONNX's operators; the exporter's own, so nothing is converted."""

TOLERANCE = 1e-4
"""The largest difference between onnxruntime and torch that is accepted, as a part of the largest logit."""

SIZES = ((2, 64, 96), (1, 50, 70), (3, 17, 33))
"""N, H, W of the images that are compared: multiples of 16 and others, several batch sizes, none the traced one."""

_TRACED = (2, 50, 90)  # no multiples of 16, or the padding would be taken for needless and left out
_PACKAGES = ("onnx", "onnxruntime", "onnxscript")


def export_onnx(net: nn.Module, path: str | Path, metadata: dict[str, str] | None = None) -> float:
    """Write ``net`` as it predicts (eval mode, norms folded, no auxiliary head) to ``path``, once it is known to agree.

    Args:
        net: a :class:`~spacemeshlab.SpaceMeshLab`, plain, compiled or wrapped by Fabric; it stays as it is.
        path: the file; it appears only after onnxruntime computed the same as torch at all :data:`SIZES`.
        metadata: written into the file; see :func:`describe_network`.

    Returns:
        The largest difference from torch, as a part of the largest logit.

    Raises:
        UserError: the packages of the extra ``onnx`` are missing, ``path`` can't be written, or the results differ.
        ValueError: a network of another class.
    """
    path = Path(path)
    _check_packages()
    _check_place(path)
    reference = inference_copy(net)
    if not isinstance(reference, SpaceMeshLab):
        raise ValueError(f"net must be a SpaceMeshLab, got {type(net).__name__}: export it with torch.onnx.export")
    reference = reference.float().to("cpu", memory_format=torch.contiguous_format)
    difference = float("nan")

    def write(draft: Path) -> None:
        nonlocal difference
        _save(_trace(reference), draft, metadata or {})
        difference = _difference(reference, draft)
        if not difference <= TOLERANCE:  # also where it is NaN
            raise UserError(
                f"expected onnxruntime to compute what torch does, to {TOLERANCE:g} of the largest logit, found "
                f"{difference:.2g} for {path}, which was not written: install the versions of requirements.lock"
            )

    write_atomically(path, write)
    return difference


def describe_network(recipe: Recipe, labels: LabelSet, mean: Sequence[float], std: Sequence[float]) -> dict[str, str]:
    """What a program must know to use the file: classes, palette, mean, std and recipe, each as JSON."""
    values = {
        "classes": list(labels.classes),
        "palette": [list(colour) for colour in labels.palette],
        "mean": list(mean),
        "std": list(std),
        "recipe": recipe.as_dict(),
    }
    return {name: json.dumps(value) for name, value in values.items()}


class TransposedMetroCon2(nn.Module):
    """MetroCon² in eval mode in words that ONNX has: a *transposed* convolution for each pair of rates.

    With stride 1, mirrored filters and the same padding, a transposed convolution is the convolution. It multiplies
    first and shifts the few outputs, not the many inputs. Batch norm is folded into filters and biases.

    Shape: (N, C, H, W) -> (N, M·M·D, H, W).
    """

    def __init__(self, context: MetroCon2) -> None:
        super().__init__()
        norm, pairs = context.norm, len(context.rates) ** 2
        filters, bias = fuse_conv_bn_weights(
            context.weight.flatten(0, 2),  # (M, M, D, C, 3, 3) -> (M·M·D, C, 3, 3)
            *(None, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias),
        )
        filters = filters.detach().flip(-1, -2).unflatten(0, (pairs, -1)).transpose(1, 2)  # (M·M, C, D, 3, 3)
        self.filters = nn.ParameterList(one.contiguous() for one in filters).requires_grad_(False)
        self.biases = nn.ParameterList(bias.detach().view(pairs, -1).unbind()).requires_grad_(False)
        self.register_buffer("score", context.score.detach().flatten().repeat_interleave(context.depth).view(-1, 1, 1))
        self.rates = context.rates

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(_convolve(x, list(self.filters), list(self.biases), self.rates)) * self.score


@torch.library.custom_op("spacemeshlab::transposed_meshgrid_conv2d", mutates_args=())
def _convolve(x: Tensor, filters: Sequence[Tensor], biases: Sequence[Tensor], rates: Sequence[int]) -> Tensor:
    """One operator: hundreds of them, with sizes that are not known yet, would be traced one by one."""
    maps = [
        F.conv_transpose2d(x, pair, bias, padding=dilation, dilation=dilation)  # (N, C, H, W) -> (N, D, H, W)
        for pair, bias, dilation in zip(filters, biases, itertools.product(rates, rates), strict=True)
    ]
    return torch.cat(maps, dim=1)


@_convolve.register_fake
def _(x, filters, biases, rates):
    return x.new_empty(x.shape[0], sum(len(bias) for bias in biases), *x.shape[2:])


def _translate(x, filters, biases, rates: Sequence[int]):
    """What :func:`_convolve` is in ONNX: a ConvTranspose for each pair of rates."""
    from onnxscript import opset18 as op

    maps = [
        op.ConvTranspose(x, pair, bias, dilations=dilation, pads=dilation * 2)
        for pair, bias, dilation in zip(filters, biases, itertools.product(rates, rates), strict=True)
    ]
    return op.Concat(*maps, axis=1)


class _Logits(nn.Module):
    """One tensor in, one tensor out: ONNX has no dictionaries."""

    def __init__(self, net: SpaceMeshLab) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> Tensor:
        return self.net(images)["out"]


def _trace(reference: SpaceMeshLab):
    """torch's ONNX program of a network."""
    net = inference_copy(reference)  # another copy: the reference keeps its own MetroCon²
    if isinstance(net.context, MetroCon2):
        net.context = TransposedMetroCon2(net.context)
    dims = {0: "N", 2: "H", 3: "W"}
    batch, height, width = _TRACED
    with _silence(), torch.no_grad():
        return torch.onnx.export(
            _Logits(net).eval(),
            (torch.zeros(batch, 3, height, width),),
            dynamo=True,
            input_names=["images"],
            output_names=["logits"],
            dynamic_shapes={"images": dims},
            custom_translation_table={torch.ops.spacemeshlab.transposed_meshgrid_conv2d.default: _translate},
            opset_version=OPSET,
            external_data=False,
            verbose=False,
        )


def _save(program, path: Path, metadata: dict[str, str]) -> None:
    """Write the program with ``metadata`` and without the source lines that the exporter notes at every node."""
    model = program.model
    for node in model.graph.all_nodes():
        node.metadata_props.clear()
    for value in (*model.graph.inputs, *model.graph.outputs, *model.graph.initializers.values()):
        value.metadata_props.clear()
    model.graph.metadata_props.clear()
    model.metadata_props.clear()
    model.metadata_props.update(metadata)
    program.save(path, external_data=False)


def _difference(reference: SpaceMeshLab, path: Path) -> float:
    """The largest difference between onnxruntime's logits and torch's, as a part of the largest logit."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    random, worst = torch.Generator().manual_seed(0), torch.zeros(())
    for batch, height, width in SIZES:
        images = torch.randn(batch, 3, height, width, generator=random)
        with torch.inference_mode():
            expected = reference(images)["out"]
        (found,) = session.run(["logits"], {"images": images.numpy()})
        difference = (torch.from_numpy(found) - expected).abs().max() / expected.abs().max()
        worst = torch.maximum(worst, difference)  # keeps NaN
    return worst.item()


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keep the exporter's progress, warnings and log lines to itself; what fails is raised all the same."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        disabled = logging.root.manager.disable
        logging.disable(logging.ERROR)
        try:
            yield
        finally:
            logging.disable(disabled)


def _check_packages() -> None:
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(f'expected {", ".join(missing)} for the export, found none: pip install "spacemeshlab[onnx]"')


def _check_place(path: Path) -> None:
    """Before the minute that the export takes, not after it."""
    if path.is_dir() or not path.parent.is_dir():
        found = "a folder" if path.is_dir() else f"no folder {path.parent}"
        raise UserError(f"expected a file name in a folder that exists, found {found}: choose another than {path}")
