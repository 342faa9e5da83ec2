"""Test a checkpoint and say whether the claimed figures come out; or, with --all, every row's.

The claim is the config's row in configs/*/metafile.yml. The result is appended to
leaderboard/reproduced.yml of the checkout; where there is no checkout, such as in an installed
wheel, to reproduced.yml in the work dir. Exit status: 0 reproduced, 2 not reproduced, 1 error.

--all tests each row whose checkpoint can be had, in a process of its own, but for those that are
recorded already. A row that fails does not end the rest. python -m leaderboard.render then writes
the records into the leaderboard.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from mmspanet import cli
from mmspanet.errors import CheckpointError, InputError
from mmspanet.files import append_under_lock

if TYPE_CHECKING:  # it may load PyTorch
    from mmspanet.apis.reproduction import Candidate

ROOT = Path(__file__).parents[1]

# What starts the processes of one row; under mpi and slurm the allocation says how many.
LAUNCHERS = {
    'none': [sys.executable],
    'pytorch': [sys.executable, '-m', 'torch.distributed.run', '--standalone'],
    'slurm': ['srun', sys.executable, '-u'],
    'mpi': ['mpirun', sys.executable, '-u'],
}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', nargs='?', help='path of the config file')
    parser.add_argument(
        'checkpoint',
        nargs='?',
        help="path or URL of the checkpoint, or with --pick the run's folder (default: the "
        'published file, or with --pick the folder in RUNS that is named after the config)',
    )
    cli.add_run_settings(parser)
    parser.add_argument(
        '--pick', choices=['best', 'last'], help='the best or the last checkpoint of a run'
    )
    parser.add_argument(
        '--runs',
        type=Path,
        default=Path('work_dirs'),
        help='folder of the runs, each named after its config (default work_dirs)',
    )
    parser.add_argument(
        '--tolerance',
        type=cli.amount,
        help='largest difference, in points of percent, that counts as reproduced (default: 0.1 '
        'for given and published files; with --pick top-1 0.2, AP 0.3, mIoU 0.5)',
    )
    parser.add_argument(
        '--root', type=Path, default=ROOT, help='folder with configs/ and leaderboard/'
    )
    parser.add_argument('--all', action='store_true', help='every row, one after the other')
    parser.add_argument('--task', choices=['det', 'seg', 'cls'], help='with --all: those rows')
    args = parser.parse_args()
    if args.all == bool(args.config):
        parser.error('give a config, or --all without one')
    return args


def find_candidate(args: argparse.Namespace) -> 'Candidate':
    """The checkpoint that the command line asks for."""
    from mmspanet.apis import reproduction

    if args.pick:
        folder = Path(args.checkpoint or args.runs / Path(args.config).stem)
        return reproduction.of_run(folder, args.pick)
    if args.checkpoint:
        return reproduction.Candidate(args.checkpoint, 'not stated', reproduction.SAME_WEIGHTS)
    return reproduction.published(Path(args.config).stem)


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
    from mmspanet.apis.reproduction import compare
    from mmspanet.checkpoints.publish import file_hash
    from mmspanet.checkpoints.safe import guard_process
    from mmspanet.checkpoints.sources import local_file
    from mmspanet.datasets.paths import check_data
    from mmspanet.engine import device, run

    guard_process()
    claimed = claimed_metrics(args.root / 'configs', Path(args.config).stem)
    cfg = cli.run_config(args)
    candidate = find_candidate(args)
    file = local_file(candidate.source)
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
    tolerance = candidate.tolerance
    if args.tolerance is not None:
        tolerance = dict.fromkeys(tolerance, args.tolerance)
    compared = compare(claimed, measured, tolerance)
    print(*compared, sep='\n')
    reproduced = all(comparison.holds for comparison in compared)
    entry = dict(
        config=next(iter((args.root / 'configs').glob(f'*/{Path(args.config).stem}.py')))
        .relative_to(args.root)
        .as_posix(),
        reproduced=reproduced,
        metrics={
            c.metric: dict(
                claimed=c.claimed,
                measured=c.measured,
                difference=c.difference,
                tolerance=c.tolerance,
            )
            for c in compared
        },
        picked=candidate.picked,
        checkpoint=file_hash(file),
        seconds=round(time.monotonic() - start),
        **surroundings.record(),
    )
    path = record_path(args.root, cfg.work_dir)
    append_under_lock(
        path, yaml.safe_dump([entry], sort_keys=False), '# Appended by tools/reproduce.py.\n'
    )
    print(f'{"reproduced" if reproduced else "NOT reproduced"}; appended to {path}')
    return 0 if reproduced else 2


# --- All rows -----------------------------------------------------------------------------------


def reproduce_all(args: argparse.Namespace) -> int:
    """Reproduce every row whose checkpoint can be had.

    Returns:
        The exit status: 1 if a row failed or none has a checkpoint, else 2 if one was not
        reproduced, else 0.
    """
    record = args.root / 'leaderboard/reproduced.yml'
    if not record.parent.is_dir():
        raise InputError(f'{args.root} has no leaderboard/: --all needs a checkout, give --root.')
    if find_spec('tabulate') is None:
        raise InputError('--all ends with a table: pip install tabulate first.')
    from tabulate import tabulate

    outcomes = []
    for config in claimed_configs(args.root, args.task):
        print(f'== {config}', flush=True)
        outcomes.append((config, *_outcome(args, config, record)))
        print(': '.join(outcomes[-1][1:]), flush=True)
    print(tabulate(outcomes, headers=['config', 'outcome', 'remark'], tablefmt='github'))
    print('\npython -m leaderboard.render writes the records into the leaderboard.')
    happened = {outcome for _, outcome, _ in outcomes}
    if 'failed' in happened or happened == {'no checkpoint'}:
        return 1
    return 2 if 'NOT reproduced' in happened else 0


def claimed_configs(root: Path, task: str | None) -> Iterator[str]:
    """The configs, as paths in ``root``, whose metafile claims a result."""
    from mmspanet.apis.config_files import metrics_of, read_models

    for model in read_models(root / 'configs'):
        if metrics_of(model) and task in (None, Path(model['Config']).parent.name):
            yield model['Config']


def _outcome(args: argparse.Namespace, config: str, record: Path) -> tuple[str, str]:
    """Reproduce one row in a process of its own; the outcome and a remark."""
    from mmspanet.apis.reproduction import find_record
    from mmspanet.checkpoints.publish import file_hash
    from mmspanet.checkpoints.sources import local_file

    row = argparse.Namespace(**vars(args) | dict(config=str(args.root / config)))
    try:
        candidate = find_candidate(row)
        file = local_file(candidate.source)
    except (InputError, CheckpointError) as error:
        return 'no checkpoint', str(error)
    checkpoint = file_hash(file)
    entry = find_record(_read(record), config, checkpoint)
    if entry:
        return 'recorded', _result(entry)
    process = subprocess.run(_command(row), env=_environment(), text=True, stderr=subprocess.PIPE)
    sys.stderr.write(process.stderr)
    entry = find_record(_read(record), config, checkpoint)
    if entry is None:  # torchrun ends with a status of its own, so the record decides
        said = process.stderr.strip().splitlines()
        return 'failed', f'status {process.returncode}: {said[-1] if said else "without a word"}'
    return 'reproduced' if entry['reproduced'] else 'NOT reproduced', _result(entry)


def _read(record: Path) -> list[dict[str, Any]]:
    return (yaml.safe_load(record.read_text()) if record.is_file() else None) or []


def _result(entry: dict[str, Any]) -> str:
    metrics = entry['metrics'].items()
    values = [f'{name} {m["measured"]} ({m["difference"]:+})' for name, m in metrics]
    return ', '.join([*values, entry.get('picked', 'not stated')])


def _command(row: argparse.Namespace) -> list[str]:
    work_dir = Path(row.work_dir or 'work_dirs') / Path(row.config).stem / 'reproduce'
    command = [*LAUNCHERS[row.launcher], __file__, row.config, '--launcher', row.launcher]
    command += ['--root', str(row.root), '--runs', str(row.runs), '--work-dir', str(work_dir)]
    command += ['--pick', row.pick] if row.pick else []
    command += ['--tolerance', str(row.tolerance)] if row.tolerance is not None else []
    options = [f'{key}={value}' for key, value in (row.cfg_options or {}).items()]
    return [*command, *(['--cfg-options', *options] if options else [])]


def _environment() -> dict[str, str]:
    """That of this process, with one process per device where torchrun was not told how many."""
    return {'PET_NPROC_PER_NODE': 'auto'} | os.environ


def main() -> int:
    args = parse_args()
    if args.all:
        return reproduce_all(args)
    from mmspanet.engine.device import destroy_process_group

    status = reproduce(args)
    destroy_process_group()
    return status


if __name__ == '__main__':
    with cli.one_line_errors():
        sys.exit(main())
