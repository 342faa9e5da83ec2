"""Time deployed backbones in bfloat16 beside timm's MetaFormers in theirs, on this CPU.

Maps of all four stages, weights at random. A peer runs with its weights in bfloat16, in either
layout of memory, and under autocast; ratios are to the fastest of these. The deployed forms are
first compared with the training form in float32. Needs timm and a processor with products in
bfloat16.
"""

import argparse
import copy
import statistics
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from benchmarks.cpu_speed import SHAPES, shape
from benchmarks.models import PEERS, deployed, ours, peer
from benchmarks.tables import timings
from benchmarks.timing import add_options, check_equal, report, summary, time_in_turn
from mmspanet import surroundings

PARITY = 4e-2

Run = Callable[[], object]


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--arch', nargs='+', choices=PEERS, default=[*PEERS], help='which of ours')
    parser.add_argument(
        '--shapes', nargs='+', type=shape, default=SHAPES, help='of the images, such as 8x3x224x224'
    )
    add_options(parser, rounds=9)
    return parser.parse_args()


def under_autocast(model: nn.Module, images: Tensor) -> object:
    """A forward pass in bfloat16 where PyTorch's autocast takes it."""
    with torch.autocast('cpu', torch.bfloat16):
        return model(images)


def forms_of_peer(name: str, model: nn.Module, images: Tensor) -> dict[str, Run]:
    """The ways to run timm's model in bfloat16."""
    half = copy.deepcopy(model).bfloat16()
    last = copy.deepcopy(half).to(memory_format=torch.channels_last)
    pixels = images.bfloat16()
    return {
        name: partial(half, pixels),
        f'{name}, channels_last': partial(
            last, pixels.contiguous(memory_format=torch.channels_last)
        ),
        f'{name}, autocast': partial(under_autocast, model, images),
    }


@torch.no_grad()
def main() -> None:
    args = parse_args()
    tables = []
    for arch in args.arch:
        trained, other = ours(arch), peer(arch)
        plain, half = deployed(trained), deployed(trained, torch.bfloat16)
        for size in args.shapes:
            images = torch.randn(size)
            check_equal(arch, half(images), trained(images), PARITY)
            runs: dict[str, Run] = {
                f'{arch}, deployed, float32': partial(plain, images),
                f'{arch}, deployed, bfloat16': partial(half, images),
            }
            peers = forms_of_peer(PEERS[arch], other, images)
            title = 'x'.join(map(str, size))
            times = time_in_turn(runs | peers, args.rounds, f'{arch}, {title}')
            fastest = min(peers, key=lambda name: statistics.median(times[name]))
            tables.append(dict(title=title, rows=summary(times, fastest), seconds=times))
    record = dict(**surroundings.record('timm', device='cpu'), tables=tables)
    report(record, timings(tables), args.out)


if __name__ == '__main__':
    main()
