"""Benchmark the three models of Shapes in every form that they can be deployed in.

Runs tools/deployment/benchmark.py for each and keeps its records in benchmarks/results; python -m
dev.render writes docs/deployment_benchmark.md from them.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
CONFIGS = dict(
    det='configs/det/maskrcnn_spanetv2_shapes.py',
    seg='configs/seg/upernet_spanetv2_shapes.py',
    cls='configs/cls/spanetv2_shapes.py',
)


def parse_args() -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog='Further options go to tools/deployment/benchmark.py.'
    )
    for task in CONFIGS:
        parser.add_argument(
            f'--{task}', type=Path, metavar='CHECKPOINT', help=f'of {CONFIGS[task]}'
        )
    parser.add_argument('--out-dir', type=Path, default=Path('work_dirs/deployment'))
    return parser.parse_known_args()


def main() -> None:
    args, options = parse_args()
    for task, config in CONFIGS.items():
        checkpoint = getattr(args, task)
        if checkpoint is None:
            continue
        out = args.out_dir / task
        command = ['tools/deployment/benchmark.py', config, checkpoint, '--out-dir', out, *options]
        subprocess.run([sys.executable, *map(str, command)], cwd=ROOT, check=True)
        record = out / f'{Path(config).stem}.json'
        shutil.copyfile(ROOT / record, ROOT / f'benchmarks/results/deployment_{task}.json')


if __name__ == '__main__':
    main()
