"""The shared layers against torch's own."""

import pytest
import torch
from torch import nn

from mmspanet.models.deploy import DeployedMlp
from mmspanet.models.layers import LayerNorm2d, PointwiseLinear, StarReLU
from mmspanet.models.metaformer import Mlp

pytestmark = pytest.mark.usefixtures('device')


class Elsewhere(torch.Tensor):
    """A tensor on the CPU that says it is on a GPU."""

    device = torch.device('cuda')


def test_layer_norm_2d():
    norm = LayerNorm2d(6)
    nn.init.normal_(norm.weight)
    x = torch.randn(2, 6, 5, 4)
    mean = x.mean(1, keepdim=True)
    deviation = (x.var(1, keepdim=True, unbiased=False) + 1e-6).sqrt()
    expected = (x - mean) / deviation * norm.weight[:, None, None]
    assert torch.allclose(norm(x), expected, atol=1e-5)
    compiled = torch.compile(norm, backend='eager', fullgraph=True)
    assert torch.allclose(compiled(x), expected, atol=1e-5)


def test_layer_norm_is_written_out_for_compilers_on_cpus_alone(monkeypatch):
    monkeypatch.setattr(torch.compiler, 'is_dynamo_compiling', lambda: True)
    norm, x = LayerNorm2d(6), torch.randn(2, 6, 5, 4)
    expected = norm._written_out(x)
    monkeypatch.setattr(norm, '_written_out', lambda x: None)
    if x.device.type == 'cpu':
        assert norm(x) is None
    actual = norm(x.as_subclass(Elsewhere)).as_subclass(torch.Tensor)
    assert torch.allclose(actual, expected, atol=1e-5)


@pytest.mark.parametrize('bias', [False, True])
@pytest.mark.parametrize('kind', [torch.Tensor, Elsewhere], ids=['CPU', 'other devices'])
@pytest.mark.parametrize('memory_format', [torch.contiguous_format, torch.channels_last])
def test_pointwise_linear(memory_format, kind, bias):
    layer = PointwiseLinear(6, 7, bias)
    x = torch.randn(2, 6, 5, 4).contiguous(memory_format=memory_format)
    expected = torch.einsum('oi,bihw->bohw', layer.weight, x)
    if bias:
        expected = expected + layer.bias[:, None, None]
    actual = layer(x.as_subclass(kind)).as_subclass(torch.Tensor)
    assert torch.allclose(actual, expected, atol=1e-5)


def test_star_relu():
    act = StarReLU()
    with torch.no_grad():
        act.scale.fill_(2.0)
        act.bias.fill_(-1.0)
    assert act(torch.tensor([-3.0, 0.0, 2.0])).tolist() == [-1.0, -1.0, 7.0]


def test_star_relu_does_not_overflow_under_autocast(device):
    with torch.autocast(device.type, torch.float16):
        assert StarReLU()(torch.full((1,), 400.0, dtype=torch.float16)).item() == 160000


@pytest.mark.parametrize('form', ['training', 'evaluation', 'deployed'])
def test_mlp_stays_in_the_range_of_float16(form, device):
    """The square of what is behind its first layer does not; its result does."""
    mlp = Mlp(4)
    with torch.no_grad():
        mlp.fc1.weight.fill_(20.0)
        mlp.fc2.weight.normal_(std=0.01)
    x = (4 * torch.ones(1, 4, 3, 3)).requires_grad_(form == 'training')
    expected = mlp(x)
    assert mlp.fc1(x).max() == 320
    wanted = torch.autograd.grad(expected.sum(), [x, *mlp.parameters()]) if x.requires_grad else []
    model = DeployedMlp(mlp, torch.ones(4)) if form == 'deployed' else mlp
    with torch.autocast(device.type, torch.float16):
        actual = model.train(form == 'training')(x)
    found = torch.autograd.grad(actual.float().sum(), [x, *mlp.parameters()]) if wanted else []
    for value, reference in zip([actual, *found], [expected, *wanted], strict=True):
        torch.testing.assert_close(
            value.float() / reference.abs().max(),
            reference / reference.abs().max(),
            rtol=0,
            atol=1e-2,
        )
