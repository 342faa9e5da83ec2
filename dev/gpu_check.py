"""Run every check that needs a GPU, each with a time limit, and write one page and one record.

dev/gpu_check.sh sets the environment up and starts it. What fails is red on the page, and the rest
goes on. With --device cpu the same steps run on tiny sizes, which shows the steps and no figures.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
SHAPES = dict(
    detection=('det/maskrcnn_spanetv2_shapes.py', 'coco'),
    segmentation=('seg/upernet_spanetv2_shapes.py', 'ade'),
    classification=('cls/spanetv2_shapes.py', 'imagenet'),
)
RED, END = '\033[31m', '\033[0m'


@dataclass
class Step:
    """One check.

    Attributes:
        name: Its name on the page.
        command: Its command line; ``python`` stands for this interpreter.
        minutes: Its time limit.
        env: Variables beside those of this process.
        figures: Reads from its output or its files what goes onto the page.
        skip: Why it can't run here; empty if it can.
    """

    name: str
    command: list[str]
    minutes: float
    env: dict[str, str] = field(default_factory=dict)
    figures: Callable[[str], str] = lambda output: ''
    skip: str = ''


@dataclass
class Result:
    """How a check ended: ``state`` is passed, failed, out of time or not run."""

    name: str
    state: str
    seconds: float = 0.0
    figures: str = ''
    end: str = ''


def run(step: Step, minutes_left: float, logs: Path) -> Result:
    """Run a step in a process group of its own, which is ended with it."""
    if step.skip:
        return Result(step.name, 'not run', end=step.skip)
    if minutes_left < 0.2:
        return Result(step.name, 'not run', end='no time left')
    command = [sys.executable if part == 'python' else part for part in step.command]
    bin_dir = Path(sys.executable).parent
    path = f'{bin_dir}:{os.environ["PATH"]}'
    env = os.environ | dict(PATH=path, PYTHONPATH=str(ROOT), PYTHONUNBUFFERED='1') | step.env
    log, start, state = logs / f'{step.name.replace(" ", "_")}.log', time.monotonic(), 'passed'
    with (
        log.open('w') as out,
        subprocess.Popen(
            command, cwd=ROOT, env=env, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
        ) as process,
    ):
        try:
            if process.wait(60 * min(step.minutes, minutes_left)):
                state = 'failed'
        except subprocess.TimeoutExpired:
            state = 'out of time'
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    output = log.read_text(errors='replace')
    result = Result(step.name, state, round(time.monotonic() - start, 1))
    if state != 'passed':
        result.end = '\n'.join(output.strip().splitlines()[-15:])
    try:
        result.figures = step.figures(output)
    except (OSError, ValueError, LookupError) as error:
        if state == 'passed':
            result.state, result.end = 'failed', f'no figures: {type(error).__name__} {error}'
    return result


def last_lines(count: int) -> Callable[[str], str]:
    """Show the end of a step's output as it is."""
    return lambda output: '```\n' + '\n'.join(output.strip().splitlines()[-count:]) + '\n```'


def table_of(file: Path) -> Callable[[str], str]:
    """Show the table of a benchmark's record."""
    return lambda output: json.loads(file.read_text())['table']


def rows_of(file: Path) -> Callable[[str], str]:
    """Show a mapping of numbers as a table."""

    def table(output: str) -> str:
        rows = json.loads(file.read_text())
        return '\n'.join(
            ['| what | figure |', '|---|---|', *(f'| {k} | {v} |' for k, v in rows.items())]
        )

    return table


def training_figures(work_dir: Path) -> Callable[[str], str]:
    """The last loss and the metrics of a training."""

    def figures(output: str) -> str:
        (file,) = sorted(work_dir.glob('*/vis_data/scalars.json'))[-1:]
        found: dict[str, float] = {}
        for line in file.read_text().splitlines():
            found.update(json.loads(line))
        keep = [
            key for key in found if key == 'loss' or 'mAP' in key or 'mIoU' in key or 'acc' in key
        ]
        if not found['loss'] < float('inf'):
            raise ValueError(f'loss {found["loss"]}')
        return ', '.join(f'{key} {found[key]:.4g}' for key in keep)

    return figures


def training_steps(device: str, out: Path, small: bool) -> list[Step]:
    """One short training of each task with AMP on the GPU, and the same on the CPU."""
    data, steps = out / 'shapes', []
    train, val = (16, 8) if small else (256, 32)
    make = ['python', 'tools/make_shapes.py', '--root', str(data)]
    steps.append(Step('data', [*make, '--train', str(train), '--val', str(val)], 1))
    for task, (config, layout) in SHAPES.items():
        iterations = 2 if small else 60
        length = (
            [f'train_cfg.max_iters={iterations}', f'train_cfg.val_interval={iterations}']
            if task == 'segmentation'
            else ['train_cfg.max_epochs=1', 'train_cfg.val_interval=1']
        )
        places = [
            f'{part}_dataloader.dataset.data_root={data}/{layout}' for part in ('train', 'val')
        ]
        if task == 'detection':
            annotations = f'{data}/coco/annotations/instances_val2017.json'
            places.append(f'val_evaluator.ann_file={annotations}')
        for where in dict.fromkeys((device, 'cpu')):
            work_dir = out / f'{task}_{where}'
            command = ['python', 'tools/train.py', f'configs/{config}', '--amp']
            command += [
                '--work-dir',
                str(work_dir),
                '--no-report',
                '--cfg-options',
                *length,
                *places,
            ]
            hide = dict(CUDA_VISIBLE_DEVICES='') if where == 'cpu' else {}
            minutes = 2 if where != 'cpu' else 3
            steps.append(
                Step(f'{task} on {where}', command, minutes, hide, training_figures(work_dir))
            )
    return steps


