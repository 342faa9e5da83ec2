"""Make one self-contained HTML page about a run: curves, figures, mistakes, what to try next.

It is made of what MMEngine logged and of predictions that the run kept. tools/train.py and
tools/test.py make it at their end. Its figures, tables and pictures are written beside it.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from mmspanet import cli
from mmspanet.errors import InputError

TEST = Path(__file__).parents[1] / 'test.py'


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('work_dir', type=Path, help='folder of a run, as of tools/train.py')
    parser.add_argument(
        '--checkpoint',
        help='test this checkpoint first: best, last or a file (default: take the predictions '
        'that the run kept)',
    )
    parser.add_argument(
        '--predictions',
        type=Path,
        help='.pkl file or folder of PNG maps of tools/test.py --out (default: the newest '
        'predictions in the work dir)',
    )
    parser.add_argument(
        '--part',
        choices=['val', 'test'],
        help='the data set of the predictions (default: what the run noted, else test)',
    )
    parser.add_argument(
        '--compare',
        type=Path,
        nargs='+',
        default=(),
        metavar='DIR',
        help='work dirs whose curves go over those of this run',
    )
    parser.add_argument('--config', help='the config that the run was started with')
    parser.add_argument(
        '--show', type=cli.positive_int, default=6, help='pictures of each kind (default 6)'
    )
    parser.add_argument(
        '--out', type=cli.output_file, help='the page (default WORK_DIR/report/report.html)'
    )
    return parser.parse_args()


def find_checkpoint(work_dir: Path, name: str) -> str:
    """The best or the last checkpoint of a run, or a file."""
    from mmspanet.checkpoints import best_checkpoint, newest_whole_checkpoint

    found: str | None = name
    if name == 'best':
        found = best_checkpoint(work_dir)
    elif name == 'last':
        found = newest_whole_checkpoint(work_dir)
    if found is None:
        raise InputError(f'{work_dir} holds no {name} checkpoint: give a file.')
    return found


def test(work_dir: Path, checkpoint: str) -> None:
    """Test a checkpoint in a process of its own, which keeps its predictions in the work dir."""
    from mmspanet.analysis.run.logs import read_log
    from mmspanet.analysis.run.report import run_config

    cfg = run_config(work_dir, read_log(work_dir))
    out = work_dir / ('predictions' if cfg.get('default_scope') == 'mmseg' else 'predictions.pkl')
    options = ['--work-dir', work_dir, '--out', out, '--no-report']
    if subprocess.run(
        [sys.executable, *map(str, (TEST, cfg.filename, checkpoint, *options))]
    ).returncode:
        raise InputError(f'The test of {checkpoint} failed, see above.')


def main() -> None:
    args = parse_args()
    try:
        from mmspanet.analysis.run import report
    except ModuleNotFoundError as error:
        raise InputError(
            f"The page needs {error.name}: pip install 'mmspanet[report]' brings it."
        ) from error
    if not args.work_dir.is_dir():
        raise InputError(f'{args.work_dir} is no folder: give the work dir of a run.')
    if args.checkpoint:
        test(args.work_dir, find_checkpoint(args.work_dir, args.checkpoint))
    out = args.out or args.work_dir / 'report/report.html'
    left_out = report.write(
        args.work_dir, out, args.config, args.predictions, args.part, args.compare, args.show
    )
    for text in left_out:
        print(f'left out: {text}')
    print(f'{out} ({out.stat().st_size / 1e6:.1f} MB)')


if __name__ == '__main__':
    with cli.one_line_errors():
        main()
