"""Adaptive pooling for graphs of any size against PyTorch's own."""

import pytest
import torch
from torch import nn

from mmspanet.deployment.pooling import FreeAveragePool, free_pools


@pytest.mark.parametrize('bins', [(1, 1), (2, 3), (6, 6)])
@pytest.mark.parametrize('size', [(1, 2), (3, 8), (7, 13), (16, 6)])
def test_bins_are_those_of_pytorch(bins, size):
    x = torch.randn(2, 3, *size)
    expected = nn.functional.adaptive_avg_pool2d(x, bins)
    torch.testing.assert_close(FreeAveragePool(bins)(x), expected)


def test_pools_of_one_bin_stay():
    """Exporters write them as a mean, whatever the size."""
    model = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Sequential(nn.AdaptiveAvgPool2d((2, 3))))
    free_pools(model)
    assert isinstance(model[0], nn.AdaptiveAvgPool2d)
    assert model[1][0].size == (2, 3)
