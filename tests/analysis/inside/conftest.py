"""A small hybrid for the tests of what looks inside a model."""

import pytest
import torch

from mmspanet.models import SPANetV2

ARCH = dict(depths=(2, 1, 1, 1), channels=(8, 16, 24, 32))


@pytest.fixture(scope='module')
def backbone():
    torch.manual_seed(0)
    model = SPANetV2(arch=ARCH | dict(mixers=('SPAM', 'SPAM', 'SPAM', 'Attention')), input_size=64)
    return model.eval().requires_grad_(False)
