"""Time the ways to compute each step of a deployed SPAM on this CPU, by map size.

The sizes are those of S18's stages at 8x3x224x224 and 1x3x800x1216. Every way is first compared
with the first one of its step. At the end, what torch.compile makes of the backbone: graphs,
breaks and recompilations over five image sizes.
"""

import argparse
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._dynamo.utils import counters

from benchmarks.models import deployed, ours
from benchmarks.tables import operator_variants
from benchmarks.timing import (
    add_options,
    check_equal,
    report,
    summary,
    time_in_turn,
)
from mmspanet import surroundings
from mmspanet.models.deploy import FixedLinear
from mmspanet.models.dft import filter_maps

MAPS = (
    *((8, 64, 56, 56), (8, 128, 28, 28), (8, 320, 14, 14), (8, 512, 7, 7)),
    *((1, 64, 200, 304), (1, 128, 100, 152), (1, 320, 50, 76), (1, 512, 25, 38)),
)
KERNELS = (3, 5, 7, 9)
IMAGE_SIZES = ((224, 224), (256, 192), (225, 300), (320, 320), (97, 131))

Ways = dict[str, Callable[[], Tensor]]


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser, rounds=15)
    return parser.parse_args()


def spectral_ways(x: Tensor) -> Ways:
    """The filter of maps in channels-last memory, (B, C, H, W)."""
    _, channels, height, width = x.shape
    gain = torch.rand(channels, height, width // 2 + 1)
    map_gain = gain.permute(1, 2, 0)[:, None].contiguous()
    planes = x.contiguous()

    def by_fft(u: Tensor) -> Tensor:
        spectrum = torch.fft.rfft2(u, norm='ortho') * gain
        return torch.fft.irfft2(spectrum, s=(height, width), norm='ortho')

    return {
        'filter: FFT of channels-last maps': lambda: by_fft(x),
        'filter: FFT of contiguous maps': lambda: by_fft(planes),
        'filter: matrix products': lambda: filter_maps(x.permute(0, 2, 3, 1), map_gain).permute(
            0, 3, 1, 2
        ),
    }


def depthwise_ways(x: Tensor) -> Ways:
    """Four heads with kernels of their own, (B, C, H, W)."""
    group = x.shape[1] // len(KERNELS)
    convs = [nn.Conv2d(group, group, k, padding=k // 2, groups=group) for k in KERNELS]
    whole = nn.Conv2d(x.shape[1], x.shape[1], 9, padding=4, groups=x.shape[1])
    for i, (conv, k) in enumerate(zip(convs, KERNELS, strict=True)):
        own = slice(i * group, (i + 1) * group)
        margin = (9 - k) // 2
        whole.weight.data[own] = F.pad(conv.weight, [margin] * 4)
        whole.bias.data[own] = conv.bias
    parts = x.chunk(len(KERNELS), dim=1)
    heads = [part.contiguous(memory_format=torch.channels_last) for part in parts]

    def joined(inputs: list[Tensor]) -> Tensor:
        return torch.cat([c(i) for c, i in zip(convs, inputs, strict=True)], dim=1)

    return {
        'depthwise: a convolution per head, of slices of one map': lambda: joined(parts),
        'depthwise: a convolution per head, of maps of their own': lambda: joined(heads),
        'depthwise: one 9x9 of kernels filled up with zeros': lambda: whole(x),
    }


def expand_ways(x: Tensor) -> Ways:
    """P1, a 1x1 convolution C -> 2C in groups of four channels."""
    channels = x.shape[1]
    grouped = nn.Conv2d(channels, 2 * channels, 1, groups=channels // 4, bias=False)
    dense = torch.zeros(2 * channels, channels, 1, 1)
    for row in range(2 * channels):
        first = 4 * (row // 8)
        dense[row, first : first + 4] = grouped.weight[row]
    return {
        'P1: grouped': lambda: grouped(x),
        'P1: dense, filled up with zeros': lambda: F.conv2d(x, dense),
    }


def product_ways(x: Tensor) -> Ways:
    """The MLP's first product, C -> 4C."""
    weight = torch.randn(4 * x.shape[1], x.shape[1]) / x.shape[1] ** 0.5
    rows = x.permute(0, 2, 3, 1)
    packed = FixedLinear(weight)
    return {
        'C -> 4C: 1x1 convolution': lambda: F.conv2d(x, weight[:, :, None, None]),
        'C -> 4C: F.linear': lambda: F.linear(rows, weight).permute(0, 3, 1, 2),
        'C -> 4C: packed weights (oneDNN)': lambda: packed(x),
    }


def compiled_graphs(model: nn.Module) -> str:
    """A line about graphs over images of several sizes; dynamo alone, no code is generated."""
    torch._dynamo.reset()
    counters.clear()
    compiled = torch.compile(model, backend='eager')
    for size in IMAGE_SIZES:
        compiled(torch.randn(1, 3, *size))
    return (
        f'{counters["stats"]["unique_graphs"]} graphs for {len(IMAGE_SIZES)} image sizes, '
        f'{sum(counters["graph_break"].values())} graph breaks'
    )


@torch.no_grad()
def main() -> None:
    args = parse_args()
    tables = []
    for shape in MAPS:
        x = torch.randn(shape).contiguous(memory_format=torch.channels_last)
        for make in (spectral_ways, depthwise_ways, expand_ways, product_ways):
            ways = make(x)
            first = next(iter(ways))
            for name, way in ways.items():
                check_equal(name, [way()], [ways[first]()])
            title = 'x'.join(map(str, shape))
            times = time_in_turn(ways, args.rounds, title)
            tables.append(dict(title=title, rows=summary(times, first), seconds=times))
    trained = ours('s18-pure')
    graphs = {
        'training form': compiled_graphs(trained),
        'deployed form': compiled_graphs(deployed(trained)),
    }
    record = dict(**surroundings.record(device='cpu'), tables=tables, compiled=graphs)
    report(record, operator_variants(record), args.out)
    for form, line in graphs.items():
        print(f'torch.compile, {form}: {line}')


if __name__ == '__main__':
    main()
