"""Every test starts alike, whichever ran before it, and draws the same numbers in every run."""

import os
import random
import signal
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

if os.environ.get('MMSPANET_TEST_DEVICE', 'cpu') == 'cpu':
    os.environ['CUDA_VISIBLE_DEVICES'] = ''  # MMEngine would choose a GPU by itself
# The processes of pytest-xdist share the cores; torch reads this when it is imported.
if 'PYTEST_XDIST_WORKER_COUNT' in os.environ:
    _workers = int(os.environ['PYTEST_XDIST_WORKER_COUNT'])
    os.environ.setdefault('OMP_NUM_THREADS', str(max(1, (os.cpu_count() or 1) // _workers)))

# OpenVINO reports its use by forking this process from threads, unless it sees a CI service's
# variable; NNCF and MLflow report, too.
os.environ |= dict(TF_BUILD='1', NNCF_CI='1', DO_NOT_TRACK='true')

import numpy as np
import pytest
import torch
from hypothesis import settings
from mmengine.utils import ManagerMixin

from mmspanet.checkpoints.safe import release_process
from tests.helpers import DEVICE

# Examples follow from the test's name, so that a failure can be had again.
settings.register_profile('repeatable', derandomize=True, database=None, deadline=None)
settings.load_profile('repeatable')


SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


def managers(base: type = ManagerMixin) -> Iterator[type]:
    """MMEngine's classes with named instances for the whole process: scopes, loggers, ..."""
    for cls in base.__subclasses__():
        yield cls
        yield from managers(cls)


@contextmanager
def instances_restored() -> Iterator[None]:
    """What is made inside is forgotten afterwards."""
    before = {cls: dict(cls._instance_dict) for cls in managers()}
    yield
    for cls in managers():
        cls._instance_dict.clear()
        cls._instance_dict.update(before.get(cls, {}))


@pytest.fixture(autouse=True, scope='session')
def variables_of_the_tests():
    """No proxy before a test's own server, no repository of a git hook that runs the tests."""
    for name in [name for name in os.environ if name.startswith('GIT_')]:
        del os.environ[name]
    os.environ.pop('MMSPANET_TRACEBACK', None)
    os.environ |= dict(no_proxy='*', NO_PROXY='*', GIT_CONFIG_GLOBAL=os.devnull)


@pytest.fixture(autouse=True, scope='module')
def instances_of_the_module():
    """Those of a module's own fixtures go with it."""
    with instances_restored():
        yield


@pytest.fixture(autouse=True)
def own_state(request):
    """Random numbers of its own; instances and variables of the process as they were before."""
    seed = zlib.crc32(request.node.nodeid.encode())
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    variables = dict(os.environ)
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    with instances_restored():
        yield
    # From what a script's main does in the process of a test.
    release_process()
    for number, handler in handlers.items():
        if handler is not None:  # of Python
            signal.signal(number, handler)
    for name in os.environ.keys() - variables.keys():
        del os.environ[name]
    for name, value in variables.items():  # threads that read it never find it empty
        if os.environ.get(name) != value:
            os.environ[name] = value


@pytest.fixture
def device() -> Iterator[torch.device]:
    """MMSPANET_TEST_DEVICE (default: cpu), on which the test makes its tensors and models."""
    device = torch.device(DEVICE)
    if DEVICE == 'cpu':
        yield device
        return
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    with device:
        yield device
