"""Time onnxruntime beside PyTorch on this CPU.

Maps of all four stages, float32, one image, weights at random, as many threads for both. The
exported graph is first compared with the training form; then PyTorch's eager training form, its
deployed form and onnxruntime run in turn. Needs timm, onnx, onnxscript and onnxruntime.
"""

import argparse
import copy
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import onnxruntime
import torch
from torch import Tensor, nn

from benchmarks.models import deployed, ours
from benchmarks.tables import timings
from benchmarks.timing import (
    add_options,
    check_equal,
    report,
    summary,
    time_in_turn,
)
from mmspanet import surroundings
from mmspanet.deployment import export, parts
from mmspanet.models import SPANetV2

EAGER = 'PyTorch'


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        '--arch',
        nargs='+',
        choices=sorted(SPANetV2.arch_settings),
        default=['s18-pure', 's18-hybrid'],
        help='which of ours',
    )
    parser.add_argument(
        '--sides', nargs='+', type=int, default=[224, 512], help='of the square images, in pixels'
    )
    add_options(parser, rounds=9)
    return parser.parse_args()


def in_onnxruntime(model: nn.Module, side: int) -> Callable[[Tensor], list]:
    """The backbone as a session of onnxruntime; an error if it computes something else."""
    holder = nn.Module()
    holder.backbone = copy.deepcopy(model)
    (reference,) = parts.backbone_parts(holder, (side, side), 1)
    holder = copy.deepcopy(holder)
    parts.prepare(holder, (side, side))
    (part,) = parts.backbone_parts(holder, (side, side), 1)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'backbone.onnx'
        export.write_onnx(part, path, notes={})
        difference = export.largest_difference(export.open_in_runtime(path), reference)
        if difference > export.TOLERANCE:
            raise SystemExit(f'error: the graph differs from PyTorch by {difference:.1e}.')
        session = onnxruntime.InferenceSession(str(path), options, ['CPUExecutionProvider'])
    return lambda images: session.run(None, dict(images=images.numpy()))


@torch.no_grad()
def main() -> None:
    args = parse_args()
    tables = []
    for arch in args.arch:
        trained = ours(arch)
        folded = deployed(trained)
        models = {f'{arch}, {EAGER}': trained, f'{arch}, {EAGER}, deployed': folded}
        for side in args.sides:
            images = torch.randn(1, 3, side, side)
            check_equal(f'{arch}, deployed', folded(images), trained(images))
            runs: dict[str, Callable[[], object]] = {
                name: partial(model, images) for name, model in models.items()
            }
            runs[f'{arch}, onnxruntime'] = partial(in_onnxruntime(trained, side), images)
            title = 'x'.join(map(str, images.shape))
            times = time_in_turn(runs, args.rounds, title)
            rows = summary(times, f'{arch}, {EAGER}')
            tables.append(dict(title=title, rows=rows, seconds=times))
    record = dict(**surroundings.record('onnxruntime'), tables=tables)
    report(record, timings(tables), args.out)


if __name__ == '__main__':
    main()
