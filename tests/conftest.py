"""Data and trained checkpoints that several modules read: made once, whichever test asks first."""

from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from tests.helpers import SHAPES_CONFIGS, run, shapes_options


@pytest.fixture(scope='session')
def once(tmp_path_factory, request) -> Callable[[str, Callable[[Path], object]], Path]:
    """``once(name, make)``: the folder that ``make`` filled, one for all processes of a run."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if hasattr(request.config, 'workerinput') else base

    def get(name: str, make: Callable[[Path], object]) -> Path:
        folder, done = shared / name, shared / f'{name}.done'
        with FileLock(shared / f'{name}.lock'):
            if not done.exists():
                folder.mkdir()
                make(folder)
                done.touch()
        return folder

    return get


@pytest.fixture(scope='session')
def shapes_root(once) -> Path:
    """16 training and 4 validation images of Shapes in all three layouts."""
    return once(
        'shapes',
        lambda root: run(['tools/make_shapes.py', '--root', root, '--train', 16, '--val', 4]),
    )


@pytest.fixture(scope='session')
def trained(once, shapes_root) -> Callable[[str], Path]:
    """``trained(task)``: the work dir of tools/train.py after one epoch (seg: 4 iterations)."""

    def get(task: str) -> Path:
        options = shapes_options(task, shapes_root)
        return once(
            f'trained_{task}',
            lambda folder: run(
                ['tools/train.py', SHAPES_CONFIGS[task], '--work-dir', folder, *options]
            ),
        )

    return get
