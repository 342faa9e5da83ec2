"""Time SPANetV2 beside timm's MetaFormers, HorNet and the tests' oracle on this CPU, in inference.

Maps of all four stages, float32, weights at random. Before timing, the training form is
compared with the oracle and the deployed form with the training form. The models run in turn;
each line gives the median, the quartiles and the ratio to the peer. With --compile all but the
oracle run under torch.compile. Needs timm, and MMPretrain for HorNet.
"""

import argparse
from functools import partial

import torch

from benchmarks.models import PEERS, OracleModel, deployed, hornets, ours, peer
from benchmarks.tables import timings
from benchmarks.timing import (
    add_options,
    check_equal,
    report,
    summary,
    time_in_turn,
)
from mmspanet import surroundings

SHAPES = ((8, 3, 224, 224), (1, 3, 800, 1216))


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--arch', nargs='+', choices=PEERS, default=[*PEERS], help='which of ours')
    parser.add_argument(
        '--shapes', nargs='+', type=shape, default=SHAPES, help='of the images, such as 8x3x224x224'
    )
    parser.add_argument('--compile', action='store_true', help='under torch.compile')
    add_options(parser, rounds=9)
    return parser.parse_args()


def shape(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split('x')))


@torch.no_grad()
def main() -> None:
    args = parse_args()
    tables = []
    for arch in args.arch:
        trained = ours(arch)
        oracle = OracleModel(trained)
        models = {arch: trained, f'{arch}, deployed': deployed(trained), PEERS[arch]: peer(arch)}
        models |= hornets()
        if not args.compile:
            models['oracle'] = oracle
        for size in args.shapes:
            torch._dynamo.reset()  # so that each size is compiled for itself, none as a free one
            timed = {k: torch.compile(m) for k, m in models.items()} if args.compile else models
            images = torch.randn(size)
            expected = oracle(images)
            for name in (arch, f'{arch}, deployed'):
                check_equal(name, timed[name](images), expected)
            runs = {name: partial(model, images) for name, model in timed.items()}
            title = 'x'.join(map(str, size))
            times = time_in_turn(runs, args.rounds, title)
            tables.append(dict(title=title, rows=summary(times, PEERS[arch]), seconds=times))
    record = dict(compiled=args.compile, **surroundings.record('timm', device='cpu'), tables=tables)
    report(record, timings(tables), args.out)


if __name__ == '__main__':
    main()
