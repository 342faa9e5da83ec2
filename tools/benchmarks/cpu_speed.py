"""Time SPANetV2 beside its peers of timm on this CPU: python tools/benchmarks/cpu_speed.py

Features of all four stages, float32, eager, weights at random. The deployed form is first
compared with the training form; then the models run in turn, so that a slow minute of the
machine hits them all, and each line gives medians, the spread between the quartiles and the
ratio of medians. Needs timm (pip install timm).
"""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import timm
import torch
from rich.progress import track
from torch import Tensor, nn

from mmspanet.models import SPANetV2

PEERS = {'s18-pure': 'convformer_s18', 's18-hybrid': 'caformer_s18'}
SHAPES = ((8, 3, 224, 224), (1, 3, 800, 1216))
TOLERANCE = 1e-4


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--rounds', type=int, default=9, help='runs of each model and size')
    parser.add_argument('--arch', nargs='+', choices=PEERS, default=[*PEERS], help='which of ours')
    parser.add_argument(
        '--out', type=Path, help='JSON file to write; the Markdown stands beside it'
    )
    return parser.parse_args()


def models_of(arch: str) -> dict[str, nn.Module]:
    """The training form, the deployed form and the peer, in eval mode."""
    torch.manual_seed(0)
    trained, deployed = SPANetV2(arch).eval(), SPANetV2(arch).eval()
    deployed.load_state_dict(trained.state_dict())
    deployed.switch_to_deploy()
    peer = timm.create_model(PEERS[arch], features_only=True).eval()
    return {arch: trained, f'{arch}, deployed': deployed, PEERS[arch]: peer}


def check_parity(trained: nn.Module, deployed: nn.Module, images: Tensor) -> None:
    """Compare the two forms; a timing of something else would be worth nothing."""
    for ours, other in zip(deployed(images), trained(images), strict=True):
        difference = ((ours - other).abs().max() / other.abs().max()).item()
        if difference > TOLERANCE:
            raise SystemExit(f'error: the deployed form differs by {difference:.1e}.')


def seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def time_in_turn(
    models: dict[str, nn.Module], images: Tensor, rounds: int
) -> dict[str, list[float]]:
    """Seconds of every run, by model; the first round warms up and is left out."""
    times: dict[str, list[float]] = {name: [] for name in models}
    for _ in track(range(rounds + 1), 'x'.join(map(str, images.shape))):
        for name, model in models.items():
            times[name].append(seconds(lambda model=model: model(images)))
    return {name: values[1:] for name, values in times.items()}


def summary(times: dict[str, list[float]], peer: str) -> list[dict]:
    base = statistics.median(times[peer])
    rows = []
    for name, values in times.items():
        low, middle, high = statistics.quantiles(values, n=4)
        rows.append(dict(model=name, median=middle, quartiles=(low, high), ratio=middle / base))
    return rows


def markdown(record: dict) -> str:
    lines = [
        '| input | model | median s | quartiles s | of the peer |',
        '|---|---|---|---|---|',
    ]
    for table in record['tables']:
        shape = 'x'.join(map(str, table['shape']))
        for row in table['rows']:
            low, high = row['quartiles']
            lines.append(
                f'| {shape} | {row["model"]} | {row["median"]:.3f} | {low:.3f} - {high:.3f} '
                f'| {row["ratio"]:.2f} |'
            )
    return '\n'.join(lines) + '\n'


@torch.no_grad()
def main() -> None:
    args = parse_args()
    tables = []
    for arch in args.arch:
        models = models_of(arch)
        for shape in SHAPES:
            images = torch.randn(shape)
            check_parity(models[arch], models[f'{arch}, deployed'], images)
            times = time_in_turn(models, images, args.rounds)
            tables.append(dict(shape=shape, rows=summary(times, PEERS[arch]), seconds=times))
    record = dict(
        machine=f'{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads',
        torch=str(torch.__version__),
        timm=timm.__version__,
        tables=tables,
    )
    print(markdown(record))
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(record, indent=1))
        args.out.with_suffix('.md').write_text(markdown(record))


if __name__ == '__main__':
    main()
