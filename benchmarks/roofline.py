"""Roofline of S18-pure on this CPU: how far from the machine's own limits each version is.

Operations are those of mmspanet.analysis.costs, two to a MAC. Least bytes come twice: of the
whole model (the image, the weights and the four maps, all else kept in the cache), and layer by
layer (each convolution, product, norm and FFT reads its input and weights once and writes its
output once; elementwise steps are free). The machine's limits are measured: the fastest of a
few large products, and a copy of 256 MiB.
"""

import argparse
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from benchmarks import tables
from benchmarks.models import deployed, ours
from benchmarks.timing import add_options, report, seconds, time_in_turn
from mmspanet import surroundings
from mmspanet.analysis.costs import count_costs
from mmspanet.models import SPANetV2

SHAPES = ((1, 3, 224, 224), (1, 3, 800, 1280))
LAYERS = ('convolution', 'addmm', 'mm', 'native_layer_norm', 'native_group_norm')
TRANSFORMS = ('_fft_r2c', '_fft_c2r')


class Traffic(TorchDispatchMode):
    """Bytes that each layer reads and writes at least, one entry per call."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes: list[int] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if func.overloadpacket.__name__ in LAYERS + TRANSFORMS:
            tensors = [t for t in tree_leaves((args, out)) if isinstance(t, Tensor)]
            self.bytes.append(sum(t.numel() * t.element_size() for t in tensors))
        return out


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--compile', action='store_true', help='also under torch.compile')
    add_options(parser, rounds=9)
    return parser.parse_args()


def best(run, operations: float, repeats: int = 12) -> float:
    """The highest rate of ``run`` in operations per second."""
    return operations / min(seconds(run) for _ in range(repeats))


def peak_flops() -> float:
    """Floating-point operations per second of the fastest large product at hand."""
    rates = []
    for channels, side in ((256, 64), (512, 64), (1024, 48)):
        x = torch.randn(1, channels, side, side).contiguous(memory_format=torch.channels_last)
        weight = torch.randn(channels, channels, 1, 1)
        operations = 2 * channels**2 * side**2
        rates.append(best(partial(F.conv2d, x, weight), operations))
        flat, square = torch.randn(side**2, channels), weight.flatten(1)
        rates.append(best(partial(F.linear, flat, square), operations))
    return max(rates)


def peak_bytes() -> float:
    """Bytes read and written per second by a copy that no cache holds."""
    source = torch.randn(2**26)
    target = torch.empty_like(source)
    return best(partial(target.copy_, source), 2 * source.numel() * source.element_size())


def needs(shape: tuple[int, ...]) -> dict[str, float]:
    """Operations and least bytes of one image."""
    with torch.device('meta'):
        model, images = SPANetV2().eval(), torch.empty(shape)
    (whole, *_) = count_costs(model, lambda: model(images))
    with torch.no_grad(), Traffic() as traffic:
        outs = model(images)
    weights = sum(p.numel() for p in model.parameters())
    ends = images.numel() + sum(out.numel() for out in outs)
    return dict(
        operations=2 * sum(whole.macs.values()),
        whole_bytes=4 * (weights + ends),
        layer_bytes=sum(traffic.bytes),
    )


def versions(compiled: bool) -> dict[str, nn.Module]:
    """The forms of S18-pure, with one set of weights."""
    trained = ours('s18-pure')
    models = {'training form': trained, 'deployed': deployed(trained)}
    if compiled:
        models |= {f'{name}, compiled': torch.compile(model) for name, model in models.items()}
    return models


@torch.no_grad()
def main() -> None:
    args = parse_args()
    flops, bandwidth = peak_flops(), peak_bytes()
    models = versions(args.compile)
    measured = []
    for shape in SHAPES:
        need = needs(shape)
        images = torch.randn(shape)
        runs = {name: partial(model, images) for name, model in models.items()}
        times = time_in_turn(runs, args.rounds, 'x'.join(map(str, shape)))
        measured.append(dict(shape=shape, **need, seconds=times))
    record = dict(
        **surroundings.record(device='cpu'), flops=flops, bandwidth=bandwidth, tables=measured
    )
    report(record, tables.roofline(record), args.out)


if __name__ == '__main__':
    main()
