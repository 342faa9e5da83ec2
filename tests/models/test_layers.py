"""The shared layers against torch's own."""

import pytest
import torch
from torch import nn

from mmspanet.models.layers import (
    LayerNorm2d,
    PointwiseLinear,
    StarReLU,
    _product_by_conv2d,
    _product_by_linear,
)


def test_layer_norm_2d():
    norm = LayerNorm2d(6)
    nn.init.normal_(norm.weight)
    x = torch.randn(2, 6, 5, 4)
    mean = x.mean(1, keepdim=True)
    deviation = (x.var(1, keepdim=True, unbiased=False) + 1e-6).sqrt()
    expected = (x - mean) / deviation * norm.weight[:, None, None]
    assert torch.allclose(norm(x), expected, atol=1e-5)


@pytest.mark.parametrize('memory_format', [torch.contiguous_format, torch.channels_last])
def test_both_paths_of_the_pointwise_product_agree(memory_format):
    weight = torch.randn(7, 6)
    x = torch.randn(2, 6, 5, 4).contiguous(memory_format=memory_format)
    expected = torch.einsum('oi,bihw->bohw', weight, x)
    for path in (_product_by_conv2d, _product_by_linear):
        assert torch.allclose(path(x, weight), expected, atol=1e-5)


def test_the_path_is_chosen_by_the_device(monkeypatch):
    import mmspanet.models.layers as layers

    monkeypatch.setattr(layers, '_product_by_conv2d', lambda x, weight, bias: 'conv2d')
    monkeypatch.setattr(layers, '_product_by_linear', lambda x, weight, bias: 'linear')
    layer = PointwiseLinear(3, 3)
    assert layer(torch.zeros(1, 3, 2, 2)) == 'conv2d'
    assert layer(torch.zeros(1, 3, 2, 2, device='meta')) == 'linear'


def test_star_relu():
    act = StarReLU()
    with torch.no_grad():
        act.scale.fill_(2.0)
        act.bias.fill_(-1.0)
    assert act(torch.tensor([-3.0, 0.0, 2.0])).tolist() == [-1.0, -1.0, 7.0]


def test_star_relu_does_not_overflow_under_autocast():
    with torch.autocast('cpu', torch.float16):
        assert StarReLU()(torch.full((1,), 400.0, dtype=torch.float16)).item() == 160000
