"""Time a training step, forward and backward, beside timm's MetaFormers, HorNet and the oracle.

Maps of all four stages, float32 on this CPU, 4x3x224x224, the loss the mean of each map times
a random one; no optimizer. The gradients of ours are first compared with the oracle's. Needs timm.
"""

import argparse
from functools import partial

import torch

from benchmarks.models import PEERS, OracleModel, directions, hornets, ours, peer, training_step
from benchmarks.tables import timings
from benchmarks.timing import (
    add_options,
    check_equal,
    report,
    summary,
    time_in_turn,
)
from mmspanet import surroundings
from mmspanet.checkpoints import backbone_to_authors

SHAPE = (4, 3, 224, 224)
PARITY = 5e-3  # StarReLU's scalars: their gradients are sums that nearly cancel


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--arch', nargs='+', choices=PEERS, default=[*PEERS], help='which of ours')
    add_options(parser, rounds=9)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    tables = []
    for arch in args.arch:
        trained = ours(arch)
        models = {arch: trained, PEERS[arch]: peer(arch), 'oracle': OracleModel(trained)}
        models |= hornets()
        for model in models.values():
            model.train()
        images = torch.randn(SHAPE)
        along = {name: directions(model, images) for name, model in models.items()}
        for name in (arch, 'oracle'):
            training_step(models[name], images, along[arch])
        gradients = backbone_to_authors({k: p.grad for k, p in trained.named_parameters()})
        oracle = [p.grad for p in models['oracle'].weights]
        own = [gradients[name] for name in models['oracle'].names]
        check_equal(arch, own, oracle, PARITY)
        runs = {
            name: partial(training_step, model, images, along[name])
            for name, model in models.items()
        }
        times = time_in_turn(runs, args.rounds, arch)
        tables.append(dict(title='x'.join(map(str, SHAPE)), rows=summary(times, 'oracle')))
    record = dict(**surroundings.record('timm'), tables=tables)
    report(record, timings(tables), args.out)


if __name__ == '__main__':
    main()
