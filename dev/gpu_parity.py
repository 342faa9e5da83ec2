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

from benchmarks.models import deployed, directions, ours, training_step
from benchmarks.timing import difference
from benchmarks.training_speed import PARITY as GRADIENTS
from mmspanet.models import SPANetV2

SIZES = ((224, 224), (225, 175), (97, 131))
MAPS = 1e-4  # the largest difference of maps, float32 without TF32
FILTER_SIZES = (56, 28, 14, 7)  # of a 224 px image


@torch.no_grad()
def map_parity(device: str, archs: Sequence[str]) -> dict[str, float]:
    """The largest difference of each variant's maps between the CPU and the device, by form."""
    found = {}
    for arch in archs:
        model = ours(arch)
        images = [torch.randn(1, 3, *size) for size in SIZES]
        expected = [maps for image in images for maps in model(image)]
        forms = {arch: copy.deepcopy(model), f'{arch}, deployed': deployed(model)}
        for name, form in forms.items():
            there = form.to(device)
            actual = [maps for image in images for maps in there(image.to(device))]
            found[name] = difference(actual, expected)
    return found


def gradient_parity(device: str, archs: Sequence[str]) -> dict[str, float]:
    """The largest difference of a parameter's gradient between the CPU and the device."""
    found = {}
    for arch in archs:
        model = ours(arch).train()
        there = copy.deepcopy(model).to(device)
        images = torch.randn(2, 3, *SIZES[-1])
        along = directions(model, images)
        training_step(model, images, along)
        training_step(there, images.to(device), [each.to(device) for each in along])
        gradients = ([p.grad for p in one.parameters()] for one in (there, model))
        found[f'{arch}, gradients'] = difference(*gradients)
    return found


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
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    maps = map_parity(args.device, args.archs)
    gradients = gradient_parity(args.device, args.archs)
    found = maps | gradients | uneven_filter(args.device, FILTER_SIZES)
    args.out.write_text(json.dumps({name: f'{value:.1e}' for name, value in found.items()}))
    apart = [name for name, value in maps.items() if not value <= MAPS]
    apart += [name for name, value in gradients.items() if not value <= GRADIENTS]
    if apart:
        raise SystemExit(
            f'error: the GPU differs from the CPU in {", ".join(apart)}: see {args.out}.'
        )


if __name__ == '__main__':
    main()
