"""Times and memory of the small models of several families on a GPU, in all float types.

Maps of all four stages: inference eager and compiled, a training step with its peak memory, in
float32 (without TF32) and under float16 and bfloat16 autocast. Models run in PyTorch's default
layout. What fails is named with its error, and the rest goes on, with status 1 in the end; the
record is written after each row, and --minutes ends the run with what it has.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import timm
import torch
from tabulate import tabulate
from torch import Tensor, nn

from benchmarks.models import deployed, directions, hornet, ours, training_step
from benchmarks.timing import seconds
from mmspanet import surroundings

DTYPES = dict(fp32=torch.float32, fp16=torch.float16, bf16=torch.bfloat16)


MODELS: dict[str, Callable[[], nn.Module]] = {
    'SPANetV2-S18-pure': lambda: ours('s18-pure'),
    'SPANetV2-S18-hybrid': lambda: ours('s18-hybrid'),
    'ConvFormer-S18': lambda: timm.create_model('convformer_s18', features_only=True),
    'CAFormer-S18': lambda: timm.create_model('caformer_s18', features_only=True),
    'HorNet-T-GF': partial(hornet, 'hornet_t_gf'),
    'ConvNeXt-T': lambda: timm.create_model('convnext_tiny', features_only=True),
}


def median_time(run: Callable[[], object], rounds: int) -> float:
    """Median seconds, after two runs that warm up."""
    return statistics.median([seconds(run) for _ in range(rounds + 2)][2:])


def infer(model: nn.Module, images: Tensor, dtype: torch.dtype) -> None:
    with torch.no_grad(), torch.autocast(images.device.type, dtype, dtype != torch.float32):
        model(images)


def eager(model: nn.Module, images: Tensor, dtype: torch.dtype, rounds: int) -> dict[str, float]:
    """Images a second."""
    return dict(eager=len(images) / median_time(partial(infer, model, images, dtype), rounds))


def compiled(model: nn.Module, images: Tensor, dtype: torch.dtype, rounds: int) -> dict[str, float]:
    """Images a second of the model that is compiled for this size and type alone."""
    torch.compiler.reset()
    run = partial(infer, torch.compile(model), images, dtype)
    return dict(compiled=len(images) / median_time(run, rounds))


def training(model: nn.Module, images: Tensor, dtype: torch.dtype, rounds: int) -> dict[str, float]:
    """Images a second and, on a GPU, the step's peak memory in MiB."""
    model.train()
    run = partial(training_step, model, images, directions(model, images), dtype)
    if images.device.type != 'cuda':
        return dict(training=len(images) / median_time(run, rounds))
    torch.compiler.reset()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    found = dict(training=len(images) / median_time(run, rounds))
    return found | {'peak MiB': torch.cuda.max_memory_allocated() / 2**20}


def measure(name: str, dtype: torch.dtype, args: argparse.Namespace) -> dict[str, object]:
    """The figures of a row, and under ``error`` what failed of them."""
    row: dict[str, object] = {}
    try:
        images = torch.randn(args.shape, device=args.device)
        trained = MODELS[name]().to(args.device)
        trained.eval()  # MMPretrain's returns nothing
        inferring = deployed(trained) if name.startswith('SPANetV2') else trained
    except Exception as error:
        return dict(error=said(error))
    steps = [(eager, inferring), (compiled, inferring), (training, trained)]
    del inferring
    while steps:
        step, model = steps.pop(0)  # the deployed form is not in the peak of the training
        if step is compiled and not args.compile:
            continue
        try:
            row |= step(model, images, dtype, args.rounds)
        except Exception as error:
            row['error'] = f'{step.__name__}: {said(error)}'
    return row


def said(error: Exception) -> str:
    """The kind of an error and its first line."""
    return f'{type(error).__name__}: {(str(error).splitlines() or [""])[0][:200]}'


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--device', default='cuda')
    parser.add_argument('--models', nargs='+', choices=MODELS, default=list(MODELS))
    parser.add_argument('--dtypes', nargs='+', choices=DTYPES, default=list(DTYPES))
    parser.add_argument('--shape', nargs=4, type=int, default=[64, 3, 224, 224], metavar='N')
    parser.add_argument('--rounds', type=int, default=10, help='timed runs of each (default: 10)')
    parser.add_argument(
        '--minutes', type=float, default=12, help='begin no row after (default: 12)'
    )
    parser.add_argument('--no-compile', dest='compile', action='store_false')
    parser.add_argument('--out', type=Path, help='JSON file of the record to write')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    start, rows = time.monotonic(), []
    around = surroundings.record('timm', device=args.device)
    table = ''
    for type_name in args.dtypes:
        for name in args.models:
            row: dict[str, object] = {'model': name, 'type': type_name}
            if time.monotonic() - start > 60 * args.minutes:
                row['left out'] = 'no time left'
            else:
                row |= measure(name, DTYPES[type_name], args)
                if args.device.startswith('cuda'):
                    torch.cuda.empty_cache()
                torch.compiler.reset()
            rows.append(row)
            print(row, flush=True)
            table = tabulate(rows, headers='keys', tablefmt='github', floatfmt='.1f')
            if args.out:
                shown = dict(device=args.device, shape=args.shape, rows=rows, table=table)
                args.out.write_text(json.dumps(around | shown, indent=1) + '\n')
    print(f'\nImages a second, {"x".join(map(str, args.shape))}\n\n{table}')
    if any('error' in row for row in rows):
        raise SystemExit(1)


if __name__ == '__main__':
    main()
