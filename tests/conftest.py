"""Every test starts alike, whichever ran before it, and draws the same numbers in every run."""

import os
import random
import zlib

import numpy as np
import pytest
import torch
from hypothesis import settings
from mmengine.registry import DefaultScope

# Examples follow from the test's name, so that a failure can be had again.
settings.register_profile('repeatable', derandomize=True, database=None)
settings.load_profile('repeatable')


@pytest.fixture(autouse=True)
def own_state(request):
    """Random numbers of its own; scopes and variables of the process as they were before."""
    seed = zlib.crc32(request.node.nodeid.encode())
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    scopes, variables = dict(DefaultScope._instance_dict), dict(os.environ)
    yield
    DefaultScope._instance_dict.clear()
    DefaultScope._instance_dict.update(scopes)
    os.environ.clear()
    os.environ.update(variables)
