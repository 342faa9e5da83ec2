"""Time the deployed S18-pure on square images of 224 to 1344 pixels: does a pixel cost the same?

One image at a time, float32, eager, the sizes in turn; the ratio is of the times per pixel to
that at 224 pixels.
"""

import argparse

import torch

from benchmarks import tables
from benchmarks.models import deployed, ours
from benchmarks.timing import add_options, check_equal, report, time_in_turn
from mmspanet import surroundings

SIDES = (224, 320, 448, 640, 896, 1120, 1344)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--arch', default='s18-pure', help='which of ours (default: s18-pure)')
    add_options(parser, rounds=9)
    return parser.parse_args()


@torch.no_grad()
def main() -> None:
    args = parse_args()
    trained = ours(args.arch)
    model = deployed(trained)
    images = {side: torch.randn(1, 3, side, side) for side in SIDES}
    check_equal(args.arch, model(images[224]), trained(images[224]))
    # A small image takes milliseconds: repeated, it is timed as well as a large one.
    repeats = {side: round((1344 / side) ** 2) for side in SIDES}
    runs = {
        str(side): lambda side=side: [model(images[side]) for _ in range(repeats[side])]
        for side in SIDES
    }
    times = time_in_turn(runs, args.rounds, args.arch)
    per_pixel = {
        side: [1e9 * value / repeats[side] / side**2 for value in times[str(side)]]
        for side in SIDES
    }
    record = dict(**surroundings.record(device='cpu'), arch=args.arch, ns_per_pixel=per_pixel)
    report(record, tables.size_sweep(record), args.out)


if __name__ == '__main__':
    main()
