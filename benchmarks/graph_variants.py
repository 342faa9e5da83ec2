"""Time the ways to write each step of a SPANetV2 in a graph, in OpenVINO on this CPU, by map size.

The sizes are those of S18's stages at 8x3x224x224 and 1x3x800x1216. Every step stands between two
1x1 convolutions, which its layout has to suit and whose time is included. Every way is first
compared with the first one of its step. Needs onnx, onnxscript and openvino.
"""

import argparse
import copy
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn

from benchmarks.onnx_speed import in_openvino, write
from benchmarks.operator_variants import KERNELS, MAPS
from benchmarks.tables import graph_variants
from benchmarks.timing import add_options, check_equal, report, summary, time_in_turn
from mmspanet import surroundings
from mmspanet.deployment import dft, layers
from mmspanet.models import SPAM
from mmspanet.models.deploy import DeployedSPAM
from mmspanet.models.layers import LayerNorm2d

PRECISIONS = {'f32': 1e-4, 'bf16': 3e-2}  # and the tolerance, relative to the largest value
OUT = 16  # channels behind the step, few so that the comparison is of the step

Ways = dict[str, nn.Module]


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser, rounds=15)
    parser.add_argument(
        '--maps', nargs='+', type=int, default=range(len(MAPS)), help='which of the sizes, by index'
    )
    return parser.parse_args()


class Between(nn.Module):
    """A step between two 1x1 convolutions."""

    def __init__(self, step: nn.Module, channels: int, out_channels: int) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.first = nn.Conv2d(channels, channels, 1)
        self.step = step
        self.last = nn.Conv2d(out_channels, OUT, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, OUT, H, W)."""
        return self.last(self.step(self.first(x)))


class ConstantProducts(dft.MatrixSpectralFilter):
    """The filter with constants on the left of its products."""

    def zero(self, u: Tensor) -> Tensor:
        """A constant that a runtime folds into the matrices."""
        return torch.zeros(1)


class Heads(nn.Module):
    """The context and a depthwise convolution per head, of slices of one map, joined behind."""

    def __init__(self, spam: DeployedSPAM) -> None:
        super().__init__()
        self.context, self.convs, self.dim = spam.context, spam.convs, spam.head_dim

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        slices = self.context(x).chunk(len(self.convs), dim=1)
        heads = [conv(part) for conv, part in zip(self.convs, slices, strict=True)]
        return torch.stack(heads, dim=self.dim).flatten(1, 2)


def norm_ways(channels: int) -> Ways:
    """LayerNorm over the channels."""
    norm = LayerNorm2d(channels)
    return {
        'LayerNorm: behind a permutation': norm,
        'LayerNorm: moments of the channel axis': layers.ChannelNorm(norm),
    }


def whole_norm_ways(channels: int) -> Ways:
    """GroupNorm of one group."""
    norm = nn.GroupNorm(1, channels)
    return {
        'GroupNorm: as PyTorch exports it': norm,
        'GroupNorm: moments of the map': layers.WholeNorm(norm),
    }


def filter_ways(spam: SPAM, size: tuple[int, int]) -> Ways:
    """The spectral filter, of two or four products a way."""

    def built(largest_dense: int, kind: type[dft.MatrixSpectralFilter]) -> nn.Module:
        with mock.patch.object(dft, 'LARGEST_DENSE', largest_dense):
            return kind(spam.srf, size)

    return {
        'filter: whole axes, constant matrices': built(1000, ConstantProducts),
        'filter: whole axes': built(1000, dft.MatrixSpectralFilter),
        'filter: factored axes': built(0, dft.MatrixSpectralFilter),
    }


def head_ways(spam: DeployedSPAM) -> Ways:
    """Context and kernels of the heads."""
    joined = layers.GraphSPAM(copy.deepcopy(spam))
    return {
        'heads: a convolution each': Heads(spam),
        'heads: one convolution of filled-up kernels': nn.Sequential(joined.context, joined.conv),
    }


def expand_ways(spam: SPAM) -> Ways:
    """P1, of groups of four channels."""
    return {
        f'P1: {together} groups in one': layers.joined_groups(spam.head_mix, together)
        for together in (1, 8, 16, spam.head_mix.groups)
    }


def table(ways: Ways, x: Tensor, out_channels: int, precision: str, rounds: int) -> dict[str, Any]:
    """The timings of one step for maps x."""
    title = 'x'.join(map(str, x.shape))
    runs = {}
    first = next(iter(ways))
    expected = Between(ways[first], x.shape[1], out_channels)(x)
    with tempfile.TemporaryDirectory() as folder:
        for name, way in ways.items():
            file = write(Between(way, x.shape[1], out_channels), x, Path(folder) / 'way.onnx')
            runs[name] = in_openvino(file, x, precision)
            actual = torch.from_numpy(runs[name]()[0])
            check_equal(name, [actual], [expected], PRECISIONS[precision])
    times = time_in_turn(runs, rounds, title)
    return dict(title=title, rows=summary(times, first), seconds=times)


@torch.no_grad()
def main() -> None:
    args = parse_args()
    precisions: dict[str, list[dict[str, Any]]] = {precision: [] for precision in PRECISIONS}
    for shape in (MAPS[i] for i in args.maps):
        x, channels, size = torch.randn(shape), shape[1], shape[2:]
        torch.manual_seed(0)
        spam = SPAM(channels, size, KERNELS).eval()
        deployed = DeployedSPAM(copy.deepcopy(spam), torch.ones(channels))
        steps = [
            (norm_ways(channels), channels),
            (whole_norm_ways(channels), channels),
            (filter_ways(spam, size), channels),
            (head_ways(deployed), channels),
            (expand_ways(spam), 2 * channels),
        ]
        for precision, tables in precisions.items():
            tables += [table(ways, x, out, precision, args.rounds) for ways, out in steps]
    record = dict(**surroundings.record('openvino', device='cpu'), precisions=precisions)
    report(record, graph_variants(record), args.out)


if __name__ == '__main__':
    main()
