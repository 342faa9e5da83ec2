"""Time a training step, forward and backward, beside timm's MetaFormers, HorNet and the oracle.

Maps of all four stages, 4x3x224x224 on this CPU, in float32 and under bfloat16 autocast; the loss
is the mean of each map times a random one; no optimizer. The gradients of ours are first compared
with the oracle's. Ours also runs by the plain formulas, without the steps of
mmspanet/models/lean.py. Ratios are to timm's model of the same class. Needs timm.
"""

import argparse
from collections.abc import Callable
from functools import partial
from unittest import mock

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
from mmspanet.models import SPANetV2, lean

SHAPE = (4, 3, 224, 224)
PARITY = 5e-3  # StarReLU's scalars: their gradients are sums that nearly cancel


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--arch', nargs='+', choices=PEERS, default=[*PEERS], help='which of ours')
    add_options(parser, rounds=9)
    return parser.parse_args()


def check_gradients(trained: SPANetV2, oracle: OracleModel) -> None:
    """Hold the gradients of ours in a step to those of the oracle in the same step."""
    gradients = backbone_to_authors({k: p.grad for k, p in trained.named_parameters()})
    own = [gradients[name] for name in oracle.names]
    check_equal('the gradients', own, [p.grad for p in oracle.weights], PARITY)


def by_plain_formulas(step: Callable[[], None]) -> Callable[[], None]:
    """The step without those of lean.py."""

    def run() -> None:
        with mock.patch.object(lean, 'applies', return_value=False):
            step()

    return run


def main() -> None:
    args = parse_args()
    tables = []
    shape = 'x'.join(map(str, SHAPE))
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
        check_gradients(trained, models['oracle'])
        for precision in (torch.float32, torch.bfloat16):
            runs: dict[str, Callable[[], None]] = {
                name: partial(training_step, model, images, along[name], precision)
                for name, model in models.items()
            }
            runs[f'{arch}, plain formulas'] = by_plain_formulas(runs[arch])
            title = f'{shape}, {str(precision).removeprefix("torch.")}'
            times = time_in_turn(runs, args.rounds, f'{arch}, {title}')
            tables.append(dict(title=title, rows=summary(times, PEERS[arch]), seconds=times))
    record = dict(**surroundings.record('timm', device='cpu'), tables=tables)
    report(record, timings(tables), args.out)


if __name__ == '__main__':
    main()
