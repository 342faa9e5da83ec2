"""What the benchmarks of this folder share: models in turn, medians and spreads, the records."""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.progress import track
from torch import Tensor

from benchmarks.tables import machine

TOLERANCE = 1e-4


def add_options(parser: argparse.ArgumentParser, rounds: int) -> None:
    """The arguments that every benchmark has."""
    parser.add_argument(
        '--rounds',
        type=two_or_more,
        default=rounds,
        help=f'timed runs of each model, two or more for a spread (default: {rounds})',
    )
    parser.add_argument('--out', type=Path, help='JSON file of the record to write')


def two_or_more(text: str) -> int:
    """The value of ``--rounds``."""
    if int(text) < 2:
        raise argparse.ArgumentTypeError('2 or more')
    return int(text)


def difference(actual: Sequence[Tensor], expected: Sequence[Tensor]) -> float:
    """The largest difference of two lists of tensors, over the largest value of each; NaN stays."""
    found = []
    for ours, other in zip(actual, expected, strict=True):
        ours, other = ours.double().cpu(), other.double().cpu()
        found.append((ours - other).abs().max() / other.abs().max())
    return torch.stack(found).max().item()


def check_equal(
    name: str, actual: Sequence[Tensor], expected: Sequence[Tensor], tolerance: float = TOLERANCE
) -> float:
    """:func:`difference`, within the tolerance.

    Raises:
        SystemExit: If it is above the tolerance, or not a number, so that nothing else is timed.
    """
    worst = difference(actual, expected)
    if not worst <= tolerance:
        raise SystemExit(f'error: {name} differs by {worst:.1e}: nothing was timed.')
    return worst


def seconds(run: Callable[[], object]) -> float:
    """Wall-clock seconds of a run, with what it has put on the GPU's queue."""
    start = time.perf_counter()
    run()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def time_in_turn(
    runs: Mapping[str, Callable[[], object]], rounds: int, title: str
) -> dict[str, list[float]]:
    """Seconds of every run, by name; a slow minute of the machine hits them all alike.

    The first round warms up and is left out.
    """
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in track(range(rounds + 1), title):
        for name, run in runs.items():
            times[name].append(seconds(run))
    return {name: values[1:] for name, values in times.items()}


def summary(times: Mapping[str, Sequence[float]], base: str) -> list[dict[str, Any]]:
    """Median, quartiles and the ratio of medians to ``base``, a row per name."""
    of_base = statistics.median(times[base])
    rows = []
    for name, values in times.items():
        low, middle, high = statistics.quantiles(values, n=4)
        ratio = middle / of_base
        rows.append(dict(model=name, median=middle, quartiles=(low, high), ratio=ratio))
    return rows


def report(record: Mapping[str, Any], table: str, out: Path | None) -> None:
    """Print the table and write the record where the user said."""
    print(f'{table}\n{machine(record)}')
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(record, indent=1) + '\n')
