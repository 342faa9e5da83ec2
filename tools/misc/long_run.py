"""Run a SPANetV2 for thousands of iterations of mixed image sizes and watch what grows.

Inference first, then training, in ten parts of the same sizes. The exit status is 1 if memory
grew by more than 5 % after the second part, a file stayed open, or the throughput fell by
more than 5 %: the best of the last three parts against the best of the first three, since
single parts differ by more on a shared machine.
"""

import argparse
import json
import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import torch
from rich.progress import track

from mmspanet.engine import launch
from mmspanet.models import SPANetV2

ARCH = dict(
    depths=(1, 1, 2, 1),
    channels=(32, 64, 64, 96),
    mixers=('SPAM', 'SPAM', 'Attention', 'Attention'),
)
PAGE = os.sysconf('SC_PAGE_SIZE')
GROWTH = 0.05


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--inference', type=int, default=2000, help='iterations of inference')
    parser.add_argument('--training', type=int, default=500, help='iterations of training')
    parser.add_argument('--out', type=Path, help='JSON file for the figures')
    return parser.parse_args()


def resident_bytes() -> int:
    return int(Path('/proc/self/statm').read_text().split()[1]) * PAGE


def open_files() -> int:
    return len(os.listdir('/proc/self/fd'))


def watch(title: str, step: Callable[[torch.Tensor], None], iterations: int) -> dict[str, float]:
    """Figures of a run of ``step`` over images of 32 to 160 pixels a side, in ten equal parts."""
    rng = random.Random(0)
    sizes = [(rng.randint(32, 160), rng.randint(32, 160)) for _ in range(iterations // 10)]
    memory, files, seconds = [], [], []
    for _ in track(range(10), title):
        start = time.process_time()
        for height, width in sizes:
            step(torch.rand(1, 3, height, width))
        seconds.append(time.process_time() - start)
        memory.append(resident_bytes() / 2**20)
        files.append(open_files())
    return {
        'iterations': 10 * len(sizes),
        'MiB after the second part': round(memory[1]),
        'MiB at the end': round(memory[-1]),
        'open files at the start': files[0],
        'open files at the end': files[-1],
        'iterations per CPU second, first parts': round(len(sizes) / min(seconds[:3]), 1),
        'iterations per CPU second, last parts': round(len(sizes) / min(seconds[-3:]), 1),
    }


def grew(figures: dict[str, float]) -> list[str]:
    """What of the figures of a run is not flat."""
    found = []
    if figures['MiB at the end'] > (1 + GROWTH) * figures['MiB after the second part']:
        found.append('memory')
    if figures['open files at the end'] > figures['open files at the start']:
        found.append('open files')
    first, last = (
        figures[f'iterations per CPU second, {parts} parts'] for parts in ('first', 'last')
    )
    if last < (1 - GROWTH) * first:
        found.append('time')
    return found


def main() -> None:
    args = parse_args()
    torch.set_num_threads(1)  # steady beside other work
    torch.manual_seed(0)
    model = SPANetV2(ARCH)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)

    def infer(image: torch.Tensor) -> None:
        with torch.inference_mode():
            model(image)

    def train(image: torch.Tensor) -> None:
        optimizer.zero_grad()
        sum(features.square().mean() for features in model(image)).backward()
        optimizer.step()

    model.eval()
    figures = {'inference': watch('inference', infer, args.inference)}
    model.train()
    figures['training'] = watch('training', train, args.training)
    print(json.dumps(figures, indent=1))
    if args.out:
        args.out.write_text(json.dumps(figures, indent=1))
    failed = [f'{what} of {run}' for run in figures for what in grew(figures[run])]
    if failed:
        raise SystemExit(f'error: not flat: {", ".join(failed)}.')


if __name__ == '__main__':
    with launch.one_line_errors():
        main()