def all_steps(device: str, out: Path) -> list[Step]:
    """The checks in order: what others build on comes first."""
    import torch

    small = not device.startswith('cuda')
    gpus = torch.cuda.device_count()
    config, layout = SHAPES['classification']
    length = [
        'train_cfg.max_epochs=1',
        'train_cfg.val_interval=1',
        'default_hooks.logger.interval=1',
    ]
    places = [
        f'{part}_dataloader.dataset.data_root={out}/shapes/{layout}' for part in ('train', 'val')
    ]
    two = ['bash', 'tools/dist_train.sh', f'configs/{config}', '2', '--work-dir', str(out / 'two')]
    tests = ['tests/models/test_layers.py', '-n0'] if small else ['-n', '4', '--dist', 'worksteal']
    peers = ['python', '-m', 'benchmarks.gpu_peers']
    archs = ['--archs', 's18-pure', 's18-hybrid'] if small else []
    tiny = ['--shape', '1', '3', '64', '64', '--rounds', '2', '--no-compile', '--dtypes', 'fp32']
    sizes = [*tiny, '--models', 'SPANetV2-S18-pure', 'ConvNeXt-T'] if small else []
    return [
        Step('check_env', ['python', '-m', 'mmspanet.check_env'], 2, figures=last_lines(12)),
        Step(
            'parity',
            [
                'python',
                '-m',
                'dev.gpu_parity',
                '--device',
                device,
                *archs,
                '--out',
                f'{out}/parity.json',
            ],
            5,
            figures=rows_of(out / 'parity.json'),
        ),
        Step(
            'suite',
            ['python', '-m', 'pytest', '-m', 'not slow', '-p', 'no:cacheprovider', *tests],
            13,
            dict(MMSPANET_TEST_DEVICE=device),
            last_lines(1 if small else 8),
        ),
        *training_steps(device, out, small),
        Step(
            'two processes',
            [*two, '--cfg-options', *length, *places],
            3,
            figures=training_figures(out / 'two'),
            skip='' if small or gpus > 1 else f'there is {gpus} GPU',
        ),
        Step(
            'times and memory',
            [*peers, '--device', device, *sizes, '--minutes', '9', '--out', f'{out}/peers.json'],
            11,
            figures=table_of(out / 'peers.json'),
        ),
        Step(
            'activation memory',
            ['python', '-m', 'benchmarks.activation_memory', '--out', f'{out}/activations.json'],
            2,
            figures=last_lines(24),
            skip='slow on a CPU' if small else '',
        ),
    ]


def page(record: dict) -> str:
    """The record as Markdown."""
    mark = dict.fromkeys(('failed', 'out of time'), '<span style="color:red">**{}**</span>')
    lines = [
        '# GPU check',
        '',
        record['machine'],
        '',
        '| step | outcome | seconds |',
        '|---|---|---|',
    ]
    for result in record['steps']:
        state = mark.get(result['state'], '{}').format(result['state'])
        lines.append(f'| {result["name"]} | {state} | {result["seconds"]:.0f} |')
    for result in record['steps']:
        if result['figures'] or result['end']:
            lines += ['', f'## {result["name"]}', '']
            lines += [result['figures']] if result['figures'] else []
            lines += ['```', result['end'], '```'] if result['end'] else []
    return '\n'.join(lines) + '\n'


def machine(device: str) -> str:
    """Device and versions, in one line."""
    import torch

    name = torch.cuda.get_device_name(0) if device.startswith('cuda') else 'CPU: no figure of a GPU'
    return f'{name}; torch {torch.__version__}, Python {sys.version.split()[0]}'


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--device', default='cuda')
    parser.add_argument('--out', type=Path, default=ROOT / 'work_dirs/gpu_check')
    parser.add_argument('--minutes', type=float, default=60, help='of all steps together')
    parser.add_argument(
        '--set-up', nargs=2, type=int, default=(0, 0), metavar=('STATUS', 'SECONDS'),
        help='how the set-up ended and how long it took',
    )  # fmt: skip
    args = parser.parse_args()
    out = args.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    status, took = args.set_up
    results = [Result('set-up', 'failed' if status else 'passed', took)]
    end = time.monotonic() + 60 * args.minutes - took
    record = dict(machine='', steps=[])
    try:
        record['machine'] = machine(args.device)
        steps = all_steps(args.device, out)
    except Exception as error:  # without a torch that works, one page still says so
        results.append(Result('torch', 'failed', end=f'{type(error).__name__}: {error}'))
        steps = []
    for step in steps:
        print(f'{step.name} ...', end=' ', flush=True)
        result = run(step, (end - time.monotonic()) / 60, out)
        results.append(result)
        bad = result.state in ('failed', 'out of time')
        print(f'{RED if bad else ""}{result.state}{END if bad else ""}, {result.seconds:.0f} s')
        record['steps'] = [asdict(one) for one in results]
        (out / 'gpu_check.json').write_text(json.dumps(record, indent=1) + '\n')
        (out / 'gpu_check.md').write_text(page(record))
    record['steps'] = [asdict(one) for one in results]
    (out / 'gpu_check.json').write_text(json.dumps(record, indent=1) + '\n')
    (out / 'gpu_check.md').write_text(page(record))
    print(f'{out}/gpu_check.md')
    return int(any(result.state in ('failed', 'out of time') for result in results))


if __name__ == '__main__':
    sys.exit(main())
