"""Export a model in every form, and measure what each costs and finds.

For each form: bytes of its weights, metrics of the whole model on the config's test data set, peak
memory of its process, and milliseconds per image, from the decoded image to boxes and pasted
masks, label maps or probabilities in that image's coordinates. The forms take turns, one image
each. Writes OUT_DIR/NAME.json, .md, .png, .svg and .csv, and the exported files to OUT_DIR/files.
"""

import argparse
import json
import os
import subprocess
import sys
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from mmspanet import cli
from mmspanet.errors import InputError
from mmspanet.files import make_folder, write_text

# Options --to and --precision of export.py; None stands for the checkpoint itself.
FORMATS: dict[str, tuple[str, str] | None] = {
    'pytorch': None,
    'pytorch-deployed': None,
    'onnx-fp32': ('onnx', 'fp32'),
    'onnx-fp16': ('onnx', 'fp16'),
    'onnx-int8': ('onnx', 'int8'),
    'openvino-fp32': ('openvino', 'fp32'),
    'openvino-fp16': ('openvino', 'fp16'),
    'openvino-int8': ('openvino', 'int8'),
    'aoti-fp32': ('aoti', 'fp32'),
}
SUFFIXES = dict(onnx='.onnx', openvino='.xml', aoti='.pt2')


def rounds(text: str) -> int:
    """Read ``--rounds``: 0, or enough for quartiles."""
    if int(text) not in (0, *range(2, 10**6)):
        raise argparse.ArgumentTypeError(f'{text} is neither 0 nor 2 or more')
    return int(text)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='path of the config file')
    parser.add_argument('checkpoint', help='path or URL of the checkpoint')
    parser.add_argument(
        '--formats',
        nargs='+',
        choices=FORMATS,
        default=list(FORMATS),
        metavar='FORM',
        help=f'of {", ".join(FORMATS)} (default: all)',
    )
    parser.add_argument(
        '--count', type=cli.positive_int, help='images of the test data set at most (default: all)'
    )
    parser.add_argument(
        '--rounds',
        type=rounds,
        default=30,
        help='timed images of each form (default 30; 0 takes no times)',
    )
    parser.add_argument(
        '--threads',
        type=cli.positive_int,
        default=len(os.sched_getaffinity(0)),
        help='that each form may use (default: the cores of this process)',
    )
    parser.add_argument('--device', default='cpu', help='of PyTorch and the runtimes (default cpu)')
    cli.add_out_dir_option(parser, 'work_dirs/deployment')
    cli.add_cfg_options(parser, 'such as test_dataloader.dataset.data_root=DIR')
    return parser.parse_args()


def export(form: str, config: Path, args: argparse.Namespace) -> tuple[Path | None, str | None]:
    """Export one form.

    Returns:
        The file, or None if there is none; and what export.py said if it did not end well.
    """
    target = FORMATS[form]
    assert target is not None
    folder = args.out_dir / 'files' / form
    command = [
        Path(__file__).with_name('export.py'), config, args.checkpoint, '--end2end',
        '--to', target[0], '--out', folder,
        *(['--precision', target[1]] if target[1] != 'fp32' else []),
        *(['--check-count', args.count] if args.count else []),
    ]  # fmt: skip
    for file in folder.glob('*'):
        file.unlink()  # of an earlier run
    done = subprocess.run(
        [sys.executable, *map(str, command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    files = sorted(folder.glob(f'*{SUFFIXES[target[0]]}'))
    said = (done.stdout.strip().splitlines() or ['nothing'])[-1]
    return files[0] if files else None, said if done.returncode else None


def rows_of(args: argparse.Namespace, cfg: Any, config: Path) -> list[dict[str, Any]]:
    """A row for each form: see :func:`mmspanet.deployment.benchmark.markdown`."""
    from mmspanet.deployment.benchmark import Process, TestSet, headline, time_in_turn
    from mmspanet.deployment.contestants import Entry

    test_set = TestSet(cfg, args.count)
    paths = test_set.paths()
    rows: list[dict[str, Any]] = []
    processes: dict[str, Process] = {}
    try:
        for form in args.formats:
            print(form, flush=True)
            row: dict[str, Any] = dict(
                form=form, bytes=None, metrics={}, peak=None, seconds=[], fault=None
            )
            rows.append(row)
            file = None
            if FORMATS[form] is not None:
                file, row['fault'] = export(form, config, args)
                if file is None:
                    print(f'  not exported: {row["fault"]}')
                    continue
            entry = Entry(form, file, str(config), args.checkpoint, args.device, args.threads)
            try:
                processes[form] = process = Process(entry)
                row['metrics'] = headline(test_set.score(map(process.answer, paths)))
                row['bytes'], row['peak'] = process.size(), process.peak_memory()
            except (BrokenProcessPool, InputError) as error:  # killed, or can't be opened
                row['fault'] = str(error)
                if form in processes:
                    processes.pop(form).close()
            print('  ' + ', '.join(f'{name} {value:.2f}' for name, value in row['metrics'].items()))
        if args.rounds:
            times = time_in_turn(processes, paths, args.rounds)
            for row in rows:
                row['seconds'] = times.get(row['form'], [])
    finally:
        for process in processes.values():
            process.close()
    if not processes:
        raise InputError(f'No form could be run. {rows[0]["form"]}: {rows[0]["fault"]}')
    return rows


def main() -> None:
    args = parse_args()
    from mmengine.logging import MMLogger

    from mmspanet import surroundings
    from mmspanet.checkpoints.safe import guard_process
    from mmspanet.deployment import benchmark

    guard_process()
    MMLogger.get_instance('mmengine', log_level='ERROR')  # evaluators print tables of their own
    cfg = cli.load_model_config(args.config, args.cfg_options)
    name = Path(args.config).stem
    make_folder(args.out_dir)
    config = args.out_dir / f'{name}.py'
    write_text(config, cfg.pretty_text)
    record = dict(
        config=Path(args.config).name,
        images=args.count,
        threads=args.threads,
        device=args.device,
        **surroundings.record('onnxruntime', 'openvino', 'nncf', device=args.device),
        rows=rows_of(args, cfg, config),
    )
    stem = args.out_dir / name
    table = benchmark.markdown(record)
    write_text(f'{stem}.json', json.dumps(record, indent=1) + '\n')
    write_text(f'{stem}.md', table)
    benchmark.draw(record, stem)
    print(f'{table}\nsee {stem}.json, .md, .png, .svg, .csv')


if __name__ == '__main__':
    with cli.one_line_errors():
        main()
