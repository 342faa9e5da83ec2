"""Time onnxruntime beside PyTorch on this CPU: python tools/benchmarks/onnx_speed.py

Features of all four stages, float32, weights at random, as many threads for both. The exported
graph is first compared with the training form; then PyTorch's eager training form, its deployed
form and onnxruntime run in turn, as in cpu_speed.py, of which the timing is. Needs timm and
pip install 'mmspanet[deploy]'.
"""

import argparse
import copy
import platform
import tempfile
from collections.abc import Callable
from pathlib import Path

import onnxruntime
import torch
from cpu_speed import markdown, summary, time_in_turn
from torch import Tensor, nn

from mmspanet.deployment import export, parts
from mmspanet.models import SPANetV2

EAGER = 'PyTorch'


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--rounds', type=int, default=9, help='runs of each model and size')
    parser.add_argument(
        '--arch', nargs='+', default=['s18-pure', 's18-hybrid'], help='which of ours'
    )
    parser.add_argument(
        '--sides', nargs='+', type=int, default=[224, 512], help='of the square images, in pixels'
    )
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
        export.write_onnx(part, path, dynamic_batch=False, notes={})
        difference = export.largest_difference(path, reference)
        if difference > export.TOLERANCE:
            raise SystemExit(f'error: the graph differs from PyTorch by {difference:.1e}.')
        session = onnxruntime.InferenceSession(str(path), options, ['CPUExecutionProvider'])
    return lambda images: session.run(None, dict(images=images.numpy()))


@torch.no_grad()
def main() -> None:
    args = parse_args()
    print(
        f'{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, torch '
        f'{torch.__version__}, onnxruntime {onnxruntime.__version__}'
    )
    for arch in args.arch:
        torch.manual_seed(0)
        trained = SPANetV2(arch).eval()
        deployed = copy.deepcopy(trained)
        deployed.switch_to_deploy()
        tables = []
        for side in args.sides:
            models = {
                EAGER: trained,
                f'{EAGER}, deployed': deployed,
                'onnxruntime': in_onnxruntime(trained, side),
            }
            images = torch.randn(1, 3, side, side)
            rows = summary(time_in_turn(models, images, args.rounds), EAGER)
            tables.append(dict(shape=images.shape, rows=rows))
        print(f'\n{arch}\n\n{markdown(dict(tables=tables))}')


if __name__ == '__main__':
    main()
