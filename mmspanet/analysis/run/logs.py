"""What MMEngine logged of a run, a resumed one as a single run."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmspanet.engine.record import read_rows
from mmspanet.errors import InputError

Values = dict[str, Any]

_NO_METRICS = ('step', 'epoch', 'iter', 'time', 'data_time', 'memory')
_HEADER_LINES = 400  # of a log: its environment stands before the config
_TOLD = re.compile(r'Python|PyTorch|TorchVision|OpenCV|MMEngine|CUDA|GPU|NVCC|seed|Distributed')


@dataclass(frozen=True)
class Log:
    """A run as it was logged.

    Attributes:
        folder: Of the newest training in the work dir; of the newest test if there is none.
        training: Rows of values such as ``loss`` and ``lr``, in order of ``step`` (iterations).
        validation: Rows of metrics in their order, with ``step`` in iterations of the training.
        test: Metrics of the newest test; empty if there was none.
        restarts: Iterations after which the run was resumed.
        environment: Names and values of what MMEngine found: libraries, GPUs, seed.
    """

    folder: Path
    training: list[Values]
    validation: list[Values]
    test: Values
    restarts: list[int]
    environment: list[tuple[str, str]]


def read_log(work_dir: Path) -> Log:
    """Read all runs in a work dir as one.

    A run that goes on where an earlier one was is taken as its continuation, and replaces what
    the earlier one did beyond that point; a run from the start replaces those before it.

    Raises:
        InputError: If the folder holds no log of MMEngine.
    """
    folders = sorted({path.parent.parent for path in work_dir.glob('*/vis_data/*.json')})
    tests = sorted(path for path in work_dir.glob('*/*.json') if path.stem == path.parent.name)
    training: list[Values] = []
    validation: list[Values] = []
    restarts: list[int] = []
    newest = None
    for folder in folders:
        rows = read_rows(folder / 'vis_data/scalars.json')
        trained = [row for row in rows if 'lr' in row]
        if not trained:
            continue
        newest = folder
        begin = trained[0]['step']
        if training and begin > training[0]['step'] and _is_resumed(folder):
            training = [row for row in training if row['step'] < begin]
            restarts = [step for step in restarts if step < begin]
            restarts.append(training[-1]['step'])
            validation = [row for row in validation if row['step'] < begin]
        else:
            training, validation, restarts = [], [], []
        measured = _validations(rows, training[-1]['step'] if training else 0)
        training += trained
        known = {row['step'] for row in validation}
        validation += [row for row in measured if row['step'] not in known]
    if newest is None and not tests:
        raise InputError(
            f'{work_dir} holds no log of a run (a folder with vis_data/scalars.json): give the '
            'work dir of tools/train.py or tools/test.py.'
        )
    folder = newest or tests[-1].parent
    test = json.loads(tests[-1].read_text()) if tests else {}
    test = {name: value for name, value in test.items() if name not in _NO_METRICS}
    return Log(folder, training, validation, test, restarts, read_environment(folder))


def metric_names(rows: list[Values]) -> list[str]:
    """The metrics of validation rows: numbers that are neither counts nor times."""
    names = dict.fromkeys(name for row in rows for name in row if name not in _NO_METRICS)
    return [name for name in names if any(_is_number(row.get(name)) for row in rows)]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and value == value  # NaN is not


def _is_resumed(folder: Path) -> bool:
    """Whether the config that MMEngine keeps beside a log says so, or there is none."""
    path = folder / 'vis_data/config.py'
    if not path.is_file():
        return True
    text = path.read_text(encoding='utf-8', errors='replace')
    return re.search(r'^resume = (?!False)', text, re.MULTILINE) is not None


def _validations(rows: list[Values], begin: int) -> list[Values]:
    """Rows of validation with their steps in iterations of the training.

    Validations of runs in epochs are logged by epoch: they get the iteration of the last
    training row before them, or ``begin`` where there is none.
    """
    by_epoch = any('lr' in row and 'epoch' in row for row in rows)
    found: list[Values] = []
    step = begin
    for row in rows:
        if 'lr' in row:
            step = row['step']
        else:
            found.append(row | dict(step=step, epoch=row['step']) if by_epoch else row)
    return found


def read_environment(folder: Path) -> list[tuple[str, str]]:
    """What the head of a run's log says of libraries, GPUs and seed."""
    logs = sorted(folder.glob('*.log'))
    if not logs:
        return []
    with open(logs[0], encoding='utf-8', errors='replace') as file:
        head = [line for line, _ in zip(file, range(_HEADER_LINES), strict=False)]
    found = []
    for line in head:
        if line.rstrip().endswith('Config:'):
            break
        name, separator, value = line.strip().partition(': ')
        if separator and line.startswith('    ') and _TOLD.match(name):
            found.append((name, value.strip()))
    return found
