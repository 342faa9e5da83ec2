"""The trained Shapes models as the page takes them."""

import pytest

from mmspanet.app.models import Models, find_runs


@pytest.fixture(scope='session')
def work_dirs(trained, once):
    """A folder of runs with the Shapes classifier in it."""

    def make(folder):
        run = folder / 'shapes' / 'cls'
        run.mkdir(parents=True)
        for name in ('spanetv2_shapes.py', 'epoch_1.pth'):
            (run / name).symlink_to(trained('cls') / name)

    return once('work_dirs', make)


@pytest.fixture
def models(work_dirs):
    return Models(find_runs(work_dirs), 'cpu')
