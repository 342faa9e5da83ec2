"""Run a SPANetV2 for thousands of iterations of mixed image sizes and watch what grows.

Inference first, then training, in ten parts of the same sizes. The exit status is 1 if memory
grew by more than 5 % after the second part, a file stayed open, or the process became more than
5 % slower. A shared machine changes its own speed by more than that within a minute, so the
speed is measured against a second process, which rests meanwhile: the two run the second part
in turn, size by size, and the last part again.
"""

import argparse
import json
import multiprocessing
import os
import random
import statistics
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from rich.progress import track

from mmspanet import cli, surroundings
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


def sizes(count: int) -> Iterator[tuple[int, int]]:
    """The sizes of one part, 32 to 160 pixels a side."""
    rng = random.Random(0)
    for _ in range(count):
        yield rng.randint(32, 160), rng.randint(32, 160)


def inference() -> Callable[[torch.Tensor], None]:
    model = SPANetV2(ARCH).eval()

    def infer(image: torch.Tensor) -> None:
        with torch.inference_mode():
            model(image)

    return infer


def training() -> Callable[[torch.Tensor], None]:
    model = SPANetV2(ARCH)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)

    def train(image: torch.Tensor) -> None:
        optimizer.zero_grad()
        sum(features.square().mean() for features in model(image)).backward()
        optimizer.step()

    return train


Step = Callable[[torch.Tensor], None]
STEPS: dict[str, Callable[[], Step]] = dict(inference=inference, training=training)


def work(build_step: Callable[[], Step], pipe: Connection) -> None:
    """A process: for each size that comes in, CPU seconds of the step, memory and open files."""
    torch.set_num_threads(1)  # steady beside other work
    torch.manual_seed(0)
    step = build_step()
    while (size := pipe.recv()) is not None:
        image = torch.rand(1, 3, *size)
        start = time.process_time()  # what other work takes of the core is not the process's
        step(image)
        pipe.send((time.process_time() - start, resident_bytes(), open_files()))


class Worker:
    """A process of :func:`work`, seen from outside."""

    def __init__(self, build_step: Callable[[], Step]) -> None:
        # Large blocks straight from the system: holes in glibc's heap would look like a leak.
        os.environ['MALLOC_MMAP_THRESHOLD_'] = '65536'
        context = multiprocessing.get_context('spawn')
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=work, args=(build_step, other), daemon=True)
        self.process.start()

    def step(self, size: tuple[int, int]) -> float:
        """CPU seconds of a step; ``resident`` and ``files`` are the state after it."""
        self.pipe.send(size)
        seconds, self.resident, self.files = self.pipe.recv()
        return seconds

    def stop(self) -> None:
        self.pipe.send(None)
        self.process.join()


def watch(kind: str, iterations: int) -> dict[str, float]:
    """Figures of a process over ten equal parts; a second one runs three of them beside it."""
    part = list(sizes(iterations // 10))
    old, rested = Worker(STEPS[kind]), Worker(STEPS[kind])
    for size in part:  # a process is slow until it has seen every size
        old.step(size)
        rested.step(size)
    first = in_turn(old, rested, part, f'{kind}, second part')
    memory, files = old.resident, old.files
    for _ in track(range(7), f'{kind}, parts 3 to 9'):
        for size in part:
            old.step(size)
    last = in_turn(old, rested, part, f'{kind}, last part')
    for worker in (old, rested):
        worker.stop()
    return {
        'iterations': 10 * len(part),
        'MiB after the second part': round(memory / 2**20),
        'MiB at the end': round(old.resident / 2**20),
        'open files after the second part': files,
        'open files at the end': old.files,
        'time of a step, last part over second': round(last / first, 3),
    }


def in_turn(old: Worker, rested: Worker, part: list[tuple[int, int]], title: str) -> float:
    """Time of the old process's steps over the rested one's, the median."""
    ratios = []
    for place, size in enumerate(track(part, title)):
        pair = (old, rested) if place % 2 else (rested, old)  # the first of two may be slower
        seconds = {worker: worker.step(size) for worker in pair}
        ratios.append(seconds[old] / seconds[rested])
    return statistics.median(ratios)


def grew(figures: dict[str, float]) -> list[str]:
    """What of the figures of a run is not flat."""
    found = []
    if figures['MiB at the end'] > (1 + GROWTH) * figures['MiB after the second part']:
        found.append('memory')
    if figures['open files at the end'] > figures['open files after the second part']:
        found.append('open files')
    if figures['time of a step, last part over second'] > 1 + GROWTH:
        found.append('time')
    return found


def main() -> None:
    args = parse_args()
    runs = dict(inference=args.inference, training=args.training)
    figures = {kind: watch(kind, iterations) for kind, iterations in runs.items()}
    print(json.dumps(figures, indent=1))
    if args.out:
        record = dict(surroundings.record(), runs=figures)
        args.out.write_text(json.dumps(record, indent=1) + '\n')
    failed = [f'{what} of {run}' for run in figures for what in grew(figures[run])]
    if failed:
        raise SystemExit(f'error: not flat: {", ".join(failed)}.')


if __name__ == '__main__':
    with cli.one_line_errors():
        main()
