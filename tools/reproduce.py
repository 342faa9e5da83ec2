"""Test a checkpoint and say whether the claimed figures come out.

The claim is the config's row in configs/*/metafile.yml. The result is appended to
leaderboard/reproduced.yml of the checkout, from where leaderboard/render.py takes it; where
there is no checkout, such as in an installed wheel, to reproduced.yml in the work dir. Exit
status: 0 reproduced, 2 not reproduced.
"""

import argparse
import datetime
import sys
import time
from pathlib import Path

import yaml

from mmspanet import cli
from mmspanet.errors import InputError
from mmspanet.files import append_under_lock

ROOT = Path(__file__).parents[1]

# Name of a claim: the metric of the library's evaluator, and the factor that makes it percent.
MEASURED = {
    'box AP': ('coco/bbox_mAP', 100),
    'mask AP': ('coco/segm_mAP', 100),
    'mIoU': ('mIoU', 1),
    'top-1': ('accuracy/top1', 1),
}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    cli.add_run_options(parser)
    parser.add_argument('checkpoint', help='path or URL of the checkpoint')
    parser.add_argument(
        '--tolerance',
        type=cli.amount,
        default=0.1,
        help='largest difference, in points of percent, that counts as reproduced (default 0.1)',
    )
    parser.add_argument(
        '--root', type=Path, default=ROOT, help='folder with configs/ and leaderboard/'
    )
    return parser.parse_args()


def compare(
    claimed: dict[str, float], measured: dict[str, float], tolerance: float
) -> dict[str, dict[str, float]]:
    """Claim, measurement and difference of every claimed metric, in points of percent."""
    compared = {}
    for name, claim in claimed.items():
        key, factor = MEASURED[name]
        if key not in measured:
            raise InputError(
                f'The test measured no {key}, which the claim of {name} {claim} needs.'
            )
        value = round(float(measured[key]) * factor, 2)
        difference = round(value - claim, 2)
        compared[name] = dict(claimed=claim, measured=value, difference=difference)
        said = 'reproduced' if abs(difference) <= tolerance else 'NOT reproduced'
        print(f'{name}: claimed {claim}, measured {value}, difference {difference:+}: {said}')
    return compared


def record_path(root: Path, work_dir: str) -> Path:
    """Where the result is appended: to the leaderboard of a checkout, else in the work dir."""
    leaderboard = root / 'leaderboard'
    if leaderboard.is_dir():
        return leaderboard / 'reproduced.yml'
    print(f'{root} has no leaderboard/: the record goes to the work dir.')
    return Path(work_dir) / 'reproduced.yml'


def reproduce(args: argparse.Namespace) -> int:
    """Test, compare and record.

    Returns:
        The exit status.
    """
    from mmengine.dist import is_main_process

    from mmspanet import checkpoints, surroundings
    from mmspanet.apis.config_files import claimed_metrics
    from mmspanet.checkpoints.publish import file_hash
    from mmspanet.checkpoints.safe import guard_process
    from mmspanet.checkpoints.sources import local_file
    from mmspanet.datasets.paths import check_data
    from mmspanet.engine import device, run

    guard_process()
    claimed = claimed_metrics(args.root / 'configs', Path(args.config).stem)
    cfg = cli.run_config(args)
    file = local_file(args.checkpoint)
    cfg.load_from = None  # the weights are loaded below, whole
    check_data(cfg, ('test',))
    device.adapt_to_cpu(cfg)
    device.join_cpu_processes(cfg)
    start = time.monotonic()
    runner = run.build(cfg)
    checkpoints.load(runner.model, file)
    measured = run.test(runner)
    if not is_main_process():
        return 0
    compared = compare(claimed, measured, args.tolerance)
    reproduced = all(abs(result['difference']) <= args.tolerance for result in compared.values())
    entry = dict(
        config=next(iter((args.root / 'configs').glob(f'*/{Path(args.config).stem}.py')))
        .relative_to(args.root)
        .as_posix(),
        reproduced=reproduced,
        tolerance=args.tolerance,
        metrics=compared,
        checkpoint=file_hash(file),
        machine=surroundings.machine(),
        versions=surroundings.versions(),
        commit=surroundings.commit(args.root),
        seconds=round(time.monotonic() - start),
        date=datetime.date.today().isoformat(),
    )
    path = record_path(args.root, cfg.work_dir)
    append_under_lock(
        path, yaml.safe_dump([entry], sort_keys=False), '# Appended by tools/reproduce.py.\n'
    )
    print(f'{"reproduced" if reproduced else "NOT reproduced"}; appended to {path}')
    return 0 if reproduced else 2


def main() -> int:
    args = parse_args()
    from mmspanet.engine.device import destroy_process_group

    status = reproduce(args)
    destroy_process_group()
    return status


if __name__ == '__main__':
    with cli.one_line_errors():
        sys.exit(main())
