"""Compare every variant between the CPU and a GPU in float32: maps of both forms, gradients.

And the filter as the release has it, whose gains differ at omega and -omega: NVIDIA does not define
what cuFFT makes of such a spectrum, and our models give it none.
"""

import argparse
import copy
import json
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.gpu_speed import ODD_SIZES, parity
from benchmarks.models import directions, ours, training_step
from benchmarks.timing import check_equal
from benchmarks.training_speed import PARITY
from mmspanet.models import SPANetV2

FILTER_SIZES = (56, 28, 14, 7)  # of a 224 px image


def gradient_parity(device: str, archs: list[str]) -> dict[str, float]:
    """The largest difference of a parameter's gradient between the CPU and the device."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    worst = {}
    for arch in archs:
        name = f'{arch}, gradients'
        model = ours(arch).train()
        there = copy.deepcopy(model).to(device)
        images = torch.randn(2, 3, *ODD_SIZES[-1])
        along = directions(model, images)
        training_step(model, images, along)
        training_step(there, images.to(device), [each.to(device) for each in along])
        gradients = ([p.grad for p in one.parameters()] for one in (there, model))
        worst[name] = check_equal(name, *gradients, PARITY)
    return worst


def uneven_filter(device: str, sizes: Sequence[int]) -> dict[str, float]:
    """How far ``irfft2(g rfft2(u))`` is from the CPU's, over its largest value, by map."""
    found = {}
    for size in sizes:
        u, gain = torch.randn(1, 8, size, size), torch.rand(8, size, size // 2 + 1)
        expected, there = (
            torch.fft.irfft2(torch.fft.rfft2(u.to(place)) * gain.to(place), s=(size, size)).cpu()
            for place in ('cpu', device)
        )
        worst = (there - expected).abs().max() / expected.abs().max()
        found[f"the release's filter, {size} x {size}"] = worst.item()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--device', default='cuda')
    parser.add_argument('--archs', nargs='+', default=sorted(SPANetV2.arch_settings))
    parser.add_argument('--out', type=Path, required=True, help='JSON file of the differences')
    args = parser.parse_args()
    with torch.no_grad():
        worst = parity(args.device, args.archs, ODD_SIZES)
    worst |= gradient_parity(args.device, args.archs) | uneven_filter(args.device, FILTER_SIZES)
    args.out.write_text(json.dumps({name: f'{value:.1e}' for name, value in worst.items()}))


if __name__ == '__main__':
    main()
